//! The manifest: the authoritative list of everything that can be sold at a venue.
//!
//! A manifest holds sections; a section is either seated (rows of seats) or an area (general
//! admission, a capacity without numbered seats). Coordinates are metres on a plan seen from
//! above, x to the right and y downwards, as on a screen.
//!
//! **Adjacency.** The order of the seats in a row is their order in the room. Two consecutive
//! seats are neighbours unless both carry [`Attributes::AISLE`]: then the aisle runs between
//! them. So a block of exactly two seats between two aisles can't be told from two single
//! seats; it is read as two single seats, which never promises a pair that isn't one.
//!
//! This module does no I/O. Parsers check everything before they answer, so a manifest that
//! came out of one keeps every rule of [`Manifest::validate`].

mod attributes;
pub mod csv;
mod error;
pub mod generate;
pub mod json;
mod outline;
pub mod pretix;
mod validate;

use serde::{Deserialize, Serialize};

pub use attributes::Attributes;
pub use error::{MAX_ERRORS, ManifestError, ManifestErrors};

/// The most places (seats and units of areas) one manifest may hold.
pub const MAX_PLACES: u64 = 120_000;
/// The most sections one manifest may hold.
pub const MAX_SECTIONS: usize = 500;
/// The most price levels one manifest may hold.
pub const MAX_LEVELS: usize = 64;
/// The most rows one section may hold.
pub const MAX_ROWS_PER_SECTION: usize = 500;
/// The most seats one row may hold.
pub const MAX_SEATS_PER_ROW: usize = 500;
/// The largest capacity of one area.
pub const MAX_AREA_CAPACITY: u32 = 100_000;
/// The most corners a section's outline may have.
pub const MAX_OUTLINE_POINTS: usize = 1_000;
/// The longest code or label, in characters.
pub const MAX_LABEL_CHARS: usize = 32;
/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 120;
/// The farthest a coordinate may lie from the origin, in metres.
pub const MAX_COORDINATE_M: f32 = 10_000.0;
/// The largest file a parser reads, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Everything that can be sold at a venue, with its drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What the venue or this arrangement of it is called.
    pub name: String,
    /// Where people look: the stage or the centre of the pitch. A seat is the better the
    /// closer it is to this point.
    pub focus: Point,
    /// Price levels, best first.
    pub levels: Vec<Level>,
    /// Sections, in the order in which they are shown.
    pub sections: Vec<Section>,
}

/// A point on the plan, in metres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Metres to the right of the origin.
    pub x: f32,
    /// Metres below the origin, as on a screen.
    pub y: f32,
}

/// A price level: the quality band of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Unique in the manifest.
    pub code: String,
    /// For people.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
}

/// Which of [`Manifest::levels`] a place belongs to. An index rather than the code, so that
/// 80,000 seats stay cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelIndex(pub u16);

/// A part of the venue that is sold by one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Unique in the manifest, such as `101`.
    pub code: String,
    /// For people.
    pub name: String,
    /// A polygon around the section, or empty if the chart has none.
    pub outline: Vec<Point>,
    /// What the section holds.
    pub body: Body,
}

/// What a section holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Numbered seats. Rows are listed front to back.
    Seated {
        /// At least one.
        rows: Vec<Row>,
    },
    /// General admission.
    Area {
        /// The price level of every place of the area.
        level: LevelIndex,
        /// Places, 1 to [`MAX_AREA_CAPACITY`].
        capacity: u32,
    },
}

/// A row of seats, in their order in the room.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unique in the section.
    pub label: String,
    /// At least one.
    pub seats: Vec<Seat>,
}

/// One numbered seat.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Unique in the row.
    pub label: String,
    /// Metres to the right of the origin.
    pub x: f32,
    /// Metres below the origin, as on a screen.
    pub y: f32,
    /// The seat's price level.
    pub level: LevelIndex,
    /// What is special about it.
    pub attributes: Attributes,
}

impl Manifest {
    /// How many places there are: every seat, and every unit of an area.
    pub fn capacity(&self) -> u64 {
        self.sections.iter().map(Section::capacity).sum()
    }

    /// The level at `index`, if there is one.
    #[must_use]
    pub fn level(&self, index: LevelIndex) -> Option<&Level> {
        self.levels.get(usize::from(index.0))
    }

    /// Checks every rule a manifest must keep. This is the one place of all of them; the
    /// parsers call it too.
    ///
    /// # Errors
    /// The first [`MAX_ERRORS`] violations, each with its path, such as
    /// `sections[3].rows[0].seats[2].label`.
    pub fn validate(&self) -> Result<(), ManifestErrors> {
        validate::check(self, |spot| spot.to_string())
    }
}

impl Section {
    /// How many places the section holds.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match &self.body {
            Body::Seated { rows } => rows.iter().map(|row| row.seats.len() as u64).sum(),
            Body::Area { capacity, .. } => u64::from(*capacity),
        }
    }

    /// The section's rows; none for an area.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        match &self.body {
            Body::Seated { rows } => rows,
            Body::Area { .. } => &[],
        }
    }
}

impl Seat {
    /// Whether `next`, the seat that follows in the row, is this seat's neighbour: it is,
    /// unless an aisle runs between the two.
    #[must_use]
    pub fn is_neighbour_of(&self, next: &Seat) -> bool {
        !(self.attributes.contains(Attributes::AISLE)
            && next.attributes.contains(Attributes::AISLE))
    }

    /// Where the seat stands.
    #[must_use]
    pub fn point(&self) -> Point {
        Point { x: self.x, y: self.y }
    }
}

impl Point {
    /// Both coordinates rounded to the centimetre: finer is noise, and longer in every file.
    fn to_the_centimetre(x: f64, y: f64) -> Self {
        Self { x: ((x * 100.0).round() / 100.0) as f32, y: ((y * 100.0).round() / 100.0) as f32 }
    }
}

/// Level colours for files that name none, told apart also by colour-blind readers; repeated
/// when there are more levels than colours.
const PALETTE: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#8c8c8c"];

/// The default colour of the level at `position`.
fn default_color(position: usize) -> String {
    PALETTE[position % PALETTE.len()].to_owned()
}

/// A byte order mark is what spreadsheets and Windows editors put first; it carries nothing.
fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
