//! The report for people: one HTML file with everything in it.

use std::fmt::Write;

use super::bars::spans;
use super::belief;
use super::judge::{AUDIT_PROBLEM, SOLD};
use super::machine;
use super::people;
use super::plot::{Line, Plot};
use super::summary::{Latency, Summary};
use super::tally::Step;
use super::words::{escape, grouped, number, price};

const STYLE: &str = include_str!("report.css");
/// The colour of most things.
pub const BLUE: &str = "#2f6db5";
const GREEN: &str = "#2e9e6b";
const ORANGE: &str = "#e08a2b";
const RED: &str = "#c8453b";
const GREY: &str = "#9aa5b1";
const PURPLE: &str = "#7b5bb0";
/// Colours of processes and steps, in turn.
pub const COLORS: [&str; 7] = [BLUE, GREEN, ORANGE, PURPLE, RED, "#3aa6b9", GREY];

/// The whole page.
pub fn page(summary: &Summary) -> String {
    let scenario = &summary.scenario;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{} · onsale rehearsal</title><style>{STYLE}</style></head><body><main>",
        escape(&scenario.name)
    );
    let parts = [
        verdict(summary),
        cards(summary),
        belief::section(summary),
        over_time(summary),
        latencies(summary),
        people::came(summary),
        people::fairness(summary),
        people::noes(summary),
        machine::section(summary),
        audit(summary),
    ];
    // On a phone a table that is too wide moves by itself, and not the whole page.
    let parts = parts.map(|part| {
        part.replace("<table>", "<div class=\"wide\"><table>").replace("</table>", "</table></div>")
    });
    page.extend(parts);
    page.push_str("</main></body></html>\n");
    page
}

fn verdict(summary: &Summary) -> String {
    let (class, word) = if summary.passed { ("pass", "Passed") } else { ("fail", "Failed") };
    let scenario = &summary.scenario;
    let when = jiff::Timestamp::from_second(summary.at)
        .map_or_else(|_| String::new(), |at| at.strftime("%-d %B %Y, %H:%M UTC").to_string());
    let mut html = format!(
        "<header><p class=\"kicker\">Onsale rehearsal · {}</p><h1>{}</h1>\
         <p class=\"lead\">{}</p></header><section class=\"verdict {class}\"><h2>{word}</h2><ul>",
        escape(&when),
        escape(&scenario.name),
        escape(&scenario.about)
    );
    let mut item = |fine: bool, text: String| {
        let class = if fine { "ok" } else { "no" };
        let _ = write!(html, "<li class=\"{class}\">{}</li>", escape(&text));
    };
    item(
        summary.audit_clean,
        if summary.audit_clean {
            "The audit is clean: no place was sold twice, every payment has its tickets.".into()
        } else {
            "The audit found violations: see the end of this report.".into()
        },
    );
    let enough = summary.checks.iter().all(|check| check.held || check.what != SOLD);
    item(
        summary.sold_out || enough,
        format!(
            "{} of {} places were sold{}.",
            grouped(summary.sold),
            grouped(summary.capacity.into()),
            summary.sold_out_s.map_or_else(String::new, |s| format!(", the last after {s:.0} s"))
        ),
    );
    // Thresholds have a table of their own, the audit is named already.
    let told = |problem: &&String| {
        let of_table = summary.checks.iter().any(|check| problem.starts_with(&check.what));
        !of_table && problem.as_str() != AUDIT_PROBLEM
    };
    for problem in summary.problems.iter().filter(told) {
        item(false, problem.clone());
    }
    let missed = summary.checks.iter().filter(|check| !check.held).count();
    if !summary.checks.is_empty() {
        item(
            missed == 0,
            match missed {
                0 => "All thresholds were held.".to_owned(),
                1 => "One threshold was not held.".to_owned(),
                more => format!("{more} thresholds were not held."),
            },
        );
    }
    html.push_str("</ul>");
    html.push_str("<table><tr><th>Threshold</th><th>Asked for</th><th>Measured</th><th></th></tr>");
    for check in &summary.checks {
        let (class, word) = if check.held { ("ok", "held") } else { ("no", "NOT HELD") };
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(&check.what),
            escape(&check.limit),
            escape(&check.was)
        );
    }
    html + "</table></section>"
}

fn cards(summary: &Summary) -> String {
    let mut html = String::from("<section class=\"cards\">");
    let mut card = |value: String, what: &str| {
        let _ = write!(html, "<div><b>{value}</b><span>{what}</span></div>");
    };
    card(grouped(summary.generator.visitors), "visitors came");
    card(grouped(summary.generator.most_here), "of them at once");
    card(grouped(summary.generator.most_connections.into()), "connections at once");
    card(grouped(summary.sold), "places sold");
    if let Some(seconds) = summary.sold_out_s {
        card(format!("{seconds:.0} s"), "from the opening to sold out");
    }
    card(number(summary.peak_purchases_per_s_5s), "purchases per second at the peak (5 s)");
    let hold = summary.steps.iter().find(|row| row.step == Step::Hold);
    if let Some(hold) = hold {
        card(format!("{} ms", number(hold.wanted.p99_ms)), "hold, 99 of 100");
    }
    if let Some(cost) = &summary.cost {
        let price = format!("{} {}", price(cost.used_per_1000), escape(&cost.currency));
        card(price, "per 1,000 tickets (processor time used)");
    }
    html + "</section>"
}

fn marks(summary: &Summary) -> Vec<(f64, String)> {
    let chaos = summary.chaos.iter().map(|row| (row.at_s, row.what.clone()));
    let sold = summary.sold_out_s.map(|at| (at, "sold out".to_owned()));
    [(0.0, "opening".to_owned())].into_iter().chain(chaos).chain(sold).collect()
}

/// Lines over the run, with its moments.
pub fn plot(summary: &Summary, unit: &'static str, lines: Vec<Line>) -> Plot {
    let (zero_s, marks) = (summary.opened_s, marks(summary));
    Plot { unit, zero_s, is_log: false, least_top: 1.0, lines, marks }
}

fn over_time(summary: &Summary) -> String {
    let series = &summary.series;
    let spots = |of: fn(&super::summary::Sample) -> f64| -> Vec<f64> {
        series.spots.iter().map(of).collect()
    };
    let mut sold = 0;
    let sold: Vec<f64> = series
        .places
        .iter()
        .map(|places| {
            sold += places;
            f64::from(sold)
        })
        .collect();
    let doors = vec![
        Line::of("intended arrivals", GREY, &series.intended),
        Line::of("arrivals", BLUE, &series.arrived).filled(),
        Line::of("let in", GREEN, &series.admitted),
    ];
    let places = vec![
        Line::of("in line", BLUE, &spots(|s| s.in_line as f64)).filled(),
        Line::of("choosing", ORANGE, &spots(|s| s.inside as f64)),
        Line::of("holding", PURPLE, &spots(|s| s.holding as f64)),
        Line::of("paying", GREEN, &spots(|s| s.paying as f64)),
    ];
    let inside = places.iter().skip(1).map(|line| Line {
        name: line.name.clone(),
        color: line.color,
        values: line.values.clone(),
        filled: true,
    });
    let inside = inside.collect();
    let curve = vec![Line::of("places on tickets", GREEN, &sold).filled()];
    let sales = vec![
        Line::of("holds", PURPLE, &series.holds),
        Line::of("purchases", GREEN, &series.purchases).filled(),
    ];
    let noes = vec![
        Line::of("refusals (part of any sale)", ORANGE, &series.refused),
        Line::of("turned away (come again)", GREY, &series.turned_away),
        Line::of("errors", RED, &series.errors),
    ];
    let mut curve = plot(summary, "places", curve);
    curve.least_top = f64::from(summary.capacity);
    let mut html = String::from("<section><h2>The sale</h2>");
    let mut figure = |title: &str, plot: Plot| {
        let _ = write!(html, "<figure><h3>{title}</h3>{}</figure>", plot.svg());
    };
    figure("Arrivals and admissions per second", plot(summary, "per second", doors));
    figure("Who was where", plot(summary, "visitors", places));
    figure("Who was inside", plot(summary, "visitors", inside));
    figure("Sell-out curve", curve);
    figure("Holds and purchases per second", plot(summary, "per second", sales));
    figure("Noes per second: never counted as sales", plot(summary, "per second", noes));
    html + "</section>"
}

fn latencies(summary: &Summary) -> String {
    let three = |latency: &Latency| [latency.p50_ms, latency.p95_ms, latency.p99_ms];
    let rows: Vec<(String, [f64; 3])> = summary
        .steps
        .iter()
        .map(|row| (row.step.name().to_owned(), three(&row.wanted)))
        .chain([("whole purchase".to_owned(), three(&summary.purchase))])
        .filter(|(_, values)| values[2] > 0.0)
        .collect();
    let mut html = format!(
        "<section><h2>How long it took</h2><p>Every time counts from when the request was \
         <em>intended</em>: a busy generator, a full connection or a slow answer before it makes \
         it longer, never shorter.</p><figure><h3>Median · 95th · 99th percentile by step, in \
         milliseconds</h3>{}</figure>",
        spans(&rows)
    );
    let lines = summary.series.latencies.iter().zip(COLORS).map(|((step, values), color)| Line {
        name: format!("{}, p99", step.name()),
        color,
        values: values.iter().map(|value| value.map(|[_, p99]| p99)).collect(),
        filled: false,
    });
    let over_time = Plot { is_log: true, least_top: 10.0, ..plot(summary, "ms", lines.collect()) };
    let _ = write!(
        html,
        "<figure><h3>99th percentile over time</h3>{}</figure>\
         <table><tr><th>Step</th><th>answers</th><th>p50</th><th>p95</th><th>p99</th><th>max</th>\
         <th>p50 on the wire</th><th>p99 on the wire</th></tr>",
        over_time.svg()
    );
    for row in &summary.steps {
        let (wanted, wire) = (&row.wanted, &row.service);
        let _ = write!(
            html,
            "<tr><td>{}</td>{}<td>{}</td><td>{}</td></tr>",
            row.step.name(),
            cells(wanted),
            number(wire.p50_ms),
            number(wire.p99_ms)
        );
    }
    let others = [
        ("whole purchase", &summary.purchase),
        ("refusals", &summary.refused),
        ("generator late", &summary.generator.late),
    ];
    for (name, latency) in others {
        let _ = write!(html, "<tr><td>{name}</td>{}<td></td><td></td></tr>", cells(latency));
    }
    html.push_str("</table><details><summary>What the steps are</summary><table>");
    for step in Step::ALL {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", step.name(), step.what());
    }
    html + "</table></details></section>"
}

fn cells(latency: &Latency) -> String {
    let Latency { count, p50_ms, p95_ms, p99_ms, max_ms } = *latency;
    let times = [p50_ms, p95_ms, p99_ms, max_ms].map(|ms| format!("<td>{}</td>", number(ms)));
    format!("<td>{}</td>{}", grouped(count), times.concat())
}

fn audit(summary: &Summary) -> String {
    let text = summary.audit.trim_end();
    let open = if summary.audit_clean { "" } else { " open" };
    format!(
        "<section><h2>Audit</h2><details{open}><summary>{}</summary><pre>{}</pre></details></section>",
        escape(text.lines().last().unwrap_or("It was not run.")),
        escape(text)
    )
}
