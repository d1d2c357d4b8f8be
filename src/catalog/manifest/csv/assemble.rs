//! From lines to a manifest. Lines of a section or row need not be together in the file.

use std::collections::HashMap;

use super::super::error::{Findings, quoted};
use super::super::validate::{self, Spot};
use super::super::{
    Body, Level, LevelIndex, MAX_LEVELS, MAX_PLACES, Manifest, ManifestErrors, Point, Row, Seat,
    Section, default_color, outline,
};
use super::line::{Column, Kind, Line, at};
use super::{DEFAULT_NAME, layout};

/// What has been read so far.
#[derive(Default)]
pub(super) struct Assembly {
    drafts: Vec<Draft>,
    by_code: HashMap<String, usize>,
    levels: Vec<Level>,
    level_lines: Vec<u64>,
    level_by_code: HashMap<String, LevelIndex>,
    seats: u64,
    /// Whether seats have coordinates; the first seat decides for all.
    drawn: Option<bool>,
    findings: Findings,
}

/// A section that is being read.
struct Draft {
    code: String,
    name: String,
    line: u64,
    contents: Contents,
}

enum Contents {
    Rows(Rows),
    Area { level: LevelIndex, capacity: u32, centre: Option<Point> },
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    by_label: HashMap<String, usize>,
    /// The line of each seat of each row.
    lines: Vec<Vec<u64>>,
}

impl Assembly {
    /// Whether reading on would be in vain.
    pub fn is_full(&self) -> bool {
        self.findings.is_full() || self.seats > MAX_PLACES || self.levels.len() > MAX_LEVELS
    }

    /// Takes a line in. What is wrong with it is kept for [`Assembly::into_manifest`].
    pub fn add(&mut self, line: Line<'_>) {
        if let Err(errors) = self.try_add(&line) {
            for error in errors.as_slice() {
                self.findings.add(&error.at, &error.message);
            }
        }
    }

    fn try_add(&mut self, line: &Line<'_>) -> Result<(), ManifestErrors> {
        line.check_width()?;
        let code = line.required(Column::Section)?;
        let level = self.level(line.required(Column::Level)?, line.number);
        match line.kind()? {
            Kind::Seat => self.add_seat(line, code, level),
            Kind::Area { capacity } => {
                let centre = line.position()?.map(|(x, y)| Point { x, y });
                if self.by_code.contains_key(code) {
                    let message = format!("the section {} is there already", quoted(code));
                    return Err(super::error(line.at(Column::Section), message));
                }
                self.draft(line, code, Contents::Area { level, capacity, centre })?;
                Ok(())
            }
        }
    }

    fn add_seat(
        &mut self,
        line: &Line<'_>,
        code: &str,
        level: LevelIndex,
    ) -> Result<(), ManifestErrors> {
        let (row, label) = (line.required(Column::Row)?, line.required(Column::Seat)?);
        let position = line.position()?;
        if *self.drawn.get_or_insert(position.is_some()) != position.is_some() {
            let message = "coordinates must be given for all seats or for none";
            return Err(super::error(line.at(Column::X), message));
        }
        let (x, y) = position.unwrap_or_default();
        let attributes = line.attributes()?;
        let seat = Seat { label: label.to_owned(), x, y, level, attributes };
        let draft = self.draft(line, code, Contents::Rows(Rows::default()))?;
        let Contents::Rows(rows) = &mut draft.contents else {
            let message = format!("the section {} is an area", quoted(code));
            return Err(super::error(line.at(Column::Seat), message));
        };
        rows.add(row, seat, line.number);
        self.seats += 1;
        Ok(())
    }

    /// The section `code`, begun with `contents` if it is new.
    fn draft(
        &mut self,
        line: &Line<'_>,
        code: &str,
        contents: Contents,
    ) -> Result<&mut Draft, ManifestErrors> {
        let name = line.text(Column::SectionName);
        let index = self.by_code.get(code).copied().unwrap_or_else(|| {
            let (code, name) = (code.to_owned(), name.to_owned());
            self.by_code.insert(code.clone(), self.drafts.len());
            self.drafts.push(Draft { code, name, line: line.number, contents });
            self.drafts.len() - 1
        });
        let draft = &mut self.drafts[index];
        if draft.name.is_empty() {
            name.clone_into(&mut draft.name);
        } else if !name.is_empty() && name != draft.name {
            let message = format!("the section was called {} before", quoted(&draft.name));
            return Err(super::error(line.at(Column::SectionName), message));
        }
        Ok(draft)
    }

    fn level(&mut self, code: &str, line: u64) -> LevelIndex {
        if let Some(index) = self.level_by_code.get(code) {
            return *index;
        }
        // Reading ends soon after the limit, so the index always fits.
        let index = LevelIndex(u16::try_from(self.levels.len()).unwrap_or(u16::MAX));
        let (code, color) = (code.to_owned(), default_color(self.levels.len()));
        self.level_by_code.insert(code.clone(), index);
        self.levels.push(Level { name: code.clone(), code, color });
        self.level_lines.push(line);
        index
    }

    /// The manifest, drawn and checked.
    pub fn into_manifest(mut self) -> Result<Manifest, ManifestErrors> {
        std::mem::take(&mut self.findings).into_result()?;
        let mut sections: Vec<Section> = self.drafts.iter_mut().map(Draft::take_section).collect();
        let has_centre =
            |draft: &Draft| matches!(draft.contents, Contents::Area { centre: Some(_), .. });
        if !self.drawn.unwrap_or_else(|| self.drafts.iter().all(has_centre)) {
            layout::side_by_side(&mut sections);
        }
        let mut all = Vec::new();
        for section in &mut sections {
            let seats = section.rows().iter().flat_map(|row| &row.seats);
            let points: Vec<Point> = seats.map(Seat::point).collect();
            if !points.is_empty() {
                section.outline = outline::around(&points);
            }
            all.extend(points);
        }
        let manifest = Manifest {
            name: DEFAULT_NAME.to_owned(),
            focus: outline::likely_focus(&all),
            levels: std::mem::take(&mut self.levels),
            sections,
        };
        validate::check(&manifest, |spot| self.describe(spot))?;
        Ok(manifest)
    }

    /// Where a spot is in the table.
    fn describe(&self, spot: Spot) -> String {
        match spot {
            Spot::Manifest { field: "levels" } => "column level".to_owned(),
            Spot::Manifest { .. } => "file".to_owned(),
            Spot::Level { level, .. } => {
                at(self.level_lines.get(level).copied().unwrap_or(1), Column::Level)
            }
            Spot::Section { section, field } => {
                let column = match field {
                    "code" => Column::Section,
                    "name" => Column::SectionName,
                    "outline" => Column::X,
                    "rows" => Column::Row,
                    "level" => Column::Level,
                    _ => Column::Capacity,
                };
                at(self.drafts[section].line, column)
            }
            Spot::Row { section, row, field } => {
                let column = if field == "label" { Column::Row } else { Column::Seat };
                at(self.seat_line(section, row, 0), column)
            }
            Spot::Seat { section, row, seat, field } => {
                let column = match field {
                    "x" => Column::X,
                    "y" => Column::Y,
                    "level" => Column::Level,
                    _ => Column::Seat,
                };
                at(self.seat_line(section, row, seat), column)
            }
        }
    }

    fn seat_line(&self, section: usize, row: usize, seat: usize) -> u64 {
        match &self.drafts[section].contents {
            Contents::Rows(rows) => rows.lines[row][seat],
            Contents::Area { .. } => self.drafts[section].line,
        }
    }
}

impl Rows {
    fn add(&mut self, label: &str, seat: Seat, line: u64) {
        let index = self.by_label.get(label).copied().unwrap_or_else(|| {
            self.by_label.insert(label.to_owned(), self.rows.len());
            self.rows.push(Row { label: label.to_owned(), seats: Vec::new() });
            self.lines.push(Vec::new());
            self.rows.len() - 1
        });
        self.rows[index].seats.push(seat);
        self.lines[index].push(line);
    }
}

impl Draft {
    /// The section of this draft, which keeps only what tells lines.
    fn take_section(&mut self) -> Section {
        let mut drawn = Vec::new();
        let body = match &mut self.contents {
            Contents::Rows(rows) => Body::Seated { rows: std::mem::take(&mut rows.rows) },
            Contents::Area { level, capacity, centre } => {
                if let Some(centre) = centre {
                    drawn = outline::square(*centre, layout::area_side_m(*capacity));
                }
                Body::Area { level: *level, capacity: *capacity }
            }
        };
        let name = if self.name.is_empty() { &self.code } else { &self.name };
        Section { code: self.code.clone(), name: name.clone(), outline: drawn, body }
    }
}
