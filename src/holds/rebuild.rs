//! Building an event's state in Redis from Postgres: after a loss, or for the first time.
//!
//! The epoch is raised and committed first, which waits for running claims and turns away later
//! ones that stand on the old state. Then Postgres is read, keys named by the new epoch are
//! filled beside whatever is there, and the head is pointed at them last. Settlements and
//! releases go on meanwhile; their mirror rows are applied afterwards. Nothing here can oversell:
//! a hold of any epoch still has to win its claim.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{InfoDict, Pipeline};
use thiserror::Error;

use super::record::{Record, Step};
use crate::app::App;
use crate::catalog::listing::{self, Listing};
use crate::catalog::{PUBLIC, store};
use crate::ids::EventId;
use crate::orders::{Order, mirror};
use crate::redis::Trouble;
use crate::redis::keys::{Keys, LAYOUT};

/// Records in one pipeline.
const CHUNK: usize = 2_000;
/// How long a rebuild may take. The lock's transaction is idle meanwhile.
const BUILD_WITHIN: Duration = Duration::from_mins(2);
const LOCK_TIMEOUT: &str = "SET LOCAL idle_in_transaction_session_timeout = '2min'";
/// The longest free run that a hint can name.
const MAX_HINT: usize = 255;

/// What a rebuild came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// It was built, under this epoch.
    Built(i32),
    /// Another node is building it, or has built it in a layout of a newer program.
    Elsewhere,
    /// There was nothing to do.
    Fine,
    /// No such event.
    NoEvent,
}

/// Why it could not be built. It is tried again when next asked for.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// Redis.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// Redis, in mid-build.
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    /// Redis was replaced or emptied in mid-build.
    #[error("Redis was restarted or flushed during the rebuild")]
    Restarted,
    /// It may wait for a server that has gone silent.
    #[error("the rebuild took too long and was given up")]
    TooSlow,
}

/// Why an event is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Redis may have lost it.
    Lost,
    /// What it has in this epoch contradicts Postgres.
    Wrong(i32),
    /// Somebody wants it.
    Wanted,
}

/// Starts a rebuild in the background, unless this process is at it already.
pub fn request(app: &App, event: EventId) {
    start(app, event, Why::Lost);
}

/// The same for an event whose records contradict Postgres in this epoch. Once another epoch has
/// begun there is nothing to do, however many processes have noticed.
pub fn request_instead_of(app: &App, event: EventId, epoch: i32) {
    start(app, event, Why::Wrong(epoch));
}

fn start(app: &App, event: EventId, why: Why) {
    let Some(app) = app.arc() else { return };
    if app.rebuilding.insert(event, ()).is_some() {
        return;
    }
    app.tasks.clone().spawn(async move {
        // Each needs two connections at once: were all of them first ones, none would go on.
        let turn = app.rebuilds.acquire().await;
        let built = tokio::time::timeout(BUILD_WITHIN, build(&app, event, why)).await;
        drop(turn);
        if let Err(error) = built.unwrap_or(Err(RebuildError::TooSlow)) {
            tracing::warn!(%event, %error, "an event can't be rebuilt yet");
        }
        app.rebuilding.remove(&event);
    });
}

/// Builds the event's state if Redis doesn't have what Postgres recognises.
///
/// # Errors
/// See [`RebuildError`].
pub async fn ensure(app: &App, event: EventId) -> Result<Rebuilt, RebuildError> {
    build(app, event, Why::Lost).await
}

/// Builds the event's state anew, whatever is there. Holds of the old epoch die.
///
/// # Errors
/// See [`RebuildError`].
pub async fn force(app: &App, event: EventId) -> Result<Rebuilt, RebuildError> {
    build(app, event, Why::Wanted).await
}

async fn build(app: &App, event: EventId, why: Why) -> Result<Rebuilt, RebuildError> {
    let started = Instant::now();
    let link = app.redis.link().ok_or(Trouble::Down)?;
    // One node at a time: the lock lives as long as this transaction.
    let mut lock = app.pg.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *lock).await?;
    let locked = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtext('onsale rebuild'), hashtext($1)) AS "ok!""#,
        event.to_string()
    )
    .fetch_one(&mut *lock)
    .await?;
    if !locked {
        return Ok(Rebuilt::Elsewhere);
    }
    let mut bulk = app.redis.bulk().await?;
    let info: InfoDict = redis::cmd("INFO").arg("server").query_async(&mut bulk).await?;
    if info.get::<String>("run_id").as_deref() != Some(&link.run_id) {
        return Err(RebuildError::Restarted);
    }
    let Some((_, known)) = store::load(&app.pg, event).await? else {
        return Ok(Rebuilt::NoEvent);
    };
    let head = Keys::new(&app.redis.prefix, event, known.epoch).head;
    let seen: Option<i32> =
        redis::cmd("HGET").arg(&head).arg("epoch").query_async(&mut bulk).await?;
    let intact = known.run_id.as_deref() == Some(&link.run_id) && seen == Some(known.epoch);
    let fine = match why {
        Why::Lost => intact,
        Why::Wrong(epoch) => intact && known.epoch != epoch,
        Why::Wanted => false,
    };
    if fine {
        app.catalog.refresh(event).await?;
        return Ok(Rebuilt::Fine);
    }
    // No checkout begins from here on. While they came one after the other, the claims' shared
    // locks on the epoch would overlap, and its raising could wait for as long as the rush lasts.
    redis::cmd("DEL").arg(&head).exec_async(&mut bulk).await?;
    let raised = sqlx::query_scalar!(
        "UPDATE epochs SET epoch = epoch + 1, redis_run_id = NULL, layout = $2
         WHERE event_id = $1 AND layout <= $2 RETURNING epoch",
        event.0,
        LAYOUT
    )
    .fetch_optional(&app.pg)
    .await?;
    // A newer program has it: this one serves what doesn't need Redis until it is replaced.
    let Some(epoch) = raised else { return Ok(Rebuilt::Elsewhere) };
    let Some((listing, _)) = store::load(&app.pg, event).await? else {
        return Ok(Rebuilt::NoEvent);
    };
    let orders = live_orders(app, event).await?;
    let keys = Keys::new(&app.redis.prefix, event, epoch);
    let state = State::of(&listing, &orders);
    fill(&mut bulk, &keys, &listing, &state).await?;
    sqlx::query!(
        "UPDATE epochs SET redis_run_id = $3 WHERE event_id = $1 AND epoch = $2",
        event.0,
        epoch,
        link.run_id
    )
    .execute(&app.pg)
    .await?;
    publish(&mut bulk, &keys, &listing, &state, epoch).await?;
    forget(&mut bulk, &Keys::new(&app.redis.prefix, event, known.epoch), &listing).await?;
    lock.commit().await?;
    app.catalog.reload(event).await?;
    metrics::counter!("onsale_rebuilds_total").increment(1);
    tracing::info!(%event, epoch, orders = orders.len(), took = ?started.elapsed(), "rebuilt");
    Ok(Rebuilt::Built(epoch))
}

async fn live_orders(app: &App, event: EventId) -> sqlx::Result<Vec<Order>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE event_id = $1 AND has_claims(status)",
        event.0
    )
    .fetch_all(&app.pg)
    .await?;
    crate::orders::store::many(&app.pg, &ids).await
}

/// What Redis must have, computed from what Postgres has.
struct State {
    taken: Vec<u8>,
    kills: Vec<u8>,
    blocked: Vec<(i16, Vec<u8>)>,
    records: Vec<(String, String)>,
    counts: HashMap<String, i64>,
    stretches: Vec<u8>,
    hints: Vec<u8>,
}

impl State {
    fn of(listing: &Listing, orders: &[Order]) -> Self {
        let size = listing.bitmap_bytes();
        let mut state = Self {
            taken: vec![0; size],
            kills: vec![0; size],
            blocked: Vec::new(),
            records: Vec::with_capacity(orders.len()),
            counts: HashMap::new(),
            stretches: stretch_bytes(&listing.stretches),
            hints: Vec::new(),
        };
        for order in orders {
            state.add_order(listing, order);
        }
        for channel in &listing.channels {
            let mut blocked = vec![0; size];
            for place in &listing.places {
                if place.killed || (place.channel != channel.number && place.channel != PUBLIC) {
                    listing::set_bit(&mut blocked, place.number);
                }
            }
            state.blocked.push((channel.number, blocked));
        }
        for place in listing.places.iter().filter(|place| place.killed) {
            listing::set_bit(&mut state.kills, place.number);
        }
        state.hints = hints(listing, &state.taken, &state.kills);
        state
    }

    /// What the head says of it.
    fn any_blocked(&self) -> &'static str {
        let mut bytes = self.blocked.iter().flat_map(|(_, bitmap)| bitmap);
        if bytes.any(|byte| *byte != 0) { "1" } else { "0" }
    }

    fn add_order(&mut self, listing: &Listing, order: &Order) {
        // It may have ended since its id was read.
        if !order.status.has_claims() {
            return;
        }
        let Some(entry) = mirror::entry_for(listing, order) else { return };
        let n = i64::try_from(entry.places.len()).unwrap_or(0);
        for held in &entry.places {
            listing::set_bit(&mut self.taken, held.place);
            *self.counts.entry(format!("o:{}", held.offer)).or_default() += 1;
        }
        *self.counts.entry(format!("a:{}", entry.account)).or_default() += n;
        if let Some(promo) = entry.promo {
            *self.counts.entry(format!("p:{promo}")).or_default() += 1;
        }
        let state = if entry.step == Step::Sold { "s" } else { "c" };
        *self.counts.entry(state.to_owned()).or_default() += n;
        let record = Record {
            step: entry.step,
            deadline_ms: 0,
            account: entry.account,
            created_ms: order.created_at.as_millisecond(),
            promo: entry.promo,
            digest: String::new(),
            places: entry.places,
            opaque: String::new(),
        };
        self.records.push((entry.id.to_string(), record.text()));
    }
}

/// Eight bytes per stretch: first place and length, big-endian.
#[must_use]
pub fn stretch_bytes(stretches: &[crate::catalog::Stretch]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(stretches.len() * 8);
    for stretch in stretches {
        bytes.extend_from_slice(&stretch.first.to_be_bytes());
        bytes.extend_from_slice(&stretch.length.to_be_bytes());
    }
    bytes
}

/// The longest free run of each stretch. Allocations are not looked at: for each channel they
/// differ, and a hint only has to be an upper bound.
fn hints(listing: &Listing, taken: &[u8], kills: &[u8]) -> Vec<u8> {
    let hint = |stretch: &crate::catalog::Stretch| {
        let (mut run, mut longest) = (0, 0);
        for place in stretch.first..stretch.first + stretch.length {
            let free = !listing::bit(taken, place) && !listing::bit(kills, place);
            run = if free { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        u8::try_from(longest.min(MAX_HINT)).unwrap_or(u8::MAX)
    };
    listing.stretches.iter().map(hint).collect()
}

async fn fill(
    bulk: &mut deadpool_redis::Connection,
    keys: &Keys,
    listing: &Listing,
    state: &State,
) -> redis::RedisResult<()> {
    let channels = listing.channels.iter().map(|channel| channel.number);
    let mut pipeline = Pipeline::new();
    // An earlier try may have died half-way.
    pipeline.cmd("UNLINK").arg(keys.of_epoch(channels)).ignore();
    pipeline.set(&keys.taken, &state.taken[..]).ignore();
    pipeline.set(&keys.kills, &state.kills[..]).ignore();
    pipeline.set(&keys.stretches, &state.stretches[..]).ignore();
    pipeline.set(&keys.hints, &state.hints[..]).ignore();
    for (channel, blocked) in &state.blocked {
        pipeline.set(keys.blocked(*channel), &blocked[..]).ignore();
    }
    let counts: Vec<(&String, i64)> = state.counts.iter().map(|(key, n)| (key, *n)).collect();
    for chunk in counts.chunks(CHUNK) {
        pipeline.hset_multiple(&keys.counts, chunk).ignore();
    }
    pipeline.exec_async(bulk).await?;
    for chunk in state.records.chunks(CHUNK) {
        let mut pipeline = Pipeline::new();
        pipeline.hset_multiple(&keys.holds, chunk).ignore();
        pipeline.exec_async(bulk).await?;
    }
    Ok(())
}

async fn publish(
    bulk: &mut deadpool_redis::Connection,
    keys: &Keys,
    listing: &Listing,
    state: &State,
    epoch: i32,
) -> Result<(), RebuildError> {
    let mut pipeline = Pipeline::new();
    pipeline.atomic();
    pipeline.del(&keys.head).ignore();
    let status = listing.event.status.word();
    pipeline
        .cmd("HSET")
        .arg(&keys.head)
        .arg(&["epoch", &epoch.to_string(), "state", status])
        .arg(&["blocked", state.any_blocked(), "seq", "1"])
        .ignore();
    // What was filled first is still there: then so is all that was filled after it.
    pipeline.exists(&keys.taken);
    let (filled,): (bool,) = pipeline.query_async(bulk).await?;
    if !filled {
        redis::cmd("DEL").arg(&keys.head).exec_async(bulk).await?;
        return Err(RebuildError::Restarted);
    }
    Ok(())
}

async fn forget(
    bulk: &mut deadpool_redis::Connection,
    old: &Keys,
    listing: &Listing,
) -> redis::RedisResult<()> {
    let channels = listing.channels.iter().map(|channel| channel.number);
    redis::cmd("UNLINK").arg(old.of_epoch(channels)).exec_async(bulk).await
}
