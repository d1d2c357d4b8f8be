//! The run, second by second.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::steps::Step;

/// One second of the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// Visitors who came, joined the line, and were let in.
    pub arrived: u32,
    pub joined: u32,
    pub admitted: u32,
    /// Holds, purchases, and places on their tickets.
    pub holds: u32,
    pub purchases: u32,
    pub places: u32,
    /// Answers that say no, that ask to come again, and that should not have happened.
    pub refused: u32,
    pub turned_away: u32,
    pub errors: u32,
    /// The latest start of the generator.
    pub late_ms: f32,
    /// Latencies of the steps that are drawn, in the order of [`DRAWN_STEPS`].
    pub latencies: [Buckets; DRAWN_STEPS.len()],
}

/// Steps whose latencies are kept second by second.
pub const DRAWN_STEPS: [Step; 5] = [Step::Join, Step::Poll, Step::Hold, Step::Checkout, Step::Pay];

/// A coarse distribution: buckets grow by an eighth each, from 0.1 ms on.
#[derive(Clone, Debug)]
pub struct Buckets(pub(super) [u32; Self::COUNT]);

impl Default for Buckets {
    fn default() -> Self {
        Self([0; Self::COUNT])
    }
}

impl Buckets {
    pub(super) const COUNT: usize = 128;
    const FIRST_MS: f64 = 0.1;
    const GROWTH: f64 = 1.12;

    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3 / Self::FIRST_MS;
        let at = if ms > 1.0 { ms.log(Self::GROWTH).ceil() as usize } else { 0 };
        self.0[at.min(Self::COUNT - 1)] += 1;
    }

    /// Adds all of the others.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// So much of them took about this long or less, in milliseconds. None if there are none.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        let at = self.0.iter().position(|count| {
            sum += u64::from(*count);
            sum >= wanted
        });
        at.map(|at| Self::FIRST_MS * Self::GROWTH.powi(i32::try_from(at).unwrap_or(0)))
    }
}

impl Second {
    /// Adds another count of the same second.
    pub fn merge(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.joined += other.joined;
        self.admitted += other.admitted;
        self.holds += other.holds;
        self.purchases += other.purchases;
        self.places += other.places;
        self.refused += other.refused;
        self.turned_away += other.turned_away;
        self.errors += other.errors;
        self.late_ms = self.late_ms.max(other.late_ms);
        self.latencies.iter_mut().zip(&other.latencies).for_each(|(mine, one)| mine.add(one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_quantiles_are_within_an_eighth() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.quantile_ms(0.5), None);
        (1..=1_000).for_each(|ms| buckets.record(Duration::from_millis(ms)));
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = buckets.quantile_ms(share).unwrap();
            assert!((ms..ms * 1.13).contains(&found), "{share}: {found}");
        }
    }
}
