//! What processes and servers say of themselves: memory, commands, transactions.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use sqlx::PgPool;

/// What Redis and Postgres have done and hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Commands that Redis has processed, each of a script's included.
    pub redis_commands: u64,
    /// Memory that Redis uses, in bytes.
    pub redis_bytes: u64,
    /// Transactions of the database, committed or not.
    pub transactions: u64,
}

/// Asks them, through connections of its own that stay open: opening one costs commands.
pub struct Gauge {
    redis: MultiplexedConnection,
    pg: PgPool,
}

impl Gauge {
    /// Connects.
    ///
    /// # Errors
    /// If Redis doesn't answer.
    pub async fn open(redis_url: &str, pg: &PgPool) -> Result<Self> {
        let redis = redis::Client::open(redis_url)?.get_multiplexed_async_connection().await?;
        Ok(Self { redis, pg: pg.clone() })
    }

    /// What they say now. Postgres counts what its sessions reported, a second behind at most.
    ///
    /// # Errors
    /// If one of them doesn't answer.
    pub async fn read(&mut self) -> Result<Reading> {
        let info: String = redis::cmd("INFO").query_async(&mut self.redis).await?;
        let transactions: i64 = sqlx::query_scalar(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database
             WHERE datname = current_database()",
        )
        .fetch_one(&self.pg)
        .await?;
        Ok(Reading {
            redis_commands: field(&info, "total_commands_processed")?,
            redis_bytes: field(&info, "used_memory")?,
            transactions: u64::try_from(transactions)?,
        })
    }
}

fn field(info: &str, name: &str) -> Result<u64> {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = value.with_context(|| format!("Redis says nothing of {name}"))?;
    Ok(value.trim().parse()?)
}

/// Bytes of a process that are in memory.
///
/// # Errors
/// If there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")).context("no VmRSS")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_whole_names() {
        let info = "# Memory\r\nused_memory:42\r\nused_memory_rss:77\r\n";
        assert_eq!(field(info, "used_memory").unwrap(), 42);
        assert!(field(info, "used").is_err());
    }

    #[test]
    fn this_process_has_some_memory() {
        let bytes = resident_bytes(std::process::id()).unwrap();
        assert!((1 << 20..1 << 36).contains(&bytes), "{bytes}");
    }
}
