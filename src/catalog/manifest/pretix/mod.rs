//! Seating plans of the ticket shop pretix, as its published JSON schema describes them
//! (`seating-plan.schema.json`, version 0.0.1, in the pretix source tree).
//!
//! Zones become sections, rows and seats stay, categories become price levels in their order.
//! Positions add up (zone, row, seat) and are pixels; they are scaled so that neighbours sit
//! [`SEAT_PITCH_M`] apart, and moved so that the origin is among the seats. Labels are
//! what pretix prints on tickets: `row_label` and `seat_label` with `%s` replaced by the number,
//! else the numbers themselves.
//!
//! What the format has no field for is read from the drawing: a wide gap in a row is an aisle,
//! and a shape with a word such as "Stage" in it is where people look. Shapes carry no capacity,
//! so no areas come out of a plan; zones and rows without seats are left out. Fields that the
//! schema doesn't know are ignored, because plans are also written by newer editors.

mod plan;

use std::collections::{HashMap, HashSet};

use super::error::{Findings, quoted};
use super::validate::{self, Spot};
use super::{
    Attributes, Body, Level, LevelIndex, MAX_LABEL_CHARS, MAX_LEVELS, MAX_NAME_CHARS, MAX_SECTIONS,
    Manifest, ManifestErrors, Point, Row, Seat, Section, default_color, json, outline,
};
use plan::{Plan, Scale, Zone};

/// How far apart neighbours of an imported plan sit, in metres.
pub const SEAT_PITCH_M: f64 = 0.55;

/// Neighbours this many pitches apart or farther have an aisle between them.
const AISLE_PITCHES: f64 = 1.75;

/// Reads a manifest from a pretix seating plan.
///
/// # Errors
/// A line and character for what isn't JSON or hasn't the right fields; a path in the plan such
/// as `zones[0].rows[4].seats[1].category` for what breaks a rule.
pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestErrors> {
    let plan: Plan = json::from_bytes(bytes)?;
    let mut findings = Findings::default();
    let mut levels = HashMap::new();
    for (category, index) in plan.categories.iter().zip(0..=u16::MAX) {
        if levels.insert(category.name.as_str(), LevelIndex(index)).is_some() {
            let message = format!("{} is there twice", quoted(&category.name));
            findings.add(format!("categories[{index}].name"), message);
        }
    }
    let scale = plan.scale();
    let mut reader = Reader { scale, levels, findings, origins: Vec::new() };
    let mut codes = HashSet::new();
    let mut sections = Vec::new();
    for (index, zone) in plan.zones.iter().enumerate() {
        if zone.rows.iter().all(|row| row.seats.is_empty()) {
            continue;
        }
        if sections.len() > MAX_SECTIONS {
            // Validation will say that there are too many.
            break;
        }
        let rows = reader.rows(index, zone);
        sections.push(section(index, zone, rows, &mut codes));
    }
    reader.findings.into_result()?;
    let seats = sections.iter().flat_map(Section::rows).flat_map(|row| &row.seats);
    let points: Vec<Point> = seats.map(Seat::point).collect();
    let focus = plan.stage().map(|stage| scale.metres(stage));
    let manifest = Manifest {
        name: shortened(&plan.name, MAX_NAME_CHARS),
        focus: focus.unwrap_or_else(|| outline::likely_focus(&points)),
        levels: price_levels(&plan),
        sections,
    };
    let origins = reader.origins;
    validate::check(&manifest, |spot| describe(spot, &origins))?;
    Ok(manifest)
}

/// Where a section comes from: the zone, and the row and seat of every seat. Rows of one label
/// are joined, so a row of the manifest can have seats of several rows of the plan.
struct Origin {
    zone: usize,
    rows: Vec<Vec<(usize, usize)>>,
}

struct Reader<'a> {
    scale: Scale,
    levels: HashMap<&'a str, LevelIndex>,
    findings: Findings,
    origins: Vec<Origin>,
}

impl Reader<'_> {
    fn rows(&mut self, zone_index: usize, zone: &Zone) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut by_label: HashMap<String, usize> = HashMap::new();
        let mut origin = Origin { zone: zone_index, rows: Vec::new() };
        for (row_index, row) in zone.rows.iter().enumerate() {
            if row.seats.is_empty() {
                continue;
            }
            let label = row.label(row_index);
            let at = *by_label.entry(label.clone()).or_insert_with(|| {
                rows.push(Row { label, seats: Vec::new() });
                origin.rows.push(Vec::new());
                rows.len() - 1
            });
            let mut seats = Vec::with_capacity(row.seats.len());
            for (seat_index, seat) in row.seats.iter().enumerate() {
                let level = self.levels.get(seat.category.as_str()).copied();
                if level.is_none() {
                    let at = format!(
                        "zones[{zone_index}].rows[{row_index}].seats[{seat_index}].category"
                    );
                    let message = format!("there is no category {}", quoted(&seat.category));
                    self.findings.add(at, message);
                }
                let place = self.scale.metres(zone.position.plus(row.position).plus(seat.position));
                seats.push(Seat {
                    label: row.seat_label(seat_index),
                    x: place.x,
                    y: place.y,
                    level: level.unwrap_or(LevelIndex(0)),
                    attributes: Attributes::NONE,
                });
                origin.rows[at].push((row_index, seat_index));
            }
            mark_aisles(&mut seats);
            join(&mut rows[at].seats, seats);
        }
        self.origins.push(origin);
        rows
    }
}

/// Marks both sides of every wide gap as aisle seats.
fn mark_aisles(seats: &mut [Seat]) {
    for index in 1..seats.len() {
        let (left, right) = (&seats[index - 1], &seats[index]);
        let apart = f64::from((left.x - right.x).hypot(left.y - right.y));
        if apart >= AISLE_PITCHES * SEAT_PITCH_M {
            for seat in &mut seats[index - 1..=index] {
                seat.attributes = seat.attributes.with(Attributes::AISLE);
            }
        }
    }
}

/// Appends another row of the plan with the same label. They were drawn as two rows, so they
/// are not side by side.
fn join(seats: &mut Vec<Seat>, mut more: Vec<Seat>) {
    if let (Some(last), Some(first)) = (seats.last_mut(), more.first_mut()) {
        last.attributes = last.attributes.with(Attributes::AISLE);
        first.attributes = first.attributes.with(Attributes::AISLE);
    }
    seats.append(&mut more);
}

fn section(index: usize, zone: &Zone, rows: Vec<Row>, codes: &mut HashSet<String>) -> Section {
    let nth = format!("Zone {}", index + 1);
    let [id, name] = [&zone.zone_id, &zone.name].map(|text| text.as_deref().unwrap_or("").trim());
    let code = [id, name, &nth].into_iter().find(|text| !text.is_empty()).unwrap_or(&nth);
    let name = [name, id, &nth].into_iter().find(|text| !text.is_empty()).unwrap_or(&nth);
    let code = unique(code, codes);
    let seats = rows.iter().flat_map(|row| &row.seats);
    let points: Vec<Point> = seats.map(Seat::point).collect();
    Section {
        code,
        name: shortened(name, MAX_NAME_CHARS),
        outline: outline::around(&points),
        body: Body::Seated { rows },
    }
}

fn price_levels(plan: &Plan) -> Vec<Level> {
    let mut codes = HashSet::new();
    // One more than is possible, so that validation sees there are too many.
    let categories = plan.categories.iter().take(MAX_LEVELS + 1).enumerate();
    categories
        .map(|(index, category)| Level {
            code: unique(&category.name, &mut codes),
            name: shortened(&category.name, MAX_NAME_CHARS),
            color: category.hex_color().unwrap_or_else(|| default_color(index)),
        })
        .collect()
}

/// A code of the permitted length that isn't among `taken`, where it is entered. pretix lets
/// names be long and repeat, codes may do neither.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let mut code = shortened(name, MAX_LABEL_CHARS);
    for number in 2.. {
        if !taken.contains(&code) {
            break;
        }
        let ending = format!("-{number}");
        code = shortened(name, MAX_LABEL_CHARS - ending.len()) + &ending;
    }
    taken.insert(code.clone());
    code
}

fn shortened(text: &str, limit: usize) -> String {
    let cut: String = text.trim().chars().take(limit).collect();
    cut.trim_end().to_owned()
}

/// Where a spot of the manifest is in the plan.
fn describe(spot: Spot, origins: &[Origin]) -> String {
    match spot {
        Spot::Manifest { field: "levels" } => "categories".to_owned(),
        Spot::Manifest { field: "sections" } => "zones".to_owned(),
        Spot::Manifest { field } => field.to_owned(),
        Spot::Level { level, field: "color" } => format!("categories[{level}].color"),
        Spot::Level { level, .. } => format!("categories[{level}].name"),
        Spot::Section { section, field } => {
            let zone = origins[section].zone;
            match field {
                "rows" => format!("zones[{zone}].rows"),
                "outline" => format!("zones[{zone}].position"),
                _ => format!("zones[{zone}].name"),
            }
        }
        Spot::Row { section, row, field } => {
            let Origin { zone, rows } = &origins[section];
            let index = rows[row].first().map_or(0, |(row, _)| *row);
            let field = if field == "seats" { "seats" } else { "row_number" };
            format!("zones[{zone}].rows[{index}].{field}")
        }
        Spot::Seat { section, row, seat, field } => {
            let Origin { zone, rows } = &origins[section];
            let (row, seat) = rows[row][seat];
            let field = match field {
                "x" => "position.x",
                "y" => "position.y",
                "level" => "category",
                _ => "seat_number",
            };
            format!("zones[{zone}].rows[{row}].seats[{seat}].{field}")
        }
    }
}

#[cfg(test)]
mod tests;
