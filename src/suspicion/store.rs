//! Suspicion in Postgres.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::verdict::{Entry, Override};
use super::{Kind, Reason, Subject, Traces};
use crate::ids::{AccountId, EventId, OrderId};

/// Writers take it in turns, by this advisory lock: so changes become visible in their order.
const WRITERS: i64 = 0x5375_7370_6963_696f;
/// A card that was used with so many accounts before is one too many's.
const CARD_ACCOUNTS: i64 = 2;
/// What has faded below this is forgotten.
const FORGOTTEN_BELOW: f64 = 0.02;
/// Cards and lifted overrides are forgotten after so many days.
const KEPT_DAYS: i32 = 30;

/// Points to be added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// At which event.
    pub event: EventId,
    /// Whose.
    pub subject: Subject,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub points: f64,
    /// For how many times.
    pub times: i32,
}

/// A row that has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Changed {
    /// At which event.
    pub event: EventId,
    /// Whose.
    pub subject: Subject,
    /// What it says now.
    pub entry: Entry,
    /// Its number.
    pub change: i64,
    /// The server's clock in Unix seconds.
    pub now_s: i64,
}

/// An override that has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overruled {
    /// At which event.
    pub event: EventId,
    /// Whose.
    pub subject: Subject,
    /// What it says now.
    pub decided: Option<Override>,
    /// Its number.
    pub change: i64,
}

/// Whose an order is.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Of which event.
    pub event: EventId,
    /// The account.
    pub account: AccountId,
    /// What its hold was made with.
    pub traces: Traces,
}

async fn take_turns(pg: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", WRITERS).execute(pg).await?;
    Ok(())
}

/// Adds points, each reason within its bound.
///
/// # Errors
/// If Postgres fails.
pub async fn add(pg: &mut PgConnection, sums: &[Sum]) -> sqlx::Result<()> {
    take_turns(&mut *pg).await?;
    let events: Vec<Uuid> = sums.iter().map(|sum| sum.event.0).collect();
    let kinds: Vec<String> = sums.iter().map(|sum| sum.subject.kind.word().to_owned()).collect();
    let subjects: Vec<Uuid> = sums.iter().map(|sum| sum.subject.id).collect();
    let terms: Vec<_> = sums.iter().map(|sum| sum.reason.terms()).collect();
    let reasons: Vec<String> = terms.iter().map(|terms| terms.word.to_owned()).collect();
    let points: Vec<f64> = sums.iter().map(|sum| sum.points).collect();
    let half_lives: Vec<f64> = terms.iter().map(|terms| terms.half_life_s).collect();
    let bounds: Vec<f64> = terms.iter().map(|terms| terms.bound).collect();
    let times: Vec<i32> = sums.iter().map(|sum| sum.times).collect();
    sqlx::query!(
        "INSERT INTO suspicion AS s (event_id, kind, subject, reason, points, half_life_s, bound,
                                     times, at, change)
         SELECT e, k, i, r, greatest(-b, least(b, p)), h, b, t, now(),
                nextval('suspicion_changes')
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::float8[], $6::float8[],
                     $7::float8[], $8::integer[]) AS new (e, k, i, r, p, h, b, t)
         ON CONFLICT (event_id, kind, subject, reason) DO UPDATE SET
             points = greatest(-excluded.bound, least(excluded.bound,
                 faded(s.points, s.half_life_s, s.at) + excluded.points)),
             half_life_s = excluded.half_life_s, bound = excluded.bound,
             times = least(s.times::bigint + excluded.times, 1000000)::integer,
             at = excluded.at, change = excluded.change",
        &events,
        &kinds,
        &subjects,
        &reasons,
        &points,
        &half_lives,
        &bounds,
        &times
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// The next scores that have changed since the change numbered `since`, in order.
///
/// # Errors
/// If Postgres fails.
pub async fn scores_since(pg: &PgPool, since: i64, most: i64) -> sqlx::Result<Vec<Changed>> {
    let rows = sqlx::query!(
        r#"SELECT event_id, kind, subject, reason, points, change,
                  extract(epoch FROM at)::bigint AS "at_s!",
                  extract(epoch FROM now())::bigint AS "now_s!"
           FROM suspicion WHERE change > $1 ORDER BY change LIMIT $2"#,
        since,
        most
    )
    .fetch_all(pg)
    .await?;
    // A reason that only another version knows counts nothing here.
    let read = rows.into_iter().map(|row| {
        let reason = Reason::named(&row.reason);
        let points = if reason.is_some() { row.points } else { 0.0 };
        let reason = reason.unwrap_or(Reason::ManySessions);
        Some(Changed {
            event: EventId(row.event_id),
            subject: Subject { kind: Kind::named(&row.kind)?, id: row.subject },
            entry: Entry { reason, points, at_s: row.at_s },
            change: row.change,
            now_s: row.now_s,
        })
    });
    Ok(read.flatten().collect())
}

/// The next overrides that have changed, in order.
///
/// # Errors
/// If Postgres fails.
pub async fn overrides_since(pg: &PgPool, since: i64, most: i64) -> sqlx::Result<Vec<Overruled>> {
    let rows = sqlx::query!(
        "SELECT event_id, kind, subject, word, change FROM suspicion_overrides
         WHERE change > $1 ORDER BY change LIMIT $2",
        since,
        most
    )
    .fetch_all(pg)
    .await?;
    let read = rows.into_iter().map(|row| {
        Some(Overruled {
            event: EventId(row.event_id),
            subject: Subject { kind: Kind::named(&row.kind)?, id: row.subject },
            decided: row.word.as_deref().and_then(Override::named),
            change: row.change,
        })
    });
    Ok(read.flatten().collect())
}

/// Decides about somebody, or takes that back.
///
/// # Errors
/// If Postgres fails, or refuses to block a prefix.
pub async fn decide(
    pg: &mut PgConnection,
    event: EventId,
    subject: Subject,
    decided: Option<Override>,
    note: &str,
) -> sqlx::Result<()> {
    take_turns(&mut *pg).await?;
    sqlx::query!(
        "INSERT INTO suspicion_overrides (event_id, kind, subject, word, note, at, change)
         VALUES ($1, $2, $3, $4, $5, now(), nextval('suspicion_changes'))
         ON CONFLICT (event_id, kind, subject) DO UPDATE SET
             word = excluded.word, note = excluded.note, at = excluded.at,
             change = excluded.change",
        event.0,
        subject.kind.word(),
        subject.id,
        decided.map(Override::word),
        note
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// How many overrides an event has.
///
/// # Errors
/// If Postgres fails.
pub async fn count_overrides(pg: &mut PgConnection, event: EventId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM suspicion_overrides WHERE event_id = $1"#,
        event.0
    )
    .fetch_one(pg)
    .await
}

/// Whose these orders are.
///
/// # Errors
/// If Postgres fails.
pub async fn owners(pg: &PgPool, orders: &[Uuid]) -> sqlx::Result<HashMap<OrderId, Owner>> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "SELECT id, event_id, account, details -> 'traces' AS traces FROM orders
         WHERE id = ANY ($1)",
        orders
    )
    .fetch_all(pg)
    .await?;
    let owner = |row: Option<Value>| {
        row.and_then(|value| serde_json::from_value(value).ok()).unwrap_or(Traces::NONE)
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let (event, account) = (EventId(row.event_id), AccountId(row.account));
            (OrderId(row.id), Owner { event, account, traces: owner(row.traces) })
        })
        .collect())
}

/// An account's use of a card at an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    /// The event.
    pub event: EventId,
    /// The card's subject.
    pub card: Uuid,
    /// The account.
    pub account: AccountId,
}

/// What is known of an account's use of a card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Before {
    /// Other accounts that had used it before this one first did; not counted beyond what was
    /// asked for.
    pub others: i64,
    /// Whether this use is its first.
    pub is_new: bool,
}

impl Before {
    /// Whether somebody shares a card with many others, and that wasn't known.
    #[must_use]
    pub fn is_one_too_many(self) -> bool {
        self.is_new && self.others >= CARD_ACCOUNTS
    }
}

/// Remembers with which accounts cards were used, in one transaction. Whoever does that takes
/// turns, so that each account has its rank among those of a card.
///
/// # Errors
/// If Postgres fails.
pub async fn note_uses(
    pg: &mut PgConnection,
    uses: &[Use],
    most: i64,
) -> sqlx::Result<Vec<Before>> {
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    take_turns(&mut *pg).await?;
    let column =
        |of: fn(&Use) -> Uuid, uses: &[Use]| -> Vec<Uuid> { uses.iter().map(of).collect() };
    let most = most.max(CARD_ACCOUNTS);
    let rows = sqlx::query!(
        r#"SELECT own.at IS NOT NULL AS "known!",
                  (SELECT count(*) FROM (
                       SELECT FROM suspicion_cards c
                       WHERE c.event_id = u.event AND c.card = u.card AND c.account <> u.account
                         AND (own.at IS NULL OR c.at <= own.at)
                       LIMIT $4) first) AS "others!"
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY
                AS u (event, card, account, i)
           LEFT JOIN LATERAL (SELECT c.at FROM suspicion_cards c
                              WHERE c.event_id = u.event AND c.card = u.card
                                AND c.account = u.account OFFSET 0) own ON true
           ORDER BY u.i"#,
        &column(|used| used.event.0, uses),
        &column(|used| used.card, uses),
        &column(|used| used.account.0, uses),
        most
    )
    .fetch_all(&mut *pg)
    .await?;
    let stored: Vec<Before> =
        rows.iter().map(|row| Before { others: row.others, is_new: !row.known }).collect();
    let (before, new) = ranked(uses, &stored, most);
    if new.is_empty() {
        return Ok(before);
    }
    // Each later than the one before.
    sqlx::query!(
        "INSERT INTO suspicion_cards (event_id, card, account, at)
         SELECT u.event, u.card, u.account, statement_timestamp() + u.i * interval '1 us'
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY
              AS u (event, card, account, i)
         ON CONFLICT DO NOTHING",
        &column(|used| used.event.0, &new),
        &column(|used| used.card, &new),
        &column(|used| used.account.0, &new)
    )
    .execute(pg)
    .await?;
    Ok(before)
}

/// What is known of uses that come one after the other, if this is stored; and those that are new.
fn ranked(uses: &[Use], stored: &[Before], most: i64) -> (Vec<Before>, Vec<Use>) {
    let mut firsts: HashMap<(Uuid, Uuid), Vec<(Uuid, Before)>> = HashMap::new();
    let (mut before, mut new) = (Vec::with_capacity(uses.len()), Vec::new());
    for (used, stored) in uses.iter().zip(stored) {
        if !stored.is_new {
            before.push(*stored);
            continue;
        }
        let earlier = firsts.entry((used.event.0, used.card)).or_default();
        let first = earlier.iter().find(|(account, _)| *account == used.account.0);
        if let Some((_, first)) = first {
            before.push(Before { is_new: false, ..*first });
            continue;
        }
        let also = i64::try_from(earlier.len()).unwrap_or(i64::MAX);
        let rank = Before { others: stored.others.saturating_add(also).min(most), is_new: true };
        earlier.push((used.account.0, rank));
        before.push(rank);
        new.push(*used);
    }
    (before, new)
}

/// One subject with its reasons.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Who.
    pub subject: Subject,
    /// The sum now.
    pub points: f64,
    /// What was decided, and why.
    pub decided: Option<Override>,
    /// See above.
    pub note: Option<String>,
    /// `[{reason, points, times, at}]`.
    pub reasons: Value,
}

/// Subjects of an event, those with the most points first.
///
/// # Errors
/// If Postgres fails.
pub async fn list(
    pg: &PgPool,
    event: EventId,
    offset: i64,
    most: i64,
) -> sqlx::Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"WITH known AS (
               SELECT kind, subject FROM suspicion WHERE event_id = $1
               UNION SELECT kind, subject FROM suspicion_overrides
                     WHERE event_id = $1 AND word IS NOT NULL)
           SELECT k.kind AS "kind!", k.subject AS "subject!", o.word, o.note AS "note?",
                  coalesce(sum(faded(s.points, s.half_life_s, s.at)), 0) AS "points!",
                  coalesce(jsonb_agg(jsonb_build_object(
                          'reason', s.reason, 'points', faded(s.points, s.half_life_s, s.at),
                          'times', s.times,
                          'at', to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                      ORDER BY abs(s.points) DESC) FILTER (WHERE s.reason IS NOT NULL),
                      '[]'::jsonb) AS "reasons!"
           FROM known k
           LEFT JOIN suspicion s ON s.kind = k.kind AND s.subject = k.subject
               AND s.event_id IN ($1, '00000000-0000-0000-0000-000000000000')
           LEFT JOIN suspicion_overrides o ON o.event_id = $1 AND o.kind = k.kind
               AND o.subject = k.subject AND o.word IS NOT NULL
           GROUP BY k.kind, k.subject, o.word, o.note
           ORDER BY 5 DESC, 1, 2 OFFSET $2 LIMIT $3"#,
        event.0,
        offset,
        most
    )
    .fetch_all(pg)
    .await?;
    let read = rows.into_iter().map(|row| {
        Some(Listed {
            subject: Subject { kind: Kind::named(&row.kind)?, id: row.subject },
            points: row.points,
            decided: row.word.as_deref().and_then(Override::named),
            note: row.note,
            reasons: row.reasons,
        })
    });
    Ok(read.flatten().collect())
}

/// Forgets what has faded. True if there may be more.
///
/// # Errors
/// If Postgres fails.
pub async fn forget(pg: &PgPool, most: i64) -> sqlx::Result<bool> {
    let faded = sqlx::query!(
        "DELETE FROM suspicion WHERE (event_id, kind, subject, reason) IN (
             SELECT event_id, kind, subject, reason FROM suspicion
             WHERE abs(faded(points, half_life_s, at)) < $1 LIMIT $2)
           AND abs(faded(points, half_life_s, at)) < $1",
        FORGOTTEN_BELOW,
        most
    )
    .execute(pg)
    .await?;
    let cards = sqlx::query!(
        "DELETE FROM suspicion_cards WHERE (event_id, card, account) IN (
             SELECT event_id, card, account FROM suspicion_cards
             WHERE at < now() - make_interval(days => $1) LIMIT $2)",
        KEPT_DAYS,
        most
    )
    .execute(pg)
    .await?;
    sqlx::query!(
        "DELETE FROM suspicion_overrides
         WHERE word IS NULL AND at < now() - make_interval(days => $1)",
        KEPT_DAYS
    )
    .execute(pg)
    .await?;
    let full = most.unsigned_abs();
    Ok(faded.rows_affected() >= full || cards.rows_affected() >= full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_that_come_together_count_one_after_the_other() {
        let (event, card, other) = (EventId::fresh(), Uuid::now_v7(), Uuid::now_v7());
        let accounts: Vec<AccountId> = (0..4).map(|_| AccountId::fresh()).collect();
        let used = |card: Uuid, at: usize| Use { event, card, account: accounts[at] };
        let uses = [
            used(card, 0),
            used(card, 1),
            used(other, 1),
            used(card, 0),
            used(card, 2),
            used(card, 3),
        ];
        // The second account is known already, as the first of this card's.
        let stored = [(1, true), (0, false), (0, true), (1, true), (1, true), (1, true)]
            .map(|(others, is_new)| Before { others, is_new });
        let (before, new) = ranked(&uses, &stored, 2);
        let told: Vec<_> = before.iter().map(|before| (before.others, before.is_new)).collect();
        assert_eq!(told, [(1, true), (0, false), (0, true), (1, false), (2, true), (2, true)]);
        assert_eq!(new, [uses[0], uses[2], uses[4], uses[5]]);
    }
}
