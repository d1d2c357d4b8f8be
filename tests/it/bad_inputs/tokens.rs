//! Tokens and ticket codes that are not to be believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use onsale::ids::{AccountId, EventId, OrderId};
use onsale::keyring::Keyring;
use onsale::tickets::code::TicketCode;
use serde_json::json;

use super::{Shop, refused, refused_as};

#[tokio::test]
async fn sessions_that_are_none() {
    let shop = Shop::open().await;
    let good = shop.buyer.token.clone();
    let keyring = &shop.server.server.app.keyring;
    let shifted = |hours| {
        let then = Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap();
        keyring.session(AccountId::fresh(), then)
    };
    let mut config = shop.env.config.keys.clone();
    config.tokens[0].secret = "ab".repeat(32);
    let forged = Keyring::new(&config).unwrap().session(AccountId::fresh(), Timestamp::now());
    config.tokens[0].id = config.tokens[0].id.wrapping_add(1).max(1);
    let unknown = Keyring::new(&config).unwrap().session(AccountId::fresh(), Timestamp::now());
    let bad = [
        String::new(),
        ".".into(),
        "....".into(),
        good[..good.len() - 1].into(),
        good[..good.len() / 2].into(),
        format!("{good}A"),
        format!("{good}.{good}"),
        good.replace("s1.", "o1."),
        good.to_uppercase(),
        good.replacen('.', ".0", 1),
        shifted(2),
        shifted(-24 * 8),
        forged,
        unknown,
        keyring.order_link(OrderId::fresh()),
        "é".repeat(40),
        "A".repeat(20_000),
    ];
    let wish = json!({"lines": [{"offer": shop.front, "best": 1}]});
    let url = format!("{}/v1/events/show/holds", shop.server.url);
    let post = || shop.buyer.http.post(&url).header("idempotency-key", "k").json(&wish);
    for token in bad {
        let what = token.get(..30).unwrap_or(&token).to_owned();
        refused_as(post().bearer_auth(token), 401, "unauthenticated", &what).await;
    }
    refused_as(post(), 401, "unauthenticated", "none").await;
    refused_as(post().basic_auth("a", Some(&good)), 401, "unauthenticated", "basic").await;
    let bare = post().header("authorization", &good);
    refused_as(bare, 401, "unauthenticated", "no scheme").await;
    shop.close(0).await;
}

#[tokio::test]
async fn ticket_codes_that_are_none() {
    let shop = Shop::open().await;
    let hold = shop.buyer.hold_best("show", &shop.front, "t", 1).await.expect(201);
    let order = shop.buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    shop.buyer.pay(&order, "4242424242424242").await.expect(200);
    let paid = shop.buyer.order(&order.id()).await;
    let code = paid.body["tickets"][0]["code"].as_str().expect("a code").to_owned();
    let verify = |code: String| {
        let body = json!({ "code": code });
        async {
            shop.buyer.send(reqwest::Method::POST, "/v1/tickets/verify", None, Some(body)).await
        }
    };
    assert_eq!(verify(code.clone()).await.body["status"], "valid");
    let bytes = URL_SAFE_NO_PAD.decode(&code).expect("base64");
    let mut bad = vec![
        String::new(),
        "x".into(),
        code[..code.len() - 1].into(),
        format!("{code}A"),
        format!("{code}="),
        format!(" {code}"),
        code.to_lowercase(),
        "A".repeat(10_000),
        "é\u{202e}".into(),
        "{code}".into(),
    ];
    // One bit of each byte.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        bad.push(URL_SAFE_NO_PAD.encode(flipped));
    }
    for code in bad {
        let answer = verify(code.clone()).await.expect(200);
        assert_eq!(answer.body["authentic"], false, "{code}");
        assert!(answer.body["status"].is_null() && answer.body["reason"].is_string());
    }
    // Truly signed, but for a ticket that there never was.
    let keyring = &shop.server.server.app.keyring;
    for code in [
        TicketCode { event: EventId::fresh(), place: 0, serial: 1 },
        TicketCode { event: shop.event, place: -1, serial: i32::MIN },
        TicketCode { event: shop.event, place: i32::MAX, serial: i32::MAX },
    ] {
        let answer = verify(code.sign(keyring).expect("a key")).await.expect(200);
        assert_eq!(
            (&answer.body["authentic"], &answer.body["status"]),
            (&json!(true), &json!(null))
        );
    }
    for body in [json!({}), json!({"code": 1}), json!({"code": code, "event": "x"}), json!("x")] {
        let request = shop.request("POST", "/v1/tickets/verify").json(&body);
        let answer = refused(request.send().await.unwrap(), "verify").await;
        assert_eq!(answer.code(), "invalid");
    }
    shop.close(0).await;
}
