//! Asks: who was refused for lack of places waits for some that come back, and gets them before
//! they are free for all.
//!
//! An ask is a wish for the best places or for units of an area, kept in line in Redis for a
//! while. Whatever comes back goes to the oldest asks that it fits ([`serve`]); the asker learns
//! it by looking at the ask. What is made is an ordinary hold, by the ordinary script. A line that
//! is lost with Redis does no harm: asking again is all it takes.

pub mod http;
pub mod redis;
pub mod serve;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plan::Wish;
use crate::ids::{AccountId, AskId, EventId, HoldId};
use crate::suspicion::Traces;

/// Longest wish in line, as JSON in bytes: its codes are the buyer's text.
const MAX_WISH_BYTES: usize = 4_096;

/// What is kept of an ask: the wish, and the pass that it was made with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The wish.
    pub wish: Wish,
    /// The waiting room's pass, where there is one.
    pub pass: Option<Uuid>,
    /// What the request showed of its sender.
    #[serde(default)]
    pub traces: Traces,
}

/// The id of an ask: the same account's same key finds the same ask while the epoch lasts.
#[must_use]
pub fn ask_id(event: EventId, epoch: i32, account: AccountId, key: &str) -> AskId {
    let id = super::derived(&[
        b"onsale ask 1",
        event.0.as_bytes(),
        &epoch.to_be_bytes(),
        account.0.as_bytes(),
        key.as_bytes(),
    ]);
    AskId(id.0)
}

/// The id of the hold that an ask leads to.
#[must_use]
pub fn hold_of(ask: AskId) -> HoldId {
    super::derived(&[b"onsale ask's hold 1", ask.0.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_and_its_hold_have_ids_of_their_own() {
        let (event, account) = (EventId::fresh(), AccountId::fresh());
        let id = ask_id(event, 1, account, "k");
        assert_eq!(id, ask_id(event, 1, account, "k"));
        assert_ne!(id, ask_id(event, 2, account, "k"));
        assert_ne!(id, ask_id(event, 1, AccountId::fresh(), "k"));
        assert_ne!(id, ask_id(event, 1, account, "l"));
        assert_ne!(id.0, super::super::hold_id(event, 1, account, "k").0);
        assert_ne!(id.0, hold_of(id).0);
        assert_eq!(hold_of(id), hold_of(id));
    }
}
