//! A million visitors in one waiting room: how fast they join and poll, and what they cost.

pub mod bare;
pub mod client;
pub mod drive;
mod report;
pub mod visitors;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use onsale::cli::SampleVenue;
use onsale::devstack::Progress;
use onsale::http::limits::Limits;
use onsale::http::limits::table::{MAX_BURST, MAX_PER_SECOND, Rate};
use onsale::ids::{AccountId, EventId};
use onsale::keyring::Keyring;
use onsale::serve::stop_signal;
use onsale::waiting_room::draw::Draw;
use onsale::waiting_room::proof::{self, Challenge};
use onsale::waiting_room::{Lane, Room, standard, store};
use tokio::process::Child;
use tokio::time::sleep;

use self::drive::{Target, Until, Window, drive};
use self::report::{Quiet, Report, Round};
use self::visitors::{Joining, Plain, Polling, Tokens};
use crate::rig::cpu::{self, Process};
use crate::rig::gauge::{Gauge, Reading, resident_bytes};
use crate::rig::{EVENT, Rig, Setup, Terms, Tuning, put_room};
use crate::wire::{Ask, Origin};

/// Who joins and polls before anything is counted, so that the process has grown what it needs
/// for anybody at all.
const WARM_UP: u64 = 5_000;
/// Joins with proof of work.
const PROOFS: usize = 3_000;
/// Polls during which Redis and Postgres are watched.
const WATCHED: u64 = 100_000;
/// Windows per contender.
const WINDOWS: u32 = 5;
/// Shortest window.
const LEAST_WINDOW: Duration = Duration::from_secs(4);
/// What is awaited takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
/// The lane opens so long from now, in hours: not during the run, unless it is opened.
const OPENS_IN_HOURS: i64 = 6;
/// Challenges of few hashes: checking a proof costs the server the same however hard it was.
const EASY_PROOFS: &str = "[waiting_room.proof]\nbase = 500\nmax = 500\n";

/// How it is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Visitors who join.
    #[arg(long, default_value_t = 1_000_000)]
    visitors: u64,
    /// Seconds of polls, and as many of each bare handler, in five windows or more.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// Also write the figures into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Measures.
///
/// # Errors
/// In words for people.
pub async fn run(options: Options) -> Result<bool> {
    ensure!((10_000..=20_000_000).contains(&options.visitors), "--visitors: 10000 to 20000000");
    ensure!((1..=4_000).contains(&options.connections), "--connections: 1 to 4000");
    crate::raise_descriptor_limit();
    let say = crate::progress();
    let setup = Setup {
        directory: crate::directory(options.data_dir.as_ref())?,
        venue: SampleVenue::Arena,
        terms: Terms::default(),
        servers: 1,
        host: Ipv4Addr::LOCALHOST,
        room: Some(room),
        tuning: Tuning { limits: counted(), http: String::new(), more: EASY_PROOFS.to_owned() },
    };
    let mut rig = tokio::select! {
        rig = Rig::start(&setup, say.clone()) => rig?,
        _ = stop_signal() => anyhow::bail!("interrupted"),
    };
    let report = tokio::select! {
        report = measure(&options, &mut rig, &setup, &say) => report,
        _ = stop_signal() => Err(anyhow::anyhow!("interrupted")),
    };
    say("stopping everything");
    let stopped = rig.stop().await;
    let report = report?;
    stopped?;
    println!("{report}");
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(report.is_quiet())
}

/// Limits that refuse nobody here but are counted for every request, as they always are.
fn counted() -> Limits {
    let most = Rate { per_second: MAX_PER_SECOND, burst: MAX_BURST };
    let mut limits = Limits::none();
    limits.node.waiting_per_address = most;
    limits.node.waiting_per_session = Limits::default().node.waiting_per_session;
    limits.shared.joins = most;
    limits
}

/// The room, with a lane that one can join now.
pub fn room(event: EventId) -> Room {
    let now = Timestamp::now();
    let opens = now + SignedDuration::from_hours(OPENS_IN_HOURS);
    let lane = Lane::general(event, now - SignedDuration::from_mins(10), opens, opens);
    let draw = Draw::new(event, 0, [0; 32], "a coin that is tossed in the stadium", None, None);
    Room { lanes: vec![Lane { draw, ..lane }], ..standard(event) }
}

/// One run's parts.
struct Run<'a> {
    options: &'a Options,
    say: &'a Progress,
    target: Target,
    server: Process,
    room_path: String,
    gauge: Gauge,
}

async fn measure(
    options: &Options,
    rig: &mut Rig,
    setup: &Setup,
    say: &Progress,
) -> Result<Report> {
    let pid = rig.shop.server_pids()[0];
    let server = Process { name: "server".into(), pid, with_children: false };
    let mut run = Run {
        options,
        say,
        target: Target::new(rig.shop.server_addresses[0], options.connections),
        server,
        room_path: format!("/v1/events/{EVENT}/waiting-room"),
        gauge: Gauge::open(rig.redis_url(), &rig.shop.pg).await?,
    };
    say("joins with proof of work");
    let with_proof = run.join_with_proof(rig).await?;
    put_room(&rig.shop.pg, &Room { proof: false, ..room(rig.shop.event) }).await?;
    run.until_told("\"proof\":false").await?;
    let (tokens, _) = run.join(rig, WARM_UP).await?;
    run.poll_all(tokens).await?;
    let (before_bytes, before) = (resident_bytes(pid)?, run.gauge.read().await?);
    say(&format!("{} visitors join", options.visitors));
    let (tokens, joins) = run.join(rig, options.visitors).await?;
    say(&format!("{:.0} joins/s; each of them polls", joins.per_s));
    let joined_bytes = resident_bytes(pid)?;
    let (polling, before_draw) = run.poll_all(tokens).await?;
    let (after_bytes, after) = (resident_bytes(pid)?, run.gauge.read().await?);
    say(&format!("{:.0} polls/s; the draw is made", before_draw.per_s));
    run.draw(rig).await?;
    let (quiet, told) = run.watch(&polling).await?;
    let rounds = run.compare(&polling, setup).await?;
    rig.shop.check()?;
    Ok(Report {
        version: 1,
        visitors: options.visitors,
        connections: options.connections,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        with_proof,
        joins,
        before_draw,
        told,
        resident: [before_bytes, joined_bytes, after_bytes],
        redis: [before.redis_bytes, after.redis_bytes],
        quiet,
        rounds,
    })
}

impl Run<'_> {
    /// Lets so many visitors join, each with a session of their own.
    async fn join(&self, rig: &Rig, count: u64) -> Result<(Tokens, Window)> {
        self.join_as(rig, count, Vec::new()).await
    }

    async fn join_as(
        &self,
        rig: &Rig,
        count: u64,
        proofs: Vec<(String, String)>,
    ) -> Result<(Tokens, Window)> {
        let joining = Arc::new(Joining {
            keyring: Keyring::new(&rig.shop.secrets.keys)?,
            path: format!("{}/join", self.room_path),
            proofs,
            tokens: std::sync::Mutex::default(),
        });
        let window = drive(self.target, joining.clone(), 0, Until::Count(count)).await?;
        let joining = Arc::into_inner(joining).context("nobody joins any more")?;
        let tokens = joining.tokens.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        ensure!(tokens.count() as u64 == count, "{} of {count} have a token", tokens.count());
        Ok((tokens, window))
    }

    /// Lets visitors join who have solved a challenge each; only the joining is timed.
    async fn join_with_proof(&self, rig: &Rig) -> Result<Window> {
        let keyring = Keyring::new(&rig.shop.secrets.keys)?;
        let origin = Origin::new(self.target.address, 8)?;
        let path = format!("{}/challenge", self.room_path);
        let mut proofs = Vec::with_capacity(PROOFS);
        for _ in 0..PROOFS {
            let session = keyring.session(AccountId::fresh(), Timestamp::now());
            let bearer = format!("Bearer {session}").parse()?;
            let ask = Ask { session: Some(&bearer), ..Ask::default() };
            let answer = origin.ask(&path, ask).await?;
            let challenge: Challenge =
                serde_json::from_slice(&answer.body).context("no challenge")?;
            proofs.push((session, proof::solve(&challenge).context("no solution")?));
        }
        let (_, window) = self.join_as(rig, PROOFS as u64, proofs).await?;
        Ok(window)
    }

    /// Lets each of them poll once.
    async fn poll_all(&self, tokens: Tokens) -> Result<(Arc<Polling>, Window)> {
        let count = tokens.count() as u64;
        let polling = Arc::new(Polling {
            tokens: RwLock::new(tokens),
            path: format!("{}/place", self.room_path),
            states: Default::default(),
        });
        let window = drive(self.target, polling.clone(), 0, Until::Count(count)).await?;
        Ok((polling, window))
    }

    /// Waits until everybody is told something that contains this.
    async fn until_told(&self, words: &str) -> Result<()> {
        let origin = Origin::new(self.target.address, 1)?;
        let started = Instant::now();
        loop {
            let answer = origin.ask(&self.room_path, Ask::default()).await?;
            if String::from_utf8_lossy(&answer.body).contains(words) {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "it is never told that {words}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends joining the draw, and makes it.
    async fn draw(&self, rig: &Rig) -> Result<()> {
        let (pg, event) = (&rig.shop.pg, rig.shop.event);
        let mut connection = pg.acquire().await?;
        store::open_now(&mut connection, event).await?;
        ensure!(store::put_beacon(pg, event, 0, "heads").await?, "no draw was made");
        self.until_told("\"phase\":\"open\"").await
    }

    /// What Redis and Postgres do during polls, and during as much time without them.
    async fn watch(&mut self, polling: &Arc<Polling>) -> Result<(Quiet, Vec<(&'static str, u64)>)> {
        (self.say)("Redis and Postgres during polls and without");
        // Postgres's counts are a second behind.
        let settle = Duration::from_millis(1_500);
        sleep(settle).await;
        polling.told();
        let first = self.gauge.read().await?;
        let started = Instant::now();
        drive(self.target, polling.clone(), 0, Until::Count(WATCHED)).await?;
        sleep(settle).await;
        let took = started.elapsed();
        let second = self.gauge.read().await?;
        sleep(took).await;
        let third = self.gauge.read().await?;
        let between = |from: &Reading, to: &Reading| {
            (to.redis_commands - from.redis_commands, to.transactions - from.transactions)
        };
        let (polls, idle) = (between(&first, &second), between(&second, &third));
        let quiet = Quiet { polls: WATCHED, seconds: took.as_secs_f64(), with_polls: polls, idle };
        Ok((quiet, polling.told()))
    }

    /// Polls against bare handlers, in turns.
    async fn compare(&self, polling: &Arc<Polling>, setup: &Setup) -> Result<Vec<Round>> {
        let answer = self.one_answer(polling).await?;
        let (child, address) = self.start_bare(setup, &answer).await?;
        let bare_target = Target::new(address, self.options.connections);
        let pid = child.id().context("the bare server has ended")?;
        let bare = Process { name: "bare".into(), pid, with_children: false };
        let plain = |path| Arc::new(Plain::new(path, answer.len()));
        let length = LEAST_WINDOW.max(Duration::from_secs(self.options.seconds) / WINDOWS);
        let mut rounds = Vec::new();
        let (mut first, end) = (0, Instant::now() + length * WINDOWS * 3);
        while Instant::now() < end || rounds.len() < WINDOWS as usize {
            (self.say)(&format!("round {}", rounds.len() + 1));
            let polls =
                self.timed(&self.server, self.target, polling.clone(), first, length).await?;
            first += polls.0.requests;
            let padded = self.timed(&bare, bare_target, plain(bare::PADDED), 0, length).await?;
            let document = self.timed(&bare, bare_target, plain(bare::DOCUMENT), 0, length).await?;
            rounds.push(Round { answer_bytes: answer.len(), polls, padded, document });
        }
        drop(child);
        Ok(rounds)
    }

    /// A window, and the server's processor time per request in microseconds.
    async fn timed(
        &self,
        process: &Process,
        target: Target,
        asking: Arc<dyn drive::Asking>,
        first: u64,
        length: Duration,
    ) -> Result<(Window, f64)> {
        let processes = std::slice::from_ref(process);
        let before = cpu::read(processes);
        let window = drive(target, asking, first, Until::Time(length)).await?;
        let used = cpu::read(processes).since(&before).used[0];
        Ok((window, used.as_secs_f64() * 1e6 / window.requests.max(1) as f64))
    }

    async fn one_answer(&self, polling: &Polling) -> Result<Vec<u8>> {
        use self::drive::Asking;
        let mut client = client::Client::open([127, 0, 0, 1].into(), self.target.address).await?;
        let mut request = Vec::new();
        polling.write(0, &mut request);
        Ok(client.ask(&request).await?.body.to_vec())
    }

    async fn start_bare(&self, setup: &Setup, answer: &[u8]) -> Result<(Child, SocketAddr)> {
        let path = setup.directory.join("answer.json");
        std::fs::write(&path, answer)?;
        let path = path.to_string_lossy();
        bare::start(&["bare", "--answer", &path], bare::PADDED).await
    }
}
