//! Kinds of visitors.

use rand::Rng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

/// Accounts of one scalper ring, which share a network.
const RING: u64 = 40;

/// A kind of visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Persona {
    /// Knows what they want and needs no time at all: for measuring what the servers can do.
    Eager,
    /// Waits, wants two to four neighbours, takes an equivalent.
    Fan,
    /// Wants certain seats of a certain level, or nothing.
    Picky,
    /// Abandons: the line, the turn, or a hold.
    Wanderer,
    /// Takes long to pay, and sometimes too long.
    SlowPayer,
    /// The first card is declined.
    DeclinedCard,
    /// Clicks twice to hold and to check out, and reloads the waiting room.
    DoubleClicker,
    /// On a phone that loses its connection in the middle of everything.
    LostPhone,
    /// Has a code for the presale.
    Member,
    /// A bot that holds as much as it can and never pays.
    Hoarder,
    /// One of a ring's many accounts: takes as much as it can, at once, and pays.
    Scalper,
}

impl Persona {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Eager,
        Self::Fan,
        Self::Picky,
        Self::Wanderer,
        Self::SlowPayer,
        Self::DeclinedCard,
        Self::DoubleClicker,
        Self::LostPhone,
        Self::Member,
        Self::Hoarder,
        Self::Scalper,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager buyer",
            Self::Fan => "fan",
            Self::Picky => "picky",
            Self::Wanderer => "wanderer",
            Self::SlowPayer => "slow payer",
            Self::DeclinedCard => "declined card",
            Self::DoubleClicker => "double-clicker",
            Self::LostPhone => "lost phone",
            Self::Member => "presale member",
            Self::Hoarder => "hoarding bot",
            Self::Scalper => "scalper ring",
        }
    }

    /// Whether it is no person.
    pub const fn is_bot(self) -> bool {
        matches!(self, Self::Hoarder | Self::Scalper)
    }

    /// Whether it takes time to think.
    pub const fn thinks(self) -> bool {
        !matches!(self, Self::Eager | Self::Hoarder | Self::Scalper)
    }

    /// Where somebody of this kind with this number comes from: the last three bytes of an
    /// address. Rings have networks of their own.
    pub const fn address(self, number: u64) -> [u8; 3] {
        if matches!(self, Self::Scalper) {
            let ring = number / RING;
            return [200, (ring % 250) as u8, (number % RING) as u8 + 1];
        }
        [16 + (number >> 16) as u8 % 64, (number >> 8) as u8, number as u8]
    }

    /// The same for a deployment, whose limits know networks (/24): people come from many of them,
    /// a ring from its own.
    pub const fn played_address(self, number: u64) -> [u8; 3] {
        let [a, b, c] = self.address(number);
        if matches!(self, Self::Scalper) { [a, b, c] } else { [c, b, a] }
    }
}

/// Draws from weighted kinds.
pub struct Mix {
    upto: Vec<(f64, Persona)>,
}

impl Mix {
    /// By weight.
    pub fn new(weights: impl Iterator<Item = (Persona, f64)>) -> Self {
        let mut sum = 0.0;
        let upto = weights.map(|(persona, weight)| {
            sum += weight;
            (sum, persona)
        });
        Self { upto: upto.collect() }
    }

    /// One of them.
    pub fn draw(&self, rng: &mut SmallRng) -> Persona {
        let all = self.upto.last().map_or(1.0, |(sum, _)| *sum);
        let at = rng.random::<f64>() * all;
        let found = self.upto.iter().find(|(upto, _)| at < *upto);
        found.map_or(Persona::Fan, |(_, persona)| *persona)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn kinds_come_by_weight() {
        let mix = Mix::new([(Persona::Fan, 3.0), (Persona::Scalper, 1.0)].into_iter());
        let mut rng = SmallRng::seed_from_u64(1);
        let bots = (0..10_000).filter(|_| mix.draw(&mut rng).is_bot()).count();
        assert!((2_300..2_700).contains(&bots), "{bots}");
    }

    #[test]
    fn people_have_addresses_of_their_own_and_rings_share_a_network() {
        let mut all: Vec<[u8; 3]> = (0..200_000).map(|n| Persona::Fan.address(n)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200_000);
        let networks = (0..20_000).map(|n| Persona::Fan.played_address(n));
        let networks: std::collections::HashSet<_> = networks.map(|[a, b, _]| [a, b]).collect();
        assert_eq!(networks.len(), 20_000);
        let (one, other) = (Persona::Scalper.address(40), Persona::Scalper.address(79));
        assert!(one[..2] == other[..2] && one != other);
    }
}
