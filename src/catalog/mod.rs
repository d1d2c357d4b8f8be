//! What is for sale: organizers' events, their manifests, offers and limits.
//!
//! Postgres has it in plain tables (`store.rs` reads them, `edit.rs` and `import.rs` write them);
//! every process keeps an immutable [`Listing`] per event in memory (`cache.rs`), which is all
//! that the hot path reads. A change raises the event's version, and the listing is read anew.

pub mod cache;
pub mod chart;
pub mod edit;
pub mod http;
pub mod import;
pub mod listing;
pub mod manifest;
pub mod numbering;
pub mod store;
pub mod terms;

use std::fmt;

use iso_currency::Currency;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{EventId, OfferId, OrganizerId};
use crate::money;

pub use self::listing::Listing;
pub use self::terms::BuyerTerms;

/// The channel of everyone without a channel of their own.
pub const PUBLIC: i16 = 0;

/// Where an event stands. Edges are enforced in the database (`events_edge`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EventStatus {
    /// Seen by its organizer only.
    Draft,
    /// Announced: visible, not yet for sale.
    Published,
    /// Places can be held.
    OnSale,
    /// No new holds; existing ones may finish.
    Paused,
    /// The sale is over.
    Closed,
    /// The event will not take place.
    Cancelled,
}

impl EventStatus {
    /// The word in tables, in Redis and on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::OnSale => "on_sale",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Draft, Self::Published, Self::OnSale, Self::Paused, Self::Closed, Self::Cancelled]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

impl fmt::Display for EventStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An event: what is true of it as a whole.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose it is.
    pub organizer: OrganizerId,
    /// The name in URLs.
    pub slug: String,
    /// What is played.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// Where.
    pub venue: Venue,
    /// When it begins.
    pub starts_at: Timestamp,
    /// Of all its prices.
    pub currency: Currency,
    /// Where it stands.
    pub status: EventStatus,
    /// Most places per buyer, held and bought together.
    pub account_limit: Option<i32>,
    /// How long a hold lasts, in seconds.
    pub hold_seconds: i32,
    /// How long it may last with all extensions, in seconds.
    pub hold_max_seconds: i32,
    /// How long a claim waits for its payment, in seconds.
    pub pay_seconds: i32,
    /// Places that come back are free after a random delay below this, in seconds; 0 is at once.
    pub return_seconds: i32,
    /// Whether choices that strand a single seat are refused.
    pub orphan_rule: bool,
    /// Whether one needs a waiting room's pass to hold places.
    pub waiting_room: bool,
    /// Where people look, in metres: the middle of the stage or pitch.
    pub focus: (f32, f32),
    /// Whether only buyers who have signed in can hold places.
    pub needs_account: bool,
    /// Whether each ticket needs a name at checkout.
    pub attendee_names: bool,
    /// What its buyers accept at checkout.
    pub terms: Option<BuyerTerms>,
    /// Whether it is the shadow of another one, in a rehearsal: nobody is charged, told or let in.
    pub rehearsal: bool,
    /// Raised by every change.
    pub version: i64,
}

/// Where an event takes place.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Venue {
    /// Its name.
    pub name: String,
    /// Its postal address.
    pub address: String,
    /// IANA name of its time zone.
    pub time_zone: String,
}

/// A price level.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its number in this event; better ones have lower numbers.
    pub number: i16,
    /// Its short name.
    pub code: String,
    /// Its name.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
}

/// A section of the manifest.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its number in this event.
    pub number: i16,
    /// What is written on its entrance.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it is an area (general admission).
    pub area: bool,
    /// Corners in metres.
    pub outline: serde_json::Value,
}

/// What kind of seats a stretch has: best available never mixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Ordinary seats.
    Standard,
    /// Accessible seats and their companions'.
    Accessible,
    /// Units of an area.
    Area,
}

impl Class {
    /// The number in tables.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Standard => 0,
            Self::Accessible => 1,
            Self::Area => 2,
        }
    }

    /// Reads the number.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            1 => Self::Accessible,
            2 => Self::Area,
            _ => Self::Standard,
        }
    }
}

/// Neighbouring seats of one row, one level and one class; or an area. Begins on a byte boundary
/// of the bitmaps, so that it is one `GETRANGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Number of its first place; a multiple of 8.
    pub first: i32,
    /// How many places.
    pub length: i32,
    /// Their price level.
    pub level: i16,
    /// Their class.
    pub class: Class,
    /// Their section.
    pub section: i16,
}

/// A place: the smallest sellable unit.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number in this event.
    pub number: i32,
    /// Where it lies in the bitmaps.
    pub stretch: i32,
    /// Its section.
    pub section: i16,
    /// Its price level.
    pub level: i16,
    /// Bits of [`manifest::Attributes`].
    pub attributes: i16,
    /// The row as printed; none in an area.
    pub row: Option<std::sync::Arc<str>>,
    /// The seat as printed; none in an area.
    pub seat: Option<std::sync::Arc<str>>,
    /// Metres.
    pub x: f32,
    /// Metres.
    pub y: f32,
    /// Removed from sale.
    pub killed: bool,
    /// Whose allocation it is in.
    pub channel: i16,
}

/// A class of buyer: adult, child.
#[derive(Clone, Debug)]
pub struct PriceType {
    /// Its number in this event.
    pub number: i16,
    /// Its short name.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// A channel with an allocation of its own.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its number in this event; 0 is the public.
    pub number: i16,
    /// Its short name.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// What can be bought: a price level for a price type.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// Its number in this event: its name in Redis, lines and counters.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// The level whose places it sells.
    pub level: i16,
    /// For whom.
    pub price_type: i16,
    /// Through which channel.
    pub channel: i16,
    /// Fee per unit in minor units.
    pub fee_fixed: i64,
    /// Fee in basis points of the price.
    pub fee_bp: i32,
    /// Tax contained in price and fee, in basis points.
    pub tax_bp: i32,
    /// The window in which it sells.
    pub starts_at: Option<Timestamp>,
    /// End of the window.
    pub ends_at: Option<Timestamp>,
    /// Needed to buy it.
    pub access_code: Option<String>,
    /// A grant of this set is needed to buy it.
    pub code_set: Option<uuid::Uuid>,
    /// Most places sold through it.
    pub quota: Option<i32>,
    /// Fewest places per order.
    pub min_per_order: i32,
    /// Most places per order.
    pub max_per_order: i32,
    /// Places per order are a multiple of this.
    pub multiple_of: i32,
    /// Places that one price buys.
    pub package_size: i32,
    /// Whether it is offered.
    pub active: bool,
    /// Its prices; never empty, the first that hasn't ended counts.
    pub tiers: Vec<Tier>,
}

/// An offer's price until a date or a count.
#[derive(Clone, Debug)]
pub struct Tier {
    /// Its name: early bird.
    pub name: String,
    /// Per unit, in minor units.
    pub price: i64,
    /// It ends when so many places were sold.
    pub until_count: Option<i32>,
    /// It ends then.
    pub until: Option<Timestamp>,
}

/// A promo code.
#[derive(Clone, Debug)]
pub struct Promo {
    /// Its number in this event.
    pub number: i32,
    /// As it is compared: upper case, no spaces.
    pub code: String,
    /// Discount in basis points of the price.
    pub percent_bp: i32,
    /// Discount per unit in minor units.
    pub amount_off: i64,
    /// Most orders that use it.
    pub max_uses: Option<i32>,
    /// The window in which it counts.
    pub starts_at: Option<Timestamp>,
    /// End of the window.
    pub ends_at: Option<Timestamp>,
    /// Whether it counts at all.
    pub active: bool,
}

/// What one unit costs: all in minor units, tax contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnitPrice {
    /// After discount.
    pub price: i64,
    /// On top of it.
    pub fee: i64,
    /// Contained in both.
    pub tax: i64,
    /// Already taken off the price.
    pub discount: i64,
}

impl UnitPrice {
    /// What the buyer pays.
    #[must_use]
    pub const fn total(self) -> i64 {
        self.price + self.fee
    }
}

impl Offer {
    /// The price of a unit in `tier`, with a promo code's discount if there is one.
    ///
    /// A discount lowers the price, never the fixed fee; a free unit has no fee.
    #[must_use]
    pub fn unit_price(&self, tier: &Tier, promo: Option<&Promo>) -> UnitPrice {
        let discount = promo.map_or(0, |promo| {
            let percent = money::basis_points_of(tier.price, i64::from(promo.percent_bp));
            (percent + promo.amount_off).min(tier.price)
        });
        let price = tier.price - discount;
        let fee = if price == 0 {
            0
        } else {
            self.fee_fixed + money::basis_points_of(price, i64::from(self.fee_bp))
        };
        let tax = money::tax_included_in(price + fee, i64::from(self.tax_bp));
        UnitPrice { price, fee, tax, discount }
    }
}

impl Promo {
    /// Codes are compared in upper case and without spaces.
    #[must_use]
    pub fn normalise(code: &str) -> String {
        code.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_uppercase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            id: OfferId::fresh(),
            number: 1,
            name: "Adult".into(),
            level: 0,
            price_type: 0,
            channel: PUBLIC,
            fee_fixed: 100,
            fee_bp: 250,
            tax_bp: 1_900,
            starts_at: None,
            ends_at: None,
            access_code: None,
            code_set: None,
            quota: None,
            min_per_order: 1,
            max_per_order: 10,
            multiple_of: 1,
            package_size: 1,
            active: true,
            tiers: vec![Tier { name: String::new(), price: 5_000, until_count: None, until: None }],
        }
    }

    fn promo(percent_bp: i32, amount_off: i64) -> Promo {
        Promo {
            number: 1,
            code: "FANS".into(),
            percent_bp,
            amount_off,
            max_uses: None,
            starts_at: None,
            ends_at: None,
            active: true,
        }
    }

    #[test]
    fn a_unit_has_fixed_and_percentage_fees_and_the_tax_inside() {
        let offer = offer();
        let unit = offer.unit_price(&offer.tiers[0], None);
        assert_eq!(unit, UnitPrice { price: 5_000, fee: 225, tax: 834, discount: 0 });
        assert_eq!(unit.total(), 5_225);
    }

    #[test]
    fn a_discount_never_makes_a_price_negative_and_a_free_unit_has_no_fee() {
        let offer = offer();
        let half = offer.unit_price(&offer.tiers[0], Some(&promo(5_000, 0)));
        assert_eq!((half.price, half.fee, half.discount), (2_500, 163, 2_500));
        let free = offer.unit_price(&offer.tiers[0], Some(&promo(9_000, 9_999)));
        assert_eq!(free, UnitPrice { price: 0, fee: 0, tax: 0, discount: 5_000 });
    }

    #[test]
    fn promo_codes_are_compared_in_upper_case_without_spaces() {
        assert_eq!(Promo::normalise(" fan s\t2026"), "FANS2026");
    }
}
