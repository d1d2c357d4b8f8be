//! The steps of a draw in Postgres, each in a transaction of the worker's.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Drawn, Registration};
use crate::ids::AccountId;

/// Locks a registration for a step of its draw. False if another process has it, or it is done.
///
/// # Errors
/// If Postgres fails.
pub async fn lock(pg: &mut PgConnection, registration: Uuid) -> sqlx::Result<bool> {
    let locked = sqlx::query_scalar!(
        "SELECT id FROM registrations
         WHERE id = $1 AND beacon IS NOT NULL AND done_at IS NULL
         FOR NO KEY UPDATE SKIP LOCKED",
        registration
    );
    Ok(locked.fetch_optional(pg).await?.is_some())
}

/// Accounts without a place, at most so many.
///
/// # Errors
/// If Postgres fails.
pub async fn unplaced(
    pg: &mut PgConnection,
    registration: Uuid,
    most: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT account FROM registrants WHERE registration = $1 AND place IS NULL
         ORDER BY account LIMIT $2",
        registration,
        most
    )
    .fetch_all(pg)
    .await
}

/// Writes places.
///
/// # Errors
/// If Postgres fails.
pub async fn put_places(
    pg: &mut PgConnection,
    registration: Uuid,
    accounts: &[Uuid],
    places: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE registrants r SET place = j.place
         FROM unnest($2::uuid[], $3::bigint[]) AS j (account, place)
         WHERE r.registration = $1 AND r.account = j.account AND r.place IS NULL",
        registration,
        accounts,
        places
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Finds the last winner among all places, and writes down what the draw has come to.
///
/// # Errors
/// If Postgres fails.
pub async fn conclude(
    pg: &mut PgConnection,
    registration: Uuid,
    winners: i32,
) -> sqlx::Result<Drawn> {
    let registered = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM registrants WHERE registration = $1"#,
        registration
    );
    let registered = registered.fetch_one(&mut *pg).await?;
    let won = registered.min(i64::from(winners));
    let last = sqlx::query!(
        r#"SELECT place AS "place!", account FROM registrants
           WHERE registration = $1 AND place IS NOT NULL
           ORDER BY place, account OFFSET greatest($2::bigint - 1, 0) LIMIT 1"#,
        registration,
        won
    );
    let last = last.fetch_optional(&mut *pg).await?;
    let last = last.map(|row| (row.place, AccountId(row.account)));
    sqlx::query!(
        "UPDATE registrations
         SET registered = $2, won = $3, last_place = $4, last_account = $5 WHERE id = $1",
        registration,
        registered,
        won,
        last.map(|(place, _)| place),
        last.map(|(_, account)| account.0)
    )
    .execute(pg)
    .await?;
    Ok(Drawn { registered, won, last })
}

/// Accounts and places without an outcome, at most so many.
///
/// # Errors
/// If Postgres fails.
pub async fn untold(
    pg: &mut PgConnection,
    registration: Uuid,
    most: i64,
) -> sqlx::Result<Vec<(AccountId, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT account, place AS "place!" FROM registrants
           WHERE registration = $1 AND outcome IS NULL AND place IS NOT NULL
           ORDER BY account LIMIT $2"#,
        registration,
        most
    )
    .fetch_all(pg)
    .await?;
    Ok(rows.into_iter().map(|row| (AccountId(row.account), row.place)).collect())
}

/// A code for a winner.
pub struct Prize {
    /// Who won.
    pub account: AccountId,
    /// The stored hash of the code.
    pub hash: [u8; 16],
    /// Its first characters.
    pub prefix: String,
}

/// Writes outcomes: winners get their codes, bound to their accounts, and everybody's mail is due.
///
/// # Errors
/// If Postgres fails.
pub async fn put_outcomes(
    pg: &mut PgConnection,
    registration: &Registration,
    key: u8,
    prizes: &[Prize],
    losers: &[Uuid],
) -> sqlx::Result<()> {
    let accounts: Vec<Uuid> = prizes.iter().map(|prize| prize.account.0).collect();
    let hashes: Vec<Vec<u8>> = prizes.iter().map(|prize| prize.hash.to_vec()).collect();
    let prefixes: Vec<String> = prizes.iter().map(|prize| prize.prefix.clone()).collect();
    sqlx::query!(
        "WITH added AS (
             INSERT INTO access_codes (event_id, code_set, hash, prefix, account, max_uses)
             SELECT $1, $2, j.hash, j.prefix, j.account, 1
             FROM unnest($3::uuid[], $4::bytea[], $5::text[]) AS j (account, hash, prefix)
             RETURNING id, account
         )
         UPDATE registrants r SET outcome = 'won', code = a.id, key = $7, due_at = now()
         FROM added a
         WHERE r.registration = $6 AND r.account = a.account AND r.outcome IS NULL",
        registration.event.0,
        registration.code_set,
        &accounts,
        &hashes,
        &prefixes,
        registration.id,
        i16::from(key)
    )
    .execute(&mut *pg)
    .await?;
    sqlx::query!(
        "UPDATE registrants SET outcome = 'lost', due_at = now()
         WHERE registration = $1 AND account = ANY ($2) AND outcome IS NULL",
        registration.id,
        losers
    )
    .execute(&mut *pg)
    .await?;
    sqlx::query!(
        "UPDATE code_sets SET codes = codes + $2 WHERE id = $1",
        registration.code_set,
        i32::try_from(prizes.len()).unwrap_or(i32::MAX)
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Everybody has an outcome.
///
/// # Errors
/// If Postgres fails.
pub async fn finish(pg: &mut PgConnection, registration: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE registrations SET done_at = now() WHERE id = $1", registration)
        .execute(pg)
        .await?;
    Ok(())
}
