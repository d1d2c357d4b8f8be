//! The acquirer's API: for the shop's server, and for tests that play the buyer's bank.
//!
//! | call | does |
//! |---|---|
//! | `GET /v1/intents/{reference}` | states an intent |
//! | `POST /v1/intents/{reference}/cancel` | cancels if still possible, states the intent |
//! | `POST /v1/refunds` | gives money back; the same id gives it once |
//! | `GET /v1/intents?since&page` | lists, oldest first |
//! | `POST /v1/intents/{reference}/dispute` | test control: opens a dispute, or ends it |
//! | `POST /v1/intents/{reference}/refund-outside` | test control: a refund the shop didn't ask |

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::acquirer::Acquirer;
use super::ledger::Unreachable;
use super::money_back::Asked;
use super::statement::attempt_of;
use super::wire::{DisputeStatus, ErrorBody, IntentBody, ListBody, RefundRequest};
use crate::ids::AttemptId;
use crate::money::Money;

/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024;

/// Intents on one page of the list.
const PAGE_SIZE: usize = 100;

/// Separates the two halves of a page mark.
const MARK_SEPARATOR: char = '~';

/// The API's routes, opened by the bearer secret.
pub fn router(acquirer: &Acquirer) -> Router<Acquirer> {
    Router::new()
        .route("/v1/intents", get(list))
        .route("/v1/intents/{reference}", get(fetch))
        .route("/v1/intents/{reference}/cancel", post(cancel))
        .route("/v1/intents/{reference}/dispute", post(dispute))
        .route("/v1/intents/{reference}/refund-outside", post(refund_outside))
        .route("/v1/refunds", post(refund))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route_layer(from_fn_with_state(acquirer.clone(), authorize))
}

/// An API call's refusal.
struct ApiError(StatusCode, &'static str, &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.1.to_owned(), message: self.2.to_owned() };
        (self.0, Json(body)).into_response()
    }
}

impl From<Unreachable> for ApiError {
    fn from(why: Unreachable) -> Self {
        match why {
            Unreachable::NotFound => NOT_FOUND,
            Unreachable::Full => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "full", "The sandbox is full.")
            }
        }
    }
}

const NOT_FOUND: ApiError = ApiError(StatusCode::NOT_FOUND, "not_found", "No such intent.");

async fn authorize(
    State(acquirer): State<Acquirer>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let offered = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !acquirer.0.keys.opens(offered) {
        let message = "The bearer secret is missing or wrong.";
        return Err(ApiError(StatusCode::UNAUTHORIZED, "unauthorized", message));
    }
    Ok(next.run(request).await)
}

fn known(reference: &str) -> Result<AttemptId, ApiError> {
    attempt_of(reference).ok_or(NOT_FOUND)
}

async fn fetch(
    State(acquirer): State<Acquirer>,
    Path(reference): Path<String>,
) -> Result<Json<IntentBody>, ApiError> {
    let record = acquirer.0.ledger.get(known(&reference)?, Timestamp::now())?;
    Ok(Json(record.body()))
}

async fn cancel(
    State(acquirer): State<Acquirer>,
    Path(reference): Path<String>,
) -> Result<Json<IntentBody>, ApiError> {
    Ok(Json(acquirer.cancel(known(&reference)?)?))
}

fn answer<T: Serialize>(asked: Asked<T>) -> Result<Json<T>, ApiError> {
    let made = asked.ok_or(NOT_FOUND)?;
    made.map(Json).map_err(|(code, message)| ApiError(StatusCode::BAD_REQUEST, code, message))
}

async fn refund(
    State(acquirer): State<Acquirer>,
    Json(request): Json<RefundRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let money = Money::new(request.amount, request.currency);
    answer(acquirer.refund(known(&request.intent)?, Some(request.refund), Some(money)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutsideRefund {
    /// Minor units; absent: all that is left.
    amount: Option<i64>,
}

async fn refund_outside(
    State(acquirer): State<Acquirer>,
    Path(reference): Path<String>,
    Json(request): Json<OutsideRefund>,
) -> Result<impl IntoResponse, ApiError> {
    let attempt = known(&reference)?;
    let record = acquirer.0.ledger.get(attempt, Timestamp::now())?;
    let money = request.amount.zip(record.amount);
    let money = money.map(|(amount, asked)| Money::new(amount, asked.currency));
    answer(acquirer.refund(attempt, None, money))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeRequest {
    status: DisputeStatus,
}

async fn dispute(
    State(acquirer): State<Acquirer>,
    Path(reference): Path<String>,
    Json(request): Json<DisputeRequest>,
) -> Result<impl IntoResponse, ApiError> {
    answer(acquirer.dispute(known(&reference)?, request.status))
}

#[derive(Deserialize)]
struct ListQuery {
    since: Timestamp,
    page: Option<String>,
}

async fn list(
    State(acquirer): State<Acquirer>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListBody>, ApiError> {
    let unreadable = || ApiError(StatusCode::BAD_REQUEST, "bad_page", "No such page.");
    let after = match query.page.as_deref() {
        None => None,
        Some(mark) => Some(read_mark(mark).ok_or_else(unreadable)?),
    };
    let records = acquirer.0.ledger.list(query.since, after, PAGE_SIZE);
    let full = records.len() == PAGE_SIZE;
    let next = records
        .last()
        .filter(|_| full)
        .map(|last| format!("{}{MARK_SEPARATOR}{}", last.created_at, last.attempt));
    let intents = records.iter().map(super::record::Record::body).collect();
    Ok(Json(ListBody { intents, next }))
}

fn read_mark(mark: &str) -> Option<(Timestamp, AttemptId)> {
    let (time, attempt) = mark.split_once(MARK_SEPARATOR)?;
    Some((time.parse().ok()?, attempt.parse().ok()?))
}
