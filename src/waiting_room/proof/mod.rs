//! Proof of work on joining the waiting room, in ALTCHA's public protocol (its v1 challenge,
//! which its widget of any version solves unchanged).
//!
//! A challenge is `SHA-256(salt ‖ number)` for a secret number; solving it is finding the number.
//! The salt says for which event and account it is and until when, so a proof is of use only to
//! who asked for it, and nothing is stored until it is spent. The signature covers challenge and
//! salt; it has a kind of its own, so no other token of ours passes for one.
//!
//! The salt ends with `&`. Without an end of its own the border between salt and number could be
//! moved: `…expires=1&23` and `…expires=12&3` must never hash alike.
//!
//! Each proof is good once, by a mark in Redis. FLUSHALL forgets the marks: because a proof is
//! bound to one account and one event, a replay then only finds that account's place again.

mod challenge;
mod config;
pub mod difficulty;
pub mod http;
mod redis;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

pub use self::challenge::{ALGORITHM, Challenge, issue, solve};
use self::challenge::{HEX_HASH, Salt, hash};
pub use self::config::ProofConfig;
use crate::app::App;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId};
use crate::keyring::Keyring;
use crate::suspicion::{self, Reason, Traces};

/// Longest payload in characters. Ours have about 450; widgets add members.
pub const MAX_PAYLOAD: usize = 2_048;
/// Bytes of the longest payload once decoded.
const MAX_DECODED: usize = MAX_PAYLOAD / 4 * 3;

/// Who must have asked for a proof, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The event whose waiting room is joined.
    pub event: EventId,
    /// Whose place it is to be.
    pub account: AccountId,
}

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no payload.
    Malformed,
    /// The challenge isn't one of ours, or was changed.
    Signature,
    /// It was asked for another event.
    Event,
    /// Somebody else asked for it.
    Account,
    /// Its time is over.
    Expired,
    /// The number isn't the solution.
    Unsolved,
}

impl Flaw {
    /// What to say about it.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "the proof is not the base64 of an ALTCHA payload",
            Self::Signature => "the proof's challenge was not issued here, or was changed",
            Self::Event => "the proof was asked for another event",
            Self::Account => "the proof was asked for by another session",
            Self::Expired => "the proof's challenge has expired: ask for a new one",
            Self::Unsolved => "the proof's number does not solve its challenge",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::Event => "event",
            Self::Account => "account",
            Self::Expired => "expired",
            Self::Unsolved => "unsolved",
        }
    }
}

/// A proof that is right, and not known to be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the challenge was told apart from all others by.
    nonce: [u8; challenge::NONCE_DIGITS],
    /// Seconds that it is still good.
    left_s: i64,
}

impl Proof {
    fn nonce(&self) -> &str {
        std::str::from_utf8(&self.nonce).unwrap_or_default()
    }
}

/// What a client sends. Widgets add members (`took`, and others as they grow), which say nothing.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow)]
    challenge: Cow<'a, str>,
    number: u32,
    #[serde(borrow)]
    salt: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
}

/// Judges a payload by itself: one MAC and one hash, in memory of fixed size.
///
/// # Errors
/// The first [`Flaw`] found.
pub fn verify(
    keyring: &Keyring,
    purpose: Purpose,
    payload: &str,
    now: Timestamp,
) -> Result<Proof, Flaw> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Flaw::Malformed);
    }
    let mut buffer = [0; MAX_DECODED];
    let length = STANDARD.decode_slice(payload, &mut buffer).map_err(|_| Flaw::Malformed)?;
    let json = std::str::from_utf8(&buffer[..length]).map_err(|_| Flaw::Malformed)?;
    // One object and nothing around it.
    if !(json.starts_with('{') && json.ends_with('}')) {
        return Err(Flaw::Malformed);
    }
    let payload: Payload<'_> = serde_json::from_str(json).map_err(|_| Flaw::Malformed)?;
    if payload.algorithm != ALGORITHM || payload.challenge.len() != HEX_HASH {
        return Err(Flaw::Malformed);
    }
    if !keyring.verify_challenge(&payload.challenge, &payload.salt, &payload.signature) {
        return Err(Flaw::Signature);
    }
    let salt = Salt::parse(&payload.salt).ok_or(Flaw::Malformed)?;
    if salt.purpose.event != purpose.event {
        return Err(Flaw::Event);
    }
    if salt.purpose.account != purpose.account {
        return Err(Flaw::Account);
    }
    let left_s = salt.expires_s - now.as_second();
    if left_s <= 0 {
        return Err(Flaw::Expired);
    }
    let mut expected = [0; HEX_HASH];
    let hashed = hash(&payload.salt, payload.number);
    // The client knows the challenge: there is nothing to hide from a clock here.
    if hex::encode_to_slice(hashed, &mut expected).is_err()
        || payload.challenge.as_bytes() != expected
    {
        return Err(Flaw::Unsolved);
    }
    Ok(Proof { nonce: salt.nonce, left_s })
}

/// Judges a payload and spends it. `client` is the address it came from, whose record it goes on
/// if it is refused.
///
/// # Errors
/// `proof_invalid` (403) with what is wrong, `proof_spent` (409), or `unavailable` (503) if Redis
/// can't say whether it was spent.
pub async fn check(
    app: &App,
    client: IpAddr,
    purpose: Purpose,
    payload: &str,
) -> Result<(), Problem> {
    let now = app.now();
    let refuse = |word: &'static str| {
        app.proofs.refused(&app.config.waiting_room.proof, client, now.as_second());
        metrics::counter!("onsale_proofs_total", "outcome" => word).increment(1);
        let traces = Traces::from_address(app, client);
        suspicion::note(app, purpose.event, purpose.account, traces, Reason::ProofsRefused);
    };
    let proof = verify(&app.keyring, purpose, payload, now).map_err(|flaw| {
        refuse(flaw.word());
        Problem::new(Code::ProofInvalid).detail(flaw.detail())
    })?;
    if !redis::spend(&app.redis, purpose.event, &proof).await? {
        refuse("spent");
        return Err(Problem::new(Code::ProofSpent).detail("ask for a new challenge"));
    }
    metrics::counter!("onsale_proofs_total", "outcome" => "accepted").increment(1);
    Ok(())
}
