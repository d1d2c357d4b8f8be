//! Checkout over HTTP.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::CheckoutRequest;
use crate::app::App;
use crate::http::around;
use crate::http::extract::{self, IdempotencyKey, Path, Session};
use crate::http::json::Json;
use crate::http::problem::ProblemBody;
use crate::ids::HoldId;
use crate::orders::http::OrderView;

/// Turns a hold into an order, and says how to pay it.
///
/// One hold becomes one order, with the hold's id, however often this is sent: the hold is the
/// key, and the `Idempotency-Key` header is required only because all creating requests have it.
/// Repeating it with the same details finds the order as it stands; other details are refused with
/// 422 `checkout_mismatch`.
///
/// Send the buyer to `payment.url`, then ask `GET /v1/orders/{order}` what became of it. An order
/// that costs nothing is paid at once and has no `payment`. It is also missing if the provider
/// gave no answer yet: the order stands, ask `POST /v1/orders/{order}/payments` for it.
#[utoipa::path(
    post, path = "/v1/events/{event}/holds/{hold}/checkout", tag = "orders",
    operation_id = "checkOutHold",
    security(("session" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("hold" = HoldId, Path, description = "The hold's id"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    request_body = CheckoutRequest,
    responses(
        (status = 201, description = "The order", body = OrderView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody),
        (status = 404, description = "No such hold of yours", body = ProblemBody),
        (status = 409, description = "`claim_lost`: somebody else has `places`; if you allowed \
            it, `equivalent` is a hold of others, to be checked out instead; `account_limit`, \
            `quota_reached`, `promo_code`: a limit was reached meanwhile. The hold is over and \
            nothing was charged. `terms_changed`: show `terms` to the buyer and send their \
            `digest`; the hold stays", body = ProblemBody),
        (status = 410, description = "`hold_gone`: the hold is over", body = ProblemBody),
        (status = 422, description = "`invalid`: `errors` say what; `details_needed`: the event \
            asks for names (`places` without one) or for its `terms` to be accepted, `errors` name \
            every field, and nothing has happened to the hold; `checkout_mismatch`: this hold was \
            checked out with other details", body = ProblemBody),
        (status = 429, description = "Too many attempts; see `Retry-After`", body = ProblemBody),
        (status = 503, description = "`unknown_outcome`: repeat; `rebuilding`, `frozen`",
            body = ProblemBody),
    )
)]
pub async fn checkout(State(app): State<Arc<App>>, request: Request) -> Response {
    around::step(&app, request, async |mut parts, bytes| {
        let Path((event, hold)) =
            Path::<(String, HoldId)>::from_request_parts(&mut parts, &app).await?;
        let session = Session::from_request_parts(&mut parts, &app).await?;
        IdempotencyKey::from_request_parts(&mut parts, &app).await?;
        let request: CheckoutRequest = extract::json(&parts.headers, &bytes)?;
        let sale = app.built_sale(&event).await?;
        let request = super::by(&app, &sale, &session, request).await?;
        super::details::check(&app, &sale, hold, session.account, &request).await?;
        // Not cancelled: a client that goes away leaves no half-made order.
        let work = super::checkout(app.clone(), sale.clone(), hold, session.account, request);
        let started = std::time::Instant::now();
        let done = app.see_through(work).await;
        let failed = done.as_ref().is_err_and(|problem| problem.code.status().is_server_error());
        app.pulse.note(started.elapsed(), failed);
        let done = done?;
        let mut view = OrderView::new(&app, &sale.listing, &done.order);
        view.payment = done.pay_with;
        Ok((StatusCode::CREATED, Json(view)).into_response())
    })
    .await
}
