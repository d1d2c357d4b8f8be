//! The hall as the plan tells it: where the stage is, which way it faces, who sits before whom.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use crate::catalog::{Class, Listing, Place, Section};

/// Whose eyes are so far above their floor, in metres: who sits, and who stands.
const EYE_SITTING_M: f64 = 1.2;
const EYE_STANDING_M: f64 = 1.6;
/// Seats rise by this for each metre away from the stage.
const RISE: f64 = 0.15;
/// The stage's half width as a part of the plan's, and at most, in metres: as the chart draws it.
const STAGE_PART: f64 = 0.14;
const STAGE_MOST_M: f64 = 18.0;
/// Directions in which the space between centre and seats is measured.
const DIRECTIONS: usize = 36;
/// With seats in so many of them people sit all around.
const AROUND_FROM: usize = 32;
/// The share of that space that the field takes.
const FIELD: f64 = 0.86;
/// Within this angle of the stage's axis one looks straight on, and beyond this from behind.
const FRONT_DEGREES: f64 = 14.0;
const BACK_DEGREES: f64 = 100.0;
/// A row is before another if it is nearer by this, in metres.
const ROW_M: f64 = 0.3;

/// A point of the plan in metres: x to the right, y downwards.
pub type Point = (f64, f64);

/// What all views of a plan have in common.
#[derive(Debug)]
pub struct Hall {
    /// Where everybody looks.
    pub focus: Point,
    /// Where the stage faces: a unit vector.
    pub facing: Point,
    /// The stage's half width in metres.
    pub half_m: f64,
    /// The field in the middle, where people sit all around it.
    pub field: Option<Vec<Point>>,
    /// From the focus to the nearest seat, in metres.
    nearest_m: f64,
}

/// From which side the stage is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Straight on.
    Front,
    /// From the left of who faces the stage.
    Left,
    /// From the right.
    Right,
    /// From behind it.
    Back,
}

/// Who looks.
#[derive(Debug)]
pub struct Eye {
    /// From where.
    pub at: Point,
    /// The eye's height above the stage's floor, in metres.
    pub height_m: f64,
    /// To the focus, in metres.
    pub distance_m: f64,
    /// From which side of the stage.
    pub side: Side,
    /// Whether people sit all around.
    pub around: bool,
    /// Rows of the same section that are nearer to the stage; `None` where nobody sits.
    pub rows_before: Option<usize>,
    /// The place.
    pub place: i32,
}

fn at(place: &Place) -> Point {
    (f64::from(place.x), f64::from(place.y))
}

fn away(a: Point, b: Point) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

fn is_area(listing: &Listing, place: &Place) -> bool {
    listing.stretch(place.stretch).is_some_and(|stretch| stretch.class == Class::Area)
}

/// A section's corners.
pub fn corners(section: &Section) -> Vec<Point> {
    let number = |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_f64);
    let corner = |corner: &serde_json::Value| {
        let x = number(corner.get("x").or_else(|| corner.get(0)))?;
        Some((x, number(corner.get("y").or_else(|| corner.get(1)))?))
    };
    section.outline.as_array().into_iter().flatten().filter_map(corner).collect()
}

fn mean(points: impl Iterator<Item = Point>) -> Option<Point> {
    let (n, x, y) = points.fold((0.0, 0.0, 0.0), |(n, x, y), p| (n + 1.0, x + p.0, y + p.1));
    (n > 0.0).then(|| (x / n, y / n))
}

impl Hall {
    /// The hall of a listing.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        let focus = (f64::from(listing.event.focus.0), f64::from(listing.event.focus.1));
        let seats = || listing.places.iter().filter(|place| !is_area(listing, place)).map(at);
        let (mut left, mut right, mut nearest_m) = (f64::MAX, f64::MIN, f64::MAX);
        let mut space = [f64::MAX; DIRECTIONS];
        for seat in seats() {
            (left, right) = (left.min(seat.0), right.max(seat.0));
            let metres = away(seat, focus);
            nearest_m = nearest_m.min(metres);
            let turn = ((seat.1 - focus.1).atan2(seat.0 - focus.0) / TAU).rem_euclid(1.0);
            let direction = (turn * DIRECTIONS as f64) as usize % DIRECTIONS;
            space[direction] = space[direction].min(metres);
        }
        let all = listing.sections.iter().flat_map(corners);
        let middle = mean(seats()).or_else(|| mean(all)).unwrap_or((focus.0, focus.1 + 1.0));
        let (dx, dy) = (middle.0 - focus.0, middle.1 - focus.1);
        let long = dx.hypot(dy);
        let facing = if long > 0.01 { (dx / long, dy / long) } else { (0.0, 1.0) };
        let wide = if right > left { right - left } else { 40.0 };
        Self {
            focus,
            facing,
            half_m: (wide * STAGE_PART).min(STAGE_MOST_M),
            field: field(focus, &space),
            nearest_m: if nearest_m == f64::MAX { 0.0 } else { nearest_m },
        }
    }

    /// How high the floor is at a point, in metres.
    #[must_use]
    pub fn floor_m(&self, point: Point) -> f64 {
        RISE * (away(point, self.focus) - self.nearest_m).max(0.0)
    }

    /// Who looks from a place.
    #[must_use]
    pub fn eye(&self, listing: &Listing, place: &Place) -> Option<Eye> {
        let section = listing.section(place.section)?;
        let area = is_area(listing, place);
        let here = if area { mean(corners(section).into_iter())? } else { at(place) };
        let distance_m = away(here, self.focus);
        if distance_m < 0.5 {
            return None;
        }
        let floor_m = if area { 0.0 } else { self.floor_m(here) };
        Some(Eye {
            at: here,
            height_m: floor_m + if area { EYE_STANDING_M } else { EYE_SITTING_M },
            distance_m,
            side: self.side(here),
            around: self.field.is_some(),
            rows_before: (!area).then(|| self.rows_before(listing, place)),
            place: place.number,
        })
    }

    fn side(&self, here: Point) -> Side {
        let (dx, dy) = (here.0 - self.focus.0, here.1 - self.focus.1);
        let ahead = dx * self.facing.0 + dy * self.facing.1;
        let aside = self.facing.0 * dy - self.facing.1 * dx;
        let degrees = aside.abs().atan2(ahead).to_degrees();
        if degrees < FRONT_DEGREES {
            Side::Front
        } else if degrees > BACK_DEGREES {
            Side::Back
        } else if aside > 0.0 {
            Side::Left
        } else {
            Side::Right
        }
    }

    fn rows_before(&self, listing: &Listing, place: &Place) -> usize {
        let mut rows: BTreeMap<&str, f64> = BTreeMap::new();
        for other in listing.places.iter().filter(|other| other.section == place.section) {
            let Some(row) = other.row.as_deref() else { continue };
            // What is nearest of each row, as seen from the place: curved rows are before one where
            // they are nearest, not on average.
            let metres = away(at(other), at(place));
            let ahead = away(at(place), self.focus) - away(at(other), self.focus);
            let score = if ahead > ROW_M && metres < ahead * 1.4 { ahead } else { 0.0 };
            let known = rows.entry(row).or_insert(0.0);
            *known = known.max(score);
        }
        rows.values().filter(|score| **score > 0.0).count()
    }
}

/// The field between the seats, if there are some in nearly all directions.
fn field(focus: Point, space: &[f64; DIRECTIONS]) -> Option<Vec<Point>> {
    let seen = space.iter().filter(|metres| **metres < f64::MAX).count();
    if seen < AROUND_FROM {
        return None;
    }
    let free = |i: usize| {
        let around = [i + DIRECTIONS - 1, i, i + 1].map(|n| space[n % DIRECTIONS]);
        around.into_iter().fold(f64::MAX, f64::min)
    };
    let corner = |i: usize| {
        let turn = (i as f64 + 0.5) / DIRECTIONS as f64 * TAU;
        let metres = free(i) * FIELD;
        (focus.0 + metres * turn.cos(), focus.1 + metres * turn.sin())
    };
    Some((0..DIRECTIONS).map(corner).collect())
}

/// The seat in the middle of a section, or any unit of an area.
#[must_use]
pub fn middle<'a>(listing: &'a Listing, section: &Section) -> Option<&'a Place> {
    let places = || listing.places.iter().filter(|place| place.section == section.number);
    let centre = mean(places().map(at))?;
    places().min_by(|a, b| away(at(a), centre).total_cmp(&away(at(b), centre)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALL: Hall =
        Hall { focus: (0.0, -3.0), facing: (0.0, 1.0), half_m: 6.0, field: None, nearest_m: 7.0 };

    #[test]
    fn sides_are_those_of_who_faces_the_stage() {
        assert_eq!(HALL.side((0.0, 20.0)), Side::Front);
        assert_eq!(HALL.side((-15.0, 10.0)), Side::Left);
        assert_eq!(HALL.side((15.0, 10.0)), Side::Right);
        assert_eq!(HALL.side((1.0, -20.0)), Side::Back);
    }

    #[test]
    fn seats_rise_behind_the_first_row() {
        assert!(HALL.floor_m((0.0, 0.0)) < f64::EPSILON);
        assert!((HALL.floor_m((0.0, 14.0)) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn there_is_a_field_where_people_sit_all_around() {
        let mut space = [50.0; DIRECTIONS];
        space[3] = 30.0;
        let around = field((0.0, 0.0), &space).unwrap();
        assert_eq!(around.len(), DIRECTIONS);
        let metres = |i: usize| away(around[i], (0.0, 0.0));
        assert!((metres(0) - 43.0).abs() < 1e-6 && (metres(4) - 25.8).abs() < 1e-6);
        for empty in space.iter_mut().take(9) {
            *empty = f64::MAX;
        }
        assert!(field((0.0, 0.0), &space).is_none());
    }
}
