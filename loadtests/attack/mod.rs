//! `cargo surge bots`: all scenes of bots against people, and what each part of the budget buys.

mod page;
mod plan;
mod report;
mod stages;

use std::path::PathBuf;

use anyhow::{Context, Result};
use onsale::devstack::{Options as StackOptions, Stack};

use self::report::Report;
use self::stages::Stages;

/// How it is played.
#[derive(clap::Args)]
pub struct Options {
    /// Names everybody's choices and the draws of the first repetition.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Repetitions with other choices and other draws; what is compared is all of them together.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Plays the whole crowd of 100,000 people as well, which takes some minutes more.
    #[arg(long)]
    whole: bool,
    /// Also write the report into this file, as a page with its plots; by default in the build
    /// directory.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Also write the figures into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Plays all scenes. True if the goal is met.
///
/// # Errors
/// In words for people.
pub async fn run(options: Options) -> Result<bool> {
    let directory = crate::directory(options.data_dir.as_ref())?;
    let say = crate::progress();
    let mut stack_options = StackOptions::new(directory.join("servers"));
    (stack_options.database_url, stack_options.redis_url) = (None, None);
    stack_options.progress = say.clone();
    let stack = Stack::start(stack_options).await?;
    let report = Box::pin(play(&options, &stack, &*say)).await;
    stack.stop().await?;
    let report = report?;
    println!("{report}");
    let page = options.page.unwrap_or_else(|| directory.join("bots.html"));
    std::fs::write(&page, page::page(&report)).with_context(|| format!("{}", page.display()))?;
    println!("The same with plots: {}", page.display());
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(report.verdict.met)
}

async fn play(
    options: &Options,
    stack: &Stack,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Report> {
    let stages = Stages::open(stack).await?;
    let seeds: Vec<u64> = (0..options.seeds).map(|more| options.seed + more).collect();
    let played = plan::play_all(&stages, &seeds, options.whole, say).await;
    stages.close().await?;
    Ok(Report::new(played?))
}
