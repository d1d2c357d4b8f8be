//! The waiting room over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::board::{Board, RoomView};
use super::join::{self, Joined, Joiner};
use super::poll::{self, PlaceView};
use super::token::{Pass, QueueToken};
use super::{Room, passes, turn};
use crate::access::grant::{Grant, access_of};
use crate::accounts;
use crate::app::App;
use crate::http::around;
use crate::http::extract::{Body, Buyer, Path, Query, Session};
use crate::http::json::Json;
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::EventId;

/// Carries the place in line.
pub const QUEUE_HEADER: HeaderName = HeaderName::from_static("onsale-queue");
/// Carries the pass.
pub const PASS_HEADER: HeaderName = HeaderName::from_static("onsale-pass");
/// Time between two messages of a stream that has nothing new to say, at most.
const STREAM_EVERY: Duration = Duration::from_secs(10);
const STREAM_LEAST: Duration = Duration::from_secs(1);
/// What everybody is told may be kept by a cache for so long.
const SHARED_POLICY: &str = "public, max-age=1, stale-while-revalidate=4";
/// Headers of a poll's answer, with those that it gets on its way.
const ANSWER_HEADERS: usize = 8;

/// The event's room, if the public may see the event.
///
/// # Errors
/// `not_found` if there is none.
pub async fn find(app: &App, event: &str) -> Result<Arc<Room>, Problem> {
    let sale = crate::catalog::http::visible(app, event).await?;
    let room = app.rooms.get(sale.listing.event.id).await?;
    room.ok_or_else(|| Problem::new(Code::NotFound).detail("this event has no waiting room"))
}

/// The room as it is known now.
///
/// # Errors
/// `not_found` if there is none any more.
pub fn known(app: &App, event: EventId) -> Result<Arc<Room>, Problem> {
    app.rooms.known(event).ok_or_else(|| Problem::new(Code::NotFound))
}

/// The board of a room as it is known now.
///
/// # Errors
/// `not_found` if there is none.
pub async fn board(app: &App, room: &Room) -> Result<Arc<Board>, Problem> {
    let gone = || Problem::new(Code::NotFound);
    let board = app.boards.get(app, room.event).await?.ok_or_else(gone)?;
    // A lane that was made a moment ago isn't on it yet, and may be joined already.
    if room.lanes.len() <= board.room.lanes.len() {
        return Ok(board);
    }
    // Boxed: every poll would have the room for it.
    Box::pin(app.boards.refresh(app, room.event)).await?;
    app.boards.get(app, room.event).await?.ok_or_else(gone)
}

/// What everybody in the waiting room is told.
///
/// The same for all, so a cache in front may keep it. Who knows their `place` (from the answer to
/// a poll, once the draw is made) needs nothing else: it is their turn when the lane's `serving`
/// is greater.
#[utoipa::path(
    get, path = "/v1/events/{event}/waiting-room", tag = "waiting room",
    operation_id = "getWaitingRoom",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The waiting room", body = RoomView),
        (status = 304, description = "As you have it"),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody))
)]
pub async fn read(State(app): State<Arc<App>>, request: Request) -> Response {
    around::poll(&app, request, async |mut parts| {
        let Path(event) = Path::<String>::from_request_parts(&mut parts, &app).await?;
        let room = find(&app, &event).await?;
        let board = board(&app, &room).await?;
        let (kind, body) = ("application/json", || board.body.clone());
        Ok(crate::holds::http::cached(&parts.headers, &board.etag, kind, SHARED_POLICY, body))
    })
    .await
}

/// How to join.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JoinRequest {
    /// The lane's code; the general lane if there is none.
    pub lane: Option<String>,
    /// For lanes with `needs_code`.
    pub access_code: Option<String>,
    /// For lanes with `needs_grant`, unless it is sent as `Onsale-Access`.
    pub access: Option<String>,
    /// A queue token from before: if it is still good, it is the answer.
    pub token: Option<String>,
    /// The solution of a challenge, where the room asks for proof and you have no account.
    pub proof: Option<String>,
}

/// A place in line.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct JoinView {
    /// Send it as `Onsale-Queue` to poll, and in the exchange for a pass. Keep it: it is all
    /// that an anonymous visitor's place consists of.
    pub token: String,
    /// Where you stand.
    #[serde(flatten)]
    pub place: PlaceView,
}

/// Joins the waiting room.
///
/// Before the draw it doesn't matter when; after it, places are given in the order of arrival.
/// Joining again is harmless: before the draw, with the token, or with an account, the answer is
/// the same place. A place whose turn is over is replaced by one behind everyone.
#[utoipa::path(
    post, path = "/v1/events/{event}/waiting-room/join", tag = "waiting room",
    operation_id = "joinWaitingRoom",
    params(("event" = String, Path, description = "Id or slug"),
           ("Onsale-Access" = Option<String>, Header,
            description = "Grants for lanes that need one")),
    request_body = JoinRequest, security(("session" = [])),
    responses((status = 200, description = "Your place", body = JoinView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`access_code`; `proof_needed`: solve a challenge, or sign \
            in; `proof_invalid`; `sign_in_needed`: the event asks for an account, or too many \
            have joined from your network without one", body = ProblemBody),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody),
        (status = 409, description = "`not_open_yet` (with `joins_at`), `line_closed`, \
            `proof_spent`: solve another one", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`rebuilding`, `unknown_outcome`: repeat",
            body = ProblemBody))
)]
pub async fn join(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    session: Session,
    Client(client): Client,
    headers: HeaderMap,
    Body(request): Body<JoinRequest>,
) -> Result<Json<JoinView>, Problem> {
    let sale = crate::catalog::http::visible(&app, &event).await?;
    accounts::admit(&sale.listing.event, &session)?;
    let room = find(&app, &event).await?;
    let access = request.access.as_deref().unwrap_or_else(|| access_of(&headers));
    let grants = Grant::read(&app.keyring, room.event, session.account, access);
    let joiner = Joiner {
        subject: session.account,
        signed_in: session.signed_in.is_some(),
        lane: request.lane.as_deref(),
        access_code: request.access_code.as_deref(),
        grants: &grants,
        token: request.token.as_deref(),
        proof: request.proof.as_deref(),
        client,
    };
    let token = admit(&app, &room, &joiner).await?;
    let room = known(&app, room.event)?;
    let board = board(&app, &room).await?;
    let place = place_view(&app, &room, &board, &token)?;
    Ok(Json(JoinView { token: token.seal(&app.keyring), place }))
}

/// Joins; see [`join`].
///
/// # Errors
/// The refusal.
pub async fn admit(
    app: &Arc<App>,
    room: &Room,
    joiner: &Joiner<'_>,
) -> Result<QueueToken, Problem> {
    match join::look(app, room, joiner).await? {
        Joined::Known(token) => Ok(token),
        Joined::New(lane) => {
            let token = join::enter(app, room, lane, joiner).await?;
            metrics::counter!("onsale_waiting_joined_total").increment(1);
            Ok(token)
        }
    }
}

/// Where a token stands now.
///
/// # Errors
/// `queue_token` if its lane is gone.
pub fn place_view(
    app: &App,
    room: &Room,
    board: &Board,
    token: &QueueToken,
) -> Result<PlaceView, Problem> {
    poll::view(room, board, token, app.rooms.now_ms(), &app.config.waiting_room)
        .ok_or_else(|| Problem::new(Code::QueueToken).detail("its lane is gone"))
}

/// Reads a queue token of this event.
///
/// # Errors
/// `queue_token` if it is none.
pub fn open(app: &App, event: EventId, text: Option<&str>) -> Result<QueueToken, Problem> {
    let text = text
        .ok_or_else(|| Problem::new(Code::QueueToken).detail("send the token as Onsale-Queue"))?;
    let token = QueueToken::open(&app.keyring, text);
    token.filter(|token| token.event == event).ok_or_else(|| Problem::new(Code::QueueToken))
}

/// The answer to a poll: your place, and as `room` what everybody is told.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PollView {
    /// Where you stand.
    #[serde(flatten)]
    pub place: PlaceView,
    /// What everybody is told.
    pub room: RoomView,
}

/// Where you stand. Poll again after `poll_after_ms`, not sooner: it changes nothing.
#[utoipa::path(
    get, path = "/v1/events/{event}/waiting-room/place", tag = "waiting room",
    operation_id = "getPlaceInLine",
    params(("event" = String, Path, description = "Id or slug"),
           ("Onsale-Queue" = String, Header, description = "The token of joining")),
    responses((status = 200, description = "Your place", body = PollView),
        (status = 403, description = "`queue_token`: not a token of this waiting room",
            body = ProblemBody),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody))
)]
pub async fn place(State(app): State<Arc<App>>, request: Request) -> Response {
    around::poll(&app, request, async |mut parts| {
        let Path(event) = Path::<String>::from_request_parts(&mut parts, &app).await?;
        let room = find(&app, &event).await?;
        let text = parts.headers.get(QUEUE_HEADER).and_then(|value| value.to_str().ok());
        let token = open(&app, room.event, text)?;
        let board = board(&app, &room).await?;
        answer(&app, &room, &board, &token)
    })
    .await
}

/// A poll's answer.
///
/// # Errors
/// `queue_token` if its lane is gone.
pub fn answer(
    app: &App,
    room: &Room,
    board: &Board,
    token: &QueueToken,
) -> Result<Response, Problem> {
    let view = place_view(app, room, board, token)?;
    let mut response = Response::new(axum::body::Body::from(poll::body(&view, board)));
    let headers = response.headers_mut();
    // At once for all that an answer has: it would grow twice.
    headers.reserve(ANSWER_HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A stream's parameters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// The queue token; browsers can't send headers with an event stream.
    pub token: String,
}

/// Where you stand, as it changes (Server-Sent Events): events `place` with the answer to a poll.
#[utoipa::path(
    get, path = "/v1/events/{event}/waiting-room/stream", tag = "waiting room",
    operation_id = "streamPlaceInLine",
    params(("event" = String, Path, description = "Id or slug"), StreamQuery),
    responses((status = 200, description = "A stream of `place` events", body = PollView,
               content_type = "text/event-stream"),
        (status = 403, description = "`queue_token`", body = ProblemBody),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody),
        (status = 503, description = "Too many streams: poll", body = ProblemBody))
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let room = find(&app, &event).await?;
    let token = open(&app, room.event, Some(&query.token))?;
    watch(&app, token)
}

/// A stream of polls' answers; see [`stream`].
///
/// # Errors
/// `unavailable` if there are too many streams.
pub fn watch(app: &Arc<App>, token: QueueToken) -> Result<Response, Problem> {
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(Code::Unavailable).retry_after(5))?;
    let stop = app.draining.child_token();
    let state = (app.clone(), permit, stop, Duration::ZERO);
    let events = stream::unfold(state, move |(app, permit, stop, pause)| async move {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        let board = app.boards.get(&app, token.event).await.ok()??;
        let room = app.rooms.known(token.event)?;
        let view = place_view(&app, &room, &board, &token).ok()?;
        // Streams are pushed to as often as a poll would have asked, but follow a turn closely.
        let pause = Duration::from_millis(view.poll_after_ms).clamp(STREAM_LEAST, STREAM_EVERY);
        let body = poll::body(&view, &board);
        let event = SseEvent::default().event("place").data(String::from_utf8_lossy(&body));
        Some((Ok::<_, std::convert::Infallible>(event), (app, permit, stop, pause)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// A turn to be taken.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// The queue token whose turn it is.
    pub token: String,
}

/// The right to hold places for a while.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PassView {
    /// Send it as `Onsale-Pass` when holding places.
    pub pass: String,
    /// Until when places can be held with it (RFC 3339). What is held by then can be bought.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
}

impl PassView {
    /// As it is told to its owner.
    #[must_use]
    pub fn new(app: &App, pass: &Pass) -> Self {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or_default();
        Self {
            pass: pass.seal(&app.keyring),
            expires_at: at(pass.until_ms),
            server_time: at(app.rooms.now_ms()),
        }
    }
}

/// Takes your turn: exchanges the queue token for a pass, once. Asked again (from a page that was
/// reloaded, say) while the pass is good, the answer is the same pass.
#[utoipa::path(
    post, path = "/v1/events/{event}/waiting-room/pass", tag = "waiting room",
    operation_id = "takeTurn",
    params(("event" = String, Path, description = "Id or slug")),
    request_body = PassRequest, security(("session" = [])),
    responses((status = 201, description = "The pass", body = PassView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`queue_token`: not yours, or not of this event",
            body = ProblemBody),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody),
        (status = 409, description = "`not_your_turn` (with `state`: `waiting`, \
            `second_chance`, `missed`), `turn_spent`: join again", body = ProblemBody),
        (status = 429, description = "`too_many_requests`: come back in a moment, the turn waits",
            body = ProblemBody),
        (status = 503, description = "`unknown_outcome`: repeat", body = ProblemBody))
)]
pub async fn exchange(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Buyer(account): Buyer,
    Body(request): Body<PassRequest>,
) -> Result<(StatusCode, Json<PassView>), Problem> {
    let room = find(&app, &event).await?;
    let token = open(&app, room.event, Some(&request.token))?;
    let pass = turn::take(&app, &room, &token, account).await?;
    Ok((StatusCode::CREATED, Json(PassView::new(&app, &pass))))
}

/// Gives a pass up: somebody else is let in for it.
#[utoipa::path(
    delete, path = "/v1/events/{event}/waiting-room/pass", tag = "waiting room",
    operation_id = "giveUpPass",
    params(("event" = String, Path, description = "Id or slug"),
           ("Onsale-Pass" = String, Header, description = "The pass")),
    security(("session" = [])),
    responses((status = 204, description = "It has ended (or had before)"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`pass_invalid`: not yours", body = ProblemBody),
        (status = 404, description = "No such event, or it has no waiting room",
            body = ProblemBody))
)]
pub async fn give_up(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Buyer(account): Buyer,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let room = find(&app, &event).await?;
    let pass = pass_of(&headers).and_then(|text| Pass::open(&app.keyring, text));
    let pass = pass.filter(|pass| pass.event == room.event && pass.subject == account);
    let pass = pass.ok_or_else(|| Problem::new(Code::PassInvalid))?;
    passes::give_up(&app, &pass).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The pass that a request carries.
#[must_use]
pub fn pass_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(PASS_HEADER)?.to_str().ok()
}
