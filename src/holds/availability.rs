//! What is free: a compact snapshot, and a stream of changes.
//!
//! Each process asks Redis at most every [`SNAPSHOT_EVERY`] per event that somebody looks at, and
//! computes the changes itself by comparing bitmaps. So what viewers cost doesn't grow with
//! their number nor with the speed of the sale, and the hold script has nothing to publish.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dashmap::DashMap;
use serde::Serialize;
use tokio::sync::broadcast;

use super::redis::{Args, Reply};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::listing::bit;
use crate::catalog::{Listing, PUBLIC};
use crate::http::problem::Problem;
use crate::ids::EventId;
use crate::redis::scripts;

/// A snapshot is at most this old.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);
/// Time between changes on a stream.
const DELTA_EVERY: Duration = Duration::from_millis(250);
/// Changes that a viewer who was away can catch up with.
const MAX_HISTORY: usize = 240;
/// Changes waiting for one slow viewer; beyond it the viewer is told to start again.
const STREAM_BUFFER: usize = 64;

/// What is free at one instant, as the public sees it.
#[derive(Debug)]
pub struct Snapshot {
    /// The generation of the state.
    pub epoch: i32,
    /// Raised by every change within it.
    pub seq: i64,
    /// The sale's state.
    pub state: String,
    /// Places with a live record.
    pub taken: Vec<u8>,
    /// Places not for sale to the public.
    pub blocked: Vec<u8>,
    /// Places removed from sale.
    pub kills: Vec<u8>,
    /// Places claimed by unpaid orders, as Redis counts them.
    pub claimed: i64,
    /// Places sold, as Redis counts them.
    pub sold: i64,
    /// The JSON body.
    pub body: bytes::Bytes,
    /// Of the body.
    pub etag: String,
    seen: Instant,
}

/// The snapshot on the wire.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SnapshotBody {
    /// With `seq`: names this state of the event.
    pub epoch: i32,
    /// Raised by every change.
    pub seq: i64,
    /// The event's status: places can be held while it is `on_sale`.
    pub state: String,
    /// Base64 of a bitmap over place numbers, most significant bit first: bit 0 of the first byte
    /// from the left is place 0; 1 is not available. Numbers have gaps, whose bits mean nothing:
    /// only numbers that the manifest has count. Areas have no numbers there: use `sections`.
    pub unavailable: String,
    /// Free places by price level.
    pub levels: Vec<LevelFree>,
    /// Free places by section and area.
    pub sections: Vec<SectionFree>,
}

/// Free places of a price level.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LevelFree {
    /// The level's code.
    pub level: String,
    /// How many are free.
    pub free: u32,
}

/// Free places of a section.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SectionFree {
    /// The section's code.
    pub section: String,
    /// How many are free.
    pub free: u32,
}

/// Changes between two states, to be applied to the first of them.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Delta {
    /// The generation it leads to.
    pub epoch: i32,
    /// The generation it starts from: another one after a rebuild.
    pub from_epoch: i32,
    /// The state it starts from.
    pub from: i64,
    /// The state it leads to.
    pub to: i64,
    /// The sale's state.
    pub state: String,
    /// Places that are no longer available.
    pub gone: Vec<i32>,
    /// Places that are available again.
    pub freed: Vec<i32>,
}

/// What the viewers of one event share. Its lock is held while a change is added and told, and
/// while a viewer joins: nothing falls between.
struct Feed {
    deltas: broadcast::Sender<Arc<Delta>>,
    told: Mutex<Told>,
}

struct Told {
    latest: Arc<Snapshot>,
    history: VecDeque<Arc<Delta>>,
}

/// The snapshots and streams of a process.
#[derive(Default)]
pub struct Availability {
    snapshots: DashMap<EventId, Arc<Snapshot>>,
    asking: DashMap<EventId, Arc<tokio::sync::Mutex<()>>>,
    feeds: DashMap<EventId, Weak<Feed>>,
}

/// How a viewer's stream begins.
pub enum Beginning {
    /// It goes on from the state that the viewer has.
    Missed(Vec<Arc<Delta>>),
    /// The viewer needs all of it.
    Whole(Arc<Snapshot>),
}

/// A viewer's place on a stream.
pub struct Viewer {
    /// What comes first.
    pub beginning: Beginning,
    /// What comes then, in an unbroken chain.
    pub coming: broadcast::Receiver<Arc<Delta>>,
    feed: Arc<Feed>,
}

impl Viewer {
    /// Joins again after falling behind.
    #[must_use]
    pub fn again(&mut self) -> Arc<Snapshot> {
        let told = self.feed.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.coming = self.feed.deltas.subscribe();
        told.latest.clone()
    }
}

impl Availability {
    /// Forgets what was free of events that are gone.
    pub fn retain(&self, known: impl Fn(EventId) -> bool) {
        self.snapshots.retain(|event, _| known(*event));
        self.feeds.retain(|event, feed| known(*event) || feed.strong_count() > 0);
    }

    /// What is free now, at most [`SNAPSHOT_EVERY`] ago.
    ///
    /// # Errors
    /// `rebuilding` or `unavailable`.
    pub async fn snapshot(&self, app: &App, sale: &Arc<Sale>) -> Result<Arc<Snapshot>, Problem> {
        let id = sale.listing.event.id;
        let fresh =
            |known: &Snapshot| known.epoch == sale.epoch && known.seen.elapsed() < SNAPSHOT_EVERY;
        let known = self.snapshots.get(&id).map(|known| known.clone());
        if let Some(known) = known.filter(|known| fresh(known)) {
            return Ok(known);
        }
        // Many look at once when a sale opens: one asks, the others get its answer.
        let asking = self.asking.entry(id).or_default().clone();
        let _turn = asking.lock().await;
        let known = self.snapshots.get(&id).map(|known| known.clone());
        if let Some(known) = known.as_ref().filter(|known| fresh(known)) {
            return Ok(known.clone());
        }
        let snapshot = match ask(app, sale, known).await? {
            Some(snapshot) => snapshot,
            None => {
                let now = app.after_stale(sale).await?;
                ask(app, &now, None)
                    .await?
                    .ok_or_else(|| Problem::new(crate::http::problem::Code::Rebuilding))?
            }
        };
        self.snapshots.insert(id, snapshot.clone());
        Ok(snapshot)
    }

    /// Joins the event's stream, after the state that the viewer has.
    ///
    /// # Errors
    /// `rebuilding` or `unavailable`.
    pub async fn view(
        &self,
        app: &Arc<App>,
        sale: &Arc<Sale>,
        has: Option<(i32, i64)>,
    ) -> Result<Viewer, Problem> {
        let id = sale.listing.event.id;
        let known = self.feeds.get(&id).and_then(|feed| feed.upgrade());
        let feed = match known {
            Some(feed) => feed,
            None => {
                let latest = self.snapshot(app, sale).await?;
                self.begin_feed(app, id, latest)
            }
        };
        let told = feed.told.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = feed.deltas.subscribe();
        let missed = has.and_then(|(epoch, seq)| {
            let current = (told.latest.epoch, told.latest.seq) == (epoch, seq);
            if current { Some(Vec::new()) } else { missed(&told.history, epoch, seq) }
        });
        let beginning = match missed {
            Some(missed) => Beginning::Missed(missed),
            None => Beginning::Whole(told.latest.clone()),
        };
        drop(told);
        Ok(Viewer { beginning, coming, feed })
    }

    fn begin_feed(&self, app: &Arc<App>, id: EventId, latest: Arc<Snapshot>) -> Arc<Feed> {
        let mut slot = self.feeds.entry(id).or_default();
        if let Some(feed) = slot.upgrade() {
            return feed;
        }
        let told = Told { latest, history: VecDeque::with_capacity(MAX_HISTORY) };
        let feed =
            Arc::new(Feed { deltas: broadcast::channel(STREAM_BUFFER).0, told: Mutex::new(told) });
        *slot = Arc::downgrade(&feed);
        tokio::spawn(run_feed(Arc::downgrade(app), id, Arc::downgrade(&feed)));
        feed
    }
}

/// The deltas that lead on from a state; `None` if it is none that this process has seen.
fn missed(history: &VecDeque<Arc<Delta>>, epoch: i32, seq: i64) -> Option<Vec<Arc<Delta>>> {
    let after: Vec<_> =
        history.iter().skip_while(|d| (d.from_epoch, d.from) != (epoch, seq)).cloned().collect();
    (!after.is_empty()).then_some(after)
}

async fn ask(
    app: &App,
    sale: &Sale,
    known: Option<Arc<Snapshot>>,
) -> Result<Option<Arc<Snapshot>>, Problem> {
    let keys = &sale.keys;
    let blocked = keys.blocked(PUBLIC);
    let keys = [&*keys.head, &keys.taken, &blocked, &keys.kills, &keys.counts, &keys.holds];
    let mut args = Args::new(sale);
    let known = known.filter(|known| known.epoch == sale.epoch);
    args.push(known.as_ref().map(|known| known.seq.to_string()).unwrap_or_default());
    let reply = args.eval(&app.redis, sale, &scripts::SNAPSHOT, &keys).await?;
    match (reply.word(), known) {
        (Some("stale"), _) => Ok(None),
        (Some("same"), Some(known)) => {
            let again = known.again(&reply);
            Ok(Some(Arc::new(again.ok_or_else(|| reply.bad(&scripts::SNAPSHOT))?)))
        }
        (Some("snapshot"), _) => {
            let read = Snapshot::read(&sale.listing, sale.epoch, &reply);
            Ok(Some(Arc::new(read.ok_or_else(|| reply.bad(&scripts::SNAPSHOT))?)))
        }
        _ => Err(reply.bad(&scripts::SNAPSHOT).into()),
    }
}

impl Snapshot {
    fn read(listing: &Listing, epoch: i32, reply: &Reply) -> Option<Self> {
        let (seq, state) = (reply.number(1)?, reply.text(2)?.to_owned());
        let taken = reply.bytes(3)?.to_vec();
        let blocked = reply.bytes(4)?.to_vec();
        let body = body(listing, epoch, seq, &state, &taken, &blocked);
        Some(Self {
            epoch,
            seq,
            body: serde_json::to_vec(&body).ok()?.into(),
            state,
            taken,
            blocked,
            kills: reply.bytes(5)?.to_vec(),
            claimed: reply.number(6)?,
            sold: reply.number(7)?,
            etag: format!("\"{epoch}-{seq}-{}\"", listing.event.version),
            seen: Instant::now(),
        })
    }

    /// The same bits, seen again: orders may have been paid meanwhile, which moves no bit.
    fn again(&self, reply: &Reply) -> Option<Self> {
        Some(Self {
            epoch: self.epoch,
            seq: self.seq,
            state: self.state.clone(),
            taken: self.taken.clone(),
            blocked: self.blocked.clone(),
            kills: self.kills.clone(),
            claimed: reply.number(3)?,
            sold: reply.number(4)?,
            body: self.body.clone(),
            etag: self.etag.clone(),
            seen: Instant::now(),
        })
    }

    /// Whether the public can get this place.
    #[must_use]
    pub fn is_free(&self, place: i32) -> bool {
        !bit(&self.taken, place) && !bit(&self.blocked, place)
    }
}

fn body(
    listing: &Listing,
    epoch: i32,
    seq: i64,
    state: &str,
    taken: &[u8],
    blocked: &[u8],
) -> SnapshotBody {
    let mut unavailable = vec![0; listing.bitmap_bytes()];
    for (at, byte) in unavailable.iter_mut().enumerate() {
        *byte = taken.get(at).copied().unwrap_or(0) | blocked.get(at).copied().unwrap_or(0);
    }
    let mut by_level = std::collections::HashMap::<i16, u32>::new();
    let mut by_section = std::collections::HashMap::<i16, u32>::new();
    for place in &listing.places {
        let free = u32::from(!bit(&unavailable, place.number));
        *by_level.entry(place.level).or_default() += free;
        *by_section.entry(place.section).or_default() += free;
    }
    let level = |level: &crate::catalog::Level| LevelFree {
        level: level.code.clone(),
        free: by_level.get(&level.number).copied().unwrap_or(0),
    };
    let section = |section: &crate::catalog::Section| SectionFree {
        section: section.code.clone(),
        free: by_section.get(&section.number).copied().unwrap_or(0),
    };
    SnapshotBody {
        epoch,
        seq,
        state: state.to_owned(),
        unavailable: STANDARD.encode(&unavailable),
        levels: listing.levels.iter().map(level).collect(),
        sections: listing.sections.iter().map(section).collect(),
    }
}

/// Compares snapshots and tells the viewers, while there are any.
async fn run_feed(app: Weak<App>, event: EventId, feed: Weak<Feed>) {
    loop {
        tokio::time::sleep(DELTA_EVERY).await;
        let (Some(app), Some(feed)) = (app.upgrade(), feed.upgrade()) else { return };
        if app.draining.is_cancelled() {
            return;
        }
        let Ok(Some(sale)) = app.catalog.sale(event).await else { continue };
        let Ok(sale) = app.built(sale).await else { continue };
        let Ok(now) = app.availability.snapshot(&app, &sale).await else { continue };
        let mut told = feed.told.lock().unwrap_or_else(PoisonError::into_inner);
        if (told.latest.epoch, told.latest.seq) == (now.epoch, now.seq) {
            continue;
        }
        let delta = Arc::new(compare(&sale.listing, &told.latest, &now));
        told.latest = now;
        if told.history.len() == MAX_HISTORY {
            told.history.pop_front();
        }
        told.history.push_back(delta.clone());
        // Nobody listening is no failure.
        drop(feed.deltas.send(delta));
    }
}

fn compare(listing: &Listing, before: &Snapshot, now: &Snapshot) -> Delta {
    let (mut gone, mut freed) = (Vec::new(), Vec::new());
    for place in &listing.places {
        match (before.is_free(place.number), now.is_free(place.number)) {
            (true, false) => gone.push(place.number),
            (false, true) => freed.push(place.number),
            _ => {}
        }
    }
    Delta {
        epoch: now.epoch,
        from_epoch: before.epoch,
        from: before.seq,
        to: now.seq,
        state: now.state.clone(),
        gone,
        freed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(from_epoch: i32, from: i64, epoch: i32, to: i64) -> Arc<Delta> {
        let state = "on_sale".to_owned();
        Arc::new(Delta { epoch, from_epoch, from, to, state, gone: vec![], freed: vec![] })
    }

    #[test]
    fn only_a_state_that_was_told_can_be_gone_on_from() {
        let history: VecDeque<_> = [delta(1, 5, 1, 9), delta(1, 9, 2, 1), delta(2, 1, 2, 4)].into();
        let count = |epoch, seq| missed(&history, epoch, seq).map(|missed| missed.len());
        assert_eq!(count(1, 5), Some(3));
        assert_eq!(count(1, 9), Some(2));
        assert_eq!(count(2, 1), Some(1));
        assert_eq!(count(1, 7), None);
        assert_eq!(count(3, 1), None);
        assert_eq!(missed(&VecDeque::new(), 1, 9).map(|missed| missed.len()), None);
    }
}
