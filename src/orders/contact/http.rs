//! The confirmation once more, and another address, over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::store::{self, Changed};
use super::{check, paid};
use crate::accounts::Session;
use crate::accounts::http::address;
use crate::app::App;
use crate::http::extract::{Body, MaybeBuyer, MaybeSession, Path, Query};
use crate::http::json::Json;
use crate::http::limits::{self, SharedLimit};
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::OrderId;
use crate::orders::http::{LinkQuery, OrderView, listing_of, visible};
use crate::orders::{self, Order, moved_on};

/// Sends the confirmation again, to the address that the order has.
///
/// For a paid order, and for everybody who sees it. While a confirmation waits to leave, asking
/// again changes nothing.
#[utoipa::path(
    post, path = "/v1/orders/{order}/confirmation", tag = "orders",
    security(("session" = []), ()), operation_id = "resendConfirmation",
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           LinkQuery),
    responses((status = 202, description = "It is on its way", body = OrderView),
        (status = 404, description = "No such order of yours", body = ProblemBody),
        (status = 409, description = "`order_state`: it isn't paid, or not any more",
            body = ProblemBody),
        (status = 429, description = "It was sent again too often; see `Retry-After`",
            body = ProblemBody))
)]
pub async fn resend(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<LinkQuery>,
    buyer: MaybeBuyer,
) -> Result<(StatusCode, Json<OrderView>), Problem> {
    let order = visible(&app, id, buyer, query.key.as_deref()).await?.order;
    again(&app, &order, buyer).await?;
    let listing = listing_of(&app, &order).await?;
    Ok((StatusCode::ACCEPTED, Json(OrderView::new(&app, &listing, &order))))
}

/// Sends the confirmation of a visible order again; see [`resend`].
///
/// # Errors
/// `order_state`, `too_many_requests`, or Postgres fails.
pub async fn again(app: &App, order: &Order, buyer: MaybeBuyer) -> Result<(), Problem> {
    paid(order)?;
    if store::confirmation_waits(&app.pg, order.id).await? {
        return Ok(());
    }
    limits::shared(app, SharedLimit::Confirmations, &order.id.to_string()).await?;
    store::confirm_again(&app.pg, order.id, buyer.0).await?;
    Ok(())
}

/// Where an order's mails shall go.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailRequest {
    /// An address that mail can be sent to.
    #[schema(example = "ada@example.org")]
    pub email: String,
}

/// Has the mails about a paid order go to another address.
///
/// The confirmation is sent there, and the address before is told. For who bought only, by the
/// session that checked out; or, unless that had signed in, by one that has signed in with the
/// address given at checkout. The `key` of the order's link is not enough, since it is passed on
/// with the tickets; it stays good. Limits per buyer count the order as it was bought. The same
/// address once more changes nothing.
#[utoipa::path(
    put, path = "/v1/orders/{order}/email", tag = "orders", security(("session" = [])),
    operation_id = "changeOrderEmail",
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           LinkQuery),
    request_body = EmailRequest,
    responses((status = 200, description = "The order, with this address", body = OrderView),
        (status = 401, description = "No valid session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`: the link alone, or another anonymous \
            session; `forbidden`: an account that has not bought it", body = ProblemBody),
        (status = 404, description = "No such order of yours", body = ProblemBody),
        (status = 409, description = "`order_state`: it isn't paid, or not any more",
            body = ProblemBody),
        (status = 422, description = "`invalid`: no address that mail can be sent to",
            body = ProblemBody),
        (status = 429, description = "It was changed too often; see `Retry-After`",
            body = ProblemBody))
)]
pub async fn change(
    State(app): State<Arc<App>>,
    Path(id): Path<OrderId>,
    Query(query): Query<LinkQuery>,
    MaybeSession(session): MaybeSession,
    Body(request): Body<EmailRequest>,
) -> Result<Json<OrderView>, Problem> {
    let buyer = MaybeBuyer(session.map(|session| session.account));
    let order = visible(&app, id, buyer, query.key.as_deref()).await?.order;
    to(&app, &order, session, &request.email).await?;
    let order = orders::store::get(&app.pg, id).await?;
    let listing = listing_of(&app, &order).await?;
    Ok(Json(OrderView::new(&app, &listing, &order)))
}

/// Has the mails about a visible order go to the address that was typed; see [`change`].
///
/// # Errors
/// `sign_in_needed`, `forbidden`, `order_state`, `invalid`, `too_many_requests`, or Postgres fails.
pub async fn to(
    app: &App,
    order: &Order,
    session: Option<Session>,
    typed: &str,
) -> Result<(), Problem> {
    check(app, order, session).await?;
    paid(order)?;
    let email = address(typed)?;
    if order.email.as_deref() == Some(email.as_str()) {
        return Ok(());
    }
    limits::shared(app, SharedLimit::AddressChanges, &order.id.to_string()).await?;
    let by = session.map_or(order.account, |session| session.account);
    match store::change(&app.pg, order.id, &email, by).await? {
        Changed::Now => {
            tracing::info!(order = %order.id, %by, "an order's mails go to another address");
            Ok(())
        }
        Changed::Before => Ok(()),
        Changed::MovedOn => Err(moved_on(orders::store::get(&app.pg, order.id).await?.status)),
    }
}
