//! Changing a hold over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;

use super::redis::{Retyped, retype, subject};
use super::{Change, HoldChange};
use crate::access::grant::{Grant, access_of};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::holds::http::HoldView;
use crate::holds::record::{Record, Step};
use crate::http::extract::{Body, Buyer, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, HoldId};
use crate::redis::Trouble;

/// How often a change is planned anew because another one was faster.
const TRIES: usize = 4;

/// Changes by which offers a hold's places are bought, and its promo code.
///
/// The places and the deadline stay. Places that move to another offer get its price as it is
/// now; all others keep theirs. A refusal changes nothing. Sending the same change again is
/// harmless.
#[utoipa::path(
    patch, path = "/v1/events/{event}/holds/{hold}", tag = "holds", security(("session" = [])),
    operation_id = "changeHold",
    params(("event" = String, Path, description = "Id or slug"),
           ("hold" = HoldId, Path, description = "The hold's id"),
           ("Onsale-Access" = Option<String>, Header,
            description = "Grants for offers that need one")),
    request_body = HoldChange,
    responses((status = 200, description = "The hold as it is now", body = HoldView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`access_code`", body = ProblemBody),
        (status = 404, description = "No such hold of yours", body = ProblemBody),
        (status = 409, description = "`quota_reached`: only `left` more of `offer`; \
            `offer_unavailable`, `promo_code`; `hold_in_checkout`: read `order`",
            body = ProblemBody),
        (status = 410, description = "`hold_gone`: it is over", body = ProblemBody),
        (status = 422, description = "`invalid`: `errors` say what", body = ProblemBody),
        (status = 503, description = "`rebuilding`; `unknown_outcome`: repeat",
            body = ProblemBody))
)]
pub async fn change(
    State(app): State<Arc<App>>,
    Path((event, hold)): Path<(String, HoldId)>,
    Buyer(account): Buyer,
    headers: HeaderMap,
    Body(mut change): Body<HoldChange>,
) -> Result<Json<HoldView>, Problem> {
    let sale = app.built_sale(&event).await?;
    let event = sale.listing.event.id;
    change.grants = Grant::read(&app.keyring, event, account, access_of(&headers));
    apply(&app, &sale, hold, account, &change).await.map(Json)
}

/// Changes a buyer's hold; see [`change`].
///
/// # Errors
/// The refusal, as a problem.
pub async fn apply(
    app: &App,
    sale: &Sale,
    hold: HoldId,
    account: AccountId,
    change: &HoldChange,
) -> Result<HoldView, Problem> {
    for _ in 0..TRIES {
        let text = read(app, sale, hold).await?;
        let record = text.as_deref().and_then(Record::parse);
        let record = record.filter(|record| record.account == account);
        let (Some(text), Some(record)) = (text, record) else {
            return Err(Problem::new(Code::NotFound));
        };
        match record.step {
            Step::Held => {}
            Step::Returning | Step::Released => return Err(Problem::new(Code::HoldGone)),
            _ => return Err(Problem::new(Code::HoldInCheckout).with("order", hold)),
        }
        let plan = Change::new(&sale.listing, &record, change, app.now())?;
        let retyped = retype(&app.redis, sale, (hold, account), subject(&text), &plan).await?;
        if retyped != Retyped::Moved {
            return answer(sale, hold, retyped);
        }
    }
    Err(Problem::new(Code::Unavailable))
}

async fn read(app: &App, sale: &Sale, hold: HoldId) -> Result<Option<String>, Problem> {
    let mut bulk = app.redis.bulk().await?;
    let mut ask = redis::cmd("HGET");
    let text = ask.arg(&sale.keys.holds).arg(hold.to_string()).query_async(&mut bulk).await;
    Ok(text.map_err(Trouble::Unknown)?)
}

fn answer(sale: &Sale, hold: HoldId, retyped: Retyped) -> Result<HoldView, Problem> {
    let listing = &sale.listing;
    let id_of = |number| listing.offer_numbered(number).map(|offer| offer.id);
    Err(match retyped {
        Retyped::Changed(record, now_ms) => {
            return HoldView::of_record(listing, hold, &record, now_ms)
                .ok_or_else(|| Problem::internal(format!("hold {hold} has no locked prices")));
        }
        Retyped::Quota { offer, left } => {
            Problem::new(Code::QuotaReached).with("offer", id_of(offer)).with("left", left)
        }
        Retyped::Window(offer) => Problem::new(Code::OfferUnavailable).with("offer", id_of(offer)),
        Retyped::Promo => Problem::new(Code::PromoCode),
        Retyped::Claiming => Problem::new(Code::HoldInCheckout).with("order", hold),
        Retyped::Gone => Problem::new(Code::HoldGone),
        Retyped::Foreign => Problem::new(Code::NotFound),
        Retyped::Stale => Problem::new(Code::Rebuilding),
        Retyped::Moved => Problem::new(Code::Unavailable),
    })
}
