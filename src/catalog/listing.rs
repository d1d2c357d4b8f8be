//! An event as every process has it in memory: immutable, replaced as a whole.

use std::collections::HashMap;
use std::ops::Range;

use super::{
    Channel, Class, Event, Level, Offer, PUBLIC, Place, PriceType, Promo, Section, Stretch,
};
use crate::access::CodeSet;
use crate::access::grant::Grant;
use crate::ids::OfferId;
use crate::registrations::Announced;

/// Marks numbers between stretches that are no place: stretches begin on byte boundaries.
const VOID: u32 = u32::MAX;

/// Everything about an event that selling it needs.
#[derive(Debug)]
pub struct Listing {
    /// The event as a whole.
    pub event: Event,
    /// By number.
    pub levels: Vec<Level>,
    /// By number.
    pub sections: Vec<Section>,
    /// By number.
    pub stretches: Vec<Stretch>,
    /// In order of their numbers, which have gaps.
    pub places: Vec<Place>,
    /// By number, the public first.
    pub channels: Vec<Channel>,
    /// By number.
    pub price_types: Vec<PriceType>,
    /// By number.
    pub offers: Vec<Offer>,
    /// By number.
    pub promos: Vec<Promo>,
    /// By id.
    pub code_sets: Vec<CodeSet>,
    /// By number.
    pub registrations: Vec<Announced>,
    index: Vec<u32>,
    offers_by_id: HashMap<OfferId, usize>,
    pools: HashMap<(i16, Class, i16), Vec<Range<i32>>>,
}

/// The parts of a listing as they are read.
pub struct Parts {
    /// See [`Listing`].
    pub event: Event,
    /// See [`Listing`].
    pub levels: Vec<Level>,
    /// See [`Listing`].
    pub sections: Vec<Section>,
    /// See [`Listing`].
    pub stretches: Vec<Stretch>,
    /// See [`Listing`].
    pub places: Vec<Place>,
    /// See [`Listing`].
    pub channels: Vec<Channel>,
    /// See [`Listing`].
    pub price_types: Vec<PriceType>,
    /// See [`Listing`].
    pub offers: Vec<Offer>,
    /// See [`Listing`].
    pub promos: Vec<Promo>,
    /// See [`Listing`].
    pub code_sets: Vec<CodeSet>,
    /// See [`Listing`].
    pub registrations: Vec<Announced>,
}

impl From<Parts> for Listing {
    fn from(parts: Parts) -> Self {
        let size = parts.places.last().map_or(0, |last| position(last.number) + 1);
        let mut index = vec![VOID; size];
        for (at, place) in parts.places.iter().enumerate() {
            index[position(place.number)] = u32::try_from(at).unwrap_or(VOID);
        }
        let offers_by_id = parts.offers.iter().enumerate().map(|(at, o)| (o.id, at)).collect();
        let channels: Vec<i16> = parts.channels.iter().map(|channel| channel.number).collect();
        let pools = pools(&parts.stretches, &parts.places, &channels);
        Self {
            event: parts.event,
            levels: parts.levels,
            sections: parts.sections,
            stretches: parts.stretches,
            places: parts.places,
            channels: parts.channels,
            price_types: parts.price_types,
            offers: parts.offers,
            promos: parts.promos,
            code_sets: parts.code_sets,
            registrations: parts.registrations,
            index,
            offers_by_id,
            pools,
        }
    }
}

fn position(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Runs of consecutive stretch numbers by level, class and channel, best first. A stretch of which
/// a channel can't sell a single place is not in its pool: nobody needs to look at it.
fn pools(
    stretches: &[Stretch],
    places: &[Place],
    channels: &[i16],
) -> HashMap<(i16, Class, i16), Vec<Range<i32>>> {
    let mut sellable = vec![0_u32; stretches.len()];
    for place in places.iter().filter(|place| !place.killed) {
        let by = if place.channel == PUBLIC { u32::MAX } else { channel_bit(place.channel) };
        if let Some(of_stretch) = sellable.get_mut(position(place.stretch)) {
            *of_stretch |= by;
        }
    }
    let mut pools: HashMap<(i16, Class, i16), Vec<Range<i32>>> = HashMap::new();
    for ((number, stretch), sellable) in (0_i32..).zip(stretches).zip(sellable) {
        for channel in channels.iter().filter(|channel| sellable & channel_bit(**channel) != 0) {
            let ranges = pools.entry((stretch.level, stretch.class, *channel)).or_default();
            match ranges.last_mut() {
                Some(last) if last.end == number => last.end += 1,
                _ => ranges.push(number..number + 1),
            }
        }
    }
    pools
}

/// Channels are numbered from 0 to 30 (`channels` in the database).
fn channel_bit(channel: i16) -> u32 {
    u32::try_from(channel).ok().and_then(|channel| 1_u32.checked_shl(channel)).unwrap_or(0)
}

impl Listing {
    /// The code set with this id, revoked ones included.
    #[must_use]
    pub fn code_set(&self, id: uuid::Uuid) -> Option<&CodeSet> {
        self.code_sets.iter().find(|set| set.id == id)
    }

    /// Whether one of these grants opens the code set now.
    #[must_use]
    pub fn is_granted(&self, set: uuid::Uuid, grants: &[Grant], now: jiff::Timestamp) -> bool {
        let known = self.code_set(set);
        let counts = |grant: &Grant| {
            (grant.event, grant.set) == (self.event.id, set)
                && known.is_some_and(|known| known.is_open(grant.code, now))
        };
        grants.iter().any(counts)
    }

    /// The place of this number, if it is one.
    #[must_use]
    pub fn place(&self, number: i32) -> Option<&Place> {
        let at = *self.index.get(usize::try_from(number).ok()?)?;
        self.places.get(usize::try_from(at).ok()?)
    }

    /// The offer with this id.
    #[must_use]
    pub fn offer(&self, id: OfferId) -> Option<&Offer> {
        self.offers_by_id.get(&id).map(|at| &self.offers[*at])
    }

    /// The offer with this number.
    #[must_use]
    pub fn offer_numbered(&self, number: i16) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.number == number)
    }

    /// The stretch with this number.
    #[must_use]
    pub fn stretch(&self, number: i32) -> Option<&Stretch> {
        self.stretches.get(usize::try_from(number).ok()?)
    }

    /// The level with this number.
    #[must_use]
    pub fn level(&self, number: i16) -> Option<&Level> {
        self.levels.iter().find(|level| level.number == number)
    }

    /// The section with this number.
    #[must_use]
    pub fn section(&self, number: i16) -> Option<&Section> {
        self.sections.iter().find(|section| section.number == number)
    }

    /// The section with this code.
    #[must_use]
    pub fn section_coded(&self, code: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.code == code)
    }

    /// The promo code, as entered by a buyer.
    #[must_use]
    pub fn promo(&self, code: &str) -> Option<&Promo> {
        let code = Promo::normalise(code);
        self.promos.iter().find(|promo| promo.code == code)
    }

    /// Ranges of numbers of those stretches of one level and class in which a channel can sell,
    /// best first.
    #[must_use]
    pub fn pool(&self, level: i16, class: Class, channel: i16) -> &[Range<i32>] {
        self.pools.get(&(level, class, channel)).map_or(&[], Vec::as_slice)
    }

    /// Whether there are places of this level and class, whoever can sell them.
    #[must_use]
    pub fn has(&self, level: i16, class: Class) -> bool {
        self.stretches.iter().any(|stretch| (stretch.level, stretch.class) == (level, class))
    }

    /// How many places there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Bytes of a bitmap over all place numbers.
    #[must_use]
    pub fn bitmap_bytes(&self) -> usize {
        self.index.len().div_ceil(8)
    }

    /// How a place is called: `Section 101, row F, seat 12`.
    #[must_use]
    pub fn label(&self, place: &Place) -> String {
        let section = self.section(place.section).map_or("", |section| section.name.as_str());
        match (&place.row, &place.seat) {
            (Some(row), Some(seat)) => [section, ", row ", row, ", seat ", seat].concat(),
            _ => section.to_owned(),
        }
    }
}

/// Whether `bit` is set, counting from the most significant bit of the first byte as Redis does.
#[must_use]
pub fn bit(bitmap: &[u8], number: i32) -> bool {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    bitmap.get(number / 8).is_some_and(|byte| byte >> (7 - number % 8) & 1 == 1)
}

/// Sets a bit, growing the bitmap as Redis does.
pub fn set_bit(bitmap: &mut Vec<u8>, number: i32) {
    let number = usize::try_from(number).unwrap_or(0);
    if bitmap.len() <= number / 8 {
        bitmap.resize(number / 8 + 1, 0);
    }
    bitmap[number / 8] |= 1 << (7 - number % 8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(level: i16, class: Class) -> Stretch {
        Stretch { first: 0, length: 8, level, class, section: 0 }
    }

    fn place(stretch: i32, channel: i16, killed: bool) -> Place {
        Place {
            number: stretch * 8,
            stretch,
            section: 0,
            level: 0,
            attributes: 0,
            row: None,
            seat: None,
            x: 0.0,
            y: 0.0,
            killed,
            channel,
        }
    }

    #[test]
    fn pools_are_runs_of_numbers_and_later_additions_come_last() {
        let stretches = [
            stretch(0, Class::Standard),
            stretch(0, Class::Standard),
            stretch(1, Class::Standard),
            stretch(0, Class::Standard),
        ];
        let places: Vec<_> = (0..4).map(|number| place(number, PUBLIC, false)).collect();
        let pools = pools(&stretches, &places, &[PUBLIC]);
        assert_eq!(pools[&(0, Class::Standard, PUBLIC)], [0..2, 3..4]);
        assert_eq!(pools[&(1, Class::Standard, PUBLIC)], vec![2..3]);
    }

    #[test]
    fn a_channel_looks_only_where_it_can_sell() {
        let stretches: Vec<_> = (0..4).map(|_| stretch(0, Class::Standard)).collect();
        let killed = place(3, PUBLIC, true);
        let places = [
            place(0, 1, false),
            place(1, PUBLIC, false),
            place(2, 2, false),
            place(2, 1, false),
            killed,
        ];
        let pools = pools(&stretches, &places, &[PUBLIC, 1, 2]);
        assert_eq!(pools[&(0, Class::Standard, PUBLIC)], vec![1..2]);
        assert_eq!(pools[&(0, Class::Standard, 1)], vec![0..3]);
        assert_eq!(pools[&(0, Class::Standard, 2)], vec![1..3]);
    }

    #[test]
    fn bits_count_from_the_left_as_in_redis() {
        let mut bitmap = Vec::new();
        set_bit(&mut bitmap, 9);
        assert_eq!(bitmap, [0, 0b0100_0000]);
        assert!(bit(&bitmap, 9) && !bit(&bitmap, 8) && !bit(&bitmap, 900));
    }
}
