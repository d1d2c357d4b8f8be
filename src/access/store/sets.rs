//! Code sets.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::access::{Binding, CodeSet, MAX_CODES};
use crate::ids::{EventId, OfferId};

/// A set as its organizer sees it.
#[derive(Clone, Debug)]
pub struct SetRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// From when grants count.
    pub starts_at: Option<Timestamp>,
    /// Until when, and until when codes can be redeemed.
    pub ends_at: Option<Timestamp>,
    /// Accounts that may redeem one code.
    pub max_uses: Option<i32>,
    /// Whose its codes are.
    pub binding: Binding,
    /// How many there are.
    pub codes: i32,
    /// How often they were redeemed, each account counted once per code.
    pub redeemed: i64,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Adds a set.
///
/// # Errors
/// If Postgres fails.
pub async fn add_set(pg: &mut PgConnection, event: EventId, set: &SetRow) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO code_sets (id, event_id, name, starts_at, ends_at, max_uses, binding)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        set.id,
        event.0,
        set.name,
        set.starts_at.map(Timestamp::to_sqlx) as _,
        set.ends_at.map(Timestamp::to_sqlx) as _,
        set.max_uses,
        set.binding as Binding
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Sets of an event, in the order of their creation, after `after` and at most so many; or the
/// one with this id.
///
/// # Errors
/// If Postgres fails.
pub async fn sets(
    pg: &PgPool,
    event: EventId,
    only: Option<Uuid>,
    after: Option<Uuid>,
    most: i64,
) -> sqlx::Result<Vec<SetRow>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.name, s.starts_at AS "starts_at: SqlTimestamp",
                  s.ends_at AS "ends_at: SqlTimestamp", s.max_uses,
                  s.binding AS "binding: Binding", s.codes,
                  s.revoked_at AS "revoked_at: SqlTimestamp",
                  s.created_at AS "created_at: SqlTimestamp",
                  (SELECT count(*) FROM access_redemptions r JOIN access_codes c ON c.id = r.code
                   WHERE c.code_set = s.id) AS "redeemed!"
           FROM code_sets s
           WHERE s.event_id = $1 AND ($2::uuid IS NULL OR s.id = $2)
             AND ($3::uuid IS NULL OR s.id > $3)
           ORDER BY s.id LIMIT $4"#,
        event.0,
        only,
        after,
        most
    )
    .fetch_all(pg)
    .await?;
    let rows = rows.into_iter().map(|row| SetRow {
        id: row.id,
        name: row.name,
        starts_at: row.starts_at.map(SqlTimestamp::to_jiff),
        ends_at: row.ends_at.map(SqlTimestamp::to_jiff),
        max_uses: row.max_uses,
        binding: row.binding,
        codes: row.codes,
        redeemed: row.redeemed,
        revoked_at: row.revoked_at.map(SqlTimestamp::to_jiff),
        created_at: row.created_at.to_jiff(),
    });
    Ok(rows.collect())
}

/// An event's sets for its listing.
///
/// # Errors
/// If Postgres fails.
pub async fn load(pg: &mut PgConnection, event: EventId) -> sqlx::Result<Vec<CodeSet>> {
    let rows = sqlx::query!(
        r#"SELECT id, name, starts_at AS "starts_at: SqlTimestamp",
                  ends_at AS "ends_at: SqlTimestamp", revoked_at IS NOT NULL AS "revoked!",
                  ARRAY (SELECT c.id FROM access_codes c
                         WHERE c.code_set = s.id AND c.revoked_at IS NOT NULL
                           AND EXISTS (SELECT FROM access_redemptions r WHERE r.code = c.id))
                      AS "revoked_codes!"
           FROM code_sets s WHERE event_id = $1 ORDER BY id"#,
        event.0
    )
    .fetch_all(pg)
    .await?;
    let sets = rows.into_iter().map(|row| CodeSet {
        id: row.id,
        name: row.name,
        starts_at: row.starts_at.map(SqlTimestamp::to_jiff),
        ends_at: row.ends_at.map(SqlTimestamp::to_jiff),
        revoked: row.revoked,
        revoked_codes: row.revoked_codes.into_iter().collect(),
    });
    Ok(sets.collect())
}

/// Revokes a set for good. Whether it was not before.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke_set(pg: &mut PgConnection, event: EventId, set: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE code_sets SET revoked_at = now()
         WHERE id = $1 AND event_id = $2 AND revoked_at IS NULL",
        set,
        event.0
    );
    Ok(done.execute(pg).await?.rows_affected() == 1)
}

/// Makes room for so many more codes in a set that isn't revoked: what its codes are like.
/// `None` if there is no such set, or it has too many.
///
/// # Errors
/// If Postgres fails.
pub async fn make_room(
    pg: &mut PgConnection,
    event: EventId,
    set: Uuid,
    more: i32,
) -> sqlx::Result<Option<(Binding, Option<i32>)>> {
    let row = sqlx::query!(
        r#"UPDATE code_sets SET codes = codes + $3
           WHERE id = $1 AND event_id = $2 AND revoked_at IS NULL AND codes + $3 <= $4
           RETURNING binding AS "binding: Binding", max_uses"#,
        set,
        event.0,
        more,
        MAX_CODES
    )
    .fetch_optional(pg)
    .await?;
    Ok(row.map(|row| (row.binding, row.max_uses)))
}

/// From now on this offer needs a grant of this set.
///
/// # Errors
/// If Postgres fails.
pub async fn close_offer(pg: &mut PgConnection, offer: OfferId, set: Uuid) -> sqlx::Result<()> {
    sqlx::query!("UPDATE offers SET code_set = $2 WHERE id = $1", offer.0, set).execute(pg).await?;
    Ok(())
}

/// From now on the lane with this code needs a grant of this set. False if there is none.
///
/// # Errors
/// If Postgres fails.
pub async fn close_lane(
    pg: &mut PgConnection,
    event: EventId,
    lane: &str,
    set: Uuid,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE waiting_lanes SET code_set = $3 WHERE event_id = $1 AND code = $2",
        event.0,
        lane,
        set
    );
    Ok(done.execute(pg).await?.rows_affected() == 1)
}
