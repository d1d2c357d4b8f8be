//! Manifests from files and back: which format, and how a listing reads as a manifest again.

use std::collections::BTreeMap;

use crate::catalog::manifest::{
    self, Attributes, Body, Level, LevelIndex, Manifest, ManifestErrors, Point, Row, Seat, Section,
};
use crate::catalog::{Listing, Place};

/// The formats that manifests are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table.
    Csv,
    /// Our own JSON.
    Json,
    /// A pretix seating plan.
    Pretix,
}

/// Reads a manifest.
///
/// # Errors
/// What is wrong, by line or path.
pub fn read(format: Format, bytes: &[u8]) -> Result<Manifest, ManifestErrors> {
    match format {
        Format::Csv => manifest::csv::parse(bytes),
        Format::Json => manifest::json::parse(bytes),
        Format::Pretix => manifest::pretix::parse(bytes),
    }
}

/// The manifest that a listing was made from, as far as numbering has kept it: rows are listed
/// by their distance to the focus. An area's capacity is what is not killed.
#[must_use]
pub fn manifest_of(listing: &Listing) -> Manifest {
    let mut rows: BTreeMap<i16, BTreeMap<&str, Vec<&Place>>> = BTreeMap::new();
    let mut areas: BTreeMap<i16, (i16, u32)> = BTreeMap::new();
    for place in &listing.places {
        match &place.row {
            Some(row) => {
                let rows = rows.entry(place.section).or_default();
                rows.entry(row).or_default().push(place);
            }
            None => {
                let (level, capacity) = areas.entry(place.section).or_default();
                *level = place.level;
                *capacity += u32::from(!place.killed);
            }
        }
    }
    let sections = listing.sections.iter().map(|section| {
        let body = if section.area {
            let (level, capacity) = areas.get(&section.number).copied().unwrap_or_default();
            // A manifest has no empty areas: one that is killed as a whole keeps a unit.
            Body::Area { level: index(listing, level), capacity: capacity.max(1) }
        } else {
            let rows = rows.remove(&section.number).unwrap_or_default();
            Body::Seated { rows: in_order(listing, rows) }
        };
        Section {
            code: section.code.clone(),
            name: section.name.clone(),
            outline: serde_json::from_value(section.outline.clone()).unwrap_or_default(),
            body,
        }
    });
    let levels = listing.levels.iter().map(|level| Level {
        code: level.code.clone(),
        name: level.name.clone(),
        color: level.color.clone(),
    });
    let (x, y) = listing.event.focus;
    Manifest {
        name: listing.event.venue.name.clone(),
        focus: Point { x, y },
        levels: levels.collect(),
        sections: sections.collect(),
    }
}

fn index(listing: &Listing, level: i16) -> LevelIndex {
    let at = listing.levels.iter().position(|known| known.number == level).unwrap_or(0);
    LevelIndex(u16::try_from(at).unwrap_or(u16::MAX))
}

/// Rows from the front to the back.
fn in_order(listing: &Listing, rows: BTreeMap<&str, Vec<&Place>>) -> Vec<Row> {
    let (x, y) = listing.event.focus;
    let mut rows: Vec<(f32, Row)> = rows
        .into_iter()
        .map(|(label, places)| {
            let places = along(&places);
            let far: f32 = places.iter().map(|place| (place.x - x).hypot(place.y - y)).sum();
            let count = f32::from(u16::try_from(places.len()).unwrap_or(u16::MAX));
            let seats = places.into_iter().map(|place| seat(listing, place)).collect();
            (far / count, Row { label: label.to_owned(), seats })
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn seat(listing: &Listing, place: &Place) -> Seat {
    let bits = u16::try_from(place.attributes).unwrap_or(0);
    Seat {
        label: place.seat.as_deref().unwrap_or_default().to_owned(),
        x: place.x,
        y: place.y,
        level: index(listing, place.level),
        attributes: Attributes::from_bits(bits).unwrap_or(Attributes::NONE),
    }
}

/// A row's seats in their order in the room. Numbering keeps the order within a stretch; the
/// stretches of a row lie one after the other in the direction in which their seats do.
fn along<'a>(places: &[&'a Place]) -> Vec<&'a Place> {
    let mut stretches: Vec<Vec<&'a Place>> =
        places.chunk_by(|a, b| a.stretch == b.stretch).map(<[_]>::to_vec).collect();
    let (mut dx, mut dy) = (0.0, 0.0);
    for stretch in &stretches {
        if let (Some(first), Some(last)) = (stretch.first(), stretch.last()) {
            dx += last.x - first.x;
            dy += last.y - first.y;
        }
    }
    if dx == 0.0 && dy == 0.0 {
        // Nothing but single seats: their labels say more than where they stand.
        stretches.sort_by(|a, b| natural(a).cmp(&natural(b)));
    } else {
        let position = |stretch: &[&Place]| {
            let sum: f32 = stretch.iter().map(|place| place.x * dx + place.y * dy).sum();
            sum / f32::from(u16::try_from(stretch.len()).unwrap_or(u16::MAX))
        };
        stretches.sort_by(|a, b| position(a).total_cmp(&position(b)));
    }
    stretches.concat()
}

/// Labels as people count: 9 before 10.
fn natural<'a>(stretch: &[&'a Place]) -> (usize, &'a str) {
    let label = stretch.first().and_then(|place| place.seat.as_deref()).unwrap_or_default();
    (label.len(), label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::listing::Parts;
    use crate::catalog::manifest::generate;
    use crate::catalog::{Event, EventStatus, Venue, numbering};
    use crate::ids::{EventId, OrganizerId};

    fn listing(manifest: &Manifest) -> Listing {
        let numbered = numbering::number(manifest);
        let venue = Venue {
            name: manifest.name.clone(),
            address: String::new(),
            time_zone: "Europe/Berlin".into(),
        };
        let event = Event {
            id: EventId::fresh(),
            organizer: OrganizerId::fresh(),
            slug: "test".into(),
            name: "Test".into(),
            description: String::new(),
            venue,
            starts_at: jiff::Timestamp::UNIX_EPOCH,
            currency: iso_currency::Currency::EUR,
            status: EventStatus::Draft,
            account_limit: None,
            hold_seconds: 480,
            hold_max_seconds: 1_200,
            pay_seconds: 900,
            return_seconds: 10,
            orphan_rule: true,
            waiting_room: false,
            needs_account: false,
            attendee_names: false,
            terms: None,
            rehearsal: false,
            focus: (manifest.focus.x, manifest.focus.y),
            version: 1,
        };
        Listing::from(Parts {
            event,
            levels: numbered.levels,
            sections: numbered.sections,
            stretches: numbered.stretches,
            places: numbered.places,
            channels: vec![],
            price_types: vec![],
            offers: vec![],
            promos: vec![],
            code_sets: vec![],
            registrations: vec![],
        })
    }

    #[test]
    fn a_listing_reads_as_the_manifest_it_was_made_from() {
        for manifest in [generate::theatre(), generate::arena()] {
            let read = manifest_of(&listing(&manifest));
            assert_eq!((&read.name, read.focus), (&manifest.name, manifest.focus));
            assert_eq!(read.levels, manifest.levels);
            assert_eq!(read.capacity(), manifest.capacity());
            for (a, b) in read.sections.iter().zip(&manifest.sections) {
                assert_eq!((&a.code, &a.name, &a.outline), (&b.code, &b.name, &b.outline));
                for row in b.rows() {
                    let same = a.rows().iter().find(|same| same.label == row.label).unwrap();
                    assert_eq!(same, row, "{}", a.code);
                }
            }
            read.validate().unwrap();
        }
    }
}
