//! The list of events, and an event's own page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::door::Door;
use super::free::Free;
use super::hold::{self, Grip};
use super::offers::{self, LevelCard};
use super::page::{Fields, Oops, show};
use super::presale;
use super::preview::Preview;
use super::rehearsal;
use super::session::Visitor;
use super::stage::Stage;
use super::words::{self, When};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::cache::Sale;
use crate::catalog::http as catalog;
use crate::http::extract::{Path, Query};

/// What the pages of one event have at their top.
pub struct Head {
    /// The event's id.
    pub id: String,
    /// Its name in URLs.
    pub slug: String,
    /// What is played.
    pub name: String,
    /// When it begins.
    pub when: When,
    /// The venue's name.
    pub venue: String,
    /// Where its sale stands.
    pub stage: Stage,
    /// The sale's state in Redis: scripts load the page again when it changes.
    pub state: String,
    /// Where the stream of changes goes on from.
    pub since: String,
    /// Most places per buyer.
    pub limit: Option<i32>,
}

impl Head {
    /// The head of an event's pages.
    #[must_use]
    pub fn new(app: &App, listing: &Listing, free: &Free) -> Self {
        let event = &listing.event;
        let stage = Stage::of(listing, free.sold_out(), app.now());
        rehearsal::mark(event);
        Self {
            id: event.id.to_string(),
            slug: event.slug.clone(),
            name: event.name.clone(),
            when: When::new(event.starts_at, &event.venue.time_zone),
            venue: event.venue.name.clone(),
            stage,
            state: free.state().unwrap_or(event.status.word()).to_owned(),
            since: free.since(),
            limit: event.account_limit,
        }
    }
}

/// The event, if the public may see it.
///
/// # Errors
/// A page that says that there is none.
pub async fn find(app: &App, slug: &str) -> Result<Arc<Sale>, Oops> {
    Ok(catalog::visible(app, slug).await?)
}

struct Item {
    slug: String,
    name: String,
    venue: String,
    when: When,
    stage: Stage,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    events: Vec<Item>,
    next: Option<Uuid>,
    first: bool,
}

/// Where the list begins.
#[derive(Deserialize)]
pub struct ListQuery {
    cursor: Option<Uuid>,
}

/// The list of events.
pub async fn home(
    State(app): State<Arc<App>>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Oops> {
    let page = catalog::page(&app, query.cursor).await?;
    let item = |event: catalog::EventItem| Item {
        when: When::new(event.starts_at, &event.time_zone),
        stage: Stage::of_status(event.status),
        slug: event.slug,
        name: event.name,
        venue: event.venue,
    };
    let events = page.events.into_iter().map(item).collect();
    let page = HomePage { events, next: page.next, first: query.cursor.is_none() };
    Ok(show(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    head: Head,
    preview: Preview,
    /// When the sale begins, and the server's clock, in milliseconds.
    begins: Option<(i64, i64)>,
    address: String,
    paragraphs: Vec<String>,
    levels: Vec<LevelCard>,
    /// The lowest price that can be had now.
    from: Option<String>,
    grip: Option<Grip>,
    door: Door,
    presales: Vec<presale::Notice>,
}

/// An event.
pub async fn event(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let free = Free::of(&app, &sale).await;
    let event = &sale.listing.event;
    let text = event.description.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let head = Head::new(&app, &sale.listing, &free);
    let clock = |at: jiff::Timestamp| (at.as_millisecond(), app.now().as_millisecond());
    let levels = offers::cards(&sale.listing, &free, &Fields::none(), app.now());
    let rows = levels.iter().flat_map(|level| &level.rows).filter(|row| !row.choices.is_empty());
    let from = rows.map(|row| row.amount).min();
    let page = EventPage {
        from: from.map(|amount| words::price(amount, event.currency)),
        preview: Preview::new(&app, &sale.listing, &head.stage, &head.when.whole()),
        begins: head.stage.begins.map(clock),
        head,
        address: event.venue.address.clone(),
        paragraphs: text.map(str::to_owned).collect(),
        levels,
        grip: hold::grip(&app, &sale, &visitor).await,
        door: Door::of(&app, &sale, &visitor).await,
        presales: presale::Notice::all(&sale.listing, app.now()),
    };
    Ok(show(StatusCode::OK, &page))
}
