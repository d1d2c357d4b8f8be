//! The page's answers: the same outcome as a redirect, a page or JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::acquirer::{Acquirer, NotTried, Outcome};
use super::cards::FieldErrors;
use super::ledger::Unreachable;
use super::sender::Delivered;
use super::statement::{Statement, reference_of};
use super::views::{NoticePage, show};
use super::wire::Status;

/// How long a JSON caller that asks for it waits, where forms don't wait.
const LEAST_WAIT: Duration = Duration::from_secs(5);

/// A body that came as a form or as JSON.
pub struct Sent<T> {
    pub json: bool,
    pub body: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let json = kind.is_some_and(|kind| kind.starts_with("application/json"));
        let body = if json {
            let body = Json::<T>::from_request(request, state).await;
            body.map(|body| body.0).map_err(|error| (error.status(), error.body_text()))
        } else {
            let body = Form::<T>::from_request(request, state).await;
            body.map(|body| body.0).map_err(|error| (error.status(), error.body_text()))
        };
        match body {
            Ok(body) => Ok(Self { json, body }),
            Err((status, message)) if json => {
                let answer = PayAnswer { code: Some("unreadable"), ..PayAnswer::default() };
                Err((status, Json(PayAnswer { message: Some(message), ..answer })).into_response())
            }
            Err((status, _)) => {
                let page = NoticePage::alone("That didn't work", "The form could not be read.");
                Err(show(status, &page, None))
            }
        }
    }
}

/// The JSON answer of a step.
#[derive(Default, Serialize)]
pub struct PayAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is wrong, by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: FieldErrors,
    /// Where the bank's question is answered, relative to the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// Where the buyer goes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

/// Why a step can't be taken.
pub enum Problem {
    Unknown,
    Expired,
    NotTried(NotTried),
}

impl Problem {
    const fn said(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::Unknown | Self::NotTried(NotTried::Unreachable(Unreachable::NotFound)) => (
                StatusCode::NOT_FOUND,
                "not_found",
                "No such payment",
                "The link is incomplete or was changed. Go back to the shop and try again.",
            ),
            Self::Expired => (
                StatusCode::GONE,
                "expired",
                "This link has expired",
                "Nothing was charged. Go back to the shop and start again.",
            ),
            Self::NotTried(NotTried::Unreachable(Unreachable::Full)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "full",
                "Too many payments",
                "Nothing was charged. Try again in a moment.",
            ),
            Self::NotTried(NotTried::Refused((code, message))) => {
                (StatusCode::CONFLICT, code, "This payment can't be made", message)
            }
        }
    }

    /// The refusal as a page or as JSON.
    pub fn show(&self, json: bool) -> Response {
        let (status, code, title, message) = self.said();
        if json {
            let message = Some(message.to_owned());
            let answer = PayAnswer { code: Some(code), message, ..PayAnswer::default() };
            return (status, Json(answer)).into_response();
        }
        show(status, &NoticePage::alone(title, message), None)
    }
}

/// One step of a buyer.
pub struct Step<'a> {
    pub acquirer: &'a Acquirer,
    pub statement: &'a Statement,
    pub json: bool,
}

impl Step<'_> {
    /// The outcome as a redirect or as JSON; `page` is the card form from here.
    pub async fn answer(&self, outcome: Outcome, asked_to_wait: bool, page: &str) -> Response {
        if !self.json {
            return match outcome {
                Outcome::Paid { delivered, .. } => {
                    wait_for(delivered, self.acquirer.0.config.redirect_wait).await;
                    see_other(&self.statement.return_url)
                }
                Outcome::Challenge => see_other(&format!("{page}/challenge")),
                _ => see_other(page),
            };
        }
        let mut answer = PayAnswer {
            reference: Some(reference_of(self.statement.attempt)),
            return_url: Some(self.statement.return_url.clone()),
            ..PayAnswer::default()
        };
        let (status, state) = match outcome {
            Outcome::Paid { charged, delivered } => {
                if asked_to_wait {
                    let wait = self.acquirer.0.config.redirect_wait.max(LEAST_WAIT);
                    wait_for(delivered, wait).await;
                }
                answer.charged = Some(charged);
                (StatusCode::OK, Status::Succeeded)
            }
            Outcome::Declined(why) => {
                answer.code = Some(why.code());
                answer.message = Some(why.message().to_owned());
                (StatusCode::PAYMENT_REQUIRED, Status::Open)
            }
            Outcome::Challenge => {
                answer.challenge = Some(format!("{page}/challenge"));
                (StatusCode::OK, Status::Open)
            }
            Outcome::Processing => (StatusCode::ACCEPTED, Status::Processing),
            Outcome::Cancelled => {
                answer.code = Some("cancelled");
                (StatusCode::CONFLICT, Status::Cancelled)
            }
            Outcome::CardNeeded => {
                answer.code = Some("card_needed");
                (StatusCode::CONFLICT, Status::Open)
            }
        };
        answer.state = Some(state);
        (status, Json(answer)).into_response()
    }
}

/// Waits until the shop has acknowledged, but not for long: the buyer is waiting too.
async fn wait_for(delivered: Option<Delivered>, at_most: Duration) {
    if let Some(delivered) = delivered {
        // Given up or too slow: the buyer goes on either way.
        let _ = tokio::time::timeout(at_most, delivered).await;
    }
}

/// Sends a browser on, with GET.
pub fn see_other(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let headers =
                [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => Problem::Unknown.show(false),
    }
}
