//! Comp orders: places given away, by the same protocol as every order.
//!
//! They go through a hidden channel with an offer of price 0 for every level, which opens with a
//! code that only the organizer sees. So they need no way of their own past the hold script, the
//! claim or the settlement.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::orders::OwnOrderView;
use crate::accounts::http::address;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::edit::Edit;
use crate::catalog::edit::kinds;
use crate::catalog::edit::offers::{self, OfferSubject};
use crate::catalog::edit::terms::OfferTerms;
use crate::catalog::{Listing, Offer, Tier};
use crate::checkout::{self, CheckoutRequest};
use crate::holds::MAX_PLACES;
use crate::holds::http::{Terms, hold_with};
use crate::holds::plan::{Wish, WishLine};
use crate::holds::redis::{self as grips, Letting};
use crate::http::extract::{Body, IdempotencyKey};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId, OfferId};
use crate::orders::{self, Order};
use crate::organizers::creations::Creation;
use crate::organizers::permit::{Comps, Own};
use crate::organizers::rules;

/// The code of the channel and of the price type.
const CODE: &str = "comp";
/// Their name, and that of the offers.
const NAME: &str = "Complimentary";
/// Random bytes of the code that opens the offers.
const SECRET_BYTES: usize = 16;

/// Places to be given away: exactly one of `places`, `best` and `area`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompRequest {
    /// These seats, by number (see the manifest).
    #[serde(default)]
    pub places: Option<Vec<i32>>,
    /// The best so many neighbours of `level`.
    #[serde(default)]
    pub best: Option<u32>,
    /// With `best`: the level's code.
    #[serde(default)]
    pub level: Option<String>,
    /// Units of the area with this code.
    #[serde(default)]
    pub area: Option<String>,
    /// With `area`: how many.
    #[serde(default)]
    pub quantity: Option<u32>,
    /// Where the tickets go.
    pub email: String,
    /// The guest's name.
    #[serde(default)]
    pub name: Option<String>,
}

/// Gives places away: an order of total 0, paid at once, with tickets.
///
/// Limits per e-mail address count as for every order. The event must be on sale.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/comps", tag = "organizer",
    operation_id = "createComp",
    security(("organizer" = [])), request_body = CompRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "The order", body = OwnOrderView),
        (status = 200, description = "Made before, with the same key; as it is now",
            body = OwnOrderView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `comps`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`places_taken`, `none_left`, `orphan_seat`, \
            `account_limit`, `not_on_sale`, `claim_lost`, `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`, `frozen`: repeat",
            body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    own: Own<Comps>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<CompRequest>,
) -> Result<(StatusCode, Json<OwnOrderView>), Problem> {
    let route = format!("events/{}/comps", own.event());
    let creation = Creation::new(own.organizer, &route, &key, &request);
    // An account for each: limits per buyer are not the organizer's, and a repeat finds it again.
    let account = Creation::account(own.organizer, &route, &key);
    address(&request.email)?;
    if let Some(name) = &request.name {
        rules::line("/name", name, rules::MAX_NAME_CHARS)?;
    }
    creation.note_done(&app.pg).await?;
    if let Some(order) = made(&app, own.event(), account).await? {
        let view = OwnOrderView::whole(&app, &own.sale.listing, &order).await?;
        return Ok((StatusCode::OK, Json(view)));
    }
    let sale = ensure_offers(&app, own.event()).await?;
    let task = {
        let (app, sale) = (app.clone(), sale.clone());
        app.tasks.clone().spawn(async move { give(&app, sale, account, &key, request).await })
    };
    let order = task.await.map_err(Problem::internal)??;
    let view = OwnOrderView::whole(&app, &sale.listing, &order).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// The order that this request made before.
async fn made(app: &App, event: EventId, account: AccountId) -> Result<Option<Order>, Problem> {
    Ok(orders::store::of_account(&app.pg, event, account).await?.pop())
}

/// Holds and checks out.
async fn give(
    app: &Arc<App>,
    sale: Arc<Sale>,
    account: AccountId,
    key: &str,
    request: CompRequest,
) -> Result<Order, Problem> {
    let sale = app.built(sale).await?;
    let wish = wish(&sale.listing, &request)?;
    let terms = Terms::default();
    let (_, Json(held)) = hold_with(app, sale.clone(), account, key, &wish, terms).await?;
    // A hold's id names its epoch: after a rebuild the same request holds anew. Whatever was
    // claimed in an earlier epoch is visible by now.
    let sale = app.catalog.refresh(held.event).await?.unwrap_or(sale);
    if let Some(order) = made(app, held.event, account).await?
        && order.id != held.id.order()
    {
        grips::release(&app.redis, &sale, held.id, Letting::Buyer(account)).await?;
        return Ok(order);
    }
    let checkout = CheckoutRequest {
        email: Some(request.email),
        name: request.name,
        locale: None,
        accept_equivalent: false,
        attendees: Vec::new(),
        terms_accepted: None,
    };
    let done = checkout::checkout(app.clone(), sale, held.id, account, checkout).await?;
    Ok(done.order)
}

/// The request as every buyer would make it.
fn wish(listing: &Listing, request: &CompRequest) -> Result<Wish, Problem> {
    let offer = |level: i16| {
        let found = free_offer(listing, level).ok_or_else(|| Problem::new(Code::Rebuilding))?;
        Ok::<_, Problem>(found.id)
    };
    let lines = match (&request.places, request.best, &request.area) {
        (Some(places), None, None) => {
            if places.is_empty() || places.len() > MAX_PLACES {
                return Err(Problem::field(
                    "/places",
                    format!("must name 1 to {MAX_PLACES} places"),
                ));
            }
            let mut by_level: Vec<(i16, Vec<i32>)> = Vec::new();
            for (at, number) in places.iter().enumerate() {
                let missing = || Problem::field(&format!("/places/{at}"), "no place of this event");
                let level = listing.place(*number).ok_or_else(missing)?.level;
                match by_level.iter_mut().find(|(known, _)| *known == level) {
                    Some((_, list)) => list.push(*number),
                    None => by_level.push((level, vec![*number])),
                }
            }
            let lines = by_level.into_iter().map(|(level, places)| {
                Ok(WishLine { places: Some(places), ..WishLine::of(offer(level)?) })
            });
            lines.collect::<Result<Vec<_>, Problem>>()?
        }
        (None, Some(best), None) => {
            let level = listing.levels.iter().find(|l| Some(&l.code) == request.level.as_ref());
            let level = level.ok_or_else(|| Problem::field("/level", "needs a level's code"))?;
            vec![WishLine { best: Some(best), ..WishLine::of(offer(level.number)?) }]
        }
        (None, None, Some(area)) => {
            let section = listing.section_coded(area).filter(|section| section.area);
            let stretch = section.and_then(|section| {
                listing.stretches.iter().find(|stretch| stretch.section == section.number)
            });
            let stretch =
                stretch.ok_or_else(|| Problem::field("/area", "no area of this event"))?;
            let (area, quantity) = (Some(area.clone()), request.quantity);
            vec![WishLine { area, quantity, ..WishLine::of(offer(stretch.level)?) }]
        }
        _ => return Err(Problem::field("/places", "give exactly one of places, best and area")),
    };
    let access_code = lines
        .first()
        .and_then(|line| listing.offer(line.offer))
        .and_then(|offer| offer.access_code.clone());
    Ok(Wish { lines, access_code, ..Wish::default() })
}

/// The offer by which places of a level are given away.
fn free_offer(listing: &Listing, level: i16) -> Option<&Offer> {
    let channel = listing.channels.iter().find(|channel| channel.code == CODE)?.number;
    let price_type = listing.price_types.iter().find(|kind| kind.code == CODE)?.number;
    listing.offers.iter().find(|offer| {
        offer.active
            && (offer.level, offer.channel, offer.price_type) == (level, channel, price_type)
            && offer.access_code.is_some()
            && offer.tiers.iter().all(|tier| tier.price == 0)
    })
}

/// Makes what is missing of the channel, the price type and the offers.
async fn ensure_offers(app: &App, event: EventId) -> Result<Arc<Sale>, Problem> {
    let mut edit = Edit::begin_alive(app, event).await?;
    let sale = edit.sale.clone();
    let listing = &sale.listing;
    let missing: Vec<i16> = listing
        .levels
        .iter()
        .map(|level| level.number)
        .filter(|level| free_offer(listing, *level).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(sale);
    }
    let channel = match listing.channels.iter().find(|channel| channel.code == CODE) {
        Some(known) => known.number,
        None => kinds::add_channel(app, &mut edit, CODE, NAME).await?,
    };
    let price_type = match listing.price_types.iter().find(|kind| kind.code == CODE) {
        Some(known) => known.number,
        None => kinds::add_price_type(&mut edit, CODE, NAME).await?,
    };
    // All of them open with one code, so that an order may have places of several levels.
    let known = listing.levels.iter().find_map(|level| free_offer(listing, level.number));
    let secret = known.and_then(|offer| offer.access_code.clone()).unwrap_or_else(fresh_secret);
    for level in missing {
        let subject = OfferSubject { level, price_type, channel };
        offers::add(&mut edit, OfferId::fresh(), subject, &free_terms(&secret)).await?;
    }
    edit.commit(app).await
}

fn fresh_secret() -> String {
    use rand::Rng;
    let mut secret = [0; SECRET_BYTES];
    rand::rng().fill(&mut secret);
    hex::encode_upper(secret)
}

fn free_terms(secret: &str) -> OfferTerms {
    OfferTerms {
        name: NAME.to_owned(),
        fee_fixed: 0,
        fee_bp: 0,
        tax_bp: 0,
        starts_at: None,
        ends_at: None,
        access_code: Some(secret.to_owned()),
        code_set: None,
        quota: None,
        min_per_order: 1,
        max_per_order: i32::try_from(MAX_PLACES).unwrap_or(i32::MAX),
        multiple_of: 1,
        package_size: 1,
        active: true,
        tiers: vec![Tier { name: String::new(), price: 0, until_count: None, until: None }],
    }
}
