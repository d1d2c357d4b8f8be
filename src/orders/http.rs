//! Orders over HTTP: seen by their buyer's session, or by whoever has the secret link.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reading::{self, Whole};
use super::{Order, OrderStatus, drive, moved_on, store};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::http::PageQuery;
use crate::checkout;
use crate::holds::http::{LineView, PlaceView, cached, line_views, place_view};
use crate::http::examples;
use crate::http::extract::{MaybeBuyer, Path, Query, SignedIn};
use crate::http::json::Json;
use crate::http::limits::{self, SharedLimit};
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId, OrderId};
use crate::payments::PayWith;
use crate::tickets::code::TicketCode;

/// Orders on a page.
const PAGE: usize = 20;

/// An order.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(example = examples::order)]
pub struct OrderView {
    /// Its id.
    pub id: OrderId,
    /// A short name for people.
    pub code: String,
    /// For which event.
    pub event: EventId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Where its tickets go.
    pub email: Option<String>,
    /// What was bought.
    pub lines: Vec<LineView>,
    /// Of all amounts.
    pub currency: String,
    /// In minor units, fees and taxes included.
    pub total: i64,
    /// Until when it waits for its payment (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub pay_by: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Its page; who has this link sees the order and its tickets.
    pub link: String,
    /// How to pay; only in the answer to a checkout of an order that waits for its payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<PayWith>,
    /// Its tickets, once it is paid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<TicketView>,
    /// Its refunds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundView>,
    /// Why the provider declined last, while it is `open`: `card_declined`, `insufficient_funds` or
    /// `authentication_failed` (the bank's question was not answered) from the sandbox, Stripe's
    /// decline codes from Stripe. The order stays `open` and `payment.url` stays good until
    /// `pay_by`: try again there, with another card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<String>,
}

/// A ticket.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TicketView {
    /// The place.
    pub place: PlaceView,
    /// Which of the place's tickets.
    pub serial: i32,
    /// `valid`, `used`, `suspended` or `void`.
    pub status: String,
    /// What the gate scans; only while it is valid or used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The URL of the code as a picture, ready to be fetched without a session; with `qr.png` for
    /// `qr.svg` another format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
}

/// A refund.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RefundView {
    /// In minor units.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// `due`, `pending`, `done` or `failed`.
    pub status: String,
}

/// The secret of an order's link, where there is no session.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LinkQuery {
    /// The `key` of the order's `link`, instead of a session:
    /// `curl "$ONSALE/v1/orders/$order?key=$key"`.
    pub key: Option<String>,
}

impl OrderView {
    /// An order without its tickets.
    #[must_use]
    pub fn new(app: &App, listing: &Listing, order: &Order) -> Self {
        Self {
            id: order.id,
            code: order.code(),
            event: order.event,
            status: order.status,
            email: order.email.clone(),
            lines: line_views(listing, &order.lines),
            currency: order.currency.code().to_owned(),
            total: order.total,
            pay_by: order.pay_by,
            created_at: order.created_at,
            link: app.order_url(order.id),
            payment: None,
            tickets: Vec::new(),
            refunds: Vec::new(),
            decline: None,
        }
    }

    /// An order with all that belongs to it.
    #[must_use]
    pub fn whole(app: &App, listing: &Listing, whole: Whole) -> Self {
        let Whole { order, tickets, refunds, decline } = whole;
        let mut view = Self { decline, ..Self::new(app, listing, &order) };
        let secret = app.keyring.order_link(order.id);
        for ticket in tickets {
            let Some(mut place) = place_view(listing, ticket.place) else { continue };
            place.attendee = order.attendee(ticket.place).map(str::to_owned);
            let shown = matches!(ticket.status.as_str(), "valid" | "used");
            let code =
                TicketCode { event: order.event, place: ticket.place, serial: ticket.serial };
            let (base, id) = (&app.config.http.public_url, order.id);
            let (number, serial) = (ticket.place, ticket.serial);
            view.tickets.push(TicketView {
                place,
                serial: ticket.serial,
                status: ticket.status,
                code: if shown { code.issue(&listing.event, &app.keyring) } else { None },
                qr: shown.then(|| {
                    format!("{base}/v1/orders/{id}/tickets/{number}-{serial}/qr.svg?key={secret}")
                }),
            });
        }
        for refund in refunds {
            let (amount, reason, status) = (refund.amount, refund.reason, refund.status);
            view.refunds.push(RefundView { amount, reason, status });
        }
        view
    }
}

/// The order, if this buyer or this link may see it.
///
/// # Errors
/// `not_found`, whether it doesn't exist or isn't theirs.
pub async fn visible(
    app: &App,
    id: OrderId,
    buyer: MaybeBuyer,
    key: Option<&str>,
) -> Result<Whole, Problem> {
    let whole = reading::find(app, id).await?.filter(|Whole { order, .. }| {
        let linked = key.is_some_and(|key| app.keyring.verify_order_link(id, key));
        let real = !matches!(order.status, OrderStatus::Abandoned | OrderStatus::Retake);
        real && (linked || buyer.0 == Some(order.account))
    });
    whole.ok_or_else(|| Problem::new(Code::NotFound))
}

/// The event of an order.
///
/// # Errors
/// If Postgres fails.
pub async fn listing_of(app: &App, order: &Order) -> Result<Arc<Listing>, Problem> {
    let sale = app.catalog.sale(order.event).await?;
    sale.map(|sale| sale.listing.clone())
        .ok_or_else(|| Problem::internal(format!("order {} has no event", order.id)))
}

/// A page of orders.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrderPage {
    /// Newest first, without their tickets.
    pub orders: Vec<OrderView>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

/// The orders of the account that has signed in.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", security(("session" = [])), params(PageQuery),
    operation_id = "listOrders",
    responses((status = 200, description = "A page", body = OrderPage),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
    who: SignedIn,
) -> Result<Json<OrderPage>, Problem> {
    let (orders, next) = page(&app, who.account, query.cursor).await?;
    let mut views = Vec::with_capacity(orders.len());
    for order in &orders {
        views.push(OrderView::new(&app, &*listing_of(&app, order).await?, order));
    }
    Ok(Json(OrderPage { orders: views, next }))
}

/// A page of an account's orders, and where the next begins.
///
/// # Errors
/// If Postgres fails.
pub async fn page(
    app: &App,
    account: AccountId,
    cursor: Option<Uuid>,
) -> Result<(Vec<Order>, Option<Uuid>), Problem> {
    let more = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut orders = store::of_buyer(&app.pg, account, cursor, more).await?;
    let is_last = orders.len() <= PAGE;
    orders.truncate(PAGE);
    let next = orders.last().filter(|_| !is_last).map(|order| order.id.0);
    Ok((orders, next))
}

/// An order with its tickets.
///
/// After paying, ask every 1 to 2 seconds with `If-None-Match` until `status` isn't `open`: a
/// payment is usually known here within a second. A declined card leaves the order `open` and says
/// why in `decline`. Seen by the session that made it, or with the `key` of its `link`.
#[utoipa::path(
    get, path = "/v1/orders/{order}", tag = "orders", security(("session" = []), ()),
    operation_id = "getOrder",
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           LinkQuery),
    responses((status = 200, description = "The order", body = OrderView),
        (status = 304, description = "As you have it"),
        (status = 404, description = "No such order of yours", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<LinkQuery>,
    buyer: MaybeBuyer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let whole = visible(&app, id, buyer, query.key.as_deref()).await?;
    let listing = listing_of(&app, &whole.order).await?;
    let view = OrderView::whole(&app, &listing, whole);
    let body = serde_json::to_vec(&view).map_err(Problem::internal)?;
    let etag = format!("\"{}\"", hex::encode(crate::holds::digest(&view)));
    Ok(cached(&headers, &etag, "application/json", "private, no-cache", || body.into()))
}

/// Gives an unpaid order up: its payment is cancelled at the provider, then its places are free.
///
/// An order that is given up ends as `released`. If the payment was faster it is `paid`. Asking
/// again is harmless. A paid order can be given back by its organizer only.
#[utoipa::path(
    post, path = "/v1/orders/{order}/cancel", tag = "orders", security(("session" = []), ()),
    operation_id = "cancelOrder",
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           LinkQuery),
    responses((status = 200, description = "The order as it stands now", body = OrderView),
        (status = 202, description = "Begun, `cancelling`: the provider has not answered yet; \
            it goes on by itself", body = OrderView),
        (status = 404, description = "No such order of yours", body = ProblemBody),
        (status = 409, description = "`order_state`: it is paid, or past that",
            body = ProblemBody))
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<LinkQuery>,
    buyer: MaybeBuyer,
) -> Result<(StatusCode, Json<OrderView>), Problem> {
    let order = visible(&app, id, buyer, query.key.as_deref()).await?.order;
    if !matches!(order.status, OrderStatus::Open | OrderStatus::Cancelling | OrderStatus::Released)
    {
        return Err(moved_on(order.status));
    }
    let (driver, given_up) = (app.clone(), order.clone());
    app.see_through(async move { drive::end(&driver, given_up).await }).await?;
    let order = store::get(&app.pg, id).await?;
    let listing = listing_of(&app, &order).await?;
    let unfinished = order.status == OrderStatus::Cancelling;
    let status = if unfinished { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(OrderView::new(&app, &listing, &order))))
}

/// How to pay.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PaymentView {
    /// What the frontend needs.
    pub payment: PayWith,
}

/// How to pay an order that still waits: the open attempt, or a new one.
///
/// Only needed if checkout's answer had no `payment`, or was lost: a declined card doesn't end the
/// attempt, and its URL stays good.
#[utoipa::path(
    post, path = "/v1/orders/{order}/payments", tag = "orders", security(("session" = []), ()),
    operation_id = "createPayment",
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           LinkQuery),
    responses((status = 200, description = "How to pay", body = PaymentView),
        (status = 404, description = "No such order of yours", body = ProblemBody),
        (status = 409, description = "`order_state`: it waits for no payment (any more)",
            body = ProblemBody),
        (status = 429, description = "Too many attempts; see `Retry-After`", body = ProblemBody),
        (status = 502, description = "`provider_unavailable`: it doesn't answer; repeat",
            body = ProblemBody))
)]
pub async fn pay(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<LinkQuery>,
    buyer: MaybeBuyer,
) -> Result<Json<PaymentView>, Problem> {
    let order = visible(&app, id, buyer, query.key.as_deref()).await?.order;
    payment(&app, &order).await.map(|payment| Json(PaymentView { payment }))
}

/// How to pay an order; see [`pay`].
///
/// # Errors
/// `too_many_requests` of its account, `order_state` if it doesn't wait for a payment, `provider_unavailable`.
pub async fn payment(app: &App, order: &Order) -> Result<PayWith, Problem> {
    limits::shared(app, SharedLimit::PaymentAttempts, &order.account.to_string()).await?;
    let waits = order.status == OrderStatus::Open && order.total > 0;
    let attempt = if waits {
        let gateway = app.gateway_of(order.event).await?;
        let reference_of = |attempt| gateway.reference_of(attempt);
        store::open_attempt(&app.pg, order.id, gateway.name(), reference_of).await?
    } else {
        None
    };
    let Some(attempt) = attempt else {
        return Err(Problem::new(Code::OrderState).detail("the order waits for no payment"));
    };
    checkout::pay(app, order, attempt)
        .await
        .map_err(|error| Problem::new(Code::ProviderUnavailable).detail(error.to_string()))
}
