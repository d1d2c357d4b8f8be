//! Signing in: a code or link is asked for, mailed (`workers::sign_ins`), and used once.
//!
//! Every step takes the same way whether there is an account or not, and every refusal is the
//! same. Guessing is bounded in Postgres: so many codes an hour, so many tries per code, and so
//! many wrong ones a day. The link's secret can't be guessed, so it works however many codes
//! were tried: nobody can be locked out by somebody else's guesses.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::code;
use super::email::Email;
use super::store;
use crate::app::App;
use crate::http::limits::{self, Client, SharedLimit};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, SessionId};

/// How long a code and its link are good, in seconds.
pub const CODE_S: f64 = 600.0;
/// Codes that can be asked for per person and hour; further requests change nothing.
pub const CODES_PER_HOUR: i32 = 5;
/// Wrong tries that end a code.
pub const MAX_WRONG: i32 = 5;
/// Wrong tries per person and day; after them only links sign in.
pub const WRONG_PER_DAY: i32 = 20;
/// Longest name of a browser or app that is kept, in characters.
const MAX_AGENT_CHARS: usize = 120;

/// A new session.
#[derive(Clone, Debug)]
pub struct SignedInAs {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// Its first token.
    pub token: String,
}

/// A sign-in under way.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Its id.
    pub id: Uuid,
    /// The person's key.
    pub email_key: String,
    /// The address it was asked for with.
    pub email: String,
    key: i16,
    alive: bool,
    guessable: bool,
}

/// Asks for a code and a link to be mailed, in place of any asked for before. Says nothing about
/// whether there will be one.
///
/// # Errors
/// If Postgres fails.
pub async fn ask(
    app: &App,
    client: Client,
    email: &Email,
    locale: Option<&str>,
) -> Result<(), Problem> {
    limits::shared(app, SharedLimit::SignInRequests, &client.to_string()).await?;
    sqlx::query!(
        "INSERT INTO sign_ins AS s (email_key, id, email, locale, key, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
         ON CONFLICT (email_key) DO UPDATE
         SET id = excluded.id, email = excluded.email, locale = excluded.locale,
             key = excluded.key, expires_at = excluded.expires_at, used = false, wrong = 0,
             hour_from = CASE WHEN s.hour_from <= now() - interval '1 hour' THEN now()
                              ELSE s.hour_from END,
             requests = CASE WHEN s.hour_from <= now() - interval '1 hour' THEN 1
                             ELSE s.requests + 1 END,
             due_at = now(), tries = 0, sent_at = NULL, problem = NULL
         WHERE s.requests < $7 OR s.hour_from <= now() - interval '1 hour'",
        email.key(),
        Uuid::new_v4(),
        email.as_str(),
        locale,
        i16::from(app.keyring.token_key()),
        CODE_S,
        CODES_PER_HOUR
    )
    .execute(&app.pg)
    .await?;
    Ok(())
}

/// Signs in by the code that was mailed to this person.
///
/// # Errors
/// `sign_in_code` whatever was wrong, `invalid` if it isn't a code at all.
pub async fn by_code(
    app: &App,
    client: Client,
    email: &Email,
    code: &str,
    user_agent: &str,
) -> Result<SignedInAs, Problem> {
    limits::shared(app, SharedLimit::CodeGuessesAddress, &client.to_string()).await?;
    let code = code::typed(code)
        .ok_or_else(|| Problem::field("/code", format!("a code has {} digits", code::DIGITS)))?;
    let mut tx = app.pg.begin().await?;
    let found = lock_by_person(&mut tx, &email.key()).await?;
    let Some(found) = found.filter(|found| found.alive && found.guessable) else {
        return Err(Problem::new(Code::SignInCode));
    };
    let key = u8::try_from(found.key).unwrap_or(0);
    if !app.keyring.is_sign_in_code(key, found.id, &found.email_key, &code) {
        note_wrong(&mut tx, found.id).await?;
        tx.commit().await?;
        metrics::counter!("onsale_sign_in_codes_wrong_total").increment(1);
        return Err(Problem::new(Code::SignInCode));
    }
    let done = finish(app, &mut tx, &found, user_agent).await?;
    tx.commit().await?;
    Ok(done)
}

/// Signs in by the token of the link that was mailed.
///
/// # Errors
/// `sign_in_code` whatever was wrong.
pub async fn by_link(app: &App, token: &str, user_agent: &str) -> Result<SignedInAs, Problem> {
    let refused = || Problem::new(Code::SignInCode);
    let id = code::named_by(token).ok_or_else(refused)?;
    let mut tx = app.pg.begin().await?;
    let found = lock_by_id(&mut tx, id).await?.ok_or_else(refused)?;
    if !is_good(app, &found, token) {
        return Err(refused());
    }
    let done = finish(app, &mut tx, &found, user_agent).await?;
    tx.commit().await?;
    Ok(done)
}

/// Whom a link would sign in, if it is good now: it is shown to them before they go on.
///
/// # Errors
/// `sign_in_code` if it isn't.
pub async fn preview(app: &App, token: &str) -> Result<String, Problem> {
    let refused = || Problem::new(Code::SignInCode);
    let id = code::named_by(token).ok_or_else(refused)?;
    let found = find(&app.pg, id).await?.filter(|found| is_good(app, found, token));
    let found = found.ok_or_else(refused)?;
    let known =
        sqlx::query_scalar!("SELECT email FROM accounts WHERE email_key = $1", found.email_key);
    Ok(known.fetch_optional(&app.pg).await?.unwrap_or(found.email))
}

fn is_good(app: &App, found: &SignIn, token: &str) -> bool {
    let key = u8::try_from(found.key).unwrap_or(0);
    app.keyring.is_sign_in_token(key, found.id, token) && found.alive
}

/// Uses the sign-in up and begins a session.
async fn finish(
    app: &App,
    pg: &mut PgConnection,
    found: &SignIn,
    user_agent: &str,
) -> sqlx::Result<SignedInAs> {
    // Not to be mailed any more either.
    sqlx::query!("UPDATE sign_ins SET used = true, due_at = 'infinity' WHERE id = $1", found.id)
        .execute(&mut *pg)
        .await?;
    let account = store::account_of(pg, &found.email, &found.email_key).await?;
    let session = store::begin_session(pg, account, &shortened(user_agent)).await?;
    let token = app.keyring.signed_in(session, account, 1, app.now());
    metrics::counter!("onsale_sign_ins_total").increment(1);
    Ok(SignedInAs { session, account, token })
}

/// What a browser or app calls itself, as it may be kept and shown.
fn shortened(user_agent: &str) -> String {
    user_agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT_CHARS).collect()
}

async fn note_wrong(pg: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sign_ins
         SET wrong = wrong + 1,
             wrong_in_day = CASE WHEN day_from <= now() - interval '1 day' THEN 1
                                 ELSE wrong_in_day + 1 END,
             day_from = CASE WHEN day_from <= now() - interval '1 day' THEN now()
                             ELSE day_from END
         WHERE id = $1",
        id
    )
    .execute(pg)
    .await?;
    Ok(())
}

async fn lock_by_person(pg: &mut PgConnection, email_key: &str) -> sqlx::Result<Option<SignIn>> {
    sqlx::query_as!(
        SignIn,
        r#"SELECT id, email_key, email, key, NOT used AND expires_at > now() AS "alive!",
                  wrong < $2 AND (wrong_in_day < $3 OR day_from <= now() - interval '1 day')
                      AS "guessable!"
           FROM sign_ins WHERE email_key = $1 FOR UPDATE"#,
        email_key,
        MAX_WRONG,
        WRONG_PER_DAY
    )
    .fetch_optional(pg)
    .await
}

async fn lock_by_id(pg: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<SignIn>> {
    sqlx::query_as!(
        SignIn,
        r#"SELECT id, email_key, email, key, NOT used AND expires_at > now() AS "alive!",
                  false AS "guessable!"
           FROM sign_ins WHERE id = $1 FOR UPDATE"#,
        id
    )
    .fetch_optional(pg)
    .await
}

async fn find(pg: &PgPool, id: Uuid) -> sqlx::Result<Option<SignIn>> {
    sqlx::query_as!(
        SignIn,
        r#"SELECT id, email_key, email, key, NOT used AND expires_at > now() AS "alive!",
                  false AS "guessable!"
           FROM sign_ins WHERE id = $1"#,
        id
    )
    .fetch_optional(pg)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_name_is_short_and_plain() {
        assert_eq!(shortened("Fire\u{1}fox/1\n"), "Firefox/1");
        assert_eq!(shortened(&"x".repeat(5_000)).len(), MAX_AGENT_CHARS);
    }
}
