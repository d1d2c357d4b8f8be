//! A section: its seats row by row, or how many of an area.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::ask::AskForm;
use super::choose::{CurrencyForm, Entered, fresh_key};
use super::door::Door;
use super::event::{Head, find};
use super::free::Free;
use super::hold::{self, Grip};
use super::offers::{self, OfferRow};
use super::page::{Fields, Oops, see_other, show};
use super::refusals::Advice;
use super::seats::{LevelKey, Row, SeatMap};
use super::session::Visitor;
use super::view::View;
use super::{chart, sign_in, words};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{Listing, Section};
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem};
use crate::say;

/// Most reduced tickets that can be asked for at once.
const MAX_REDUCED: usize = 10;

/// Why the form was refused.
pub struct Refusal {
    /// In words.
    pub advice: Advice,
    /// The problem's code.
    pub code: Code,
    /// What may be asked for instead.
    pub ask: Option<AskForm>,
}

/// A price type besides the first.
struct Reduced {
    field: String,
    name: String,
    chosen: usize,
    /// Its lowest price.
    from: String,
    /// Its price in each level of the page, in minor units; empty where it isn't offered.
    amounts: Vec<String>,
}

#[derive(Template)]
#[template(path = "section.html")]
struct SectionPage {
    head: Head,
    code: String,
    name: String,
    area: bool,
    free: Option<u32>,
    view: Option<View>,
    rows: Vec<Row>,
    levels: Vec<LevelKey>,
    signs: Vec<(&'static str, String)>,
    reduced: Vec<Reduced>,
    quantities: Vec<OfferRow>,
    form: Entered,
    key: String,
    alert: Option<Advice>,
    ask: Option<AskForm>,
    others: Vec<i32>,
    grip: Option<Grip>,
    door: Door,
    currency: CurrencyForm,
    reduced_choices: std::ops::RangeInclusive<usize>,
}

/// A section.
pub async fn section(
    State(app): State<Arc<App>>,
    Path((slug, code)): Path<(String, String)>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let Some(section) = sale.listing.section_coded(&code) else {
        let oops = Oops::from(Problem::new(Code::NotFound));
        return Err(oops.then(format!("/events/{slug}/choose"), say("go.sections")));
    };
    if let Some(first) = sign_in::first(&sale, &visitor) {
        return Ok(first);
    }
    let door = Door::of(&app, &sale, &visitor).await;
    if door.shut {
        return Ok(see_other(&door.leads));
    }
    visitor.need(&app);
    let (fields, key) = (Fields::none(), fresh_key());
    let shown = render(&app, &sale, section, &visitor, &fields, key, StatusCode::OK, None).await;
    Ok(visitor.with(shown))
}

/// The page of a section.
#[expect(clippy::too_many_arguments, reason = "what one page shows, passed once")]
pub async fn render(
    app: &Arc<App>,
    sale: &Arc<Sale>,
    section: &Section,
    visitor: &Visitor,
    fields: &Fields,
    key: String,
    status: StatusCode,
    refusal: Option<Refusal>,
) -> Response {
    let listing = &sale.listing;
    let free = Free::of(app, sale).await;
    let map = SeatMap::new(app, listing, section, &free, fields);
    let level_numbers = map.level_numbers;
    let of_area: Vec<_> =
        offers::public(listing).filter(|offer| level_numbers.contains(&offer.level)).collect();
    let quantities = of_area
        .iter()
        .filter_map(|offer| offers::row(listing, &of_area, offer, fields, app.now()))
        .collect();
    let packed = chart::packed(app, sale).await.ok();
    let view = packed.and_then(|packed| View::of_section(listing, &packed.hall, section));
    let taken = refusal.as_ref().filter(|refusal| refusal.code == Code::PlacesTaken);
    let chosen = fields.all("place").filter_map(|place| place.parse().ok());
    let others = if taken.is_some() { chosen.collect() } else { Vec::new() };
    let (alert, ask) = refusal.map_or((None, None), |refusal| (Some(refusal.advice), refusal.ask));
    let page = SectionPage {
        head: Head::new(app, listing, &free),
        code: section.code.clone(),
        name: section.name.clone(),
        area: section.area,
        free: free.section(&section.code),
        view,
        reduced: reduced(app, listing, &level_numbers, fields),
        rows: map.rows,
        levels: map.levels,
        signs: map.signs,
        quantities,
        form: Entered::new(listing, fields),
        key,
        // Asked for once more, with leave to hold their equals.
        others,
        alert,
        ask,
        grip: hold::grip(app, sale, visitor).await,
        door: Door::of(app, sale, visitor).await,
        currency: CurrencyForm::new(listing),
        reduced_choices: 1..=MAX_REDUCED,
    };
    show(status, &page)
}

/// The price types besides the first that this section's seats can be had for.
fn reduced(app: &App, listing: &Listing, levels: &[i16], fields: &Fields) -> Vec<Reduced> {
    let now = app.now();
    let first = |level: i16| {
        offers::offer_for(listing, level, None, false, now).map(|offer| offer.price_type)
    };
    let usual: Vec<Option<i16>> = levels.iter().map(|level| first(*level)).collect();
    let of_type = |price_type: &crate::catalog::PriceType| {
        if usual.contains(&Some(price_type.number)) {
            return None;
        }
        let amounts = levels.iter().map(|level| {
            let offer = offers::offer_for(listing, *level, Some(price_type.number), false, now)?;
            offers::unit_now(offer, now).map(super::super::catalog::UnitPrice::total)
        });
        let amounts: Vec<Option<i64>> = amounts.collect();
        let cheapest = amounts.iter().flatten().min()?;
        let field = format!("t-{}", price_type.number);
        Some(Reduced {
            name: price_type.name.clone(),
            from: words::price(*cheapest, listing.event.currency),
            chosen: usize::try_from(fields.number(&field)).unwrap_or(0),
            field,
            amounts: amounts.iter().map(|a| a.map_or(String::new(), |a| a.to_string())).collect(),
        })
    };
    listing.price_types.iter().filter_map(of_type).collect()
}
