//! The signed statement of a payment: what the shop asks for, carried by the page's URL.
//!
//! A token is `<payload>.<mac>`, both base64url without padding: the payload is JSON with
//! one-letter names, the mac its HMAC-SHA256 under a key derived from the shared secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::Hmac;
use iso_currency::Currency;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::ids::{AttemptId, OrderId};
use crate::money::{MAX_AMOUNT, Money};
use crate::payments::signature::{MAC_BYTES, keyed, mac_of};

/// The longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4_096;

/// The longest description on the page, in characters; a longer one is cut.
pub const MAX_DESCRIPTION_CHARS: usize = 200;

/// The longest return URL, in bytes.
pub const MAX_RETURN_URL_BYTES: usize = 1_500;

/// How long a statement can be paid, counted from its making.
pub const STATEMENT_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// What every reference starts with.
const REFERENCE_PREFIX: &str = "sb_";

/// Digits of a UUID in hexadecimal.
const UUID_HEX_DIGITS: usize = 32;

/// What the shop asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub attempt: AttemptId,
    pub order: OrderId,
    pub amount: Money,
    pub description: String,
    pub return_url: String,
    /// When it was made, in whole seconds.
    pub created_at: Timestamp,
}

impl Statement {
    /// What the ledger finds its intent by, and how old it can be at most.
    pub const fn key(&self) -> (AttemptId, Option<Timestamp>) {
        (self.attempt, Some(self.created_at))
    }
}

/// A statement as the token carries it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(with = "uuid::serde::simple")]
    a: Uuid,
    #[serde(with = "uuid::serde::simple")]
    o: Uuid,
    m: i64,
    c: Currency,
    d: String,
    u: String,
    t: i64,
}

/// The keys both halves derive from the shared secret, one for each purpose.
#[derive(Clone)]
pub struct Keys {
    page: Hmac<Sha256>,
    bearer: String,
}

impl Keys {
    pub fn new(secret: &str) -> Self {
        let root = keyed(secret.as_bytes());
        let page = keyed(&mac_of(&root, &[b"onsale sandbox: page, 1"]));
        let bearer = hex::encode(mac_of(&root, &[b"onsale sandbox: api, 1"]));
        Self { page, bearer }
    }

    /// What the API is opened with.
    pub fn bearer(&self) -> &str {
        &self.bearer
    }

    /// Whether `offered` opens the API.
    pub fn opens(&self, offered: &str) -> bool {
        bool::from(self.bearer.as_bytes().ct_eq(offered.as_bytes()))
    }

    /// The token that carries `statement`.
    pub fn sign(&self, statement: &Statement) -> String {
        let payload = Payload {
            a: statement.attempt.0,
            o: statement.order.0,
            m: statement.amount.amount,
            c: statement.amount.currency,
            d: statement.description.clone(),
            u: statement.return_url.clone(),
            t: statement.created_at.as_second(),
        };
        let json = serde_json::to_vec(&payload).expect("plain fields always serialise");
        let mut token = BASE64.encode(json);
        let mac = mac_of(&self.page, &[token.as_bytes()]);
        token.push('.');
        BASE64.encode_string(mac, &mut token);
        token
    }

    /// The statement in `token`, if it was signed with this secret.
    pub fn open(&self, token: &str) -> Option<Statement> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (payload, mac) = token.split_once('.')?;
        let offered: [u8; MAC_BYTES] = BASE64.decode(mac).ok()?.try_into().ok()?;
        let expected = mac_of(&self.page, &[payload.as_bytes()]);
        if !bool::from(expected.ct_eq(&offered)) {
            return None;
        }
        let payload: Payload = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
        if !(1..=MAX_AMOUNT).contains(&payload.m) {
            return None;
        }
        Some(Statement {
            attempt: AttemptId(payload.a),
            order: OrderId(payload.o),
            amount: Money::new(payload.m, payload.c),
            description: payload.d,
            return_url: payload.u,
            created_at: Timestamp::from_second(payload.t).ok()?,
        })
    }
}

/// The reference of an attempt's intent.
pub fn reference_of(attempt: AttemptId) -> String {
    format!("{REFERENCE_PREFIX}{}", attempt.0.simple())
}

/// The attempt that a reference names, if it is one of ours exactly as we write it.
pub fn attempt_of(reference: &str) -> Option<AttemptId> {
    let digits = reference.strip_prefix(REFERENCE_PREFIX)?;
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != UUID_HEX_DIGITS || !digits.bytes().all(plain) {
        return None;
    }
    Uuid::try_parse(digits).ok().map(AttemptId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            attempt: AttemptId::fresh(),
            order: OrderId::fresh(),
            amount: Money::new(12_300, Currency::EUR),
            description: "2 × Arena, Block A — \"Änne\"".to_owned(),
            return_url: "https://tickets.example/orders/1?secret=2".to_owned(),
            created_at: Timestamp::from_second(1_700_000_000).expect("in range"),
        }
    }

    #[test]
    fn a_statement_survives_the_url_and_no_flipped_character() {
        let keys = Keys::new("a secret of the sandbox");
        let token = keys.sign(&statement());
        assert_eq!(keys.open(&token).map(|opened| opened.amount), Some(statement().amount));
        assert_eq!(keys.open(&token).map(|opened| opened.description), {
            Some(statement().description)
        });
        assert!(Keys::new("another secret of it").open(&token).is_none());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("still ASCII");
            assert!(keys.open(&changed).is_none(), "byte {at}");
        }
        assert!(keys.open("").is_none());
        assert!(keys.open(&token[..token.len() - 1]).is_none());
        assert!(keys.open(&"A".repeat(MAX_TOKEN_BYTES + 1)).is_none());
    }

    #[test]
    fn only_our_own_spelling_is_a_reference() {
        let attempt = AttemptId::fresh();
        assert_eq!(attempt_of(&reference_of(attempt)), Some(attempt));
        let upper = reference_of(attempt).to_uppercase();
        for reference in ["", "sb_", "sb_12", "pi_123", "sb_../cancel", &upper, "sb_é"] {
            assert_eq!(attempt_of(reference), None, "{reference}");
        }
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let keys = Keys::new("a secret of the sandbox");
        assert!(keys.opens(keys.bearer()));
        assert!(!keys.opens("a secret of the sandbox"));
        assert!(!keys.opens(""));
    }
}
