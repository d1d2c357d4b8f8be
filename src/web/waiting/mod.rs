//! The waiting room as people see it: joining, standing in line, the turn.
//!
//! The page has all that may be said in it from the beginning, and shows what is true now; a
//! script follows the line and only switches between these and fills numbers in. Without scripts
//! the page loads itself again.

mod scenes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use self::scenes::{Figures, LaneChoice, LevelLeft, SCENES, Scene};
use super::codes;
use super::door::Door;
use super::event::{Head, find};
use super::free::Free;
use super::page::{Fields, Oops, see_other, show};
use super::refusals::{self, Advice};
use super::session::Visitor;
use super::sign_in;
use crate::access::grant::Grant;
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::http::extract::{Path, Query};
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem};
use crate::ids::AccountId;
use crate::say;
use crate::waiting_room::board::Board;
use crate::waiting_room::http as rooms;
use crate::waiting_room::join::Joiner;
use crate::waiting_room::poll::{PlaceView, Standing};
use crate::waiting_room::token::{Pass, QueueToken};
use crate::waiting_room::{Phase, Room, RoomState, passes, turn};

/// Without scripts the page loads itself again no sooner, and no later, in seconds.
const REFRESH_LEAST_S: u64 = 2;
const REFRESH_MOST_S: u64 = 60;
/// How long somebody who presses to go in waits behind others, at most and at a time.
const ENTER_WITHIN: Duration = Duration::from_secs(6);
const ENTER_AGAIN: Duration = Duration::from_millis(300);

#[derive(Template)]
#[template(path = "waiting.html")]
struct WaitingPage {
    head: Head,
    /// What is true now: one of the scenes.
    now: &'static str,
    scenes: &'static [Scene],
    lanes: Vec<LaneChoice>,
    /// Whether the draw is still to come, for who hasn't joined.
    before_draw: bool,
    /// About how many wait, for who would be behind them.
    behind: u64,
    /// Whether the visitor has a place.
    joined: bool,
    figures: Figures,
    levels: Vec<LevelLeft>,
    message: String,
    /// Where a proof of work is asked for, if one is.
    challenge: Option<String>,
    alert: Option<Advice>,
    said: String,
    door: Door,
    access_code: String,
    refresh_s: Option<u64>,
}

impl WaitingPage {
    /// For what belongs to these scenes: hidden in all others, and the script knows when not.
    fn within(&self, scenes: &str) -> String {
        let off = !scenes.split(' ').any(|scene| scene == self.now);
        format!("data-in=\"{scenes}\"{}", if off { " hidden" } else { "" })
    }

    /// Whether any line needs an access code.
    fn asks_code(&self) -> bool {
        self.lanes.iter().any(|lane| lane.needs_code)
    }
}

/// Why a visitor comes here.
#[derive(Deserialize)]
pub struct WaitingQuery {
    given: Option<String>,
}

/// The event and its waiting room.
async fn find_room(app: &App, slug: &str) -> Result<(Arc<Sale>, Arc<Room>, Arc<Board>), Oops> {
    let sale = find(app, slug).await?;
    let event = sale.listing.event.id;
    let room = if sale.listing.event.waiting_room { app.rooms.get(event).await? } else { None };
    let Some(room) = room else {
        let oops = Oops::from(Problem::new(Code::NotFound));
        return Err(oops.then(format!("/events/{slug}"), say("go.event")));
    };
    let board = rooms::board(app, &room).await?;
    Ok((sale, room, board))
}

/// The place in line that the visitor's cookie has: theirs, and of this event.
fn token_of(app: &App, room: &Room, visitor: &Visitor) -> Option<QueueToken> {
    let text = visitor.queue_token(room.event)?;
    let token = QueueToken::open(&app.keyring, &text)?;
    (token.event == room.event && Some(token.subject) == visitor.account).then_some(token)
}

/// Where the visitor stands, unless they have no place, or one in a line that is over while
/// another can be joined.
fn standing(app: &App, board: &Board, visitor: &Visitor) -> Option<PlaceView> {
    let token = token_of(app, &board.room, visitor)?;
    let room = rooms::known(app, token.event).ok()?;
    let view = rooms::place_view(app, &room, board, &token).ok()?;
    let others = board.room.lanes.iter().any(|lane| {
        lane.number != token.lane
            && board.room.phase(lane, app.rooms.now_ms()) != Phase::Closed
            && board.room.state != RoomState::Closed
    });
    (view.state != Standing::Closed || !others).then_some(view)
}

/// The waiting room.
pub async fn waiting(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    Query(query): Query<WaitingQuery>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let (sale, _, board) = find_room(&app, &slug).await?;
    // Before the form is sent, so that sending it twice is by one visitor.
    visitor.need(&app);
    let up = query.given.as_deref() == Some("up");
    let said = if up { say("wait.given_up").into() } else { String::new() };
    let page = page(&app, &sale, &board, &visitor, &Fields::none(), None).await;
    Ok(visitor.with(show(StatusCode::OK, &WaitingPage { said, ..page })))
}

async fn page(
    app: &Arc<App>,
    sale: &Arc<Sale>,
    board: &Board,
    visitor: &Visitor,
    fields: &Fields,
    alert: Option<Advice>,
) -> WaitingPage {
    let (room, listing) = (&board.room, &sale.listing);
    let now_ms = app.rooms.now_ms();
    let door = Door::of(app, sale, visitor).await;
    let view = standing(app, board, visitor);
    let lanes = scenes::lanes(room, fields.text("lane"), &listing.event.venue.time_zone, now_ms);
    let now = match (&door.stay, &view) {
        _ if room.state == RoomState::Lifted => "lifted",
        (Some(_), _) => "inside",
        (None, Some(view)) => scenes::word(view.state),
        (None, None) => scenes::unjoined(room, &lanes),
    };
    let wished = lanes.iter().find(|lane| lane.chosen).map(|lane| lane.number);
    let lane = view.as_ref().map(|view| view.lane).or(wished);
    let figures = Figures::new(board, view.as_ref(), lane, now_ms);
    let known_lane = lane.and_then(|number| room.lane(number));
    let before_draw = known_lane.is_some_and(|lane| room.phase(lane, now_ms) == Phase::PreQueue);
    WaitingPage {
        head: Head::new(app, listing, &Free::unknown()),
        now,
        scenes: &SCENES,
        before_draw,
        behind: figures.waiting,
        joined: view.is_some(),
        refresh_s: refresh_s(now, &figures, view.as_ref()),
        figures,
        levels: scenes::levels(board, listing),
        message: room.message.clone(),
        challenge: (room.proof && visitor.signed_in.is_none())
            .then(|| format!("/v1/events/{}/waiting-room/challenge", listing.event.slug)),
        alert,
        said: String::new(),
        door,
        access_code: fields.text("access_code").unwrap_or_default().to_owned(),
        lanes,
    }
}

/// How soon the page is worth loading again where no script follows the line.
fn refresh_s(now: &str, figures: &Figures, view: Option<&PlaceView>) -> Option<u64> {
    let until = |ms: i64| u64::try_from((ms - figures.now_ms) / 1_000 + 1).unwrap_or(0);
    let seconds = match (now, view) {
        ("soon", _) => until(figures.joins_ms),
        // Nothing changes before it is over, and loading again takes the focus from the button.
        ("your_turn", _) => until(figures.turn_ms),
        // What was entered into the form would be lost.
        ("join" | "shut" | "inside" | "missed" | "lifted", _) | (_, None) => return None,
        (_, Some(view)) => view.poll_after_ms.div_ceil(1_000),
    };
    Some(seconds.clamp(REFRESH_LEAST_S, REFRESH_MOST_S))
}

async fn refused(
    app: &Arc<App>,
    sale: &Arc<Sale>,
    board: &Board,
    visitor: Visitor,
    fields: &Fields,
    problem: &Problem,
) -> Response {
    let mut advice = refusals::advice(problem);
    if problem.code == Code::AccessCode {
        advice.text = say("wait.code_text").into();
    }
    let page = page(app, sale, board, &visitor, fields, Some(advice)).await;
    visitor.with(show(problem.code.status(), &page))
}

fn here(slug: &str) -> String {
    format!("/events/{slug}/waiting-room")
}

/// What the form's code opens, where the lane asks for a grant, or codes before it have.
async fn grants(
    app: &App,
    room: &Room,
    visitor: &mut Visitor,
    client: Client,
    fields: &Fields,
) -> Result<Vec<Grant>, Problem> {
    let wanted = room.lanes.iter().find(|lane| Some(lane.code.as_str()) == fields.text("lane"));
    match (wanted.and_then(|lane| lane.code_set), fields.text("access_code")) {
        (None, _) => Ok(Vec::new()),
        (Some(_), None) => Ok(codes::kept(app, visitor, room.event)),
        (Some(_), Some(typed)) => codes::redeem(app, visitor, room.event, client, typed).await,
    }
}

/// Joins.
pub async fn join(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    client: Client,
    mut visitor: Visitor,
    fields: Fields,
) -> Result<Response, Oops> {
    let (sale, room, board) = find_room(&app, &slug).await?;
    if let Some(first) = sign_in::first(&sale, &visitor) {
        return Ok(first);
    }
    if room.state == RoomState::Lifted {
        return Ok(see_other(&here(&slug)));
    }
    let subject = visitor.need(&app);
    let token = visitor.queue_token(room.event);
    let grants = match grants(&app, &room, &mut visitor, client, &fields).await {
        Ok(grants) => grants,
        Err(problem) => return Ok(refused(&app, &sale, &board, visitor, &fields, &problem).await),
    };
    let joiner = Joiner {
        subject,
        signed_in: visitor.signed_in.is_some(),
        lane: fields.text("lane"),
        access_code: fields.text("access_code"),
        grants: &grants,
        token: token.as_deref(),
        proof: fields.text("proof"),
        client: client.0,
    };
    match rooms::admit(&app, &room, &joiner).await {
        Ok(token) => {
            visitor.keep_queue_token(&app, room.event, &token.seal(&app.keyring));
            Ok(visitor.with(see_other(&here(&slug))))
        }
        Err(problem) if problem.code == Code::SignInNeeded => {
            Ok(visitor.with(see_other(&format!("/sign-in?next={}", here(&slug)))))
        }
        Err(problem) => Ok(refused(&app, &sale, &board, visitor, &fields, &problem).await),
    }
}

/// Takes the turn: from here on the pass says that its owner may shop.
pub async fn enter(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let (sale, room, board) = find_room(&app, &slug).await?;
    let choose = see_other(&format!("/events/{slug}/choose"));
    if !Door::of(&app, &sale, &visitor).await.shut {
        return Ok(choose);
    }
    let (Some(token), Some(account)) = (token_of(&app, &room, &visitor), visitor.account) else {
        return Ok(see_other(&here(&slug)));
    };
    match take(&app, &room, &token, account).await {
        Ok(pass) => {
            visitor.keep_pass(&app, room.event, &pass.seal(&app.keyring));
            // It is used up: whoever wants in again joins again.
            visitor.drop_queue_token(&app, room.event);
            Ok(visitor.with(choose))
        }
        Err(problem) => {
            let mut shown = visitor;
            if matches!(problem.code, Code::TurnSpent | Code::QueueToken) {
                shown.drop_queue_token(&app, room.event);
            }
            Ok(refused(&app, &sale, &board, shown, &Fields::none(), &problem).await)
        }
    }
}

/// Takes the turn. Where more come at a moment than are let in, the others are let in a moment
/// later: a person who is told to press again soon has been told nothing.
async fn take(
    app: &Arc<App>,
    room: &Room,
    token: &QueueToken,
    account: AccountId,
) -> Result<Pass, Problem> {
    let began = Instant::now();
    loop {
        match turn::take(app, room, token, account).await {
            Err(problem)
                if problem.code == Code::TooManyRequests && began.elapsed() < ENTER_WITHIN =>
            {
                tokio::time::sleep(ENTER_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Gives the turn up: somebody else is let in for it.
pub async fn give_up(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    mut visitor: Visitor,
) -> Result<Response, Oops> {
    let (_, room, _) = find_room(&app, &slug).await?;
    let pass = visitor.pass(room.event).and_then(|text| Pass::open(&app.keyring, &text));
    let own = |pass: &Pass| pass.event == room.event && Some(pass.subject) == visitor.account;
    let Some(pass) = pass.filter(own) else { return Ok(see_other(&here(&slug))) };
    passes::give_up(&app, &pass).await?;
    visitor.drop_pass(&app, room.event);
    visitor.drop_queue_token(&app, room.event);
    Ok(visitor.with(see_other(&format!("{}?given=up", here(&slug)))))
}

/// What the page's script polls: the answer to the API's poll, by the cookie.
pub async fn place(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let token = script_token(&app, &slug, &visitor).await?;
    let room = rooms::known(&app, token.event)?;
    let board = rooms::board(&app, &room).await?;
    rooms::answer(&app, &room, &board, &token)
}

/// The same as a stream.
pub async fn stream(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let token = script_token(&app, &slug, &visitor).await?;
    rooms::watch(&app, token)
}

async fn script_token(app: &App, slug: &str, visitor: &Visitor) -> Result<QueueToken, Problem> {
    let room = rooms::find(app, slug).await?;
    token_of(app, &room, visitor).ok_or_else(|| Problem::new(Code::QueueToken))
}
