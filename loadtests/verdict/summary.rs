//! The summary: everything that a report shows, as it is written into JSON. What is drawn later
//! is drawn from this alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shards::ShardRow;
use super::tally::{Ending, Step};
use crate::scenario::Scenario;
use crate::visitors::persona::Persona;

/// Raised when a field of the JSON summary changes its meaning.
pub const VERSION: u32 = 2;

/// The summary of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// See [`VERSION`].
    pub version: u32,
    /// Whether everything held that must hold.
    pub passed: bool,
    /// Whether every place was sold.
    pub sold_out: bool,
    /// Whether the audit found nothing.
    pub audit_clean: bool,
    /// Why it did not pass.
    pub problems: Vec<String>,
    /// What the scenario's own thresholds asked for, and what was measured.
    pub checks: Vec<Check>,
    /// What was played.
    pub scenario: Scenario,
    /// Whether it was ended from outside.
    pub interrupted: bool,
    /// Places there are, and places sold, by Postgres.
    pub capacity: u32,
    /// See above.
    pub sold: u64,
    /// The machine's cores, for everything.
    pub cores: usize,
    /// When the run began, in seconds since 1970.
    pub at: i64,
    /// From the beginning of the run to the opening, in seconds.
    pub opened_s: f64,
    /// From the opening to the last place sold, if it was.
    pub sold_out_s: Option<f64>,
    /// Visitors, and how the generator coped.
    pub generator: Generator,
    /// From the opening to the last sale.
    pub whole: Window,
    /// From the opening until 95 % were sold.
    pub rush: Window,
    /// Most purchases in any second, and per second in any five.
    pub peak_purchases_per_s_1s: f64,
    /// See above.
    pub peak_purchases_per_s_5s: f64,
    /// From the admission (without a waiting room: from the scheduled arrival) to the tickets.
    pub purchase: Latency,
    /// How long noes took.
    pub refused: Latency,
    /// Latencies of the others, by step.
    pub steps: Vec<StepRow>,
    /// Who came and how far they got, in order.
    pub funnel: Vec<(String, u64)>,
    /// Visits by how they ended.
    pub endings: BTreeMap<Ending, u64>,
    /// By kind of visitor.
    pub personas: Vec<PersonaRow>,
    /// What the draw and the order of arrival have done.
    pub fairness: Fairness,
    /// Noes that belong to a sale.
    pub refusals: Vec<CountRow>,
    /// Requests that were asked to come again.
    pub turned_away: Vec<CountRow>,
    /// What should not have happened.
    pub mistakes: Vec<CountRow>,
    /// Some of them in full.
    pub samples: Vec<String>,
    /// Processor time.
    pub cpu: Vec<CpuRow>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// What went wrong on purpose.
    pub chaos: Vec<ChaosRow>,
    /// The run, second by second.
    pub series: Series,
    /// How long outbox and mirror took to be empty.
    pub drain_s: Option<f64>,
    /// What the audit printed.
    pub audit: String,
    /// The generators, where several played the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardRow>,
    /// Then also everything that was counted, to be merged with what others counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Summary {
    /// Whether the servers were a deployment's, of whose machines nothing is known here.
    pub fn is_elsewhere(&self) -> bool {
        self.cpu.is_empty()
    }
}

/// A threshold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What was asked for.
    pub what: String,
    /// The limit, and what was measured, in words.
    pub limit: String,
    /// See above.
    pub was: String,
    /// Whether it held.
    pub held: bool,
}

/// Throughput over a window. Refusals are no part of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Window {
    pub seconds: f64,
    pub purchases: usize,
    pub purchases_per_s: f64,
    pub places_per_s: f64,
    /// Twice the standard error of the rate, from ten parts of the window.
    pub noise_per_s: f64,
}

/// A distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A step's latencies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRow {
    pub step: Step,
    /// From when it was intended.
    pub wanted: Latency,
    /// The last exchange of it, from when it was sent.
    pub service: Latency,
    /// Twice the standard error of the median and of the 99th percentile, in milliseconds, from
    /// ten parts of the run; for the steps that are drawn.
    pub noise_ms: Option<[f64; 2]>,
}

/// Visitors, and how the generator coped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// Visitors who came.
    pub visitors: u64,
    /// Of them, still on their way when the program stopped waiting.
    pub lost: u64,
    /// Of them, read "sold out" and never came in.
    pub stayed_away: u64,
    /// Most at once.
    pub most_here: u64,
    /// Most connections at once, and all that were opened.
    pub most_connections: u32,
    pub connections_opened: u64,
    /// How late they were woken.
    pub late: Latency,
    /// How long requests waited for a shared connection.
    pub queued: Latency,
}

/// So many of something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CountRow {
    pub step: Step,
    pub code: String,
    pub count: u64,
}

/// A kind of visitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonaRow {
    pub persona: Persona,
    pub is_bot: bool,
    pub came: u64,
    pub admitted: u64,
    pub bought: u64,
    pub tickets: u64,
}

/// A tenth of the visitors.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tenth {
    pub people: u64,
    pub admitted: u64,
    pub bought: u64,
}

/// What the draw and the order of arrival have done: people only, no bots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fairness {
    /// By rank at the opening, first tenth first.
    pub by_rank: Vec<Tenth>,
    /// The same people by when they came before the draw: must be flat.
    pub by_arrival: Vec<Tenth>,
    /// Correlation of the moment of arrival with the rank, -1 to 1: 0 is fair.
    pub arrival_to_rank: f64,
}

/// Processor time of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CpuRow {
    pub process: String,
    pub seconds: f64,
    /// Mean share of the run's time: 1 is one core all the time.
    pub cores: f64,
    pub ms_per_purchase: f64,
}

/// What it cost at the given price.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    pub machine: String,
    pub currency: String,
    pub per_hour: f64,
    /// The processor time of servers, Redis and Postgres, at the machine's price per core.
    pub used_per_1000: f64,
    /// The whole machine, from the beginning of the run to the end of the sale.
    pub machine_per_1000: f64,
}

/// What went wrong on purpose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChaosRow {
    /// From the opening on.
    pub at_s: f64,
    pub what: String,
    /// Until everything ran again.
    pub took_s: f64,
}

/// Who was where, and what processes used, in one second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    pub in_line: u64,
    pub inside: u64,
    pub holding: u64,
    pub paying: u64,
    pub here: u64,
    pub free: u32,
    pub connections: u32,
    /// By process.
    pub cores: Vec<f64>,
}

/// The run, second by second, from its beginning; columns of equal length.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Series {
    pub intended: Vec<f64>,
    pub arrived: Vec<u32>,
    pub joined: Vec<u32>,
    pub admitted: Vec<u32>,
    pub holds: Vec<u32>,
    pub purchases: Vec<u32>,
    pub places: Vec<u32>,
    pub refused: Vec<u32>,
    pub turned_away: Vec<u32>,
    pub errors: Vec<u32>,
    pub late_ms: Vec<f32>,
    /// Of the drawn steps: the median and the 99th percentile; none where nothing was asked.
    pub latencies: BTreeMap<Step, Vec<Option<[f64; 2]>>>,
    pub spots: Vec<Sample>,
    /// Names of the processes in `spots`.
    pub processes: Vec<String>,
}
