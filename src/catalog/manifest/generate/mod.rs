//! Venues with realistic geometry, for the demo and for tests: a theatre, an arena and a
//! stadium. They are the same every time.

mod arena;
mod oval;
mod row;
mod stadium;
mod theatre;

pub use arena::{ARENA_CAPACITY, FLOOR_CAPACITY, arena};
pub use stadium::{GREAT_STADIUM_CAPACITY, STADIUM_CAPACITY, great_stadium, stadium};
pub use theatre::{THEATRE_CAPACITY, theatre};

use super::Level;

/// Price levels from code, name and colour, best first.
fn price_levels(list: &[(&str, &str, &str)]) -> Vec<Level> {
    list.iter()
        .map(|(code, name, color)| Level {
            code: (*code).to_owned(),
            name: (*name).to_owned(),
            color: (*color).to_owned(),
        })
        .collect()
}

/// The distance of the two closest seats, in metres.
#[cfg(test)]
pub(super) fn min_seat_distance_m(manifest: &super::Manifest) -> f32 {
    use std::collections::HashMap;

    // Seats closer than a cell's side are in the same cell or in neighbouring ones.
    const CELL_M: f32 = 1.0;
    let seats = manifest.sections.iter().flat_map(super::Section::rows);
    let mut cells: HashMap<(i32, i32), Vec<(f32, f32)>> = HashMap::new();
    let mut least = CELL_M;
    for seat in seats.flat_map(|row| &row.seats) {
        let cell = ((seat.x / CELL_M).floor() as i32, (seat.y / CELL_M).floor() as i32);
        for (dx, dy) in (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy))) {
            for (x, y) in cells.get(&(cell.0 + dx, cell.1 + dy)).into_iter().flatten() {
                least = least.min((seat.x - x).hypot(seat.y - y));
            }
        }
        cells.entry(cell).or_default().push((seat.x, seat.y));
    }
    least
}

#[cfg(test)]
mod tests;
