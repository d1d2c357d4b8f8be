//! Promo codes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::terms::OwnPromoView;
use super::{PAGE, cut, tagged};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::edit::Edit;
use crate::catalog::edit::promos::{self as edit, PromoTerms};
use crate::http::extract::{Body, IdempotencyKey, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::EventId;
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};
use crate::organizers::rules::{self, Patch};

/// A promo code to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoRequest {
    /// What buyers type, for good; upper and lower case and spaces don't count.
    #[schema(example = "FANS2026")]
    pub code: String,
    /// Discount in basis points of the price.
    #[serde(default)]
    pub percent_bp: i32,
    /// Discount per unit in minor units.
    #[serde(default)]
    pub amount_off: i64,
    /// Most orders that use it, counted from the hold on.
    #[serde(default)]
    pub max_uses: Option<i32>,
    /// From when it counts (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// Until when (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Whether it counts at all; yes if left out.
    #[serde(default)]
    pub active: Option<bool>,
}

/// What is to be changed of a promo code; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoChange {
    /// Discount in basis points of the price.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub percent_bp: Patch<i32>,
    /// Discount per unit in minor units.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub amount_off: Patch<i64>,
    /// Most orders that use it; null is no limit. A lower one is felt by holds at checkout.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub max_uses: Patch<Option<i32>>,
    /// From when it counts (RFC 3339); null is at once.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Patch<Option<Timestamp>>,
    /// Until when (RFC 3339); null is for ever.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Patch<Option<Timestamp>>,
    /// Whether it counts at all.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub active: Patch<bool>,
}

/// A promo code and its use.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PromoUse {
    /// The code.
    #[serde(flatten)]
    pub promo: OwnPromoView,
    /// Live orders that use it; holds are not counted here.
    pub uses: i32,
}

/// A page of promo codes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PromoPage {
    /// In the order of their creation.
    pub promos: Vec<PromoUse>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i32>,
}

/// Where a page of promo codes begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PromoQuery {
    /// The `next` of the page before.
    pub cursor: Option<i32>,
}

fn view(listing: &Listing, code: &str) -> Result<Json<OwnPromoView>, Problem> {
    let promo = listing.promo(code).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(Json(OwnPromoView::from(promo)))
}

/// Adds a promo code.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/promos", tag = "organizer",
    operation_id = "createPromo",
    security(("organizer" = [])), request_body = PromoRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made", body = OwnPromoView),
        (status = 200, description = "Made before, with the same key; as it is now",
            body = OwnPromoView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`exists`, `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<PromoRequest>,
) -> Result<(StatusCode, Json<OwnPromoView>), Problem> {
    let route = format!("events/{}/promos", own.event());
    let creation = Creation::new(own.organizer, &route, &key, &request);
    let code = rules::typed_code("/code", &request.code)?;
    let terms = PromoTerms {
        percent_bp: request.percent_bp,
        amount_off: request.amount_off,
        max_uses: request.max_uses,
        starts_at: request.starts_at,
        ends_at: request.ends_at,
        active: request.active.unwrap_or(true),
    };
    terms.check()?;
    let mut event = Edit::begin_alive(&app, own.event()).await?;
    let id = match creation.begin(event.pg()).await? {
        Begun::Again(_) => return Ok((StatusCode::OK, view(event.listing(), &code)?)),
        Begun::New(id) => id,
    };
    edit::add(&mut event, id, &code, &terms).await?;
    let sale = event.commit(&app).await?;
    Ok((StatusCode::CREATED, view(&sale.listing, &code)?))
}

/// Changes a promo code. Holds keep the prices that they locked.
#[utoipa::path(
    patch, path = "/v1/organizer/events/{event}/promos/{code}", tag = "organizer",
    operation_id = "updatePromo",
    security(("organizer" = [])), request_body = PromoChange,
    params(("event" = String, Path, description = "Id or slug"),
           ("code" = String, Path, description = "The promo code")),
    responses((status = 200, description = "The promo code as it is now", body = OwnPromoView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such promo code of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: it is cancelled", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn update(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, code)): Path<(String, String)>,
    Body(change): Body<PromoChange>,
) -> Result<Json<OwnPromoView>, Problem> {
    let mut event = Edit::begin_alive(&app, own.event()).await?;
    let sale = event.sale.clone();
    let promo = sale.listing.promo(&code).ok_or_else(|| Problem::new(Code::NotFound))?;
    let mut terms = PromoTerms::from(promo);
    change.percent_bp.apply(&mut terms.percent_bp);
    change.amount_off.apply(&mut terms.amount_off);
    change.max_uses.apply(&mut terms.max_uses);
    change.starts_at.apply(&mut terms.starts_at);
    change.ends_at.apply(&mut terms.ends_at);
    change.active.apply(&mut terms.active);
    terms.check()?;
    edit::update(&mut event, promo.number, &terms).await?;
    let sale = event.commit(&app).await?;
    view(&sale.listing, &code)
}

/// The event's promo codes, and how often they are used.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/promos", tag = "organizer",
    operation_id = "listPromos",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), PromoQuery),
    responses((status = 200, description = "A page", body = PromoPage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Query(query): Query<PromoQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = query.cursor.unwrap_or(i32::MIN);
    let known = own.sale.listing.promos.iter().filter(|promo| promo.number > after);
    let mut shown: Vec<_> = known.take(PAGE + 1).collect();
    let next = cut(&mut shown, |promo| promo.number);
    let numbers: Vec<i32> = shown.iter().map(|promo| promo.number).collect();
    let uses = uses(&app.pg, own.event(), &numbers).await?;
    let promos = shown.into_iter().map(|promo| {
        let uses = uses.iter().find(|(number, _)| *number == promo.number);
        PromoUse { promo: OwnPromoView::from(promo), uses: uses.map_or(0, |(_, uses)| *uses) }
    });
    tagged(&headers, &PromoPage { promos: promos.collect(), next })
}

async fn uses(pg: &PgPool, event: EventId, numbers: &[i32]) -> sqlx::Result<Vec<(i32, i32)>> {
    let rows = sqlx::query!(
        "SELECT promo, uses FROM promo_counts WHERE event_id = $1 AND promo = ANY ($2)",
        event.0,
        numbers
    )
    .fetch_all(pg)
    .await?;
    Ok(rows.into_iter().map(|row| (row.promo, row.uses)).collect())
}
