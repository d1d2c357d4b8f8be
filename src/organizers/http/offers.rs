//! Offers: what can be bought, at which prices.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::terms::{OwnOfferView, TierTerms};
use crate::app::App;
use crate::catalog::edit::Edit;
use crate::catalog::edit::offers::{self as edit, OfferSubject};
use crate::catalog::edit::terms::OfferTerms;
use crate::catalog::{Listing, Tier};
use crate::http::extract::{Body, IdempotencyKey, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::OfferId;
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};
use crate::organizers::rules::{self, Patch};

/// Most places per order unless an offer says otherwise.
const MAX_PER_ORDER: i32 = 10;

/// An offer to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferRequest {
    /// Its name.
    #[schema(example = "Adult")]
    pub name: String,
    /// The code of the level whose places it sells, for good.
    pub level: String,
    /// The code of the price type, for good.
    pub price_type: String,
    /// The code of the channel, for good; `public` if left out.
    #[serde(default)]
    pub channel: Option<String>,
    /// Fee per unit in minor units.
    #[serde(default)]
    pub fee_fixed: i64,
    /// Fee in basis points of the price.
    #[serde(default)]
    pub fee_bp: i32,
    /// Tax contained in price and fee, in basis points.
    #[serde(default)]
    pub tax_bp: i32,
    /// When it begins to sell (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// When it ends (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Needed to buy it.
    #[serde(default)]
    pub access_code: Option<String>,
    /// The id of a code set of this event: a grant of it is needed to buy.
    #[serde(default)]
    pub code_set: Option<Uuid>,
    /// Most places sold through it.
    #[serde(default)]
    pub quota: Option<i32>,
    /// Fewest places per order; 1 if left out.
    #[serde(default)]
    pub min_per_order: Option<i32>,
    /// Most places per order; 10 if left out.
    #[serde(default)]
    pub max_per_order: Option<i32>,
    /// Places per order are a multiple of this; 1 if left out.
    #[serde(default)]
    pub multiple_of: Option<i32>,
    /// Places that one price buys; 1 if left out.
    #[serde(default)]
    pub package_size: Option<i32>,
    /// Whether it is offered; yes if left out.
    #[serde(default)]
    pub active: Option<bool>,
    /// Its prices: the first tier that has not ended counts. Each but the last has an end.
    pub tiers: Vec<TierTerms>,
}

/// What is to be changed of an offer; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferChange {
    /// Its name.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// Fee per unit in minor units.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub fee_fixed: Patch<i64>,
    /// Fee in basis points of the price.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub fee_bp: Patch<i32>,
    /// Tax contained in price and fee, in basis points.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub tax_bp: Patch<i32>,
    /// When it begins to sell (RFC 3339); null is at once.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Patch<Option<Timestamp>>,
    /// When it ends (RFC 3339); null is never.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Patch<Option<Timestamp>>,
    /// Needed to buy it; null is nothing.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub access_code: Patch<Option<String>>,
    /// A grant of this code set is needed to buy it; null is none.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub code_set: Patch<Option<Uuid>>,
    /// Most places sold through it; null is no limit.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub quota: Patch<Option<i32>>,
    /// Fewest places per order.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub min_per_order: Patch<i32>,
    /// Most places per order.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub max_per_order: Patch<i32>,
    /// Places per order are a multiple of this.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub multiple_of: Patch<i32>,
    /// Places that one price buys.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub package_size: Patch<i32>,
    /// Whether it is offered.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub active: Patch<bool>,
    /// Its prices, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<TierTerms>>)]
    pub tiers: Patch<Vec<TierTerms>>,
}

/// Reads texts, and checks everything.
fn checked(listing: &Listing, terms: OfferTerms) -> Result<OfferTerms, Problem> {
    if terms.code_set.is_some_and(|set| listing.code_set(set).is_none()) {
        return Err(Problem::field("/code_set", "not a code set of this event"));
    }
    let name = rules::line("/name", &terms.name, rules::MAX_NAME_CHARS)?;
    let access_code = terms.access_code.as_deref();
    let access_code =
        access_code.map(|code| rules::typed_code("/access_code", code)).transpose()?;
    let terms = OfferTerms { name, access_code, ..terms };
    terms.check()?;
    Ok(terms)
}

fn tiers(given: Vec<TierTerms>) -> Result<Vec<Tier>, Problem> {
    let read = |(at, tier): (usize, TierTerms)| {
        let TierTerms { name, price, until_count, until } = tier;
        let name = if name.trim().is_empty() {
            String::new()
        } else {
            rules::line(&format!("/tiers/{at}/name"), &name, rules::MAX_NAME_CHARS)?
        };
        Ok(Tier { name, price, until_count, until })
    };
    given.into_iter().take(rules::MAX_TIERS + 1).enumerate().map(read).collect()
}

/// What the codes of a request name.
fn subject(listing: &Listing, request: &OfferRequest) -> Result<OfferSubject, Problem> {
    let unknown = |at: &str| Problem::field(at, "this event has no such code");
    let level = listing.levels.iter().find(|known| known.code == request.level);
    let price_type = listing.price_types.iter().find(|known| known.code == request.price_type);
    let channel = match &request.channel {
        Some(code) => listing.channels.iter().find(|known| known.code == *code),
        None => listing.channels.first(),
    };
    Ok(OfferSubject {
        level: level.ok_or_else(|| unknown("/level"))?.number,
        price_type: price_type.ok_or_else(|| unknown("/price_type"))?.number,
        channel: channel.ok_or_else(|| unknown("/channel"))?.number,
    })
}

/// Adds an offer: a price level for a price type.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/offers", tag = "organizer",
    operation_id = "createOffer",
    security(("organizer" = [])), request_body = OfferRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made", body = OwnOfferView),
        (status = 200, description = "Made before, with the same key; as it is now",
            body = OwnOfferView),
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
    Body(request): Body<OfferRequest>,
) -> Result<(StatusCode, Json<OwnOfferView>), Problem> {
    let route = format!("events/{}/offers", own.event());
    let creation = Creation::new(own.organizer, &route, &key, &request);
    let mut event = Edit::begin_alive(&app, own.event()).await?;
    let id = match creation.begin(event.pg()).await? {
        Begun::Again(id) => return Ok((StatusCode::OK, view(event.listing(), OfferId(id))?)),
        Begun::New(id) => OfferId(id),
    };
    let subject = subject(event.listing(), &request)?;
    let terms = OfferTerms {
        name: request.name,
        fee_fixed: request.fee_fixed,
        fee_bp: request.fee_bp,
        tax_bp: request.tax_bp,
        starts_at: request.starts_at,
        ends_at: request.ends_at,
        access_code: request.access_code,
        code_set: request.code_set,
        quota: request.quota,
        min_per_order: request.min_per_order.unwrap_or(1),
        max_per_order: request.max_per_order.unwrap_or(MAX_PER_ORDER),
        multiple_of: request.multiple_of.unwrap_or(1),
        package_size: request.package_size.unwrap_or(1),
        active: request.active.unwrap_or(true),
        tiers: tiers(request.tiers)?,
    };
    let terms = checked(event.listing(), terms)?;
    edit::add(&mut event, id, subject, &terms).await?;
    let sale = event.commit(&app).await?;
    Ok((StatusCode::CREATED, view(&sale.listing, id)?))
}

fn view(listing: &Listing, id: OfferId) -> Result<Json<OwnOfferView>, Problem> {
    // An import into a draft takes its offers away, also one that was made with this key.
    let offer = listing.offer(id).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(Json(OwnOfferView::new(listing, offer)))
}

/// Changes an offer. Holds keep the prices that they locked.
///
/// A quota below what is held and sold is refused (`quota_reached`, with the `least` that is
/// possible). To stop an offer, make it inactive: holds that exist may finish.
#[utoipa::path(
    patch, path = "/v1/organizer/events/{event}/offers/{offer}", tag = "organizer",
    operation_id = "updateOffer",
    security(("organizer" = [])), request_body = OfferChange,
    params(("event" = String, Path, description = "Id or slug"),
           ("offer" = OfferId, Path, description = "The offer's id")),
    responses((status = 200, description = "The offer as it is now", body = OwnOfferView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such offer of yours", body = ProblemBody),
        (status = 409, description = "`quota_reached`, `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`rebuilding`: repeat", body = ProblemBody))
)]
pub async fn update(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, id)): Path<(String, OfferId)>,
    Body(change): Body<OfferChange>,
) -> Result<Json<OwnOfferView>, Problem> {
    let mut event = Edit::begin_alive(&app, own.event()).await?;
    let sale = event.sale.clone();
    let offer = sale.listing.offer(id).ok_or_else(|| Problem::new(Code::NotFound))?;
    let mut terms = OfferTerms::from(offer);
    change.name.apply(&mut terms.name);
    change.fee_fixed.apply(&mut terms.fee_fixed);
    change.fee_bp.apply(&mut terms.fee_bp);
    change.tax_bp.apply(&mut terms.tax_bp);
    change.starts_at.apply(&mut terms.starts_at);
    change.ends_at.apply(&mut terms.ends_at);
    change.access_code.apply(&mut terms.access_code);
    change.code_set.apply(&mut terms.code_set);
    change.quota.apply(&mut terms.quota);
    change.min_per_order.apply(&mut terms.min_per_order);
    change.max_per_order.apply(&mut terms.max_per_order);
    change.multiple_of.apply(&mut terms.multiple_of);
    change.package_size.apply(&mut terms.package_size);
    change.active.apply(&mut terms.active);
    if let Patch::To(given) = change.tiers {
        terms.tiers = tiers(given)?;
    }
    let terms = checked(&sale.listing, terms)?;
    edit::update(&app, &mut event, offer, &terms).await?;
    let sale = event.commit(&app).await?;
    view(&sale.listing, id)
}
