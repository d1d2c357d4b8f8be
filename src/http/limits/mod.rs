//! Limits and load shedding: how much of the engine anybody may use, and what goes first when
//! there is too much of everything.
//!
//! Outermost first, a request passes: the connection cap and the header timeout
//! ([`super::server`]), then here its class ([`class`]), its limits per client address and per
//! session ([`node`]), the reading of its body, and the bound on requests under way ([`shed`]).
//! Steps ask [`shared`] for what all processes must count together. All limits with their names
//! and defaults are in [`table`], the section of the configuration is [`config`], and
//! `onsale config` prints it all.

pub mod allowance;
pub mod class;
pub mod config;
pub mod network;
pub mod node;
pub mod shared;
pub mod shed;
pub mod table;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use tower::Service;

pub use self::allowance::Allowance;
pub use self::class::Class;
pub use self::config::Limits;
pub use self::network::Client;
pub use self::node::Node;
pub use self::shared::{shared, shared_at};
use self::shed::Underway;
pub use self::table::{NodeLimit, SharedLimit};
use super::extract::{BodyWithin, Raw, bearer};
use super::problem::Problem;
use crate::app::App;
use crate::rehearsals::tag::{self, Played};
use crate::web::refused;
use crate::web::session::SESSION;

/// Lets requests through, or refuses them: whoever asks too often with 429, slow bodies with 408,
/// and what there is no room for with 503. Webhooks are never refused: they settle.
#[derive(Clone)]
pub struct Admit<S> {
    app: Arc<App>,
    inner: S,
}

impl<S> Admit<S> {
    /// Before a service.
    pub const fn new(app: Arc<App>, inner: S) -> Self {
        Self { app, inner }
    }
}

impl<S> Service<Request> for Admit<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let app = self.app.clone();
        // The one that is ready is called, not its clone.
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move { admit(&app, request, |request| ready.call(request)).await })
    }
}

/// What [`Admit`] does with one of them.
async fn admit<F>(
    app: &App,
    mut request: Request,
    run: impl FnOnce(Request) -> F,
) -> Result<Response, Infallible>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    let client = client(app, &mut request);
    let matched = class_of(&request);
    let class = matched.unwrap_or(Class::Browse);
    if class == Class::Operate {
        return run(request).await;
    }
    let reader = crate::web::for_people(&request);
    let checked = app.limits.check_class(class.limits(), client, session(request.headers()));
    let allowances = match checked {
        Ok(allowances) => allowances,
        Err(problem) => return Ok(refused(app, reader.as_ref(), problem)),
    };
    let first = matched.is_some_and(Class::reads_first);
    let request = match read_body(app, first, request).await {
        Ok(request) => request,
        Err(problem) => return Ok(refused(app, reader.as_ref(), problem)),
    };
    let (underway, request) = match begin(app, class, request).await {
        Ok(begun) => begun,
        Err(problem) => return Ok(refused(app, reader.as_ref(), problem)),
    };
    let mut response = run(request).await?;
    drop(underway);
    tell(class, allowances, &mut response);
    Ok(response)
}

/// The same for the steps of a sale, which are nobody's pages and get their bodies whole.
///
/// # Errors
/// The refusal, or the handler's problem.
pub async fn admit_step<F>(
    app: &App,
    mut request: Request,
    answer: impl FnOnce(Parts, Bytes) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Response>,
{
    let client = client(app, &mut request);
    let class = class_of(&request).unwrap_or(Class::Browse);
    let session = session(request.headers());
    let allowances = app.limits.check_class(class.limits(), client, session)?;
    let (parts, body) = request.into_parts();
    let bytes = read_whole(app, body).await?;
    let (underway, (parts, bytes)) = begin(app, class, (parts, bytes)).await?;
    let mut response = answer(parts, bytes).await;
    drop(underway);
    tell(class, allowances, &mut response);
    Ok(response)
}

/// The same for polls of a waiting room, which have no body and are nobody's page.
///
/// # Errors
/// The refusal, or the handler's problem.
pub async fn admit_poll<F>(
    app: &App,
    parts: Parts,
    answer: impl FnOnce(Parts) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Response, Problem>>,
{
    let client = match played(app, &parts.headers, parts.uri.path()) {
        Some(played) => Some(Client(played.address)),
        None => Client::of(app, &parts.extensions, &parts.headers),
    };
    let session = session(&parts.headers);
    app.limits.check_class(Class::Wait.limits(), client, session)?;
    let (_underway, parts) = begin(app, Class::Wait, parts).await?;
    answer(parts).await
}

/// The class of a request, if it is for a route.
fn class_of(request: &Request) -> Option<Class> {
    let route = request.extensions().get::<MatchedPath>()?;
    Some(Class::of(request.method(), route.as_str()))
}

/// Counts what was asked as work, unless there is too much of it: then it is let go before who
/// asked is kept waiting.
async fn begin<T>(app: &App, class: Class, asked: T) -> Result<(Underway<'_>, T), Problem> {
    match app.limits.in_flight.begin(class) {
        Ok(underway) => Ok((underway, asked)),
        Err(problem) => {
            drop(asked);
            app.limits.in_flight.pause().await;
            Err(problem)
        }
    }
}

fn tell(class: Class, allowances: [Option<Allowance>; 2], response: &mut Response) {
    if class.tells() {
        for allowance in allowances.into_iter().flatten() {
            allowance.tell(response.headers_mut());
        }
    }
}

/// Who asks. Whoever looks later finds the visitor that a rehearsal's request plays, too.
fn client(app: &App, request: &mut Request) -> Option<Client> {
    if let Some(played) = played(app, request.headers(), request.uri().path()) {
        request.extensions_mut().insert(played);
    }
    Client::of(app, request.extensions(), request.headers())
}

/// The visitor that a rehearsal's request plays.
fn played(app: &App, headers: &HeaderMap, path: &str) -> Option<Played> {
    // Hardly any request does, and to look at the clock for all of them has its price.
    if !headers.contains_key(tag::HEADER) {
        return None;
    }
    tag::played(&app.keyring, headers, path, app.now())
}

/// The request with its body in memory, if that is to be read first, or with the time in which
/// its handler has to have read it.
async fn read_body(app: &App, first: bool, mut request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    if !first {
        request.extensions_mut().insert(body_within(app));
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = read_whole(app, body).await?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// A whole body, in its time and within its bound.
async fn read_whole(app: &App, body: Body) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut only_body = Request::new(body);
    only_body.extensions_mut().insert(body_within(app));
    DefaultBodyLimit::max(app.config.http.max_body_bytes).apply(&mut only_body);
    Raw::from_request(only_body, &()).await.map(|Raw(bytes)| bytes)
}

const fn body_within(app: &App) -> BodyWithin {
    BodyWithin(Duration::from_secs(app.config.http.body_timeout_s))
}

/// What tells sessions apart: the token as it was sent. It isn't verified here: whoever makes
/// one up escapes no limit that they would not escape without one.
fn session(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(token) = bearer(headers) {
        return Some(token.as_bytes());
    }
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        pair.trim_ascii_start().strip_prefix(SESSION.as_bytes())?.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_apart_by_header_or_cookie() {
        let mut headers = HeaderMap::new();
        assert_eq!(session(&headers), None);
        headers.insert(header::COOKIE, "a=1; onsale_session=s1.x; b=2".parse().unwrap());
        assert_eq!(session(&headers), Some(b"s1.x".as_slice()));
        headers.insert(header::AUTHORIZATION, "Bearer s1.y".parse().unwrap());
        assert_eq!(session(&headers), Some(b"s1.y".as_slice()));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "xonsale_session=s1.x".parse().unwrap());
        assert_eq!(session(&headers), None);
    }
}
