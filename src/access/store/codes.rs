//! Codes, and who has redeemed them.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::access::code;
use crate::access::import::{Own, Recipient};
use crate::ids::{AccountId, EventId};

/// Codes in one statement.
const CHUNK: usize = 10_000;

/// A code as its organizer sees it.
#[derive(Clone, Debug)]
pub struct CodeRow {
    /// Its id.
    pub id: i64,
    /// Its first characters.
    pub prefix: String,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// Whose it is.
    pub email: Option<String>,
    /// How many accounts have redeemed it.
    pub uses: i64,
    /// The first time.
    pub first_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Revokes a code for good. False if the set has no such code; once more is harmless.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke_code(
    pg: &mut PgConnection,
    event: EventId,
    set: Uuid,
    code: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE access_codes SET revoked_at = coalesce(revoked_at, now())
         WHERE id = $1 AND code_set = $2 AND event_id = $3",
        code,
        set,
        event.0
    );
    Ok(done.execute(pg).await?.rows_affected() == 1)
}

/// Which of these hashes the event has already.
///
/// # Errors
/// If Postgres fails.
pub async fn known(
    pg: &mut PgConnection,
    event: EventId,
    hashes: &[Vec<u8>],
) -> sqlx::Result<HashSet<Vec<u8>>> {
    let rows = sqlx::query_scalar!(
        "SELECT hash FROM access_codes WHERE event_id = $1 AND hash = ANY ($2)",
        event.0,
        hashes
    )
    .fetch_all(pg)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Stores codes of a set, in which there is room, with their hashes.
///
/// # Errors
/// If Postgres fails, or has one of them.
pub async fn add_codes(
    pg: &mut PgConnection,
    event: EventId,
    set: Uuid,
    max_uses: Option<i32>,
    codes: &[(Own, [u8; 16])],
) -> sqlx::Result<()> {
    for chunk in codes.chunks(CHUNK) {
        let hashes: Vec<Vec<u8>> = chunk.iter().map(|(_, hash)| hash.to_vec()).collect();
        let prefix = |own: &Own| code::prefix(&own.code).to_owned();
        let prefixes: Vec<String> = chunk.iter().map(|(own, _)| prefix(own)).collect();
        let accounts = chunk.iter().map(|(own, _)| match &own.recipient {
            Recipient::Account(account) => Some(account.0),
            _ => None,
        });
        let emails = chunk.iter().map(|(own, _)| match &own.recipient {
            Recipient::Email(key) => Some(key.clone()),
            _ => None,
        });
        let (accounts, emails): (Vec<_>, Vec<_>) = (accounts.collect(), emails.collect());
        sqlx::query!(
            "INSERT INTO access_codes (event_id, code_set, hash, prefix, account, email_key,
                                       max_uses)
             SELECT $1, $2, j.hash, j.prefix, j.account, j.email_key, $3
             FROM unnest($4::bytea[], $5::text[], $6::uuid[], $7::text[])
                  AS j (hash, prefix, account, email_key)",
            event.0,
            set,
            max_uses,
            &hashes,
            &prefixes,
            &accounts as _,
            &emails as _
        )
        .execute(&mut *pg)
        .await?;
    }
    Ok(())
}

/// Remembers a batch that was generated with this key.
///
/// # Errors
/// If Postgres fails.
pub async fn add_batch(pg: &mut PgConnection, id: Uuid, set: Uuid, key: i16) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO code_batches (id, code_set, key) VALUES ($1, $2, $3)", id, set, key)
        .execute(pg)
        .await?;
    Ok(())
}

/// The key of a batch, if it is not older than so many seconds.
///
/// # Errors
/// If Postgres fails.
pub async fn batch_key(
    pg: &mut PgConnection,
    id: Uuid,
    within_s: f64,
) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!(
        "SELECT key FROM code_batches
         WHERE id = $1 AND created_at > now() - make_interval(secs => $2)",
        id,
        within_s
    )
    .fetch_optional(pg)
    .await
}

/// Codes of a set after `after`, at most so many; where `prefix` isn't empty, those that begin so.
///
/// # Errors
/// If Postgres fails.
pub async fn codes(
    pg: &PgPool,
    event: EventId,
    set: Uuid,
    prefix: &str,
    after: i64,
    most: i64,
) -> sqlx::Result<Vec<CodeRow>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.prefix, c.account, c.email_key,
                  c.revoked_at AS "revoked_at: SqlTimestamp",
                  r.uses AS "uses!", r.first AS "first: SqlTimestamp"
           FROM access_codes c CROSS JOIN LATERAL (
               SELECT count(*) AS uses, min(redeemed_at) AS first
               FROM access_redemptions WHERE code = c.id
           ) r
           WHERE c.event_id = $1 AND c.code_set = $2 AND c.id > $4
             AND ($3 = '' OR c.prefix = $3)
           ORDER BY c.id LIMIT $5"#,
        event.0,
        set,
        prefix,
        after,
        most
    )
    .fetch_all(pg)
    .await?;
    let rows = rows.into_iter().map(|row| CodeRow {
        id: row.id,
        prefix: row.prefix,
        account: row.account.map(AccountId),
        email: row.email_key,
        uses: row.uses,
        first_used_at: row.first.map(SqlTimestamp::to_jiff),
        revoked_at: row.revoked_at.map(SqlTimestamp::to_jiff),
    });
    Ok(rows.collect())
}

/// What redeeming came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// The code.
    pub code: i64,
    /// Its set.
    pub set: Uuid,
    /// Whether the account had redeemed it before: no further use was counted.
    pub again: bool,
}

/// Redeems the code with one of these hashes for an account. `None` for every code that doesn't
/// count, whatever the reason.
///
/// # Errors
/// If Postgres fails.
pub async fn redeem(
    pg: &PgPool,
    event: EventId,
    hashes: &[Vec<u8>],
    account: AccountId,
    email_key: Option<&str>,
) -> sqlx::Result<Option<Redeemed>> {
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", code, code_set FROM redeem_code($1, $2, $3, $4)"#,
        event.0,
        hashes,
        account.0,
        email_key
    )
    .fetch_one(pg)
    .await?;
    let again = row.outcome == "again";
    Ok(row.code.zip(row.code_set).map(|(code, set)| Redeemed { code, set, again }))
}
