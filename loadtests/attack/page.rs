//! The report as a page of its own: no scripts, nothing from elsewhere.

use std::fmt::Write;

use super::plan::{Curve, Row};
use super::report::{CUT, Report, title};
use crate::bots::budget::BUDGET;
use crate::bots::outcome::Outcome;

/// Of a plot, in units of its own: the drawing area, and what is left and below of it.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 46.0;
const BELOW: f64 = 40.0;
const ABOVE: f64 = 10.0;
/// The least share that an axis ends with.
const LEAST_TOP: f64 = 0.05;
/// Lines across a plot.
const LINES: u32 = 5;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bots against people</title>
<style>
:root { color-scheme: light; --ink: #1b1f24; --soft: #5c6670; --rule: #d9dee3; --bot: #b3261e;
  --chance: #2a6fb0; --good: #1b7a3d; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; background: #fff; }
h1 { font-size: 1.6rem; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { max-width: 46rem; } .soft, figcaption { color: var(--soft); }
.verdict { border-left: 5px solid var(--good); padding: .2rem 1rem; margin: 1rem 0; }
.verdict.no { border-color: var(--bot); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem 2rem; }
figure { margin: 0; } figcaption { font-size: .88rem; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--rule); } .bot { stroke: var(--bot); fill: none; stroke-width: 2; }
.dot { fill: var(--bot); fill-opacity: .55; } .chance { stroke: var(--chance); fill: none;
  stroke-width: 1.5; stroke-dasharray: 5 4; } .budget { stroke: var(--soft); stroke-dasharray: 2 3; }
.bar { fill: var(--bot); }
</style></head><body>
"#;

/// The page.
pub fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    intro(&mut page, report);
    verdict(&mut page, report);
    let played = &report.played;
    rows(
        &mut page,
        "What each defence does",
        "10,000 people, 2,000 places, the whole budget; \
        only who has signed in is let in where it says accounts.",
        &played.parts,
    );
    rows(
        &mut page,
        "Where anybody is let in",
        "10,000 people, 2,000 places, a tenth of the \
        budget. Cores make identities here, until networks are counted.",
        &played.open_parts,
    );
    page.push_str("<h2>What each part of the budget buys</h2>\n<p class=\"soft\">Red: the bots' \
        share of the tickets, a dot for each seed and a line through the mean. Blue: their share of \
        the identities in the line, which chance would give them if everybody wanted as many \
        places. Dotted: the budget.</p>\n<div class=\"plots\">\n");
    for curve in &played.curves {
        plot(&mut page, curve);
    }
    page.push_str("</div>\n</body></html>\n");
    page
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Writing to a string can't fail.
fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

fn intro(page: &mut String, report: &Report) {
    let played = &report.played;
    add(
        page,
        format_args!(
            "<h1>Bots against people</h1>\n<p>Attackers who know the defences have {} accounts, {} \
         networks of /24, {} cores for proofs of work and {} cards. They act within a fifth of a \
         second, hold all they may and try again. People have one device, notice after 2 to 45 s and \
         want 1 to 4 places.</p>\n<p class=\"soft\">Real: every request, over HTTP, to a server \
         with its default limits, Postgres and Redis. Simulated: time; addresses, which a trusted \
         proxy vouches for; and hashes, which are counted ({:.1} million per second and core, as \
         measured). Seeds {:?}.</p>\n",
            BUDGET.accounts,
            BUDGET.networks,
            BUDGET.cores,
            BUDGET.cards,
            played.per_core / 1e6,
            played.seeds
        ),
    );
}

fn verdict(page: &mut String, report: &Report) {
    let verdict = &report.verdict;
    let [bot, person, keen] = verdict.each;
    let (class, word) = if verdict.met { ("", "met") } else { (" no", "not met") };
    add(
        page,
        format_args!(
            "<div class=\"verdict{class}\"><p><b>The goal is {word}.</b> Tickets per identity in the \
         line: <b>{bot:.3}</b> of a bot, <b>{keen:.3}</b> of a person who wants as many, comes when \
         called and pays: {:.2} times as many, give or take {:.2}. An average person has \
         {person:.3}.</p></div>\n<div class=\"scroll\"><table><tr><th>Bots' share of the \
         tickets</th><th>people</th><th>bots</th><th>chance</th><th>without</th><th>with</th>\
         <th>seeds</th><th>cut (goal {:.0} %)</th></tr>\n",
            verdict.gain,
            verdict.gain_error,
            CUT * 100.0
        ),
    );
    for cut in &verdict.cuts {
        let [with, least, most] = cut.with.map(percent);
        add(
            page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><b>{with}</b></td>\
             <td>{least} to {most}</td><td><b>{}</b></td></tr>\n",
                cut.name,
                cut.people,
                cut.bots,
                percent(cut.chance),
                percent(cut.without),
                percent(cut.cut)
            ),
        );
    }
    page.push_str("</table></div>\n");
}

fn rows(page: &mut String, title: &str, text: &str, rows: &[Row]) {
    add(
        page,
        format_args!(
            "<h2>{title}</h2>\n<p class=\"soft\">{text}</p>\n<div class=\"scroll\"><table>\
         <tr><th>defences</th><th>people</th><th>bots</th><th>chance</th><th>tickets</th><th></th>\
         </tr>\n"
        ),
    );
    for row in rows {
        let (all, share) = (&row.outcome, row.outcome.bot_share());
        add(
            page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><svg viewBox=\"0 0 200 \
             12\" style=\"width:200px\" aria-hidden=\"true\"><rect class=\"bar\" width=\"{:.1}\" \
             height=\"12\"/></svg></td></tr>\n",
                row.name,
                all.people.joined,
                all.bots.joined,
                percent(all.identity_share()),
                percent(share),
                share * 200.0
            ),
        );
    }
    page.push_str("</table></div>\n");
}

/// Where values are in a plot; the axis below is logarithmic.
struct Frame {
    low: f64,
    high: f64,
    top: f64,
}

impl Frame {
    fn of(curve: &Curve) -> Self {
        let xs = || curve.points.iter().map(|point| point.x).chain([curve.budget]);
        let shares = curve.points.iter().flat_map(|point| &point.outcomes);
        let top = shares.map(|one| one.bot_share().max(one.identity_share()));
        let top = (top.fold(LEAST_TOP, f64::max) * 20.0).ceil() / 20.0;
        let low = xs().fold(f64::INFINITY, f64::min).ln();
        Self { low, high: xs().fold(0.0, f64::max).ln(), top }
    }

    fn x(&self, x: f64) -> f64 {
        let span = (self.high - self.low).max(f64::MIN_POSITIVE);
        LEFT + (x.ln() - self.low) / span * (WIDTH - LEFT - 16.0) + 8.0
    }

    fn y(&self, share: f64) -> f64 {
        ABOVE + (1.0 - share / self.top) * (HEIGHT - ABOVE)
    }

    fn line(&self, curve: &Curve, share: impl Fn(&Outcome) -> f64) -> String {
        let at = |(x, share): (f64, f64)| format!("{:.1},{:.1}", self.x(x), self.y(share));
        let means =
            curve.points.iter().map(|point| (point.x, share(&Outcome::sum(&point.outcomes))));
        means.map(at).collect::<Vec<_>>().join(" ")
    }
}

fn plot(page: &mut String, curve: &Curve) {
    let frame = Frame::of(curve);
    let all = HEIGHT + BELOW;
    add(
        page,
        format_args!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {all}\" role=\"img\" aria-label=\"{}\">\n",
            title(curve)
        ),
    );
    for step in 0..=LINES {
        let share = frame.top * f64::from(step) / f64::from(LINES);
        let y = frame.y(share);
        add(
            page,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>\n",
                LEFT - 6.0,
                y + 4.0,
                share * 100.0
            ),
        );
    }
    let budget = frame.x(curve.budget);
    add(
        page,
        format_args!(
            "<line class=\"budget\" x1=\"{budget:.1}\" x2=\"{budget:.1}\" y1=\"{ABOVE}\" \
         y2=\"{HEIGHT}\"/>\n<polyline class=\"chance\" points=\"{}\"/>\n<polyline class=\"bot\" \
         points=\"{}\"/>\n",
            frame.line(curve, Outcome::identity_share),
            frame.line(curve, Outcome::bot_share)
        ),
    );
    for point in &curve.points {
        let x = frame.x(point.x);
        for outcome in &point.outcomes {
            let y = frame.y(outcome.bot_share());
            add(
                page,
                format_args!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"),
            );
        }
        add(
            page,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                HEIGHT + 16.0,
                point.x
            ),
        );
    }
    add(
        page,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></svg>\n\
         <figcaption>{}</figcaption></figure>\n",
            f64::midpoint(LEFT, WIDTH),
            all - 6.0,
            curve.axis,
            title(curve)
        ),
    );
}
