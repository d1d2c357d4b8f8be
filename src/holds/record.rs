//! The record of a hold in Redis: one line of text, written by `lua/hold.lua`.
//!
//! `state|deadline|account|created|promo|digest|places|opaque`, where places is
//! `place:stretch:offer:tier,...` and opaque is the [`PriceSnapshot`] that locks the prices.

use serde::{Deserialize, Serialize};

use super::text::push_number;
use crate::catalog::UnitPrice;
use crate::ids::AccountId;
use crate::suspicion::Traces;

/// How far a record has come. Steps only rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A buyer's grip, until its deadline.
    Held,
    /// Checkout is committing its claim.
    Claiming,
    /// An order claims the places.
    Claimed,
    /// The order is paid.
    Sold,
    /// Over for its buyer; its places come back after a random delay.
    Returning,
    /// Over; kept a while as a tombstone.
    Released,
}

impl Step {
    /// The letter in the record.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Held => "h",
            Self::Claiming => "g",
            Self::Claimed => "c",
            Self::Sold => "s",
            Self::Returning => "b",
            Self::Released => "r",
        }
    }

    fn from_letter(letter: &str) -> Option<Self> {
        use Step::{Claimed, Claiming, Held, Released, Returning, Sold};
        [Held, Claiming, Claimed, Sold, Returning, Released]
            .into_iter()
            .find(|step| step.letter() == letter)
    }
}

/// One place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPlace {
    /// The place's number.
    pub place: i32,
    /// Where it lies.
    pub stretch: i32,
    /// The number of the offer it is bought through.
    pub offer: i16,
    /// The offer's tier it got.
    pub tier: i16,
}

/// A record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How far it has come.
    pub step: Step,
    /// When it ends if still held: milliseconds of Redis's clock.
    pub deadline_ms: i64,
    /// Whose it is.
    pub account: AccountId,
    /// When it began.
    pub created_ms: i64,
    /// The number of its promo code.
    pub promo: Option<i32>,
    /// Of the request that made it.
    pub digest: String,
    /// What it lists.
    pub places: Vec<HeldPlace>,
    /// The locked prices, as JSON; empty once it is over.
    pub opaque: String,
}

impl Record {
    /// Reads a record's text. `None` if it isn't one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(8, '|');
        let mut next = || parts.next();
        Some(Self {
            step: Step::from_letter(next()?)?,
            deadline_ms: next()?.parse().ok()?,
            account: next()?.parse().ok()?,
            created_ms: next()?.parse().ok()?,
            promo: Some(next()?)
                .filter(|text| !text.is_empty())
                .map(str::parse)
                .transpose()
                .ok()?,
            digest: next()?.to_owned(),
            places: parse_places(next()?)?,
            opaque: next()?.to_owned(),
        })
    }

    /// The record's text: what a rebuild writes.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}|{}|{}|{}|{}|{}|{}|{}",
            self.step.letter(),
            self.deadline_ms,
            self.account,
            self.created_ms,
            self.promo.map(|promo| promo.to_string()).unwrap_or_default(),
            self.digest,
            places_text(&self.places),
            self.opaque,
        )
    }
}

/// The numbers of places, in their order.
#[must_use]
pub fn numbers(places: &[HeldPlace]) -> Vec<i32> {
    let mut numbers: Vec<i32> = places.iter().map(|held| held.place).collect();
    numbers.sort_unstable();
    numbers
}

/// Reads `place:stretch:offer:tier,...`. `None` if it isn't that.
#[must_use]
pub fn parse_places(text: &str) -> Option<Vec<HeldPlace>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|entry| {
            let mut numbers = entry.split(':');
            let place = HeldPlace {
                place: numbers.next()?.parse().ok()?,
                stretch: numbers.next()?.parse().ok()?,
                offer: numbers.next()?.parse().ok()?,
                tier: numbers.next()?.parse().ok()?,
            };
            numbers.next().is_none().then_some(place)
        })
        .collect()
}

/// Writes `place:stretch:offer:tier,...`.
#[must_use]
pub fn places_text(places: &[HeldPlace]) -> String {
    let mut text = String::with_capacity(places.len() * 16);
    for entry in places {
        if !text.is_empty() {
            text.push(',');
        }
        let HeldPlace { place, stretch, offer, tier } = entry;
        push_number(&mut text, *place);
        text.push(':');
        push_number(&mut text, *stretch);
        text.push(':');
        push_number(&mut text, *offer);
        text.push(':');
        push_number(&mut text, *tier);
    }
    text
}

/// The prices that a hold locks: what it could have got when it was made. The script decides
/// the tier of each place; the price of that tier is in here, whatever the catalog says later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceSnapshot {
    /// The channel it was made through.
    pub channel: i16,
    /// One entry per offer.
    pub offers: Vec<OfferPrices>,
    /// The pass that it was made with: the order remembers it, and ends it when it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<uuid::Uuid>,
    /// What the request that made it showed of its sender: a hold that ends unpaid counts there.
    #[serde(default, skip_serializing_if = "Traces::is_none")]
    pub traces: Traces,
}

/// An offer's locked prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferPrices {
    /// Its number.
    pub offer: i16,
    /// Places that one unit price buys.
    pub size: i32,
    /// By tier.
    pub tiers: Vec<UnitPrice>,
}

/// Places of an order that cost the same: what is printed as one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The offer's number.
    pub offer: i16,
    /// Its tier.
    pub tier: i16,
    /// Which places.
    pub places: Vec<i32>,
    /// Per place, in minor units.
    pub price: i64,
    /// Per place.
    pub fee: i64,
    /// Per place, contained in price and fee.
    pub tax: i64,
    /// Per place, already taken off the price.
    #[serde(default)]
    pub discount: i64,
    /// Who each place is for, where the event asks for names: one for each of `places`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Line {
    /// Who this place is for.
    #[must_use]
    pub fn name_of(&self, place: i32) -> Option<&str> {
        let at = self.places.iter().position(|known| *known == place)?;
        self.names.get(at).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What all its places cost together.
    #[must_use]
    pub fn total(&self) -> i64 {
        (self.price + self.fee) * i64::try_from(self.places.len()).unwrap_or(i64::MAX)
    }
}

/// The lines of held places at their locked prices. `None` if a place has no locked price.
///
/// A package's price is shared out over its places; what doesn't divide falls on its first place.
#[must_use]
pub fn lines(places: &[HeldPlace], prices: &PriceSnapshot) -> Option<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut seen: Vec<(i16, i64)> = Vec::new();
    for held in places {
        let offer = prices.offers.iter().find(|prices| prices.offer == held.offer)?;
        let unit = offer.tiers.get(usize::try_from(held.tier).ok()?)?;
        let at = match seen.iter().position(|(number, _)| *number == held.offer) {
            Some(at) => at,
            None => {
                seen.push((held.offer, 0));
                seen.len() - 1
            }
        };
        let size = i64::from(offer.size.max(1));
        let first = seen[at].1 % size == 0;
        seen[at].1 += 1;
        let share = |amount: i64| amount / size + if first { amount % size } else { 0 };
        let line = Line {
            offer: held.offer,
            tier: held.tier,
            places: vec![held.place],
            price: share(unit.price),
            fee: share(unit.fee),
            tax: share(unit.tax),
            discount: share(unit.discount),
            names: Vec::new(),
        };
        let alike = |l: &&mut Line| {
            (l.offer, l.tier, l.price, l.fee, l.tax, l.discount)
                == (line.offer, line.tier, line.price, line.fee, line.tax, line.discount)
        };
        match lines.iter_mut().find(alike) {
            Some(same) => same.places.push(held.place),
            None => lines.push(line),
        }
    }
    Some(lines)
}

/// What lines cost together.
#[must_use]
pub fn total(lines: &[Line]) -> i64 {
    lines.iter().map(Line::total).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(place: i32, offer: i16, tier: i16) -> HeldPlace {
        HeldPlace { place, stretch: 0, offer, tier }
    }

    fn unit(price: i64, fee: i64) -> UnitPrice {
        UnitPrice { price, fee, tax: 0, discount: 0 }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record = Record {
            step: Step::Claiming,
            deadline_ms: 1_790_000_000_000,
            account: AccountId::fresh(),
            created_ms: 1_780_000_000_000,
            promo: Some(3),
            digest: "abc".into(),
            places: vec![held(16, 1, 0), held(17, 1, 1)],
            opaque: r#"{"a|b":1}"#.into(),
        };
        assert_eq!(Record::parse(&record.text()), Some(record.clone()));
        let tombstone = Record { promo: None, places: vec![], opaque: String::new(), ..record };
        assert_eq!(Record::parse(&tombstone.text()), Some(tombstone));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "h", "x|1|2|3|4|5|6|7", "h|1|not-an-id|3||d||", "h|1|2|3||d|1:2:3|"] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
        assert_eq!(parse_places("1:2:3:4:5"), None);
    }

    #[test]
    fn places_of_one_offer_and_tier_are_one_line() {
        let prices = PriceSnapshot {
            channel: 0,
            offers: vec![OfferPrices {
                offer: 1,
                size: 1,
                tiers: vec![unit(900, 90), unit(1_000, 90)],
            }],
            pass: None,
            traces: Traces::NONE,
        };
        let lines = lines(&[held(8, 1, 0), held(9, 1, 1), held(10, 1, 1)], &prices).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[1].places.as_slice(), lines[1].price), (&[9, 10][..], 1_000));
        assert_eq!(total(&lines), 990 + 2 * 1_090);
    }

    #[test]
    fn a_package_costs_its_price_to_the_cent() {
        let prices = PriceSnapshot {
            channel: 0,
            offers: vec![OfferPrices { offer: 1, size: 3, tiers: vec![unit(10_000, 100)] }],
            pass: None,
            traces: Traces::NONE,
        };
        let six: Vec<_> = (0..6).map(|place| held(place, 1, 0)).collect();
        assert_eq!(total(&lines(&six, &prices).unwrap()), 2 * 10_100);
    }

    #[test]
    fn a_place_without_a_locked_price_is_refused() {
        let prices = PriceSnapshot { channel: 0, offers: vec![], pass: None, traces: Traces::NONE };
        assert_eq!(lines(&[held(8, 1, 0)], &prices), None);
    }
}
