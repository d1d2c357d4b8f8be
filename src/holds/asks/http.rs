//! Asks over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::redis::{self as line, Asked, NewAsk, Waiting};
use super::{Kept, MAX_WISH_BYTES, ask_id, hold_of};
use crate::accounts;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{EventStatus, Listing};
use crate::holds::http::HoldView;
use crate::holds::plan::{Plan, Wish};
use crate::holds::record::{Record, Step};
use crate::holds::redis::{self as grips, Letting, Released};
use crate::http::extract::{Body, Buyer, IdempotencyKey, Path, Session};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, AskId, EventId, HoldId};
use crate::suspicion::{self, Traces};
use crate::waiting_room::{self, passes};

/// An ask for places that come back.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AskView {
    /// Its id.
    pub id: AskId,
    /// For which event.
    pub event: EventId,
    /// `waiting`, `held` (check the hold out before it ends), or `over`.
    pub state: &'static str,
    /// The id that its hold has or would get.
    pub hold: HoldId,
    /// While it waits: until when it stays in line (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// While it waits: asks before it, whatever they ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<i64>,
    /// The server's clock now.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
    /// What it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HoldView>,
}

fn time(ms: i64) -> Result<Timestamp, Problem> {
    Timestamp::from_millisecond(ms).map_err(Problem::internal)
}

impl AskView {
    fn waiting(event: EventId, id: AskId, waiting: Waiting) -> Result<Self, Problem> {
        Ok(Self {
            id,
            event,
            state: "waiting",
            hold: hold_of(id),
            expires_at: Some(time(waiting.until_ms)?),
            ahead: Some(waiting.ahead),
            server_time: time(waiting.now_ms)?,
            held: None,
        })
    }

    fn served(listing: &Listing, id: AskId, record: &Record, now: i64) -> Result<Self, Problem> {
        let hold = hold_of(id);
        let over = record.step >= Step::Returning
            || (record.step == Step::Held && record.deadline_ms <= now);
        let held = HoldView::of_record(listing, hold, record, now).filter(|_| !over);
        Ok(Self {
            id,
            event: listing.event.id,
            state: if held.is_some() { "held" } else { "over" },
            hold,
            expires_at: None,
            ahead: None,
            server_time: time(now)?,
            held,
        })
    }
}

/// Asks for places that come back, when there are none now.
///
/// The wish is that of a hold, without chosen places. Whatever comes back goes to the oldest ask
/// that it fits before it is free for all. Look at the ask to learn it.
#[utoipa::path(
    post, path = "/v1/events/{event}/asks", tag = "holds",
    operation_id = "createAsk",
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    request_body = Wish, security(("session" = [])),
    responses(
        (status = 201, description = "In line", body = AskView),
        (status = 200, description = "Asked before, with the same key", body = AskView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`access_code`, `pass_needed`, `pass_invalid`, \
            `sign_in_needed`, `blocked`", body = ProblemBody),
        (status = 429, description = "`cooldown`", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 409, description = "`ask_exists` (with `ask`: the one for this price level), \
            `asks_full`, `offer_unavailable`, `promo_code`, `not_on_sale`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`: repeat", body = ProblemBody),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    session: Session,
    IdempotencyKey(key): IdempotencyKey,
    traces: Traces,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<(StatusCode, Json<AskView>), Problem> {
    let sale = app.built_sale(&event).await?;
    let pass = waiting_room::http::pass_of(&headers);
    let (status, view) = ask(&app, sale, &session, &key, traces, pass, wish).await?;
    Ok((status, Json(view)))
}

/// Asks, see [`create`].
///
/// # Errors
/// The refusal.
pub async fn ask(
    app: &Arc<App>,
    mut sale: Arc<Sale>,
    session: &Session,
    key: &str,
    traces: Traces,
    pass: Option<&str>,
    wish: Wish,
) -> Result<(StatusCode, AskView), Problem> {
    let account = session.account;
    accounts::admit(&sale.listing.event, session)?;
    // Only who was admitted gets what comes back.
    let pass = passes::check(app, &sale, account, pass).await?;
    suspicion::check(app, sale.listing.event.id, account, traces)?;
    let pass = pass.map(|pass| pass.id);
    let kept = Kept { wish, pass, traces };
    let (life_ms, most) = (app.config.asks.seconds * 1_000, app.config.asks.per_event);
    let mut renewed = false;
    loop {
        let new = checked(app, &sale, account, key, &kept)?;
        let event = sale.listing.event.id;
        return match line::ask(&app.redis, &sale, &new, life_ms, most).await? {
            Asked::Waiting(waiting) => {
                metrics::counter!("onsale_asks_total").increment(1);
                app.seekers.found(event, account);
                Ok((StatusCode::CREATED, AskView::waiting(event, new.id, waiting)?))
            }
            Asked::Again(waiting) => {
                Ok((StatusCode::OK, AskView::waiting(event, new.id, waiting)?))
            }
            Asked::Served => Ok((StatusCode::OK, look(app, &sale, new.id, account).await?)),
            Asked::Mismatch => Err(Problem::new(Code::IdempotencyMismatch)),
            Asked::Other(other) => Err(Problem::new(Code::AskExists).with("ask", other)),
            Asked::Full => Err(Problem::new(Code::AsksFull)),
            Asked::Stale if renewed => Err(Problem::new(Code::Rebuilding)),
            Asked::Stale => {
                renewed = true;
                sale = app.after_stale(&sale).await?;
                continue;
            }
        };
    }
}

fn checked(
    app: &App,
    sale: &Sale,
    account: AccountId,
    key: &str,
    kept: &Kept,
) -> Result<NewAsk, Problem> {
    let wish = &kept.wish;
    let listing = &sale.listing;
    let status = listing.event.status;
    if status != EventStatus::OnSale {
        return Err(Problem::new(Code::NotOnSale).with("state", status.word()));
    }
    if let Some(at) = wish.lines.iter().position(|line| line.places.is_some()) {
        let why = "an ask can't name places: ask by best, or by area and quantity";
        return Err(Problem::field(&format!("/lines/{at}/places"), why));
    }
    Plan::new(listing, wish, app.now())?;
    let offers = wish.lines.iter().filter_map(|line| listing.offer(line.offer));
    let mut levels: Vec<i16> = offers.map(|offer| offer.level).collect();
    levels.sort_unstable();
    levels.dedup();
    let text = serde_json::to_string(kept).map_err(Problem::internal)?;
    if text.len() > MAX_WISH_BYTES {
        return Err(Problem::field("/access_code", "too long"));
    }
    Ok(NewAsk {
        id: ask_id(listing.event.id, sale.epoch, account, key),
        digest: crate::holds::digest_text(wish),
        account,
        levels,
        wish: text,
    })
}

/// An account's ask as it stands.
///
/// # Errors
/// `ask_gone`, or Redis fails.
pub async fn look(
    app: &App,
    sale: &Sale,
    ask: AskId,
    account: AccountId,
) -> Result<AskView, Problem> {
    let found = line::find(&app.redis, sale, ask).await?;
    if let Some(record) = found.record.filter(|record| record.account == account) {
        return AskView::served(&sale.listing, ask, &record, found.now_ms);
    }
    match found.waiting {
        Some((owner, waiting)) if owner == account => {
            AskView::waiting(sale.listing.event.id, ask, waiting)
        }
        _ => Err(Problem::new(Code::AskGone)),
    }
}

/// An ask as it stands.
#[utoipa::path(
    get, path = "/v1/events/{event}/asks/{ask}", tag = "holds", security(("session" = [])),
    operation_id = "getAsk",
    params(("event" = String, Path, description = "Id or slug"), ("ask" = AskId, Path, description = "The ask's id")),
    responses((status = 200, description = "The ask", body = AskView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 410, description = "`ask_gone`: no such ask of yours (any more); ask again",
            body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Path((event, ask)): Path<(String, AskId)>,
    Buyer(account): Buyer,
) -> Result<Json<AskView>, Problem> {
    let sale = app.built_sale(&event).await?;
    look(&app, &sale, ask, account).await.map(Json)
}

/// Gives an ask up, and what it got unless checkout has begun.
#[utoipa::path(
    delete, path = "/v1/events/{event}/asks/{ask}", tag = "holds", security(("session" = [])),
    operation_id = "withdrawAsk",
    params(("event" = String, Path, description = "Id or slug"), ("ask" = AskId, Path, description = "The ask's id")),
    responses((status = 204, description = "It is over (or was before)"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 409, description = "`hold_in_checkout`", body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((event, ask)): Path<(String, AskId)>,
    Buyer(account): Buyer,
) -> Result<StatusCode, Problem> {
    let sale = app.built_sale(&event).await?;
    // First out of the line: who makes its hold in this moment sees that, and ends it.
    let left = line::unask(&app.redis, &sale, Some(account), &[ask]).await?;
    if left.is_none() {
        return Err(Problem::new(Code::Rebuilding));
    }
    let hold = hold_of(ask);
    match grips::release(&app.redis, &sale, hold, Letting::Buyer(account)).await? {
        // Another's is none of yours: nothing was done.
        Released::LetGo | Released::Gone | Released::Foreign => Ok(StatusCode::NO_CONTENT),
        Released::Kept => Err(Problem::new(Code::HoldInCheckout).with("order", hold)),
        Released::Stale => Err(Problem::new(Code::Rebuilding)),
    }
}
