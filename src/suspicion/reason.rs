//! The reasons that scores are sums of: all of them, in one table.

/// Something that counts against somebody, or for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A hold ended by time.
    HoldExpired,
    /// An order ended without money.
    OrderUnpaid,
    /// Holds were given back, often. Better than to let them end: it makes nobody wait.
    HoldsLetGo,
    /// One prefix holds much.
    ManyHolds,
    /// Cards were declined.
    DeclinedCards,
    /// One card pays for many accounts.
    SameCard,
    /// Proofs of work were refused.
    ProofsRefused,
    /// Access codes were guessed.
    CodesGuessed,
    /// One prefix begins many sessions.
    ManySessions,
    /// Signed in with a code by e-mail.
    SignedIn,
    /// Paid for an order.
    Paid,
}

/// What a reason weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Its name: stable API.
    pub word: &'static str,
    /// For each time; below 0 they count for somebody.
    pub points: f64,
    /// Seconds in which they halve.
    pub half_life_s: f64,
    /// What they never exceed together, on either side.
    pub bound: f64,
    /// The first so many within [`super::ledger::WINDOW_S`] in one process count nothing.
    pub free: u32,
}

/// An hour in seconds.
const HOUR: f64 = 3_600.0;

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::HoldExpired,
        Self::OrderUnpaid,
        Self::HoldsLetGo,
        Self::ManyHolds,
        Self::DeclinedCards,
        Self::SameCard,
        Self::ProofsRefused,
        Self::CodesGuessed,
        Self::ManySessions,
        Self::SignedIn,
        Self::Paid,
    ];

    /// What it weighs. A hold that ends unpaid is the measure of all.
    #[must_use]
    pub const fn terms(self) -> Terms {
        let (word, points, half_life_s, bound, free) = match self {
            Self::HoldExpired => ("hold_expired_unpaid", 1.0, 4.0 * HOUR, 20.0, 0),
            Self::OrderUnpaid => ("order_unpaid", 1.0, 4.0 * HOUR, 20.0, 0),
            Self::HoldsLetGo => ("holds_let_go", 0.25, HOUR, 4.0, 3),
            Self::ManyHolds => ("many_holds_from_prefix", 0.1, 0.5 * HOUR, 10.0, 50),
            Self::DeclinedCards => ("declined_cards", 0.5, 4.0 * HOUR, 10.0, 1),
            Self::SameCard => ("same_card_many_accounts", 1.0, 24.0 * HOUR, 10.0, 0),
            Self::ProofsRefused => ("proofs_refused", 0.5, HOUR, 5.0, 3),
            Self::CodesGuessed => ("codes_guessed", 0.5, HOUR, 10.0, 3),
            Self::ManySessions => ("sessions_from_prefix", 0.05, 0.5 * HOUR, 10.0, 100),
            Self::SignedIn => ("signed_in", -1.0, 24.0 * HOUR, 1.0, 0),
            Self::Paid => ("paid_order", -3.0, 24.0 * HOUR, 6.0, 0),
        };
        Terms { word, points, half_life_s, bound, free }
    }

    /// From its name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.terms().word == word)
    }
}

/// What points of `at_s` are worth at `now_s` (Unix seconds).
#[must_use]
pub fn faded(points: f64, half_life_s: f64, at_s: i64, now_s: i64) -> f64 {
    let age_s = now_s.saturating_sub(at_s).max(0);
    points * (-(age_s as f64) / half_life_s).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_sound_terms() {
        for reason in Reason::ALL {
            let terms = reason.terms();
            assert_eq!(Reason::named(terms.word), Some(reason));
            assert!(terms.points.abs() <= terms.bound && terms.half_life_s >= 60.0, "{terms:?}");
        }
        assert_eq!(Reason::named("charm"), None);
    }

    #[test]
    fn points_halve_and_a_clock_that_steps_back_adds_none() {
        assert_eq!(faded(4.0, 100.0, 1_000, 1_100), 2.0);
        assert_eq!(faded(4.0, 100.0, 1_000, 1_200), 1.0);
        assert_eq!(faded(4.0, 100.0, 1_000, 10), 4.0);
        assert!(faded(4.0, 100.0, 0, i64::MAX) < 1e-9);
        assert_eq!(faded(-4.0, 100.0, 1_000, 1_100), -2.0);
    }
}
