//! Whether the figures may be believed: what the test itself, and what else the machine did, have to
//! do with them.

use std::fmt::Write;

use super::summary::Summary;
use super::words::escape;

/// Requests that wait longer than this for a shared connection (p99) say more of the generator than
/// of the shop, in milliseconds.
const WAITED_MS: f64 = 100.0;
/// Other programs on the machine may use this share of it.
const OTHERS: f64 = 0.1;
/// A machine is full when so much of it is used, and a run on one that is full for this share of
/// the sale finds the machine's limit.
const FULL: f64 = 0.9;
const FULL_FOR: f64 = 0.2;

/// Something to consider: whether it is as it should be, and what it is.
type Point = (bool, String);

/// Everything that is to be considered.
pub fn points(summary: &Summary) -> Vec<Point> {
    let generator = &summary.generator;
    let limit = summary.scenario.thresholds.generator_late_p99_ms;
    let late = generator.late.p99_ms;
    let mut points = vec![(
        late <= limit,
        format!(
            "Visitors came and asked when they were to: 99 of 100 at most {late:.1} ms later{}.",
            if late <= limit { "" } else { ", which is too late: it takes more generators" }
        ),
    )];
    let waited = generator.queued.p99_ms;
    points.push((
        waited <= WAITED_MS,
        format!(
            "Requests waited {waited:.1} ms (99 of 100) until a connection was free{}.",
            if waited <= WAITED_MS { "" } else { ": it takes more shared connections" }
        ),
    ));
    let cores = summary.cores.max(1) as f64;
    let used = |of: fn(&str) -> bool| -> f64 {
        summary.cpu.iter().filter(|row| of(&row.process)).map(|row| row.cores).sum()
    };
    let test = used(|name| name.starts_with("generator") || name == "sandbox");
    let others = used(|name| name == "anything else");
    let shop = summary.cpu.iter().map(|row| row.cores).sum::<f64>() - test - others;
    points.push((
        others <= cores * OTHERS,
        format!(
            "Of {cores} cores the shop used {shop:.2} on average, the test itself {test:.2}, anything \
             else on the machine {others:.2}{}.",
            if others <= cores * OTHERS { "" } else { ": repeat it where nothing else runs" }
        ),
    ));
    points.extend(busiest(summary, cores - others));
    points
}

/// Whether all cores that others had left were used while people bought, and who used most then.
fn busiest(summary: &Summary, cores: f64) -> Option<Point> {
    let series = &summary.series;
    let selling = |at: usize| series.purchases.get(at).is_some_and(|count| *count > 0);
    let sale: Vec<&Vec<f64>> = series
        .spots
        .iter()
        .enumerate()
        .filter(|(at, _)| selling(*at))
        .map(|(_, spot)| &spot.cores)
        .collect();
    let seconds = sale.len().max(1) as f64;
    let full = sale.iter().filter(|used| used.iter().sum::<f64>() >= cores * FULL).count() as f64;
    let mean = |at: usize| sale.iter().filter_map(|used| used.get(at)).sum::<f64>() / seconds;
    let most = (0..series.processes.len()).max_by(|a, b| mean(*a).total_cmp(&mean(*b)))?;
    let share = full / seconds;
    let (name, used) = (&series.processes[most], mean(most));
    let what = format!("While places were sold, {name} was busiest with {used:.2} cores");
    Some(if share <= FULL_FOR {
        (true, format!("{what}, and the machine was not full."))
    } else {
        let percent = share * 100.0;
        let say = "the test and the shop shared it, so the shop alone does more than this";
        (false, format!("{what}. The machine was full for {percent:.0} % of that time: {say}."))
    })
}

/// As a section of the page.
pub fn section(summary: &Summary) -> String {
    let mut html = String::from(
        "<section class=\"verdict plain\"><h2>May these figures be believed?</h2><ul>",
    );
    for (fine, text) in points(summary) {
        let class = if fine { "ok" } else { "no" };
        let _ = write!(html, "<li class=\"{class}\">{}</li>", escape(&text));
    }
    html + "</ul></section>"
}

#[cfg(test)]
mod tests {
    use super::super::summary::{CpuRow, Sample};
    use super::super::tests::clean;
    use super::*;

    fn said(summary: &Summary) -> String {
        let doubts = points(summary).into_iter().filter(|(fine, _)| !fine);
        doubts.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_the_test_did_itself_is_said() {
        let mut summary = clean().summary();
        (summary.cores, summary.generator.late.p99_ms) = (2, 1.0);
        let row = |process: &str, cores: f64| CpuRow {
            process: process.to_owned(),
            seconds: 1.0,
            cores,
            ms_per_purchase: 1.0,
        };
        summary.cpu =
            vec![row("server-1", 0.5), row("generator-2", 0.3), row("anything else", 0.1)];
        assert_eq!(said(&summary), "");
        let all = points(&summary).into_iter().map(|(_, text)| text).collect::<String>();
        assert!(all.contains("the shop used 0.50 on average, the test itself 0.30"), "{all}");
        assert!(all.contains("server-1 was busiest with 0.50 cores"), "{all}");

        summary.generator.late.p99_ms = 101.0;
        assert!(said(&summary).contains("more generators"));
        summary.generator.queued.p99_ms = 250.0;
        assert!(said(&summary).contains("more shared connections"));
        summary.cpu[2].cores = 0.9;
        assert!(said(&summary).contains("nothing else runs"));
        let full = Sample { cores: vec![0.9, 1.0], ..Sample::default() };
        summary.series.spots = vec![full; 8];
        assert!(
            said(&summary).contains("generator was busiest with 1.00 cores. The machine was full")
        );
        assert!(section(&summary).matches("class=\"no\"").count() == 4);
    }
}
