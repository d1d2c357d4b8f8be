//! Each event's state in Redis: against itself, and against Postgres.

mod bits;
mod books;
mod counts;
mod records;
mod view;

use std::collections::HashSet;
use std::time::Duration;

use sqlx::PgPool;

use self::books::Books;
use self::view::View;
use super::{About, AuditError, Check, MAX_EXAMPLES, SETTLE, Scope, When};
use crate::catalog::listing::set_bit;
use crate::ids::EventId;
use crate::redis::Redis;
use crate::redis::keys::{Keys, LAYOUT};

/// One event as both servers have it.
struct Pair {
    books: Books,
    view: View,
    /// Places of live records: what `taken` must be.
    union: Vec<u8>,
    grace: Duration,
}

/// A violation.
struct Finding {
    /// What is wrong; the same at two looks if it is the same violation.
    subject: String,
    /// In words.
    what: String,
}

impl Finding {
    fn new(subject: &impl ToString, what: impl Into<String>) -> Self {
        Self { subject: subject.to_string(), what: what.into() }
    }
}

/// What a check compares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compares {
    /// Redis with itself: one instant, so the first look decides.
    Redis,
    /// Redis with Postgres: two instants.
    Both,
}

/// A check of one event.
struct Comparison {
    about: About,
    when: When,
    compares: Compares,
    find: fn(&Pair) -> Vec<Finding>,
}

/// Without it, nothing below means anything.
const GENERATION: Comparison = Comparison {
    about: About {
        invariant: "16",
        name: "generation",
        proves: "Redis has the epoch and the sale's state that Postgres names, on the same run, and \
                 says so if any place is blocked",
    },
    when: When::Always,
    compares: Compares::Both,
    find: generation,
};

fn generation(pair: &Pair) -> Vec<Finding> {
    let head = |field: &str| pair.view.head.get(field).map_or("none", String::as_str);
    let run_id = pair.books.run_id.as_deref().unwrap_or("none");
    // Holds look at what is blocked only if the head says that there is any.
    let any = pair.view.blocked.iter().flat_map(|(_, bitmap)| bitmap).any(|byte| *byte != 0);
    let blocked = if any { "1" } else { head("blocked") };
    let expected = [
        ("run", run_id, pair.view.run_id.as_str()),
        ("epoch", &pair.books.epoch.to_string(), head("epoch")),
        ("state", &pair.books.status, head("state")),
        ("blocked", blocked, head("blocked")),
    ];
    let differs = expected.into_iter().filter(|(_, postgres, redis)| postgres != redis);
    differs
        .map(|(what, postgres, redis)| {
            Finding::new(&what, format!("{what} is {postgres} in Postgres, {redis} in Redis"))
        })
        .collect()
}

fn all() -> impl Iterator<Item = &'static Comparison> {
    [bits::CHECKS, records::CHECKS, counts::CHECKS].into_iter().flatten()
}

/// Every check, skipped.
pub fn none(why: &str) -> Vec<Check> {
    std::iter::once(&GENERATION).chain(all()).map(|check| check.about.skipped(why)).collect()
}

/// Compares every event that has a state in Redis; also says how many those are.
///
/// # Errors
/// If one of the servers can't be asked.
pub async fn run(
    pg: &PgPool,
    redis: &Redis,
    scope: &Scope,
) -> Result<(Vec<Check>, usize), AuditError> {
    let events = sqlx::query!(
        "SELECT event_id, layout FROM epochs
         WHERE redis_run_id IS NOT NULL AND ($1::uuid IS NULL OR event_id = $1)
         ORDER BY event_id",
        scope.event.map(|event| event.0)
    )
    .fetch_all(pg)
    .await?;
    let mut checks: Vec<Check> = std::iter::once(&GENERATION)
        .chain(all())
        .map(|check| {
            if check.when.holds(scope) {
                check.about.found(0, Vec::new())
            } else {
                check.about.skipped("holds only at rest")
            }
        })
        .collect();
    let mut compared = 0;
    for event in &events {
        if event.layout == LAYOUT {
            compare(pg, redis, scope, EventId(event.event_id), &mut checks).await?;
            compared += 1;
        } else if let Some(first) = checks.first_mut() {
            let (id, layout) = (event.event_id, event.layout);
            let why = format!("event {id} has layout {layout}, this program reads {LAYOUT}");
            first.skipped.get_or_insert(why);
        }
    }
    Ok((checks, compared))
}

async fn compare(
    pg: &PgPool,
    redis: &Redis,
    scope: &Scope,
    event: EventId,
    checks: &mut [Check],
) -> Result<(), AuditError> {
    let Some(found) = look(pg, redis, scope, event).await? else { return Ok(()) };
    let doubtful = |compares| !scope.at_rest && compares == Compares::Both;
    let again = if found.iter().any(|(check, _)| doubtful(check.compares)) {
        tokio::time::sleep(SETTLE).await;
        look(pg, redis, scope, event).await?.unwrap_or_default()
    } else {
        Vec::new()
    };
    let twice: HashSet<(&str, &str)> =
        again.iter().map(|(check, found)| (check.about.name, found.subject.as_str())).collect();
    for (comparison, finding) in &found {
        let name = comparison.about.name;
        if doubtful(comparison.compares) && !twice.contains(&(name, finding.subject.as_str())) {
            continue;
        }
        let Some(check) = checks.iter_mut().find(|check| check.name == name) else { continue };
        if name == GENERATION.about.name && !scope.at_rest {
            // The event is closed until it is rebuilt: that is safe, and leaves nothing to compare.
            check.skipped.get_or_insert_with(|| format!("event {event}: {}", finding.what));
            continue;
        }
        check.violations += 1;
        if check.examples.len() < MAX_EXAMPLES {
            check.examples.push(format!("event {event}: {}", finding.what));
        }
    }
    Ok(())
}

/// One look at an event. `None`: it has no state in Redis (any more).
async fn look(
    pg: &PgPool,
    redis: &Redis,
    scope: &Scope,
    event: EventId,
) -> Result<Option<Vec<(&'static Comparison, Finding)>>, AuditError> {
    let Some(books) = Books::read(pg, event, scope.grace).await? else { return Ok(None) };
    if books.run_id.is_none() {
        return Ok(None);
    }
    let keys = Keys::new(&redis.prefix, event, books.epoch);
    let mut connection = redis.bulk().await?;
    let view = View::read(&mut connection, &keys, &books.channels).await?;
    drop(connection);
    let pair = Pair::new(books, view, scope);
    let found = |check: &'static Comparison| {
        (check.find)(&pair).into_iter().map(move |finding| (check, finding)).collect::<Vec<_>>()
    };
    let generation = found(&GENERATION);
    if !generation.is_empty() {
        return Ok(Some(generation));
    }
    Ok(Some(all().filter(|check| check.when.holds(scope)).flat_map(found).collect()))
}

impl Pair {
    fn new(books: Books, view: View, scope: &Scope) -> Self {
        let mut union = Vec::new();
        for (_, record) in view.live() {
            for held in &record.places {
                set_bit(&mut union, held.place);
            }
        }
        Self { books, view, union, grace: scope.grace }
    }

    fn grace_ms(&self) -> i64 {
        i64::try_from(self.grace.as_millis()).unwrap_or(i64::MAX)
    }
}
