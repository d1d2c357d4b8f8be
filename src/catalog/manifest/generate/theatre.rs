//! A theatre: curved stalls, circle and balcony one behind the other, boxes at the sides.

use super::super::{Attributes, Body, LevelIndex, Manifest, Point, Row, Section};
use super::row::{self, Block, Measures, Slot};

/// How many places [`theatre`] has.
pub const THEATRE_CAPACITY: u64 = 1_500;

const PREMIUM: LevelIndex = LevelIndex(0);
const FIRST: LevelIndex = LevelIndex(1);
const SECOND: LevelIndex = LevelIndex(2);
const THIRD: LevelIndex = LevelIndex(3);

/// The front edge of the stage is at y = 0; people look a little behind it.
const FOCUS: Point = Point { x: 0.0, y: -3.0 };
/// All rows are arcs around this point on the axis behind the stage, in metres.
const CENTRE_Y_M: f64 = -16.0;
const MEASURES: Measures = Measures { pitch_m: 0.55, aisle_m: 1.1 };
/// From seats to the outline of their section, in metres.
const OUTLINE_MARGIN_M: f64 = 0.5;

/// A part of the house with three blocks of seats in each row.
struct Part {
    code: &'static str,
    name: &'static str,
    /// From the centre to the first row, in metres.
    radius_m: f64,
    rows: usize,
    row_pitch_m: f64,
    /// Seats of the first row in the middle block and in each side block.
    first_row: (usize, usize),
    /// Every so many rows the middle block and each side block grow by a seat.
    growth: (usize, usize),
    level: fn(row: usize, middle: bool) -> LevelIndex,
    /// In how many rows from the front the outermost seats have a restricted view, and how
    /// many seats at either end.
    restricted: (usize, usize),
    /// Whether wheelchairs can get to the last row.
    platform: bool,
}

const STALLS: Part = Part {
    code: "ST",
    name: "Stalls",
    radius_m: 20.0,
    rows: 22,
    row_pitch_m: 0.95,
    first_row: (12, 6),
    growth: (4, 3),
    level: |row, middle| match (row, middle) {
        (2..=12, true) => PREMIUM,
        (0..=1 | 13..=16, true) | (2..=12, false) => FIRST,
        _ => SECOND,
    },
    restricted: (5, 2),
    platform: true,
};

const CIRCLE: Part = Part {
    code: "CI",
    name: "Circle",
    radius_m: 45.0,
    rows: 10,
    row_pitch_m: 0.95,
    first_row: (16, 12),
    growth: (5, 3),
    level: |row, middle| match (row, middle) {
        (0..=2, true) => PREMIUM,
        (0..=2, false) | (3..=6, true) => FIRST,
        _ => SECOND,
    },
    restricted: (2, 3),
    platform: false,
};

const BALCONY: Part = Part {
    code: "BA",
    name: "Balcony",
    radius_m: 59.0,
    rows: 7,
    row_pitch_m: 0.95,
    first_row: (18, 14),
    growth: (3, 3),
    level: |row, middle| if row < 2 && middle { SECOND } else { THIRD },
    restricted: (1, 4),
    platform: false,
};

/// How many boxes there are on each side, and how many chairs in each.
const BOXES: usize = 3;
const BOX_CHAIRS: usize = 4;

/// A theatre of [`THEATRE_CAPACITY`] places with 4 price levels.
pub fn theatre() -> Manifest {
    let mut sections: Vec<Section> = [STALLS, CIRCLE, BALCONY].iter().map(Part::build).collect();
    sections.extend((0..2 * BOXES).map(a_box));
    Manifest {
        name: "Theatre Royal".to_owned(),
        focus: FOCUS,
        levels: super::price_levels(&[
            ("P1", "Premium", "#7f3c8d"),
            ("P2", "First price", "#0072b2"),
            ("P3", "Second price", "#009e73"),
            ("P4", "Third price and restricted view", "#e69f00"),
        ]),
        sections,
    }
}

/// A point on an arc: `along_m` metres to the right of the axis.
fn on_arc(radius_m: f64, along_m: f64) -> Point {
    let (sin, cos) = (along_m / radius_m).sin_cos();
    Point::to_the_centimetre(radius_m * sin, CENTRE_Y_M + radius_m * cos)
}

impl Part {
    fn build(&self) -> Section {
        let rows = (0..self.rows).map(|row| self.row(row)).collect();
        Section {
            code: self.code.to_owned(),
            name: self.name.to_owned(),
            outline: self.outline(),
            body: Body::Seated { rows },
        }
    }

    fn radius_of(&self, row: usize) -> f64 {
        self.radius_m + row as f64 * self.row_pitch_m
    }

    /// The blocks of a row. The last row of a part with a platform gives up a seat and a half
    /// for each wheelchair place, so that it stays as wide.
    fn blocks(&self, row: usize) -> [Block; 3] {
        let middle = Block::of(self.first_row.0 + row / self.growth.0);
        let side = Block::of(self.first_row.1 + row / self.growth.1);
        if !self.platform || row + 1 < self.rows {
            return [side, middle, side];
        }
        let with_pairs = |block: Block, start: usize, end: usize| Block {
            seats: block.seats.saturating_sub(3 * (start + end)),
            pairs_at_start: start,
            pairs_at_end: end,
        };
        [with_pairs(side, 0, 2), with_pairs(middle, 2, 2), with_pairs(side, 2, 0)]
    }

    fn row(&self, row: usize) -> Row {
        let slots = row::slots(&self.blocks(row), MEASURES);
        let (rows, ends) = self.restricted;
        let hidden = |seat: usize| row < rows && seat.min(slots.len() - 1 - seat) < ends;
        let seats = slots.iter().enumerate().map(|(index, slot): (usize, &Slot)| {
            let at = on_arc(self.radius_of(row), slot.along_m);
            if hidden(index) {
                let attributes = slot.attributes.with(Attributes::RESTRICTED_VIEW);
                return row::seat(index, at, THIRD, attributes);
            }
            row::seat(index, at, (self.level)(row, slot.block == 1), slot.attributes)
        });
        Row { label: row::letters(row), seats: seats.collect() }
    }

    /// An arc in front of the first row, an arc behind the last, and straight sides.
    fn outline(&self) -> Vec<Point> {
        const STEPS: i32 = 12;
        let last = self.rows - 1;
        let half_m =
            |row: usize| row::width_m(&self.blocks(row), MEASURES) / 2.0 + OUTLINE_MARGIN_M;
        let (front_m, back_m) = (half_m(0), half_m(last));
        // Rows grow by whole seats, so some stand out a little from the line of the others.
        let straight_m = |row: usize| front_m + (back_m - front_m) * row as f64 / last as f64;
        let bulge_m = (0..=last).map(|row| half_m(row) - straight_m(row)).fold(0.0, f64::max);
        let arc = |radius_m: f64, half_m: f64| {
            let steps = (-STEPS..=STEPS).map(|step| f64::from(step) / f64::from(STEPS));
            steps.map(move |part| on_arc(radius_m, half_m * part)).collect::<Vec<_>>()
        };
        let mut outline = arc(self.radius_of(0) - OUTLINE_MARGIN_M, front_m + bulge_m);
        let back = arc(self.radius_of(last) + OUTLINE_MARGIN_M, back_m + bulge_m);
        outline.extend(back.into_iter().rev());
        outline
    }
}

/// One of the boxes, which line both side walls: odd numbers on the left, even on the right,
/// number 1 and 2 closest to the stage. The chairs stand in one row along the parapet.
fn a_box(index: usize) -> Section {
    const WALL_M: f64 = 11.5;
    const FIRST_Y_M: f64 = 2.0;
    const SPACING_M: f64 = 4.2;
    const CHAIR_PITCH_M: f64 = 0.75;
    const LEAN: f64 = 0.2;
    let (side, place) = (if index.is_multiple_of(2) { -1.0 } else { 1.0 }, (index / 2) as f64);
    let middle_y = FIRST_Y_M + place * SPACING_M;
    let point = |across: f64, along: f64| {
        // The walls open a little towards the back.
        let y = middle_y + along;
        Point::to_the_centimetre(side * (WALL_M + LEAN * y + across), y)
    };
    let chairs = (0..BOX_CHAIRS).map(|chair| {
        let along = (chair as f64 - (BOX_CHAIRS as f64 - 1.0) / 2.0) * CHAIR_PITCH_M;
        let view = if index < 2 { Attributes::RESTRICTED_VIEW } else { Attributes::NONE };
        row::seat(chair, point(0.0, along), if index < 2 { THIRD } else { SECOND }, view)
    });
    let half_m = BOX_CHAIRS as f64 * CHAIR_PITCH_M / 2.0 + 0.2;
    let corners = [(-0.6, -half_m), (1.2, -half_m), (1.2, half_m), (-0.6, half_m)];
    Section {
        code: format!("BX{}", index + 1),
        name: format!("Box {}", index + 1),
        outline: corners.map(|(across, along)| point(across, along)).to_vec(),
        body: Body::Seated { rows: vec![Row { label: "A".to_owned(), seats: chairs.collect() }] },
    }
}
