//! What every page has: its headers, and a page for what went wrong.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use reqwest::Url;

use super::{embed, refusals};
use crate::app::App;
use crate::http::problem::Problem;
use crate::say;

/// Loads a page again after so many seconds, without scripts.
const REFRESH: HeaderName = HeaderName::from_static("refresh");
/// How soon a page that can't be shown now is asked for again, in seconds.
const RETRY: &str = "3";

/// A page of this template.
pub fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// After a form: the page that shows what became of it.
#[must_use]
pub fn see_other(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// Fields of a form, in the order of the page.
pub struct Fields(Vec<(String, String)>);

impl axum::extract::FromRequest<Arc<App>> for Fields {
    type Rejection = Oops;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Oops> {
        use crate::http::problem::Code;
        match Form::from_request(request, app).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(Code::TooLarge).into())
            }
            Err(_) => Err(Problem::new(Code::Malformed).into()),
        }
    }
}

impl Fields {
    /// The field's value without spaces around it; none if it is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The values of a field that may be there more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The fields whose names begin so, by the rest of their names.
    pub fn beginning<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| {
            name.strip_prefix(start).map(|rest| (rest, value.as_str()))
        })
    }

    /// Whether there is such a field, empty or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn ticked(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A whole number; 0 if it is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u32 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// No form: what a page shows first.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// A form in which one field is filled in already.
    #[must_use]
    pub fn one(name: &str, value: String) -> Self {
        Self(vec![(name.to_owned(), value)])
    }

    /// Whether nothing was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where to go from a notice.
#[derive(Clone, Debug)]
pub struct Link {
    /// The address.
    pub to: String,
    /// What it says.
    pub label: String,
}

impl Link {
    /// A link.
    #[must_use]
    pub fn new(to: impl Into<String>, label: impl Into<String>) -> Self {
        Self { to: to.into(), label: label.into() }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice {
    /// Its heading.
    pub title: String,
    /// What it says.
    pub text: String,
    /// Where to go on, the best first.
    pub links: Vec<Link>,
}

/// A page instead of the one that was asked for.
pub struct Oops {
    problem: Problem,
    link: Option<Link>,
}

impl From<Problem> for Oops {
    fn from(problem: Problem) -> Self {
        Self { problem, link: None }
    }
}

impl From<sqlx::Error> for Oops {
    fn from(error: sqlx::Error) -> Self {
        Problem::from(error).into()
    }
}

impl Oops {
    /// What a program is told instead of the page.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        self.problem
    }

    /// Says where to go on.
    #[must_use]
    pub fn then(mut self, to: impl Into<String>, label: impl Into<String>) -> Self {
        self.link = Some(Link::new(to, label));
        self
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let status = self.problem.code.status();
        let advice = refusals::advice(&self.problem);
        let home = Link::new("/", say("go.events"));
        let links = self.link.into_iter().chain([home]).collect();
        let mut response = show(status, &Notice { title: advice.title, text: advice.text, links });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY));
        }
        response
    }
}

/// Gives pages their headers; see [`dressed`].
pub async fn policy(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let get = request.method() == Method::GET;
    let mut response = dressed(&app, next.run(request).await);
    if get && response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(REFRESH, HeaderValue::from_static(RETRY));
    }
    response
}

/// A page with its headers: no other page may frame it but the one that [`embed`] has found to be
/// allowed, and nothing runs or is loaded but what this server sends. Forms may lead on to the
/// payment provider's page, because browsers hold a form to its policy through redirects.
#[must_use]
pub fn dressed(app: &App, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let kind = headers.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        let provider = origin(&app.config.payments.sandbox.url);
        let around = embed::host().map_or_else(|| "'none'".to_owned(), |host| host.origin);
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
             manifest-src 'self'; connect-src 'self'; form-action 'self' {provider}; \
             base-uri 'none'; frame-ancestors {around}"
        );
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    // Browsers that are told to send no referrer send forms with the origin `null`.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_without_spaces_and_nonsense_is_nothing() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = Fields(vec![
            pair("n", " 3 "),
            pair("place", "8"),
            pair("place", "9"),
            pair("promo", "  "),
            pair("many", "-1"),
        ]);
        assert_eq!((fields.number("n"), fields.number("many"), fields.number("none")), (3, 0, 0));
        assert_eq!(fields.all("place").collect::<Vec<_>>(), ["8", "9"]);
        assert_eq!(fields.text("promo"), None);
    }

    #[test]
    fn only_a_providers_origin_is_allowed() {
        assert_eq!(origin("https://pay.example:444/sandbox?x"), "https://pay.example:444");
        assert_eq!(origin(""), "");
    }
}
