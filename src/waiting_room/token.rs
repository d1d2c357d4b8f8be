//! The two tokens of the waiting room: a place in line, and a pass. Both name the event and the
//! subject, so that neither is of use to anybody else or anywhere else.

use uuid::Uuid;

use super::DRAWN;
use crate::ids::{AccountId, EventId};
use crate::keyring::Keyring;

/// Kinds: a token of one is never one of the other.
const QUEUE: &str = "q1";
const PASS: &str = "p1";
/// Stands for "in the draw" where a place would be.
const IN_DRAW: i64 = -1;

/// A place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueToken {
    /// Of which event's room.
    pub event: EventId,
    /// In which lane.
    pub lane: i16,
    /// Whose: the session's or the account's id.
    pub subject: AccountId,
    /// The place of who came after the draw; none: in the draw.
    pub place: Option<i64>,
}

const QUEUE_BYTES: usize = 16 + 16 + 2 + 8;

impl QueueToken {
    /// As text.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring) -> String {
        let mut bytes = [0; QUEUE_BYTES];
        bytes[..16].copy_from_slice(self.event.0.as_bytes());
        bytes[16..32].copy_from_slice(self.subject.0.as_bytes());
        bytes[32..34].copy_from_slice(&self.lane.to_be_bytes());
        bytes[34..].copy_from_slice(&self.place.unwrap_or(IN_DRAW).to_be_bytes());
        keyring.seal(QUEUE, &bytes)
    }

    /// Reads a token of this kind that a key of ours signed.
    #[must_use]
    pub fn open(keyring: &Keyring, text: &str) -> Option<Self> {
        let bytes: [u8; QUEUE_BYTES] = keyring.open(QUEUE, text)?;
        let place = i64::from_be_bytes(array(&bytes[34..])?);
        if place != IN_DRAW && place < DRAWN {
            return None;
        }
        Some(Self {
            event: EventId(Uuid::from_bytes(array(&bytes[..16])?)),
            subject: AccountId(Uuid::from_bytes(array(&bytes[16..32])?)),
            lane: i16::from_be_bytes(array(&bytes[32..34])?),
            place: (place != IN_DRAW).then_some(place),
        })
    }
}

/// The right to hold places for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its row.
    pub id: Uuid,
    /// For which event.
    pub event: EventId,
    /// For whom.
    pub subject: AccountId,
    /// Through which lane.
    pub lane: i16,
    /// Until when, in milliseconds since 1970 by Postgres's clock.
    pub until_ms: i64,
}

const PASS_BYTES: usize = 16 + 16 + 16 + 2 + 8;

impl Pass {
    /// As text.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring) -> String {
        let mut bytes = [0; PASS_BYTES];
        bytes[..16].copy_from_slice(self.event.0.as_bytes());
        bytes[16..32].copy_from_slice(self.subject.0.as_bytes());
        bytes[32..48].copy_from_slice(self.id.as_bytes());
        bytes[48..50].copy_from_slice(&self.lane.to_be_bytes());
        bytes[50..].copy_from_slice(&self.until_ms.to_be_bytes());
        keyring.seal(PASS, &bytes)
    }

    /// Reads a token of this kind that a key of ours signed.
    #[must_use]
    pub fn open(keyring: &Keyring, text: &str) -> Option<Self> {
        let bytes: [u8; PASS_BYTES] = keyring.open(PASS, text)?;
        Some(Self {
            event: EventId(Uuid::from_bytes(array(&bytes[..16])?)),
            subject: AccountId(Uuid::from_bytes(array(&bytes[16..32])?)),
            id: Uuid::from_bytes(array(&bytes[32..48])?),
            lane: i16::from_be_bytes(array(&bytes[48..50])?),
            until_ms: i64::from_be_bytes(array(&bytes[50..])?),
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn ring(byte: &str) -> Keyring {
        let key = |byte: &str| vec![KeyConfig { id: 1, secret: byte.repeat(32) }];
        Keyring::new(&Keys { tokens: key(byte), tickets: key("aa") }).unwrap()
    }

    fn queue(place: Option<i64>) -> QueueToken {
        QueueToken { event: EventId::fresh(), lane: 2, subject: AccountId::fresh(), place }
    }

    #[test]
    fn a_token_says_what_was_sealed() {
        let ring = ring("11");
        for place in [None, Some(DRAWN), Some(i64::MAX)] {
            let token = queue(place);
            assert_eq!(QueueToken::open(&ring, &token.seal(&ring)), Some(token));
        }
        // No token can name a place in the draw: those are computed.
        assert_eq!(QueueToken::open(&ring, &queue(Some(5)).seal(&ring)), None);
    }

    #[test]
    fn a_changed_truncated_or_foreign_token_is_refused() {
        let ours = ring("11");
        let text = queue(None).seal(&ours);
        for i in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[i] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(QueueToken::open(&ours, &changed), None, "{changed}");
            assert_eq!(QueueToken::open(&ours, &text[..i]), None);
        }
        assert_eq!(QueueToken::open(&ring("22"), &text), None);
        assert_eq!(Pass::open(&ours, &text), None);
    }
}
