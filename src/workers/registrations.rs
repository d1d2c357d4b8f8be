//! Presale registrations after their draws: places, outcomes, mails.
//!
//! Each step is one bounded transaction under the registration's lock, and begins with what no
//! step has done yet. So any process may die anywhere, and any other goes on: nobody gets two
//! codes, and nobody none.

use futures::stream::{self, StreamExt};
use sqlx::Connection;
use uuid::Uuid;

use crate::access::code;
use crate::app::App;
use crate::ids::{AccountId, EventId};
use crate::mail::drawn::{self, About};
use crate::mail::{Mail, NotSent};
use crate::registrations::http::code_of;
use crate::registrations::steps::{self, Prize};
use crate::registrations::store::{self, Registrant};
use crate::registrations::{Drawn, Outcome, Registration};
use crate::words::Language;

/// Places that one step computes.
const PLACES: i64 = 5_000;
/// Outcomes that one step writes.
const OUTCOMES: i64 = 1_000;
/// Mails that one look sends, and at once.
const MAILS: i64 = 32;
const AT_ONCE: usize = 8;
/// Seconds for which a mail is nobody else's; see the outbox.
const LEASE_S: f64 = 330.0;
/// Seconds until the second try, doubled with each up to the bound.
const RETRY_S: f64 = 5.0;
const MAX_RETRY_S: f64 = 3_600.0;
/// Tries until a mail is given up, which takes most of a day.
const MAX_TRIES: i32 = 30;
/// Longest reason that is noted, in characters.
const MAX_PROBLEM_CHARS: usize = 500;

/// Does one step of every draw that is due, and sends mails. True if there may be more.
///
/// # Errors
/// If Postgres fails. A mail that doesn't leave is tried again later.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    let mut more = false;
    for registration in store::read(&app.pg, None, None, true).await? {
        // Those without a beacon wait for `workers::beacons`, or for their organizer.
        if registration.draw.is_drawn() {
            more |= step(app, &registration).await?;
        }
    }
    Ok(send_due(app).await? || more)
}

/// One step of a draw, unless another process has it. True if there may be another.
async fn step(app: &App, registration: &Registration) -> sqlx::Result<bool> {
    let mut connection = app.pg.acquire().await?;
    let mut tx = connection.begin().await?;
    if !steps::lock(&mut tx, registration.id).await? {
        return Ok(false);
    }
    // As it is under the lock: another process may have gone on meanwhile.
    let known = store::read(&mut *tx, None, Some(registration.id), false).await?;
    let Some(registration) = known.first() else { return Ok(false) };
    match registration.drawn {
        None => rank(&mut tx, registration).await?,
        Some(drawn) => tell(app, &mut tx, registration, drawn).await?,
    }
    tx.commit().await?;
    Ok(true)
}

/// Computes places, and once there are no more to compute, who was the last to win.
async fn rank(tx: &mut sqlx::PgConnection, registration: &Registration) -> sqlx::Result<()> {
    let accounts = steps::unplaced(tx, registration.id, PLACES).await?;
    if accounts.is_empty() {
        let drawn = steps::conclude(tx, registration.id, registration.winners).await?;
        let Drawn { registered, won, .. } = drawn;
        tracing::info!(registration = %registration.id, registered, won, "a draw was made");
        return Ok(());
    }
    let place = |account: &Uuid| {
        let place = registration.draw.place(*account);
        place.ok_or_else(|| sqlx::Error::Protocol("a draw without a beacon".into()))
    };
    let places = accounts.iter().map(place).collect::<sqlx::Result<Vec<i64>>>()?;
    steps::put_places(tx, registration.id, &accounts, &places).await
}

/// Writes outcomes, and once there are no more to write, that it is done.
async fn tell(
    app: &App,
    tx: &mut sqlx::PgConnection,
    registration: &Registration,
    drawn: Drawn,
) -> sqlx::Result<()> {
    let untold = steps::untold(tx, registration.id, OUTCOMES).await?;
    if untold.is_empty() {
        return steps::finish(tx, registration.id).await;
    }
    let key = app.keyring.token_key();
    let (mut prizes, mut losers) = (Vec::new(), Vec::new());
    for (account, place) in untold {
        if drawn.outcome(place, account) == Outcome::Lost {
            losers.push(account.0);
            continue;
        }
        let code = code::of_winner(&app.keyring, key, registration.id, account);
        let normal = code.as_deref().and_then(code::normalise);
        let normal = normal.ok_or_else(|| sqlx::Error::Protocol("a key is gone".into()))?;
        let hash = code::hash(&app.keyring, registration.event, &normal);
        prizes.push(Prize { account, hash, prefix: code::prefix(&normal).to_owned() });
    }
    steps::put_outcomes(tx, registration, key, &prizes, &losers).await
}

/// A mail that is due.
struct Due {
    registration: Uuid,
    event: EventId,
    name: String,
    tries: i32,
    registrant: Registrant,
}

async fn send_due(app: &App) -> sqlx::Result<bool> {
    // Leased first: no transaction is open while a relay is talked to.
    let rows = sqlx::query!(
        r#"WITH due AS MATERIALIZED (
               SELECT registration, account FROM registrants
               WHERE outcome IS NOT NULL AND sent_at IS NULL AND due_at <= now()
               ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
           )
           UPDATE registrants m SET tries = m.tries + 1, due_at = now() + make_interval(secs => $2)
           FROM due JOIN registrations r ON r.id = due.registration
           WHERE m.registration = due.registration AND m.account = due.account
           RETURNING m.registration, m.account, m.email, m.locale, m.place, m.key, m.tries,
                     m.outcome AS "outcome: Outcome", r.event_id, r.name"#,
        MAILS,
        LEASE_S
    )
    .fetch_all(&app.pg)
    .await?;
    let full = rows.len() == usize::try_from(MAILS).unwrap_or(usize::MAX);
    let due = rows.into_iter().map(|row| Due {
        registration: row.registration,
        event: EventId(row.event_id),
        name: row.name,
        tries: row.tries,
        registrant: Registrant {
            account: AccountId(row.account),
            email: row.email,
            locale: row.locale,
            registered_at: jiff::Timestamp::UNIX_EPOCH,
            place: row.place,
            outcome: row.outcome,
            key: row.key,
        },
    });
    let mut tries = stream::iter(due)
        .map(|due| async move {
            let sent = if app.stop.is_cancelled() {
                Err(NotSent::Later("the process stops".into()))
            } else {
                send(app, &due).await
            };
            let waits = matches!(sent, Err(NotSent::Later(_)));
            (waits, note(app, &due, sent).await)
        })
        .buffer_unordered(AT_ONCE);
    let (mut waiting, mut failure) = (false, None);
    while let Some((waits, noted)) = tries.next().await {
        waiting |= waits;
        failure = failure.or(noted.err());
    }
    failure.map_or(Ok(full && !waiting), Err)
}

async fn send(app: &App, due: &Due) -> Result<(), NotSent> {
    let later = |error: sqlx::Error| NotSent::Later(error.to_string());
    let sale = app.catalog.sale(due.event).await.map_err(later)?;
    let sale = sale.ok_or_else(|| NotSent::Refused("the event is unknown".to_owned()))?;
    let code = code_of(app, due.registration, &due.registrant);
    if code.is_none() && due.registrant.outcome == Some(Outcome::Won) {
        return Err(NotSent::Later("the key of the code is not configured".to_owned()));
    }
    let link = format!("{}/events/{}", app.config.http.public_url, sale.listing.event.slug);
    let about = About { name: &due.name, code: code.as_deref(), link: &link };
    let language = Language::of(due.registrant.locale.as_deref());
    let id = drawn::id(due.registration, due.registrant.account);
    let refused = |error: crate::mail::Unbuildable| NotSent::Refused(error.to_string());
    let letter = drawn::write(id, language, &sale.listing, &about).map_err(refused)?;
    let mail = Mail::new(&app.config.mail.from, &due.registrant.email, letter).map_err(refused)?;
    app.mailer.send(&mail).await
}

/// Writes down what became of a try, at once: what isn't written is sent again.
async fn note(app: &App, due: &Due, sent: Result<(), NotSent>) -> sqlx::Result<()> {
    let (result, wait_s, problem) = match sent {
        Ok(()) => ("sent", f64::INFINITY, None),
        Err(NotSent::Later(why)) if due.tries < MAX_TRIES => {
            ("later", retry_s(due.tries), Some(why))
        }
        Err(NotSent::Later(why) | NotSent::Refused(why)) => ("given_up", f64::INFINITY, Some(why)),
    };
    if let Some(why) = &problem {
        let registration = due.registration;
        tracing::warn!(%registration, result, why, "a mail about a draw did not leave");
    }
    metrics::counter!("onsale_mails_total", "kind" => "drawn", "result" => result).increment(1);
    let problem = problem.map(|why| why.chars().take(MAX_PROBLEM_CHARS).collect::<String>());
    sqlx::query!(
        "UPDATE registrants SET sent_at = CASE WHEN $3 THEN now() END, problem = $5,
                due_at = CASE WHEN $4 = 'infinity'::float8 THEN 'infinity'::timestamptz
                              ELSE now() + make_interval(secs => $4) END
         WHERE registration = $1 AND account = $2 AND sent_at IS NULL",
        due.registration,
        due.registrant.account.0,
        result == "sent",
        wait_s,
        problem
    )
    .execute(&app.pg)
    .await?;
    Ok(())
}

/// Seconds from a try to the next.
fn retry_s(tries: i32) -> f64 {
    (RETRY_S * 2_f64.powi((tries - 1).clamp(0, MAX_TRIES))).min(MAX_RETRY_S)
}
