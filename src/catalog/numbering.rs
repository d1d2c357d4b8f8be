//! From a manifest to numbered places.
//!
//! A row is cut into stretches: neighbours of one price level and one class. Stretches are
//! sorted into pools (level, then class), the best first: those nearest to where people look.
//! Each begins at a multiple of 8, so that it is a whole number of bytes in every bitmap.

use std::sync::Arc;

use super::manifest::{Attributes, Body, Manifest, Row, Seat};
use super::{Class, Level, PUBLIC, Place, Section, Stretch};

/// A manifest, numbered.
#[derive(Debug)]
pub struct Numbered {
    /// Price levels, best first.
    pub levels: Vec<Level>,
    /// Sections in the manifest's order.
    pub sections: Vec<Section>,
    /// Stretches by number.
    pub stretches: Vec<Stretch>,
    /// Places by number.
    pub places: Vec<Place>,
}

struct Draft {
    stretch: Stretch,
    /// Mean distance to the focus in metres.
    distance: f32,
    places: Vec<Place>,
}

/// Numbers a valid manifest.
#[must_use]
pub fn number(manifest: &Manifest) -> Numbered {
    let mut drafts = Vec::new();
    let mut sections = Vec::with_capacity(manifest.sections.len());
    for (at, section) in (0_i16..).zip(&manifest.sections) {
        let area = matches!(section.body, Body::Area { .. });
        sections.push(Section {
            number: at,
            code: section.code.clone(),
            name: section.name.clone(),
            area,
            outline: serde_json::to_value(&section.outline).unwrap_or_default(),
        });
        match &section.body {
            Body::Seated { rows } => {
                for row in rows {
                    cut(manifest, at, row, &mut drafts);
                }
            }
            Body::Area { level, capacity } => {
                drafts.push(area_draft(at, short(level.0), *capacity));
            }
        }
    }
    drafts.sort_by(|a, b| {
        let key = |draft: &Draft| (draft.stretch.level, draft.stretch.class);
        key(a).cmp(&key(b)).then(a.distance.total_cmp(&b.distance))
    });
    let levels = (0_i16..).zip(&manifest.levels).map(|(number, level)| Level {
        number,
        code: level.code.clone(),
        name: level.name.clone(),
        color: level.color.clone(),
    });
    let (stretches, places) = lay_out(drafts, 0, 0);
    Numbered { levels: levels.collect(), sections, stretches, places }
}

fn short(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// Gives numbers to drafts in their order, from the given stretch and place on.
fn lay_out(drafts: Vec<Draft>, from: i32, first: i32) -> (Vec<Stretch>, Vec<Place>) {
    let mut next = first;
    let mut stretches = Vec::with_capacity(drafts.len());
    let mut places = Vec::new();
    for (number, draft) in (from..).zip(drafts) {
        next = (next + 7) / 8 * 8;
        stretches.push(Stretch { first: next, ..draft.stretch });
        for place in draft.places {
            places.push(Place { number: next, stretch: number, ..place });
            next += 1;
        }
    }
    (stretches, places)
}

/// More units for an area, numbered after everything that is there.
#[must_use]
pub fn more_units(
    section: i16,
    level: i16,
    count: u32,
    next_stretch: i32,
    next_place: i32,
) -> (Vec<Stretch>, Vec<Place>) {
    lay_out(vec![area_draft(section, level, count)], next_stretch, next_place)
}

fn area_draft(section: i16, level: i16, capacity: u32) -> Draft {
    let unit = Place {
        number: 0,
        stretch: 0,
        section,
        level,
        attributes: 0,
        row: None,
        seat: None,
        x: 0.0,
        y: 0.0,
        killed: false,
        channel: PUBLIC,
    };
    let length = i32::try_from(capacity).unwrap_or(i32::MAX);
    let class = Class::Area;
    Draft {
        stretch: Stretch { first: 0, length, level, class, section },
        distance: 0.0,
        places: vec![unit; usize::try_from(capacity).unwrap_or(0)],
    }
}

fn class_of(seat: &Seat) -> Class {
    let reserved = Attributes::ACCESSIBLE.bits() | Attributes::COMPANION.bits();
    if seat.attributes.bits() & reserved == 0 { Class::Standard } else { Class::Accessible }
}

/// Cuts a row where neighbourhood, level or class change.
fn cut(manifest: &Manifest, section: i16, row: &Row, drafts: &mut Vec<Draft>) {
    let label: Arc<str> = row.label.as_str().into();
    let together = |a: &Seat, b: &Seat| {
        a.is_neighbour_of(b) && a.level == b.level && class_of(a) == class_of(b)
    };
    for seats in row.seats.chunk_by(together) {
        let Some(head) = seats.first() else { continue };
        let level = short(head.level.0);
        let places = seats.iter().map(|seat| Place {
            number: 0,
            stretch: 0,
            section,
            level,
            attributes: short(seat.attributes.bits()),
            row: Some(label.clone()),
            seat: Some(seat.label.as_str().into()),
            x: seat.x,
            y: seat.y,
            killed: false,
            channel: PUBLIC,
        });
        let places: Vec<Place> = places.collect();
        let (fx, fy) = (manifest.focus.x, manifest.focus.y);
        let sum: f32 = seats.iter().map(|seat| (seat.x - fx).hypot(seat.y - fy)).sum();
        let length = i32::try_from(seats.len()).unwrap_or(i32::MAX);
        let class = class_of(head);
        drafts.push(Draft {
            stretch: Stretch { first: 0, length, level, class, section },
            distance: sum / f32::from(u16::try_from(seats.len()).unwrap_or(u16::MAX)),
            places,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::generate;
    use super::*;

    #[test]
    fn every_place_of_a_manifest_gets_one_number_and_stretches_begin_on_bytes() {
        for manifest in [generate::theatre(), generate::arena()] {
            let numbered = number(&manifest);
            assert_eq!(u64::try_from(numbered.places.len()).unwrap(), manifest.capacity());
            let mut last = -1;
            for place in &numbered.places {
                assert!(place.number > last);
                last = place.number;
                let stretch = &numbered.stretches[usize::try_from(place.stretch).unwrap()];
                let within = stretch.first..stretch.first + stretch.length;
                assert!(within.contains(&place.number));
                assert_eq!((stretch.level, stretch.section), (place.level, place.section));
            }
            assert!(numbered.stretches.iter().all(|stretch| stretch.first % 8 == 0));
        }
    }

    #[test]
    fn a_pool_is_one_run_of_stretches_with_the_nearest_first() {
        let manifest = generate::theatre();
        let numbered = number(&manifest);
        let keys: Vec<_> = numbered.stretches.iter().map(|s| (s.level, s.class)).collect();
        assert!(keys.is_sorted());
        let distance = |stretch: &Stretch| {
            let within = stretch.first..stretch.first + stretch.length;
            let places: Vec<_> =
                numbered.places.iter().filter(|p| within.contains(&p.number)).collect();
            let far = |p: &&Place| (p.x - manifest.focus.x).hypot(p.y - manifest.focus.y);
            places.iter().map(far).sum::<f32>() / places.len() as f32
        };
        let best: Vec<f32> = numbered
            .stretches
            .iter()
            .filter(|s| (s.level, s.class) == (0, Class::Standard))
            .map(distance)
            .collect();
        assert!(best.is_sorted());
    }
}
