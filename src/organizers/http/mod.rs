//! The organizers' API: everything under `/v1/organizer`, with an API key.

pub mod areas;
pub mod channels;
pub mod code_imports;
pub mod code_sets;
pub mod codes;
pub mod comps;
pub mod events;
pub mod manifest;
pub mod offers;
pub mod orders;
pub mod places;
pub mod promos;
pub mod registrations;
pub mod sales;
pub mod status;
pub mod terms;
pub mod venues;
pub mod views;
pub mod waiting_room;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::problem::Problem;
use crate::rehearsals::http as rehearsals;
use crate::suspicion::http as suspicion;

/// Rows on a page of a list.
const PAGE: usize = 50;

/// The organizers' routes.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(venues::create, venues::list))
        .routes(routes!(events::create, events::list))
        .routes(routes!(events::read, events::update))
        .routes(routes!(status::set))
        .routes(routes!(status::freeze))
        .routes(routes!(manifest::import, manifest::export))
        .routes(routes!(channels::create_price_type))
        .routes(routes!(channels::create_channel))
        .routes(routes!(offers::create))
        .routes(routes!(offers::update))
        .routes(routes!(promos::create, promos::list))
        .routes(routes!(promos::update))
        .routes(routes!(places::change))
        .routes(routes!(areas::set_capacity))
        .routes(routes!(orders::list))
        .routes(routes!(orders::read))
        .routes(routes!(orders::refund))
        .routes(routes!(comps::create))
        .routes(routes!(sales::read))
        .routes(routes!(code_sets::create, code_sets::list))
        .routes(routes!(code_sets::revoke))
        .routes(routes!(codes::create, codes::list))
        .routes(routes!(code_imports::create))
        .routes(routes!(codes::revoke))
        .routes(routes!(registrations::create))
        .routes(routes!(registrations::beacon))
        .routes(routes!(waiting_room::put))
        .routes(routes!(waiting_room::control))
        .routes(routes!(waiting_room::beacon))
        .routes(routes!(waiting_room::revoke))
        .routes(routes!(rehearsals::begin))
        .routes(routes!(rehearsals::read, rehearsals::end))
        .routes(routes!(rehearsals::audit))
        .routes(routes!(suspicion::list))
        .routes(routes!(suspicion::decide))
}

/// An answer with an `ETag`, or 304 to who has it already.
fn tagged(headers: &HeaderMap, view: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(view).map_err(Problem::internal)?;
    let etag = format!("\"{}\"", hex::encode(crate::holds::digest(view)));
    let policy = "private, no-cache";
    Ok(crate::holds::http::cached(headers, &etag, "application/json", policy, || body.into()))
}

/// Cuts a list that was asked for one row too many; the last row that is shown, if there is more.
fn cut<T, C>(rows: &mut Vec<T>, cursor: impl Fn(&T) -> C) -> Option<C> {
    if rows.len() <= PAGE {
        return None;
    }
    rows.truncate(PAGE);
    rows.last().map(cursor)
}
