//! surge: sells a venue out, with everybody coming at once, and proves that nothing was sold
//! twice. See README.md in this directory.

mod attack;
mod bench;
mod bots;
mod buyers;
mod rig;
mod shop;
mod verdict;
mod waiting;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use onsale::cli::SampleVenue;
use onsale::serve::stop_signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::buyers::{Coming, Crowd, Drawer, Gone};
use self::rig::cpu::{self, Reading};
use self::rig::{EVENT, Rig, Setup, Tuning};
use self::shop::Shop;
use self::verdict::tally::Tallies;
use self::verdict::{Facts, Report};
use self::wire::{Ask, Origin};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Orders and holds may take so long to come to rest once buyers are gone.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// How often it is looked whether they have.
const REST_EVERY: Duration = Duration::from_millis(250);
/// Beyond the time in which buyers may come: setting up, finishing, coming to rest, the audit.
const MARGIN: Duration = Duration::from_mins(10);

/// Sells a venue out to buyers who all come at once, through several server processes on a
/// private Postgres (fsync on) and Redis, then audits every invariant.
#[derive(Parser)]
#[command(name = "surge", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What is sold out.
    #[arg(value_enum, default_value = "arena")]
    venue: SampleVenue,
    /// Buyers per second, at random moments; they don't wait for each other nor for answers.
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Buyers who come at most.
    #[arg(long, default_value_t = 1_000_000)]
    buyers: u64,
    /// Seconds for which buyers come at most.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Server processes.
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Connections to each process at most; who finds none free waits, which counts.
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// Names the schedule and the buyers; by default another one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// Also write the figures into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// What else it can do.
#[derive(Subcommand)]
enum Command {
    /// Puts a million visitors into one waiting room and measures joins, polls and memory.
    Waiting(waiting::Options),
    /// Bots against people: who gets the tickets, with and without the defences.
    Bots(attack::Options),
    /// What onsale does per second, each figure beside its physical limit.
    Bench(bench::Options),
    /// A bare JSON handler to compare with, in a process of its own.
    #[command(hide = true)]
    Bare(waiting::bare::Options),
    /// A bare handler that does one EVALSHA, likewise.
    #[command(hide = true)]
    BareHold(bench::bare_hold::Options),
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    // Threads inherit the core that they are pinned to, so this comes before the runtime.
    if matches!(arguments.command, Some(Command::Bench(_)))
        && let Err(error) = bench::pin::this_thread()
    {
        eprintln!("surge: {error:#}");
        return ExitCode::FAILURE;
    }
    let done = tokio::runtime::Runtime::new().context("no runtime").and_then(|runtime| {
        runtime.block_on(async {
            match arguments.command.take() {
                Some(Command::Waiting(options)) => waiting::run(options).await,
                Some(Command::Bots(options)) => attack::run(options).await,
                Some(Command::Bench(options)) => bench::run(options).await,
                Some(Command::Bare(options)) => waiting::bare::run(options).await,
                Some(Command::BareHold(options)) => bench::bare_hold::run(options).await,
                None => run(arguments).await.map(|report| {
                    println!("{report}");
                    report.passed
                }),
            }
        })
    });
    match done {
        Ok(passed) => {
            if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("surge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report> {
    check(&arguments)?;
    raise_descriptor_limit();
    let say = progress();
    let directory = directory(arguments.data_dir.as_ref())?;
    let setup = Setup {
        directory,
        venue: arguments.venue,
        servers: arguments.servers,
        room: None,
        tuning: Tuning::default(),
    };
    let mut rig = tokio::select! {
        rig = Rig::start(&setup, say.clone()) => rig?,
        _ = stop_signal() => anyhow::bail!("interrupted"),
    };
    let limit = Duration::from_secs(arguments.seconds) + MARGIN;
    let report = tokio::select! {
        report = sell_out(&arguments, &mut rig, &say) => report,
        _ = stop_signal() => Err(anyhow::anyhow!("interrupted")),
        () = tokio::time::sleep(limit) => Err(anyhow::anyhow!("not done after {limit:?}")),
    };
    say("stopping everything");
    let stopped = rig.stop().await;
    let report = report?;
    stopped?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(report)
}

fn check(arguments: &Arguments) -> Result<()> {
    ensure!((0.1..=1e6).contains(&arguments.rate), "--rate: 0.1 to 1000000 per second");
    ensure!((1..=64).contains(&arguments.servers), "--servers: 1 to 64");
    ensure!((1..=20_000).contains(&arguments.connections), "--connections: 1 to 20000");
    ensure!((1..=86_400).contains(&arguments.seconds), "--seconds: 1 to 86400");
    Ok(())
}

async fn sell_out(
    arguments: &Arguments,
    rig: &mut Rig,
    say: &onsale::devstack::Progress,
) -> Result<Report> {
    let shop = &rig.shop;
    let origin = |address| Origin::new(address, arguments.connections);
    let servers: Result<Vec<Origin>, _> =
        shop.server_addresses.iter().copied().map(origin).collect();
    let (servers, sandbox) = (servers?, origin(shop.sandbox_address)?);
    let read = async |path: &str| {
        let path = format!("/v1/events/{EVENT}{path}");
        let answer = servers[0].ask(&path, Ask::default()).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        Ok(answer.body)
    };
    let shop = Shop::read(&read("").await?, &read("/manifest").await?)?;
    let coming = Coming {
        seed: arguments.seed.unwrap_or_else(rand::random),
        rate: arguments.rate,
        most: arguments.buyers,
        within: Duration::from_secs(arguments.seconds),
    };
    say(&format!("{} places, {} buyers/s, seed {}", shop.capacity, coming.rate, coming.seed));
    let sandbox_url = format!("http://{}", sandbox.address());
    let processes = rig.processes().await;
    let before = cpu::read(&processes);
    let tallies = Tallies::default();
    let crowd =
        Arc::new(Crowd { shop, servers, sandbox, sandbox_url, tallies, opened: Instant::now() });
    let gone = crowd.rush(coming, &**say).await;
    let used = cpu::read(&processes).since(&before);
    rig.shop.check()?;
    conclude(arguments, rig, &crowd, coming, gone, (processes, used), say).await
}

/// Waits until everything is at rest, counts and audits.
async fn conclude(
    arguments: &Arguments,
    rig: &Rig,
    crowd: &Crowd,
    coming: Coming,
    gone: Gone,
    cpu: (Vec<cpu::Process>, Reading),
    say: &onsale::devstack::Progress,
) -> Result<Report> {
    say("waiting until everything is at rest");
    let deadline = Instant::now() + REST_WITHIN;
    let drawer = loop {
        let drawer = crowd.drawer().await;
        if drawer.as_ref().is_some_and(Drawer::is_at_rest) || Instant::now() > deadline {
            break drawer;
        }
        tokio::time::sleep(REST_EVERY).await;
    };
    let drained = rig.shop.drain().await?;
    say("auditing");
    let audit = rig.shop.audit().await?;
    let venue = arguments.venue.to_possible_value();
    let origins = crowd.servers.iter().chain([&crowd.sandbox]);
    Ok(Report::new(Facts {
        venue: venue.as_ref().map_or("", |venue| venue.get_name()),
        capacity: crowd.shop.capacity,
        servers: arguments.servers,
        connections: arguments.connections,
        opened: origins.map(Origin::opened).sum(),
        coming,
        gone,
        tally: crowd.tallies.sum(),
        cpu,
        drawer,
        drained,
        audit,
    }))
}

/// Says what happens, with the time since now.
fn progress() -> onsale::devstack::Progress {
    let started = Instant::now();
    Arc::new(move |line: &str| eprintln!("{:>6.1} s  {line}", started.elapsed().as_secs_f32()))
}

/// Where data and logs go.
fn directory(wanted: Option<&PathBuf>) -> Result<PathBuf> {
    match wanted {
        Some(directory) => Ok(directory.clone()),
        None => Ok(build_directory()?.join("surge")),
    }
}

/// The directory that this program was built in: two above it.
fn build_directory() -> Result<PathBuf> {
    let me = std::env::current_exe().context("this program's own path")?;
    let directory = me.ancestors().nth(2).map(Path::to_owned);
    directory.context("this program lies in no build directory: say --data-dir")
}

/// Buyers' connections, here and in the servers, which inherit it, are more than many a default
/// allows.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it can't be raised, opening too many connections says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
