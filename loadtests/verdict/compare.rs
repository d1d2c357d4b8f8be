//! Two runs side by side, or two groups of runs: what changed by more than it wobbles.

use std::fmt::{self, Display, Formatter};

use super::summary::Summary;

/// A change smaller than this share is never called one, however quiet the figures are.
const LEAST: f64 = 0.03;

/// Whether more of it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Good {
    More,
    Less,
}

/// A figure on both sides.
#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    good: Good,
    before: f64,
    after: f64,
    /// What both sides wobble by together.
    noise: f64,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Better,
    Worse,
    Same,
}

/// A comparison.
pub struct Comparison {
    title: String,
    notes: Vec<String>,
    /// Whether B has runs that did not pass, and A has none.
    fails: bool,
    rows: Vec<Row>,
}

impl Row {
    fn came(&self) -> Came {
        let change = self.after - self.before;
        if change.abs() <= self.noise.max(self.before.abs() * LEAST) {
            return Came::Same;
        }
        if (change > 0.0) == (self.good == Good::More) { Came::Better } else { Came::Worse }
    }
}

/// A figure of one run, with what it wobbles by.
type Figure = (String, &'static str, Good, f64, f64);

fn figures(summary: &Summary) -> Vec<Figure> {
    let mut figures = vec![(
        "purchases until 95 % sold".to_owned(),
        "/s",
        Good::More,
        summary.rush.purchases_per_s,
        summary.rush.noise_per_s,
    )];
    for row in &summary.steps {
        let Some([median, tail]) = row.noise_ms else { continue };
        let name = |share| format!("{} {share}", row.step.name());
        figures.push((name("p50"), "ms", Good::Less, row.wanted.p50_ms, median));
        figures.push((name("p99"), "ms", Good::Less, row.wanted.p99_ms, tail));
    }
    let shop = summary.cpu.iter().filter(|row| !row.process.starts_with("generator"));
    let shop = shop.filter(|row| row.process != "sandbox" && row.process != "anything else");
    let ms: f64 = shop.map(|row| row.ms_per_purchase).sum();
    // Processor time isn't cut into parts: a tenth is what it was seen to wobble by.
    figures.push(("processor per purchase".to_owned(), "ms", Good::Less, ms, ms * 0.1));
    let errors = summary.mistakes.iter().map(|row| row.count).sum::<u64>() as f64;
    figures.push(("errors".to_owned(), "", Good::Less, errors, 0.0));
    figures
}

/// The middle of several runs of the same side, and what they wobble by: between them if there
/// are several, within the run otherwise.
fn middle(side: &[Summary], name: &str) -> Option<(f64, f64)> {
    let find = |run| figures(run).into_iter().find(|(known, ..)| known == name);
    let all: Vec<Figure> = side.iter().filter_map(find).collect();
    let mut values: Vec<f64> = all.iter().map(|figure| figure.3).collect();
    values.sort_by(f64::total_cmp);
    let (first, last) = (values.first()?, values.last()?);
    let median = values[(values.len() - 1) / 2].midpoint(values[values.len() / 2]);
    let noise = if values.len() > 1 { (last - first) / 2.0 } else { all[0].4 };
    Some((median, noise))
}

/// Compares runs of one side with those of the other.
pub fn compare(before: &[Summary], after: &[Summary]) -> Comparison {
    let names = before.first().map(figures).unwrap_or_default();
    let rows = names.into_iter().filter_map(|(name, unit, good, ..)| {
        let (before, one) = middle(before, &name)?;
        let (after, other) = middle(after, &name)?;
        Some(Row { name, unit, good, before, after, noise: one.hypot(other) })
    });
    let rows = rows.collect();
    let mut notes = Vec::new();
    let scenarios = || before.iter().chain(after).map(|run| run.scenario.name.as_str());
    if scenarios().any(|name| Some(name) != scenarios().next()) {
        notes.push("these are different scenarios".to_owned());
    }
    let failed = |runs: &[Summary]| runs.iter().filter(|run| !run.passed).count();
    for (side, runs) in [("A", before), ("B", after)] {
        let failed = failed(runs);
        if failed > 0 {
            notes.push(format!("{failed} of {} runs of {side} did not pass", runs.len()));
        }
    }
    let title = scenarios().next().unwrap_or_default().to_owned();
    Comparison { title, notes, fails: failed(before) == 0 && failed(after) > 0, rows }
}

impl Comparison {
    /// Whether anything got worse by more than it wobbles, or no longer passes.
    pub fn is_worse(&self) -> bool {
        self.fails || self.rows.iter().any(|row| row.came() == Came::Worse)
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_worse() { "B is worse" } else { "B is not worse" };
        writeln!(f, "{}: {verdict}", self.title)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  NOTE: {note}"))?;
        writeln!(f, "\n{:<28} {:>12} {:>12} {:>9} {:>11}", "", "A", "B", "change", "noise")?;
        for row in &self.rows {
            let base = row.before.abs().max(f64::EPSILON);
            let (change, noise) = ((row.after - row.before) / base, row.noise / base);
            let percent = |share: f64, sign: &str| match share * 100.0 {
                _ if row.before == 0.0 => "-".to_owned(),
                value if sign == "+" => format!("{value:+.1} %"),
                value => format!("±{value:.1} %"),
            };
            let word = match row.came() {
                Came::Better => "better",
                Came::Worse => "WORSE",
                Came::Same => "",
            };
            let value = |value: f64| format!("{value:.1} {}", row.unit);
            writeln!(
                f,
                "{:<28} {:>12} {:>12} {:>9} {:>11}  {word}",
                row.name,
                value(row.before),
                value(row.after),
                percent(change, "+"),
                percent(noise, "±")
            )?;
        }
        Ok(())
    }
}
