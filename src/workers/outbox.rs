//! The outbox.

use crate::app::App;

/// Fans out what was committed.
///
/// # Errors
/// If Postgres fails.
pub async fn run_once(_app: &App) -> Result<bool, sqlx::Error> {
    Ok(false)
}
