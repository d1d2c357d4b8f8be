//! The waiting room: who may shop, and when.
//!
//! Nothing is stored per anonymous visitor. A place in line is a number in a signed token
//! ([`token`]): drawn by a verifiable draw for everyone who joined before it ([`draw`]), and a
//! number of its own, in the order of arrival, for everyone after ([`line`]). A lane's line moves
//! by one number, `serving`: places below it have been called. Postgres has it, and every process
//! a copy ([`rooms`]), so that a poll is a comparison ([`poll`]).
//!
//! ```text
//! join ──▶ place in line ──called──▶ turn ──exchange──▶ pass ──▶ hold
//! proof or   token, nothing    serving > place   one row in      checked at the
//! account    stored            (Postgres)        Postgres        hold API
//! ```
//!
//! One worker of all processes decides whom to call ([`controller`], `workers/admit.rs`). Redis
//! only counts: who joined (an estimate) and the numbers of late-comers, below a ceiling that
//! Postgres reserved. What it loses is begun anew above everything that was ever given.

pub mod board;
pub mod config;
pub mod controller;
pub mod draw;
pub mod http;
pub mod join;
pub mod line;
pub mod movement;
pub mod passes;
pub mod poll;
pub mod proof;
pub mod rooms;
pub mod seekers;
pub mod store;
pub mod token;
pub mod turn;
pub mod verify;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::draw::Draw;
use crate::ids::EventId;

/// Where the line goes on after everyone who was drawn: 2^62.
pub const DRAWN: i64 = 1 << 62;
/// A second chance begins so many lengths of a turn after the turn began.
pub const SECOND_CHANCE_AFTER: i64 = 3;

/// What an organizer decided about a room.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RoomState {
    /// It follows its lanes' times.
    Open,
    /// Nobody is called; who is inside may finish.
    Paused,
    /// Nobody is called any more.
    Closed,
    /// Everybody may shop without waiting.
    Lifted,
}

/// What becomes of who misses a turn.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Missed {
    /// One more turn, as long as the first, [`SECOND_CHANCE_AFTER`] lengths of a turn later.
    SecondChance,
    /// Join again, behind everyone.
    Back,
}

/// For whom a lane is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum LaneKind {
    /// Everybody.
    General,
    /// Who has an access code.
    Presale,
    /// Who needs an accessible seat: what is held with its pass must contain one.
    Accessible,
}

/// A waiting room as a process knows it.
#[derive(Clone, Debug)]
pub struct Room {
    /// Whose door it is.
    pub event: EventId,
    /// What the organizer decided.
    pub state: RoomState,
    /// Whether one can join.
    pub joining: bool,
    /// Shown to who waits.
    pub message: String,
    /// Shoppers who may be inside.
    pub target_inside: i32,
    /// Most admissions per minute.
    pub per_minute: i32,
    /// How long a turn waits to be taken, in seconds.
    pub turn_seconds: i32,
    /// How long a pass lasts, in seconds.
    pub pass_seconds: i32,
    /// What becomes of who misses a turn.
    pub missed: Missed,
    /// Whether anonymous visitors prove work when they join.
    pub proof: bool,
    /// Raised by every change of these.
    pub version: i64,
    /// By number.
    pub lanes: Vec<Lane>,
}

/// A line of its own.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its number in the room.
    pub number: i16,
    /// Its short name.
    pub code: String,
    /// Its name.
    pub name: String,
    /// For whom it is.
    pub kind: LaneKind,
    /// Who has no such code can't join.
    pub access_code: Option<String>,
    /// Who has no grant of this code set can't join.
    pub code_set: Option<uuid::Uuid>,
    /// Of the admissions, while others wait as well.
    pub share: i32,
    /// When one can join.
    pub joins_at: Timestamp,
    /// Until then it doesn't matter when one joins.
    pub draw_at: Timestamp,
    /// When the first are called.
    pub opens_at: Timestamp,
    /// When the last are called.
    pub closes_at: Option<Timestamp>,
    /// The draw.
    pub draw: Draw,
    /// Places below it have been called.
    pub serving: i64,
    /// Late-comers' numbers from here on were never given.
    pub ceiling: i64,
    /// The last place that was seen to be given to a late-comer.
    pub numbered: i64,
    /// About how many joined the draw.
    pub joined: i64,
    /// How many of them were counted before Redis was lost.
    pub joined_base: i64,
    /// About how many were called.
    pub called: f64,
    /// When which places were called, oldest first.
    pub calls: Arc<Vec<Call>>,
}

/// `serving` was raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// To this place.
    pub place: i64,
    /// When, in milliseconds since 1970 by Postgres's clock.
    pub at_ms: i64,
    /// About how many had been called by then.
    pub called: f64,
}

/// Where a lane stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// One can't join yet.
    Announced,
    /// One can join, and it doesn't matter when.
    PreQueue,
    /// Ranks are known as soon as the beacon is; nobody is called yet.
    Drawing,
    /// People are called.
    Open,
    /// Nobody is called for the moment.
    Paused,
    /// Nobody is called any more.
    Closed,
}

/// A room as organizers begin with: open, with a target and a rate for a middling shop.
#[must_use]
pub fn standard(event: EventId) -> Room {
    Room {
        event,
        state: RoomState::Open,
        joining: true,
        message: String::new(),
        target_inside: 500,
        per_minute: 3_000,
        turn_seconds: 120,
        pass_seconds: 600,
        missed: Missed::SecondChance,
        proof: true,
        version: 0,
        lanes: Vec::new(),
    }
}

impl Lane {
    /// A general lane that nobody has joined yet. Its seed is made when it is stored.
    #[must_use]
    pub fn general(
        event: EventId,
        joins_at: Timestamp,
        draw_at: Timestamp,
        opens_at: Timestamp,
    ) -> Self {
        Self {
            number: 0,
            code: "general".to_owned(),
            name: "General".to_owned(),
            kind: LaneKind::General,
            access_code: None,
            code_set: None,
            share: 100,
            joins_at,
            draw_at,
            opens_at,
            closes_at: None,
            draw: Draw::new(event, 0, [0; draw::SEED_BYTES], "", None, None),
            serving: 0,
            ceiling: DRAWN,
            numbered: DRAWN,
            joined: 0,
            joined_base: 0,
            called: 0.0,
            calls: Arc::default(),
        }
    }
}

impl Room {
    /// The lane with this number.
    #[must_use]
    pub fn lane(&self, number: i16) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.number == number)
    }

    /// Where a lane stands.
    #[must_use]
    pub fn phase(&self, lane: &Lane, now_ms: i64) -> Phase {
        let before = |at: Timestamp| now_ms < at.as_millisecond();
        match self.state {
            RoomState::Closed => return Phase::Closed,
            _ if lane.closes_at.is_some_and(|at| !before(at)) => return Phase::Closed,
            _ => {}
        }
        if before(lane.joins_at) {
            Phase::Announced
        } else if before(lane.draw_at) {
            Phase::PreQueue
        } else if before(lane.opens_at) || !lane.draw.is_drawn() {
            Phase::Drawing
        } else if self.state == RoomState::Paused {
            Phase::Paused
        } else {
            Phase::Open
        }
    }

    /// Where the turn of a place in line stands.
    #[must_use]
    pub fn turn(&self, lane: &Lane, place: i64, now_ms: i64) -> Turn {
        if place >= lane.serving {
            return Turn::Waiting;
        }
        let call = lane.calls.partition_point(|call| call.place <= place);
        // Calls that are over are forgotten, with the turns that they began.
        let Some(call) = lane.calls.get(call) else { return Turn::Missed };
        let length = i64::from(self.turn_seconds) * 1_000;
        let age = now_ms - call.at_ms;
        if age < length {
            return Turn::Called { until_ms: call.at_ms + length };
        }
        let second = call.at_ms + SECOND_CHANCE_AFTER * length;
        match self.missed {
            Missed::SecondChance if now_ms < second => Turn::Again { at_ms: second },
            Missed::SecondChance if now_ms < second + length => {
                Turn::Called { until_ms: second + length }
            }
            _ => Turn::Missed,
        }
    }

    /// How long calls are remembered, in milliseconds: as long as they may begin a turn.
    #[must_use]
    pub fn memory_ms(&self) -> i64 {
        i64::from(self.turn_seconds) * 1_000 * (SECOND_CHANCE_AFTER + 1)
    }
}

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Not called yet.
    Waiting,
    /// It can be taken until then.
    Called {
        /// By Postgres's clock, in milliseconds since 1970.
        until_ms: i64,
    },
    /// It was missed; it can be taken once more from then on.
    Again {
        /// By Postgres's clock, in milliseconds since 1970.
        at_ms: i64,
    },
    /// It is over.
    Missed,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn room() -> Room {
        let at = |second| Timestamp::from_second(second).unwrap();
        let event = EventId::fresh();
        let mut lane = Lane::general(event, at(100), at(200), at(210));
        lane.closes_at = Some(at(10_000));
        lane.draw = Draw::new(event, 0, [7; 32], "coin", None, Some("heads"));
        Room {
            target_inside: 10,
            per_minute: 60,
            turn_seconds: 100,
            version: 1,
            lanes: vec![lane],
            ..standard(event)
        }
    }

    #[test]
    fn a_lane_goes_through_its_phases_in_order() {
        let mut room = room();
        let phase = |room: &Room, second: i64| room.phase(&room.lanes[0], second * 1_000);
        assert_eq!(phase(&room, 99), Phase::Announced);
        assert_eq!(phase(&room, 100), Phase::PreQueue);
        assert_eq!(phase(&room, 200), Phase::Drawing);
        assert_eq!(phase(&room, 210), Phase::Open);
        assert_eq!(phase(&room, 10_000), Phase::Closed);
        room.state = RoomState::Paused;
        assert_eq!(phase(&room, 199), Phase::PreQueue);
        assert_eq!(phase(&room, 300), Phase::Paused);
        room.lanes[0].draw = Draw::new(room.event, 0, [7; 32], "coin", None, None);
        assert_eq!(phase(&room, 300), Phase::Drawing);
    }

    #[test]
    fn a_turn_lasts_is_given_once_more_and_is_over() {
        let mut room = room();
        let call = |place, second: i64| Call { place, at_ms: second * 1_000, called: 0.0 };
        room.lanes[0].calls = Arc::new(vec![call(10, 1_000), call(20, 1_050)]);
        room.lanes[0].serving = 20;
        let turn =
            |room: &Room, place, second: i64| room.turn(&room.lanes[0], place, second * 1_000);
        assert_eq!(turn(&room, 20, 1_060), Turn::Waiting);
        assert_eq!(turn(&room, 9, 1_099), Turn::Called { until_ms: 1_100_000 });
        assert_eq!(turn(&room, 10, 1_149), Turn::Called { until_ms: 1_150_000 });
        assert_eq!(turn(&room, 9, 1_100), Turn::Again { at_ms: 1_300_000 });
        assert_eq!(turn(&room, 9, 1_300), Turn::Called { until_ms: 1_400_000 });
        assert_eq!(turn(&room, 9, 1_400), Turn::Missed);
        room.missed = Missed::Back;
        assert_eq!(turn(&room, 9, 1_100), Turn::Missed);
        room.lanes[0].calls = Arc::default();
        assert_eq!(turn(&room, 9, 1_001), Turn::Missed);
    }
}
