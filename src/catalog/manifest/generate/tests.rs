use std::collections::HashSet;

use super::super::{Attributes, Body, Manifest, Point, Row, Seat};
use super::*;

fn venues() -> [(Manifest, u64); 3] {
    [(theatre(), THEATRE_CAPACITY), (arena(), ARENA_CAPACITY), (stadium(), STADIUM_CAPACITY)]
}

fn rows(manifest: &Manifest) -> impl Iterator<Item = &Row> {
    manifest.sections.iter().flat_map(super::super::Section::rows)
}

fn seats(manifest: &Manifest) -> impl Iterator<Item = &Seat> {
    rows(manifest).flat_map(|row| &row.seats)
}

fn count(manifest: &Manifest, attribute: Attributes) -> usize {
    seats(manifest).filter(|seat| seat.attributes.contains(attribute)).count()
}

#[test]
fn a_great_stadium_is_a_stadium_with_more_seats() {
    let great = great_stadium();
    assert!(great.capacity() >= GREAT_STADIUM_CAPACITY, "{}", great.capacity());
    assert!(great.validate().is_ok());
    assert!(min_seat_distance_m(&great) > 0.4);
}

#[test]
fn capacities_are_as_documented() {
    for (manifest, capacity) in venues() {
        assert_eq!(manifest.capacity(), capacity, "{}", manifest.name);
    }
    let floor = arena().sections.into_iter().find(|section| section.code == "FLOOR");
    let floor = floor.expect("the arena has a floor").body;
    assert!(matches!(floor, Body::Area { capacity: FLOOR_CAPACITY, .. }));
}

#[test]
fn venues_keep_every_rule_and_are_the_same_every_time() {
    for ((one, _), (other, _)) in venues().into_iter().zip(venues()) {
        assert_eq!(one.validate(), Ok(()), "{}", one.name);
        assert_eq!(one, other);
    }
}

#[test]
fn seats_do_not_overlap() {
    for (manifest, _) in venues() {
        let least = min_seat_distance_m(&manifest);
        assert!(least >= 0.4, "{}: {least} m", manifest.name);
    }
}

#[test]
fn every_level_is_used() {
    for ((manifest, _), levels) in venues().into_iter().zip([4, 5, 6]) {
        let mut used: HashSet<_> = seats(&manifest).map(|seat| seat.level).collect();
        used.extend(manifest.sections.iter().filter_map(|section| match section.body {
            Body::Area { level, .. } => Some(level),
            Body::Seated { .. } => None,
        }));
        assert_eq!((used.len(), manifest.levels.len()), (levels, levels), "{}", manifest.name);
    }
}

#[test]
fn neighbours_sit_close_and_aisles_are_wide() {
    for (manifest, _) in venues() {
        for row in rows(&manifest) {
            for pair in row.seats.windows(2) {
                let apart = (pair[0].x - pair[1].x).hypot(pair[0].y - pair[1].y);
                let close = pair[0].is_neighbour_of(&pair[1]);
                assert_eq!(close, apart < 1.2, "{} row {}: {apart} m", manifest.name, row.label);
            }
        }
    }
}

#[test]
fn every_accessible_place_has_a_companion_beside_it() {
    for (manifest, _) in venues() {
        let accessible = count(&manifest, Attributes::ACCESSIBLE);
        assert!(accessible >= 4, "{}: {accessible}", manifest.name);
        assert_eq!(accessible, count(&manifest, Attributes::COMPANION), "{}", manifest.name);
        for row in rows(&manifest) {
            for (index, seat) in row.seats.iter().enumerate() {
                let is_companion = |at: usize| {
                    let beside = row.seats.get(at);
                    beside.is_some_and(|seat| seat.attributes.contains(Attributes::COMPANION))
                };
                let beside = is_companion(index + 1) || index > 0 && is_companion(index - 1);
                assert!(beside || !seat.attributes.contains(Attributes::ACCESSIBLE));
            }
        }
    }
}

#[test]
fn views_are_restricted_at_the_edges_only() {
    let share = |manifest: &Manifest| {
        count(manifest, Attributes::RESTRICTED_VIEW) as f64 / manifest.capacity() as f64
    };
    for manifest in [theatre(), arena()] {
        let share = share(&manifest);
        assert!((0.01..0.1).contains(&share), "{}: {share}", manifest.name);
    }
    assert_eq!(count(&stadium(), Attributes::RESTRICTED_VIEW), 0);
}

#[test]
fn outlines_enclose_the_seats_of_their_section() {
    for (manifest, _) in venues() {
        for section in &manifest.sections {
            assert!(section.outline.len() >= 4, "{} {}", manifest.name, section.code);
            for seat in section.rows().iter().flat_map(|row| &row.seats) {
                let inside = is_inside(seat.point(), &section.outline);
                assert!(inside, "{} {} {seat:?}", manifest.name, section.code);
            }
        }
    }
}

/// Whether a ray from the point crosses the outline an odd number of times.
fn is_inside(point: Point, outline: &[Point]) -> bool {
    let next = outline.iter().cycle().skip(1);
    let crossings = outline.iter().zip(next).filter(|(a, b)| {
        let spans = (a.y > point.y) != (b.y > point.y);
        spans && point.x < a.x + (point.y - a.y) / (b.y - a.y) * (b.x - a.x)
    });
    crossings.count() % 2 == 1
}

#[test]
fn codes_and_labels_are_like_those_on_tickets() {
    let stadium = stadium();
    assert_eq!(stadium.sections[0].code, "101");
    let last = stadium.sections[0].rows().last().expect("it has rows");
    assert_eq!(last.label, "AD");
    assert_eq!(last.seats[0].label, "1");
    assert!(rows(&stadium).all(|row| row.seats.len() >= 6));
}
