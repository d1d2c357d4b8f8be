//! Price types and channels: named by their codes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::views::CodeView;
use crate::app::App;
use crate::catalog::edit::{Edit, kinds};
use crate::http::extract::{Body, IdempotencyKey};
use crate::http::json::Json;
use crate::http::problem::{Problem, ProblemBody};
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};
use crate::organizers::rules;

/// Something with a code and a name, to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    /// Its code, for good: letters, digits, `-` and `_`.
    #[schema(example = "child")]
    pub code: String,
    /// Its name.
    #[schema(example = "Child up to 14")]
    pub name: String,
}

#[derive(Clone, Copy)]
enum Kind {
    PriceType,
    Channel,
}

/// Adds a price type: a class of buyer.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/price-types", tag = "organizer",
    operation_id = "createPriceType",
    security(("organizer" = [])), request_body = CodeRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made", body = CodeView),
        (status = 200, description = "Made before, with the same key", body = CodeView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`exists`, `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create_price_type(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<CodeRequest>,
) -> Result<(StatusCode, Json<CodeView>), Problem> {
    create(&app, &own, Kind::PriceType, &key, request).await
}

/// Adds a channel, without an allocation: it sells what the public sells, until places are set
/// aside for it.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/channels", tag = "organizer",
    operation_id = "createChannel",
    security(("organizer" = [])), request_body = CodeRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Made", body = CodeView),
        (status = 200, description = "Made before, with the same key", body = CodeView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`exists`, `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody),
        (status = 503, description = "`rebuilding`: repeat", body = ProblemBody))
)]
pub async fn create_channel(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<CodeRequest>,
) -> Result<(StatusCode, Json<CodeView>), Problem> {
    create(&app, &own, Kind::Channel, &key, request).await
}

async fn create(
    app: &App,
    own: &Own<Catalog>,
    kind: Kind,
    key: &str,
    request: CodeRequest,
) -> Result<(StatusCode, Json<CodeView>), Problem> {
    let what = match kind {
        Kind::PriceType => "price-types",
        Kind::Channel => "channels",
    };
    let route = format!("events/{}/{what}", own.event());
    let creation = Creation::new(own.organizer, &route, key, &request);
    rules::code("/code", &request.code)?;
    let name = rules::line("/name", &request.name, rules::MAX_NAME_CHARS)?;
    let code = request.code;
    let mut edit = Edit::begin_alive(app, own.event()).await?;
    if let Begun::Again(_) = creation.begin(edit.pg()).await? {
        return Ok((StatusCode::OK, Json(CodeView { code, name })));
    }
    match kind {
        Kind::PriceType => kinds::add_price_type(&mut edit, &code, &name).await?,
        Kind::Channel => kinds::add_channel(app, &mut edit, &code, &name).await?,
    };
    edit.commit(app).await?;
    Ok((StatusCode::CREATED, Json(CodeView { code, name })))
}
