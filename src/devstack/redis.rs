//! The private Redis (or Valkey): nothing persisted, a password, one loopback port for life.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::Options;
use super::error::{DevstackError, Result};
use super::home::Home;
use super::process::{POLL_INTERVAL, Running, start_repeatedly};
use super::process::{free_port, last_words, log_length, log_since, processes_in};
use super::programs::{Kind, Program, find_or_fetch};
use super::watchdog::Watchdog;

const START_LIMIT: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(2);
const STOP_SIGNALS: [(Signal, Duration); 1] = [(Signal::TERM, Duration::from_secs(5))];

/// What the kernel shows as the server's name.
const PROCESS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// A private Redis; it can be killed and started again under the same URL.
#[derive(Debug)]
pub(super) struct RedisServer {
    pub(super) running: Running,
    pub(super) port: u16,
    pub(super) url: String,
    program: Program,
    home: Home,
}

impl RedisServer {
    /// Finds or fetches the program and returns when the server answers.
    pub(super) async fn start(
        options: &Options,
        home: &Home,
        watchdog: &Mutex<Watchdog>,
    ) -> Result<Self> {
        let program = find_or_fetch(Kind::Redis, options, home, None).await?;
        let directory = home.redis();
        home.make_private_directory(&directory)?;
        stop_stale(&directory).await?;
        (options.progress)(&format!("starting {} {}", name_of(&program), program.major));
        let started = Instant::now();
        let start = async || {
            let port = free_port()?;
            let (running, url) = start_on(&program, home, port, watchdog).await?;
            Ok((running, url, port))
        };
        let (running, url, port) = start_repeatedly(is_bind_failure, start).await?;
        let elapsed = started.elapsed();
        (options.progress)(&format!("Redis is ready after {elapsed:.2?}"));
        Ok(Self { running, port, url, program, home: home.clone() })
    }

    /// Starts the server again on its port, with nothing in it.
    pub(super) async fn start_again(&mut self, watchdog: &Mutex<Watchdog>) -> Result<()> {
        if self.running.is_alive() {
            return Ok(());
        }
        let start = async || start_on(&self.program, &self.home, self.port, watchdog).await;
        (self.running, _) = start_repeatedly(is_bind_failure, start).await?;
        Ok(())
    }

    /// Ends the server as a power cut would.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.running.stop(&[]).await
    }

    pub(super) async fn stop(&mut self) -> Result<()> {
        self.running.stop(&STOP_SIGNALS).await
    }
}

/// Stops the server of an earlier run that is still there.
pub(super) async fn stop_stale(directory: &Path) -> Result<()> {
    for pid in processes_in(directory, &PROCESS_NAMES) {
        Running::adopt(pid, directory).stop(&STOP_SIGNALS).await?;
    }
    Ok(())
}

async fn start_on(
    program: &Program,
    home: &Home,
    port: u16,
    watchdog: &Mutex<Watchdog>,
) -> Result<(Running, String)> {
    let directory = home.redis();
    let password = home.secret("redis.password")?;
    let configuration = directory.join("redis.conf");
    home.write_for_servers(&configuration, &configuration_text(port, &password))?;
    let log = home.path("redis.log");
    let log_start = log_length(&log);
    let mut command = program.command(&program.executable, home);
    command.arg(&configuration);
    let mut running = Running::start(command, &directory, &log)?;
    watchdog.lock().await.watch("redis", running.pid).await?;
    let url = format!("redis://:{password}@127.0.0.1:{port}/0");
    let client = ::redis::Client::open(url.as_str())?;
    let deadline = Instant::now() + START_LIMIT;
    let reason = loop {
        if !running.is_alive() {
            let words = last_words(&log_since(&log, log_start));
            break words.unwrap_or_else(|| running.silent_end());
        }
        if is_ready(&client).await {
            return Ok((running, url));
        }
        if Instant::now() > deadline {
            running.stop(&[]).await?;
            break format!("no answer within {} s", START_LIMIT.as_secs());
        }
        sleep(POLL_INTERVAL).await;
    };
    Err(DevstackError::NotStarted { server: Kind::Redis.label(), reason, log })
}

/// A file rather than arguments, because everybody can read a process's arguments. Relative paths
/// only: the server starts in its own directory.
fn configuration_text(port: u16, password: &str) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {password}\n\
         save \"\"\nappendonly no\nmaxmemory-policy noeviction\ndaemonize no\n"
    )
}

async fn is_ready(client: &::redis::Client) -> bool {
    let ping = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        ::redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    matches!(timeout(PING_LIMIT, ping).await, Ok(Ok(answer)) if answer == "PONG")
}

/// True when another process took the port between our look and the server's start.
fn is_bind_failure(reason: &str) -> bool {
    reason.contains("bind") || reason.contains("listen")
}

fn name_of(program: &Program) -> &'static str {
    if program.executable.ends_with("valkey-server") { "Valkey" } else { "Redis" }
}
