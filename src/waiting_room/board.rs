//! What everybody in a waiting room is told: written once per process and moment, so that a poll
//! only adds what is its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{DRAWN, Lane, LaneKind, Phase, Room, RoomState};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::listing::bit;
use crate::catalog::{EventStatus, Listing, PUBLIC};
use crate::holds::availability::Snapshot;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;

/// A board is at most about this old.
pub const BOARD_EVERY: Duration = Duration::from_millis(500);
/// An older one is not shown any more.
const TOO_OLD: Duration = Duration::from_secs(5);
/// The line's speed is measured over so long, in milliseconds.
const SPEED_OVER_MS: i64 = 60_000;
/// And taken for granted only after so long.
const SPEED_FROM_MS: i64 = 5_000;
/// Places that somebody who comes in takes, until it is known better.
pub const PLACES_EACH: f64 = 2.2;
/// Of the held places, how many come back, until it is known better.
pub const COME_BACK: f64 = 0.2;

/// The waiting room as everybody may see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RoomView {
    /// The event's id: part of what the draw is computed from.
    pub event: EventId,
    /// What the organizer decided.
    pub state: RoomState,
    /// Whether one can join.
    pub joining: bool,
    /// A message of the organizer; often empty.
    pub message: String,
    /// Whether anonymous visitors must prove work when they join.
    pub proof: bool,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
    /// The lines.
    pub lanes: Vec<LaneView>,
    /// What is left, by price level.
    pub levels: Vec<LevelView>,
    /// Enough is left for about so many more people; none while that isn't known.
    pub enough_for: Option<u32>,
    /// Nothing is free, though places may come back.
    pub sold_out: bool,
}

/// A line as everybody may see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LaneView {
    /// Its number, part of what the draw is computed from.
    pub lane: i16,
    /// Its short name, to join it.
    pub code: String,
    /// Its name.
    pub name: String,
    /// For whom it is.
    pub kind: LaneKind,
    /// Whether it needs an access code.
    pub needs_code: bool,
    /// Whether it needs the grant of a redeemed code.
    pub needs_grant: bool,
    /// Where it stands.
    pub phase: Phase,
    /// When one can join.
    #[schema(value_type = String, format = DateTime)]
    pub joins_at: Timestamp,
    /// Until then it doesn't matter when one joins.
    #[schema(value_type = String, format = DateTime)]
    pub draw_at: Timestamp,
    /// When the first are called.
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Timestamp,
    /// When the last are called.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Timestamp>,
    /// SHA-256 of the seed, in hexadecimal.
    pub seed_hash: String,
    /// The public value that is mixed in, named beforehand.
    pub beacon_name: String,
    /// What it was; none before the draw.
    pub beacon: Option<String>,
    /// The seed in hexadecimal, once it is revealed.
    pub seed: Option<String>,
    /// Places below it have been called. A text, because it doesn't fit a double.
    pub serving: String,
    /// About how many joined the draw.
    pub joined: i64,
    /// About how many still wait.
    pub waiting: i64,
    /// About how many are called per minute at present.
    pub per_minute: f64,
}

/// What is left of a price level.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LevelLeft)]
pub struct LevelView {
    /// Its code.
    pub level: String,
    /// Its name.
    pub name: String,
    /// Free places.
    pub free: u32,
    /// The lowest price of a place, fees and taxes included, in minor units.
    pub from: Option<i64>,
    /// The highest.
    pub to: Option<i64>,
    /// Of these amounts.
    pub currency: String,
}

/// How a lane moves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// About how many still wait.
    pub waiting: f64,
    /// People called per second.
    pub per_s: f64,
}

/// What everybody is told, and what a poll needs to know besides.
pub struct Board {
    /// The room it was written from: whoever decides looks at the room itself, which is newer.
    pub room: Arc<Room>,
    /// By the room's lanes.
    pub paces: Vec<Pace>,
    /// Enough for about so many more.
    pub enough_for: Option<u32>,
    /// Nothing is free.
    pub sold_out: bool,
    /// What is left, by price level.
    pub levels: Vec<LevelView>,
    /// A [`RoomView`] as JSON.
    pub body: Bytes,
    /// Of the body.
    pub etag: String,
    /// When it was written.
    pub written: Instant,
}

/// About how many people are before a place, of those in its lane.
#[must_use]
pub fn ahead(lane: &Lane, place: i64) -> f64 {
    let drawn = |from: i64, to: i64| (to - from).max(0) as f64 / DRAWN as f64 * lane.joined as f64;
    if place < DRAWN {
        drawn(lane.serving, place)
    } else {
        drawn(lane.serving, DRAWN) + (place - lane.serving.max(DRAWN)).max(0) as f64
    }
}

/// How a lane moves, measured from its calls.
#[must_use]
pub fn pace(room: &Room, lane: &Lane, now_ms: i64) -> Pace {
    let waiting = ahead(lane, lane.numbered.max(DRAWN));
    let since = now_ms - SPEED_OVER_MS;
    let first = lane.calls.iter().find(|call| call.at_ms >= since);
    let measured = first.and_then(|first| {
        let took = now_ms - first.at_ms;
        (took >= SPEED_FROM_MS)
            .then(|| (lane.called - first.called).max(0.0) * 1_000.0 / took as f64)
    });
    let shares: i32 = room.lanes.iter().map(|lane| lane.share).sum();
    let planned =
        f64::from(room.per_minute) / 60.0 * f64::from(lane.share) / f64::from(shares.max(1));
    let per_s = match measured {
        Some(measured) => measured,
        None if room.state == RoomState::Open => planned,
        None => 0.0,
    };
    Pace { waiting, per_s }
}

/// How many people would still find places: what is free and what will come back, over what
/// one takes.
fn enough_for((free, held): (u32, u32)) -> u32 {
    ((f64::from(free) + f64::from(held) * COME_BACK) / PLACES_EACH) as u32
}

/// Places that are free to the public, and places that are held but not claimed.
#[must_use]
pub fn stock(listing: &Listing, snapshot: &Snapshot) -> (u32, u32) {
    let (mut free, mut taken) = (0_u32, 0_u32);
    for place in &listing.places {
        if bit(&snapshot.taken, place.number) {
            taken += 1;
        } else if !bit(&snapshot.blocked, place.number) {
            free += 1;
        }
    }
    let bought = u32::try_from(snapshot.claimed + snapshot.sold).unwrap_or(0);
    (free, taken.saturating_sub(bought))
}

/// The boards of this process.
#[derive(Default)]
pub struct Boards {
    boards: DashMap<EventId, Arc<Board>>,
    writing: DashMap<EventId, Arc<tokio::sync::Mutex<()>>>,
}

impl Boards {
    /// The board of an event's waiting room; `None` if it has none.
    ///
    /// # Errors
    /// If there is none yet and Postgres fails.
    pub async fn get(&self, app: &App, event: EventId) -> Result<Option<Arc<Board>>, Problem> {
        let good = |board: &Board| board.written.elapsed() < TOO_OLD;
        if let Some(known) = self.boards.get(&event).filter(|board| good(board)) {
            return Ok(Some(known.clone()));
        }
        // Boxed: every poll would have the room for it.
        Box::pin(self.get_written(app, event)).await
    }

    async fn get_written(&self, app: &App, event: EventId) -> Result<Option<Arc<Board>>, Problem> {
        let good = |board: &Board| board.written.elapsed() < TOO_OLD;
        // Many ask at once: one writes it.
        let writing = self.writing.entry(event).or_default().clone();
        let _turn = writing.lock().await;
        if let Some(known) = self.boards.get(&event).filter(|board| good(board)) {
            return Ok(Some(known.clone()));
        }
        let Some(room) = app.rooms.get(event).await? else { return Ok(None) };
        let board = Arc::new(Board::write(app, room).await?);
        self.boards.insert(event, board.clone());
        Ok(Some(board))
    }

    /// Writes the board of an event's waiting room now, from what this process knows.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn refresh(&self, app: &App, event: EventId) -> Result<(), Problem> {
        if let Some(room) = app.rooms.known(event) {
            self.boards.insert(event, Arc::new(Board::write(app, room).await?));
        }
        Ok(())
    }
}

/// Writes the boards of all rooms anew until stopped, so that no poll waits for one.
pub async fn follow(app: Arc<App>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(BOARD_EVERY) => {}
        }
        let all = app.rooms.all();
        app.boards.boards.retain(|event, _| all.contains(event));
        for event in all {
            if let Err(problem) = app.boards.refresh(&app, event).await {
                tracing::debug!(%event, ?problem, "a board can't be written");
            }
        }
    }
}

impl Board {
    /// Writes the board as of now.
    ///
    /// # Errors
    /// If the event's catalog can't be read. Without Redis it says nothing of what is left.
    pub async fn write(app: &App, room: Arc<Room>) -> Result<Self, Problem> {
        let sale = app.catalog.sale(room.event).await?;
        let sale = sale.ok_or_else(|| Problem::new(Code::NotFound))?;
        let snapshot = match app.built(sale.clone()).await {
            Ok(sale) if sale.listing.event.status == EventStatus::OnSale => {
                app.availability.snapshot(app, &sale).await.ok()
            }
            _ => None,
        };
        let now_ms = app.rooms.now_ms();
        let paces: Vec<_> = room.lanes.iter().map(|lane| pace(&room, lane, now_ms)).collect();
        let stock = snapshot.as_ref().map(|now| stock(&sale.listing, now));
        let enough_for = stock.map(enough_for);
        let sold_out = stock.is_some_and(|(free, _)| free == 0);
        let view = RoomView {
            event: room.event,
            state: room.state,
            joining: room.joining,
            message: room.message.clone(),
            proof: room.proof,
            server_time: Timestamp::from_millisecond(now_ms).unwrap_or_default(),
            lanes: room
                .lanes
                .iter()
                .zip(&paces)
                .map(|(lane, pace)| lane_view(&room, lane, *pace, now_ms))
                .collect(),
            levels: levels(&sale, snapshot.as_deref()),
            enough_for,
            sold_out,
        };
        let levels = view.levels.clone();
        let body = Bytes::from(serde_json::to_vec(&view).map_err(Problem::internal)?);
        let etag = format!("\"{now_ms}\"");
        Ok(Self { room, paces, enough_for, sold_out, levels, body, etag, written: Instant::now() })
    }
}

fn lane_view(room: &Room, lane: &Lane, pace: Pace, now_ms: i64) -> LaneView {
    LaneView {
        lane: lane.number,
        code: lane.code.clone(),
        name: lane.name.clone(),
        kind: lane.kind,
        needs_code: lane.access_code.is_some(),
        needs_grant: lane.code_set.is_some(),
        phase: room.phase(lane, now_ms),
        joins_at: lane.joins_at,
        draw_at: lane.draw_at,
        opens_at: lane.opens_at,
        closes_at: lane.closes_at,
        seed_hash: hex::encode(lane.draw.seed_hash()),
        beacon_name: lane.draw.beacon_name.clone(),
        beacon: lane.draw.beacon.clone(),
        seed: lane.draw.revealed().map(hex::encode),
        serving: lane.serving.to_string(),
        joined: lane.joined,
        waiting: pace.waiting as i64,
        per_minute: (pace.per_s * 600.0).round() / 10.0,
    }
}

fn levels(sale: &Sale, snapshot: Option<&Snapshot>) -> Vec<LevelView> {
    let listing = &sale.listing;
    let mut free = std::collections::HashMap::<i16, u32>::new();
    if let Some(snapshot) = snapshot {
        for place in listing.places.iter().filter(|place| snapshot.is_free(place.number)) {
            *free.entry(place.level).or_default() += 1;
        }
    }
    let view = |level: &crate::catalog::Level| {
        let offers = listing
            .offers
            .iter()
            .filter(|offer| offer.active && offer.channel == PUBLIC && offer.level == level.number);
        let prices = offers.flat_map(|offer| {
            offer.tiers.iter().map(|tier| {
                let unit = offer.unit_price(tier, None);
                unit.price + unit.fee
            })
        });
        let prices: Vec<i64> = prices.collect();
        LevelView {
            level: level.code.clone(),
            name: level.name.clone(),
            free: free.get(&level.number).copied().unwrap_or(0),
            from: prices.iter().min().copied(),
            to: prices.iter().max().copied(),
            currency: listing.event.currency.code().to_owned(),
        }
    };
    listing.levels.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting_room::Call;
    use crate::waiting_room::tests::room;

    #[test]
    fn people_ahead_are_a_share_of_the_draw_and_then_numbers() {
        let mut lane = room().lanes.remove(0);
        lane.joined = 1_000;
        assert_eq!(ahead(&lane, DRAWN / 2), 500.0);
        assert_eq!(ahead(&lane, DRAWN + 7), 1_007.0);
        lane.serving = DRAWN / 4;
        assert_eq!(ahead(&lane, DRAWN / 2), 250.0);
        assert_eq!(ahead(&lane, DRAWN / 8), 0.0);
        lane.serving = DRAWN + 3;
        assert_eq!(ahead(&lane, DRAWN + 7), 4.0);
    }

    #[test]
    fn the_pace_is_what_was_measured_and_at_first_what_is_planned() {
        let mut room = room();
        room.lanes[0].joined = 100;
        assert_eq!(pace(&room, &room.lanes[0], 1_000_000).per_s, 1.0);
        let call = |at_ms, called| Call { place: at_ms, at_ms, called };
        room.lanes[0].calls = Arc::new(vec![call(1_000, 10.0), call(990_000, 50.0)]);
        room.lanes[0].called = 80.0;
        assert_eq!(pace(&room, &room.lanes[0], 1_000_000).per_s, 3.0);
    }
}
