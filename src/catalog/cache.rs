//! Events in memory: what every process knows of what is for sale, at most moments old.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Listing;
use super::store::{self, EpochRow};
use crate::ids::EventId;
use crate::redis::keys::Keys;

/// How often versions and epochs are compared with Postgres. A change is seen everywhere after
/// at most this and one query.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// How long one comparison may take.
const FOLLOW_WITHIN: Duration = Duration::from_secs(10);
/// Most events in memory; beyond it, those not on sale are dropped.
const MAX_EVENTS: usize = 10_000;

/// An event as it can be sold: its listing and the generation of its state in Redis.
#[derive(Debug)]
pub struct Sale {
    /// What is for sale.
    pub listing: Arc<Listing>,
    /// The generation.
    pub epoch: i32,
    /// The run of Redis it was built on; empty while there is none.
    pub run_id: String,
    /// Its keys.
    pub keys: Keys,
}

impl Sale {
    /// Whether it is the shadow of a rehearsal that has ended: to be removed, and built no more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let event = &self.listing.event;
        event.rehearsal && event.status == super::EventStatus::Draft
    }
}

/// The events of this process.
pub struct Catalog {
    pg: PgPool,
    prefix: String,
    sales: DashMap<EventId, Arc<ArcSwap<Sale>>>,
    slugs: DashMap<String, EventId>,
}

impl Catalog {
    /// An empty catalog; events are read when first asked for.
    #[must_use]
    pub fn new(pg: PgPool, prefix: String) -> Self {
        Self { pg, prefix, sales: DashMap::new(), slugs: DashMap::new() }
    }

    fn make(&self, listing: Arc<Listing>, epoch: EpochRow) -> Arc<Sale> {
        let keys = Keys::new(&self.prefix, listing.event.id, epoch.epoch);
        let run_id = epoch.run_id.unwrap_or_default();
        Arc::new(Sale { listing, epoch: epoch.epoch, run_id, keys })
    }

    /// The event, from memory if it is there. `None` if there is none.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn sale(&self, id: EventId) -> sqlx::Result<Option<Arc<Sale>>> {
        if let Some(known) = self.sales.get(&id) {
            return Ok(Some(known.load_full()));
        }
        self.reload(id).await
    }

    /// The event with this id or slug.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn find(&self, name: &str) -> sqlx::Result<Option<Arc<Sale>>> {
        // Not by the id's own reading, which would find out what is wrong with a slug.
        if let Ok(id) = Uuid::try_parse(name) {
            return self.sale(EventId(id)).await;
        }
        if let Some(id) = self.slugs.get(name).map(|id| *id) {
            return self.sale(id).await;
        }
        // Boxed: whoever asks would have the room for it, and hardly anybody needs it.
        Box::pin(self.find_anew(name)).await
    }

    async fn find_anew(&self, name: &str) -> sqlx::Result<Option<Arc<Sale>>> {
        // Postgres refuses to be asked for a text with NUL, which no slug has.
        if name.contains('\0') {
            return Ok(None);
        }
        match store::by_slug(&self.pg, name).await? {
            Some(id) => {
                self.slugs.insert(name.to_owned(), id);
                self.sale(id).await
            }
            None => Ok(None),
        }
    }

    /// Reads the event anew.
    ///
    /// # Errors
    /// If Postgres fails.
    #[inline(never)]
    #[must_use]
    pub fn reload(&self, id: EventId) -> BoxFuture<'_, sqlx::Result<Option<Arc<Sale>>>> {
        // Boxed: every caller would be compiled with a copy of all of it.
        Box::pin(self.read_anew(id))
    }

    async fn read_anew(&self, id: EventId) -> sqlx::Result<Option<Arc<Sale>>> {
        let Some((listing, epoch)) = store::load(&self.pg, id).await? else {
            self.sales.remove(&id);
            return Ok(None);
        };
        if self.sales.len() >= MAX_EVENTS {
            let selling = super::EventStatus::OnSale;
            self.sales.retain(|_, sale| sale.load().listing.event.status == selling);
            self.slugs.clear();
        }
        let sale = self.make(Arc::new(listing), epoch);
        match self.sales.entry(id) {
            dashmap::Entry::Occupied(entry) => {
                // Two reloads at once: the older one must not win.
                let newer = |s: &Sale| (s.epoch, s.listing.event.version);
                entry.get().rcu(|known| {
                    if newer(known) > newer(&sale) { known.clone() } else { sale.clone() }
                });
                Ok(Some(entry.get().load_full()))
            }
            dashmap::Entry::Vacant(entry) => {
                entry.insert(Arc::new(ArcSwap::from(sale.clone())));
                Ok(Some(sale))
            }
        }
    }

    /// Looks at once whether the event's version or epoch has changed.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn refresh(&self, id: EventId) -> sqlx::Result<Option<Arc<Sale>>> {
        self.compare(&[id.0]).await?;
        self.sale(id).await
    }

    async fn compare(&self, ids: &[uuid::Uuid]) -> sqlx::Result<()> {
        let versions = store::versions(&self.pg, ids).await?;
        if versions.len() < ids.len() {
            // Only rehearsals' shadows ever go.
            let gone = |id: &EventId| ids.contains(&id.0) && !versions.iter().any(|v| v.0 == *id);
            self.sales.retain(|id, _| !gone(id));
            self.slugs.retain(|_, id| !gone(id));
        }
        for (id, version, epoch) in versions {
            let Some(known) = self.sales.get(&id).map(|known| known.clone()) else { continue };
            let sale = known.load_full();
            if sale.listing.event.version != version {
                self.reload(id).await?;
            } else if sale.epoch != epoch.epoch
                || sale.run_id != epoch.run_id.as_deref().unwrap_or("")
            {
                known.rcu(|now| {
                    let same = now.listing.event.version == version && now.epoch <= epoch.epoch;
                    if same { self.make(now.listing.clone(), epoch.clone()) } else { now.clone() }
                });
            }
        }
        Ok(())
    }

    /// Ids of the events in memory.
    #[must_use]
    pub fn known(&self) -> Vec<EventId> {
        self.sales.iter().map(|entry| *entry.key()).collect()
    }

    /// Follows Postgres until stopped.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
            let ids: Vec<_> = self.known().iter().map(|id| id.0).collect();
            if ids.is_empty() {
                continue;
            }
            // Bounded, because a connection that went silent would be waited for for ever.
            match tokio::time::timeout(FOLLOW_WITHIN, self.compare(&ids)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the catalog can't follow Postgres"),
                Err(late) => tracing::warn!(%late, "the catalog can't follow Postgres"),
            }
        }
    }
}
