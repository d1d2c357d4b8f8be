//! How checkouts go in this process: what slows the admission of more buyers down.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What happened is half forgotten after so long.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// Checkouts that count as one who is believed: fewer say little about errors.
const BELIEVED: f64 = 5.0;

/// Recent checkouts, the more recent the more they count.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Sums>);

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    at: Option<Instant>,
    count: f64,
    millis: f64,
    failed: f64,
}

/// How checkouts go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// What one takes, in milliseconds.
    pub checkout_ms: f64,
    /// Share of them that failed on our side.
    pub errors: f64,
}

impl Sums {
    fn faded(self, now: Instant) -> Self {
        let age = self.at.map_or(Duration::ZERO, |at| now.duration_since(at));
        let factor = 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        Self {
            at: Some(now),
            count: self.count * factor,
            millis: self.millis * factor,
            failed: self.failed * factor,
        }
    }
}

impl Pulse {
    /// A checkout took so long, and failed on our side or didn't.
    pub fn note(&self, took: Duration, failed: bool) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sums = sums.faded(Instant::now());
        sums.count += 1.0;
        sums.millis += took.as_secs_f64() * 1_000.0;
        sums.failed += f64::from(u8::from(failed));
    }

    /// How it goes.
    #[must_use]
    pub fn read(&self) -> Reading {
        let sums = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = sums.faded(Instant::now());
        if sums.count < 1e-3 {
            return Reading::default();
        }
        let checkout_ms = sums.millis / sums.count;
        Reading { checkout_ms, errors: sums.failed / (sums.count + BELIEVED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_was_noted() {
        let pulse = Pulse::default();
        assert_eq!(pulse.read(), Reading::default());
        for i in 0..20 {
            pulse.note(Duration::from_millis(100), i % 2 == 0);
        }
        let reading = pulse.read();
        assert!((reading.checkout_ms - 100.0).abs() < 1.0);
        assert!((0.3..0.5).contains(&reading.errors), "{reading:?}");
    }
}
