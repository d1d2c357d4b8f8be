//! Waiting for places that come back: who was refused for lack of places asks for some, and is
//! led to what they get.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::choose::fresh_key;
use super::event::{Head, find};
use super::free::Free;
use super::page::{Fields, Oops, see_other, show};
use super::session::Visitor;
use super::words::When;
use super::{codes, sign_in, wish};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::cache::Sale;
use crate::holds::asks::http::{self as asks, AskView};
use crate::holds::plan::Wish;
use crate::http::extract::{Buyer, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem};
use crate::ids::AskId;
use crate::say;
use crate::suspicion::Traces;

/// Fields of a refused form that an ask is made from.
const COPIED: [&str; 5] = ["section", "split", "accessible", "promo", "access"];

/// A form that asks for what was refused: its fields.
pub struct AskForm(pub Vec<(String, String)>);

impl AskForm {
    /// What may be asked for after a refusal: places for which there are none now, unless they
    /// were chosen one by one.
    #[must_use]
    pub fn after(problem: &Problem, listing: &Listing, fields: &Fields) -> Option<Self> {
        let lacking = matches!(problem.code, Code::NoneLeft | Code::QuotaReached);
        if !lacking || fields.text("place").is_some() {
            return None;
        }
        let quantities = listing.offers.iter().map(super::offers::field);
        let names = COPIED.into_iter().map(str::to_owned).chain(quantities);
        let field = |name: String| fields.text(&name).map(str::to_owned).map(|value| (name, value));
        let mut all: Vec<(String, String)> = names.filter_map(field).collect();
        all.push(("key".into(), fresh_key()));
        Some(Self(all))
    }
}

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    head: Head,
    id: AskId,
    ahead: i64,
    until: String,
}

fn address(slug: &str, ask: AskId) -> String {
    format!("/events/{slug}/asks/{ask}")
}

async fn wished(app: &App, sale: &Arc<Sale>, fields: &Fields) -> Result<Wish, Problem> {
    let listing = &sale.listing;
    match fields.text("section").and_then(|code| listing.section_coded(code)) {
        Some(section) if section.area => wish::area(listing, &section.code, fields),
        _ => wish::best(listing, &Free::of(app, sale).await, fields),
    }
}

/// Asks for what a form says.
pub async fn create(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    mut visitor: Visitor,
    traces: Traces,
    fields: Fields,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    if let Some(first) = sign_in::first(&sale, &visitor) {
        return Ok(first);
    }
    let again = |problem: Problem| {
        Oops::from(problem).then(format!("/events/{slug}/choose"), say("go.choose_again"))
    };
    let mut wish = wished(&app, &sale, &fields).await.map_err(&again)?;
    let account = visitor.need(&app);
    let traces = Traces { device: traces.device.or(Some(account.0)), ..traces };
    let event = sale.listing.event.id;
    wish.grants = codes::kept(&app, &visitor, event);
    let Some(session) = visitor.session() else {
        return Err(Problem::new(Code::Unauthenticated).into());
    };
    let (key, pass) = (fields.text("key").unwrap_or_default(), visitor.pass(event));
    let built = app.built(sale.clone()).await?;
    let asked = asks::ask(&app, built, &session, key, traces, pass.as_deref(), wish).await;
    let ask = match asked {
        Ok((_, view)) => view.id,
        // Who asks twice finds the ask that they have.
        Err(problem) => {
            let known = problem.member("ask").and_then(|ask| ask.as_str()?.parse().ok());
            known.filter(|_| problem.code == Code::AskExists).ok_or_else(|| again(problem))?
        }
    };
    Ok(visitor.with(see_other(&address(&slug, ask))))
}

async fn look(
    app: &App,
    slug: &str,
    ask: AskId,
    visitor: &Visitor,
) -> Result<(Arc<Sale>, AskView), Problem> {
    let sale = crate::catalog::http::visible(app, slug).await?;
    let account = visitor.account.ok_or_else(|| Problem::new(Code::AskGone))?;
    let built = app.built(sale).await?;
    let view = asks::look(app, &built, ask, account).await?;
    Ok((built, view))
}

/// An ask: its place in line, or what it got.
pub async fn page(
    State(app): State<Arc<App>>,
    Path((slug, ask)): Path<(String, AskId)>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let again = |problem: Problem| {
        Oops::from(problem).then(format!("/events/{slug}/choose"), say("go.choose_again"))
    };
    let (sale, view) = look(&app, &slug, ask, &visitor).await.map_err(&again)?;
    let until = match (view.state, view.expires_at) {
        ("held", _) => {
            visitor.remember(&app, sale.listing.event.id, view.hold);
            return Ok(visitor.with(see_other(&format!("/events/{slug}/holds/{}", view.hold))));
        }
        ("waiting", Some(until)) => until,
        // Bought, perhaps: the hold's page knows.
        _ => return Ok(see_other(&format!("/events/{slug}/holds/{}", view.hold))),
    };
    let free = Free::of(&app, &sale).await;
    let page = AskPage {
        head: Head::new(&app, &sale.listing, &free),
        id: ask,
        ahead: view.ahead.unwrap_or(0),
        until: When::new(until, &sale.listing.event.venue.time_zone).short(),
    };
    Ok(show(StatusCode::OK, &page))
}

/// What the page's script looks at.
pub async fn state(
    State(app): State<Arc<App>>,
    Path((slug, ask)): Path<(String, AskId)>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let (_, view) = look(&app, &slug, ask, &visitor).await?;
    Ok(Json(view).into_response())
}

/// Gives an ask up.
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((slug, ask)): Path<(String, AskId)>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let choose = format!("/events/{slug}/choose");
    let Some(account) = visitor.account else { return Ok(see_other(&choose)) };
    match asks::withdraw(State(app), Path((slug.clone(), ask)), Buyer(account)).await {
        Err(problem) if problem.code == Code::HoldInCheckout => Ok(see_other(&address(&slug, ask))),
        other => other.map(|_| see_other(&choose)).map_err(Oops::from),
    }
}
