//! Ends holds past their deadline, event by event, gives what comes back to those who asked for it
//! before it is free for all, and hands on claims that hang.

use crate::app::App;
use crate::catalog::store;
use crate::holds;
use crate::holds::asks::serve;
use crate::holds::rebuild;
use crate::holds::redis as grips;
use crate::http::problem::Problem;
use crate::ids::EventId;

/// Sweeps every event whose sale has begun. True if there is more to do.
///
/// # Errors
/// If Postgres fails. Trouble with one event's Redis doesn't stop the others'.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    let mut more = false;
    for event in store::selling(&app.pg).await? {
        match sweep(app, event).await {
            Ok(again) => more |= again,
            Err(problem) => tracing::debug!(%event, ?problem, "an event can't be swept now"),
        }
    }
    Ok(more)
}

/// Sweeps one event. True if there is more to do.
///
/// # Errors
/// If Redis or Postgres fail, or the event is being rebuilt.
pub async fn sweep(app: &App, event: EventId) -> Result<bool, Problem> {
    let Some(sale) = app.catalog.sale(event).await? else { return Ok(false) };
    let sale = app.built(sale).await?;
    let workers = &app.config.workers;
    let hanging_ms = i64::try_from(workers.hanging_ms).unwrap_or(i64::MAX);
    let swept = grips::sweep(&app.redis, &sale, workers.sweep_batch, hanging_ms).await?;
    let Some(swept) = swept else {
        // Redis has lost the event, or this process has not heard of its new epoch.
        rebuild::request(app, event);
        return Ok(false);
    };
    holds::note_expired(app, event, &swept.over);
    metrics::counter!("onsale_holds_expired_total").increment(swept.ended.unsigned_abs());
    for (hold, record) in &swept.hanging {
        super::hang::resolve(app, &sale, *hold, record).await?;
    }
    let served = swept.asks && serve::serve(app, &sale).await?;
    Ok(swept.more || served)
}
