//! Limits that all processes share, in Redis.
//!
//! They live as long as their window does: FLUSHALL, a restart or a failover forgets at most one
//! burst per key, after which everything is counted again.

use redis::Value;
use sha2::{Digest, Sha256};

use super::allowance::Allowance;
use super::table::{Rate, SharedLimit};
use crate::app::App;
use crate::http::problem::{Code, Problem};
use crate::redis::keys::Shared;
use crate::redis::{Trouble, scripts};

/// Keys longer than this many bytes are shortened to a digest.
const MAX_KEY: usize = 80;
/// Seconds until a limit that fails closed may be asked again.
const RETRY_S: u32 = 2;
/// Microseconds in a second.
const MICROS: f64 = 1_000_000.0;

/// What the script said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// A unit was taken: units left, and milliseconds until all are back.
    Ok(u32, u32),
    /// There is none for so many milliseconds.
    Wait(u32),
}

/// Takes a unit of a shared limit. Without an answer of Redis, limits that fail closed refuse,
/// and of the others this process keeps count for itself.
///
/// # Errors
/// `too_many_requests`; `unavailable` if it fails closed.
pub async fn shared(app: &App, limit: SharedLimit, key: &str) -> Result<Allowance, Problem> {
    let rate = app.config.limits.shared.of(limit);
    let unlimited = Allowance { name: limit.name(), rate, left: u32::MAX, reset_s: 0 };
    if !rate.limits() {
        return Ok(unlimited);
    }
    match ask(app, limit.name(), key, rate).await {
        Ok(taken) => judge(limit.name(), limit.message(), rate, taken),
        Err(trouble) if limit.fails_closed() => Err(closed(limit.name(), &trouble)),
        Err(trouble) => {
            tracing::debug!(limit = limit.name(), %trouble, "a limit is counted here alone");
            let here = app.limits.stand_in(limit, key)?;
            Ok(here.unwrap_or(unlimited))
        }
    }
}

/// Takes a unit of a limit whose rate the caller decides: `per_second` lasting, `burst` at once.
/// It fails closed: without an answer of Redis nobody gets through.
///
/// # Errors
/// `too_many_requests`, also at a rate of 0; `unavailable`.
pub async fn shared_at(
    app: &App,
    name: &'static str,
    key: &str,
    per_second: f64,
    burst: u32,
) -> Result<Allowance, Problem> {
    let rate = Rate { per_second, burst: burst.max(1) };
    // Here, where no configuration says "no limit", nothing is nothing. Neither is NaN a rate.
    if per_second.is_nan() || per_second <= 0.0 {
        return Err(Allowance { name, rate, left: 0, reset_s: 0 }.refuse(NOT_NOW, RETRY_S));
    }
    match ask(app, name, key, rate).await {
        Ok(taken) => judge(name, NOT_NOW, rate, taken),
        Err(trouble) => Err(closed(name, &trouble)),
    }
}

/// What is said to whom a limit refuses that has no words of its own.
const NOT_NOW: &str = "Not at this moment; ask again soon.";

fn closed(name: &'static str, trouble: &Trouble) -> Problem {
    tracing::warn!(limit = name, %trouble, "refused because Redis does not answer");
    Problem::new(Code::Unavailable).retry_after(RETRY_S)
}

fn judge(
    name: &'static str,
    message: &'static str,
    rate: Rate,
    taken: Taken,
) -> Result<Allowance, Problem> {
    match taken {
        Taken::Ok(left, full_ms) => {
            Ok(Allowance { name, rate, left, reset_s: full_ms.div_ceil(1_000) })
        }
        Taken::Wait(ms) => {
            let all_back_s = rate.window_s();
            let allowance = Allowance { name, rate, left: 0, reset_s: all_back_s };
            Err(allowance.refuse(message, ms.div_ceil(1_000)))
        }
    }
}

async fn ask(app: &App, name: &'static str, key: &str, rate: Rate) -> Result<Taken, Trouble> {
    let link = app.redis.link().ok_or(Trouble::Down)?;
    let digest;
    let short = if key.len() <= MAX_KEY {
        key
    } else {
        digest = hex::encode(Sha256::digest(key));
        &digest
    };
    let key = Shared::new(&app.redis.prefix).limit(name, short);
    let interval_us = (MICROS / rate.per_second).round().max(1.0);
    let (interval, burst) = (format!("{interval_us:.0}"), rate.burst.to_string());
    let args = [interval.as_bytes(), burst.as_bytes()];
    let reply = app.redis.eval(&link.run_id, &scripts::GCRA, &[&key], &args).await?;
    read(&reply).ok_or_else(|| Trouble::BadReply(scripts::GCRA.name, format!("{reply:?}")))
}

fn read(reply: &[Value]) -> Option<Taken> {
    let number = |at: usize| match reply.get(at)? {
        Value::Int(number) => Some(u32::try_from(*number).unwrap_or(u32::MAX)),
        _ => None,
    };
    match reply.first()? {
        Value::BulkString(word) if word == b"ok" => Some(Taken::Ok(number(1)?, number(2)?)),
        Value::BulkString(word) if word == b"wait" => Some(Taken::Wait(number(1)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_strictly() {
        let word = |word: &str| Value::BulkString(word.as_bytes().to_vec());
        assert_eq!(read(&[word("ok"), Value::Int(3), Value::Int(9)]), Some(Taken::Ok(3, 9)));
        assert_eq!(read(&[word("wait"), Value::Int(70)]), Some(Taken::Wait(70)));
        for bad in [vec![], vec![word("ok")], vec![word("held")], vec![word("wait"), word("1")]] {
            assert_eq!(read(&bad), None);
        }
    }
}
