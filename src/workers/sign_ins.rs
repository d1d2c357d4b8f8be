//! Mails codes and links to those who want to sign in. A sign-in's row is its own place in the
//! outbox; a mail that can't leave is tried again as long as its code is good.

use futures::future::join_all;
use uuid::Uuid;

use crate::accounts::sign_in::CODE_S;
use crate::app::App;
use crate::mail::letter::Letter;
use crate::mail::{Mail, NotSent};
use crate::words::Language;

/// Mails that one look sends, all at once.
const MAILS: i64 = 8;
/// Seconds for which a mail is nobody else's: longer than sending one takes at its slowest.
const LEASE_S: f64 = 90.0;
/// Seconds until the second try, doubled with each.
const RETRY_S: f64 = 3.0;
/// Longest reason that is noted, in characters.
const MAX_PROBLEM_CHARS: usize = 500;

/// A mail that is due.
struct Due {
    id: Uuid,
    email_key: String,
    email: String,
    locale: Option<String>,
    key: i16,
    tries: i32,
}

/// Sends what is due. True if there may be more.
///
/// # Errors
/// If Postgres fails. A mail that doesn't leave is tried again later.
pub async fn run_once(app: &App) -> Result<bool, sqlx::Error> {
    if app.stop.is_cancelled() {
        return Ok(false);
    }
    let due = lease(app).await?;
    let full = due.len() == usize::try_from(MAILS).unwrap_or(usize::MAX);
    let sent = join_all(due.iter().map(|due| async move {
        let outcome = match build(app, due) {
            Ok(mail) => app.mailer.send(&mail).await,
            Err(error) => Err(error),
        };
        note(app, due, outcome).await
    }));
    sent.await.into_iter().collect::<Result<(), _>>()?;
    Ok(full)
}

/// Takes what is due. An account is written to at the address that it began with: whoever else
/// gets mail at a variant of it is not thereby its owner.
async fn lease(app: &App) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"WITH due AS MATERIALIZED (
               SELECT s.id FROM sign_ins s
               WHERE s.sent_at IS NULL AND s.due_at <= now() AND s.expires_at > now()
               ORDER BY s.due_at LIMIT $1 FOR UPDATE SKIP LOCKED
           )
           UPDATE sign_ins s SET tries = s.tries + 1, due_at = now() + make_interval(secs => $2)
           FROM due WHERE s.id = due.id
           RETURNING s.id AS "id!", s.email_key AS "email_key!", s.locale, s.key AS "key!",
                     s.tries AS "tries!",
                     coalesce((SELECT a.email FROM accounts a WHERE a.email_key = s.email_key),
                              s.email) AS "email!""#,
        MAILS,
        LEASE_S
    )
    .fetch_all(&app.pg)
    .await
}

fn build(app: &App, due: &Due) -> Result<Mail, NotSent> {
    let gone = || NotSent::Refused("the key it was made with is gone".to_owned());
    let key = u8::try_from(due.key).map_err(|_| gone())?;
    let code = app.keyring.sign_in_code(key, due.id, &due.email_key).ok_or_else(gone)?;
    let token = app.keyring.sign_in_token(key, due.id).ok_or_else(gone)?;
    let link = format!("{}/sign-in/link?token={token}", app.config.http.public_url);
    let letter = Letter::sign_in(Language::of(due.locale.as_deref()), due.id, code, link);
    let mail = letter.and_then(|letter| Mail::new(&app.config.mail.from, &due.email, letter));
    mail.map_err(|error| NotSent::Refused(error.to_string()))
}

/// Writes down what became of a try, unless another code was asked for meanwhile.
async fn note(app: &App, due: &Due, outcome: Result<(), NotSent>) -> Result<(), sqlx::Error> {
    let (result, wait_s, problem) = match outcome {
        Ok(()) => ("sent", f64::INFINITY, None),
        Err(NotSent::Later(why)) => ("later", retry_s(due.tries), Some(why)),
        Err(NotSent::Refused(why)) => ("given_up", f64::INFINITY, Some(why)),
    };
    metrics::counter!("onsale_mails_total", "kind" => "sign_in", "result" => result).increment(1);
    if let Some(why) = &problem {
        tracing::warn!(sign_in = %due.id, result, why, "a code can't be mailed");
    }
    let problem: Option<String> = problem.map(|why| why.chars().take(MAX_PROBLEM_CHARS).collect());
    sqlx::query!(
        "UPDATE sign_ins SET sent_at = CASE WHEN $2 THEN now() END, problem = $4,
                due_at = CASE WHEN $3 = 'infinity'::float8 THEN 'infinity'::timestamptz
                              ELSE now() + make_interval(secs => $3) END
         WHERE id = $1 AND sent_at IS NULL",
        due.id,
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
    (RETRY_S * 2_f64.powi((tries - 1).clamp(0, 10))).min(CODE_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::smtp::Patience;

    #[test]
    fn a_lease_outlasts_the_slowest_mail() {
        let patience = Patience::default();
        assert!(LEASE_S > (patience.connect + patience.send).as_secs_f64());
        assert!(retry_s(1) < retry_s(2) && retry_s(i32::MAX) <= CODE_S);
    }
}
