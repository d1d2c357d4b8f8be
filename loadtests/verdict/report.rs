//! The report: computed once, printed for people and written for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::judge::problems;
use super::tally::{Step, Tally, Times};
use super::windows::{peak, rate};
use crate::buyers::{Coming, Drawer, Gone};
use crate::rig::cpu::{Process, Reading};

/// Raised when a field of the JSON summary changes its meaning.
const VERSION: u32 = 1;
/// The rush ends when so many percent of the places are sold: afterwards what others left behind
/// is waited for.
const RUSH_PERCENT: usize = 95;

/// What the report is made of.
pub struct Facts<'a> {
    /// `arena`, …
    pub venue: &'a str,
    /// How many places there are.
    pub capacity: u32,
    /// Server processes.
    pub servers: usize,
    /// Most connections to each.
    pub connections: usize,
    /// Connections that were opened.
    pub opened: u32,
    /// How buyers came.
    pub coming: Coming,
    /// What came of it.
    pub gone: Gone,
    /// What happened.
    pub tally: Tally,
    /// Whose processor time was counted, and how much it was.
    pub cpu: (Vec<Process>, Reading),
    /// The drawer count at the end.
    pub drawer: Option<Drawer>,
    /// How long outbox and mirror took to be empty, or what was left in them.
    pub drained: Result<Duration, i64>,
    /// Whether the audit found nothing, and what it printed.
    pub audit: (bool, String),
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    pub version: u32,
    pub passed: bool,
    pub sold_out: bool,
    pub audit_clean: bool,
    /// Why it did not pass.
    pub problems: Vec<String>,
    pub venue: String,
    pub capacity: u32,
    pub sold: u64,
    pub seed: u64,
    pub rate_per_s: f64,
    pub servers: usize,
    pub cores: usize,
    pub connections: usize,
    pub connections_opened: u32,
    /// From the first arrival to the last sale.
    pub whole: Window,
    /// From the first arrival until 95 % were sold.
    pub rush: Window,
    pub peak_purchases_per_s_1s: f64,
    pub peak_purchases_per_s_5s: f64,
    pub peak_holds_per_s_1s: f64,
    /// From the scheduled arrival to the tickets.
    pub purchase: Latency,
    pub steps: Vec<StepRow>,
    pub generator: Generator,
    /// Journeys by how they ended.
    pub endings: BTreeMap<&'static str, u64>,
    pub refusals: Vec<CountRow>,
    pub turned_away: Vec<CountRow>,
    pub mistakes: Vec<CountRow>,
    pub samples: Vec<String>,
    pub cpu: Vec<CpuRow>,
    pub drain_s: Option<f64>,
    pub audit: String,
}

/// Throughput over a window. Refusals are no part of it.
#[derive(Debug, Default, Serialize)]
pub struct Window {
    pub seconds: f64,
    pub purchases: usize,
    pub purchases_per_s: f64,
    pub places_per_s: f64,
    pub holds: usize,
    pub holds_per_s: f64,
}

/// A distribution, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub count: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A step's latencies.
#[derive(Debug, Serialize)]
pub struct StepRow {
    pub step: &'static str,
    /// From when it was wanted.
    pub wanted: Latency,
    /// From when it was sent.
    pub service: Latency,
}

/// Whether the generator itself kept up.
#[derive(Debug, Serialize)]
pub struct Generator {
    pub buyers: u64,
    pub dropped: u64,
    pub lost: u64,
    pub late: Latency,
    pub queued: Latency,
}

/// So many of something.
#[derive(Debug, Serialize)]
pub struct CountRow {
    pub step: &'static str,
    pub code: String,
    pub count: u64,
}

/// Processor time of a process.
#[derive(Debug, Serialize)]
pub struct CpuRow {
    pub process: String,
    pub seconds: f64,
    /// Mean share of the run's time: 1 is one core all the time.
    pub cores: f64,
    pub ms_per_purchase: f64,
}

impl From<&Times> for Latency {
    fn from(times: &Times) -> Self {
        let ms = |took: Duration| (took.as_secs_f64() * 10_000.0).round() / 10.0;
        let at = |share| ms(times.quantile(share));
        Self {
            count: times.count(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: ms(times.max()),
        }
    }
}

impl Window {
    fn until(tally: &Tally, end: Duration) -> Self {
        let sales = tally.sales.partition_point(|sale| sale.at <= end);
        let places: usize = tally.sales[..sales].iter().map(|sale| sale.places.len()).sum();
        let holds = tally.holds.partition_point(|at| *at <= end);
        Self {
            seconds: end.as_secs_f64(),
            purchases: sales,
            purchases_per_s: rate(sales, end),
            places_per_s: rate(places, end),
            holds,
            holds_per_s: rate(holds, end),
        }
    }
}

/// When the buyers had so many places.
fn sold_by(tally: &Tally, places: usize) -> Duration {
    let mut sold = 0;
    let reached = tally.sales.iter().find(|sale| {
        sold += sale.places.len();
        sold >= places
    });
    reached.or(tally.sales.last()).map(|sale| sale.at).unwrap_or_default()
}

impl Report {
    /// Computes it.
    pub fn new(facts: Facts<'_>) -> Self {
        let problems = problems(&facts);
        let Facts { coming, gone, tally, .. } = facts;
        let capacity = usize::try_from(facts.capacity).unwrap_or(usize::MAX);
        let moments: Vec<Duration> = tally.sales.iter().map(|sale| sale.at).collect();
        let second = Duration::from_secs(1);
        let last = moments.last().copied().unwrap_or_default();
        let steps = Step::ALL.iter().map(|step| (step, &tally.steps[*step as usize]));
        let rows = steps.filter(|(_, times)| times.wanted.count() > 0);
        let sold = facts.drawer.as_ref().map_or(0, |drawer| drawer.postgres.sold);
        Self {
            version: VERSION,
            passed: problems.is_empty(),
            sold_out: sold == u64::from(facts.capacity),
            audit_clean: facts.audit.0,
            problems,
            venue: facts.venue.to_owned(),
            capacity: facts.capacity,
            sold,
            seed: coming.seed,
            rate_per_s: coming.rate,
            servers: facts.servers,
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            connections: facts.connections,
            connections_opened: facts.opened,
            whole: Window::until(&tally, last),
            rush: Window::until(&tally, sold_by(&tally, capacity * RUSH_PERCENT / 100)),
            peak_purchases_per_s_1s: peak(&moments, second),
            peak_purchases_per_s_5s: peak(&moments, second * 5),
            peak_holds_per_s_1s: peak(&tally.holds, second),
            purchase: (&tally.purchase).into(),
            steps: rows
                .map(|(step, times)| StepRow {
                    step: step.name(),
                    wanted: (&times.wanted).into(),
                    service: (&times.service).into(),
                })
                .collect(),
            generator: Generator {
                buyers: gone.came,
                dropped: gone.dropped,
                lost: gone.lost,
                late: (&tally.late).into(),
                queued: (&tally.queued).into(),
            },
            endings: tally.endings.iter().map(|(end, count)| (end.name(), *count)).collect(),
            refusals: count_rows(&tally.refusals),
            turned_away: count_rows(&tally.turned_away),
            mistakes: count_rows(&tally.mistakes),
            cpu: cpu_rows(&facts.cpu, gone.took, moments.len()),
            samples: tally.samples,
            drain_s: facts.drained.ok().map(|took| took.as_secs_f64()),
            audit: facts.audit.1,
        }
    }
}

fn count_rows(counts: &BTreeMap<(Step, String), u64>) -> Vec<CountRow> {
    let row = |((step, code), count): (&(Step, String), &u64)| CountRow {
        step: step.name(),
        code: code.clone(),
        count: *count,
    };
    counts.iter().map(row).collect()
}

fn cpu_rows(
    (processes, reading): &(Vec<Process>, Reading),
    took: Duration,
    purchases: usize,
) -> Vec<CpuRow> {
    let row = |name: &str, used: Duration| CpuRow {
        process: name.to_owned(),
        seconds: used.as_secs_f64(),
        cores: used.as_secs_f64() / took.as_secs_f64().max(f64::EPSILON),
        ms_per_purchase: used.as_secs_f64() * 1_000.0 / purchases.max(1) as f64,
    };
    let mut rows: Vec<CpuRow> = processes
        .iter()
        .zip(&reading.used)
        .map(|(process, used)| row(&process.name, *used))
        .collect();
    let ours: Duration = reading.used.iter().sum();
    rows.push(row("anything else", reading.machine.saturating_sub(ours)));
    rows
}
