//! Before any page: a signed-in session whose token has got old is rotated, in passing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, CookieJar};

use super::session::{SESSION, cookie};
use crate::accounts;
use crate::accounts::sessions::{self, ROTATE_FROM_S, Rotated};
use crate::app::App;

tokio::task_local! {
    /// What the head of every page shows, wherever in a request it is rendered.
    static SIGNED_IN: bool;
}

/// The token that takes the place of the cookie's; empty if there is none any more.
#[derive(Clone, Debug)]
pub struct Renewed(pub String);

/// Whether whoever looks at the page that is being rendered has signed in.
#[must_use]
pub fn signed_in() -> bool {
    SIGNED_IN.try_with(|signed_in| *signed_in).unwrap_or(false)
}

/// Rotates the session where it is time to, and hands the browser its new token.
pub async fn renew(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let jar = CookieJar::from_headers(request.headers());
    let given = jar.get(SESSION).map(Cookie::value).unwrap_or_default();
    let renewed = if is_page(request.headers()) { renewed(&app, given).await } else { None };
    let token = renewed.as_deref().unwrap_or(given);
    let session = accounts::session_of(&app, token);
    let signed_in = session.is_some_and(|session| session.signed_in.is_some());
    if let Some(renewed) = &renewed {
        request.extensions_mut().insert(Renewed(renewed.clone()));
    }
    let mut response = SIGNED_IN.scope(signed_in, next.run(request)).await;
    // A page that has set it itself knows better.
    let headers = response.headers_mut();
    if let Some(renewed) = renewed
        && !has_session(headers)
        && let Some(cookie) = cookie(&app, SESSION, &renewed)
    {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// Only who loads a page is sure to take a cookie with it, and no page is kept by a cache.
fn is_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|kinds| kinds.contains("text/html"))
}

fn has_session(headers: &HeaderMap) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|cookie| {
        let rest = cookie.as_bytes().strip_prefix(SESSION.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    })
}

/// The next token, or an empty one if the session has ended. `None` if this one will do.
async fn renewed(app: &App, given: &str) -> Option<String> {
    let now = app.now();
    let token = app.keyring.read_token(given, now)?;
    if token.session.signed_in.is_none() || token.age_s(now) < ROTATE_FROM_S {
        return None;
    }
    match sessions::rotate(app, &token).await {
        Ok(Rotated::To(renewed)) => Some(renewed),
        Ok(Rotated::Over) => Some(String::new()),
        Err(error) => {
            tracing::warn!(%error, "a session can't be rotated now");
            None
        }
    }
}
