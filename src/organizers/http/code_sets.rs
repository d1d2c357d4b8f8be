//! Code sets: what access codes open, when and for whom.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PAGE, cut, tagged};
use crate::access::http::{Opened, opened_by};
use crate::access::store::{self, SetRow};
use crate::access::{Binding, MAX_CODES};
use crate::app::App;
use crate::catalog::edit::Edit;
use crate::http::extract::{Body, IdempotencyKey, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{EventId, OfferId};
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};
use crate::organizers::rules;

/// Most code sets of an event, revoked ones included.
const MAX_SETS: usize = 200;

/// A code set to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeSetRequest {
    /// Its name; who redeems a code sees it.
    #[schema(example = "Fan club presale")]
    pub name: String,
    /// From when grants count (RFC 3339); codes can be redeemed before.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// Until when grants count and codes can be redeemed.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Accounts that may redeem one code: 1 if left out, any number if null.
    #[serde(default = "once")]
    pub max_uses: Option<i32>,
    /// Whose its codes are; `bearer` if left out.
    #[serde(default = "bearer")]
    pub binding: Binding,
    /// Offers that need a grant of this set from now on.
    #[serde(default)]
    pub offers: Vec<OfferId>,
    /// Codes of lanes of the waiting room that need one from now on.
    #[serde(default)]
    pub lanes: Vec<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be null")]
const fn once() -> Option<i32> {
    Some(1)
}

const fn bearer() -> Binding {
    Binding::Bearer
}

/// A code set.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CodeSetView {
    /// Its id: what an offer or a lane names as its `code_set`.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// From when grants count.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Accounts that may redeem one code; null is any number.
    pub max_uses: Option<i32>,
    /// Whose its codes are.
    pub binding: Binding,
    /// What needs a grant of it.
    pub opens: Vec<Opened>,
    /// How many codes it has.
    pub codes: i32,
    /// How often they were redeemed, each account counted once per code.
    pub redeemed: i64,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of code sets.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CodeSetPage {
    /// In the order of their creation.
    pub code_sets: Vec<CodeSetView>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

/// Where a page of code sets begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CodeSetQuery {
    /// The `next` of the page before.
    pub cursor: Option<Uuid>,
}

/// A code set of this event.
///
/// # Errors
/// `not_found`, or Postgres fails.
pub async fn find(app: &App, event: EventId, set: Uuid) -> Result<SetRow, Problem> {
    let found = store::sets(&app.pg, event, Some(set), None, 1).await?;
    found.into_iter().next().ok_or_else(|| Problem::new(Code::NotFound))
}

async fn views(app: &App, event: EventId, rows: Vec<SetRow>) -> Result<Vec<CodeSetView>, Problem> {
    let sale = app.find_sale(&event.to_string()).await?;
    app.rooms.refresh(&[event]).await?;
    let room = app.rooms.known(event);
    let view = |row: SetRow| CodeSetView {
        opens: opened_by(&sale.listing, room.as_deref(), row.id),
        id: row.id,
        name: row.name,
        starts_at: row.starts_at,
        ends_at: row.ends_at,
        max_uses: row.max_uses,
        binding: row.binding,
        codes: row.codes,
        redeemed: row.redeemed,
        revoked_at: row.revoked_at,
        created_at: row.created_at,
    };
    Ok(rows.into_iter().map(view).collect())
}

async fn view(app: &App, event: EventId, set: Uuid) -> Result<Json<CodeSetView>, Problem> {
    let found = find(app, event, set).await?;
    let view = views(app, event, vec![found]).await?.pop();
    view.map(Json).ok_or_else(|| Problem::new(Code::NotFound))
}

fn checked(request: &CodeSetRequest, id: Uuid) -> Result<SetRow, Problem> {
    if let Some(most) = request.max_uses {
        rules::within("/max_uses", most, &(1..=MAX_CODES))?;
    }
    if let (Some(from), Some(until)) = (request.starts_at, request.ends_at)
        && from >= until
    {
        return Err(Problem::field("/ends_at", "must be after starts_at"));
    }
    Ok(SetRow {
        id,
        name: rules::line("/name", &request.name, rules::MAX_NAME_CHARS)?,
        starts_at: request.starts_at,
        ends_at: request.ends_at,
        max_uses: request.max_uses,
        binding: request.binding,
        codes: 0,
        redeemed: 0,
        revoked_at: None,
        created_at: Timestamp::UNIX_EPOCH,
    })
}

/// Makes a code set, and closes what it opens to everybody else.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/code-sets", tag = "organizer",
    operation_id = "createCodeSet",
    security(("organizer" = [])), request_body = CodeSetRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made", body = CodeSetView),
        (status = 200, description = "Made before, with the same key; as it is now",
            body = CodeSetView),
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
    Body(request): Body<CodeSetRequest>,
) -> Result<(StatusCode, Json<CodeSetView>), Problem> {
    let event = own.event();
    let route = format!("events/{event}/code-sets");
    let creation = Creation::new(own.organizer, &route, &key, &request);
    let mut edit = Edit::begin_alive(&app, event).await?;
    let id = match creation.begin(edit.pg()).await? {
        Begun::Again(id) => return Ok((StatusCode::OK, view(&app, event, id).await?)),
        Begun::New(id) => id,
    };
    let set = checked(&request, id)?;
    if edit.listing().code_sets.len() >= MAX_SETS {
        return Err(Problem::new(Code::Invalid).detail(format!("an event has {MAX_SETS} sets")));
    }
    store::add_set(edit.pg(), event, &set).await?;
    for (at, offer) in request.offers.iter().enumerate() {
        if edit.listing().offer(*offer).is_none() {
            return Err(Problem::field(&format!("/offers/{at}"), "not an offer of this event"));
        }
        store::close_offer(edit.pg(), *offer, id).await?;
    }
    for (at, lane) in request.lanes.iter().enumerate() {
        if !store::close_lane(edit.pg(), event, lane, id).await? {
            let why = "not a lane of its waiting room";
            return Err(Problem::field(&format!("/lanes/{at}"), why));
        }
    }
    edit.commit(&app).await?;
    Ok((StatusCode::CREATED, view(&app, event, id).await?))
}

/// The event's code sets, and how often their codes were redeemed.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/code-sets", tag = "organizer",
    operation_id = "listCodeSets",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), CodeSetQuery),
    responses((status = 200, description = "A page", body = CodeSetPage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Query(query): Query<CodeSetQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let event = own.event();
    let most = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut rows = store::sets(&app.pg, event, None, query.cursor, most).await?;
    let next = cut(&mut rows, |row| row.id);
    tagged(&headers, &CodeSetPage { code_sets: views(&app, event, rows).await?, next })
}

/// Revokes a code set for good: none of its codes can be redeemed, and no grant of it counts, in
/// every process within a second. What is held or bought already stays so.
#[utoipa::path(
    delete, path = "/v1/organizer/events/{event}/code-sets/{set}", tag = "organizer",
    operation_id = "revokeCodeSet",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), ("set" = Uuid, Path, description = "The set's id")),
    responses((status = 200, description = "Revoked, now or before", body = CodeSetView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such code set of yours", body = ProblemBody))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, set)): Path<(String, Uuid)>,
) -> Result<Json<CodeSetView>, Problem> {
    let event = own.event();
    let mut edit = Edit::begin(&app, event).await?;
    if store::revoke_set(edit.pg(), event, set).await? {
        edit.commit(&app).await?;
        tracing::info!(%event, %set, "a code set was revoked");
    }
    view(&app, event, set).await
}
