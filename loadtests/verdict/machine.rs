//! The report's section about processes and settings.

use std::fmt::Write;

use super::html::{COLORS, plot};
use super::people;
use super::plot::Line;
use super::summary::Summary;
use super::words::{escape, grouped, price};

/// The section about them.
pub fn section(summary: &Summary) -> String {
    let series = &summary.series;
    let lines = series.processes.iter().enumerate().map(|(at, name)| {
        let cores = |sample: &super::summary::Sample| sample.cores.get(at).copied();
        Line {
            name: name.clone(),
            color: COLORS[at % COLORS.len()],
            values: series.spots.iter().map(cores).collect(),
            filled: false,
        }
    });
    let mut html = format!(
        "<section><h2>Machine and settings</h2><figure><h3>Processor, in cores</h3>{}</figure>\
         <div class=\"two\"><table><tr><th>Process</th><th>CPU seconds</th><th>cores</th>\
         <th>ms per purchase</th></tr>",
        plot(summary, "cores", lines.collect()).svg()
    );
    for row in &summary.cpu {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{:.1}</td><td>{:.2}</td><td>{:.2}</td></tr>",
            escape(&row.process),
            row.seconds,
            row.cores,
            row.ms_per_purchase
        );
    }
    html.push_str("</table>");
    html.push_str(&settings(summary));
    html.push_str("</div>");
    html.push_str(&people::generators(summary));
    html.push_str("<details><summary>The scenario</summary><pre>");
    html.push_str(&escape(&summary.scenario.text));
    html + "</pre></details></section>"
}

/// On which terms it was measured.
fn settings(summary: &Summary) -> String {
    let mut html = String::from("<table>");
    let mut row = |name: &str, value: String| {
        let _ = write!(html, "<tr><td>{name}</td><td>{}</td></tr>", escape(&value));
    };
    let scenario = &summary.scenario;
    if summary.is_elsewhere() {
        row("servers", "a deployment's own, which can't be seen from here".to_owned());
    } else {
        row("cores, for everything", summary.cores.to_string());
        row("server processes", scenario.servers.to_string());
        row("Postgres", "fsync and synchronous_commit on".to_owned());
    }
    row("connections opened in all", grouped(summary.generator.connections_opened));
    row("visitors over HTTP/2", format!("{:.0} %", scenario.connections.h2 * 100.0));
    row(
        "visitors with a connection of their own, at most",
        grouped(scenario.connections.own.into()),
    );
    row("limits per address and session", if scenario.limits { "on" } else { "off" }.to_owned());
    if let Some(people) = &scenario.people {
        let (homes, crowds) = (people.homes_of, people.crowds_of);
        let percent = people.crowded * 100.0;
        row("people in a home network", format!("at most {homes}"));
        row("people in networks of crowds", format!("{percent:.0} %, {crowds} in each"));
    }
    if let Some(bots) = &scenario.bots {
        let (networks, mailboxes) = (grouped(bots.networks.into()), grouped(bots.mailboxes.into()));
        row("bots have together", format!("{networks} networks, {mailboxes} mailboxes"));
    }
    row("seed", scenario.seed.to_string());
    row(
        "outbox and mirror empty after",
        summary.drain_s.map_or_else(|| "never".to_owned(), |s| format!("{s:.1} s")),
    );
    for chaos in &summary.chaos {
        row(&escape(&chaos.what), format!("{:+} s, back after {:.1} s", chaos.at_s, chaos.took_s));
    }
    if let Some(cost) = &summary.cost {
        let money = |value: f64| format!("{} {}", price(value), cost.currency);
        row("price", format!("{}: {} {} per hour", cost.machine, cost.per_hour, cost.currency));
        row("1,000 tickets, processor time used", money(cost.used_per_1000));
        row("1,000 tickets, the machine for the run", money(cost.machine_per_1000));
    }
    html + "</table>"
}
