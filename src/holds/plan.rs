//! From a buyer's wish to the script's arguments.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::near::Near;
use super::record::{HeldPlace, OfferPrices, PriceSnapshot, numbers};
use super::text::{push_number, push_places};
use super::{MAX_LINES, MAX_PLACES};
use crate::access::grant::Grant;
use crate::catalog::{Class, Listing, Offer, Promo, Stretch};
use crate::ids::OfferId;
use crate::suspicion::{Lasting, Traces};

/// What a buyer asks to hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// All of them are held, or none; at most 50 places together.
    #[schema(min_items = 1, max_items = 10)]
    pub lines: Vec<WishLine>,
    /// If chosen places are taken, hold equally good ones instead.
    #[serde(default)]
    pub accept_equivalent: bool,
    /// A promo code.
    #[serde(default)]
    pub promo_code: Option<String>,
    /// Opens offers that need one.
    #[serde(default)]
    pub access_code: Option<String>,
    /// The buyer's grants, from the request's header: a repeated request is the same one with
    /// others.
    #[serde(skip)]
    pub grants: Vec<Grant>,
}

/// One line of a wish: an offer and exactly one of `places`, `best` and `area`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishLine {
    /// What is bought.
    pub offer: OfferId,
    /// These seats, by their place numbers in the manifest; all of the offer's price level.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 50)]
    pub places: Option<Vec<i32>>,
    /// The best so many neighbours of the offer's price level.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50)]
    pub best: Option<u32>,
    /// With `best`: rather apart than not at all.
    #[serde(default)]
    pub allow_split: bool,
    /// With `best`: accessible seats.
    #[serde(default)]
    pub accessible: bool,
    /// Units of the area with this code, one of the offer's `areas`.
    #[serde(default)]
    pub area: Option<String>,
    /// With `area`: how many.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50)]
    pub quantity: Option<u32>,
}

impl WishLine {
    /// A line that names this offer and doesn't say yet what of it.
    #[must_use]
    pub const fn of(offer: OfferId) -> Self {
        Self {
            offer,
            places: None,
            best: None,
            allow_split: false,
            accessible: false,
            area: None,
            quantity: None,
        }
    }
}

/// Why a wish can't be planned: it would fail whoever else wants the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Wrong in itself: which field, and why.
    Invalid {
        /// A JSON pointer.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// The offer is not sold at present.
    NotOffered,
    /// The offer needs an access code, and this isn't it.
    AccessCode,
    /// The promo code isn't known or doesn't count now.
    PromoCode,
}

/// A wish, resolved against a listing.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The channel whose allocation it may use.
    pub channel: i16,
    /// Number and limit of its promo code.
    pub promo: Option<(i32, Option<i32>)>,
    /// Hold an equivalent if chosen places are taken.
    pub accept_equivalent: bool,
    /// The prices it locks.
    pub prices: PriceSnapshot,
    /// How much of the event's time for holds it gets.
    pub lasting: Lasting,
    /// One for each line of the wish.
    pub lines: Vec<PlanLine>,
    /// If it is for chosen places that are close together.
    pub near: Option<Near>,
}

/// A resolved line: what the script is told.
#[derive(Clone, Debug)]
pub struct PlanLine {
    /// The script's kind: `p`, `b`, `s` or `a`.
    pub kind: &'static str,
    /// The offer's number.
    pub offer: i16,
    /// Its quota.
    pub quota: Option<i32>,
    /// Its window in milliseconds; 0 is open.
    pub from_ms: i64,
    /// End of its window.
    pub until_ms: i64,
    /// Its tiers as the script reads them.
    pub tiers: String,
    /// How many places.
    pub count: usize,
    /// What is asked for.
    pub what: String,
    /// Where an equivalent may be found.
    pub instead: String,
}

pub(super) fn invalid(at: impl Into<String>, why: impl Into<String>) -> Flaw {
    Flaw::Invalid { at: at.into(), why: why.into() }
}

/// Whether a wish is for an accessible seat, with or without others.
#[must_use]
pub fn is_accessible(listing: &Listing, wish: &Wish) -> bool {
    wish.lines.iter().any(|line| {
        let chosen = line.places.iter().flatten().filter_map(|number| listing.place(*number));
        let mut classes = chosen.filter_map(|place| listing.stretch(place.stretch));
        line.accessible || classes.any(|stretch| stretch.class == Class::Accessible)
    })
}

impl Plan {
    /// Resolves a wish.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn new(listing: &Listing, wish: &Wish, now: Timestamp) -> Result<Self, Flaw> {
        if wish.lines.is_empty() || wish.lines.len() > MAX_LINES {
            return Err(invalid("/lines", format!("must have 1 to {MAX_LINES} lines")));
        }
        let promo = match &wish.promo_code {
            Some(code) => Some(usable_promo(listing, code, now).ok_or(Flaw::PromoCode)?),
            None => None,
        };
        let mut plan = Self {
            channel: 0,
            promo: promo.map(|promo| (promo.number, promo.max_uses)),
            accept_equivalent: wish.accept_equivalent,
            prices: PriceSnapshot {
                channel: 0,
                offers: Vec::new(),
                pass: None,
                traces: Traces::NONE,
            },
            lasting: Lasting::Full,
            lines: Vec::with_capacity(wish.lines.len()),
            near: None,
        };
        let mut chosen = Vec::new();
        let mut per_offer: Vec<(&Offer, usize)> = Vec::new();
        for (at, line) in wish.lines.iter().enumerate() {
            let offer = usable_offer(listing, wish, line, at, now)?;
            if at > 0 && offer.channel != plan.channel {
                return Err(invalid("/lines", "offers of different channels can't be mixed"));
            }
            plan.channel = offer.channel;
            let resolved = resolve(listing, offer, (wish, line, at), &mut chosen)?;
            match per_offer.iter_mut().find(|(known, _)| known.number == offer.number) {
                Some((_, count)) => *count += resolved.count,
                None => per_offer.push((offer, resolved.count)),
            }
            plan.lines.push(resolved);
        }
        let total: usize = plan.lines.iter().map(|line| line.count).sum();
        if total > MAX_PLACES {
            return Err(invalid("/lines", format!("more than {MAX_PLACES} places in one hold")));
        }
        for (offer, count) in per_offer {
            check_count(offer, count)?;
            let tiers = offer.tiers.iter().map(|tier| offer.unit_price(tier, promo)).collect();
            let prices = OfferPrices { offer: offer.number, size: offer.package_size, tiers };
            plan.prices.offers.push(prices);
        }
        plan.prices.channel = plan.channel;
        plan.near = plan.near(listing, wish);
        Ok(plan)
    }

    /// Promo codes and tiers are counted the long way.
    fn near(&self, listing: &Listing, wish: &Wish) -> Option<Near> {
        let ([line], [PlanLine { offer, tiers, .. }]) = (&*wish.lines, &*self.lines) else {
            return None;
        };
        if self.promo.is_some() || !tiers.is_empty() {
            return None;
        }
        let mut numbers = line.places.clone()?;
        numbers.sort_unstable();
        let stretch = listing.place(*numbers.first()?)?.stretch;
        let held = |number: i32| {
            let place = listing.place(number).filter(|place| place.stretch == stretch)?;
            Some(HeldPlace { place: place.number, stretch, offer: *offer, tier: 0 })
        };
        let places = numbers.into_iter().map(held).collect::<Option<Vec<_>>>()?;
        Near::of(listing.stretch(stretch)?, places, listing.event.orphan_rule)
    }
}

impl Plan {
    /// Exactly these places again, at prices that are settled already: for late money.
    #[must_use]
    pub fn same_places(
        listing: &Listing,
        places: &[HeldPlace],
        prices: PriceSnapshot,
    ) -> Option<Self> {
        let lines = places.chunk_by(|a, b| a.stretch == b.stretch && a.offer == b.offer);
        let lines = lines.map(|group| {
            let stretch = listing.stretch(group[0].stretch)?;
            // Units of an area are all alike: any of them will do, and bitmaps of areas are
            // too long to be looked at place by place.
            let area = stretch.class == Class::Area;
            let what = if area {
                format!("{0}-{0}", group[0].stretch)
            } else {
                let mut what = String::new();
                push_chosen(&mut what, (group[0].stretch, stretch), false, &numbers(group));
                what
            };
            Some(PlanLine {
                kind: if area { "a" } else { "p" },
                count: group.len(),
                what,
                instead: ranges_text(listing.pool(stretch.level, stretch.class, prices.channel)),
                ..PlanLine::settled(group[0].offer)
            })
        });
        let lines = lines.collect::<Option<Vec<_>>>()?;
        let channel = prices.channel;
        let lasting = Lasting::Full;
        let (promo, near) = (None, None);
        Some(Self { channel, promo, accept_equivalent: false, prices, lasting, lines, near })
    }

    /// Places as good as these, at the prices that their hold locked.
    #[must_use]
    pub fn equivalent(
        listing: &Listing,
        places: &[HeldPlace],
        prices: PriceSnapshot,
        promo: Option<i32>,
    ) -> Option<Self> {
        let mut lines: Vec<PlanLine> = Vec::new();
        for held in places {
            let stretch = listing.stretch(held.stretch)?;
            let pool = listing.pool(stretch.level, stretch.class, prices.channel);
            let what = ranges_text(pool);
            match lines.iter_mut().find(|line| line.offer == held.offer && line.what == what) {
                Some(line) => line.count += 1,
                None => lines.push(PlanLine {
                    kind: if stretch.class == Class::Area { "a" } else { "b" },
                    count: 1,
                    what,
                    ..PlanLine::settled(held.offer)
                }),
            }
        }
        let channel = prices.channel;
        let promo = promo.map(|number| (number, None));
        let lasting = Lasting::Full;
        let near = None;
        Some(Self { channel, promo, accept_equivalent: false, prices, lasting, lines, near })
    }
}

impl PlanLine {
    /// A line without quota, window or tiers: its price is settled.
    fn settled(offer: i16) -> Self {
        Self {
            kind: "b",
            offer,
            quota: None,
            from_ms: 0,
            until_ms: 0,
            tiers: String::new(),
            count: 0,
            what: String::new(),
            instead: String::new(),
        }
    }
}

pub(super) fn usable_promo<'a>(
    listing: &'a Listing,
    code: &str,
    now: Timestamp,
) -> Option<&'a Promo> {
    listing.promo(code).filter(|promo| {
        promo.active
            && promo.starts_at.is_none_or(|from| now >= from)
            && promo.ends_at.is_none_or(|until| now < until)
    })
}

pub(super) fn usable_offer<'a>(
    listing: &'a Listing,
    wish: &Wish,
    line: &WishLine,
    at: usize,
    now: Timestamp,
) -> Result<&'a Offer, Flaw> {
    let offer = listing
        .offer(line.offer)
        .ok_or_else(|| invalid(format!("/lines/{at}/offer"), "not an offer of this event"))?;
    if !offer.active {
        return Err(Flaw::NotOffered);
    }
    if let Some(needed) = &offer.access_code {
        let given = wish.access_code.as_deref().map(Promo::normalise).unwrap_or_default();
        let needed = Promo::normalise(needed);
        if !bool::from(given.as_bytes().ct_eq(needed.as_bytes())) {
            return Err(Flaw::AccessCode);
        }
    }
    if offer.code_set.is_some_and(|set| !listing.is_granted(set, &wish.grants, now)) {
        return Err(Flaw::AccessCode);
    }
    Ok(offer)
}

pub(super) fn check_count(offer: &Offer, count: usize) -> Result<(), Flaw> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let name = &offer.name;
    if count < offer.min_per_order || count > offer.max_per_order {
        let (min, max) = (offer.min_per_order, offer.max_per_order);
        return Err(invalid("/lines", format!("{name}: {min} to {max} places per order")));
    }
    let step = if offer.multiple_of % offer.package_size == 0 {
        offer.multiple_of
    } else {
        offer.multiple_of * offer.package_size
    };
    if count % step != 0 {
        return Err(invalid("/lines", format!("{name}: only in multiples of {step} places")));
    }
    Ok(())
}

fn resolve(
    listing: &Listing,
    offer: &Offer,
    (wish, line, at): (&Wish, &WishLine, usize),
    chosen: &mut Vec<i32>,
) -> Result<PlanLine, Flaw> {
    let given = [line.places.is_some(), line.best.is_some(), line.area.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        let why = "needs exactly one of places, best and area";
        return Err(invalid(format!("/lines/{at}"), why));
    }
    let base = PlanLine {
        quota: offer.quota,
        from_ms: offer.starts_at.map_or(0, Timestamp::as_millisecond),
        until_ms: offer.ends_at.map_or(0, Timestamp::as_millisecond),
        tiers: tiers_text(offer),
        ..PlanLine::settled(offer.number)
    };
    if let Some(places) = &line.places {
        let what = chosen_text(listing, offer, places, at, chosen)?;
        let line = PlanLine { kind: "p", count: places.len(), what, ..base };
        if !wish.accept_equivalent {
            return Ok(line);
        }
        // An equivalent is looked for in the same rows first.
        let near = places.iter().filter_map(|number| listing.place(*number));
        let mut near: Vec<_> = near.map(|place| place.stretch..place.stretch + 1).collect();
        near.dedup();
        near.extend_from_slice(listing.pool(offer.level, Class::Standard, offer.channel));
        return Ok(PlanLine { instead: ranges_text(&near), ..line });
    }
    if let Some(best) = line.best {
        let count = bounded(best, format!("/lines/{at}/best"))?;
        let class = if line.accessible { Class::Accessible } else { Class::Standard };
        let what = ranges_text(listing.pool(offer.level, class, offer.channel));
        if !listing.has(offer.level, class) {
            return Err(invalid(format!("/lines/{at}/best"), "this offer has no such seats"));
        }
        let kind = if line.allow_split { "s" } else { "b" };
        return Ok(PlanLine { kind, count, what, ..base });
    }
    let code = line.area.as_deref().unwrap_or_default();
    let pointer = format!("/lines/{at}/area");
    let section = listing
        .section_coded(code)
        .filter(|section| section.area)
        .ok_or_else(|| invalid(pointer.clone(), "not an area of this event"))?;
    let stretches = (0_i32..)
        .zip(&listing.stretches)
        .filter(|(_, stretch)| stretch.section == section.number && stretch.level == offer.level);
    let ranges: Vec<_> = stretches.map(|(number, _)| number..number + 1).collect();
    if ranges.is_empty() {
        return Err(invalid(pointer, "this offer doesn't sell that area"));
    }
    let count = bounded(line.quantity.unwrap_or(0), format!("/lines/{at}/quantity"))?;
    Ok(PlanLine { kind: "a", count, what: ranges_text(&ranges), ..base })
}

fn bounded(count: u32, at: String) -> Result<usize, Flaw> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 || count > MAX_PLACES {
        return Err(invalid(at, format!("must be 1 to {MAX_PLACES}")));
    }
    Ok(count)
}

/// `stretch:first:length:orphans:place.place;...`: chosen places by stretch.
fn chosen_text(
    listing: &Listing,
    offer: &Offer,
    places: &[i32],
    at: usize,
    chosen: &mut Vec<i32>,
) -> Result<String, Flaw> {
    let pointer = || format!("/lines/{at}/places");
    if places.is_empty() || places.len() > MAX_PLACES {
        return Err(invalid(pointer(), format!("must name 1 to {MAX_PLACES} places")));
    }
    let mut by_stretch: Vec<(i32, Vec<i32>)> = Vec::new();
    for number in places {
        let place = listing
            .place(*number)
            .ok_or_else(|| invalid(pointer(), format!("{number} is no place here")))?;
        if place.seat.is_none() {
            let why = format!("place {number} is a unit of an area: ask by area and quantity");
            return Err(invalid(pointer(), why));
        }
        if place.level != offer.level {
            let why = format!("place {number} is of another price level than the offer");
            return Err(invalid(pointer(), why));
        }
        // Hardly anybody names more than a handful: to look through those takes less than a hash.
        if chosen.contains(number) {
            return Err(invalid(pointer(), format!("place {number} is named twice")));
        }
        chosen.push(*number);
        match by_stretch.iter_mut().find(|(stretch, _)| *stretch == place.stretch) {
            Some((_, list)) => list.push(*number),
            None => by_stretch.push((place.stretch, vec![*number])),
        }
    }
    let mut text = String::with_capacity(64);
    for (number, mut list) in by_stretch {
        let Some(stretch) = listing.stretch(number) else { continue };
        list.sort_unstable();
        push_chosen(&mut text, (number, stretch), stretch.class == Class::Standard, &list);
    }
    Ok(text)
}

/// Chosen places of one stretch, and whether the orphan rule watches them.
fn push_chosen(text: &mut String, (number, stretch): (i32, &Stretch), watch: bool, places: &[i32]) {
    for number in [number, stretch.first, stretch.length, watch.into()] {
        push_number(text, number);
        text.push(':');
    }
    push_places(text, places);
}

pub(super) fn tiers_text(offer: &Offer) -> String {
    let endless = offer.tiers.iter().all(|t| t.until.is_none() && t.until_count.is_none());
    if endless {
        return String::new();
    }
    let tiers: Vec<String> = offer
        .tiers
        .iter()
        .map(|tier| {
            let until = tier.until.map_or(0, Timestamp::as_millisecond);
            format!("{}:{until}", tier.until_count.unwrap_or(0))
        })
        .collect();
    tiers.join(",")
}

/// `from-to,...`, both included.
fn ranges_text(ranges: &[Range<i32>]) -> String {
    let mut text = String::with_capacity(ranges.len() * 8);
    for range in ranges {
        if !text.is_empty() {
            text.push(',');
        }
        push_number(&mut text, range.start);
        text.push('-');
        push_number(&mut text, range.end - 1);
    }
    text
}
