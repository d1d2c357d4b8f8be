//! What this process remembers of the scores in Postgres: bounded, and read on every hold.

use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use sqlx::PgPool;
use uuid::Uuid;

use super::config::SuspicionConfig;
use super::reason::faded;
use super::store::{self, Changed};
use super::verdict::{self, Entry, Override, Record, Records, Verdict};
use super::{ANYWHERE, Kind, Subject, Traces};
use crate::ids::{AccountId, EventId};

/// Rows that one look reads at a time.
pub const PAGE: i64 = 5_000;
/// Looks at a page that one refresh takes at most; the rest waits for the next.
const PAGES: usize = 40;
/// A full memory is emptied to this part, so that it isn't gone through again at once.
const KEPT: f64 = 0.75;
/// What is worth less is forgotten.
const FORGOTTEN_BELOW: f64 = 0.05;

/// The scores that matter.
#[derive(Default)]
pub struct Standings {
    known: DashMap<(EventId, Subject), Record>,
    /// The last change that was read, of scores and of overrides.
    scores: AtomicI64,
    overrides: AtomicI64,
}

impl Standings {
    /// Judges a buyer by what is known.
    #[must_use]
    pub fn judge(
        &self,
        config: &SuspicionConfig,
        event: EventId,
        account: AccountId,
        traces: Traces,
        now_s: i64,
    ) -> Verdict {
        if self.known.is_empty() {
            return Verdict::default();
        }
        let of = |kind, id: Option<Uuid>| {
            id.map(|id| self.record(event, Subject { kind, id })).unwrap_or_default()
        };
        let records = Records {
            account: of(Kind::Account, Some(account.0)),
            device: of(Kind::Device, traces.device),
            prefix: of(Kind::Prefix, traces.prefix),
        };
        verdict::judge(config, &records, now_s)
    }

    /// What is known of one subject, at this event and anywhere.
    fn record(&self, event: EventId, subject: Subject) -> Record {
        let mut record = Record::default();
        for event in [event, ANYWHERE] {
            if let Some(known) = self.known.get(&(event, subject)) {
                record.entries.extend_from_slice(&known.entries);
                record.decided = record.decided.or(known.decided);
            }
        }
        record
    }

    /// Whether an organizer trusts this account.
    #[must_use]
    pub fn trusts(&self, event: EventId, account: AccountId) -> bool {
        self.record(event, Subject::account(account)).decided == Some(Override::Trust)
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Reads what has changed, and keeps the memory within `most` subjects.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn refresh(&self, pg: &PgPool, most: usize) -> sqlx::Result<()> {
        for _ in 0..PAGES {
            let since = self.overrides.load(Ordering::Relaxed);
            let rows = store::overrides_since(pg, since, PAGE).await?;
            let full = rows.len() == PAGE as usize;
            for row in rows {
                self.known.entry((row.event, row.subject)).or_default().decided = row.decided;
                self.overrides.fetch_max(row.change, Ordering::Relaxed);
            }
            if !full {
                break;
            }
        }
        for _ in 0..PAGES {
            let since = self.scores.load(Ordering::Relaxed);
            let rows = store::scores_since(pg, since, PAGE).await?;
            let full = rows.len() == PAGE as usize;
            let now_s = rows.first().map_or(0, |row| row.now_s);
            for row in &rows {
                self.take(row);
                self.scores.fetch_max(row.change, Ordering::Relaxed);
            }
            if self.known.len() > most {
                self.forget(most, now_s);
            }
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Takes one changed row.
    pub fn take(&self, row: &Changed) {
        // Cards count through the accounts that use them.
        if row.subject.kind == Kind::Card {
            return;
        }
        let mut record = self.known.entry((row.event, row.subject)).or_default();
        match record.entries.iter_mut().find(|known| known.reason == row.entry.reason) {
            Some(known) => *known = row.entry,
            None => record.entries.push(row.entry),
        }
    }

    /// Makes room: who was overruled stays, of the others those with the most points.
    pub fn forget(&self, most: usize, now_s: i64) {
        let room = (most as f64 * KEPT) as usize;
        let worth = |entry: &Entry| {
            faded(entry.points, entry.reason.terms().half_life_s, entry.at_s, now_s).abs()
        };
        let mut least = FORGOTTEN_BELOW;
        // Points are bounded, so this ends.
        while self.known.len() > room && least < 1_000.0 {
            self.known.retain(|_, record| {
                record.decided.is_some() || record.entries.iter().map(worth).sum::<f64>() >= least
            });
            least *= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suspicion::Reason;

    const NOW_S: i64 = 1_800_000_000;

    fn row(event: EventId, subject: Subject, points: f64) -> Changed {
        let entry = Entry { reason: Reason::HoldExpired, points, at_s: NOW_S };
        Changed { event, subject, entry, change: 1, now_s: NOW_S }
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let standings = Standings::default();
        let event = EventId::fresh();
        let worst = Subject::account(AccountId::fresh());
        standings.take(&row(event, worst, 9.0));
        for i in 0..5_000_u32 {
            let subject = Subject::account(AccountId::fresh());
            standings.take(&row(event, subject, 1.0 + f64::from(i % 4)));
            if standings.len() > 1_000 {
                standings.forget(1_000, NOW_S);
            }
            assert!(standings.len() <= 1_000, "{}", standings.len());
        }
        assert_eq!(standings.record(event, worst).entries.len(), 1);
    }

    #[test]
    fn a_record_is_of_one_event_and_of_what_belongs_to_none() {
        let (standings, config) = (Standings::default(), SuspicionConfig::default());
        let (event, other, account) = (EventId::fresh(), EventId::fresh(), AccountId::fresh());
        standings.take(&row(event, Subject::account(account), 2.0));
        let points = |event| standings.judge(&config, event, account, Traces::NONE, NOW_S).points;
        assert_eq!((points(event), points(other)), (2.0, 0.0));
        standings.take(&row(ANYWHERE, Subject::account(account), 1.0));
        assert_eq!((points(event), points(other)), (3.0, 1.0));
        // The row as it is now takes the place of what it was.
        standings.take(&row(event, Subject::account(account), 0.5));
        assert_eq!(points(event), 1.5);
    }
}
