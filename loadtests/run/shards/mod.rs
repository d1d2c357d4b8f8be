//! A run on several generators: processes on one machine or several, each of which plays its own
//! visitors. The first starts the servers and opens a desk; the others ask there where the servers
//! are and when the sale opens, come and go, and deliver what they have seen.

mod desk;
mod guest;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::desk::Desk;
pub use self::guest::join;
use crate::scenario::{Scenario, Shard};

/// Who has said nothing for so long is gone.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// How often it is looked whether something awaited has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long all have to come.
const COME_WITHIN: Duration = Duration::from_mins(10);
/// The file in which the first generator says where its desk is.
const AT_FILE: &str = "shards.url";

/// Which part of a run is played here.
#[derive(Args, Clone)]
pub struct Options {
    /// Plays a part of the visitors: one of N generators, each started with its own number. The
    /// first starts the servers, waits for the others, and audits.
    #[arg(long, value_name = "I/N", default_value_t)]
    pub shard: Shard,
    /// For the others: the URL that the first one says, or a file with it; by default the file that
    /// it writes into its data directory.
    #[arg(long)]
    pub at: Option<String>,
    /// For the first: this machine's address that the servers listen on, if others come from
    /// elsewhere. Nobody but generators should reach it.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub host: Ipv4Addr,
}

impl Default for Options {
    /// The whole run, here.
    fn default() -> Self {
        Self { shard: Shard::default(), at: None, host: Ipv4Addr::LOCALHOST }
    }
}

/// What the others are told when they come.
#[derive(Serialize, Deserialize)]
struct Invitation {
    run: Uuid,
    scenario: Scenario,
    servers: Vec<SocketAddr>,
    sandbox: SocketAddr,
}

/// What the others are told whenever they ask.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct State {
    /// None until all are there.
    clock: Option<Clock>,
    /// Whether everybody is sent home before the end.
    over: bool,
}

/// When the run began and when the sale opens, as seen from the moment of the answer: machines
/// needn't agree on the time of day.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Clock {
    begun_ms_ago: u64,
    opens_in_ms: i64,
}

fn at_file(directory: &Path) -> PathBuf {
    directory.join(AT_FILE)
}
