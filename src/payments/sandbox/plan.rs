//! What will happen to one try to pay: decided before it starts, so that it can be written
//! down and gone on with after a restart.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::config::{AcquirerConfig, ConfigError};
use super::test_cards::Scenario;
use crate::ids::AttemptId;

/// A delay is at most this many times its mean.
const MAX_DELAY_FACTOR: f64 = 10.0;

/// The longest mean delay, in milliseconds.
const MAX_MEAN_DELAY_MS: u64 = 600_000;

/// What happens to cards that would simply be approved: for load tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Same seed, same attempt: same fate, in whatever order payments come.
    pub seed: u64,
    /// Mean of an exponential delay before the answer, in milliseconds; cut at ten times that.
    pub delay_ms: u64,
    /// Share of tries that are declined, 0 to 1.
    pub decline_share: f64,
    /// Share of payments whose webhook is lost, 0 to 1.
    pub lose_share: f64,
    /// Share of payments whose webhook is delivered twice, 0 to 1; after `lose_share`.
    pub duplicate_share: f64,
}

impl Behaviour {
    /// Refuses what can't be meant.
    pub fn check(&self) -> Result<(), ConfigError> {
        let shares = [
            ("decline_share", self.decline_share),
            ("lose_share", self.lose_share),
            ("duplicate_share", self.duplicate_share),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(ConfigError::Share(name));
            }
        }
        if self.delay_ms > MAX_MEAN_DELAY_MS {
            return Err(ConfigError::TooMany("delay_ms", 600_000));
        }
        Ok(())
    }

    fn plan(&self, attempt: AttemptId, tries: u32) -> Plan {
        let (high, low) = attempt.0.as_u64_pair();
        let seed = self.seed ^ high.rotate_left(17) ^ low ^ u64::from(tries).rotate_left(32);
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut plan = Plan::APPROVE;
        if self.delay_ms > 0 {
            let mean = Duration::from_millis(self.delay_ms);
            let factor = -(1.0 - rng.random::<f64>()).ln();
            plan.wait = Wait::Answer(mean.mul_f64(factor.min(MAX_DELAY_FACTOR)));
        }
        if rng.random_bool(self.decline_share) {
            plan.verdict = Verdict::Decline(Decline::CardDeclined);
        } else if rng.random_bool(self.lose_share) {
            plan.calls = Calls::Lost;
        } else if rng.random_bool(self.duplicate_share) {
            plan.calls = Calls::Times(2);
        }
        plan
    }
}

/// What will happen to one try.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub wait: Wait,
    pub verdict: Verdict,
    pub calls: Calls,
}

/// How long the bank takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wait {
    /// It answers at once.
    No,
    /// The buyer waits for it.
    Answer(Duration),
    /// The buyer is told that it is processing.
    Behind(Duration),
    /// It never answers.
    Forever,
}

/// What the bank says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Charged, less this many minor units.
    Charge { short: i64 },
    /// Refused.
    Decline(Decline),
}

/// Why a card was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decline {
    CardDeclined,
    InsufficientFunds,
    AuthenticationFailed,
}

impl Decline {
    /// The stable code, as in webhooks.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CardDeclined => "card_declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::AuthenticationFailed => "authentication_failed",
        }
    }

    /// The same for the buyer.
    pub const fn message(self) -> &'static str {
        match self {
            Self::CardDeclined => {
                "Your card was declined and nothing was charged. Try another card."
            }
            Self::InsufficientFunds => {
                "Your card has insufficient funds and nothing was charged. Try another card."
            }
            Self::AuthenticationFailed => {
                "Your bank could not confirm that it's you, so nothing was charged. Try again."
            }
        }
    }
}

/// How the shop hears of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calls {
    /// The same event, this many times.
    Times(u8),
    /// Not at all.
    Lost,
    /// `succeeded`, and `processing` afterwards.
    OutOfOrder,
    /// Once, and then that the buyer disputes it.
    Disputed,
}

impl Plan {
    /// Approved at once and told once.
    pub const APPROVE: Self =
        Self { wait: Wait::No, verdict: Verdict::Charge { short: 0 }, calls: Calls::Times(1) };

    /// What `scenario` means for the `tries`-th try to pay `attempt`. For
    /// [`Scenario::Challenge`] it is what follows when the buyer approves.
    pub fn of(scenario: Scenario, config: &AcquirerConfig, attempt: AttemptId, tries: u32) -> Self {
        let approve = Self::APPROVE;
        let decline = |why| Self { verdict: Verdict::Decline(why), ..approve };
        let calls = |calls| Self { calls, ..approve };
        let wait = |wait| Self { wait, ..approve };
        match scenario {
            Scenario::Approve => match &config.behaviour {
                Some(behaviour) => behaviour.plan(attempt, tries),
                None => approve,
            },
            Scenario::Challenge | Scenario::RefundLater | Scenario::RefundFails => approve,
            Scenario::Decline => decline(Decline::CardDeclined),
            Scenario::InsufficientFunds => decline(Decline::InsufficientFunds),
            Scenario::Dispute => calls(Calls::Disputed),
            Scenario::Slow => wait(Wait::Answer(config.slow)),
            Scenario::Late => wait(Wait::Behind(config.late)),
            Scenario::Never => wait(Wait::Forever),
            Scenario::Twice => calls(Calls::Times(2)),
            Scenario::TenTimes => calls(Calls::Times(10)),
            Scenario::OutOfOrder => calls(Calls::OutOfOrder),
            Scenario::Lost => calls(Calls::Lost),
            Scenario::WrongAmount => Self { verdict: Verdict::Charge { short: 1 }, ..approve },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_a_function_of_seed_attempt_and_try() {
        let behaviour = Behaviour { seed: 7, decline_share: 0.5, ..Behaviour::default() };
        let attempts: Vec<_> = (0..1_000).map(|_| AttemptId::fresh()).collect();
        let fate = |attempt: &AttemptId| behaviour.plan(*attempt, 1);
        let declined = attempts
            .iter()
            .filter(|attempt| matches!(fate(attempt).verdict, Verdict::Decline(_)))
            .count();
        assert!((350..=650).contains(&declined), "{declined} of 1000");
        assert!(attempts.iter().all(|attempt| fate(attempt) == fate(attempt)));
    }

    #[test]
    fn delays_have_the_mean_that_was_asked_for() {
        let behaviour = Behaviour { delay_ms: 100, ..Behaviour::default() };
        let total: Duration = (0..2_000)
            .map(|_| match behaviour.plan(AttemptId::fresh(), 1).wait {
                Wait::Answer(delay) => delay,
                other => panic!("{other:?}"),
            })
            .sum();
        let mean = total / 2_000;
        assert!((80..=120).contains(&mean.as_millis()), "{mean:?}");
    }

    #[test]
    fn shares_outside_zero_to_one_are_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            let behaviour = Behaviour { lose_share: share, ..Behaviour::default() };
            assert!(behaviour.check().is_err());
        }
        assert!(Behaviour::default().check().is_ok());
    }
}
