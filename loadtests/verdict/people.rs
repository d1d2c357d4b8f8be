//! The report's sections about people.

use std::fmt::Write;

use super::bars::{funnel, percent_bars};
use super::html::BLUE;
use super::summary::{CountRow, Summary, Tenth};
use super::words::{escape, grouped};

/// Who came, and how far they got.
pub fn came(summary: &Summary) -> String {
    let mut html = format!(
        "<section><h2>Who came, and how far they got</h2><figure>{}</figure>\
         <div class=\"two\"><table><tr><th>Visitors</th><th>came</th><th>let in</th>\
         <th>bought</th><th>tickets</th></tr>",
        funnel(&summary.funnel)
    );
    for row in &summary.personas {
        let _ = write!(
            html,
            "<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            row.persona.name(),
            if row.is_bot { " (bot)" } else { "" },
            grouped(row.came),
            grouped(row.admitted),
            grouped(row.bought),
            grouped(row.tickets)
        );
    }
    html.push_str("</table><table><tr><th>How visits ended</th><th></th></tr>");
    for (ending, count) in &summary.endings {
        let (name, count) = (ending.name(), grouped(*count));
        let _ = write!(html, "<tr><td>{name}</td><td>{count}</td></tr>");
    }
    html + "</table></div></section>"
}

/// What the draw has done, and bots.
pub fn fairness(summary: &Summary) -> String {
    let fairness = &summary.fairness;
    let sum = |bots: bool, of: fn(&super::summary::PersonaRow) -> u64| {
        summary.personas.iter().filter(|row| row.is_bot == bots).map(of).sum::<u64>()
    };
    let share = |of: fn(&super::summary::PersonaRow) -> u64| {
        sum(true, of) as f64 / (sum(true, of) + sum(false, of)).max(1) as f64 * 100.0
    };
    let bots = format!(
        "Bots were {:.1} % of the visitors and got {:.1} % of the tickets.",
        share(|row| row.came),
        share(|row| row.tickets)
    );
    if fairness.by_rank.is_empty() {
        return format!("<section><h2>Fairness</h2><p>{bots}</p></section>");
    }
    let percent = |of: fn(&Tenth) -> u64, tenths: &[Tenth]| -> Vec<f64> {
        let share = |tenth: &Tenth| of(tenth) as f64 / tenth.people.max(1) as f64 * 100.0;
        tenths.iter().map(share).collect()
    };
    let bars = |tenths: &[Tenth], what: &str| {
        let labels: Vec<String> = (1..=10).map(|at| format!("{at}. {what}")).collect();
        let admitted = percent(|tenth| tenth.admitted, tenths);
        let bought = percent(|tenth| tenth.bought, tenths);
        percent_bars(&labels, &[("let in", "#b9d3f0", admitted), ("bought", BLUE, bought)])
    };
    format!(
        "<section><h2>Fairness</h2><p>{bots} The draw decides the order, not the speed of a \
         connection: the correlation of arrival with rank is {:+.3} (0 is fair). People only, who \
         came before the draw, in tenths.</p>\
         <figure><h3>By rank at the opening</h3>{}</figure>\
         <figure><h3>The same people by when they came: this must be flat</h3>{}</figure></section>",
        fairness.arrival_to_rank,
        bars(&fairness.by_rank, "tenth"),
        bars(&fairness.by_arrival, "tenth")
    )
}

/// Where the visitors came from, if several generators played the run.
pub fn generators(summary: &Summary) -> String {
    if summary.shards.is_empty() {
        return String::new();
    }
    let mut machines: Vec<&str> = Vec::new();
    let mut html = String::from(
        "<h3>Generators</h3><p class=\"note\">Several programs played the visitors. The worst of \
         them decides whether it was late.</p><table><tr><th>Generator</th><th>machine</th>\
         <th>visitors</th><th>connections at once</th><th>late, p99</th><th>late, most</th></tr>",
    );
    for row in &summary.shards {
        if !machines.contains(&row.machine.as_str()) {
            machines.push(&row.machine);
        }
        let machine = machines.iter().position(|known| *known == row.machine).unwrap_or(0) + 1;
        let _ = write!(
            html,
            "<tr><td>generator {}</td><td>{machine}</td><td>{}</td><td>{}</td><td>{:.1} ms</td>\
             <td>{:.1} ms</td></tr>",
            row.shard,
            grouped(row.visitors),
            grouped(row.most_connections.into()),
            row.late.p99_ms,
            row.late.max_ms
        );
    }
    html + "</table>"
}

/// Refusals, requests turned away, errors.
pub fn noes(summary: &Summary) -> String {
    let table = |title: &str, note: &str, rows: &[CountRow]| {
        let mut html = format!("<div><h3>{title}</h3><p class=\"note\">{note}</p>");
        if rows.is_empty() {
            return html + "<p>none</p></div>";
        }
        html.push_str("<table>");
        for row in rows {
            let (step, code) = (row.step.name(), escape(&row.code));
            let count = grouped(row.count);
            let _ = write!(html, "<tr><td>{step}</td><td>{code}</td><td>{count}</td></tr>");
        }
        html + "</table></div>"
    };
    let samples: String = summary.samples.iter().map(|text| escape(text) + "\n").collect();
    let samples =
        if samples.is_empty() { samples } else { format!("<pre>{}</pre>", samples.trim_end()) };
    format!(
        "<section><h2>Refused, turned away, gone wrong</h2><div class=\"three\">{}{}{}</div>\
         {samples}</section>",
        table("Refusals", "The shop's noes: part of any sale.", &summary.refusals),
        table("Turned away", "503, 504 and 429: asked to come again.", &summary.turned_away),
        table("Errors", "Should not have happened.", &summary.mistakes)
    )
}
