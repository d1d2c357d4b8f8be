//! Accounts and their sessions in Postgres.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::sessions::{GRACE_S, IDLE_S, LONGEST_S, MAX_SESSIONS};
use crate::ids::{AccountId, SessionId};

/// The address that an account began with.
///
/// # Errors
/// If Postgres fails, or there is no such account.
pub async fn email(pg: &PgPool, account: AccountId) -> sqlx::Result<String> {
    sqlx::query_scalar!("SELECT email FROM accounts WHERE id = $1", account.0).fetch_one(pg).await
}

/// The person's account, which is made if there is none.
///
/// # Errors
/// If Postgres fails.
pub async fn account_of(
    pg: &mut PgConnection,
    email: &str,
    email_key: &str,
) -> sqlx::Result<AccountId> {
    sqlx::query!(
        "INSERT INTO accounts (id, email, email_key) VALUES ($1, $2, $3)
         ON CONFLICT (email_key) DO NOTHING",
        AccountId::fresh().0,
        email,
        email_key
    )
    .execute(&mut *pg)
    .await?;
    let id = sqlx::query_scalar!("SELECT id FROM accounts WHERE email_key = $1", email_key);
    id.fetch_one(pg).await.map(AccountId)
}

/// Begins a session; the oldest of too many ends.
///
/// # Errors
/// If Postgres fails.
pub async fn begin_session(
    pg: &mut PgConnection,
    account: AccountId,
    user_agent: &str,
) -> sqlx::Result<SessionId> {
    let id = SessionId::fresh();
    sqlx::query!(
        "INSERT INTO account_sessions (id, account, expires_at, user_agent)
         VALUES ($1, $2, now() + make_interval(secs => $3), $4)",
        id.0,
        account.0,
        IDLE_S as f64,
        user_agent
    )
    .execute(&mut *pg)
    .await?;
    sqlx::query!(
        "UPDATE account_sessions SET revoked_at = clock_timestamp(), expires_at = now()
         WHERE id IN (SELECT id FROM account_sessions
                      WHERE account = $1 AND revoked_at IS NULL AND expires_at > now()
                      ORDER BY rotated_at DESC, id DESC OFFSET $2)",
        account.0,
        MAX_SESSIONS
    )
    .execute(pg)
    .await?;
    Ok(id)
}

/// A session's row while it is being rotated.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// How often it was rotated, counted from 1.
    pub generation: i32,
    /// Whether the last rotation is so recent that others may not have heard of it.
    pub fresh: bool,
    /// Whether it has ended.
    pub over: bool,
}

/// Locks a session of this account.
///
/// # Errors
/// If Postgres fails.
pub async fn lock_session(
    pg: &mut PgConnection,
    id: SessionId,
    account: AccountId,
) -> sqlx::Result<Option<Locked>> {
    sqlx::query_as!(
        Locked,
        r#"SELECT generation, rotated_at > now() - make_interval(secs => $3) AS "fresh!",
                  revoked_at IS NOT NULL OR expires_at <= now() AS "over!"
           FROM account_sessions WHERE id = $1 AND account = $2 FOR UPDATE"#,
        id.0,
        account.0,
        GRACE_S
    )
    .fetch_optional(pg)
    .await
}

/// Raises a locked session's generation.
///
/// # Errors
/// If Postgres fails.
pub async fn raise_generation(pg: &mut PgConnection, id: SessionId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE account_sessions
         SET generation = generation + 1, rotated_at = clock_timestamp(),
             expires_at = least(now() + make_interval(secs => $2),
                                created_at + make_interval(secs => $3))
         WHERE id = $1",
        id.0,
        IDLE_S as f64,
        LONGEST_S as f64
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Ends a session of this account. False if there is none that lives.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke(
    pg: impl sqlx::PgExecutor<'_>,
    id: SessionId,
    account: AccountId,
) -> sqlx::Result<bool> {
    let revoked = sqlx::query!(
        "UPDATE account_sessions SET revoked_at = clock_timestamp(), expires_at = now()
         WHERE id = $1 AND account = $2 AND revoked_at IS NULL",
        id.0,
        account.0
    )
    .execute(pg)
    .await?;
    Ok(revoked.rows_affected() > 0)
}

/// Sessions revoked within the last so many seconds.
///
/// # Errors
/// If Postgres fails.
pub async fn revoked_within(pg: &PgPool, seconds: f64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM account_sessions
         WHERE revoked_at IS NOT NULL AND revoked_at > now() - make_interval(secs => $1)",
        seconds
    )
    .fetch_all(pg)
    .await
}

/// A session that lives.
#[derive(Clone, Debug)]
pub struct Living {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was rotated last.
    pub rotated_at: Timestamp,
    /// When it ends unless it is rotated.
    pub expires_at: Timestamp,
    /// The browser or app that it began in, as that calls itself.
    pub user_agent: String,
}

/// An account's sessions, the last rotated first.
///
/// # Errors
/// If Postgres fails.
pub async fn living(pg: &PgPool, account: AccountId) -> sqlx::Result<Vec<Living>> {
    let rows = sqlx::query!(
        r#"SELECT id, user_agent, created_at AS "created_at: SqlTimestamp",
                  rotated_at AS "rotated_at: SqlTimestamp",
                  expires_at AS "expires_at: SqlTimestamp"
           FROM account_sessions
           WHERE account = $1 AND revoked_at IS NULL AND expires_at > now()
           ORDER BY rotated_at DESC, id DESC LIMIT $2"#,
        account.0,
        MAX_SESSIONS
    )
    .fetch_all(pg)
    .await?;
    let living = rows.into_iter().map(|row| Living {
        id: SessionId(row.id),
        created_at: row.created_at.to_jiff(),
        rotated_at: row.rotated_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
        user_agent: row.user_agent,
    });
    Ok(living.collect())
}
