//! Every figure with its limit: what each is, how it is set up, and a window of both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use super::best::Best;
use super::commits::Commits;
use super::events::{Events, MANY};
use super::figure::{Also, Bound, Figure, Samples};
use super::hall::hall;
use super::holds::{Bare, Holding};
use super::purchases::Buying;
use super::recovery::Recovery;
use super::script::Scripts;
use super::sizes::Sizes;
use super::stage::{Cost, Stage};
use super::stock::Stock;
use super::{CONNECTIONS, Options, Turn, memory, overload};
use crate::waiting::bare;
use crate::waiting::drive::{Target, Until, drive};
use crate::waiting::visitors::{Plain, Polling};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Polls of a waiting room.
    Polls,
    /// Holds over HTTP.
    Holds,
    /// The hold script in Redis.
    Script,
    /// Complete purchases.
    Purchases,
    /// The best places in halls of several sizes, sold to several shares.
    BestAvailable,
    /// Memory per visitor who waits.
    WaitingMemory,
    /// Holds when more are asked for than can be done.
    Overload,
    /// Redis killed and restarted.
    Recovery,
    /// Many events on sale at once.
    Events,
}

impl Which {
    /// The figure's frame; see the budgets in the design.
    pub fn figure(self) -> Figure {
        let (name, unit, limit_is) = self.words();
        let (must, moonshot) = self.bounds();
        let p99 = "p99 at 80 % of the peak, from the intended moment, ms";
        let also = (self == Self::Overload).then(|| Also {
            name: p99,
            value: Samples::default(),
            must: 50.0,
            moonshot: 20.0,
        });
        Figure {
            name,
            unit,
            limit_is,
            value: Samples::default(),
            limit: Samples::default(),
            must,
            moonshot,
            also,
            cpu_s: BTreeMap::new(),
            generator_full: false,
            parts: json!([]),
            notes: Vec::new(),
        }
    }

    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Polls => ("polls", "polls/s", "a bare axum handler that answers as much JSON"),
            Self::Holds => (
                "holds",
                "holds/s of 2 chosen seats",
                "a bare axum handler that does one EVALSHA of the same script",
            ),
            Self::Script => (
                "script",
                "µs in Redis per hold",
                "a minimal script with the same GETBIT and SETBIT",
            ),
            Self::Purchases => (
                "purchases",
                "complete purchases/s of 2 seats, fsync on",
                "pgbench committing one bare order with 2 places per transaction",
            ),
            Self::BestAvailable => (
                "best_available",
                "µs in Redis per hold of the best 2, where it costs most",
                "a flat line: the smallest hall, empty",
            ),
            Self::WaitingMemory => {
                ("waiting_memory", "bytes of the server per visitor who waits by polls", "nothing")
            }
            Self::Overload => {
                ("overload", "holds/s when three times the peak is offered", "the peak")
            }
            Self::Recovery => (
                "recovery",
                "ms from the last hold before Redis was killed to the first after",
                "the bare restart, until Redis answers",
            ),
            Self::Events => {
                ("events", "holds/s over many events on sale at once", "one large event")
            }
        }
    }

    const fn bounds(self) -> (Bound, Bound) {
        match self {
            Self::Holds => (Bound::AtLeast(0.7), Bound::AtLeast(0.9)),
            Self::Script => (Bound::AtMost(3.0), Bound::AtMost(2.0)),
            Self::Purchases => (Bound::AtLeast(0.35), Bound::AtLeast(0.7)),
            Self::BestAvailable => (Bound::AtMost(1.5), Bound::AtMost(1.1)),
            Self::WaitingMemory => (Bound::NoMoreThan(64.0), Bound::NoMoreThan(0.0)),
            Self::Polls | Self::Overload | Self::Events => {
                (Bound::AtLeast(0.8), Bound::AtLeast(0.95))
            }
            Self::Recovery => (Bound::NoMoreThan(3_000.0), Bound::NoMoreThan(1_000.0)),
        }
    }
}

/// A figure and its limit, ready to be measured.
pub enum Contest {
    /// Visitors' tokens, and the next one.
    Polls(Arc<Polling>, u64),
    /// What is held from.
    Holds(Arc<Stock>),
    /// What is held from, and how often.
    Script(Arc<Stock>, usize),
    /// Who buys.
    Purchases(Arc<Buying>, Commits),
    /// Halls.
    Best(Best),
    /// How many wait.
    Memory(u64),
    /// What is held from, and how many connections there are.
    Overload(Arc<Stock>, usize),
    /// What is rebuilt.
    Recovery(Recovery),
    /// One and many.
    Events(Events),
}

impl Contest {
    /// Makes what is needed.
    ///
    /// # Errors
    /// In words for people.
    pub async fn set_up(
        which: Which,
        stage: &mut Stage,
        sizes: &Sizes,
        buyers: u8,
    ) -> Result<Self> {
        let held = (&sizes.held.0, sizes.held.1);
        Ok(match which {
            Which::Polls => Self::Polls(stage.join(sizes.polling).await?, 0),
            Which::Holds => Self::Holds(stage.stock("holds", held).await?),
            Which::Script => {
                let stock = stage.stock("script", (held.0, 1)).await?;
                Self::Script(stock, sizes.script_calls)
            }
            Which::Purchases => {
                let buying = Buying {
                    keyring: stage.keyring.clone(),
                    stock: stage.stock("sale", (&sizes.sold.0, sizes.sold.1)).await?,
                    next: AtomicU64::new(0),
                    most: None,
                    server: stage.server(),
                    provider: stage.rig.shop.sandbox_address,
                };
                let directory = stage.directory.clone();
                let commits =
                    Commits::prepare(&stage.rig.shop.pg, &stage.database_url, &directory).await?;
                Self::Purchases(Arc::new(buying), commits)
            }
            Which::BestAvailable => {
                let mut halls = Vec::new();
                for places in &sizes.halls {
                    let name = format!("hall-{places}");
                    halls.push(stage.stock(&name, (&hall(*places), 1)).await?);
                }
                Self::Best(Best::new(halls))
            }
            Which::WaitingMemory => Self::Memory(sizes.waiting),
            Which::Overload => Self::Overload(stage.stock("rush", held).await?, sizes.crowd),
            Which::Recovery => {
                let stock = stage.stock("lost", (&hall(sizes.rebuilt), 1)).await?;
                Self::Recovery(Recovery::set_up(stage, stock, buyers).await?)
            }
            Which::Events => {
                let one = stage.stock("one", (&hall(sizes.one), 1)).await?;
                let (count, places) = sizes.many;
                let many = stage.stock(MANY, (&hall(places), count)).await?;
                Self::Events(Events::set_up(stage, one, many).await?)
            }
        })
    }

    /// When it is measured.
    pub const fn turn(&self) -> Turn {
        match self {
            Self::Memory(_) => Turn::First,
            Self::Recovery(_) => Turn::Last,
            _ => Turn::Round,
        }
    }

    /// A window of the figure and one of its limit.
    ///
    /// # Errors
    /// Any answer but the expected one.
    pub async fn window(
        &mut self,
        stage: &mut Stage,
        options: &Options,
        figure: &mut Figure,
    ) -> Result<()> {
        let length = options.length();
        match self {
            Self::Polls(polling, first) => polls(stage, (polling, first), length, figure).await,
            Self::Holds(stock) => holds(stage, stock, length, figure).await,
            Self::Script(stock, calls) => {
                stage.empty(stock).await?;
                let pg = &stage.rig.shop.pg;
                let mut scripts = Scripts::open(stage.rig.redis_url(), pg, stock).await?;
                let calls = (*calls).min(stock.pairs.len());
                let (script_us, minimal_us) = scripts.window(&stock.pairs[..calls]).await?;
                figure.value.0.push(script_us);
                figure.limit.0.push(minimal_us);
                Ok(())
            }
            Self::Purchases(buying, commits) => {
                let cost = Cost::begin(stage);
                let started = Instant::now();
                let bought = buying.window(options.buyers, length).await?;
                let count = bought.per_s * started.elapsed().as_secs_f64();
                cost.end(stage, "purchase", count as u64, figure);
                figure.notes.push(format!(
                    "p50 {:.0} ms, p99 {:.0} ms; {} buyers; pgbench at its best with {} clients",
                    bought.p50_ms, bought.p99_ms, options.buyers, commits.clients
                ));
                let limit = commits.window(length).await?;
                figure.value.0.push(bought.per_s);
                figure.limit.0.push(limit);
                Ok(())
            }
            Self::Best(best) => best.window(stage, length, figure).await,
            Self::Memory(visitors) => memory::window(stage, *visitors, figure).await,
            Self::Overload(stock, crowd) => {
                overload::window(stage, (stock, *crowd), length, figure).await
            }
            Self::Recovery(recovery) => recovery.window(stage, figure).await,
            Self::Events(events) => events.window(stage, (length, options.rounds), figure).await,
        }
    }
}

async fn polls(
    stage: &Stage,
    (polling, first): (&Arc<Polling>, &mut u64),
    length: Duration,
    figure: &mut Figure,
) -> Result<()> {
    let target = Target::new(stage.server(), CONNECTIONS);
    let cost = Cost::begin(stage);
    let polls = drive(target, polling.clone(), *first, Until::Time(length)).await?;
    cost.end(stage, "poll", polls.requests, figure);
    *first += polls.requests;
    let bytes = stage.one_poll(polling).await?;
    let bare = stage.bare_json(&bytes).await?;
    let target = Target { address: bare.address, ..target };
    let plain = Arc::new(Plain::new(bare::PADDED, bytes.len()));
    let limit = drive(target, plain, 0, Until::Time(length)).await?;
    figure.value.0.push(polls.per_s);
    figure.limit.0.push(limit.per_s);
    Ok(())
}

async fn holds(
    stage: &Stage,
    stock: &Arc<Stock>,
    length: Duration,
    figure: &mut Figure,
) -> Result<()> {
    let target = Target::new(stage.server(), CONNECTIONS);
    let most = stock.pairs.len() as u64;
    stage.empty(stock).await?;
    let holding = Arc::new(Holding { keyring: stage.keyring.clone(), stock: stock.clone() });
    let cost = Cost::begin(stage);
    let holds = drive(target, holding, 0, Until::Either(most, length)).await?;
    cost.end(stage, "hold", holds.requests, figure);
    stage.empty(stock).await?;
    let bare = stage.bare_hold(stock).await?;
    let target = Target { address: bare.address, ..target };
    let asking = Arc::new(Bare { stock: stock.clone() });
    let limit = drive(target, asking, 0, Until::Either(most, length)).await?;
    figure.value.0.push(holds.per_s);
    figure.limit.0.push(limit.per_s);
    Ok(())
}
