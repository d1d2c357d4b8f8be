//! Offers on pages: by price level, what each ticket costs in the end, and how many may be taken.

use iso_currency::Currency;
use jiff::Timestamp;

use super::free::Free;
use super::page::Fields;
use super::words::{self, When};
use crate::catalog::{Class, Listing, Offer, PUBLIC, Tier, UnitPrice};
use crate::holds::MAX_PLACES;
use crate::say;

/// Longest list of quantities to choose from.
const MAX_CHOICES: usize = 12;

/// A price level with its offers.
pub struct LevelCard {
    /// The level's code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its number, which names its colour in style sheets.
    pub number: i16,
    /// How many places are free, if that is known.
    pub free: Option<u32>,
    /// Its offers; never empty.
    pub rows: Vec<OfferRow>,
}

/// An offer.
pub struct OfferRow {
    /// The name of its form field.
    pub field: String,
    /// For whom.
    pub name: String,
    /// Price and fee together.
    pub total: String,
    /// The same in minor units.
    pub amount: i64,
    /// Places that it pays for.
    pub package: i32,
    /// What to know about it; empty if nothing.
    pub note: String,
    /// How many may be taken, besides none.
    pub choices: Vec<usize>,
    /// How many were chosen.
    pub chosen: usize,
}

/// Offers that everyone may see.
pub fn public(listing: &Listing) -> impl Iterator<Item = &Offer> {
    listing.offers.iter().filter(|offer| offer.active && offer.channel == PUBLIC)
}

/// Whether an offer can only be bought with an access code.
#[must_use]
pub const fn needs_code(offer: &Offer) -> bool {
    offer.access_code.is_some() || offer.code_set.is_some()
}

/// The tier that counts now, as far as the clock tells: how many were sold is known to Redis.
#[must_use]
pub fn tier_now(offer: &Offer, now: Timestamp) -> Option<&Tier> {
    offer.tiers.iter().find(|tier| tier.until.is_none_or(|until| now < until))
}

/// What one unit costs now.
#[must_use]
pub fn unit_now(offer: &Offer, now: Timestamp) -> Option<UnitPrice> {
    tier_now(offer, now).map(|tier| offer.unit_price(tier, None))
}

/// Whether it sells now.
#[must_use]
pub fn is_open(offer: &Offer, now: Timestamp) -> bool {
    offer.starts_at.is_none_or(|from| now >= from)
        && offer.ends_at.is_none_or(|until| now < until)
        && tier_now(offer, now).is_some()
}

/// The form field of an offer.
#[must_use]
pub fn field(offer: &Offer) -> String {
    format!("n-{}", offer.number)
}

/// For whom it is.
#[must_use]
pub fn price_type<'a>(listing: &'a Listing, offer: &Offer) -> &'a str {
    let known = listing.price_types.iter().find(|known| known.number == offer.price_type);
    known.map_or("", |known| known.name.as_str())
}

/// The levels that are offered, with what was chosen in `fields`.
pub fn cards(listing: &Listing, free: &Free, fields: &Fields, now: Timestamp) -> Vec<LevelCard> {
    let card = |level: &crate::catalog::Level| {
        let offers: Vec<_> = public(listing).filter(|offer| offer.level == level.number).collect();
        let rows: Vec<_> =
            offers.iter().filter_map(|offer| row(listing, &offers, offer, fields, now)).collect();
        (!rows.is_empty()).then(|| LevelCard {
            code: level.code.clone(),
            name: level.name.clone(),
            number: level.number,
            free: free.level(&level.code),
            rows,
        })
    };
    listing.levels.iter().filter_map(card).collect()
}

/// An offer among those of its level. None if it is over for good.
pub fn row(
    listing: &Listing,
    siblings: &[&Offer],
    offer: &Offer,
    fields: &Fields,
    now: Timestamp,
) -> Option<OfferRow> {
    let unit = unit_now(offer, now)?;
    if offer.ends_at.is_some_and(|until| now >= until) {
        return None;
    }
    let alike = siblings.iter().filter(|other| other.price_type == offer.price_type).count();
    let name = if alike > 1 { offer.name.as_str() } else { price_type(listing, offer) };
    let currency = listing.event.currency;
    Some(OfferRow {
        field: field(offer),
        name: name.to_owned(),
        total: words::price(unit.total(), currency),
        amount: unit.total(),
        package: offer.package_size,
        note: note(listing, offer, unit, now),
        choices: if is_open(offer, now) { choices(listing, offer) } else { Vec::new() },
        chosen: usize::try_from(fields.number(&field(offer))).unwrap_or(0),
    })
}

/// How many places of an offer may be taken in one order.
#[must_use]
pub fn choices(listing: &Listing, offer: &Offer) -> Vec<usize> {
    let positive = |number: i32| usize::try_from(number).unwrap_or(1).max(1);
    let (size, multiple) = (positive(offer.package_size), positive(offer.multiple_of));
    let step = if multiple.is_multiple_of(size) { multiple } else { multiple * size };
    let limit = listing.event.account_limit.map_or(MAX_PLACES, positive);
    let most = positive(offer.max_per_order).min(limit).min(MAX_PLACES);
    let least = positive(offer.min_per_order);
    (1..=most).filter(|n| *n >= least && n.is_multiple_of(step)).take(MAX_CHOICES).collect()
}

fn note(listing: &Listing, offer: &Offer, unit: UnitPrice, now: Timestamp) -> String {
    let mut parts: Vec<String> = Vec::new();
    let zone = &listing.event.venue.time_zone;
    let currency: Currency = listing.event.currency;
    if offer.package_size > 1 {
        parts.push(say("offer.together").put("n", offer.package_size).into());
    }
    if unit.fee > 0 {
        let price = words::money(unit.price, currency);
        let fee = words::money(unit.fee, currency);
        parts.push(say("offer.fee").put("price", price).put("fee", fee).into());
    }
    if let Some(tier) = tier_now(offer, now) {
        if !tier.name.is_empty() {
            parts.push(tier.name.clone());
        }
        if tier.until_count.is_some() {
            parts.push(say("offer.stocks").into());
        } else if let Some(until) = tier.until {
            parts.push(say("offer.until").put("when", When::new(until, zone).short()).into());
        }
    }
    if let Some(from) = offer.starts_at.filter(|from| now < *from) {
        parts.push(say("offer.from").put("when", When::new(from, zone).short()).into());
    }
    if needs_code(offer) {
        parts.push(say("offer.code").into());
    }
    parts.join(" · ")
}

/// The offer for a place's level and a price type: single places before packages, and offers
/// that need a code only if there is no other or a code was entered.
#[must_use]
pub fn offer_for(
    listing: &Listing,
    level: i16,
    price_type: Option<i16>,
    has_code: bool,
    now: Timestamp,
) -> Option<&Offer> {
    public(listing)
        .filter(|o| o.level == level && price_type.is_none_or(|wanted| wanted == o.price_type))
        .filter(|offer| is_open(offer, now))
        .min_by_key(|offer| {
            let misfit = needs_code(offer) && !has_code;
            let preferred = needs_code(offer) && has_code;
            (misfit, offer.package_size > 1, !preferred, offer.number)
        })
}

/// Whether best available finds seats of this level, or else an area has them.
#[must_use]
pub fn has_seats(listing: &Listing, level: i16) -> bool {
    listing.has(level, Class::Standard) || listing.has(level, Class::Accessible)
}

/// The area of this level in which most is free.
#[must_use]
pub fn area_of(listing: &Listing, free: &Free, level: i16) -> Option<String> {
    let sections = listing
        .stretches
        .iter()
        .filter(|stretch| stretch.level == level && stretch.class == Class::Area)
        .filter_map(|stretch| listing.section(stretch.section));
    sections.max_by_key(|section| free.section(&section.code)).map(|section| section.code.clone())
}
