//! The organizer's side of the waiting room: made, changed, and steered while it is full.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::catalog::edit::Edit;
use crate::http::extract::{Body, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId};
use crate::organizers::permit::{Catalog, Own, Sales};
use crate::organizers::rules;
use crate::waiting_room::board::RoomView;
use crate::waiting_room::draw::{Draw, MAX_BEACON_CHARS, SEED_BYTES};
use crate::waiting_room::http::known;
use crate::waiting_room::{Lane, LaneKind, Missed, Room, RoomState, standard, store};

/// Most lanes of a room.
const MAX_LANES: usize = 8;
/// Longest message to who waits, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// A waiting room as an organizer wants it. What is left out stays as it is, or takes its default.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomRequest {
    /// Shoppers who may be inside at once (500).
    pub target_inside: Option<i32>,
    /// Most admissions per minute (3000).
    pub per_minute: Option<i32>,
    /// How long a turn waits to be taken, in seconds (120).
    pub turn_seconds: Option<i32>,
    /// How long a pass lasts, in seconds (600).
    pub pass_seconds: Option<i32>,
    /// What becomes of who misses a turn (`second_chance`).
    pub missed: Option<Missed>,
    /// Whether anonymous visitors prove work when they join (true).
    pub proof: Option<bool>,
    /// Shown to who waits.
    pub message: Option<String>,
    /// The lanes; needed once. A lane is known by its code, and is never removed.
    #[serde(default)]
    pub lanes: Vec<LaneRequest>,
}

/// A line of its own, with a draw of its own.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneRequest {
    /// Its short name.
    pub code: String,
    /// Its name.
    pub name: String,
    /// For whom it is.
    pub kind: LaneKind,
    /// Who has no such code can't join.
    #[serde(default)]
    pub access_code: Option<String>,
    /// The id of a code set of this event: who has no grant of it can't join.
    #[serde(default)]
    pub code_set: Option<Uuid>,
    /// Of the admissions, while others wait as well (100).
    #[serde(default)]
    pub share: Option<i32>,
    /// When one can join; at once if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub joins_at: Option<Timestamp>,
    /// Until then it doesn't matter when one joins. The beacon must not be known before.
    #[schema(value_type = String, format = DateTime)]
    pub draw_at: Timestamp,
    /// When the first are called.
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Timestamp,
    /// When the last are called.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<Timestamp>,
    /// The public value that will be mixed into the draw: what it is and where anyone can read
    /// it, such as "drand quicknet, round 12345678". Fixed once the lane is made.
    pub beacon_name: String,
    /// Its round, if the operator has configured where it can be fetched.
    #[serde(default)]
    pub beacon_round: Option<i64>,
}

/// What is to happen in a waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Joining the draws ends now, and people are called as soon as the beacons are known.
    OpenNow,
    /// Nobody is called; who is inside may finish.
    Pause,
    /// People are called again.
    Resume,
    /// Nobody joins any more; who is in line is served.
    Drain,
    /// Nobody is called any more.
    Close,
    /// Everybody may shop without waiting.
    Lift,
}

/// A switch of the waiting room.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// What is to happen.
    pub action: Action,
    /// Shown to who waits, from now on.
    #[serde(default)]
    pub message: Option<String>,
}

/// A beacon's value.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeaconRequest {
    /// The lane's code.
    pub lane: String,
    /// The value, exactly as it was published.
    pub beacon: String,
}

/// Makes the event's waiting room, or changes it. From then on holds need a pass.
///
/// Seeds are made here and their hashes published at once; the seed itself is revealed with the
/// beacon.
#[utoipa::path(
    put, path = "/v1/organizer/events/{event}/waiting-room", tag = "organizer",
    operation_id = "putWaitingRoom",
    security(("organizer" = [])), request_body = RoomRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The waiting room as everybody sees it",
            body = RoomView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: a draw that was made can't be moved",
            body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn put(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Body(request): Body<RoomRequest>,
) -> Result<Json<serde_json::Value>, Problem> {
    let event = own.event();
    let mut edit = Edit::begin_alive(&app, event).await?;
    app.rooms.refresh(&[event]).await?;
    let known = app.rooms.known(event);
    let room = merged(known.as_deref(), event, &request)?;
    let lanes = lanes(known.as_deref(), event, &request)?;
    for (at, lane) in lanes.iter().enumerate() {
        if lane.code_set.is_some_and(|set| edit.listing().code_set(set).is_none()) {
            let why = "not a code set of this event";
            return Err(Problem::field(&format!("/lanes/{at}/code_set"), why));
        }
    }
    store::put_room(edit.pg(), &room).await?;
    for lane in &lanes {
        let seed: [u8; SEED_BYTES] = rand::rng().random();
        store::put_lane(edit.pg(), event, lane, &seed).await.map_err(refused)?;
    }
    edit.commit(&app).await?;
    view(&app, event).await
}

fn refused(error: sqlx::Error) -> Problem {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    match constraint {
        Some("waiting_lanes_forward") => {
            Problem::new(Code::EventState).detail("a draw that was made can't be moved")
        }
        Some("waiting_lanes_opens_after_draw") => {
            Problem::field("/lanes", "joins_at, draw_at and opens_at must be in this order")
        }
        _ => error.into(),
    }
}

fn merged(known: Option<&Room>, event: EventId, request: &RoomRequest) -> Result<Room, Problem> {
    let mut room = known.cloned().unwrap_or_else(|| standard(event));
    let numbers = [
        ("/target_inside", request.target_inside, &mut room.target_inside, 1..=1_000_000),
        ("/per_minute", request.per_minute, &mut room.per_minute, 1..=6_000_000),
        ("/turn_seconds", request.turn_seconds, &mut room.turn_seconds, 5..=3_600),
        ("/pass_seconds", request.pass_seconds, &mut room.pass_seconds, 10..=7_200),
    ];
    for (at, given, to, bounds) in numbers {
        if let Some(number) = given {
            rules::within(at, number, &bounds)?;
            *to = number;
        }
    }
    room.missed = request.missed.unwrap_or(room.missed);
    room.proof = request.proof.unwrap_or(room.proof);
    if let Some(message) = &request.message {
        room.message = rules::text("/message", message, MAX_MESSAGE_CHARS)?;
    }
    Ok(room)
}

fn lanes(
    known: Option<&Room>,
    event: EventId,
    request: &RoomRequest,
) -> Result<Vec<Lane>, Problem> {
    let existing = known.map(|room| room.lanes.as_slice()).unwrap_or_default();
    if existing.is_empty() && request.lanes.is_empty() {
        return Err(Problem::field("/lanes", "a waiting room has at least one lane"));
    }
    let mut next = existing.iter().map(|lane| lane.number + 1).max().unwrap_or(0);
    let mut lanes: Vec<Lane> = Vec::new();
    for (at, wanted) in request.lanes.iter().enumerate() {
        if lanes.iter().any(|lane| lane.code == wanted.code) {
            return Err(Problem::field(&format!("/lanes/{at}/code"), "is there twice"));
        }
        let old = existing.iter().find(|lane| lane.code == wanted.code);
        let number = old.map_or(next, |lane| lane.number);
        next += i16::from(old.is_none());
        lanes.push(lane(event, number, wanted, old, at)?);
    }
    if usize::try_from(next).unwrap_or(0) > MAX_LANES {
        return Err(Problem::field("/lanes", format!("at most {MAX_LANES} lanes")));
    }
    Ok(lanes)
}

fn lane(
    event: EventId,
    number: i16,
    wanted: &LaneRequest,
    old: Option<&Lane>,
    at: usize,
) -> Result<Lane, Problem> {
    let pointer = |field: &str| format!("/lanes/{at}/{field}");
    rules::code(&pointer("code"), &wanted.code)?;
    let share = wanted.share.unwrap_or(100);
    rules::within(&pointer("share"), share, &(1..=1_000))?;
    let code = wanted.access_code.as_deref();
    let access_code = match code {
        Some(code) => Some(rules::typed_code(&pointer("access_code"), code)?),
        None => None,
    };
    if wanted.kind == LaneKind::Presale && access_code.is_none() && wanted.code_set.is_none() {
        let why = "a presale lane has one, or a code_set";
        return Err(Problem::field(&pointer("access_code"), why));
    }
    let name = &wanted.beacon_name;
    let beacon_name = rules::line(&pointer("beacon_name"), name, MAX_BEACON_CHARS)?;
    if old.is_some_and(|old| old.draw.beacon_name != beacon_name) {
        let why = "was promised when the lane was made and can't be changed";
        return Err(Problem::field(&pointer("beacon_name"), why));
    }
    let joins_at = wanted.joins_at.or(old.map(|old| old.joins_at));
    let joins_at = joins_at.unwrap_or_else(|| Timestamp::now().min(wanted.draw_at));
    let draw = Draw::new(event, number, [0; SEED_BYTES], &beacon_name, wanted.beacon_round, None);
    Ok(Lane {
        number,
        code: wanted.code.clone(),
        name: rules::line(&pointer("name"), &wanted.name, rules::MAX_NAME_CHARS)?,
        kind: wanted.kind,
        access_code,
        code_set: wanted.code_set,
        share,
        closes_at: wanted.closes_at,
        draw,
        ..Lane::general(event, joins_at, wanted.draw_at, wanted.opens_at)
    })
}

/// The waiting room as everybody sees it, of this moment.
async fn view(app: &App, event: EventId) -> Result<Json<serde_json::Value>, Problem> {
    app.rooms.refresh(&[event]).await?;
    let room = known(app, event)?;
    let board = crate::waiting_room::board::Board::write(app, room).await?;
    serde_json::from_slice(&board.body).map(Json).map_err(Problem::internal)
}

/// Opens, pauses, drains, closes or lifts the waiting room. Every process follows in less than
/// 2 seconds.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/waiting-room/control", tag = "organizer",
    operation_id = "controlWaitingRoom",
    security(("organizer" = [])), request_body = ControlRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The waiting room as everybody sees it",
            body = RoomView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or it has no waiting room",
            body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn control(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Body(request): Body<ControlRequest>,
) -> Result<Json<serde_json::Value>, Problem> {
    let event = own.event();
    let mut edit = Edit::begin(&app, event).await?;
    app.rooms.refresh(&[event]).await?;
    let known = known(&app, event)?;
    let mut room = (*known).clone();
    match request.action {
        Action::OpenNow => {
            room.state = RoomState::Open;
            store::open_now(edit.pg(), event).await?;
        }
        Action::Resume => (room.state, room.joining) = (RoomState::Open, true),
        Action::Pause => room.state = RoomState::Paused,
        Action::Drain => room.joining = false,
        Action::Close => (room.state, room.joining) = (RoomState::Closed, false),
        Action::Lift => room.state = RoomState::Lifted,
    }
    if let Some(message) = &request.message {
        room.message = rules::text("/message", message, MAX_MESSAGE_CHARS)?;
    }
    store::put_room(edit.pg(), &room).await?;
    edit.commit(&app).await?;
    tracing::info!(%event, action = ?request.action, "the waiting room was switched");
    view(&app, event).await
}

/// Enters the beacon's value by hand, after joining the draw has ended: ranks and seed are known
/// from then on, and can't be changed.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/waiting-room/beacon", tag = "organizer",
    operation_id = "putWaitingRoomBeacon",
    security(("organizer" = [])), request_body = BeaconRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The waiting room as everybody sees it",
            body = RoomView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or it has no waiting room",
            body = ProblemBody),
        (status = 409, description = "`event_state`: it has one, or joining has not ended",
            body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn beacon(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Body(request): Body<BeaconRequest>,
) -> Result<Json<serde_json::Value>, Problem> {
    let event = own.event();
    let room = app.rooms.get(event).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let lane = room.lanes.iter().find(|lane| lane.code == request.lane);
    let lane = lane.ok_or_else(|| Problem::field("/lane", "not a lane of this waiting room"))?;
    let beacon = rules::line("/beacon", &request.beacon, MAX_BEACON_CHARS)?;
    if !store::put_beacon(&app.pg, event, lane.number, &beacon).await? {
        return Err(Problem::new(Code::EventState)
            .detail("it has its beacon, or joining the draw has not ended yet"));
    }
    view(&app, event).await
}

/// Ends a shopper's pass. What they hold stays theirs until it ends.
#[utoipa::path(
    delete, path = "/v1/organizer/events/{event}/waiting-room/passes/{account}",
    operation_id = "revokePass",
    tag = "organizer", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("account" = AccountId, Path, description = "Whose")),
    responses((status = 204, description = "It has ended"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or no live pass",
            body = ProblemBody))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path((_, account)): Path<(String, AccountId)>,
) -> Result<StatusCode, Problem> {
    if store::revoke(&app.pg, own.event(), account.0).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Code::NotFound))
}
