//! Simulated time: what is to happen, in the order in which it would.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What comes within so many milliseconds of each other is done at once.
const SLICE_MS: u64 = 100;

/// What somebody does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Takes the turn.
    Turn,
    /// Asks for places.
    Grab,
    /// Pays for what is held, or lets it go.
    Pay,
}

/// A player by number, and what they do.
pub type Due = (usize, Step);

/// All that is to happen.
#[derive(Default)]
pub struct Timeline {
    due: BinaryHeap<Reverse<(u64, u64, Due)>>,
    added: u64,
    /// The clock of the scene, in milliseconds since the opening.
    now_ms: u64,
}

impl Timeline {
    /// Something happens so many seconds from now.
    pub fn add(&mut self, in_s: f64, due: Due) {
        self.added += 1;
        self.due.push(Reverse((self.now_ms + (in_s * 1_000.0) as u64, self.added, due)));
    }

    /// Whether nothing more is to happen.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// What happens next before `until_ms`, at most so many at once. If it is nothing, the clock
    /// goes there.
    pub fn next(&mut self, until_ms: u64, most: usize) -> Vec<Due> {
        let mut next = Vec::new();
        let mut first = None;
        while let Some(Reverse((at_ms, _, due))) = self.due.peek().copied() {
            let from = *first.get_or_insert(at_ms);
            let soon = at_ms < until_ms && at_ms <= from.saturating_add(SLICE_MS);
            if !soon || next.len() >= most {
                break;
            }
            self.now_ms = at_ms;
            next.push(due);
            self.due.pop();
        }
        if next.is_empty() {
            self.now_ms = until_ms;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_is_done_first() {
        let mut timeline = Timeline::default();
        for (number, in_s) in [3.0, 0.05, 0.0, 1.0].into_iter().enumerate() {
            timeline.add(in_s, (number, Step::Grab));
        }
        assert_eq!(timeline.next(1_000, 8), [(2, Step::Grab), (1, Step::Grab)]);
        assert_eq!(timeline.now_ms, 50);
        assert_eq!(timeline.next(1_000, 8), []);
        assert_eq!(timeline.now_ms, 1_000);
        timeline.add(0.0, (9, Step::Pay));
        assert_eq!(timeline.next(u64::MAX, 1), [(3, Step::Grab)]);
        assert_eq!(timeline.next(u64::MAX, 1), [(9, Step::Pay)]);
        assert_eq!(timeline.next(u64::MAX, 1), [(0, Step::Grab)]);
        assert!(timeline.is_empty());
    }
}
