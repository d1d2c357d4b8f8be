//! The organizer's part: makes the waiting room, and draws when joining has closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use onsale::ids::EventId;
use onsale::waiting_room::draw::Draw;
use onsale::waiting_room::{Lane, LaneKind, Room, standard, store};
use sqlx::PgPool;
use tokio::time::{sleep, sleep_until};

use crate::rig::put_room;
use crate::scenario::Door;
use crate::visitors::{Crowd, MEMBERS_CODE, PRESALE};
use crate::wire::Ask;

/// How long it may take until visitors see the room.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked whether they do, and whether a draw can be made.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What is mixed into the draw.
const BEACON_NAME: &str = "a random number that the load test draws when joining has closed";

/// A draw that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct DrawAt {
    lane: i16,
    at: Instant,
}

/// Makes the room, and returns once visitors can join.
///
/// # Errors
/// If Postgres fails, or the servers don't show it.
pub async fn open(crowd: &Crowd, door: &Door, pg: &PgPool, event: EventId) -> Result<Vec<DrawAt>> {
    let (room, draws) = room(crowd.opens, door, event)?;
    put_room(pg, &room).await?;
    // Servers that know the event as one without a waiting room would ask for no passes.
    sqlx::query("UPDATE events SET version = version + 1 WHERE id = $1")
        .bind(event.0)
        .execute(pg)
        .await?;
    let started = Instant::now();
    for server in &crowd.servers {
        loop {
            let answer = server.ask(&crowd.room_path, Ask::default()).await?;
            let shown = String::from_utf8_lossy(&answer.body).contains("\"phase\":\"pre_queue\"");
            if answer.status.is_success() && shown {
                break;
            }
            ensure!(started.elapsed() < SEEN_WITHIN, "the waiting room can't be joined");
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(draws)
}

fn room(opens: Instant, door: &Door, event: EventId) -> Result<(Room, Vec<DrawAt>)> {
    let (now, clock) = (Timestamp::now(), Instant::now());
    let stamp = |at: Instant| -> Result<Timestamp> {
        Ok(now.checked_add(SignedDuration::try_from(at.saturating_duration_since(clock))?)?)
    };
    let (joins, before) = (now - SignedDuration::from_mins(1), door.draw_before_s);
    let head_start = door.presale.as_ref().map_or(0.0, |presale| presale.head_start_s);
    let mut draws = Vec::new();
    let mut lane = |number: i16, after_s: f64| -> Result<Lane> {
        let opens = opens + Duration::from_secs_f64(after_s);
        let at = opens.checked_sub(Duration::from_secs_f64(before)).unwrap_or(opens);
        draws.push(DrawAt { lane: number, at });
        let draw = Draw::new(event, number, [0; 32], BEACON_NAME, None, None);
        let general = Lane::general(event, joins, stamp(at)?, stamp(opens)?);
        Ok(Lane { number, draw, ..general })
    };
    let mut lanes = vec![lane(0, head_start)?];
    if let Some(presale) = &door.presale {
        lanes.push(Lane {
            code: PRESALE.to_owned(),
            name: "Members".to_owned(),
            kind: LaneKind::Presale,
            access_code: Some(MEMBERS_CODE.to_owned()),
            share: presale.share,
            ..lane(1, 0.0)?
        });
    }
    let room = Room {
        per_minute: door.per_minute,
        target_inside: door.target_inside,
        turn_seconds: door.turn_seconds,
        pass_seconds: door.pass_seconds,
        proof: door.proof_hashes > 0,
        lanes,
        ..standard(event)
    };
    Ok((room, draws))
}

/// Makes the draws as soon as joining has closed.
pub async fn draw(crowd: Arc<Crowd>, draws: Vec<DrawAt>, pg: PgPool, event: EventId) {
    let mut draws = draws;
    draws.sort_by_key(|draw| draw.at);
    for draw in draws {
        sleep_until(draw.at.into()).await;
        let beacon = hex::encode(rand::random::<[u8; 32]>());
        // A database that is away for a moment makes the draw late, not impossible.
        while !crowd.is_over() {
            match store::put_beacon(&pg, event, draw.lane, &beacon).await {
                Ok(true) => break,
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
}
