//! The fake's API.

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde_json::{Value, json};

use super::{Books, Fault, Fields, SECRET_KEY, StripeFake, now};

/// The routes, behind the key and the faults.
pub fn router(fake: &StripeFake) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/{id}", get(fetch))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund))
        .layer(from_fn_with_state(fake.clone(), misbehave))
        .with_state(fake.clone())
}

type Reply = (StatusCode, Json<Value>);

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> (u16, Value) {
    (status, json!({ "error": { "type": kind, "code": code, "message": message } }))
}

fn reply((status, body): (u16, Value)) -> Reply {
    (StatusCode::from_u16(status).expect("a status"), Json(body))
}

fn missing() -> (u16, Value) {
    refusal(404, "invalid_request_error", "resource_missing", "No such object")
}

impl Books {
    pub(super) fn fresh_id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}_fake{:016}", self.counter)
    }

    /// Runs `effect` once per key, and answers a repetition with the first answer.
    fn once(
        &mut self,
        headers: &HeaderMap,
        path: &str,
        fields: &Fields,
        effect: impl FnOnce(&mut Self) -> (u16, Value),
    ) -> (u16, Value) {
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
        let Some(key) = key else { return effect(self) };
        if let Some((asked, with, status, answer)) = self.answered.get(key) {
            if asked != path || with != fields {
                let message = "Keys can only be used with the same parameters.";
                return refusal(400, "idempotency_error", "idempotency_error", message);
            }
            return (*status, answer.clone());
        }
        let (status, answer) = effect(self);
        let asked = (path.to_owned(), fields.clone(), status, answer.clone());
        self.answered.insert(key.to_owned(), asked);
        (status, answer)
    }
}

/// Checks the key, counts, and lets faults happen.
async fn misbehave(State(fake): State<StripeFake>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let authorized = text("authorization") == Some(format!("Bearer {SECRET_KEY}"));
    let version = text("stripe-version");
    let fault = {
        let mut books = fake.books();
        books.calls += 1;
        books.last_version = version;
        books.faults.pop_front()
    };
    if !authorized {
        let answer = refusal(401, "invalid_request_error", "api_key_invalid", "Invalid API Key");
        return reply(answer).into_response();
    }
    match fault {
        None => next.run(request).await,
        Some(Fault::SilentAfterEffect) => {
            next.run(request).await;
            std::future::pending().await
        }
        Some(Fault::SilentBefore) => std::future::pending().await,
        Some(Fault::Status(status)) => {
            reply(refusal(status, "api_error", "told_to", "As told.")).into_response()
        }
        Some(Fault::Proxy(status)) => {
            (StatusCode::from_u16(status).expect("a status"), "<h1>Proxy</h1>").into_response()
        }
    }
}

async fn create(
    State(fake): State<StripeFake>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Reply {
    reply(fake.books().once(&headers, "payment_intents", &fields, |books| {
        let amount = fields.get("amount").and_then(|amount| amount.parse::<i64>().ok());
        let (Some(amount), Some(currency)) = (amount, fields.get("currency")) else {
            let message = "Missing required param.";
            return refusal(400, "invalid_request_error", "parameter_missing", message);
        };
        if amount < 50 {
            let message = "Amount must convert to at least 50 cents.";
            return refusal(400, "invalid_request_error", "amount_too_small", message);
        }
        let id = books.fresh_id("pi");
        let intent = json!({
            "id": id, "object": "payment_intent", "amount": amount, "amount_received": 0,
            "currency": currency, "created": now(), "livemode": false,
            "client_secret": format!("{id}_secret_fake"), "status": "requires_payment_method",
            "description": fields.get("description"),
            "receipt_email": fields.get("receipt_email"),
            "metadata": metadata(&fields), "last_payment_error": null,
        });
        books.intents.push(intent.clone());
        (200, intent)
    }))
}

fn metadata(fields: &Fields) -> Value {
    let inner = |name: &String| {
        name.strip_prefix("metadata[").and_then(|name| name.strip_suffix(']')).map(str::to_owned)
    };
    fields.iter().filter_map(|(name, value)| Some((inner(name)?, json!(value)))).collect()
}

async fn fetch(State(fake): State<StripeFake>, Path(id): Path<String>) -> Reply {
    let found = fake.books().intents.iter().find(|intent| intent["id"] == id.as_str()).cloned();
    reply(found.map_or_else(missing, |intent| (200, intent)))
}

async fn cancel(State(fake): State<StripeFake>, Path(id): Path<String>) -> Reply {
    let mut books = fake.books();
    let found = books.intents.iter_mut().find(|intent| intent["id"] == id.as_str());
    let Some(intent) = found else {
        return reply(missing());
    };
    let status = intent["status"].as_str().unwrap_or_default().to_owned();
    if !status.starts_with("requires_") {
        let message = format!("You cannot cancel a PaymentIntent with a status of {status}.");
        let code = "payment_intent_unexpected_state";
        return reply(refusal(400, "invalid_request_error", code, &message));
    }
    intent["status"] = json!("canceled");
    reply((200, intent.clone()))
}

async fn refund(
    State(fake): State<StripeFake>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Reply {
    reply(fake.books().once(&headers, "refunds", &fields, |books| {
        let of = fields.get("payment_intent").cloned().unwrap_or_default();
        let amount = fields.get("amount").and_then(|amount| amount.parse::<i64>().ok());
        let intent = books.intents.iter().find(|intent| intent["id"] == of.as_str()).cloned();
        let (Some(intent), Some(amount)) = (intent, amount) else {
            return missing();
        };
        let of_intent = |refund: &&Value| refund["payment_intent"] == of.as_str();
        let back: i64 = books
            .refunds
            .iter()
            .filter(of_intent)
            .filter_map(|refund| refund["amount"].as_i64())
            .sum();
        if amount < 1 || amount > intent["amount_received"].as_i64().unwrap_or(0) - back {
            let message = "Refund amount is greater than unrefunded amount on charge.";
            return refusal(400, "invalid_request_error", "charge_already_refunded", message);
        }
        let refund = json!({
            "id": books.fresh_id("re"), "object": "refund", "amount": amount,
            "currency": intent["currency"], "payment_intent": of, "charge": "ch_fake",
            "created": now(), "status": "succeeded", "metadata": metadata(&fields),
        });
        books.refunds.push(refund.clone());
        (200, refund)
    }))
}

/// Newest first, as Stripe lists.
async fn list(State(fake): State<StripeFake>, Query(query): Query<Fields>) -> Reply {
    let books = fake.books();
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<i64>().ok());
    let since = number("created[gte]").unwrap_or(0);
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
    let after = query.get("starting_after");
    let mut newest = books
        .intents
        .iter()
        .rev()
        .filter(|intent| intent["created"].as_i64().is_some_and(|created| created >= since));
    if let Some(after) = after
        && !newest.by_ref().any(|intent| intent["id"] == after.as_str())
    {
        return reply(missing());
    }
    let mut data: Vec<&Value> = newest.take(limit + 1).collect();
    let has_more = data.len() > limit;
    data.truncate(limit);
    reply((200, json!({ "object": "list", "data": data, "has_more": has_more })))
}
