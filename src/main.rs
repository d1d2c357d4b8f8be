//! Arguments, and nothing else.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use onsale::cli;
use onsale::config::Role;
use onsale::waiting_room::verify::Question;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Event ticket sales for high-demand onsales: never one seat twice.
///
/// To look around: `onsale demo`. To run it for real: `onsale migrate`, then any number of
/// `onsale serve`.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// A TOML file; environment variables (`ONSALE_HTTP__LISTEN`, …) and flags go before it.
    #[arg(long, global = true, env = "ONSALE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A realistic arena on sale, on a private Postgres and Redis: the place to start.
    Demo {
        /// Where its data stays between starts.
        #[arg(long, default_value = ".onsale/demo")]
        data_dir: PathBuf,
        /// Where to listen; default 127.0.0.1:8080, or a free port if that is taken.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Install missing servers with apt-get instead of fetching them privately.
        #[arg(long)]
        install: bool,
        /// Write the shop's URL into this file once it is open.
        #[arg(long)]
        ready_file: Option<PathBuf>,
        /// Forget the data of earlier demos first.
        #[arg(long)]
        fresh: bool,
        /// Let nobody else into the waiting room: without simulated visitors it is quiet there.
        #[arg(long)]
        no_crowd: bool,
        /// Sell the arena's tickets to everybody at once.
        #[arg(long)]
        no_waiting_room: bool,
        /// Put a stadium with 100,000 seats on sale, too.
        #[arg(long)]
        stadium: bool,
    },
    /// Serve HTTP and run the workers, until SIGTERM.
    Serve {
        /// Where to listen.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// What this process does; all of it by default. Any number of processes may do each.
        #[arg(long, value_enum, value_delimiter = ',')]
        roles: Option<Vec<Role>>,
    },
    /// Bring the database's schema up to date. Safe to repeat; run it before `serve`.
    Migrate,
    /// Give a draft event its manifest from a file.
    Import {
        /// The event's id or slug.
        event: String,
        /// CSV, our own JSON, or pretix's seating plan.
        file: PathBuf,
        /// What the file is; by default its extension tells csv from json.
        #[arg(long, value_enum)]
        format: Option<cli::ManifestFormat>,
    },
    /// Put a sample event on sale.
    Seed {
        /// Which venue.
        #[arg(value_enum)]
        venue: cli::SampleVenue,
        /// Its name in URLs; by default the venue's.
        #[arg(long)]
        slug: Option<String>,
    },
    /// Make an organizer and an API key for it. The key is shown once.
    Organizer {
        /// Its name in URLs.
        slug: String,
        /// Its name.
        name: String,
    },
    /// Prove that nothing was sold twice and no money is lost: every invariant, by query.
    Audit {
        /// One event only, by id or slug.
        #[arg(long)]
        event: Option<String>,
        /// Nothing runs now: also check what holds only at rest.
        #[arg(long)]
        at_rest: bool,
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Build an event's state in Redis anew from Postgres. Its holds die, its orders stay.
    Rehydrate {
        /// The event's id or slug; all that are on sale if missing.
        event: Option<String>,
    },
    /// Print the configuration as it would be used, secrets masked.
    Config,
    /// Run the payment sandbox as a process of its own.
    Sandbox {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
        /// Where to send webhooks; several take turns.
        #[arg(long, required = true)]
        webhook: Vec<String>,
    },
    /// Run a private Postgres and Redis: prints their URLs, or runs a command with them set.
    Devstack {
        /// Where their data stays.
        #[arg(long, default_value = ".onsale/devstack")]
        data_dir: PathBuf,
        /// Install missing servers with apt-get instead of fetching them privately.
        #[arg(long)]
        install: bool,
        /// The command.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// A waiting room's draw: who comes before whom.
    Draw {
        #[command(subcommand)]
        command: DrawCommand,
    },
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Subcommand)]
enum DrawCommand {
    /// Compute a place in line anew, from what was published: nobody has to be trusted.
    ///
    /// The place is the first 8 bytes of HMAC-SHA256(seed ‖ beacon, event ‖ lane ‖ subject),
    /// without the lowest two bits; divided by 2^62 it is u, from 0 to 1. Who has less is called
    /// earlier. The event's page /events/EVENT/draw shows everything that is needed, your id (the
    /// subject) included.
    ///
    /// Exits with 1 if the seed is not the one whose SHA-256 was published before the draw.
    #[command(after_help = "Examples:\n  \
        onsale draw verify --url https://shop.example/v1/events/aurora/waiting-room --subject ID\n  \
        onsale draw verify --event ID --lane 0 --subject ID --seed HEX --beacon TEXT \
        --seed-hash HEX --joined 1000")]
    Verify {
        /// Whose place: the id of a session or an account (a UUID).
        #[arg(long)]
        subject: Uuid,
        /// The waiting room's address; what isn't given below is read from there.
        #[arg(long, required_unless_present_all = ["event", "seed", "beacon"])]
        url: Option<String>,
        /// The event's id (a UUID).
        #[arg(long)]
        event: Option<Uuid>,
        /// The line's number; 0, or with --url the last one that was drawn.
        #[arg(long)]
        lane: Option<i16>,
        /// The revealed seed: 64 hexadecimal digits.
        #[arg(long)]
        seed: Option<String>,
        /// The fingerprint that was published before: SHA-256 of the seed.
        #[arg(long)]
        seed_hash: Option<String>,
        /// The public value that was mixed in, exactly as it was published.
        #[arg(long)]
        beacon: Option<String>,
        /// About how many joined the draw, to tell the rank among them.
        #[arg(long)]
        joined: Option<u64>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("onsale: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onsale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.as_deref();
    let done = |()| ExitCode::SUCCESS;
    match arguments.command {
        Command::Demo {
            data_dir,
            listen,
            install,
            ready_file,
            fresh,
            no_crowd,
            no_waiting_room,
            stadium,
        } => {
            let options = onsale::demo::Options {
                data_dir,
                listen,
                install,
                ready_file,
                fresh,
                waiting_room: !no_waiting_room,
                crowd: !no_crowd,
                stadium,
            };
            cli::demo(options).await.map(done)
        }
        Command::Serve { listen, roles } => cli::serve(config, listen, roles).await.map(done),
        Command::Migrate => cli::migrate(config).await.map(done),
        Command::Import { event, file, format } => {
            cli::import(config, &event, &file, format).await.map(done)
        }
        Command::Seed { venue, slug } => cli::seed(config, venue, slug).await.map(done),
        Command::Organizer { slug, name } => cli::organizer(config, &slug, &name).await.map(done),
        Command::Audit { event, at_rest, json } => {
            cli::audit(config, event.as_deref(), at_rest, json).await
        }
        Command::Rehydrate { event } => cli::rehydrate(config, event.as_deref()).await.map(done),
        Command::Config => cli::print_config(config).map(done),
        Command::Sandbox { listen, webhook } => {
            cli::sandbox(config, listen, webhook).await.map(done)
        }
        Command::Devstack { data_dir, install, command } => {
            cli::devstack(data_dir, install, command).await
        }
        Command::Draw { command } => draw(command).await,
        Command::Openapi => cli::openapi().map(done),
    }
}

async fn draw(command: DrawCommand) -> anyhow::Result<ExitCode> {
    let DrawCommand::Verify { subject, url, event, lane, seed, seed_hash, beacon, joined } =
        command;
    let question = Question { subject, lane, event, seed, seed_hash, beacon, joined, url };
    cli::verify_draw(question).await
}
