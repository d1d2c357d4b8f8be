//! Keys, calls, what answers mean.

use iso_currency::Currency;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::{API_VERSION, Stripe, StripeConfig, StripeConfigError};
use super::stripe_fake::{Fate, Fault, SECRET_KEY};
use super::{PUBLISHABLE_KEY, config, new_intent, start};
use crate::ids::{AttemptId, RefundId};
use crate::money::Money;
use crate::payments::{
    IntentState, NewIntent, NewRefund, PayWith, Provider, ProviderError, RefundState,
};

fn code<T: std::fmt::Debug>(answer: Result<T, ProviderError>) -> String {
    match answer {
        Err(ProviderError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_unknown<T>(answer: &Result<T, ProviderError>) -> bool {
    matches!(answer, Err(ProviderError::Unknown(_)))
}

#[test]
fn only_test_keys_are_accepted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for secret_key in ["sk_live_1", "rk_live_1", "", "sk_test_", "sk_test_1\r\nx: y", "pk_test_1"] {
        let config = StripeConfig { secret_key: secret_key.to_owned(), ..config() };
        let refused = Stripe::new(config).err();
        assert!(matches!(refused, Some(StripeConfigError::NotATestKey(..))), "{secret_key}");
    }
    let live = StripeConfig { publishable_key: "pk_live_1".to_owned(), ..config() };
    assert!(matches!(Stripe::new(live).err(), Some(StripeConfigError::NotATestKey(..))));
    let clear = StripeConfig { api_base: "http://api.example.org".to_owned(), ..config() };
    assert!(matches!(Stripe::new(clear).err(), Some(StripeConfigError::ApiBase(_))));
    let unsigned = StripeConfig { webhook_secrets: Vec::new(), ..config() };
    assert!(matches!(Stripe::new(unsigned).err(), Some(StripeConfigError::WebhookSecrets)));
    let restricted = StripeConfig { secret_key: "rk_test_1".to_owned(), ..config() };
    assert!(Stripe::new(restricted).is_ok());
    assert!(!format!("{:?}", config()).contains(SECRET_KEY));
}

#[tokio::test]
async fn creating_twice_with_one_key_makes_one_intent() {
    let (fake, stripe) = start().await;
    let new = new_intent(4_950);
    let first = stripe.create(new.clone()).await.expect("made");
    let again = stripe.create(new.clone()).await.expect("found");
    assert_eq!(first.intent, again.intent);
    assert_eq!(fake.intents(), 1);
    assert_eq!(fake.last_version().as_deref(), Some(API_VERSION));
    assert_eq!((first.intent.attempt, first.intent.order), (Some(new.attempt), Some(new.order)));
    assert_eq!((first.intent.state, first.intent.amount), (IntentState::Open, new.amount));
    let PayWith::Elements { client_secret, publishable_key } = first.pay_with else {
        panic!("Stripe's own fields")
    };
    assert!(client_secret.starts_with(&first.intent.reference));
    assert_eq!(publishable_key, PUBLISHABLE_KEY);
    assert_eq!(stripe.fetch(&first.intent.reference).await.expect("there"), first.intent);
    let kept = fake.edit(&first.intent.reference, |_| ());
    assert_eq!(kept["description"], json!(new.description));
    assert_eq!(kept["receipt_email"], json!(new.email));
    assert_eq!(kept["currency"], "eur");

    let other = NewIntent { amount: Money::new(5_000, Currency::EUR), ..new };
    assert_eq!(code(stripe.create(other).await), "idempotency_error");
    assert_eq!(stripe.reference_of(AttemptId::fresh()), None);
}

#[tokio::test]
async fn a_call_without_an_answer_is_unknown_and_found_by_its_key() {
    let (fake, stripe) = start().await;
    let new = new_intent(4_950);
    fake.fail_next(Fault::SilentAfterEffect);
    assert!(is_unknown(&stripe.create(new.clone()).await));
    assert_eq!(fake.intents(), 1, "it had its effect");
    let found = stripe.create(new).await.expect("found");
    assert_eq!(fake.intents(), 1);
    fake.fail_next(Fault::SilentBefore);
    assert!(is_unknown(&stripe.fetch(&found.intent.reference).await));
}

#[tokio::test]
async fn what_says_nothing_is_unknown_and_what_says_no_is_refused() {
    let (fake, stripe) = start().await;
    let faults = [
        Fault::Status(409),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Proxy(502),
        Fault::Proxy(403),
        Fault::Proxy(200),
    ];
    for fault in faults {
        fake.fail_next(fault);
        assert!(is_unknown(&stripe.create(new_intent(100)).await), "{fault:?}");
    }
    for fault in [Fault::Status(400), Fault::Status(402)] {
        fake.fail_next(fault);
        assert_eq!(code(stripe.create(new_intent(100)).await), "told_to", "{fault:?}");
    }
    assert_eq!(code(stripe.create(new_intent(49)).await), "amount_too_small");
    assert_eq!(fake.intents(), 0);
    for stranger in ["pi_unknown", "sb_1", "pi_1/../../balance", ""] {
        let answer = stripe.fetch(stranger).await;
        assert!(matches!(answer, Err(ProviderError::NotFound)), "{stranger}: {answer:?}");
    }

    let calls = fake.calls();
    let krona = NewIntent { amount: Money::new(500, Currency::ISK), ..new_intent(1) };
    assert_eq!(code(stripe.create(krona).await), "currency");
    assert_eq!(fake.calls(), calls, "refused before any call");

    let nobody = StripeConfig { api_base: "http://127.0.0.1:9".to_owned(), ..config() };
    let nobody = Stripe::new(nobody).expect("a good configuration");
    let answer = nobody.create(new_intent(100)).await;
    assert!(is_unknown(&answer));
    assert!(!format!("{answer:?}").contains(SECRET_KEY));
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let (fake, stripe) = start().await;
    let reference = stripe.create(new_intent(700)).await.expect("made").intent.reference;
    let cases = [
        ("requires_payment_method", Some(IntentState::Open)),
        ("requires_confirmation", Some(IntentState::Open)),
        ("requires_action", Some(IntentState::Open)),
        ("processing", Some(IntentState::Processing)),
        ("requires_capture", Some(IntentState::Processing)),
        ("canceled", Some(IntentState::Cancelled)),
        ("invented_tomorrow", None),
    ];
    for (status, state) in cases {
        fake.edit(&reference, |intent| intent["status"] = json!(status));
        let answer = stripe.fetch(&reference).await;
        assert_eq!(answer.ok().map(|intent| intent.state), state, "{status}");
    }
    fake.edit(&reference, |intent| {
        intent["status"] = json!("succeeded");
        intent["amount_received"] = json!(699);
    });
    let paid = stripe.fetch(&reference).await.expect("there");
    assert_eq!(paid.state, IntentState::Succeeded { charged: 699 });
}

#[tokio::test]
async fn cancelling_answers_what_is_true_afterwards() {
    let (fake, stripe) = start().await;
    let cases = [
        (None, IntentState::Cancelled),
        (Some(Fate::Declined), IntentState::Cancelled),
        (Some(Fate::AsksFirst), IntentState::Cancelled),
        (Some(Fate::Approved), IntentState::Succeeded { charged: 700 }),
        (Some(Fate::Processing), IntentState::Processing),
    ];
    for (fate, state) in cases {
        let reference = stripe.create(new_intent(700)).await.expect("made").intent.reference;
        if let Some(fate) = fate {
            fake.present_card(&reference, fate);
        }
        for _ in 0..2 {
            let after = stripe.cancel(&reference).await.expect("an answer");
            assert_eq!(after.state, state, "{fate:?}");
        }
    }
    let reference = stripe.create(new_intent(700)).await.expect("made").intent.reference;
    fake.fail_next(Fault::SilentAfterEffect);
    assert!(is_unknown(&stripe.cancel(&reference).await));
    assert_eq!(stripe.cancel(&reference).await.expect("known").state, IntentState::Cancelled);
    assert!(matches!(stripe.cancel("pi_unknown").await, Err(ProviderError::NotFound)));
}

#[tokio::test]
async fn refunding_twice_with_one_key_gives_back_once() {
    let (fake, stripe) = start().await;
    let reference = stripe.create(new_intent(700)).await.expect("made").intent.reference;
    let refund = NewRefund {
        refund: RefundId::fresh(),
        reference: reference.clone(),
        amount: Money::new(500, Currency::EUR),
    };
    let early = NewRefund { refund: RefundId::fresh(), ..refund.clone() };
    assert_eq!(code(stripe.refund(early).await), "charge_already_refunded");
    fake.present_card(&reference, Fate::Approved);
    fake.fail_next(Fault::SilentAfterEffect);
    assert!(is_unknown(&stripe.refund(refund.clone()).await));
    let made = stripe.refund(refund.clone()).await.expect("found");
    assert_eq!(stripe.refund(refund.clone()).await.expect("found"), made);
    assert_eq!(fake.refunds(), 1);
    assert_eq!((made.state, made.amount), (RefundState::Succeeded, refund.amount));
    assert_eq!((made.refund, made.intent), (Some(refund.refund), reference));

    let more = NewRefund { amount: Money::new(200, Currency::EUR), ..refund.clone() };
    assert_eq!(code(stripe.refund(more.clone()).await), "idempotency_error");
    let too_much =
        NewRefund { amount: Money::new(201, Currency::EUR), refund: RefundId::fresh(), ..refund };
    assert_eq!(code(stripe.refund(too_much).await), "charge_already_refunded");
    let nowhere =
        NewRefund { reference: "pi_unknown".to_owned(), refund: RefundId::fresh(), ..more };
    assert!(matches!(stripe.refund(nowhere).await, Err(ProviderError::NotFound)));
}

#[tokio::test]
async fn the_list_pages_through_everything_once() {
    let (fake, stripe) = start().await;
    let since = Timestamp::now();
    let mut made = Vec::new();
    for _ in 0..205 {
        made.push(stripe.create(new_intent(100)).await.expect("made").intent.reference);
    }
    // A payment that isn't ours and can't be read is no reason to stop.
    fake.edit(&made[50], |intent| intent["currency"] = json!("isk"));
    fake.edit(&made[60], |intent| intent["metadata"] = json!({}));
    let (mut listed, mut pages, mut page) = (Vec::new(), 0, None::<String>);
    loop {
        let part = stripe.list(since, page.as_deref()).await.expect("a page");
        listed.extend(part.intents);
        pages += 1;
        page = part.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!((pages, listed.len()), (3, 204));
    let foreign = listed.iter().find(|intent| intent.reference == made[60]).expect("listed");
    assert_eq!((foreign.attempt, foreign.order), (None, None));
    let listed: Vec<String> = listed.into_iter().map(|intent| intent.reference).collect();
    let (foreign, ours) = made.split_at(51);
    let expected = ours.iter().rev().chain(foreign[..50].iter().rev());
    assert!(listed.iter().eq(expected));
    let tomorrow = since + SignedDuration::from_hours(24);
    assert!(stripe.list(tomorrow, None).await.expect("a page").intents.is_empty());
}
