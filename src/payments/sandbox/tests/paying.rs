//! What each test number does.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Stack, new_intent, state_in};
use crate::payments::{Happening, IntentState, Provider, ProviderError};

const APPROVE: &str = "4242424242424242";

#[tokio::test]
async fn an_approved_card_pays_and_the_shop_is_told_once() {
    let mut stack = Stack::start().await;
    let new = new_intent(4_950);
    let created = stack.sandbox.create(new.clone()).await.expect("made in process");
    assert_eq!(Some(created.intent.reference.clone()), stack.sandbox.reference_of(new.attempt));
    let crate::payments::PayWith::Redirect { url } = created.pay_with else { panic!("a page") };

    let (status, answer) = stack.pay(&format!("{url}?wait=webhook"), APPROVE).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["state"], "succeeded");
    assert_eq!(answer["charged"], 4_950);
    assert_eq!(answer["return_url"], "https://shop.example/orders/1?key=2");

    // It was acknowledged before the answer, as asked.
    let received = stack.received.try_recv().expect("told before the answer");
    let event = stack.sandbox.verify(&received.headers, &received.body, jiff::Timestamp::now());
    let Ok(Happening::Intent(intent)) = event.map(|event| event.what) else { panic!("an intent") };
    assert_eq!(intent.state, IntentState::Succeeded { charged: 4_950 });
    assert_eq!(intent.attempt, Some(new.attempt));
    assert_eq!(intent.order, Some(new.order));
    assert_eq!(intent.amount, new.amount);
    assert_eq!(stack.sandbox.fetch(&intent.reference).await.expect("there"), intent);

    // Paying again charges nothing and tells nobody.
    let (status, answer) = stack.pay(&url, APPROVE).await;
    assert_eq!((status, &answer["charged"]), (StatusCode::OK, &json!(4_950)));
    assert!(stack.end().await.is_empty());
}

#[tokio::test]
async fn a_decline_leaves_the_intent_open_for_another_card() {
    let mut stack = Stack::start().await;
    let (reference, page) = stack.intent(100).await;
    for (card, code) in
        [("4000000000000002", "card_declined"), ("4000000000009995", "insufficient_funds")]
    {
        let (status, answer) = stack.pay(&page, card).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(answer["code"], code);
        let Happening::Declined { intent, reason } = stack.happening().await else {
            panic!("a decline")
        };
        assert_eq!((intent.state, reason.as_str()), (IntentState::Open, code));
    }
    let (status, _) = stack.pay(&page, APPROVE).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(state_in(&stack.happening().await), IntentState::Succeeded { charged: 100 });
    let paid = stack.sandbox.fetch(&reference).await.expect("there");
    assert_eq!(paid.state, IntentState::Succeeded { charged: 100 });
}

#[tokio::test]
async fn three_d_secure_asks_first() {
    let mut stack = Stack::start().await;
    for card in ["4000002500003155", "4000000000003220"] {
        let (reference, page) = stack.intent(100).await;
        let challenge = format!("{page}/challenge");
        let (status, answer) = stack.pay(&page, card).await;
        assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("open")));
        assert!(challenge.ends_with(answer["challenge"].as_str().expect("an address")));
        let open = stack.sandbox.fetch(&reference).await.expect("there");
        assert_eq!(open.state, IntentState::Open);

        let (status, answer) = stack.post(&challenge, &json!({ "outcome": "fail" })).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(answer["code"], "authentication_failed");
        assert!(matches!(stack.happening().await, Happening::Declined { .. }));

        // The question is answered; without a card there is no other.
        let (status, answer) = stack.post(&challenge, &json!({ "outcome": "approve" })).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("card_needed")));

        stack.pay(&page, card).await;
        let (status, _) = stack.post(&challenge, &json!({ "outcome": "approve" })).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(state_in(&stack.happening().await), IntentState::Succeeded { charged: 100 });
    }
}

#[tokio::test]
async fn slow_late_and_never() {
    let mut stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    let (status, answer) = stack.pay(&page, "4000009900000103").await;
    assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("succeeded")));
    assert_eq!(state_in(&stack.happening().await), IntentState::Succeeded { charged: 100 });

    let (reference, page) = stack.intent(100).await;
    let (status, answer) = stack.pay(&page, "4000009900000202").await;
    assert_eq!((status, &answer["state"]), (StatusCode::ACCEPTED, &json!("processing")));
    // Two deliveries, which may overtake each other.
    let mut told = [state_in(&stack.happening().await), state_in(&stack.happening().await)];
    told.sort_by_key(|state| *state != IntentState::Processing);
    let paid = IntentState::Succeeded { charged: 100 };
    assert_eq!(told, [IntentState::Processing, paid]);
    let intent = stack.sandbox.cancel(&reference).await.expect("there");
    assert_eq!(intent.state, IntentState::Succeeded { charged: 100 });

    let (reference, page) = stack.intent(100).await;
    let (status, _) = stack.pay(&page, "4000009900000301").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, _) = stack.pay(&page, APPROVE).await;
    assert_eq!(status, StatusCode::ACCEPTED, "another card can't interfere");
    let intent = stack.sandbox.cancel(&reference).await.expect("there");
    assert_eq!(intent.state, IntentState::Processing);
    assert!(stack.end().await.is_empty());
}

#[tokio::test]
async fn twice_ten_times_out_of_order_lost_and_short() {
    let mut stack = Stack::start().await;
    for (card, times) in [("4000009900000400", 2), ("4000009900000509", 10)] {
        let (_, page) = stack.intent(100).await;
        stack.pay(&page, card).await;
        let first = stack.event().await;
        for _ in 1..times {
            assert_eq!(stack.event().await, first, "the same event, id and all");
        }
    }

    let (_, page) = stack.intent(100).await;
    stack.pay(&page, "4000009900000608").await;
    assert_eq!(state_in(&stack.happening().await), IntentState::Succeeded { charged: 100 });
    assert_eq!(state_in(&stack.happening().await), IntentState::Processing);

    let (_, page) = stack.intent(100).await;
    stack.pay(&page, "4000009900000806").await;
    let Happening::Intent(intent) = stack.happening().await else { panic!("an intent") };
    assert_eq!(intent.state, IntentState::Succeeded { charged: 99 });
    assert_eq!(intent.amount.amount, 100);

    let (reference, page) = stack.intent(100).await;
    let (status, _) = stack.pay(&page, "4000009900000707").await;
    assert_eq!(status, StatusCode::OK);
    let intent = stack.sandbox.fetch(&reference).await.expect("there");
    assert_eq!(intent.state, IntentState::Succeeded { charged: 100 });
    assert!(stack.end().await.is_empty());
}

#[tokio::test]
async fn untouched_intents_are_open_and_a_cancelled_one_stays_so() {
    let mut stack = Stack::start().await;
    let (reference, page) = stack.intent(100).await;
    let untouched = stack.sandbox.fetch(&reference).await.expect("open");
    assert_eq!((untouched.state, untouched.amount.amount), (IntentState::Open, 0));

    let cancelled = stack.sandbox.cancel(&reference).await.expect("cancelled");
    assert_eq!((cancelled.state, cancelled.amount.amount), (IntentState::Cancelled, 0));
    assert_eq!(state_in(&stack.happening().await), IntentState::Cancelled);
    let again = stack.sandbox.cancel(&reference).await.expect("cancelled");
    assert_eq!(again, cancelled);

    let (status, answer) = stack.pay(&page, APPROVE).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("cancelled")));
    for stranger in ["pi_1", "sb_1", "sb_../refunds", ""] {
        assert!(matches!(stack.sandbox.fetch(stranger).await, Err(ProviderError::NotFound)));
    }
    assert!(stack.end().await.is_empty());
}

#[tokio::test]
async fn of_cancelling_and_paying_exactly_one_wins() {
    let stack = Stack::start().await;
    let (mut paid, mut cancelled) = (0, 0);
    for _ in 0..40 {
        let (reference, page) = stack.intent(100).await;
        let (payment, cancelling) =
            tokio::join!(stack.pay(&page, APPROVE), stack.sandbox.cancel(&reference));
        let after = stack.sandbox.fetch(&reference).await.expect("there").state;
        assert_eq!(cancelling.expect("an answer").state, after);
        if payment.0 == StatusCode::OK {
            assert_eq!(after, IntentState::Succeeded { charged: 100 });
            paid += 1;
        } else {
            assert_eq!((payment.0, after), (StatusCode::CONFLICT, IntentState::Cancelled));
            cancelled += 1;
        }
    }
    assert_eq!(paid + cancelled, 40);
    assert_eq!(stack.end().await.len(), 40, "one event each");
}

#[tokio::test]
async fn another_statement_for_the_same_attempt_is_refused() {
    let stack = Stack::start().await;
    let new = new_intent(100);
    let (mut pages, mut dearer) = (Vec::new(), new.clone());
    dearer.amount.amount = 200;
    for new in [new, dearer] {
        let created = stack.sandbox.create(new).await.expect("made in process");
        let crate::payments::PayWith::Redirect { url } = created.pay_with else { panic!("a page") };
        pages.push(url);
    }
    assert_eq!(stack.pay(&pages[0], "4000000000000002").await.0, StatusCode::PAYMENT_REQUIRED);
    let (status, answer) = stack.pay(&pages[1], APPROVE).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("other_statement")));
}

#[tokio::test]
async fn a_behaviour_applies_to_approved_cards_only() {
    let stack = Stack::with(|config| {
        config.behaviour =
            Some(super::super::Behaviour { decline_share: 1.0, ..Default::default() });
    })
    .await;
    let (_, page) = stack.intent(100).await;
    assert_eq!(stack.pay(&page, APPROVE).await.0, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(stack.pay(&page, "4000009900000400").await.0, StatusCode::OK);
}

#[tokio::test]
async fn bad_bodies_are_refused_in_their_own_language() {
    let stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    let (status, answer) = stack.pay(&page, "4111111111111111").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer["fields"]["number"].is_string());
    for body in [json!({}), json!({ "card": 4 }), json!({ "card": APPROVE, "amount": 1 })] {
        let (status, answer) = stack.post(&page, &body).await;
        assert!(status.is_client_error(), "{status}");
        assert_eq!(answer["code"], "unreadable");
    }
    let (status, answer) = stack.pay(&format!("{page}x"), APPROVE).await;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    let huge: Value = json!({ "card": APPROVE, "name": "x".repeat(100_000) });
    assert_eq!(stack.post(&page, &huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}
