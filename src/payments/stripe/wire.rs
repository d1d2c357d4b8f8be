//! Stripe's objects, as far as they concern us, and what they mean at the seam.

use std::collections::HashMap;

use axum::http::StatusCode;
use iso_currency::Currency;
use jiff::Timestamp;
use serde::Deserialize;

use super::currency;
use crate::money::Money;
use crate::payments::{
    DisputeState, Happening, Intent, IntentState, ProviderError, RefundState, RefundView,
};

/// The code of a call that an intent's state doesn't allow.
pub const UNEXPECTED_STATE: &str = "payment_intent_unexpected_state";

/// The code of a reference that leads nowhere.
const RESOURCE_MISSING: &str = "resource_missing";

/// Where our ids travel.
type Metadata = HashMap<String, String>;

fn our<T: std::str::FromStr>(metadata: Option<&Metadata>, key: &str) -> Option<T> {
    metadata?.get(key)?.parse().ok()
}

/// An amount in a currency that means the same to both.
fn money(amount: i64, code: &str) -> Option<Money> {
    let currency = Currency::from_code(&code.to_ascii_uppercase())?;
    currency::agrees(currency).then_some(Money::new(amount, currency))
}

/// An answer that isn't what Stripe documents.
pub fn unreadable() -> ProviderError {
    ProviderError::Unknown("Stripe's answer lacks something".to_owned())
}

/// A `payment_intent`.
#[derive(Debug, Deserialize)]
pub struct PaymentIntent {
    pub id: String,
    status: String,
    amount: i64,
    #[serde(default)]
    amount_received: i64,
    currency: String,
    created: i64,
    #[serde(default)]
    pub client_secret: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    last_payment_error: Option<PaymentError>,
}

/// Why a card was refused.
#[derive(Debug, Deserialize)]
struct PaymentError {
    code: Option<String>,
    decline_code: Option<String>,
    #[serde(default)]
    payment_method: Option<PaymentMethod>,
}

/// What was tried.
#[derive(Debug, Deserialize)]
struct PaymentMethod {
    #[serde(default)]
    card: Option<Card>,
}

#[derive(Debug, Deserialize)]
struct Card {
    #[serde(default)]
    fingerprint: Option<String>,
}

impl PaymentIntent {
    /// The same at the seam; nothing if a status or currency is unknown.
    pub fn into_intent(self) -> Option<Intent> {
        let state = match self.status.as_str() {
            "requires_payment_method" | "requires_confirmation" | "requires_action" => {
                IntentState::Open
            }
            // Captured automatically, so an intent waits for it only for moments.
            "processing" | "requires_capture" => IntentState::Processing,
            "succeeded" => IntentState::Succeeded { charged: self.amount_received },
            "canceled" => IntentState::Cancelled,
            _ => return None,
        };
        Some(Intent {
            attempt: our(self.metadata.as_ref(), "attempt"),
            order: our(self.metadata.as_ref(), "order"),
            state,
            amount: money(self.amount, &self.currency)?,
            created_at: Timestamp::from_second(self.created).ok()?,
            // Only of a refused card: of one that was charged, the intent doesn't say it.
            fingerprint: self
                .last_payment_error
                .and_then(|error| error.payment_method?.card?.fingerprint),
            reference: self.id,
        })
    }

    /// The refusal that a `payment_failed` event tells of.
    pub fn into_decline(self) -> Option<Happening> {
        let error = self.last_payment_error.as_ref();
        let code = error.and_then(|error| error.decline_code.clone().or(error.code.clone()));
        let reason = code.unwrap_or_else(|| "payment_failed".to_owned());
        Some(Happening::Declined { intent: self.into_intent()?, reason })
    }
}

/// A `refund`.
#[derive(Debug, Deserialize)]
pub struct Refund {
    id: String,
    amount: i64,
    currency: String,
    payment_intent: Option<String>,
    status: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

impl Refund {
    /// The same at the seam; nothing for one that isn't of an intent.
    pub fn into_view(self) -> Option<RefundView> {
        let state = match self.status.as_deref() {
            Some("succeeded") => RefundState::Succeeded,
            Some("failed" | "canceled") => RefundState::Failed,
            // Requires the buyer's action, or nothing is said yet.
            _ => RefundState::Pending,
        };
        Some(RefundView {
            intent: self.payment_intent?,
            refund: our(self.metadata.as_ref(), "refund"),
            amount: money(self.amount, &self.currency)?,
            reference: self.id,
            state,
        })
    }
}

/// A `dispute`.
#[derive(Debug, Deserialize)]
pub struct Dispute {
    id: String,
    payment_intent: Option<String>,
    status: String,
}

impl Dispute {
    /// The same at the seam; nothing for one that isn't of an intent. An inquiry (`warning_…`)
    /// takes no money back, so it is nothing either, opened or closed.
    pub fn into_happening(self) -> Option<Happening> {
        let state = match self.status.as_str() {
            "won" => DisputeState::Won,
            "lost" => DisputeState::Lost,
            "needs_response" | "under_review" => DisputeState::Open,
            _ => return None,
        };
        Some(Happening::Dispute { intent: self.payment_intent?, reference: self.id, state })
    }
}

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

/// An error's envelope.
#[derive(Debug, Deserialize)]
pub struct ErrorBody {
    pub error: StripeError,
}

/// An error.
#[derive(Debug, Deserialize)]
pub struct StripeError {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    message: Option<String>,
}

impl StripeError {
    /// What a 4xx means: nothing happened.
    pub fn into_refusal(self, status: StatusCode) -> ProviderError {
        let code = self.code.unwrap_or(self.kind);
        if status == StatusCode::NOT_FOUND || code == RESOURCE_MISSING {
            return ProviderError::NotFound;
        }
        ProviderError::Refused { code, message: self.message.unwrap_or_default() }
    }
}
