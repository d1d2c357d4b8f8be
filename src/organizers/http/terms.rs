//! Offers and promo codes as their organizer sees them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Listing, Offer, Promo, Tier};
use crate::ids::OfferId;

/// An offer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnOfferView {
    /// Its id.
    pub id: OfferId,
    /// Its name.
    pub name: String,
    /// The code of the level whose places it sells.
    pub level: String,
    /// The code of the price type.
    pub price_type: String,
    /// The code of the channel.
    pub channel: String,
    /// Fee per unit in minor units.
    pub fee_fixed: i64,
    /// Fee in basis points of the price.
    pub fee_bp: i32,
    /// Tax contained in price and fee, in basis points.
    pub tax_bp: i32,
    /// When it begins to sell (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// When it ends (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Needed to buy it.
    pub access_code: Option<String>,
    /// A grant of this code set is needed to buy it.
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
    /// Its prices; the first tier that hasn't ended counts.
    pub tiers: Vec<TierTerms>,
}

/// An offer's price until a date or a count.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TierTerms {
    /// Its name: early bird.
    #[serde(default)]
    pub name: String,
    /// Per unit, in minor units; tax contained, fee on top.
    #[schema(example = 4_950)]
    pub price: i64,
    /// It ends when so many places of the offer are held or sold.
    #[serde(default)]
    pub until_count: Option<i32>,
    /// It ends then (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// A promo code.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnPromoView {
    /// As it is compared: upper case, without spaces.
    pub code: String,
    /// Discount in basis points of the price.
    pub percent_bp: i32,
    /// Discount per unit in minor units.
    pub amount_off: i64,
    /// Most orders that use it.
    pub max_uses: Option<i32>,
    /// From when it counts (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// Until when (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Whether it counts at all.
    pub active: bool,
}

impl From<&Tier> for TierTerms {
    fn from(tier: &Tier) -> Self {
        let Tier { name, price, until_count, until } = tier.clone();
        Self { name, price, until_count, until }
    }
}

impl OwnOfferView {
    /// An offer of this listing.
    #[must_use]
    pub fn new(listing: &Listing, offer: &Offer) -> Self {
        let level = listing.level(offer.level);
        let price_type = listing.price_types.iter().find(|one| one.number == offer.price_type);
        let channel = listing.channels.iter().find(|one| one.number == offer.channel);
        Self {
            id: offer.id,
            name: offer.name.clone(),
            level: level.map(|level| level.code.clone()).unwrap_or_default(),
            price_type: price_type.map(|one| one.code.clone()).unwrap_or_default(),
            channel: channel.map(|one| one.code.clone()).unwrap_or_default(),
            fee_fixed: offer.fee_fixed,
            fee_bp: offer.fee_bp,
            tax_bp: offer.tax_bp,
            starts_at: offer.starts_at,
            ends_at: offer.ends_at,
            access_code: offer.access_code.clone(),
            code_set: offer.code_set,
            quota: offer.quota,
            min_per_order: offer.min_per_order,
            max_per_order: offer.max_per_order,
            multiple_of: offer.multiple_of,
            package_size: offer.package_size,
            active: offer.active,
            tiers: offer.tiers.iter().map(TierTerms::from).collect(),
        }
    }
}

impl From<&Promo> for OwnPromoView {
    fn from(promo: &Promo) -> Self {
        Self {
            code: promo.code.clone(),
            percent_bp: promo.percent_bp,
            amount_off: promo.amount_off,
            max_uses: promo.max_uses,
            starts_at: promo.starts_at,
            ends_at: promo.ends_at,
            active: promo.active,
        }
    }
}
