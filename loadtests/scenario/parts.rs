//! What a scenario is made of.

use std::collections::BTreeMap;

use onsale::cli::SampleVenue;
use serde::{Deserialize, Serialize};

use crate::verdict::tally::Step;

/// What is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Venue {
    /// 1,500 seats.
    Theatre,
    /// 20,000 places, 4,000 of them standing.
    Arena,
    /// 80,000 seats.
    Stadium,
}

impl From<SampleVenue> for Venue {
    fn from(venue: SampleVenue) -> Self {
        match venue {
            SampleVenue::Theatre => Self::Theatre,
            SampleVenue::Arena => Self::Arena,
            SampleVenue::Stadium => Self::Stadium,
        }
    }
}

impl From<Venue> for SampleVenue {
    fn from(venue: Venue) -> Self {
        match venue {
            Venue::Theatre => Self::Theatre,
            Venue::Arena => Self::Arena,
            Venue::Stadium => Self::Stadium,
        }
    }
}

/// The waiting room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// Most admissions per minute.
    pub per_minute: i32,
    /// Shoppers who may be inside.
    pub target_inside: i32,
    /// How long a turn waits to be taken, in seconds.
    pub turn_seconds: i32,
    /// How long a pass lasts, in seconds.
    pub pass_seconds: i32,
    /// Hashes of the proof of work that joining takes; 0: none is asked for.
    #[serde(default)]
    pub proof_hashes: u32,
    /// The draw is made so long before the opening, in seconds.
    #[serde(default = "draw_before")]
    pub draw_before_s: f64,
    /// Fewest seconds between two polls, and most, that visitors are told.
    #[serde(default)]
    pub poll_s: Option<[u32; 2]>,
    /// First polls after the opening that the servers are told they can answer in a second.
    #[serde(default)]
    pub opening_polls_per_s: Option<u32>,
    /// A presale with a line of its own: opens at T-0, the general sale after it.
    pub presale: Option<Presale>,
}

const fn draw_before() -> f64 {
    2.0
}

impl Door {
    /// A door that somebody else has set up: of it only the proof of work is known.
    pub const fn elsewhere(proof_hashes: u32) -> Self {
        Self {
            per_minute: 0,
            target_inside: 0,
            turn_seconds: 0,
            pass_seconds: 0,
            proof_hashes,
            draw_before_s: 0.0,
            poll_s: None,
            opening_polls_per_s: None,
            presale: None,
        }
    }
}

/// A presale for members with a code.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presale {
    /// The general sale opens so long after it, in seconds.
    pub head_start_s: f64,
    /// Its share of the admissions while both lines move, against 100.
    pub share: i32,
}

/// How visitors reach the servers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// So many (0 to 1) come over HTTP/2, as through a proxy in front that speaks it: many at once
    /// on each of a few connections.
    pub h2: f64,
    /// Of the others, so many at a time have a kept connection of their own.
    pub own: u32,
    /// Of those without, so many (0 to 1) open a new connection for each request.
    pub fresh: f64,
    /// The rest share so many to each server, as through a proxy in front of it.
    pub shared: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self { h2: 0.0, own: 0, fresh: 0.0, shared: 512 }
    }
}

/// How long people take, from and to, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thinking {
    /// To notice that it is their turn.
    pub notice_s: [f64; 2],
    /// To choose places.
    pub choose_s: [f64; 2],
    /// To type in their address.
    pub checkout_s: [f64; 2],
    /// To pay.
    pub pay_s: [f64; 2],
}

/// How the payment provider behaves: shares of payments, 0 to 1.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// The bank takes 5 s.
    pub slow: f64,
    /// The bank takes a minute, and the buyer sees "processing" until then.
    pub late: f64,
    /// Declined once; another card follows.
    pub declined: f64,
    /// The shop is told twice.
    pub twice: f64,
    /// The shop is told ten times.
    pub ten_times: f64,
    /// The shop is told in the wrong order.
    pub out_of_order: f64,
    /// The shop is never told, and has to ask.
    pub lost: f64,
}

impl Payments {
    /// All of them, with the test card that does it.
    pub const fn all(&self) -> [(f64, &'static str); 7] {
        [
            (self.slow, "4000009900000103"),
            (self.late, "4000009900000202"),
            (self.declined, "4000000000000002"),
            (self.twice, "4000009900000400"),
            (self.ten_times, "4000009900000509"),
            (self.out_of_order, "4000009900000608"),
            (self.lost, "4000009900000707"),
        ]
    }
}

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// When, in seconds after the opening.
    pub at_s: f64,
    /// What.
    #[serde(rename = "do")]
    pub what: Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// All servers, one after the other, end as at an upgrade and are started again.
    RollServers,
    /// The first server is killed and started again.
    KillServer,
    /// Redis is killed and started again, empty.
    RestartRedis,
    /// Postgres is killed and started again.
    RestartPostgres,
    /// A sold ticket is deleted behind everybody's back, once all are gone: the audit must find
    /// it.
    CorruptTicket,
}

impl Fault {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RollServers => "rolling restart of the servers",
            Self::KillServer => "a server is killed",
            Self::RestartRedis => "Redis is killed and restarted",
            Self::RestartPostgres => "Postgres is killed and restarted",
            Self::CorruptTicket => "the database is corrupted",
        }
    }
}

/// What must hold, beside what must always hold: a clean audit, nothing sold twice, everything
/// paid delivered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Latencies by step, from the intended start, in milliseconds.
    pub latency: BTreeMap<Step, Limits>,
    /// Share of the places that must be sold, 0 to 1.
    pub sold_share: f64,
    /// Requests that may get no answer, or one that should not happen.
    pub errors: u64,
    /// How late the generator itself may be, p99, in milliseconds.
    pub generator_late_p99_ms: f64,
    /// Share of visitors who may be turned away for good (503, 504, 429), 0 to 1.
    pub turned_away_share: f64,
    /// Most tickets that bots may get, as a share of all, 0 to 1.
    pub bots_share: f64,
    /// Most people (no bots) who may be kept out by what is meant for bots: turned away for good,
    /// told to sign in and unable to, or blocked; as a share of all people, 0 to 1.
    pub people_kept_out: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            latency: BTreeMap::new(),
            sold_share: 0.0,
            errors: 0,
            generator_late_p99_ms: 100.0,
            turned_away_share: 0.0,
            bots_share: 1.0,
            people_kept_out: 1.0,
        }
    }
}

/// Limits of one step's latency, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The median.
    pub p50_ms: Option<f64>,
    /// 95 of 100.
    pub p95_ms: Option<f64>,
    /// 99 of 100.
    pub p99_ms: Option<f64>,
}

/// What machines cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its price per hour.
    pub per_hour: f64,
    /// Its cores.
    pub cores: f64,
    /// In which money.
    pub currency: String,
}
