//! The view from a place, drawn from the plan: how far the stage is, from which side it is seen,
//! and who sits in front.
//!
//! A plan has no heights. Seats are taken to rise evenly away from the stage and people to be of
//! one size, and every picture says that it is no photograph.

mod hall;
mod picture;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

pub use self::hall::Hall;
use self::hall::{Eye, Side};
use super::chart::packed;
use super::event::find;
use super::page::{Oops, show};
use super::words;
use crate::app::App;
use crate::catalog::{Listing, Place, Section};
use crate::holds::http::cached;
use crate::http::extract::{Path, Query};
use crate::http::problem::{Code, Problem};
use crate::{counted, say};

/// A picture under the address of its plan's version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Under another one, or none.
const ASK_AGAIN: &str = "public, no-cache";

/// A picture with its words.
#[derive(Template)]
#[template(path = "parts/view.html")]
pub struct View {
    /// From where.
    pub name: String,
    /// An SVG element.
    pub picture: String,
    /// What it shows: the picture's text for who doesn't see it.
    pub text: String,
}

impl View {
    /// The view from a place. `None` where the plan doesn't tell where that is.
    #[must_use]
    pub fn from(listing: &Listing, hall: &Hall, place: &Place) -> Option<Self> {
        let eye = hall.eye(listing, place)?;
        let name = words::place_of(listing, place);
        let text = text(&eye);
        Some(Self { picture: picture::draw(listing, hall, &eye), name, text })
    }

    /// The view from the middle of a section.
    #[must_use]
    pub fn of_section(listing: &Listing, hall: &Hall, section: &Section) -> Option<Self> {
        let place = hall::middle(listing, section)?;
        let view = Self::from(listing, hall, place)?;
        let name = if section.area { section.name.clone() } else { view.name };
        Some(Self { name, ..view })
    }
}

/// What is seen, in words.
fn text(eye: &Eye) -> String {
    let metres = eye.distance_m.round();
    let stage = if eye.around { "view.to_centre" } else { "view.to_stage" };
    let mut parts = vec![String::from(say(stage).put("n", metres))];
    match eye.side {
        _ if eye.around => {}
        Side::Front => parts.push(say("view.front").into()),
        Side::Left => parts.push(say("view.left").into()),
        Side::Right => parts.push(say("view.right").into()),
        Side::Back => parts.push(say("view.back").into()),
    }
    match eye.rows_before {
        None => {}
        Some(0) => parts.push(say("view.first_row").into()),
        Some(rows) => parts.push(counted("view.rows", rows).into()),
    }
    parts.join(" · ")
}

/// Which version of the plan is asked for.
#[derive(Deserialize)]
pub struct ViewQuery {
    v: Option<i64>,
}

/// The picture alone: the same for everybody.
pub async fn picture(
    State(app): State<Arc<App>>,
    Path((slug, place)): Path<(String, i32)>,
    Query(query): Query<ViewQuery>,
    headers: HeaderMap,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let packed = packed(&app, &sale).await?;
    let listing = &sale.listing;
    let place = listing.place(place).ok_or_else(|| Problem::new(Code::NotFound))?;
    let eye = packed.hall.eye(listing, place).ok_or_else(|| Problem::new(Code::NotFound))?;
    let version = listing.event.version;
    let policy = if query.v == Some(version) { FOR_EVER } else { ASK_AGAIN };
    let etag = format!("\"v{version}\"");
    let draw = || picture::draw(listing, &packed.hall, &eye).into();
    Ok(cached(&headers, &etag, "image/svg+xml", policy, draw))
}

/// The picture with its words, to be put into a page.
pub async fn figure(
    State(app): State<Arc<App>>,
    Path((slug, place)): Path<(String, i32)>,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let packed = packed(&app, &sale).await?;
    let place = sale.listing.place(place).ok_or_else(|| Problem::new(Code::NotFound))?;
    let view = View::from(&sale.listing, &packed.hall, place);
    Ok(show(StatusCode::OK, &view.ok_or_else(|| Problem::new(Code::NotFound))?))
}
