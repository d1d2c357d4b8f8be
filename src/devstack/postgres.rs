//! The private Postgres: a cluster created once, and a server on a loopback port.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::{create_cluster, created_by, stop_stale};
use super::error::{DevstackError, Result};
use super::home::Home;
use super::process::{POLL_INTERVAL, Running, start_repeatedly};
use super::process::{free_port, last_words, log_length, log_since};
use super::programs::{Kind, Program, find_or_fetch};
use super::watchdog::Watchdog;
use super::{DATABASE, Options};

/// The cluster's superuser; its password is random.
pub(super) const SUPERUSER: &str = "onsale";

/// A crashed server first replays its log, at most `max_wal_size` of it.
const START_LIMIT: Duration = Duration::from_secs(90);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Longest directory that leaves room for `/.s.PGSQL.65535` in a socket's address (107 bytes).
const SOCKET_DIRECTORY_BYTES_MAX: usize = 90;

/// Fast shutdown first: disconnect everybody, write a checkpoint. Then without the checkpoint.
pub(super) const STOP_SIGNALS: [(Signal, Duration); 2] =
    [(Signal::INT, Duration::from_secs(15)), (Signal::QUIT, Duration::from_secs(5))];

/// Settings of every private server, for a machine that it shares with the sale itself.
const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "min_wal_size=256MB",
    "checkpoint_timeout=15min",
    "synchronous_commit=on",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "cluster_name=onsale",
];

/// SQLSTATE of a database that doesn't exist, and of a server that is still starting.
const INVALID_CATALOG_NAME: &str = "3D000";
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A running private Postgres.
#[derive(Debug)]
pub(super) struct PostgresServer {
    pub(super) running: Running,
    pub(super) port: u16,
    pub(super) url: String,
    program: Program,
    home: Home,
    durable: bool,
}

impl PostgresServer {
    /// Finds the program, creates the cluster at the first start, and returns when the server
    /// answers and has the database.
    pub(super) async fn start(
        options: &Options,
        home: &Home,
        watchdog: &Mutex<Watchdog>,
    ) -> Result<Self> {
        let cluster = home.cluster();
        let program = find_or_fetch(Kind::Postgres, options, home, created_by(&cluster)?).await?;
        let password = home.secret("postgres.password")?;
        if !cluster.exists() {
            (options.progress)("creating the database cluster");
            create_cluster(&program, home, &password, options.durable).await?;
        }
        stop_stale(&cluster).await?;
        (options.progress)(&format!("starting Postgres {}", program.major));
        let started = Instant::now();
        let start = async || {
            let at = (password.as_str(), free_port()?);
            start_once(&program, home, at, options.durable, watchdog).await
        };
        let server = start_repeatedly(is_bind_failure, start).await?;
        let elapsed = started.elapsed();
        (options.progress)(&format!("Postgres is ready after {elapsed:.2?}"));
        Ok(server)
    }

    pub(super) async fn stop(&mut self) -> Result<()> {
        self.running.stop(&STOP_SIGNALS).await
    }

    /// Ends the server as a power cut would.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.running.stop(&[]).await
    }

    /// Starts the server again on its port; it first replays its log.
    pub(super) async fn start_again(&mut self, watchdog: &Mutex<Watchdog>) -> Result<()> {
        if self.running.is_alive() {
            return Ok(());
        }
        // What a killed server's children still hold, they let go of in a moment.
        stop_stale(&self.home.cluster()).await?;
        let password = self.home.secret("postgres.password")?;
        let at = (password.as_str(), self.port);
        let start =
            async || start_once(&self.program, &self.home, at, self.durable, watchdog).await;
        *self = start_repeatedly(is_bind_failure, start).await?;
        Ok(())
    }
}

async fn start_once(
    program: &Program,
    home: &Home,
    (password, port): (&str, u16),
    durable: bool,
    watchdog: &Mutex<Watchdog>,
) -> Result<PostgresServer> {
    let cluster = home.cluster();
    let log = home.path("postgres.log");
    let mut command = program.command(&program.executable, home);
    server_arguments(&mut command, &cluster, port, durable);
    let log_start = log_length(&log);
    let mut running = Running::start(command, &cluster, &log)?;
    watchdog.lock().await.watch("postgres", running.pid).await?;
    let base = format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}");
    let deadline = Instant::now() + START_LIMIT;
    let reason = loop {
        if !running.is_alive() {
            let words = fatal_words(&log_since(&log, log_start));
            break words.unwrap_or_else(|| running.silent_end());
        }
        if is_ready(&base).await? {
            let url = format!("{base}/{DATABASE}?sslmode=disable");
            let (program, home) = (program.clone(), home.clone());
            return Ok(PostgresServer { running, port, url, program, home, durable });
        }
        if Instant::now() > deadline {
            running.stop(&STOP_SIGNALS).await?;
            break format!("no answer within {} s", START_LIMIT.as_secs());
        }
        sleep(POLL_INTERVAL).await;
    };
    Err(DevstackError::NotStarted { server: Kind::Postgres.label(), reason, log })
}

fn server_arguments(command: &mut Command, cluster: &Path, port: u16, durable: bool) {
    let socket_directory = if cluster.as_os_str().len() <= SOCKET_DIRECTORY_BYTES_MAX {
        cluster.to_path_buf()
    } else {
        PathBuf::new()
    };
    command.arg("-D").arg(cluster).arg("-p").arg(port.to_string());
    command.arg("-k").arg(socket_directory);
    let switch = if durable { "on" } else { "off" };
    let durability = [format!("fsync={switch}"), format!("full_page_writes={switch}")];
    for setting in SETTINGS.iter().copied().chain(durability.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
}

/// One look: true when the database answers, false when it is worth looking again.
async fn is_ready(base: &str) -> Result<bool> {
    match connect(&format!("{base}/{DATABASE}?sslmode=disable")).await {
        Ok(connection) => {
            connection.close().await?;
            Ok(true)
        }
        Err(error) if has_code(&error, INVALID_CATALOG_NAME) => {
            let mut connection = connect(&format!("{base}/postgres?sslmode=disable")).await?;
            let statement = format!("CREATE DATABASE {DATABASE}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await?;
            Ok(true)
        }
        Err(error) if error.as_database_error().is_some() => {
            if has_code(&error, CANNOT_CONNECT_NOW) { Ok(false) } else { Err(error.into()) }
        }
        Err(_) => Ok(false),
    }
}

/// Opens one connection; slow is as good as refused.
pub(super) async fn connect(url: &str) -> std::result::Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let quiet = options.disable_statement_logging();
    match timeout(CONNECT_LIMIT, PgConnection::connect_with(&quiet)).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|found| found == code)
}

/// True when another process took the port between our look and the server's start.
fn is_bind_failure(reason: &str) -> bool {
    reason.contains("TCP/IP sockets")
}

/// What a server said when it gave up.
fn fatal_words(log: &str) -> Option<String> {
    log.lines()
        .rev()
        .find_map(|line| line.split_once("FATAL:").map(|(_, words)| words.trim().to_owned()))
        .or_else(|| last_words(log))
}
