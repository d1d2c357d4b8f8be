//! Who asked gets what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onsale::demo::seed::Seed;
use reqwest::Method;
use serde_json::{Value, json};

use super::{LONG, Shop, drawer, give_back};
use crate::support::process::free_address;
use crate::support::stage::{SHOW, at_rest, brisk, built, returns_are_due};
use crate::support::{Answer, Buyer, Env, hall, until};

/// Buyers who try again and again.
const REFRESHERS: usize = 8;

async fn post(buyer: &Buyer, key: &str, wish: Value) -> Answer {
    let path = format!("/v1/events/{SHOW}/asks");
    buyer.send(Method::POST, &path, Some(key), Some(wish)).await
}

/// Asks for the best `n`.
pub async fn ask(buyer: &Buyer, offer: &str, key: &str, n: u32) -> Answer {
    post(buyer, key, json!({"lines": [{"offer": offer, "best": n}]})).await
}

async fn look(buyer: &Buyer, ask: &Answer) -> Answer {
    buyer.get(&format!("/v1/events/{SHOW}/asks/{}", ask.id())).await
}

async fn withdraw(buyer: &Buyer, ask: &Answer) -> Answer {
    let path = format!("/v1/events/{SHOW}/asks/{}", ask.id());
    buyer.send(Method::DELETE, &path, None, None).await
}

fn places(ask: &Answer) -> Vec<i64> {
    let held = Answer { status: ask.status, body: ask.body["held"].clone() };
    held.places()
}

/// Everything in front, in pairs.
async fn sell_out(shop: &Shop) -> (Buyer, Vec<Answer>) {
    let ada = shop.server.buyer().await;
    let mut pairs = Vec::new();
    for number in 0..6 {
        let hold = ada.hold_best(SHOW, &shop.offer, &format!("k{number}"), 2).await;
        pairs.push(hold.expect(201));
    }
    ada.hold_best(SHOW, &shop.offer, "more", 1).await.expect(409);
    (ada, pairs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_is_served_before_any_refresher() {
    for return_seconds in [0, 1] {
        let shop = Shop::open(return_seconds).await;
        let (ada, pairs) = sell_out(&shop).await;
        let zoe = shop.server.buyer().await;
        let ask = ask(&zoe, &shop.offer, "a", 2).await.expect(201);
        assert_eq!((&ask.body["state"], &ask.body["ahead"]), (&json!("waiting"), &json!(0)));
        let (stop, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut refreshers = Vec::new();
        for _ in 0..REFRESHERS {
            let (buyer, offer) = (shop.server.buyer().await, shop.offer.clone());
            let (stop, tries) = (stop.clone(), tries.clone());
            refreshers.push(tokio::spawn(async move {
                let mut lucky = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("k{}", tries.fetch_add(1, Ordering::Relaxed));
                    let hold = buyer.hold_best(SHOW, &offer, &key, 1).await;
                    lucky += usize::from(hold.status.is_success());
                }
                lucky
            }));
        }
        until("everybody tries", || async { tries.load(Ordering::Relaxed) > 50 }).await;
        give_back(&ada, &pairs[0]).await;
        let after = tries.load(Ordering::Relaxed) + 50;
        until("they go on trying", || async { tries.load(Ordering::Relaxed) > after }).await;
        until("the ask is served", || async {
            shop.sweep().await;
            look(&zoe, &ask).await.expect(200).body["state"] == "held"
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        for refresher in refreshers {
            assert_eq!(refresher.await.expect("it ends"), 0, "somebody was faster");
        }
        let held = look(&zoe, &ask).await.expect(200);
        assert_eq!(places(&held), pairs[0].places());
        assert_eq!(held.body["held"]["id"], held.body["hold"]);
        let hold = held.body["hold"].as_str().expect("an id");
        zoe.checkout(SHOW, hold, "zoe@example.org").await.expect(201);
        crate::support::stage::time_to_pay_is_over(&shop.env).await;
        onsale::orders::drive::run_once(&shop.server.server.app).await.expect("driven");
        assert_eq!(look(&zoe, &ask).await.expect(200).body["state"], "over");
        shop.end().await;
    }
}

#[tokio::test]
async fn the_oldest_ask_that_fits_is_served() {
    let shop = Shop::open(LONG).await;
    let (ada, pairs) = sell_out(&shop).await;
    let mut asks = Vec::new();
    for n in [5, 2, 2] {
        let buyer = shop.server.buyer().await;
        let ask = ask(&buyer, &shop.offer, "a", n).await.expect(201);
        assert_eq!(ask.body["ahead"], asks.len());
        asks.push((buyer, ask));
    }
    give_back(&ada, &pairs[0]).await;
    shop.sweep().await;
    let states = || async {
        let mut states = Vec::new();
        for (buyer, ask) in &asks {
            states.push(look(buyer, ask).await.expect(200).body["state"].clone());
        }
        states
    };
    assert_eq!(states().await, ["waiting", "waiting", "waiting"], "the delay is not over");
    returns_are_due(&shop.env).await;
    shop.sweep().await;
    assert_eq!(states().await, ["waiting", "held", "waiting"]);
    assert_eq!(look(&asks[2].0, &asks[2].1).await.body["ahead"], 1);
    give_back(&ada, &pairs[1]).await;
    returns_are_due(&shop.env).await;
    shop.sweep().await;
    assert_eq!(states().await, ["waiting", "held", "held"]);
    // Two who gave up and one who asks for what is there now.
    withdraw(&asks[0].0, &asks[0].1).await.expect(204);
    withdraw(&asks[1].0, &asks[1].1).await.expect(204);
    assert_eq!(look(&asks[0].0, &asks[0].1).await.expect(410).code(), "ask_gone");
    assert_eq!(look(&asks[1].0, &asks[1].1).await.expect(200).body["state"], "over");
    returns_are_due(&shop.env).await;
    shop.sweep().await;
    let zoe = shop.server.buyer().await;
    let ask = ask(&zoe, &shop.offer, "a", 2).await.expect(201);
    shop.sweep().await;
    assert_eq!(look(&zoe, &ask).await.expect(200).body["state"], "held");
    shop.end().await;
}

#[tokio::test]
async fn an_ask_that_can_be_served_no_more_leaves_the_line() {
    let hall = hall(4, 6, 60);
    let seed = Seed { account_limit: Some(12), ..Seed::new(SHOW, &hall) };
    let shop = Shop::of(Env::start().await, &seed).await;
    let (ada, pairs) = sell_out(&shop).await;
    let zoe = shop.server.buyer().await;
    let ask = ask(&zoe, &shop.offer, "a", 2).await.expect(201);
    let back = zoe.offer(SHOW, "back").await;
    zoe.hold_best(SHOW, &back, "b", 6).await.expect(201);
    zoe.hold_best(SHOW, &back, "c", 5).await.expect(201);
    give_back(&ada, &pairs[0]).await;
    shop.sweep().await;
    assert_eq!(look(&zoe, &ask).await.expect(410).code(), "ask_gone");
    let eve = shop.server.buyer().await;
    let hold = eve.hold_best(SHOW, &shop.offer, "a", 2).await.expect(201);
    assert_eq!(hold.places(), pairs[0].places());
    shop.end().await;
}

#[tokio::test]
async fn asks_are_refused_for_good_reasons() {
    let mut env = Env::start().await;
    env.config.asks.per_event = 2;
    let hall = hall(4, 6, 60);
    let shop = Shop::of(env, &Seed::new(SHOW, &hall)).await;
    let (zoe, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let line = |extra: Value| {
        let mut line = json!({"offer": shop.offer});
        line.as_object_mut().expect("a line").extend(extra.as_object().expect("more").clone());
        json!({"lines": [line]})
    };
    let mut long = line(json!({"best": 2}));
    long["access_code"] = "x".repeat(5_000).into();
    for (wish, code) in [
        (line(json!({"places": [0, 1]})), "invalid"),
        (line(json!({"best": 0})), "invalid"),
        (json!({"lines": []}), "invalid"),
        (json!({"lines": [], "more": 1}), "invalid"),
        (long, "invalid"),
    ] {
        assert_eq!(post(&zoe, "a", wish).await.expect(422).code(), code);
    }
    let first = ask(&zoe, &shop.offer, "a", 2).await.expect(201);
    assert_eq!(ask(&zoe, &shop.offer, "a", 2).await.expect(200).id(), first.id());
    assert_eq!(ask(&zoe, &shop.offer, "a", 3).await.expect(422).code(), "idempotency_mismatch");
    let other = ask(&zoe, &shop.offer, "b", 2).await.expect(409);
    assert_eq!((other.code(), &other.body["ask"]), ("ask_exists", &json!(first.id())));
    // Of another nobody learns anything, nor can they end it.
    assert_eq!(look(&eve, &first).await.expect(410).code(), "ask_gone");
    withdraw(&eve, &first).await.expect(204);
    assert_eq!(look(&zoe, &first).await.expect(200).body["state"], "waiting");
    ask(&eve, &shop.offer, "a", 2).await.expect(201);
    let late = shop.server.buyer().await;
    assert_eq!(ask(&late, &shop.offer, "a", 2).await.expect(409).code(), "asks_full");
    withdraw(&zoe, &first).await.expect(204);
    ask(&late, &shop.offer, "a", 2).await.expect(201);
    let nobody = Buyer { token: String::new(), ..zoe.clone() };
    ask(&nobody, &shop.offer, "a", 2).await.expect(401);
    shop.end().await;
}

#[tokio::test]
async fn a_node_that_dies_after_serving_leaves_one_hold() {
    let env = Env::start().await;
    let hall = hall(4, 6, 60);
    let event = env.event(&Seed::new(SHOW, &hall)).await;
    let dying = [("ONSALE_DIE_AT", "asks served")];
    let mut first = env.spawn_server(free_address(), &dying, brisk).await;
    built(&first.url).await;
    let mut zoe = Buyer::new(&first.url).await;
    let offer = zoe.offer(SHOW, "front").await;
    let path = format!("/v1/events/{SHOW}/asks");
    let wish = json!({"lines": [{"offer": offer, "best": 2}]});
    // There are places: its workers serve the ask at once, so that it may die before it answers.
    drop(zoe.try_send(Method::POST, &path, Some("a"), Some(wish)).await);
    let died = tokio::time::timeout(crate::support::PATIENCE, first.child.wait()).await;
    assert!(!died.expect("it died in time").expect("a status").success());

    // The hold was made, and the ask was still in line.
    let second = env.spawn_server(free_address(), &[], brisk).await;
    zoe.url.clone_from(&second.url);
    let ask = ask(&zoe, &offer, "a", 2).await.expect(200);
    assert_eq!(ask.body["state"], "held");
    until("the line is empty", || async {
        crate::support::stage::keys(&env, "asks").await.is_empty()
    })
    .await;
    until("there is one hold for the ask", || async { drawer(&zoe).await["held"] == 2 }).await;
    withdraw(&zoe, &ask).await.expect(204);
    at_rest(&env, event, &second.url).await;
    second.terminate().await;
    env.end().await;
}
