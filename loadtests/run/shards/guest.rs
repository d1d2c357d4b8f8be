//! A generator that comes to a run which another one has set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::StatusCode;
use onsale::serve::stop_signal;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{COME_WITHIN, Invitation, LOOK_EVERY, SILENT_AFTER, State, at_file};
use crate::rig::cpu::Process;
use crate::run::{Beside, Playing, Watch, postman};
use crate::scenario::{Scenario, Shard};
use crate::verdict::report::Facts;
use crate::verdict::shards::Shards;
use crate::visitors::letters::{Letter, Waiting};
use crate::visitors::{Crowd, Site};
use crate::wire::{Answer, Ask, Origin};

/// How often it is asked whether everybody is sent home.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// An answer from the desk takes so long at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often what was seen is delivered at most, and the pause in between.
const DELIVERIES: u32 = 5;
const DELIVER_AGAIN: Duration = Duration::from_secs(2);

/// Where the desk is, and what is asked there.
struct Line {
    desk: Origin,
    path: String,
}

impl Line {
    /// Reads `http://127.0.0.1:1234/key`.
    fn parse(url: &str, shard: Shard) -> Result<Self> {
        let url = url.trim();
        let rest = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
        let (address, key) = rest.with_context(|| format!("{url} is no desk of a generator"))?;
        let address: SocketAddr = address.parse().with_context(|| format!("{url}: an address"))?;
        let path = format!("/{key}/{}", shard.number);
        Ok(Self { desk: Origin::new(address, 2)?, path })
    }

    async fn ask(&self, what: &str, body: String) -> Result<Answer> {
        let ask = Ask { body: Some(body), ..Ask::default() };
        Ok(self.desk.ask(&format!("{}/{what}", self.path), ask).await?)
    }

    /// How things stand, and when that was.
    async fn state(&self) -> Result<(State, Instant)> {
        let asked = Instant::now();
        let answer = timeout(ANSWER_WITHIN, self.ask("state", String::new())).await??;
        ensure!(answer.status.is_success(), "the first generator says {}", answer.status);
        Ok((serde_json::from_slice(&answer.body)?, asked + asked.elapsed() / 2))
    }

    /// The mails that are waited for.
    async fn mail(&self, waiting: &[Waiting]) -> Result<Vec<Letter>> {
        let body = serde_json::to_string(waiting)?;
        let answer = timeout(ANSWER_WITHIN, self.ask("mail", body)).await??;
        ensure!(answer.status.is_success(), "the first generator says {}", answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Leaves there what was seen.
    async fn deliver(&self, part: &str) -> Result<()> {
        let mut last = None;
        for _ in 0..DELIVERIES {
            match self.ask("part", part.to_owned()).await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => last = Some(anyhow::anyhow!("it says {}", answer.status)),
                Err(error) => last = Some(error),
            }
            sleep(DELIVER_AGAIN).await;
        }
        Err(last.context("nothing was tried")?.context("the first generator takes nothing"))
    }
}

/// Plays its part of the visitors: what it has seen, and whether the first one has taken it.
///
/// # Errors
/// If it can't join or play.
pub async fn join(playing: &Playing, name: Option<&str>) -> Result<(Facts, Result<()>)> {
    crate::raise_descriptor_limit();
    let (say, shard) = (&playing.say, playing.shards.shard);
    let come = async {
        let (line, invitation) = invited(playing).await?;
        let scenario = &invitation.scenario;
        let other = name.map(Scenario::find).transpose()?;
        let is_it = other.is_none_or(|other| other.name == scenario.name);
        ensure!(is_it, "the first generator plays {}", scenario.name);
        say(&format!("{}: generator {shard}, waiting for the others", scenario.name));
        let clock = loop {
            let (state, at) = line.state().await?;
            match state.clock {
                Some(clock) => break (clock, at),
                None => sleep(LOOK_EVERY).await,
            }
        };
        anyhow::Ok((line, invitation, clock))
    };
    let (line, invitation, (clock, at)) = tokio::select! {
        come = come => come?,
        _ = stop_signal() => bail!("interrupted"),
    };
    let Invitation { run, scenario, servers, sandbox } = invitation;
    let back = |time: Duration| at.checked_sub(time).unwrap_or(at);
    let begun = back(Duration::from_millis(clock.begun_ms_ago));
    let ahead = Duration::from_millis(clock.opens_in_ms.unsigned_abs());
    let opens = if clock.opens_in_ms >= 0 { at + ahead } else { back(ahead) };
    let site = Site { servers, sandbox, begun, opens, shard, abroad: None, has_mail: true };
    let crowd = Crowd::gather(scenario, site).await?;
    let line = Arc::new(line);
    let _mail = AbortOnDropHandle::new(tokio::spawn(carry(crowd.clone(), line.clone())));
    let _listening = AbortOnDropHandle::new(tokio::spawn(listen(crowd.clone(), line.clone())));
    let mut facts = come_and_go(&crowd, playing).await?;
    facts.shards = Some(Shards::one(run, shard, &facts));
    say("delivering what was seen");
    let delivered = line.deliver(&facts.pack()).await;
    Ok((facts, delivered))
}

/// Lets the visitors of this generator come and go.
async fn come_and_go(crowd: &Arc<Crowd>, playing: &Playing) -> Result<Facts> {
    let watch = Arc::new(Watch::default());
    let name = format!("generator-{}", crowd.shard.number);
    watch.replace(vec![Process { name, pid: std::process::id(), with_children: false }]);
    let beside = Beside::of(crowd, &watch, playing);
    let mut interrupted = false;
    let visitors = crowd.clone();
    let mut play = tokio::spawn(async move { visitors.play().await });
    let gone = loop {
        tokio::select! {
            gone = &mut play => break gone.context("the crowd")?,
            _ = stop_signal(), if !interrupted => {
                (playing.say)("interrupted: all are sent home");
                interrupted = true;
                crowd.end();
            }
        }
    };
    let seen = watch.seen();
    drop(beside);
    Ok(Facts::of(crowd, gone, seen, interrupted))
}

/// Says that this one is still there, and hears when everybody is sent home; or that the first
/// generator has gone.
async fn listen(crowd: Arc<Crowd>, line: Arc<Line>) {
    let mut heard = Instant::now();
    loop {
        match line.state().await {
            Ok((State { over, .. }, at)) => {
                heard = at;
                if over {
                    crowd.end();
                }
            }
            Err(_) if heard.elapsed() > SILENT_AFTER => crowd.end(),
            Err(_) => {}
        }
        sleep(ASK_EVERY).await;
    }
}

/// Has the first generator look for the mails that visitors here wait for.
async fn carry(crowd: Arc<Crowd>, line: Arc<Line>) {
    loop {
        let waiting = postman::waiting(&crowd).await;
        // What isn't answered is asked again.
        let found = line.mail(&waiting).await;
        found.into_iter().flatten().for_each(|letter| crowd.deliver(letter));
    }
}

/// Finds the first generator, which may still be setting things up, and joins.
async fn invited(playing: &Playing) -> Result<(Line, Invitation)> {
    let (options, started) = (&playing.shards, Instant::now());
    let url = options.at.as_deref().filter(|at| at.starts_with("http://"));
    let file = options.at.as_ref().map_or_else(|| at_file(&playing.directory), PathBuf::from);
    match url {
        Some(url) => (playing.say)(&format!("looking for the first generator at {url}")),
        None => (playing.say)(&format!("looking for the first generator in {}", file.display())),
    }
    loop {
        // A file may be of an earlier run, until this one's is written.
        let text = url.map_or_else(|| std::fs::read_to_string(&file), |url| Ok(url.to_owned()));
        if let Ok(text) = text.as_deref().map(str::trim)
            && !text.is_empty()
        {
            let line = Line::parse(text, options.shard)?;
            let answer = timeout(ANSWER_WITHIN, line.ask("join", options.shard.of.to_string()));
            match answer.await {
                Ok(Ok(answer)) if answer.status.is_success() => {
                    return Ok((line, serde_json::from_slice(&answer.body)?));
                }
                Ok(Ok(answer)) if answer.status == StatusCode::CONFLICT => {
                    bail!("{}", String::from_utf8_lossy(&answer.body));
                }
                _ => {}
            }
        }
        ensure!(started.elapsed() < COME_WITHIN, "the first generator isn't there");
        sleep(LOOK_EVERY).await;
    }
}
