//! Plots without time: bars, spans, and the steps of a funnel.

use std::fmt::Write;

use super::plot::{Axis, BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, legend, open};
use super::words::{escape, grouped, number};

/// Groups of bars in percent, each with a label under it; the names of the bars go into a legend.
pub fn percent_bars(labels: &[String], bars: &[(&str, &'static str, Vec<f64>)]) -> String {
    let mut svg = open(HEIGHT);
    let axis = Axis { is_log: false, low: 0.0, top: 100.0 };
    axis.draw(&mut svg, "%");
    let group = (WIDTH - LEFT - RIGHT) / labels.len().max(1) as f64;
    let wide = group * 0.72 / bars.len().max(1) as f64;
    for (at, label) in labels.iter().enumerate() {
        let from = LEFT + group * at as f64 + group * 0.14;
        for (number, (name, color, values)) in bars.iter().enumerate() {
            let value = values.get(at).copied().unwrap_or(0.0);
            let (x, y) = (from + wide * number as f64, axis.y(value));
            let height = HEIGHT - BOTTOM - y;
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"2\" \
                 fill=\"{color}\"><title>{label}: {name} {value:.1} %</title></rect>",
                wide - 2.0
            );
        }
        let (x, y) = (from + group * 0.36, HEIGHT - BOTTOM + 16.0);
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" class=\"m\">{label}</text>");
    }
    svg.push_str("</svg>");
    svg + &legend(bars.iter().map(|(name, color, _)| (*name, *color)))
}

/// Percentiles on a logarithmic scale: for each name a bar from the median to the 99th percentile
/// with a tick at the 95th.
pub fn spans(rows: &[(String, [f64; 3])]) -> String {
    const ROW: f64 = 26.0;
    const NAMES: f64 = 110.0;
    let height = ROW * rows.len() as f64 + BOTTOM;
    let top = rows.iter().map(|(_, spans)| spans[2]).fold(10.0, f64::max);
    let low = rows.iter().map(|(_, spans)| spans[0]).fold(1.0, f64::min).max(0.1);
    let (low, top) = (10_f64.powf(low.log10().floor()), 10_f64.powf(top.log10().ceil()));
    let x = |ms: f64| {
        let share = (ms.max(low) / low).log10() / (top / low).log10();
        NAMES + share * (WIDTH - NAMES - 190.0)
    };
    let mut svg = open(height);
    let mut tick = low;
    while tick <= top * 1.001 {
        let (at, y) = (x(tick), height - BOTTOM + 16.0);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{:.1}\" class=\"g\"/>\
             <text x=\"{at:.1}\" y=\"{y:.1}\" class=\"m\">{} ms</text>",
            height - BOTTOM,
            number(tick)
        );
        tick *= 10.0;
    }
    for (at, (name, [p50, p95, p99])) in rows.iter().enumerate() {
        let y = ROW * at as f64 + 5.0;
        let (from, middle, to) = (x(*p50), x(*p95), x(*p99));
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"e\">{}</text>\
             <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"14\" rx=\"3\" \
             fill=\"#b9d3f0\"/>\
             <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"14\" rx=\"3\" \
             fill=\"#2f6db5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"s\">{} · {} · {}</text>",
            NAMES - 10.0,
            y + 11.0,
            escape(name),
            (to - from).max(3.0),
            (middle - from).max(3.0),
            to.max(from + 3.0) + 6.0,
            y + 11.0,
            number(*p50),
            number(*p95),
            number(*p99)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Steps that fewer and fewer reach.
pub fn funnel(rows: &[(String, u64)]) -> String {
    const ROW: f64 = 34.0;
    const NAMES: f64 = 130.0;
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1) as f64;
    let mut svg = open(ROW * rows.len() as f64);
    for (at, (name, count)) in rows.iter().enumerate() {
        let (y, share) = (ROW * at as f64 + 3.0, *count as f64 / most);
        let wide = (share * (WIDTH - NAMES - 150.0)).max(2.0);
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"e\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"26\" rx=\"3\" \
             fill=\"#2f6db5\" fill-opacity=\"{:.2}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"s\">{} ({:.1} %)</text>",
            NAMES - 10.0,
            y + 17.0,
            escape(name),
            1.0 - 0.11 * at as f64,
            NAMES + wide + 8.0,
            y + 17.0,
            grouped(*count),
            share * 100.0
        );
    }
    svg.push_str("</svg>");
    svg
}
