//! What every part of a process shares: connections, keys, the catalog and the group commits.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool, Row};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::accounts::revoked::Revoked;
use crate::catalog::cache::{Catalog, Sale};
use crate::checkout::pulse::Pulse;
use crate::checkout::store::Claimer;
use crate::config::{Config, ProviderName, RedisConfig};
use crate::db::batch::Batcher;
use crate::db::kept::Kept;
use crate::holds::availability::Availability;
use crate::holds::rebuild;
use crate::http::limits;
use crate::http::problem::{Code, Problem};
use crate::http::timings::Timings;
use crate::ids::{EventId, OrderId};
use crate::keyring::Keyring;
use crate::mail::{self, Mailer};
use crate::orders::mirror::{self, Mirror};
use crate::orders::reading::Reader;
use crate::orders::recent::Recent;
use crate::payments::Gateway;
use crate::payments::gateways::Gateways;
use crate::payments::rehearsal::Rehearsal;
use crate::payments::sandbox::Sandbox;
use crate::payments::settle::Settler;
use crate::payments::stripe::Stripe;
use crate::redis::Redis;
use crate::suspicion::{self, Suspicion};
use crate::waiting_room::board::{self, Boards};
use crate::waiting_room::join::Usher;
use crate::waiting_room::line::Uncounted;
use crate::waiting_room::passes::{self, Buyers, Ended};
use crate::waiting_room::proof::difficulty::Watch;
use crate::waiting_room::rooms::Rooms;
use crate::waiting_room::seekers::{self, Seekers};
use crate::waiting_room::turn::Exchanger;
use crate::workers::admit;
use crate::workers::pace::Pace;

/// Connections of the group commits: one that each keeps, and others for when one hangs.
const COMMIT_CONNECTIONS: u32 = 14;
/// A pooled connection that was idle for so long is asked whether it lives before it is used.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// How long it may take until group commits have a connection. Nobody waits for it as long
/// ([`Kept`]).
const COMMIT_ACQUIRE: Duration = Duration::from_secs(30);
/// The pause between two tries to connect at the start.
const START_PAUSE: Duration = Duration::from_millis(500);
/// How long a connection that comes back to its pool may take to show that it lives.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);
/// Tracked work is given up after this, as if its node had died, and resumed by others: a server
/// that has gone silent would keep it, and its connections, for ever.
const WORK_WITHIN: Duration = Duration::from_secs(60);
/// A transaction left open by a mishap is ended by Postgres after this.
const IDLE_IN_TRANSACTION: &str = "10s";

/// One process.
pub struct App {
    /// How it is configured.
    pub config: Config,
    /// Postgres, for everything but the group commits.
    pub pg: PgPool,
    /// Postgres, for what workers do all the time, by key.
    pub errands: Kept,
    /// Redis.
    pub redis: Arc<Redis>,
    /// What is for sale.
    pub catalog: Arc<Catalog>,
    /// Keys.
    pub keyring: Keyring,
    /// Sessions that have ended although their tokens look good.
    pub revoked: Arc<Revoked>,
    /// The payment providers.
    pub gateways: Gateways,
    /// What takes mails away.
    pub mailer: Arc<dyn Mailer>,
    /// How fast.
    pub mail_pace: Pace,
    /// The claims' group commit.
    pub claims: Batcher<Claimer>,
    /// The settlements' group commit.
    pub settlements: Batcher<Settler>,
    /// Orders as their buyers see them.
    pub orders: Batcher<Reader>,
    /// Orders that were claimed here a short while ago.
    pub recent: Arc<Recent>,
    /// What is free, for those who look.
    pub availability: Availability,
    /// Manifests as they are sent, by event: their version and bytes.
    pub manifests: DashMap<EventId, (i64, bytes::Bytes)>,
    /// Charts as they are sent, by event.
    pub charts: DashMap<EventId, Arc<crate::web::chart::Packed>>,
    /// Drawer counts of Postgres, by event: when they were counted.
    pub drawers: DashMap<EventId, (Instant, crate::catalog::http::Drawer)>,
    /// Streams that may be open.
    pub streams: Arc<Semaphore>,
    /// Work that a client going away doesn't cancel; waited for at shutdown.
    pub tasks: TaskTracker,
    /// The process is about to stop: it is not ready any more, but still answers. Every answer
    /// looks here, so it is no token, which has a lock.
    pub stopping: AtomicBool,
    /// The process takes no new connections.
    pub draining: CancellationToken,
    /// Tells everything to end.
    pub stop: CancellationToken,
    /// The waiting rooms.
    pub rooms: Arc<Rooms>,
    /// What everybody in them is told.
    pub boards: Boards,
    /// Who joined and is not counted yet.
    pub uncounted: Uncounted,
    /// Accounts' places in line.
    pub places: Batcher<Usher>,
    /// Turns that become passes.
    pub turns: Batcher<Exchanger>,
    /// Passes that ended before their time.
    pub ended: Ended,
    /// Who of those inside got no places.
    pub seekers: Seekers,
    /// What the admission controller remembers, by room.
    pub admissions: DashMap<EventId, admit::Memory>,
    /// How checkouts go here.
    pub pulse: Pulse,
    /// How long answers take.
    pub timings: Timings,
    /// This process, among others.
    pub node: Uuid,
    /// What decides how hard proofs of work are.
    pub proofs: Watch,
    /// Who holds and never pays.
    pub suspicion: Suspicion,
    /// How much anybody may ask for.
    pub limits: limits::Node,
    /// Events being rebuilt by this process.
    pub rebuilding: DashMap<EventId, ()>,
    /// Turns at rebuilding.
    pub rebuilds: Semaphore,
    /// Turns at auditing a rehearsal.
    pub audits: Semaphore,
    this: Weak<Self>,
}

/// A pool that gets over connections that went silent. One whose query was given up is asked
/// whether it lives before it is used again, and would keep its place in the pool until it
/// answers: so it has to answer soon. And one whose client left in the middle of BEGIN may come
/// back inside a transaction that nobody would ever commit (sqlx#4385): there the statement began
/// later than the transaction, and the connection is closed. Asked as a simple query, because the
/// messages of a prepared one have times of their own.
fn pool() -> PgPoolOptions {
    // Asked at release, a connection needn't be asked again at once.
    let asked =
        PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, was| {
            Box::pin(async move {
                if was.idle_for >= ASK_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    asked.after_release(|connection, _| {
        Box::pin(async move {
            let outside = sqlx::raw_sql("SELECT now() = statement_timestamp()");
            let asked = tokio::time::timeout(RELEASE_WITHIN, outside.fetch_one(connection)).await;
            asked.unwrap_or(Err(sqlx::Error::PoolTimedOut))?.try_get(0)
        })
    })
}

/// Connects to Postgres. Each statement is planned for the tables as they are: a plan that was kept
/// from when a sale was young would compare every row with every other a minute later.
///
/// # Errors
/// If the URL is malformed or nothing answers there.
pub async fn connect_postgres(config: &Config) -> sqlx::Result<PgPool> {
    let options = config.database.url.parse::<PgConnectOptions>()?.options([
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ("plan_cache_mode", "force_custom_plan"),
    ]);
    pool()
        .acquire_timeout(Duration::from_secs(config.database.acquire_timeout_s))
        .max_connections(config.database.connections)
        .connect_with(options)
        .await
}

/// Connects for group commits and what workers do all the time. Their statements look rows up by key,
/// for arrays of any length: the planner, which can't know the length, must not think of scanning
/// tables.
async fn connect_commits(config: &Config) -> sqlx::Result<PgPool> {
    let lock_timeout = format!("{}ms", config.database.lock_timeout_ms);
    let options = config.database.url.parse::<PgConnectOptions>()?.options([
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ("lock_timeout", lock_timeout.as_str()),
        ("statement_timeout", "10s"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        // Nor does it learn anything from the values.
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    pool()
        .acquire_timeout(COMMIT_ACQUIRE)
        .min_connections(1)
        .max_connections(COMMIT_CONNECTIONS)
        .connect_with(options)
        .await
}

/// Connects to something that may still be starting as well, for as long as is configured.
async fn at_start<'a, T, E: std::fmt::Display>(
    what: &str,
    config: &Config,
    may_come: impl Fn(&E) -> bool,
    connect: impl Fn() -> BoxFuture<'a, Result<T, E>>,
) -> Result<T, E> {
    let until = Instant::now() + Duration::from_secs(config.start_within_s);
    loop {
        match connect().await {
            Err(error) if may_come(&error) && Instant::now() < until => {
                tracing::warn!(%error, "{what} does not answer yet");
                tokio::time::sleep(START_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Whether Postgres may answer later.
fn postgres_may_come(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)
}

impl App {
    /// Connects everything and starts what runs in every process whatever its role.
    ///
    /// # Errors
    /// If Postgres or Redis don't answer, or a key or the provider's settings are not usable.
    pub async fn start(config: Config) -> anyhow::Result<Arc<Self>> {
        use anyhow::Context;
        let pg =
            at_start("Postgres", &config, postgres_may_come, || connect_postgres(&config).boxed());
        let pg = pg.await.context("Postgres does not answer")?;
        let commits = connect_commits(&config).await.context("Postgres does not answer")?;
        let redis = at_start("Redis", &config, crate::redis::may_come, || {
            let RedisConfig { url, prefix, connections, .. } = &config.redis;
            let patience = config.redis.patience();
            Redis::connect(url, prefix.clone(), *connections, patience).boxed()
        });
        let redis = redis.await.context("Redis does not answer")?;
        let keyring = Keyring::new(&config.keys)?;
        let unpaid = Rehearsal::new(pg.clone(), keyring.clone(), &config.http.public_url);
        let gateways = Gateways::new(gateway(&config)?, Arc::new(unpaid));
        let catalog = Arc::new(Catalog::new(pg.clone(), config.redis.prefix.clone()));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (mirror, notes) = Mirror::new();
        let own = || Kept::new(commits.clone());
        let mailer = mail::mailer(&config.mail, own)?;
        let mail_pace = Pace::new(config.mail.per_second, Instant::now());
        tokio::spawn(mirror::apply_notes(notes, own(), redis.clone(), catalog.clone()));
        let rooms = Arc::new(Rooms::new(pg.clone()));
        let (buyers, bought) = Buyers::new(rooms.clone());
        tokio::spawn(passes::end_bought(bought, own()));
        let (seekers, missed) = Seekers::new(rooms.clone());
        tokio::spawn(seekers::note(missed, own()));
        let recent = Arc::new(Recent::default());
        let claimer =
            Arc::new(Claimer { pg: own(), mirror: mirror.clone(), recent: recent.clone() });
        let reader = Arc::new(Reader { pg: own() });
        let usher = Arc::new(Usher { pg: own() });
        let exchanger = Arc::new(Exchanger { pg: own() });
        let settler = Arc::new(Settler { pg: own(), mirror, recent: recent.clone(), buyers });
        let (most, waiting) = (config.database.batch, config.database.batch_queue);
        let app = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            claims: Batcher::start("claims", claimer, most, waiting),
            settlements: Batcher::start("settlements", settler, most, waiting),
            orders: Batcher::start("orders", reader, most, waiting),
            recent,
            places: Batcher::start("places", usher, most, waiting),
            turns: Batcher::start("turns", exchanger, most, waiting),
            rooms: rooms.clone(),
            boards: Boards::default(),
            uncounted: Uncounted::default(),
            ended: Ended::default(),
            seekers,
            admissions: DashMap::new(),
            pulse: Pulse::default(),
            timings: Timings::default(),
            node: Uuid::now_v7(),
            availability: Availability::default(),
            manifests: DashMap::new(),
            charts: DashMap::new(),
            drawers: DashMap::new(),
            streams: Arc::new(Semaphore::new(config.http.max_streams)),
            rebuilding: DashMap::new(),
            limits: limits::Node::new(&config.limits),
            rebuilds: Semaphore::new((config.database.connections as usize / 4).max(1)),
            audits: Semaphore::new(1),
            config,
            pg,
            errands: own(),
            redis: redis.clone(),
            catalog: catalog.clone(),
            keyring,
            revoked: Arc::new(Revoked::default()),
            gateways,
            mailer,
            mail_pace,
            tasks,
            stopping: AtomicBool::new(false),
            draining: CancellationToken::new(),
            stop,
            proofs: Watch::default(),
            suspicion: Suspicion::default(),
        });
        let every = Duration::from_millis(app.config.waiting_room.follow_ms);
        tokio::spawn(rooms.follow(every, app.stop.child_token()));
        tokio::spawn(passes::follow(app.clone(), every, app.stop.child_token()));
        tokio::spawn(board::follow(app.clone(), app.stop.child_token()));
        tokio::spawn(suspicion::follow(app.clone(), app.stop.child_token()));
        // These two end with the process, not before what still needs them.
        tokio::spawn(redis.keep(app.stop.child_token()));
        tokio::spawn(catalog.follow(app.stop.child_token()));
        Ok(app)
    }

    /// Itself, to be moved into a task. `None` while it is being dropped.
    #[must_use]
    pub fn arc(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Does work that a client going away doesn't cancel. Every step of it must be one after
    /// which a node may die: that is what giving it up comes to.
    ///
    /// # Errors
    /// The work's, or `unknown_outcome` if it was given up.
    pub async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let task = self.tasks.spawn(tokio::time::timeout(WORK_WITHIN, work));
        let done = task.await.map_err(Problem::internal)?;
        done.unwrap_or_else(|_| Err(Problem::new(Code::Unknown)))
    }

    /// The event with this id or slug.
    ///
    /// # Errors
    /// `not_found`, or Postgres fails.
    pub async fn find_sale(&self, name: &str) -> Result<Arc<Sale>, Problem> {
        let sale = self.catalog.find(name).await?;
        sale.filter(|sale| !sale.is_over()).ok_or_else(|| Problem::new(Code::NotFound))
    }

    /// The event, if its state in Redis is the one that Postgres recognises; otherwise its
    /// rebuild is started and the answer is `rebuilding`.
    ///
    /// # Errors
    /// `not_found`, `rebuilding`, or Postgres fails.
    pub async fn built_sale(&self, name: &str) -> Result<Arc<Sale>, Problem> {
        let sale = self.find_sale(name).await?;
        self.built(sale).await
    }

    /// The sale as it is now, if it is built on the Redis that this process is connected to.
    ///
    /// # Errors
    /// See [`App::built_sale`].
    pub async fn built(&self, sale: Arc<Sale>) -> Result<Arc<Sale>, Problem> {
        if sale.is_over() {
            return Err(Problem::new(Code::NotFound));
        }
        let Some(link) = self.redis.link() else { return Err(Problem::new(Code::Rebuilding)) };
        if sale.run_id == link.run_id {
            return Ok(sale);
        }
        // Another node may have built it a moment ago.
        let id = sale.listing.event.id;
        match self.catalog.refresh(id).await? {
            Some(sale) if sale.run_id == link.run_id => Ok(sale),
            Some(sale) if sale.is_over() => Err(Problem::new(Code::NotFound)),
            _ => {
                rebuild::request(self, id);
                Err(Problem::new(Code::Rebuilding))
            }
        }
    }

    /// A script answered `stale`: what Redis has is not what this process knows. The sale as
    /// Postgres has it now, if that is another; else Redis has lost it and it is rebuilt.
    ///
    /// # Errors
    /// See [`App::built_sale`].
    pub async fn after_stale(&self, sale: &Sale) -> Result<Arc<Sale>, Problem> {
        let id = sale.listing.event.id;
        match self.catalog.refresh(id).await? {
            Some(now) if now.epoch != sale.epoch => self.built(now).await,
            _ => {
                rebuild::request(self, id);
                Err(Problem::new(Code::Rebuilding))
            }
        }
    }

    /// Where orders of this event are paid.
    ///
    /// # Errors
    /// `not_found`, or Postgres fails.
    pub async fn gateway_of(&self, event: EventId) -> Result<&Gateway, Problem> {
        let sale = self.catalog.sale(event).await?;
        let sale = sale.ok_or_else(|| Problem::new(Code::NotFound))?;
        Ok(self.gateways.of(&sale.listing.event))
    }

    /// The order's page, as a link that opens it without a session.
    #[must_use]
    pub fn order_url(&self, order: OrderId) -> String {
        self.config.http.public_url.clone() + &self.keyring.order_path(order)
    }

    /// The process's clock: for tokens and windows, never for deadlines.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn gateway(config: &Config) -> anyhow::Result<Gateway> {
    Ok(match config.payments.provider {
        ProviderName::Sandbox => Arc::new(Sandbox::new(&config.sandbox_client())?),
        ProviderName::Stripe => Arc::new(Stripe::new(config.stripe_client())?),
    })
}
