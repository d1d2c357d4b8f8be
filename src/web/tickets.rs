//! All tickets of whoever has signed in, by event: what is to come before what is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::lines::labels;
use super::page::{Oops, see_other, show};
use super::session::Visitor;
use super::words::{self, When};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::http::PageQuery;
use crate::http::extract::Query;
use crate::http::problem::Problem;
use crate::ids::{AccountId, EventId};
use crate::orders::http::{listing_of, page as orders_page};
use crate::orders::reading::Whole;
use crate::orders::store;
use crate::say;

/// An event is to come until so long after it has begun.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(6);

/// What one order has of an event.
struct OrderItem {
    link: String,
    code: String,
    places: Vec<String>,
    /// `2 valid, 1 used`.
    counts: String,
    /// Whether any of them still lets somebody in.
    good: bool,
}

/// An event with one's tickets.
struct EventItem {
    link: String,
    name: String,
    venue: String,
    when: When,
    begins: Timestamp,
    orders: Vec<OrderItem>,
}

#[derive(Template)]
#[template(path = "tickets.html")]
struct TicketsPage {
    upcoming: Vec<EventItem>,
    past: Vec<EventItem>,
    next: Option<Uuid>,
    first: bool,
}

/// The tickets.
pub async fn page(
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let (Some(account), Some(_)) = (visitor.account, visitor.signed_in) else {
        return Ok(see_other("/sign-in?next=/tickets"));
    };
    let (events, next) = events(&app, account, query.cursor).await?;
    let now = app.now();
    let is_past = |event: &EventItem| event.begins.duration_until(now) > OVER_AFTER;
    let (mut past, mut upcoming): (Vec<_>, Vec<_>) = events.into_iter().partition(is_past);
    upcoming.sort_by_key(|event| event.begins);
    past.sort_by_key(|event| std::cmp::Reverse(event.begins));
    let page = TicketsPage { upcoming, past, next, first: query.cursor.is_none() };
    Ok(show(StatusCode::OK, &page))
}

/// The events of a page of orders, as far as these have tickets.
async fn events(
    app: &App,
    account: AccountId,
    cursor: Option<Uuid>,
) -> Result<(Vec<EventItem>, Option<Uuid>), Problem> {
    let (orders, next) = orders_page(app, account, cursor).await?;
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id.0).collect();
    let mut events: BTreeMap<EventId, EventItem> = BTreeMap::new();
    let mut wholes = store::whole(&app.pg, &ids).await?;
    wholes.retain(|whole| !whole.tickets.is_empty());
    wholes.sort_by_key(|whole| std::cmp::Reverse(whole.order.id.0));
    for whole in &wholes {
        let listing = listing_of(app, &whole.order).await?;
        let item = order_item(&listing, whole);
        let event = events.entry(whole.order.event).or_insert_with(|| event_item(&listing));
        event.orders.push(item);
    }
    Ok((events.into_values().collect(), next))
}

fn event_item(listing: &Listing) -> EventItem {
    let event = &listing.event;
    EventItem {
        link: format!("/events/{}", event.slug),
        name: event.name.clone(),
        venue: event.venue.name.clone(),
        when: When::new(event.starts_at, &event.venue.time_zone),
        begins: event.starts_at,
        orders: Vec::new(),
    }
}

fn order_item(listing: &Listing, whole: &Whole) -> OrderItem {
    let places = whole.tickets.iter().filter_map(|ticket| listing.place(ticket.place));
    let names: Vec<String> = places.map(|place| words::place_of(listing, place)).collect();
    let count = |status: &str| whole.tickets.iter().filter(|t| t.status == status).count();
    let counts = [
        ("valid", say("tickets.valid")),
        ("used", say("tickets.used")),
        ("suspended", say("tickets.suspended")),
        ("void", say("tickets.void")),
    ];
    let counts = counts.into_iter().filter_map(|(status, said)| {
        let number = count(status);
        (number > 0).then(|| said.put("n", number).to_string())
    });
    OrderItem {
        link: format!("/orders/{}", whole.order.id),
        code: whole.order.code(),
        places: labels(&names),
        counts: counts.collect::<Vec<_>>().join(", "),
        good: count("valid") > 0,
    }
}
