//! Joining a line.
//!
//! Before the draw a place costs nothing and needs no storage: the token says "in the draw". Who
//! comes after it gets the next number. An account has one place in a room, and its row in
//! Postgres makes it the same on every device.

use std::net::IpAddr;
use std::sync::Arc;

use sqlx::PgPool;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::proof::{self, Purpose};
use super::token::QueueToken;
use super::{Lane, LaneKind, Phase, Room, RoomState, Turn, line, poll};
use crate::access::grant::Grant;
use crate::app::App;
use crate::catalog::Promo;
use crate::db::batch::{Commit, Job, answered};
use crate::db::kept::Kept;
use crate::http::limits::{self, SharedLimit, network};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId};
use crate::suspicion::{self, Reason, Traces};

/// Who wants to join, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Joiner<'a> {
    /// The session's or the account's id.
    pub subject: AccountId,
    /// Whether it is an account.
    pub signed_in: bool,
    /// The lane's code; the first general lane if there is none.
    pub lane: Option<&'a str>,
    /// For lanes that need one.
    pub access_code: Option<&'a str>,
    /// For lanes that a code set opens.
    pub grants: &'a [Grant],
    /// A token from an earlier time.
    pub token: Option<&'a str>,
    /// Proof of work, for who has no account.
    pub proof: Option<&'a str>,
    /// Where the request comes from.
    pub client: IpAddr,
}

/// An account's place to be stored.
pub struct PlaceJob {
    /// In whose room.
    pub event: EventId,
    /// In which lane.
    pub lane: i16,
    /// Whose.
    pub account: AccountId,
    /// Where; none: in the draw.
    pub place: Option<i64>,
}

impl Job for PlaceJob {
    fn subject(&self) -> Uuid {
        self.account.0
    }
}

/// Stores accounts' places in batches; the answer is the place that the account has.
pub struct Usher {
    /// A connection for these commits alone.
    pub pg: Kept,
}

impl Commit for Usher {
    type Job = PlaceJob;
    /// Lane and place; none if Postgres gave no answer.
    type Outcome = Option<(i16, Option<i64>)>;

    async fn commit(&self, jobs: Vec<PlaceJob>) -> Vec<Self::Outcome> {
        let mut outcomes = vec![None; jobs.len()];
        match answered(store_places(&self.pg, &jobs)).await {
            Ok(rows) => {
                for (at, lane, place) in rows {
                    if let Some(slot) = outcomes.get_mut(at) {
                        *slot = Some((lane, place));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "places in line could not be stored"),
        }
        outcomes
    }
}

async fn store_places(
    pg: &Kept,
    jobs: &[PlaceJob],
) -> sqlx::Result<Vec<(usize, i16, Option<i64>)>> {
    let events: Vec<Uuid> = jobs.iter().map(|job| job.event.0).collect();
    let lanes: Vec<i16> = jobs.iter().map(|job| job.lane).collect();
    let accounts: Vec<Uuid> = jobs.iter().map(|job| job.account.0).collect();
    let places: Vec<Option<i64>> = jobs.iter().map(|job| job.place).collect();
    let mut pg = pg.take().await?;
    let rows = sqlx::query!(
        r#"SELECT job AS "job!", lane AS "lane!", place FROM join_accounts($1, $2, $3, $4)"#,
        &events,
        &lanes,
        &accounts,
        &places as _
    )
    .fetch_all(&mut *pg)
    .await;
    let rows = pg.give_back(rows)?.into_iter();
    Ok(rows.filter_map(|r| Some((usize::try_from(r.job - 1).ok()?, r.lane, r.place))).collect())
}

/// What joining comes to.
pub enum Joined {
    /// The place that there is already.
    Known(QueueToken),
    /// A new one, in this lane.
    New(i16),
}

/// Looks whether somebody may join, and has a place already.
///
/// # Errors
/// `line_closed`, `not_open_yet`, `access_code`, `invalid`, or Postgres fails.
pub async fn look(app: &App, room: &Room, joiner: &Joiner<'_>) -> Result<Joined, Problem> {
    if room.state == RoomState::Lifted {
        return Err(Problem::new(Code::LineClosed).with("state", "lifted"));
    }
    let now_ms = app.rooms.now_ms();
    let lane = choose(room, joiner.lane, now_ms)?;
    if let Some(known) = known(app, room, joiner).await? {
        // A place in a line that is over keeps nobody from another line.
        let over = room.lane(known.lane).is_some_and(|old| {
            old.number != lane.number && room.phase(old, now_ms) == Phase::Closed
        });
        if !over {
            return Ok(Joined::Known(known));
        }
    }
    if !room.joining || room.state == RoomState::Closed {
        return Err(Problem::new(Code::LineClosed));
    }
    match room.phase(lane, now_ms) {
        Phase::Announced => {
            return Err(Problem::new(Code::NotOpenYet).with("joins_at", lane.joins_at));
        }
        Phase::Closed => return Err(Problem::new(Code::LineClosed)),
        _ => {}
    }
    if let Some(needed) = &lane.access_code {
        limits::shared(app, SharedLimit::CodeGuesses, &joiner.subject.to_string()).await?;
        limits::shared(app, SharedLimit::CodeGuessesAddress, &joiner.client.to_string()).await?;
        let given = joiner.access_code.map(Promo::normalise).unwrap_or_default();
        let needed = Promo::normalise(needed);
        if !bool::from(given.as_bytes().ct_eq(needed.as_bytes())) {
            let traces = Traces::from_address(app, joiner.client);
            let reason = Reason::CodesGuessed;
            suspicion::note(app, room.event, joiner.subject, traces, reason);
            return Err(Problem::new(Code::AccessCode));
        }
    }
    if let Some(set) = lane.code_set {
        let sale = app.catalog.sale(room.event).await?;
        let sale = sale.ok_or_else(|| Problem::new(Code::NotFound))?;
        if !sale.listing.is_granted(set, joiner.grants, app.now()) {
            return Err(Problem::new(Code::AccessCode));
        }
    }
    Ok(Joined::New(lane.number))
}

fn choose<'a>(room: &'a Room, code: Option<&str>, now_ms: i64) -> Result<&'a Lane, Problem> {
    match code {
        Some(code) => {
            let lane = room.lanes.iter().find(|lane| lane.code == code);
            lane.ok_or_else(|| Problem::field("/lane", "not a lane of this waiting room"))
        }
        None => {
            let general = || room.lanes.iter().filter(|lane| lane.kind == LaneKind::General);
            let open = general().find(|lane| room.phase(lane, now_ms) != Phase::Closed);
            let first = open.or_else(|| general().next()).or_else(|| room.lanes.first());
            first.ok_or_else(|| Problem::new(Code::LineClosed))
        }
    }
}

/// The place that somebody has already and that is still good.
async fn known(app: &App, room: &Room, joiner: &Joiner<'_>) -> Result<Option<QueueToken>, Problem> {
    let token = if joiner.signed_in {
        stored(app, room.event, joiner.subject).await?
    } else {
        let given = joiner.token.and_then(|text| QueueToken::open(&app.keyring, text));
        given.filter(|token| token.event == room.event && token.subject == joiner.subject)
    };
    let Some(token) = token else { return Ok(None) };
    let Some(lane) = room.lane(token.lane) else { return Ok(None) };
    let Some(place) = poll::place(lane, &token) else { return Ok(Some(token)) };
    let over = room.turn(lane, place, app.rooms.now_ms()) == Turn::Missed
        || place < lane.serving && is_spent(&app.pg, &token, place).await?;
    Ok((!over).then_some(token))
}

async fn stored(
    app: &App,
    event: EventId,
    account: AccountId,
) -> Result<Option<QueueToken>, Problem> {
    let row = sqlx::query!(
        "SELECT lane, place FROM waiting_places WHERE event_id = $1 AND account = $2",
        event.0,
        account.0
    )
    .fetch_optional(&app.pg)
    .await?;
    let token = |lane, place| QueueToken { event, lane, subject: account, place };
    Ok(row.map(|row| token(row.lane, row.place)))
}

/// Whether the pass of this turn has ended.
async fn is_spent(pg: &PgPool, token: &QueueToken, place: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM passes
                          WHERE event_id = $1 AND subject = $2 AND place = $3
                            AND (ended_at IS NOT NULL OR expires_at <= now())) AS "spent!""#,
        token.event.0,
        token.subject.0,
        place
    )
    .fetch_one(pg)
    .await
}

/// Takes the place that [`look`] allowed.
///
/// # Errors
/// `proof_needed`, `proof_invalid` or `proof_spent`; `sign_in_needed`; `unknown_outcome` or `unavailable`: asking
/// again is harmless.
pub async fn enter(
    app: &Arc<App>,
    room: &Room,
    lane: i16,
    joiner: &Joiner<'_>,
) -> Result<QueueToken, Problem> {
    let (event, subject) = (room.event, joiner.subject);
    if room.proof && !joiner.signed_in {
        let payload = joiner.proof.ok_or_else(|| Problem::new(Code::ProofNeeded))?;
        let purpose = Purpose { event, account: subject };
        proof::check(app, joiner.client, purpose, payload).await?;
    }
    limits::shared(app, SharedLimit::Joins, &joiner.client.to_string()).await?;
    if !joiner.signed_in {
        anonymously(app, event, joiner.client).await?;
    }
    let known = room.lane(lane).ok_or_else(|| Problem::new(Code::LineClosed))?;
    let in_draw = room.phase(known, app.rooms.now_ms()) == Phase::PreQueue;
    let place = if in_draw { None } else { Some(line::next(app, event, lane).await?) };
    let token = QueueToken { event, lane, subject, place };
    if in_draw {
        app.uncounted.note(event, lane, subject);
    }
    if !joiner.signed_in {
        return Ok(token);
    }
    let job = PlaceJob { event, lane, account: subject, place };
    let places = app.places.clone();
    let work = async move { places.submit(job).await.map_err(|_| Problem::new(Code::Unavailable)) };
    let (lane, has) = app.see_through(work).await?.ok_or_else(|| Problem::new(Code::Unknown))?;
    if (lane, has) == (token.lane, token.place) {
        return Ok(token);
    }
    // The account's old place, whose turn is over, gives way; or another device was faster.
    let old = QueueToken { lane, place: has, ..token };
    let joiner = Joiner { token: None, ..*joiner };
    if let Some(known) = self::known(app, room, &joiner).await? {
        return Ok(known);
    }
    to_the_back(&app.pg, &old, &token).await?;
    stored(app, event, subject).await?.ok_or_else(|| Problem::new(Code::Unknown))
}

/// Only so many join from one network without an account: the others sign in first.
async fn anonymously(app: &App, event: EventId, client: IpAddr) -> Result<(), Problem> {
    let limit = SharedLimit::AnonymousJoins;
    let key = format!("{}:{}", event.0.simple(), network::network(client));
    match limits::shared(app, limit, &key).await {
        Err(problem) if problem.code == Code::TooManyRequests => {
            Err(Problem::new(Code::SignInNeeded).detail(limit.message()))
        }
        answer => answer.map(drop),
    }
}

async fn to_the_back(pg: &PgPool, old: &QueueToken, new: &QueueToken) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE waiting_places SET lane = $3, place = $4
         WHERE event_id = $1 AND account = $2 AND lane = $5 AND place IS NOT DISTINCT FROM $6",
        new.event.0,
        new.subject.0,
        new.lane,
        new.place,
        old.lane,
        old.place
    )
    .execute(pg)
    .await?;
    Ok(())
}
