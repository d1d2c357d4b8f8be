//! The switches of a sale: where it stands, and whether claims are frozen.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::views::OwnEventView;
use crate::app::App;
use crate::catalog::EventStatus;
use crate::catalog::edit::events as edit;
use crate::http::extract::Body;
use crate::http::json::Json;
use crate::http::problem::{Problem, ProblemBody};
use crate::organizers::permit::{Own, Sales};

/// Where a sale is to stand.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// The status.
    pub status: EventStatus,
}

/// Whether checkouts are stopped.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRequest {
    /// Stop every checkout.
    pub claims_frozen: bool,
}

/// Announces, opens, pauses, closes or cancels the sale.
///
/// `draft` → `published` → `on_sale` ⇄ `paused`, `closed`; any of them → `cancelled`. Pausing
/// stops new holds; those that exist may finish.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/status", tag = "organizer",
    operation_id = "setEventStatus",
    security(("organizer" = [])), request_body = StatusRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The event as it is now", body = OwnEventView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: not from where it stands, or there is \
            nothing to sell", body = ProblemBody),
        (status = 503, description = "`unknown_outcome`: stored, but holds may not be open or \
            closed yet; repeat", body = ProblemBody))
)]
pub async fn set(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Body(request): Body<StatusRequest>,
) -> Result<Json<OwnEventView>, Problem> {
    let id = own.event();
    let task = {
        let app = app.clone();
        app.tasks.clone().spawn(async move { edit::set_status(&app, id, request.status).await })
    };
    task.await.map_err(Problem::internal)??;
    super::events::whole(&app, id).await.map(Json)
}

/// Stops every checkout of the event, or lets them go on. Independent of the sale's status.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/freeze", tag = "organizer",
    operation_id = "freezeClaims",
    security(("organizer" = [])), request_body = FreezeRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The event as it is now", body = OwnEventView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody))
)]
pub async fn freeze(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Body(request): Body<FreezeRequest>,
) -> Result<Json<OwnEventView>, Problem> {
    edit::freeze(&app, own.event(), request.claims_frozen).await?;
    OwnEventView::read(&app, &own.sale).await.map(Json)
}
