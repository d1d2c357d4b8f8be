//! Bringing orders to their end: one step at a time, each safe to repeat.
//!
//! `open` past its time → `cancelling` → the provider is asked to cancel → `released` once it
//! says so, `paid` if the money was faster. `late` → its places are held and sold again, or their
//! equivalents, or the money goes back. An answer that doesn't come changes nothing: the places
//! stay and the order is looked at again.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::{Order, OrderStatus, mirror, store};
use crate::app::App;
use crate::checkout;
use crate::faults;
use crate::holds::plan::Plan;
use crate::holds::record::{HeldPlace, OfferPrices, PriceSnapshot, numbers};
use crate::holds::redis::{self as grips, Asker, Begun, Held, Letting};
use crate::http::problem::Problem;
use crate::ids::OrderId;
use crate::payments::settle;
use crate::payments::{IntentState, ProviderError};
use crate::suspicion::ledger::OrderNote;
use crate::suspicion::{self, Traces};

/// How long until an order that can't be ended yet is looked at again, in seconds.
const RETRY_S: f64 = 1.0;
/// Orders in one row are from one batch; rows that one look takes.
const ROWS: i64 = 20;
/// Orders driven at once, and for how long their row is out of other workers' sight, in seconds.
const AT_ONCE: usize = 8;
const LEASE_S: f64 = 60.0;
/// Most holds tried for one late payment in one epoch.
const MAX_RETAKES: u32 = 3;

/// What is left to do for an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Nothing.
    Done,
    /// Look again then.
    At(Timestamp),
    /// Look again soon.
    Soon,
}

/// Looks at orders whose time has come. True if there may be more.
///
/// # Errors
/// If Postgres fails.
pub async fn run_once(app: &App) -> sqlx::Result<bool> {
    // Leased, not locked: providers may be slow, and a node that dies loses its lease.
    let rows = sqlx::query!(
        "UPDATE payment_deadlines SET due_at = now() + make_interval(secs => $2)
         WHERE id IN (SELECT id FROM payment_deadlines WHERE due_at <= now()
                      ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, orders",
        ROWS,
        LEASE_S
    )
    .fetch_all(&app.pg)
    .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let full = rows.len() == usize::try_from(ROWS).unwrap_or(usize::MAX);
    let all: Vec<Uuid> = rows.iter().flat_map(|row| row.orders.iter().copied()).collect();
    let unfinished = store::unfinished(&app.pg, &all).await?;
    let mut done = Vec::with_capacity(rows.len());
    for row in rows {
        let orders: Vec<Uuid> =
            row.orders.into_iter().filter(|order| unfinished.contains(order)).collect();
        let (left, at) = drive_all(app, &orders).await;
        if left.is_empty() {
            done.push(row.id);
        } else {
            sqlx::query!(
                "UPDATE payment_deadlines SET orders = $2,
                     due_at = greatest(coalesce($3, now()), now() + make_interval(secs => $4))
                 WHERE id = $1",
                row.id,
                &left,
                at.map(Timestamp::to_sqlx) as _,
                RETRY_S
            )
            .execute(&app.pg)
            .await?;
        }
    }
    if !done.is_empty() {
        sqlx::query!("DELETE FROM payment_deadlines WHERE id = ANY ($1)", &done)
            .execute(&app.pg)
            .await?;
    }
    Ok(full)
}

/// Drives each order; those not done, and when to look at them (none: soon).
async fn drive_all(app: &App, ids: &[Uuid]) -> (Vec<Uuid>, Option<Timestamp>) {
    let nexts: Vec<(Uuid, Next)> = stream::iter(ids.iter().copied())
        .map(|id| async move {
            let next = drive(app, OrderId(id)).await.unwrap_or_else(|problem| {
                tracing::warn!(order = %id, ?problem, "an order can't be ended yet");
                Next::Soon
            });
            (id, next)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let left: Vec<_> = nexts.into_iter().filter(|(_, next)| *next != Next::Done).collect();
    let times: Option<Vec<Timestamp>> = left
        .iter()
        .map(|(_, next)| if let Next::At(at) = next { Some(*at) } else { None })
        .collect();
    let earliest = times.and_then(|times| times.into_iter().min());
    (left.into_iter().map(|(id, _)| id).collect(), earliest)
}

/// Takes one order as far as it will go now.
///
/// # Errors
/// If Postgres fails; the order is looked at again.
pub async fn drive(app: &App, id: OrderId) -> Result<Next, Problem> {
    let Some(order) = store::find(&app.pg, id).await? else { return Ok(Next::Done) };
    match order.status {
        OrderStatus::Open => {
            let now = sqlx::query_scalar!(r#"SELECT now() AS "now!: jiff_sqlx::Timestamp""#)
                .fetch_one(&app.pg)
                .await?
                .to_jiff();
            if now < order.pay_by { Ok(Next::At(order.pay_by)) } else { end(app, order).await }
        }
        OrderStatus::Cancelling => end(app, order).await,
        OrderStatus::Late => take_again(app, order).await,
        _ => Ok(Next::Done),
    }
}

/// Ends an unpaid order, by its time or its buyer's wish.
///
/// # Errors
/// If Postgres fails.
pub async fn end(app: &App, order: Order) -> Result<Next, Problem> {
    let status = sqlx::query_scalar!(r#"SELECT begin_cancel($1) AS "status!""#, order.id.0)
        .fetch_one(&app.pg)
        .await?;
    if status != "cancelling" {
        return Ok(Next::Done);
    }
    faults::point("cancelling");
    for attempt in store::attempts(&app.pg, order.id).await? {
        if !matches!(attempt.status.as_str(), "open" | "processing") {
            continue;
        }
        if !cancel(app, &order, &attempt).await? {
            metrics::counter!("onsale_cancel_unknown_total").increment(1);
            return Ok(Next::Soon);
        }
    }
    faults::point("cancelled");
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", mirror_id FROM release_order($1, 'unpaid')"#,
        order.id.0
    )
    .fetch_one(&app.pg)
    .await?;
    // The mirror's row is made by the one commit that releases the order, so it counts once.
    if row.outcome == "released" && row.mirror_id.is_some() {
        suspicion::note_order(app, order.id, OrderNote::Unpaid);
    }
    mirror::follow(app, row.mirror_id, order.id.0).await;
    Ok(if row.outcome == "attempt_open" { Next::Soon } else { Next::Done })
}

/// Cancels an attempt at its provider. True once it is final there, one way or the other.
async fn cancel(app: &App, order: &Order, attempt: &store::Attempt) -> Result<bool, Problem> {
    let mut reference = attempt.reference.clone();
    if reference.is_none() {
        // Its creation may have had its effect: the same key finds or makes it, and then it can
        // be cancelled. "Not found" would prove nothing.
        if let Err(error) = checkout::pay(app, order, attempt.id).await {
            tracing::warn!(order = %order.id, %error, "an attempt of unknown state stays");
            return Ok(false);
        }
        let attempts = store::attempts(&app.pg, order.id).await?;
        reference = attempts
            .into_iter()
            .find(|known| known.id == attempt.id)
            .and_then(|known| known.reference);
    }
    let Some(reference) = reference else { return Ok(false) };
    // Begun at a provider that is configured no more: a person must look.
    let Some(gateway) = app.gateways.named(&attempt.provider) else { return Ok(false) };
    match gateway.cancel(&reference).await {
        Ok(intent) => {
            let intent = settle::known(intent, attempt);
            settle::take_intent(app, gateway.name(), None, &intent).await?;
            Ok(matches!(intent.state, IntentState::Cancelled | IntentState::Succeeded { .. }))
        }
        Err(ProviderError::NotFound | ProviderError::Unknown(_)) => Ok(false),
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::warn!(order = %order.id, %error, "the provider does not cancel");
            settle::ask_provider(app, attempt).await?;
            Ok(false)
        }
    }
}

/// Late money: the same places again, else equivalents if the buyer allowed them, else a refund.
async fn take_again(app: &App, order: Order) -> Result<Next, Problem> {
    let Some(sale) = app.catalog.refresh(order.event).await? else { return Ok(Next::Soon) };
    if sale.listing.event.status == crate::catalog::EventStatus::Cancelled {
        return give_back(app, &order).await;
    }
    let prices = PriceSnapshot {
        channel: order.channel,
        offers: Vec::<OfferPrices>::new(),
        pass: None,
        traces: Traces::NONE,
    };
    let same = mirror::entry_of(&sale, &order)
        .and_then(|entry| Plan::same_places(&sale.listing, &entry.places, prices.clone()));
    let Some(mut plan) = same else { return give_back(app, &order).await };
    plan.accept_equivalent = order.accept_equivalent;
    plan.promo = order.promo.map(|number| (number, None));
    for attempt in 0..MAX_RETAKES {
        let asker = Asker {
            id: crate::holds::retake_id(order.id.0, sale.epoch, attempt),
            digest: String::new(),
            account: order.account,
            retake: true,
        };
        // Its own places may still be on their way back: nobody else is to get them first.
        let held = grips::hold_after(&app.redis, &sale, order.record(), &asker, &plan).await?;
        let places = match held {
            Held::Held { places, .. } => places,
            Held::Again { record, .. } => record.places,
            // Used up by an earlier try.
            Held::Finished | Held::Mismatch => continue,
            Held::Stale
            | Held::Closed(_)
            | Held::Taken { due: true, .. }
            | Held::None { due: true, .. } => return Ok(Next::Soon),
            _ => return give_back(app, &order).await,
        };
        if !matches!(
            grips::begin(&app.redis, &sale, asker.id, order.account).await?,
            Begun::Claiming(_) | Begun::Claimed(_)
        ) {
            continue;
        }
        match retake(app, &sale, &order, &asker, &places).await? {
            Retaken::Paid => return Ok(Next::Done),
            Retaken::Later => return Ok(Next::Soon),
            Retaken::Lost => {
                grips::release(&app.redis, &sale, asker.id, Letting::System).await?;
                mirror_places(app, &sale, &places).await;
            }
            Retaken::Over => {
                grips::release(&app.redis, &sale, asker.id, Letting::System).await?;
                return give_back(app, &order).await;
            }
        }
    }
    give_back(app, &order).await
}

async fn mirror_places(app: &App, sale: &crate::catalog::cache::Sale, places: &[HeldPlace]) {
    if let Err(error) = mirror::places(app, sale, &numbers(places)).await {
        tracing::debug!(%error, "the claims that won are left to the mirror's worker");
    }
}

enum Retaken {
    Paid,
    Later,
    Lost,
    Over,
}

async fn retake(
    app: &App,
    sale: &crate::catalog::cache::Sale,
    order: &Order,
    asker: &Asker,
    places: &[HeldPlace],
) -> Result<Retaken, Problem> {
    let Some(lines) = checkout::lines_of(places, &order.lines) else { return Ok(Retaken::Over) };
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", mirror_id FROM retake_order($1, $2, $3, $4, $5)"#,
        order.id.0,
        asker.id.0,
        sale.epoch,
        &numbers(places),
        serde_json::to_value(&lines).unwrap_or_default()
    )
    .fetch_one(&app.pg)
    .await;
    let row = match row {
        Ok(row) => row,
        // The function undoes its own work by raising: the message is the outcome.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("OS001") => {
            return Ok(if error.message() == "taken" { Retaken::Lost } else { Retaken::Over });
        }
        Err(error) => return Err(error.into()),
    };
    mirror::follow(app, row.mirror_id, order.id.0).await;
    Ok(match row.outcome.as_str() {
        "stale" | "frozen" => Retaken::Later,
        "abandoned" => Retaken::Lost,
        // Paid by this call, or ended by somebody else's.
        _ => Retaken::Paid,
    })
}

async fn give_back(app: &App, order: &Order) -> Result<Next, Problem> {
    sqlx::query!("SELECT refund_late($1)", order.id.0).fetch_one(&app.pg).await?;
    Ok(Next::Done)
}
