//! Answering polls: a comparison of a token with what the process has in memory. No Redis, no
//! Postgres, nothing stored.

use bytes::Bytes;
use rand::Rng;
use serde::{Serialize, Serializer};

use super::board::{self, Board};
use super::config::WaitingRoom;
use super::token::QueueToken;
use super::{Lane, Phase, Room, RoomState, Turn};

/// First polls after an opening are spread over at most so many seconds.
const OPENING_SPREAD_S: f64 = 30.0;
/// Polls of those who have nothing to wait for soon, in seconds.
const IDLE_POLL_S: f64 = 15.0;
const CLOSED_POLL_S: f64 = 60.0;
/// Polls during a turn, in seconds.
const TURN_POLL_S: f64 = 5.0;
/// Around what is told, so that visitors don't come in step.
const JITTER: f64 = 0.25;
/// An estimate of n seconds means from 0.6 n to 1.8 n.
const ETA_LOW: f64 = 0.6;
const ETA_HIGH: f64 = 1.8;
/// What an answer has besides the board, at most, in bytes.
const OWN_BYTES: usize = 400;

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In the draw; ranks are not known yet.
    PreQueue,
    /// The draw is made, the doors are closed.
    Drawing,
    /// In line.
    Waiting,
    /// Exchange the token for a pass now.
    YourTurn,
    /// The turn was missed; it comes once more at `turn_at`.
    SecondChance,
    /// The turn is over: join again.
    Missed,
    /// In line, and nobody is called for the moment.
    Paused,
    /// In line, and nothing is free at the moment.
    SoldOut,
    /// Nobody is called any more.
    Closed,
    /// Everybody may shop without waiting.
    Lifted,
}

/// The answer to a poll; `room` is what everybody is told.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PlaceInLine)]
pub struct PlaceView {
    /// Where you stand.
    pub state: Standing,
    /// In which lane.
    pub lane: i16,
    /// Your place in line: it is called once the lane's `serving` is greater. A text, because it
    /// doesn't fit a double. None before the draw.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Option<String>)]
    pub place: Option<i64>,
    /// About your position, from 1.
    pub position: Option<u64>,
    /// About how many are before you.
    pub ahead: Option<u64>,
    /// In about so many seconds it is your turn; with a range.
    pub eta: Option<Eta>,
    /// Whether there will be something left.
    pub odds: Odds,
    /// Until when the turn can be taken, or from when on it comes again, in milliseconds since
    /// 1970.
    pub turn_at_ms: Option<i64>,
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// Poll again after so long; others are told something else.
    pub poll_after_ms: u64,
}

/// An estimate with its range, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Eta {
    /// Probably.
    pub likely_s: u64,
    /// Hardly sooner.
    pub from_s: u64,
    /// Hardly later.
    pub to_s: u64,
}

/// Whether there will be something left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Odds {
    /// Not known yet.
    Unknown,
    /// Enough is left.
    Good,
    /// It may be just enough.
    Fair,
    /// Probably not, unless places come back.
    Poor,
}

/// A token's place; none before the draw.
#[must_use]
pub fn place(lane: &Lane, token: &QueueToken) -> Option<i64> {
    token.place.or_else(|| lane.draw.place(token.subject.0))
}

/// The answer for a token of this room. `None` if its lane is gone.
#[must_use]
pub fn view(
    room: &Room,
    board: &Board,
    token: &QueueToken,
    now_ms: i64,
    bounds: &WaitingRoom,
) -> Option<PlaceView> {
    let at = room.lanes.iter().position(|lane| lane.number == token.lane)?;
    let lane = &room.lanes[at];
    // The board is a little older than the room, and may not know the newest lane.
    let pace = board.paces.get(at).copied().unwrap_or_default();
    let place = place(lane, token);
    let (state, turn_at_ms) = standing(room, board.sold_out, lane, place, now_ms);
    let waits = matches!(
        state,
        Standing::Drawing | Standing::Waiting | Standing::Paused | Standing::SoldOut
    );
    let before = place.filter(|_| waits).map(|place| board::ahead(lane, place));
    let until_open = (lane.opens_at.as_millisecond() - now_ms).max(0) as f64 / 1_000.0;
    let eta_s = before
        .filter(|_| pace.per_s > 0.0 && state != Standing::Paused)
        .map(|ahead| until_open + ahead / pace.per_s);
    Some(PlaceView {
        state,
        lane: lane.number,
        place,
        position: before.map(|ahead| ahead as u64 + 1),
        ahead: before.map(|ahead| ahead as u64),
        eta: eta_s.map(eta),
        odds: odds(board, before),
        turn_at_ms,
        now_ms,
        poll_after_ms: poll_after(state, lane, eta_s, until_open, bounds),
    })
}

fn standing(
    room: &Room,
    sold_out: bool,
    lane: &Lane,
    place: Option<i64>,
    now_ms: i64,
) -> (Standing, Option<i64>) {
    if room.state == RoomState::Lifted {
        return (Standing::Lifted, None);
    }
    let turn = place.map_or(Turn::Waiting, |place| room.turn(lane, place, now_ms));
    match (room.phase(lane, now_ms), turn) {
        // A turn that was given is not taken back.
        (_, Turn::Called { until_ms }) => (Standing::YourTurn, Some(until_ms)),
        (Phase::Closed, _) => (Standing::Closed, None),
        (_, Turn::Again { at_ms }) => (Standing::SecondChance, Some(at_ms)),
        (_, Turn::Missed) => (Standing::Missed, None),
        (Phase::Announced | Phase::PreQueue, _) => (Standing::PreQueue, None),
        (Phase::Drawing, _) => (Standing::Drawing, None),
        (Phase::Paused, _) => (Standing::Paused, None),
        (Phase::Open, _) if sold_out => (Standing::SoldOut, None),
        (Phase::Open, _) => (Standing::Waiting, None),
    }
}

fn eta(seconds: f64) -> Eta {
    let whole = |seconds: f64| seconds.ceil().min(1e9) as u64;
    Eta {
        likely_s: whole(seconds),
        from_s: whole(seconds * ETA_LOW),
        to_s: whole(seconds * ETA_HIGH + 5.0),
    }
}

fn odds(board: &Board, ahead: Option<f64>) -> Odds {
    let (Some(enough), Some(ahead)) = (board.enough_for, ahead) else { return Odds::Unknown };
    let share = ahead / f64::from(enough.max(1));
    match share {
        _ if enough == 0 => Odds::Poor,
        share if share < 0.7 => Odds::Good,
        share if share < 1.2 => Odds::Fair,
        _ => Odds::Poor,
    }
}

fn poll_after(
    state: Standing,
    lane: &Lane,
    eta_s: Option<f64>,
    until_open: f64,
    bounds: &WaitingRoom,
) -> u64 {
    let (min, max) = (f64::from(bounds.poll_min_s), f64::from(bounds.poll_max_s));
    let mut rng = rand::rng();
    let mut jitter = |seconds: f64| seconds * rng.random_range(1.0 - JITTER..1.0 + JITTER);
    let seconds = match state {
        Standing::YourTurn => TURN_POLL_S,
        Standing::Closed | Standing::Missed | Standing::Lifted => jitter(CLOSED_POLL_S),
        Standing::Paused | Standing::SoldOut | Standing::SecondChance => jitter(IDLE_POLL_S),
        // Whoever can, is told to come back right after the opening, but not all at once.
        Standing::PreQueue | Standing::Drawing if until_open < max => {
            let per_s = f64::from(bounds.opening_polls_per_s);
            let spread = (lane.joined as f64 / per_s).clamp(0.5, OPENING_SPREAD_S);
            until_open.max(min) + rng.random_range(0.0..spread)
        }
        Standing::PreQueue | Standing::Drawing => jitter((until_open / 4.0).clamp(min, max)),
        Standing::Waiting => jitter((eta_s.unwrap_or(max * 10.0) / 10.0).clamp(min, max)),
    };
    (seconds * 1_000.0) as u64
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn as_text<S: Serializer>(place: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    match place {
        Some(place) => to.collect_str(place),
        None => to.serialize_none(),
    }
}

/// The answer as JSON, with the board's text put in as it is.
#[must_use]
pub fn body(view: &PlaceView, board: &Board) -> Bytes {
    let mut text = Vec::with_capacity(board.body.len() + OWN_BYTES);
    if write(&mut text, view).is_err() {
        return Bytes::new();
    }
    text.extend_from_slice(b",\"room\":");
    text.extend_from_slice(&board.body);
    text.push(b'}');
    text.into()
}

/// A place in line as JSON, without its last brace. Member by member: of a whole value every name
/// would be searched for what JSON escapes, which took half of a poll's own time.
fn write(text: &mut Vec<u8>, view: &PlaceView) -> serde_json::Result<()> {
    // All members are named here, so that none is forgotten.
    let PlaceView {
        state,
        lane,
        place,
        position,
        ahead,
        eta,
        odds,
        turn_at_ms,
        now_ms,
        poll_after_ms,
    } = view;
    member(text, b"{\"state\":", state)?;
    member(text, b",\"lane\":", lane)?;
    match place {
        Some(place) => {
            member(text, b",\"place\":\"", place)?;
            text.push(b'"');
        }
        None => text.extend_from_slice(b",\"place\":null"),
    }
    member(text, b",\"position\":", position)?;
    member(text, b",\"ahead\":", ahead)?;
    match eta {
        Some(Eta { likely_s, from_s, to_s }) => {
            member(text, b",\"eta\":{\"likely_s\":", likely_s)?;
            member(text, b",\"from_s\":", from_s)?;
            member(text, b",\"to_s\":", to_s)?;
            text.push(b'}');
        }
        None => text.extend_from_slice(b",\"eta\":null"),
    }
    member(text, b",\"odds\":", odds)?;
    member(text, b",\"turn_at_ms\":", turn_at_ms)?;
    member(text, b",\"now_ms\":", now_ms)?;
    member(text, b",\"poll_after_ms\":", poll_after_ms)
}

fn member(text: &mut Vec<u8>, name: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
    text.extend_from_slice(name);
    serde_json::to_writer(text, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_described() {
        let full = PlaceView {
            state: Standing::SecondChance,
            lane: -3,
            place: Some(i64::MAX),
            position: Some(u64::MAX),
            ahead: Some(0),
            eta: Some(Eta { likely_s: 1, from_s: 2, to_s: u64::MAX }),
            odds: Odds::Fair,
            turn_at_ms: Some(i64::MIN),
            now_ms: 1_795_355_649_758,
            poll_after_ms: 23_970,
        };
        let empty = PlaceView {
            state: Standing::PreQueue,
            place: None,
            position: None,
            ahead: None,
            eta: None,
            odds: Odds::Unknown,
            turn_at_ms: None,
            ..full.clone()
        };
        for view in [full, empty] {
            let mut text = Vec::new();
            write(&mut text, &view).unwrap();
            assert!(text.len() <= OWN_BYTES, "{}", text.len());
            text.push(b'}');
            let (written, described) = (String::from_utf8(text), serde_json::to_string(&view));
            assert_eq!(written.unwrap(), described.unwrap());
        }
    }
}
