//! A manifest as a table.

use std::fmt::Write;

use super::super::{Body, LevelIndex, Manifest, ManifestErrors, Point};
use super::line::{Column, with_formula_guard};

/// The columns that are written, in this order.
const COLUMNS: [Column; 9] = [
    Column::Section,
    Column::Row,
    Column::Seat,
    Column::X,
    Column::Y,
    Column::Level,
    Column::Attributes,
    Column::SectionName,
    Column::Capacity,
];

/// Writes a manifest as a table that [`parse`](super::parse) reads back with the same sections,
/// rows, seats, level codes and attributes. What a table has no column for is not in it: name,
/// focus, outlines, and names, colours and order of levels. Texts that a spreadsheet would take
/// for formulas get an apostrophe in front.
///
/// # Errors
/// Those of [`Manifest::validate`]: what couldn't be read again isn't written.
pub fn to_string(manifest: &Manifest) -> Result<String, ManifestErrors> {
    manifest.validate()?;
    let mut table = COLUMNS.map(Column::name).join(",");
    table.push('\n');
    for section in &manifest.sections {
        let (code, name) = (cell(&section.code), cell(&section.name));
        match &section.body {
            Body::Seated { rows } => {
                for row in rows {
                    let row_label = cell(&row.label);
                    for seat in &row.seats {
                        let (label, level) = (cell(&seat.label), level_cell(manifest, seat.level));
                        let attributes = seat.attributes.words().collect::<Vec<_>>().join(";");
                        let (x, y) = (seat.x, seat.y);
                        let line = format_args!(
                            "{code},{row_label},{label},{x},{y},{level},{attributes},{name},"
                        );
                        write_line(&mut table, line);
                    }
                }
            }
            Body::Area { level, capacity } => {
                let level = level_cell(manifest, *level);
                let (x, y) = centre(&section.outline)
                    .map_or_else(Default::default, |at| (at.x.to_string(), at.y.to_string()));
                let line = format_args!("{code},,,{x},{y},{level},,{name},{capacity}");
                write_line(&mut table, line);
            }
        }
    }
    Ok(table)
}

fn write_line(table: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(table, "{line}").expect("writing to a string can't fail");
}

fn level_cell(manifest: &Manifest, level: LevelIndex) -> String {
    cell(manifest.level(level).map_or("", |level| level.code.as_str()))
}

/// A text as a cell: guarded, and in quotes where it needs them (RFC 4180).
fn cell(text: &str) -> String {
    let text = with_formula_guard(text);
    if text.contains([',', ';', '"', '\t']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// The middle of an outline.
fn centre(outline: &[Point]) -> Option<Point> {
    let middle = |along: fn(&Point) -> f32| {
        let low = outline.iter().map(along).reduce(f32::min)?;
        let high = outline.iter().map(along).reduce(f32::max)?;
        Some(f32::midpoint(low, high))
    };
    Some(Point { x: middle(|point| point.x)?, y: middle(|point| point.y)? })
}
