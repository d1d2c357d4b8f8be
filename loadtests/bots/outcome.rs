//! Who got what.

use std::collections::BTreeMap;

use serde::Serialize;

/// One kind of player.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Side {
    /// Identities that wanted in.
    pub came: usize,
    /// Of them, those that the door let into the line; without a line all.
    pub joined: usize,
    /// Of those in the line, the ones that had signed in.
    pub accounts: usize,
    /// Turns that were taken; without a line 0.
    pub turns: usize,
    /// Tickets that are good at the end.
    pub tickets: u64,
    /// Orders that were paid and given back, because the card had paid for too many.
    pub refunded: u64,
    /// What they were refused with, and how often.
    pub refusals: BTreeMap<String, u64>,
}

/// A whole scene.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// What was for sale.
    pub places: usize,
    /// People.
    pub people: Side,
    /// Those of the people who do as a bot does: want as much as one account may have, come when
    /// they are called, and pay.
    pub keen: Side,
    /// Bots.
    pub bots: Side,
    /// Hashes that the bots' proofs took, as if challenges were as hard as they are in life.
    pub hashes: f64,
    /// How far the bots' mean rank is from what chance gives, in standard deviations; below 0 is
    /// better for bots. None without a draw.
    pub bot_rank_z: Option<f64>,
    /// Identities that were called.
    pub called: usize,
    /// How long it took to play, in seconds, and until everybody was in the line.
    pub took_s: f64,
    /// See above.
    pub joined_s: f64,
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl Outcome {
    /// Bots' share of the tickets.
    pub fn bot_share(&self) -> f64 {
        let (bots, people) = (self.bots.tickets as f64, self.people.tickets as f64);
        ratio(bots, bots + people)
    }

    /// Bots' share of the identities in the line: what chance would give them if everybody wanted
    /// as much.
    pub fn identity_share(&self) -> f64 {
        let (bots, people) = (self.bots.joined as f64, self.people.joined as f64);
        ratio(bots, bots + people)
    }

    /// Tickets per identity in the line: a bot's, an average person's, and that of a person who
    /// does as a bot does.
    pub fn tickets_each(&self) -> [f64; 3] {
        [&self.bots, &self.people, &self.keen]
            .map(|side| ratio(side.tickets as f64, side.joined as f64))
    }

    /// Several scenes as if they were one.
    pub fn sum(all: &[Self]) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.places += one.places;
            sum.hashes += one.hashes;
            sum.called += one.called;
            sum.took_s += one.took_s;
            let sides = [(&mut sum.people, &one.people), (&mut sum.keen, &one.keen)];
            for (to, from) in sides.into_iter().chain([(&mut sum.bots, &one.bots)]) {
                to.add(from);
            }
        }
        sum
    }
}

impl Side {
    fn add(&mut self, other: &Self) {
        self.came += other.came;
        self.joined += other.joined;
        self.accounts += other.accounts;
        self.turns += other.turns;
        self.tickets += other.tickets;
        self.refunded += other.refunded;
        for (code, times) in &other.refusals {
            *self.refusals.entry(code.clone()).or_default() += times;
        }
    }
}
