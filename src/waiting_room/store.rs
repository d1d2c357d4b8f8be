//! Waiting rooms in Postgres.

use std::collections::HashMap;
use std::sync::Arc;

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::draw::{Draw, SEED_BYTES};
use super::{Call, Lane, LaneKind, Missed, Room, RoomState};
use crate::ids::EventId;

/// Reads rooms with their lanes and the calls that may still begin a turn, and Postgres's clock in
/// milliseconds. Events without a room are left out.
///
/// # Errors
/// If Postgres fails.
pub async fn read(pg: &PgPool, events: &[Uuid]) -> sqlx::Result<(Vec<Room>, i64)> {
    let rooms = sqlx::query!(
        r#"SELECT event_id, state AS "state: RoomState", joining, message, target_inside,
                  per_minute, turn_seconds, pass_seconds, missed AS "missed: Missed", proof,
                  version, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "now_ms!"
           FROM waiting_rooms WHERE event_id = ANY ($1)"#,
        events
    )
    .fetch_all(pg)
    .await?;
    let Some(now_ms) = rooms.first().map(|row| row.now_ms) else { return Ok((Vec::new(), 0)) };
    let mut lanes = read_lanes(pg, events).await?;
    let rooms = rooms.into_iter().map(|row| Room {
        event: EventId(row.event_id),
        state: row.state,
        joining: row.joining,
        message: row.message,
        target_inside: row.target_inside,
        per_minute: row.per_minute,
        turn_seconds: row.turn_seconds,
        pass_seconds: row.pass_seconds,
        missed: row.missed,
        proof: row.proof,
        version: row.version,
        lanes: lanes.remove(&row.event_id).unwrap_or_default(),
    });
    Ok((rooms.collect(), now_ms))
}

type ByLane = HashMap<(Uuid, i16), Vec<Call>>;

async fn read_calls(pg: &PgPool, events: &[Uuid]) -> sqlx::Result<ByLane> {
    let rows = sqlx::query!(
        r#"SELECT event_id, lane, place, called,
                  (extract(epoch FROM at) * 1000)::bigint AS "at_ms!"
           FROM waiting_calls WHERE event_id = ANY ($1) ORDER BY event_id, lane, place"#,
        events
    )
    .fetch_all(pg)
    .await?;
    let mut calls = ByLane::new();
    for row in rows {
        let call = Call { place: row.place, at_ms: row.at_ms, called: row.called };
        calls.entry((row.event_id, row.lane)).or_default().push(call);
    }
    Ok(calls)
}

async fn read_lanes(pg: &PgPool, events: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Vec<Lane>>> {
    let rows = sqlx::query!(
        r#"SELECT event_id, lane, code, name, kind AS "kind: LaneKind", access_code, code_set, share,
                  joins_at AS "joins_at: SqlTimestamp", draw_at AS "draw_at: SqlTimestamp",
                  opens_at AS "opens_at: SqlTimestamp", closes_at AS "closes_at: SqlTimestamp",
                  seed, beacon_name, beacon_round, beacon, serving, ceiling, numbered, joined,
                  joined_base, called
           FROM waiting_lanes WHERE event_id = ANY ($1) ORDER BY event_id, lane"#,
        events
    )
    .fetch_all(pg)
    .await?;
    // After the lanes: whoever is below `serving` without a call that says so would be told that
    // the turn was missed.
    let mut calls = read_calls(pg, events).await?;
    let mut lanes: HashMap<Uuid, Vec<Lane>> = HashMap::new();
    for row in rows {
        let (event, seed) = (EventId(row.event_id), row.seed.as_slice());
        let seed: [u8; SEED_BYTES] =
            seed.try_into().map_err(|_| sqlx::Error::Decode("a seed has 32 bytes".into()))?;
        let (name, round) = (&row.beacon_name, row.beacon_round);
        let draw = Draw::new(event, row.lane, seed, name, round, row.beacon.as_deref());
        lanes.entry(row.event_id).or_default().push(Lane {
            number: row.lane,
            code: row.code,
            name: row.name,
            kind: row.kind,
            access_code: row.access_code,
            code_set: row.code_set,
            share: row.share,
            joins_at: row.joins_at.to_jiff(),
            draw_at: row.draw_at.to_jiff(),
            opens_at: row.opens_at.to_jiff(),
            closes_at: row.closes_at.map(SqlTimestamp::to_jiff),
            draw,
            serving: row.serving,
            ceiling: row.ceiling,
            numbered: row.numbered,
            joined: row.joined,
            joined_base: row.joined_base,
            called: row.called,
            calls: Arc::new(calls.remove(&(row.event_id, row.lane)).unwrap_or_default()),
        });
    }
    Ok(lanes)
}

/// Writes what an organizer decided about a room, which is made if there is none.
///
/// # Errors
/// If Postgres fails.
pub async fn put_room(pg: &mut PgConnection, room: &Room) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO waiting_rooms (event_id, state, joining, message, target_inside, per_minute,
                                    turn_seconds, pass_seconds, missed, proof)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (event_id) DO UPDATE
         SET state = $2, joining = $3, message = $4, target_inside = $5, per_minute = $6,
             turn_seconds = $7, pass_seconds = $8, missed = $9, proof = $10,
             version = waiting_rooms.version + 1",
        room.event.0,
        room.state as RoomState,
        room.joining,
        room.message,
        room.target_inside,
        room.per_minute,
        room.turn_seconds,
        room.pass_seconds,
        room.missed as Missed,
        room.proof
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Writes what an organizer decided about a lane, which is made with this seed if there is none.
/// What the line has come to is not touched.
///
/// # Errors
/// If Postgres fails, or refuses.
pub async fn put_lane(
    pg: &mut PgConnection,
    event: EventId,
    lane: &Lane,
    seed: &[u8; SEED_BYTES],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO waiting_lanes (event_id, lane, code, name, kind, access_code, share,
                                    joins_at, draw_at, opens_at, closes_at, seed, beacon_name,
                                    beacon_round, code_set)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (event_id, lane) DO UPDATE
         SET code = $3, name = $4, kind = $5, access_code = $6, share = $7, joins_at = $8,
             draw_at = $9, opens_at = $10, closes_at = $11, code_set = $15",
        event.0,
        lane.number,
        lane.code,
        lane.name,
        lane.kind as LaneKind,
        lane.access_code,
        lane.share,
        lane.joins_at.to_sqlx() as _,
        lane.draw_at.to_sqlx() as _,
        lane.opens_at.to_sqlx() as _,
        lane.closes_at.map(ToSqlx::to_sqlx) as _,
        seed.as_slice(),
        lane.draw.beacon_name,
        lane.draw.beacon_round,
        lane.code_set
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Opens every lane that isn't open yet: joining its draw ends, and people are called as soon as
/// the beacon is known.
///
/// # Errors
/// If Postgres fails.
pub async fn open_now(pg: &mut PgConnection, event: EventId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE waiting_lanes
         SET joins_at = least(joins_at, clock_timestamp()),
             draw_at = CASE WHEN beacon IS NULL THEN least(draw_at, clock_timestamp())
                            ELSE draw_at END,
             opens_at = least(opens_at, clock_timestamp())
         WHERE event_id = $1 AND opens_at > clock_timestamp()",
        event.0
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Ends an account's live pass, by the organizer's wish. Whether there was one.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke(pg: &PgPool, event: EventId, subject: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE passes SET ended_at = now(), reason = 'revoked'
         WHERE event_id = $1 AND subject = $2 AND ended_at IS NULL",
        event.0,
        subject
    )
    .execute(pg)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Mixes the beacon in, once joining has closed. False if it has one, or it is too early.
///
/// # Errors
/// If Postgres fails.
pub async fn put_beacon(
    pg: &PgPool,
    event: EventId,
    lane: i16,
    beacon: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE waiting_lanes SET beacon = $3
         WHERE event_id = $1 AND lane = $2 AND beacon IS NULL AND draw_at <= clock_timestamp()",
        event.0,
        lane,
        beacon
    )
    .execute(pg)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The end of what is reserved of late-comers' numbers.
///
/// # Errors
/// If Postgres fails.
pub async fn ceiling(pg: &PgPool, event: EventId, lane: i16) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT ceiling FROM waiting_lanes WHERE event_id = $1 AND lane = $2",
        event.0,
        lane
    )
    .fetch_one(pg)
    .await
}

/// Reserves numbers for late-comers, if nobody has since the ceiling was read: they are the
/// caller's from the returned one on.
///
/// # Errors
/// If Postgres fails.
pub async fn reserve(
    pg: &PgPool,
    event: EventId,
    lane: i16,
    ceiling: i64,
    most: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"UPDATE waiting_lanes SET ceiling = ceiling + $4
           WHERE event_id = $1 AND lane = $2 AND ceiling = $3 RETURNING ceiling - $4 AS "first!""#,
        event.0,
        lane,
        ceiling,
        most
    )
    .fetch_optional(pg)
    .await
}

/// What the controller has decided about a lane.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The lane.
    pub lane: i16,
    /// Places below it are called.
    pub serving: i64,
    /// About how many were called.
    pub called: f64,
    /// About how many joined the draw.
    pub joined: i64,
    /// How many of them were counted before Redis was lost.
    pub joined_base: i64,
    /// The last place that was seen to be given to a late-comer.
    pub numbered: i64,
}

/// Moves a line forward: the row first, and with it the call that begins the turns.
///
/// # Errors
/// If Postgres fails.
pub async fn advance(
    pg: &mut PgConnection,
    event: EventId,
    now: &Advance,
    moved: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE waiting_lanes
         SET serving = greatest(serving, $3), called = $4, joined = $5, joined_base = $6,
             numbered = greatest(numbered, $7)
         WHERE event_id = $1 AND lane = $2",
        event.0,
        now.lane,
        now.serving,
        now.called,
        now.joined,
        now.joined_base,
        now.numbered
    )
    .execute(&mut *pg)
    .await?;
    if moved {
        sqlx::query!(
            "INSERT INTO waiting_calls (event_id, lane, place, called) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            event.0,
            now.lane,
            now.serving,
            now.called
        )
        .execute(pg)
        .await?;
    }
    Ok(())
}
