//! Redis follows Postgres: every commit that changes a claim wrote a mirror row; the process that
//! committed applies it at once, and a worker applies what was missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgExecutor;
use thiserror::Error;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Order, OrderStatus, store};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::cache::{Catalog, Sale};
use crate::db::kept::Kept;
use crate::holds::record::{HeldPlace, Step};
use crate::holds::redis::{self as grips, MirrorEntry};
use crate::ids::EventId;
use crate::redis::{Redis, Trouble};

/// Notes that may wait; beyond it they are left to the worker, for whom the row remains.
const MAX_WAITING: usize = 10_000;
/// Orders in one call of the script.
const CHUNK: usize = 100;
/// How long the notes that are taken at once may take.
const APPLY_WITHIN: Duration = Duration::from_secs(10);
/// The longest pause between two rounds of notes.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// Rows older than this are the worker's.
pub const MISSED_AFTER: Duration = Duration::from_secs(1);
/// Rows that the worker takes at once.
const MISSED_ROWS: i64 = 50;

/// What a commit asks to be mirrored.
#[derive(Debug, Default)]
pub struct Note {
    /// The row that remembers it.
    pub mirror_id: Option<i64>,
    /// Records that must follow.
    pub followers: Vec<Follower>,
    /// Orders whose records are read from Postgres.
    pub orders: Vec<Uuid>,
}

/// A record that must follow.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Of which event.
    pub event: EventId,
    /// In which epoch its places were looked up.
    pub epoch: i32,
    /// What it must look like.
    pub entry: MirrorEntry,
}

/// Applies this process's own commits.
pub struct Mirror {
    queue: mpsc::Sender<Note>,
}

/// Why records do not follow.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// Redis.
    #[error(transparent)]
    Redis(#[from] Trouble),
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// Redis is being rebuilt from Postgres, which has it all.
    #[error("the event is being rebuilt")]
    Stale,
    /// Another record lists these places: the event must be rebuilt.
    #[error("the records of event {0} contradict Postgres in epoch {1}")]
    Conflict(EventId, i32),
}

impl Mirror {
    /// A mirror and the task that applies what it is told.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Note>) {
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        (Arc::new(Self { queue }), receiver)
    }

    /// Tells it of a commit. Never waits.
    pub fn note(&self, note: Note) {
        if note.mirror_id.is_some() && self.queue.try_send(note).is_err() {
            metrics::counter!("onsale_mirror_left_to_worker_total").increment(1);
        }
    }
}

/// Applies notes until the mirror is dropped.
pub async fn apply_notes(
    mut notes: mpsc::Receiver<Note>,
    pg: Kept,
    redis: Arc<Redis>,
    catalog: Arc<Catalog>,
) {
    let mut batch = Vec::new();
    while notes.recv_many(&mut batch, CHUNK).await > 0 {
        let began = Instant::now();
        let applied = apply_batch(&mut batch, &pg, &redis, &catalog);
        // Bounded, because a server that went silent would be waited for for ever.
        let outcome = tokio::time::timeout(APPLY_WITHIN, applied).await;
        if let Err(error) = outcome.unwrap_or(Err(MirrorError::Stale)) {
            tracing::debug!(%error, "mirroring is left to the worker");
        }
        batch.clear();
        // Nobody waits for a record that follows: under load it may as well follow with others.
        tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
    }
}

async fn apply_batch(
    batch: &mut Vec<Note>,
    pg: &Kept,
    redis: &Redis,
    catalog: &Catalog,
) -> Result<(), MirrorError> {
    let mut by_event: HashMap<EventId, Vec<MirrorEntry>> = HashMap::new();
    let mut ids = Vec::with_capacity(batch.len());
    let mut unread = Vec::new();
    for note in batch.drain(..) {
        ids.extend(note.mirror_id);
        unread.extend(note.orders);
        for Follower { event, epoch, entry } in note.followers {
            let sale = catalog.sale(event).await?;
            if sale.is_some_and(|sale| sale.epoch != epoch) {
                unread.push(entry.id.order().0);
            } else {
                by_event.entry(event).or_default().push(entry);
            }
        }
    }
    let all_read = read_entries(pg, catalog, &unread, &mut by_event).await?;
    let mut epochs = Vec::with_capacity(by_event.len());
    let mut outcome = if all_read { Ok(()) } else { Err(MirrorError::Stale) };
    for (event, entries) in by_event {
        let applied = match catalog.sale(event).await {
            Ok(Some(sale)) => {
                epochs.push((event, sale.epoch));
                apply(redis, &sale, &entries).await
            }
            Ok(None) => Err(MirrorError::Stale),
            Err(error) => Err(error.into()),
        };
        // Trouble with one event doesn't keep the others' records behind.
        outcome = outcome.and(applied);
    }
    outcome?;
    let mut own = pg.take().await?;
    let forgotten = forget(&mut *own, &ids, &epochs).await;
    Ok(own.give_back(forgotten)?)
}

/// The entries of orders as they stand in Postgres, after those that are there already. False if
/// the event of one of them isn't there.
async fn read_entries(
    pg: &Kept,
    catalog: &Catalog,
    ids: &[Uuid],
    by_event: &mut HashMap<EventId, Vec<MirrorEntry>>,
) -> Result<bool, MirrorError> {
    if ids.is_empty() {
        return Ok(true);
    }
    let mut all = true;
    let mut own = pg.take().await?;
    let orders = store::many(&mut *own, ids).await;
    for order in own.give_back(orders)? {
        match catalog.sale(order.event).await? {
            Some(sale) => {
                by_event.entry(order.event).or_default().extend(entry_of(&sale, &order));
            }
            None => all = false,
        }
    }
    Ok(all)
}

/// Forgets rows that were applied, unless an epoch has passed since: what was written under the
/// old one may be missing in a rebuild that had read Postgres before.
async fn forget(
    pg: impl PgExecutor<'_>,
    ids: &[i64],
    epochs: &[(EventId, i32)],
) -> sqlx::Result<()> {
    let (events, epochs): (Vec<Uuid>, Vec<i32>) =
        epochs.iter().map(|(event, epoch)| (event.0, *epoch)).unzip();
    sqlx::query!(
        "DELETE FROM mirror WHERE id = ANY ($1) AND NOT EXISTS (
             SELECT FROM unnest($2::uuid[], $3::int[]) AS used (event_id, epoch)
             JOIN epochs p ON p.event_id = used.event_id WHERE p.epoch <> used.epoch)",
        ids,
        &events,
        &epochs
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Makes these records of one event follow.
///
/// # Errors
/// See [`MirrorError`]; doing it again is harmless.
pub async fn apply(redis: &Redis, sale: &Sale, entries: &[MirrorEntry]) -> Result<(), MirrorError> {
    for chunk in entries.chunks(CHUNK) {
        let conflicts = grips::mirror(redis, sale, chunk).await?.ok_or(MirrorError::Stale)?;
        if !conflicts.is_empty() {
            let event = sale.listing.event.id;
            tracing::debug!(%event, ?conflicts, "records contradict what was read of Postgres");
            return Err(MirrorError::Conflict(event, sale.epoch));
        }
    }
    Ok(())
}

/// What an order's record must look like now. `None` if it has none.
#[must_use]
pub fn entry_of(sale: &Sale, order: &Order) -> Option<MirrorEntry> {
    entry_for(&sale.listing, order)
}

/// See [`entry_of`].
#[must_use]
pub fn entry_for(listing: &Listing, order: &Order) -> Option<MirrorEntry> {
    let step = match order.status {
        OrderStatus::Open | OrderStatus::Cancelling => Step::Claimed,
        OrderStatus::Paid | OrderStatus::Disputed | OrderStatus::RefundPending => Step::Sold,
        OrderStatus::Released
        | OrderStatus::Late
        | OrderStatus::RefundDue
        | OrderStatus::Refunded
        | OrderStatus::Abandoned => Step::Released,
        OrderStatus::Retake => return None,
    };
    let mut places = Vec::with_capacity(order.places.len());
    for line in &order.lines {
        for place in &line.places {
            let stretch = listing.place(*place)?.stretch;
            places.push(HeldPlace { place: *place, stretch, offer: line.offer, tier: line.tier });
        }
    }
    let (account, promo) = (order.account, order.promo);
    Some(MirrorEntry { id: order.record(), step, account, promo, places })
}

/// Makes the records of these orders follow their current state in Postgres.
///
/// # Errors
/// See [`MirrorError`].
pub async fn orders(app: &App, ids: &[Uuid]) -> Result<(), MirrorError> {
    match read_and_apply(app, ids).await {
        // An order that went on after it was read, and whose record followed that at once, is no
        // contradiction: read again, it agrees.
        Err(MirrorError::Conflict(..)) => read_and_apply(app, ids).await,
        done => done,
    }
}

async fn read_and_apply(app: &App, ids: &[Uuid]) -> Result<(), MirrorError> {
    let mut by_event: HashMap<EventId, Vec<Order>> = HashMap::new();
    for order in store::many(&app.pg, ids).await? {
        by_event.entry(order.event).or_default().push(order);
    }
    for (event, orders) in by_event {
        // The epoch must be as new as the state that was just read.
        let sale = app.catalog.refresh(event).await?.ok_or(MirrorError::Stale)?;
        let entries: Vec<_> = orders.iter().filter_map(|order| entry_of(&sale, order)).collect();
        apply(&app.redis, &sale, &entries).await?;
    }
    Ok(())
}

/// Teaches Redis who claims these places.
///
/// # Errors
/// See [`MirrorError`].
pub async fn places(app: &App, sale: &Sale, places: &[i32]) -> Result<(), MirrorError> {
    let ids = sqlx::query_scalar!(
        "SELECT DISTINCT order_id FROM claims WHERE event_id = $1 AND place = ANY ($2)",
        sale.listing.event.id.0,
        places
    )
    .fetch_all(&app.pg)
    .await?;
    orders(app, &ids).await
}

/// Mirrors one commit of this process, and forgets its row.
pub async fn follow(app: &App, mirror_id: Option<i64>, order: Uuid) {
    let Some(id) = mirror_id else { return };
    match orders(app, &[order]).await {
        Ok(()) => {
            // Its state was read before the epoch that it was written under.
            if let Err(error) = forget(&app.pg, &[id], &[]).await {
                tracing::debug!(%error, "a mirror row stays for the worker");
            }
        }
        Err(error) => tracing::debug!(%error, "mirroring is left to the worker"),
    }
}

/// Applies rows that their own process has missed. True if there may be more.
///
/// # Errors
/// See [`MirrorError`].
pub async fn run_once(app: &App) -> Result<bool, MirrorError> {
    let mut tx = app.pg.begin().await?;
    let rows = sqlx::query!(
        "SELECT id, orders FROM mirror WHERE created_at < now() - make_interval(secs => $1)
         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED",
        MISSED_AFTER.as_secs_f64(),
        MISSED_ROWS
    )
    .fetch_all(&mut *tx)
    .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let mut done = Vec::with_capacity(rows.len());
    for row in &rows {
        match orders(app, &row.orders).await {
            Ok(()) => done.push(row.id),
            Err(MirrorError::Conflict(event, epoch)) => {
                // Redis has it wrong as a whole: build it anew, which includes this row.
                tracing::error!(%event, epoch, "records contradict Postgres");
                crate::holds::rebuild::request_instead_of(app, event, epoch);
            }
            Err(error @ MirrorError::Redis(Trouble::Unknown(_))) => {
                // The next rows would wait as long, with this transaction open.
                tracing::debug!(%error, "mirror rows have to wait");
                break;
            }
            Err(error) => tracing::debug!(%error, "a mirror row has to wait"),
        }
    }
    sqlx::query!("DELETE FROM mirror WHERE id = ANY ($1)", &done).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.len() == usize::try_from(MISSED_ROWS).unwrap_or(usize::MAX))
}
