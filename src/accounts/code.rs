//! One-time codes and links. Both are computed from the sign-in's random id with a secret key, so
//! that nothing which signs anybody in is stored, and a worker can still write it into a mail.

use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::keyring::Keyring;

/// Digits of a code.
pub const DIGITS: usize = 6;
/// There are so many codes.
const CODES: u64 = 1_000_000;
/// Bytes of a link's secret: 128 bits.
const SECRET_BYTES: usize = 16;
/// Hexadecimal digits of the id, with which a link's token begins.
const ID_CHARS: usize = 32;

/// A code as it was typed: digits, with spaces or hyphens between them. `None` if it is none.
#[must_use]
pub fn typed(text: &str) -> Option<String> {
    let spaces = |c: &char| !c.is_whitespace() && *c != '-';
    let digits: String = text.chars().filter(spaces).take(DIGITS + 1).collect();
    let good = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(digits)
}

/// The sign-in that a link's token names, whether its secret is right or not.
#[must_use]
pub fn named_by(token: &str) -> Option<Uuid> {
    if token.len() != ID_CHARS + 2 * SECRET_BYTES {
        return None;
    }
    Uuid::try_parse(token.get(..ID_CHARS)?).ok()
}

impl Keyring {
    /// The code of a sign-in for the person with this key of an address. `None` if the secret
    /// key is gone.
    #[must_use]
    pub fn sign_in_code(&self, key: u8, id: Uuid, email_key: &str) -> Option<String> {
        let mac = self.mac(key, format!("c1.{}.{email_key}", id.simple()).as_bytes())?;
        let mut first = [0; 8];
        first.copy_from_slice(&mac[..8]);
        Some(format!("{:0DIGITS$}", u64::from_be_bytes(first) % CODES))
    }

    /// The token of a sign-in's link. `None` if the secret key is gone.
    #[must_use]
    pub fn sign_in_token(&self, key: u8, id: Uuid) -> Option<String> {
        let mac = self.mac(key, format!("l1.{}", id.simple()).as_bytes())?;
        Some(format!("{}{}", id.simple(), hex::encode(&mac[..SECRET_BYTES])))
    }

    /// Whether this is the sign-in's code.
    #[must_use]
    pub fn is_sign_in_code(&self, key: u8, id: Uuid, email_key: &str, code: &str) -> bool {
        let expected = self.sign_in_code(key, id, email_key);
        expected.is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(code.as_bytes())))
    }

    /// Whether this is the token of the sign-in's link.
    #[must_use]
    pub fn is_sign_in_token(&self, key: u8, id: Uuid, token: &str) -> bool {
        let expected = self.sign_in_token(key, id);
        expected.is_some_and(|expected| bool::from(expected.as_bytes().ct_eq(token.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn ring() -> Keyring {
        let key = |id, byte: &str| KeyConfig { id, secret: byte.repeat(32) };
        let tokens = vec![key(1, "11"), key(2, "22")];
        Keyring::new(&Keys { tokens, tickets: vec![key(1, "aa")] }).unwrap()
    }

    #[test]
    fn a_code_belongs_to_one_key_sign_in_and_person() {
        let (ring, id) = (ring(), Uuid::from_u128(7));
        let code = ring.sign_in_code(1, id, "ada@example.org").unwrap();
        assert_eq!(typed(&code).as_ref(), Some(&code));
        assert!(ring.is_sign_in_code(1, id, "ada@example.org", &code));
        let others = [
            ring.sign_in_code(2, id, "ada@example.org").unwrap(),
            ring.sign_in_code(1, Uuid::from_u128(8), "ada@example.org").unwrap(),
            ring.sign_in_code(1, id, "eve@example.org").unwrap(),
        ];
        assert!(others.iter().all(|other| *other != code), "{code} {others:?}");
        assert!(!ring.is_sign_in_code(3, id, "ada@example.org", &code), "an unknown key");
        assert!(!ring.is_sign_in_code(1, id, "ada@example.org", &code[1..]));
    }

    #[test]
    fn a_link_names_its_sign_in_and_nothing_else_opens_it() {
        let (ring, id) = (ring(), Uuid::from_u128(7));
        let token = ring.sign_in_token(1, id).unwrap();
        assert_eq!(named_by(&token), Some(id));
        assert!(ring.is_sign_in_token(1, id, &token));
        assert!(!ring.is_sign_in_token(2, id, &token));
        assert!(!ring.is_sign_in_token(1, id, &token.to_uppercase()));
        for bad in ["", "x", &token[1..], &format!("{token}0"), &"é".repeat(32)] {
            assert_eq!(named_by(bad), None, "{bad}");
        }
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(typed(" 123 456\n").as_deref(), Some("123456"));
        assert_eq!(typed("123-456").as_deref(), Some("123456"));
        for bad in ["", "12345", "1234567", "12345a", "１２３４５６", "-"] {
            assert_eq!(typed(bad), None, "{bad}");
        }
    }
}
