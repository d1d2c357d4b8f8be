//! Tiers of sections around an oval, as in arenas and stadiums.
//!
//! The oval is a rectangle with round corners, for its parallel curves are of the same kind:
//! straight sides keep their length, corners turn with a larger radius. So rows at any distance
//! are true parallels, never closer than their pitch, and boundaries between sections, drawn
//! at right angles to the curve, are straight.

use std::f64::consts::{FRAC_PI_2, PI};

use super::super::{Attributes, Body, LevelIndex, Point, Row, Section};
use super::row::{self, Block, Measures};

/// Half of the gap between two sections, in metres: the stairs.
const HALF_STAIRS_M: f64 = 0.6;
/// From the first and last row to the outline of a section, in metres.
const OUTLINE_MARGIN_M: f64 = 0.45;
/// Between the corners of an outline on a curve, in metres.
const OUTLINE_STEP_M: f64 = 3.0;
/// Sections with more seats in their last row get an aisle in the middle, through all rows.
const MAX_SEATS_ABREAST: f64 = 28.0;

/// A rectangle with round corners around the origin. Its curve starts in the middle of the top
/// and runs clockwise. A station on it is the number of the piece (straight or corner) plus the
/// part of the piece that lies behind; the same station is opposite itself on all parallels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oval {
    pub half_width_m: f64,
    pub half_depth_m: f64,
    pub corner_m: f64,
}

/// Straights and corners in turn; the top is in two pieces, for the curve starts in its middle.
const PIECES: usize = 9;

impl Oval {
    /// The length of a piece on the parallel `out_m` metres outside.
    fn piece_m(&self, piece: usize, out_m: f64) -> f64 {
        let across = self.half_width_m - self.corner_m;
        match piece {
            0 | 8 => across,
            4 => 2.0 * across,
            2 | 6 => 2.0 * (self.half_depth_m - self.corner_m),
            _ => FRAC_PI_2 * (self.corner_m + out_m),
        }
    }

    /// The length of the whole parallel.
    fn length_m(&self, out_m: f64) -> f64 {
        (0..PIECES).map(|piece| self.piece_m(piece, out_m)).sum()
    }

    /// The way from the start of a parallel to a station.
    fn way_m(&self, station: f64, out_m: f64) -> f64 {
        let piece = (station as usize).min(PIECES - 1);
        let before: f64 = (0..piece).map(|piece| self.piece_m(piece, out_m)).sum();
        before + (station - piece as f64) * self.piece_m(piece, out_m)
    }

    /// The station at the end of a way along a parallel.
    fn station(&self, way_m: f64, out_m: f64) -> f64 {
        let mut rest = way_m;
        for piece in 0..PIECES {
            let length = self.piece_m(piece, out_m);
            if rest <= length {
                return piece as f64 + (rest / length).max(0.0);
            }
            rest -= length;
        }
        PIECES as f64
    }

    /// Where a station of a parallel lies.
    pub fn point(&self, station: f64, out_m: f64) -> (f64, f64) {
        let piece = (station as usize).min(PIECES - 1);
        let part = station - piece as f64;
        let (x, y) = (self.half_width_m, self.half_depth_m);
        let (across, down) = (x - self.corner_m, y - self.corner_m);
        let corner = |centre: (f64, f64), from: f64| {
            let (sin, cos) = (from + part * FRAC_PI_2).sin_cos();
            let radius = self.corner_m + out_m;
            (centre.0 + radius * cos, centre.1 + radius * sin)
        };
        match piece {
            0 => (part * across, -y - out_m),
            1 => corner((across, -down), -FRAC_PI_2),
            2 => (x + out_m, (2.0 * part - 1.0) * down),
            3 => corner((across, down), 0.0),
            4 => ((1.0 - 2.0 * part) * across, y + out_m),
            5 => corner((-across, down), FRAC_PI_2),
            6 => (-x - out_m, (1.0 - 2.0 * part) * down),
            7 => corner((-across, -down), PI),
            _ => ((part - 1.0) * across, -y - out_m),
        }
    }
}

/// A ring of sections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tier {
    /// The number of its first section.
    pub first_code: usize,
    /// Such as `Lower tier`; sections are called after it.
    pub name: &'static str,
    /// How many sections the full ring has. A multiple of 4 makes all quarters alike.
    pub sections: usize,
    /// From the oval to the first row, in metres.
    pub out_m: f64,
    /// At least one.
    pub rows: usize,
    /// Between rows, in metres.
    pub row_pitch_m: f64,
    /// Between neighbouring seats, in metres.
    pub seat_pitch_m: f64,
    /// The row that is a platform for wheelchairs, and how many pairs of places each of its
    /// sections has at either end of it.
    pub platform: Option<(usize, usize)>,
}

/// Where a row is, for choosing its price level.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlace {
    /// The middle of the section's first row, in metres.
    pub section: (f64, f64),
    /// The row, from 0.
    pub row: usize,
}

impl Tier {
    fn row_out_m(&self, row: usize) -> f64 {
        self.out_m + row as f64 * self.row_pitch_m
    }

    /// The tier's sections around `oval`, clockwise. `level` and `view` (attributes that
    /// come from the place) are asked for each row; a row without a level isn't built.
    pub fn build(
        &self,
        oval: &Oval,
        level: impl Fn(RowPlace) -> Option<LevelIndex>,
        view: impl Fn(Point) -> Attributes,
    ) -> Vec<Section> {
        // Sections are equally wide half-way up, for in the corners they widen outwards.
        let halfway_m = self.out_m + self.row_pitch_m * (self.rows as f64 - 1.0) / 2.0;
        let share_m = oval.length_m(halfway_m) / self.sections as f64;
        let mut sections = Vec::new();
        for index in 0..self.sections {
            let station = |count: f64| oval.station(count * share_m, halfway_m);
            let span = (station(index as f64), station(index as f64 + 1.0));
            let middle = oval.point(station(index as f64 + 0.5), self.out_m);
            let back_m = self.room_m(oval, span, self.rows - 1);
            let in_two = back_m > MAX_SEATS_ABREAST * self.seat_pitch_m;
            let mut rows = Vec::new();
            for row in 0..self.rows {
                let Some(level) = level(RowPlace { section: middle, row }) else {
                    continue;
                };
                let blocks = self.blocks(self.room_m(oval, span, row), row, in_two);
                rows.push(self.row(oval, span, row, &blocks, level, &view));
            }
            if rows.is_empty() {
                continue;
            }
            let code = (self.first_code + index).to_string();
            sections.push(Section {
                name: format!("{} {code}", self.name),
                code,
                outline: self.outline(oval, span, rows.len()),
                body: Body::Seated { rows },
            });
        }
        sections
    }

    /// The length of a row between the stairs at its ends, in metres.
    fn room_m(&self, oval: &Oval, span: (f64, f64), row: usize) -> f64 {
        let out_m = self.row_out_m(row);
        oval.way_m(span.1, out_m) - oval.way_m(span.0, out_m) - 2.0 * HALF_STAIRS_M
    }

    fn measures(&self) -> Measures {
        Measures { pitch_m: self.seat_pitch_m, aisle_m: 2.0 * HALF_STAIRS_M }
    }

    /// As many seats as there is room for, in one block or two.
    fn blocks(&self, room_m: f64, row: usize, in_two: bool) -> Vec<Block> {
        let Measures { pitch_m, aisle_m } = self.measures();
        let pairs = self.platform.filter(|(platform, _)| *platform == row).map_or(0, |it| it.1);
        let taken_m = 2.0 * pairs as f64 * (row::WHEELCHAIR_M + pitch_m);
        let seats_in = |metres: f64| (metres / pitch_m).max(0.0) as usize;
        if !in_two {
            let seats = seats_in(room_m - taken_m);
            return vec![Block { seats, pairs_at_start: pairs, pairs_at_end: pairs }];
        }
        let seats = seats_in(room_m - taken_m - aisle_m);
        vec![
            Block { seats: seats / 2, pairs_at_start: pairs, pairs_at_end: 0 },
            Block { seats: seats - seats / 2, pairs_at_start: 0, pairs_at_end: pairs },
        ]
    }

    fn row(
        &self,
        oval: &Oval,
        span: (f64, f64),
        row: usize,
        blocks: &[Block],
        level: LevelIndex,
        view: impl Fn(Point) -> Attributes,
    ) -> Row {
        let out_m = self.row_out_m(row);
        let (from, to) = (oval.way_m(span.0, out_m), oval.way_m(span.1, out_m));
        let slots = row::slots(blocks, self.measures());
        let seats = slots.iter().enumerate().map(|(index, slot)| {
            let way = f64::midpoint(from, to) + slot.along_m;
            let (x, y) = oval.point(oval.station(way, out_m), out_m);
            let at = Point::to_the_centimetre(x, y);
            row::seat(index, at, level, slot.attributes.with(view(at)))
        });
        Row { label: row::letters(row), seats: seats.collect() }
    }

    /// Along the first row, and back along the last.
    fn outline(&self, oval: &Oval, span: (f64, f64), rows: usize) -> Vec<Point> {
        let inside = self.row_out_m(0) - OUTLINE_MARGIN_M;
        let outside = self.row_out_m(rows - 1) + OUTLINE_MARGIN_M;
        let way = oval.way_m(span.1, outside) - oval.way_m(span.0, outside);
        let steps = (way / OUTLINE_STEP_M).ceil().max(1.0);
        let along = |out_m: f64| {
            let (from, to) = (oval.way_m(span.0, out_m), oval.way_m(span.1, out_m));
            (0..=steps as usize).map(move |step| {
                let part = step as f64 / steps;
                // Outlines stay clear of one another by half of the stairs.
                let gap = HALF_STAIRS_M / 2.0 * (1.0 - 2.0 * part);
                let way = from + (to - from) * part + gap;
                let (x, y) = oval.point(oval.station(way, out_m), out_m);
                Point::to_the_centimetre(x, y)
            })
        };
        let back: Vec<Point> = along(outside).collect();
        along(inside).chain(back.into_iter().rev()).collect()
    }
}
