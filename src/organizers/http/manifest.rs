//! A manifest as a file, in and out.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::catalog::edit::exchange::{self, Format};
use crate::catalog::import::{self, Imported};
use crate::catalog::manifest;
use crate::holds::http::cached;
use crate::http::extract::{Query, in_time};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::organizers::permit::{Catalog, Own};

/// Which JSON it is.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonFormat {
    /// Our own.
    Own,
    /// A pretix seating plan.
    Pretix,
}

/// How a file is to be read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// Which JSON it is, if it is JSON; `own` if left out.
    #[param(inline)]
    pub format: Option<JsonFormat>,
}

/// As what a manifest is written.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Our own JSON: everything.
    Json,
    /// A table: sections, rows, seats, positions, levels, attributes.
    Csv,
}

/// How a manifest is to be written.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// `json` if left out.
    #[param(inline)]
    pub format: Option<ExportFormat>,
}

/// What an import came to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ImportedView {
    /// How many places the event has now.
    pub places: usize,
    /// How long it took on the server, in milliseconds.
    pub took_ms: u64,
}

/// Gives a draft its places, instead of those that it had; its offers go with them.
///
/// Send a table (`text/csv`: section, row, seat, x, y, level, attributes, `section_name`,
/// capacity), our own JSON (as `GET` writes it), or a pretix seating plan (`?format=pretix`).
#[utoipa::path(
    put, path = "/v1/organizer/events/{event}/manifest", tag = "organizer",
    operation_id = "importManifest",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), ImportQuery),
    request_body(content((String = "text/csv"), (Object = "application/json"))),
    responses((status = 200, description = "Imported", body = ImportedView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: it is no draft any more", body = ProblemBody),
        (status = 413, description = "`too_large`", body = ProblemBody),
        (status = 415, description = "Neither CSV nor JSON", body = ProblemBody),
        (status = 422, description = "`manifest_invalid`: `errors` say where and what; nothing \
            was changed", body = ProblemBody))
)]
pub async fn import(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Json<ImportedView>, Problem> {
    let started = Instant::now();
    let format = format_of(request.headers(), &query)?;
    let within = request.extensions().get().copied();
    let bytes = in_time(within, whole(request, app.config.http.max_manifest_bytes)).await?;
    let id = own.event();
    // Tracked: who hangs up after sending a stadium still gets it imported, or not at all.
    let task = {
        let app = app.clone();
        app.tasks.clone().spawn(async move {
            let read = move || exchange::read(format, &bytes);
            let manifest = tokio::task::spawn_blocking(read).await.map_err(Problem::internal)?;
            let manifest = manifest.map_err(|errors| {
                Problem::new(Code::ManifestInvalid).with("errors", errors.as_slice())
            })?;
            let imported = import::import(&app.pg, id, &manifest).await?;
            app.catalog.refresh(id).await?;
            Ok::<_, Problem>(imported)
        })
    };
    match task.await.map_err(Problem::internal)?? {
        Imported::Places(places) => {
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Ok(Json(ImportedView { places, took_ms }))
        }
        Imported::NotDraft => Err(Problem::new(Code::EventState)
            .detail("only a draft's manifest can be replaced; change places one by one")),
        Imported::NoEvent => Err(Problem::new(Code::NotFound)),
    }
}

fn format_of(headers: &HeaderMap, query: &ImportQuery) -> Result<Format, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match (kind.to_ascii_lowercase().as_str(), query.format) {
        ("text/csv", None) => Ok(Format::Csv),
        ("application/json", Some(JsonFormat::Pretix)) => Ok(Format::Pretix),
        ("application/json", _) => Ok(Format::Json),
        ("text/csv", Some(_)) => Err(Problem::new(Code::Invalid).detail("format is for JSON")),
        _ => Err(Problem::new(Code::MediaType).detail("send text/csv or application/json")),
    }
}

/// The body, within a bound of its own: that of other routes is far too small for a stadium.
pub(super) async fn whole(request: Request, most: usize) -> Result<Vec<u8>, Problem> {
    let mut chunks = request.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| Problem::new(Code::Malformed).detail(error.to_string()))?;
        if bytes.len() + chunk.len() > most {
            return Err(Problem::new(Code::TooLarge).detail(format!("at most {most} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The event's places as a file that can be imported again.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/manifest", tag = "organizer",
    operation_id = "exportManifest",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), ExportQuery),
    responses((status = 200, description = "The manifest",
            content((Object = "application/json"), (String = "text/csv"))),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or it has no places",
            body = ProblemBody))
)]
pub async fn export(
    own: Own<Catalog>,
    Query(query): Query<ExportQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let listing = own.sale.listing.clone();
    if listing.places.is_empty() {
        return Err(Problem::new(Code::NotFound).detail("the event has no manifest yet"));
    }
    let format = query.format.unwrap_or(ExportFormat::Json);
    let (kind, mark) = match format {
        ExportFormat::Json => ("application/json", 'j'),
        ExportFormat::Csv => ("text/csv; charset=utf-8", 'c'),
    };
    let etag = format!("\"x{mark}{}\"", listing.event.version);
    let write = move || {
        let manifest = exchange::manifest_of(&listing);
        match format {
            ExportFormat::Json => manifest::json::to_string(&manifest),
            ExportFormat::Csv => manifest::csv::to_string(&manifest),
        }
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(Problem::internal)?;
    let text = written.map_err(Problem::internal)?;
    Ok(cached(&headers, &etag, kind, "private, no-cache", || text.into()))
}
