//! What handlers are given: parsed at the edge, refused with a problem.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};
use crate::accounts;
use crate::app::App;
use crate::ids::{AccountId, SessionId};

pub use crate::accounts::Session;

/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 100;

/// A JSON body.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let bytes = Raw::from_request(request, state).await?.0;
        parse_json(&bytes).map(Self)
    }
}

/// Refuses what doesn't say that it is JSON.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let json = kind.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json") || kind.ends_with("+json")
    });
    if json {
        return Ok(());
    }
    Err(Problem::new(Code::MediaType).detail("send application/json"))
}

/// A JSON body that was read whole.
///
/// # Errors
/// `media_type` if it doesn't say so, else as [`parse_json`].
pub fn json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Problem> {
    is_json(headers)?;
    parse_json(bytes)
}

/// Reads a JSON body, strictly.
///
/// # Errors
/// `malformed` if it isn't JSON, `invalid` if it isn't what was asked for.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // NUL can be written in JSON but not stored in Postgres: nobody's name has one.
    if bytes.windows(6).any(|window| window.eq_ignore_ascii_case(b"\\u0000")) {
        return Err(Problem::new(Code::Invalid).detail("texts must not contain NUL"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => Code::Invalid,
            _ => Code::Malformed,
        };
        Problem::new(code).detail(error.to_string())
    })
}

/// In which time a body has to have come; an extension of requests that bring one.
#[derive(Clone, Copy, Debug)]
pub struct BodyWithin(pub Duration);

/// Reads a body in its time, if it has one.
///
/// # Errors
/// `slow_body`, or the reading's own.
pub async fn in_time<T>(
    within: Option<BodyWithin>,
    reading: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    match within {
        Some(BodyWithin(within)) => tokio::time::timeout(within, reading)
            .await
            .unwrap_or_else(|_| Err(Problem::new(Code::SlowBody))),
        None => reading.await,
    }
}

/// A body as it came, within the limit of its route.
pub struct Raw(pub bytes::Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let within = request.extensions().get().copied();
        let reading = async {
            bytes::Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::TooLarge),
                    _ => Problem::new(Code::Malformed).detail(rejection.body_text()),
                }
            })
        };
        in_time(within, reading).await
    }
}

/// A query string.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Self(query.0)),
            Err(rejection) => Err(Problem::new(Code::Invalid).detail(rejection.body_text())),
        }
    }
}

/// Parts of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            // An id that isn't one names nothing.
            Err(_) => Err(Problem::new(Code::NotFound)),
        }
    }
}

impl FromRequestParts<Arc<App>> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let session = bearer(&parts.headers).and_then(|token| accounts::session_of(app, token));
        session.ok_or_else(|| {
            Problem::new(Code::Unauthenticated).detail("get a session at POST /v1/sessions")
        })
    }
}

/// A buyer who has signed in.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Session { account, signed_in } = Session::from_request_parts(parts, app).await?;
        let session = signed_in.ok_or_else(|| Problem::new(Code::SignInNeeded))?;
        Ok(Self { account, session })
    }
}

/// A buyer, by the bearer token of a session of either kind.
#[derive(Clone, Copy, Debug)]
pub struct Buyer(pub AccountId);

impl FromRequestParts<Arc<App>> for Buyer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Session::from_request_parts(parts, app).await.map(|session| Self(session.account))
    }
}

/// A buyer, if there is a token.
#[derive(Clone, Copy, Debug)]
pub struct MaybeBuyer(pub Option<AccountId>);

impl FromRequestParts<Arc<App>> for MaybeBuyer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let MaybeSession(session) = MaybeSession::from_request_parts(parts, app).await?;
        Ok(Self(session.map(|session| session.account)))
    }
}

/// A session of either kind, if there is a token.
#[derive(Clone, Copy, Debug)]
pub struct MaybeSession(pub Option<Session>);

impl FromRequestParts<Arc<App>> for MaybeSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        if bearer(&parts.headers).is_none() {
            return Ok(Self(None));
        }
        Session::from_request_parts(parts, app).await.map(|session| Self(Some(session)))
    }
}

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The `Idempotency-Key` of a creating request: 1 to 100 visible ASCII characters.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let key = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        };
        let good = |key: &&str| {
            (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        key.filter(good).map(|key| Self(key.to_owned())).ok_or_else(|| {
            Problem::new(Code::IdempotencyKey)
                .detail(format!("send one Idempotency-Key of 1 to {MAX_KEY} visible characters"))
        })
    }
}
