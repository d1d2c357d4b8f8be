//! Rehearses at a running deployment: the visitors of a scenario come to the shadow of a real
//! event, over the same way as its buyers will. See README.md.

mod organizer;
mod relay;
mod target;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use onsale::devstack::Progress;
use onsale::serve::stop_signal;
use serde::Deserialize;
use tokio::sync::watch::{self, Receiver};
use tokio::time::timeout;

use self::organizer::{Organizer, Rehearsal};
use self::relay::Relay;
pub use self::target::Target;
use crate::run::{Playing, Seen, Watch};
use crate::scenario::{Door, Payments, Scenario, Shard};
use crate::screen;
use crate::verdict::report::Facts;
use crate::verdict::summary::Summary;
use crate::visitors::persona::Persona;
use crate::visitors::{Abroad, Crowd, Drawer, Gone, Site};
use crate::wire::{Ask, Origin};

/// Between the moment when the rehearsal is asked for and the first arrivals: the shadow is made
/// and built meanwhile.
const TAKE_BREATH: Duration = Duration::from_secs(10);
/// The rehearsal ends by itself so long after the visitors must have come to an end: if this
/// program dies, its crowd's places don't stay for long.
const AFTERWARDS: Duration = Duration::from_mins(10);
/// Longest rehearsal that a deployment allows.
const LONGEST: Duration = Duration::from_hours(6);
/// Orders and holds may take so long to come to rest beyond what the terms let them take.
const REST_WITHIN: Duration = Duration::from_secs(90);
/// How often it is looked whether they have.
const REST_EVERY: Duration = Duration::from_secs(1);

/// What visitors must know of the waiting room.
#[derive(Deserialize)]
struct RoomBody {
    proof: bool,
}

/// Plays the scenario at the deployment, and leaves nothing there.
///
/// # Errors
/// If it can't be played. A scenario that is played and fails is no error.
pub async fn play(mut scenario: Scenario, target: &Target, playing: &Playing) -> Result<Summary> {
    // One source of cryptography for everything that speaks TLS.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (base, key) = (target.base()?, target.key()?);
    crate::raise_descriptor_limit();
    let say = &playing.say;
    let organizer = Organizer::at(base.clone(), key, target.event.clone()).await?;
    let event = organizer.event().await?;
    scenario.terms.hold_seconds = event.hold_seconds;
    scenario.terms.pay_seconds = event.pay_seconds;
    scenario.terms.account_limit = event.account_limit.unwrap_or(0);
    // Those of the deployment, whatever they are.
    scenario.limits = true;
    for left_out in leave_out(&mut scenario) {
        say(&format!("left out: {left_out}"));
    }
    let relay = Relay::open(&base).await?;
    let lead = TAKE_BREATH + Duration::from_secs_f64(scenario.lead_s());
    let unpaid = u64::try_from(event.hold_seconds + event.pay_seconds)?;
    let lasts = Duration::from_secs_f64(scenario.ends_s) + Duration::from_secs(unpaid) + AFTERWARDS;
    say(&format!(
        "rehearsing {:?} at {base}: {} visitors come to a shadow of it from {:.0} s before its \
         opening on; nobody is charged or mailed; it ends in {:.0} min at the latest",
        event.name,
        scenario.arrivals.visitors,
        scenario.lead_s(),
        (lead + lasts).as_secs_f64() / 60.0,
    ));
    let mut stop = stop();
    let opens = Instant::now() + lead;
    let rehearsal = tokio::select! {
        begun = organizer.begin(lead, lasts.min(LONGEST)) => begun?,
        _ = stop.wait_for(|stop| *stop) => bail!(
            "interrupted while the rehearsal was begun: if it was, it ends by itself"
        ),
    };
    say(&format!("its shadow is {base}events/{} ({})", rehearsal.slug, rehearsal.id));
    let stage = Stage { organizer: &organizer, rehearsal: &rehearsal, playing, stop };
    let facts = stage.perform(scenario, &relay, &base, opens).await;
    say("ending the rehearsal");
    let gone = organizer.end(&rehearsal.id).await;
    match &gone {
        Ok(()) => say("nothing of it is left"),
        Err(error) => say(&format!(
            "it could not be ended ({error:#}): it ends by itself at {}, or by DELETE \
             /v1/organizer/events/{}/rehearsals/{}",
            rehearsal.ends_at, target.event, rehearsal.id
        )),
    }
    let mut summary = facts?.summary();
    // What is known of this machine says nothing of the deployment's.
    summary.cpu.clear();
    summary.cost = None;
    summary.drain_s = None;
    if gone.is_err() {
        summary.passed = false;
        summary.problems.push("the rehearsal could not be ended".to_owned());
    }
    Ok(summary)
}

/// Whether the program was told to stop: heard from here on, whatever goes on then.
fn stop() -> Receiver<bool> {
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        if stop_signal().await.is_ok() {
            told.send_replace(true);
        }
        // Whoever listens isn't told that nobody speaks.
        told.closed().await;
    });
    stop
}

/// What of a scenario can't be played at a deployment, in words.
fn leave_out(scenario: &mut Scenario) -> Vec<&'static str> {
    let mut left_out = vec!["terms, venue, servers and waiting room: the deployment has its own"];
    if !scenario.chaos.is_empty() {
        scenario.chaos.clear();
        left_out.push("chaos: nothing of a deployment is broken on purpose");
    }
    if scenario.payments.all().iter().any(|(share, _)| *share > 0.0) {
        scenario.payments = Payments::default();
        left_out.push("the provider's moods: a rehearsal's payments are approved or declined");
    }
    if scenario.personas.remove(&Persona::Member).is_some() {
        left_out.push("presale members: a shadow has no codes");
    }
    if let Some(people) = scenario.people.as_mut().filter(|people| people.crowded > 0.0) {
        people.crowded = 0.0;
        left_out.push("crowds in one network: many would have to sign in, and no codes are mailed");
    }
    if scenario.machine.is_some() {
        left_out.push("the machine's cost: its processors can't be seen from here");
    }
    left_out
}

/// A rehearsal that is on.
struct Stage<'a> {
    organizer: &'a Organizer,
    rehearsal: &'a Rehearsal,
    playing: &'a Playing,
    stop: Receiver<bool>,
}

impl Stage<'_> {
    async fn perform(
        &self,
        mut scenario: Scenario,
        relay: &Relay,
        base: &reqwest::Url,
        opens: Instant,
    ) -> Result<Facts> {
        let host = base.authority().to_owned();
        let scout = Origin::new(relay.address, 1)?.named(&host)?;
        scenario.waiting_room = self.door(&scout).await?;
        ensure!(
            scenario.waiting_room.is_some() || scenario.arrivals.from_s >= 0.0,
            "arrivals.from_s: the event has no waiting room, nobody can come before its opening"
        );
        ensure!(scenario.personas.values().sum::<f64>() > 0.0, "personas: nobody is left");
        let abroad =
            Abroad { event: self.rehearsal.id.clone(), tag: self.rehearsal.tag.clone(), host };
        let site = Site {
            servers: vec![relay.address],
            sandbox: relay.address,
            begun: Instant::now(),
            opens,
            shard: Shard::default(),
            abroad: Some(abroad),
            // The deployment mails its own codes, to real mailboxes.
            has_mail: false,
        };
        let crowd = Crowd::gather(scenario, site).await?;
        let (gone, interrupted, seen) = self.come(&crowd).await?;
        let drawer = self.rest(&crowd).await;
        let say = &self.playing.say;
        say("auditing");
        let audit = if interrupted {
            (false, "It was interrupted before the audit.".to_owned())
        } else {
            self.organizer.audit(&self.rehearsal.id).await?
        };
        if let Some(now) = self.organizer.look(&self.rehearsal.id).await? {
            let (paid, unsent) = (now.orders_paid, now.mails_unsent);
            say(&format!("{paid} orders paid with nothing, {unsent} mails not sent"));
        }
        Ok(Facts { drawer, audit, ..Facts::of(&crowd, gone, seen, interrupted) })
    }

    /// The waiting room as visitors need to know it, if there is one.
    async fn door(&self, scout: &Origin) -> Result<Option<Door>> {
        let path = format!("/v1/events/{}/waiting-room", self.rehearsal.id);
        let answer = scout.ask(&path, Ask::default()).await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let room: RoomBody = serde_json::from_slice(&answer.body).context("the waiting room")?;
        // How much work a proof takes is the deployment's word; that there is one must be known.
        let proof_hashes = if room.proof { u32::MAX } else { 0 };
        Ok(Some(Door::elsewhere(proof_hashes)))
    }

    /// Lets the visitors come; an interruption sends all home.
    async fn come(&self, crowd: &Arc<Crowd>) -> Result<(Gone, bool, Seen)> {
        let (say, screen) = (&self.playing.say, self.playing.screen);
        let watch = Arc::new(Watch::default());
        let looking = tokio::spawn(watch.clone().look(crowd.clone()));
        let showing = tokio::spawn(screen::show(crowd.clone(), watch.clone(), screen, say.clone()));
        let (visitors, mut stop, mut interrupted) = (crowd.clone(), self.stop.clone(), false);
        let mut play = tokio::spawn(async move { visitors.play().await });
        let gone = loop {
            tokio::select! {
                gone = &mut play => break gone.context("the crowd"),
                _ = stop.wait_for(|stop| *stop), if !interrupted => {
                    say("interrupted: all are sent home");
                    interrupted = true;
                    crowd.end();
                }
            }
        };
        looking.abort();
        showing.abort();
        if screen {
            screen::leave();
        }
        Ok((gone?, interrupted, watch.seen()))
    }

    async fn rest(&self, crowd: &Crowd) -> Option<Drawer> {
        let say: &Progress = &self.playing.say;
        say("waiting until everything is at rest");
        let terms = crowd.scenario.terms;
        let unpaid = u64::try_from(terms.hold_seconds + terms.pay_seconds).unwrap_or(0);
        let deadline = Instant::now() + REST_WITHIN + Duration::from_secs(unpaid);
        loop {
            let drawer = crowd.drawer().await;
            let at_rest = drawer.as_ref().is_some_and(Drawer::is_at_rest);
            let mut stop = self.stop.clone();
            let wait = timeout(REST_EVERY, stop.wait_for(|stop| *stop));
            if at_rest || wait.await.is_ok() || Instant::now() > deadline {
                return drawer;
            }
        }
    }
}
