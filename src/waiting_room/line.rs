//! Who comes after the draw: numbers in the order of arrival, and about how many joined before.
//!
//! A number is an INCR in Redis below a ceiling that Postgres reserved. The counter's key names
//! the run of Redis that it was made in: after a restart, even one that brings old data back, and
//! after FLUSHALL there is no counter, and the next number is the first above everything that
//! was ever reserved. Numbers are lost that way, never given twice, and they never fall.
//!
//! One of all that find the reserve empty makes the next; the others wait a moment. If all made
//! one, all but one would be lost, and the line would be full of numbers that are nobody's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use redis::Value;

use super::store;
use crate::app::App;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId};
use crate::redis::keys::LaneKeys;
use crate::redis::scripts;
use crate::redis::{Redis, Trouble};

/// How often a number may be refused because the reserve ran out meanwhile.
const MAX_TRIES: u32 = 20;
/// How long who reserves is waited for, on average.
const PAUSE: Duration = Duration::from_millis(10);
/// Subjects in one call that counts them.
const COUNT_AT_ONCE: usize = 1_000;
/// Subjects that may wait to be counted; more are not counted, which makes estimates too low.
const MAX_UNCOUNTED: usize = 200_000;

/// What the counters of a lane say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Who joined the draw, about, since Redis counts.
    pub joined: i64,
    /// The next number; 0 if Redis has no counter.
    pub next: i64,
    /// The first number that this counter could give; 0 if there is no counter.
    pub first: i64,
}

/// The next place behind everyone.
///
/// # Errors
/// `rebuilding` or `unknown_outcome` if Redis doesn't answer, or Postgres fails.
pub async fn next(app: &App, event: EventId, lane: i16) -> Result<i64, Problem> {
    let link = app.redis.link().ok_or_else(|| Problem::new(Code::Rebuilding))?;
    let keys = LaneKeys::new(&app.redis.prefix, event, lane, &link.run_id);
    let room = app.rooms.known(event);
    let mut ceiling = room.and_then(|room| room.lane(lane).map(|lane| lane.ceiling));
    let mut reserved = None::<i64>;
    for _ in 0..MAX_TRIES {
        // What is reserved is read before Redis is asked: who finds nothing there, and nothing
        // reserved since, has to reserve. Others wait for who does.
        let before = match ceiling.take() {
            Some(ceiling) => ceiling,
            None => store::ceiling(&app.pg, event, lane).await?,
        };
        let most = app.config.waiting_room.reserve;
        let (first, end) = reserved.take().map_or((0, 0), |first| (first, first + most));
        let (first, end) = (first.to_string(), end.to_string());
        let args: [&[u8]; 2] = [first.as_bytes(), end.as_bytes()];
        let reply =
            app.redis.eval(&link.run_id, &scripts::NUMBER, &[&*keys.numbers], &args).await?;
        if let [Value::BulkString(word), Value::BulkString(number)] = &*reply
            && word.as_slice() == b"number"
        {
            // As text: Lua's numbers are doubles, and these lie beyond 2^62.
            let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
            return number.ok_or_else(|| Problem::internal("a place in line is no number"));
        }
        reserved = store::reserve(&app.pg, event, lane, before, most).await?;
        match reserved {
            Some(first) => ceiling = Some(first + most),
            None => {
                let pause = PAUSE.mul_f64(rand::rng().random_range(0.5..1.5));
                tokio::time::sleep(pause).await;
            }
        }
    }
    Err(Problem::new(Code::Unavailable).detail("too many are joining at this instant"))
}

/// Who joined and is not counted yet, by lane.
#[derive(Default)]
pub struct Uncounted(Mutex<HashMap<(EventId, i16), Vec<AccountId>>>);

impl Uncounted {
    /// Remembers who joined the draw. Never waits.
    pub fn note(&self, event: EventId, lane: i16, subject: AccountId) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let subjects = lanes.entry((event, lane)).or_default();
        if subjects.len() < MAX_UNCOUNTED {
            subjects.push(subject);
        }
    }

    /// Has Redis count them: in a `HyperLogLog`, which knows who was counted before and needs
    /// 12 KB however many they are.
    ///
    /// # Errors
    /// If Redis doesn't answer; they are not counted then.
    pub async fn flush(&self, redis: &Redis) -> Result<(), Trouble> {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if all.is_empty() {
            return Ok(());
        }
        let link = redis.link().ok_or(Trouble::Down)?;
        let mut bulk = redis.bulk().await?;
        for ((event, lane), subjects) in all {
            let keys = LaneKeys::new(&redis.prefix, event, lane, &link.run_id);
            for chunk in subjects.chunks(COUNT_AT_ONCE) {
                let mut add = redis::cmd("PFADD");
                add.arg(&keys.joined);
                for subject in chunk {
                    add.arg(subject.0.as_bytes());
                }
                add.query_async::<i64>(&mut bulk).await.map_err(Trouble::Unknown)?;
            }
        }
        Ok(())
    }
}

/// What the counters of a lane say.
///
/// # Errors
/// If Redis doesn't answer.
pub async fn counted(redis: &Redis, event: EventId, lane: i16) -> Result<Counted, Trouble> {
    let link = redis.link().ok_or(Trouble::Down)?;
    let keys = LaneKeys::new(&redis.prefix, event, lane, &link.run_id);
    let mut bulk = redis.bulk().await?;
    let (joined, next, first): (i64, Option<i64>, Option<i64>) = redis::pipe()
        .cmd("PFCOUNT")
        .arg(&keys.joined)
        .hget(&keys.numbers, "next")
        .hget(&keys.numbers, "first")
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    Ok(Counted { joined, next: next.unwrap_or(0), first: first.unwrap_or(0) })
}
