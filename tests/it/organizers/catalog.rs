//! From nothing to an event on sale, and changes of what is for sale.

use onsale::catalog::manifest::{csv, generate};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Shop, event, offer, table};

#[tokio::test]
async fn an_event_goes_on_sale_by_the_api_alone() {
    let shop = Shop::open().await;
    let venue = shop.venue().await;
    let made = shop.post("events", "e", event(&venue, "show")).await.expect(201);
    assert_eq!((&made.body["status"], &made.body["hold_seconds"]), (&json!("draft"), &json!(480)));
    // Nobody else sees a draft, and an empty one can't be announced.
    let buyer = shop.buyer().await;
    buyer.get("/v1/events/show").await.expect(404);
    assert_eq!(shop.set_status("show", "published").await.expect(409).code(), "event_state");

    // Each import replaces the one before; what is wrong changes nothing.
    let small = include_str!("../../data/manifests/small-hall.json");
    let imported = shop.put_manifest("show", "application/json", small).await.expect(200);
    assert_eq!(imported.body["places"], 206);
    let club = include_str!("../../data/manifests/pretix-club.json");
    let club = shop.put_manifest("show", "pretix", club).await.expect(200);
    let places = club.body["places"].clone();
    let bad = "section,row,seat,level\nS,1,1,P1\nS,1,1,P1\nS,1,,P1\n";
    let refused = shop.put_manifest("show", "text/csv", bad).await.expect(422);
    assert_eq!(refused.code(), "manifest_invalid");
    let first = &refused.body["errors"][0];
    assert!(first["at"].as_str().is_some_and(|at| at.starts_with("line ")), "{first}");
    assert_eq!(shop.get("events/show").await.body["places"], places);
    shop.put_manifest("show", "text/csv", table()).await.expect(200);
    assert_eq!(
        shop.put_manifest("show", "text/xml", "<a/>").await.expect(415).code(),
        "media_type"
    );

    let adult = json!({"code": "adult", "name": "Adult"});
    shop.post("events/show/price-types", "a", adult).await.expect(201);
    let front = json!({"name": "Front", "level": "front", "price_type": "adult", "fee_fixed": 100,
        "fee_bp": 250, "tax_bp": 700, "max_per_order": 4,
        "tiers": [{"name": "Early bird", "price": 4_000, "until_count": 2}, {"price": 5_000}]});
    shop.post("events/show/offers", "f", front).await.expect(201);
    assert_eq!(shop.set_status("show", "published").await.expect(200).body["status"], "published");
    let seen = buyer.get("/v1/events/show").await.expect(200);
    assert_eq!(seen.body["offers"][0]["tiers"][0]["unit"]["price"], 4_000);
    let offer = seen.body["offers"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(buyer.hold_best("show", &offer, "early", 2).await.status, StatusCode::CREATED);
    shop.set_status("show", "on_sale").await.expect(200);
    let hold = buyer.hold_best("show", &offer, "k", 3).await.expect(201);
    assert_eq!(hold.body["total"], 2 * (4_000 + 200) + (5_000 + 225));
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);

    assert_eq!(
        shop.put_manifest("show", "text/csv", table()).await.expect(409).code(),
        "event_state"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_creating_request_has_one_effect() {
    let shop = Shop::open().await;
    let venue = shop.venue().await;
    let first = shop.post("events", "k", event(&venue, "show")).await.expect(201);
    let again = shop.post("events", "k", event(&venue, "show")).await.expect(200);
    assert_eq!(first.id(), again.id());
    let other = shop.post("events", "k", event(&venue, "other")).await.expect(422);
    assert_eq!(other.code(), "idempotency_mismatch");
    let taken = shop.post("events", "l", event(&venue, "show")).await.expect(409);
    assert_eq!(taken.code(), "exists");
    // What was refused left nothing behind: the key is free.
    shop.post("events", "l", event(&venue, "another")).await.expect(201);
    let missing = shop.me.send(Method::POST, "/v1/organizer/events", None, Some(json!({})));
    assert_eq!(missing.await.expect(400).code(), "idempotency_key");

    shop.put_manifest("show", "text/csv", table()).await.expect(200);
    let adult = json!({"code": "adult", "name": "Adult"});
    shop.post("events/show/price-types", "a", adult.clone()).await.expect(201);
    shop.post("events/show/price-types", "a", adult.clone()).await.expect(200);
    assert_eq!(shop.post("events/show/price-types", "b", adult).await.expect(409).code(), "exists");
    // Many at once: one is made.
    let posts = (0..8).map(|_| shop.post("events/show/offers", "o", offer("front", 5_000)));
    let answers = futures::future::join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let ids: std::collections::HashSet<_> = answers.iter().map(super::Answer::id).collect();
    assert_eq!((made, ids.len()), (1, 1), "{answers:?}");
    let promo = json!({"code": "fans 2026", "percent_bp": 1_000});
    let made = shop.post("events/show/promos", "p", promo.clone()).await.expect(201);
    assert_eq!(made.body["code"], "FANS2026");
    shop.post("events/show/promos", "p", promo.clone()).await.expect(200);
    assert_eq!(shop.post("events/show/promos", "q", promo).await.expect(409).code(), "exists");
    shop.close().await;
}

#[tokio::test]
async fn every_field_is_checked_and_named() {
    let shop = Shop::open().await;
    shop.draft("show").await;
    let venue = shop.venue().await;
    let with = |name: &str, value: Value| {
        let mut body = event(&venue, "fine");
        body[name] = value;
        body
    };
    let events = [
        ("slug", json!("Not A Slug")),
        ("slug", json!(uuid::Uuid::now_v7())),
        ("name", json!("a\u{202e}b")),
        ("name", json!("x".repeat(121))),
        ("description", json!("\u{1b}[31m")),
        ("currency", json!("XXX")),
        ("venue", json!(uuid::Uuid::now_v7())),
        ("account_limit", json!(0)),
        ("hold_seconds", json!(4)),
        ("hold_max_seconds", json!(100)),
        ("pay_seconds", json!(86_401)),
        ("return_seconds", json!(601)),
    ];
    for (number, (field, value)) in events.into_iter().enumerate() {
        let answer = shop.post("events", &format!("e{number}"), with(field, value)).await;
        assert_eq!(answer.expect(422).body["errors"][0]["pointer"], format!("/{field}"));
    }
    let with = |name: &str, value: Value| {
        let mut body = offer("front", 5_000);
        body[name] = value;
        body
    };
    let offers = [
        ("level", json!("gold"), "/level"),
        ("price_type", json!("dog"), "/price_type"),
        ("channel", json!("fans"), "/channel"),
        ("fee_fixed", json!(-1), "/fee_fixed"),
        ("access_code", json!("a|b"), "/access_code"),
        ("tiers", json!([]), "/tiers"),
        ("tiers", json!([{"price": 1}, {"price": 2}]), "/tiers/0"),
        ("tiers", json!([{"price": 1_000_000_000_001_i64}]), "/tiers/0/price"),
        ("tiers", json!([{"price": 1, "name": "a\nb"}]), "/tiers/0/name"),
    ];
    for (number, (field, value, pointer)) in offers.into_iter().enumerate() {
        let body = with(field, value);
        let answer = shop.post("events/show/offers", &format!("o{number}"), body).await;
        assert_eq!(answer.expect(422).body["errors"][0]["pointer"], pointer);
    }
    for bad in [json!({"name": "A", "extra": 1}), json!({"hold_seconds": 1.5}), json!("x")] {
        assert_eq!(shop.patch("events/show", bad).await.expect(422).code(), "invalid");
    }
    let promo = json!({"code": "NOTHING"});
    shop.post("events/show/promos", "p", promo).await.expect(422);
    shop.close().await;
}

#[tokio::test]
async fn changes_reach_buyers_at_once_and_null_is_not_nothing() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let changed = shop.patch("events/show", json!({"name": "New", "account_limit": 3})).await;
    assert_eq!(changed.expect(200).body["account_limit"], 3);
    let seen = buyer.get("/v1/events/show").await;
    assert_eq!((&seen.body["name"], &seen.body["account_limit"]), (&json!("New"), &json!(3)));
    let kept = shop.patch("events/show", json!({"description": "Two\nlines"})).await.expect(200);
    assert_eq!(kept.body["account_limit"], 3);
    let none = shop.patch("events/show", json!({"account_limit": null})).await.expect(200);
    assert_eq!(none.body["account_limit"], Value::Null);
    shop.patch("events/show", json!({"hold_seconds": 1_201})).await.expect(422);
    shop.patch("events/show", json!({"name": null})).await.expect(422);

    // A price change touches no hold.
    let front = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &front, "a", 2).await.expect(201);
    let path = format!("events/show/offers/{front}");
    shop.patch(&path, json!({"tiers": [{"price": 9_900}], "fee_fixed": 50})).await.expect(200);
    let order = buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    assert_eq!(order.body["total"], 10_000);
    let dearer = buyer.hold_best("show", &front, "b", 2).await.expect(201);
    assert_eq!(dearer.body["total"], 2 * 9_950);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    shop.patch(&path, json!({"active": false})).await.expect(200);
    assert_eq!(buyer.hold_best("show", &front, "c", 1).await.code(), "offer_unavailable");
    // What is held already may finish.
    let order = buyer.checkout("show", &dearer.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn an_exported_manifest_imports_as_the_same_places() {
    let shop = Shop::open().await;
    let venue = shop.venue().await;
    for slug in ["one", "two"] {
        shop.post("events", slug, event(&venue, slug)).await.expect(201);
    }
    shop.get("events/one/manifest").await.expect(404);
    shop.put_manifest("one", "text/csv", table()).await.expect(200);
    let json = shop.get("events/one/manifest").await.expect(200).body;
    shop.put_manifest("two", "application/json", json.to_string()).await.expect(200);
    assert_eq!(shop.get("events/two/manifest").await.body, json);
    let url = format!("{}/v1/organizer/events/one/manifest?format=csv", shop.server.url);
    let answer = shop.me.http.get(url).bearer_auth(&shop.me.token).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    let imported = shop.put_manifest("two", "text/csv", text).await.expect(200);
    assert_eq!(imported.body["places"], 60);
    let url = format!("{}/v1/organizer/events/one/manifest?format=csv", shop.server.url);
    let request = shop.me.http.get(url).bearer_auth(&shop.me.token);
    let again = request.header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    shop.close().await;
}

#[tokio::test]
async fn a_stadium_imports_over_http() {
    let shop = Shop::open().await;
    let venue = shop.venue().await;
    shop.post("events", "e", event(&venue, "stadium")).await.expect(201);
    let stadium = generate::stadium();
    let text = csv::to_string(&stadium).expect("a table");
    let started = std::time::Instant::now();
    let imported = shop.put_manifest("stadium", "text/csv", text).await.expect(200);
    println!("{} places in {:?}", imported.body["places"], started.elapsed());
    assert_eq!(imported.body["places"], stadium.capacity());
    shop.close().await;
}

#[tokio::test]
async fn lists_go_on_where_the_page_before_ended() {
    let shop = Shop::open().await;
    let venue = shop.venue().await;
    for number in 0..53 {
        let slug = format!("show-{number:02}");
        shop.post("events", &slug, event(&venue, &slug)).await.expect(201);
    }
    let first = shop.get("events").await.expect(200).body;
    assert_eq!(first["events"].as_array().map(Vec::len), Some(50));
    let next = first["next"].as_str().expect("a cursor");
    let second = shop.get(&format!("events?cursor={next}")).await.expect(200).body;
    let slugs: Vec<_> = second["events"].as_array().unwrap().iter().map(|e| &e["slug"]).collect();
    assert_eq!(slugs, ["show-50", "show-51", "show-52"]);
    assert_eq!(second["next"], Value::Null);
    shop.get("events?cursor=x").await.expect(422);
    assert_eq!(shop.get("venues").await.body["venues"].as_array().map(Vec::len), Some(1));
    shop.close().await;
}
