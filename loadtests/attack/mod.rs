//! `cargo surge bots`: all scenes of bots against people, and what the budget buys.

mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use onsale::app::App;
use onsale::config::{Config, Role};
use onsale::demo::{Secrets, seed};
use onsale::devstack::{Options as StackOptions, Stack};
use onsale::http::limits::Limits;
use onsale::ids::OrganizerId;
use onsale::serve::{self, Server};
use onsale::waiting_room::proof::ProofConfig;
use tokio::net::TcpListener;

use self::report::{Proofs, Report, Row};
use crate::bots::budget::{BUDGET, Budget, anonymous, hashes_per_core};
use crate::bots::scene::{Outcome, Scene};

/// The database.
const DATABASE: &str = "surge_bots";
/// Before every key in Redis.
const PREFIX: &str = "surge-bots";
/// Joining before the draw is possible for so long, in seconds: for what proofs cost.
const WINDOW_S: f64 = 600.0;
/// Places and people of the small event.
const PLACES: usize = 200;
const PEOPLE: usize = 600;
/// Most places per account, with the defences.
const LIMIT: u32 = 4;
/// For how long a core solves challenges to show how fast it is.
const SOLVING: Duration = Duration::from_secs(2);

/// How it is played.
#[derive(clap::Args)]
pub struct Options {
    /// Names everybody's choices. The draws differ even so: they depend on the events' ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the report into this file, as text with its plots.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Also write the figures into this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data and logs go; by default in the build directory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Plays all scenes.
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
    let report = play(&options, &stack, &*say).await;
    stack.stop().await?;
    let report = report?;
    println!("{report}");
    if let Some(path) = &options.report {
        std::fs::write(path, report.to_string()).with_context(|| format!("{}", path.display()))?;
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(true)
}

async fn play(
    options: &Options,
    stack: &Stack,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Report> {
    stack.drop_database(DATABASE).await?;
    let mut config = Config::default();
    "warn".clone_into(&mut config.log.filter);
    serve::prepare(&config.log);
    config.database.url = stack.fresh_database(DATABASE, None).await?;
    config.redis.url.clone_from(&stack.redis_url);
    PREFIX.clone_into(&mut config.redis.prefix);
    // The scenes drive the controller themselves.
    config.roles = vec![Role::Http];
    let secrets = Secrets::random();
    config.keys = secrets.keys;
    config.payments.sandbox.secret = secrets.sandbox;
    config.payments.sandbox.webhook_secrets = vec![secrets.webhook];
    config.limits = Limits::none();
    config.http.trusted_proxies = "127.0.0.0/8".parse().into_iter().collect();
    // What hashes cost the attacker is counted; here they need only be right.
    (config.waiting_room.proof.base, config.waiting_room.proof.max) = (50, 400);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    config.http.public_url.clone_from(&url);
    let pg = onsale::app::connect_postgres(&config).await?;
    onsale::db::migrate(&pg).await?;
    let organizer = seed::organizer(&pg, "surge", "Surge").await?;
    pg.close().await;
    let server = Server::start(config, Some(listener)).await?;
    let stage = Stage { app: &server.app, url: &url, organizer, say, seed: options.seed };
    let report = stage.all().await;
    server.stop().await?;
    report
}

struct Stage<'a> {
    app: &'a App,
    url: &'a str,
    organizer: OrganizerId,
    say: &'a (dyn Fn(&str) + Send + Sync),
    seed: u64,
}

impl Stage<'_> {
    async fn play(&self, scene: Scene) -> Result<Outcome> {
        let outcome = scene.play(self.app, self.url, self.organizer).await?;
        (self.say)(&format!(
            "{} people, {} bots, draw {}: bots get {:.1} %",
            scene.people,
            scene.bots,
            scene.draw,
            outcome.bot_share() * 100.0
        ));
        Ok(outcome)
    }

    fn defended(&self, people: usize, bots: usize) -> Scene {
        Scene {
            seed: self.seed,
            places: PLACES,
            people,
            bots,
            networks: BUDGET.networks,
            draw: true,
            proof: true,
            limit: Some(LIMIT),
        }
    }

    async fn all(&self) -> Result<Report> {
        let bare = |scene| Scene { draw: false, proof: false, limit: None, ..scene };
        let full = self.defended(PEOPLE, BUDGET.accounts);
        let (before, after) = (self.play(bare(full)).await?, self.play(full).await?);
        // The crowd for the budget: 100,000 people, 20,000 places, 1,000 accounts,
        // divided by a hundred.
        let scaled = self.defended(1_000, BUDGET.accounts / 100);
        let scaled = (self.play(bare(scaled)).await?, self.play(scaled).await?);
        let mut parts = Vec::new();
        for (name, scene) in [
            ("nothing", bare(full)),
            ("limit per account only", Scene { limit: Some(LIMIT), ..bare(full) }),
            ("draw only", Scene { draw: true, ..bare(full) }),
            ("proof of work only", Scene { proof: true, ..bare(full) }),
            ("draw and limit", Scene { proof: false, ..full }),
            ("everything", full),
        ] {
            parts.push(Row::new(name.to_owned(), &self.play(scene).await?));
        }
        let mut accounts = Vec::new();
        for bots in [10, 50, 150, 400, 1_000] {
            let outcome = self.play(self.defended(PEOPLE, bots)).await?;
            accounts.push(Row::new(bots.to_string(), &outcome));
        }
        let mut networks = Vec::new();
        for count in [1, 20, 200] {
            let scene = Scene { networks: count, ..self.defended(PEOPLE, 400) };
            networks.push(Row::new(count.to_string(), &self.play(scene).await?));
        }
        (self.say)("solving challenges");
        Ok(Report {
            version: 1,
            seed: self.seed,
            full: (before, after),
            scaled,
            parts,
            accounts,
            networks,
            proofs: self.proofs(),
        })
    }

    /// What proofs alone would let the budget have, if events asked for no accounts.
    fn proofs(&self) -> Proofs {
        let rate = hashes_per_core(&self.app.keyring, SOLVING);
        let config = ProofConfig::default();
        let with = |budget: Budget| anonymous(&config, &budget, rate, WINDOW_S);
        Proofs {
            hashes_per_core: rate,
            window_s: WINDOW_S,
            by_cores: [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
                .map(|cores| (cores, with(Budget { cores, ..BUDGET })))
                .into(),
            by_networks: [1, 5, 20, 50, 200, 1_000]
                .map(|networks| (networks, with(Budget { networks, ..BUDGET })))
                .into(),
        }
    }
}
