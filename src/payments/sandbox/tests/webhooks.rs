//! Delivery and verification of webhooks.

use std::sync::atomic::Ordering;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::super::wire::SIGNATURE_HEADER;
use super::super::{ClientConfig, Sandbox};
use super::{SECRET, Stack, WEBHOOK_SECRET};
use crate::payments::signature::Secrets;
use crate::payments::{Happening, Provider, WebhookError};

const APPROVE: &str = "4242424242424242";

#[tokio::test]
async fn an_event_is_tried_until_it_is_acknowledged() {
    let mut stack = Stack::start().await;
    stack.failing.store(3, Ordering::SeqCst);
    let (_, page) = stack.intent(100).await;
    assert_eq!(stack.pay(&page, APPROVE).await.0, StatusCode::OK);
    let first = stack.event().await;
    for _ in 0..3 {
        assert_eq!(stack.event().await, first);
    }
    assert!(stack.end().await.is_empty(), "acknowledged, so not sent again");
}

#[tokio::test]
async fn urls_rotate_and_a_dead_one_loses_nothing() {
    let mut stack = Stack::with(|config| {
        // Nothing listens on the discard port of loopback.
        config.webhook_urls.push("http://127.0.0.1:9/hook".to_owned());
    })
    .await;
    for _ in 0..6 {
        let (reference, page) = stack.intent(100).await;
        stack.pay(&page, APPROVE).await;
        let Happening::Intent(intent) = stack.happening().await else { panic!("an intent") };
        assert_eq!(intent.reference, reference);
    }
}

#[tokio::test]
async fn the_shop_believes_only_what_was_signed_now_and_raw() {
    let mut stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    stack.pay(&page, APPROVE).await;
    let received = stack.webhook().await;
    let (headers, body, now) = (received.headers, received.body, Timestamp::now());
    let verify = |headers: &HeaderMap, body: &[u8], now| stack.sandbox.verify(headers, body, now);
    assert!(verify(&headers, &body, now).is_ok());

    let missing = verify(&HeaderMap::new(), &body, now);
    assert_eq!(missing, Err(WebhookError::Malformed));
    let hours = SignedDuration::from_hours(1);
    assert_eq!(verify(&headers, &body, now + hours), Err(WebhookError::OutsideTolerance));
    assert_eq!(verify(&headers, &body, now - hours), Err(WebhookError::OutsideTolerance));
    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let again = serde_json::to_vec_pretty(&value).expect("JSON");
    assert_eq!(verify(&headers, &again, now), Err(WebhookError::BadSignature));
    let mut longer = body.to_vec();
    longer.push(b' ');
    assert_eq!(verify(&headers, &longer, now), Err(WebhookError::BadSignature));
}

#[tokio::test]
async fn a_secret_is_rotated_without_losing_an_event() {
    let old = "the webhook secret of last year";
    let mut stack = Stack::with(|config| config.webhook_secrets.push(old.to_owned())).await;
    let (_, page) = stack.intent(100).await;
    stack.pay(&page, APPROVE).await;
    let received = stack.webhook().await;
    for (secret, believed) in
        [(WEBHOOK_SECRET, true), (old, true), ("a third secret, unused", false)]
    {
        let config = ClientConfig::new(&stack.base, SECRET, secret);
        let shop = Sandbox::new(&config).expect("a good configuration");
        let answer = shop.verify(&received.headers, &received.body, Timestamp::now());
        assert_eq!(answer.is_ok(), believed, "{secret}");
    }
}

#[tokio::test]
async fn signed_bodies_that_are_no_events_are_refused_and_new_types_ignored() {
    let stack = Stack::start().await;
    let now = Timestamp::now();
    let verify = |body: &str| {
        let value = Secrets::new(&[WEBHOOK_SECRET.to_owned()]).header_value(now, body.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, HeaderValue::try_from(value).expect("a header"));
        stack.sandbox.verify(&headers, body.as_bytes(), now)
    };
    for body in [
        "",
        "null",
        "[]",
        r#"{"id":"evt_1"}"#,
        r#"{"id":1,"type":"intent.succeeded","data":{}}"#,
        r#"{"id":"evt_1","type":"intent.succeeded","created":"2026-01-01T00:00:00Z","data":{}}"#,
        r#"{"id":"evt_1","id":"evt_2","type":"x","data":{}}"#,
        r#"{"id":"evt_1","type":"x","data":{}} trailing"#,
    ] {
        assert_eq!(verify(body), Err(WebhookError::BadBody), "{body}");
    }
    let ignored = verify(r#"{"id":"evt_1","type":"payout.paid","data":{}}"#).expect("signed");
    assert_eq!(ignored.what, Happening::Ignored);
    let contradiction = r#"{"id":"evt_1","type":"intent.succeeded","created":"2026-01-01T00:00:00Z",
        "data":{"intent":{"reference":"sb_0123456789abcdef0123456789abcdef","status":"open",
        "charged":5,"created_at":"2026-01-01T00:00:00Z"}}}"#;
    assert_eq!(verify(contradiction), Err(WebhookError::BadBody));
}
