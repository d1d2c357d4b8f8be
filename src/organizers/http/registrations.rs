//! Presale registrations: made, and their beacons entered.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::catalog::edit::Edit;
use crate::http::extract::{Body, IdempotencyKey, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::EventId;
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own, Sales};
use crate::organizers::rules;
use crate::registrations::http::{RegistrationView, find, view};
use crate::registrations::{MAX_REGISTRATIONS, Registration, lane, store};
use crate::waiting_room::draw::{Draw, MAX_BEACON_CHARS, SEED_BYTES};

/// A registration to be made. Nothing of it can be changed: it is a promise.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRequest {
    /// Its name.
    pub name: String,
    /// Winners get a code of this set, which only they can redeem.
    pub code_set: Uuid,
    /// From when one can register (RFC 3339); at once if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Timestamp>,
    /// Until when one can register.
    #[schema(value_type = String, format = DateTime)]
    pub closes_at: Timestamp,
    /// From when the beacon may be known; `closes_at` if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub draw_at: Option<Timestamp>,
    /// How many win: 1 to 1,000,000.
    pub winners: i32,
    /// The public value that will be mixed into the draw: what it is and where anyone can read
    /// it, such as "drand quicknet, round 12345678".
    pub beacon_name: String,
    /// Its round, if the operator has configured where it can be fetched.
    #[serde(default)]
    pub beacon_round: Option<i64>,
}

/// A beacon's value.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawRequest {
    /// The value, exactly as it was published.
    pub beacon: String,
}

fn checked(
    event: EventId,
    id: Uuid,
    number: i16,
    request: &RegistrationRequest,
    now: Timestamp,
) -> Result<Registration, Problem> {
    rules::within("/winners", request.winners, &(1..=1_000_000))?;
    let beacon_name = rules::line("/beacon_name", &request.beacon_name, MAX_BEACON_CHARS)?;
    let opens_at = request.opens_at.unwrap_or_else(|| now.min(request.closes_at));
    let draw_at = request.draw_at.unwrap_or(request.closes_at);
    if request.closes_at <= now || request.closes_at <= opens_at {
        return Err(Problem::field("/closes_at", "must be in the future, and after opens_at"));
    }
    if draw_at < request.closes_at {
        return Err(Problem::field("/draw_at", "must not be before closes_at"));
    }
    let (round, seed) = (request.beacon_round, [0; SEED_BYTES]);
    Ok(Registration {
        id,
        event,
        number,
        name: rules::line("/name", &request.name, rules::MAX_NAME_CHARS)?,
        code_set: request.code_set,
        opens_at,
        closes_at: request.closes_at,
        draw_at,
        winners: request.winners,
        draw: Draw::new(event, lane(number), seed, &beacon_name, round, None),
        drawn: None,
        done: false,
    })
}

async fn shown(app: &App, event: EventId, id: Uuid) -> Result<Json<RegistrationView>, Problem> {
    view(app, &find(app, event, id).await?).await.map(Json)
}

/// Makes a presale registration. Its seed is made here and the hash published at once; the seed
/// itself is revealed with the beacon.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/registrations", tag = "organizer",
    operation_id = "createRegistration",
    security(("organizer" = [])), request_body = RegistrationRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made; as everybody sees it", body = RegistrationView),
        (status = 200, description = "Made before, with the same key; as it is now",
            body = RegistrationView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: it is cancelled", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<RegistrationRequest>,
) -> Result<(StatusCode, Json<RegistrationView>), Problem> {
    let event = own.event();
    let route = format!("events/{event}/registrations");
    let creation = Creation::new(own.organizer, &route, &key, &request);
    let mut edit = Edit::begin_alive(&app, event).await?;
    let id = match creation.begin(edit.pg()).await? {
        Begun::Again(id) => return Ok((StatusCode::OK, shown(&app, event, id).await?)),
        Begun::New(id) => id,
    };
    let known = store::read(edit.pg(), Some(event), None, false).await?;
    let number = known.last().map_or(0, |last| last.number + 1);
    if number >= MAX_REGISTRATIONS {
        let why = format!("an event has {MAX_REGISTRATIONS} registrations");
        return Err(Problem::new(Code::Invalid).detail(why));
    }
    if edit.listing().code_set(request.code_set).is_none_or(|set| set.revoked) {
        return Err(Problem::field("/code_set", "not a code set of this event"));
    }
    let registration = checked(event, id, number, &request, app.now())?;
    let seed: [u8; SEED_BYTES] = rand::rng().random();
    store::add(edit.pg(), &registration, &seed).await?;
    edit.commit(&app).await?;
    Ok((StatusCode::CREATED, shown(&app, event, id).await?))
}

/// Enters the beacon's value by hand, after registering has ended: places and seed are known from
/// then on, and can't be changed. Winners get their codes within moments.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/registrations/{registration}/beacon",
    operation_id = "putRegistrationBeacon",
    tag = "organizer", security(("organizer" = [])), request_body = DrawRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("registration" = Uuid, Path, description = "The registration's id")),
    responses((status = 200, description = "The registration as everybody sees it",
            body = RegistrationView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such registration of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: it has one, or it is too early",
            body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn beacon(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path((_, id)): Path<(String, Uuid)>,
    Body(request): Body<DrawRequest>,
) -> Result<Json<RegistrationView>, Problem> {
    let event = own.event();
    let registration = find(&app, event, id).await?;
    let beacon = rules::line("/beacon", &request.beacon, MAX_BEACON_CHARS)?;
    if !store::put_beacon(&app.pg, registration.id, &beacon).await? {
        return Err(Problem::new(Code::EventState)
            .detail("it has its beacon, or registering has not ended yet"));
    }
    shown(&app, event, id).await
}
