//! Session tokens, anonymous and signed in. Verifying one takes an HMAC and no memory.
//!
//! | kind | token |
//! |---|---|
//! | anonymous | `s1.key.account.issued.mac` |
//! | signed in | `s2.key.session.account.generation.issued.mac` |

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::Session;
use crate::ids::{AccountId, SessionId};
use crate::keyring::{FUTURE_S, Keyring, SESSION_S};

/// How long a signed-in token is good before it must be rotated, in seconds.
pub const TOKEN_S: i64 = 3_600;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 256;
/// Characters of a MAC, and the room that decoding it asks for.
const MAC_CHARS: usize = 43;
const MAC_ROOM: usize = 36;

/// What an authentic token says. It may be too old to be used, see [`Token::is_alive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whom it speaks for.
    pub session: Session,
    /// How often the session had been rotated, counted from 1; 0 for an anonymous one.
    pub generation: i32,
    /// When it was issued, in Unix seconds.
    pub issued: i64,
}

impl Token {
    /// Its age in seconds.
    #[must_use]
    pub fn age_s(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_sub(self.issued)
    }

    /// Whether it may still be used for anything but rotating it.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let lives_s = if self.session.signed_in.is_some() { TOKEN_S } else { SESSION_S };
        self.age_s(now) < lives_s
    }
}

impl Keyring {
    /// A token of a signed-in session.
    #[must_use]
    pub fn signed_in(
        &self,
        session: SessionId,
        account: AccountId,
        generation: i32,
        now: Timestamp,
    ) -> String {
        let (session, account) = (session.0.simple(), account.0.simple());
        let (key, issued) = (self.token_key(), now.as_second());
        self.sealed(key, format!("s2.{key}.{session}.{account}.{generation}.{issued}"))
    }

    /// Ends a token with its MAC.
    pub(crate) fn sealed(&self, key: u8, mut body: String) -> String {
        let mac = self.mac(key, body.as_bytes()).unwrap_or_default();
        body.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut body);
        body
    }

    /// Reads a token of either kind. `None` if no key of ours made it, or it is of the future.
    #[must_use]
    pub fn read_token(&self, token: &str, now: Timestamp) -> Option<Token> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (body, mac) = token.rsplit_once('.')?;
        let mut parts = body.split('.');
        let kind = parts.next()?;
        let key: u8 = parts.next()?.parse().ok()?;
        let expected = self.mac(key, body.as_bytes())?;
        if !is_mac(mac, &expected) {
            return None;
        }
        let signed_in = match kind {
            "s1" => None,
            "s2" => Some(parts.next()?.parse().ok()?),
            _ => return None,
        };
        let account = parts.next()?.parse().ok()?;
        let generation = if signed_in.is_some() { parts.next()?.parse().ok()? } else { 0 };
        let issued: i64 = parts.next()?.parse().ok()?;
        let token = Token { session: Session { account, signed_in }, generation, issued };
        (parts.next().is_none() && token.age_s(now) >= -FUTURE_S).then_some(token)
    }
}

fn is_mac(text: &str, expected: &[u8; 32]) -> bool {
    let mut room = [0; MAC_ROOM];
    if text.len() != MAC_CHARS {
        return false;
    }
    let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut room);
    decoded.is_ok_and(|length| bool::from(room[..length].ct_eq(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn ring(byte: &str) -> Keyring {
        let key = |byte: &str| vec![KeyConfig { id: 1, secret: byte.repeat(32) }];
        Keyring::new(&Keys { tokens: key(byte), tickets: key("aa") }).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_signed_in_token_says_who_and_lives_an_hour() {
        let ring = ring("11");
        let (session, account) = (SessionId::fresh(), AccountId::fresh());
        let text = ring.signed_in(session, account, 7, at(1_000_000));
        let token = ring.read_token(&text, at(1_000_000)).unwrap();
        assert_eq!(token.session, Session { account, signed_in: Some(session) });
        assert_eq!((token.generation, token.issued), (7, 1_000_000));
        assert!(token.is_alive(at(1_000_000 + TOKEN_S - 1)));
        assert!(!token.is_alive(at(1_000_000 + TOKEN_S)));
        assert_eq!(ring.read_token(&text, at(1_000_000 - FUTURE_S - 1)), None);
        assert_eq!(ring.verify_session(&text, at(1_000_000)), None, "it is not an anonymous one");
    }

    #[test]
    fn a_changed_truncated_or_foreign_token_is_none() {
        let ring = ring("11");
        let token = ring.signed_in(SessionId::fresh(), AccountId::fresh(), 1, at(1_000_000));
        for i in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[i] ^= 1;
            if let Ok(changed) = String::from_utf8(changed) {
                assert_eq!(ring.read_token(&changed, at(1_000_000)), None, "{changed}");
            }
            assert_eq!(ring.read_token(&token[..i], at(1_000_000)), None);
        }
        assert_eq!(self::ring("22").read_token(&token, at(1_000_000)), None);
        assert_eq!(ring.read_token(&"é.".repeat(40), at(1_000_000)), None);
    }

    #[test]
    fn kinds_are_not_mistaken_for_one_another() {
        let ring = ring("11");
        // Sealed by us, but with the parts of another kind.
        for body in ["s1.1.a.b", "s2.1.a.b", "s3.1.a.5", "s2.1", "s1.1", "o1.1.a.1"] {
            let token = ring.sealed(1, body.to_owned());
            assert_eq!(ring.read_token(&token, at(5)), None, "{body}");
        }
        let account = AccountId::fresh().0.simple();
        let long = ring.sealed(1, format!("s1.1.{account}.5.6"));
        assert_eq!(ring.read_token(&long, at(5)), None);
    }
}
