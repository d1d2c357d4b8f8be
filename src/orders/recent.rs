//! Orders that this process claimed a short while ago.
//!
//! What a claim fixes stays so until the order is paid, and mostly the process that claims an
//! order also hears of its payment: it need not read from Postgres what it wrote there. Whoever
//! finds nothing here reads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::mirror::Follower;
use crate::ids::OrderId;
use crate::suspicion::Traces;

/// Most orders that are known; the oldest go. A few hundred bytes each.
const MAX_KNOWN: usize = 20_000;

/// What a claim fixed.
#[derive(Debug)]
pub struct Known {
    /// Its record, as claimed; its places belong to stretches as they were in that epoch.
    pub follower: Follower,
    /// What its hold was made with.
    pub traces: Traces,
}

/// What is known of orders, until it is too much.
#[derive(Debug, Default)]
pub struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<OrderId, Arc<Known>>,
    /// The oldest first.
    queue: VecDeque<OrderId>,
}

impl Recent {
    /// Remembers an order that was claimed.
    pub fn note(&self, known: Known) {
        let id = known.follower.entry.id.order();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.known.insert(id, Arc::new(known)).is_some() {
            return;
        }
        inner.queue.push_back(id);
        if inner.queue.len() > MAX_KNOWN {
            let oldest = inner.queue.pop_front();
            oldest.and_then(|oldest| inner.known.remove(&oldest));
        }
    }

    /// What is known of an order.
    #[must_use]
    pub fn of(&self, order: OrderId) -> Option<Arc<Known>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.get(&order).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holds::record::Step;
    use crate::holds::redis::MirrorEntry;
    use crate::ids::{AccountId, EventId, HoldId};

    fn claimed(id: HoldId) -> Known {
        let account = AccountId::fresh();
        let entry =
            MirrorEntry { id, step: Step::Claimed, account, promo: None, places: Vec::new() };
        let follower = Follower { event: EventId::fresh(), epoch: 1, entry };
        Known { follower, traces: Traces::NONE }
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let recent = Recent::default();
        let first = HoldId(uuid::Uuid::now_v7());
        recent.note(claimed(first));
        recent.note(claimed(first));
        assert!(recent.of(first.order()).is_some());
        for _ in 1..MAX_KNOWN {
            recent.note(claimed(HoldId(uuid::Uuid::now_v7())));
        }
        assert!(recent.of(first.order()).is_some());
        recent.note(claimed(HoldId(uuid::Uuid::now_v7())));
        assert!(recent.of(first.order()).is_none());
    }
}
