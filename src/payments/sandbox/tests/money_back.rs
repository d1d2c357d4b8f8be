//! Refunds, disputes, the list.

use axum::http::StatusCode;
use iso_currency::Currency;
use jiff::Timestamp;
use serde_json::json;

use super::Stack;
use crate::ids::RefundId;
use crate::money::Money;
use crate::payments::{
    DisputeState, Happening, IntentState, NewRefund, Provider, ProviderError, RefundState,
    RefundView,
};

const APPROVE: &str = "4242424242424242";

async fn paid(stack: &mut Stack, card: &str) -> String {
    let (reference, page) = stack.intent(1_000).await;
    assert_eq!(stack.pay(&page, card).await.0, StatusCode::OK);
    stack.event().await;
    reference
}

fn refund(reference: &str, amount: i64) -> NewRefund {
    let (refund, amount) = (RefundId::fresh(), Money::new(amount, Currency::EUR));
    NewRefund { refund, reference: reference.to_owned(), amount }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ProviderError>) -> String {
    match answer {
        Err(ProviderError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn refund_event(stack: &mut Stack) -> RefundView {
    match stack.happening().await {
        Happening::Refund(view) => view,
        other => panic!("not a refund: {other:?}"),
    }
}

async fn dispute_event(stack: &mut Stack) -> (String, String, DisputeState) {
    match stack.happening().await {
        Happening::Dispute { intent, reference, state } => (intent, reference, state),
        other => panic!("not a dispute: {other:?}"),
    }
}

#[tokio::test]
async fn refunds_are_made_once_and_never_exceed_the_charge() {
    let mut stack = Stack::start().await;
    let reference = paid(&mut stack, APPROVE).await;
    let first = refund(&reference, 600);
    let made = stack.sandbox.refund(first.clone()).await.expect("made");
    assert_eq!((made.state, made.refund), (RefundState::Succeeded, Some(first.refund)));
    assert_eq!(refund_event(&mut stack).await, made);
    assert_eq!(stack.sandbox.refund(first.clone()).await.expect("found"), made);

    let more = NewRefund { amount: Money::new(700, Currency::EUR), ..first.clone() };
    assert_eq!(refused(stack.sandbox.refund(more).await), "idempotency_mismatch");
    let mut second = refund(&reference, 401);
    assert_eq!(refused(stack.sandbox.refund(second.clone()).await), "amount_exceeds_charge");
    for amount in [0, -1, i64::MAX] {
        let answer = stack.sandbox.refund(refund(&reference, amount)).await;
        assert_eq!(refused(answer), "amount_exceeds_charge");
    }
    let dollars = NewRefund { amount: Money::new(1, Currency::USD), ..refund(&reference, 1) };
    assert_eq!(refused(stack.sandbox.refund(dollars).await), "currency_mismatch");

    // A refused refund's id can still be used.
    second.amount.amount = 400;
    stack.sandbox.refund(second).await.expect("exactly what is left");
    refund_event(&mut stack).await;

    let other = paid(&mut stack, APPROVE).await;
    let elsewhere = NewRefund { reference: other, ..first };
    assert_eq!(refused(stack.sandbox.refund(elsewhere).await), "idempotency_mismatch");
    assert!(stack.end().await.is_empty());
}

#[tokio::test]
async fn only_what_was_charged_can_be_refunded() {
    let stack = Stack::start().await;
    let (reference, page) = stack.intent(1_000).await;
    let untouched = stack.sandbox.refund(refund(&reference, 1)).await;
    assert!(matches!(untouched, Err(ProviderError::NotFound)));
    stack.pay(&page, "4000000000000002").await;
    assert_eq!(refused(stack.sandbox.refund(refund(&reference, 1)).await), "not_charged");
}

#[tokio::test]
async fn concurrent_refunds_of_everything_succeed_once() {
    let mut stack = Stack::start().await;
    let reference = paid(&mut stack, APPROVE).await;
    let tries = (0..16).map(|_| stack.sandbox.refund(refund(&reference, 1_000)));
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn pending_refunds_end_well_or_badly() {
    let mut stack = Stack::start().await;
    let cases =
        [("4000000000007726", RefundState::Succeeded), ("4000000000005126", RefundState::Failed)];
    for (card, end) in cases {
        let reference = paid(&mut stack, card).await;
        let made = stack.sandbox.refund(refund(&reference, 1_000)).await.expect("made");
        assert_eq!(made.state, RefundState::Pending);
        // Two deliveries, which may overtake each other.
        let mut told = [refund_event(&mut stack).await, refund_event(&mut stack).await];
        told.sort_by_key(|view| view.state != RefundState::Pending);
        let ended = RefundView { state: end, ..made.clone() };
        assert_eq!(told, [made, ended]);
        // A failed refund gave nothing back, so it can be tried again.
        let again = stack.sandbox.refund(refund(&reference, 1_000)).await;
        assert_eq!(again.is_ok(), end == RefundState::Failed);
        if again.is_ok() {
            refund_event(&mut stack).await;
            refund_event(&mut stack).await;
        }
    }
}

#[tokio::test]
async fn a_refund_made_at_the_acquirer_has_no_id_of_ours() {
    let mut stack = Stack::start().await;
    let reference = paid(&mut stack, APPROVE).await;
    let path = format!("/v1/intents/{reference}/refund-outside");
    assert_eq!(stack.control(&path, &json!({ "amount": 300 })).await.0, StatusCode::OK);
    let view = refund_event(&mut stack).await;
    assert_eq!((view.refund, view.amount.amount, &view.intent), (None, 300, &reference));
    assert_eq!(stack.control(&path, &json!({})).await.0, StatusCode::OK);
    assert_eq!(refund_event(&mut stack).await.amount.amount, 700);
    assert_eq!(stack.control(&path, &json!({})).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn disputes_open_once_and_end_once() {
    let mut stack = Stack::start().await;
    let reference = paid(&mut stack, APPROVE).await;
    let path = format!("/v1/intents/{reference}/dispute");
    let (opened, lost, won) =
        (json!({ "status": "open" }), json!({ "status": "lost" }), json!({ "status": "won" }));
    assert_eq!(stack.control(&path, &won).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(stack.control(&path, &opened).await.0, StatusCode::OK);
    let first = dispute_event(&mut stack).await;
    assert_eq!((&first.0, first.2), (&reference, DisputeState::Open));
    assert_eq!(stack.control(&path, &opened).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(stack.control(&path, &lost).await.0, StatusCode::OK);
    let ended = dispute_event(&mut stack).await;
    assert_eq!(ended, (first.0, first.1, DisputeState::Lost));
    assert_eq!(stack.control(&path, &won).await.0, StatusCode::BAD_REQUEST);

    // The published number is disputed by itself.
    paid(&mut stack, "4000000000000259").await;
    let disputed = stack.happening().await;
    assert!(matches!(disputed, Happening::Dispute { state: DisputeState::Open, .. }));
}

#[tokio::test]
async fn the_list_pages_through_everything_once_oldest_first() {
    let stack = Stack::start().await;
    let before = Timestamp::now();
    let mut made = Vec::new();
    for _ in 0..205 {
        let (reference, page) = stack.intent(100).await;
        stack.pay(&page, "4000009900000707").await;
        made.push(reference);
    }
    let (mut listed, mut page) = (Vec::new(), None::<String>);
    loop {
        let part = stack.sandbox.list(before, page.as_deref()).await.expect("a page");
        assert!(part.intents.iter().all(|intent| {
            intent.state == IntentState::Succeeded { charged: 100 } && intent.order.is_some()
        }));
        listed.extend(part.intents.into_iter().map(|intent| intent.reference));
        page = part.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(listed, made);
    let later = stack.sandbox.list(Timestamp::now(), None).await.expect("a page");
    assert!(later.intents.is_empty());
    assert_eq!(refused(stack.sandbox.list(before, Some("nonsense")).await), "bad_page");
}

#[tokio::test]
async fn the_api_opens_to_the_secret_only() {
    let stack = Stack::start().await;
    let url = format!("{}/v1/intents?since=2020-01-01T00:00:00Z", stack.base);
    let keys = super::super::statement::Keys::new("some other shared secret");
    for bearer in ["", super::SECRET, keys.bearer()] {
        let answer = stack.buyer.get(&url).bearer_auth(bearer).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = stack.buyer.get(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
