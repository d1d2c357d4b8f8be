//! An event as its organizer sees it: all of it, drafts and inactive offers included.

use jiff::Timestamp;
use serde::Serialize;

use super::terms::{OwnOfferView, OwnPromoView};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{BuyerTerms, EventStatus, Listing, Venue};
use crate::http::problem::Problem;
use crate::ids::EventId;

/// An event with everything that its organizer has set.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnEventView {
    /// Its id.
    pub id: EventId,
    /// Its name in URLs.
    pub slug: String,
    /// What is played.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// Where.
    pub venue: Venue,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Of all amounts.
    pub currency: String,
    /// Where its sale stands.
    pub status: EventStatus,
    /// Whether every checkout is stopped.
    pub claims_frozen: bool,
    /// Most places per buyer.
    pub account_limit: Option<i32>,
    /// How long a hold lasts, in seconds.
    pub hold_seconds: i32,
    /// To what total it may be extended, in seconds.
    pub hold_max_seconds: i32,
    /// How long a claim waits for its payment, in seconds.
    pub pay_seconds: i32,
    /// Places that come back are free after a random delay below this, in seconds.
    pub return_seconds: i32,
    /// Whether choices that strand a single seat are refused.
    pub orphan_rule: bool,
    /// Whether holds need a signed-in session.
    pub needs_account: bool,
    /// Whether checkout needs a name for each ticket.
    pub attendee_names: bool,
    /// What buyers accept at checkout.
    pub terms: Option<BuyerTerms>,
    /// Raised by every change.
    pub version: i64,
    /// How many places there are, killed ones included.
    pub places: usize,
    /// Its price levels, best first.
    pub levels: Vec<OwnLevelView>,
    /// Its sections.
    pub sections: Vec<OwnSectionView>,
    /// Its price types.
    pub price_types: Vec<CodeView>,
    /// Its channels, the public first.
    pub channels: Vec<OwnChannelView>,
    /// Its offers.
    pub offers: Vec<OwnOfferView>,
    /// Its promo codes.
    pub promos: Vec<OwnPromoView>,
}

/// Something with a code and a name.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CodeView {
    /// Its code, by which it is named.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// A price level.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnLevelView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
    /// How many places, killed ones included.
    pub places: usize,
}

/// A section or area.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnSectionView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it is an area.
    pub area: bool,
    /// Places that are not killed.
    pub capacity: usize,
    /// Places that are killed.
    pub killed: usize,
}

/// A channel.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnChannelView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Places in its allocation; all others, for the public.
    pub places: usize,
}

impl OwnEventView {
    /// The event with everything.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn read(app: &App, sale: &Sale) -> Result<Self, Problem> {
        let id = sale.listing.event.id;
        let frozen =
            sqlx::query_scalar!("SELECT claims_frozen FROM epochs WHERE event_id = $1", id.0);
        Ok(Self::new(&sale.listing, frozen.fetch_one(&app.pg).await?))
    }

    fn new(listing: &Listing, claims_frozen: bool) -> Self {
        let event = &listing.event;
        let price_type = |one: &crate::catalog::PriceType| {
            let (code, name) = (one.code.clone(), one.name.clone());
            CodeView { code, name }
        };
        Self {
            id: event.id,
            slug: event.slug.clone(),
            name: event.name.clone(),
            description: event.description.clone(),
            venue: event.venue.clone(),
            starts_at: event.starts_at,
            currency: event.currency.code().to_owned(),
            status: event.status,
            claims_frozen,
            account_limit: event.account_limit,
            hold_seconds: event.hold_seconds,
            hold_max_seconds: event.hold_max_seconds,
            pay_seconds: event.pay_seconds,
            return_seconds: event.return_seconds,
            orphan_rule: event.orphan_rule,
            needs_account: event.needs_account,
            attendee_names: event.attendee_names,
            terms: event.terms.clone(),
            version: event.version,
            places: listing.capacity(),
            levels: levels(listing),
            sections: sections(listing),
            price_types: listing.price_types.iter().map(price_type).collect(),
            channels: channels(listing),
            offers: listing.offers.iter().map(|o| OwnOfferView::new(listing, o)).collect(),
            promos: listing.promos.iter().map(OwnPromoView::from).collect(),
        }
    }
}

fn levels(listing: &Listing) -> Vec<OwnLevelView> {
    let view = |level: &crate::catalog::Level| OwnLevelView {
        code: level.code.clone(),
        name: level.name.clone(),
        color: level.color.clone(),
        places: listing.places.iter().filter(|place| place.level == level.number).count(),
    };
    listing.levels.iter().map(view).collect()
}

fn sections(listing: &Listing) -> Vec<OwnSectionView> {
    let mut counts = std::collections::HashMap::<i16, (usize, usize)>::new();
    for place in &listing.places {
        let (on_sale, killed) = counts.entry(place.section).or_default();
        *(if place.killed { killed } else { on_sale }) += 1;
    }
    let view = |section: &crate::catalog::Section| {
        let (capacity, killed) = counts.get(&section.number).copied().unwrap_or_default();
        OwnSectionView {
            code: section.code.clone(),
            name: section.name.clone(),
            area: section.area,
            capacity,
            killed,
        }
    };
    listing.sections.iter().map(view).collect()
}

fn channels(listing: &Listing) -> Vec<OwnChannelView> {
    let view = |channel: &crate::catalog::Channel| OwnChannelView {
        code: channel.code.clone(),
        name: channel.name.clone(),
        places: listing.places.iter().filter(|place| place.channel == channel.number).count(),
    };
    listing.channels.iter().map(view).collect()
}
