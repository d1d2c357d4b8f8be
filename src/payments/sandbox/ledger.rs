//! All intents the acquirer remembers, bounded.
//!
//! Each intent is one entry of a concurrent map; whoever changes it holds that entry, never
//! across an await. An index by first hearing serves the list; it is locked for moments, after
//! an entry and never before one.
//!
//! When the bound is reached, intents whose page was merely opened are dropped, then finished
//! ones, oldest first, but none whose statement could still be paid: a forgotten payment could
//! be charged again. If that leaves no room, new payments are refused. References that may have
//! been dropped are then answered "not found" rather than "untouched".

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::{DashMap, Entry};
use jiff::{SignedDuration, Timestamp};

use super::config::ConfigError;
use super::journal::Journal;
use super::record::Record;
use super::statement::STATEMENT_LIFE;
use crate::ids::{AttemptId, RefundId};

/// How far clocks of two machines may differ.
const CLOCK_MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The share of the bound that is dropped at once, so that dropping is rare: one in this many.
const DROPPED_SHARE: usize = 10;

/// What a change leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing changed.
    Unchanged,
    /// Changed, but not worth writing down.
    InMemory,
    /// Changed: write it down before telling anybody.
    Written,
}

/// Why an intent can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No room for another intent.
    Full,
    /// Not there, or dropped long ago.
    NotFound,
}

/// All intents.
pub struct Ledger {
    intents: DashMap<AttemptId, Record>,
    by_age: Mutex<ByAge>,
    refunds: DashMap<RefundId, AttemptId>,
    journal: Option<Journal>,
    count: AtomicUsize,
    max: usize,
    /// The second in which room was last made: looking at everything is too dear to repeat.
    dropped_at: AtomicI64,
}

#[derive(Default)]
struct ByAge {
    keys: BTreeSet<(Timestamp, AttemptId)>,
    last: Timestamp,
    /// Finished intents first heard of until then may have been dropped.
    forgotten_until: Option<Timestamp>,
}

impl Ledger {
    /// An empty ledger, or what the journal remembers.
    pub fn open(journal: Option<&Path>, max: usize) -> Result<Self, ConfigError> {
        let mut ledger = Self {
            intents: DashMap::new(),
            by_age: Mutex::default(),
            refunds: DashMap::new(),
            journal: None,
            count: AtomicUsize::new(0),
            max,
            dropped_at: AtomicI64::new(i64::MIN),
        };
        let Some(path) = journal else {
            return Ok(ledger);
        };
        let (journal, remembered) =
            Journal::open(path).map_err(|error| ConfigError::Journal(path.to_owned(), error))?;
        {
            let mut by_age = ledger.by_age();
            by_age.forgotten_until = remembered.forgotten_until;
            for record in remembered.records {
                by_age.last = by_age.last.max(record.created_at);
                by_age.keys.insert((record.created_at, record.attempt));
                for id in record.refunds.iter().filter_map(|refund| refund.ours) {
                    ledger.refunds.insert(id, record.attempt);
                }
                ledger.intents.insert(record.attempt, record);
            }
            ledger.count.store(by_age.keys.len(), Ordering::Relaxed);
        }
        ledger.journal = Some(journal);
        Ok(ledger)
    }

    fn by_age(&self) -> MutexGuard<'_, ByAge> {
        self.by_age.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes an intent, making it if nobody has touched it before. `stated_at` is when its
    /// statement was made, if that was seen.
    pub fn change<T>(
        &self,
        (attempt, stated_at): (AttemptId, Option<Timestamp>),
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> (T, Kept),
    ) -> Result<T, Unreachable> {
        if self.count.load(Ordering::Relaxed) >= self.max {
            self.make_room(now);
        }
        let vacant = match self.intents.entry(attempt) {
            Entry::Occupied(mut entry) => return Ok(self.apply(entry.get_mut(), now, change)),
            Entry::Vacant(vacant) => vacant,
        };
        if self.was_forgotten(attempt, stated_at) {
            return Err(Unreachable::NotFound);
        }
        if self.count.load(Ordering::Relaxed) >= self.max {
            return Err(Unreachable::Full);
        }
        let mut record = {
            // Strictly increasing, so that a reader of the list can't be overtaken.
            let mut by_age = self.by_age();
            let created_at = now.max(just_after(by_age.last));
            by_age.last = created_at;
            by_age.keys.insert((created_at, attempt));
            Record::untouched(attempt, created_at)
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        let answer = self.apply(&mut record, now, change);
        vacant.insert(record);
        Ok(answer)
    }

    /// Changes an intent that is there.
    pub fn change_known<T>(
        &self,
        attempt: AttemptId,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> (T, Kept),
    ) -> Option<T> {
        self.intents.get_mut(&attempt).map(|mut record| self.apply(&mut record, now, change))
    }

    fn apply<T>(
        &self,
        record: &mut Record,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> (T, Kept),
    ) -> T {
        let (answer, kept) = change(record);
        if kept != Kept::Unchanged {
            record.changed_at = now;
        }
        if let (Kept::Written, Some(journal)) = (kept, &self.journal) {
            journal.write(record);
        }
        answer
    }

    /// Remembers that the refund `id` is of `attempt`, unless it is of another.
    pub fn owns_refund(&self, id: RefundId, attempt: AttemptId) -> bool {
        *self.refunds.entry(id).or_insert(attempt) == attempt
    }

    /// Forgets a refund that was refused, so that its id can still be used.
    pub fn disown_refund(&self, id: RefundId) {
        self.refunds.remove(&id);
    }

    /// The intent as it is now, or untouched.
    pub fn get(&self, attempt: AttemptId, now: Timestamp) -> Result<Record, Unreachable> {
        match self.intents.get(&attempt) {
            Some(record) => Ok(record.clone()),
            None if self.was_forgotten(attempt, None) => Err(Unreachable::NotFound),
            None => Ok(Record::untouched(attempt, now)),
        }
    }

    /// Every intent, for what must go on after a restart.
    pub fn all(&self) -> Vec<Record> {
        self.intents.iter().map(|record| record.clone()).collect()
    }

    /// Up to `limit` intents first heard of at or after `since` and after `after`, oldest first.
    pub fn list(
        &self,
        since: Timestamp,
        after: Option<(Timestamp, AttemptId)>,
        limit: usize,
    ) -> Vec<Record> {
        let start = (since, AttemptId(uuid::Uuid::nil()));
        let keys: Vec<_> = {
            let by_age = self.by_age();
            let from = after.map_or(start, |after| after.max(start));
            by_age
                .keys
                .range(from..)
                .filter(|key| Some(**key) != after)
                .take(limit)
                .copied()
                .collect()
        };
        keys.iter().filter_map(|(_, attempt)| Some(self.intents.get(attempt)?.clone())).collect()
    }

    /// Whether an absent intent may have been dropped. Its own id tells its age, if it is a
    /// time-ordered one; else its statement must.
    fn was_forgotten(&self, attempt: AttemptId, stated_at: Option<Timestamp>) -> bool {
        let Some(until) = self.by_age().forgotten_until else {
            return false;
        };
        let made_at = attempt.0.get_timestamp().and_then(|time| {
            let (second, nanosecond) = time.to_unix();
            let (second, nanosecond) = (second.try_into().ok()?, nanosecond.try_into().ok()?);
            Timestamp::new(second, nanosecond).ok()
        });
        made_at.or(stated_at).is_none_or(|made| before(made, CLOCK_MARGIN) <= until)
    }

    /// Drops what can be dropped; at most once a second, the other callers go on.
    fn make_room(&self, now: Timestamp) {
        if self.dropped_at.swap(now.as_second(), Ordering::Relaxed) == now.as_second() {
            return;
        }
        let unpayable = before(now, STATEMENT_LIFE + CLOCK_MARGIN);
        let wanted = (self.max / DROPPED_SHARE).max(1);
        let mut candidates: Vec<_> = self
            .intents
            .iter()
            .filter(|record| is_droppable(record, unpayable))
            .map(|record| (!record.is_pristine(), record.changed_at, record.attempt))
            .collect();
        candidates.sort_unstable();
        for (_, _, attempt) in candidates.into_iter().take(wanted) {
            self.drop_intent(attempt, unpayable);
        }
    }

    fn drop_intent(&self, attempt: AttemptId, unpayable: Timestamp) {
        // It may have been paid since it was chosen: then it stays.
        let droppable = |_: &AttemptId, record: &Record| is_droppable(record, unpayable);
        let Some((_, record)) = self.intents.remove_if(&attempt, droppable) else {
            return;
        };
        self.count.fetch_sub(1, Ordering::Relaxed);
        for id in record.refunds.iter().filter_map(|refund| refund.ours) {
            self.refunds.remove(&id);
        }
        let mut by_age = self.by_age();
        by_age.keys.remove(&(record.created_at, attempt));
        if record.is_finished() && by_age.forgotten_until < Some(record.created_at) {
            by_age.forgotten_until = Some(record.created_at);
            if let Some(journal) = &self.journal {
                journal.write_forgotten(record.created_at);
            }
        }
    }
}

/// Whether nothing is lost by dropping `record`: the same statement makes it again, or it is
/// final and no statement of it can be paid any more.
fn is_droppable(record: &Record, unpayable: Timestamp) -> bool {
    record.is_pristine() || (record.is_finished() && record.changed_at < unpayable)
}

fn before(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn just_after(moment: Timestamp) -> Timestamp {
    moment.checked_add(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MAX)
}
