//! The draw of a waiting room, explained, and checked for whoever asks.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::event::{Head, find};
use super::free::Free;
use super::page::{Oops, show};
use super::refusals::Advice;
use super::session::Visitor;
use super::words::{When, grouped};
use crate::app::App;
use crate::http::extract::{Path, Query};
use crate::http::problem::{Code, Problem};
use crate::ids::AccountId;
use crate::say;
use crate::waiting_room::draw::fraction;
use crate::waiting_room::token::QueueToken;
use crate::waiting_room::{Lane, Room};

/// A lane's draw as anyone may know it.
struct LaneDraw {
    number: i16,
    name: String,
    seed_hash: String,
    beacon_name: String,
    beacon: Option<String>,
    seed: Option<String>,
    draw_at: String,
    joined: String,
}

/// Somebody's place, with everything that it follows from.
struct Rank {
    lane: i16,
    lane_name: String,
    subject: AccountId,
    place: i64,
    fraction: String,
    rank: String,
    of: String,
    seed: String,
    seed_hash: String,
    beacon: String,
}

/// What the visitor's own place is.
enum Own {
    /// None: they haven't joined.
    None,
    /// It will be drawn.
    Later(AccountId),
    /// It was drawn.
    Drawn(Box<Rank>),
    /// They came after the draw.
    After(String),
}

#[derive(Template)]
#[template(path = "draw.html")]
struct DrawPage {
    head: Head,
    event: String,
    lanes: Vec<LaneDraw>,
    own: Own,
    checked: Option<Rank>,
    asked: String,
    asked_lane: i16,
    alert: Option<Advice>,
    shop: String,
}

impl DrawPage {
    /// Where a program reads what was published.
    fn url(&self) -> String {
        format!("{}/v1/events/{}/waiting-room", self.shop, self.head.slug)
    }
}

/// Whose rank is to be computed.
#[derive(Deserialize)]
pub struct DrawQuery {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    lane: String,
}

/// The draw.
pub async fn draw(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    Query(query): Query<DrawQuery>,
    visitor: Visitor,
) -> Result<Response, Oops> {
    let sale = find(&app, &slug).await?;
    let event = &sale.listing.event;
    let room = if event.waiting_room { app.rooms.get(event.id).await? } else { None };
    let Some(room) = room else {
        let oops = Oops::from(Problem::new(Code::NotFound));
        return Err(oops.then(format!("/events/{slug}"), say("go.event")));
    };
    let asked = query.subject.trim().to_owned();
    let lane = query.lane.parse().ok().and_then(|number| room.lane(number));
    let lane = lane.or_else(|| room.lanes.iter().rev().find(|lane| lane.draw.is_drawn()));
    let lane = lane.or_else(|| room.lanes.last());
    let (checked, alert) = match (asked.is_empty(), asked.parse(), lane) {
        (true, ..) | (.., None) => (None, None),
        (false, Err(_), _) => (None, Some(no_id())),
        (false, Ok(subject), Some(lane)) => match rank(lane, subject) {
            Some(rank) => (Some(rank), None),
            None => (None, Some(too_early())),
        },
    };
    let status = if alert.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = DrawPage {
        event: event.id.to_string(),
        lanes: room
            .lanes
            .iter()
            .rev()
            .map(|lane| lane_draw(lane, &event.venue.time_zone))
            .collect(),
        own: own(&app, &room, &visitor),
        checked,
        asked,
        asked_lane: lane.map_or(0, |lane| lane.number),
        alert,
        shop: app.config.http.public_url.clone(),
        head: Head::new(&app, &sale.listing, &Free::unknown()),
    };
    Ok(show(status, &page))
}

fn no_id() -> Advice {
    Advice {
        title: say("draw.no_id").into(),
        text: say("draw.no_id.text").into(),
        places: Vec::new(),
    }
}

fn too_early() -> Advice {
    Advice {
        title: say("draw.early").into(),
        text: say("draw.early.text").into(),
        places: Vec::new(),
    }
}

fn lane_draw(lane: &Lane, zone: &str) -> LaneDraw {
    LaneDraw {
        number: lane.number,
        name: lane.name.clone(),
        seed_hash: hex::encode(lane.draw.seed_hash()),
        beacon_name: lane.draw.beacon_name.clone(),
        beacon: lane.draw.beacon.clone(),
        seed: lane.draw.revealed().map(hex::encode),
        draw_at: When::new(lane.draw_at, zone).whole(),
        joined: grouped(&u64::try_from(lane.joined).unwrap_or(0)),
    }
}

fn own(app: &App, room: &Room, visitor: &Visitor) -> Own {
    let token = visitor.queue_token(room.event);
    let token = token.and_then(|text| QueueToken::open(&app.keyring, &text));
    let token = token.filter(|t| t.event == room.event && Some(t.subject) == visitor.account);
    let Some(token) = token else { return Own::None };
    let Some(lane) = room.lane(token.lane) else { return Own::None };
    match (token.place, rank(lane, token.subject)) {
        (Some(_), _) => Own::After(lane.name.clone()),
        (None, None) => Own::Later(token.subject),
        (None, Some(rank)) => Own::Drawn(Box::new(rank)),
    }
}

/// A subject's place in a draw that was made.
fn rank(lane: &Lane, subject: AccountId) -> Option<Rank> {
    let place = lane.draw.place(subject.0)?;
    let u = fraction(place);
    let joined = u64::try_from(lane.joined).unwrap_or(0).max(1);
    Some(Rank {
        lane: lane.number,
        lane_name: lane.name.clone(),
        subject,
        place,
        fraction: format!("{u:.6}"),
        rank: grouped(&((u * joined as f64) as u64 + 1)),
        of: grouped(&joined),
        seed: lane.draw.revealed().map(hex::encode).unwrap_or_default(),
        seed_hash: hex::encode(lane.draw.seed_hash()),
        beacon: lane.draw.beacon.clone().unwrap_or_default(),
    })
}
