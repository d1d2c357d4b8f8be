//! What is asked to be held.

use serde_json::{Value, json};

use super::{Shop, refused_as};

/// Numbers that are no quantity.
fn no_quantities() -> Vec<Value> {
    vec![
        json!(0),
        json!(-1),
        json!(51),
        json!(2_147_483_648_u64),
        json!(4_294_967_296_u64),
        json!(9_223_372_036_854_775_808_u64),
        json!(1.5),
        json!(1e300),
        json!("2"),
        json!(true),
        json!([2]),
    ]
}

impl Shop {
    async fn wish_refused(&self, wish: &Value, status: u16, code: &str) {
        let request = self.request("POST", "/v1/events/show/holds");
        let request = request.header("idempotency-key", "bad").json(wish);
        refused_as(request, status, code, &wish.to_string()).await;
    }

    async fn line_refused(&self, line: Value) {
        self.wish_refused(&json!({ "lines": [line] }), 422, "invalid").await;
    }
}

#[tokio::test]
async fn seats_that_cannot_be_chosen() {
    let shop = Shop::open().await;
    let front = &shop.front;
    let thousand: Vec<i32> = (0..1_000).collect();
    let chosen = [
        json!([]),
        json!(thousand),
        json!([0, 0]),
        json!([999_999]),
        json!([-1]),
        json!([i32::MAX]),
        json!([2_147_483_648_u64]),
        json!([9_007_199_254_740_993_u64]),
        json!([0.5]),
        json!(["0"]),
        json!([null]),
        json!([[0]]),
        json!(0),
        json!({"0": 0}),
        // Rows have ten seats: 10 to 15 are between two rows.
        json!([10]),
    ];
    for places in chosen {
        shop.line_refused(json!({"offer": front, "places": places})).await;
    }
    // A unit of the area, and a seat of another level.
    let taken = shop.buyer.get("/v1/events/show/manifest").await.expect(200);
    let rows = taken.body["sections"][0]["rows"].as_array().expect("rows").clone();
    let back = rows.iter().find(|row| row["levels"][0] == 1).expect("a row")["places"][0].clone();
    shop.line_refused(json!({"offer": front, "places": [back]})).await;
    let event = shop.env.pg.clone();
    let unit: i32 = sqlx::query_scalar(
        "SELECT max(place) FROM places WHERE event_id = $1 AND seat_label IS NULL",
    )
    .bind(shop.event.0)
    .fetch_one(&event)
    .await
    .expect("a unit");
    shop.line_refused(json!({"offer": shop.floor, "places": [unit]})).await;
    let twice = json!({"lines": [
        {"offer": front, "places": [0, 1]},
        {"offer": front, "places": [1, 2]},
    ]});
    shop.wish_refused(&twice, 422, "invalid").await;
    // Unsorted is not wrong.
    let unsorted = json!({"lines": [{"offer": front, "places": [3, 1, 0, 2]}]});
    let hold = shop.buyer.hold("show", "unsorted", unsorted).await.expect(201);
    let mut places = hold.places();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3]);
    shop.close(4).await;
}

#[tokio::test]
async fn quantities_that_are_none() {
    let shop = Shop::open().await;
    for quantity in no_quantities() {
        shop.line_refused(json!({"offer": shop.front, "best": quantity})).await;
        shop.line_refused(json!({"offer": shop.floor, "area": "FLOOR", "quantity": quantity}))
            .await;
    }
    let lines = [
        json!({"offer": shop.floor, "area": "FLOOR"}),
        json!({"offer": shop.floor, "area": "S", "quantity": 1}),
        json!({"offer": shop.floor, "area": "{FLOOR}", "quantity": 1}),
        json!({"offer": shop.floor, "area": "", "quantity": 1}),
        json!({"offer": shop.front, "area": "FLOOR", "quantity": 1}),
        json!({"offer": shop.floor, "best": 2}),
        json!({"offer": shop.front, "best": 2, "accessible": true}),
        json!({"offer": shop.front, "best": 2, "accessible": 1}),
        json!({"offer": shop.front}),
        json!({"offer": shop.front, "best": 2, "places": [0, 1]}),
        json!({"offer": shop.elsewhere, "best": 2}),
        json!({"offer": "front", "best": 2}),
        json!({"offer": null, "best": 2}),
        json!({"best": 2}),
        json!({}),
        json!("front"),
    ];
    for line in lines {
        shop.line_refused(line).await;
    }
    for wish in [json!({}), json!({"lines": []}), json!({"lines": {}}), json!([]), json!(null)] {
        shop.wish_refused(&wish, 422, "invalid").await;
    }
    let line = json!({"offer": shop.front, "best": 1});
    shop.wish_refused(&json!({"lines": vec![&line; 11]}), 422, "invalid").await;
    // Each line is fine, together they are too many places.
    let line = json!({"offer": shop.floor, "area": "FLOOR", "quantity": 9});
    shop.wish_refused(&json!({"lines": vec![&line; 9]}), 422, "invalid").await;
    shop.close(0).await;
}

#[tokio::test]
async fn prices_and_other_words_that_a_client_has_no_say_in() {
    let shop = Shop::open().await;
    for field in ["price", "currency", "fee", "tax", "total", "discount", "tier", "channel", "id"] {
        let mut line = json!({"offer": shop.front, "best": 1});
        line[field] = json!(1);
        shop.line_refused(line.clone()).await;
        let mut wish = json!({"lines": [{"offer": shop.front, "best": 1}]});
        wish[field] = json!(1);
        shop.wish_refused(&wish, 422, "invalid").await;
    }
    let line = json!([{"offer": shop.front, "best": 1}]);
    for code in ["", "NOPE", "' OR 1=1 --", "{x}", "\u{202e}SNAF"] {
        let wish = json!({"lines": line, "promo_code": code});
        shop.wish_refused(&wish, 409, "promo_code").await;
    }
    shop.wish_refused(&json!({"lines": line, "promo_code": 7}), 422, "invalid").await;
    shop.close(0).await;
}

#[tokio::test]
async fn a_code_with_one_use_is_used_once() {
    let shop = Shop::open().await;
    sqlx::query(
        "INSERT INTO promo_codes (id, event_id, promo, code, percent_bp, max_uses)
         VALUES (gen_random_uuid(), $1, 1, 'ONCE', 1000, 1)",
    )
    .bind(shop.event.0)
    .execute(&shop.env.pg)
    .await
    .expect("a code");
    sqlx::query("UPDATE events SET version = version + 1 WHERE id = $1")
        .bind(shop.event.0)
        .execute(&shop.env.pg)
        .await
        .expect("a version");
    let app = &shop.server.server.app;
    app.catalog.refresh(shop.event).await.expect("refreshed");
    let wish = json!({"lines": [{"offer": shop.front, "best": 1}], "promo_code": " on ce"});
    let mut buyers = Vec::new();
    for _ in 0..6 {
        let (buyer, wish) = (shop.server.buyer().await, wish.clone());
        buyers.push(tokio::spawn(async move { buyer.hold("show", "one", wish).await }));
    }
    let mut won = 0;
    for buyer in buyers {
        let answer = buyer.await.expect("an answer");
        match answer.status.as_u16() {
            201 => won += 1,
            _ => assert_eq!(answer.code(), "promo_code"),
        }
    }
    assert_eq!(won, 1);
    shop.close(1).await;
}

#[tokio::test]
async fn idempotency_keys_that_are_none() {
    let shop = Shop::open().await;
    let wish = json!({"lines": [{"offer": shop.front, "best": 1}]});
    let long = "k".repeat(10_240);
    let keys: [&[u8]; 8] =
        [b"", b" ", b"a b", b"a\tb", &[0xc3, 0xa9], &[0x80], long.as_bytes(), &[b'k'; 101]];
    for key in keys {
        let value = reqwest::header::HeaderValue::from_bytes(key).expect("a value");
        let request = shop.request("POST", "/v1/events/show/holds").json(&wish);
        let request = request.header("idempotency-key", value);
        refused_as(request, 400, "idempotency_key", &format!("{:?}", &key[..key.len().min(9)]))
            .await;
    }
    let bare = shop.request("POST", "/v1/events/show/holds").json(&wish);
    refused_as(bare, 400, "idempotency_key", "none").await;
    let two = shop.request("POST", "/v1/events/show/holds").json(&wish);
    let two = two.header("idempotency-key", "a").header("idempotency-key", "a");
    refused_as(two, 400, "idempotency_key", "two").await;

    let longest = "k".repeat(100);
    let first = shop.buyer.hold("show", &longest, wish.clone()).await.expect(201);
    let other = json!({"lines": [{"offer": shop.front, "best": 2}]});
    let mismatch = shop.buyer.hold("show", &longest, other).await.expect(422);
    assert_eq!(mismatch.code(), "idempotency_mismatch");
    // Another buyer's key is another key.
    let stranger = shop.server.buyer().await;
    let second = stranger.hold("show", &longest, wish).await.expect(201);
    assert_ne!((first.id(), first.places()), (second.id(), second.places()));
    shop.close(2).await;
}
