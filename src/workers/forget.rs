//! Forgets codes and sessions that are over, so that nobody can fill the tables for good.

use crate::app::App;
use crate::suspicion;

/// Rows of each kind that one look forgets.
const ROWS: i64 = 5_000;
/// How long a session that is over is kept, in seconds: longer than any token of it could be
/// good, because every process must hear that it was revoked.
const SESSION_KEPT_S: f64 = 7_200.0;

/// Forgets what is over. True if there may be more.
///
/// # Errors
/// If Postgres fails.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    // What bounds an hour's requests and a day's guesses stays as long as it bounds them.
    let codes = sqlx::query!(
        "DELETE FROM sign_ins WHERE id IN (
             SELECT id FROM sign_ins
             WHERE expires_at < now() AND hour_from < now() - interval '1 hour'
               AND (wrong_in_day = 0 OR day_from < now() - interval '1 day')
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        ROWS
    )
    .execute(&app.pg)
    .await?;
    let sessions = sqlx::query!(
        "DELETE FROM account_sessions WHERE id IN (
             SELECT id FROM account_sessions
             WHERE expires_at < now() - make_interval(secs => $2)
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        ROWS,
        SESSION_KEPT_S
    )
    .execute(&app.pg)
    .await?;
    let full = ROWS.unsigned_abs();
    let suspects = suspicion::store::forget(&app.pg, ROWS).await?;
    Ok(suspects || codes.rows_affected() >= full || sessions.rows_affected() >= full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::token::TOKEN_S;

    #[test]
    fn a_session_is_kept_as_long_as_its_tokens_could_be_good() {
        assert!(SESSION_KEPT_S > TOKEN_S as f64);
    }
}
