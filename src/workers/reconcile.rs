//! Comparing with the payment provider: what its webhooks didn't tell, it is asked.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use crate::app::App;
use crate::http::problem::Problem;
use crate::ids::{AttemptId, OrderId};
use crate::orders::store::Attempt;
use crate::payments::{Gateway, IntentState, settle};

/// Attempts that changed, or were asked for, less than this ago are left alone, in seconds:
/// webhooks may still tell of them.
const QUIET_S: f64 = 10.0;
/// Attempts that one run asks for.
const ATTEMPTS: i64 = 200;
/// How far back the provider's list is read.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Pages of it that one run reads.
const MAX_PAGES: usize = 100;
/// Another process reads it when who did hasn't for so many of its pauses.
const MISSED_PAUSES: f64 = 3.0;

/// Asks for attempts that have been open for a while, and reads the provider's own list for
/// payments that no webhook told of. Always false: the next run is soon enough.
///
/// # Errors
/// If Postgres fails. A provider that doesn't answer is asked by the next run.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    let rows = sqlx::query!(
        "UPDATE attempts SET changed_at = now()
         WHERE (order_id, id) IN (
             SELECT order_id, id FROM attempts
             WHERE status IN ('open', 'processing') AND provider = ANY ($1)
               AND reference IS NOT NULL AND changed_at < now() - make_interval(secs => $2)
             ORDER BY changed_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING order_id, id, provider, reference, status",
        &app.gateways.names(),
        QUIET_S,
        ATTEMPTS
    )
    .fetch_all(&app.pg)
    .await?;
    for row in rows {
        let attempt = Attempt {
            id: AttemptId(row.id),
            order: OrderId(row.order_id),
            provider: row.provider,
            reference: row.reference,
            status: row.status,
            decline: None,
            created_at: Timestamp::UNIX_EPOCH,
        };
        if let Err(problem) = settle::ask_provider(app, &attempt).await {
            tracing::debug!(order = %attempt.order, ?problem, "an attempt can't be asked for");
        }
    }
    for gateway in app.gateways.all() {
        if let Err(problem) = read_list(app, gateway).await {
            tracing::debug!(?problem, "the provider's list can't be read now");
        }
    }
    Ok(false)
}

/// Whether it is this process that reads this provider's list.
async fn is_ours(app: &App, gateway: &Gateway) -> sqlx::Result<bool> {
    let ours = sqlx::query!(
        "INSERT INTO provider_lists AS l (provider, node) VALUES ($1, $2)
         ON CONFLICT (provider) DO UPDATE SET node = $2, read_at = now()
         WHERE l.node = $2 OR l.read_at < now() - make_interval(secs => $3)",
        gateway.name(),
        app.node,
        app.config.workers.reconcile_s as f64 * MISSED_PAUSES
    )
    .execute(&app.pg)
    .await?;
    Ok(ours.rows_affected() > 0)
}

/// Every payment that the provider took must be an order's here.
async fn read_list(app: &App, gateway: &Gateway) -> Result<(), Problem> {
    let since = app.now().saturating_sub(WINDOW).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut page: Option<String> = None;
    for _ in 0..MAX_PAGES {
        // Said again for each page: reading may take longer than others wait.
        if !is_ours(app, gateway).await? {
            return Ok(());
        }
        let listed = match gateway.list(since, page.as_deref()).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "the provider doesn't list its payments");
                return Ok(());
            }
        };
        let charged: Vec<_> = listed
            .intents
            .into_iter()
            .filter(|intent| matches!(intent.state, IntentState::Succeeded { .. }))
            .collect();
        let references: Vec<String> =
            charged.iter().map(|intent| intent.reference.clone()).collect();
        // Most are known: one query finds those that are not.
        let mut pg = app.errands.take().await?;
        let known = sqlx::query_scalar!(
            // OFFSET 0: one by one, or a page's hundred are found by reading all ever paid.
            r#"SELECT u.reference AS "reference!" FROM unnest($2::text[]) AS u (reference)
               WHERE EXISTS (SELECT FROM attempts a
                             WHERE a.provider = $1 AND a.reference = u.reference
                               AND a.status = 'succeeded' OFFSET 0)
                  OR EXISTS (SELECT FROM refunds r
                             WHERE r.provider = $1 AND r.intent = u.reference
                               AND r.order_id IS NULL OFFSET 0)"#,
            gateway.name(),
            &references
        )
        .fetch_all(&mut *pg)
        .await;
        let known: std::collections::HashSet<String> = pg.give_back(known)?.into_iter().collect();
        for intent in charged.iter().filter(|intent| !known.contains(&intent.reference)) {
            tracing::info!(reference = intent.reference, "a payment that no webhook told of");
            settle::take_intent(app, gateway.name(), None, intent).await?;
        }
        match listed.next {
            Some(next) => page = Some(next),
            None => return Ok(()),
        }
    }
    let window_starts = since.to_sqlx();
    tracing::warn!(?window_starts, "the provider's list is longer than one run reads");
    Ok(())
}
