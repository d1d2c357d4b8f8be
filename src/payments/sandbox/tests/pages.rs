//! The hosted page as a browser without scripts uses it.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use iso_currency::Currency;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, Url};

use super::super::statement::Statement;
use super::Stack;
use crate::ids::{AttemptId, OrderId};
use crate::money::Money;
use crate::payments::{IntentState, Provider};

const RETURN_URL: &str = "https://shop.example/orders/1?key=2";

async fn get(stack: &Stack, url: &str) -> Response {
    stack.buyer.get(url).send().await.expect("an answer")
}

async fn body(response: Response) -> String {
    response.text().await.expect("text")
}

async fn submit(stack: &Stack, url: &str, fields: &[(&str, &str)]) -> Response {
    stack.buyer.post(url).form(fields).send().await.expect("an answer")
}

async fn submit_card(stack: &Stack, url: &str, number: &str) -> Response {
    let fields = [("number", number), ("expiry", "12 / 40"), ("cvc", "123"), ("name", "A Buyer")];
    submit(stack, url, &fields).await
}

/// Where a redirect leads, resolved as a browser would.
fn target(from: &str, response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let location = response.headers()[LOCATION].to_str().expect("text");
    Url::parse(from).and_then(|from| from.join(location)).expect("a URL").into()
}

#[tokio::test]
async fn the_form_pays_and_leads_back_to_the_shop() {
    let mut stack = Stack::start().await;
    let (reference, page) = stack.intent(4_950).await;
    let shown = get(&stack, &page).await;
    assert_eq!(shown.status(), StatusCode::OK);
    assert_eq!(shown.headers()[CACHE_CONTROL], "no-store");
    let policy = shown.headers()[CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
    assert!(policy.contains("form-action 'self' https://shop.example;"), "{policy}");
    let html = body(shown).await;
    for text in ["€49.50", "2 × Arena, Block A", "4242 4242 4242 4242", "Test mode"] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("<script") && !html.contains("style="), "the policy would refuse it");
    // Opened, so it is known now, with its amount.
    let intent = stack.sandbox.fetch(&reference).await.expect("there");
    assert_eq!(intent.amount, Money::new(4_950, Currency::EUR));

    let filled = body(get(&stack, &format!("{page}?test=4242")).await).await;
    assert!(filled.contains(r#"value="4242 4242 4242 4242""#));
    let paid = submit_card(&stack, &page, "4242 4242 4242 4242").await;
    assert_eq!(target(&page, &paid), RETURN_URL);
    stack.event().await;
    assert_eq!(target(&page, &get(&stack, &page).await), RETURN_URL);
    let style = get(&stack, &format!("{}/style.css", stack.base)).await;
    assert_eq!(style.status(), StatusCode::OK);
}

#[tokio::test]
async fn errors_stand_next_to_the_fields_and_no_real_number_comes_back() {
    let stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    let fields = [
        ("number", "4111 1111 1111 1111"),
        ("expiry", "01/20"),
        ("cvc", "987654"),
        ("name", "<b>&\"x"),
    ];
    let answer = submit(&stack, &page, &fields).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = body(answer).await;
    for text in ["number-error", "expiry-error", "cvc-error", "This card has expired"] {
        assert!(html.contains(text), "{text}");
    }
    for text in ["4111", "987654", "<b>"] {
        assert!(!html.contains(text), "{text}");
    }
    assert!(html.contains("&#60;b&#62;"), "the name is kept, escaped");
}

#[tokio::test]
async fn a_decline_is_said_on_the_form() {
    let stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    let answer = submit_card(&stack, &page, "4000000000000002").await;
    assert_eq!(target(&page, &answer), page);
    assert!(body(get(&stack, &page).await).await.contains("Your card was declined"));
}

#[tokio::test]
async fn the_challenge_works_without_scripts() {
    let stack = Stack::start().await;
    let (reference, page) = stack.intent(100).await;
    let challenge = target(&page, &submit_card(&stack, &page, "4000 0000 0000 3220").await);
    assert_eq!(challenge, format!("{page}/challenge"));
    assert!(body(get(&stack, &challenge).await).await.contains("•••• 3220"));
    let failed = submit(&stack, &challenge, &[("outcome", "fail")]).await;
    assert_eq!(target(&challenge, &failed), page);
    assert!(body(get(&stack, &page).await).await.contains("could not confirm"));
    assert_eq!(target(&challenge, &get(&stack, &challenge).await), page);

    submit_card(&stack, &page, "4000 0000 0000 3220").await;
    let approved = submit(&stack, &challenge, &[("outcome", "approve")]).await;
    assert_eq!(target(&challenge, &approved), RETURN_URL);
    let intent = stack.sandbox.fetch(&reference).await.expect("there");
    assert_eq!(intent.state, IntentState::Succeeded { charged: 100 });
}

#[tokio::test]
async fn processing_cancelled_expired_and_foreign_pages_say_so() {
    let stack = Stack::start().await;
    let (_, page) = stack.intent(100).await;
    let answer = submit_card(&stack, &page, "4000009900000301").await;
    assert_eq!(target(&page, &answer), page);
    let html = body(get(&stack, &page).await).await;
    assert!(html.contains("Payment is processing") && html.contains("http-equiv=\"refresh\""));

    let (reference, page) = stack.intent(100).await;
    stack.sandbox.cancel(&reference).await.expect("cancelled");
    let answer = submit_card(&stack, &page, "4242424242424242").await;
    assert_eq!(target(&page, &answer), page);
    assert!(body(get(&stack, &page).await).await.contains("was cancelled"));

    let old = Statement {
        attempt: AttemptId::fresh(),
        order: OrderId::fresh(),
        amount: Money::new(1, Currency::EUR),
        description: String::new(),
        return_url: RETURN_URL.to_owned(),
        created_at: Timestamp::now() - SignedDuration::from_hours(25),
    };
    let token = stack.acquirer.0.keys.sign(&old);
    let expired = get(&stack, &format!("{}/pay/{token}", stack.base)).await;
    assert_eq!(expired.status(), StatusCode::GONE);
    let foreign = get(&stack, &format!("{page}x")).await;
    assert_eq!(foreign.status(), StatusCode::NOT_FOUND);
}
