//! A turn becomes a pass: once, and by one row in Postgres, in a group commit.

use std::sync::Arc;

use sqlx::PgPool;
use uuid::Uuid;

use super::token::{Pass, QueueToken};
use super::{Room, RoomState, Turn, poll};
use crate::app::App;
use crate::db::batch::{Commit, Job, answered};
use crate::db::kept::Kept;
use crate::http::limits;
use crate::http::problem::{Code, Problem};
use crate::ids::AccountId;

/// Admissions that may come in the same instant: those of a second, but not more than these.
pub const MOST_AT_ONCE: f64 = 10_000.0;

/// A turn to be exchanged.
pub struct TurnJob {
    /// The pass's id, if it becomes a new one.
    pub id: Uuid,
    /// Who has the turn, where.
    pub token: QueueToken,
    /// The place that was called.
    pub place: i64,
    /// How long the pass lasts, in seconds.
    pub seconds: i32,
}

impl Job for TurnJob {
    fn subject(&self) -> Uuid {
        self.token.subject.0
    }
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// The pass of this turn, new or asked for again: id, and until when in milliseconds.
    Pass(Uuid, i64),
    /// The subject is inside with another turn's pass.
    Inside(Uuid, i64),
    /// This turn's pass has ended.
    Spent,
    /// Postgres gave no answer; asking again finds out.
    Unknown,
}

/// Exchanges turns in batches.
pub struct Exchanger {
    /// A connection for these commits alone.
    pub pg: Kept,
}

impl Commit for Exchanger {
    type Job = TurnJob;
    type Outcome = Exchanged;

    async fn commit(&self, jobs: Vec<TurnJob>) -> Vec<Exchanged> {
        let mut outcomes = vec![Exchanged::Unknown; jobs.len()];
        match answered(exchange(&self.pg, &jobs)).await {
            Ok(rows) => {
                for (at, outcome) in rows {
                    if let Some(slot) = outcomes.get_mut(at) {
                        *slot = outcome;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "turns could not be exchanged"),
        }
        outcomes
    }
}

async fn exchange(pg: &Kept, jobs: &[TurnJob]) -> sqlx::Result<Vec<(usize, Exchanged)>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    let events: Vec<Uuid> = jobs.iter().map(|job| job.token.event.0).collect();
    let lanes: Vec<i16> = jobs.iter().map(|job| job.token.lane).collect();
    let subjects: Vec<Uuid> = jobs.iter().map(|job| job.token.subject.0).collect();
    let places: Vec<i64> = jobs.iter().map(|job| job.place).collect();
    let seconds: Vec<i32> = jobs.iter().map(|job| job.seconds).collect();
    let mut pg = pg.take().await?;
    let rows = sqlx::query!(
        r#"SELECT job AS "job!", outcome AS "outcome!", id AS "id!",
                  (extract(epoch FROM expires_at) * 1000)::bigint AS "until_ms!"
           FROM exchange_passes($1, $2, $3, $4, $5, $6)"#,
        &ids,
        &events,
        &lanes,
        &subjects,
        &places,
        &seconds
    )
    .fetch_all(&mut *pg)
    .await;
    let rows = pg.give_back(rows)?;
    let outcome = |word: &str, id, until_ms| match word {
        "issued" => Exchanged::Pass(id, until_ms),
        "inside" => Exchanged::Inside(id, until_ms),
        _ => Exchanged::Spent,
    };
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let at = usize::try_from(row.job - 1).ok()?;
            Some((at, outcome(&row.outcome, row.id, row.until_ms)))
        })
        .collect())
}

/// Whether the turn was exchanged before: asking again costs nobody else's admission.
async fn is_taken(pg: &PgPool, token: &QueueToken, place: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM passes WHERE event_id = $1 AND subject = $2 AND place = $3)
           AS "taken!""#,
        token.event.0,
        token.subject.0,
        place
    )
    .fetch_one(pg)
    .await
}

/// Exchanges a turn for a pass.
///
/// # Errors
/// `not_your_turn` (with the place's state), `turn_spent`, `too_many_requests`, or Postgres or
/// Redis fail.
pub async fn take(
    app: &Arc<App>,
    room: &Room,
    token: &QueueToken,
    account: AccountId,
) -> Result<Pass, Problem> {
    if token.subject != account || token.event != room.event {
        return Err(Problem::new(Code::QueueToken).detail("it belongs to another session"));
    }
    if room.state == RoomState::Lifted {
        return Err(Problem::new(Code::NotYourTurn).detail("nobody needs a pass now"));
    }
    let lane = room.lane(token.lane).ok_or_else(|| Problem::new(Code::QueueToken))?;
    let now_ms = app.rooms.now_ms();
    let place = poll::place(lane, token);
    let turn = place.map_or(Turn::Waiting, |place| room.turn(lane, place, now_ms));
    let (Some(place), Turn::Called { .. }) = (place, turn) else {
        let state = match turn {
            Turn::Missed => "missed",
            Turn::Again { .. } => "second_chance",
            _ => "waiting",
        };
        return Err(Problem::new(Code::NotYourTurn).with("state", state));
    };
    if !is_taken(&app.pg, token, place).await? {
        // The rate is enforced here: whoever was called comes when they come.
        let per_s = f64::from(room.per_minute) / 60.0;
        let burst = per_s.ceil().clamp(1.0, MOST_AT_ONCE) as u32;
        limits::shared_at(app, "pass_exchange", &room.event.to_string(), per_s, burst).await?;
    }
    let job = TurnJob { id: Uuid::now_v7(), token: *token, place, seconds: room.pass_seconds };
    let turns = app.turns.clone();
    let work = async move { turns.submit(job).await.map_err(|_| Problem::new(Code::Unavailable)) };
    let (id, until_ms) = match app.see_through(work).await? {
        Exchanged::Pass(id, until_ms) | Exchanged::Inside(id, until_ms) => (id, until_ms),
        Exchanged::Spent => return Err(Problem::new(Code::TurnSpent)),
        Exchanged::Unknown => return Err(Problem::new(Code::Unknown)),
    };
    Ok(Pass { id, event: room.event, subject: account, lane: lane.number, until_ms })
}
