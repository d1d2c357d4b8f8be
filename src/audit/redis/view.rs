//! An event's state in Redis, read at one instant.

use std::collections::HashMap;

use ::redis::{FromRedisValue, RedisError, Value, cmd, from_redis_value, pipe};

use crate::holds::record::{Record, Step};
use crate::redis::keys::Keys;

/// Milliseconds in a second, microseconds in a millisecond.
const THOUSAND: i64 = 1_000;
/// Numbers of places are below this: far above any manifest, and a bitmap of it is still small.
pub const MAX_NUMBER: i32 = 1 << 24;

/// What Redis has of one event.
#[derive(Debug, Default)]
pub struct View {
    /// The Redis process.
    pub run_id: String,
    /// Its clock, in milliseconds.
    pub now_ms: i64,
    /// `epoch`, `state`, `blocked` and `seq`.
    pub head: HashMap<String, String>,
    pub taken: Vec<u8>,
    pub kills: Vec<u8>,
    /// By channel.
    pub blocked: Vec<(i16, Vec<u8>)>,
    /// By id; tombstones included.
    pub records: HashMap<String, Record>,
    /// Ids of what is no record.
    pub unreadable: Vec<String>,
    /// By id, in milliseconds.
    pub deadlines: HashMap<String, i64>,
    pub claiming: HashMap<String, i64>,
    pub returning: HashMap<String, i64>,
    pub tombs: HashMap<String, i64>,
    pub counts: HashMap<String, i64>,
    pub stretches: Vec<u8>,
    pub hints: Vec<u8>,
}

impl View {
    /// Reads it in one transaction: no script runs in between.
    ///
    /// # Errors
    /// If Redis gives no answer, or a key holds another type.
    pub async fn read(
        connection: &mut deadpool_redis::Connection,
        keys: &Keys,
        channels: &[i16],
    ) -> Result<Self, RedisError> {
        let info: ::redis::InfoDict = cmd("INFO").arg("server").query_async(connection).await?;
        let mut ask = pipe();
        ask.atomic().cmd("TIME").hgetall(&keys.head).hgetall(&keys.holds).hgetall(&keys.counts);
        for zset in [&keys.deadlines, &keys.claiming, &keys.returning, &keys.tombs] {
            ask.zrange_withscores(zset, 0, -1);
        }
        for string in [&keys.taken, &keys.kills, &keys.stretches, &keys.hints] {
            ask.get(string);
        }
        for channel in channels {
            ask.get(keys.blocked(*channel));
        }
        let answers: Vec<Value> = ask.query_async(connection).await?;
        let mut answers = Answers(answers.into_iter());
        let (seconds, micros): (i64, i64) = answers.next()?;
        let mut view = Self {
            run_id: info.get("run_id").unwrap_or_default(),
            now_ms: seconds * THOUSAND + micros / THOUSAND,
            head: answers.next()?,
            ..Self::default()
        };
        for (id, text) in answers.next::<Vec<(String, Vec<u8>)>>()? {
            match std::str::from_utf8(&text).ok().and_then(Record::parse).filter(possible) {
                Some(record) => drop(view.records.insert(id, record)),
                None => view.unreadable.push(id),
            }
        }
        view.counts = answers.next()?;
        view.deadlines = answers.scores()?;
        view.claiming = answers.scores()?;
        view.returning = answers.scores()?;
        view.tombs = answers.scores()?;
        view.taken = answers.bytes()?;
        view.kills = answers.bytes()?;
        view.stretches = answers.bytes()?;
        view.hints = answers.bytes()?;
        for channel in channels {
            view.blocked.push((*channel, answers.bytes()?));
        }
        Ok(view)
    }

    /// Records that list places.
    pub fn live(&self) -> impl Iterator<Item = (&str, &Record)> {
        let records = self.records.iter().map(|(id, record)| (id.as_str(), record));
        records.filter(|(_, record)| record.step != Step::Released)
    }
}

fn possible(record: &Record) -> bool {
    record.places.iter().all(|held| (0..MAX_NUMBER).contains(&held.place))
}

/// A transaction's answers, one by one.
struct Answers(std::vec::IntoIter<Value>);

impl Answers {
    fn next<T: FromRedisValue>(&mut self) -> Result<T, RedisError> {
        Ok(from_redis_value(self.0.next().unwrap_or(Value::Nil))?)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, RedisError> {
        Ok(self.next::<Option<Vec<u8>>>()?.unwrap_or_default())
    }

    fn scores(&mut self) -> Result<HashMap<String, i64>, RedisError> {
        let scores: Vec<(String, f64)> = self.next()?;
        // Milliseconds: far below what a double holds exactly.
        #[expect(clippy::cast_possible_truncation, reason = "scores are whole milliseconds")]
        Ok(scores.into_iter().map(|(id, score)| (id, score as i64)).collect())
    }
}
