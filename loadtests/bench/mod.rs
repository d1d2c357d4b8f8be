//! The bench: what onsale does per second, each figure beside its physical limit, measured in the
//! same run on the same machine. The server side (servers, Redis, Postgres) is pinned to one core
//! and the generator with the payment provider to the other, for figure and limit alike; windows
//! of figure and limit take turns.

pub mod bare_hold;
mod commits;
mod figure;
mod holds;
pub mod pin;
mod purchases;
mod script;
mod stage;
mod stock;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use onsale::cli::SampleVenue;
use onsale::devstack::Progress;
use onsale::serve::stop_signal;

use self::commits::Commits;
use self::figure::{Bound, Figure, Samples, Table};
use self::holds::{Bare, Holding};
use self::purchases::Buying;
use self::script::Scripts;
use self::stage::{Cost, Stage};
use self::stock::Stock;
use crate::waiting::bare;
use crate::waiting::drive::{Target, Until, drive};
use crate::waiting::visitors::{Plain, Polling};

/// Connections of the closed loops.
const CONNECTIONS: usize = 64;
/// Visitors whose tokens are polled with.
const VISITORS: u64 = 20_000;
/// Stadiums that are held from; they are emptied before each window.
const STADIUMS: usize = 3;
/// Arenas that are sold.
const ARENAS: usize = 10;
/// Calls of the hold script that are timed in each round.
const SCRIPT_CALLS: usize = 10_000;

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
}

/// How it is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Only these figures.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Which>,
    /// Rounds: in each, every figure and its limit have a window.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window, in seconds.
    #[arg(long, default_value_t = 10)]
    window: u64,
    /// Buyers at a time.
    #[arg(long, default_value_t = 96)]
    buyers: u8,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Options {
    fn wants(&self, which: Which) -> bool {
        self.only.is_empty() || self.only.contains(&which)
    }
}

/// Measures. The calling runtime must be pinned to the generator's core.
///
/// # Errors
/// In words for people.
pub async fn run(options: Options) -> Result<bool> {
    ensure!((1..=50).contains(&options.rounds), "--rounds: 1 to 50");
    ensure!((1..=600).contains(&options.window), "--window: 1 to 600 seconds");
    ensure!((1..=250).contains(&options.buyers), "--buyers: 1 to 250");
    crate::raise_descriptor_limit();
    let say = crate::progress();
    let stage = Stage::set(crate::directory(options.data_dir.as_ref())?, say.clone());
    let mut stage = tokio::select! {
        stage = stage => stage?,
        _ = stop_signal() => anyhow::bail!("interrupted"),
    };
    let measured = tokio::select! {
        measured = measure(&options, &mut stage, &say) => measured,
        _ = stop_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    let audit = match &measured {
        Ok(_) => Some(stage.audit().await),
        Err(_) => None,
    };
    say("stopping everything");
    let stopped = stage.end().await;
    let figures = measured?;
    stopped?;
    let (clean, audit) = audit.context("no audit")??;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&summary(&figures, &options, clean))?);
    } else {
        println!("{}", Table(&figures));
        println!("{}", audit.lines().last().unwrap_or_default());
    }
    Ok(clean && figures.iter().all(Figure::reached))
}

fn summary(figures: &[Figure], options: &Options, clean: bool) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for figure in figures {
        all.insert(figure.name.to_owned(), figure.json());
    }
    all.insert("audit_clean".into(), clean.into());
    all.insert("rounds".into(), options.rounds.into());
    all.insert("window_s".into(), options.window.into());
    all.insert("machine".into(), stage::machine());
    all.into()
}

async fn measure(options: &Options, stage: &mut Stage, say: &Progress) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut contests: Vec<Contest> = Vec::new();
    for which in Which::value_variants().iter().filter(|which| options.wants(**which)) {
        say(&format!("setting up {which:?}"));
        contests.push(Contest::set_up(*which, stage).await?);
        figures.push(which.figure());
    }
    // Else Postgres would tidy up after the imports while something is measured.
    sqlx::query("VACUUM ANALYZE").execute(&stage.rig.shop.pg).await?;
    sqlx::query("CHECKPOINT").execute(&stage.rig.shop.pg).await?;
    let length = Duration::from_secs(options.window);
    for round in 1..=options.rounds {
        for (contest, figure) in contests.iter_mut().zip(&mut figures) {
            say(&format!("round {round} of {}: {}", options.rounds, figure.name));
            contest.window(stage, options, length, figure).await?;
        }
    }
    Ok(figures)
}

impl Which {
    /// The figure's frame; see the budgets in the design.
    fn figure(self) -> Figure {
        let (name, unit, limit_is, must, moonshot) = match self {
            Self::Polls => (
                "polls",
                "polls/s",
                "a bare axum handler that answers as much JSON",
                Bound::AtLeast(0.8),
                Bound::AtLeast(0.95),
            ),
            Self::Holds => (
                "holds",
                "holds/s of 2 chosen seats",
                "a bare axum handler that does one EVALSHA of the same script",
                Bound::AtLeast(0.7),
                Bound::AtLeast(0.9),
            ),
            Self::Script => (
                "script",
                "µs in Redis per hold",
                "a minimal script with the same GETBIT and SETBIT",
                Bound::AtMost(3.0),
                Bound::AtMost(2.0),
            ),
            Self::Purchases => (
                "purchases",
                "complete purchases/s of 2 seats, fsync on",
                "pgbench committing one bare order with 2 places per transaction",
                Bound::AtLeast(0.35),
                Bound::AtLeast(0.7),
            ),
        };
        let (value, limit) = (Samples::default(), Samples::default());
        Figure { name, unit, limit_is, value, limit, must, moonshot, notes: Vec::new() }
    }
}

/// A figure and its limit, ready to be measured.
enum Contest {
    Polls(Arc<Polling>, u64),
    Holds(Arc<Stock>),
    Script(Arc<Stock>),
    Purchases(Arc<Buying>, Commits),
}

impl Contest {
    async fn set_up(which: Which, stage: &mut Stage) -> Result<Self> {
        Ok(match which {
            Which::Polls => Self::Polls(stage.join(VISITORS).await?, 0),
            Which::Holds => {
                Self::Holds(stage.stock("holds", (SampleVenue::Stadium, STADIUMS)).await?)
            }
            Which::Script => Self::Script(stage.stock("script", (SampleVenue::Stadium, 1)).await?),
            Which::Purchases => {
                let stock = stage.stock("sale", (SampleVenue::Arena, ARENAS)).await?;
                let buying = Buying {
                    keyring: stage.keyring.clone(),
                    stock,
                    next: AtomicU64::new(0),
                    server: stage.server(),
                    provider: stage.rig.shop.sandbox_address,
                };
                let directory = stage.directory.clone();
                let commits =
                    Commits::prepare(&stage.rig.shop.pg, &stage.database_url, &directory).await?;
                Self::Purchases(Arc::new(buying), commits)
            }
        })
    }

    async fn window(
        &mut self,
        stage: &mut Stage,
        options: &Options,
        length: Duration,
        figure: &mut Figure,
    ) -> Result<()> {
        let target = Target { address: stage.server(), connections: CONNECTIONS };
        match self {
            Self::Polls(polling, first) => {
                let cost = Cost::begin(stage);
                let polls = drive(target, polling.clone(), *first, Until::Time(length)).await?;
                figure.notes = cost.end(stage, "poll", polls.requests);
                *first += polls.requests;
                let bytes = stage.one_poll(polling).await?;
                let bare = stage.bare_json(&bytes).await?;
                let target = Target { address: bare.address, ..target };
                let plain = Arc::new(Plain::new(bare::PADDED, bytes.len()));
                let limit = drive(target, plain, 0, Until::Time(length)).await?;
                figure.value.0.push(polls.per_s);
                figure.limit.0.push(limit.per_s);
            }
            Self::Holds(stock) => {
                let most = stock.pairs.len() as u64;
                stage.empty(stock).await?;
                let holding =
                    Arc::new(Holding { keyring: stage.keyring.clone(), stock: stock.clone() });
                let cost = Cost::begin(stage);
                let holds = drive(target, holding, 0, Until::Either(most, length)).await?;
                figure.notes = cost.end(stage, "hold", holds.requests);
                stage.empty(stock).await?;
                let bare = stage.bare_hold(stock).await?;
                let target = Target { address: bare.address, ..target };
                let asking = Arc::new(Bare { stock: stock.clone() });
                let limit = drive(target, asking, 0, Until::Either(most, length)).await?;
                figure.value.0.push(holds.per_s);
                figure.limit.0.push(limit.per_s);
            }
            Self::Script(stock) => {
                stage.empty(stock).await?;
                let pg = &stage.rig.shop.pg;
                let mut scripts = Scripts::open(stage.rig.redis_url(), pg, stock).await?;
                let calls = SCRIPT_CALLS.min(stock.pairs.len());
                let (script_us, minimal_us) = scripts.window(&stock.pairs[..calls]).await?;
                figure.value.0.push(script_us);
                figure.limit.0.push(minimal_us);
            }
            Self::Purchases(buying, commits) => {
                let cost = Cost::begin(stage);
                let started = Instant::now();
                let bought = buying.window(options.buyers, length).await?;
                let count = bought.per_s * started.elapsed().as_secs_f64();
                figure.notes = cost.end(stage, "purchase", count as u64);
                figure.notes.push(format!(
                    "p50 {:.0} ms, p99 {:.0} ms; {} buyers; pgbench at its best with {} clients",
                    bought.p50_ms, bought.p99_ms, options.buyers, commits.clients
                ));
                let limit = commits.window(length).await?;
                figure.value.0.push(bought.per_s);
                figure.limit.0.push(limit);
            }
        }
        Ok(())
    }
}
