//! What happened, counted while it happens: in shards, so that buyers don't wait for each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Shards of the count.
const SHARDS: u64 = 4;
/// Longest latency that is told apart, in microseconds: ten minutes.
const MAX_MICROS: u64 = 600_000_000;
/// Digits that are exact.
const DIGITS: u8 = 3;
/// Most different mistakes that are described.
const MAX_SAMPLES: usize = 10;

/// A step of the journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `POST /v1/sessions`.
    Session,
    /// `GET …/availability`.
    Look,
    /// `POST …/holds`.
    Hold,
    /// `POST …/checkout`.
    Checkout,
    /// Paying at the sandbox, until the shop has acknowledged its webhook.
    Pay,
    /// `GET /v1/orders/{order}`, with the tickets.
    Order,
    /// `DELETE …/holds/{hold}`.
    GiveBack,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Session,
        Self::Look,
        Self::Hold,
        Self::Checkout,
        Self::Pay,
        Self::Order,
        Self::GiveBack,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Look => "look",
            Self::Hold => "hold",
            Self::Checkout => "checkout",
            Self::Pay => "pay",
            Self::Order => "order",
            Self::GiveBack => "give back",
        }
    }
}

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Tickets in hand.
    Bought,
    /// Found it sold out.
    SoldOut,
    /// Gave up after too many refusals.
    Refused,
    /// Left a hold, on purpose.
    Left,
    /// Turned away too often (503, 504, 429).
    TurnedAway,
    /// Something went wrong.
    Failed,
}

impl Ending {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bought => "bought",
            Self::SoldOut => "found it sold out",
            Self::Refused => "gave up after refusals",
            Self::Left => "left a hold on purpose",
            Self::TurnedAway => "turned away (503, 504, 429)",
            Self::Failed => "failed",
        }
    }
}

/// Durations in microseconds.
pub struct Times(Histogram<u64>);

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

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("equal bounds");
    }
}

/// The times of a step.
#[derive(Default)]
pub struct StepTimes {
    /// From when the request was wanted (for the first step: from the buyer's scheduled
    /// arrival) to its answer.
    pub wanted: Times,
    /// From when it was sent to its answer.
    pub service: Times,
}

/// A purchase, as its buyer saw it.
#[derive(Clone, Debug)]
pub struct Sale {
    /// When the buyer had the tickets, from the opening on.
    pub at: Duration,
    /// The places on them.
    pub places: Vec<i32>,
}

/// What happened.
#[derive(Default)]
pub struct Tally {
    /// By step, in the order of [`Step::ALL`].
    pub steps: [StepTimes; Step::ALL.len()],
    /// Whole purchases, from the scheduled arrival to the tickets.
    pub purchase: Times,
    /// How late journeys started: the generator's own delay.
    pub late: Times,
    /// How long requests waited for a connection: the generator's own limit.
    pub queued: Times,
    /// When holds were made, from the opening on.
    pub holds: Vec<Duration>,
    /// Purchases.
    pub sales: Vec<Sale>,
    /// Places on their tickets.
    pub places: usize,
    /// How journeys ended.
    pub endings: BTreeMap<Ending, u64>,
    /// The system's noes, by step and code. Part of any sale; never counted as throughput.
    pub refusals: BTreeMap<(Step, String), u64>,
    /// Requests that were asked to come again (503, 504, 429), by step and code.
    pub turned_away: BTreeMap<(Step, String), u64>,
    /// What should not have happened, by step and kind.
    pub mistakes: BTreeMap<(Step, String), u64>,
    /// Some of them in full.
    pub samples: Vec<String>,
}

impl Tally {
    /// Counts an answer.
    pub fn step(&mut self, step: Step, wanted: Duration, service: Duration, queued: Duration) {
        let times = &mut self.steps[step as usize];
        times.wanted.record(wanted);
        times.service.record(service);
        self.queued.record(queued);
    }

    /// Counts a purchase that took so long from its buyer's scheduled arrival on.
    pub fn sale(&mut self, took: Duration, sale: Sale) {
        self.purchase.record(took);
        self.places += sale.places.len();
        self.sales.push(sale);
    }

    /// Counts what should not have happened.
    pub fn mistake(&mut self, step: Step, kind: &str, what: &str) {
        *self.mistakes.entry((step, kind.to_owned())).or_default() += 1;
        if self.samples.len() < MAX_SAMPLES {
            self.samples.push(format!("{}: {what}", step.name()));
        }
    }

    fn add(&mut self, other: Self) {
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            mine.wanted.add(&theirs.wanted);
            mine.service.add(&theirs.service);
        }
        self.purchase.add(&other.purchase);
        self.late.add(&other.late);
        self.queued.add(&other.queued);
        self.holds.extend(other.holds);
        self.sales.extend(other.sales);
        self.places += other.places;
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
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

    /// Purchases and places sold until now.
    pub fn sold_so_far(&self) -> (usize, usize) {
        let lock = |shard: &'_ Mutex<Tally>| {
            let tally = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (tally.sales.len(), tally.places)
        };
        self.0.iter().map(lock).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Everything, in order of time.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for shard in &self.0 {
            sum.add(std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner)));
        }
        sum.holds.sort_unstable();
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
                tally.step(Step::Hold, millis(buyer + 1), millis(1), Duration::ZERO);
                tally.mistake(Step::Pay, "broken", &format!("no {buyer}"));
                let at = Duration::from_secs(20 - buyer);
                tally.sale(at, Sale { at, places: vec![1] });
                *tally.endings.entry(Ending::Bought).or_default() += 1;
            });
        }
        let sum = tallies.sum();
        let hold = &sum.steps[Step::Hold as usize];
        assert_eq!((hold.wanted.count(), hold.service.count()), (10, 10));
        assert_eq!(hold.wanted.max().as_millis(), 10);
        assert_eq!(hold.service.quantile(0.5).as_micros(), 1_000);
        assert_eq!((sum.places, sum.purchase.count()), (10, 10));
        assert_eq!(sum.endings[&Ending::Bought], 10);
        assert_eq!(sum.mistakes[&(Step::Pay, "broken".to_owned())], 10);
        assert_eq!(sum.samples.len(), MAX_SAMPLES);
        assert!(sum.sales.is_sorted_by_key(|sale| sale.at));
        assert_eq!(tallies.sum().sales.len(), 0, "a sum takes what it adds");
    }

    #[test]
    fn all_is_in_the_order_of_its_numbers() {
        assert!(Step::ALL.iter().enumerate().all(|(at, step)| *step as usize == at));
    }
}
