//! The token of somebody who has redeemed a code: for one event, one account, one set.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

use crate::ids::{AccountId, EventId};
use crate::keyring::Keyring;

/// Carries grants, several with commas between them.
pub const ACCESS_HEADER: HeaderName = HeaderName::from_static("onsale-access");
/// The kind of these tokens.
const KIND: &str = "g1";
/// Grants of one request that are looked at.
const MAX_GRANTS: usize = 8;
const BYTES: usize = 16 + 16 + 16 + 8;

/// What a redeemed code opens. It has no end of its own: its set's window is the listing's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Of which event.
    pub event: EventId,
    /// Whose: the session's account.
    pub account: AccountId,
    /// The set that is open to it.
    pub set: Uuid,
    /// The code that was redeemed.
    pub code: i64,
}

impl Grant {
    /// As text. The same grant is the same text as long as the key is.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring) -> String {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(self.event.0.as_bytes());
        bytes[16..32].copy_from_slice(self.account.0.as_bytes());
        bytes[32..48].copy_from_slice(self.set.as_bytes());
        bytes[48..].copy_from_slice(&self.code.to_be_bytes());
        keyring.seal(KIND, &bytes)
    }

    /// Reads a token of this kind that a key of ours signed.
    #[must_use]
    pub fn open(keyring: &Keyring, text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = keyring.open(KIND, text)?;
        Some(Self {
            event: EventId(Uuid::from_slice(&bytes[..16]).ok()?),
            account: AccountId(Uuid::from_slice(&bytes[16..32]).ok()?),
            set: Uuid::from_slice(&bytes[32..48]).ok()?,
            code: i64::from_be_bytes(bytes[48..].try_into().ok()?),
        })
    }

    /// The grants among these tokens that are this account's, of this event. Others are as good
    /// as none.
    #[must_use]
    pub fn read(keyring: &Keyring, event: EventId, account: AccountId, text: &str) -> Vec<Self> {
        let tokens = text.split(',').map(str::trim).take(MAX_GRANTS);
        let grants = tokens.filter_map(|token| Self::open(keyring, token));
        grants.filter(|grant| grant.event == event && grant.account == account).collect()
    }
}

/// The grants' tokens that a request carries.
#[must_use]
pub fn access_of(headers: &HeaderMap) -> &str {
    headers.get(ACCESS_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn ring(byte: &str) -> Keyring {
        let key = |byte: &str| vec![KeyConfig { id: 1, secret: byte.repeat(32) }];
        Keyring::new(&Keys { tokens: key(byte), tickets: key("aa") }).unwrap()
    }

    fn grant() -> Grant {
        Grant {
            event: EventId::fresh(),
            account: AccountId::fresh(),
            set: Uuid::now_v7(),
            code: i64::MAX,
        }
    }

    #[test]
    fn a_grant_says_what_was_sealed_and_only_that() {
        let ours = ring("11");
        let grant = grant();
        let text = grant.seal(&ours);
        assert_eq!(Grant::open(&ours, &text), Some(grant));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Grant::open(&ours, &changed), None, "{changed}");
            assert_eq!(Grant::open(&ours, &text[..at]), None);
        }
        assert_eq!(Grant::open(&ring("22"), &text), None);
        assert_eq!(Grant::open(&ours, &text.replacen("g1", "p1", 1)), None);
    }

    #[test]
    fn only_ones_own_grants_of_this_event_count() {
        let ours = ring("11");
        let mine = grant();
        let other = Grant { account: AccountId::fresh(), ..mine };
        let elsewhere = Grant { event: EventId::fresh(), ..mine };
        let second = Grant { set: Uuid::now_v7(), ..mine };
        let texts = [other, mine, elsewhere, second].map(|grant| grant.seal(&ours));
        let read = |text: &str| Grant::read(&ours, mine.event, mine.account, text);
        assert_eq!(read(&texts.join(" , ")), [mine, second]);
        assert_eq!(read(""), []);
        let many = [texts[0].as_str(); MAX_GRANTS].join(",") + "," + &texts[1];
        assert_eq!(read(&many), []);
    }
}
