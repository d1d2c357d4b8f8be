//! `onsale demo`: a realistic arena on sale, on private servers, in one command.

pub mod club;
pub mod crowd;
pub mod opening;
pub mod presale;
pub mod seed;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use rand::Rng;
use tokio::net::TcpListener;

use crate::config::{Config, KeyConfig, Keys};
use crate::db;
use crate::devstack::{self, Stack};
use crate::serve::Server;

/// Where the demo listens if nothing else does.
const PORT: u16 = 8080;

/// How the demo is started.
#[derive(Debug)]
pub struct Options {
    /// Where its data stays.
    pub data_dir: PathBuf,
    /// Where it listens; by default port 8080, or any free one.
    pub listen: Option<SocketAddr>,
    /// Install missing servers with the system's package manager.
    pub install: bool,
    /// Gets the URL once everything is up: for scripts.
    pub ready_file: Option<PathBuf>,
    /// Begin with empty data.
    pub fresh: bool,
    /// The arena has a waiting room, which opens anew with each start.
    pub waiting_room: bool,
    /// Simulated visitors wait in it.
    pub crowd: bool,
    /// Put a stadium on sale, too.
    pub stadium: bool,
}

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// If a server can't be had or started: says in one line what to do.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let say: devstack::Progress = Arc::new(move |line: &str| {
        eprintln!("{:>6.1} s  {line}", started.elapsed().as_secs_f32());
    });
    if options.fresh && options.data_dir.exists() {
        say("removing the old data");
        std::fs::remove_dir_all(&options.data_dir)?;
    }
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("{} can't be made", options.data_dir.display()))?;
    let mut stack_options = devstack::Options::new(options.data_dir.join("servers"));
    stack_options.progress = say.clone();
    stack_options.install = options.install;
    let stack = Stack::start(stack_options).await?;
    let served = serve(&options, &stack, &say, started).await;
    say("stopping Postgres and Redis");
    let stopped = stack.stop().await;
    served?;
    stopped?;
    Ok(())
}

async fn serve(
    options: &Options,
    stack: &Stack,
    say: &devstack::Progress,
    started: Instant,
) -> anyhow::Result<()> {
    let listener = listen(options.listen).await?;
    let mut config = Config::load(None)?;
    config.database.url.clone_from(&stack.database_url);
    config.redis.url.clone_from(&stack.redis_url);
    configure(&mut config, &options.data_dir, listener.local_addr()?)?;
    say("migrating the database");
    let pg = crate::app::connect_postgres(&config).await?;
    db::migrate(&pg).await?;
    seed::demo(&pg, &**say).await?;
    if options.stadium {
        seed::stadium(&pg, &**say).await?;
    }
    pg.close().await;
    say("opening the doors");
    let server = Server::start(config, Some(listener)).await?;
    build_all(&server).await;
    let url = server.app.config.http.public_url.clone();
    let waits = open_waiting_room(options, &server, &url).await?;
    if let Some(file) = &options.ready_file {
        std::fs::write(file, &url)?;
    }
    greet(&url, started.elapsed().as_secs_f32(), waits);
    server.run().await
}

/// Opens the waiting room and sends others there, as it is wished. Whether there is something to
/// wait for.
async fn open_waiting_room(options: &Options, server: &Server, url: &str) -> anyhow::Result<bool> {
    let app = &server.app;
    if !options.waiting_room {
        opening::lift(app).await?;
        return Ok(false);
    }
    let Some(lane) = opening::open(app).await? else {
        println!("The waiting room was opened very often: --fresh lets the demo open it again.");
        return Ok(false);
    };
    if options.crowd {
        let stop = app.draining.child_token();
        let (url, event) = (url.to_owned(), opening::EVENT.to_owned());
        tokio::spawn(crowd::run(crowd::Crowd::default(), url, event, lane, stop));
    }
    Ok(true)
}

/// Builds what is on sale now, so that the first visitor finds it ready.
async fn build_all(server: &Server) {
    if let Ok(events) = crate::catalog::store::selling(&server.app.pg).await {
        for event in events {
            if let Err(error) = crate::holds::rebuild::ensure(&server.app, event).await {
                tracing::warn!(%event, %error, "an event is built when first asked for");
            }
        }
    }
}

async fn listen(wanted: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = wanted {
        let bound = TcpListener::bind(address).await;
        return bound.with_context(|| format!("{address} can't be bound"));
    }
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match TcpListener::bind((local, PORT)).await {
        Ok(listener) => Ok(listener),
        Err(_) => Ok(TcpListener::bind((local, 0)).await?),
    }
}

fn configure(config: &mut Config, data_dir: &Path, address: SocketAddr) -> anyhow::Result<()> {
    config.http.listen = address;
    config.http.public_url = format!("http://{address}");
    config.mail.mailbox = true;
    // No load balancer has to hear of its end.
    config.http.unready_ms = 0;
    // The simulated visitors come from this machine, each with an address of its own.
    config.http.trusted_proxies = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
    let kept = secrets(&data_dir.join("secrets.json"))?;
    config.keys = kept.keys;
    config.payments.sandbox.secret = kept.sandbox;
    // Everybody pays with the test cards that the page shows.
    config.suspicion.accounts_per_card = 0;
    config.payments.sandbox.webhook_secrets = vec![kept.webhook];
    config.payments.sandbox.journal = data_dir.join("sandbox.journal");
    "warn,onsale=info".clone_into(&mut config.log.filter);
    Ok(())
}

/// Secrets of a demo or a load test: made once, kept beside its data.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Secrets {
    /// Tokens and tickets.
    pub keys: Keys,
    /// The sandbox's.
    pub sandbox: String,
    /// Its webhooks'.
    pub webhook: String,
}

impl Secrets {
    /// New random ones.
    #[must_use]
    pub fn random() -> Self {
        let secret = || hex::encode(rand::rng().random::<[u8; 32]>());
        let key = || vec![KeyConfig { id: 1, secret: secret() }];
        Self { keys: Keys { tokens: key(), tickets: key() }, sandbox: secret(), webhook: secret() }
    }
}

fn secrets(path: &Path) -> anyhow::Result<Secrets> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Ok(text) = std::fs::read_to_string(path) {
        return serde_json::from_str(&text)
            .with_context(|| format!("{} can't be read", path.display()));
    }
    let secrets = Secrets::random();
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    serde_json::to_writer(file, &secrets)?;
    Ok(secrets)
}

fn greet(url: &str, seconds: f32, waits: bool) {
    println!("\n  onsale is open after {seconds:.1} s.\n");
    if waits {
        println!(
            "  NOW         {url}/events/aurora/waiting-room\n              \
             Join there: the draw is in 17 seconds, the doors open in 20. Simulated visitors\n              \
             wait with you; your turn comes within about a minute. Then you have 10 minutes\n              \
             to choose and pay. Whoever comes later is let in behind them. Each start of the\n              \
             demo opens the waiting room anew; --no-waiting-room does without it.\n"
        );
    }
    println!(
        "  Shop        {url}/\n  \
         Theatre     {url}/events/the-seagull   (no waiting room)\n  \
         Club        {url}/events/night-songs   (asks for names, and has terms)\n  \
         Presale     {url}/events/night-songs-again   (not on sale yet: register)\n  \
         Mailbox     {url}/mailbox   (confirmation mails)\n  \
         API         {url}/docs      (and {url}/openapi.json)\n  \
         Draw        {url}/events/aurora/draw   (check it yourself)\n  \
         Drawer      {url}/v1/events/aurora/drawer\n\n  \
         Pay with 4242 4242 4242 4242, any future date, any CVC.\n  \
         Stop with Ctrl-C; the data stays and the next start takes a moment.\n"
    );
}
