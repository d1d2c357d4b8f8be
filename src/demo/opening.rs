//! The demo's waiting room: each start opens it anew, with a line and a draw of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use crate::app::App;
use crate::catalog::edit::Edit;
use crate::http::problem::Problem;
use crate::ids::EventId;
use crate::waiting_room::draw::{Draw, SEED_BYTES};
use crate::waiting_room::{Lane, Room, RoomState, standard, store};

/// The event with the waiting room.
pub const EVENT: &str = "aurora";
/// Joining the draw takes so long, and then the doors open after a moment, in seconds.
const JOINING_S: i64 = 17;
const OPENS_AFTER_S: i64 = 20;
/// Lanes that the schema has numbers for.
const MAX_LANES: i16 = 31;
/// What is mixed into the draw.
const BEACON_NAME: &str =
    "a random number of 32 bytes, in hexadecimal, that the demo draws when joining has closed";
/// How often the demo looks whether joining has closed.
const BEACON_EVERY: Duration = Duration::from_millis(200);

/// Opens the waiting room: older lines end, a new one can be joined from now on. Its code; none
/// if there have been so many that no more fit.
///
/// # Errors
/// If Postgres fails.
pub async fn open(app: &Arc<App>) -> anyhow::Result<Option<String>> {
    let event = event(app).await?;
    app.rooms.refresh(&[event]).await?;
    let known = app.rooms.known(event);
    let lanes = known.as_ref().map(|room| room.lanes.clone()).unwrap_or_default();
    let number = lanes.iter().map(|lane| lane.number + 1).max().unwrap_or(0);
    if number >= MAX_LANES {
        return Ok(None);
    }
    let lane = lane(event, number)?;
    write(app, event, &room(event), &lanes, Some(&lane)).await.map_err(refused)?;
    tokio::spawn(draw(app.clone(), event, number));
    Ok(Some(lane.code))
}

/// Takes the waiting room away, if there is one: everybody may shop at once.
///
/// # Errors
/// If Postgres fails.
pub async fn lift(app: &Arc<App>) -> anyhow::Result<()> {
    let event = event(app).await?;
    app.rooms.refresh(&[event]).await?;
    let Some(known) = app.rooms.known(event) else { return Ok(()) };
    let room = Room { state: RoomState::Lifted, ..(*known).clone() };
    write(app, event, &room, &[], None).await.map_err(refused)
}

async fn event(app: &App) -> anyhow::Result<EventId> {
    let event = crate::catalog::store::by_slug(&app.pg, EVENT).await?;
    event.with_context(|| format!("the demo's data has no event {EVENT}: start with --fresh"))
}

fn refused(problem: Problem) -> anyhow::Error {
    anyhow::anyhow!("the waiting room can't be changed: {problem:?}")
}

async fn write(
    app: &Arc<App>,
    event: EventId,
    room: &Room,
    old: &[Lane],
    new: Option<&Lane>,
) -> Result<(), Problem> {
    let mut edit = Edit::begin_alive(app, event).await?;
    store::put_room(edit.pg(), room).await?;
    let now = Timestamp::now();
    for lane in old.iter().filter(|lane| lane.closes_at.is_none_or(|at| at > now)) {
        let closed = Lane { closes_at: Some(now), ..lane.clone() };
        // The seed that a lane has stays, whatever is given.
        store::put_lane(edit.pg(), event, &closed, &[0; SEED_BYTES]).await?;
    }
    if let Some(lane) = new {
        let seed: [u8; SEED_BYTES] = rand::rng().random();
        store::put_lane(edit.pg(), event, lane, &seed).await?;
    }
    edit.commit(app).await?;
    app.rooms.refresh(&[event]).await?;
    Ok(())
}

/// A room for about as many people as the demo simulates: who is drawn last waits a minute.
fn room(event: EventId) -> Room {
    Room {
        target_inside: 120,
        per_minute: 270,
        turn_seconds: 60,
        pass_seconds: 600,
        message: "Welcome to the demo. Most people in this line are simulated.".to_owned(),
        ..standard(event)
    }
}

fn lane(event: EventId, number: i16) -> anyhow::Result<Lane> {
    let now = Timestamp::now();
    let after = |seconds| now.checked_add(SignedDuration::from_secs(seconds));
    let evening = number + 1;
    let general = Lane::general(event, now, after(JOINING_S)?, after(OPENS_AFTER_S)?);
    Ok(Lane {
        number,
        code: format!("evening-{evening}"),
        name: format!("Evening {evening}"),
        draw: Draw::new(event, number, [0; SEED_BYTES], BEACON_NAME, None, None),
        ..general
    })
}

/// Makes the draw as soon as joining has closed.
async fn draw(app: Arc<App>, event: EventId, lane: i16) {
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(BEACON_EVERY) => {}
        }
        let Some(room) = app.rooms.known(event) else { continue };
        let Some(known) = room.lane(lane) else { continue };
        if known.draw.is_drawn() {
            return;
        }
        if app.rooms.now_ms() < known.draw_at.as_millisecond() {
            continue;
        }
        // Only now, so that nobody could have known it while one could join.
        let beacon = hex::encode(rand::rng().random::<[u8; 32]>());
        if let Err(error) = store::put_beacon(&app.pg, event, lane, &beacon).await {
            tracing::warn!(%error, "the draw is made in a moment");
        }
    }
}
