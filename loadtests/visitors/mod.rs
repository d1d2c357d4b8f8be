//! The crowd: visitors who come by a schedule that no answer changes (an open model), each with a
//! session and a state of their own.

mod asking;
mod bodies;
mod clock;
pub mod letters;
mod paying;
pub mod persona;
mod shopping;
mod signing_in;
mod visitor;
mod waiting;
mod wish;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::clock::Gone;
use self::letters::{Letter, Letters};
use self::persona::Mix;
use self::visitor::SPOTS;
pub use self::visitor::Spot;
use crate::rig::EVENT;
use crate::scenario::{Scenario, Shard};
use crate::shop::Shop;
use crate::verdict::tally::Tallies;
use crate::wire::{Ask, Open, Origin};

/// The presale's lane, and the code that opens it.
pub const PRESALE: &str = "members";
pub const MEMBERS_CODE: &str = "CLUB-2026";
/// Connections to the payment sandbox at most.
const TO_SANDBOX: usize = 256;
/// At a deployment nobody has told the servers to keep connections longer than they do.
const ABROAD_IDLE: Duration = Duration::from_secs(20);
/// Most connections of the crowd's own are kept so long without use; servers are told to keep
/// them longer.
const OWN_IDLE: Duration = Duration::from_secs(110);

/// Where the visitors of a generator come, and when.
pub struct Site {
    /// The shop's servers.
    pub servers: Vec<SocketAddr>,
    /// The payment sandbox.
    pub sandbox: SocketAddr,
    /// When the run began.
    pub begun: Instant,
    /// When the sale opens: T-0.
    pub opens: Instant,
    /// Which of the visitors come from here.
    pub shard: Shard,
    /// Set in a rehearsal at a deployment.
    pub abroad: Option<Abroad>,
    /// Whether somebody brings the visitors the codes that they are mailed.
    pub has_mail: bool,
}

/// What all visitors share.
pub struct Crowd {
    /// What is played.
    pub scenario: Scenario,
    /// The event.
    pub shop: Shop,
    /// The waiting room's path.
    pub room_path: String,
    /// The shop's servers.
    pub servers: Vec<Origin>,
    /// The payment sandbox.
    pub sandbox: Origin,
    /// Its address as it is written in payment pages.
    pub sandbox_url: String,
    /// Whose shadow is sold, in a rehearsal at a deployment.
    pub abroad: Option<Abroad>,
    /// Open connections.
    pub open: Arc<Open>,
    /// What happens.
    pub tallies: Tallies,
    /// When the run began.
    pub begun: Instant,
    /// When the sale opens: T-0.
    pub opens: Instant,
    /// Which of the visitors come from here.
    pub shard: Shard,
    /// Whether the servers are on this machine.
    pub is_on_loopback: bool,
    /// Who waits for a mail; none if nobody brings any.
    pub letters: Option<Letters>,
    mix: Mix,
    own_taken: AtomicU32,
    bot_mailboxes_taken: AtomicU32,
    spots: [AtomicI64; SPOTS],
    over: watch::Sender<bool>,
}

/// A rehearsal at a deployment.
pub struct Abroad {
    /// The shadow's id.
    pub event: String,
    /// The rehearsal's secret.
    pub tag: String,
    /// The deployment's host, as its visitors write it.
    pub host: String,
}

/// Where a rehearsal's orders are paid, in a payment's address.
const REHEARSED_PAYMENT: &str = "/rehearsals/pay/";

/// The public drawer count.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drawer {
    /// By Redis.
    pub redis: Count,
    /// By Postgres.
    pub postgres: Count,
    /// Whether both tell the same.
    pub agree: bool,
}

/// One side of the drawer count.
#[derive(Debug, Serialize, Deserialize)]
pub struct Count {
    /// Sold.
    pub sold: u64,
    /// Claimed by unpaid orders.
    pub claimed: u64,
    /// Held.
    pub held: u64,
    /// Free.
    pub free: u64,
}

impl Drawer {
    /// Whether both sides say that nothing is left, and nothing can come back unpaid.
    pub fn is_empty(&self) -> bool {
        let empty = |count: &Count| count.claimed + count.held + count.free == 0;
        self.agree && empty(&self.redis) && empty(&self.postgres)
    }

    /// Whether both sides say that nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        let rests = |count: &Count| count.claimed + count.held == 0;
        self.agree && rests(&self.redis) && rests(&self.postgres)
    }
}

impl Crowd {
    /// Reads what is sold; nobody comes yet.
    ///
    /// # Errors
    /// If the servers don't answer as they should.
    pub async fn gather(scenario: Scenario, site: Site) -> Result<Arc<Self>> {
        let Site { servers, sandbox, begun, opens, shard, abroad, has_mail } = site;
        let open = Arc::new(Open::default());
        let shared = u32::try_from(scenario.connections.shared)?;
        let shared = usize::try_from(shard.share(shared).max(1))?;
        let idle = if abroad.is_some() { ABROAD_IDLE } else { OWN_IDLE };
        let named = |origin: Origin| match &abroad {
            Some(abroad) => origin.named(&abroad.host),
            None => Ok(origin),
        };
        let is_on_loopback = servers.iter().all(|address| address.ip().is_loopback());
        let servers = servers.iter();
        let servers: Result<Vec<Origin>, _> = servers
            .map(|address| named(Origin::counted(*address, shared, open.clone(), idle)?))
            .collect();
        let servers = servers?;
        let sandbox = named(Origin::new(sandbox, TO_SANDBOX)?)?;
        let event = abroad.as_ref().map_or(EVENT, |abroad| &abroad.event);
        let read = async |path: &str| {
            let path = format!("/v1/events/{event}{path}");
            let answer = servers[0].ask(&path, Ask::default()).await?;
            ensure!(answer.status.is_success(), "{path}: {}", answer.status);
            Ok(answer.body)
        };
        let shop = Shop::read(&read("").await?, &read("/manifest").await?)?;
        let weights = scenario.personas.iter().map(|(persona, weight)| (*persona, *weight));
        Ok(Arc::new(Self {
            mix: Mix::new(weights),
            room_path: format!("{}/waiting-room", shop.path),
            sandbox_url: format!("http://{}", sandbox.address()),
            begun,
            shard,
            is_on_loopback,
            tallies: Tallies::default(),
            own_taken: AtomicU32::new(0),
            bot_mailboxes_taken: AtomicU32::new(0),
            letters: has_mail.then(Letters::default),
            spots: Default::default(),
            over: watch::Sender::new(false),
            scenario,
            shop,
            servers,
            sandbox,
            abroad,
            open,
            opens,
        }))
    }

    /// The page of a payment, at the payment sandbox.
    pub fn payment_page<'a>(&self, url: &'a str) -> Option<&'a str> {
        if self.abroad.is_some() {
            // The deployment may be reached by another address than the one it tells buyers.
            return url.find(REHEARSED_PAYMENT).map(|at| &url[at..]);
        }
        url.strip_prefix(&*self.sandbox_url)
    }

    /// Hands a mail to the visitor who waits for it.
    pub fn deliver(&self, letter: Letter) {
        if let Some(letters) = &self.letters {
            letters.deliver(letter);
        }
    }

    /// How many are there.
    pub fn count(&self, spot: Spot) -> u64 {
        u64::try_from(self.spots[spot as usize].load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How many are anywhere.
    pub fn here(&self) -> u64 {
        let sum: i64 = self.spots.iter().map(|spot| spot.load(Ordering::Relaxed)).sum();
        u64::try_from(sum).unwrap_or(0)
    }

    /// From the beginning of the run to the opening, in seconds.
    pub fn opened_s(&self) -> f64 {
        self.opens.saturating_duration_since(self.begun).as_secs_f64()
    }

    /// Most connections at once, and all that were opened.
    pub fn connections(&self) -> (u32, u64) {
        let origins = self.servers.iter().chain([&self.sandbox]);
        (self.open.most(), origins.map(|origin| u64::from(origin.opened())).sum())
    }

    /// Seconds from the opening on, negative before it.
    pub fn since_opening(&self, at: Instant) -> f32 {
        let after = at.saturating_duration_since(self.opens).as_secs_f32();
        after - self.opens.saturating_duration_since(at).as_secs_f32()
    }

    /// Seconds from the beginning of the run on.
    pub fn second(&self) -> usize {
        usize::try_from(self.begun.elapsed().as_secs()).unwrap_or(0)
    }

    /// Sends everybody home: nobody comes any more, nobody waits, who shops finishes.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether everybody was sent home.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// The public drawer count, if it is answered.
    pub async fn drawer(&self) -> Option<Drawer> {
        let path = format!("{}/drawer", self.shop.path);
        for server in &self.servers {
            if let Ok(answer) = server.ask(&path, Ask::default()).await
                && let Ok(drawer) = serde_json::from_slice(&answer.body)
            {
                return Some(drawer);
            }
        }
        None
    }
}
