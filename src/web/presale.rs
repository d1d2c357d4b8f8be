//! Presale registrations on pages: to register, to withdraw, and what the draw came to.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use uuid::Uuid;

use super::event::{Head, find};
use super::free::Free;
use super::page::{Oops, see_other, show};
use super::refusals::{self, Advice};
use super::session::Visitor;
use super::words::{When, grouped};
use crate::app::App;
use crate::catalog::Listing;
use crate::http::extract::{Body, Buyer, Path, SignedIn};
use crate::http::problem::{Code, Problem};
use crate::ids::AccountId;
use crate::registrations::http::{self as registrations, RegisterRequest, RegistrationView};
use crate::registrations::store::{self, Registrant};
use crate::registrations::{Announced, Outcome, Phase, Registration};
use crate::say;
use crate::words::Language;

/// A registration in a line of the event's page, with a link to its own.
pub struct Notice {
    /// What it is called.
    pub name: String,
    /// What can be done, and until when.
    pub text: String,
    /// What the link says.
    pub label: String,
}

impl Notice {
    /// The event's registrations. Asks nobody: the event's page is what most look at.
    #[must_use]
    pub fn all(listing: &Listing, now: Timestamp) -> Vec<Self> {
        let zone = &listing.event.venue.time_zone;
        let notice = |known: &Announced| {
            let (text, label, at) = if now < known.opens_at {
                ("presale.notice_announced", "presale.go_announced", known.opens_at)
            } else if now < known.closes_at {
                ("presale.notice_open", "presale.go_open", known.closes_at)
            } else {
                ("presale.notice_closed", "presale.go_closed", known.closes_at)
            };
            let text = say(text).put("when", When::new(at, zone).whole()).into();
            let label = say(label).into();
            Self { name: known.name.clone(), text, label }
        };
        listing.registrations.iter().map(notice).collect()
    }
}

/// What the visitor may do about a registration.
#[derive(PartialEq, Eq)]
enum May {
    /// Nothing now.
    Nothing,
    /// Register, once they have signed in.
    SignIn,
    /// Register.
    Register,
    /// Withdraw.
    Withdraw,
}

/// A registration as the visitor sees it.
struct Item {
    id: Uuid,
    name: String,
    /// Where it stands.
    stands: String,
    /// What happens next and when.
    next: String,
    /// What becomes of the visitor's own; empty if they have none.
    own: String,
    /// A winner's code.
    code: Option<String>,
    may: May,
    /// When the page changes by itself, by the server's clock in milliseconds.
    changes_ms: Option<i64>,
    /// What then happens, before the time.
    changes: String,
    winners: String,
    registered: String,
    draw: RegistrationView,
    /// The visitor's id in the draw, and their place in it.
    subject: Option<AccountId>,
    place: Option<i64>,
}

#[derive(Template)]
#[template(path = "presale.html")]
struct PresalePage {
    head: Head,
    items: Vec<Item>,
    alert: Option<Advice>,
    now_ms: i64,
    shop: String,
}

impl PresalePage {
    /// Where a program reads what was published.
    fn url(&self, id: &Uuid) -> String {
        format!("{}/v1/events/{}/registrations/{id}", self.shop, self.head.slug)
    }
}

/// The event's presale registrations.
pub async fn page(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    render(&app, &slug, &visitor, None).await
}

async fn render(
    app: &Arc<App>,
    slug: &str,
    visitor: &Visitor,
    refused: Option<Problem>,
) -> Result<Response, Oops> {
    let sale = find(app, slug).await?;
    let listing = &sale.listing;
    let all = store::read(&app.pg, Some(listing.event.id), None, false).await?;
    if all.is_empty() {
        let oops = Oops::from(Problem::new(Code::NotFound));
        return Err(oops.then(format!("/events/{slug}"), say("go.event")));
    }
    let mut items = Vec::with_capacity(all.len());
    for registration in &all {
        items.push(item(app, listing, registration, visitor).await?);
    }
    let status = refused.as_ref().map_or(StatusCode::OK, |problem| problem.code.status());
    let page = PresalePage {
        head: Head::new(app, listing, &Free::of(app, &sale).await),
        items,
        alert: refused.map(|problem| refusals::advice(&problem)),
        now_ms: app.now().as_millisecond(),
        shop: app.config.http.public_url.clone(),
    };
    Ok(show(status, &page))
}

async fn item(
    app: &App,
    listing: &Listing,
    registration: &Registration,
    visitor: &Visitor,
) -> Result<Item, Problem> {
    let draw = registrations::view(app, registration).await?;
    let account = visitor.account.filter(|_| visitor.signed_in.is_some());
    let own = match account {
        Some(account) => store::registrant(&app.pg, registration.id, account).await?,
        None => None,
    };
    let zone = &listing.event.venue.time_zone;
    let at = |when: Timestamp| When::new(when, zone).whole();
    let stands = say(match draw.phase {
        Phase::Announced => "presale.announced",
        Phase::Open => "presale.open",
        Phase::Closed => "presale.closed",
        Phase::Drawing => "presale.drawing",
        Phase::Drawn => "presale.drawn",
    });
    let next = match draw.phase {
        Phase::Announced => say("presale.next_announced").put("when", at(draw.opens_at)).into(),
        Phase::Open => say("presale.next_open").put("when", at(draw.draw_at)).into(),
        Phase::Closed => say("presale.next_closed").put("when", at(draw.draw_at)).into(),
        Phase::Drawing => say("presale.next_drawing").into(),
        Phase::Drawn => String::new(),
    };
    let changes = match draw.phase {
        Phase::Announced => Some(draw.opens_at),
        Phase::Open => Some(draw.closes_at),
        _ => None,
    };
    Ok(Item {
        id: registration.id,
        name: registration.name.clone(),
        stands: stands.put("when", at(draw.closes_at)).into(),
        next,
        own: own_words(own.as_ref(), registration, listing, account.is_some(), draw.phase),
        code: own.as_ref().and_then(|own| registrations::code_of(app, registration.id, own)),
        may: match (draw.phase, &own, account) {
            (Phase::Open, None, None) => May::SignIn,
            (Phase::Open, None, Some(_)) => May::Register,
            (Phase::Open, Some(_), _) => May::Withdraw,
            _ => May::Nothing,
        },
        changes_ms: changes.map(Timestamp::as_millisecond),
        changes: say(match draw.phase {
            Phase::Announced => "presale.opens_in",
            _ => "presale.time_left",
        })
        .into(),
        winners: grouped(&u64::try_from(draw.winners).unwrap_or(0)),
        registered: grouped(&u64::try_from(draw.registered).unwrap_or(0)),
        subject: own.as_ref().map(|own| own.account),
        place: own.as_ref().and_then(|own| own.place),
        draw,
    })
}

/// What becomes of the visitor's own registration.
fn own_words(
    own: Option<&Registrant>,
    registration: &Registration,
    listing: &Listing,
    signed_in: bool,
    phase: Phase,
) -> String {
    let Some(own) = own else {
        let over = !matches!(phase, Phase::Announced | Phase::Open);
        return match (over, signed_in) {
            (false, _) => String::new(),
            (true, true) => say("presale.own_none").into(),
            (true, false) => say("presale.own_unknown").into(),
        };
    };
    let zone = &listing.event.venue.time_zone;
    match own.outcome {
        None => say("presale.own_registered").put("email", &own.email).into(),
        Some(Outcome::Lost) => say("presale.own_lost").into(),
        Some(Outcome::Won) => {
            let set = listing.code_set(registration.code_set);
            let at = |when: Option<Timestamp>| when.map(|when| When::new(when, zone).whole());
            let starts = at(set.and_then(|set| set.starts_at));
            let ends = at(set.and_then(|set| set.ends_at));
            let mut told = String::from(say("presale.own_won"));
            for (key, when) in [("presale.code_from", starts), ("presale.code_until", ends)] {
                if let Some(when) = when {
                    told = format!("{told} {}", say(key).put("when", when));
                }
            }
            told
        }
    }
}

/// Registers the visitor.
pub async fn register(
    State(app): State<Arc<App>>,
    Path((slug, id)): Path<(String, Uuid)>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let here = format!("/events/{slug}/presale");
    let (Some(account), Some(session)) = (visitor.account, visitor.signed_in) else {
        return Ok(see_other(&format!("/sign-in?next={here}")));
    };
    let path = Path((slug.clone(), id));
    let who = SignedIn { account, session };
    let request = RegisterRequest { locale: Some(Language::current().tag().to_owned()) };
    match registrations::register(State(app.clone()), path, who, Body(request)).await {
        Ok(_) => Ok(see_other(&here)),
        Err(problem) => refused(&app, &slug, &visitor, problem).await,
    }
}

/// Takes the visitor's registration back.
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((slug, id)): Path<(String, Uuid)>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let here = format!("/events/{slug}/presale");
    let Some(account) = visitor.account else { return Ok(see_other(&here)) };
    let path = Path((slug.clone(), id));
    match registrations::withdraw(State(app.clone()), path, Buyer(account)).await {
        Ok(_) => Ok(see_other(&here)),
        Err(problem) => refused(&app, &slug, &visitor, problem).await,
    }
}

async fn refused(
    app: &Arc<App>,
    slug: &str,
    visitor: &Visitor,
    problem: Problem,
) -> Result<Response, Oops> {
    match problem.code {
        Code::NotFound => Err(problem.into()),
        _ => render(app, slug, visitor, Some(problem)).await,
    }
}

/// Where only forms lead: the page that has them.
pub async fn back(Path((slug, _)): Path<(String, Uuid)>) -> Response {
    see_other(&format!("/events/{slug}/presale"))
}
