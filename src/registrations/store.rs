//! Registrations and who has registered, in Postgres.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::{Announced, Drawn, Outcome, Registration, lane};
use crate::ids::{AccountId, EventId};
use crate::waiting_room::draw::{Draw, SEED_BYTES};

/// Adds a registration with this seed.
///
/// # Errors
/// If Postgres fails, or refuses.
pub async fn add(
    pg: &mut PgConnection,
    new: &Registration,
    seed: &[u8; SEED_BYTES],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO registrations (id, event_id, number, name, code_set, opens_at, closes_at,
                                    draw_at, winners, seed, beacon_name, beacon_round)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.id,
        new.event.0,
        new.number,
        new.name,
        new.code_set,
        new.opens_at.to_sqlx() as _,
        new.closes_at.to_sqlx() as _,
        new.draw_at.to_sqlx() as _,
        new.winners,
        seed.as_slice(),
        new.draw.beacon_name,
        new.draw.beacon_round
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// The registrations of an event, or the one with this id (of any event, if none is named), or
/// those that are not done though they are due.
///
/// # Errors
/// If Postgres fails.
pub async fn read(
    pg: impl PgExecutor<'_>,
    event: Option<EventId>,
    only: Option<Uuid>,
    due: bool,
) -> sqlx::Result<Vec<Registration>> {
    let rows = sqlx::query!(
        r#"SELECT id, event_id, number, name, code_set, opens_at AS "opens_at: SqlTimestamp",
                  closes_at AS "closes_at: SqlTimestamp", draw_at AS "draw_at: SqlTimestamp",
                  winners, seed, beacon_name, beacon_round, beacon, registered, won, last_place,
                  last_account, done_at IS NOT NULL AS "done!"
           FROM registrations
           WHERE ($1::uuid IS NULL OR event_id = $1) AND ($2::uuid IS NULL OR id = $2)
             AND (NOT $3 OR done_at IS NULL AND draw_at <= clock_timestamp())
           ORDER BY event_id, number"#,
        event.map(|event| event.0),
        only,
        due
    )
    .fetch_all(pg)
    .await?;
    let mut registrations = Vec::with_capacity(rows.len());
    for row in rows {
        let (event, seed) = (EventId(row.event_id), row.seed.as_slice());
        let seed: [u8; SEED_BYTES] =
            seed.try_into().map_err(|_| sqlx::Error::Decode("a seed has 32 bytes".into()))?;
        let (name, round) = (&row.beacon_name, row.beacon_round);
        let last = row.last_place.zip(row.last_account.map(AccountId));
        registrations.push(Registration {
            id: row.id,
            event,
            number: row.number,
            name: row.name,
            code_set: row.code_set,
            opens_at: row.opens_at.to_jiff(),
            closes_at: row.closes_at.to_jiff(),
            draw_at: row.draw_at.to_jiff(),
            winners: row.winners,
            draw: Draw::new(event, lane(row.number), seed, name, round, row.beacon.as_deref()),
            drawn: row.registered.zip(row.won).map(|(registered, won)| Drawn {
                registered,
                won,
                last,
            }),
            done: row.done,
        });
    }
    Ok(registrations)
}

/// The registrations of an event, for its listing: adding one makes every process read it again.
///
/// # Errors
/// If Postgres fails.
pub async fn announced(pg: &mut PgConnection, event: EventId) -> sqlx::Result<Vec<Announced>> {
    let rows = sqlx::query!(
        r#"SELECT name, opens_at AS "opens_at: SqlTimestamp",
                  closes_at AS "closes_at: SqlTimestamp"
           FROM registrations WHERE event_id = $1 ORDER BY number"#,
        event.0
    )
    .fetch_all(pg)
    .await?;
    let announced = rows.into_iter().map(|row| Announced {
        name: row.name,
        opens_at: row.opens_at.to_jiff(),
        closes_at: row.closes_at.to_jiff(),
    });
    Ok(announced.collect())
}

/// How many are registered now.
///
/// # Errors
/// If Postgres fails.
pub async fn count(pg: &PgPool, registration: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM registrants WHERE registration = $1"#,
        registration
    )
    .fetch_one(pg)
    .await
}

/// Mixes the beacon in, once it may be known. False if it has one, or it is too early.
///
/// # Errors
/// If Postgres fails.
pub async fn put_beacon(pg: &PgPool, registration: Uuid, beacon: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE registrations SET beacon = $2
         WHERE id = $1 AND beacon IS NULL AND draw_at <= clock_timestamp()",
        registration,
        beacon
    );
    Ok(done.execute(pg).await?.rows_affected() == 1)
}

/// Somebody's registration.
#[derive(Clone, Debug)]
pub struct Registrant {
    /// Whose.
    pub account: AccountId,
    /// Where the outcome is mailed to.
    pub email: String,
    /// The language of the mail.
    pub locale: Option<String>,
    /// When.
    pub registered_at: Timestamp,
    /// The place in the draw, once it is known.
    pub place: Option<i64>,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// The id of the key of a winner's code.
    pub key: Option<i16>,
}

/// What registering came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Registered now.
    Now,
    /// Registered before; what was said then stays.
    Before,
    /// Another account has registered with this address.
    Taken,
    /// It is too early or too late.
    Closed,
}

/// Registers an account. The registration is locked against its draw meanwhile: who is registered
/// takes part.
///
/// # Errors
/// If Postgres fails.
pub async fn register(
    pg: &PgPool,
    registration: Uuid,
    account: AccountId,
    email: (&str, &str),
    locale: Option<&str>,
) -> sqlx::Result<Registered> {
    let mut tx = pg.begin().await?;
    let open = sqlx::query_scalar!(
        r#"SELECT clock_timestamp() >= opens_at AND clock_timestamp() < closes_at
                  AND beacon IS NULL AS "open!"
           FROM registrations WHERE id = $1 FOR SHARE"#,
        registration
    );
    let open = open.fetch_one(&mut *tx).await?;
    let new = sqlx::query!(
        "INSERT INTO registrants (registration, account, email, email_key, locale)
         SELECT $1, $2, $3, $4, $5 WHERE $6
         ON CONFLICT DO NOTHING",
        registration,
        account.0,
        email.0,
        email.1,
        locale,
        open
    );
    let new = new.execute(&mut *tx).await?.rows_affected() == 1;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM registrants WHERE registration = $1 AND account = $2)
               AS "known!""#,
        registration,
        account.0
    );
    let known = known.fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(match (new, known, open) {
        (true, ..) => Registered::Now,
        (_, true, _) => Registered::Before,
        (.., true) => Registered::Taken,
        _ => Registered::Closed,
    })
}

/// Withdraws an account's registration, as long as one can register. Whether it is gone: false if
/// it is too late.
///
/// # Errors
/// If Postgres fails.
pub async fn withdraw(pg: &PgPool, registration: Uuid, account: AccountId) -> sqlx::Result<bool> {
    let mut tx = pg.begin().await?;
    let open = sqlx::query_scalar!(
        r#"SELECT clock_timestamp() < closes_at AND beacon IS NULL AS "open!"
           FROM registrations WHERE id = $1 FOR SHARE"#,
        registration
    );
    let open = open.fetch_one(&mut *tx).await?;
    if open {
        sqlx::query!(
            "DELETE FROM registrants WHERE registration = $1 AND account = $2",
            registration,
            account.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(open)
}

/// An account's registration.
///
/// # Errors
/// If Postgres fails.
pub async fn registrant(
    pg: &PgPool,
    registration: Uuid,
    account: AccountId,
) -> sqlx::Result<Option<Registrant>> {
    let row = sqlx::query!(
        r#"SELECT email, locale, registered_at AS "registered_at: SqlTimestamp", place,
                  outcome AS "outcome: Outcome", key
           FROM registrants WHERE registration = $1 AND account = $2"#,
        registration,
        account.0
    )
    .fetch_optional(pg)
    .await?;
    Ok(row.map(|row| Registrant {
        account,
        email: row.email,
        locale: row.locale,
        registered_at: row.registered_at.to_jiff(),
        place: row.place,
        outcome: row.outcome,
        key: row.key,
    }))
}
