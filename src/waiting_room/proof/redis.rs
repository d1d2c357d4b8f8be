//! Spent proofs in Redis: marks that end by themselves.

use redis::Value;

use super::Proof;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;
use crate::redis::{Redis, Trouble, keys, scripts};

/// A spent proof is remembered for so much longer than it is good, in seconds: another node's
/// clock may be behind.
const CLOCKS_DIFFER_S: i64 = 600;

/// Marks the proof as spent; whether it was the first to be.
///
/// # Errors
/// `unavailable` if Redis isn't there or doesn't answer: nothing is believed that can't be
/// marked.
pub(super) async fn spend(redis: &Redis, event: EventId, proof: &Proof) -> Result<bool, Problem> {
    let Some(link) = redis.link() else { return Err(Problem::new(Code::Unavailable)) };
    let key = keys::spent_proof(&redis.prefix, event, proof.nonce());
    let lasts_ms = (proof.left_s + CLOCKS_DIFFER_S) * 1_000;
    let argument = lasts_ms.to_string();
    let reply = redis.eval(&link.run_id, &scripts::SPEND, &[&key], &[argument.as_bytes()]).await;
    let reply = reply.map_err(|trouble| match trouble {
        bad @ Trouble::BadReply(..) => Problem::from(bad),
        trouble => {
            tracing::warn!(%trouble, "a proof could not be marked as spent");
            // Whether it was is not known: with the same proof the client might never succeed.
            Problem::new(Code::Unavailable).detail("ask for a new challenge")
        }
    })?;
    match reply.first() {
        Some(Value::BulkString(word)) if word == b"spent" => Ok(true),
        Some(Value::BulkString(word)) if word == b"again" => Ok(false),
        _ => Err(Trouble::BadReply(scripts::SPEND.name, format!("{reply:?}")).into()),
    }
}
