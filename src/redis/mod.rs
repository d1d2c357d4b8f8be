//! The connection to Redis: a cache of what Postgres decided, plus short-lived holds.
//!
//! Scripts of the hot path share a few multiplexed connections, which pipeline by themselves;
//! bulk work (rebuild, comparison, snapshots) has exclusive connections from a pool, so that it
//! never stands in front of a buyer.
//!
//! A [`Link`] is bound to one run of one Redis process by its `run_id`. A script is only ever
//! sent over a link whose run is the one the event's state was built on; after a restart or a
//! failover there is a new link with another `run_id`, and holds stay closed until the rebuild.

mod gather;
pub mod keys;
pub mod scripts;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use metrics::Histogram;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisError, ServerErrorKind, Value,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::gather::Gather;
use self::scripts::Script;

/// Pause between attempts to connect, and between checks of an idle link.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const HEARTBEAT: Duration = Duration::from_millis(500);
/// A link that has given no answer for so long is made anew: where a packet filter or a dead
/// machine swallows everything, the system notices only after many minutes.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// Requests that may wait for one connection's writer.
const PIPELINE_BUFFER: usize = 1_000;
/// What is gathered for one connection before it is written whatever else may come, in bytes.
const GATHERED_BYTES: usize = 64 * 1_024;
/// Exclusive connections for bulk work.
const BULK_CONNECTIONS: usize = 8;
/// How long bulk commands may take.
const BULK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Redis may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a reply. After it the script may still have run.
    pub answer: Duration,
    /// For a connection.
    pub connect: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_millis(500), connect: Duration::from_secs(1) }
    }
}

/// Why a script gave no answer.
#[derive(Debug, Error)]
pub enum Trouble {
    /// Nothing was sent: there is no connection, or it is one to another run of Redis.
    #[error("Redis is not there")]
    Down,
    /// It was sent, and whether it ran is not known.
    #[error("Redis gave no answer: {0}")]
    Unknown(#[source] RedisError),
    /// Redis refused it; nothing was written.
    #[error("Redis refused: {0}")]
    Refused(#[source] RedisError),
    /// An answer outside the script's contract.
    #[error("script {0} answered outside its contract: {1}")]
    BadReply(&'static str, String),
}

/// A script and what it is given.
#[derive(Debug)]
pub struct Call {
    /// Which.
    pub script: &'static Script,
    /// Its keys.
    pub keys: Vec<String>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
}

/// A multiplexed connection of the hot path. Its clones end with it.
pub struct Line {
    /// What is asked over it.
    pub connection: MultiplexedConnection,
    _driver: AbortOnDropHandle<()>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// If nothing answers there in time, or refuses.
    pub async fn open(info: &ConnectionInfo, patience: Patience) -> Result<Self, RedisError> {
        let connecting = async {
            match info.addr() {
                ConnectionAddr::Tcp(host, port) => {
                    // All at once: an address that swallows everything keeps nobody waiting.
                    let addresses = tokio::net::lookup_host((host.as_str(), *port)).await?;
                    let all: Vec<_> =
                        addresses.map(|at| Box::pin(TcpStream::connect(at))).collect();
                    if all.is_empty() {
                        return Err(io::Error::from(io::ErrorKind::NotFound).into());
                    }
                    let (stream, _) = futures::future::select_ok(all).await?;
                    stream.set_nodelay(true)?;
                    Self::over(stream, info, patience).await
                }
                ConnectionAddr::Unix(path) => {
                    Self::over(UnixStream::connect(path).await?, info, patience).await
                }
                _ => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            }
        };
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(patience.connect, connecting).await.map_err(timed_out)?
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        info: &ConnectionInfo,
        patience: Patience,
    ) -> Result<Self, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(patience.answer))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_write_backpressure_boundary(GATHERED_BYTES);
        let (info, stream) = (info.redis_settings(), Gather::new(stream));
        let (connection, driver) =
            MultiplexedConnection::new_with_config(info, stream, config).await?;
        // Left alone, the driver of a connection whose server is frozen would go on writing to it.
        Ok(Self { connection, _driver: AbortOnDropHandle::new(tokio::spawn(driver)) })
    }
}

/// How long scripts take, each with its histogram: to name one costs more than to record in it.
struct Timings(Vec<Histogram>);

impl Timings {
    fn new() -> Self {
        let named = |script: &&Script| {
            let name = script.name;
            metrics::histogram!("onsale_script_seconds", "script" => name)
        };
        Self(scripts::ALL.iter().map(named).collect())
    }

    fn note(&self, script: &'static Script, took: Duration) {
        let at = scripts::ALL.iter().position(|known| std::ptr::eq(*known, script));
        if let Some(histogram) = at.and_then(|at| self.0.get(at)) {
            histogram.record(took.as_secs_f64());
        }
    }
}

/// Connections to one run of one Redis process.
pub struct Link {
    /// The process's `run_id`: another one means that memory was lost or is another's.
    pub run_id: String,
    lines: Vec<Line>,
    timings: Timings,
    turn: AtomicUsize,
    broken: AtomicBool,
    born: std::time::Instant,
    /// Since when no answer came, in milliseconds after `born`; 0 while answers come.
    silent_since_ms: AtomicU64,
}

/// The way to Redis.
pub struct Redis {
    info: ConnectionInfo,
    bulk: deadpool_redis::Pool,
    link: ArcSwapOption<Link>,
    connections: usize,
    patience: Patience,
    wake: Notify,
    /// Put before every key, so that deployments and tests can share a server.
    pub prefix: String,
}

/// Whether Redis may answer later, of one that doesn't answer now.
#[must_use]
pub fn may_come(error: &RedisError) -> bool {
    let loading = ErrorKind::Server(ServerErrorKind::BusyLoading);
    error.is_io_error() || error.is_timeout() || error.kind() == loading
}

impl Redis {
    /// Connects, or fails after one attempt.
    ///
    /// # Errors
    /// If the URL is malformed or nothing answers there.
    pub async fn connect(
        url: &str,
        prefix: String,
        connections: usize,
        patience: Patience,
    ) -> Result<Arc<Self>, RedisError> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.into_connection_info()?.set_tcp_settings(tcp);
        let mut pool = deadpool_redis::PoolConfig::new(BULK_CONNECTIONS);
        pool.timeouts.wait = Some(BULK_TIMEOUT);
        pool.timeouts.create = Some(patience.connect);
        pool.timeouts.recycle = Some(patience.connect);
        let manager = deadpool_redis::Manager::new_with_config(
            info.clone(),
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(patience.connect))
                .set_response_timeout(Some(BULK_TIMEOUT)),
        )?;
        let bulk = deadpool_redis::Pool::builder(manager)
            .config(pool)
            .runtime(deadpool_redis::Runtime::Tokio1)
            .build()
            .map_err(|_| RedisError::from(io::Error::other("no runtime for the pool")))?;
        let redis = Self {
            info,
            bulk,
            link: ArcSwapOption::empty(),
            connections,
            patience,
            wake: Notify::new(),
            prefix,
        };
        let link = redis.dial().await?;
        redis.link.store(Some(Arc::new(link)));
        Ok(Arc::new(redis))
    }

    /// The current link, unless it is known to be broken.
    #[must_use]
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|link| !link.broken.load(Ordering::Relaxed))
    }

    /// An exclusive connection for bulk work.
    ///
    /// # Errors
    /// If none can be had in time.
    #[inline(never)]
    #[must_use]
    pub fn bulk(&self) -> BoxFuture<'_, Result<deadpool_redis::Connection, Trouble>> {
        // Boxed: every caller would be compiled with a copy of all of it.
        Box::pin(async {
            self.bulk.get().await.map_err(|error| {
                tracing::warn!(%error, "no bulk connection to Redis");
                Trouble::Down
            })
        })
    }

    /// Runs a script over the current link, if that is the run of Redis that is asked for.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn eval(
        &self,
        run_id: &str,
        script: &'static Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Vec<Value>, Trouble> {
        let link = self.link().filter(|link| link.run_id == run_id).ok_or(Trouble::Down)?;
        let started = std::time::Instant::now();
        let answer = link.eval(script, keys, args).await;
        link.timings.note(script, started.elapsed());
        match answer {
            Ok(Value::Array(reply)) => {
                link.heard();
                Ok(reply)
            }
            Ok(other) => Err(Trouble::BadReply(script.name, format!("{other:?}"))),
            Err(error) => Err(self.judge(&link, error)),
        }
    }

    /// Runs scripts of one event one after the other, with nobody's command in between; see
    /// [`Redis::eval`].
    ///
    /// # Errors
    /// See [`Trouble`]. Even after [`Trouble::Refused`] some of them may have run.
    pub async fn eval_together(
        &self,
        run_id: &str,
        calls: &[Call],
    ) -> Result<Vec<Vec<Value>>, Trouble> {
        let link = self.link().filter(|link| link.run_id == run_id).ok_or(Trouble::Down)?;
        let answers = link.eval_together(calls).await.map_err(|error| self.judge(&link, error))?;
        link.heard();
        let read = |(call, answer): (&Call, Value)| match answer {
            Value::Array(reply) => Ok(reply),
            other => Err(Trouble::BadReply(call.script.name, format!("{other:?}"))),
        };
        calls.iter().zip(answers).map(read).collect()
    }

    /// What an error means, and whether the link can go on.
    fn judge(&self, link: &Link, error: RedisError) -> Trouble {
        use redis::{ErrorKind, ServerErrorKind};
        let refused = match error.kind() {
            // A demoted primary, or one that is still loading: not the Redis we linked to.
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => {
                link.broken.store(true, Ordering::Relaxed);
                true
            }
            ErrorKind::Server(_) => true,
            // Other words of the server, such as OOM.
            _ if error.code().is_some() => true,
            _ => {
                if !error.is_timeout() || link.is_silent_too_long() {
                    link.broken.store(true, Ordering::Relaxed);
                }
                false
            }
        };
        self.wake.notify_one();
        if refused { Trouble::Refused(error) } else { Trouble::Unknown(error) }
    }

    async fn dial(&self) -> Result<Link, RedisError> {
        let mut lines: Vec<Line> = Vec::with_capacity(self.connections);
        let mut run_id = None;
        for _ in 0..self.connections {
            let mut line = Line::open(&self.info, self.patience).await?;
            // Every connection compares: behind one address there may be several servers.
            let seen = run_id_of(&mut line.connection).await?;
            if run_id.get_or_insert_with(|| seen.clone()) != &seen {
                return Err(io::Error::other("several Redis servers behind one address").into());
            }
            lines.push(line);
        }
        for script in scripts::ALL {
            let load = redis::cmd("SCRIPT").arg("LOAD").arg(script.source).to_owned();
            load.query_async::<String>(&mut lines[0].connection).await?;
        }
        Ok(Link {
            run_id: run_id.unwrap_or_default(),
            lines,
            timings: Timings::new(),
            turn: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            born: std::time::Instant::now(),
            silent_since_ms: AtomicU64::new(0),
        })
    }

    /// Keeps the link: notices when it breaks and makes a new one.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(HEARTBEAT) => self.check().await,
            }
            if self.link().is_some() {
                continue;
            }
            match self.dial().await {
                Ok(link) => {
                    tracing::info!(run_id = link.run_id, "connected to Redis");
                    self.link.store(Some(Arc::new(link)));
                }
                Err(error) => {
                    tracing::debug!(%error, "Redis does not answer");
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    self.wake.notify_one();
                }
            }
        }
    }

    /// Asks an idle link whether it lives, and as whom.
    async fn check(&self) {
        let Some(link) = self.link() else { return };
        let mut connection = link.lines[0].connection.clone();
        match run_id_of(&mut connection).await {
            Ok(run_id) if run_id == link.run_id => link.heard(),
            Ok(_) => link.broken.store(true, Ordering::Relaxed),
            Err(error) => drop(self.judge(&link, error)),
        }
    }
}

impl Link {
    /// An answer came.
    fn heard(&self) {
        // Read first: while all is well nobody writes to what all share.
        if self.silent_since_ms.load(Ordering::Relaxed) != 0 {
            self.silent_since_ms.store(0, Ordering::Relaxed);
        }
    }

    /// No answer came in time; whether that has been so for too long.
    fn is_silent_too_long(&self) -> bool {
        let now_ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let since =
            self.silent_since_ms.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        let since_ms = since.err().unwrap_or(now_ms);
        Duration::from_millis(now_ms.saturating_sub(since_ms)) >= MAX_SILENCE
    }

    async fn eval(
        &self,
        script: &'static Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Value, RedisError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        let mut connection = self.lines[turn].connection.clone();
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.sha()).arg(keys.len()).arg(keys).arg(args);
        match command.query_async::<Value>(&mut connection).await {
            Err(error) if is_no_script(&error) => {
                redis::cmd("SCRIPT")
                    .arg("LOAD")
                    .arg(script.source)
                    .query_async::<String>(&mut connection)
                    .await?;
                command.query_async(&mut connection).await
            }
            answer => answer,
        }
    }
}

impl Link {
    /// Scripts are loaded first: one that is missing in mid-transaction would be left out.
    async fn eval_together(&self, calls: &[Call]) -> Result<Vec<Value>, RedisError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        let mut connection = self.lines[turn].connection.clone();
        let mut load = redis::pipe();
        let mut transaction = redis::pipe();
        transaction.atomic();
        let mut loaded: Vec<&str> = Vec::new();
        for Call { script, keys, args } in calls {
            if !loaded.contains(&script.name) {
                load.cmd("SCRIPT").arg("LOAD").arg(script.source).ignore();
                loaded.push(script.name);
            }
            transaction.cmd("EVALSHA").arg(script.sha()).arg(keys.len()).arg(keys).arg(args);
        }
        load.exec_async(&mut connection).await?;
        transaction.query_async(&mut connection).await
    }
}

fn is_no_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript)
}

async fn run_id_of(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(connection).await?;
    info.get::<String>("run_id")
        .ok_or_else(|| io::Error::other("Redis did not state its run_id").into())
}
