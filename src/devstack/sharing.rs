//! Several processes, one stack.
//!
//! A test runner may start a process per test. Each holds `users.lock` shared while it lives, so
//! the kernel counts them, and forgets those that are killed. The first starts the servers and
//! writes down where they are; the others read that. The servers' watchdog needs the same lock
//! exclusively before it may stop them.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::{DevstackError, Result, io_error};
use super::home::{Home, write_private};
use super::process::{POLL_INTERVAL, is_alive};
use super::{Options, Sharing};

/// Long enough for a watchdog that looks, or that is just stopping the servers.
const USERS_LIMIT: Duration = Duration::from_secs(20);

/// Owners don't wait for each other, only for a watchdog's glance.
const OWNER_LIMIT: Duration = Duration::from_secs(3);

/// The first start may fetch both servers.
const STARTING_LIMIT: Duration = Duration::from_secs(900);

const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// One server of a running stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Whereabouts {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) url: String,
}

/// The servers that a shared stack runs; one given by its URL is not among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SharedState {
    pub(super) postgres: Option<Whereabouts>,
    pub(super) redis: Option<Whereabouts>,
}

impl SharedState {
    /// The recorded stack, if it still runs and has what these options need.
    pub(super) fn find(home: &Home, options: &Options) -> Option<Self> {
        let text = fs::read_to_string(home.path("stack.json")).ok()?;
        let state: Self = serde_json::from_str(&text).ok()?;
        let postgres = options.database_url.is_some()
            || state.postgres.as_ref().is_some_and(|at| at.answers(&home.cluster()));
        let redis = options.redis_url.is_some()
            || state.redis.as_ref().is_some_and(|at| at.answers(&home.redis()));
        (postgres && redis).then_some(state)
    }

    pub(super) fn write(&self, home: &Home) -> Result<()> {
        let path = home.path("stack.json");
        let text = serde_json::to_string(self).map_err(std::io::Error::from);
        write_private(&path, &text.map_err(io_error("write", &path))?)
    }
}

impl Whereabouts {
    fn answers(&self, directory: &Path) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        is_alive(self.pid, directory) && TcpStream::connect_timeout(&address, PROBE_LIMIT).is_ok()
    }
}

/// Registers as a user of the directory's stack, or as its only owner, for as long as the file
/// is kept open.
pub(super) async fn enter(home: &Home, options: &Options) -> Result<File> {
    let (limit, lock): (_, fn(&File) -> _) = match options.share {
        Sharing::Shared => (USERS_LIMIT, File::try_lock_shared),
        Sharing::Owned => (OWNER_LIMIT, File::try_lock),
    };
    lock_within(&home.path("users.lock"), limit, lock)
        .await?
        .ok_or_else(|| DevstackError::InUse(options.data_dir.clone()))
}

/// Makes this process the only one that starts servers here, until the file is dropped.
pub(super) async fn lock_starting(home: &Home) -> Result<File> {
    lock_within(&home.path("starting.lock"), STARTING_LIMIT, File::try_lock).await?.ok_or_else(
        || DevstackError::TimedOut {
            what: "waiting for the process that is starting the servers".to_owned(),
            seconds: STARTING_LIMIT.as_secs(),
        },
    )
}

/// Makes this process the only one that fetches this server into `programs`, which several
/// stacks may share, until the file is dropped.
pub(super) async fn lock_fetching(programs: &Path, server: &'static str) -> Result<File> {
    fs::create_dir_all(programs).map_err(io_error("create", programs))?;
    let path = programs.join(format!("{server}.lock"));
    lock_within(&path, STARTING_LIMIT, File::try_lock).await?.ok_or_else(|| {
        DevstackError::TimedOut {
            what: format!("waiting for the process that is fetching {server}"),
            seconds: STARTING_LIMIT.as_secs(),
        }
    })
}

/// Polls, because a blocked lock can't be given up.
async fn lock_within(
    path: &Path,
    limit: Duration,
    try_lock: fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<Option<File>> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))?;
    let deadline = Instant::now() + limit;
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(POLL_INTERVAL).await;
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
        }
    }
}
