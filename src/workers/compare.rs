//! Comparing Redis with Postgres, both ways, and repairing Redis.

use std::collections::HashMap;

use uuid::Uuid;

use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::store;
use crate::holds::rebuild;
use crate::holds::record::{Record, Step};
use crate::http::problem::Problem;
use crate::ids::{EventId, HoldId};
use crate::orders::mirror::{self, MirrorError};
use crate::orders::{self, Order};

/// Orders that are repaired in one call.
const CHUNK: usize = 500;

/// Compares every event whose sale has begun. Always false.
///
/// # Errors
/// If Postgres fails. Trouble with one event doesn't stop the others.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    for event in store::selling(&app.pg).await? {
        match compare(app, event).await {
            Ok(0) => {}
            Ok(repaired) => tracing::warn!(%event, repaired, "Redis differed and was repaired"),
            Err(problem) => tracing::debug!(%event, ?problem, "an event can't be compared now"),
        }
    }
    Ok(false)
}

/// Compares one event and repairs what differs; how many records did.
///
/// # Errors
/// If Redis or Postgres fail, or the event is being rebuilt.
pub async fn compare(app: &App, event: EventId) -> Result<usize, Problem> {
    let Some(sale) = app.catalog.refresh(event).await? else { return Ok(0) };
    let sale = app.built(sale).await?;
    // Redis first: what is committed in between is then missing there at most, and the mirror
    // brings it; doing it here too is harmless.
    let records = read_records(app, &sale).await?;
    let orders = live_orders(app, event).await?;
    let mut differ: Vec<Uuid> = Vec::new();
    for (hold, order) in &orders {
        let behind = match records.get(hold) {
            Some(record) => record.step < expected(order) || record.step >= Step::Returning,
            None => true,
        };
        if behind {
            differ.push(order.id.0);
        }
    }
    let mut widows = Vec::new();
    for (hold, record) in &records {
        let claims = matches!(record.step, Step::Claimed | Step::Sold);
        if claims && !orders.contains_key(hold) {
            widows.push(hold.0);
        }
    }
    // A record without a live order: it ended, or was re-taken under another name, meanwhile.
    differ.extend(ended_orders(app, &widows).await?);
    for chunk in differ.chunks(CHUNK) {
        match mirror::orders(app, chunk).await {
            Ok(()) => {}
            Err(MirrorError::Conflict(event, epoch)) => {
                rebuild::request_instead_of(app, event, epoch);
            }
            Err(error) => tracing::debug!(%error, "a repair has to wait"),
        }
    }
    if !differ.is_empty() {
        metrics::counter!("onsale_mirror_repairs_total")
            .increment(u64::try_from(differ.len()).unwrap_or(0));
    }
    Ok(differ.len())
}

fn expected(order: &Order) -> Step {
    match order.status {
        orders::OrderStatus::Open | orders::OrderStatus::Cancelling => Step::Claimed,
        _ => Step::Sold,
    }
}

async fn read_records(app: &App, sale: &Sale) -> Result<HashMap<HoldId, Record>, Problem> {
    let mut bulk = app.redis.bulk().await?;
    let texts: HashMap<String, String> = ::redis::cmd("HGETALL")
        .arg(&sale.keys.holds)
        .query_async(&mut bulk)
        .await
        .map_err(crate::redis::Trouble::Unknown)?;
    let read = |(id, text): (String, String)| Some((id.parse().ok()?, Record::parse(&text)?));
    Ok(texts.into_iter().filter_map(read).collect())
}

async fn live_orders(app: &App, event: EventId) -> Result<HashMap<HoldId, Order>, Problem> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE event_id = $1 AND has_claims(status)",
        event.0
    )
    .fetch_all(&app.pg)
    .await?;
    let orders = orders::store::many(&app.pg, &ids).await?;
    Ok(orders.into_iter().map(|order| (order.record(), order)).collect())
}

async fn ended_orders(app: &App, holds: &[Uuid]) -> Result<Vec<Uuid>, Problem> {
    if holds.is_empty() {
        return Ok(Vec::new());
    }
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE (id = ANY ($1) OR hold_id = ANY ($1))
           AND NOT has_claims(status) AND status <> 'retake'",
        holds
    )
    .fetch_all(&app.pg)
    .await?;
    Ok(ids)
}
