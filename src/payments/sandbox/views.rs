//! The hosted page's templates and the headers they are sent with.

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use reqwest::Url;

use super::cards::{CardForm, FieldErrors};
use super::statement::Statement;
use super::test_cards::{TEST_CARDS, TestCard};
use crate::web::words::money;

/// The style sheet, served by the acquirer itself.
pub const STYLE: &str = include_str!("../../../web/templates/sandbox/style.css");

/// From a page of the card form to the router's root.
const FROM_PAGE: &str = "../";

/// From a page below the card form to the router's root.
const FROM_STEP: &str = "../../";

/// How often the processing page looks again, in seconds.
const REFRESH_SECONDS: u32 = 3;

/// The sum, as the reader writes it.
fn shown(statement: &Statement) -> String {
    money(statement.amount.amount, statement.amount.currency)
}

/// The card form.
#[derive(Template)]
#[template(path = "sandbox/pay.html")]
pub struct PayPage<'a> {
    root: &'static str,
    refresh_seconds: u32,
    amount: String,
    statement: &'a Statement,
    form: &'a CardForm,
    errors: &'a FieldErrors,
    declined: Option<&'static str>,
    test_cards: &'static [TestCard],
}

impl<'a> PayPage<'a> {
    pub fn new(
        statement: &'a Statement,
        form: &'a CardForm,
        errors: &'a FieldErrors,
        declined: Option<&'static str>,
    ) -> Self {
        Self {
            root: FROM_PAGE,
            refresh_seconds: 0,
            amount: shown(statement),
            statement,
            form,
            errors,
            declined,
            test_cards: &TEST_CARDS,
        }
    }

    fn error(&self, field: &str) -> &'static str {
        self.errors.get(field).copied().unwrap_or_default()
    }
}

/// The bank's question.
#[derive(Template)]
#[template(path = "sandbox/challenge.html")]
pub struct ChallengePage<'a> {
    root: &'static str,
    refresh_seconds: u32,
    amount: String,
    statement: &'a Statement,
    last4: &'a str,
}

impl<'a> ChallengePage<'a> {
    pub fn new(statement: &'a Statement, last4: &'a str) -> Self {
        let amount = shown(statement);
        Self { root: FROM_STEP, refresh_seconds: 0, amount, statement, last4 }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "sandbox/notice.html")]
pub struct NoticePage<'a> {
    root: &'static str,
    refresh_seconds: u32,
    busy: bool,
    title: &'a str,
    text: &'a str,
    statement: Option<&'a Statement>,
    amount: String,
}

impl<'a> NoticePage<'a> {
    /// About a payment.
    pub fn about(statement: &'a Statement, title: &'a str, text: &'a str) -> Self {
        let amount = shown(statement);
        Self { statement: Some(statement), amount, ..Self::alone(title, text) }
    }

    /// The bank hasn't answered yet: looks again by itself.
    pub fn processing(statement: &'a Statement) -> Self {
        let text = "Your bank is still working on it. This page looks again by itself; you \
                    can also go back, and will be told by e-mail.";
        let page = Self::about(statement, "Payment is processing", text);
        Self { refresh_seconds: REFRESH_SECONDS, busy: true, ..page }
    }

    /// About nothing that can be shown.
    pub fn alone(title: &'a str, text: &'a str) -> Self {
        let (root, amount) = (FROM_PAGE, String::new());
        Self { root, refresh_seconds: 0, busy: false, title, text, statement: None, amount }
    }
}

/// Renders `page`. Nothing of it may be cached, framed or run; its forms may lead back to
/// the shop, because browsers hold a form to its policy through redirects.
pub fn show(status: StatusCode, page: &impl Template, statement: Option<&Statement>) -> Response {
    let html = match page.render() {
        Ok(html) => Html(html),
        Err(error) => {
            tracing::error!(%error, "a sandbox page could not be rendered");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CACHE_CONTROL, "no-store");
    set(REFERRER_POLICY, "same-origin");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set(RETRY_AFTER, "5");
    }
    let shop = statement.map(|statement| origin_of(&statement.return_url)).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {shop}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    (status, headers, html).into_response()
}

/// `https://tickets.example`, from a URL below it.
fn origin_of(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}
