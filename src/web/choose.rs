//! Choosing by price, and holding what was chosen.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::AskForm;
use super::chart::{self, ChartPage};
use super::door::{Door, is_about_passes};
use super::event::{Head, find};
use super::free::Free;
use super::hold::{self, Grip};
use super::offers::{self, LevelCard};
use super::page::{Fields, Oops, see_other, show};
use super::refusals::{self, Advice};
use super::session::Visitor;
use super::{codes, section, sign_in, wish, words};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::cache::Sale;
use crate::holds;
use crate::holds::plan::Wish;
use crate::http::extract::{Path, Query};
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem};
use crate::say;
use crate::suspicion::Traces;

/// Longest key that a form may send.
const MAX_KEY: usize = 64;

struct SectionItem {
    code: String,
    name: String,
    area: bool,
    free: Option<u32>,
    from: String,
}

#[derive(Template)]
#[template(path = "choose.html")]
struct ChoosePage {
    head: Head,
    levels: Vec<LevelCard>,
    sections: Vec<SectionItem>,
    form: Entered,
    key: String,
    /// The chart's form's.
    picks_key: String,
    alert: Option<Advice>,
    ask: Option<AskForm>,
    /// Taken seats, to be asked for once more with leave to hold their equals.
    others: Vec<i32>,
    /// The form fields of reduced prices among them.
    reduced: Vec<(String, u32)>,
    chart: String,
    grip: Option<Grip>,
    door: Door,
    said: String,
    currency: CurrencyForm,
    accessible_seats: bool,
}

/// What was entered besides quantities and seats: shown again after a refusal.
pub struct Entered {
    /// A promo code.
    pub promo: String,
    /// An access code.
    pub access: String,
    /// Seats may be apart.
    pub split: bool,
    /// Accessible seats.
    pub accessible: bool,
    /// Equally good seats will do.
    pub equivalent: bool,
    /// Whether any offer needs an access code.
    pub needs_code: bool,
}

impl Entered {
    /// What the form had.
    #[must_use]
    pub fn new(listing: &Listing, fields: &Fields) -> Self {
        let text = |name| fields.text(name).unwrap_or_default().to_owned();
        Self {
            promo: text("promo"),
            access: text("access"),
            split: fields.ticked("split"),
            accessible: fields.ticked("accessible"),
            // Ticked at first: who finds their seats gone mostly wants others.
            equivalent: fields.is_empty() || fields.ticked("equivalent"),
            needs_code: offers::public(listing).any(offers::needs_code),
        }
    }
}

/// How a page's script writes sums.
pub struct CurrencyForm {
    /// How amounts are written: see [`words::money_pattern`].
    pub pattern: String,
    /// After the point.
    pub digits: usize,
}

impl CurrencyForm {
    /// Of the event's currency.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        let currency = listing.event.currency;
        let pattern = words::money_pattern(currency);
        Self { pattern, digits: words::currency_digits(currency) }
    }
}

/// The key of a form: its hold's, however often the form is sent.
#[must_use]
pub fn fresh_key() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A refusal, for programs and for people.
struct Refused {
    problem: Problem,
    advice: Advice,
}

/// Why a visitor comes here.
#[derive(Deserialize)]
pub struct ChooseQuery {
    given: Option<String>,
}

/// Choosing.
pub async fn choose(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    Query(query): Query<ChooseQuery>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    if let Some(first) = sign_in::first(&sale, &visitor) {
        return Ok(first);
    }
    let door = Door::of(&app, &sale, &visitor).await;
    if door.shut {
        return Ok(see_other(&door.leads));
    }
    // Before the form is sent, so that sending it twice is by one buyer.
    visitor.need(&app);
    let given = query.given.as_deref() == Some("back");
    let said = if given { say("choose.given").into() } else { String::new() };
    let page = page(&app, &sale, &visitor, &Fields::none(), fresh_key(), None).await;
    Ok(visitor.with(show(StatusCode::OK, &ChoosePage { said, ..page })))
}

async fn page(
    app: &Arc<App>,
    sale: &Arc<Sale>,
    visitor: &Visitor,
    fields: &Fields,
    key: String,
    refused: Option<&Refused>,
) -> ChoosePage {
    let listing = &sale.listing;
    let free = Free::of(app, sale).await;
    let picked = chart::is_picked(fields);
    let (key, picks_key) = if picked { (fresh_key(), key) } else { (key, fresh_key()) };
    let problem = refused.map(|refused| &refused.problem);
    let taken = picked && problem.is_some_and(|problem| problem.code == Code::PlacesTaken);
    let chosen = fields.all("place").filter_map(|place| place.parse().ok());
    let chart = ChartPage::new(app, listing, fields, problem);
    ChoosePage {
        head: Head::new(app, listing, &free),
        levels: offers::cards(listing, &free, fields, app.now()),
        sections: sections(app, listing, &free),
        form: Entered::new(listing, fields),
        key,
        picks_key,
        alert: refused.map(|refused| refused.advice.clone()),
        ask: problem.and_then(|problem| AskForm::after(problem, listing, fields)),
        others: if taken { chosen.collect() } else { Vec::new() },
        reduced: chart::reduced(listing, fields),
        chart: chart.json(),
        grip: hold::grip(app, sale, visitor).await,
        door: Door::of(app, sale, visitor).await,
        said: String::new(),
        currency: CurrencyForm::new(listing),
        accessible_seats: listing
            .stretches
            .iter()
            .any(|stretch| stretch.class == crate::catalog::Class::Accessible),
    }
}

/// Sections with their cheapest price.
fn sections(app: &App, listing: &Listing, free: &Free) -> Vec<SectionItem> {
    let now = app.now();
    let item = |section: &crate::catalog::Section| {
        let of_section = listing.stretches.iter().filter(|s| s.section == section.number);
        let prices = of_section.filter_map(|stretch| {
            let offer = offers::offer_for(listing, stretch.level, None, false, now)?;
            offers::unit_now(offer, now).map(super::super::catalog::UnitPrice::total)
        });
        let from = prices.min()?;
        Some(SectionItem {
            code: section.code.clone(),
            name: section.name.clone(),
            area: section.area,
            free: free.section(&section.code),
            from: words::price(from, listing.event.currency),
        })
    };
    listing.sections.iter().filter_map(item).collect()
}

/// Holds what the form asks for.
pub async fn create(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    client: Client,
    mut visitor: Visitor,
    traces: Traces,
    fields: Fields,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let code = fields.text("section").map(str::to_owned);
    let section = code.as_deref().and_then(|code| sale.listing.section_coded(code));
    let key = fields.text("key").filter(|key| key.len() <= MAX_KEY).unwrap_or_default().to_owned();
    let key = if key.bytes().all(|b| b.is_ascii_alphanumeric()) && !key.is_empty() {
        key
    } else {
        fresh_key()
    };
    let wish = match section {
        Some(section) if section.area => wish::area(&sale.listing, &section.code, &fields),
        Some(_) => wish::seats(&app, &sale.listing, &fields),
        None if chart::is_picked(&fields) => wish::picked(&app, &sale.listing, &fields),
        None => {
            let free = Free::of(&app, &sale).await;
            wish::best(&sale.listing, &free, &fields)
        }
    };
    if let Some(first) = sign_in::first(&sale, &visitor) {
        return Ok(first);
    }
    let asked = held(&app, &sale, &mut visitor, (traces, client), &key, wish, &fields).await;
    let problem = match asked {
        Ok(held) => {
            visitor.remember(&app, sale.listing.event.id, held.id);
            return Ok(visitor.with(see_other(&hold_address(&slug, &held))));
        }
        Err(problem) => problem,
    };
    if let (Code::HoldInCheckout, Some(order)) =
        (problem.code, problem.member("order").and_then(|order| order.as_str()))
    {
        return Ok(see_other(&format!("/orders/{order}")));
    }
    if is_about_passes(problem.code) {
        let door = Door::of(&app, &sale, &visitor).await;
        return Err(Oops::from(problem).then(door.leads, door.label));
    }
    // A refused key holds nothing and an unknown one must be asked again: only a key that was
    // used up is exchanged.
    let used_up = matches!(problem.code, Code::HoldGone | Code::IdempotencyMismatch);
    let key = if used_up { fresh_key() } else { key };
    let mut advice = refusals::advice_on(&problem, &sale.listing);
    if problem.code == Code::HoldGone {
        advice.title = say("choose.held_already").into();
        advice.text = say("choose.held_already.text").into();
    }
    let status = problem.code.status();
    let shown = match section {
        Some(section) => {
            let ask = AskForm::after(&problem, &sale.listing, &fields);
            let refusal = section::Refusal { advice, code: problem.code, ask };
            section::render(&app, &sale, section, &visitor, &fields, key, status, Some(refusal))
                .await
        }
        None => {
            let refused = Refused { problem, advice };
            let page = page(&app, &sale, &visitor, &fields, key, Some(&refused)).await;
            show(status, &page)
        }
    };
    Ok(visitor.with(shown))
}

/// Holds with what the visitor's codes have opened. A code that was typed is redeemed only where
/// it is missing: each try counts as a guess.
async fn held(
    app: &App,
    sale: &Arc<Sale>,
    visitor: &mut Visitor,
    (traces, client): (Traces, Client),
    key: &str,
    wish: Result<Wish, Problem>,
    fields: &Fields,
) -> Result<holds::http::HoldView, Problem> {
    let (account, event) = (visitor.need(app), sale.listing.event.id);
    // Who comes for the first time is the device that they are given now.
    let traces = Traces { device: traces.device.or(Some(account.0)), ..traces };
    let buyer = (account, traces);
    let mut wish = wish?;
    wish.grants = codes::kept(app, visitor, event);
    let pass = visitor.pass(event);
    let built = app.built(sale.clone()).await?;
    let ask = |wish: Wish| {
        let (built, pass) = (built.clone(), pass.clone());
        async move { holds::http::hold(app, built, buyer, key, &wish, pass.as_deref()).await }
    };
    let mut held = ask(wish.clone()).await;
    if held.as_ref().is_err_and(|problem| problem.code == Code::AccessCode)
        && let Some(typed) = codes::worth_redeeming(&sale.listing, &wish, fields)
    {
        wish.grants = codes::redeem(app, visitor, event, client, typed).await?;
        held = ask(wish).await;
    }
    held.map(|(_, view)| view.0)
}

/// The page of a hold, which says what it is instead of.
pub fn hold_address(slug: &str, held: &holds::http::HoldView) -> String {
    let instead: Vec<String> = held.instead_of.iter().map(i32::to_string).collect();
    let query =
        if instead.is_empty() { String::new() } else { format!("?instead={}", instead.join(".")) };
    format!("/events/{slug}/holds/{}{query}", held.id)
}
