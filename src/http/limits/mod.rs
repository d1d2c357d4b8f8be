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

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use self::allowance::Allowance;
pub use self::class::Class;
pub use self::config::Limits;
pub use self::network::Client;
pub use self::node::Node;
pub use self::shared::{shared, shared_at};
pub use self::table::{NodeLimit, SharedLimit};
use super::extract::{BodyWithin, Raw, bearer};
use super::problem::Problem;
use crate::app::App;
use crate::rehearsals::tag;
use crate::web::refused;
use crate::web::session::SESSION;

/// Lets a request through, or refuses it: whoever asks too often with 429, slow bodies with 408,
/// and what there is no room for with 503. Webhooks are never refused: they settle.
pub async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    note_played(&app, &mut request);
    let route = request.extensions().get::<MatchedPath>();
    let class = route.map_or(Class::Browse, |route| Class::of(request.method(), route.as_str()));
    if class == Class::Operate {
        return next.run(request).await;
    }
    let reader = crate::web::for_people(&request);
    let client = Client::of(&app, request.extensions(), request.headers());
    let checked = app.limits.check_class(class.limits(), client, session(request.headers()));
    let allowances = match checked {
        Ok(allowances) => allowances,
        Err(problem) => return refused(&app, reader.as_ref(), problem),
    };
    let matched = route.is_some();
    let request = match read_body(&app, class.reads_first() && matched, request).await {
        Ok(request) => request,
        Err(problem) => return refused(&app, reader.as_ref(), problem),
    };
    let underway = match app.limits.in_flight.begin(class) {
        Ok(underway) => underway,
        Err(problem) => return refused(&app, reader.as_ref(), problem),
    };
    let mut response = next.run(request).await;
    drop(underway);
    if class.tells() {
        for allowance in allowances.into_iter().flatten() {
            allowance.tell(response.headers_mut());
        }
    }
    response
}

/// The same for polls of a waiting room, which have no body and are nobody's page.
pub async fn admit_poll(app: &App, mut request: Request, next: Next) -> Response {
    note_played(app, &mut request);
    let client = Client::of(app, request.extensions(), request.headers());
    let session = session(request.headers());
    let checked = app.limits.check_class(Class::Wait.limits(), client, session);
    match checked.and_then(|_| app.limits.in_flight.begin(Class::Wait)) {
        Ok(_underway) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Takes note of the visitor that a rehearsal's request plays: whoever asks for its client gets
/// that one.
fn note_played(app: &App, request: &mut Request) {
    let path = request.uri().path();
    if let Some(played) = tag::played(&app.keyring, request.headers(), path, app.now()) {
        request.extensions_mut().insert(played);
    }
}

/// The request with its body in memory, if that is to be read first, or with the time in which
/// its handler has to have read it.
async fn read_body(app: &App, first: bool, mut request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let within = BodyWithin(Duration::from_secs(app.config.http.body_timeout_s));
    if !first {
        request.extensions_mut().insert(within);
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let mut only_body = Request::new(body);
    only_body.extensions_mut().insert(within);
    DefaultBodyLimit::max(app.config.http.max_body_bytes).apply(&mut only_body);
    let Raw(bytes) = Raw::from_request(only_body, &()).await?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
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
