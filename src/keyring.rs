//! Keys by id: session tokens, secret links and tickets say which key signed them.
//!
//! A token is `kind.key.payload.mac` with an HMAC-SHA256 over all before the last dot; the kind
//! keeps a token of one step from being used as one of another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::config::{KeyConfig, Keys};
use crate::ids::{AccountId, OrderId};

/// How long an anonymous session lives, in seconds: 7 days.
pub const SESSION_S: i64 = 7 * 24 * 3_600;
/// A token that claims to be issued later than this from now is refused, in seconds.
pub(crate) const FUTURE_S: i64 = 300;
/// Bytes of a secret link: 128 bits.
const LINK_BYTES: usize = 16;
/// Bytes of a sealed token's authentication code: 128 bits.
const SEAL_BYTES: usize = 16;
/// Bytes of a digest: 128 bits.
pub const DIGEST_BYTES: usize = 16;

/// The process's keys.
#[derive(Clone)]
pub struct Keyring {
    /// Keyed once, so that a token costs only its own text.
    tokens: Vec<(u8, Hmac<Sha256>)>,
    tickets: Vec<(u8, SigningKey)>,
}

/// A key that isn't one.
#[derive(Debug, Error)]
#[error("key {0} is not 32 bytes of hexadecimal")]
pub struct BadKey(u8);

fn read(keys: &[KeyConfig]) -> Result<Vec<(u8, [u8; 32])>, BadKey> {
    let read = |key: &KeyConfig| {
        let bytes = hex::decode(&key.secret).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| (key.id, bytes)).ok_or(BadKey(key.id))
    };
    keys.iter().map(read).collect()
}

impl Keyring {
    /// Reads the configured keys; each list has at least one (validated).
    ///
    /// # Errors
    /// If a key is not 32 bytes of hexadecimal.
    pub fn new(keys: &Keys) -> Result<Self, BadKey> {
        let tokens = read(&keys.tokens)?.into_iter().map(|(id, secret)| {
            Hmac::new_from_slice(&secret).map(|keyed| (id, keyed)).map_err(|_| BadKey(id))
        });
        let tokens = tokens.collect::<Result<_, _>>()?;
        let tickets = read(&keys.tickets)?
            .into_iter()
            .map(|(id, seed)| (id, SigningKey::from_bytes(&seed)))
            .collect();
        Ok(Self { tokens, tickets })
    }

    pub(crate) fn mac(&self, key: u8, message: &[u8]) -> Option<[u8; 32]> {
        self.mac_of(key, &[message])
    }

    fn mac_of(&self, key: u8, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let (_, keyed) = self.tokens.iter().find(|(id, _)| *id == key)?;
        let mut mac = keyed.clone();
        for part in parts {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// A token of this kind: `kind.` and base64 of key id, payload and authentication code.
    #[must_use]
    pub fn seal(&self, kind: &str, payload: &[u8]) -> String {
        let key = self.tokens.first().map_or(0, |(id, _)| *id);
        let mut bytes = Vec::with_capacity(1 + payload.len() + SEAL_BYTES);
        bytes.push(key);
        bytes.extend_from_slice(payload);
        let code = self.seal_code(key, kind, payload).unwrap_or_default();
        bytes.extend_from_slice(&code);
        let mut text = String::with_capacity(kind.len() + 1 + bytes.len() * 4 / 3 + 3);
        text.push_str(kind);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        text
    }

    /// The payload of a sealed token of this kind and length, without allocating.
    #[must_use]
    pub fn open<const N: usize>(&self, kind: &str, token: &str) -> Option<[u8; N]> {
        let text = token.strip_prefix(kind)?.strip_prefix('.')?;
        let mut bytes = [0; 128];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (key, rest) = bytes[..length].split_first()?;
        let (payload, given) = rest.split_at_checked(N)?;
        let code = self.seal_code(*key, kind, payload)?;
        bool::from(code.as_slice().ct_eq(given)).then(|| payload.try_into().ok())?
    }

    fn seal_code(&self, key: u8, kind: &str, payload: &[u8]) -> Option<[u8; SEAL_BYTES]> {
        let mac = self.mac_of(key, &[b"seal ", kind.as_bytes(), &[0, key], payload])?;
        mac[..SEAL_BYTES].try_into().ok()
    }

    /// The id of the current token key.
    #[must_use]
    pub fn token_key(&self) -> u8 {
        self.tokens.first().map_or(0, |(id, _)| *id)
    }

    /// The ids of all token keys that count, the current one first.
    pub fn token_keys(&self) -> impl Iterator<Item = u8> {
        self.tokens.iter().map(|(id, _)| *id)
    }

    /// A keyed digest of these parts, for what is stored or computed but never shown as a token.
    /// All parts but the last are of one length for each purpose. `None` if there is no such key.
    #[must_use]
    pub fn digest(&self, key: u8, purpose: &str, parts: &[&[u8]]) -> Option<[u8; DIGEST_BYTES]> {
        let (_, keyed) = self.tokens.iter().find(|(id, _)| *id == key)?;
        let mut mac = keyed.clone();
        mac.update(b"digest ");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes()[..DIGEST_BYTES].try_into().ok()
    }

    /// A session token for an anonymous buyer.
    #[must_use]
    pub fn session(&self, account: AccountId, now: Timestamp) -> String {
        let (key, issued) = (self.token_key(), now.as_second());
        self.sealed(key, format!("s1.{key}.{}.{issued}", account.0.simple()))
    }

    /// Whose anonymous session this is, if it is a valid one.
    #[must_use]
    pub fn verify_session(&self, token: &str, now: Timestamp) -> Option<AccountId> {
        let token = self.read_token(token, now).filter(|token| token.is_alive(now))?;
        token.session.signed_in.is_none().then_some(token.session.account)
    }

    /// The secret of an order's link: who has it sees the order and its tickets.
    #[must_use]
    pub fn order_link(&self, order: OrderId) -> String {
        self.link_with(self.token_key(), order).unwrap_or_default()
    }

    /// The order's page, as a path with its secret.
    #[must_use]
    pub fn order_path(&self, order: OrderId) -> String {
        format!("/orders/{order}?key={}", self.order_link(order))
    }

    fn link_with(&self, key: u8, order: OrderId) -> Option<String> {
        let mac = self.mac(key, format!("o1.{}", order.0.simple()).as_bytes())?;
        Some(format!("{key:02x}{}", hex::encode(&mac[..LINK_BYTES])))
    }

    /// Whether this secret opens the order.
    #[must_use]
    pub fn verify_order_link(&self, order: OrderId, secret: &str) -> bool {
        let Some(key) = secret.get(..2).and_then(|id| u8::from_str_radix(id, 16).ok()) else {
            return false;
        };
        self.link_with(key, order)
            .is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(secret.as_bytes())))
    }

    /// The signature of a proof-of-work challenge and its salt: the key's id and the MAC in
    /// hexadecimal. Neither of the two has a dot in it.
    #[must_use]
    pub fn sign_challenge(&self, challenge: &str, salt: &str) -> String {
        let key = self.tokens.first().map_or(0, |(id, _)| *id);
        let mac = self.challenge_mac(key, challenge, salt).unwrap_or_default();
        format!("{key:02x}{}", hex::encode(mac))
    }

    /// Whether one of the keys made this signature. Nothing is allocated: every bot asks.
    #[must_use]
    pub fn verify_challenge(&self, challenge: &str, salt: &str, signature: &str) -> bool {
        let Some((key, mac)) = signature.split_at_checked(2) else { return false };
        let mut id = [0; 1];
        if hex::decode_to_slice(key, &mut id).is_err() {
            return false;
        }
        let Some(expected) = self.challenge_mac(id[0], challenge, salt) else { return false };
        // Compared as text: there is one way to write a signature.
        let mut text = [0; 2 + 2 * 32];
        let (head, tail) = text.split_at_mut(2);
        hex::encode_to_slice(id, head).is_ok()
            && hex::encode_to_slice(expected, tail).is_ok()
            && bool::from(head.ct_eq(key.as_bytes()) & tail.ct_eq(mac.as_bytes()))
    }

    fn challenge_mac(&self, key: u8, challenge: &str, salt: &str) -> Option<[u8; 32]> {
        self.mac_of(key, &[b"p1.", &[key], b".", challenge.as_bytes(), b".", salt.as_bytes()])
    }

    /// Signs with the current ticket key: its id and the signature.
    #[must_use]
    pub fn sign_ticket(&self, message: &dyn Fn(u8) -> Vec<u8>) -> Option<(u8, [u8; 64])> {
        let (id, key) = self.tickets.first()?;
        Some((*id, key.sign(&message(*id)).to_bytes()))
    }

    /// Whether a ticket key made this signature.
    #[must_use]
    pub fn verify_ticket(&self, key: u8, message: &[u8], signature: &[u8; 64]) -> bool {
        let Some((_, signing)) = self.tickets.iter().find(|(id, _)| *id == key) else {
            return false;
        };
        signing.verifying_key().verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// The public ticket keys, for gates that verify without a connection.
    #[must_use]
    pub fn ticket_keys(&self) -> Vec<(u8, VerifyingKey)> {
        self.tickets.iter().map(|(id, key)| (*id, key.verifying_key())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, byte: &str) -> KeyConfig {
        KeyConfig { id, secret: byte.repeat(32) }
    }

    fn ring(tokens: Vec<KeyConfig>) -> Keyring {
        Keyring::new(&Keys { tokens, tickets: vec![key(1, "aa")] }).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_session_is_valid_until_it_ends_and_not_before_it_began() {
        let ring = ring(vec![key(1, "11")]);
        let account = AccountId::fresh();
        let token = ring.session(account, at(1_000_000));
        assert_eq!(ring.verify_session(&token, at(1_000_000)), Some(account));
        assert_eq!(ring.verify_session(&token, at(1_000_000 + SESSION_S - 1)), Some(account));
        assert_eq!(ring.verify_session(&token, at(1_000_000 + SESSION_S)), None);
        assert_eq!(ring.verify_session(&token, at(1_000_000 - FUTURE_S - 1)), None);
    }

    #[test]
    fn a_changed_truncated_or_foreign_token_is_refused() {
        let ring = ring(vec![key(1, "11")]);
        let token = ring.session(AccountId::fresh(), at(1_000_000));
        for i in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[i] ^= 1;
            if let Ok(changed) = String::from_utf8(changed) {
                assert_eq!(ring.verify_session(&changed, at(1_000_000)), None, "{changed}");
            }
            assert_eq!(ring.verify_session(&token[..i], at(1_000_000)), None);
        }
        let other = self::ring(vec![key(1, "22")]);
        assert_eq!(other.verify_session(&token, at(1_000_000)), None);
    }

    #[test]
    fn keys_rotate_by_id() {
        let old = ring(vec![key(1, "11")]);
        let both = ring(vec![key(2, "22"), key(1, "11")]);
        let new = ring(vec![key(2, "22")]);
        let (account, order) = (AccountId::fresh(), OrderId::fresh());
        let token = old.session(account, at(1));
        assert_eq!(both.verify_session(&token, at(1)), Some(account));
        assert_eq!(new.verify_session(&token, at(1)), None);
        let link = old.order_link(order);
        assert!(both.verify_order_link(order, &link));
        assert!(!new.verify_order_link(order, &link));
        assert!(!both.verify_order_link(OrderId::fresh(), &link));
        assert!(!both.verify_order_link(order, "é"));
        let proof = old.sign_challenge("ab", "salt");
        assert!(both.verify_challenge("ab", "salt", &proof));
        assert!(!new.verify_challenge("ab", "salt", &proof));
    }

    #[test]
    fn a_challenge_is_signed_with_its_salt_and_in_one_way_only() {
        let ring = ring(vec![key(0xab, "11")]);
        let signature = ring.sign_challenge("ab", "salt");
        assert!(ring.verify_challenge("ab", "salt", &signature));
        assert!(!ring.verify_challenge("ab", "sal", &signature));
        assert!(!ring.verify_challenge("abs", "alt", &signature));
        assert!(!ring.verify_challenge("ab", "salt", &signature.to_uppercase()));
        for cut in ["", "a", "é", "abé", &signature[..65], &(signature.clone() + "0")] {
            assert!(!ring.verify_challenge("ab", "salt", cut), "{cut}");
        }
        // No token of another kind is one: neither whole nor its MAC as hexadecimal.
        let token = ring.session(AccountId::fresh(), at(1));
        let (body, mac) = token.rsplit_once('.').unwrap();
        let mac = hex::encode(URL_SAFE_NO_PAD.decode(mac).unwrap());
        for (challenge, salt) in [(body, ""), ("", body), body.split_once('.').unwrap()] {
            assert!(!ring.verify_challenge(challenge, salt, &format!("ab{mac}")));
        }
    }
}
