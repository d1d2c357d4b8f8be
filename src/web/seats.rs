//! The seats of a section, row by row, as a page lists them.

use std::collections::BTreeMap;

use super::free::Free;
use super::offers;
use super::page::Fields;
use super::words;
use crate::app::App;
use crate::catalog::manifest::Attributes;
use crate::catalog::{Listing, Place, Section};
use crate::say;
use crate::words::Said;

/// A row.
pub struct Row {
    /// As printed.
    pub label: String,
    /// In the order in which they are printed.
    pub seats: Vec<Seat>,
}

/// A seat.
pub struct Seat {
    /// Its number in the event.
    pub place: i32,
    /// As printed.
    pub label: String,
    /// The index of its level in [`SeatMap::levels`].
    pub level: usize,
    /// Whether it can be had.
    pub free: bool,
    /// Whether it is ticked.
    pub chosen: bool,
    /// What is special about it, in words; empty if nothing is.
    pub marks: String,
    /// The mark's letter.
    pub sign: &'static str,
    /// Whether an aisle comes after it.
    pub aisle_after: bool,
}

/// A price level of the section's seats.
pub struct LevelKey {
    /// Its number, which names its colour in style sheets.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// What a seat costs; empty if none is sold.
    pub price: String,
    /// The same in minor units.
    pub amount: i64,
    /// Whether seats of it are sold now.
    pub sold: bool,
}

/// The seats of a section.
pub struct SeatMap {
    /// Front to back, as their labels go.
    pub rows: Vec<Row>,
    /// Best first.
    pub levels: Vec<LevelKey>,
    /// The levels' numbers.
    pub level_numbers: Vec<i16>,
    /// Which signs there are, with what they mean.
    pub signs: Vec<(&'static str, String)>,
}

/// What is special about seats: what it is, its sign, and the key of its words.
const MARKS: [(Attributes, &str, &str); 3] = [
    (Attributes::ACCESSIBLE, "♿\u{fe0e}", "section.accessible"),
    (Attributes::COMPANION, "+1", "section.companion"),
    (Attributes::RESTRICTED_VIEW, "◐", "section.restricted"),
];

fn is(place: &Place, what: Attributes) -> bool {
    let bits = u16::try_from(place.attributes).unwrap_or(0);
    Attributes::from_bits(bits).is_some_and(|known| known.contains(what))
}

fn marks(place: &Place) -> impl Iterator<Item = (&'static str, Said)> {
    let of_place = MARKS.iter().filter(|(what, ..)| is(place, *what));
    of_place.map(|(_, sign, key)| (*sign, say(key)))
}

impl SeatMap {
    /// The seats of `section`, with those ticked that `fields` has.
    #[must_use]
    pub fn new(
        app: &App,
        listing: &Listing,
        section: &Section,
        free: &Free,
        fields: &Fields,
    ) -> Self {
        let places = || listing.places.iter().filter(|place| place.section == section.number);
        let mut level_numbers: Vec<i16> = places().map(|place| place.level).collect();
        level_numbers.sort_unstable();
        level_numbers.dedup();
        let levels: Vec<LevelKey> =
            level_numbers.iter().filter_map(|number| level_key(app, listing, *number)).collect();
        let chosen: Vec<i32> = fields.all("place").filter_map(|p| p.parse().ok()).collect();
        let mut by_row: BTreeMap<(usize, &str), Vec<(&str, &Place)>> = BTreeMap::new();
        for place in places() {
            let (Some(row), Some(seat)) = (&place.row, &place.seat) else { continue };
            by_row.entry((row.len(), row)).or_default().push((seat, place));
        }
        let seat_of = |seats: &[(&str, &Place)], at: usize| {
            let (label, place) = seats[at];
            let level = levels.iter().position(|level| level.number == place.level).unwrap_or(0);
            let sold = levels.get(level).is_some_and(|level| level.sold);
            let aisle =
                |at: usize| seats.get(at).is_some_and(|(_, place)| is(place, Attributes::AISLE));
            Seat {
                place: place.number,
                label: label.to_owned(),
                level,
                free: sold && free.is_free(place),
                chosen: chosen.contains(&place.number),
                marks: marks(place).map(|(_, words)| format!(", {words}")).collect(),
                sign: marks(place).next().map_or("", |(sign, _)| sign),
                aisle_after: aisle(at) && aisle(at + 1),
            }
        };
        let rows = by_row.into_iter().map(|((_, label), mut seats)| {
            seats.sort_by_key(|(seat, _)| (seat.len(), *seat));
            let seats = (0..seats.len()).map(|at| seat_of(&seats, at)).collect();
            Row { label: label.to_owned(), seats }
        });
        let rows = rows.collect();
        let there = |what: Attributes| places().any(|place| is(place, what));
        let signs = MARKS.iter().filter(|(what, ..)| there(*what));
        let signs = signs.map(|(_, sign, key)| (*sign, say(key).into())).collect();
        Self { rows, levels, level_numbers, signs }
    }
}

fn level_key(app: &App, listing: &Listing, number: i16) -> Option<LevelKey> {
    let level = listing.level(number)?;
    let now = app.now();
    let unit = offers::offer_for(listing, number, None, false, now)
        .and_then(|offer| offers::unit_now(offer, now));
    let amount = unit.map_or(0, crate::catalog::UnitPrice::total);
    Some(LevelKey {
        number,
        name: level.name.clone(),
        price: unit.map(|_| words::price(amount, listing.event.currency)).unwrap_or_default(),
        amount,
        sold: unit.is_some(),
    })
}
