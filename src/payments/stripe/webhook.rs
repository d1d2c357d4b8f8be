//! Stripe's events, as far as they concern us.
//!
//! | type | happening |
//! |---|---|
//! | `payment_intent.succeeded`, `.processing`, `.canceled` | the intent |
//! | `payment_intent.payment_failed` | a decline; the intent stays open |
//! | `refund.created`, `.updated`, `.failed`, `charge.refund.updated` | the refund |
//! | `charge.dispute.created`, `.funds_withdrawn`, `.closed` | the dispute |
//!
//! `charge.refunded` is ignored: it states only a sum, and each refund in it has events of its
//! own, also one made at Stripe's dashboard. `funds_withdrawn` is there for inquiries that turn
//! into disputes.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::wire::{Dispute, PaymentIntent, Refund};
use crate::payments::{Happening, WebhookError, WebhookEvent};

/// The header that carries a webhook's signature.
pub const SIGNATURE_HEADER: &str = "stripe-signature";

/// An event before its type is known.
#[derive(Deserialize)]
struct AnyEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    livemode: bool,
    #[serde(rename = "data")]
    _data: IgnoredAny,
}

#[derive(Deserialize)]
struct Data<T> {
    object: T,
}

#[derive(Deserialize)]
struct Event<T> {
    data: Data<T>,
}

fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice::<Event<T>>(body).ok().map(|event| event.data.object)
}

/// Reads an event whose signature holds.
pub fn read(body: &[u8]) -> Result<WebhookEvent, WebhookError> {
    let event: AnyEvent = serde_json::from_slice(body).map_err(|_| WebhookError::BadBody)?;
    // A live event under a test secret: nothing of it may have an effect.
    if event.livemode {
        return Err(WebhookError::BadBody);
    }
    let what = happening(&event.kind, body).ok_or(WebhookError::BadBody)?;
    Ok(WebhookEvent { id: event.id, what })
}

/// What an event means. An intent in a currency we never charge, a refund or dispute of a bare
/// charge: not ours, so ignored. An object without its documented shape is an error.
fn happening(kind: &str, body: &[u8]) -> Option<Happening> {
    let known = match kind {
        "payment_intent.succeeded" | "payment_intent.processing" | "payment_intent.canceled" => {
            object::<PaymentIntent>(body)?.into_intent().map(Happening::Intent)
        }
        "payment_intent.payment_failed" => object::<PaymentIntent>(body)?.into_decline(),
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            object::<Refund>(body)?.into_view().map(Happening::Refund)
        }
        "charge.dispute.created" | "charge.dispute.funds_withdrawn" | "charge.dispute.closed" => {
            object::<Dispute>(body)?.into_happening()
        }
        _ => None,
    };
    Some(known.unwrap_or(Happening::Ignored))
}
