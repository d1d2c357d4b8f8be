//! Rehearsals in Postgres, and what of them must go from Redis.

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgPool};

use super::Rehearsal;
use crate::app::App;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;
use crate::redis::keys::{Keys, LaneKeys};

/// Numbers of channels and of lanes: the database knows 0 to 30.
const NUMBERS: std::ops::RangeInclusive<i16> = 0..=30;
/// Generations of a shadow's keys that are deleted beside the known ones: it lives for hours.
const EPOCHS: i32 = 16;

/// Makes a shadow and its rehearsal.
///
/// # Errors
/// `exists` while another rehearsal of the event is on, or Postgres fails.
pub async fn make(pg: &mut PgConnection, made: &Rehearsal, slug: &str) -> Result<(), Problem> {
    let done = sqlx::query!(
        "SELECT make_rehearsal($1, $2, $3, $4, $5)",
        made.of.0,
        made.shadow.0,
        slug,
        made.opens_at.to_sqlx() as _,
        made.ends_at.to_sqlx() as _
    )
    .execute(pg)
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error))
            if error.constraint() == Some("rehearsals_one_per_event") =>
        {
            Err(Problem::new(Code::Exists).detail("a rehearsal of this event is on"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The rehearsal of this event with this shadow, unless nothing of it is left.
///
/// # Errors
/// If Postgres fails.
pub async fn find(pg: &PgPool, of: EventId, shadow: EventId) -> sqlx::Result<Option<Rehearsal>> {
    let row = sqlx::query!(
        r#"SELECT opens_at AS "opens_at: SqlTimestamp", ends_at AS "ends_at: SqlTimestamp",
                  created_at AS "created_at: SqlTimestamp", ended_at AS "ended_at: SqlTimestamp"
           FROM rehearsals WHERE event_id = $1 AND of_event = $2 AND removed_at IS NULL"#,
        shadow.0,
        of.0
    )
    .fetch_optional(pg)
    .await?;
    Ok(row.map(|row| Rehearsal {
        shadow,
        of,
        opens_at: row.opens_at.to_jiff(),
        ends_at: row.ends_at.to_jiff(),
        created_at: row.created_at.to_jiff(),
        ended_at: row.ended_at.map(SqlTimestamp::to_jiff),
    }))
}

/// What a rehearsal has come to.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Orders that are paid.
    pub paid: i64,
    /// Orders that may still be paid.
    pub open: i64,
    /// Places sold.
    pub sold: i64,
    /// Mails that were not sent because it is a rehearsal.
    pub unsent: i64,
}

/// Counts what a shadow has come to.
///
/// # Errors
/// If Postgres fails.
pub async fn figures(pg: &PgPool, shadow: EventId) -> sqlx::Result<Figures> {
    sqlx::query_as!(
        Figures,
        r#"SELECT count(*) FILTER (WHERE status = 'paid') AS "paid!",
                  count(*) FILTER (WHERE status IN ('open', 'cancelling', 'late')) AS "open!",
                  (SELECT count(*) FROM claims WHERE event_id = $1 AND sold) AS "sold!",
                  (SELECT count(*) FROM mails m JOIN orders o ON o.id = m.order_id
                   WHERE o.event_id = $1 AND m.problem = 'rehearsal') AS "unsent!"
           FROM orders WHERE event_id = $1"#,
        shadow.0
    )
    .fetch_one(pg)
    .await
}

/// Ends a rehearsal: when this returns, nothing of it is sold any more.
///
/// # Errors
/// If Postgres fails.
pub async fn end(pg: &PgPool, shadow: EventId) -> sqlx::Result<()> {
    sqlx::query_scalar!("SELECT end_rehearsal($1)", shadow.0).fetch_one(pg).await.map(drop)
}

/// Whether there are any, and be it only to be forgotten.
///
/// # Errors
/// If Postgres fails.
pub async fn any(pg: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM rehearsals) AS "any!""#).fetch_one(pg).await
}

/// Rehearsals whose time is up.
///
/// # Errors
/// If Postgres fails.
pub async fn overdue(pg: &PgPool) -> sqlx::Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        "SELECT event_id FROM rehearsals WHERE ended_at IS NULL AND ends_at <= now()"
    );
    Ok(ids.fetch_all(pg).await?.into_iter().map(EventId).collect())
}

/// Lanes of rehearsals whose joining has closed, and that have no beacon yet.
///
/// # Errors
/// If Postgres fails.
pub async fn undrawn(pg: &PgPool) -> sqlx::Result<Vec<(EventId, i16)>> {
    let rows = sqlx::query!(
        "SELECT l.event_id, l.lane FROM rehearsals r JOIN waiting_lanes l USING (event_id)
         WHERE r.ended_at IS NULL AND l.beacon IS NULL AND l.draw_at <= clock_timestamp()"
    );
    let rows = rows.fetch_all(pg).await?;
    Ok(rows.into_iter().map(|row| (EventId(row.event_id), row.lane)).collect())
}

/// Rehearsals that ended so long ago that nothing of them is under way, and are not removed.
///
/// # Errors
/// If Postgres fails.
pub async fn ended(pg: &PgPool, settle_s: f64) -> sqlx::Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        "SELECT event_id FROM rehearsals
         WHERE removed_at IS NULL AND ended_at < now() - make_interval(secs => $1)",
        settle_s
    );
    Ok(ids.fetch_all(pg).await?.into_iter().map(EventId).collect())
}

/// Rehearsals that were removed so long ago that nobody can write anything of them any more.
///
/// # Errors
/// If Postgres fails.
pub async fn removed(pg: &PgPool, kept_s: f64) -> sqlx::Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        "SELECT event_id FROM rehearsals WHERE removed_at < now() - make_interval(secs => $1)",
        kept_s
    );
    Ok(ids.fetch_all(pg).await?.into_iter().map(EventId).collect())
}

/// Deletes everything of a rehearsal that has ended, from both servers. Harmless twice.
///
/// # Errors
/// If one of them fails: repeat it.
pub async fn remove(app: &App, shadow: EventId) -> Result<(), Problem> {
    let epoch = sqlx::query_scalar!("SELECT epoch FROM epochs WHERE event_id = $1", shadow.0)
        .fetch_optional(&app.pg)
        .await?;
    let keys = keys(app, shadow, epoch.unwrap_or(0))?;
    // Redis first: what is gone there can't be sold, whatever becomes of the rest.
    unlink(app, &keys).await?;
    sqlx::query!("SELECT remove_rehearsal_sales($1)", shadow.0).execute(&app.pg).await?;
    sqlx::query!("SELECT remove_rehearsal($1)", shadow.0).execute(&app.pg).await?;
    unlink(app, &keys).await
}

/// Forgets that there was a rehearsal.
///
/// # Errors
/// If Postgres fails.
pub async fn forget(pg: &PgPool, shadow: EventId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM rehearsals WHERE event_id = $1 AND removed_at IS NOT NULL", shadow.0)
        .execute(pg)
        .await?;
    Ok(())
}

fn keys(app: &App, shadow: EventId, last: i32) -> Result<Vec<String>, Problem> {
    let link = app.redis.link().ok_or_else(|| Problem::new(Code::Unavailable))?;
    let prefix = &app.redis.prefix;
    let mut names = vec![Keys::new(prefix, shadow, 0).head];
    for epoch in (last - EPOCHS).max(0)..=last.max(EPOCHS) {
        names.extend(Keys::new(prefix, shadow, epoch).of_epoch(NUMBERS));
    }
    for lane in NUMBERS {
        let LaneKeys { numbers, joined } = LaneKeys::new(prefix, shadow, lane, &link.run_id);
        names.extend([numbers, joined]);
    }
    Ok(names)
}

async fn unlink(app: &App, keys: &[String]) -> Result<(), Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "a rehearsal's keys can't be deleted yet");
        Problem::new(Code::Unavailable)
    };
    let mut bulk = app.redis.bulk().await.map_err(|error| failed(&error))?;
    let unlinked = redis::cmd("UNLINK").arg(keys).exec_async(&mut bulk).await;
    unlinked.map_err(|error| failed(&error))
}
