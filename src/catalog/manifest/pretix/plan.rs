//! The shapes of a seating plan, and its geometry in pixels.

use serde::Deserialize;

use super::super::{MAX_LABEL_CHARS, Point};
use super::SEAT_PITCH_M;

/// How far apart the pretix editor draws neighbours, in pixels; for plans without neighbours.
const DEFAULT_PITCH_PX: f64 = 25.0;

/// Words that mark a shape as what people look at, in lower case.
const STAGE_WORDS: [&str; 8] =
    ["stage", "bühne", "buehne", "scène", "podium", "screen", "leinwand", "pitch"];

#[derive(Deserialize)]
pub(super) struct Plan {
    pub name: String,
    pub categories: Vec<Category>,
    pub zones: Vec<Zone>,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub name: String,
    pub color: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Zone {
    pub name: Option<String>,
    pub zone_id: Option<String>,
    pub position: Position,
    pub rows: Vec<PlanRow>,
    #[serde(default)]
    pub areas: Vec<Shape>,
}

#[derive(Deserialize)]
pub(super) struct PlanRow {
    pub row_number: String,
    pub row_label: Option<String>,
    pub seat_label: Option<String>,
    #[serde(default)]
    pub position: Position,
    pub seats: Vec<PlanSeat>,
}

#[derive(Deserialize)]
pub(super) struct PlanSeat {
    pub seat_number: String,
    pub category: String,
    pub position: Position,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub(super) struct Position {
    pub x: f64,
    pub y: f64,
}

/// A shape of the drawing. The schema calls it an area, but it has no capacity.
#[derive(Deserialize)]
pub(super) struct Shape {
    #[serde(default)]
    position: Position,
    /// Degrees clockwise around the position.
    #[serde(default)]
    rotation: f64,
    rectangle: Option<Rectangle>,
    polygon: Option<Polygon>,
    text: Option<Text>,
}

#[derive(Deserialize)]
struct Rectangle {
    width: f64,
    height: f64,
}

#[derive(Deserialize)]
struct Polygon {
    points: Vec<Position>,
}

/// The first versions of the schema had a plain text here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Label { text: String },
    Plain(String),
}

impl Position {
    pub fn plus(self, other: Self) -> Self {
        Self { x: self.x + other.x, y: self.y + other.y }
    }
}

impl Category {
    /// The colour as `#rrggbb`, if it is written `#rrggbb` or `#rgb`.
    pub fn hex_color(&self) -> Option<String> {
        let digits = self.color.as_ref()?.trim().strip_prefix('#')?.to_ascii_lowercase();
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        match digits.len() {
            6 => Some(format!("#{digits}")),
            3 => Some(digits.chars().fold("#".to_owned(), |color, d| format!("{color}{d}{d}"))),
            _ => None,
        }
    }
}

impl PlanRow {
    /// What the row is called on tickets; by its place in the file if it isn't called anything.
    pub fn label(&self, index: usize) -> String {
        named(self.row_label.as_deref(), &self.row_number, index)
    }

    /// What a seat of the row is called on tickets.
    pub fn seat_label(&self, index: usize) -> String {
        let number = self.seats.get(index).map_or("", |seat| &seat.seat_number);
        named(self.seat_label.as_deref(), number, index)
    }
}

/// A number in its template. `%s` stands for the number. Both are cut at a length that is too
/// long for a label anyway: a long template for many seats must not fill the memory.
fn named(template: Option<&str>, number: &str, index: usize) -> String {
    let cut = |text: &str| text.trim().chars().take(2 * MAX_LABEL_CHARS).collect::<String>();
    let mut number = cut(number);
    if number.is_empty() {
        number = (index + 1).to_string();
    }
    match cut(template.unwrap_or_default()) {
        template if template.is_empty() => number,
        template => template.replace("%s", &number),
    }
}

impl Shape {
    fn is_stage(&self) -> bool {
        let text = match &self.text {
            Some(Text::Label { text } | Text::Plain(text)) => text.to_lowercase(),
            None => return false,
        };
        text.split(|c: char| !c.is_alphanumeric()).any(|word| STAGE_WORDS.contains(&word))
    }

    /// The middle of the shape, in the coordinates of its zone.
    fn middle(&self) -> Position {
        let Position { x, y } = match (&self.rectangle, &self.polygon) {
            (Some(Rectangle { width, height }), _) => Position { x: width / 2.0, y: height / 2.0 },
            (None, Some(Polygon { points })) if !points.is_empty() => {
                let sum = points.iter().fold(Position::default(), |sum, point| sum.plus(*point));
                let count = points.len() as f64;
                Position { x: sum.x / count, y: sum.y / count }
            }
            // Circles and ellipses are drawn around their position.
            _ => Position::default(),
        };
        let (sin, cos) = self.rotation.to_radians().sin_cos();
        self.position.plus(Position { x: x * cos - y * sin, y: x * sin + y * cos })
    }
}

/// From pixels to metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// What becomes the origin.
    middle: Position,
    metres_per_px: f64,
}

impl Scale {
    pub fn metres(&self, px: Position) -> Point {
        Point::to_the_centimetre(
            (px.x - self.middle.x) * self.metres_per_px,
            (px.y - self.middle.y) * self.metres_per_px,
        )
    }
}

impl Plan {
    /// The scale at which the median of the distances between neighbours is the seat pitch, and
    /// the median seat the origin. Medians, because aisles and stray seats must not count.
    pub fn scale(&self) -> Scale {
        let (mut xs, mut ys, mut pitches) = (Vec::new(), Vec::new(), Vec::new());
        for zone in &self.zones {
            for row in &zone.rows {
                let corner = zone.position.plus(row.position);
                for seat in &row.seats {
                    let Position { x, y } = corner.plus(seat.position);
                    xs.push(x);
                    ys.push(y);
                }
                let apart = row.seats.windows(2).map(|pair| {
                    let (a, b) = (pair[0].position, pair[1].position);
                    (a.x - b.x).hypot(a.y - b.y)
                });
                pitches.extend(apart.filter(|px| *px > 0.0));
            }
        }
        let middle =
            Position { x: median(xs).unwrap_or_default(), y: median(ys).unwrap_or_default() };
        Scale { middle, metres_per_px: SEAT_PITCH_M / median(pitches).unwrap_or(DEFAULT_PITCH_PX) }
    }

    /// The middle of the first shape that calls itself a stage, in pixels.
    pub fn stage(&self) -> Option<Position> {
        self.zones.iter().find_map(|zone| {
            let stage = zone.areas.iter().find(|shape| shape.is_stage())?;
            Some(zone.position.plus(stage.middle()))
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
