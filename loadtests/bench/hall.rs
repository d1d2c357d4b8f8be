//! A hall of any size: one price level, blocks of rows of twenty seats, each row farther from the
//! stage. Halls differ in nothing but how many places they have.

use onsale::catalog::manifest::{
    Attributes, Body, Level, LevelIndex, Manifest, Point, Row, Seat, Section,
};

/// Seats of a row.
const ROW: usize = 20;
/// Rows of a section.
const ROWS: usize = 50;
/// Between neighbours and between rows, in metres.
const PITCH_M: f32 = 0.55;

/// A hall with so many places, to the next whole row.
pub fn hall(places: usize) -> Manifest {
    let rows: Vec<Row> = (0..places.div_ceil(ROW)).map(row).collect();
    let sections = rows.chunks(ROWS).enumerate().map(|(at, rows)| Section {
        code: format!("S{}", at + 1),
        name: format!("Block {}", at + 1),
        outline: Vec::new(),
        body: Body::Seated { rows: rows.to_vec() },
    });
    Manifest {
        name: "Hall".to_owned(),
        focus: Point { x: 0.0, y: 0.0 },
        levels: vec![Level { code: "P1".into(), name: "Hall".into(), color: "#0072b2".into() }],
        sections: sections.collect(),
    }
}

fn row(number: usize) -> Row {
    let seat = |at: usize| Seat {
        label: (at + 1).to_string(),
        x: (at as f32 - ROW as f32 / 2.0) * PITCH_M,
        y: (number + 1) as f32 * PITCH_M,
        level: LevelIndex(0),
        attributes: Attributes::NONE,
    };
    Row { label: (number + 1).to_string(), seats: (0..ROW).map(seat).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halls_are_manifests_of_whole_rows() {
        for places in [20, 400, 1_000, 100_000] {
            let hall = hall(places);
            hall.validate().unwrap();
            assert_eq!(hall.capacity(), places as u64);
        }
        assert_eq!(hall(21).capacity(), 40);
    }
}
