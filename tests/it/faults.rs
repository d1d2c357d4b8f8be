//! kill -9 of a server between each two steps of a ticket's path.
//!
//! One server dies at the named point (`onsale::faults`); its client asks the other one, or goes
//! away and the other one's workers clean up. Whichever: everything comes to its end.

use onsale::config::Config;
use reqwest::Method;
use serde_json::json;

use crate::support::process::Process;
use crate::support::stage::{SHOW, Stage, count, time_to_pay_is_over};
use crate::support::{Answer, Buyer, Env, hall, until};

/// A stage whose first server dies at `point`, and a buyer at it.
async fn dying_at(point: &str) -> (Stage, Buyer, String) {
    let stage = Stage::start(Env::start().await, &[("ONSALE_DIE_AT", point)]).await;
    let buyer = Buyer::new(&stage.first.url).await;
    let offer = buyer.offer(SHOW, "front").await;
    (stage, buyer, offer)
}

/// The same buyer at the other server.
fn elsewhere(buyer: &Buyer, stage: &Stage) -> Buyer {
    Buyer { url: stage.second.url.clone(), ..buyer.clone() }
}

/// Waits until the process has died.
async fn dead(process: &mut Process) {
    let died = tokio::time::timeout(crate::support::PATIENCE, process.child.wait()).await;
    let status = died.expect("it died in time").expect("a status");
    assert!(!status.success(), "{status}");
}

/// A checkout that kills its server.
async fn last_checkout(stage: &mut Stage, buyer: &Buyer, hold: &Answer) {
    let path = format!("/v1/events/{SHOW}/holds/{}/checkout", hold.id());
    let body = json!({"email": "ada@example.org"});
    let answer = buyer.try_send(Method::POST, &path, Some("checkout"), Some(body)).await;
    assert!(answer.is_err(), "{answer:?}");
    dead(&mut stage.first).await;
}

async fn becomes(buyer: &Buyer, order: &str, status: &str) {
    until(&format!("the order is {status}"), || async {
        buyer.order(order).await.body["status"] == status
    })
    .await;
}

#[tokio::test]
async fn after_the_hold_script_the_same_key_finds_the_hold() {
    let (mut stage, buyer, offer) = dying_at("held").await;
    let wish = json!({"lines": [{"offer": offer, "best": 2}]});
    let path = format!("/v1/events/{SHOW}/holds");
    let answer = buyer.try_send(Method::POST, &path, Some("k"), Some(wish)).await;
    assert!(answer.is_err(), "{answer:?}");
    dead(&mut stage.first).await;

    let buyer = elsewhere(&buyer, &stage);
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(200);
    let drawer = buyer.get(&format!("/v1/events/{SHOW}/drawer")).await.expect(200);
    assert_eq!(drawer.body["redis"]["held"], 2, "one hold: {drawer:?}");
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    becomes(&buyer, &order.id(), "paid").await;
    stage.end().await;
}

#[tokio::test]
async fn between_begin_and_claim_the_same_checkout_goes_on_elsewhere() {
    // No worker is faster than the buyer.
    let patient = |config: &mut Config| config.workers.hanging_ms = 600_000;
    let die = [("ONSALE_DIE_AT", "begun")];
    let mut stage = Stage::with(Env::start().await, &die, &hall(4, 10, 10), patient).await;
    let buyer = Buyer::new(&stage.first.url).await;
    let offer = buyer.offer(SHOW, "front").await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    last_checkout(&mut stage, &buyer, &hold).await;
    let buyer = elsewhere(&buyer, &stage);
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    becomes(&buyer, &order.id(), "paid").await;
    stage.end().await;
}

#[tokio::test]
async fn between_begin_and_claim_without_a_client_the_hold_is_abandoned() {
    let (mut stage, buyer, offer) = dying_at("begun").await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    last_checkout(&mut stage, &buyer, &hold).await;
    until("the hold is abandoned", || async {
        let abandoned = "SELECT count(*) FROM orders WHERE event_id = $1 AND status = 'abandoned'";
        count(&stage.env, stage.event, abandoned).await == 1
    })
    .await;
    let buyer = elsewhere(&buyer, &stage);
    let late = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(410);
    assert_eq!(late.code(), "hold_gone");
    until("the places are free", || async {
        let again = buyer.hold_places(SHOW, &offer, "again", &hold.places()).await;
        if again.status == 201 {
            let path = format!("/v1/events/{SHOW}/holds/{}", again.id());
            buyer.send(Method::DELETE, &path, None, None).await.expect(204);
        }
        again.status == 201
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn after_the_claim_the_same_checkout_finds_the_order() {
    for point in ["claimed", "intent created"] {
        let (mut stage, buyer, offer) = dying_at(point).await;
        let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
        last_checkout(&mut stage, &buyer, &hold).await;
        let buyer = elsewhere(&buyer, &stage);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        assert_eq!(order.id(), hold.id());
        buyer.pay(&order, "4242424242424242").await.expect(200);
        becomes(&buyer, &order.id(), "paid").await;
        let orders =
            count(&stage.env, stage.event, "SELECT count(*) FROM orders WHERE event_id = $1");
        assert_eq!(orders.await, 1, "{point}");
        stage.end().await;
    }
}

#[tokio::test]
async fn after_the_claim_without_a_client_the_order_is_cancelled_and_released() {
    for point in ["claimed", "intent created"] {
        let (mut stage, buyer, offer) = dying_at(point).await;
        let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
        last_checkout(&mut stage, &buyer, &hold).await;
        let buyer = elsewhere(&buyer, &stage);
        assert_eq!(buyer.order(&hold.id()).await.body["status"], "open", "{point}");
        time_to_pay_is_over(&stage.env).await;
        becomes(&buyer, &hold.id(), "released").await;
        stage.end().await;
    }
}

#[tokio::test]
async fn a_webhook_that_killed_its_receiver_is_received_again() {
    for point in ["webhook received", "settled"] {
        let (mut stage, buyer, offer) = dying_at(point).await;
        let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        // The sandbox tells the first server first, and the next one when that fails.
        buyer.pay(&order, "4242424242424242").await.expect(200);
        dead(&mut stage.first).await;
        let buyer = elsewhere(&buyer, &stage);
        becomes(&buyer, &order.id(), "paid").await;
        stage.end().await;
    }
}

#[tokio::test]
async fn a_payment_that_no_webhook_tells_of_is_found_by_asking() {
    // The reconciler itself dies with the settlement, too.
    let (mut stage, buyer, offer) = dying_at("settled").await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4000009900000707").await.expect(200);
    let buyer = elsewhere(&buyer, &stage);
    becomes(&buyer, &order.id(), "paid").await;
    drop(stage.first.child.start_kill());
    stage.end().await;
}

#[tokio::test]
async fn a_cancellation_goes_on_where_another_server_died() {
    for point in ["cancelling", "cancelled"] {
        let (mut stage, buyer, offer) = dying_at(point).await;
        let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        let path = format!("/v1/orders/{}/cancel", order.id());
        let answer = buyer.try_send(Method::POST, &path, None, None).await;
        assert!(answer.is_err(), "{answer:?}");
        dead(&mut stage.first).await;
        let buyer = elsewhere(&buyer, &stage);
        // Nobody asks again, and its time to pay is far away.
        becomes(&buyer, &order.id(), "released").await;
        stage.end().await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_in_a_cancellation_loses_its_lease() {
    for point in ["cancelling", "cancelled"] {
        let (mut stage, buyer, offer) = dying_at(point).await;
        let buyer = elsewhere(&buyer, &stage);
        let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
        let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        // Both servers' workers race for it; the second may win and nobody dies.
        time_to_pay_is_over(&stage.env).await;
        until("the order is released or its worker died", || async {
            let status = buyer.order(&order.id()).await.body["status"].clone();
            status == "released" || stage_is_dead(&stage.first.url).await
        })
        .await;
        time_to_pay_is_over(&stage.env).await;
        becomes(&buyer, &order.id(), "released").await;
        drop(stage.first.child.start_kill());
        stage.end().await;
    }
}

async fn stage_is_dead(url: &str) -> bool {
    reqwest::get(format!("{url}/health/live")).await.is_err()
}

#[tokio::test]
async fn killed_in_mid_sale_at_a_random_moment() {
    use rand::{Rng, SeedableRng};
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    // Two seats for everybody: what the dead have taken comes back only after the others' journeys.
    let places = hall(8, 10, 0);
    let mut stage = Stage::with(Env::start().await, &[], &places, |_| {}).await;
    let scout = Buyer::new(&stage.second.url).await;
    let offers = [scout.offer(SHOW, "front").await, scout.offer(SHOW, "back").await];
    let mut journeys = Vec::new();
    for number in 0..40 {
        // Half of the buyers are at the server that dies: they go away with it.
        let url = if number % 2 == 0 { &stage.first.url } else { &stage.second.url }.clone();
        let offer = offers[number / 2 % 2].clone();
        journeys.push((
            number % 2 == 1,
            tokio::spawn(
                async move { crate::support::shopper::shop(&url, SHOW, &offer, number).await },
            ),
        ));
    }
    tokio::time::sleep(std::time::Duration::from_millis(rng.random_range(50..800))).await;
    for (_, journey) in journeys.iter().filter(|(survives, _)| !survives) {
        journey.abort();
    }
    stage.first.child.kill().await.expect("killed");
    for (survives, journey) in journeys {
        let ended = journey.await;
        assert!(!survives || ended.is_ok(), "{ended:?}");
    }
    // Buyers that died held places and owe payments: all of it ends.
    until("holds have been given up", || async {
        time_to_pay_is_over(&stage.env).await;
        crate::support::stage::holds_are_over(&stage.env).await;
        let drawer = scout.get(&format!("/v1/events/{SHOW}/drawer")).await.body;
        drawer["redis"]["held"] == 0 && drawer["redis"]["claimed"] == 0
    })
    .await;
    stage.end().await;
}
