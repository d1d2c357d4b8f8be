//! surge: rehearses an onsale with everybody coming at once, and proves that nothing was sold
//! twice. See README.md in this directory.

mod attack;
mod bench;
mod bots;
mod rehearse;
mod rig;
mod run;
mod scenario;
mod screen;
mod shop;
mod sold_out;
mod verdict;
mod visitors;
mod waiting;
mod wire;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::de::DeserializeOwned;

use self::run::{Playing, shards};
use self::scenario::{LIBRARY, Scenario};
use self::verdict::compare::compare;
use self::verdict::html;
use self::verdict::report::Facts;
use self::verdict::shards::{Part, merge};
use self::verdict::summary::{Summary, VERSION};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rehearses an onsale: plays scenarios of visitors against server processes on a private Postgres
/// (fsync on) and Redis, then audits every invariant.
#[derive(Parser)]
#[command(name = "surge", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    sold_out: sold_out::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Plays a scenario.
    Run(RunOptions),
    /// Plays a scenario at a running deployment, with a shadow of one of its events.
    Rehearse(RehearseOptions),
    /// Lists the scenarios that come with the program.
    Scenarios {
        /// Prints this one's text, to begin one's own with.
        name: Option<String>,
    },
    /// Draws the report of an earlier run again; of the summaries of several generators one, over
    /// which the verdict is then taken.
    Report {
        /// The run's JSON summary, or those of its generators.
        #[arg(required = true)]
        summaries: Vec<PathBuf>,
        /// Where the report goes; by default beside the first summary.
        #[arg(long)]
        html: Option<PathBuf>,
        /// Also write the summary of all generators into this file, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Compares runs: fails if B got worse by more than the figures wobble, or passes no longer.
    Compare {
        /// JSON summaries before, separated by commas.
        #[arg(value_delimiter = ',', required = true, num_args = 1)]
        a: Vec<PathBuf>,
        /// JSON summaries after, separated by commas.
        #[arg(value_delimiter = ',', required = true, num_args = 1)]
        b: Vec<PathBuf>,
    },
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

/// How a scenario is played.
#[derive(Args)]
struct RunOptions {
    /// One of `surge scenarios`, or a file. All generators but the first are told what is played.
    #[arg(required_unless_present = "shard")]
    scenario: Option<String>,
    /// Another seed than the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// Another number of visitors than the scenario's.
    #[arg(long)]
    visitors: Option<u64>,
    #[command(flatten)]
    shards: shards::Options,
    #[command(flatten)]
    output: Output,
}

/// How a scenario is played at a deployment.
#[derive(Args)]
struct RehearseOptions {
    /// One of `surge scenarios`, or a file.
    scenario: String,
    #[command(flatten)]
    target: rehearse::Target,
    /// Another seed than the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// Another number of visitors than the scenario's.
    #[arg(long)]
    visitors: Option<u64>,
    #[command(flatten)]
    output: Output,
}

/// Where everything goes.
#[derive(Args)]
struct Output {
    /// Also write the summary into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write the report into this file, as HTML.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Plain lines, also on a terminal.
    #[arg(long)]
    plain: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Threads inherit the core that they are pinned to, so this comes before the runtime.
    if matches!(arguments.command, Some(Command::Bench(_)))
        && let Err(error) = bench::pin::this_thread()
    {
        eprintln!("surge: {error:#}");
        return ExitCode::FAILURE;
    }
    let done = tokio::runtime::Runtime::new()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(dispatch(arguments)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("surge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether it passed.
async fn dispatch(arguments: Arguments) -> Result<bool> {
    let Some(command) = arguments.command else {
        let (scenario, output) = arguments.sold_out.scenario()?;
        return Box::pin(play(scenario, shards::Options::default(), output)).await;
    };
    match command {
        Command::Run(options) if !options.shards.shard.is_first() => Box::pin(join(options)).await,
        Command::Run(options) => {
            let name = options.scenario.as_deref().context("which scenario is to be played?")?;
            let mut scenario = Scenario::find(name)?;
            scenario.seed = options.seed.unwrap_or(scenario.seed);
            scenario.arrivals.visitors = options.visitors.unwrap_or(scenario.arrivals.visitors);
            scenario.check()?;
            Box::pin(play(scenario, options.shards, options.output)).await
        }
        Command::Rehearse(options) => {
            let mut scenario = Scenario::find(&options.scenario)?;
            scenario.seed = options.seed.unwrap_or(scenario.seed);
            scenario.arrivals.visitors = options.visitors.unwrap_or(scenario.arrivals.visitors);
            scenario.check()?;
            let playing = playing(shards::Options::default(), &options.output)?;
            let summary = Box::pin(rehearse::play(scenario, &options.target, &playing)).await?;
            conclude(&summary, &options.output)
        }
        Command::Scenarios { name } => scenarios(name.as_deref()),
        Command::Report { summaries, html, json } => {
            let html = html.unwrap_or_else(|| summaries[0].with_extension("html"));
            report(&summaries, &html, json.as_deref())
        }
        Command::Compare { a, b } => {
            let side = |files: Vec<PathBuf>| files.iter().map(|file| read(file)).collect();
            let (a, b): (Result<Vec<_>>, Result<Vec<_>>) = (side(a), side(b));
            let comparison = compare(&a?, &b?);
            println!("{comparison}");
            Ok(!comparison.is_worse())
        }
        Command::Waiting(options) => waiting::run(options).await,
        Command::Bots(options) => attack::run(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Bare(options) => waiting::bare::run(options).await,
        Command::BareHold(options) => bench::bare_hold::run(options).await,
    }
}

async fn play(scenario: Scenario, shards: shards::Options, output: Output) -> Result<bool> {
    let summary = run::play(scenario, &playing(shards, &output)?).await?;
    conclude(&summary, &output)
}

/// Says how it went, wherever it was asked for.
fn conclude(summary: &Summary, output: &Output) -> Result<bool> {
    println!("{summary}");
    if let Some(path) = &output.json {
        write(path, &serde_json::to_string_pretty(summary)?)?;
    }
    if let Some(path) = &output.html {
        write(path, &html::page(summary))?;
    }
    Ok(summary.passed)
}

/// Plays a part of a run that another generator has set up. The verdict is that one's.
async fn join(options: RunOptions) -> Result<bool> {
    let playing = playing(options.shards, &options.output)?;
    let (facts, delivered) = shards::join(&playing, options.scenario.as_deref()).await?;
    if let Some(path) = &options.output.json {
        write(path, &serde_json::to_string_pretty(&Part::of(&facts))?)?;
    }
    delivered?;
    println!("{} visitors came; the first generator has the report", facts.gone.came);
    Ok(!facts.interrupted)
}

fn playing(shards: shards::Options, output: &Output) -> Result<Playing> {
    Ok(Playing {
        directory: directory(output.data_dir.as_ref())?,
        screen: !output.plain && std::io::stderr().is_terminal(),
        say: progress(),
        shards,
    })
}

/// Draws the report of one summary, or of what several generators have counted.
fn report(summaries: &[PathBuf], html: &Path, json: Option<&Path>) -> Result<bool> {
    if let [one] = summaries {
        ensure!(json.is_none(), "one summary is written already");
        let whole = read(one).context("a whole run, or the files of all its generators")?;
        write(html, &html::page(&whole))?;
        return Ok(true);
    }
    let parts: Result<Vec<Facts>> =
        summaries.iter().map(|path| read::<Part>(path)?.facts()).collect();
    let summary = merge(parts?)?.summary();
    println!("{summary}");
    if let Some(path) = json {
        write(path, &serde_json::to_string_pretty(&summary)?)?;
    }
    write(html, &html::page(&summary))?;
    Ok(summary.passed)
}

fn scenarios(name: Option<&str>) -> Result<bool> {
    if let Some(name) = name {
        let text = LIBRARY.iter().find(|(known, _)| *known == name);
        print!("{}", text.with_context(|| format!("there is no scenario {name}"))?.1);
        return Ok(true);
    }
    for (name, _) in LIBRARY {
        println!("{name:<22} {}", Scenario::find(name)?.about);
    }
    Ok(true)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let version = serde_json::from_str::<serde_json::Value>(&text).with_context(name)?;
    let version = version["version"].as_u64().unwrap_or(0);
    ensure!(
        version == u64::from(VERSION),
        "{} is of version {version}; this program reads {VERSION}",
        name()
    );
    serde_json::from_str(&text).with_context(name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
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
