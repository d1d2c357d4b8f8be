//! What the subcommands do.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use sqlx::PgPool;

use crate::app::{App, connect_postgres};
use crate::audit;
use crate::catalog::import::{self, Imported};
use crate::catalog::manifest::{self, Manifest, generate};
use crate::config::{Config, Role};
use crate::demo::seed::{self, Seed};
use crate::devstack as stack;
use crate::holds::rebuild;
use crate::ids::EventId;
use crate::organizers::keys::{self, Scope};
use crate::redis::Redis;
use crate::serve::{self, Server};
use crate::waiting_room::verify::{self, Question, Verdict};

/// Formats of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ManifestFormat {
    /// section,row,seat,x,y,level,attributes.
    Csv,
    /// Our own.
    Json,
    /// pretix's seating plan.
    Pretix,
}

/// Sample venues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SampleVenue {
    /// 1,500 seats.
    Theatre,
    /// 20,000 places, 4,000 of them standing.
    Arena,
    /// 80,000 seats.
    Stadium,
}

impl SampleVenue {
    /// Its manifest.
    #[must_use]
    pub fn manifest(self) -> Manifest {
        match self {
            Self::Theatre => generate::theatre(),
            Self::Arena => generate::arena(),
            Self::Stadium => generate::stadium(),
        }
    }
}

/// Reads the configuration and prepares the process.
fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = Config::load(file)?;
    serve::prepare(&config.log);
    Ok(config)
}

async fn postgres(config: &Config) -> anyhow::Result<PgPool> {
    if config.database.url.is_empty() {
        bail!("database.url (or DATABASE_URL) is missing");
    }
    connect_postgres(config).await.context("Postgres does not answer")
}

/// See `onsale demo --help`.
///
/// # Errors
/// In words for people, as all here.
pub async fn demo(options: crate::demo::Options) -> anyhow::Result<()> {
    serve::prepare(&crate::config::Log {
        filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()),
        json: false,
    });
    crate::demo::run(options).await
}

/// See `onsale serve --help`.
///
/// # Errors
/// See [`demo`].
pub async fn serve(
    file: Option<&Path>,
    listen: Option<SocketAddr>,
    roles: Option<Vec<Role>>,
) -> anyhow::Result<()> {
    let mut config = load(file)?;
    config.http.listen = listen.unwrap_or(config.http.listen);
    config.roles = roles.unwrap_or(config.roles);
    let server = Server::start(config, None).await?;
    println!("listening on http://{}", server.address);
    server.run().await
}

/// See `onsale migrate --help`.
///
/// # Errors
/// See [`demo`].
pub async fn migrate(file: Option<&Path>) -> anyhow::Result<()> {
    let config = load(file)?;
    crate::db::migrate(&postgres(&config).await?).await?;
    println!("the schema is up to date");
    Ok(())
}

async fn event_named(pg: &PgPool, name: &str) -> anyhow::Result<EventId> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let id = crate::catalog::store::by_slug(pg, name).await?;
    id.with_context(|| format!("there is no event {name}"))
}

/// Reads a manifest of the given or guessed format.
///
/// # Errors
/// What is wrong with it, by line or path.
pub fn read_manifest(
    path: &Path,
    bytes: &[u8],
    format: Option<ManifestFormat>,
) -> anyhow::Result<Manifest> {
    let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let guessed = if csv { ManifestFormat::Csv } else { ManifestFormat::Json };
    let read = match format.unwrap_or(guessed) {
        ManifestFormat::Csv => manifest::csv::parse(bytes),
        ManifestFormat::Json => manifest::json::parse(bytes),
        ManifestFormat::Pretix => manifest::pretix::parse(bytes),
    };
    read.map_err(|errors| anyhow::anyhow!("{}:\n{errors}", path.display()))
}

/// See `onsale import --help`.
///
/// # Errors
/// See [`demo`].
pub async fn import(
    file: Option<&Path>,
    event: &str,
    path: &Path,
    format: Option<ManifestFormat>,
) -> anyhow::Result<()> {
    let config = load(file)?;
    let started = Instant::now();
    let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let manifest = read_manifest(path, &bytes, format)?;
    let pg = postgres(&config).await?;
    let event = event_named(&pg, event).await?;
    match import::import(&pg, event, &manifest).await? {
        Imported::Places(places) => {
            println!("{places} places in {:.1} s", started.elapsed().as_secs_f32());
            Ok(())
        }
        Imported::NotDraft => bail!("the event is not a draft any more"),
        Imported::NoEvent => bail!("there is no such event"),
    }
}

/// See `onsale seed --help`.
///
/// # Errors
/// See [`demo`].
pub async fn seed(
    file: Option<&Path>,
    venue: SampleVenue,
    slug: Option<String>,
) -> anyhow::Result<()> {
    let config = load(file)?;
    let pg = postgres(&config).await?;
    let name = format!("{venue:?}").to_lowercase();
    let slug = slug.unwrap_or_else(|| name.clone());
    let organizer = seed::organizer(&pg, &format!("{slug}-organizer"), "Sample organizer").await?;
    let started = Instant::now();
    let manifest = venue.manifest();
    let event = seed::event(&pg, organizer, &Seed::new(&slug, &manifest)).await?;
    let places = manifest.capacity();
    println!("event {event} ({slug}): {places} places in {:.1?}", started.elapsed());
    Ok(())
}

/// See `onsale organizer --help`.
///
/// # Errors
/// See [`demo`].
pub async fn organizer(file: Option<&Path>, slug: &str, name: &str) -> anyhow::Result<()> {
    let config = load(file)?;
    let pg = postgres(&config).await?;
    let organizer = keys::ensure_organizer(&pg, slug, name).await?;
    let key = keys::create(&pg, organizer, "command line", &Scope::ALL, None).await?;
    println!("organizer {organizer}\nAPI key, shown only now: {key}");
    Ok(())
}

/// See `onsale audit --help`.
///
/// # Errors
/// See [`demo`].
pub async fn audit(
    file: Option<&Path>,
    event: Option<&str>,
    at_rest: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let config = load(file)?;
    let pg = postgres(&config).await?;
    let event = match event {
        Some(name) => Some(event_named(&pg, name).await?),
        None => None,
    };
    let settings = &config.redis;
    let redis = if settings.url.is_empty() {
        None
    } else {
        Some(Redis::connect(&settings.url, settings.prefix.clone(), 1, settings.patience()).await?)
    };
    let scope = audit::Scope { event, at_rest, ..audit::Scope::default() };
    let report = audit::run(&pg, redis.as_deref(), &scope).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// See `onsale rehydrate --help`.
///
/// # Errors
/// See [`demo`].
pub async fn rehydrate(file: Option<&Path>, event: Option<&str>) -> anyhow::Result<()> {
    let config = load(file)?;
    config.validate()?;
    let app = App::start(config).await?;
    let events = match event {
        Some(name) => vec![event_named(&app.pg, name).await?],
        None => crate::catalog::store::selling(&app.pg).await?,
    };
    for event in events {
        let started = Instant::now();
        let rebuilt = rebuild::force(&app, event).await?;
        println!("{event}: {rebuilt:?} in {:.2?}", started.elapsed());
    }
    app.stop.cancel();
    Ok(())
}

/// See `onsale config --help`.
///
/// # Errors
/// See [`demo`].
pub fn print_config(file: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    println!("{}", serde_json::to_string_pretty(&config.masked())?);
    // For people, beside what programs read.
    eprintln!("{}", config.limits.table());
    if let Err(error) = config.validate() {
        eprintln!("{error}");
    }
    Ok(())
}

/// See `onsale sandbox --help`.
///
/// # Errors
/// See [`demo`].
pub async fn sandbox(
    file: Option<&Path>,
    listen: SocketAddr,
    webhooks: Vec<String>,
) -> anyhow::Result<()> {
    let config = load(file)?;
    serve::run_sandbox(&config, listen, webhooks).await
}

/// See `onsale devstack --help`.
///
/// # Errors
/// See [`demo`].
pub async fn devstack(
    data_dir: PathBuf,
    install: bool,
    command: Vec<OsString>,
) -> anyhow::Result<ExitCode> {
    let mut options = stack::Options::new(data_dir);
    options.install = install;
    options.progress = std::sync::Arc::new(|line: &str| eprintln!("{line}"));
    if command.is_empty() {
        stack::run_foreground(options).await?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(stack::run_with(options, command).await?)
}

/// See `onsale draw verify --help`.
///
/// # Errors
/// See [`demo`].
pub async fn verify_draw(question: Question) -> anyhow::Result<ExitCode> {
    serve::prepare(&crate::config::Log { filter: "warn".to_owned(), json: false });
    let verdict = verify::answer(question).await?;
    println!("{verdict}");
    Ok(match verdict {
        Verdict::Place(..) => ExitCode::SUCCESS,
        Verdict::AnotherSeed => ExitCode::FAILURE,
    })
}

/// See `onsale openapi --help`.
///
/// # Errors
/// See [`demo`].
pub fn openapi() -> anyhow::Result<()> {
    println!("{}", crate::http::openapi::document().to_pretty_json()?);
    Ok(())
}
