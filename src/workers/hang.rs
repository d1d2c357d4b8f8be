//! Claiming records whose node died: Postgres says what became of them.

use crate::app::App;
use crate::catalog::cache::Sale;
use crate::holds::record::Record;
use crate::holds::redis::{self as grips, Letting};
use crate::http::problem::Problem;
use crate::ids::HoldId;
use crate::orders::{OrderStatus, mirror};

/// Writes "abandoned" where the claim would write its order. The primary key decides which of
/// the two happened; then the record follows.
///
/// # Errors
/// If Postgres or Redis fail; the record stays and is resolved later.
pub async fn resolve(app: &App, sale: &Sale, hold: HoldId, record: &Record) -> Result<(), Problem> {
    let status = sqlx::query_scalar!(
        r#"SELECT abandon_hold($1, $2, $3, 'abandoned') AS "status!""#,
        hold.0,
        sale.listing.event.id.0,
        record.account.0
    )
    .fetch_one(&app.pg)
    .await?;
    tracing::info!(%hold, status, "a claim that hung is resolved");
    match OrderStatus::from_word(&status) {
        Some(OrderStatus::Abandoned) => {
            grips::release(&app.redis, sale, hold, Letting::System).await?;
        }
        Some(OrderStatus::Retake) => {
            // A late order took its places by this hold: its own record has this name.
            let parent = sqlx::query_scalar!("SELECT id FROM orders WHERE hold_id = $1", hold.0)
                .fetch_all(&app.pg)
                .await?;
            follow(app, &parent).await?;
        }
        _ => follow(app, &[hold.0]).await?,
    }
    Ok(())
}

async fn follow(app: &App, orders: &[uuid::Uuid]) -> Result<(), Problem> {
    mirror::orders(app, orders).await.map_err(|error| {
        tracing::warn!(%error, "a resolved claim can't be mirrored yet");
        Problem::new(crate::http::problem::Code::Unavailable)
    })
}
