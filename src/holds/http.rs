//! Holding places over HTTP.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::availability::{Beginning, Delta, Snapshot, SnapshotBody, Viewer};
use super::plan::{Flaw, Plan, Wish};
use super::record::{self, HeldPlace, PriceSnapshot, Record, Step};
use super::redis::{self as grips, Asker, Extended, Held, Letting, Released};
use crate::access::grant::{Grant, access_of};
use crate::accounts;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{Listing, UnitPrice};
use crate::faults;
use crate::http::around;
use crate::http::examples;
use crate::http::extract::{self, Buyer, IdempotencyKey, Path, Query, Session};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId, HoldId, OfferId};
use crate::suspicion::{self, Lasting, Reason, Traces};
use crate::waiting_room::token::Pass;
use crate::waiting_room::{self, passes};

/// Refusals that say that what a buyer wants isn't there.
const GOT_NOTHING: [Code; 3] = [Code::PlacesTaken, Code::NoneLeft, Code::QuotaReached];
/// Most records that a sweep asked for by a refused hold ends.
const LAZY_SWEEP: usize = 100;

/// A hold.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(example = examples::hold)]
pub struct HoldView {
    /// Its id, which becomes the order's.
    pub id: HoldId,
    /// For which event.
    pub event: EventId,
    /// `held`, or `claiming` once checkout has begun. It stays `claiming` when the order is paid:
    /// from checkout on, read the order, which has the same id.
    pub status: &'static str,
    /// When it ends unless it is extended or checked out (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The server's clock now: count down against this, not against the device's.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
    /// What is held, at locked prices.
    pub lines: Vec<LineView>,
    /// Of all amounts.
    pub currency: String,
    /// What it costs, fees and taxes included, in minor units.
    pub total: i64,
    /// The promo code that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promo_code: Option<String>,
    /// The asked places that were taken, if these are equivalents for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead_of: Vec<i32>,
}

/// Places of one offer at one price.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LineView {
    /// The offer.
    pub offer: Option<OfferId>,
    /// Its name.
    pub name: String,
    /// The class of buyer.
    pub price_type: String,
    /// The name of its tier, if it has several.
    pub tier: String,
    /// How many places.
    pub quantity: usize,
    /// Per place, in minor units.
    pub unit: UnitPrice,
    /// The line's total in minor units.
    pub total: i64,
    /// The places.
    pub places: Vec<PlaceView>,
}

/// A place.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PlaceView {
    /// Its number in the event.
    pub place: i32,
    /// How it is called.
    pub label: String,
    /// The section's code.
    pub section: String,
    /// The row; none in an area.
    pub row: Option<String>,
    /// The seat; none in an area.
    pub seat: Option<String>,
    /// Who it is for; only in orders of events that ask for names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attendee: Option<String>,
}

/// Lines as people and programs read them.
#[must_use]
pub fn line_views(listing: &Listing, lines: &[record::Line]) -> Vec<LineView> {
    let view = |line: &record::Line| {
        let offer = listing.offer_numbered(line.offer);
        let price_type = offer.and_then(|offer| {
            listing.price_types.iter().find(|price_type| price_type.number == offer.price_type)
        });
        let tier = offer
            .and_then(|offer| offer.tiers.get(usize::try_from(line.tier).ok()?))
            .map(|tier| tier.name.clone());
        let places = line.places.iter().filter_map(|number| {
            let attendee = line.name_of(*number).map(str::to_owned);
            Some(PlaceView { attendee, ..place_view(listing, *number)? })
        });
        LineView {
            offer: offer.map(|offer| offer.id),
            name: offer.map(|offer| offer.name.clone()).unwrap_or_default(),
            price_type: price_type.map(|known| known.name.clone()).unwrap_or_default(),
            tier: tier.unwrap_or_default(),
            quantity: line.places.len(),
            unit: UnitPrice {
                price: line.price,
                fee: line.fee,
                tax: line.tax,
                discount: line.discount,
            },
            total: line.total(),
            places: places.collect(),
        }
    };
    lines.iter().map(view).collect()
}

/// A place as people and programs read it.
#[must_use]
pub fn place_view(listing: &Listing, number: i32) -> Option<PlaceView> {
    let place = listing.place(number)?;
    Some(PlaceView {
        place: number,
        label: listing.label(place),
        section: listing.section(place.section).map(|s| s.code.clone()).unwrap_or_default(),
        row: place.row.as_deref().map(str::to_owned),
        seat: place.seat.as_deref().map(str::to_owned),
        attendee: None,
    })
}

impl HoldView {
    /// The view of places held just now. `None` if they have no locked price.
    #[must_use]
    pub fn new(
        listing: &Listing,
        id: HoldId,
        places: &[HeldPlace],
        prices: &PriceSnapshot,
        deadline_ms: i64,
        now_ms: i64,
    ) -> Option<Self> {
        let lines = record::lines(places, prices)?;
        Some(Self {
            id,
            event: listing.event.id,
            status: "held",
            expires_at: Timestamp::from_millisecond(deadline_ms).ok()?,
            server_time: Timestamp::from_millisecond(now_ms).ok()?,
            currency: listing.event.currency.code().to_owned(),
            total: record::total(&lines),
            lines: line_views(listing, &lines),
            promo_code: None,
            instead_of: Vec::new(),
        })
    }

    /// The view of a record. `None` if it is no live hold.
    #[must_use]
    pub fn of_record(listing: &Listing, id: HoldId, record: &Record, now_ms: i64) -> Option<Self> {
        let prices: PriceSnapshot = serde_json::from_str(&record.opaque).ok()?;
        let view = Self::new(listing, id, &record.places, &prices, record.deadline_ms, now_ms)?;
        let status = if record.step == Step::Held { "held" } else { "claiming" };
        Some(Self { status, promo_code: code_of(listing, record.promo), ..view })
    }
}

/// The promo code of this number.
fn code_of(listing: &Listing, number: Option<i32>) -> Option<String> {
    let promo = listing.promos.iter().find(|promo| Some(promo.number) == number);
    promo.map(|promo| promo.code.clone())
}

impl From<Flaw> for Problem {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Invalid { at, why } => Self::field(&at, why),
            Flaw::NotOffered => Self::new(Code::OfferUnavailable),
            Flaw::AccessCode => Self::new(Code::AccessCode),
            Flaw::PromoCode => Self::new(Code::PromoCode),
        }
    }
}

/// Holds places: all of them or none.
///
/// Each line names an offer and exactly one of `places` (numbers from the manifest), `best` (so
/// many neighbours) and `area` with `quantity`.
///
/// Keys are remembered per session and event, at least as long as the hold lives. The same key
/// with the same body finds the same hold while it is held or claiming; once checkout has made it
/// an order the answer is 409 `hold_in_checkout` with `order`: then read `order`. Once it is over
/// the answer is 410 `hold_gone` for 24 hours: choose again with a new key. A refusal leaves
/// nothing behind: its key can be used again, also with another body.
#[utoipa::path(
    post, path = "/v1/events/{event}/holds", tag = "holds",
    operation_id = "createHold",
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters, a \
               new one for each choice"),
           ("Onsale-Pass" = Option<String>, Header,
            description = "The waiting room's pass, where there is one"),
           ("Onsale-Access" = Option<String>, Header,
            description = "Grants for offers that need one"),
           ("Onsale-Device" = Option<String>, Header,
            description = "The `device` of this app's first session")),
    request_body = Wish, security(("session" = [])),
    responses(
        (status = 201, description = "Held", body = HoldView),
        (status = 200, description = "Held before, with the same key", body = HoldView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`access_code`, `pass_needed`, `pass_invalid`, \
            `sign_in_needed`, `blocked`: by the organizer, with `reasons` and `appeal`",
            body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 409, description = "`places_taken`: `places` are no longer free; `none_left`: \
            not so many together for line number `line`, `longest` is the longest run seen; \
            `orphan_seat`: the choice would leave the free seats `places` single, with no free \
            neighbour (only if the event's `orphan_rule` is on and less than 90 % are taken): move \
            it by one seat or take the whole run; `account_limit`: only `left` more for this \
            buyer; `quota_reached`: only `left` more of `offer`; `offer_unavailable`, \
            `promo_code`; `not_on_sale`: its `state`; `hold_in_checkout`: this key's hold is an \
            order, read `order`", body = ProblemBody),
        (status = 410, description = "`hold_gone`: this key's hold is over", body = ProblemBody),
        (status = 422, description = "`invalid`: `errors` say what; `idempotency_mismatch`: this \
            key's hold was made with another body", body = ProblemBody),
        (status = 429, description = "`cooldown`: too many holds ended unpaid; `reasons` names \
            what counts and `appeal` says what helps", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`: repeat with the same key",
            body = ProblemBody),
    )
)]
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    around::step(&app, request, async |mut parts, bytes| {
        let Path(event) = Path::<String>::from_request_parts(&mut parts, &app).await?;
        let session = Session::from_request_parts(&mut parts, &app).await?;
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(&mut parts, &app).await?;
        let mut wish: Wish = extract::json(&parts.headers, &bytes)?;
        let traces = Traces::of(&app, &parts.extensions, &parts.headers);
        let sale = app.built_sale(&event).await?;
        accounts::admit(&sale.listing.event, &session)?;
        let event = sale.listing.event.id;
        let access = access_of(&parts.headers);
        wish.grants = Grant::read(&app.keyring, event, session.account, access);
        let pass = waiting_room::http::pass_of(&parts.headers);
        let held = hold(&app, sale, (session.account, traces), &key, &wish, pass).await?;
        Ok(held.into_response())
    })
    .await
}

/// Holds what is wished for, with a pass where there is a waiting room; see [`create`].
///
/// # Errors
/// The refusal, as a problem.
pub async fn hold(
    app: &App,
    sale: Arc<Sale>,
    (account, traces): (AccountId, Traces),
    key: &str,
    wish: &Wish,
    pass: Option<&str>,
) -> Result<(StatusCode, Json<HoldView>), Problem> {
    let pass = passes::check(app, &sale, account, pass).await?;
    let event = sale.listing.event.id;
    let lasting = suspicion::check(app, event, account, traces)?;
    let held = hold_with(app, sale, account, key, wish, Terms { pass, traces, lasting }).await;
    match &held {
        Ok((StatusCode::CREATED, _)) => {
            suspicion::note_prefix(app, event, traces, Reason::ManyHolds);
            app.seekers.found(event, account);
        }
        Err(problem) if pass.is_some() && GOT_NOTHING.contains(&problem.code) => {
            app.seekers.missed(event, account);
        }
        Ok(_) | Err(_) => {}
    }
    held
}

/// What was found out about a buyer before anything is held. The default is for who needs no
/// leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// A pass that was checked.
    pub pass: Option<Pass>,
    /// Kept with the hold.
    pub traces: Traces,
    /// How much of the event's time for holds they get.
    pub lasting: Lasting,
}

/// Holds what is wished for, on terms that were checked.
///
/// # Errors
/// The refusal, as a problem.
pub async fn hold_with(
    app: &App,
    mut sale: Arc<Sale>,
    account: AccountId,
    key: &str,
    wish: &Wish,
    terms: Terms,
) -> Result<(StatusCode, Json<HoldView>), Problem> {
    let Terms { pass, traces, lasting } = terms;
    let digest = super::digest_text(wish);
    let accessible = pass.is_some_and(|pass| passes::is_accessible(app, &pass));
    if accessible && !super::plan::is_accessible(&sale.listing, wish) {
        return Err(Problem::field("/lines", "your lane is for accessible seats: choose one"));
    }
    let (mut swept, mut renewed) = (false, false);
    loop {
        let mut plan = Plan::new(&sale.listing, wish, app.now())?;
        plan.prices.pass = pass.map(|pass| pass.id);
        plan.prices.traces = traces;
        plan.lasting = lasting;
        let id = super::hold_id(sale.listing.event.id, sale.epoch, account, key);
        let asker = Asker { id, digest: digest.clone(), account, retake: false };
        let held = grips::hold(&app.redis, &sale, &asker, &plan).await?;
        faults::point("held");
        match &held {
            Held::Stale if !renewed => {
                renewed = true;
                sale = app.after_stale(&sale).await?;
            }
            Held::Taken { due: true, .. } | Held::None { due: true, .. } if !swept => {
                swept = true;
                let hanging = i64::try_from(app.config.workers.hanging_ms).unwrap_or(i64::MAX);
                let done = grips::sweep(&app.redis, &sale, LAZY_SWEEP, hanging).await?;
                let over = done.map(|done| done.over).unwrap_or_default();
                super::note_expired(app, sale.listing.event.id, &over);
            }
            _ => return answer(&sale.listing, id, &plan, held),
        }
    }
}

fn answer(
    listing: &Listing,
    id: HoldId,
    plan: &Plan,
    held: Held,
) -> Result<(StatusCode, Json<HoldView>), Problem> {
    let broken = || Problem::internal(format!("hold {id} has no locked prices"));
    let refused = match held {
        Held::Held { deadline_ms, now_ms, places, instead_of } => {
            let view = HoldView::new(listing, id, &places, &plan.prices, deadline_ms, now_ms);
            let promo_code = code_of(listing, plan.promo.map(|(number, _)| number));
            let view = HoldView { instead_of, promo_code, ..view.ok_or_else(broken)? };
            metrics::counter!("onsale_holds_total").increment(1);
            return Ok((StatusCode::CREATED, Json(view)));
        }
        Held::Again { record, now_ms }
            if record.step == Step::Held && record.deadline_ms <= now_ms =>
        {
            Problem::new(Code::HoldGone)
        }
        Held::Again { record, now_ms } if record.step <= Step::Claiming => {
            let view = HoldView::of_record(listing, id, &record, now_ms);
            return Ok((StatusCode::OK, Json(view.ok_or_else(broken)?)));
        }
        Held::Again { .. } => Problem::new(Code::HoldInCheckout).with("order", id),
        Held::Mismatch => Problem::new(Code::IdempotencyMismatch),
        Held::Finished => Problem::new(Code::HoldGone),
        Held::Stale => Problem::new(Code::Rebuilding),
        Held::Closed(state) => Problem::new(Code::NotOnSale).with("state", state),
        Held::Limit(left) => Problem::new(Code::AccountLimit).with("left", left),
        Held::Quota { offer, left } => {
            let offer = listing.offer_numbered(offer).map(|offer| offer.id);
            Problem::new(Code::QuotaReached).with("offer", offer).with("left", left)
        }
        Held::Window(offer) => {
            let offer = listing.offer_numbered(offer).map(|offer| offer.id);
            Problem::new(Code::OfferUnavailable).with("offer", offer)
        }
        Held::Promo => Problem::new(Code::PromoCode),
        Held::Orphan(places) => Problem::new(Code::OrphanSeat)
            .with("places", places)
            .detail("move your choice by one seat, or take the whole run"),
        Held::Taken { places, .. } => Problem::new(Code::PlacesTaken).with("places", places),
        Held::None { line, longest, .. } => {
            Problem::new(Code::NoneLeft).with("line", line).with("longest", longest)
        }
    };
    Err(refused)
}

/// A hold as it stands.
#[utoipa::path(
    get, path = "/v1/events/{event}/holds/{hold}", tag = "holds", security(("session" = [])),
    operation_id = "getHold",
    params(("event" = String, Path, description = "Id or slug"),
           ("hold" = HoldId, Path, description = "The hold's id")),
    responses((status = 200, description = "The hold", body = HoldView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such hold of yours", body = ProblemBody),
        (status = 410, description = "`hold_gone`: it is over", body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Path((event, hold)): Path<(String, HoldId)>,
    Buyer(account): Buyer,
) -> Result<Json<HoldView>, Problem> {
    let sale = app.built_sale(&event).await?;
    find(&app, &sale, hold, account).await.map(Json)
}

/// A buyer's live hold; see [`read`].
///
/// # Errors
/// `not_found` or `hold_gone`.
pub async fn find(
    app: &App,
    sale: &Sale,
    hold: HoldId,
    account: AccountId,
) -> Result<HoldView, Problem> {
    let mut bulk = app.redis.bulk().await?;
    let (text, time): (Option<String>, (i64, i64)) = redis::pipe()
        .hget(&sale.keys.holds, hold.to_string())
        .cmd("TIME")
        .query_async(&mut bulk)
        .await
        .map_err(crate::redis::Trouble::Unknown)?;
    let now_ms = time.0 * 1_000 + time.1 / 1_000;
    let record = text.as_deref().and_then(Record::parse);
    let Some(record) = record.filter(|record| record.account == account) else {
        return Err(Problem::new(Code::NotFound));
    };
    if record.step == Step::Held && record.deadline_ms <= now_ms {
        return Err(Problem::new(Code::HoldGone));
    }
    HoldView::of_record(&sale.listing, hold, &record, now_ms)
        .ok_or_else(|| Problem::new(Code::HoldGone))
}

/// Gives the places back. They no longer count against your limit; for others they are free after
/// a random delay, so that nobody can time it.
#[utoipa::path(
    delete, path = "/v1/events/{event}/holds/{hold}", tag = "holds", security(("session" = [])),
    operation_id = "releaseHold",
    params(("event" = String, Path, description = "Id or slug"),
           ("hold" = HoldId, Path, description = "The hold's id")),
    responses((status = 204, description = "The hold is over (or was before)"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such hold of yours", body = ProblemBody),
        (status = 409, description = "`hold_in_checkout`: cancel `order` instead",
            body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn release(
    State(app): State<Arc<App>>,
    Path((event, hold)): Path<(String, HoldId)>,
    Buyer(account): Buyer,
    traces: Traces,
) -> Result<StatusCode, Problem> {
    let sale = app.built_sale(&event).await?;
    match grips::release(&app.redis, &sale, hold, Letting::Buyer(account)).await? {
        Released::LetGo => {
            let event = sale.listing.event.id;
            suspicion::note(&app, event, account, traces, Reason::HoldsLetGo);
            app.seekers.missed(event, account);
            Ok(StatusCode::NO_CONTENT)
        }
        Released::Gone => Ok(StatusCode::NO_CONTENT),
        Released::Kept => Err(Problem::new(Code::HoldInCheckout).with("order", hold)),
        Released::Foreign => Err(Problem::new(Code::NotFound)),
        Released::Stale => Err(Problem::new(Code::Rebuilding)),
    }
}

/// A hold's new end.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ExtendedView {
    /// When it ends now (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
}

/// Extends the hold: to the event's `hold_seconds` from now, but never beyond its
/// `hold_max_seconds` after the hold was made.
#[utoipa::path(
    post, path = "/v1/events/{event}/holds/{hold}/extend", tag = "holds",
    operation_id = "extendHold",
    security(("session" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("hold" = HoldId, Path, description = "The hold's id")),
    responses((status = 200, description = "Extended", body = ExtendedView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such hold of yours", body = ProblemBody),
        (status = 409, description = "`extension_bound`: it lasts as long as it can; \
            `hold_in_checkout`: read `order`", body = ProblemBody),
        (status = 410, description = "`hold_gone`: it is over", body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn extend(
    State(app): State<Arc<App>>,
    Path((event, hold)): Path<(String, HoldId)>,
    Buyer(account): Buyer,
    traces: Traces,
) -> Result<Json<ExtendedView>, Problem> {
    let sale = app.built_sale(&event).await?;
    // Who may hold nothing now may still finish with what they hold, in the shortest time.
    let lasting = suspicion::check(&app, sale.listing.event.id, account, traces);
    let lasting = lasting.unwrap_or(Lasting::Quarter);
    match grips::extend(&app.redis, &sale, hold, account, lasting).await? {
        Extended::Until(until, now) => {
            let time = |ms| Timestamp::from_millisecond(ms).map_err(Problem::internal);
            Ok(Json(ExtendedView { expires_at: time(until)?, server_time: time(now)? }))
        }
        Extended::Bound(..) => Err(Problem::new(Code::ExtensionBound)),
        Extended::Claiming => Err(Problem::new(Code::HoldInCheckout).with("order", hold)),
        Extended::Gone => Err(Problem::new(Code::HoldGone)),
        Extended::Foreign => Err(Problem::new(Code::NotFound)),
        Extended::Stale => Err(Problem::new(Code::Rebuilding)),
    }
}

/// What is free now: a compact bitmap over place numbers.
#[utoipa::path(
    get, path = "/v1/events/{event}/availability", tag = "events",
    operation_id = "getAvailability",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The snapshot", body = SnapshotBody),
        (status = 304, description = "As you have it"),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn availability(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sale = crate::catalog::http::visible(&app, &event).await?;
    let sale = app.built(sale).await?;
    let snapshot = app.availability.snapshot(&app, &sale).await?;
    Ok(cached(&headers, &snapshot.etag, "application/json", "public, max-age=0", || {
        snapshot.body.clone()
    }))
}

/// Answers 304 to who has it already.
#[must_use]
pub fn cached(
    headers: &HeaderMap,
    etag: &str,
    kind: &'static str,
    policy: &'static str,
    body: impl FnOnce() -> bytes::Bytes,
) -> Response {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
        })
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], body()).into_response()
    };
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    let policy = HeaderValue::from_static(policy);
    response.headers_mut().insert(header::CACHE_CONTROL, policy);
    response
}

/// From which state a stream goes on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// `epoch-seq` of the snapshot you have; a reconnecting browser sends `Last-Event-ID`.
    pub since: Option<String>,
}

/// Changes as they happen (Server-Sent Events).
///
/// The stream begins with an event `snapshot` (the body of `/availability`), unless it can go on
/// from the state that you have; then each `delta` leads from the state before it to the next.
/// A viewer who falls behind gets a new `snapshot`. The id of both is `epoch-seq`, which a
/// reconnecting browser sends back by itself.
#[utoipa::path(
    get, path = "/v1/events/{event}/availability/stream", tag = "events",
    operation_id = "streamAvailability",
    params(("event" = String, Path, description = "Id or slug"), StreamQuery),
    responses((status = 200, description = "A stream of deltas", body = Delta,
               content_type = "text/event-stream"),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "`unavailable`: too many streams; `rebuilding`",
            body = ProblemBody))
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let sale = app.built(crate::catalog::http::visible(&app, &event).await?).await?;
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(Code::Unavailable).retry_after(5))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let has = last.or(query.since.as_deref()).and_then(|id| {
        let (epoch, seq) = id.split_once('-')?;
        Some((epoch.parse().ok()?, seq.parse().ok()?))
    });
    let viewer = app.availability.view(&app, &sale, has).await?;
    let events = events(viewer, permit, app.draining.child_token());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

type SseResult = Result<SseEvent, std::convert::Infallible>;

fn events(
    viewer: Viewer,
    permit: tokio::sync::OwnedSemaphorePermit,
    stop: tokio_util::sync::CancellationToken,
) -> impl Stream<Item = SseResult> {
    use futures::StreamExt;
    use tokio::sync::broadcast::error::RecvError;
    let first: Vec<SseResult> = match &viewer.beginning {
        Beginning::Missed(missed) => missed.iter().map(|delta| Ok(delta_event(delta))).collect(),
        Beginning::Whole(snapshot) => vec![Ok(snapshot_event(snapshot))],
    };
    let rest = stream::unfold((viewer, permit, stop), |(mut viewer, permit, stop)| async move {
        let event = tokio::select! {
            () = stop.cancelled() => return None,
            received = viewer.coming.recv() => match received {
                Ok(delta) => delta_event(&delta),
                Err(RecvError::Lagged(_)) => snapshot_event(&viewer.again()),
                Err(RecvError::Closed) => return None,
            },
        };
        Some((Ok(event), (viewer, permit, stop)))
    });
    stream::iter(first).chain(rest)
}

fn snapshot_event(snapshot: &Snapshot) -> SseEvent {
    SseEvent::default()
        .event("snapshot")
        .id(format!("{}-{}", snapshot.epoch, snapshot.seq))
        .data(String::from_utf8_lossy(&snapshot.body))
}

fn delta_event(delta: &Delta) -> SseEvent {
    SseEvent::default()
        .event("delta")
        .id(format!("{}-{}", delta.epoch, delta.to))
        .data(serde_json::to_string(delta).unwrap_or_default())
}
