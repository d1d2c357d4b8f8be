//! Holds: a buyer's temporary grip on places, made by one script in one round trip.
//!
//! A request is checked against the [`Listing`] here ([`plan`]) and decided in Redis
//! ([`redis::HoldStore`]). What can be known without asking who else wants the places is refused
//! here; what only the shared state knows is refused by the script.

pub mod asks;
pub mod availability;
pub mod http;
pub mod near;
pub mod plan;
pub mod rebuild;
pub mod record;
pub mod redis;
pub mod retype;
pub mod text;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::App;
use crate::ids::{AccountId, EventId, HoldId};
use crate::suspicion;

/// Most places in one hold.
pub const MAX_PLACES: usize = 50;
/// Most lines in one hold.
pub const MAX_LINES: usize = 10;
/// How long a finished id is remembered, in milliseconds: 24 hours.
pub const TOMBSTONE_MS: i64 = 24 * 3_600 * 1_000;
/// Share of the capacity from which on the orphan rule is relaxed, in percent.
pub const ORPHANS_ALLOWED_FROM_PERCENT: usize = 90;

/// The id of a hold: the same account's same key finds the same hold while the epoch lasts.
#[must_use]
pub fn hold_id(event: EventId, epoch: i32, account: AccountId, key: &str) -> HoldId {
    derived(&[
        b"onsale hold 1",
        event.0.as_bytes(),
        &epoch.to_be_bytes(),
        account.0.as_bytes(),
        key.as_bytes(),
    ])
}

/// The id under which a late order takes places again: another for every try.
#[must_use]
pub fn retake_id(order: Uuid, epoch: i32, attempt: u32) -> HoldId {
    derived(&[b"onsale retake 1", order.as_bytes(), &epoch.to_be_bytes(), &attempt.to_be_bytes()])
}

/// An id from its parts. All but the last are of one length for each purpose, which is the first.
fn derived(parts: &[&[u8]]) -> HoldId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    HoldId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// These holds of an event ended by time: whose, and what their records kept for later.
pub fn note_expired(app: &App, event: EventId, over: &[(AccountId, String)]) {
    suspicion::note_expired(app, event, over);
    for (account, _) in over {
        app.seekers.missed(event, *account);
    }
}

/// A request's digest: the same key with another digest is refused.
#[must_use]
pub fn digest(request: &impl serde::Serialize) -> [u8; 16] {
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(&bytes)[..16]);
    digest
}

/// The same in hex, as the record has it.
#[must_use]
pub fn digest_text(request: &impl serde::Serialize) -> String {
    let mut text = [0; 32];
    // Exactly as much room as it takes.
    let _ = hex::encode_to_slice(digest(request), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_id_depends_on_each_of_its_parts() {
        let (event, account) = (EventId::fresh(), AccountId::fresh());
        let id = hold_id(event, 1, account, "k");
        assert_eq!(id, hold_id(event, 1, account, "k"));
        assert_ne!(id, hold_id(event, 2, account, "k"));
        assert_ne!(id, hold_id(event, 1, AccountId::fresh(), "k"));
        assert_ne!(id, hold_id(EventId::fresh(), 1, account, "k"));
        assert_ne!(id, hold_id(event, 1, account, "l"));
    }
}
