//! How fast something may go: so much a second, and what a second had left over once more.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// So many a second.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    inner: Mutex<Room>,
}

#[derive(Debug)]
struct Room {
    /// Below zero once more was done than there was room for.
    left: f64,
    at: Instant,
}

impl Pace {
    /// So many a second, from now on.
    #[must_use]
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, inner: Mutex::new(Room { left: per_second, at: now }) }
    }

    /// How many there is room for now.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most what a second has room for")]
    pub fn room(&self, now: Instant) -> i64 {
        let mut room = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(room.at).as_secs_f64();
        room.left = (room.left + since * self.per_second).min(self.per_second);
        room.at = now;
        room.left.max(0.0) as i64
    }

    /// So many were done.
    pub fn done(&self, count: usize) {
        let mut room = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        room.left -= u32::try_from(count).map_or(f64::MAX, f64::from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_second_has_room_for_so_many_and_what_is_left_is_kept_for_one_more() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let pace = Pace::new(100, start);
        assert_eq!(pace.room(at(0)), 100);
        pace.done(90);
        assert_eq!(pace.room(at(0)), 10);
        assert_eq!(pace.room(at(500)), 60);
        assert_eq!(pace.room(at(60_000)), 100);
        pace.done(150);
        assert_eq!(pace.room(at(60_400)), 0);
        assert_eq!(pace.room(at(60_600)), 10);
    }
}
