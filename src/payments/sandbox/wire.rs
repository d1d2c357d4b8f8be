//! The JSON that both halves speak: the API's answers and the webhooks' bodies.

use iso_currency::Currency;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cards::CardSeen;
use super::statement::attempt_of;
use crate::ids::{OrderId, RefundId};
use crate::money::Money;
use crate::payments::{DisputeState, Intent, IntentState, RefundState, RefundView};

/// The header that carries a webhook's signature.
pub const SIGNATURE_HEADER: &str = "onsale-sandbox-signature";

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Open,
    Processing,
    Succeeded,
    Cancelled,
}

/// An intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntentBody {
    pub reference: String,
    pub status: Status,
    /// Absent until the acquirer has seen the statement.
    pub order: Option<OrderId>,
    pub amount: Option<i64>,
    pub currency: Option<Currency>,
    /// Present exactly when it succeeded.
    pub charged: Option<i64>,
    pub card: Option<CardSeen>,
    pub created_at: Timestamp,
}

impl IntentBody {
    /// The same in the seam's words; nothing if it contradicts itself. An amount that was
    /// never stated becomes 0 of `currency`.
    pub fn into_intent(self, currency: Currency) -> Option<Intent> {
        let state = match (self.status, self.charged) {
            (Status::Open, None) => IntentState::Open,
            (Status::Processing, None) => IntentState::Processing,
            (Status::Cancelled, None) => IntentState::Cancelled,
            (Status::Succeeded, Some(charged)) => {
                self.amount.and(self.currency)?;
                IntentState::Succeeded { charged }
            }
            _ => return None,
        };
        Some(Intent {
            attempt: Some(attempt_of(&self.reference)?),
            reference: self.reference,
            order: self.order,
            state,
            amount: Money::new(self.amount.unwrap_or(0), self.currency.unwrap_or(currency)),
            created_at: self.created_at,
            fingerprint: self.card.and_then(|card| card.fingerprint),
        })
    }
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

/// A refund.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefundBody {
    pub reference: String,
    pub intent: String,
    /// The shop's id; absent if the refund was made at the acquirer.
    pub refund: Option<RefundId>,
    pub amount: i64,
    pub currency: Currency,
    pub status: RefundStatus,
}

impl From<RefundBody> for RefundView {
    fn from(body: RefundBody) -> Self {
        Self {
            reference: body.reference,
            intent: body.intent,
            refund: body.refund,
            amount: Money::new(body.amount, body.currency),
            state: match body.status {
                RefundStatus::Pending => RefundState::Pending,
                RefundStatus::Succeeded => RefundState::Succeeded,
                RefundStatus::Failed => RefundState::Failed,
            },
        }
    }
}

/// A refund that the shop asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    pub refund: RefundId,
    pub intent: String,
    pub amount: i64,
    pub currency: Currency,
}

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    Open,
    Won,
    Lost,
}

impl From<DisputeStatus> for DisputeState {
    fn from(status: DisputeStatus) -> Self {
        match status {
            DisputeStatus::Open => Self::Open,
            DisputeStatus::Won => Self::Won,
            DisputeStatus::Lost => Self::Lost,
        }
    }
}

/// A dispute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DisputeBody {
    pub reference: String,
    pub intent: String,
    pub status: DisputeStatus,
}

/// A page of intents, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListBody {
    pub intents: Vec<IntentBody>,
    pub next: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    pub code: String,
    pub message: String,
}

/// What an event's `data` holds, by its type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntentData {
    pub intent: IntentBody,
    /// Why a card was refused; only in `intent.declined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// See [`IntentData`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefundData {
    pub refund: RefundBody,
}

/// See [`IntentData`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DisputeData {
    pub dispute: DisputeBody,
}

/// An event, around its `data`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventBody<T> {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub created: Timestamp,
    pub data: T,
}
