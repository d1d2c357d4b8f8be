//! The bench: what onsale does per second, each figure beside its physical limit, measured in the
//! same run on the same machine. The server side (servers, Redis, Postgres) is pinned to one core
//! and the generator with the payment provider to the other, for figure and limit alike; windows
//! of figure and limit take turns.

pub mod bare_hold;
mod best;
mod commits;
mod contest;
mod events;
mod figure;
mod hall;
mod holds;
mod memory;
mod open_loop;
mod overload;
pub mod pin;
mod purchases;
mod recovery;
mod script;
mod sizes;
mod stage;
mod stock;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use onsale::devstack::Progress;
use onsale::serve::stop_signal;

use self::contest::{Contest, Which};
use self::figure::{Figure, Table};
use self::sizes::Sizes;
use self::stage::Stage;

/// Connections of the closed loops.
const CONNECTIONS: usize = 64;

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
    /// Everything small, and no verdict on how fast it is: whether the bench itself works.
    #[arg(long)]
    miniature: bool,
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
        println!("{}", audit.trim_end().lines().last().unwrap_or_default());
    }
    Ok(clean && (options.miniature || figures.iter().all(Figure::reached)))
}

fn summary(figures: &[Figure], options: &Options, clean: bool) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for figure in figures {
        all.insert(figure.name.to_owned(), figure.json());
    }
    all.insert("audit_clean".into(), clean.into());
    all.insert("rounds".into(), options.rounds.into());
    all.insert("window_s".into(), options.window.into());
    all.insert("miniature".into(), options.miniature.into());
    all.insert("machine".into(), stage::machine());
    all.into()
}

async fn measure(options: &Options, stage: &mut Stage, say: &Progress) -> Result<Vec<Figure>> {
    let sizes = if options.miniature { Sizes::miniature() } else { Sizes::default() };
    let mut contests: Vec<(Contest, Figure)> = Vec::new();
    for which in Which::value_variants().iter().filter(|which| options.wants(**which)) {
        say(&format!("setting up {}", which.figure().name));
        let contest = Contest::set_up(*which, stage, &sizes, options.buyers).await?;
        contests.push((contest, which.figure()));
    }
    // Else Postgres would tidy up after the imports while something is measured.
    sqlx::query("VACUUM ANALYZE").execute(&stage.rig.shop.pg).await?;
    sqlx::query("CHECKPOINT").execute(&stage.rig.shop.pg).await?;
    // Memory is measured before much was done, and Redis is killed when nothing else needs it.
    for turn in Turn::ALL {
        let rounds = if turn == Turn::First { 1 } else { options.rounds };
        for round in 1..=rounds {
            for (contest, figure) in contests.iter_mut().filter(|(one, _)| one.turn() == turn) {
                say(&format!("round {round} of {rounds}: {}", figure.name));
                contest.window(stage, options, figure).await?;
            }
        }
        if turn == Turn::Last && contests.iter().any(|(one, _)| one.turn() == turn) {
            say("building all events in Redis again");
            stage.rebuilt().await?;
        }
    }
    Ok(contests.into_iter().map(|(_, figure)| figure).collect())
}

/// When figures are measured; those of one turn take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Once, before all others.
    First,
    /// In each round.
    Round,
    /// In rounds of their own, after all others.
    Last,
}

impl Turn {
    const ALL: [Self; 3] = [Self::First, Self::Round, Self::Last];
}

impl Options {
    const fn length(&self) -> Duration {
        Duration::from_secs(self.window)
    }
}
