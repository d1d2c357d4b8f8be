//! Passes at the hold API: checked without I/O. A pass that ended before its time is known in
//! every process after a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::rooms::Rooms;
use super::token::Pass;
use super::{LaneKind, RoomState};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::db::kept::Kept;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId};

/// A pass is good for so long after its time, so that a last click counts, in milliseconds.
const GRACE_MS: i64 = 10_000;
/// Commits become visible out of order, by at most about so much.
const OVERLAP_S: f64 = 5.0;
/// How long one look at Postgres may take.
const FOLLOW_WITHIN: Duration = Duration::from_secs(10);
/// Orders that may wait to end their passes; what is dropped ends by time.
const MAX_WAITING: usize = 10_000;
/// How long orders are collected for the next statement.
const COLLECT_FOR: Duration = Duration::from_millis(50);
/// Orders in one statement.
const CHUNK: usize = 500;

/// Passes that ended before their time.
#[derive(Default)]
pub struct Ended {
    passes: DashMap<Uuid, i64>,
}

impl Ended {
    /// Reads which passes of these rooms ended lately.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn refresh(
        &self,
        pg: &PgPool,
        events: &[EventId],
        within_s: f64,
    ) -> sqlx::Result<()> {
        let events: Vec<_> = events.iter().map(|id| id.0).collect();
        let rows = sqlx::query!(
            r#"SELECT id, (extract(epoch FROM expires_at) * 1000)::bigint AS "until_ms!"
               FROM passes
               WHERE event_id = ANY ($1) AND ended_at > now() - make_interval(secs => $2)
                 AND ended_at < expires_at AND expires_at > now() - interval '1 minute'"#,
            &events,
            within_s
        )
        .fetch_all(pg)
        .await?;
        for row in rows {
            self.passes.insert(row.id, row.until_ms);
        }
        Ok(())
    }

    /// Notes an end that this process has brought about.
    pub fn note(&self, pass: &Pass) {
        self.passes.insert(pass.id, pass.until_ms);
    }

    /// Forgets passes whose time is over anyway.
    pub fn forget(&self, now_ms: i64) {
        self.passes.retain(|_, until_ms| *until_ms + 2 * GRACE_MS > now_ms);
    }
}

/// Follows the ends until stopped.
pub async fn follow(app: Arc<App>, every: Duration, stop: CancellationToken) {
    // Rooms that this process has just met: all ends that still matter are read once.
    let mut met = Vec::new();
    // After an outage it looks back over all of it.
    let mut looked = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let all = app.rooms.all();
        let new: Vec<_> = all.iter().filter(|id| !met.contains(*id)).copied().collect();
        let look = async {
            if !new.is_empty() {
                app.ended.refresh(&app.pg, &new, 86_400.0).await?;
            }
            let since = looked.elapsed().as_secs_f64();
            app.ended.refresh(&app.pg, &all, OVERLAP_S + since).await
        };
        let began = Instant::now();
        if all.is_empty() {
            continue;
        }
        match tokio::time::timeout(FOLLOW_WITHIN, look).await {
            Ok(Ok(())) => (met, looked) = (all, began),
            Ok(Err(error)) => tracing::warn!(%error, "ended passes can't be followed"),
            Err(late) => tracing::warn!(%late, "ended passes can't be followed"),
        }
        app.ended.forget(app.rooms.now_ms());
    }
}

/// Whether a buyer may hold places of an event now: with a pass, if it has a waiting room. The
/// pass that lets them in, if there is one.
///
/// # Errors
/// `pass_needed`, `pass_invalid`, or Postgres fails.
pub async fn check(
    app: &App,
    sale: &Sale,
    account: AccountId,
    token: Option<&str>,
) -> Result<Option<Pass>, Problem> {
    if !sale.listing.event.waiting_room {
        return Ok(None);
    }
    let event = sale.listing.event.id;
    let Some(room) = app.rooms.get(event).await? else { return Ok(None) };
    if room.state == RoomState::Lifted {
        return Ok(None);
    }
    let token = token.ok_or_else(|| Problem::new(Code::PassNeeded))?;
    let invalid = |why: &str| Problem::new(Code::PassInvalid).detail(why);
    let pass = Pass::open(&app.keyring, token).ok_or_else(|| invalid("it is no pass of ours"))?;
    if pass.event != event {
        return Err(invalid("it is for another event"));
    }
    if pass.subject != account {
        return Err(invalid("it belongs to another session"));
    }
    if pass.until_ms + GRACE_MS <= app.rooms.now_ms() {
        return Err(invalid("its time is over"));
    }
    if app.ended.passes.contains_key(&pass.id) {
        return Err(invalid("it has ended"));
    }
    Ok(Some(pass))
}

/// Whether this pass's lane sells only with an accessible seat.
#[must_use]
pub fn is_accessible(app: &App, pass: &Pass) -> bool {
    let room = app.rooms.known(pass.event);
    room.is_some_and(|room| {
        room.lane(pass.lane).is_some_and(|lane| lane.kind == LaneKind::Accessible)
    })
}

/// Ends a pass at once: its slot is free for the next.
///
/// # Errors
/// If Postgres fails.
pub async fn give_up(app: &App, pass: &Pass) -> Result<(), Problem> {
    sqlx::query!(
        "UPDATE passes SET ended_at = now(), reason = 'gave_up' WHERE id = $1 AND ended_at IS NULL",
        pass.id
    )
    .execute(&app.pg)
    .await?;
    app.ended.note(pass);
    Ok(())
}

/// Ends the passes of orders that were paid.
pub struct Buyers {
    queue: mpsc::Sender<Uuid>,
    rooms: Arc<Rooms>,
}

impl Buyers {
    /// The entrance, and what comes out of it for [`end_bought`].
    #[must_use]
    pub fn new(rooms: Arc<Rooms>) -> (Self, mpsc::Receiver<Uuid>) {
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        (Self { queue, rooms }, receiver)
    }

    /// These orders were paid. Never waits.
    pub fn paid(&self, orders: &[Uuid]) {
        if self.rooms.all().is_empty() {
            return;
        }
        for order in orders {
            // A pass that isn't ended here ends by time.
            let _left_to_time = self.queue.try_send(*order);
        }
    }
}

/// Ends passes with their purchase, until the process ends.
pub async fn end_bought(mut paid: mpsc::Receiver<Uuid>, pg: Kept) {
    let mut orders = Vec::new();
    while paid.recv_many(&mut orders, CHUNK).await > 0 {
        let ended = async {
            let mut pg = pg.take().await?;
            // One by one (OFFSET 0), and changed where it was found: else each pass of everybody
            // inside is compared with each of these orders.
            let ended = sqlx::query!(
                "WITH bought AS MATERIALIZED (
                     SELECT x.at, o.places
                     FROM unnest($1::uuid[]) AS u (id)
                     CROSS JOIN LATERAL (
                         SELECT (o.details ->> 'pass')::uuid AS pass,
                                cardinality(o.places) AS places
                         FROM orders o WHERE o.id = u.id OFFSET 0) o
                     CROSS JOIN LATERAL (
                         SELECT p.ctid AS at FROM passes p
                         WHERE p.id = o.pass AND coalesce(p.ended_at, 'infinity') = 'infinity'
                         OFFSET 0 FOR UPDATE) x)
                 UPDATE passes p SET ended_at = now(), reason = 'bought', places = b.places
                 FROM bought b WHERE p.ctid = b.at",
                &orders
            )
            .execute(&mut *pg)
            .await;
            pg.give_back(ended)
        };
        match tokio::time::timeout(FOLLOW_WITHIN, ended).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "passes of buyers end by time"),
            Err(late) => tracing::warn!(%late, "passes of buyers end by time"),
        }
        orders.clear();
        // Nobody waits for this: it may as well be done for several at a time.
        tokio::time::sleep(COLLECT_FOR).await;
    }
}
