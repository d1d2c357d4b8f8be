//! Challenges: made here, and solved here for programs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::difficulty::Difficulty;
use super::{ProofConfig, Purpose};
use crate::keyring::Keyring;

/// The one algorithm in use.
pub const ALGORITHM: &str = "SHA-256";
/// Hexadecimal digits of a hash.
pub(super) const HEX_HASH: usize = 64;
/// Hexadecimal digits of a nonce: 128 random bits.
pub(super) const NONCE_DIGITS: usize = 32;
/// Most decimal digits of a number.
const NUMBER_DIGITS: usize = 10;

/// A challenge of ALTCHA's protocol: find the `number` from 0 to `maxnumber` for which the
/// SHA-256 of `salt` followed by the number in decimal is `challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Challenge {
    /// `SHA-256`.
    #[schema(example = "SHA-256")]
    pub algorithm: String,
    /// The hash to find the number for, in lower-case hexadecimal.
    pub challenge: String,
    /// The number is at most this; half as many hashes find it on average.
    #[schema(example = 100_000)]
    pub maxnumber: u32,
    /// What goes before the number, to the last character. Its parameter `expires` (Unix seconds)
    /// says until when the proof is good.
    pub salt: String,
    /// Goes back with the solution as it came.
    pub signature: String,
}

/// What a solved challenge looks like, in the order of the protocol's own examples.
#[derive(Serialize)]
struct Solved<'a> {
    algorithm: &'a str,
    challenge: &'a str,
    number: u32,
    salt: &'a str,
    signature: &'a str,
}

/// What a salt says.
pub(super) struct Salt {
    pub nonce: [u8; NONCE_DIGITS],
    pub purpose: Purpose,
    pub expires_s: i64,
}

impl Salt {
    /// The salt as it is written. Its length leaves room in the last block of SHA-256 for the
    /// number, so that who has hashed the salt once needs one compression per attempt.
    fn write(&self) -> String {
        let Purpose { event, account } = self.purpose;
        format!(
            "{}?event={}&account={}&expires={}&",
            String::from_utf8_lossy(&self.nonce),
            event.0.simple(),
            account.0.simple(),
            self.expires_s,
        )
    }

    /// Reads a salt whose signature was found right.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (nonce, rest) = text.split_once("?event=")?;
        let (event, rest) = rest.split_once("&account=")?;
        let (account, rest) = rest.split_once("&expires=")?;
        Some(Self {
            nonce: nonce.as_bytes().try_into().ok()?,
            purpose: Purpose { event: event.parse().ok()?, account: account.parse().ok()? },
            expires_s: rest.strip_suffix('&')?.parse().ok()?,
        })
    }
}

/// The number in decimal, in the end of `into`.
fn decimal(mut number: u32, into: &mut [u8; NUMBER_DIGITS]) -> &[u8] {
    let mut at = NUMBER_DIGITS;
    loop {
        at -= 1;
        into[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || at == 0 {
            return &into[at..];
        }
    }
}

/// The SHA-256 of salt and number.
pub(super) fn hash(salt: &str, number: u32) -> [u8; 32] {
    hash_after(Sha256::new_with_prefix(salt), number)
}

fn hash_after(mut salted: Sha256, number: u32) -> [u8; 32] {
    salted.update(decimal(number, &mut [0; NUMBER_DIGITS]));
    salted.finalize().into()
}

/// A new challenge.
#[must_use]
pub fn issue(
    keyring: &Keyring,
    config: &ProofConfig,
    purpose: Purpose,
    difficulty: Difficulty,
    now: Timestamp,
) -> Challenge {
    let mut rng = rand::rng();
    let mut nonce = [0; NONCE_DIGITS];
    uuid::Uuid::from_bytes(rng.random()).simple().encode_lower(&mut nonce);
    let expires_s = now.as_second() + i64::from(config.lifetime_s);
    let salt = Salt { nonce, purpose, expires_s }.write();
    let maxnumber = difficulty.max_number();
    let challenge = hex::encode(hash(&salt, rng.random_range(0..=maxnumber)));
    let signature = keyring.sign_challenge(&challenge, &salt);
    Challenge { algorithm: ALGORITHM.to_owned(), challenge, maxnumber, salt, signature }
}

/// Solves a challenge as a program would: the payload to send back. `None` if it is not one of
/// this algorithm, or has no solution up to its `maxnumber`.
#[must_use]
pub fn solve(challenge: &Challenge) -> Option<String> {
    if challenge.algorithm != ALGORITHM {
        return None;
    }
    let wanted: [u8; 32] = hex::decode(&challenge.challenge).ok()?.try_into().ok()?;
    let salted = Sha256::new_with_prefix(&challenge.salt);
    let number =
        (0..=challenge.maxnumber).find(|number| hash_after(salted.clone(), *number) == wanted)?;
    payload(challenge, number)
}

/// The payload that says that `number` is the solution.
pub(super) fn payload(challenge: &Challenge, number: u32) -> Option<String> {
    let solved = Solved {
        algorithm: &challenge.algorithm,
        challenge: &challenge.challenge,
        number,
        salt: &challenge.salt,
        signature: &challenge.signature,
    };
    serde_json::to_vec(&solved).ok().map(|json| STANDARD.encode(json))
}
