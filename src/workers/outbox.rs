//! The outbox: what commits left to be told becomes mails, and mails leave.
//!
//! No faster than `mail.per_second`: what is more waits in the outbox, a row per commit.

use std::collections::HashMap;
use std::time::Instant;

use futures::stream::{self, StreamExt};
use uuid::Uuid;

use crate::app::App;
use crate::mail::letter::Letter;
use crate::mail::{Kind, Mail, NotSent, Unbuildable};
use crate::orders::{Order, store};
use crate::words::Language;

/// Commits that one look fans out at most.
const ROWS: i64 = 50;
/// Mails that one look sends.
const MAILS: i64 = 128;
/// Mails under way at once.
const AT_ONCE: usize = 32;
/// Seconds for which a mail is nobody else's: longer than a whole look takes at its slowest. A
/// mail whose process died is sent again after it.
const LEASE_S: f64 = 330.0;
/// Seconds until the second try, doubled with each up to the bound.
const RETRY_S: f64 = 5.0;
const MAX_RETRY_S: f64 = 3_600.0;
/// Tries until a mail is given up, which takes most of a day.
const MAX_TRIES: i32 = 30;
/// Longest reason that is noted, in characters.
const MAX_PROBLEM_CHARS: usize = 500;
/// Noted of a mail that was not sent because late money has made it untrue.
const OVERTAKEN: &str = "overtaken";

/// A mail that is due.
struct Due {
    order: Uuid,
    kind: String,
    /// The how many of its kind.
    nth: i32,
    /// To whom, if not to the order's address.
    recipient: Option<String>,
    tries: i32,
    locale: Option<String>,
}

/// What became of a try.
enum Outcome {
    Sent,
    Later(String),
    GivenUp(String),
    /// It is no longer true.
    Overtaken,
    /// The process stops.
    Untried,
}

/// Fans out what was committed, and sends mails that are due. True if there may be more.
///
/// # Errors
/// If Postgres fails. A mail that doesn't leave is tried again later.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    let most = app.mail_pace.room(Instant::now()).min(MAILS);
    if most == 0 {
        return Ok(false);
    }
    let (all_told, mut due) = fan_out(app, most).await?;
    let room = most - i64::try_from(due.len()).unwrap_or(most);
    if room > 0 {
        due.extend(lease(app, room).await?);
    }
    app.mail_pace.done(due.len());
    let full = due.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let all_sent = send(app, due).await?;
    Ok(!all_told || full && all_sent)
}

/// One mail per order and kind, however often it is told: what buyers ask for once more is in
/// `mails` already. Commits are told until there are so many mails. The new ones come leased; those
/// of the last commit that are too many are due at once, and those of rehearsals never. True if
/// everything was told.
async fn fan_out(app: &App, most: i64) -> Result<(bool, Vec<Due>), sqlx::Error> {
    let mut pg = app.errands.take().await?;
    let rows = sqlx::query!(
        r#"WITH seen AS (
               SELECT id, orders FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
           ), told AS (
               DELETE FROM outbox WHERE id = ANY (ARRAY (
                   SELECT s.id FROM (
                       SELECT id, sum(cardinality(orders)) OVER (ORDER BY id)
                                  - cardinality(orders) AS before FROM seen) s
                   WHERE s.before < $2))
               RETURNING kind, orders
           ), new AS (
               SELECT o.id, t.kind, o.details ->> 'locale' AS locale,
                      row_number() OVER () <= $2 AND NOT EXISTS (
                          SELECT FROM rehearsals r WHERE r.event_id = o.event_id) AS leased
               FROM told t CROSS JOIN unnest(t.orders) AS u (id)
               -- OFFSET 0: one by one, and never all orders for each row of the outbox.
               CROSS JOIN LATERAL (SELECT x.id, x.event_id, x.details FROM orders x
                                   WHERE x.id = u.id AND x.email IS NOT NULL OFFSET 0) o
           ), added AS (
               INSERT INTO mails (order_id, kind, tries, due_at)
               SELECT id, kind, leased::integer,
                      now() + CASE WHEN leased THEN make_interval(secs => $3)
                                   ELSE interval '0' END
               FROM new
               ON CONFLICT DO NOTHING RETURNING order_id, kind, tries
           )
           SELECT n.told = n.seen AND n.seen < $1 AS "all_told!",
                  a.order_id AS "order?", a.kind AS "kind?", a.tries AS "tries?",
                  (SELECT locale FROM new WHERE new.id = a.order_id LIMIT 1) AS locale
           FROM (SELECT (SELECT count(*) FROM told) AS told,
                        (SELECT count(*) FROM seen) AS seen) n
           LEFT JOIN added a ON a.tries > 0"#,
        ROWS,
        most,
        LEASE_S
    )
    .fetch_all(&mut *pg)
    .await;
    let rows = pg.give_back(rows)?;
    let all_told = rows.first().is_none_or(|row| row.all_told);
    let due = rows.into_iter().filter_map(|row| {
        let (order, kind, tries) = (row.order?, row.kind?, row.tries?);
        Some(Due { order, kind, nth: 0, recipient: None, tries, locale: row.locale })
    });
    Ok((all_told, due.collect()))
}

/// Mails whose time has come (again), leased: no transaction is open while a relay is talked to.
async fn lease(app: &App, most: i64) -> Result<Vec<Due>, sqlx::Error> {
    let mut pg = app.errands.take().await?;
    let due = sqlx::query_as!(
        Due,
        r#"UPDATE mails m SET tries = m.tries + 1, due_at = now() + make_interval(secs => $2)
           WHERE m.ctid = ANY (ARRAY (
               SELECT due.ctid FROM mails due WHERE due.sent_at IS NULL AND due.due_at <= now()
               ORDER BY due.due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
           RETURNING m.order_id AS "order!", m.kind AS "kind!", m.nth AS "nth!", m.recipient,
                     m.tries AS "tries!",
                     (SELECT o.details ->> 'locale' FROM orders o
                      WHERE o.id = m.order_id) AS locale"#,
        most,
        LEASE_S
    )
    .fetch_all(&mut *pg)
    .await;
    pg.give_back(due)
}

/// Sends them. True if none of them has to wait.
async fn send(app: &App, due: Vec<Due>) -> Result<bool, sqlx::Error> {
    if due.is_empty() {
        return Ok(true);
    }
    let ids: Vec<Uuid> = due.iter().map(|due| due.order).collect();
    let mut pg = app.errands.take().await?;
    let orders = store::many(&mut *pg, &ids).await;
    let orders: HashMap<Uuid, Order> =
        pg.give_back(orders)?.into_iter().map(|order| (order.id.0, order)).collect();
    let orders = &orders;
    let mut tries = stream::iter(due)
        .map(|due| async move {
            let outcome = attempt(app, &due, orders.get(&due.order)).await;
            (due, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .ready_chunks(AT_ONCE);
    let (mut waiting, mut failure) = (Vec::new(), None);
    while let Some(tried) = tries.next().await {
        failure = failure.or(note(app, &tried).await.err());
        for (due, outcome) in tried {
            count(&due, &outcome);
            if let Outcome::Later(why) = outcome {
                waiting.push(why);
            }
        }
    }
    // One line per look: a relay that is down fails them all for one reason.
    if let Some(why) = waiting.last() {
        tracing::warn!(mails = waiting.len(), why, "mails have to wait");
    }
    failure.map_or(Ok(waiting.is_empty()), Err)
}

async fn attempt(app: &App, due: &Due, order: Option<&Order>) -> Outcome {
    if app.stop.is_cancelled() {
        return Outcome::Untried;
    }
    let sent = match build(app, due, order).await {
        Ok(Some(mail)) => app.mailer.send(&mail).await,
        Ok(None) => return Outcome::Overtaken,
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) => Outcome::Sent,
        Err(NotSent::Later(why)) if due.tries < MAX_TRIES => Outcome::Later(why),
        Err(NotSent::Later(why) | NotSent::Refused(why)) => Outcome::GivenUp(why),
    }
}

/// The mail as the order stands now. `None` if it is no longer true.
async fn build(app: &App, due: &Due, order: Option<&Order>) -> Result<Option<Mail>, NotSent> {
    let later = |error: sqlx::Error| NotSent::Later(error.to_string());
    let refused = |error: Unbuildable| NotSent::Refused(error.to_string());
    let unknown = |what: &str| NotSent::Refused(format!("{what} is unknown"));
    let kind = Kind::from_word(&due.kind).ok_or_else(|| unknown("its kind"))?;
    let order = order.ok_or_else(|| unknown("the order"))?;
    if !kind.still_true(order.status) {
        return Ok(None);
    }
    let email = due.recipient.as_deref().or(order.email.as_deref());
    let email = email.ok_or_else(|| unknown("the address"))?;
    let sale = app.catalog.sale(order.event).await.map_err(later)?;
    let listing = sale.ok_or_else(|| unknown("the event"))?.listing.clone();
    let link = app.order_url(order.id);
    let language = Language::of(due.locale.as_deref());
    let letter = Letter::write(kind, language, &listing, order, link).map_err(refused)?;
    let letter = Letter { nth: due.nth, ..letter };
    Mail::new(&app.config.mail.from, email, letter).map(Some).map_err(refused)
}

/// Writes down what became of tries, as soon as it is known: what isn't written is sent again.
async fn note(app: &App, tried: &[(Due, Outcome)]) -> Result<(), sqlx::Error> {
    let mut notes = Notes::default();
    for (due, outcome) in tried {
        notes.add(due, outcome);
    }
    let mut pg = app.errands.take().await?;
    // Found one by one (OFFSET 0) and changed where they were found: else a plan that was made while
    // there were few mails walks through all of them for each of these. Nor is it asked for
    // `sent_at IS NULL`, or all that are due would be looked through.
    let noted = sqlx::query!(
        "WITH tried AS MATERIALIZED (
             SELECT x.at, n.sent, n.wait_s, n.uncounted, n.problem
             FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::float8[], $5::int[], $6::text[],
                         $7::int[])
                  AS n (order_id, kind, sent, wait_s, uncounted, problem, nth)
             CROSS JOIN LATERAL (
                 SELECT m.ctid AS at FROM mails m
                 WHERE m.order_id = n.order_id AND m.kind = n.kind AND m.nth = n.nth
                   AND coalesce(m.sent_at, 'infinity') = 'infinity'
                 OFFSET 0 FOR UPDATE) x)
         UPDATE mails m SET sent_at = CASE WHEN n.sent THEN now() END, problem = n.problem,
                tries = m.tries - n.uncounted,
                due_at = CASE WHEN n.wait_s = 'infinity'::float8 THEN 'infinity'::timestamptz
                              ELSE now() + make_interval(secs => n.wait_s) END
         FROM tried n WHERE m.ctid = n.at",
        &notes.order,
        &notes.kind,
        &notes.sent,
        &notes.wait_s,
        &notes.uncounted,
        &notes.problem as &[Option<String>],
        &notes.nth
    )
    .execute(&mut *pg)
    .await;
    pg.give_back(noted).map(drop)
}

/// What became of tries, by column.
#[derive(Default)]
struct Notes {
    order: Vec<Uuid>,
    kind: Vec<String>,
    nth: Vec<i32>,
    sent: Vec<bool>,
    /// Seconds until the next try.
    wait_s: Vec<f64>,
    /// Tries that didn't count.
    uncounted: Vec<i32>,
    problem: Vec<Option<String>>,
}

impl Notes {
    fn add(&mut self, due: &Due, outcome: &Outcome) {
        let shortened = |why: &str| why.chars().take(MAX_PROBLEM_CHARS).collect::<String>();
        let (sent, wait_s, uncounted, problem) = match outcome {
            Outcome::Sent => (true, f64::INFINITY, 0, None),
            Outcome::Later(why) => (false, retry_s(due.tries), 0, Some(shortened(why))),
            Outcome::GivenUp(why) => (false, f64::INFINITY, 0, Some(shortened(why))),
            Outcome::Overtaken => (false, f64::INFINITY, 0, Some(OVERTAKEN.to_owned())),
            Outcome::Untried => (false, 0.0, 1, None),
        };
        self.order.push(due.order);
        self.kind.push(due.kind.clone());
        self.nth.push(due.nth);
        self.sent.push(sent);
        self.wait_s.push(wait_s);
        self.uncounted.push(uncounted);
        self.problem.push(problem);
    }
}

/// Seconds from a try to the next.
fn retry_s(tries: i32) -> f64 {
    (RETRY_S * 2_f64.powi((tries - 1).clamp(0, MAX_TRIES))).min(MAX_RETRY_S)
}

fn count(due: &Due, outcome: &Outcome) {
    let result = match outcome {
        Outcome::Sent => "sent",
        Outcome::Later(_) => "later",
        Outcome::GivenUp(_) => "given_up",
        Outcome::Overtaken => "overtaken",
        Outcome::Untried => return,
    };
    metrics::counter!("onsale_mails_total", "kind" => due.kind.clone(), "result" => result)
        .increment(1);
    if let Outcome::GivenUp(why) = outcome {
        let (order, kind, tries) = (due.order, due.kind.as_str(), due.tries);
        tracing::error!(%order, kind, tries, why, "a mail is given up: see to it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::smtp::Patience;

    #[test]
    fn a_lease_outlasts_the_slowest_look() {
        let patience = Patience::default();
        let slowest = (patience.connect + patience.send).as_secs_f64();
        let rounds = usize::try_from(MAILS).unwrap().div_ceil(AT_ONCE);
        assert!(LEASE_S > slowest * f64::from(u32::try_from(rounds).unwrap()));
    }

    #[test]
    fn retries_slow_down_and_last_most_of_a_day() {
        let waits: Vec<f64> = (1..MAX_TRIES).map(retry_s).collect();
        assert!(waits.starts_with(&[5.0, 10.0, 20.0]) && waits.ends_with(&[MAX_RETRY_S]));
        let all_s: f64 = waits.iter().sum();
        assert!((15.0..24.0).contains(&(all_s / 3_600.0)), "{all_s} s");
    }
}
