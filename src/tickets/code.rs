//! The signed code of a ticket: what a gate scans, and can verify without a connection.
//!
//! Layout, before base64url without padding: version 1 (1 byte), key id (1), event (16), place
//! (4, big-endian), serial (4), Ed25519 signature (64) over "onsale ticket" and the 26 bytes
//! before it. 90 bytes are 120 characters.
//!
//! Codes of a rehearsal look the same and are signed over "onsale rehearsal" instead, so that no
//! gate, whatever it knows of rehearsals, believes one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use uuid::Uuid;

use crate::catalog::Event;
use crate::ids::EventId;
use crate::keyring::Keyring;

const VERSION: u8 = 1;
const BODY: usize = 26;
const CODE: usize = BODY + 64;
const DOMAIN: &[u8] = b"onsale ticket";
const REHEARSED: &[u8] = b"onsale rehearsal";
/// Longest text that is looked at.
const MAX_TEXT: usize = 200;

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketCode {
    /// The event it is for.
    pub event: EventId,
    /// The place it is for.
    pub place: i32,
    /// Which of the tickets that the place had.
    pub serial: i32,
}

/// Why a code is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadCode {
    /// Not a code at all.
    #[error("this is not a ticket code")]
    Malformed,
    /// A code, but not signed by one of our keys.
    #[error("the code's signature is not valid")]
    Forged,
    /// Signed by one of our keys as a ticket of a rehearsal.
    #[error("this ticket is of a rehearsal: it lets nobody in")]
    Rehearsed,
}

impl TicketCode {
    fn body(self, key: u8) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[0] = VERSION;
        body[1] = key;
        body[2..18].copy_from_slice(self.event.0.as_bytes());
        body[18..22].copy_from_slice(&self.place.to_be_bytes());
        body[22..26].copy_from_slice(&self.serial.to_be_bytes());
        body
    }

    /// The text to print and to scan, for a ticket of this event.
    #[must_use]
    pub fn issue(self, event: &Event, keys: &Keyring) -> Option<String> {
        if event.rehearsal { self.sign_as(REHEARSED, keys) } else { self.sign(keys) }
    }

    /// The text of a ticket that lets somebody in.
    #[must_use]
    pub fn sign(self, keys: &Keyring) -> Option<String> {
        self.sign_as(DOMAIN, keys)
    }

    fn sign_as(self, domain: &[u8], keys: &Keyring) -> Option<String> {
        let (key, signature) = keys.sign_ticket(&|key| message(domain, &self.body(key)))?;
        let mut code = Vec::with_capacity(CODE);
        code.extend_from_slice(&self.body(key));
        code.extend_from_slice(&signature);
        Some(URL_SAFE_NO_PAD.encode(code))
    }

    /// Reads and verifies a code.
    ///
    /// # Errors
    /// If it isn't one, or isn't ours.
    pub fn verify(text: &str, keys: &Keyring) -> Result<Self, BadCode> {
        if text.len() > MAX_TEXT {
            return Err(BadCode::Malformed);
        }
        let code = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCode::Malformed)?;
        let code: [u8; CODE] = code.try_into().map_err(|_| BadCode::Malformed)?;
        if code[0] != VERSION {
            return Err(BadCode::Malformed);
        }
        let (body, signature) = code.split_at(BODY);
        let signature: &[u8; 64] = signature.try_into().map_err(|_| BadCode::Malformed)?;
        if !keys.verify_ticket(body[1], &message(DOMAIN, body), signature) {
            let rehearsed = keys.verify_ticket(body[1], &message(REHEARSED, body), signature);
            return Err(if rehearsed { BadCode::Rehearsed } else { BadCode::Forged });
        }
        let number = |from: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&body[from..from + 4]);
            i32::from_be_bytes(bytes)
        };
        let event = Uuid::from_slice(&body[2..18]).map_err(|_| BadCode::Malformed)?;
        Ok(Self { event: EventId(event), place: number(18), serial: number(22) })
    }
}

fn message(domain: &[u8], body: &[u8]) -> Vec<u8> {
    [domain, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn keys(id: u8, byte: &str) -> Keyring {
        let key = || vec![KeyConfig { id, secret: byte.repeat(32) }];
        Keyring::new(&Keys { tokens: key(), tickets: key() }).unwrap()
    }

    #[test]
    fn a_code_verifies_with_the_published_key_and_no_bit_of_it_can_be_flipped() {
        let keys = keys(7, "5a");
        let ticket = TicketCode { event: EventId::fresh(), place: 19_999, serial: 2 };
        let text = ticket.sign(&keys).unwrap();
        assert_eq!(text.len(), 120);
        assert_eq!(TicketCode::verify(&text, &keys), Ok(ticket));
        let code = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..code.len() * 8 {
            let mut flipped = code.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(flipped);
            assert!(TicketCode::verify(&text, &keys).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_code_of_a_rehearsal_is_no_ticket() {
        let keys = keys(7, "5a");
        let ticket = TicketCode { event: EventId::fresh(), place: 3, serial: 1 };
        let text = ticket.sign_as(REHEARSED, &keys).unwrap();
        assert_eq!(text.len(), 120);
        assert_eq!(TicketCode::verify(&text, &keys), Err(BadCode::Rehearsed));
    }

    #[test]
    fn another_key_and_no_code_are_refused() {
        let ticket = TicketCode { event: EventId::fresh(), place: 1, serial: 1 };
        let text = ticket.sign(&keys(1, "5a")).unwrap();
        assert_eq!(TicketCode::verify(&text, &keys(1, "5b")), Err(BadCode::Forged));
        assert_eq!(TicketCode::verify(&text, &keys(2, "5a")), Err(BadCode::Forged));
        for bad in ["", "x", "é", &text[..119], &"A".repeat(120), &"A".repeat(100_000)] {
            assert!(TicketCode::verify(bad, &keys(1, "5a")).is_err());
        }
    }
}
