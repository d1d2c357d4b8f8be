//! What accounts buy: limits that hold over sessions and orders, events that demand an account.

use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::workers::sweep;
use reqwest::Method;
use serde_json::json;

use super::{signed_in, signed_in_at};
use crate::support::{Buyer, Env, hall, until};

const CARD: &str = "4242424242424242";

async fn demand_accounts(env: &Env, event: EventId) {
    sqlx::query("UPDATE events SET needs_account = true, version = version + 1 WHERE id = $1")
        .bind(event.0)
        .execute(&env.pg)
        .await
        .expect("updated");
}

/// Buys the best `n`; the order's id.
async fn buy(buyer: &Buyer, event: &str, offer: &str, key: &str, n: u32) -> String {
    let hold = buyer.hold_best(event, offer, key, n).await.expect(201);
    let path = format!("/v1/events/{event}/holds/{}/checkout", hold.id());
    let order = buyer.send(Method::POST, &path, Some("c"), Some(json!({}))).await.expect(201);
    buyer.pay(&order, CARD).await.expect(200);
    order.id()
}

#[tokio::test]
async fn the_limit_holds_over_sessions_devices_orders_and_variants_of_the_address() {
    let env = Env::start().await;
    let hall = hall(4, 10, 0);
    let event = env.event(&Seed { account_limit: Some(4), ..Seed::new("show", &hall) }).await;
    demand_accounts(&env, event).await;
    let (one, two) = (env.server().await, env.server().await);
    let phone = signed_in(&env, &one, "ada@gmail.com").await;
    let laptop = signed_in_at(&env, &one, &two.url, "a.da+tickets@googlemail.com").await;
    let offer = phone.offer("show", "front").await;
    // Held on one device counts on the other.
    let held = phone.hold_best("show", &offer, "a", 3).await.expect(201);
    let refused = laptop.hold_best("show", &offer, "b", 2).await.expect(409);
    assert_eq!((refused.code(), &refused.body["left"]), ("account_limit", &json!(1)));
    // The same account's same key finds the same hold, wherever it is asked for.
    let same = laptop.hold_best("show", &offer, "a", 3).await.expect(200);
    assert_eq!(same.id(), held.id());
    let path = format!("/v1/events/show/holds/{}", held.id());
    laptop.send(Method::DELETE, &path, None, None).await.expect(204);

    // Bought in one order counts for the next, held and bought together.
    buy(&phone, "show", &offer, "c", 2).await;
    let more = laptop.hold_best("show", &offer, "d", 2).await.expect(201);
    let refused = phone.hold_best("show", &offer, "e", 1).await.expect(409);
    assert_eq!(refused.code(), "account_limit");
    // Other addresses at checkout don't help: the account is counted too.
    laptop.checkout("show", &more.id(), "somebody@example.org").await.expect(201);
    for buyer in [&phone, &laptop] {
        let refused = buyer.hold_best("show", &offer, "f", 1).await.expect(409);
        assert_eq!((refused.code(), &refused.body["left"]), ("account_limit", &json!(0)));
    }
    // Nor does losing the counters: the claim counts again.
    let again = signed_in(&env, &one, "ADA@gmail.com").await;
    let app = &one.server.app;
    let sale = app.catalog.sale(event).await.expect("Postgres").expect("the event");
    let mut link = app.redis.bulk().await.expect("Redis");
    let _: redis::Value =
        redis::cmd("DEL").arg(&sale.keys.counts).query_async(&mut link).await.expect("deleted");
    let hold = again.hold_best("show", &offer, "g", 1).await.expect(201);
    let path = format!("/v1/events/show/holds/{}/checkout", hold.id());
    let refused = again.send(Method::POST, &path, Some("c"), Some(json!({}))).await.expect(409);
    assert_eq!(refused.code(), "account_limit");
    one.stop().await;
    two.stop().await;
    env.end().await;
}

#[tokio::test]
async fn an_event_that_demands_accounts_refuses_others_at_the_hold_and_at_the_checkout() {
    let env = Env::start().await;
    let hall = hall(4, 10, 0);
    let event = env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let anonymous = server.buyer().await;
    let offer = anonymous.offer("show", "front").await;
    let early = anonymous.hold_best("show", &offer, "a", 1).await.expect(201);
    demand_accounts(&env, event).await;
    until("the event demands accounts", || async {
        anonymous.get("/v1/events/show").await.body["needs_account"] == json!(true)
    })
    .await;
    let refused = anonymous.hold_best("show", &offer, "b", 1).await.expect(403);
    assert_eq!(refused.code(), "sign_in_needed");
    // Held before the event demanded it.
    let refused = anonymous.checkout("show", &early.id(), "eve@example.org").await.expect(403);
    assert_eq!(refused.code(), "sign_in_needed");

    let ada = signed_in(&env, &server, "ada@example.org").await;
    // A hold is its session's: nobody else checks it out.
    ada.checkout("show", &early.id(), "ada@example.org").await.expect(404);
    let order = buy(&ada, "show", &offer, "c", 2).await;
    assert_eq!(ada.order(&order).await.body["email"], "ada@example.org");
    let path = format!("/v1/events/show/holds/{}", early.id());
    anonymous.send(Method::DELETE, &path, None, None).await.expect(204);
    sweep::run_once(&server.server.app).await.expect("swept");
    env.audit_at_rest().await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn an_anonymous_checkout_needs_an_address() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(2, 8, 0))).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 1).await.expect(201);
    let path = format!("/v1/events/show/holds/{}/checkout", hold.id());
    for body in [json!({}), json!({"email": null}), json!({"email": ""})] {
        let refused = buyer.send(Method::POST, &path, Some("c"), Some(body)).await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/email");
    }
    buyer.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn an_accounts_orders_are_listed_newest_first_over_all_events() {
    let env = Env::start().await;
    let hall = hall(6, 20, 0);
    env.event(&Seed::new("one", &hall)).await;
    env.event(&Seed::new("two", &hall)).await;
    let server = env.server().await;
    let ada = signed_in(&env, &server, "ada@example.org").await;
    let eve = signed_in(&env, &server, "eve@example.org").await;
    let offers = [ada.offer("one", "front").await, ada.offer("two", "front").await];
    let mut made = Vec::new();
    for n in 0..23 {
        let (event, offer) = [("one", &offers[0]), ("two", &offers[1])][n % 2];
        let hold = ada.hold_best(event, offer, &format!("k{n}"), 1).await.expect(201);
        made.push(ada.checkout(event, &hold.id(), "ada@example.org").await.expect(201).id());
    }
    let hold = eve.hold_best("one", &offers[0], "e", 1).await.expect(201);
    let eves = eve.checkout("one", &hold.id(), "eve@example.org").await.expect(201).id();
    made.reverse();
    let ids = |answer: &crate::support::Answer| -> Vec<String> {
        let orders = answer.body["orders"].as_array().expect("orders");
        orders.iter().map(|order| order["id"].as_str().expect("an id").to_owned()).collect()
    };
    let first = ada.get("/v1/orders").await.expect(200);
    assert_eq!(ids(&first), made[..20]);
    let next = first.body["next"].as_str().expect("more");
    let rest = ada.get(&format!("/v1/orders?cursor={next}")).await.expect(200);
    assert_eq!((ids(&rest), rest.body.get("next")), (made[20..].to_vec(), None));
    assert_eq!(ids(&eve.get("/v1/orders").await.expect(200)), std::slice::from_ref(&eves));
    // Somebody else's order as a cursor shows nothing of it.
    let strange = ada.get(&format!("/v1/orders?cursor={eves}")).await.expect(200);
    assert!(ids(&strange).is_empty());
    ada.get(&format!("/v1/orders/{eves}")).await.expect(404);
    ada.get("/v1/orders?cursor=x").await.expect(422);
    server.stop().await;
    env.end().await;
}
