//! A drawing for tables without coordinates: every section a block of straight rows, the
//! blocks side by side in as many lines as make the whole roughly square.

use super::super::{Body, Point, Section, outline};

/// Between the centres of neighbouring seats, in metres.
const SEAT_PITCH_M: f64 = 0.55;
/// Between rows, in metres.
const ROW_PITCH_M: f64 = 0.9;
/// Between blocks, in metres; room for their outlines.
const GAP_M: f64 = 2.0;
/// What one standing visitor takes up, in square metres.
const STANDING_M2: f64 = 0.5;

/// The side of the square that an area of this capacity is drawn as, in metres.
pub(super) fn area_side_m(capacity: u32) -> f64 {
    (f64::from(capacity) * STANDING_M2).sqrt()
}

/// Gives every seat a place and every area an outline. With the limits on sections, rows and
/// seats the drawing stays within the limit on coordinates.
pub(super) fn side_by_side(sections: &mut [Section]) {
    let per_line = (1..=sections.len()).find(|n| n * n >= sections.len()).unwrap_or(1);
    let mut top = 0.0;
    for line in sections.chunks_mut(per_line) {
        let sizes: Vec<(f64, f64)> = line.iter().map(size).collect();
        let gaps = GAP_M * (sizes.len() as f64 - 1.0);
        let width = sizes.iter().map(|(width, _)| width).sum::<f64>() + gaps;
        let mut left = -width / 2.0;
        for (section, (width, _)) in line.iter_mut().zip(&sizes) {
            draw(section, left + width / 2.0, top);
            left += width + GAP_M;
        }
        top += sizes.iter().map(|(_, depth)| *depth).fold(0.0, f64::max) + GAP_M;
    }
}

/// Width and depth of a section's block, in metres.
fn size(section: &Section) -> (f64, f64) {
    match &section.body {
        Body::Seated { rows } => {
            let longest = rows.iter().map(|row| row.seats.len()).max().unwrap_or(0);
            let pitches = |count: usize| count.saturating_sub(1) as f64;
            (pitches(longest) * SEAT_PITCH_M, pitches(rows.len()) * ROW_PITCH_M)
        }
        Body::Area { capacity, .. } => (area_side_m(*capacity), area_side_m(*capacity)),
    }
}

fn draw(section: &mut Section, middle: f64, top: f64) {
    match &mut section.body {
        Body::Seated { rows } => {
            for (row, line) in rows.iter_mut().enumerate() {
                let left = middle - (line.seats.len() as f64 - 1.0) * SEAT_PITCH_M / 2.0;
                for (seat, it) in line.seats.iter_mut().enumerate() {
                    let x = left + seat as f64 * SEAT_PITCH_M;
                    let point = Point::to_the_centimetre(x, top + row as f64 * ROW_PITCH_M);
                    (it.x, it.y) = (point.x, point.y);
                }
            }
        }
        Body::Area { capacity, .. } => {
            let side = area_side_m(*capacity);
            let centre = Point::to_the_centimetre(middle, top + side / 2.0);
            section.outline = outline::square(centre, side);
        }
    }
}
