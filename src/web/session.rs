//! Who looks at a page: the same session as the API's, in a cookie that scripts can't read.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar};

use super::page::Oops;
use super::renewal::Renewed;
use crate::accounts::{self, Session};
use crate::app::App;
use crate::http::extract::MaybeBuyer;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId, HoldId, SessionId};
use crate::keyring::SESSION_S;
use crate::suspicion::traces;

/// Has the session token.
pub const SESSION: &str = "onsale_session";
/// Names the visitor's last hold, so that a page can lead back to it.
const HOLD: &str = "onsale_hold";

/// With an event's id behind it: the visitor's place in its waiting room, and the pass.
const QUEUE: &str = "onsale_queue";
const PASS: &str = "onsale_pass";
/// The same: what the visitor's access codes open.
const GRANTS: &str = "onsale_grants";

/// Where a request was started, seen from its target.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whoever looks at a page.
pub struct Visitor {
    /// Whose holds and orders these are, once there is a session.
    pub account: Option<AccountId>,
    /// The session, if they have signed in.
    pub signed_in: Option<SessionId>,
    given: CookieJar,
    changed: HeaderMap,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let given = CookieJar::from_headers(&parts.headers);
        let renewed = parts.extensions.get::<Renewed>();
        let token = renewed.map(|renewed| renewed.0.as_str());
        let token = token.or_else(|| given.get(SESSION).map(Cookie::value));
        let session = token.and_then(|token| accounts::session_of(app, token));
        let account = session.map(|session| session.account);
        let signed_in = session.and_then(|session| session.signed_in);
        Ok(Self { account, signed_in, given, changed: HeaderMap::new() })
    }
}

impl Visitor {
    /// As the API's handlers know buyers.
    #[must_use]
    pub const fn buyer(&self) -> MaybeBuyer {
        MaybeBuyer(self.account)
    }

    /// As the API's handlers know sessions; none before [`Visitor::need`] was called.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        let signed_in = self.signed_in;
        self.account.map(|account| Session { account, signed_in })
    }

    /// Begins a session, or renews the anonymous one there is: what is held with it must not
    /// outlive it. Signed-in ones are renewed before any page, see [`super::renewal`].
    pub fn need(&mut self, app: &App) -> AccountId {
        let account = self.account.unwrap_or_else(AccountId::fresh);
        self.account = Some(account);
        // The first account of a browser is its name as a device from then on.
        if self.given.get(traces::COOKIE).is_none()
            && let Some(cookie) = traces::cookie(app, account)
        {
            self.changed.append(header::SET_COOKIE, cookie);
        }
        if self.signed_in.is_some() {
            return account;
        }
        let token = app.keyring.session(account, app.now());
        self.set(app, SESSION, &token);
        account
    }

    /// The pass of an event's waiting room.
    #[must_use]
    pub fn pass(&self, event: EventId) -> Option<String> {
        self.kept(PASS, event)
    }

    /// The place in an event's waiting room.
    #[must_use]
    pub fn queue_token(&self, event: EventId) -> Option<String> {
        self.kept(QUEUE, event)
    }

    /// The grants that were kept, see [`super::codes`].
    #[must_use]
    pub fn grants(&self, event: EventId) -> Option<String> {
        self.kept(GRANTS, event)
    }

    /// Keeps grants.
    pub fn keep_grants(&mut self, app: &App, event: EventId, grants: &str) {
        self.set(app, &format!("{GRANTS}_{}", event.0.simple()), grants);
    }

    /// Keeps a pass.
    pub fn keep_pass(&mut self, app: &App, event: EventId, pass: &str) {
        self.set(app, &format!("{PASS}_{}", event.0.simple()), pass);
    }

    /// Keeps a place in line.
    pub fn keep_queue_token(&mut self, app: &App, event: EventId, token: &str) {
        self.set(app, &format!("{QUEUE}_{}", event.0.simple()), token);
    }

    /// Forgets the pass of an event.
    pub fn drop_pass(&mut self, app: &App, event: EventId) {
        self.keep_pass(app, event, "");
    }

    /// Forgets the place in an event's line.
    pub fn drop_queue_token(&mut self, app: &App, event: EventId) {
        self.keep_queue_token(app, event, "");
    }

    fn kept(&self, name: &str, event: EventId) -> Option<String> {
        let cookie = self.given.get(&format!("{name}_{}", event.0.simple()))?;
        Some(cookie.value().to_owned()).filter(|value| !value.is_empty())
    }

    /// Goes on with a session that has just begun.
    pub fn sign_in(&mut self, app: &App, token: &str) {
        self.set(app, SESSION, token);
        self.forget(app);
    }

    /// Goes on without a session.
    pub fn sign_out(&mut self, app: &App) {
        self.set(app, SESSION, "");
        self.forget(app);
    }

    /// Whether places may be held for them in the session that they have.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.given.get(HOLD).is_some_and(|cookie| !cookie.value().is_empty())
    }

    /// Remembers a hold.
    pub fn remember(&mut self, app: &App, event: EventId, hold: HoldId) {
        self.set(app, HOLD, &format!("{event}.{hold}"));
    }

    /// Forgets it.
    pub fn forget(&mut self, app: &App) {
        self.set(app, HOLD, "");
    }

    /// The remembered hold, if it is one of this event.
    #[must_use]
    pub fn remembered(&self, event: EventId) -> Option<HoldId> {
        let (of, hold) = self.given.get(HOLD)?.value().split_once('.')?;
        (of.parse() == Ok(event)).then(|| hold.parse().ok())?
    }

    fn set(&mut self, app: &App, name: &str, value: &str) {
        if let Some(cookie) = cookie(app, name, value) {
            self.changed.append(header::SET_COOKIE, cookie);
        }
    }

    /// The answer with the cookies that changed.
    pub fn with(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.headers_mut().extend(self.changed);
        response
    }
}

/// A cookie's header.
pub(super) fn cookie(app: &App, name: &str, value: &str) -> Option<HeaderValue> {
    let secure = if app.config.http.public_url.starts_with("https:") { "; Secure" } else { "" };
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).ok()
}

/// Refuses forms that another site sends. Browsers say where a form comes from; who says nothing
/// is no browser and has no cookie that another site could misuse.
pub async fn same_origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(&app.config.http.public_url, request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(Code::Forbidden).detail("the form was sent by another site");
    Oops::from(problem).into_response()
}

fn is_ours(public_url: &str, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // Only sent to https and to this machine, but where it is sent it can't be forged.
    if let Some(site) = text(SITE) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = text(header::HOST).unwrap_or_default();
    let same_host = !host.is_empty()
        && origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host));
    same_host || public_url == origin || public_url.starts_with(&format!("{origin}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        is_ours("https://shop.example", &headers)
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        assert!(ours(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(!ours(&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")]));
        assert!(!ours(&[("sec-fetch-site", "same-site")]));
        assert!(ours(&[("origin", "https://shop.example"), ("host", "inner:8080")]));
        assert!(ours(&[("origin", "http://10.0.0.7:8080"), ("host", "10.0.0.7:8080")]));
        assert!(!ours(&[("origin", "https://evil.example"), ("host", "shop.example")]));
        assert!(!ours(&[("origin", "null"), ("host", "shop.example")]));
        assert!(!ours(&[("origin", "https://shop.exam"), ("host", "inner:8080")]));
        assert!(ours(&[("host", "shop.example")]));
    }
}
