//! Everything that the bench measures with: private servers pinned to their core, bare handlers,
//! events to sell, visitors who wait.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use onsale::catalog::manifest::Manifest;
use onsale::cli::SampleVenue;
use onsale::demo::seed;
use onsale::devstack::Progress;
use onsale::http::limits::Limits;
use onsale::http::limits::table::{MAX_BURST, MAX_PER_SECOND, NodeRates, Rate, SharedRates};
use onsale::ids::{EventId, OrganizerId};
use onsale::keyring::Keyring;
use onsale::waiting_room::Room;
use serde_json::json;
use tokio::process::Child;

use super::figure::Figure;
use super::stock::Stock;
use super::{CONNECTIONS, pin};
use crate::rig::cpu::{self, Process, Reading};
use crate::rig::{EVENT, Rig, Setup, Terms, Tuning};
use crate::waiting::client::Client;
use crate::waiting::drive::{Asking, Target, Until, drive};
use crate::waiting::visitors::{Joining, Polling};
use crate::waiting::{self, bare};

/// Processes on the generator's core.
const OUTSIDE: [&str; 2] = ["sandbox", "generator"];
/// A purchase's mail is part of what it costs: none waits until the window is over.
const MAILS_AT_ONCE: &str = "[mail]\nper_second = 100000\n";
/// A core that is busy for more than this is full.
const FULL: f64 = 0.97;

/// What the bench measures with.
pub struct Stage {
    /// Servers, Redis, Postgres, the payment provider.
    pub rig: Rig,
    /// Where the servers' data goes.
    pub directory: PathBuf,
    /// The database.
    pub database_url: String,
    /// The servers' keys: sessions are made with them.
    pub keyring: Arc<Keyring>,
    organizer: OrganizerId,
    processes: Vec<Process>,
    /// Names of all events that were put on sale.
    slugs: Mutex<Vec<String>>,
}

/// A bare handler in a process of its own, which ends with this.
pub struct BareServer {
    _child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Limits that are counted for every request as always, and refuse nobody here.
fn counted() -> Limits {
    let most = Rate { per_second: MAX_PER_SECOND, burst: MAX_BURST };
    Limits { node: NodeRates::all(most), shared: SharedRates::all(most), ..Limits::default() }
}

/// The room of `surge waiting`, without proof of work.
fn room(event: EventId) -> Room {
    Room { proof: false, ..waiting::room(event) }
}

impl Stage {
    /// Starts everything and pins it.
    ///
    /// # Errors
    /// In words for people.
    pub async fn set(directory: PathBuf, say: Progress) -> Result<Self> {
        let setup = Setup {
            directory: directory.clone(),
            venue: SampleVenue::Theatre,
            terms: Terms::default(),
            servers: 1,
            host: Ipv4Addr::LOCALHOST,
            room: Some(room),
            tuning: Tuning {
                limits: counted(),
                http: "trusted_proxies = [\"127.0.0.0/8\"]\n".to_owned(),
                more: MAILS_AT_ONCE.to_owned(),
            },
        };
        let rig = Rig::start(&setup, say).await?;
        let processes = rig.processes().await;
        pin_all(&processes)?;
        let keyring = Arc::new(Keyring::new(&rig.shop.secrets.keys)?);
        let organizer = seed::organizer(&rig.shop.pg, "bench", "Bench").await?;
        let database_url = rig.database_url().to_owned();
        let slugs = Mutex::default();
        Ok(Self { rig, directory, database_url, keyring, organizer, processes, slugs })
    }

    /// The server.
    pub fn server(&self) -> SocketAddr {
        self.rig.shop.server_addresses[0]
    }

    /// Puts events on sale.
    ///
    /// # Errors
    /// If they can't be bought in time.
    pub async fn stock(&self, name: &str, of: (&Manifest, usize)) -> Result<Arc<Stock>> {
        let stock = Stock::put_on_sale(&self.rig, self.organizer, name, of).await?;
        let slugs = stock.events.iter().map(|event| event.slug.clone());
        self.slugs.lock().unwrap_or_else(PoisonError::into_inner).extend(slugs);
        Ok(Arc::new(stock))
    }

    /// Kills Redis and starts it again, pinned as before.
    ///
    /// # Errors
    /// If it doesn't start.
    pub async fn restart_redis(&mut self) -> Result<()> {
        self.rig.restart_redis().await?;
        self.processes = self.rig.processes().await;
        pin_all(&self.processes)
    }

    /// Waits until all events can be bought again after Redis was lost.
    ///
    /// # Errors
    /// If one of them can't in time.
    pub async fn rebuilt(&self) -> Result<()> {
        let slugs = self.slugs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for slug in slugs.iter().map(String::as_str).chain([EVENT]) {
            super::stock::ready(&self.rig, slug).await?;
        }
        Ok(())
    }

    /// Takes all holds off these events, of which nothing is sold: Redis is built anew.
    ///
    /// # Errors
    /// If an event can't be bought again in time.
    pub async fn empty(&self, stock: &Stock) -> Result<()> {
        for event in &stock.events {
            self.rig.shop.rehydrate(&event.slug).await?;
        }
        for event in &stock.events {
            super::stock::ready(&self.rig, &event.slug).await?;
        }
        Ok(())
    }

    /// Visitors join the waiting room, and can then poll.
    ///
    /// # Errors
    /// If any of them can't.
    pub async fn join(&self, visitors: u64) -> Result<Arc<Polling>> {
        let path = format!("/v1/events/{EVENT}/waiting-room");
        let joining = Arc::new(Joining {
            keyring: Keyring::new(&self.rig.shop.secrets.keys)?,
            path: format!("{path}/join"),
            proofs: Vec::new(),
            tokens: std::sync::Mutex::default(),
        });
        let target = Target::new(self.server(), CONNECTIONS);
        drive(target, joining.clone(), 0, Until::Count(visitors)).await?;
        let joining = Arc::into_inner(joining).context("nobody joins any more")?;
        let tokens = joining.tokens.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        ensure!(tokens.count() as u64 == visitors, "{} have a token", tokens.count());
        let path = format!("{path}/place");
        Ok(Arc::new(Polling { tokens: RwLock::new(tokens), path, states: Default::default() }))
    }

    /// The answer to a poll.
    ///
    /// # Errors
    /// If there is none.
    pub async fn one_poll(&self, polling: &Polling) -> Result<Vec<u8>> {
        let mut client = Client::open([127, 0, 0, 1].into(), self.server()).await?;
        let mut request = Vec::new();
        polling.write(0, &mut request);
        Ok(client.ask(&request).await?.body.to_vec())
    }

    /// Starts the handler that answers JSON of this size.
    ///
    /// # Errors
    /// If it isn't ready in time.
    pub async fn bare_json(&self, answer: &[u8]) -> Result<BareServer> {
        let path = self.directory.join("answer.json");
        std::fs::write(&path, answer)?;
        let path = path.to_string_lossy().into_owned();
        bare_server(&["bare", "--answer", &path], bare::PADDED).await
    }

    /// Starts the handler that does one EVALSHA.
    ///
    /// # Errors
    /// If it isn't ready in time.
    pub async fn bare_hold(&self, stock: &Stock) -> Result<BareServer> {
        let ids: Vec<String> = stock.events.iter().map(|event| event.id.to_string()).collect();
        let (database, redis, events) = (&*self.database_url, self.rig.redis_url(), ids.join(","));
        let arguments =
            ["bare-hold", "--database", database, "--redis", redis, "--events", &events];
        bare_server(&arguments, super::bare_hold::PATH).await
    }

    /// The audit of everything that was sold: whether it is clean, and what it printed.
    ///
    /// # Errors
    /// If it can't be run.
    pub async fn audit(&self) -> Result<(bool, String)> {
        self.rig.shop.run(&["audit"]).await
    }

    /// Stops everything.
    ///
    /// # Errors
    /// If anything ended badly.
    pub async fn end(self) -> Result<()> {
        self.rig.stop().await
    }
}

/// The server side has its core to itself.
fn pin_all(processes: &[Process]) -> Result<()> {
    let outside = |process: &&Process| OUTSIDE.contains(&process.name.as_str());
    processes
        .iter()
        .filter(|process| !outside(process))
        .try_for_each(|process| pin::to_server_core(process.pid))
}

async fn bare_server(arguments: &[&str], path: &str) -> Result<BareServer> {
    let (child, address) = bare::start(arguments, path).await?;
    pin::to_server_core(child.id().context("a bare handler has ended")?)?;
    Ok(BareServer { _child: child, address })
}

/// Processor time during a window.
pub struct Cost {
    before: Reading,
    began: Instant,
}

impl Cost {
    /// From now on.
    pub fn begin(stage: &Stage) -> Self {
        Self { before: cpu::read(&stage.processes), began: Instant::now() }
    }

    /// Until now: adds to the figure's processor time, and notes what a unit costs and whether the
    /// generator's core was full.
    pub fn end(self, stage: &Stage, unit: &str, count: u64, figure: &mut Figure) {
        let took = self.began.elapsed().as_secs_f64();
        let used = cpu::read(&stage.processes).since(&self.before).used;
        let (mut parts, mut generator) = (Vec::new(), 0.0);
        for (process, used) in stage.processes.iter().zip(&used) {
            let used = used.as_secs_f64();
            parts.push(format!("{} {:.1}", process.name, used * 1e6 / count.max(1) as f64));
            *figure.cpu_s.entry(process.name.clone()).or_default() += used;
            if OUTSIDE.contains(&process.name.as_str()) {
                generator += used / took;
            }
        }
        figure.notes = vec![format!("µs of processor time per {unit}: {}", parts.join(", "))];
        if generator > FULL {
            figure.generator_full = true;
            figure.notes.push(format!(
                "the generator's core was full ({:.0} %): the figure is a lower bound",
                generator * 100.0
            ));
        }
    }
}

/// What the figures were measured on.
pub fn machine() -> serde_json::Value {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    json!({
        "cores": cores,
        "processor": model.map(|(_, name)| name),
        "server_core": pin::SERVER_CORE,
        "generator_core": pin::GENERATOR_CORE,
        "durability": { "fsync": true, "synchronous_commit": "on", "full_page_writes": true },
    })
}
