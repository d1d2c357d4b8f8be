//! The auditor: proves by query that nothing was sold twice and no money was lost.
//!
//! It checks the architecture's invariants from the outside: it shares no code and no database
//! function with what it audits, except the names of keys and the format of records. Tests, load
//! tests and operators run the same checks.
//!
//! `store/` holds Postgres against itself, in one snapshot. `redis/` holds each event's state in
//! Redis against itself, read at one instant, and against Postgres. Two servers have no common
//! instant, so while a sale runs only what is wrong twice, [`SETTLE`] apart, counts as wrong.

mod redis;
mod store;
mod table;

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use thiserror::Error;

use crate::ids::EventId;
use crate::redis::{Redis, Trouble};

/// Violations of one check that are listed; all are counted.
pub const MAX_EXAMPLES: usize = 20;
/// The usual bound for what workers do: sweep, resolve, send, refund.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Between two looks at an event in which Redis and Postgres seemed to differ.
pub const SETTLE: Duration = Duration::from_secs(1);

/// What is audited, and how strictly.
#[derive(Clone, Debug)]
pub struct Scope {
    /// One event; none: all of them.
    pub event: Option<EventId>,
    /// Nothing is being sold and workers had time to finish: also what only holds then.
    pub at_rest: bool,
    /// How long workers may take for what they do.
    pub grace: Duration,
}

impl Default for Scope {
    fn default() -> Self {
        Self { event: None, at_rest: false, grace: DEFAULT_GRACE }
    }
}

/// When a check holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// At every instant.
    Always,
    /// Once the workers have done what is due.
    AtRest,
}

impl When {
    fn holds(self, scope: &Scope) -> bool {
        self == Self::Always || scope.at_rest
    }
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct About {
    invariant: &'static str,
    name: &'static str,
    proves: &'static str,
}

impl About {
    fn found(self, violations: u64, examples: Vec<String>) -> Check {
        let Self { invariant, name, proves } = self;
        Check { invariant, name, proves, violations, examples, skipped: None }
    }

    fn skipped(self, why: &str) -> Check {
        Check { skipped: Some(why.to_owned()), ..self.found(0, Vec::new()) }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The invariant's number in the architecture; 0 is what all others lean on.
    pub invariant: &'static str,
    /// A short name; unique.
    pub name: &'static str,
    /// What is true if there are no violations.
    pub proves: &'static str,
    /// How many there are.
    pub violations: u64,
    /// The first of them, at most [`MAX_EXAMPLES`].
    pub examples: Vec<String>,
    /// Why it (or part of it) was not checked.
    pub skipped: Option<String>,
}

/// The outcome of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// By invariant.
    pub checks: Vec<Check>,
    /// No check found a violation.
    pub clean: bool,
    /// Whether also that was checked which only holds when nothing runs.
    pub at_rest: bool,
    /// Events whose state in Redis was compared.
    pub events: usize,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// The names of the checks that found violations.
    #[must_use]
    pub fn violated(&self) -> Vec<&'static str> {
        let violated = self.checks.iter().filter(|check| check.violations > 0);
        violated.map(|check| check.name).collect()
    }
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum AuditError {
    /// Postgres.
    #[error("Postgres can't be audited: {0}")]
    Postgres(#[from] sqlx::Error),
    /// Redis.
    #[error("Redis can't be audited: {0}")]
    Redis(#[from] Trouble),
}

impl From<::redis::RedisError> for AuditError {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Redis(Trouble::Unknown(error))
    }
}

/// Checks everything in scope. Without Redis, what concerns it is skipped.
///
/// # Errors
/// If one of the servers can't be asked.
pub async fn run(pg: &PgPool, redis: Option<&Redis>, scope: &Scope) -> Result<Report, AuditError> {
    let started = std::time::Instant::now();
    let mut checks = store::run(pg, scope).await?;
    let (compared, events) = match redis {
        Some(redis) => redis::run(pg, redis, scope).await?,
        None => (redis::none("no Redis was given"), 0),
    };
    checks.extend(compared);
    checks.sort_by_key(|check| check.invariant.parse::<u32>().unwrap_or(0));
    Ok(Report {
        clean: checks.iter().all(|check| check.violations == 0),
        checks,
        at_rest: scope.at_rest,
        events,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
