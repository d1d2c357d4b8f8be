//! From what happened to the summary.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge;
use super::shards::Shards;
use super::summary::{
    ChaosRow, Cost, CountRow, CpuRow, Generator, Latency, PersonaRow, Series, StepRow, Summary,
    VERSION, Window,
};
use super::tally::{DRAWN_STEPS, Ending, Second, Step, Tally, Times};
use super::{fairness, windows};
use crate::run::Seen;
use crate::scenario::{Machine, Scenario};
use crate::visitors::persona::Persona;
use crate::visitors::{Crowd, Drawer, Gone};

/// The rush ends when so many percent of the places are sold: afterwards what others left behind
/// is waited for.
const RUSH_PERCENT: usize = 95;
/// Processes that a shop needs: the others belong to the test.
const SHOP: [&str; 3] = ["server", "redis", "postgres"];

/// What the report is made of.
#[derive(Serialize, Deserialize)]
pub struct Facts {
    /// What was played.
    pub scenario: Scenario,
    /// Whether it was ended from outside.
    pub interrupted: bool,
    /// How many places there are.
    pub capacity: u32,
    /// From the beginning of the run to the opening.
    pub opened_s: f64,
    /// Most connections at once, and all that were opened.
    pub connections: (u32, u64),
    /// What came of the crowd.
    pub gone: Gone,
    /// What happened.
    pub tally: Tally,
    /// What was seen of visitors and processes.
    pub seen: Seen,
    /// The drawer count at the end.
    pub drawer: Option<Drawer>,
    /// How long outbox and mirror took to be empty, or what was left in them.
    pub drained: Result<Duration, i64>,
    /// Whether the audit found nothing, and what it printed.
    pub audit: (bool, String),
    /// What went wrong on purpose.
    pub chaos: Vec<ChaosRow>,
    /// Whose they are, where several generators play one run.
    pub shards: Option<Shards>,
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

impl Facts {
    /// What a generator knows by itself, when its visitors have gone.
    pub fn of(crowd: &Crowd, gone: Gone, seen: Seen, interrupted: bool) -> Self {
        Self {
            scenario: crowd.scenario.clone(),
            interrupted,
            capacity: crowd.shop.capacity,
            opened_s: crowd.opened_s(),
            connections: crowd.connections(),
            gone,
            tally: crowd.tallies.sum(),
            seen,
            drawer: None,
            drained: Ok(Duration::ZERO),
            audit: (false, String::new()),
            chaos: Vec::new(),
            shards: None,
        }
    }

    /// Computes it.
    pub fn summary(self) -> Summary {
        let part = self.shards.as_ref().map(|_| self.pack());
        let checks = judge::checks(&self);
        let problems = judge::problems(&self, &checks);
        let sold = self.drawer.as_ref().map_or(0, |drawer| drawer.postgres.sold);
        let moments: Vec<Duration> = self.tally.sales.iter().map(|sale| sale.at).collect();
        let second = Duration::from_secs(1);
        let opened = Duration::from_secs_f64(self.opened_s);
        let last = moments.last().copied().unwrap_or_default();
        let sold_out = sold == u64::from(self.capacity);
        let after = |at: Duration| at.saturating_sub(opened);
        let rush = usize::try_from(self.capacity).unwrap_or(0) * RUSH_PERCENT / 100;
        Summary {
            version: VERSION,
            passed: problems.is_empty(),
            sold_out,
            audit_clean: self.audit.0,
            problems,
            checks,
            interrupted: self.interrupted,
            capacity: self.capacity,
            sold,
            cores: self.shards.as_ref().map_or_else(cores, |shards| shards.cores),
            at: self.shards.as_ref().map_or_else(|| began(&self.gone), |shards| shards.at),
            opened_s: self.opened_s,
            sold_out_s: sold_out.then(|| after(last).as_secs_f64()),
            generator: self.generator(),
            whole: window(&self.tally, opened, last),
            rush: window(&self.tally, opened, sold_by(&self.tally, rush)),
            peak_purchases_per_s_1s: windows::peak(&moments, second),
            peak_purchases_per_s_5s: windows::peak(&moments, second * 5),
            purchase: (&self.tally.purchase).into(),
            refused: (&self.tally.refused).into(),
            steps: step_rows(&self.tally),
            funnel: self.funnel(),
            endings: endings(&self.tally),
            personas: persona_rows(&self.tally),
            fairness: fairness::fairness(&self.tally.fates),
            refusals: count_rows(&self.tally.refusals),
            turned_away: count_rows(&self.tally.turned_away),
            mistakes: count_rows(&self.tally.mistakes),
            samples: self.tally.samples.clone(),
            cpu: self.cpu_rows(),
            cost: self.scenario.machine.as_ref().map(|machine| self.cost(machine)),
            series: self.series(),
            chaos: self.chaos,
            drain_s: self.drained.ok().map(|took| took.as_secs_f64()),
            audit: self.audit.1,
            scenario: self.scenario,
            shards: self.shards.map_or_else(Vec::new, |shards| shards.rows),
            part,
        }
    }

    /// How late the generator was; of several, the worst.
    pub fn worst_late(&self) -> Latency {
        let rows = self.shards.iter().flat_map(|shards| &shards.rows);
        let worst = rows.map(|row| row.late).max_by(|a, b| a.p99_ms.total_cmp(&b.p99_ms));
        worst.unwrap_or_else(|| (&self.tally.late).into())
    }

    fn generator(&self) -> Generator {
        Generator {
            visitors: self.gone.came,
            lost: self.gone.lost,
            stayed_away: self.tally.stayed_away,
            most_here: self.seen.samples.iter().map(|sample| sample.here).max().unwrap_or(0),
            most_connections: self.connections.0,
            connections_opened: self.connections.1,
            late: self.worst_late(),
            queued: (&self.tally.queued).into(),
        }
    }

    fn funnel(&self) -> Vec<(String, u64)> {
        let sum = |of: fn(&Second) -> u32| {
            self.tally.seconds.iter().map(|second| u64::from(of(second))).sum::<u64>()
        };
        let answers = |step: Step| self.tally.steps[step as usize].wanted.count();
        let mut rows = vec![("came", sum(|second| second.arrived))];
        if self.scenario.waiting_room.is_some() {
            rows.push(("joined the line", sum(|second| second.joined)));
            rows.push(("let in", sum(|second| second.admitted)));
        }
        rows.push(("held places", sum(|second| second.holds)));
        rows.push(("checked out", answers(Step::Checkout)));
        rows.push(("bought", sum(|second| second.purchases)));
        rows.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    fn cpu_rows(&self) -> Vec<CpuRow> {
        let (took, purchases) = (self.gone.took.as_secs_f64(), self.tally.sales.len());
        let row = |name: &str, used: Duration| CpuRow {
            process: name.to_owned(),
            seconds: used.as_secs_f64(),
            cores: used.as_secs_f64() / took.max(f64::EPSILON),
            ms_per_purchase: used.as_secs_f64() * 1_000.0 / purchases.max(1) as f64,
        };
        let named = self.seen.names.iter().zip(&self.seen.used);
        let mut rows: Vec<CpuRow> = named.map(|(name, used)| row(name, *used)).collect();
        let ours: Duration = self.seen.used.iter().sum();
        rows.push(row("anything else", self.seen.machine.saturating_sub(ours)));
        rows
    }

    fn cost(&self, machine: &Machine) -> Cost {
        let tickets = self.tally.places.max(1) as f64 / 1_000.0;
        let shop = |name: &str| SHOP.iter().any(|process| name.starts_with(process));
        let named = self.seen.names.iter().zip(&self.seen.used);
        let used: f64 =
            named.filter(|(name, _)| shop(name)).map(|(_, used)| used.as_secs_f64()).sum();
        let last = self.tally.sales.last().map_or(0.0, |sale| sale.at.as_secs_f64());
        let hours = |seconds: f64| seconds / 3_600.0;
        Cost {
            machine: machine.name.clone(),
            currency: machine.currency.clone(),
            per_hour: machine.per_hour,
            used_per_1000: hours(used) * machine.per_hour / machine.cores / tickets,
            machine_per_1000: hours(last) * machine.per_hour / tickets,
        }
    }

    fn series(&self) -> Series {
        let length = self.seen.samples.len().max(self.tally.seconds.len());
        let quiet = Second::default();
        let seconds: Vec<&Second> =
            (0..length).map(|at| self.tally.seconds.get(at).unwrap_or(&quiet)).collect();
        let column = |of: fn(&Second) -> u32| seconds.iter().map(|second| of(second)).collect();
        let latency = |at: usize| {
            let of = |second: &&Second| {
                let buckets = &second.latencies[at];
                Some([buckets.quantile_ms(0.5)?, buckets.quantile_ms(0.99)?])
            };
            seconds.iter().map(of).collect()
        };
        let first = (self.opened_s + self.scenario.arrivals.from_s).max(0.0).round();
        let mut intended = vec![0.0; first as usize];
        intended.extend(self.scenario.arrivals.per_second());
        intended.resize(length, 0.0);
        let mut spots = self.seen.samples.clone();
        spots.resize_with(length, || self.seen.samples.last().cloned().unwrap_or_default());
        Series {
            intended,
            arrived: column(|second| second.arrived),
            joined: column(|second| second.joined),
            admitted: column(|second| second.admitted),
            holds: column(|second| second.holds),
            purchases: column(|second| second.purchases),
            places: column(|second| second.places),
            refused: column(|second| second.refused),
            turned_away: column(|second| second.turned_away),
            errors: column(|second| second.errors),
            late_ms: seconds.iter().map(|second| second.late_ms).collect(),
            latencies: DRAWN_STEPS
                .iter()
                .enumerate()
                .filter(|(_, step)| self.tally.steps[**step as usize].wanted.count() > 0)
                .map(|(at, step)| (*step, latency(at)))
                .collect(),
            spots,
            processes: self.seen.names.clone(),
        }
    }
}

/// The machine's cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

/// When a run that has just ended began, in seconds since 1970.
pub fn began(gone: &Gone) -> i64 {
    jiff::Timestamp::now().as_second() - i64::try_from(gone.took.as_secs()).unwrap_or(0)
}

fn window(tally: &Tally, opened: Duration, end: Duration) -> Window {
    let sales = tally.sales.partition_point(|sale| sale.at <= end);
    let places: usize = tally.sales[..sales].iter().map(|sale| sale.places.len()).sum();
    let length = end.saturating_sub(opened);
    let moments: Vec<Duration> =
        tally.sales[..sales].iter().map(|sale| sale.at.saturating_sub(opened)).collect();
    Window {
        seconds: length.as_secs_f64(),
        purchases: sales,
        purchases_per_s: windows::rate(sales, length),
        places_per_s: windows::rate(places, length),
        noise_per_s: windows::noise_of_rate(&moments, length),
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

fn step_rows(tally: &Tally) -> Vec<StepRow> {
    let steps = Step::ALL.iter().map(|step| (*step, &tally.steps[*step as usize]));
    let rows = steps.filter(|(_, times)| times.wanted.count() > 0);
    rows.map(|(step, times)| {
        let drawn = DRAWN_STEPS.iter().position(|drawn| *drawn == step);
        let noise = |at: usize, share: f64| {
            let seconds = tally.seconds.iter().map(|second| &second.latencies[at]);
            windows::noise_of_quantile(seconds, share)
        };
        StepRow {
            step,
            wanted: (&times.wanted).into(),
            service: (&times.service).into(),
            noise_ms: drawn.map(|at| [noise(at, 0.5), noise(at, 0.99)]),
        }
    })
    .collect()
}

fn endings(tally: &Tally) -> BTreeMap<Ending, u64> {
    let mut counts = BTreeMap::new();
    for fate in &tally.fates {
        *counts.entry(fate.ending).or_default() += 1;
    }
    counts
}

fn persona_rows(tally: &Tally) -> Vec<PersonaRow> {
    let row = |persona: Persona| {
        let fates = || tally.fates.iter().filter(move |fate| fate.persona == persona);
        PersonaRow {
            persona,
            is_bot: persona.is_bot(),
            came: fates().count() as u64,
            admitted: fates().filter(|fate| fate.admitted_s.is_some()).count() as u64,
            bought: fates().filter(|fate| fate.tickets > 0).count() as u64,
            tickets: fates().map(|fate| u64::from(fate.tickets)).sum(),
        }
    };
    Persona::ALL.into_iter().map(row).filter(|row| row.came > 0).collect()
}

fn count_rows(counts: &BTreeMap<(Step, String), u64>) -> Vec<CountRow> {
    let row = |((step, code), count): (&(Step, String), &u64)| CountRow {
        step: *step,
        code: code.clone(),
        count: *count,
    };
    counts.iter().map(row).collect()
}
