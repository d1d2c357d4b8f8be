//! Webhooks that nobody sent, or that say what can't be.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use onsale::ids::AttemptId;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Shop, refused_as};

const HEADER: &str = "onsale-sandbox-signature";

impl Shop {
    fn sign(&self, at: i64, body: &str) -> String {
        let secret = &self.env.config.payments.sandbox.webhook_secrets[0];
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(format!("{at}.{body}").as_bytes());
        format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
    }

    fn webhook(&self, body: &str) -> reqwest::RequestBuilder {
        let request = self.buyer.http.post(format!("{}/webhooks/sandbox", self.server.url));
        request.header("content-type", "application/json").body(body.to_owned())
    }

    async fn deliver(&self, body: &Value) -> u16 {
        let body = body.to_string();
        let signed = self.sign(Timestamp::now().as_second(), &body);
        let answer = self.webhook(&body).header(HEADER, signed).send().await.expect("an answer");
        answer.status().as_u16()
    }

    /// What the provider says of an order's first payment.
    fn charged(&self, order: &str, charged: i64, currency: &str) -> Value {
        let attempt = AttemptId(order.parse().expect("an id"));
        let reference =
            self.server.server.app.gateways.configured().reference_of(attempt).expect("derived");
        json!({
            "id": format!("evt_{}", uuid::Uuid::now_v7().simple()),
            "type": "intent.succeeded",
            "created": Timestamp::now().to_string(),
            "data": {"intent": {
                "reference": reference, "status": "succeeded", "order": order, "amount": charged,
                "currency": currency, "charged": charged, "card": null,
                "created_at": Timestamp::now().to_string(),
            }},
        })
    }
}

#[tokio::test]
async fn webhooks_that_are_not_believed() {
    let shop = Shop::open().await;
    let body = r#"{"id":"evt_1", "type":"some.news", "created":"2026-01-01T00:00:00Z", "data":{}}"#;
    let now = Timestamp::now().as_second();
    let good = shop.sign(now, body);
    let no = |request: reqwest::RequestBuilder, what: &'static str| {
        refused_as(request, 400, "webhook_refused", what)
    };
    no(shop.webhook(body), "none").await;
    let twice = shop.webhook(body).header(HEADER, &good).header(HEADER, &good);
    no(twice, "two headers").await;
    let wrong = good.replace("v1=", "v1=0");
    for header in ["", "t=1", "v1=00", "nonsense", &wrong, &"v1=,".repeat(500)] {
        no(shop.webhook(body).header(HEADER, header), "wrong").await;
    }
    for at in [now - 400, now + 400, 0, i64::MAX] {
        no(shop.webhook(body).header(HEADER, shop.sign(at, body)), "another time").await;
    }
    // Parsed and written again: another body.
    let again = serde_json::from_str::<Value>(body).expect("JSON").to_string();
    no(shop.webhook(&again).header(HEADER, &good), "written again").await;
    // Truly signed, but no event.
    for body in ["", "{}", "[]", "null", "{\"id\":1}", "\u{0}", "{\"id\":\"x\",\"type\":\"y\"}"] {
        no(shop.webhook(body).header(HEADER, shop.sign(now, body)), "no event").await;
    }
    let large = " ".repeat(70_000);
    let request = shop.webhook(&large).header(HEADER, shop.sign(now, &large));
    refused_as(request, 413, "too_large", "large").await;
    let deep = "[".repeat(9_000);
    no(shop.webhook(&deep).header(HEADER, shop.sign(now, &deep)), "deep").await;
    let stripe = shop.buyer.http.post(format!("{}/webhooks/stripe", shop.server.url)).body("{}");
    refused_as(stripe, 404, "not_found", "another provider").await;
    refused_as(shop.request("GET", "/webhooks/sandbox"), 405, "method_not_allowed", "GET").await;
    // An unknown kind is news that we don't need, not an error: else it came again and again.
    let fine = shop.webhook(body).header(HEADER, good).send().await.expect("an answer");
    assert_eq!(fine.status().as_u16(), 200);
    shop.close(0).await;
}

#[tokio::test]
async fn a_charge_that_is_not_the_orders_does_not_pay_it() {
    let shop = Shop::open().await;
    for (key, less, currency) in [("less", 1, "EUR"), ("more", -1, "EUR"), ("other", 0, "USD")] {
        let hold = shop.buyer.hold_best("show", &shop.front, key, 1).await.expect(201);
        let order = shop.buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
        let total = order.body["total"].as_i64().expect("a total");
        let event = shop.charged(&order.id(), total - less, currency);
        assert_eq!(shop.deliver(&event).await, 200, "{key}");
        // It is the provider's word, so it is booked, once, and goes back.
        assert_eq!(shop.deliver(&event).await, 200, "{key} again");
        let now = shop.buyer.order(&order.id()).await;
        assert_ne!(now.body["status"], "paid", "{now:?}");
        assert!(now.body["tickets"].is_null(), "{now:?}");
        let refunds = now.body["refunds"].as_array().expect("refunds");
        assert_eq!((refunds.len(), &refunds[0]["amount"]), (1, &json!(total - less)), "{now:?}");
    }
    shop.close(0).await;
}

#[tokio::test]
async fn charges_of_nothing_and_of_nobody() {
    let shop = Shop::open().await;
    let stranger = uuid::Uuid::now_v7().to_string();
    for charged in [1, i64::MAX] {
        let status = shop.deliver(&shop.charged(&stranger, charged, "EUR")).await;
        assert_eq!(status, 200, "a charge of {charged} that fits no order");
    }
    let hold = shop.buyer.hold_best("show", &shop.front, "k", 1).await.expect(201);
    let order = shop.buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    for charged in [0, -1, i64::MIN] {
        for id in [&stranger, &order.id()] {
            let status = shop.deliver(&shop.charged(id, charged, "EUR")).await;
            assert!(status < 500, "a charge of {charged}: {status}");
        }
    }
    assert_eq!(shop.buyer.order(&order.id()).await.body["status"], "open");
    shop.close(0).await;
}
