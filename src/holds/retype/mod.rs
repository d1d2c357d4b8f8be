//! Changing by which offers a hold's places are bought (adult, child), and its promo code, without
//! letting go of the places. `lua/retype.lua` decides; here is what can be known without it.

pub mod http;
pub mod redis;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Deserialize;

use super::plan::{Flaw, Wish, WishLine, check_count, invalid, tiers_text, usable_offer};
use super::record::{HeldPlace, OfferPrices, PriceSnapshot, Record};
use super::{MAX_LINES, MAX_PLACES};
use crate::access::grant::Grant;
use crate::catalog::{Listing, Offer, Promo};
use crate::ids::OfferId;
use crate::organizers::rules::Patch;

/// What is to be changed of a hold; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldChange {
    /// Which of its places are bought by which offers from now on.
    #[serde(default)]
    #[schema(max_items = 10)]
    pub lines: Vec<ChangedLine>,
    /// The promo code; null is none. Another one prices all places anew.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub promo_code: Patch<Option<String>>,
    /// Opens offers that need one.
    #[serde(default)]
    pub access_code: Option<String>,
    /// The buyer's grants, from the request's header.
    #[serde(skip)]
    pub grants: Vec<Grant>,
}

/// Places that are bought by an offer from now on.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedLine {
    /// An offer of the places' price level and the hold's channel, for single places.
    pub offer: OfferId,
    /// Places of the hold, by their numbers, also those of areas.
    #[schema(min_items = 1, max_items = 50)]
    pub places: Vec<i32>,
}

/// A change, resolved: what the script is told.
#[derive(Clone, Debug)]
pub struct Change {
    /// Number and limit of the promo code that counts afterwards.
    pub promo: Option<(i32, Option<i32>)>,
    /// The prices that are locked afterwards.
    pub prices: PriceSnapshot,
    /// Where places move to.
    pub targets: Vec<Target>,
}

/// An offer that places move to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its number.
    pub offer: i16,
    /// Its quota.
    pub quota: Option<i32>,
    /// Its window in milliseconds; 0 is open.
    pub from_ms: i64,
    /// End of its window.
    pub until_ms: i64,
    /// Its tiers as the script reads them.
    pub tiers: String,
    /// Which places.
    pub places: Vec<i32>,
}

impl Change {
    /// Resolves a change of this record.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn new(
        listing: &Listing,
        record: &Record,
        change: &HoldChange,
        now: Timestamp,
    ) -> Result<Self, Flaw> {
        let locked: PriceSnapshot = serde_json::from_str(&record.opaque)
            .map_err(|_| invalid("/lines", "this hold has no locked prices"))?;
        let (moves, targets) = targets(listing, record, &locked, change, now)?;
        check_counts(listing, &record.places, &moves)?;
        let promo = promo(listing, record, &change.promo_code, now)?;
        let repriced = promo.map(|promo| promo.number) != record.promo;
        let mut prices = PriceSnapshot { offers: Vec::new(), ..locked.clone() };
        for held in &moves {
            if prices.offers.iter().any(|known| known.offer == held.offer) {
                continue;
            }
            let known = locked.offers.iter().find(|known| known.offer == held.offer);
            let offer = listing.offer_numbered(held.offer);
            let entry = match (known, offer) {
                (Some(known), _) if !repriced => known.clone(),
                (_, Some(offer)) => priced(offer, promo),
                (Some(known), None) => known.clone(),
                (None, None) => return Err(Flaw::NotOffered),
            };
            // A tier that was added meanwhile has no locked price.
            let tiers = offer.map_or(0, |offer| offer.tiers.len());
            let moved_to = targets.iter().any(|target| target.offer == held.offer);
            if moved_to && entry.tiers.len() != tiers {
                return Err(Flaw::NotOffered);
            }
            prices.offers.push(entry);
        }
        if prices.offers.len() > MAX_LINES {
            return Err(invalid("/lines", format!("must have 1 to {MAX_LINES} lines")));
        }
        Ok(Self { promo: promo.map(|promo| (promo.number, promo.max_uses)), prices, targets })
    }
}

fn priced(offer: &Offer, promo: Option<&Promo>) -> OfferPrices {
    let tiers = offer.tiers.iter().map(|tier| offer.unit_price(tier, promo)).collect();
    OfferPrices { offer: offer.number, size: offer.package_size, tiers }
}

/// The places with the offers that they are to have, and the offers that some move to.
fn targets(
    listing: &Listing,
    record: &Record,
    locked: &PriceSnapshot,
    change: &HoldChange,
    now: Timestamp,
) -> Result<(Vec<HeldPlace>, Vec<Target>), Flaw> {
    if change.lines.len() > MAX_LINES {
        return Err(invalid("/lines", format!("must have 1 to {MAX_LINES} lines")));
    }
    let opened = Wish {
        access_code: change.access_code.clone(),
        grants: change.grants.clone(),
        ..Wish::default()
    };
    let mut after = record.places.clone();
    let mut targets: Vec<Target> = Vec::new();
    let mut named = HashSet::new();
    for (at, line) in change.lines.iter().enumerate() {
        let pointer = format!("/lines/{at}/places");
        if line.places.is_empty() || line.places.len() > MAX_PLACES {
            return Err(invalid(pointer, format!("must name 1 to {MAX_PLACES} places")));
        }
        let mut moving = Vec::new();
        for number in &line.places {
            let held = after
                .iter_mut()
                .find(|held| held.place == *number)
                .ok_or_else(|| invalid(&*pointer, format!("{number} is no place of this hold")))?;
            if !named.insert(*number) {
                return Err(invalid(pointer, format!("place {number} is named twice")));
            }
            let offer = listing.offer(line.offer);
            // What stays needs no leave: it may no longer be sold.
            if offer.is_some_and(|offer| offer.number == held.offer) {
                continue;
            }
            let offer = usable_offer(listing, &opened, &WishLine::of(line.offer), at, now)?;
            if offer.channel != locked.channel {
                return Err(invalid("/lines", "offers of different channels can't be mixed"));
            }
            if listing.place(*number).is_none_or(|place| place.level != offer.level) {
                let why = format!("place {number} is of another price level than the offer");
                return Err(invalid(pointer, why));
            }
            let of = locked.offers.iter().find(|known| known.offer == held.offer);
            if offer.package_size > 1 || of.is_none_or(|known| known.size > 1) {
                return Err(invalid(pointer, "packages stay as they are; choose anew instead"));
            }
            held.offer = offer.number;
            moving.push((offer, *number));
        }
        if let Some((offer, _)) = moving.first() {
            let places = moving.iter().map(|(_, number)| *number);
            match targets.iter_mut().find(|target| target.offer == offer.number) {
                Some(known) => known.places.extend(places),
                None => targets.push(Target::new(offer, places.collect())),
            }
        }
    }
    Ok((after, targets))
}

impl Target {
    fn new(offer: &Offer, places: Vec<i32>) -> Self {
        Self {
            offer: offer.number,
            quota: offer.quota,
            from_ms: offer.starts_at.map_or(0, Timestamp::as_millisecond),
            until_ms: offer.ends_at.map_or(0, Timestamp::as_millisecond),
            tiers: tiers_text(offer),
            places,
        }
    }
}

/// Offers that gain or lose places still have as many as one may buy of them, or none.
fn check_counts(listing: &Listing, before: &[HeldPlace], after: &[HeldPlace]) -> Result<(), Flaw> {
    let count = |list: &[HeldPlace], offer| list.iter().filter(|one| one.offer == offer).count();
    let mut seen = HashSet::new();
    for held in after.iter().filter(|held| seen.insert(held.offer)) {
        let now = count(after, held.offer);
        if now != count(before, held.offer)
            && let Some(offer) = listing.offer_numbered(held.offer)
        {
            check_count(offer, now)?;
        }
    }
    Ok(())
}

/// The promo code that counts afterwards. The one that the hold has needs no leave.
fn promo<'a>(
    listing: &'a Listing,
    record: &Record,
    change: &Patch<Option<String>>,
    now: Timestamp,
) -> Result<Option<&'a Promo>, Flaw> {
    let kept = || listing.promos.iter().find(|promo| Some(promo.number) == record.promo);
    match change {
        Patch::Keep => Ok(kept()),
        Patch::To(None) => Ok(None),
        Patch::To(Some(code)) => {
            match kept().filter(|known| known.code == Promo::normalise(code)) {
                Some(known) => Ok(Some(known)),
                None => {
                    super::plan::usable_promo(listing, code, now).map(Some).ok_or(Flaw::PromoCode)
                }
            }
        }
    }
}
