//! The hold script's time in Redis, by Redis's own count, beside a minimal script that reads and
//! sets the same two bits.

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use uuid::Uuid;

use super::bare_hold::{Ask, Templates};
use super::stock::{Pair, Stock};

/// Reads two bits and sets them if both were clear.
const MINIMAL: &str = "
local a = redis.call('GETBIT', KEYS[1], ARGV[1])
local b = redis.call('GETBIT', KEYS[1], ARGV[2])
if a + b > 0 then return {'taken'} end
redis.call('SETBIT', KEYS[1], ARGV[1], 1)
redis.call('SETBIT', KEYS[1], ARGV[2], 1)
return {'held'}";
/// The minimal script's bitmap.
const BITMAP: &str = "bench:{bits}";
/// Calls sent together.
const TOGETHER: usize = 200;

/// Calls scripts and asks Redis how long they took.
pub struct Scripts {
    connection: MultiplexedConnection,
    templates: Templates,
    minimal: String,
}

impl Scripts {
    /// Connects, and loads the minimal script; the other is loaded by the server.
    ///
    /// # Errors
    /// If Redis or Postgres don't answer.
    pub async fn open(redis_url: &str, pg: &sqlx::PgPool, stock: &Stock) -> Result<Self> {
        let client = redis::Client::open(redis_url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(MINIMAL);
        let minimal = load.query_async(&mut connection).await?;
        let events = stock.events.iter().map(|event| event.id.0);
        let templates = Templates::load(pg, events).await?;
        Ok(Self { connection, templates, minimal })
    }

    /// Microseconds per call of the hold script and of the minimal one, for these pairs, which
    /// are free.
    ///
    /// # Errors
    /// If any of them isn't.
    pub async fn window(&mut self, pairs: &[Pair]) -> Result<(f64, f64)> {
        let mut holds = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let (id, account) = (Uuid::new_v4(), Uuid::new_v4());
            let ask =
                Ask { event: pair.event, offer: pair.offer, places: pair.places, id, account };
            holds.push(self.templates.command(&ask).context("an offer without a template")?);
        }
        let bits = pairs.iter().map(|pair| {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&self.minimal).arg(1).arg(BITMAP);
            command.arg(pair.places[0]).arg(pair.places[1]);
            command
        });
        let bits: Vec<Cmd> = bits.collect();
        redis::cmd("DEL").arg(BITMAP).exec_async(&mut self.connection).await?;
        let script_us = self.timed(&holds).await?;
        let minimal_us = self.timed(&bits).await?;
        Ok((script_us, minimal_us))
    }

    async fn timed(&mut self, commands: &[Cmd]) -> Result<f64> {
        redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut self.connection).await?;
        for chunk in commands.chunks(TOGETHER) {
            let mut pipe = redis::pipe();
            for command in chunk {
                pipe.add_command(command.clone());
            }
            let replies: Vec<Vec<Value>> = pipe.query_async(&mut self.connection).await?;
            let held = |reply: &Vec<Value>| matches!(reply.first(), Some(Value::BulkString(word)) if word == b"held");
            let refused = replies.iter().find(|reply| !held(reply));
            ensure!(refused.is_none(), "a pair that should be free: {refused:?}");
        }
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("commandstats").query_async(&mut self.connection).await?;
        let line = text.lines().find(|line| line.starts_with("cmdstat_evalsha:"));
        let us = line.and_then(|line| {
            line.split(',').find_map(|part| part.strip_prefix("usec_per_call=")?.parse().ok())
        });
        us.context("Redis says nothing of EVALSHA")
    }
}
