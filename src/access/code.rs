//! How codes are made, written and compared.
//!
//! A code has 80 bits as 16 characters of Crockford's alphabet, in groups of four. Nobody has to
//! tell O from 0 or I and L from 1: they are the same. The first group is kept in the clear, for
//! support; the other 60 bits are nowhere.
//!
//! Codes that are generated are computed from what they are for, with a secret key: a repeated
//! request gets the same ones, and a winner's code can be shown without being stored.

use crate::ids::{AccountId, EventId};
use crate::keyring::{DIGEST_BYTES, Keyring};
use uuid::Uuid;

/// Crockford's base 32: without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a generated code.
const CHARS: usize = 16;
/// Characters between two hyphens.
const GROUP: usize = 4;
/// Fewest and most characters of an organizer's own code, as it is compared.
pub const MIN_CHARS: usize = 6;
/// See above.
pub const MAX_CHARS: usize = 40;
/// Most characters that are looked at.
const MAX_TYPED: usize = 100;

/// What a digest is for: one of one purpose is never one of another.
const OF_CODE: &str = "access code";
const OF_BATCH: &str = "access batch";
const OF_WINNER: &str = "registration winner";

/// A code as it is compared: upper case, without spaces and hyphens, look-alikes made one.
/// `None` if it can't be one.
#[must_use]
pub fn normalise(text: &str) -> Option<String> {
    if text.len() > MAX_TYPED {
        return None;
    }
    let normal: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        })
        .collect();
    let fine = normal.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (fine && (MIN_CHARS..=MAX_CHARS).contains(&normal.len())).then_some(normal)
}

/// What support may see of a code: at most a quarter.
#[must_use]
pub fn prefix(normal: &str) -> &str {
    &normal[..(normal.len() / 4).min(GROUP)]
}

/// What is stored of a code, by the current key.
#[must_use]
pub fn hash(keyring: &Keyring, event: EventId, normal: &str) -> [u8; DIGEST_BYTES] {
    let key = keyring.token_key();
    digest(keyring, key, event, normal).unwrap_or_default()
}

/// What may be stored of it, by any key that still counts.
#[must_use]
pub fn hashes(keyring: &Keyring, event: EventId, normal: &str) -> Vec<Vec<u8>> {
    let keys = keyring.token_keys();
    keys.filter_map(|key| Some(digest(keyring, key, event, normal)?.to_vec())).collect()
}

fn digest(keyring: &Keyring, key: u8, event: EventId, normal: &str) -> Option<[u8; DIGEST_BYTES]> {
    keyring.digest(key, OF_CODE, &[event.0.as_bytes(), normal.as_bytes()])
}

/// The code of this number in a batch. `None` if the key is gone.
#[must_use]
pub fn of_batch(keyring: &Keyring, key: u8, batch: Uuid, number: u32) -> Option<String> {
    let bytes = keyring.digest(key, OF_BATCH, &[batch.as_bytes(), &number.to_be_bytes()])?;
    Some(written(&bytes))
}

/// The code of somebody who won at a registration. `None` if the key is gone.
#[must_use]
pub fn of_winner(
    keyring: &Keyring,
    key: u8,
    registration: Uuid,
    account: AccountId,
) -> Option<String> {
    let about = [registration.as_bytes().as_slice(), account.0.as_bytes()];
    Some(written(&keyring.digest(key, OF_WINNER, &about)?))
}

/// The first 80 bits in groups.
fn written(bytes: &[u8; DIGEST_BYTES]) -> String {
    let mut first = [0; DIGEST_BYTES];
    first[6..].copy_from_slice(&bytes[..CHARS * 5 / 8]);
    let mut bits = u128::from_be_bytes(first) << (128 - CHARS * 5);
    let mut text = String::with_capacity(CHARS + CHARS / GROUP);
    for at in 0..CHARS {
        if at > 0 && at % GROUP == 0 {
            text.push('-');
        }
        let index = usize::try_from(bits >> 123).unwrap_or(0);
        text.push(char::from(ALPHABET[index]));
        bits <<= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::{KeyConfig, Keys};

    fn ring(bytes: &[(u8, &str)]) -> Keyring {
        let key = |(id, byte): &(u8, &str)| KeyConfig { id: *id, secret: byte.repeat(32) };
        let tokens = bytes.iter().map(key).collect();
        Keyring::new(&Keys { tokens, tickets: vec![key(&(1, "aa"))] }).unwrap()
    }

    #[test]
    fn codes_are_written_in_groups_of_an_alphabet_without_look_alikes() {
        assert_eq!(written(&[0; 16]), "0000-0000-0000-0000");
        assert_eq!(written(&[0xff; 16]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        let mut bytes = [0; 16];
        bytes[..10].copy_from_slice(&[0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]);
        assert_eq!(written(&bytes), "0123-4567-89AB-CDEF");
        let ring = ring(&[(1, "11")]);
        let batch = Uuid::now_v7();
        let codes: HashSet<_> =
            (0..10_000).map(|number| of_batch(&ring, 1, batch, number).unwrap()).collect();
        assert_eq!(codes.len(), 10_000);
        for code in &codes {
            assert_eq!(normalise(code).unwrap(), code.replace('-', ""));
        }
        // Every character is as likely as any other: chi-squared with 31 degrees of freedom.
        let mut counts = [0_f64; 32];
        for byte in codes.iter().flat_map(|code| code.bytes()).filter(|byte| *byte != b'-') {
            counts[ALPHABET.iter().position(|known| *known == byte).unwrap()] += 1.0;
        }
        let chi: f64 = counts.iter().map(|count| (count - 5_000.0).powi(2) / 5_000.0).sum();
        assert!(chi < 80.0, "chi squared {chi}");
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        for text in ["FAN5-10O1", "fan5 loo1", " f-a-n-5-i-0-o-1 "] {
            assert_eq!(normalise(text).as_deref(), Some("FAN51001"), "{text}");
        }
        let long = "X".repeat(41);
        for bad in ["", "ABCDE", "-----------", "ABC|DEF", "ÄBCDEFG", "ABCDEF\u{0}", &long] {
            assert_eq!(normalise(bad), None, "{bad}");
        }
        assert_eq!(prefix("K7QM2XB49999AAAA"), "K7QM");
        assert_eq!(prefix("SECRET"), "S");
    }

    #[test]
    fn a_hash_depends_on_key_event_and_code_and_old_keys_still_count() {
        let (old, both) = (ring(&[(1, "11")]), ring(&[(2, "22"), (1, "11")]));
        let event = EventId::fresh();
        let stored = hash(&old, event, "K7QM2XB4");
        assert_ne!(stored, hash(&both, event, "K7QM2XB4"));
        assert_ne!(stored, hash(&old, EventId::fresh(), "K7QM2XB4"));
        assert_ne!(stored, hash(&old, event, "K7QM2XB5"));
        assert!(hashes(&both, event, "K7QM2XB4").contains(&stored.to_vec()));
        assert!(!hashes(&ring(&[(2, "22")]), event, "K7QM2XB4").contains(&stored.to_vec()));
        let winner = AccountId::fresh();
        assert_eq!(of_winner(&both, 1, event.0, winner), of_winner(&old, 1, event.0, winner));
        assert_eq!(of_winner(&old, 2, event.0, winner), None);
    }
}
