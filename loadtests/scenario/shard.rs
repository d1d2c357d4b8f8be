//! Which of the visitors a generator plays, where several play one run.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most generators of a run.
const MOST: u32 = 64;

/// One of so many generators. Visitor k is of shard k mod n, and intends there what they intend
/// without shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which one, from 1 on. The first starts the servers and audits.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Default for Shard {
    /// The only one.
    fn default() -> Self {
        Self { number: 1, of: 1 }
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(number, of)| (number.parse(), of.parse()));
        match parts {
            Some((Ok(number), Ok(of))) if (1..=of).contains(&number) && of <= MOST => {
                Ok(Self { number, of })
            }
            _ => Err(format!("i/n, as in 2/3, with at most {MOST}")),
        }
    }
}

impl Shard {
    /// Whether there are no others.
    pub const fn is_alone(self) -> bool {
        self.of == 1
    }

    /// Whether it starts the servers.
    pub const fn is_first(self) -> bool {
        self.number == 1
    }

    /// Whether it plays the visitor with this number, from 0 on.
    pub fn plays(self, visitor: u64) -> bool {
        visitor % u64::from(self.of) == u64::from(self.number - 1)
    }

    /// Its part of what all have together.
    pub const fn share(self, all: u32) -> u32 {
        all / self.of + (self.number <= all % self.of) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(of: u32) -> impl Iterator<Item = Shard> {
        (1..=of).map(move |number| Shard { number, of })
    }

    #[test]
    fn everybody_is_played_by_one_and_all_get_their_share() {
        for of in [1, 2, 3, 7] {
            for visitor in 0..100 {
                assert_eq!(all(of).filter(|shard| shard.plays(visitor)).count(), 1);
            }
            for count in [0, 1, 5, 600] {
                assert_eq!(all(of).map(|shard| shard.share(count)).sum::<u32>(), count);
            }
        }
        assert!((0..10).all(|visitor| Shard::default().plays(visitor)));
    }

    #[test]
    fn a_shard_is_one_of_so_many() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!((shard, shard.to_string()), (Shard { number: 2, of: 3 }, "2/3".to_owned()));
        for wrong in ["", "2", "0/2", "3/2", "1/65", "-1/2", "1/2/3", "a/b", "1/ 2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
