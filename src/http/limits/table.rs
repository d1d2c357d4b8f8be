//! Every limit, in one place: its name, rate, burst, whom it counts, and what it tells them.
//!
//! A limit allows `burst` requests at once and `per_second` lasting ones: a quota of `burst` in a
//! window of `burst / per_second` seconds. A rate of 0 means no limit. Carriers and offices put
//! thousands of people behind one address, so addresses are allowed what a crowd does in earnest,
//! and sessions what one person does.

use serde::{Deserialize, Serialize};

/// Highest configurable rate: the shared limits count in microseconds.
pub const MAX_PER_SECOND: f64 = 1_000_000.0;
/// Lowest configurable rate other than none: one in about 28 hours.
pub const MIN_PER_SECOND: f64 = 0.000_01;
/// Largest configurable burst.
pub const MAX_BURST: u32 = 1_000_000;
/// Largest configurable window in seconds: Redis keeps a key for so long at most.
pub const MAX_WINDOW_S: f64 = 86_400.0;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Units per second that come back; 0 is no limit.
    pub per_second: f64,
    /// Units at once after a rest.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { per_second: 0.0, burst: 0 };

    /// Whether it limits anything.
    #[must_use]
    pub fn limits(self) -> bool {
        self.per_second > 0.0
    }

    /// Seconds in which a whole burst comes back, rounded up.
    #[must_use]
    pub fn window_s(self) -> u32 {
        self.seconds(self.burst)
    }

    /// Seconds in which so many units come back, rounded up; a quarter of a million units a
    /// second is as good as at once.
    #[must_use]
    pub fn seconds(self, units: u32) -> u32 {
        if self.limits() { (f64::from(units) / self.per_second).ceil() as u32 } else { 0 }
    }

    /// Whether it can be kept: see the bounds above.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self == Self::NONE
            || self.per_second == 0.0
            || ((MIN_PER_SECOND..=MAX_PER_SECOND).contains(&self.per_second)
                && (1..=MAX_BURST).contains(&self.burst)
                && f64::from(self.burst) / self.per_second <= MAX_WINDOW_S)
    }
}

/// Whom a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Client addresses, IPv6 by prefix.
    Address,
    /// Networks, IPv4 by /24 and IPv6 by /48, at one event.
    Network,
    /// Sessions, as their token is shown.
    Session,
    /// Accounts.
    Account,
    /// Addresses that mail is sent to.
    Email,
    /// Orders.
    Order,
}

macro_rules! limits {
    (
        $(#[$kind_doc:meta])* $kind:ident, $rates:ident;
        $($(#[$doc:meta])*
        $limit:ident = $field:ident, $per_second:literal, $burst:literal, $key:ident,
            $message:literal;)*
    ) => {
        $(#[$kind_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[$doc])* $limit,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$limit),*];

            /// Its name in configuration, headers, metrics and keys.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$limit => stringify!($field),)* }
            }

            /// Whom it counts.
            #[must_use]
            pub const fn key(self) -> Key {
                match self { $(Self::$limit => Key::$key,)* }
            }

            /// What is said to whom it refuses.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$limit => $message,)* }
            }
        }

        /// Their rates, as configured.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $rates {
            $($(#[$doc])* pub $field: Rate,)*
        }

        impl Default for $rates {
            fn default() -> Self {
                Self { $($field: Rate { per_second: $per_second, burst: $burst },)* }
            }
        }

        impl $rates {
            /// Without any limit.
            #[must_use]
            pub const fn none() -> Self {
                Self::all(Rate::NONE)
            }

            /// The same rate for all.
            #[must_use]
            pub const fn all(rate: Rate) -> Self {
                Self { $($field: rate,)* }
            }

            /// The rate of this limit.
            #[must_use]
            pub const fn of(&self, limit: $kind) -> Rate {
                match limit { $($kind::$limit => self.$field,)* }
            }
        }
    };
}

limits! {
    /// Limits that every process keeps for itself, in memory.
    NodeLimit, NodeRates;
    /// Looking at events, pages and files, per address.
    BrowseAddress = browse_per_address, 200.0, 1_000, Address,
        "Too many requests come from your network.";
    /// Looking, per session.
    BrowseSession = browse_per_session, 20.0, 200, Session, "You are faster than anybody can read.";
    /// Waiting rooms, per address.
    WaitAddress = waiting_per_address, 500.0, 2_000, Address,
        "Too many requests come from your network; your place in line is safe.";
    /// Waiting rooms, per session.
    WaitSession = waiting_per_session, 5.0, 40, Session,
        "Asking more often does not move the line; your place is safe.";
    /// Holds, per address.
    HoldAddress = holds_per_address, 50.0, 300, Address,
        "Too many holds are asked for from your network.";
    /// Holds, per session.
    HoldSession = holds_per_session, 2.0, 30, Session, "You ask for holds too often.";
    /// Checkout, orders and payments, per address.
    CheckoutAddress = checkout_per_address, 50.0, 300, Address,
        "Too many requests come from your network; your places are kept.";
    /// Checkout, orders and payments, per session.
    CheckoutSession = checkout_per_session, 5.0, 60, Session,
        "You ask too often; your places are kept.";
    /// Beginning sessions and signing in, per address.
    SignInAddress = sign_in_per_address, 20.0, 300, Address,
        "Too many sessions are begun from your network.";
    /// Organizers and gates, per address.
    OrganizeAddress = organizing_per_address, 50.0, 500, Address,
        "Too many requests come from your network.";
}

limits! {
    /// Limits that all processes share, in Redis.
    SharedLimit, SharedRates;
    /// Asking how to pay, and checking out.
    PaymentAttempts = payment_attempts, 0.1, 30, Account,
        "Too many attempts to pay; your places are kept.";
    /// Trying access, promo and sign-in codes, per account.
    CodeGuesses = code_guesses, 0.02, 10, Account, "Too many codes were tried.";
    /// The same, per address.
    CodeGuessesAddress = code_guesses_per_address, 0.2, 60, Address,
        "Too many codes were tried from your network.";
    /// Asking for sign-in mails, per address.
    SignInRequests = sign_in_requests, 0.5, 120, Address,
        "Too many sign-in mails are asked for from your network.";
    /// Sign-in mails to one mailbox.
    SignInMails = sign_in_mails, 0.01, 5, Email,
        "Mails with a code are on their way; look into the mailbox.";
    /// Sending an order's confirmation again.
    Confirmations = confirmations, 0.000_84, 3, Order,
        "The confirmation was sent again several times; look into the mailbox.";
    /// Changing the address that an order's mails go to.
    AddressChanges = address_changes, 0.000_035, 3, Order,
        "The address was changed several times; try again in some hours.";
    /// Joining a waiting room, per address.
    Joins = joins, 20.0, 600, Address, "Too many people join from your network at once.";
    /// Joining a waiting room without an account, per event and network. Who is over it signs in:
    /// a mailbox costs more than a proof of work, of which a few cores make thousands.
    AnonymousJoins = anonymous_joins, 0.005, 50, Network,
        "Many have joined from your network without an account; sign in, and you can join.";
}

impl SharedLimit {
    /// Whether nobody gets through while Redis doesn't answer. Of the others each process then
    /// keeps count for itself.
    #[must_use]
    pub const fn fails_closed(self) -> bool {
        matches!(self, Self::CodeGuesses | Self::CodeGuessesAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_how_long_a_burst_takes_to_come_back() {
        assert_eq!(Rate { per_second: 2.0, burst: 20 }.window_s(), 10);
        assert_eq!(Rate { per_second: 0.3, burst: 1 }.window_s(), 4);
        assert_eq!(Rate::NONE.window_s(), 0);
    }
}
