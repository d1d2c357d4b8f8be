//! When buyers come: a schedule made beforehand, which no answer of the servers changes.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Arrivals with exponential gaps (a Poisson process): what many who decide for themselves do.
pub struct Arrivals {
    rng: StdRng,
    per_second: f64,
    at: Duration,
}

impl Arrivals {
    /// The same seed gives the same schedule.
    pub fn new(seed: u64, per_second: f64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), per_second, at: Duration::ZERO }
    }

    /// When the next buyer comes, counted from the opening. `slower` stretches the gap.
    pub fn next(&mut self, slower: f64) -> Duration {
        // 1 - u is never 0, whose logarithm is infinite.
        let u: f64 = self.rng.random();
        self.at += Duration::from_secs_f64(-(1.0 - u).ln() / self.per_second * slower);
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule_and_the_rate_is_kept() {
        let schedule = |seed| {
            let mut arrivals = Arrivals::new(seed, 500.0);
            (0..10_000).map(|_| arrivals.next(1.0)).collect::<Vec<_>>()
        };
        let (one, again, other) = (schedule(1), schedule(1), schedule(2));
        assert_eq!(one, again);
        assert_ne!(one, other);
        assert!(one.is_sorted());
        let seconds = one.last().unwrap().as_secs_f64();
        assert!((18.0..22.0).contains(&seconds), "{seconds}");
        // As many gaps are longer than the mean as an exponential distribution says: 1 / e.
        let mean = Duration::from_millis(2);
        let gaps = one.windows(2).filter(|pair| pair[1].saturating_sub(pair[0]) > mean);
        let share = gaps.count() as f64 / 10_000.0;
        assert!((0.35..0.39).contains(&share), "{share}");
    }
}
