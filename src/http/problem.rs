//! Refusals and failures on the wire: RFC 9457 problems with stable codes, all listed here.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::json::Json;
use super::limits::Allowance;
use super::members::{self, Members};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// Why a request was refused. The code is stable API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// A short summary for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The body, a parameter or a header isn't what the document says.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "The request is not valid.";
    /// The body isn't JSON (or not of the asked kind).
    Malformed = "malformed", BAD_REQUEST, "The request could not be read.";
    /// The body is larger than allowed.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "The request is too large.";
    /// The body's media type isn't accepted here.
    MediaType = "media_type", UNSUPPORTED_MEDIA_TYPE, "This media type is not accepted here.";
    /// No token, or one that isn't valid (any more).
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid token is needed.";
    /// The token doesn't allow this.
    Forbidden = "forbidden", FORBIDDEN, "This token does not allow that.";
    /// Nothing here, or nothing that this token may see.
    NotFound = "not_found", NOT_FOUND, "There is no such thing here.";
    /// This method isn't offered here.
    Method = "method_not_allowed", METHOD_NOT_ALLOWED, "This method is not offered here.";
    /// The `Idempotency-Key` header is missing or malformed.
    IdempotencyKey = "idempotency_key", BAD_REQUEST, "A valid Idempotency-Key header is needed.";
    /// The key was used before with another request.
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used with another request.";
    /// The hold was checked out before, with another address, name or choice.
    CheckoutMismatch = "checkout_mismatch", UNPROCESSABLE_ENTITY,
        "This hold was checked out with other details.";
    /// The event asks for more at checkout: names of attendees, or that its terms are accepted.
    DetailsNeeded = "details_needed", UNPROCESSABLE_ENTITY,
        "The event needs more details at checkout.";
    /// Other terms were accepted than those that the event has now.
    TermsChanged = "terms_changed", CONFLICT, "The event's terms have changed.";
    /// The event isn't on sale (any more, or now).
    NotOnSale = "not_on_sale", CONFLICT, "The event is not on sale now.";
    /// Chosen places are taken.
    PlacesTaken = "places_taken", CONFLICT, "Some of these places are taken.";
    /// There are not so many places together.
    NoneLeft = "none_left", CONFLICT, "There are not enough places like that.";
    /// The choice would strand single seats.
    OrphanSeat = "orphan_seat", CONFLICT, "This choice would leave a single seat alone.";
    /// The buyer's limit for the event.
    AccountLimit = "account_limit", CONFLICT, "The limit of places per buyer is reached.";
    /// The offer's quota.
    QuotaReached = "quota_reached", CONFLICT, "This offer is sold out.";
    /// The offer isn't sold now.
    OfferUnavailable = "offer_unavailable", CONFLICT, "This offer is not sold at present.";
    /// A code is missing or wrong.
    AccessCode = "access_code", FORBIDDEN, "This offer needs a valid access code.";
    /// The event demands an account, or only accounts have this; the session is anonymous.
    SignInNeeded = "sign_in_needed", FORBIDDEN, "Sign in first.";
    /// The code or link to sign in with is wrong, used or too old.
    SignInCode = "sign_in_code", FORBIDDEN, "This code or link does not sign you in.";
    /// The promo code is unknown, over or used up.
    PromoCode = "promo_code", CONFLICT, "This promo code can not be used.";
    /// The hold is over.
    HoldGone = "hold_gone", GONE, "This hold is over.";
    /// The hold is being checked out.
    HoldInCheckout = "hold_in_checkout", CONFLICT, "Checkout of this hold has begun.";
    /// The hold can't be extended further.
    ExtensionBound = "extension_bound", CONFLICT, "This hold can not be extended further.";
    /// The account asks for this price level already.
    AskExists = "ask_exists", CONFLICT, "You ask for places of this price level already.";
    /// The line of asks is as long as it may be.
    AsksFull = "asks_full", CONFLICT, "Too many others ask for places that come back.";
    /// The ask is over, lost or another's.
    AskGone = "ask_gone", GONE, "This ask is over; you may ask again.";
    /// Postgres gave the places to somebody else before the claim.
    ClaimLost = "claim_lost", CONFLICT, "Somebody else was faster; nothing was charged.";
    /// The event has a waiting room, and there is no pass with the request.
    PassNeeded = "pass_needed", FORBIDDEN, "Join the waiting room first.";
    /// The pass is another's, or over.
    PassInvalid = "pass_invalid", FORBIDDEN, "This pass is not valid here.";
    /// The queue token is none of this waiting room or session.
    QueueToken = "queue_token", FORBIDDEN, "A queue token of this waiting room is needed.";
    /// The token's turn hasn't come, or is over.
    NotYourTurn = "not_your_turn", CONFLICT, "It is not your turn.";
    /// The turn's pass has ended.
    TurnSpent = "turn_spent", CONFLICT, "This turn was used; join again for another one.";
    /// Joining begins later.
    NotOpenYet = "not_open_yet", CONFLICT, "The waiting room is not open yet.";
    /// Nobody can join any more.
    LineClosed = "line_closed", CONFLICT, "Nobody can join this line now.";
    /// One can't register for the presale (any more, or yet), or withdraw.
    RegistrationClosed = "registration_closed", CONFLICT, "This registration is not open now.";
    /// Claims are frozen by the operator.
    Frozen = "frozen", SERVICE_UNAVAILABLE, "Checkout is stopped for the moment.";
    /// The order's state doesn't allow this.
    OrderState = "order_state", CONFLICT, "The order's state does not allow this.";
    /// The event's state doesn't allow this change.
    EventState = "event_state", CONFLICT, "The event's state does not allow this.";
    /// Something with this name exists already.
    Exists = "exists", CONFLICT, "Something with this name exists already.";
    /// A manifest could not be imported.
    ManifestInvalid = "manifest_invalid", UNPROCESSABLE_ENTITY, "The manifest is not valid.";
    /// A webhook wasn't believed.
    WebhookRefused = "webhook_refused", BAD_REQUEST, "The webhook was not accepted.";
    /// The room asks for proof of work.
    ProofNeeded = "proof_needed", FORBIDDEN, "Solve a challenge first, or sign in.";
    /// The proof of work isn't one for this event and session.
    ProofInvalid = "proof_invalid", FORBIDDEN, "This proof of work is not accepted.";
    /// The proof of work was used before.
    ProofSpent = "proof_spent", CONFLICT, "This proof of work was used before.";
    /// The body did not come in time.
    SlowBody = "slow_body", REQUEST_TIMEOUT, "The request's body did not come in time.";
    /// Too many holds of this buyer ended unpaid: the next one has to wait.
    Cooldown = "cooldown", TOO_MANY_REQUESTS, "Wait a while before you hold places again.";
    /// The organizer lets this buyer hold nothing.
    Blocked = "blocked", FORBIDDEN, "The organizer lets you hold no places.";
    /// Too many requests.
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests.";
    /// There is no room for requests of this kind now.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "There is too much to do at the moment.";
    /// Holds are closed until Redis is rebuilt.
    Rebuilding = "rebuilding", SERVICE_UNAVAILABLE, "The sale resumes in a moment.";
    /// A server this one needs doesn't answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not possible at the moment.";
    /// The outcome isn't known: ask again with the same key.
    Unknown = "unknown_outcome", SERVICE_UNAVAILABLE,
        "The outcome is not known yet; repeat the request with the same key.";
    /// The payment provider doesn't answer; the places stay.
    ProviderUnavailable = "provider_unavailable", BAD_GATEWAY,
        "The payment provider does not answer; your places are kept.";
    /// It took too long.
    Timeout = "timeout", GATEWAY_TIMEOUT, "This took too long.";
    /// A mistake of ours; the cause is in the log under the request's id.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side.";
}

/// A problem document.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    detail: Option<String>,
    more: Map<String, Value>,
    retry_after_s: Option<u32>,
    allowance: Option<Box<Allowance>>,
}

/// A refusal or failure (RFC 9457), sent as `application/problem+json`. Act on its `code`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// `/problems/` and the code: a page here that explains it.
    #[schema(example = "/problems/places_taken")]
    pub r#type: String,
    /// A short summary.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The stable code; act on this. All are explained under `/docs#problems`.
    #[schema(schema_with = members::code)]
    pub code: &'static str,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Further members, by code.
    #[serde(flatten)]
    #[schema(value_type = Members)]
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, more: Map::new(), retry_after_s: None, allowance: None }
    }

    /// Says what is wrong.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.more.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// What is wrong, if it was said.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// A further member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.more.get(name)
    }

    /// Asks the client to wait.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// In how many seconds to ask again, if it was said.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// Says of which limit nothing is left.
    #[must_use]
    pub fn allowance(mut self, allowance: Allowance) -> Self {
        self.allowance = Some(Box::new(allowance));
        self
    }

    /// One invalid field.
    #[must_use]
    pub fn field(pointer: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        let errors = serde_json::json!([{ "pointer": pointer, "detail": why }]);
        Self::new(Code::Invalid).detail(format!("{pointer}: {why}")).with("errors", errors)
    }

    /// Invalid or missing fields: where, and what is wrong there.
    #[must_use]
    pub fn fields(code: Code, errors: &[(String, String)]) -> Self {
        let all: Vec<_> = errors
            .iter()
            .map(|(pointer, why)| serde_json::json!({ "pointer": pointer, "detail": why }))
            .collect();
        let first = errors.first().map(|(pointer, why)| format!("{pointer}: {why}"));
        Self { detail: first, ..Self::new(code) }.with("errors", all)
    }

    /// What is wrong, field by field.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        let list = self.member("errors").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|error| Some((error["pointer"].as_str()?, error["detail"].as_str()?)))
    }

    /// A failure of ours: its cause is logged here, once, and not shown.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal failure");
        Self::new(Code::Internal)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let code = self.code.code();
        metrics::counter!("onsale_problems_total", "code" => code).increment(1);
        let retry = self.retry_after_s.or_else(|| {
            let retryable =
                [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status);
            retryable.then_some(1)
        });
        let body = ProblemBody {
            r#type: format!("/problems/{code}"),
            title: self.code.title(),
            status: status.as_u16(),
            code,
            detail: self.detail,
            more: self.more,
        };
        let mut response = (status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allowance) = self.allowance {
            allowance.tell(response.headers_mut());
        }
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::postgres(&error)
    }
}

impl Problem {
    /// What an error of Postgres means for who asked.
    #[must_use]
    pub fn postgres(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::Io(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_) => {
                tracing::warn!(%error, "Postgres is not available");
                Self::new(Code::Unavailable)
            }
            error if is_shutdown(error) => {
                tracing::warn!(%error, "Postgres is restarting");
                Self::new(Code::Unavailable)
            }
            error => Self::internal(error),
        }
    }
}

/// Whether Postgres refused because it starts, stops or lost the connection (classes 57P, 08).
fn is_shutdown(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "53300")
}

impl From<crate::redis::Trouble> for Problem {
    fn from(trouble: crate::redis::Trouble) -> Self {
        use crate::redis::Trouble;
        match trouble {
            Trouble::Down => Self::new(Code::Rebuilding),
            Trouble::Unknown(error) => {
                tracing::warn!(%error, "Redis gave no answer");
                Self::new(Code::Unknown)
            }
            Trouble::Refused(error) => {
                tracing::warn!(%error, "Redis refused");
                Self::new(Code::Unavailable)
            }
            bad @ Trouble::BadReply(..) => Self::internal(bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
