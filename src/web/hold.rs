//! A hold: how long it lasts, what it costs, and the way to the checkout.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::choose::CurrencyForm;
use super::door::Door;
use super::event::{Head, find};
use super::free::Free;
use super::lines::{self, LineItem};
use super::page::{Fields, Oops, see_other, show};
use super::people::{self, Person, TermsBox, WrongFields};
use super::refusals::{self, Advice};
use super::retype::{self, Changes};
use super::session::Visitor;
use super::words;
use crate::accounts;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{Class, Listing};
use crate::holds::http::{self as holds, HoldView};
use crate::http::extract::{Buyer, Path, Query};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, HoldId};
use crate::orders::{self, OrderStatus};
use crate::suspicion::Traces;
use crate::{counted, say};

/// Most places that a hold's page names as gone.
const MAX_INSTEAD: usize = crate::holds::MAX_PLACES;

/// That the visitor holds places of the event that is looked at.
pub struct Grip {
    /// The hold's page.
    pub url: String,
    /// How many places.
    pub count: String,
    /// When it ends, by the server's clock in milliseconds.
    pub ends_ms: i64,
    /// The server's clock.
    pub now_ms: i64,
    /// Whole minutes that are left.
    pub minutes: i64,
}

/// The visitor's last hold, if it is one of this event and lives. No page fails for it.
pub async fn grip(app: &App, sale: &Arc<Sale>, visitor: &Visitor) -> Option<Grip> {
    let account = visitor.account?;
    let hold = visitor.remembered(sale.listing.event.id)?;
    let built = app.built(sale.clone()).await.ok()?;
    let view = holds::find(app, &built, hold, account).await.ok()?;
    let places = view.lines.iter().map(|line| line.quantity).sum();
    let (ends_ms, now_ms) = clock(&view);
    (view.status == "held").then(|| Grip {
        url: format!("/events/{}/holds/{hold}", sale.listing.event.slug),
        count: counted("count.places", places).into(),
        ends_ms,
        now_ms,
        minutes: minutes(ends_ms, now_ms),
    })
}

fn clock(view: &HoldView) -> (i64, i64) {
    (view.expires_at.as_millisecond(), view.server_time.as_millisecond())
}

const fn minutes(ends_ms: i64, now_ms: i64) -> i64 {
    let left = ends_ms - now_ms;
    if left > 0 { (left + 59_999) / 60_000 } else { 0 }
}

/// How many groups of neighbours the seats are.
fn groups(listing: &Listing, view: &HoldView) -> usize {
    let mut numbers: Vec<i32> =
        view.lines.iter().flat_map(|line| line.places.iter().map(|p| p.place)).collect();
    numbers.sort_unstable();
    let stretch = |number: i32| {
        let place = listing.place(number)?;
        let stretch = listing.stretch(place.stretch)?;
        (stretch.class != Class::Area).then_some(place.stretch)
    };
    numbers.retain(|number| stretch(*number).is_some());
    numbers.chunk_by(|a, b| *b == *a + 1 && stretch(*a) == stretch(*b)).count()
}

#[derive(Template)]
#[template(path = "hold.html")]
struct HoldPage {
    head: Head,
    door: Door,
    id: HoldId,
    lines: Vec<LineItem>,
    total: String,
    free_of_charge: bool,
    contained: String,
    ends_ms: i64,
    now_ms: i64,
    minutes: i64,
    groups: usize,
    instead: Vec<String>,
    said: String,
    alert: Option<Advice>,
    email: String,
    name: String,
    equivalent: bool,
    wrong: WrongFields,
    people: Vec<Person>,
    terms: Option<TermsBox>,
    changes: Changes,
    currency: CurrencyForm,
}

/// What a hold's page has to tell.
#[derive(Default)]
pub struct Told {
    /// Why something was refused.
    pub refused: Option<Problem>,
    /// The taken places that these are instead of.
    pub instead: Vec<String>,
    /// What was done.
    pub said: String,
}

/// What a hold is instead of.
#[derive(Deserialize)]
pub struct HoldQuery {
    instead: Option<String>,
    changed: Option<String>,
}

/// A hold.
pub async fn hold(
    State(app): State<Arc<App>>,
    Path((slug, hold)): Path<(String, HoldId)>,
    Query(query): Query<HoldQuery>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let instead = query.instead.unwrap_or_default();
    let gone = instead.split('.').take(MAX_INSTEAD).filter_map(|number| {
        let place = sale.listing.place(number.parse().ok()?)?;
        Some(words::place_of(&sale.listing, place))
    });
    let instead = gone.collect();
    let said = query.changed.map(|_| say("hold.changed").into()).unwrap_or_default();
    let fields = match (visitor.signed_in, visitor.account) {
        (Some(_), Some(account)) => {
            Fields::one("email", accounts::store::email(&app.pg, account).await?)
        }
        _ => Fields::none(),
    };
    let told = Told { instead, said, ..Told::default() };
    render(&app, &sale, hold, &visitor, &fields, told).await
}

/// The account of a visitor who holds something.
///
/// # Errors
/// If they have none.
pub fn known(visitor: &Visitor, slug: &str) -> Result<AccountId, Oops> {
    visitor.account.ok_or_else(|| {
        Oops::from(Problem::new(Code::Unauthenticated))
            .then(format!("/events/{slug}/choose"), say("go.choose_again"))
    })
}

/// The page of a hold, or what it has become.
///
/// # Errors
/// If the hold is over, or can't be read.
pub async fn render(
    app: &Arc<App>,
    sale: &Arc<Sale>,
    hold: HoldId,
    visitor: &Visitor,
    fields: &Fields,
    Told { refused, instead, said }: Told,
) -> Result<Response, Oops> {
    let slug = &sale.listing.event.slug;
    let account = known(visitor, slug)?;
    let choose = format!("/events/{slug}/choose");
    let built = app.built(sale.clone()).await?;
    let view = holds::find(app, &built, hold, account).await;
    let view = match view {
        Ok(view) if view.status == "held" => view,
        // What it became outlives it.
        other => {
            let order = orders::store::find(&app.pg, hold.order()).await?;
            let is_order = order.is_some_and(|order| {
                order.account == account && order.status != OrderStatus::Abandoned
            });
            return match other {
                _ if is_order => Ok(see_other(&format!("/orders/{hold}"))),
                Ok(_) => {
                    let here = format!("/events/{slug}/holds/{hold}");
                    Err(Oops::from(Problem::new(Code::Unavailable))
                        .then(here, say("go.look_again")))
                }
                Err(problem) => {
                    // A hold that is over is soon forgotten; to its buyer both are the same.
                    let gone = problem.code == Code::NotFound;
                    let problem = if gone { Problem::new(Code::HoldGone) } else { problem };
                    Err(Oops::from(problem).then(choose, say("go.choose_again")))
                }
            };
        }
    };
    let listing = &sale.listing;
    let free = Free::of(app, sale).await;
    let (ends_ms, now_ms) = clock(&view);
    let text = |name| fields.text(name).unwrap_or_default().to_owned();
    let status = refused.as_ref().map_or(StatusCode::OK, |problem| problem.code.status());
    let page = HoldPage {
        head: Head::new(app, listing, &free),
        door: Door::of(app, sale, visitor).await,
        id: hold,
        lines: lines::items(listing, &view.lines),
        total: words::price(view.total, listing.event.currency),
        free_of_charge: view.total == 0,
        contained: lines::contained(listing, &view.lines),
        ends_ms,
        now_ms,
        minutes: minutes(ends_ms, now_ms),
        groups: groups(listing, &view),
        instead,
        said,
        changes: retype::changes(app, listing, &view, fields),
        currency: CurrencyForm::new(listing),
        wrong: people::wrong_fields(refused.as_ref()),
        people: people::asked(listing, &view, fields, refused.as_ref()),
        terms: people::terms(listing, fields, refused.as_ref()),
        alert: refused.map(|problem| refusals::advice_on(&problem, listing)),
        email: text("email"),
        name: text("name"),
        equivalent: fields.ticked("equivalent"),
    };
    Ok(show(status, &page))
}

/// More time. What was entered for the checkout comes with the form, and stays.
pub async fn extend(
    State(app): State<Arc<App>>,
    Path((slug, hold)): Path<(String, HoldId)>,
    visitor: Visitor,
    traces: Traces,
    fields: Fields,
) -> Result<Response, Oops> {
    let account = known(&visitor, &slug)?;
    let path = Path((slug.clone(), hold));
    match holds::extend(State(app.clone()), path, Buyer(account), traces).await {
        Ok(_) if !people::is_begun(&fields) => {
            Ok(see_other(&format!("/events/{slug}/holds/{hold}")))
        }
        extended => {
            let sale = find(&app, &slug).await?;
            let told = Told { refused: extended.err(), ..Told::default() };
            render(&app, &sale, hold, &visitor, &fields, told).await
        }
    }
}

/// Gives the places back.
pub async fn release(
    State(app): State<Arc<App>>,
    Path((slug, hold)): Path<(String, HoldId)>,
    mut visitor: Visitor,
    traces: Traces,
) -> Result<Response, Oops> {
    let account = known(&visitor, &slug)?;
    let path = Path((slug.clone(), hold));
    match holds::release(State(app.clone()), path, Buyer(account), traces).await {
        Ok(_) => {
            visitor.forget(&app);
            Ok(visitor.with(see_other(&format!("/events/{slug}/choose?given=back"))))
        }
        Err(problem) if problem.code == Code::HoldInCheckout => {
            Ok(see_other(&format!("/orders/{hold}")))
        }
        Err(problem) => {
            Err(Oops::from(problem).then(format!("/events/{slug}/choose"), say("go.choose_again")))
        }
    }
}
