//! Opening and closing, quotas, orders, refunds and comps.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Shop;

const CARD: &str = "4242424242424242";

#[tokio::test]
async fn a_pause_closes_holds_and_a_freeze_closes_checkouts() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &front, "a", 2).await.expect(201);
    shop.set_status("show", "paused").await.expect(200);
    assert_eq!(buyer.hold_best("show", &front, "b", 2).await.expect(409).code(), "not_on_sale");
    // What is held may finish; unless claims are frozen as well.
    let frozen = shop.post("events/show/freeze", "-", json!({"claims_frozen": true})).await;
    assert_eq!(frozen.expect(200).body["claims_frozen"], true);
    let refused = buyer.checkout("show", &hold.id(), "ada@example.org").await;
    assert_eq!(refused.expect(503).code(), "frozen");
    let open = shop.post("events/show/freeze", "-", json!({"claims_frozen": false})).await;
    assert_eq!(open.expect(200).body["claims_frozen"], false);
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, CARD).await.expect(200);

    // Twice is as good as once, and only along the edges.
    shop.set_status("show", "paused").await.expect(200);
    for bad in ["draft", "published"] {
        assert_eq!(shop.set_status("show", bad).await.expect(409).code(), "event_state");
    }
    shop.set_status("show", "on_fire").await.expect(422);
    shop.set_status("show", "on_sale").await.expect(200);
    buyer.hold_best("show", &front, "c", 2).await.expect(201);
    shop.set_status("show", "closed").await.expect(200);
    assert_eq!(buyer.hold_best("show", &front, "d", 2).await.expect(409).code(), "not_on_sale");
    shop.set_status("show", "cancelled").await.expect(200);
    assert_eq!(
        shop.patch("events/show", json!({"name": "x"})).await.expect(409).code(),
        "event_state"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_quota_on_a_live_offer_counts_what_was_sold_before() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    let sold = buyer.hold_best("show", &front, "a", 4).await.expect(201);
    let order = buyer.checkout("show", &sold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, CARD).await.expect(200);
    let held = buyer.hold_best("show", &front, "b", 2).await.expect(201);
    let path = format!("events/show/offers/{front}");
    let refused = shop.patch(&path, json!({"quota": 5})).await.expect(409);
    assert_eq!((refused.code(), &refused.body["least"]), ("quota_reached", &json!(6)));
    assert_eq!(shop.patch(&path, json!({"quota": 7})).await.expect(200).body["quota"], 7);
    assert_eq!(buyer.hold_best("show", &front, "c", 2).await.code(), "quota_reached");
    buyer.hold_best("show", &front, "d", 1).await.expect(201);
    let count = || async {
        sqlx::query_scalar::<_, i32>("SELECT places FROM offer_counts")
            .fetch_one(&shop.env.pg)
            .await
            .unwrap()
    };
    assert_eq!(count().await, 4);
    buyer.checkout("show", &held.id(), "ada@example.org").await.expect(201);
    assert_eq!(count().await, 6);
    // Off and on again, and given back meanwhile.
    shop.patch(&path, json!({"quota": null})).await.expect(200);
    let refund = format!("events/show/orders/{}/refund", order.id());
    shop.post(&refund, "r", json!({"reason": "illness"})).await.expect(200);
    shop.patch(&path, json!({"quota": 9})).await.expect(200);
    assert_eq!(count().await, 6, "until the provider confirms");
    onsale::workers::refunds::run_once(&shop.server.server.app).await.unwrap();
    shop.close().await;
}

#[tokio::test]
async fn orders_are_seen_without_their_secrets_and_money_goes_back_once() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &front, "a", 2).await.expect(201);
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    let path = format!("events/show/orders/{}", order.id());
    let refund = format!("{path}/refund");
    let early = shop.post(&refund, "early", json!({"reason": "too early"})).await.expect(409);
    assert_eq!(early.code(), "order_state");
    buyer.pay(&order, CARD).await.expect(200);

    let seen = shop.get(&path).await.expect(200).body;
    assert_eq!((&seen["status"], &seen["total"]), (&json!("paid"), &json!(10_000)));
    assert_eq!(seen["tickets"].as_array().map(Vec::len), Some(2));
    let text = seen.to_string();
    let secrets = ["key=", "\"link\"", "\"qr\""];
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    let list = shop.get("events/show/orders").await.expect(200).body;
    assert_eq!(list["orders"][0]["id"], order.id());
    let sales = shop.get("events/show/sales").await.expect(200).body;
    assert_eq!((&sales["total"]["sold"], &sales["total"]["price"]), (&json!(2), &json!(10_000)));
    assert_eq!(
        (&sales["levels"][0]["level"], &sales["levels"][0]["sold"]),
        (&json!("front"), &json!(2))
    );

    for _ in 0..2 {
        let asked = shop.post(&refund, "r", json!({"reason": "illness"})).await.expect(200);
        assert_eq!(asked.body["refunds"].as_array().map(Vec::len), Some(1));
    }
    let other = shop.post(&refund, "r", json!({"reason": "flood"})).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
    onsale::workers::refunds::run_once(&shop.server.server.app).await.unwrap();
    crate::support::until("the money is back", || async {
        shop.get(&path).await.body["status"] == "refunded"
    })
    .await;
    let sales = shop.get("events/show/sales").await.expect(200).body;
    assert_eq!(sales["total"]["sold"], 0);
    // An order of another event is not one of this.
    shop.show("else").await;
    shop.get(&format!("events/else/orders/{}", order.id())).await.expect(404);
    shop.close().await;
}

#[tokio::test]
async fn places_are_given_away_by_the_same_protocol() {
    let shop = Shop::open().await;
    shop.show("show").await;
    shop.patch("events/show", json!({"account_limit": 4})).await.expect(200);
    let comp = |email: &str, what: Value| {
        let mut body = what;
        body["email"] = json!(email);
        body
    };
    let best = comp("ada@example.org", json!({"best": 2, "level": "front"}));
    let first = shop.post("events/show/comps", "a", best.clone()).await.expect(201);
    assert_eq!((&first.body["status"], &first.body["total"]), (&json!("paid"), &json!(0)));
    assert_eq!(first.body["tickets"].as_array().map(Vec::len), Some(2));
    let again = shop.post("events/show/comps", "a", best).await.expect(200);
    assert_eq!(first.id(), again.id());
    let other = comp("ada@example.org", json!({"best": 3, "level": "front"}));
    let other = shop.post("events/show/comps", "a", other).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
    let floor = comp("eve@example.org", json!({"area": "FLOOR", "quantity": 3}));
    shop.post("events/show/comps", "b", floor).await.expect(201);
    let taken = comp("eve@example.org", json!({"places": first.places()}));
    assert_eq!(shop.post("events/show/comps", "c", taken).await.expect(409).code(), "places_taken");
    let bad = comp("eve@example.org", json!({}));
    shop.post("events/show/comps", "d", bad).await.expect(422);

    // Buyers don't see the offers, and knowing one is not enough.
    let buyer = shop.buyer().await;
    let seen = buyer.get("/v1/events/show").await.body;
    assert_eq!(seen["offers"].as_array().map(Vec::len), Some(3));
    let all = shop.get("events/show").await.body;
    let free = all["offers"].as_array().unwrap().iter().find(|o| o["channel"] == "comp").unwrap();
    let refused = buyer.hold_best("show", free["id"].as_str().unwrap(), "x", 2).await;
    assert_eq!(refused.expect(403).code(), "access_code");

    // The same request after Redis was lost finds the order, not a second one.
    let app = &shop.server.server.app;
    let id = all["id"].as_str().unwrap().parse().unwrap();
    onsale::holds::rebuild::force(app, id).await.unwrap();
    let best = comp("ada@example.org", json!({"best": 2, "level": "front"}));
    let again = shop.post("events/show/comps", "a", best).await;
    assert_eq!((again.status, again.id()), (StatusCode::OK, first.id()));
    shop.close().await;
}

#[tokio::test]
async fn a_promo_codes_limit_can_be_changed_while_it_is_used() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    let promo = json!({"code": "FANS", "percent_bp": 1_000, "max_uses": 1});
    shop.post("events/show/promos", "p", promo).await.expect(201);
    let wish = json!({"promo_code": "fans", "lines": [{"offer": front, "best": 1}]});
    let hold = buyer.hold("show", "a", wish.clone()).await.expect(201);
    assert_eq!(hold.body["total"], 4_500);
    buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    assert_eq!(buyer.hold("show", "b", wish.clone()).await.expect(409).code(), "promo_code");
    shop.patch("events/show/promos/fans", json!({"max_uses": null})).await.expect(200);
    buyer.hold("show", "c", wish.clone()).await.expect(201);
    let list = shop.get("events/show/promos").await.expect(200).body;
    assert_eq!(
        (&list["promos"][0]["code"], &list["promos"][0]["uses"]),
        (&json!("FANS"), &json!(1))
    );
    shop.patch("events/show/promos/FANS", json!({"active": false})).await.expect(200);
    assert_eq!(buyer.hold("show", "d", wish).await.expect(409).code(), "promo_code");
    shop.patch("events/show/promos/other", json!({"active": false})).await.expect(404);
    shop.close().await;
}

#[tokio::test]
async fn what_an_organizer_reads_has_an_etag() {
    let shop = Shop::open().await;
    shop.show("show").await;
    for path in [
        "venues",
        "events",
        "events/show",
        "events/show/promos",
        "events/show/orders",
        "events/show/sales",
        "events/show/manifest",
    ] {
        let url = format!("{}/v1/organizer/{path}", shop.server.url);
        let ask = || shop.me.http.request(Method::GET, &url).bearer_auth(&shop.me.token);
        let answer = ask().send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("private"));
        let again = ask().header("if-none-match", &etag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    shop.close().await;
}
