//! What happened, counted while it happens: in shards, so that buyers don't wait for each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub use super::seconds::{Buckets, DRAWN_STEPS, Second};
pub use super::steps::{Ending, Step};
use super::stored;
use crate::visitors::persona::Persona;

/// Shards of the count.
const SHARDS: u64 = 4;
/// Longest latency that is told apart, in microseconds: ten minutes.
const MAX_MICROS: u64 = 600_000_000;
/// Digits that are exact.
const DIGITS: u8 = 3;
/// Most different mistakes that are described.
const MAX_SAMPLES: usize = 10;

/// What became of a visitor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fate {
    /// Of which kind.
    pub persona: Persona,
    /// How it ended.
    pub ending: Ending,
    /// When they were to come, in seconds from the opening on.
    pub came_s: f32,
    /// Where the draw put them, 0 to 1; none for late-comers.
    pub rank: Option<f32>,
    /// When they were let in, in seconds from the opening on.
    pub admitted_s: Option<f32>,
    /// How many tickets they have.
    pub tickets: u32,
}

/// Durations in microseconds.
pub struct Times(pub(super) Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let made = Histogram::new_with_bounds(1, MAX_MICROS, DIGITS);
        Self(made.expect("constant bounds that the histogram accepts"))
    }
}

impl Times {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS));
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// So much of them took at most this long.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(if self.0.is_empty() { 0 } else { self.0.max() })
    }

    /// Adds all of the others.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("equal bounds");
    }
}

/// The times of a step.
#[derive(Default, Serialize, Deserialize)]
pub struct StepTimes {
    /// From when the request was intended (the schedule, the poll that was told, the end of a
    /// pause) to the answer that could be gone on with, repetitions included.
    pub wanted: Times,
    /// From when it was sent to its answer.
    pub service: Times,
}

/// A purchase, as its buyer saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sale {
    /// When the buyer had the tickets, from the beginning of the run on.
    pub at: Duration,
    /// The places on them.
    pub places: Vec<i32>,
}

/// What happened.
#[derive(Default, Serialize, Deserialize)]
pub struct Tally {
    /// By step, in the order of [`Step::ALL`].
    pub steps: [StepTimes; Step::ALL.len()],
    /// Whole purchases, from the admission (without a waiting room: from the scheduled arrival)
    /// to the tickets.
    pub purchase: Times,
    /// Refusals, from when the request was intended.
    pub refused: Times,
    /// How late journeys started: the generator's own delay.
    pub late: Times,
    /// How long requests waited for a connection: the generator's own limit.
    pub queued: Times,
    /// Purchases.
    pub sales: Vec<Sale>,
    /// Places on their tickets.
    pub places: usize,
    /// What became of everybody.
    pub fates: Vec<Fate>,
    /// Visitors who saw "sold out" and never came in.
    pub stayed_away: u64,
    /// The run, second by second.
    pub seconds: Vec<Second>,
    /// The system's noes, by step and code. Part of any sale; never counted as throughput.
    #[serde(with = "stored::counts")]
    pub refusals: BTreeMap<(Step, String), u64>,
    /// Requests that were asked to come again (503, 504, 429), by step and code.
    #[serde(with = "stored::counts")]
    pub turned_away: BTreeMap<(Step, String), u64>,
    /// What should not have happened, by step and kind.
    #[serde(with = "stored::counts")]
    pub mistakes: BTreeMap<(Step, String), u64>,
    /// Some of them in full.
    pub samples: Vec<String>,
}

impl Tally {
    /// Counts an answer.
    pub fn step(
        &mut self,
        step: Step,
        second: usize,
        wanted: Duration,
        service: Duration,
        queued: Duration,
    ) {
        let times = &mut self.steps[step as usize];
        times.wanted.record(wanted);
        times.service.record(service);
        self.queued.record(queued);
        if let Some(at) = DRAWN_STEPS.iter().position(|drawn| *drawn == step) {
            self.second(second).latencies[at].record(wanted);
        }
    }

    /// A second of the run.
    pub fn second(&mut self, at: usize) -> &mut Second {
        if self.seconds.len() <= at {
            self.seconds.resize_with(at + 1, Second::default);
        }
        &mut self.seconds[at]
    }

    /// Counts a purchase that took so long.
    pub fn sale(&mut self, took: Duration, sale: Sale) {
        self.purchase.record(took);
        self.places += sale.places.len();
        self.sales.push(sale);
    }

    /// Counts what should not have happened.
    pub fn mistake(&mut self, step: Step, second: usize, kind: &str, what: &str) {
        self.second(second).errors += 1;
        *self.mistakes.entry((step, kind.to_owned())).or_default() += 1;
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(format!("{}: {what}", step.name()));
        }
    }

    /// Adds all of the other.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.wanted.add(&theirs.wanted);
            mine.service.add(&theirs.service);
        }
        self.purchase.add(&other.purchase);
        self.late.add(&other.late);
        self.queued.add(&other.queued);
        self.refused.add(&other.refused);
        self.sales.extend(other.sales);
        self.places += other.places;
        self.fates.extend(other.fates);
        self.stayed_away += other.stayed_away;
        for (at, second) in other.seconds.iter().enumerate() {
            self.second(at).merge(second);
        }
        let maps = [
            (&mut self.refusals, other.refusals),
            (&mut self.turned_away, other.turned_away),
            (&mut self.mistakes, other.mistakes),
        ];
        for (mine, theirs) in maps {
            for (key, count) in theirs {
                *mine.entry(key).or_default() += count;
            }
        }
        self.samples.extend(other.samples);
        self.samples.truncate(MAX_SAMPLES);
    }
}

/// A tally that many count in at once.
pub struct Tallies(Vec<Mutex<Tally>>);

impl Default for Tallies {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Tallies {
    /// Counts something of the buyer with this number.
    pub fn note<T>(&self, buyer: u64, count: impl FnOnce(&mut Tally) -> T) -> T {
        let at = usize::try_from(buyer % SHARDS).unwrap_or(0);
        count(&mut self.0[at].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at each shard in turn, while the others go on.
    pub fn each(&self, mut look: impl FnMut(&Tally)) {
        for shard in &self.0 {
            look(&shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Everything, in order of time.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for shard in &self.0 {
            sum.add(std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        sum.sales.sort_by_key(|sale| sale.at);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let tallies = Tallies::default();
        for buyer in 0..10 {
            tallies.note(buyer, |tally| {
                let millis = Duration::from_millis;
                tally.step(Step::Hold, 3, millis(buyer + 1), millis(1), Duration::ZERO);
                tally.mistake(Step::Pay, 3, "broken", &format!("no {buyer}"));
                let at = Duration::from_secs(20 - buyer);
                tally.sale(at, Sale { at, places: vec![1] });
                tally.second(buyer as usize).arrived += 1;
            });
        }
        let sum = tallies.sum();
        let hold = &sum.steps[Step::Hold as usize];
        assert_eq!((hold.wanted.count(), hold.service.count()), (10, 10));
        assert_eq!(hold.wanted.max().as_millis(), 10);
        assert_eq!(hold.service.quantile(0.5).as_micros(), 1_000);
        assert_eq!((sum.places, sum.purchase.count()), (10, 10));
        assert_eq!(sum.seconds.len(), 10);
        assert!(sum.seconds.iter().all(|second| second.arrived == 1));
        assert_eq!((sum.seconds[3].errors, sum.seconds[3].latencies[2].count()), (10, 10));
        assert_eq!(sum.mistakes[&(Step::Pay, "broken".to_owned())], 10);
        assert_eq!(sum.samples.len(), MAX_SAMPLES);
        assert!(sum.sales.is_sorted_by_key(|sale| sale.at));
        assert_eq!(tallies.sum().sales.len(), 0, "a sum takes what it adds");
    }
}
