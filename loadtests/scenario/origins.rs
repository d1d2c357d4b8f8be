//! Where visitors come from. Limits know networks (a /24 of IPv4): people come from many, bots
//! from the few that they have rented.

use anyhow::{Result, ensure};
use rand::Rng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

/// The last three bytes of an address; the first is that of loopback, or of a private network.
pub type Origin = [u8; 3];

/// Networks of one second byte.
const NETWORKS: u64 = 256;
/// Second bytes of homes, of crowds, and of bots: none is another's.
const HOMES: std::ops::Range<u8> = 16..216;
const CROWDS: std::ops::Range<u8> = 216..232;
const BOTS: std::ops::Range<u8> = 232..248;
/// So many of a crowd share one of their network's addresses.
const NEIGHBOURS: u32 = 20;
/// Addresses of a /24 that can be had.
const HOSTS: u64 = 250;

/// Where people come from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// So many at most have a home in the same network.
    pub homes_of: u32,
    /// So many (0 to 1) are at none of these, but share a network with a crowd: a school, a
    /// company, a mobile operator.
    #[serde(default)]
    pub crowded: f64,
    /// How many share one, on average.
    #[serde(default = "two_hundred")]
    pub crowds_of: u32,
}

const fn two_hundred() -> u32 {
    200
}

/// What bots have, all together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bots {
    /// Networks. Bots are spread over them, and over the addresses of each, evenly.
    pub networks: u32,
    /// Mailboxes, with each of which one of them signs in once it is told to.
    #[serde(default)]
    pub mailboxes: u32,
}

impl People {
    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, visitors: u64) -> Result<()> {
        let room = capacity(HOMES);
        ensure!((1..=250).contains(&self.homes_of), "people.homes_of: 1 to 250");
        let networks = visitors / u64::from(self.homes_of) + 1;
        ensure!(networks <= room, "people.homes_of: there are {room} networks, this takes more");
        ensure!((0.0..=1.0).contains(&self.crowded), "people.crowded: 0 to 1");
        ensure!((1..=5_000).contains(&self.crowds_of), "people.crowds_of: 1 to 5000");
        Ok(())
    }

    /// Where the visitor with this number comes from, if so many people come.
    pub fn origin(&self, number: u64, people: f64, rng: &mut SmallRng) -> Origin {
        if self.crowded > 0.0 && rng.random_bool(self.crowded) {
            let crowds = (people * self.crowded / f64::from(self.crowds_of)).ceil();
            let crowds = (crowds as u64).clamp(1, capacity(CROWDS));
            let host = rng.random_range(0..self.crowds_of.div_ceil(NEIGHBOURS));
            return address(CROWDS, rng.random_range(0..crowds), host.into());
        }
        let homes = u64::from(self.homes_of);
        address(HOMES, number / homes, number % homes)
    }
}

impl Bots {
    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<()> {
        let room = capacity(BOTS);
        ensure!((1..=room).contains(&self.networks.into()), "bots.networks: 1 to {room}");
        Ok(())
    }

    /// Where the bot with this number comes from.
    pub fn origin(&self, number: u64) -> Origin {
        let networks = u64::from(self.networks.max(1));
        address(BOTS, number % networks, number / networks)
    }
}

fn capacity(of: std::ops::Range<u8>) -> u64 {
    u64::from(of.end - of.start) * NETWORKS
}

fn address(of: std::ops::Range<u8>, network: u64, host: u64) -> Origin {
    let network = network % capacity(of.clone());
    let byte = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    [of.start + byte(network / NETWORKS), byte(network % NETWORKS), byte(host % HOSTS) + 1]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    /// How many are in each network.
    fn networks(origins: impl Iterator<Item = Origin>) -> BTreeMap<[u8; 2], u32> {
        let mut networks = BTreeMap::new();
        origins.for_each(|[a, b, _]| *networks.entry([a, b]).or_default() += 1);
        networks
    }

    #[test]
    fn people_live_in_many_networks_and_bots_have_few() {
        let rng = &mut SmallRng::seed_from_u64(1);
        let people = People { homes_of: 2, crowded: 0.0, crowds_of: 200 };
        people.check(100_000).unwrap();
        assert!(people.check(200_000).is_err());
        let homes = networks((1..=100_000).map(|number| people.origin(number, 1e5, rng)));
        assert!(homes.len() == 50_001 && homes.values().all(|many| *many <= 2));

        let bots = Bots { networks: 20, mailboxes: 0 };
        let origins: Vec<Origin> = (1..=4_000).map(|number| bots.origin(number)).collect();
        let rented = networks(origins.iter().copied());
        assert!(rented.len() == 20 && rented.values().all(|many| *many == 200));
        assert!(rented.keys().all(|network| !homes.contains_key(network)));
        let mut alone = origins.clone();
        alone.sort_unstable();
        alone.dedup();
        assert_eq!(alone.len(), origins.len(), "each has an address of its own");
    }

    #[test]
    fn crowds_are_as_many_as_they_are_said_to_be() {
        let rng = &mut SmallRng::seed_from_u64(1);
        let people = People { homes_of: 1, crowded: 0.5, crowds_of: 100 };
        let all = networks((1..=2_000).map(|number| people.origin(number, 2_000.0, rng)));
        let crowds: Vec<u32> = all.values().copied().filter(|many| *many > 1).collect();
        assert_eq!(crowds.len(), 10);
        assert!(crowds.iter().all(|many| (60..150).contains(many)), "{crowds:?}");
        assert!((900..1_100).contains(&crowds.iter().sum::<u32>()));
    }
}
