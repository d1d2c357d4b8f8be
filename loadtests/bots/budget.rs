//! What an attacker with a fixed budget can have: exact arithmetic with the engine's own rules.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use onsale::ids::{AccountId, EventId};
use onsale::keyring::Keyring;
use onsale::waiting_room::proof::difficulty::{Difficulty, Watch};
use onsale::waiting_room::proof::{self, ProofConfig, Purpose};

/// Nobody needs more identities than this to take everything.
const MOST_IDENTITIES: u64 = 2_000_000;

/// What an attacker has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Accounts with mailboxes of their own.
    pub accounts: usize,
    /// Networks of /24.
    pub networks: u32,
    /// Cores for proofs of work.
    pub cores: f64,
    /// Cards to pay with.
    pub cards: usize,
}

/// The budget of the issue.
pub const BUDGET: Budget = Budget { accounts: 1_000, networks: 200, cores: 8.0, cards: 200 };

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

/// How many anonymous identities that budget joins with, if joining takes a proof and is possible
/// for so many seconds: the difficulty rises with every challenge, as it does in the engine.
pub fn anonymous(
    config: &ProofConfig,
    budget: &Budget,
    hashes_per_core: f64,
    window_s: f64,
) -> u64 {
    let watch = Watch::default();
    let per_s = budget.cores * hashes_per_core;
    let (mut now_s, mut identities) = (0.0, 0_u64);
    while identities < MOST_IDENTITIES {
        let network = u32::try_from(identities % u64::from(budget.networks.max(1))).unwrap_or(0);
        // 45.x.y.0/24, one after the other.
        let client = Ipv4Addr::from_bits((45 << 24) | (network << 8) | 1);
        let Difficulty(hashes) = watch.ask(config, client.into(), 1_000_000 + now_s as i64);
        now_s += f64::from(hashes) / per_s;
        if now_s > window_s {
            break;
        }
        identities += 1;
    }
    identities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_cores_and_networks_buy_more_and_never_in_proportion_to_nothing() {
        let config = ProofConfig::default();
        let with =
            |cores, networks| anonymous(&config, &Budget { cores, networks, ..BUDGET }, 1e6, 60.0);
        assert!(with(1.0, 200) < with(8.0, 200));
        assert!(with(8.0, 1) < with(8.0, 200));
        // A minute of one core at a million hashes is 1,200 easy proofs, and never more.
        assert!(with(1.0, 200) <= 1_200);
    }
}
