//! The chart: the manifest as drawings need it, a hundredth of the manifest's size.
//!
//! Seats are told by stretches, in columns, each number as its difference to the one before. The
//! seats of a stretch lie on a curve through its first, middle and last one, and their labels
//! count up or down; a stretch that doesn't is told seat by seat.

use std::collections::HashMap;

use serde::Serialize;

use super::manifest::Attributes;
use super::{Class, Listing, Place, Stretch};

/// Centimetres in a metre: the unit of the chart.
const CM: f32 = 100.0;
/// How far a seat may be drawn beside its place, in centimetres.
const TOLERANCE_CM: i32 = 5;

/// The chart on the wire. Columns have one entry per stretch.
#[derive(Debug, Default, Serialize)]
pub struct Chart {
    version: i64,
    focus: [i32; 2],
    levels: Vec<ChartLevel>,
    sections: Vec<ChartSection>,
    /// Row labels that occur, named by their index.
    rows: Vec<String>,
    /// Number of the first place, differences.
    first: Vec<i32>,
    /// How many places.
    length: Vec<i32>,
    /// Index in `levels`, differences.
    level: Vec<i32>,
    /// Index in `sections`, differences.
    section: Vec<i32>,
    /// 0 standard, 1 accessible, 2 area.
    class: Vec<i16>,
    /// Index in `rows`, differences; those of areas mean nothing.
    row: Vec<i32>,
    /// Of the first seat, differences.
    x: Vec<i32>,
    y: Vec<i32>,
    /// From the first seat to the last.
    dx: Vec<i32>,
    dy: Vec<i32>,
    /// Of the seat in the middle, beside the straight line.
    mx: Vec<i32>,
    my: Vec<i32>,
    /// The first label.
    seat: Vec<i32>,
    /// From label to label.
    step: Vec<i32>,
    /// Stretches whose seats lie or are called otherwise.
    odd: Vec<Odd>,
    /// Attributes: place (differences), how many in sequence, bits; three numbers each.
    marks: Vec<i32>,
}

#[derive(Debug, Serialize)]
struct ChartLevel {
    number: i16,
    code: String,
    name: String,
    color: String,
}

#[derive(Debug, Serialize)]
struct ChartSection {
    code: String,
    name: String,
    area: bool,
    /// x and y by turns, differences.
    outline: Vec<i32>,
}

#[derive(Debug, Serialize)]
struct Odd {
    /// Index of the stretch.
    at: usize,
    x: Vec<i32>,
    y: Vec<i32>,
    seats: Vec<String>,
}

fn cm(metres: f32) -> i32 {
    (metres * CM).round() as i32
}

/// The curve through the seats `0`, `m` and `n - 1`, at seat `i`: what scripts compute, too.
fn on_curve(ends: (i32, i32, i32), n: i32, i: i32) -> i32 {
    let (start, across, bulge) = ends;
    if n < 2 {
        return start;
    }
    let last = f64::from(n - 1);
    let m = f64::from((n - 1) / 2);
    let (at, across) = (f64::from(i), f64::from(across));
    let bow = if n > 2 { f64::from(bulge) * at * (last - at) / (m * (last - m)) } else { 0.0 };
    start + (across * at / last + bow).round() as i32
}

/// Start, way to the end, and how far the middle lies beside the straight line.
fn ends(all: &[i32]) -> (i32, i32, i32) {
    let n = i32::try_from(all.len()).unwrap_or(i32::MAX);
    let (Some(start), Some(last)) = (all.first(), all.last()) else { return (0, 0, 0) };
    let across = last - start;
    let middle = all[(all.len() - 1) / 2];
    (*start, across, middle - on_curve((*start, across, 0), n, (n - 1) / 2))
}

fn fits(all: &[i32], ends: (i32, i32, i32)) -> bool {
    let n = i32::try_from(all.len()).unwrap_or(i32::MAX);
    (0..n).zip(all).all(|(i, known)| (on_curve(ends, n, i) - known).abs() <= TOLERANCE_CM)
}

/// First label and step, if labels are numbers that count so.
fn counting(places: &[Place]) -> Option<(i32, i32)> {
    let number = |place: &Place| {
        let text = place.seat.as_deref()?;
        let plain = !text.starts_with(['0', '+']) && text.len() <= 6;
        text.parse::<i32>().ok().filter(|number| plain && *number > 0)
    };
    let numbers = places.iter().map(number).collect::<Option<Vec<i32>>>()?;
    let step = if numbers.len() > 1 { numbers[1] - numbers[0] } else { 1 };
    let steady = numbers.windows(2).all(|pair| pair[1] - pair[0] == step);
    numbers.first().filter(|_| steady).map(|first| (*first, step))
}

/// Turns a column into differences.
fn differences(column: &mut [i32]) {
    for at in (1..column.len()).rev() {
        column[at] -= column[at - 1];
    }
}

impl Chart {
    /// The chart of a listing.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        let mut chart = Self {
            version: listing.event.version,
            focus: [cm(listing.event.focus.0), cm(listing.event.focus.1)],
            ..Self::default()
        };
        let level = |level: &super::Level| ChartLevel {
            number: level.number,
            code: level.code.clone(),
            name: level.name.clone(),
            color: level.color.clone(),
        };
        chart.levels = listing.levels.iter().map(level).collect();
        let section = |section: &super::Section| ChartSection {
            code: section.code.clone(),
            name: section.name.clone(),
            area: section.area,
            outline: outline(&section.outline),
        };
        chart.sections = listing.sections.iter().map(section).collect();
        let mut order: Vec<(&Stretch, &[Place])> = Vec::with_capacity(listing.stretches.len());
        let mut rest = &listing.places[..];
        for stretch in &listing.stretches {
            let length = usize::try_from(stretch.length).unwrap_or(0).min(rest.len());
            let (places, after) = rest.split_at(length);
            rest = after;
            order.push((stretch, places));
        }
        // Neighbours in the list are neighbours in the room, so that differences are small.
        order.sort_by_key(|(stretch, places)| {
            let row = places.first().and_then(|place| place.row.as_deref()).unwrap_or_default();
            let x = places.first().map_or(0, |place| cm(place.x));
            (stretch.section, row.len(), row, x)
        });
        let mut rows = HashMap::new();
        for (stretch, places) in order {
            chart.push(listing, stretch, places, &mut rows);
        }
        let columns = [&mut chart.first, &mut chart.level, &mut chart.section, &mut chart.row];
        columns.into_iter().chain([&mut chart.x, &mut chart.y]).for_each(|c| differences(c));
        chart.marks = marks(&listing.places);
        chart
    }

    fn push<'a>(
        &mut self,
        listing: &Listing,
        stretch: &Stretch,
        places: &'a [Place],
        rows: &mut HashMap<&'a str, i32>,
    ) {
        let at = self.first.len();
        let index = |found: Option<usize>| found.and_then(|i| i32::try_from(i).ok()).unwrap_or(0);
        let level = listing.levels.iter().position(|level| level.number == stretch.level);
        let section = listing.sections.iter().position(|known| known.number == stretch.section);
        self.first.push(stretch.first);
        self.length.push(stretch.length);
        self.level.push(index(level));
        self.section.push(index(section));
        self.class.push(stretch.class.number());
        let row = match places.first().and_then(|place| place.row.as_deref()) {
            Some(label) => *rows.entry(label).or_insert_with(|| {
                self.rows.push(label.to_owned());
                index(Some(self.rows.len() - 1))
            }),
            None => self.row.last().copied().unwrap_or(0),
        };
        self.row.push(row);
        let area = stretch.class == Class::Area;
        let of = |axis: fn(&Place) -> f32| -> Vec<i32> {
            if area { Vec::new() } else { places.iter().map(|place| cm(axis(place))).collect() }
        };
        let (xs, ys) = (of(|place| place.x), of(|place| place.y));
        let (x, y) = (ends(&xs), ends(&ys));
        let labels = if area { Some((0, 0)) } else { counting(places) };
        let (seat, step) = labels.unwrap_or((0, 0));
        self.x.push(x.0);
        self.y.push(y.0);
        self.dx.push(x.1);
        self.dy.push(y.1);
        self.mx.push(x.2);
        self.my.push(y.2);
        self.seat.push(seat);
        self.step.push(step);
        if labels.is_none() || !fits(&xs, x) || !fits(&ys, y) {
            let label = |place: &Place| place.seat.as_deref().unwrap_or_default().to_owned();
            let seats = places.iter().map(label).collect();
            self.odd.push(Odd { at, x: xs, y: ys, seats });
        }
    }
}

/// Corners given as `{x, y}` or `[x, y]` in metres, as differences in centimetres.
fn outline(corners: &serde_json::Value) -> Vec<i32> {
    let number = |value: Option<&serde_json::Value>| {
        value.and_then(serde_json::Value::as_f64).map_or(0, |metres| cm(metres as f32))
    };
    let (mut flat, mut before) = (Vec::new(), (0, 0));
    for corner in corners.as_array().into_iter().flatten() {
        let x = number(corner.get("x").or_else(|| corner.get(0)));
        let y = number(corner.get("y").or_else(|| corner.get(1)));
        flat.extend([x - before.0, y - before.1]);
        before = (x, y);
    }
    flat
}

fn marks(places: &[Place]) -> Vec<i32> {
    // Which seats are beside an aisle shows in the drawing, but people ask for it.
    let known = Attributes::ACCESSIBLE
        .with(Attributes::COMPANION)
        .with(Attributes::RESTRICTED_VIEW)
        .with(Attributes::AISLE)
        .bits();
    let bits = |place: &Place| i32::from(place.attributes & i16::try_from(known).unwrap_or(0));
    let alike = |a: &Place, b: &Place| b.number == a.number + 1 && bits(a) == bits(b);
    let (mut flat, mut before) = (Vec::new(), 0);
    for run in places.chunk_by(alike).filter(|run| bits(&run[0]) != 0) {
        let length = i32::try_from(run.len()).unwrap_or(i32::MAX);
        flat.extend([run[0].number - before, length, bits(&run[0])]);
        before = run[0].number;
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::super::manifest::generate;
    use super::super::numbering;
    use super::*;

    #[test]
    fn a_curve_meets_its_seats_within_the_tolerance() {
        let numbered = numbering::number(&generate::theatre());
        let mut rest = &numbered.places[..];
        let mut odd = 0;
        for stretch in &numbered.stretches {
            let (places, after) = rest.split_at(usize::try_from(stretch.length).unwrap());
            rest = after;
            let xs: Vec<i32> = places.iter().map(|place| cm(place.x)).collect();
            let curve = ends(&xs);
            assert_eq!(on_curve(curve, stretch.length, 0), xs[0]);
            assert_eq!(on_curve(curve, stretch.length, stretch.length - 1), xs[xs.len() - 1]);
            odd += usize::from(!fits(&xs, curve));
        }
        assert!(odd * 10 < numbered.stretches.len(), "{odd} stretches are no curves");
    }

    #[test]
    fn labels_that_do_not_count_are_told_one_by_one() {
        let seat = |label: &str| Place {
            number: 0,
            stretch: 0,
            section: 0,
            level: 0,
            attributes: 0,
            row: Some("A".into()),
            seat: Some(label.into()),
            x: 0.0,
            y: 0.0,
            killed: false,
            channel: super::super::PUBLIC,
        };
        let of = |labels: &[&str]| counting(&labels.iter().map(|l| seat(l)).collect::<Vec<_>>());
        assert_eq!(of(&["7", "5", "3"]), Some((7, -2)));
        assert_eq!(of(&["7", "8", "10"]), None);
        assert_eq!(of(&["01", "02"]), None);
        assert_eq!(of(&["A1"]), None);
    }

    #[test]
    fn differences_add_up_again() {
        let mut column = vec![5, 9, 2, 2];
        differences(&mut column);
        assert_eq!(column, [5, 4, -7, 0]);
    }
}
