//! The seat chart's data: what never changes between two versions of an event, packed once and
//! kept by browsers; and what a page tells its chart itself: prices, and what was chosen.

use std::io::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::event::find;
use super::offers;
use super::page::{Fields, Oops};
use super::refusals;
use super::view::Hall;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::chart::Chart;
use crate::catalog::{Class, Listing, Section};
use crate::holds::MAX_PLACES;
use crate::holds::http::cached;
use crate::http::extract::{Path, Query};
use crate::http::problem::{Code, Problem};

/// A chart under the address of its version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Under another one, or none.
const ASK_AGAIN: &str = "public, no-cache";

/// A chart as it is sent: thousands want it in the same second.
#[derive(Debug)]
pub struct Packed {
    version: i64,
    plain: Bytes,
    gzip: Bytes,
    /// What views from its places have in common.
    pub hall: Hall,
}

impl Packed {
    fn new(listing: &Listing) -> std::io::Result<Self> {
        let plain = serde_json::to_vec(&Chart::new(listing))?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&plain)?;
        let gzip = gzip.finish()?.into();
        let hall = Hall::new(listing);
        Ok(Self { version: listing.event.version, plain: plain.into(), gzip, hall })
    }
}

/// Which version is asked for.
#[derive(Deserialize)]
pub struct ChartQuery {
    v: Option<i64>,
}

/// The chart's data.
pub async fn chart(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    Query(query): Query<ChartQuery>,
    headers: HeaderMap,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let packed = packed(&app, &sale).await?;
    let etag = format!("\"k{}\"", packed.version);
    let policy = if query.v == Some(packed.version) { FOR_EVER } else { ASK_AGAIN };
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let zip = accepts.is_some_and(|kinds| kinds.contains("gzip"));
    let body = if zip { &packed.gzip } else { &packed.plain };
    let mut response = cached(&headers, &etag, "application/json", policy, || body.clone());
    if zip && response.status().is_success() {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

/// An event's chart, packed once per version.
///
/// # Errors
/// If it can't be packed.
pub async fn packed(app: &App, sale: &Arc<Sale>) -> Result<Arc<Packed>, Problem> {
    let (event, version) = (sale.listing.event.id, sale.listing.event.version);
    if let Some(known) = app.charts.get(&event).filter(|known| known.version == version) {
        return Ok(known.clone());
    }
    let listing = sale.clone();
    let made = tokio::task::spawn_blocking(move || Packed::new(&listing.listing));
    let made = made.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let made = Arc::new(made);
    app.charts.insert(event, made.clone());
    Ok(made)
}

/// What a page tells its chart.
#[derive(Serialize)]
pub struct ChartPage {
    url: String,
    /// By the index of their level in the chart; empty where nothing is sold now.
    prices: Vec<Vec<Price>>,
    /// By section code.
    areas: Vec<AreaOffers>,
    types: Vec<PriceType>,
    most: usize,
    /// Whether single seats may not be left over, while fewer places than these are taken.
    orphans_until: Option<usize>,
    picked: Vec<i32>,
    /// The fields of reduced prices, for the last of them.
    reduced: Vec<(String, u32)>,
    /// Units of areas that were chosen.
    units: Vec<(String, u32)>,
    /// Seats that a refused choice would strand.
    alone: Vec<i32>,
    gone: Vec<i32>,
}

#[derive(Serialize)]
struct Price {
    #[serde(rename = "type")]
    price_type: i16,
    amount: i64,
}

#[derive(Serialize)]
struct PriceType {
    number: i16,
    name: String,
}

#[derive(Serialize)]
struct AreaOffers {
    section: String,
    offers: Vec<AreaOffer>,
}

#[derive(Serialize)]
struct AreaOffer {
    field: String,
    name: String,
    amount: i64,
    package: i32,
    choices: Vec<usize>,
}

/// The form field for units of an area.
#[must_use]
pub fn area_field(section: &Section, offer: &crate::catalog::Offer) -> String {
    format!("a-{}-{}", section.number, offer.number)
}

/// Whether a form was made with the chart.
#[must_use]
pub fn is_picked(fields: &Fields) -> bool {
    fields.ticked("picks")
}

/// The fields that say how many of the chosen seats are for other price types.
#[must_use]
pub fn reduced(listing: &Listing, fields: &Fields) -> Vec<(String, u32)> {
    let fields_of = listing.price_types.iter().filter_map(|known| {
        let field = format!("t-{}", known.number);
        let wanted = fields.number(&field);
        (wanted > 0).then_some((field, wanted))
    });
    fields_of.collect()
}

impl ChartPage {
    /// For a page that shows `fields` again, after a refusal or not.
    #[must_use]
    pub fn new(app: &App, listing: &Listing, fields: &Fields, refused: Option<&Problem>) -> Self {
        let event = &listing.event;
        let told = |code, name| {
            let told = refused.filter(|problem| problem.code == code);
            told.map(|problem| refusals::numbers(problem, name)).unwrap_or_default()
        };
        let areas: Vec<AreaOffers> = areas(app, listing);
        let units = areas.iter().flat_map(|area| &area.offers).filter_map(|offer| {
            let wanted = fields.number(&offer.field);
            (wanted > 0).then(|| (offer.field.clone(), wanted))
        });
        let most = event.account_limit.and_then(|limit| usize::try_from(limit).ok());
        let relaxed = listing.capacity() * crate::holds::ORPHANS_ALLOWED_FROM_PERCENT / 100;
        Self {
            url: format!("/events/{}/chart?v={}", event.slug, event.version),
            prices: listing.levels.iter().map(|level| prices(app, listing, level.number)).collect(),
            units: units.collect(),
            areas,
            types: listing
                .price_types
                .iter()
                .map(|known| PriceType { number: known.number, name: known.name.clone() })
                .collect(),
            most: most.unwrap_or(MAX_PLACES).min(MAX_PLACES),
            orphans_until: event.orphan_rule.then_some(relaxed),
            picked: fields.all("place").filter_map(|place| place.parse().ok()).collect(),
            reduced: reduced(listing, fields),
            alone: told(Code::OrphanSeat, "places"),
            gone: told(Code::PlacesTaken, "places"),
        }
    }

    /// For a page's text.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a seat of a level costs, by price type; the first is what it costs if nothing is said.
fn prices(app: &App, listing: &Listing, level: i16) -> Vec<Price> {
    let now = app.now();
    let of_type = |price_type: Option<i16>| {
        let offer = offers::offer_for(listing, level, price_type, false, now)?;
        let unit = offers::unit_now(offer, now)?;
        Some(Price { price_type: offer.price_type, amount: unit.total() })
    };
    let Some(usual) = of_type(None).filter(|_| offers::has_seats(listing, level)) else {
        return Vec::new();
    };
    let others = listing.price_types.iter().filter(|known| known.number != usual.price_type);
    let others: Vec<Price> = others.filter_map(|known| of_type(Some(known.number))).collect();
    std::iter::once(usual).chain(others).collect()
}

fn areas(app: &App, listing: &Listing) -> Vec<AreaOffers> {
    let now = app.now();
    let of_section = |section: &Section| {
        let level = listing
            .stretches
            .iter()
            .find(|s| s.section == section.number && s.class == Class::Area)?
            .level;
        let all: Vec<_> = offers::public(listing).filter(|offer| offer.level == level).collect();
        let offer = |offer: &&crate::catalog::Offer| {
            let row = offers::row(listing, &all, offer, &Fields::none(), now)?;
            (!row.choices.is_empty()).then(|| AreaOffer {
                field: area_field(section, offer),
                name: row.name,
                amount: row.amount,
                package: row.package,
                choices: row.choices,
            })
        };
        let offers = all.iter().filter_map(offer).collect();
        Some(AreaOffers { section: section.code.clone(), offers })
    };
    listing.sections.iter().filter(|section| section.area).filter_map(of_section).collect()
}
