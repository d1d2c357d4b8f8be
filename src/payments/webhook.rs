//! The door for providers: `POST /webhooks/{provider}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::settle;
use crate::app::App;
use crate::http::around;
use crate::http::extract::Path;
use crate::http::problem::{Code, Problem, ProblemBody};

/// Receives an event of the payment provider.
///
/// The signature is checked over the raw body. 200 means that the event is stored, or was before;
/// after any other answer the provider sends it again.
#[utoipa::path(
    post, path = "/webhooks/{provider}", tag = "webhooks",
    operation_id = "receiveWebhook",
    params(("provider" = String, Path, description = "The provider's name")),
    request_body(content = Vec<u8>, description = "As the provider sends and signs it",
                 content_type = "application/json"),
    responses(
        (status = 200, description = "Stored"),
        (status = 400, description = "`webhook_refused`: not believed", body = ProblemBody),
        (status = 404, description = "No such provider", body = ProblemBody),
        (status = 503, description = "Send it again", body = ProblemBody),
    )
)]
pub async fn receive(State(app): State<Arc<App>>, request: Request) -> Response {
    around::step(&app, request, async |mut parts, body| {
        let Path(provider) = Path::<String>::from_request_parts(&mut parts, &app).await?;
        let gateway = app.gateways.configured();
        if provider != gateway.name() {
            return Err(Problem::new(Code::NotFound));
        }
        let verified = gateway.verify(&parts.headers, &body, Timestamp::now());
        let event = verified.map_err(|error| {
            metrics::counter!("onsale_webhooks_refused_total").increment(1);
            Problem::new(Code::WebhookRefused).detail(error.to_string())
        })?;
        // Not cancelled: if the provider hangs up, its event is stored all the same.
        let (receiver, provider) = (app.clone(), gateway.name());
        app.see_through(async move { settle::receive(&receiver, provider, event).await }).await?;
        Ok(StatusCode::OK.into_response())
    })
    .await
}
