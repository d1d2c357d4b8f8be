//! Signatures and events.

use axum::http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Stripe;
use super::stripe_fake::{Fate, StripeFake, sign};
use super::{WEBHOOK_SECRET, new_intent, start};
use crate::ids::RefundId;
use crate::payments::{
    DisputeState, Happening, IntentState, NewIntent, Provider, RefundState, WebhookError,
    WebhookEvent,
};

fn verify(stripe: &Stripe, header: &str, body: &str) -> Result<WebhookEvent, WebhookError> {
    let mut headers = HeaderMap::new();
    headers.insert("Stripe-Signature", HeaderValue::from_str(header).expect("a header"));
    stripe.verify(&headers, body.as_bytes(), Timestamp::now())
}

fn signed(body: &str) -> String {
    sign(&[WEBHOOK_SECRET], Timestamp::now().as_second(), body)
}

#[tokio::test]
async fn only_stripes_own_fresh_signature_is_believed() {
    let (fake, stripe) = start().await;
    let new = new_intent(700);
    let reference = stripe.create(new).await.expect("made").intent.reference;
    let paid = fake.present_card(&reference, Fate::Approved);
    let body = fake.event("payment_intent.succeeded", &paid);
    let now = Timestamp::now().as_second();
    assert!(verify(&stripe, &signed(&body), &body).is_ok());
    let several = sign(&["whsec_another_one", WEBHOOK_SECRET], now, &body);
    assert!(verify(&stripe, &several, &body).is_ok());

    let forged = sign(&["whsec_another_one"], now, &body);
    assert_eq!(verify(&stripe, &forged, &body), Err(WebhookError::BadSignature));
    for far in [-3_600, 3_600] {
        let header = sign(&[WEBHOOK_SECRET], now + far, &body);
        assert_eq!(verify(&stripe, &header, &body), Err(WebhookError::OutsideTolerance));
    }
    let value: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        verify(&stripe, &signed(&body), &value.to_string()),
        Err(WebhookError::BadSignature)
    );
    let missing = stripe.verify(&HeaderMap::new(), body.as_bytes(), Timestamp::now());
    assert_eq!(missing, Err(WebhookError::Malformed));
    let live = body.replace(r#""livemode": false"#, r#""livemode": true"#);
    assert_eq!(verify(&stripe, &signed(&live), &live), Err(WebhookError::BadBody));
}

/// An intent of 700 at Stripe, and how its events are read.
struct Events {
    fake: StripeFake,
    stripe: Stripe,
    new: NewIntent,
    reference: String,
}

impl Events {
    async fn start() -> Self {
        let (fake, stripe) = start().await;
        let new = new_intent(700);
        let created = stripe.create(new.clone()).await.expect("made");
        let reference = created.intent.reference;
        Self { fake, stripe, new, reference }
    }

    fn read(&self, kind: &str, object: &Value) -> Result<Happening, WebhookError> {
        let body = self.fake.event(kind, object);
        verify(&self.stripe, &signed(&body), &body).map(|event| event.what)
    }
}

#[tokio::test]
async fn events_of_intents() {
    let events = Events::start().await;
    let declined = events.fake.present_card(&events.reference, Fate::Declined);
    let Ok(Happening::Declined { intent, reason }) =
        events.read("payment_intent.payment_failed", &declined)
    else {
        panic!("a decline")
    };
    assert_eq!((intent.state, reason.as_str()), (IntentState::Open, "insufficient_funds"));
    assert_eq!(intent.attempt, Some(events.new.attempt));

    let intents = [
        ("payment_intent.processing", "processing", IntentState::Processing),
        ("payment_intent.canceled", "canceled", IntentState::Cancelled),
        ("payment_intent.succeeded", "succeeded", IntentState::Succeeded { charged: 700 }),
    ];
    events.fake.present_card(&events.reference, Fate::Approved);
    for (kind, status, state) in intents {
        let object = events.fake.edit(&events.reference, |intent| intent["status"] = json!(status));
        let Ok(Happening::Intent(intent)) = events.read(kind, &object) else { panic!("{kind}") };
        assert_eq!((intent.state, intent.order), (state, Some(events.new.order)));
    }
}

#[tokio::test]
async fn events_of_refunds() {
    let events = Events::start().await;
    let ours = RefundId::fresh();
    for (kind, status, state) in [
        ("refund.created", "pending", RefundState::Pending),
        ("refund.updated", "succeeded", RefundState::Succeeded),
        ("charge.refund.updated", "requires_action", RefundState::Pending),
        ("refund.failed", "failed", RefundState::Failed),
    ] {
        // The last one was made at Stripe's dashboard.
        let metadata = match state {
            RefundState::Failed => json!({}),
            _ => json!({ "refund": ours }),
        };
        let object = json!({
            "id": "re_1", "object": "refund", "amount": 300, "currency": "eur",
            "payment_intent": events.reference, "status": status,
            "metadata": metadata,
        });
        let Ok(Happening::Refund(view)) = events.read(kind, &object) else { panic!("{kind}") };
        assert_eq!((view.state, view.amount.amount, &view.intent), (state, 300, &events.reference));
        let expected = (state != RefundState::Failed).then_some(ours);
        assert_eq!(view.refund, expected);
    }
}

#[tokio::test]
async fn events_of_disputes() {
    let events = Events::start().await;
    for (kind, status, state) in [
        ("charge.dispute.created", "needs_response", Some(DisputeState::Open)),
        ("charge.dispute.created", "warning_needs_response", None),
        ("charge.dispute.funds_withdrawn", "under_review", Some(DisputeState::Open)),
        ("charge.dispute.closed", "won", Some(DisputeState::Won)),
        ("charge.dispute.closed", "lost", Some(DisputeState::Lost)),
        ("charge.dispute.closed", "warning_closed", None),
    ] {
        let object = json!({ "id": "dp_1", "payment_intent": events.reference, "status": status });
        let expected = state.map_or(Happening::Ignored, |state| Happening::Dispute {
            intent: events.reference.clone(),
            reference: "dp_1".to_owned(),
            state,
        });
        assert_eq!(events.read(kind, &object), Ok(expected), "{kind} {status}");
    }
}

#[tokio::test]
async fn events_of_anything_else() {
    let events = Events::start().await;
    for kind in ["charge.refunded", "customer.created", "payment_intent.created"] {
        assert_eq!(events.read(kind, &json!({ "id": "ch_1" })), Ok(Happening::Ignored));
    }
    let of_a_bare_charge = json!({ "id": "dp_2", "payment_intent": null, "status": "lost" });
    assert_eq!(events.read("charge.dispute.closed", &of_a_bare_charge), Ok(Happening::Ignored));
    let shapeless = events.read("payment_intent.succeeded", &json!({ "id": "pi_1" }));
    assert_eq!(shapeless, Err(WebhookError::BadBody));
}
