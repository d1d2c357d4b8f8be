//! Everything that is under test: a private Postgres and Redis, an event, server processes and
//! the payment sandbox in a process of its own.

pub mod cpu;
pub mod gauge;
mod program;
mod sale;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use onsale::cli::SampleVenue;
use onsale::demo::Secrets;
use onsale::devstack::{Options, Progress, Stack};
use onsale::ids::EventId;
use onsale::waiting_room::Room;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::sleep;

use self::cpu::Process;
pub use self::program::{PREFIX, Tuning, free_addresses};
use self::program::{Program, Running};
use self::sale::put_on_sale;
pub use self::sale::{Terms, put_room};
use crate::wire::{Ask, Origin};

/// The event's name in URLs.
pub const EVENT: &str = "surge";
/// How long servers may take to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How often something awaited is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Mails and mirror rows may take so long to be worked off once buyers are gone.
const DRAIN_WITHIN: Duration = Duration::from_mins(1);

/// What is to be set up.
pub struct Setup {
    /// Where data, logs and configurations go.
    pub directory: PathBuf,
    /// What is for sale.
    pub venue: SampleVenue,
    /// On which terms.
    pub terms: Terms,
    /// How many server processes.
    pub servers: usize,
    /// The address that servers and sandbox listen on.
    pub host: Ipv4Addr,
    /// Makes the event's waiting room, if it is to have one.
    pub room: Option<fn(EventId) -> Room>,
    /// What is configured unlike the defaults.
    pub tuning: Tuning,
}

/// Everything that is under test.
pub struct Rig {
    stack: Stack,
    database_url: String,
    /// What sells.
    pub shop: Programs,
}

/// The programs, and what they were started with.
pub struct Programs {
    program: Program,
    servers: Vec<Running>,
    sandbox: Option<Running>,
    /// What the servers' tokens are signed with.
    pub secrets: Secrets,
    /// The database.
    pub pg: PgPool,
    /// What is on sale.
    pub event: EventId,
    /// Where the servers listen.
    pub server_addresses: Vec<SocketAddr>,
    /// Where the sandbox listens.
    pub sandbox_address: SocketAddr,
    configuration: PathBuf,
    directory: PathBuf,
}

impl Rig {
    /// Starts everything, on a fresh database, and returns when the event can be bought.
    ///
    /// # Errors
    /// In words for people.
    pub async fn start(setup: &Setup, say: Progress) -> Result<Self> {
        std::fs::create_dir_all(&setup.directory)?;
        let mut options = Options::new(setup.directory.join("servers"));
        // The figures are of a stack that commits to disk, whatever servers run elsewhere.
        (options.database_url, options.redis_url) = (None, None);
        options.durable = true;
        options.progress = say.clone();
        let stack = Stack::start(options).await?;
        match Programs::start(&stack, setup, &*say).await {
            Ok((shop, database_url)) => Ok(Self { stack, database_url, shop }),
            Err(error) => {
                stack.stop().await?;
                Err(error)
            }
        }
    }

    /// The processes whose processor time is counted.
    pub async fn processes(&self) -> Vec<Process> {
        let process =
            |name: &str, pid, with_children| Process { name: name.to_owned(), pid, with_children };
        let started = self.shop.servers.iter().chain(&self.shop.sandbox);
        let mut list: Vec<Process> =
            started.map(|running| process(&running.name, running.pid, false)).collect();
        list.extend(self.stack.redis_pid().await.map(|pid| process("redis", pid, false)));
        list.extend(self.stack.postgres_pid().await.map(|pid| process("postgres", pid, true)));
        list.push(process("generator", std::process::id(), false));
        list
    }

    /// The database with the events.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Kills Redis and starts it again, with nothing in it.
    ///
    /// # Errors
    /// If it doesn't start.
    pub async fn restart_redis(&self) -> Result<()> {
        Ok(self.stack.restart_redis().await?)
    }

    /// Kills Postgres and starts it again.
    ///
    /// # Errors
    /// If it doesn't start.
    pub async fn restart_postgres(&self) -> Result<()> {
        Ok(self.stack.restart_postgres().await?)
    }

    /// Where Redis is.
    pub fn redis_url(&self) -> &str {
        &self.stack.redis_url
    }

    /// Stops everything, those that sell first.
    ///
    /// # Errors
    /// If anything ended badly.
    pub async fn stop(self) -> Result<()> {
        let stopped = self.shop.stop().await;
        self.stack.stop().await?;
        stopped
    }
}

impl Programs {
    async fn start(
        stack: &Stack,
        setup: &Setup,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(Self, String)> {
        stack.drop_database(EVENT).await?;
        let url = stack.fresh_database(EVENT, None).await?;
        let pg = PgPoolOptions::new().max_connections(2).connect(&url).await?;
        onsale::db::migrate(&pg).await?;
        let event = put_on_sale(&pg, setup.venue, setup.terms, say).await?;
        if let Some(room) = setup.room {
            put_room(&pg, &room(event)).await?;
        }
        let program = Program::find(&setup.directory, &url, &stack.redis_url).await?;
        let addresses = program::free_addresses(setup.host, setup.servers + 1)?;
        let mut shop = Self {
            program,
            servers: Vec::new(),
            sandbox: None,
            secrets: Secrets::random(),
            pg,
            event,
            sandbox_address: addresses[setup.servers],
            server_addresses: addresses[..setup.servers].to_vec(),
            configuration: PathBuf::new(),
            directory: setup.directory.clone(),
        };
        say("starting the servers and the sandbox");
        shop.start_programs(&setup.directory, &setup.tuning).await?;
        Ok((shop, url))
    }

    async fn start_programs(&mut self, directory: &Path, tuning: &Tuning) -> Result<()> {
        let sandbox = self.sandbox_address;
        for (at, address) in self.server_addresses.iter().enumerate() {
            let name = format!("server-{}", at + 1);
            self.configuration = directory.join(format!("{name}.toml"));
            let addresses = (*address, sandbox);
            program::configure(&self.configuration, &self.secrets, addresses, tuning)?;
            let _ = std::fs::remove_file(directory.join(format!("{name}.log")));
            let server = self.program.start(&name, &self.configuration, &["serve".into()])?;
            self.servers.push(server);
        }
        let mut arguments = vec!["sandbox".into(), "--listen".into(), sandbox.to_string()];
        for address in &self.server_addresses {
            arguments.push("--webhook".into());
            arguments.push(format!("http://{address}/webhooks/sandbox"));
        }
        self.sandbox = Some(self.program.start("sandbox", &self.configuration, &arguments)?);
        let deadline = Instant::now() + READY_WITHIN;
        for address in self.server_addresses.clone() {
            // The first look at what is free has the event built in Redis.
            self.wait_for(address, "/health/ready", deadline).await?;
            let path = format!("/v1/events/{EVENT}/availability");
            self.wait_for(address, &path, deadline).await?;
        }
        self.wait_for(sandbox, "/style.css", deadline).await
    }

    async fn wait_for(&mut self, at: SocketAddr, path: &str, deadline: Instant) -> Result<()> {
        let origin = Origin::new(at, 1)?;
        loop {
            self.check()?;
            let answer = origin.ask(path, Ask::default()).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "http://{at}{path}: no good answer in time");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends a server, as an operator does (SIGTERM) or as a power cut would, and starts it again
    /// where it was. Returns when it is ready.
    ///
    /// # Errors
    /// If it ends badly, or isn't ready in time.
    pub async fn restart_server(&mut self, at: usize, gently: bool) -> Result<()> {
        ensure!(at < self.servers.len(), "there is no server {}", at + 1);
        let old = self.servers.remove(at);
        let name = old.name.clone();
        let stopped = if gently { old.stop().await } else { old.kill().await };
        let configuration = self.directory.join(format!("{name}.toml"));
        let new = self.program.start(&name, &configuration, &["serve".into()])?;
        self.servers.insert(at, new);
        stopped?;
        let address = self.server_addresses[at];
        self.wait_for(address, "/health/ready", Instant::now() + READY_WITHIN).await
    }

    /// The servers' process ids.
    pub fn server_pids(&self) -> Vec<u32> {
        self.servers.iter().map(|server| server.pid).collect()
    }

    /// Fails if any program has ended.
    ///
    /// # Errors
    /// Its last words.
    pub fn check(&mut self) -> Result<()> {
        self.servers.iter_mut().chain(&mut self.sandbox).try_for_each(Running::check)
    }

    /// Waits until outbox and mirror are empty and all mails have left: how long that took, or what
    /// is left. `leases` is how long others may have to wait before they take over the mails of a
    /// server that was interrupted.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn drain(&self, leases: Duration) -> Result<Result<Duration, i64>> {
        let started = Instant::now();
        loop {
            let left: i64 = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM mirror)
                      + (SELECT count(*) FROM mails WHERE sent_at IS NULL AND due_at < 'infinity')",
            )
            .fetch_one(&self.pg)
            .await?;
            if left == 0 {
                return Ok(Ok(started.elapsed()));
            }
            if started.elapsed() > DRAIN_WITHIN + leases {
                return Ok(Err(left));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Runs the audit, by the program itself: whether it is clean, and what it printed.
    ///
    /// # Errors
    /// If it can't be run.
    pub async fn audit(&self) -> Result<(bool, String)> {
        self.run(&["audit", "--at-rest", "--event", EVENT]).await
    }

    /// Builds an event anew in Redis.
    ///
    /// # Errors
    /// Its last words, if it fails.
    pub async fn rehydrate(&self, event: &str) -> Result<()> {
        let (done, text) = self.run(&["rehydrate", event]).await?;
        ensure!(done, "rehydrate {event}: {text}");
        Ok(())
    }

    /// Runs the program to its end: whether that was good, and what it printed.
    ///
    /// # Errors
    /// If it can't be run.
    pub async fn run(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let mut command = self.program.command(&self.configuration);
        let output = command.args(arguments).output().await?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), text))
    }

    async fn stop(self) -> Result<()> {
        self.pg.close().await;
        let mut problems = Vec::new();
        for running in self.servers.into_iter().chain(self.sandbox) {
            if let Err(error) = running.stop().await {
                problems.push(error.to_string());
            }
        }
        if problems.is_empty() { Ok(()) } else { bail!(problems.join("; ")) }
    }
}
