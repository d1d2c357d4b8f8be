//! The waiting rooms as this process knows them: a copy of Postgres, a moment old.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{Room, store};
use crate::ids::EventId;

/// How long one comparison with Postgres may take.
const FOLLOW_WITHIN: Duration = Duration::from_secs(10);

/// The rooms of this process.
pub struct Rooms {
    pg: PgPool,
    rooms: DashMap<EventId, Arc<ArcSwap<Room>>>,
    born: Instant,
    /// What to add to the time since `born` for Postgres's clock, in milliseconds.
    clock: AtomicI64,
}

impl Rooms {
    /// No rooms; they are read when first asked for.
    #[must_use]
    pub fn new(pg: PgPool) -> Self {
        let clock = AtomicI64::new(jiff::Timestamp::now().as_millisecond());
        Self { pg, rooms: DashMap::new(), born: Instant::now(), clock }
    }

    /// The room, if it has been read.
    #[must_use]
    pub fn known(&self, event: EventId) -> Option<Arc<Room>> {
        self.rooms.get(&event).map(|room| room.load_full())
    }

    /// The event's room; `None` if it has none.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn get(&self, event: EventId) -> sqlx::Result<Option<Arc<Room>>> {
        match self.known(event) {
            Some(room) => Ok(Some(room)),
            None => {
                // Boxed: every poll would have the room for it.
                Box::pin(self.refresh(&[event])).await?;
                Ok(self.known(event))
            }
        }
    }

    /// Reads these rooms now.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn refresh(&self, events: &[EventId]) -> sqlx::Result<()> {
        let ids: Vec<_> = events.iter().map(|id| id.0).collect();
        let asked = Instant::now();
        let (rooms, now_ms) = store::read(&self.pg, &ids).await?;
        if rooms.len() < events.len() {
            // Only rehearsals' rooms ever go.
            let is_there = |event: &EventId| rooms.iter().any(|room| room.event == *event);
            self.rooms.retain(|event, _| !events.contains(event) || is_there(event));
        }
        if rooms.is_empty() {
            return Ok(());
        }
        // Postgres looked at its clock at some time between question and answer.
        let middle = asked + asked.elapsed() / 2;
        let since = middle.saturating_duration_since(self.born).as_millis();
        self.clock.store(now_ms - i64::try_from(since).unwrap_or(0), Ordering::Relaxed);
        for room in rooms {
            let room = Arc::new(room);
            match self.rooms.entry(room.event) {
                dashmap::Entry::Vacant(entry) => {
                    entry.insert(Arc::new(ArcSwap::from(room)));
                }
                dashmap::Entry::Occupied(entry) => {
                    entry
                        .get()
                        .rcu(|known| if is_older(&room, known) { known } else { &room }.clone());
                }
            }
        }
        Ok(())
    }

    /// Postgres's clock, in milliseconds since 1970: all times of waiting rooms go by it.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let since = i64::try_from(self.born.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.clock.load(Ordering::Relaxed) + since
    }

    /// Ids of the rooms in memory.
    #[must_use]
    pub fn all(&self) -> Vec<EventId> {
        self.rooms.iter().map(|entry| *entry.key()).collect()
    }

    /// Follows Postgres until stopped.
    pub async fn follow(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let events = self.all();
            if events.is_empty() {
                continue;
            }
            match tokio::time::timeout(FOLLOW_WITHIN, self.refresh(&events)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "waiting rooms can't follow Postgres"),
                Err(late) => tracing::warn!(%late, "waiting rooms can't follow Postgres"),
            }
        }
    }
}

/// Whether an answer was overtaken by a later one: a line never moves back.
fn is_older(room: &Room, known: &Room) -> bool {
    room.version < known.version
        || room.version == known.version
            && room.lanes.iter().any(|lane| {
                known.lane(lane.number).is_some_and(|known| lane.serving < known.serving)
            })
}
