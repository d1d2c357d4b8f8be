//! Figures with their limits: medians of windows that took turns, and how far they spread.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// Values of several windows.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The middle one; 0 of none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)])
    }

    /// From the least to the greatest, as a share of the median.
    pub fn spread(&self) -> f64 {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let median = self.median();
        if median > 0.0 { (most - least) / median } else { 0.0 }
    }
}

/// What must be reached, and in which direction.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At least so much of the limit.
    AtLeast(f64),
    /// At most so many times the limit.
    AtMost(f64),
    /// At most so much, whatever the limit is.
    NoMoreThan(f64),
}

impl Bound {
    fn holds(self, value: f64, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
            Self::NoMoreThan(most) => value <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::NoMoreThan(most) => write!(f, "value ≤ {most}"),
        }
    }
}

/// Something else that a figure must reach.
#[derive(Clone, Debug, Serialize)]
pub struct Also {
    /// What it is, with its unit.
    pub name: &'static str,
    /// What was measured.
    pub value: Samples,
    /// It must be no more.
    pub must: f64,
    /// What would be wonderful.
    pub moonshot: f64,
}

impl Also {
    fn reached(&self) -> bool {
        self.value.median() <= self.must
    }
}

/// A figure beside its limit.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Of both values.
    pub unit: &'static str,
    /// What the limit is.
    pub limit_is: &'static str,
    /// What was measured.
    pub value: Samples,
    /// The limit, measured in the same run.
    pub limit: Samples,
    /// What must be reached.
    pub must: Bound,
    /// What would be wonderful.
    pub moonshot: Bound,
    /// What must be reached besides.
    pub also: Option<Also>,
    /// Processor seconds by process, all windows of the figure (not of its limit) together.
    pub cpu_s: BTreeMap<String, f64>,
    /// Whether the generator's core was full in any window.
    pub generator_full: bool,
    /// What each window was made of, for the JSON: an array.
    pub parts: Value,
    /// Beside it: processor microseconds per unit by process, what else was noticed.
    pub notes: Vec<String>,
}

impl Figure {
    /// Median over median.
    pub fn ratio(&self) -> f64 {
        let limit = self.limit.median();
        if limit > 0.0 { self.value.median() / limit } else { 0.0 }
    }

    fn shown_ratio(&self) -> String {
        if self.limit.median() > 0.0 { format!("{:.3}", self.ratio()) } else { "-".to_owned() }
    }

    /// Whether it reached what it must.
    pub fn reached(&self) -> bool {
        let also = self.also.as_ref().is_none_or(Also::reached);
        also && self.must.holds(self.value.median(), self.ratio())
    }

    /// Adds what a window was made of.
    pub fn part(&mut self, part: Value) {
        if let Value::Array(parts) = &mut self.parts {
            parts.push(part);
        }
    }

    /// As part of the bench's one object.
    pub fn json(&self) -> Value {
        let limit = self.limit.median();
        json!({
            "per_s": self.value.median(),
            "limit_per_s": limit,
            "unit": self.unit,
            // Nothing is a multiple of nothing.
            "ratio": (limit > 0.0).then(|| self.ratio()),
            "limit": self.limit_is,
            "must": self.must,
            "moonshot": self.moonshot,
            "reached": self.reached(),
            "windows": self.value,
            "limit_windows": self.limit,
            "spread": self.value.spread(),
            "limit_spread": self.limit.spread(),
            "also": self.also,
            "cpu_s": self.cpu_s,
            "generator_full": self.generator_full,
            "parts": self.parts,
            "notes": self.notes,
        })
    }
}

/// The table.
pub struct Table<'a>(pub &'a [Figure]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14} {:>11} {:>6} {:>11} {:>6} {:>7} {:>12} {:>12}",
            "figure", "measured", "±", "limit", "±", "ratio", "must", "moonshot"
        )?;
        for figure in self.0 {
            let verdict = if figure.reached() { "" } else { "  MISSED" };
            writeln!(
                f,
                "{:<14} {:>11.1} {:>5.0}% {:>11.1} {:>5.0}% {:>7} {:>12} {:>12}{verdict}",
                figure.name,
                figure.value.median(),
                figure.value.spread() * 50.0,
                figure.limit.median(),
                figure.limit.spread() * 50.0,
                figure.shown_ratio(),
                figure.must.to_string(),
                figure.moonshot.to_string(),
            )?;
            writeln!(f, "               {}; limit: {}", figure.unit, figure.limit_is)?;
            if let Some(also) = &figure.also {
                let median = also.value.median();
                writeln!(
                    f,
                    "               {}: {median:.1} (must ≤ {}, moonshot ≤ {})",
                    also.name, also.must, also.moonshot
                )?;
            }
            for note in &figure.notes {
                writeln!(f, "               {note}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: &[f64], limit: &[f64], must: Bound) -> Figure {
        Figure {
            name: "test",
            unit: "per second",
            limit_is: "a test",
            value: Samples(value.to_vec()),
            limit: Samples(limit.to_vec()),
            must,
            moonshot: must,
            also: None,
            cpu_s: BTreeMap::new(),
            generator_full: false,
            parts: json!([]),
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_has_no_limit_is_judged_by_itself() {
        let figure = figure(&[60.0], &[0.0], Bound::NoMoreThan(64.0));
        assert!(figure.reached());
        assert_eq!(figure.json()["ratio"], Value::Null);
        assert!(!Figure { must: Bound::NoMoreThan(59.0), ..figure.clone() }.reached());
        let slow = Also { name: "p99", value: Samples(vec![51.0]), must: 50.0, moonshot: 20.0 };
        assert!(!Figure { also: Some(slow), ..figure }.reached());
    }

    #[test]
    fn medians_are_compared() {
        let figure = figure(&[7.0, 9.0, 8.0], &[10.0, 30.0, 9.0, 10.0], Bound::AtLeast(0.8));
        assert_eq!((figure.value.median(), figure.limit.median()), (8.0, 10.0));
        assert_eq!(figure.value.spread(), 0.25);
        assert!(figure.reached());
        assert!(!Figure { must: Bound::AtLeast(0.81), ..figure.clone() }.reached());
        assert!(Figure { must: Bound::AtMost(0.8), ..figure.clone() }.reached());
        assert!(
            Table(&[Figure { must: Bound::AtMost(0.7), ..figure }]).to_string().contains("MISSED")
        );
        assert_eq!(Samples::default().median(), 0.0);
    }
}
