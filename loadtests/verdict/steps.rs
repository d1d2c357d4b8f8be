//! Words for what visitors do, and how visits end.

use serde::{Deserialize, Serialize};

/// A step of the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `POST /v1/sessions`.
    Session,
    /// `GET …/waiting-room/challenge`.
    Challenge,
    /// `POST …/waiting-room/join`.
    Join,
    /// `POST /v1/sign-in`.
    SignIn,
    /// `POST /v1/sign-in/confirm`.
    Confirm,
    /// `GET …/waiting-room/place`.
    Poll,
    /// `POST …/waiting-room/pass`.
    Pass,
    /// `GET …/availability`.
    Look,
    /// `POST …/holds`.
    Hold,
    /// `POST …/checkout`.
    Checkout,
    /// Paying at the sandbox, until the shop has acknowledged its webhook.
    Pay,
    /// `GET /v1/orders/{order}`, with the tickets.
    Order,
    /// `DELETE …/holds/{hold}`.
    GiveBack,
    /// `DELETE …/waiting-room/pass`.
    GiveUp,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Session,
        Self::Challenge,
        Self::Join,
        Self::SignIn,
        Self::Confirm,
        Self::Poll,
        Self::Pass,
        Self::Look,
        Self::Hold,
        Self::Checkout,
        Self::Pay,
        Self::Order,
        Self::GiveBack,
        Self::GiveUp,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Challenge => "challenge",
            Self::Join => "join",
            Self::SignIn => "sign in",
            Self::Confirm => "code",
            Self::Poll => "poll",
            Self::Pass => "pass",
            Self::Look => "look",
            Self::Hold => "hold",
            Self::Checkout => "checkout",
            Self::Pay => "pay",
            Self::Order => "order",
            Self::GiveBack => "give back",
            Self::GiveUp => "give up pass",
        }
    }

    /// What a visitor does in it, for who reads a report.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Session => "opens the page for the first time and is known from then on",
            Self::Challenge => "asks for the small task that keeps bots busy",
            Self::Join => "joins the waiting room",
            Self::SignIn => "asks for a code by mail, because they were told to sign in",
            Self::Confirm => "types the code that was mailed",
            Self::Poll => "asks whether it is their turn, as often as they were told to",
            Self::Pass => "takes the turn and is let in",
            Self::Look => "looks at what is free",
            Self::Hold => "chooses places, which are theirs for some minutes",
            Self::Checkout => "orders what they hold",
            Self::Pay => "pays at the payment provider's, until the shop has heard of it",
            Self::Order => "looks for the tickets",
            Self::GiveBack => "gives places back",
            Self::GiveUp => "leaves, so that somebody else is let in",
        }
    }
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Tickets in hand.
    Bought,
    /// Shopped, and found nothing left.
    SoldOut,
    /// Went home because the line said "sold out".
    SoldOutInLine,
    /// In line until the end.
    StillInLine,
    /// Was told to sign in, and did not: for want of a mailbox.
    SignInNeeded,
    /// The line was closed.
    LineClosed,
    /// Left the line, on purpose.
    LeftLine,
    /// Missed the turn.
    MissedTurn,
    /// Gave up after too many refusals.
    Refused,
    /// Had as many places as one buyer may have.
    LimitReached,
    /// May hold no more: holds without buying.
    Blocked,
    /// The pass ended before anything was held.
    PassOver,
    /// Gave a hold back, on purpose.
    GaveBack,
    /// Left a hold without a word, on purpose.
    Vanished,
    /// Paid too late: nothing charged, or the money went back.
    TooLate,
    /// Turned away too often (503, 504, 429).
    TurnedAway,
    /// Something went wrong.
    Failed,
}

impl Ending {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bought => "bought",
            Self::SoldOut => "found nothing left",
            Self::SoldOutInLine => "left the line: sold out",
            Self::StillInLine => "in line until the end",
            Self::SignInNeeded => "told to sign in, and did not",
            Self::LineClosed => "the line was closed",
            Self::LeftLine => "left the line on purpose",
            Self::MissedTurn => "missed the turn",
            Self::Refused => "gave up after refusals",
            Self::LimitReached => "reached the limit per buyer",
            Self::Blocked => "blocked: holds and never buys",
            Self::PassOver => "the pass ended",
            Self::GaveBack => "gave a hold back on purpose",
            Self::Vanished => "left a hold on purpose",
            Self::TooLate => "paid too late",
            Self::TurnedAway => "turned away (503, 504, 429)",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_its_numbers() {
        assert!(Step::ALL.iter().enumerate().all(|(at, step)| *step as usize == at));
    }
}
