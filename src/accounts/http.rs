//! Signing in and sessions over HTTP.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::email::Email;
use super::sessions::{self, Rotated};
use super::sign_in::{self, SignedInAs};
use super::store;
use super::token::TOKEN_S;
use crate::app::App;
use crate::http::extract::{Body, Path, SignedIn, bearer};
use crate::http::json::Json;
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, SessionId};
use crate::keyring::SESSION_S;
use crate::rehearsals::tag::Played;
use crate::suspicion::{self, Reason, Traces, traces};

/// Longest locale tag.
const MAX_LOCALE_CHARS: usize = 35;

/// A session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Send it as `Authorization: Bearer …`.
    pub token: String,
    /// Whose holds and orders are made with it.
    pub account: AccountId,
    /// The signed-in session; absent for an anonymous one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Of a new anonymous session: send it as `Onsale-Device` with everything from now on, also
    /// in later sessions. Who is known by a device that buys is trusted sooner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When the token ends (RFC 3339); a signed-in one can be rotated before that and after.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl SessionView {
    fn new(token: String, account: AccountId, session: Option<SessionId>, now: Timestamp) -> Self {
        let lives_s = if session.is_some() { TOKEN_S } else { SESSION_S };
        let expires_at = now.saturating_add(SignedDuration::from_secs(lives_s)).unwrap_or(now);
        Self { token, account, session, device: None, expires_at }
    }
}

/// Begins an anonymous session: enough to hold and to buy. Nothing is stored.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions",
    operation_id = "createSession",
    responses((status = 201, description = "The session", body = SessionView))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    found: Traces,
    played: Option<Extension<Played>>,
) -> (StatusCode, Json<SessionView>) {
    let (account, now) = (AccountId::fresh(), app.now());
    let token = app.keyring.session(account, now);
    // What is played in a rehearsal counts there alone, and goes with it.
    let at = played.map_or(suspicion::ANYWHERE, |Extension(played)| played.shadow);
    suspicion::note_prefix(&app, at, found, Reason::ManySessions);
    let first = found.device.map_or(account, AccountId);
    let device = Some(traces::token(&app.keyring, first));
    let view = SessionView { device, ..SessionView::new(token, account, None, now) };
    (StatusCode::CREATED, Json(view))
}

/// Who wants to sign in.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// Where the code goes.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// The language of the mail (BCP 47).
    #[serde(default)]
    pub locale: Option<String>,
}

/// That a mail may be on its way.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SignInView {
    /// How long a code is good, in seconds.
    pub code_seconds: u32,
}

/// Reads an address.
///
/// # Errors
/// `invalid`.
pub fn address(text: &str) -> Result<Email, Problem> {
    Email::parse(text)
        .ok_or_else(|| Problem::field("/email", "not an address that mail can be sent to"))
}

/// Asks for a code and a link by mail, both good for ten minutes and once.
///
/// The answer is always the same: it doesn't tell whether there is an account, or whether too
/// many codes were asked for. A new code ends the one before it.
#[utoipa::path(
    post, path = "/v1/sign-in", tag = "sessions", request_body = SignInRequest,
    operation_id = "requestSignIn",
    responses((status = 202, description = "Perhaps a mail is on its way", body = SignInView),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn ask(
    State(app): State<Arc<App>>,
    client: Client,
    Body(request): Body<SignInRequest>,
) -> Result<(StatusCode, Json<SignInView>), Problem> {
    let email = address(&request.email)?;
    let locale = request.locale.as_deref();
    let plain = |tag: &str| tag.len() <= MAX_LOCALE_CHARS && !tag.contains(char::is_control);
    if !locale.is_none_or(plain) {
        return Err(Problem::field("/locale", "not a language tag"));
    }
    sign_in::ask(&app, client, &email, locale).await?;
    let code_seconds = sign_in::CODE_S as u32;
    Ok((StatusCode::ACCEPTED, Json(SignInView { code_seconds })))
}

/// What was mailed: the address with the code, or the link's token.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// With `code`: the address that it was asked for with.
    #[serde(default)]
    pub email: Option<String>,
    /// The six digits.
    #[serde(default)]
    pub code: Option<String>,
    /// Instead of both: what the link has after `token=`.
    #[serde(default)]
    pub token: Option<String>,
}

/// Signs in with what was mailed.
///
/// A code can be tried wrongly five times. The refusal is the same for a wrong, used, expired or
/// never sent one.
#[utoipa::path(
    post, path = "/v1/sign-in/confirm", tag = "sessions", request_body = ConfirmRequest,
    operation_id = "confirmSignIn",
    responses((status = 201, description = "Signed in", body = SessionView),
        (status = 403, description = "`sign_in_code`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn confirm(
    State(app): State<Arc<App>>,
    client: Client,
    traces: Traces,
    headers: HeaderMap,
    Body(request): Body<ConfirmRequest>,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let agent = user_agent(&headers);
    let done = match (&request.email, &request.code, &request.token) {
        (Some(email), Some(code), None) => {
            sign_in::by_code(&app, client, &address(email)?, code, agent).await?
        }
        (None, None, Some(token)) => sign_in::by_link(&app, token, agent).await?,
        _ => return Err(Problem::field("/code", "send email and code, or token alone")),
    };
    let SignedInAs { session, account, token } = done;
    suspicion::note(&app, suspicion::ANYWHERE, account, traces, Reason::SignedIn);
    let view = SessionView::new(token, account, Some(session), app.now());
    Ok((StatusCode::CREATED, Json(view)))
}

/// What the client calls itself.
#[must_use]
pub fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A new token for the session, in place of the one sent.
///
/// A signed-in token lives an hour; older ones still rotate while the session lives. The old
/// token may be sent once more within 30 seconds, should the answer be lost. Later it is taken
/// for a stolen one, and the whole session ends.
#[utoipa::path(
    post, path = "/v1/sessions/rotate", tag = "sessions", security(("session" = [])),
    operation_id = "rotateSession",
    responses((status = 200, description = "The session's new token", body = SessionView),
        (status = 401, description = "No session that lives", body = ProblemBody))
)]
pub async fn rotate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<SessionView>, Problem> {
    let (none, now) = (|| Problem::new(Code::Unauthenticated), app.now());
    let token = bearer(&headers).and_then(|token| app.keyring.read_token(token, now));
    let token = token.ok_or_else(none)?;
    let account = token.session.account;
    let session = token.session.signed_in;
    let renewed = if session.is_none() {
        token.is_alive(now).then(|| app.keyring.session(account, now)).ok_or_else(none)?
    } else {
        match sessions::rotate(&app, &token).await? {
            Rotated::To(renewed) => renewed,
            Rotated::Over => return Err(none()),
        }
    };
    Ok(Json(SessionView::new(renewed, account, session, now)))
}

/// One of the account's sessions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LivingView {
    /// Its id.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// The browser or app that it began in, as that calls itself.
    pub user_agent: String,
    /// When it began (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was rotated last (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub rotated_at: Timestamp,
    /// When it ends unless it is rotated (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The account's sessions.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SessionsView {
    /// Where the account is signed in.
    pub sessions: Vec<LivingView>,
}

/// Where the account is signed in, the last used first.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "sessions", security(("session" = [])),
    operation_id = "listSessions",
    responses((status = 200, description = "The sessions", body = SessionsView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    who: SignedIn,
) -> Result<Json<SessionsView>, Problem> {
    let living = store::living(&app.pg, who.account).await?;
    let view = |living: store::Living| LivingView {
        current: living.id == who.session,
        id: living.id,
        user_agent: living.user_agent,
        created_at: living.created_at,
        rotated_at: living.rotated_at,
        expires_at: living.expires_at,
    };
    Ok(Json(SessionsView { sessions: living.into_iter().map(view).collect() }))
}

/// Ends one of the account's sessions, on every server within two seconds.
#[utoipa::path(
    delete, path = "/v1/sessions/{session}", tag = "sessions", security(("session" = [])),
    operation_id = "revokeSession",
    params(("session" = SessionId, Path, description = "The session's id")),
    responses((status = 204, description = "It has ended"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody),
        (status = 404, description = "No such session of yours", body = ProblemBody))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    Path(id): Path<SessionId>,
    who: SignedIn,
) -> Result<StatusCode, Problem> {
    if sessions::revoke(&app, id, who.account).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(Code::NotFound))
    }
}

/// Signs out.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "sessions", security(("session" = [])),
    operation_id = "signOut",
    responses((status = 204, description = "The session has ended"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody))
)]
pub async fn sign_out(State(app): State<Arc<App>>, who: SignedIn) -> Result<StatusCode, Problem> {
    sessions::revoke(&app, who.session, who.account).await?;
    Ok(StatusCode::NO_CONTENT)
}
