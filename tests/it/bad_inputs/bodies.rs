//! Bodies that are no JSON, or say things that can't be.

use serde_json::{Value, json};

use super::{Shop, refused, refused_as};

#[tokio::test]
async fn bodies_that_are_no_json() {
    let shop = Shop::open().await;
    let line = format!("{{\"offer\":\"{}\",\"best\":1}}", shop.front);
    let good = format!("{{\"lines\":[{line}]}}");
    let texts: Vec<(Vec<u8>, u16, &str)> = vec![
        (Vec::new(), 400, "malformed"),
        (b" ".to_vec(), 400, "malformed"),
        (b"{".to_vec(), 400, "malformed"),
        (good.as_bytes()[..good.len() - 1].to_vec(), 400, "malformed"),
        (format!("{good}x").into_bytes(), 400, "malformed"),
        (format!("{good}{good}").into_bytes(), 400, "malformed"),
        (format!("\u{feff}{good}").into_bytes(), 400, "malformed"),
        (good.replace("best", "b\u{0}st").into_bytes(), 400, "malformed"),
        (good.replace('"', "'").into_bytes(), 400, "malformed"),
        (good.replace(":1", ":NaN").into_bytes(), 400, "malformed"),
        (good.replace(":1", ":01").into_bytes(), 400, "malformed"),
        (good.replace(":1", ":1e999").into_bytes(), 400, "malformed"),
        ([b"{\"lines\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat(), 400, "malformed"),
        (format!("{{\"lines\":[{line}],\"lines\":[]}}").into_bytes(), 422, "invalid"),
        (good.replace(":1", ":1,\"best\":2").into_bytes(), 422, "invalid"),
        (
            good.replace("\"best\":1", "\"best\":1,\"area\":\"\\u0000\"").into_bytes(),
            422,
            "invalid",
        ),
        (
            good.replace("\"best\":1", "\"best\":1,\"area\":\"\\ud800\"").into_bytes(),
            400,
            "malformed",
        ),
    ];
    for (body, status, code) in texts {
        let what = String::from_utf8_lossy(&body).into_owned();
        let request = shop.request("POST", "/v1/events/show/holds").body(body);
        let request = request.header("idempotency-key", "k");
        let request = request.header("content-type", "application/json");
        refused_as(request, status, code, &what).await;
    }
    for deep in ["[", "{\"lines\":"] {
        let body = deep.repeat(5_000);
        let request = shop.request("POST", "/v1/events/show/holds").body(body);
        let request = request.header("idempotency-key", "k");
        let request = request.header("content-type", "application/json");
        refused(request.send().await.unwrap(), "deep nesting").await;
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application", "", "json"] {
        let request = shop.request("POST", "/v1/events/show/holds").body(good.clone());
        let request = request.header("idempotency-key", "k").header("content-type", kind);
        refused_as(request, 415, "media_type", kind).await;
    }
    let request = shop.request("POST", "/v1/events/show/holds").body(good.clone());
    refused_as(request.header("idempotency-key", "k"), 415, "media_type", "none").await;
    let large = format!("{good}{}", " ".repeat(70_000));
    let request = shop.request("POST", "/v1/events/show/holds").body(large);
    let request = request.header("idempotency-key", "k").header("content-type", "application/json");
    refused_as(request, 413, "too_large", "large").await;
    // The good one is good, whatever the type's parameters.
    let request = shop.request("POST", "/v1/events/show/holds").body(good);
    let request = request.header("content-type", "Application/JSON; charset=utf-8");
    let answer = request.header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    shop.close(1).await;
}

#[tokio::test]
async fn buyers_that_nobody_is() {
    let shop = Shop::open().await;
    let hold = shop.buyer.hold_best("show", &shop.front, "c", 1).await.expect(201);
    let path = format!("/v1/events/show/holds/{}/checkout", hold.id());
    let post = |body: &Value| shop.request("POST", &path).header("idempotency-key", "c").json(body);
    let (long, longer) = ("n".repeat(121), "n".repeat(1_000_000));
    let email = "ada@example.org";
    let bad = [
        json!({}),
        json!({"email": null}),
        json!({"email": ""}),
        json!({"email": "ada"}),
        json!({"email": "ada@"}),
        json!({"email": "a\nb@example.org"}),
        json!({"email": "a\r\nBcc: eve@example.org@example.org"}),
        json!({"email": "a@example.org, b@example.org"}),
        json!({"email": format!("{}@example.org", "a".repeat(300))}),
        json!({"email": email, "name": long}),
        json!({"email": email, "name": "a\u{7}b"}),
        json!({"email": email, "name": 1}),
        json!({"email": email, "locale": "x".repeat(36)}),
        json!({"email": email, "total": 1}),
        json!({"email": email, "price": 0}),
        json!({"email": email, "accept_equivalent": "yes"}),
    ];
    for body in bad {
        refused_as(post(&body), 422, "invalid", &body.to_string()).await;
    }
    refused_as(post(&json!({"email": email, "name": longer})), 413, "too_large", "1 MB").await;
    let bare = shop.request("POST", &path).json(&json!({ "email": email }));
    refused_as(bare, 400, "idempotency_key", "no key").await;
    // Text that runs backwards, mixes alphabets, or begins like a formula is a name like any
    // other; what shows it has to know how.
    let odd = "=cmd|'/C calc'!A0 \u{202e}адa\u{200d}\u{301}";
    let body = json!({"email": email, "name": odd, "locale": "ar"});
    let order = post(&body).send().await.unwrap();
    assert_eq!(order.status().as_u16(), 201);
    let stored: Value = sqlx::query_scalar("SELECT details FROM orders WHERE event_id = $1")
        .bind(shop.event.0)
        .fetch_one(&shop.env.pg)
        .await
        .expect("an order");
    assert_eq!(stored["name"], odd);
    shop.close(0).await;
}
