//! Plots over time as SVG text. No scripts, no fonts, nothing from elsewhere.

use std::fmt::Write;

use super::words::{escape, number};

/// The drawing, and its margins.
pub const WIDTH: f64 = 860.0;
pub const HEIGHT: f64 = 250.0;
pub const LEFT: f64 = 58.0;
pub const RIGHT: f64 = 14.0;
pub const TOP: f64 = 14.0;
pub const BOTTOM: f64 = 30.0;
/// What the name of a moment needs.
const MARK_ROOM: f64 = 190.0;

/// A line over time.
pub struct Line {
    /// In the legend.
    pub name: String,
    /// As CSS has it.
    pub color: &'static str,
    /// One per second; none leaves a gap.
    pub values: Vec<Option<f64>>,
    /// Whether the area below is filled.
    pub filled: bool,
}

impl Line {
    /// With a value for every second.
    pub fn of<T: Copy + Into<f64>>(name: &str, color: &'static str, values: &[T]) -> Self {
        let values = values.iter().map(|value| Some((*value).into())).collect();
        Self { name: name.to_owned(), color, values, filled: false }
    }

    /// Filled.
    pub fn filled(self) -> Self {
        Self { filled: true, ..self }
    }
}

/// Lines over the seconds of a run.
pub struct Plot {
    /// What is on the vertical axis.
    pub unit: &'static str,
    /// The second at which 0 is written: the opening.
    pub zero_s: f64,
    /// Whether the vertical axis is logarithmic.
    pub is_log: bool,
    /// What goes up to it, at least.
    pub least_top: f64,
    /// The lines, those behind first.
    pub lines: Vec<Line>,
    /// Moments with a name.
    pub marks: Vec<(f64, String)>,
}

impl Plot {
    /// As SVG, with a legend.
    pub fn svg(&self) -> String {
        let seconds = self.lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(2);
        let all = self.lines.iter().flat_map(|line| line.values.iter().flatten());
        let top = all.clone().copied().fold(self.least_top, f64::max).max(1e-3);
        let axis =
            Axis::new(self.is_log, top, all.copied().filter(|v| *v > 0.0).fold(top, f64::min));
        let x = |second: f64| LEFT + second / (seconds - 1) as f64 * (WIDTH - LEFT - RIGHT);
        let mut svg = open(HEIGHT);
        axis.draw(&mut svg, self.unit);
        for (at, label) in time_ticks(seconds as f64 - 1.0, self.zero_s) {
            let (x, y) = (x(at), HEIGHT - BOTTOM + 16.0);
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" class=\"m\">{label}</text>");
        }
        for (at, label) in &self.marks {
            let (at, bottom) = (x(at + self.zero_s), HEIGHT - BOTTOM);
            // What happens near the end is named on the line's left.
            let is_late = at > WIDTH - RIGHT - MARK_ROOM;
            let (beside, class) = if is_late { (at - 4.0, "e") } else { (at + 4.0, "s") };
            let _ = write!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" class=\"mark\"/>\
                 <text x=\"{beside:.1}\" y=\"{:.1}\" class=\"{class} mt\">{}</text>",
                TOP + 8.0,
                escape(label)
            );
        }
        for line in &self.lines {
            for run in line.values.iter().enumerate().collect::<Vec<_>>().split(|v| v.1.is_none()) {
                let mut path = String::new();
                for (second, value) in run.iter().filter_map(|(at, value)| Some((at, (**value)?))) {
                    let step = if path.is_empty() { 'M' } else { 'L' };
                    let _ = write!(path, "{step}{:.1} {:.1}", x(*second as f64), axis.y(value));
                }
                let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
                if line.filled {
                    let bottom = HEIGHT - BOTTOM;
                    let (from, to) = (x(first.0 as f64), x(last.0 as f64));
                    let color = line.color;
                    let _ = write!(
                        svg,
                        "<path d=\"{path}L{to:.1} {bottom}L{from:.1} {bottom}Z\" fill=\"{color}\" \
                         fill-opacity=\"0.16\"/>"
                    );
                }
                let _ = write!(svg, "<path d=\"{path}\" class=\"l\" stroke=\"{}\"/>", line.color);
            }
        }
        svg.push_str("</svg>");
        let names = self.lines.iter().map(|line| (line.name.as_str(), line.color));
        svg + &legend(names)
    }
}

/// A legend.
pub fn legend<'a>(names: impl Iterator<Item = (&'a str, &'static str)>) -> String {
    let item = |(name, color): (&str, &str)| {
        format!("<span><i style=\"background:{color}\"></i>{}</span>", escape(name))
    };
    format!("<p class=\"legend\">{}</p>", names.map(item).collect::<String>())
}

/// The vertical axis.
pub struct Axis {
    /// Whether it is logarithmic.
    pub is_log: bool,
    /// Its ends.
    pub low: f64,
    /// See above.
    pub top: f64,
}

impl Axis {
    fn new(is_log: bool, top: f64, low: f64) -> Self {
        if is_log {
            let (low, top) = (low.max(0.1).log10().floor(), top.log10().ceil());
            return Self { is_log, low: 10_f64.powf(low), top: 10_f64.powf(top.max(low + 1.0)) };
        }
        let step = nice(top / 4.0);
        Self { is_log, low: 0.0, top: (top / step).ceil() * step }
    }

    /// Where a value lies.
    pub fn y(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).log10() / (self.top / self.low).log10()
        } else {
            value / self.top
        };
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let decades = (self.top / self.low).log10().round() as i32;
            return (0..=decades).map(|decade| self.low * 10_f64.powi(decade)).collect();
        }
        let step = nice(self.top / 4.0);
        (0..=(self.top / step).round() as u32).map(|at| f64::from(at) * step).collect()
    }

    /// Draws its lines and numbers.
    pub fn draw(&self, svg: &mut String, unit: &str) {
        for tick in self.ticks() {
            let y = self.y(tick);
            let _ = write!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"g\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" class=\"e\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                number(tick)
            );
        }
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"10\" class=\"s\">{unit}</text>", LEFT + 2.0);
    }
}

/// 1, 2 or 5 times a power of ten, not less than this.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * power)
        .into_iter()
        .find(|s| *s >= value * 0.999)
        .unwrap_or(power)
}

fn time_ticks(seconds: f64, zero_s: f64) -> Vec<(f64, String)> {
    let step = nice(seconds / 9.0).max(1.0);
    let first = (-zero_s / step).ceil() as i64;
    let last = ((seconds - zero_s) / step).floor() as i64;
    let label = |after: f64| if after == 0.0 { "T-0".to_owned() } else { format!("{after:+} s") };
    (first..=last).map(|at| (at as f64 * step + zero_s, label(at as f64 * step))).collect()
}

/// Begins a drawing of this height.
pub fn open(height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_break_a_line_and_the_opening_is_marked() {
        let mut line = Line::of("holds", "red", &[1_u32, 2, 3, 4]);
        line.values[1] = None;
        let plot = Plot {
            unit: "per s",
            zero_s: 2.0,
            is_log: false,
            least_top: 0.0,
            lines: vec![line],
            marks: vec![(1.0, "<chaos>".to_owned())],
        };
        let svg = plot.svg();
        assert_eq!(svg.matches("class=\"l\"").count(), 2);
        assert!(svg.contains("T-0") && svg.contains("&lt;chaos&gt;"));
        assert!(!svg.contains("NaN"));
        assert_eq!([0.3, 1.0, 1.2, 37.0, 99.0].map(nice), [0.5, 1.0, 2.0, 50.0, 100.0]);
    }
}
