//! Plays a scenario: sets everything up, lets the visitors come, lets things go wrong, waits until
//! all is at rest, audits, and reports.

mod balance;
mod chaos;
mod conclude;
mod doors;
mod postman;
pub mod shards;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use onsale::devstack::Progress;
use onsale::http::limits::Limits;
use onsale::serve::stop_signal;
use tokio::time::sleep_until;

use self::shards::Desk;
pub use self::watch::{Seen, Watch};
use crate::rig::{Rig, Setup, Tuning};
use crate::scenario::{Chaos, Door, Fault, Scenario};
use crate::screen;
use crate::verdict::summary::{ChaosRow, Summary};
use crate::visitors::{Crowd, Gone, Site};

/// Between the moment when all is ready and the first arrivals.
const TAKE_BREATH: Duration = Duration::from_secs(2);
/// The same, where other generators have to hear of it.
const BREATHE_TOGETHER: Duration = Duration::from_secs(5);
/// Servers keep visitors' connections for so long without use, in seconds: longer than visitors
/// are told to wait between two polls.
const KEEP_ALIVE_S: u32 = 120;

/// How a scenario is played.
pub struct Playing {
    /// Where data and logs go.
    pub directory: PathBuf,
    /// Whether there is a terminal to draw on.
    pub screen: bool,
    /// Says what happens.
    pub say: Progress,
    /// Which part of it is played here.
    pub shards: shards::Options,
}

/// Plays it.
///
/// # Errors
/// If it can't be played. A scenario that is played and fails is no error.
pub async fn play(scenario: Scenario, playing: &Playing) -> Result<Summary> {
    crate::raise_descriptor_limit();
    let setup = setup(&scenario, playing);
    let mut rig = tokio::select! {
        rig = Rig::start(&setup, playing.say.clone()) => rig?,
        _ = stop_signal() => bail!("interrupted"),
    };
    let summary = on_stage(scenario, playing, &mut rig).await;
    (playing.say)("stopping everything");
    let stopped = rig.stop().await;
    let summary = summary?;
    stopped?;
    Ok(summary)
}

fn setup(scenario: &Scenario, playing: &Playing) -> Setup {
    let mut http = format!("header_timeout_s = {KEEP_ALIVE_S}\n");
    let mut limits = Limits::none();
    if scenario.limits {
        limits = Limits::default();
        // Shared connections are those of a proxy in front, which says who is behind them. Whoever
        // comes from elsewhere is a generator.
        let network = if playing.shards.host.is_loopback() { "127.0.0.0/8" } else { "0.0.0.0/0" };
        http.push_str(&format!("trusted_proxies = [\"{network}\"]\n"));
    }
    let more = scenario.waiting_room.as_ref().map(room_section).unwrap_or_default();
    Setup {
        directory: playing.directory.clone(),
        venue: scenario.venue.into(),
        terms: scenario.terms,
        servers: scenario.servers,
        host: playing.shards.host,
        room: None,
        tuning: Tuning { limits, http, more },
    }
}

fn room_section(door: &Door) -> String {
    let mut text = "[waiting_room]\n".to_owned();
    if let Some([least, most]) = door.poll_s {
        text.push_str(&format!("poll_min_s = {least}\npoll_max_s = {most}\n"));
    }
    if let Some(polls) = door.opening_polls_per_s {
        text.push_str(&format!("opening_polls_per_s = {polls}\n"));
    }
    if door.proof_hashes > 0 {
        let (base, max) = (door.proof_hashes, door.proof_hashes.saturating_mul(8));
        text.push_str(&format!("[waiting_room.proof]\nbase = {base}\nmax = {max}\n"));
    }
    text
}

/// What goes on beside the visitors, and ends with the run.
struct Beside {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    screen: bool,
}

impl Beside {
    /// Looks at the visitors and the processes, asks the servers, and shows it all.
    fn of(crowd: &Arc<Crowd>, watch: &Arc<Watch>, playing: &Playing) -> Self {
        let (screen, say) = (playing.screen, playing.say.clone());
        let tasks = vec![
            tokio::spawn(watch.clone().look(crowd.clone())),
            tokio::spawn(balance::balance(crowd.clone())),
            tokio::spawn(screen::show(crowd.clone(), watch.clone(), screen, say)),
        ];
        Self { tasks, screen }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        if self.screen {
            screen::leave();
        }
    }
}

async fn on_stage(scenario: Scenario, playing: &Playing, rig: &mut Rig) -> Result<Summary> {
    let say = &playing.say;
    let open = Desk::open(&scenario, playing, &rig.shop).await?;
    let desk = open.as_ref().map(|open| open.desk.clone());
    if let Some(desk) = &desk {
        tokio::select! {
            all = desk.wait_for_all() => all?,
            _ = stop_signal() => bail!("interrupted"),
        }
    }
    let breath = if desk.is_some() { BREATHE_TOGETHER } else { TAKE_BREATH };
    let begun = Instant::now();
    let site = Site {
        servers: rig.shop.server_addresses.clone(),
        sandbox: rig.shop.sandbox_address,
        begun,
        opens: begun + breath + Duration::from_secs_f64(scenario.lead_s()),
        shard: playing.shards.shard,
        abroad: None,
        has_mail: true,
    };
    let crowd = Crowd::gather(scenario, site).await?;
    let (pg, event) = (rig.shop.pg.clone(), rig.shop.event);
    let draws = match crowd.scenario.waiting_room.clone() {
        Some(door) => doors::open(&crowd, &door, &pg, event).await?,
        None => Vec::new(),
    };
    if let Some(desk) = &desk {
        desk.start(crowd.begun, crowd.opens);
    }
    say(&format!(
        "{}: {} places, {} visitors, seed {}",
        crowd.scenario.name,
        crowd.shop.capacity,
        crowd.scenario.arrivals.visitors,
        crowd.scenario.seed
    ));
    let watch = Arc::new(Watch::default());
    watch.replace(rig.processes().await);
    let mut beside = Beside::of(&crowd, &watch, playing);
    beside.tasks.push(tokio::spawn(postman::work(crowd.clone(), pg.clone())));
    beside.tasks.push(tokio::spawn(doors::draw(crowd.clone(), draws, pg, event)));
    let mut came = with_chaos(&crowd, desk.as_ref(), rig, &watch, say).await?;
    let seen = watch.seen();
    drop(beside);
    rig.shop.check()?;
    let others = std::mem::take(&mut came.others);
    let facts = conclude::conclude(rig, &crowd, came, seen, say).await?;
    let whole = match &desk {
        Some(desk) => desk.whole(facts, &others)?,
        None => facts,
    };
    Ok(whole.summary())
}

/// What came of the visitors.
struct Came {
    gone: Gone,
    /// What other generators have seen.
    others: Vec<String>,
    chaos: Vec<ChaosRow>,
    interrupted: bool,
}

/// Lets the visitors come while things go wrong; an interruption sends all home.
async fn with_chaos(
    crowd: &Arc<Crowd>,
    desk: Option<&Arc<Desk>>,
    rig: &mut Rig,
    watch: &Watch,
    say: &Progress,
) -> Result<Came> {
    let mut plan: Vec<Chaos> = crowd.scenario.chaos.clone();
    plan.retain(|chaos| chaos.what != Fault::CorruptTicket);
    plan.sort_by(|a, b| b.at_s.total_cmp(&a.at_s));
    let (mut chaos, mut interrupted) = (Vec::new(), false);
    let (visitors, waiting) = (crowd.clone(), desk.cloned());
    let mut play = tokio::spawn(async move {
        let gone = visitors.play().await;
        let others = match waiting {
            Some(desk) => desk.parts().await,
            None => Vec::new(),
        };
        (gone, others)
    });
    loop {
        let at = plan.last().map(|next| crowd.opens + Duration::from_secs_f64(next.at_s.max(0.0)));
        let due = async {
            match at {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            came = &mut play => {
                let (gone, others) = came.context("the crowd")?;
                return Ok(Came { gone, others, chaos, interrupted });
            }
            _ = stop_signal(), if !interrupted => {
                say("interrupted: all are sent home");
                interrupted = true;
                crowd.end();
                if let Some(desk) = desk {
                    desk.send_home();
                }
            }
            () = due, if !crowd.is_over() || at.is_none() => {
                let Some(Chaos { at_s, what }) = plan.pop() else { continue };
                say(&format!("chaos: {}", what.name()));
                let took_s = self::chaos::strike(rig, what).await?;
                watch.replace(rig.processes().await);
                say(&format!("chaos: all is back after {took_s:.1} s"));
                chaos.push(ChaosRow { at_s, what: what.name().to_owned(), took_s });
            }
        }
    }
}
