//! What every test stands on.

pub mod bank;
pub mod buyer;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod shopper;
pub mod stage;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use onsale::audit::{self, Scope};
use onsale::catalog::edit::Edit;
use onsale::catalog::manifest::{self, Manifest};
use onsale::config::{Config, Role};
use onsale::demo::Secrets;
use onsale::demo::seed::{self, Seed};
use onsale::devstack::{Options, Stack};
use onsale::holds::rebuild;
use onsale::http::limits::Limits;
use onsale::ids::{EventId, OrganizerId};
use onsale::redis::{Patience, Redis};
use onsale::serve::{self, Server};
use onsale::waiting_room::{Room, store};
use sqlx::PgPool;

pub use self::buyer::{Answer, Buyer};

/// How long anything that must happen may take: much longer than it does, for a machine that has
/// other things to do as well is no fault of what is tested.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a Redis that has much to do may take.
pub const PATIENT: Patience =
    Patience { answer: Duration::from_secs(30), connect: Duration::from_secs(30) };

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database, a prefix in Redis, and a configuration that names them.
pub struct Env {
    pub stack: Stack,
    pub config: Config,
    pub pg: PgPool,
    pub organizer: OrganizerId,
    database: String,
    /// The shared servers, which end some time after the last of their users has.
    _shared: Option<Stack>,
}

impl Env {
    /// A fresh environment on the servers that all tests share.
    pub async fn start() -> Self {
        let stack = Stack::start(Options::for_tests()).await.expect("the test servers start");
        Self::on(stack, None).await
    }

    /// A fresh environment with a Redis of its own, which the test may kill.
    pub async fn with_own_redis() -> Self {
        let stack = Stack::start(Options::for_tests()).await.expect("the test servers start");
        let name = format!("redis{}", unique());
        let own = stack.with_own_redis(&name).await.expect("a Redis of its own");
        Self::on(own, Some(stack)).await
    }

    async fn on(stack: Stack, shared: Option<Stack>) -> Self {
        let mut config = Config::default();
        config.log.filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into());
        serve::prepare(&config.log);
        let database = format!("t{}", unique());
        config.database.url = stack.fresh_database(&database, None).await.expect("a database");
        config.database.connections = 8;
        config.redis.url.clone_from(&stack.redis_url);
        config.redis.prefix.clone_from(&database);
        if shared.is_none() {
            // Nothing is ever wrong with the Redis that all share: it only has much to do.
            config.redis.answer_ms = millis(PATIENT.answer);
            config.redis.connect_ms = millis(PATIENT.connect);
        }
        config.roles = vec![Role::Http];
        let secrets = Secrets::random();
        config.keys = secrets.keys;
        config.payments.sandbox.secret = secrets.sandbox;
        config.payments.sandbox.webhook_secrets = vec![secrets.webhook];
        config.mail.mailbox = true;
        // All buyers of a test come from one address, at once.
        config.limits = Limits::none();
        // And they pay with the same few cards.
        config.suspicion.accounts_per_card = 0;
        config.http.unready_ms = 200;
        // A machine that has much to do is no fault of the server.
        config.http.header_timeout_s = 120;
        config.http.request_timeout_s = 60;
        let pg = onsale::app::connect_postgres(&config).await.expect("Postgres");
        onsale::db::migrate(&pg).await.expect("migrations");
        let organizer = seed::organizer(&pg, "tests", "Tests").await.expect("an organizer");
        Self { stack, config, pg, organizer, database, _shared: shared }
    }

    /// An event on sale.
    pub async fn event(&self, seed: &Seed<'_>) -> EventId {
        seed::event(&self.pg, self.organizer, seed).await.expect("an event")
    }

    /// A server in this process.
    pub async fn server(&self) -> TestServer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut config = self.config.clone();
        config.http.public_url = format!("http://{}", listener.local_addr().expect("bound"));
        let url = config.http.public_url.clone();
        let server = Server::start(config, Some(listener)).await.expect("a server");
        // Events are built when they are first asked for: here, before anybody asks.
        for event in onsale::catalog::store::selling(&self.pg).await.expect("events") {
            rebuild::ensure(&server.app, event).await.expect("built");
        }
        TestServer { server, url }
    }

    /// What the auditor finds once nothing runs any more: nothing.
    pub async fn audit_at_rest(&self) {
        let settings = &self.config.redis;
        let redis = Redis::connect(&settings.url, settings.prefix.clone(), 1, PATIENT).await;
        let redis = redis.expect("Redis");
        let scope = Scope { at_rest: true, ..Scope::default() };
        let report = audit::run(&self.pg, Some(&redis), &scope).await.expect("a report");
        assert!(report.clean, "{}", report.table());
    }

    /// Drops what the test made.
    pub async fn end(self) {
        self.pg.close().await;
        self.stack.drop_database(&self.database).await.expect("the database goes");
    }
}

/// What must be noticed within two seconds is: once out of a few times, for a machine may have
/// other things to do.
pub async fn soon(mut noticed_after: impl AsyncFnMut(usize) -> Duration) {
    let mut took = Vec::new();
    for turn in 0..5 {
        took.push(noticed_after(turn).await);
        if took[turn] < Duration::from_secs(2) {
            return;
        }
    }
    panic!("noticed after {took:?}");
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("not so long")
}

/// A connection to this Redis, which may take its time.
pub async fn patient_redis(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&patient).await.expect("Redis answers")
}

fn unique() -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{}x{number}", uuid::Uuid::now_v7().simple())
}

/// A server in this process.
pub struct TestServer {
    pub server: Server,
    pub url: String,
}

impl TestServer {
    /// Stores a waiting room, as an organizer would, and has this process see it. All of its lanes
    /// have the same seed.
    pub async fn put_room(&self, room: &Room) {
        let app = &self.server.app;
        let mut edit = Edit::begin(app, room.event).await.expect("the event");
        store::put_room(edit.pg(), room).await.expect("a room");
        for lane in &room.lanes {
            store::put_lane(edit.pg(), room.event, lane, &[7; 32]).await.expect("a lane");
        }
        edit.commit(app).await.expect("stored");
        app.rooms.refresh(&[room.event]).await.expect("read");
    }

    /// A new buyer with a session.
    pub async fn buyer(&self) -> Buyer {
        Buyer::new(&self.url).await
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.server.stop().await.expect("an orderly end");
    }
}

/// A small hall: 2 levels, `rows` rows of `seats` seats, and an area of `standing`.
pub fn hall(rows: usize, seats: usize, standing: u32) -> Manifest {
    use std::fmt::Write;
    let mut csv = String::from("section,row,seat,x,y,level,attributes,capacity\n");
    for row in 1..=rows {
        let level = if row <= rows.div_ceil(2) { "front" } else { "back" };
        for seat in 1..=seats {
            let (x, y) = (seat as f32 * 0.55, row as f32);
            writeln!(csv, "S,{row},{seat},{x},{y},{level},,").expect("text");
        }
    }
    if standing > 0 {
        writeln!(csv, "FLOOR,,,,,floor,,{standing}").expect("text");
    }
    manifest::csv::parse(csv.as_bytes()).expect("a hall")
}

/// Waits until `check` says yes. For what happens in another process; within this one, tests
/// drive what must happen.
pub async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let started = Instant::now();
    while !check().await {
        assert!(started.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
