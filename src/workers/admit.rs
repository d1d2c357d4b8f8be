//! The admission controller: whom to call next, in every waiting room, by one process at a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::app::App;
use crate::http::problem::Problem;
use crate::ids::EventId;
use crate::waiting_room::board::{self, ahead};
use crate::waiting_room::controller::{self, Decision, Seen, decide, share_out};
use crate::waiting_room::line::{self, Counted};
use crate::waiting_room::movement::{caught_up, lost, moved, skip};
use crate::waiting_room::seekers::IDLE_AFTER_S;
use crate::waiting_room::store::{self, Advance};
use crate::waiting_room::{DRAWN, Lane, Phase, Room};

/// Reports of nodes that are older are not believed, in seconds.
const REPORT_LIVES_S: f64 = 5.0;
/// A decision is logged when its bound changes, and at least so often while people are called.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Most who come do so within this time after they were called.
const RIPE_MS: i64 = 10_000;

/// Counting all passes of a large sale takes its time: it is done so seldom that all of it together
/// takes at most one part in so many of Postgres's.
const COUNTING_SHARE: u32 = 50;
/// But it is done at least so often.
const COUNTED_EVERY: Duration = Duration::from_secs(2);

/// How often it looks for passes that outlived their purchase.
const BOUGHT_EVERY: Duration = Duration::from_secs(2);

/// What the controller of a room remembers: lost with its process, without harm.
#[derive(Debug, Default)]
pub struct Memory {
    logged: Option<(Instant, controller::Bound)>,
    /// When it last looked for passes that outlived their purchase.
    bought: Option<Instant>,
    /// Passes, as they were counted last.
    census: Option<Census>,
    /// Fractions of people, by lane.
    carried: HashMap<i16, f64>,
    /// The ceilings of lanes for which Redis had no counter at the last look.
    uncounted: HashMap<i16, i64>,
}

/// Moves every line as far as it may. Never more to do at once.
///
/// # Errors
/// If Postgres fails. Trouble with one room doesn't stop the others.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    drop(app.uncounted.flush(&app.redis).await);
    report(app).await?;
    let events =
        sqlx::query_scalar!("SELECT event_id FROM waiting_rooms WHERE state IN ('open', 'paused')")
            .fetch_all(&app.pg)
            .await?;
    for event in events.into_iter().map(EventId) {
        if let Err(problem) = tend(app, event).await {
            tracing::warn!(%event, ?problem, "a waiting room can't be tended now");
        }
    }
    Ok(false)
}

/// Tells the controller, whoever it is, how this node is doing.
async fn report(app: &App) -> sqlx::Result<()> {
    if app.rooms.all().is_empty() {
        return Ok(());
    }
    let pulse = app.pulse.read();
    sqlx::query!(
        "INSERT INTO node_reports (node, checkout_ms, errors) VALUES ($1, $2, $3)
         ON CONFLICT (node) DO UPDATE SET at = clock_timestamp(), checkout_ms = $2, errors = $3",
        app.node,
        pulse.checkout_ms,
        pulse.errors
    )
    .execute(&app.pg)
    .await?;
    sqlx::query!("DELETE FROM node_reports WHERE at < clock_timestamp() - interval '1 minute'")
        .execute(&app.pg)
        .await?;
    Ok(())
}

/// What the last decision left behind.
struct Last {
    /// How long ago it was.
    elapsed_s: f64,
    /// Passes that had ended without a purchase, and those of them that had while there was enough
    /// to choose from.
    without_purchase: i64,
    /// See above.
    left_a_choice: i64,
}

/// Moves one room's lines, unless another process is doing that.
///
/// # Errors
/// If Postgres fails.
pub async fn tend(app: &App, event: EventId) -> Result<Option<Decision>, Problem> {
    // By key, and planned for that: else each pass is compared with every order of the sale.
    let mut errand = app.errands.take().await?;
    let mut tx = errand.begin().await?;
    let last = sqlx::query_as!(
        Last,
        r#"SELECT extract(epoch FROM clock_timestamp() - decided_at)::float8 AS "elapsed_s!",
                  without_purchase, left_a_choice
           FROM waiting_rooms WHERE event_id = $1 FOR NO KEY UPDATE SKIP LOCKED"#,
        event.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let step = Duration::from_millis(app.config.waiting_room.admit_ms).as_secs_f64();
    let Some(last) = last.filter(|last| last.elapsed_s > step / 2.0) else {
        tx.rollback().await?;
        errand.give_back(Ok(()))?;
        return Ok(None);
    };
    // Under the lock, so that no other's step is overlooked.
    app.rooms.refresh(&[event]).await?;
    let Some(room) = app.rooms.known(event) else { return Ok(None) };
    let mut memory = app.admissions.remove(&event).map(|(_, kept)| kept).unwrap_or_default();
    if memory.bought.is_none_or(|at| at.elapsed() >= BOUGHT_EVERY) {
        end_bought(&mut tx, event).await?;
        memory.bought = Some(Instant::now());
    }
    let seen = look(app, &mut tx, &room, &last, &mut memory).await?;
    let decision = decide(&seen);
    let counts = count(app, &room).await;
    let advances = advance(app, &room, &decision, &counts, &mut memory);
    let mut called = 0.0;
    for (advance, lane) in advances.iter().zip(&room.lanes) {
        called += advance.called - lane.called;
        store::advance(&mut tx, event, advance, advance.serving > lane.serving).await?;
    }
    forget(&mut tx, &room).await?;
    tx.commit().await?;
    errand.give_back(Ok(()))?;
    app.rooms.refresh(&[event]).await?;
    tell(event, &seen, &decision, called, &mut memory);
    app.admissions.insert(event, memory);
    Ok(Some(decision))
}

/// Ends passes whose purchase is paid. The node that settles a payment does so, too, and at once;
/// what it had still to end when it was stopped would count as people inside, for whom places are
/// kept that nobody else is let in for.
async fn end_bought(pg: &mut PgConnection, event: EventId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH bought AS MATERIALIZED (
             SELECT p.ctid AS at, o.places
             FROM passes p
             CROSS JOIN LATERAL (
                 SELECT cardinality(x.places) AS places FROM orders x
                 WHERE x.event_id = p.event_id AND x.account = p.subject AND x.status = 'paid'
                   AND (x.details ->> 'pass')::uuid = p.id
                 LIMIT 1) o
             WHERE p.event_id = $1 AND p.ended_at IS NULL
             FOR UPDATE OF p SKIP LOCKED)
         UPDATE passes p SET ended_at = now(), reason = 'bought', places = b.places
         FROM bought b WHERE p.ctid = b.at",
        event.0
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Everything that the decision depends on. What it learns is kept for the next one.
async fn look(
    app: &App,
    pg: &mut PgConnection,
    room: &Room,
    last: &Last,
    memory: &mut Memory,
) -> Result<Seen, Problem> {
    sqlx::query!(
        // What is locked is being ended or noted: another time.
        "WITH over AS MATERIALIZED (
             SELECT ctid AS at FROM passes
             WHERE event_id = $1 AND ended_at IS NULL AND expires_at <= now()
             FOR UPDATE SKIP LOCKED)
         UPDATE passes p SET ended_at = p.expires_at, reason = 'timed_out'
         FROM over o WHERE p.ctid = o.at",
        room.event.0
    )
    .execute(&mut *pg)
    .await?;
    let census = match memory.census.take().filter(Census::is_good) {
        Some(census) => census,
        None => count_passes(app, &mut *pg, room).await?,
    };
    let Census { passes, late_called, ripe_called, .. } = &census;
    let health = sqlx::query!(
        r#"SELECT coalesce(max(checkout_ms), 0) AS "checkout_ms!",
                  coalesce(max(errors), 0) AS "errors!"
           FROM node_reports WHERE at > clock_timestamp() - make_interval(secs => $1)"#,
        REPORT_LIVES_S
    )
    .fetch_one(&mut *pg)
    .await?;
    let open_since = app.rooms.now_ms() - i64::from(room.turn_seconds) * 1_000;
    let called: f64 = room.lanes.iter().map(|lane| lane.called).sum();
    let over_called: f64 = room.lanes.iter().map(|lane| called_before(lane, open_since).0).sum();
    let (came, open_came) = (passes.came as f64, passes.open as f64);
    let stock = stock(app, room.event).await;
    let slow_ms = app.config.waiting_room.slow_checkout_ms.max(1) as f64;
    let mut seen = Seen {
        elapsed_s: last.elapsed_s,
        target_inside: f64::from(room.target_inside),
        per_s: f64::from(room.per_minute) / 60.0,
        inside: passes.inside as f64,
        idle: passes.idle as f64,
        open_called: called - over_called,
        open_came,
        over_called,
        over_came: (came - open_came).max(0.0),
        late_called: *late_called,
        late_came: passes.late as f64,
        ripe_called: *ripe_called,
        ripe_came: passes.ripe as f64,
        free: stock.map(|(free, _)| free),
        held: stock.map_or(0.0, |(_, held)| held),
        bought: passes.bought as f64,
        places_bought: passes.places_bought as f64,
        left: last.left_a_choice as f64,
        slowness: health.checkout_ms / slow_ms,
        errors: health.errors,
    };
    let left_lately = (passes.without_purchase - last.without_purchase).max(0);
    let left_a_choice = if seen.tells() { left_lately } else { 0 };
    sqlx::query!(
        "UPDATE waiting_rooms SET decided_at = clock_timestamp(), without_purchase = $2,
                left_a_choice = left_a_choice + $3
         WHERE event_id = $1",
        room.event.0,
        passes.without_purchase,
        left_a_choice
    )
    .execute(pg)
    .await?;
    seen.left += left_a_choice as f64;
    memory.census = Some(census);
    Ok(seen)
}

/// Passes of a room.
#[derive(Debug)]
struct Passes {
    inside: i64,
    idle: i64,
    without_purchase: i64,
    bought: i64,
    places_bought: i64,
    open: i64,
    late: i64,
    ripe: i64,
    came: i64,
}

/// What was counted, and when.
#[derive(Debug)]
struct Census {
    at: Instant,
    took: Duration,
    passes: Passes,
    late_called: f64,
    ripe_called: f64,
}

impl Census {
    /// Who came since then is still on the way, and who left still inside: it adds up.
    fn is_good(&self) -> bool {
        self.at.elapsed() < COUNTED_EVERY.min(self.took * COUNTING_SHARE)
    }
}

/// Counts all passes of a room.
async fn count_passes(app: &App, pg: &mut PgConnection, room: &Room) -> sqlx::Result<Census> {
    let at = Instant::now();
    let now_ms = app.rooms.now_ms();
    let turn_ms = i64::from(room.turn_seconds) * 1_000;
    let late_since = now_ms - room.memory_ms();
    let late = Turns::between(room, late_since, now_ms - turn_ms);
    let ripe = Turns::between(room, late_since, now_ms - RIPE_MS.min(turn_ms));
    let passes = sqlx::query_as!(
        Passes,
        r#"SELECT count(*) FILTER (WHERE ended_at IS NULL) AS "inside!",
                  count(*) FILTER (WHERE ended_at IS NULL
                                     AND missed_at < now() - make_interval(secs => $2))
                      AS "idle!",
                  count(*) FILTER (WHERE reason IN ('gave_up', 'timed_out'))
                      AS "without_purchase!",
                  count(places) AS "bought!",
                  coalesce(sum(places), 0) AS "places_bought!",
                  count(*) FILTER (WHERE place >= ($4::bigint[])[lane + 1]) AS "open!",
                  count(*) FILTER (WHERE place >= ($3::bigint[])[lane + 1]
                                     AND place < ($4::bigint[])[lane + 1]) AS "late!",
                  count(*) FILTER (WHERE place >= ($3::bigint[])[lane + 1]
                                     AND place < ($5::bigint[])[lane + 1]) AS "ripe!",
                  count(*) AS "came!"
           FROM passes WHERE event_id = $1"#,
        room.event.0,
        IDLE_AFTER_S,
        &late.from,
        &late.upto,
        &ripe.upto
    )
    .fetch_one(pg)
    .await?;
    let (late_called, ripe_called) = (late.called, ripe.called);
    Ok(Census { at, took: at.elapsed(), passes, late_called, ripe_called })
}

/// Who was called in turns that began between two moments.
#[derive(Debug)]
struct Turns {
    /// About how many.
    called: f64,
    /// The places that were called: from these on, and below those, by lane.
    from: Vec<i64>,
    /// See above.
    upto: Vec<i64>,
}

impl Turns {
    /// By Postgres's clock, in milliseconds since 1970.
    fn between(room: &Room, after: i64, before: i64) -> Self {
        let lanes = room.lanes.iter().map(|lane| lane.number).max().map_or(0, |last| last + 1);
        let nobody = vec![i64::MAX; usize::try_from(lanes).unwrap_or(0)];
        let mut turns = Self { called: 0.0, from: nobody.clone(), upto: nobody };
        for lane in &room.lanes {
            let (earlier, from) = called_before(lane, after);
            let (called, upto) = called_before(lane, before);
            turns.called += called - earlier;
            let at = usize::try_from(lane.number).unwrap_or(usize::MAX);
            if let (Some(first), Some(end)) = (turns.from.get_mut(at), turns.upto.get_mut(at)) {
                (*first, *end) = (from, upto);
            }
        }
        turns
    }
}

/// About how many of a lane were called in turns that began before then: those below which place.
fn called_before(lane: &Lane, then: i64) -> (f64, i64) {
    match lane.calls.iter().rev().find(|call| call.at_ms < then) {
        Some(call) => (call.called, call.place),
        // All of its calls are over and forgotten.
        None if lane.calls.is_empty() => (lane.called, lane.serving),
        None => (0.0, i64::MIN),
    }
}

/// Places that are free, and those that are held or being paid for. `None` while Redis is away.
async fn stock(app: &App, event: EventId) -> Option<(f64, f64)> {
    let sale = app.catalog.sale(event).await.ok()??;
    let sale = app.built(sale).await.ok()?;
    let snapshot = app.availability.snapshot(app, &sale).await.ok()?;
    let (free, held) = board::stock(&sale.listing, &snapshot);
    Some((f64::from(free), f64::from(held) + snapshot.claimed as f64))
}

/// What Redis has counted in each lane; none where it doesn't answer.
async fn count(app: &App, room: &Room) -> Vec<Option<Counted>> {
    let mut counts = Vec::with_capacity(room.lanes.len());
    for lane in &room.lanes {
        counts.push(line::counted(&app.redis, room.event, lane.number).await.ok());
    }
    counts
}

/// Where each lane moves to.
fn advance(
    app: &App,
    room: &Room,
    decision: &Decision,
    counts: &[Option<Counted>],
    memory: &mut Memory,
) -> Vec<Advance> {
    let now_ms = app.rooms.now_ms();
    let mut advances = Vec::with_capacity(room.lanes.len());
    for (lane, counted) in room.lanes.iter().zip(counts) {
        let mut now = caught_up(lane, *counted);
        let lost = counted.and_then(|counted| lost(lane, counted, &mut memory.uncounted));
        if let Some(lost) = lost {
            skip(&mut now, lane.numbered, lost, room.phase(lane, now_ms) == Phase::Open);
        }
        advances.push(now);
    }
    let waiting: Vec<(f64, f64)> = room
        .lanes
        .iter()
        .zip(&advances)
        .map(|(lane, now)| {
            let open = room.phase(lane, now_ms) == Phase::Open;
            let line = Lane { joined: now.joined, serving: now.serving, ..lane.clone() };
            let people = if open { ahead(&line, now.numbered.max(DRAWN)) } else { 0.0 };
            (f64::from(lane.share), people)
        })
        .collect();
    let given = share_out(decision.people, &waiting);
    for (((now, people), (_, waiting)), lane) in
        advances.iter_mut().zip(given).zip(waiting).zip(&room.lanes)
    {
        // A draw that nobody has joined yet is not a line that has come to its end.
        if room.phase(lane, now_ms) != Phase::Open {
            continue;
        }
        let carried = memory.carried.entry(now.lane).or_default();
        let people = people + *carried;
        let (serving, called) = moved(now, people, waiting);
        *carried = (people - called).clamp(0.0, 1.0);
        now.serving = serving;
        now.called += called;
    }
    advances
}

/// Forgets calls whose turns are over, but for the last of them in each lane: it knows how many
/// had been called by then.
async fn forget(pg: &mut PgConnection, room: &Room) -> sqlx::Result<()> {
    let memory_s = room.memory_ms() as f64 / 1_000.0 + 60.0;
    sqlx::query!(
        "DELETE FROM waiting_calls c
         WHERE event_id = $1 AND at < clock_timestamp() - make_interval(secs => $2)
           AND EXISTS (SELECT FROM waiting_calls later
                       WHERE later.event_id = c.event_id AND later.lane = c.lane
                         AND later.place > c.place
                         AND later.at < clock_timestamp() - make_interval(secs => $2))",
        room.event.0,
        memory_s
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Says what was decided, and why.
fn tell(event: EventId, seen: &Seen, decision: &Decision, called: f64, memory: &mut Memory) {
    let name = event.to_string();
    metrics::gauge!("onsale_admission_inside", "event" => name.clone()).set(seen.inside);
    metrics::gauge!("onsale_admission_per_s", "event" => name.clone()).set(decision.per_s);
    metrics::gauge!("onsale_admission_show_rate", "event" => name.clone()).set(decision.show_rate);
    metrics::gauge!("onsale_admission_enough_for", "event" => name.clone())
        .set(decision.enough_for);
    metrics::counter!("onsale_admission_called_total", "event" => name)
        .increment(called.max(0.0) as u64);
    let due = memory.logged.is_none_or(|(at, bound)| {
        bound != decision.bound || called > 0.0 && at.elapsed() >= LOG_EVERY
    });
    if due {
        memory.logged = Some((Instant::now(), decision.bound));
        tracing::info!(
            %event, bound = ?decision.bound, called, inside = seen.inside, idle = seen.idle,
            target = seen.target_inside, coming = seen.open_called - seen.open_came,
            show_rate = decision.show_rate, per_s = decision.per_s, free = ?seen.free,
            held = seen.held, enough_for = decision.enough_for, slowness = seen.slowness,
            errors = seen.errors, "admission"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::waiting_room::{Call, standard};

    #[test]
    fn calls_that_are_forgotten_are_over() {
        let at = Timestamp::UNIX_EPOCH;
        let mut lane = Lane::general(EventId::fresh(), at, at, at);
        lane.called = 200.0;
        lane.serving = 3_000;
        assert_eq!(called_before(&lane, 1_000), (200.0, 3_000));
        let call = |at_ms, called| Call { place: at_ms, at_ms, called };
        lane.calls = Arc::new(vec![call(2_000, 150.0), call(3_000, 200.0)]);
        assert_eq!(called_before(&lane, 1_000), (0.0, i64::MIN));
        assert_eq!(called_before(&lane, 2_500), (150.0, 2_000));
        assert_eq!(called_before(&lane, 4_000), (200.0, 3_000));
        let room = Room { lanes: vec![Lane { number: 2, ..lane }], ..standard(EventId::fresh()) };
        let turns = Turns::between(&room, 2_500, 4_000);
        assert_eq!(turns.called, 50.0);
        assert_eq!(turns.from, [i64::MAX, i64::MAX, 2_000]);
        assert_eq!(turns.upto, [i64::MAX, i64::MAX, 3_000]);
    }
}
