//! An order: its payment while it waits, its tickets once it is paid.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::contact::{Change, Contact, Told};
use super::event::Head;
use super::free::Free;
use super::lines::{self, LineItem};
use super::page::{Fields, Link, Notice, Oops, see_other, show};
use super::session::Visitor;
use super::standing::{Standing, decline_words, refund_words, standing};
use super::{embed, words};
use crate::app::App;
use crate::catalog::Listing;
use crate::http::extract::{Path, Query};
use crate::http::problem::{Code, Problem};
use crate::ids::OrderId;
use crate::orders::http::{self as orders, LinkQuery, OrderView, TicketView};
use crate::orders::reading::Whole;
use crate::orders::{Order, OrderStatus, store};
use crate::payments::PayWith;
use crate::say;

struct TicketItem {
    section: String,
    row: Option<String>,
    seat: Option<String>,
    label: String,
    price_type: String,
    attendee: Option<String>,
    picture: Option<String>,
    code: String,
    status: String,
    status_text: String,
}

struct RefundItem {
    amount: String,
    text: String,
}

/// What the page around the shop's is told of an order: nothing that lets anybody in.
struct Bought {
    tickets: usize,
    total: i64,
    currency: &'static str,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    head: Head,
    id: OrderId,
    key: String,
    code: String,
    status: &'static str,
    title: String,
    text: String,
    /// Loads itself again while something is under way.
    moving: bool,
    payable: bool,
    processing: bool,
    decline: Option<String>,
    pay_by_ms: i64,
    now_ms: i64,
    email: String,
    lines: Vec<LineItem>,
    total: String,
    contained: String,
    tickets: Vec<TicketItem>,
    refunds: Vec<RefundItem>,
    /// Where mails about it go, once it is paid.
    contact: Option<Contact>,
    /// Within another site's page: what that page is told once the order is paid.
    bought: Option<Bought>,
    /// What the page's script compares to see that something has changed.
    mark: String,
}

fn ticket_item(ticket: &TicketView, order: &Order, key: &str, listing: &Listing) -> TicketItem {
    let place = &ticket.place;
    let line = order.lines.iter().find(|line| line.places.contains(&place.place));
    let offer = line.and_then(|line| listing.offer_numbered(line.offer));
    let price_type = offer.map(|offer| super::offers::price_type(listing, offer));
    let section = listing.section_coded(&place.section);
    TicketItem {
        section: section.map_or(&place.section, |section| &section.name).clone(),
        row: place.row.clone(),
        seat: place.seat.clone(),
        label: super::lines::place_name(listing, place),
        price_type: price_type.unwrap_or_default().to_owned(),
        attendee: place.attendee.clone(),
        picture: ticket.code.as_ref().map(|_| {
            let (id, place, serial) = (order.id, place.place, ticket.serial);
            format!("/v1/orders/{id}/tickets/{place}-{serial}/qr.svg?key={key}")
        }),
        code: ticket.code.clone().unwrap_or_default(),
        status: ticket.status.clone(),
        status_text: match ticket.status.as_str() {
            "valid" => String::new(),
            "used" => say("ticket.used").into(),
            "suspended" => say("ticket.suspended").into(),
            _ => say("ticket.void").into(),
        },
    }
}

/// The secret of the link, and what a form has done.
#[derive(Deserialize)]
pub struct PageQuery {
    key: Option<String>,
    told: Option<String>,
}

/// An order.
pub async fn order(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<PageQuery>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let whole = orders::visible(&app, id, visitor.buyer(), query.key.as_deref()).await?;
    let told = query.told.as_deref().map_or(Told::Nothing, Told::from_word);
    render(&app, whole, &visitor, None, told).await
}

/// An order's page, with what was refused or done.
pub(super) async fn render(
    app: &Arc<App>,
    whole: Whole,
    visitor: &Visitor,
    refused: Option<&str>,
    told: Told,
) -> Result<Response, Oops> {
    let Some(sale) = app.catalog.sale(whole.order.event).await? else {
        return Err(Problem::new(Code::NotFound).into());
    };
    let listing = &sale.listing;
    let (order, view) = (whole.order.clone(), OrderView::whole(app, listing, whole));
    let attempts = store::attempts(&app.pg, order.id).await?;
    let processing = attempts.iter().any(|attempt| attempt.status == "processing");
    let Standing { title, text, moves } = standing(order.status, processing);
    let key = app.keyring.order_link(order.id);
    let currency = order.currency;
    let status = told.status();
    let contact = Contact::of(app, &order, visitor, told).await?;
    let decline = view.decline.as_deref().filter(|_| !processing).map(decline_words);
    let refund = |refund: &orders::RefundView| RefundItem {
        amount: words::money(refund.amount, currency),
        text: refund_words(&refund.status),
    };
    let page = OrderPage {
        head: Head::new(app, listing, &Free::of(app, &sale).await),
        id: order.id,
        code: order.code(),
        status: order.status.word(),
        title,
        text,
        moving: moves,
        payable: order.status == OrderStatus::Open && order.total > 0,
        processing,
        decline: refused.map(str::to_owned).or(decline),
        pay_by_ms: order.pay_by.as_millisecond(),
        now_ms: app.now().as_millisecond(),
        email: order.email.clone().unwrap_or_default(),
        lines: lines::items(listing, &view.lines),
        total: words::price(order.total, currency),
        contained: lines::contained(listing, &view.lines),
        tickets: view.tickets.iter().map(|t| ticket_item(t, &order, &key, listing)).collect(),
        refunds: view.refunds.iter().map(refund).collect(),
        contact,
        bought: embed::host().map(|_| Bought {
            tickets: view.tickets.len(),
            total: order.total,
            currency: currency.code(),
        }),
        mark: mark(&view),
        key,
    };
    Ok(show(status, &page))
}

/// Changes with everything that the page shows differently; scripts compute the same.
fn mark(view: &OrderView) -> String {
    let tickets: Vec<&str> = view.tickets.iter().map(|ticket| ticket.status.as_str()).collect();
    let refunds: Vec<&str> = view.refunds.iter().map(|refund| refund.status.as_str()).collect();
    let decline = view.decline.as_deref().unwrap_or_default();
    [view.status.word(), &tickets.join(","), &refunds.join(","), decline].join("|")
}

pub(super) fn link(fields: &Fields) -> Option<&str> {
    fields.text("key")
}

/// Leads to the payment of an order that waits for it.
pub async fn pay(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let whole = orders::visible(&app, id, visitor.buyer(), link(&fields)).await?;
    let page = app.keyring.order_path(id);
    match orders::payment(&app, &whole.order).await {
        Ok(PayWith::Redirect { url }) => Ok(see_other(&url)),
        Ok(PayWith::Elements { .. }) => {
            let (title, text) = (say("order.app").into(), say("order.app.text").into());
            let links = vec![Link::new(page, say("go.order"))];
            Ok(show(StatusCode::OK, &Notice { title, text, links }))
        }
        // It was paid or ended meanwhile.
        Err(problem) if problem.code == Code::OrderState => Ok(see_other(&page)),
        Err(problem) => {
            let advice = super::refusals::advice(&problem);
            let refused = format!("{}. {}", advice.title, advice.text);
            render(&app, whole, &visitor, Some(&refused), Told::Nothing).await
        }
    }
}

/// Gives an unpaid order up.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let page = app.keyring.order_path(id);
    let query = Query(LinkQuery { key: link(&fields).map(str::to_owned) });
    let cancelled = orders::cancel(State(app.clone()), Path(id), query, visitor.buyer()).await;
    match cancelled {
        Ok(_) => Ok(see_other(&page)),
        Err(problem) if problem.code == Code::OrderState => Ok(see_other(&page)),
        Err(problem) => Err(problem.into()),
    }
}
