//! How large everything is that the bench measures with.

use onsale::catalog::manifest::{Manifest, generate};

use super::hall::hall;

/// Sizes.
pub struct Sizes {
    /// Visitors whose tokens are polled with.
    pub polling: u64,
    /// Visitors who wait while the memory is looked at.
    pub waiting: u64,
    /// What is held from; emptied before each window.
    pub held: (Manifest, usize),
    /// Connections of a crowd that wants too much: more than the holds that a server works on at
    /// once.
    pub crowd: usize,
    /// What is sold.
    pub sold: (Manifest, usize),
    /// Calls of the hold script that are timed in each round.
    pub script_calls: usize,
    /// Halls that the best places are held in, by places, the smallest first.
    pub halls: Vec<usize>,
    /// Places of the event that is rebuilt after Redis was killed.
    pub rebuilt: usize,
    /// Places of the one event that stands beside many.
    pub one: usize,
    /// How many events are on sale at once, and the places of each.
    pub many: (usize, usize),
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            polling: 20_000,
            waiting: 1_000_000,
            held: (generate::stadium(), 3),
            crowd: 3_000,
            sold: (generate::arena(), 10),
            script_calls: 10_000,
            halls: vec![1_000, 20_000, 100_000],
            rebuilt: 100_000,
            one: 100_000,
            many: (1_000, 600),
        }
    }
}

impl Sizes {
    /// As small as it can be.
    pub fn miniature() -> Self {
        Self {
            polling: 200,
            waiting: 500,
            // More than can be held in a second, or a window would end before it.
            held: (hall(40_000), 1),
            crowd: 50,
            sold: (hall(4_000), 1),
            script_calls: 500,
            halls: vec![400, 800],
            rebuilt: 1_000,
            one: 4_000,
            many: (5, 400),
        }
    }
}
