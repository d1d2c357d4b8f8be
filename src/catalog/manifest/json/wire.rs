//! The shapes of our own JSON. They differ from the manifest in memory in naming levels by
//! code, and in having the fields of either kind of section side by side.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::error::{Findings, quoted};
use super::super::{
    Attributes, Body, Level, LevelIndex, Manifest, ManifestErrors, Point, Row, Seat, Section,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestIn {
    name: String,
    focus: Point,
    levels: Vec<Level>,
    sections: Vec<SectionIn>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Seated,
    Area,
}

/// Not an enum tagged by `kind`: serde would buffer such a section and forget the line numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionIn {
    code: String,
    name: String,
    #[serde(default)]
    outline: Vec<Point>,
    kind: Kind,
    rows: Option<Vec<RowIn>>,
    level: Option<String>,
    capacity: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowIn {
    label: String,
    seats: Vec<SeatIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeatIn {
    label: String,
    x: f32,
    y: f32,
    level: String,
    #[serde(default)]
    attributes: Attributes,
}

impl ManifestIn {
    /// The manifest, checked.
    pub fn into_manifest(self) -> Result<Manifest, ManifestErrors> {
        let mut reader = Reader { levels: HashMap::new(), findings: Findings::default() };
        for (level, index) in self.levels.iter().zip(0..=u16::MAX) {
            // Of two levels with one code the first counts here; validation refuses the second.
            reader.levels.entry(level.code.clone()).or_insert(LevelIndex(index));
        }
        let sections = self.sections.into_iter().enumerate();
        let sections = sections.map(|(index, section)| reader.section(index, section)).collect();
        reader.findings.into_result()?;
        let manifest =
            Manifest { name: self.name, focus: self.focus, levels: self.levels, sections };
        manifest.validate()?;
        Ok(manifest)
    }
}

/// Resolves level codes while it turns wire shapes into the manifest's.
struct Reader {
    levels: HashMap<String, LevelIndex>,
    findings: Findings,
}

impl Reader {
    /// The level with this code. If there is none, an error is noted and the result won't be
    /// used.
    fn level(&mut self, code: &str, at: impl FnOnce() -> String) -> LevelIndex {
        self.levels.get(code).copied().unwrap_or_else(|| {
            self.findings.add(at(), format!("there is no level {}", quoted(code)));
            LevelIndex(0)
        })
    }

    fn section(&mut self, index: usize, section: SectionIn) -> Section {
        let at = |field: &str| format!("sections[{index}].{field}");
        let mut fields = [
            ("rows", section.rows.is_some(), matches!(section.kind, Kind::Seated)),
            ("level", section.level.is_some(), matches!(section.kind, Kind::Area)),
            ("capacity", section.capacity.is_some(), matches!(section.kind, Kind::Area)),
        ];
        fields.sort_by_key(|(_, _, wanted)| !wanted);
        for (field, given, wanted) in fields {
            if wanted && !given {
                self.findings.add(at(field), "is missing in a section of this kind");
            } else if given && !wanted {
                self.findings.add(at(field), "does not belong in a section of this kind");
            }
        }
        let body = match section.kind {
            Kind::Seated => {
                let rows = section.rows.unwrap_or_default().into_iter().enumerate();
                Body::Seated { rows: rows.map(|(row, it)| self.row(index, row, it)).collect() }
            }
            Kind::Area => {
                let level = section.level.map(|code| self.level(&code, || at("level")));
                Body::Area {
                    level: level.unwrap_or(LevelIndex(0)),
                    capacity: section.capacity.unwrap_or(0),
                }
            }
        };
        Section { code: section.code, name: section.name, outline: section.outline, body }
    }

    fn row(&mut self, section: usize, row: usize, it: RowIn) -> Row {
        let seats = it.seats.into_iter().enumerate().map(|(seat, it)| Seat {
            level: self.level(&it.level, || {
                format!("sections[{section}].rows[{row}].seats[{seat}].level")
            }),
            label: it.label,
            x: it.x,
            y: it.y,
            attributes: it.attributes,
        });
        Row { label: it.label, seats: seats.collect() }
    }
}

#[derive(Serialize)]
pub(super) struct ManifestOut<'a> {
    name: &'a str,
    focus: Point,
    levels: &'a [Level],
    sections: Vec<SectionOut<'a>>,
}

#[derive(Serialize)]
struct SectionOut<'a> {
    code: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "<[Point]>::is_empty")]
    outline: &'a [Point],
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowOut<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u32>,
}

#[derive(Serialize)]
struct RowOut<'a> {
    label: &'a str,
    seats: Vec<SeatOut<'a>>,
}

#[derive(Serialize)]
struct SeatOut<'a> {
    label: &'a str,
    x: f32,
    y: f32,
    level: &'a str,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

impl<'a> ManifestOut<'a> {
    /// The document of `manifest`; an error only if a level index points nowhere.
    pub fn of(manifest: &'a Manifest) -> Result<Self, String> {
        let sections = manifest.sections.iter().map(|it| SectionOut::of(it, manifest));
        Ok(Self {
            name: &manifest.name,
            focus: manifest.focus,
            levels: &manifest.levels,
            sections: sections.collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> SectionOut<'a> {
    fn of(section: &'a Section, manifest: &'a Manifest) -> Result<Self, String> {
        let (kind, rows, level, capacity) = match &section.body {
            Body::Seated { rows } => {
                let rows = rows.iter().map(|row| RowOut::of(row, manifest));
                (Kind::Seated, Some(rows.collect::<Result<_, _>>()?), None, None)
            }
            Body::Area { level, capacity } => {
                (Kind::Area, None, Some(code(*level, manifest)?), Some(*capacity))
            }
        };
        let (code, name, outline) = (&section.code, &section.name, &section.outline);
        Ok(Self { code, name, outline, kind, rows, level, capacity })
    }
}

impl<'a> RowOut<'a> {
    fn of(row: &'a Row, manifest: &'a Manifest) -> Result<Self, String> {
        let seats = row.seats.iter().map(|seat| {
            let level = code(seat.level, manifest)?;
            let Seat { label, x, y, attributes, .. } = seat;
            Ok(SeatOut { label, x: *x, y: *y, level, attributes: *attributes })
        });
        Ok(Self { label: &row.label, seats: seats.collect::<Result<_, String>>()? })
    }
}

fn code(level: LevelIndex, manifest: &Manifest) -> Result<&str, String> {
    let found = manifest.level(level).map(|level| level.code.as_str());
    found.ok_or_else(|| format!("there is no level number {}", level.0))
}
