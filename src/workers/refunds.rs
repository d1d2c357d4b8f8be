//! Giving money back: asks the provider until it says that it is done.

use uuid::Uuid;

use crate::app::App;
use crate::http::problem::Problem;
use crate::ids::RefundId;
use crate::money::Money;
use crate::payments::{NewRefund, ProviderError, RefundState, settle};

/// Refunds that one look takes.
const ROWS: i64 = 20;
/// Seconds until a refund is asked for again, doubled with each try up to the bound.
const RETRY_S: f64 = 1.0;
const MAX_RETRY_S: f64 = 300.0;
/// Seconds until a refund that the provider has accepted is looked at again.
const PENDING_S: f64 = 30.0;

struct Due {
    id: Uuid,
    provider: String,
    intent: String,
    amount: i64,
    currency: String,
    tries: i32,
}

/// Asks for refunds that are due. True if there may be more.
///
/// # Errors
/// If Postgres fails.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    // Leased as deadlines are: the next look is set before the provider is asked.
    let due = sqlx::query_as!(
        Due,
        "UPDATE refunds SET tries = tries + 1, due_at = now() + make_interval(secs =>
             CASE status WHEN 'pending' THEN $3
                         ELSE least($4, $2 * power(2, least(tries, 20))) END)
         WHERE id IN (SELECT id FROM refunds WHERE status IN ('due', 'pending')
                        AND due_at <= now() AND provider = ANY ($5)
                      ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, provider, intent, amount, currency, tries",
        ROWS,
        RETRY_S,
        PENDING_S,
        MAX_RETRY_S,
        &app.gateways.names()
    )
    .fetch_all(&app.pg)
    .await?;
    let more = due.len() == usize::try_from(ROWS).unwrap_or(usize::MAX);
    for refund in due {
        if let Err(problem) = give_back(app, &refund).await {
            tracing::warn!(refund = %refund.id, ?problem, "a refund has to wait");
        }
    }
    Ok(more)
}

async fn give_back(app: &App, due: &Due) -> Result<(), Problem> {
    let currency = due.currency.parse().map_err(|_| Problem::internal("refund's currency"))?;
    let gateway = app.gateways.named(&due.provider);
    let gateway = gateway.ok_or_else(|| Problem::internal("refund's provider"))?;
    let asked = gateway.refund(NewRefund {
        refund: RefundId(due.id),
        reference: due.intent.clone(),
        amount: Money::new(due.amount, currency),
    });
    match asked.await {
        Ok(mut view) => {
            view.refund = Some(RefundId(due.id));
            if view.state == RefundState::Failed {
                tracing::error!(refund = %due.id, "the provider could not refund: see to it");
            }
            settle::take_refund(app, gateway.name(), &view).await
        }
        Err(error @ (ProviderError::Unknown(_) | ProviderError::NotFound)) => {
            tracing::warn!(refund = %due.id, tries = due.tries, %error, "no refund yet");
            Ok(())
        }
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::error!(refund = %due.id, %error, "a refund was refused: see to it");
            Ok(())
        }
    }
}
