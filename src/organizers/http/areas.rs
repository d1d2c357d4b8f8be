//! Capacities of areas.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::catalog::edit::areas as edit;
use crate::http::extract::{Body, Path};
use crate::http::json::Json;
use crate::http::problem::{Problem, ProblemBody};
use crate::organizers::permit::{Own, Sales};

/// A capacity.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapacityRequest {
    /// How many people may be in the area.
    pub capacity: u32,
}

/// An area's capacity.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CapacityView {
    /// The area's code.
    pub area: String,
    /// Its units that are not killed.
    pub capacity: u32,
}

/// Raises or lowers an area's capacity. Holds and orders stay as they are.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/areas/{area}/capacity", tag = "organizer",
    operation_id = "setAreaCapacity",
    security(("organizer" = [])), request_body = CapacityRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("area" = String, Path, description = "The area's code")),
    responses((status = 200, description = "Done", body = CapacityView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such area of yours", body = ProblemBody),
        (status = 409, description = "`places_taken`: `least` is the lowest capacity that is \
            possible; `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`: repeat",
            body = ProblemBody))
)]
pub async fn set_capacity(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path((_, area)): Path<(String, String)>,
    Body(request): Body<CapacityRequest>,
) -> Result<Json<CapacityView>, Problem> {
    let id = own.event();
    let task = {
        let (app, area) = (app.clone(), area.clone());
        app.tasks
            .clone()
            .spawn(async move { edit::set_capacity(&app, id, &area, request.capacity).await })
    };
    task.await.map_err(Problem::internal)??;
    Ok(Json(CapacityView { area, capacity: request.capacity }))
}
