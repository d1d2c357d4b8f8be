//! Orders as an organizer sees them: without the secrets that open a buyer's page and tickets.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PAGE, cut, tagged};
use crate::app::App;
use crate::catalog::Listing;
use crate::catalog::http::PageQuery;
use crate::checkout::store::{AcceptedTerms, accepted_terms};
use crate::holds::http::{LineView, PlaceView, line_views, place_view};
use crate::http::extract::{Body, IdempotencyKey, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{EventId, OrderId};
use crate::orders::http::RefundView;
use crate::orders::{Order, OrderStatus, store};
use crate::organizers::creations::Creation;
use crate::organizers::permit::{Orders, Own, Refunds};
use crate::organizers::rules;
use crate::payments::settle;

/// An order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnOrderView {
    /// Its id.
    pub id: OrderId,
    /// A short name for people.
    pub code: String,
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
    /// Money came after its places had been released, and they were taken again.
    pub late: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its status changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// The event's terms that the buyer accepted, where one order is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_accepted: Option<AcceptedTerms>,
    /// Its tickets, where one order is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<OwnTicketView>,
    /// Its refunds, where one order is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<RefundView>,
}

/// A ticket.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnTicketView {
    /// The place.
    pub place: PlaceView,
    /// Which of the place's tickets.
    pub serial: i32,
    /// `valid`, `used`, `suspended` or `void`.
    pub status: String,
}

/// A page of orders.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OwnOrderPage {
    /// In the order of their ids.
    pub orders: Vec<OwnOrderView>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

/// Why money goes back.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// For the records.
    #[schema(example = "illness")]
    pub reason: String,
}

impl OwnOrderView {
    /// An order without its tickets and refunds.
    #[must_use]
    pub fn new(listing: &Listing, order: &Order) -> Self {
        Self {
            id: order.id,
            code: order.code(),
            status: order.status,
            email: order.email.clone(),
            lines: line_views(listing, &order.lines),
            currency: order.currency.code().to_owned(),
            total: order.total,
            late: order.late,
            created_at: order.created_at,
            changed_at: order.changed_at,
            terms_accepted: None,
            tickets: Vec::new(),
            refunds: Vec::new(),
        }
    }

    /// An order with all that belongs to it.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn whole(app: &App, listing: &Listing, order: &Order) -> Result<Self, Problem> {
        let mut view = Self::new(listing, order);
        view.terms_accepted = accepted_terms(&app.pg, order.id).await?;
        for ticket in store::tickets(&app.pg, order).await? {
            let Some(mut place) = place_view(listing, ticket.place) else { continue };
            place.attendee = order.attendee(ticket.place).map(str::to_owned);
            let (serial, status) = (ticket.serial, ticket.status);
            view.tickets.push(OwnTicketView { place, serial, status });
        }
        for refund in store::refunds(&app.pg, order.id).await? {
            let (amount, reason, status) = (refund.amount, refund.reason, refund.status);
            view.refunds.push(RefundView { amount, reason, status });
        }
        Ok(view)
    }
}

/// The order, if it is one of this event.
async fn find(app: &App, event: EventId, id: OrderId) -> Result<Order, Problem> {
    let order = store::find(&app.pg, id).await?.filter(|order| {
        let real = !matches!(order.status, OrderStatus::Abandoned | OrderStatus::Retake);
        real && order.event == event
    });
    order.ok_or_else(|| Problem::new(Code::NotFound))
}

/// The event's orders.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/orders", tag = "organizer",
    operation_id = "listOwnOrders",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "A page", body = OwnOrderPage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `orders`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    own: Own<Orders>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut orders = store::page(&app.pg, own.event(), query.cursor, limit).await?;
    let next = cut(&mut orders, |order| order.id.0);
    let orders = orders.iter().map(|order| OwnOrderView::new(&own.sale.listing, order)).collect();
    tagged(&headers, &OwnOrderPage { orders, next })
}

/// One order, with its tickets and refunds.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/orders/{order}", tag = "organizer",
    operation_id = "getOwnOrder",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("order" = OrderId, Path, description = "The order's id, which was its hold's")),
    responses((status = 200, description = "The order", body = OwnOrderView),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `orders`", body = ProblemBody),
        (status = 404, description = "No such order of yours", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    own: Own<Orders>,
    Path((_, order)): Path<(String, OrderId)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = find(&app, own.event(), order).await?;
    tagged(&headers, &OwnOrderView::whole(&app, &own.sale.listing, &order).await?)
}

/// Gives an order's money back in full; its places are free once the provider confirms.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/orders/{order}/refund", tag = "organizer",
    operation_id = "refundOrder",
    security(("organizer" = [])), request_body = RefundRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 200, description = "The order as it is now", body = OwnOrderView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `refunds`", body = ProblemBody),
        (status = 404, description = "No such order of yours", body = ProblemBody),
        (status = 409, description = "`order_state`: it isn't paid", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn refund(
    State(app): State<Arc<App>>,
    own: Own<Refunds>,
    Path((_, id)): Path<(String, OrderId)>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<RefundRequest>,
) -> Result<Json<OwnOrderView>, Problem> {
    let creation = Creation::new(own.organizer, &format!("orders/{id}/refund"), &key, &request);
    let reason = rules::line("/reason", &request.reason, rules::MAX_REASON_CHARS)?;
    find(&app, own.event(), id).await?;
    let task = {
        let app = app.clone();
        app.tasks.clone().spawn(async move {
            if creation.is_done(&app.pg).await? {
                return Ok(());
            }
            // Asking twice at once asks the provider once: the order's status decides.
            settle::request_refund(&app, id, &reason).await?;
            creation.note_done(&app.pg).await
        })
    };
    task.await.map_err(Problem::internal)??;
    let order = find(&app, own.event(), id).await?;
    OwnOrderView::whole(&app, &own.sale.listing, &order).await.map(Json)
}
