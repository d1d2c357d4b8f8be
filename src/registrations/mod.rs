//! Presale registration: who registers in time takes part in a draw, and winners get a code.
//!
//! ```text
//! register ──closes──▶ draw ──beacon──▶ places ──▶ the last winner ──▶ outcomes ──▶ mails
//! one row per account  seed published   in batches  one row, once      in batches   once
//! and address          as a hash                                      codes
//! ```
//!
//! The draw is the waiting room's ([`crate::waiting_room::draw`]) in a lane of its own, whose
//! number is negative: -1 minus the registration's number. Places are ranked from the lowest, and
//! by the account's id where two are the same; the lowest so many win. A worker of any process
//! does one bounded batch after another ([`crate::workers::registrations`]): what a batch has
//! written is never done again, so that it may die between any two.
//!
//! A winner's code is computed from registration and account ([`crate::access::code`]): it can't
//! be another one the second time.

pub mod http;
pub mod steps;
pub mod store;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AccountId, EventId};
use crate::waiting_room::draw::Draw;

/// Most registrations of an event.
pub const MAX_REGISTRATIONS: i16 = 100;

/// A registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its id.
    pub id: Uuid,
    /// Of which event's tickets.
    pub event: EventId,
    /// Its number in the event.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Winners get a code of this set.
    pub code_set: Uuid,
    /// From when one can register.
    pub opens_at: Timestamp,
    /// Until when one can register and withdraw.
    pub closes_at: Timestamp,
    /// From when the beacon may be known.
    pub draw_at: Timestamp,
    /// How many win.
    pub winners: i32,
    /// The draw.
    pub draw: Draw,
    /// What it came to, once all places are known.
    pub drawn: Option<Drawn>,
    /// Everybody's outcome is written.
    pub done: bool,
}

/// A registration as a listing has it: only what never changes.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// From when one can register.
    pub opens_at: Timestamp,
    /// Until when one can register and withdraw.
    pub closes_at: Timestamp,
}

/// What a draw came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// How many took part.
    pub registered: i64,
    /// How many won.
    pub won: i64,
    /// Place and account of the last winner; none if nobody took part.
    pub last: Option<(i64, AccountId)>,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RegistrationPhase)]
pub enum Phase {
    /// One can't register yet.
    Announced,
    /// One can register, and it doesn't matter when.
    Open,
    /// Nobody can register any more; the beacon isn't known yet.
    Closed,
    /// Places are computed, and winners get their codes.
    Drawing,
    /// It is over.
    Drawn,
}

/// What somebody's registration came to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// There is a code.
    Won,
    /// There is none.
    Lost,
}

/// The lane in whose place a registration is drawn.
#[must_use]
pub const fn lane(number: i16) -> i16 {
    -1 - number
}

impl Registration {
    /// Where it stands.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        if self.done {
            Phase::Drawn
        } else if self.draw.is_drawn() {
            Phase::Drawing
        } else if now >= self.closes_at {
            Phase::Closed
        } else if now >= self.opens_at {
            Phase::Open
        } else {
            Phase::Announced
        }
    }
}

impl Drawn {
    /// What a place comes to.
    #[must_use]
    pub fn outcome(&self, place: i64, account: AccountId) -> Outcome {
        // Ids are compared as Postgres does, byte by byte.
        if self.last.is_some_and(|last| (place, account) <= last) {
            Outcome::Won
        } else {
            Outcome::Lost
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_places_win_and_ids_break_ties() {
        let id = |number| AccountId(Uuid::from_u128(number));
        let drawn = Drawn { registered: 9, won: 3, last: Some((50, id(7))) };
        assert_eq!(drawn.outcome(49, id(9)), Outcome::Won);
        assert_eq!(drawn.outcome(50, id(7)), Outcome::Won);
        assert_eq!(drawn.outcome(50, id(8)), Outcome::Lost);
        assert_eq!(drawn.outcome(51, id(1)), Outcome::Lost);
        assert_eq!(Drawn { last: None, ..drawn }.outcome(0, id(0)), Outcome::Lost);
    }

    #[test]
    fn a_registration_goes_through_its_phases_in_order() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let event = EventId::fresh();
        let draw = |beacon| Draw::new(event, lane(0), [7; 32], "coin", None, beacon);
        let mut registration = Registration {
            id: Uuid::nil(),
            event,
            number: 0,
            name: "Fans".into(),
            code_set: Uuid::nil(),
            opens_at: at(10),
            closes_at: at(20),
            draw_at: at(30),
            winners: 5,
            draw: draw(None),
            drawn: None,
            done: false,
        };
        let phase = |registration: &Registration, second| registration.phase(at(second));
        assert_eq!(phase(&registration, 9), Phase::Announced);
        assert_eq!(phase(&registration, 10), Phase::Open);
        assert_eq!(phase(&registration, 20), Phase::Closed);
        registration.draw = draw(Some("heads"));
        assert_eq!(phase(&registration, 31), Phase::Drawing);
        registration.done = true;
        assert_eq!(phase(&registration, 32), Phase::Drawn);
    }
}
