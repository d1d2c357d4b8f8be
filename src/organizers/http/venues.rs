//! Venues.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PAGE, cut, tagged};
use crate::app::App;
use crate::catalog::edit::events::{self, NewVenue};
use crate::catalog::http::PageQuery;
use crate::http::extract::{Body, IdempotencyKey, Query};
use crate::http::json::Json;
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::{OrganizerId, VenueId};
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Can, Catalog};
use crate::organizers::rules;

/// A venue to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VenueRequest {
    /// Its name.
    #[schema(example = "Waldbühne")]
    pub name: String,
    /// Its postal address.
    #[schema(example = "Glockenturmstraße 1, 14053 Berlin")]
    pub address: String,
    /// IANA name of its time zone.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
}

/// A venue of an organizer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnVenueView {
    /// Its id.
    pub id: VenueId,
    /// Its name.
    pub name: String,
    /// Its postal address.
    pub address: String,
    /// IANA name of its time zone.
    pub time_zone: String,
}

/// A page of venues.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnVenuePage {
    /// In the order of their creation.
    pub venues: Vec<OwnVenueView>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

/// Makes a venue.
#[utoipa::path(
    post, path = "/v1/organizer/venues", tag = "organizer", security(("organizer" = [])),
    operation_id = "createVenue",
    params(("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    request_body = VenueRequest,
    responses((status = 201, description = "Made", body = OwnVenueView),
        (status = 200, description = "Made before, with the same key", body = OwnVenueView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    can: Can<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<VenueRequest>,
) -> Result<(StatusCode, Json<OwnVenueView>), Problem> {
    let creation = Creation::new(can.organizer, "venues", &key, &request);
    rules::time_zone("/time_zone", &request.time_zone)?;
    let name = rules::line("/name", &request.name, rules::MAX_NAME_CHARS)?;
    let address = rules::line("/address", &request.address, rules::MAX_ADDRESS_CHARS)?;
    let mut tx = app.pg.begin().await?;
    let (status, id) = match creation.begin(&mut tx).await? {
        Begun::Again(id) => (StatusCode::OK, id),
        Begun::New(id) => (StatusCode::CREATED, id),
    };
    let venue = NewVenue {
        id: VenueId(id),
        organizer: can.organizer,
        name,
        address,
        time_zone: request.time_zone,
    };
    if status == StatusCode::CREATED {
        events::create_venue(&mut tx, &venue).await?;
        tx.commit().await?;
    }
    let NewVenue { id, name, address, time_zone, .. } = venue;
    Ok((status, Json(OwnVenueView { id, name, address, time_zone })))
}

/// The organizer's venues.
#[utoipa::path(
    get, path = "/v1/organizer/venues", tag = "organizer", security(("organizer" = [])),
    operation_id = "listVenues",
    params(PageQuery),
    responses((status = 200, description = "A page", body = OwnVenuePage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    can: Can<Catalog>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut venues = page(&app, can.organizer, query.cursor).await?;
    let next = cut(&mut venues, |venue| venue.id.0);
    tagged(&headers, &OwnVenuePage { venues, next })
}

async fn page(
    app: &App,
    organizer: OrganizerId,
    cursor: Option<Uuid>,
) -> sqlx::Result<Vec<OwnVenueView>> {
    sqlx::query_as!(
        OwnVenueView,
        r#"SELECT id AS "id: Uuid", name, address, time_zone FROM venues
           WHERE organizer_id = $1
             AND id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
           ORDER BY id LIMIT $3"#,
        organizer.0,
        cursor,
        i64::try_from(PAGE + 1).unwrap_or(i64::MAX)
    )
    .fetch_all(&app.pg)
    .await
}
