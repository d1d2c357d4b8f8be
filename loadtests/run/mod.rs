//! Plays a scenario: sets everything up, lets the visitors come, lets things go wrong, waits until
//! all is at rest, audits, and reports.

mod balance;
mod chaos;
mod doors;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use onsale::devstack::Progress;
use onsale::http::limits::Limits;
use onsale::serve::stop_signal;
use tokio::time::{sleep, sleep_until};

pub use self::watch::{Seen, Watch};
use crate::rig::{Rig, Setup, Tuning};
use crate::scenario::{Chaos, Door, Fault, Scenario};
use crate::screen;
use crate::verdict::report::Facts;
use crate::verdict::summary::{ChaosRow, Summary};
use crate::visitors::{Crowd, Drawer, Gone, Site};
use crate::wire::Origin;

/// Between the moment when all is ready and the first arrivals.
const TAKE_BREATH: Duration = Duration::from_secs(2);
/// Orders and holds may take so long to come to rest once all are gone, beyond what the sale's
/// terms let them take.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// What a server was interrupted in, mails above all, others take over after so long.
const LEASES_WITHIN: Duration = Duration::from_mins(7);
/// How often the audit is repeated in that time.
const AUDIT_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const REST_EVERY: Duration = Duration::from_millis(250);
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
        // Shared connections are those of a proxy in front, which says who is behind them.
        http.push_str("trusted_proxies = [\"127.0.0.0/8\"]\n");
    }
    let more = scenario.waiting_room.as_ref().map(room_section).unwrap_or_default();
    Setup {
        directory: playing.directory.clone(),
        venue: scenario.venue.into(),
        terms: scenario.terms,
        servers: scenario.servers,
        room: None,
        tuning: Tuning { limits, http, more },
    }
}

fn room_section(door: &Door) -> String {
    let mut text = String::new();
    if let Some([least, most]) = door.poll_s {
        text.push_str(&format!("[waiting_room]\npoll_min_s = {least}\npoll_max_s = {most}\n"));
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
    let opens = Instant::now() + TAKE_BREATH + Duration::from_secs_f64(scenario.lead_s());
    let (servers, sandbox) = (rig.shop.server_addresses.clone(), rig.shop.sandbox_address);
    let site = Site { servers, sandbox, opens, abroad: None };
    let crowd = Crowd::gather(scenario, site).await?;
    let mut beside = Beside { tasks: Vec::new(), screen: playing.screen };
    if let Some(door) = crowd.scenario.waiting_room.clone() {
        let (pg, event) = (rig.shop.pg.clone(), rig.shop.event);
        let draws = doors::open(&crowd, &door, &pg, event).await?;
        beside.tasks.push(tokio::spawn(doors::draw(crowd.clone(), draws, pg, event)));
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
    beside.tasks.push(tokio::spawn(watch.clone().look(crowd.clone())));
    beside.tasks.push(tokio::spawn(balance::balance(crowd.clone())));
    let show = screen::show(crowd.clone(), watch.clone(), playing.screen, say.clone());
    beside.tasks.push(tokio::spawn(show));
    let (gone, chaos, interrupted) = with_chaos(&crowd, rig, &watch, say).await?;
    let seen = watch.seen();
    drop(beside);
    rig.shop.check()?;
    conclude(rig, &crowd, gone, (chaos, interrupted), seen, say).await
}

/// Lets the visitors come while things go wrong; an interruption sends all home.
async fn with_chaos(
    crowd: &Arc<Crowd>,
    rig: &mut Rig,
    watch: &Watch,
    say: &Progress,
) -> Result<(Gone, Vec<ChaosRow>, bool)> {
    let mut plan: Vec<Chaos> = crowd.scenario.chaos.clone();
    plan.retain(|chaos| chaos.what != Fault::CorruptTicket);
    plan.sort_by(|a, b| b.at_s.total_cmp(&a.at_s));
    let (mut done, mut interrupted) = (Vec::new(), false);
    let playing = crowd.clone();
    let mut play = tokio::spawn(async move { playing.play().await });
    loop {
        let at = plan.last().map(|next| crowd.opens + Duration::from_secs_f64(next.at_s.max(0.0)));
        let due = async {
            match at {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            gone = &mut play => return Ok((gone.context("the crowd")?, done, interrupted)),
            _ = stop_signal(), if !interrupted => {
                say("interrupted: all are sent home");
                interrupted = true;
                crowd.end();
            }
            () = due, if !crowd.is_over() || at.is_none() => {
                let Some(Chaos { at_s, what }) = plan.pop() else { continue };
                say(&format!("chaos: {}", what.name()));
                let took_s = chaos::strike(rig, what).await?;
                watch.replace(rig.processes().await);
                say(&format!("chaos: all is back after {took_s:.1} s"));
                done.push(ChaosRow { at_s, what: what.name().to_owned(), took_s });
            }
        }
    }
}

/// Audits, again and again for so long while it finds anything.
async fn audit(rig: &Rig, patience: Duration) -> Result<(bool, String)> {
    let started = Instant::now();
    loop {
        let audit = rig.shop.audit().await?;
        if audit.0 || started.elapsed() >= patience {
            return Ok(audit);
        }
        sleep(AUDIT_EVERY).await;
    }
}

/// Waits until everything is at rest, counts and audits.
async fn conclude(
    rig: &Rig,
    crowd: &Arc<Crowd>,
    gone: Gone,
    (chaos, interrupted): (Vec<ChaosRow>, bool),
    seen: Seen,
    say: &Progress,
) -> Result<Summary> {
    say("waiting until everything is at rest");
    let terms = crowd.scenario.terms;
    let unpaid = Duration::from_secs(u64::try_from(terms.hold_seconds + terms.pay_seconds)?);
    let deadline = Instant::now() + REST_WITHIN + unpaid;
    let drawer = loop {
        let drawer = crowd.drawer().await;
        if drawer.as_ref().is_some_and(Drawer::is_at_rest) || Instant::now() > deadline {
            break drawer;
        }
        sleep(REST_EVERY).await;
    };
    // Whatever a server was interrupted in telling, by its own end or by Postgres's, is leased.
    let interrupting = [Fault::KillServer.name(), Fault::RestartPostgres.name()];
    let was_interrupted = chaos.iter().any(|row| interrupting.contains(&row.what.as_str()));
    let leases = if was_interrupted { LEASES_WITHIN } else { Duration::ZERO };
    let drained = rig.shop.drain(leases).await?;
    if crowd.scenario.chaos.iter().any(|chaos| chaos.what == Fault::CorruptTicket) {
        say("chaos: the database is corrupted");
        chaos::corrupt(&rig.shop.pg).await?;
    }
    say("auditing");
    let audit = audit(rig, leases).await?;
    let origins = crowd.servers.iter().chain([&crowd.sandbox]);
    let opened = origins.map(|origin| u64::from(Origin::opened(origin))).sum();
    Ok(Facts {
        scenario: crowd.scenario.clone(),
        interrupted,
        capacity: crowd.shop.capacity,
        opened_s: crowd.opens.saturating_duration_since(crowd.begun).as_secs_f64(),
        connections: (crowd.open.most(), opened),
        gone,
        tally: crowd.tallies.sum(),
        seen,
        drawer,
        drained,
        audit,
        chaos,
    }
    .summary())
}
