//! Payments: the seam behind which providers differ.
//!
//! An **intent** is the provider's side of one payment attempt. The rules of the seam:
//!
//! - Every call carries a deterministic key (the attempt's or the refund's id): repeating a call
//!   repeats nothing at the provider.
//! - An answer may be [`ProviderError::Unknown`]: the call may have had its effect. Whoever gets
//!   it keeps the places and asks again.
//! - The amount always comes from the order, never from a client.
//! - A decline does not end an intent: the buyer may try another card until the deadline.

mod call;
pub mod gateways;
pub mod rehearsal;
pub mod sandbox;
pub mod settle;
mod signature;
pub mod stripe;
pub mod webhook;

use std::sync::Arc;

use axum::http::HeaderMap;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{AttemptId, OrderId, RefundId};
use crate::money::Money;

/// What a provider is asked to collect.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// The idempotency key.
    pub attempt: AttemptId,
    /// Kept by the provider as metadata, so that its payments map back to orders.
    pub order: OrderId,
    /// What to charge.
    pub amount: Money,
    /// What the buyer reads on the payment page.
    pub description: String,
    /// Where the provider's page sends the buyer afterwards.
    pub return_url: String,
    /// The buyer's address, for the provider's receipt and risk checks.
    pub email: String,
}

/// An intent as the provider states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub reference: String,
    /// The attempt and order it was created for, from its metadata; absent on foreign payments.
    pub attempt: Option<AttemptId>,
    /// See `attempt`.
    pub order: Option<OrderId>,
    /// Where it stands.
    pub state: IntentState,
    /// What it asks for.
    pub amount: Money,
    /// When it was created, by the provider's clock.
    pub created_at: Timestamp,
    /// What the provider calls the card that was tried last: the same for the same card.
    pub fingerprint: Option<String>,
}

/// Where an intent stands. `Succeeded` and `Cancelled` are final and exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Waits for the buyer; a decline leads back here.
    Open,
    /// The bank is being asked; can't be cancelled now.
    Processing,
    /// The money was taken: this many minor units.
    Succeeded {
        /// Minor units in the intent's currency.
        charged: i64,
    },
    /// Will never take money.
    Cancelled,
}

/// How the buyer pays, given to the frontend with the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PayWith {
    /// Send the buyer to this page.
    Redirect {
        /// An absolute URL at the provider. In the demo it is a page of the payment sandbox, with
        /// test cards on it. Programs may pay there too, with the form's fields `number`,
        /// `expiry`, `cvc` and `name` or with JSON:
        /// `curl --json '{"card":"4242424242424242"}' "$url?wait=webhook"`. 402 is a declined
        /// card: send another one to the same URL.
        url: String,
    },
    /// Mount the provider's own fields with this secret.
    Elements {
        /// Given to the provider's script; useless for anything but this payment.
        client_secret: String,
        /// The provider's publishable key.
        publishable_key: String,
    },
}

/// A created intent and how to pay it.
#[derive(Clone, Debug)]
pub struct CreatedIntent {
    /// The intent.
    pub intent: Intent,
    /// What the frontend needs.
    pub pay_with: PayWith,
}

/// A refund to make.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// The idempotency key.
    pub refund: RefundId,
    /// The intent that took the money.
    pub reference: String,
    /// How much to give back; the intent's currency.
    pub amount: Money,
}

/// A refund as the provider states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundView {
    /// The provider's id.
    pub reference: String,
    /// The intent it belongs to.
    pub intent: String,
    /// Ours, if it was made by us.
    pub refund: Option<RefundId>,
    /// How much.
    pub amount: Money,
    /// Whether it is final.
    pub state: RefundState,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// Accepted, not yet final.
    Pending,
    /// The money is on its way back.
    Succeeded,
    /// Won't happen; a person must look.
    Failed,
}

/// What a webhook says, once its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The provider's id of this event; the inbox knows each only once.
    pub id: String,
    /// What happened.
    pub what: Happening,
}

/// What happened at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An intent changed; this is its state as the event carries it.
    Intent(Intent),
    /// A card was refused; the intent stays open.
    Declined {
        /// The intent.
        intent: Intent,
        /// The provider's code, such as `card_declined`.
        reason: String,
    },
    /// A refund was made or changed, by us or at the provider.
    Refund(RefundView),
    /// The buyer's bank took the payment back, or gave it up.
    Dispute {
        /// The disputed intent.
        intent: String,
        /// The provider's id of the dispute.
        reference: String,
        /// Whether it is open, won by us or lost.
        state: DisputeState,
    },
    /// A type that doesn't concern us: acknowledged and forgotten.
    Ignored,
}

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeState {
    /// The bank has asked the money back.
    Open,
    /// The money stays ours.
    Won,
    /// The money is gone.
    Lost,
}

/// Why a provider's answer isn't a result.
#[derive(Clone, Debug, Error)]
pub enum ProviderError {
    /// No answer, or one that says nothing: the call may have had its effect.
    #[error("the payment provider's answer is unknown: {0}")]
    Unknown(String),
    /// The provider said no, and nothing happened.
    #[error("the payment provider refused ({code}): {message}")]
    Refused {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// There is no such intent (which proves nothing about one whose creation is unknown).
    #[error("the payment provider does not know this payment")]
    NotFound,
}

/// Why a webhook isn't believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// The signature header is missing or unreadable.
    #[error("the signature is missing or malformed")]
    Malformed,
    /// No signature fits the raw body under any current secret.
    #[error("the signature does not match the body")]
    BadSignature,
    /// Signed too long ago, or in the future.
    #[error("the signature is outside the tolerated time")]
    OutsideTolerance,
    /// Signed, but not a body that this provider sends.
    #[error("the body is not an event of this provider")]
    BadBody,
}

/// One page of the provider's payments, for reconciliation.
#[derive(Clone, Debug)]
pub struct IntentPage {
    /// Oldest first or newest first, as the provider has it.
    pub intents: Vec<Intent>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

/// A payment provider.
pub trait Provider: Send + Sync + 'static {
    /// The name in URLs, tables and metrics.
    fn name(&self) -> &'static str;

    /// The reference that [`Provider::create`] will give, where it is known before any call: it
    /// is then stored by the claim's own commit, and no second write is needed.
    fn reference_of(&self, attempt: AttemptId) -> Option<String>;

    /// Creates the intent, or finds the one that the same attempt created before.
    fn create(&self, new: NewIntent) -> BoxFuture<'_, Result<CreatedIntent, ProviderError>>;

    /// The intent's current state.
    fn fetch<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>>;

    /// Cancels if still possible, and answers the state afterwards: `Cancelled`, or `Succeeded`
    /// when the money was faster, or `Processing` when it can't be told yet.
    fn cancel<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Intent, ProviderError>>;

    /// Gives money back.
    fn refund(&self, new: NewRefund) -> BoxFuture<'_, Result<RefundView, ProviderError>>;

    /// Payments created at or after `since`, page by page.
    fn list<'a>(
        &'a self,
        since: Timestamp,
        page: Option<&'a str>,
    ) -> BoxFuture<'a, Result<IntentPage, ProviderError>>;

    /// Checks a webhook's signature over the raw body and reads it.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookEvent, WebhookError>;
}

/// A provider, shared.
pub type Gateway = Arc<dyn Provider>;
