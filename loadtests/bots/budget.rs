//! What an attacker has, and what hashes cost.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use onsale::ids::{AccountId, EventId};
use onsale::keyring::Keyring;
use onsale::waiting_room::proof::difficulty::Difficulty;
use onsale::waiting_room::proof::{self, ProofConfig, Purpose};

/// Challenges of a scene are easier by this factor, and their hashes count for as many.
pub const EASIER: u32 = 1_000;
/// Joining before the draw is possible for so long, in seconds: what the cores have for proofs.
pub const WINDOW_S: f64 = 600.0;

/// What an attacker has.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Budget {
    /// Accounts with mailboxes of their own.
    pub accounts: usize,
    /// Networks of /24, each with all of its addresses.
    pub networks: usize,
    /// Cores for proofs of work.
    pub cores: f64,
    /// Cards to pay with.
    pub cards: usize,
}

/// The budget of the goal.
pub const BUDGET: Budget = Budget { accounts: 1_000, networks: 200, cores: 8.0, cards: 200 };

impl Budget {
    /// A part of each.
    pub fn part(self, part: f64) -> Self {
        let of = |whole: usize| (whole as f64 * part).round() as usize;
        Self {
            accounts: of(self.accounts),
            networks: of(self.networks),
            cores: self.cores * part,
            cards: of(self.cards),
        }
    }

    /// Hashes that the cores do while one can join.
    pub fn hashes(&self, per_core: f64) -> f64 {
        self.cores * per_core * WINDOW_S
    }
}

/// Proofs as they are configured, but easier, for a process that sees ten minutes' joins in
/// seconds.
pub fn easier(mut config: ProofConfig) -> ProofConfig {
    (config.base, config.max) = (config.base / EASIER, config.max / EASIER);
    // The load that the crowd would be in its own time is far below what is comfortable.
    config.comfortable_per_second = 1_000_000;
    config
}

/// Hashes per second that one core does, by solving challenges as a native program would.
pub fn hashes_per_core(keyring: &Keyring, took: Duration) -> f64 {
    let config = ProofConfig::default();
    let (started, mut hashes) = (Instant::now(), 0.0);
    while started.elapsed() < took {
        let purpose = Purpose { event: EventId::fresh(), account: AccountId::fresh() };
        let difficulty = Difficulty(config.base);
        let challenge = proof::issue(keyring, &config, purpose, difficulty, Timestamp::now());
        assert!(proof::solve(&challenge).is_some(), "every challenge has a solution");
        // Half of the numbers on average.
        hashes += f64::from(challenge.maxnumber) / 2.0;
    }
    hashes / started.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_budget_is_a_part_of_everything() {
        let tenth = BUDGET.part(0.1);
        assert_eq!(tenth, Budget { accounts: 100, networks: 20, cores: 0.8, cards: 20 });
        assert_eq!(BUDGET.hashes(1e6), 4.8e9);
    }
}
