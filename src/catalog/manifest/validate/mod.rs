//! Every rule a manifest must keep.
//!
//! Rules are checked on the manifest in memory, but people fix files. So a finding names a
//! [`Spot`], and each importer says in its own words where that is in its file.

mod rules;

use std::collections::HashSet;
use std::fmt;

use super::error::{Findings, quoted};
use super::{
    Body, LevelIndex, MAX_AREA_CAPACITY, MAX_LABEL_CHARS, MAX_LEVELS, MAX_NAME_CHARS, MAX_PLACES,
    MAX_ROWS_PER_SECTION, MAX_SEATS_PER_ROW, MAX_SECTIONS, Manifest, ManifestErrors, Row, Section,
};
use rules::{
    coordinate_fault, count_fault, is_color, outline_fault, point_fault, text_fault, twice_fault,
};

/// The place of a finding in the manifest. Displayed as the path in our own JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Manifest { field: &'static str },
    Level { level: usize, field: &'static str },
    Section { section: usize, field: &'static str },
    Row { section: usize, row: usize, field: &'static str },
    Seat { section: usize, row: usize, seat: usize, field: &'static str },
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest { field } => f.write_str(field),
            Self::Level { level, field } => write!(f, "levels[{level}].{field}"),
            Self::Section { section, field } => write!(f, "sections[{section}].{field}"),
            Self::Row { section, row, field } => {
                write!(f, "sections[{section}].rows[{row}].{field}")
            }
            Self::Seat { section, row, seat, field } => {
                write!(f, "sections[{section}].rows[{row}].seats[{seat}].{field}")
            }
        }
    }
}

/// Checks `manifest`; `describe` says where a spot is.
pub(super) fn check(
    manifest: &Manifest,
    describe: impl Fn(Spot) -> String,
) -> Result<(), ManifestErrors> {
    let mut checker = Checker { manifest, describe, findings: Findings::default() };
    checker.heading();
    checker.levels();
    checker.sections();
    checker.findings.into_result()
}

struct Checker<'a, D> {
    manifest: &'a Manifest,
    describe: D,
    findings: Findings,
}

impl<D: Fn(Spot) -> String> Checker<'_, D> {
    fn add(&mut self, spot: Spot, message: impl Into<String>) {
        let at = (self.describe)(spot);
        self.findings.add(at, message);
    }

    /// Notes what a rule says of a spot, if it says anything.
    fn note(&mut self, spot: Spot, verdict: Option<String>) {
        if let Some(message) = verdict {
            self.add(spot, message);
        }
    }

    fn heading(&mut self) {
        let manifest = self.manifest;
        self.note(Spot::Manifest { field: "name" }, text_fault(&manifest.name, MAX_NAME_CHARS));
        self.note(Spot::Manifest { field: "focus" }, point_fault(manifest.focus));
        let places = manifest.capacity();
        if places == 0 {
            self.add(Spot::Manifest { field: "sections" }, "there is nothing to sell");
        }
        if places > MAX_PLACES {
            let message = format!("{places} places; at most {MAX_PLACES} are possible");
            self.add(Spot::Manifest { field: "sections" }, message);
        }
    }

    fn levels(&mut self) {
        let levels = &self.manifest.levels;
        self.note(Spot::Manifest { field: "levels" }, count_fault(levels.len(), MAX_LEVELS));
        let mut codes = HashSet::new();
        for (level, it) in levels.iter().take(MAX_LEVELS).enumerate() {
            let code = Spot::Level { level, field: "code" };
            self.note(code, text_fault(&it.code, MAX_LABEL_CHARS));
            self.note(code, twice_fault(&mut codes, &it.code));
            self.note(Spot::Level { level, field: "name" }, text_fault(&it.name, MAX_NAME_CHARS));
            if !is_color(&it.color) {
                let message = format!("{} is not a colour like #1a2b3c", quoted(&it.color));
                self.add(Spot::Level { level, field: "color" }, message);
            }
        }
    }

    fn sections(&mut self) {
        let sections = &self.manifest.sections;
        self.note(Spot::Manifest { field: "sections" }, count_fault(sections.len(), MAX_SECTIONS));
        let mut codes = HashSet::new();
        for (section, it) in sections.iter().take(MAX_SECTIONS).enumerate() {
            if self.findings.is_full() {
                return;
            }
            let code = Spot::Section { section, field: "code" };
            self.note(code, text_fault(&it.code, MAX_LABEL_CHARS));
            self.note(code, twice_fault(&mut codes, &it.code));
            self.section(section, it);
        }
    }

    fn section(&mut self, section: usize, it: &Section) {
        self.note(Spot::Section { section, field: "name" }, text_fault(&it.name, MAX_NAME_CHARS));
        self.note(Spot::Section { section, field: "outline" }, outline_fault(&it.outline));
        match &it.body {
            Body::Seated { rows } => {
                let count = count_fault(rows.len(), MAX_ROWS_PER_SECTION);
                self.note(Spot::Section { section, field: "rows" }, count);
                let mut labels = HashSet::new();
                for (row, it) in rows.iter().take(MAX_ROWS_PER_SECTION).enumerate() {
                    let label = Spot::Row { section, row, field: "label" };
                    self.note(label, text_fault(&it.label, MAX_LABEL_CHARS));
                    self.note(label, twice_fault(&mut labels, &it.label));
                    self.row(section, row, it);
                }
            }
            Body::Area { level, capacity } => {
                let level = self.level_fault(*level);
                self.note(Spot::Section { section, field: "level" }, level);
                if !(1..=MAX_AREA_CAPACITY).contains(capacity) {
                    let message = format!("{capacity} is not between 1 and {MAX_AREA_CAPACITY}");
                    self.add(Spot::Section { section, field: "capacity" }, message);
                }
            }
        }
    }

    fn row(&mut self, section: usize, row: usize, it: &Row) {
        let count = count_fault(it.seats.len(), MAX_SEATS_PER_ROW);
        self.note(Spot::Row { section, row, field: "seats" }, count);
        let mut labels = HashSet::new();
        for (seat, it) in it.seats.iter().take(MAX_SEATS_PER_ROW).enumerate() {
            if self.findings.is_full() {
                return;
            }
            let label = Spot::Seat { section, row, seat, field: "label" };
            self.note(label, text_fault(&it.label, MAX_LABEL_CHARS));
            self.note(label, twice_fault(&mut labels, &it.label));
            self.note(Spot::Seat { section, row, seat, field: "x" }, coordinate_fault(it.x));
            self.note(Spot::Seat { section, row, seat, field: "y" }, coordinate_fault(it.y));
            let level = self.level_fault(it.level);
            self.note(Spot::Seat { section, row, seat, field: "level" }, level);
        }
    }

    fn level_fault(&self, level: LevelIndex) -> Option<String> {
        let known = usize::from(level.0) < self.manifest.levels.len();
        (!known).then(|| format!("there is no level number {}", level.0))
    }
}

#[cfg(test)]
mod tests;
