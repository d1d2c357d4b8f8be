//! Kills and allocations.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::catalog::edit::places::{self as edit, Change};
use crate::catalog::{Listing, PUBLIC};
use crate::http::extract::Body;
use crate::http::json::Json;
use crate::http::problem::{Problem, ProblemBody};
use crate::organizers::permit::{Own, Sales};
use crate::organizers::rules::Patch;

/// Most places that one request may name one by one.
const MAX_NAMED: usize = 5_000;

/// Which places, and what happens to them: exactly one of `kill` and `channel`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacesRequest {
    /// These, by number (see the manifest).
    #[serde(default)]
    pub places: Option<Vec<i32>>,
    /// Or all of the section or area with this code.
    #[serde(default)]
    pub section: Option<String>,
    /// With `section`: of this row only.
    #[serde(default)]
    pub row: Option<String>,
    /// Remove them from sale, or put them on sale again.
    #[serde(default)]
    pub kill: Option<bool>,
    /// Set them aside for the channel with this code; null: for everyone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub channel: Patch<Option<String>>,
}

/// What became of places.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlacesView {
    /// How many places were meant.
    pub places: usize,
    /// How many of them were not that way already.
    pub changed: usize,
}

fn change_of(listing: &Listing, request: &PlacesRequest) -> Result<Change, Problem> {
    match (request.kill, &request.channel) {
        (Some(true), Patch::Keep) => Ok(Change::Kill),
        (Some(false), Patch::Keep) => Ok(Change::Revive),
        (None, Patch::To(None)) => Ok(Change::Allocate(PUBLIC)),
        (None, Patch::To(Some(code))) => {
            let channel = listing.channels.iter().find(|channel| channel.code == *code);
            let unknown = || Problem::field("/channel", "this event has no such channel");
            channel.map(|channel| Change::Allocate(channel.number)).ok_or_else(unknown)
        }
        _ => Err(Problem::field("/kill", "give either kill or channel")),
    }
}

fn numbers_of(listing: &Listing, request: &PlacesRequest) -> Result<Vec<i32>, Problem> {
    match (&request.places, &request.section, &request.row) {
        (Some(places), None, None) => {
            if places.is_empty() || places.len() > MAX_NAMED {
                return Err(Problem::field(
                    "/places",
                    format!("must name 1 to {MAX_NAMED} places"),
                ));
            }
            for (at, number) in places.iter().enumerate() {
                if listing.place(*number).is_none() {
                    return Err(Problem::field(&format!("/places/{at}"), "no place of this event"));
                }
            }
            // Named twice is meant once.
            Ok(places.iter().copied().collect::<BTreeSet<_>>().into_iter().collect())
        }
        (None, Some(code), row) => {
            let section = listing.section_coded(code);
            let section = section
                .ok_or_else(|| Problem::field("/section", "this event has no such section"))?;
            let meant = listing.places.iter().filter(|place| {
                place.section == section.number
                    && row.as_deref().is_none_or(|row| place.row.as_deref() == Some(row))
            });
            let numbers: Vec<i32> = meant.map(|place| place.number).collect();
            if numbers.is_empty() {
                return Err(Problem::field("/row", "this section has no such row"));
            }
            Ok(numbers)
        }
        _ => Err(Problem::field("/places", "give either places, or section (and row)")),
    }
}

/// Kills places, revives them, or moves them between channels; all of them or none.
///
/// Held, claimed and sold places are never taken away: then nothing is changed.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/places", tag = "organizer",
    operation_id = "changePlaces",
    security(("organizer" = [])), request_body = PlacesRequest,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "Done", body = PlacesView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`places_taken`: `places` names up to 200 of them, `count` \
            says how many of those that were looked at; `event_state`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`: repeat",
            body = ProblemBody))
)]
pub async fn change(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Body(request): Body<PlacesRequest>,
) -> Result<Json<PlacesView>, Problem> {
    let listing = &own.sale.listing;
    let change = change_of(listing, &request)?;
    let numbers = numbers_of(listing, &request)?;
    let (id, places) = (own.event(), numbers.len());
    // Tracked: Redis and Postgres are changed one after the other.
    let task = {
        let app = app.clone();
        app.tasks.clone().spawn(async move { edit::change(&app, id, &numbers, change).await })
    };
    let changed = task.await.map_err(Problem::internal)??;
    Ok(Json(PlacesView { places, changed }))
}
