//! Who comes: people with a device, an address and a card each, and bots with what they have.

use onsale::payments::sandbox::own_card;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::budget::Budget;

/// Places that people want, and how many of a hundred want so many.
const WANTS: [(u32, u32); 4] = [(1, 15), (2, 50), (3, 15), (4, 20)];
/// As much as one account may have; what a bot takes at a time, because so many neighbours are
/// easily sold on.
pub const LIMIT: u32 = 4;
/// Of a hundred people who are called, so many have given up waiting.
const GONE: u32 = 10;
/// Of a hundred people who hold places, so many let them go.
const LET_GO: u32 = 8;
/// Of a hundred people, so many share a network with hundreds of others.
const CROWDED: u32 = 30;
/// How many share such a network, and how many of them one of its addresses.
const CROWD: u32 = 200;
const NEIGHBOURS: u32 = 20;
/// Everybody else lives in one of so many networks.
const HOMES: u32 = 60_000;
/// Addresses of a /24 that can be had.
const HOSTS: usize = 250;

/// What somebody is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wants something once.
    Person,
    /// Wants all it can have, at once and again.
    Bot,
}

/// How long somebody takes, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the opening, or from being called, to the first request.
    pub notice_s: f64,
    /// From there to the choice.
    pub choose_s: f64,
    /// From the hold to the payment.
    pub pay_s: f64,
}

/// Somebody, before they do anything.
#[derive(Clone, Debug)]
pub struct Someone {
    /// What they are like.
    pub kind: Kind,
    /// The account's id, and the anonymous session's.
    pub subject: Uuid,
    /// Whether they have, or are ready to have, an account.
    pub has_account: bool,
    /// Where they come from.
    pub address: String,
    /// The card they pay with; a bot's is chosen when it pays.
    pub card: String,
    /// Places.
    pub wants: u32,
    /// How fast they are.
    pub pace: Pace,
    /// Whether they come when they are called.
    pub shows: bool,
    /// Whether they pay for what they hold.
    pub pays: bool,
}

/// People.
pub fn people(count: usize, seed: u64) -> Vec<Someone> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|number| person(&mut rng, number as u32)).collect()
}

fn person(rng: &mut StdRng, number: u32) -> Someone {
    let mut pick = rng.random_range(0..100);
    let wants = WANTS.iter().find(|(_, of)| {
        let found = pick < *of;
        pick = pick.saturating_sub(*of);
        found
    });
    let address = if rng.random_range(0..100) < CROWDED {
        let (network, host) = (number / CROWD, number % CROWD / NEIGHBOURS + 1);
        format!("100.{}.{}.{host}", 64 + network / 256 % 64, network % 256)
    } else {
        let (home, host) = (rng.random_range(0..HOMES), rng.random_range(1..=HOSTS));
        format!("81.{}.{}.{host}", home / 256, home % 256)
    };
    Someone {
        kind: Kind::Person,
        subject: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
        has_account: true,
        address,
        card: own_card(number),
        wants: wants.map_or(2, |(places, _)| *places),
        pace: Pace {
            notice_s: rng.random_range(2.0..45.0),
            choose_s: rng.random_range(5.0..60.0),
            pay_s: rng.random_range(30.0..180.0),
        },
        shows: rng.random_range(0..100) >= GONE,
        pays: rng.random_range(0..100) >= LET_GO,
    }
}

/// Bots, spread evenly over their networks; `accounts` of them have accounts.
pub fn bots(count: usize, budget: &Budget, seed: u64) -> Vec<Someone> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0xb075);
    (0..count)
        .map(|number| Someone {
            kind: Kind::Bot,
            subject: uuid::Builder::from_random_bytes(rng.random()).into_uuid(),
            has_account: number < budget.accounts,
            address: bot_address(number, budget.networks),
            card: String::new(),
            wants: LIMIT,
            // As fast as a program on the next continent.
            pace: Pace {
                notice_s: rng.random_range(0.02..0.2),
                choose_s: 0.05,
                pay_s: rng.random_range(0.1..0.5),
            },
            shows: true,
            pays: true,
        })
        .collect()
}

fn bot_address(number: usize, networks: usize) -> String {
    let networks = networks.max(1);
    let (network, host) = (number % networks, number / networks % HOSTS);
    format!("45.{}.{}.{}", network / 256, network % 256, host + 1)
}

/// The /24 of an address.
pub fn network_of(address: &str) -> &str {
    address.rsplit_once('.').map_or(address, |(network, _)| network)
}

/// The bots' card number so many.
pub fn bot_card(number: usize) -> String {
    own_card(900_000 + u32::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_names_a_crowd_and_bots_spread_over_their_networks() {
        let (once, again) = (people(500, 7), people(500, 7));
        assert!(once.iter().zip(&again).all(|(a, b)| a.subject == b.subject));
        let wants: u32 = once.iter().map(|one| one.wants).sum();
        assert!((1_050..1_350).contains(&wants), "{wants}");
        let budget = super::super::budget::BUDGET;
        let bots = bots(1_000, &budget, 7);
        let networks: BTreeSet<&str> = bots.iter().map(|bot| network_of(&bot.address)).collect();
        let addresses: BTreeSet<&str> = bots.iter().map(|bot| bot.address.as_str()).collect();
        assert_eq!((networks.len(), addresses.len()), (200, 1_000));
        assert_ne!(bot_card(1), once[1].card);
    }
}
