//! Ids of others, of nothing, of what is over, and no ids at all.

use onsale::holds::record::Record;
use onsale::ids::HoldId;
use serde_json::json;
use uuid::Uuid;

use super::{Shop, refused, refused_as};

/// Texts that are no id, as they stand in a path.
pub const NO_IDS: &[&str] = &[
    "0",
    "-1",
    "null",
    "%00",
    "a%00b",
    "%ff%fe",
    "%7Bshow%7D",
    "{show}",
    "%7b00000000-0000-0000-0000-000000000000%7d",
    "..%2f..%2fetc",
    "%0a",
    "%20",
    "9007199254740993",
    "'%20OR%201=1",
    "%F0%9F%8E%9F",
    "a*",
    "%5B1%5D",
    "00000000-0000-0000-0000-00000000000g",
];

#[tokio::test]
async fn texts_that_name_nothing() {
    let shop = Shop::open().await;
    let long = "x".repeat(8_000);
    let nobody = Uuid::from_u128(7).to_string();
    for id in NO_IDS.iter().copied().chain([long.as_str(), nobody.as_str()]) {
        for path in ["", "/manifest", "/drawer", "/availability", "/availability/stream"] {
            let request = shop.request("GET", &format!("/v1/events/{id}{path}"));
            refused_as(request, 404, "not_found", id).await;
        }
        let wish = json!({"lines": [{"offer": shop.front, "best": 1}]});
        let request = shop.request("POST", &format!("/v1/events/{id}/holds"));
        let request = request.header("idempotency-key", "k").json(&wish);
        refused_as(request, 404, "not_found", id).await;
        let order = shop.request("GET", &format!("/v1/orders/{id}"));
        refused_as(order, 404, "not_found", id).await;
        for action in ["cancel", "payments"] {
            let request = shop.request("POST", &format!("/v1/orders/{id}/{action}"));
            refused_as(request, 404, "not_found", id).await;
        }
        let path = format!("/v1/events/show/holds/{id}");
        refused_as(shop.request("GET", &path), 404, "not_found", id).await;
        // A hold that never was is as free as one that was let go.
        if !id.contains("-0000-000000000") {
            refused_as(shop.request("DELETE", &path), 404, "not_found", id).await;
        }
        let webhook = shop.request("POST", &format!("/webhooks/{id}")).body("{}");
        refused_as(webhook, 404, "not_found", id).await;
    }
    shop.close(0).await;
}

#[tokio::test]
async fn holds_and_orders_of_somebody_else() {
    let shop = Shop::open().await;
    let hold = shop.buyer.hold_best("show", &shop.front, "mine", 2).await.expect(201);
    let stranger = shop.server.buyer().await;
    let (id, http) = (hold.id(), &stranger.http);
    let url = |path: &str| format!("{}{path}", shop.server.url);
    let as_stranger = |method: &str, path: String| {
        http.request(method.parse().unwrap(), url(&path)).bearer_auth(&stranger.token)
    };
    let path = format!("/v1/events/show/holds/{id}");
    let email = json!({"email": "eve@example.org"});
    refused_as(as_stranger("GET", path.clone()), 404, "not_found", "read").await;
    refused_as(as_stranger("DELETE", path.clone()), 404, "not_found", "release").await;
    refused_as(as_stranger("POST", path.clone() + "/extend"), 404, "not_found", "extend").await;
    let checkout = as_stranger("POST", path.clone() + "/checkout").json(&email);
    refused_as(checkout.header("idempotency-key", "c"), 404, "not_found", "checkout").await;
    // Mine, but at another event.
    let other = shop.request("GET", &format!("/v1/events/other/holds/{id}"));
    refused_as(other, 404, "not_found", "another event").await;

    let order = shop.buyer.checkout("show", &id, "ada@example.org").await.expect(201);
    let secret = order.body["link"].as_str().unwrap().split("key=").nth(1).unwrap().to_owned();
    let mut wrong = secret.clone();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let long = "0".repeat(5_000);
    let keys = ["", "?key=", "?key=%00", "?key=00", "?key=%C3%A9%C3%A9"].map(str::to_owned);
    let keys = keys.into_iter().chain([format!("?key={wrong}"), format!("?key={long}")]);
    for key in keys {
        for (method, action) in [("GET", ""), ("POST", "/cancel"), ("POST", "/payments")] {
            let request = as_stranger(method, format!("/v1/orders/{id}{action}{key}"));
            refused_as(request, 404, "not_found", &key).await;
        }
    }
    let doubled = as_stranger("GET", format!("/v1/orders/{id}?key={wrong}&key={secret}"));
    refused(doubled.send().await.unwrap(), "two keys").await;
    for ticket in ["0-1", "0", "-", "x-y", "99999999999-1", "0--1", "%00-1"] {
        for format in ["qr.svg", "qr.png", "qr.gif", "%00"] {
            let path = format!("/v1/orders/{id}/tickets/{ticket}/{format}?key={secret}");
            refused_as(as_stranger("GET", path), 404, "not_found", ticket).await;
        }
    }
    shop.buyer.get(&format!("/v1/orders/{id}")).await.expect(200);
    shop.close(0).await;
}

#[tokio::test]
async fn a_hold_past_its_deadline() {
    let shop = Shop::open().await;
    let hold = shop.buyer.hold_best("show", &shop.front, "late", 2).await.expect(201);
    expire(&shop, &hold.id()).await;
    let path = format!("/v1/events/show/holds/{}", hold.id());
    refused_as(shop.request("GET", &path), 410, "hold_gone", "read").await;
    refused_as(shop.request("POST", &(path.clone() + "/extend")), 410, "hold_gone", "extend").await;
    let email = json!({"email": "ada@example.org"});
    let checkout = shop.request("POST", &(path.clone() + "/checkout")).json(&email);
    refused_as(checkout.header("idempotency-key", "c"), 410, "hold_gone", "checkout").await;
    let again = shop.buyer.hold_best("show", &shop.front, "late", 2).await.expect(410);
    assert_eq!(again.code(), "hold_gone");
    // Nobody swept yet: whoever asks for the places has them all the same.
    let next = shop.server.buyer().await;
    let held = next.hold_places("show", &shop.front, "n", &hold.places()).await.expect(201);
    assert_eq!(held.places(), hold.places());
    shop.buyer.send(reqwest::Method::DELETE, &path, None, None).await.expect(204);
    refused_as(shop.request("POST", &(path + "/extend")), 410, "hold_gone", "extend").await;
    shop.close(2).await;
}

/// Puts a hold's deadline into the past, so that no test waits for it.
async fn expire(shop: &Shop, hold: &str) {
    let app = &shop.server.server.app;
    let sale = app.find_sale("show").await.expect("a sale");
    let mut bulk = app.redis.bulk().await.expect("Redis");
    let text: String = redis::cmd("HGET")
        .arg(&[&*sale.keys.holds, hold])
        .query_async(&mut bulk)
        .await
        .expect("a record");
    let mut record = Record::parse(&text).expect("a record");
    record.deadline_ms = 1_000;
    let id: HoldId = hold.parse().expect("an id");
    let mut pipe = redis::pipe();
    pipe.hset(&sale.keys.holds, id.to_string(), record.text());
    pipe.zadd(&sale.keys.deadlines, id.to_string(), record.deadline_ms);
    pipe.exec_async(&mut bulk).await.expect("written");
}
