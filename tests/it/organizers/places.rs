//! Kills, allocations and capacities of an event that is being sold.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Shop};
use crate::support::{Buyer, until};

const CARD: &str = "4242424242424242";

impl Shop {
    async fn places(&self, body: Value) -> Answer {
        self.post("events/show/places", "-", body).await
    }

    async fn capacity(&self, capacity: u32) -> Answer {
        self.post("events/show/areas/FLOOR/capacity", "-", json!({"capacity": capacity})).await
    }

    /// Waits until the drawer, which is counted at most so often, says this and agrees.
    async fn drawer(&self, wanted: &[(&str, u32)]) {
        until(&format!("the drawer has {wanted:?}"), || async {
            let drawer = self.me.get("/v1/events/show/drawer").await.expect(200).body;
            drawer["agree"] == true
                && wanted.iter().all(|(name, count)| drawer["redis"][name] == *count)
        })
        .await;
    }
}

async fn hold_floor(buyer: &Buyer, offer: &str, key: &str, quantity: u32) -> Answer {
    let line = json!({"offer": offer, "area": "FLOOR", "quantity": quantity});
    buyer.hold("show", key, json!({"lines": [line]})).await
}

#[tokio::test]
async fn held_and_sold_places_are_never_taken_away() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let (ada, eve) = (shop.buyer().await, shop.buyer().await);
    let front = ada.offer("show", "front").await;
    let held = ada.hold_best("show", &front, "a", 2).await.expect(201);
    let sold = ada.hold_best("show", &front, "b", 2).await.expect(201);
    let order = ada.checkout("show", &sold.id(), "ada@example.org").await.expect(201);
    let before = shop.get("events/show").await.body["version"].clone();

    // Claimed, then sold, and held: refused by name, and nothing else of the section is changed.
    for paid in [false, true] {
        if paid {
            ada.pay(&order, CARD).await.expect(200);
        }
        let refused = shop.places(json!({"section": "S", "kill": true})).await.expect(409);
        assert_eq!(refused.code(), "places_taken");
        let mut named: Vec<i64> =
            refused.body["places"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        let mut taken = [held.places(), sold.places()].concat();
        named.sort_unstable();
        taken.sort_unstable();
        assert_eq!(named, taken);
    }
    let one = json!({"places": [held.places()[0]], "channel": null, "kill": null});
    assert_eq!(shop.places(one).await.expect(200).body["changed"], 0);
    assert_eq!(shop.get("events/show").await.body["version"], before);
    shop.drawer(&[("killed", 0)]).await;

    // A free row can go, and come back.
    let killed = shop.places(json!({"section": "S", "row": "4", "kill": true})).await.expect(200);
    assert_eq!((&killed.body["places"], &killed.body["changed"]), (&json!(10), &json!(10)));
    let again = shop.places(json!({"section": "S", "row": "4", "kill": true})).await.expect(200);
    assert_eq!(again.body["changed"], 0);
    let back = eve.offer("show", "back").await;
    shop.drawer(&[("killed", 10)]).await;
    eve.hold_best("show", &back, "row3", 10).await.expect(201);
    assert_eq!(eve.hold_best("show", &back, "none", 1).await.expect(409).code(), "none_left");
    shop.places(json!({"section": "S", "row": "4", "kill": false})).await.expect(200);
    shop.drawer(&[("killed", 0)]).await;
    eve.hold_best("show", &back, "row4", 5).await.expect(201);
    ada.checkout("show", &held.id(), "ada@example.org").await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn an_allocation_is_sold_by_its_channel_alone() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let (ada, eve) = (shop.buyer().await, shop.buyer().await);
    let fans = json!({"code": "fans", "name": "Fan club"});
    shop.post("events/show/channels", "c", fans.clone()).await.expect(201);
    shop.post("events/show/channels", "c", fans).await.expect(200);
    let mut offer = super::offer("back", 1_000);
    (offer["channel"], offer["access_code"]) = (json!("fans"), json!("secret"));
    let offer = shop.post("events/show/offers", "o", offer).await.expect(201).id();
    let back = ada.offer("show", "back").await;
    let row = json!({"section": "S", "row": "4", "channel": "fans"});
    assert_eq!(shop.places(row.clone()).await.expect(200).body["changed"], 10);
    shop.drawer(&[("allocated", 10)]).await;

    // The public has row 3; the fans have both.
    ada.hold_best("show", &back, "a", 10).await.expect(201);
    assert_eq!(ada.hold_best("show", &back, "b", 1).await.expect(409).code(), "none_left");
    let wish = json!({"access_code": " Secret", "lines": [{"offer": offer, "best": 4}]});
    let hold = eve.hold("show", "e", wish).await.expect(201);
    assert_eq!(hold.body["total"], 4_000);
    // What a fan holds can't be killed, but the public may have what is left.
    let all = json!({"section": "S", "row": "4", "kill": true});
    shop.places(all).await.expect(409);
    shop.places(json!({"section": "S", "row": "4", "channel": null})).await.expect(200);
    shop.drawer(&[("allocated", 0)]).await;
    ada.hold_best("show", &back, "c", 3).await.expect(201);
    // Nor set aside again while others hold some of it.
    let refused = shop.places(row).await.expect(409);
    assert_eq!(refused.body["count"], 7);
    let order = eve.checkout("show", &hold.id(), "eve@example.org").await.expect(201);
    eve.pay(&order, CARD).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn an_areas_capacity_moves_both_ways_while_it_is_sold() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let (ada, eve) = (shop.buyer().await, shop.buyer().await);
    let floor = ada.offer("show", "floor").await;
    let sold = hold_floor(&ada, &floor, "a", 9).await.expect(201);
    let order = ada.checkout("show", &sold.id(), "ada@example.org").await.expect(201);
    ada.pay(&order, CARD).await.expect(200);
    let held = hold_floor(&ada, &floor, "b", 6).await.expect(201);

    let refused = shop.capacity(14).await.expect(409);
    assert_eq!((refused.code(), &refused.body["least"]), ("places_taken", &json!(15)));
    assert_eq!(shop.capacity(16).await.expect(200).body["capacity"], 16);
    shop.drawer(&[("killed", 4)]).await;
    hold_floor(&eve, &floor, "two", 2).await.expect(409);
    // Up again: killed units come back first, then further ones are added.
    shop.capacity(30).await.expect(200);
    shop.drawer(&[("killed", 0), ("capacity", 70)]).await;
    let more = hold_floor(&eve, &floor, "ten", 10).await.expect(201);
    let last = hold_floor(&eve, &floor, "five", 5).await.expect(201);
    hold_floor(&eve, &floor, "one", 1).await.expect(409);
    for hold in [&more, &last] {
        let order = eve.checkout("show", &hold.id(), "eve@example.org").await.expect(201);
        eve.pay(&order, CARD).await.expect(200);
    }
    ada.checkout("show", &held.id(), "ada@example.org").await.expect(201);
    for bad in [0, 100_001] {
        shop.capacity(bad).await.expect(422);
    }
    shop.post("events/show/areas/S/capacity", "-", json!({"capacity": 5})).await.expect(404);
    shop.close().await;
}

#[tokio::test]
async fn places_of_an_event_that_was_never_on_sale_are_changed_as_well() {
    let shop = Shop::open().await;
    shop.draft("show").await;
    shop.places(json!({"section": "S", "row": "1", "kill": true})).await.expect(200);
    let fans = json!({"code": "fans", "name": "Fan club"});
    shop.post("events/show/channels", "c", fans).await.expect(201);
    shop.places(json!({"section": "S", "row": "2", "channel": "fans"})).await.expect(200);
    shop.capacity(25).await.expect(200);
    shop.capacity(8).await.expect(200);
    shop.capacity(12).await.expect(200);
    shop.post("events/show/offers", "o", super::offer("back", 3_000)).await.expect(201);
    shop.set_status("show", "on_sale").await.expect(200);
    shop.drawer(&[("killed", 23), ("allocated", 10), ("free", 32), ("capacity", 65)]).await;
    for bad in [
        json!({"places": [1_000_000], "kill": true}),
        json!({"places": [], "kill": true}),
        json!({"places": [0]}),
        json!({"places": [0], "kill": true, "channel": "fans"}),
        json!({"places": [0], "section": "S", "kill": true}),
        json!({"section": "X", "kill": true}),
        json!({"section": "S", "row": "9", "kill": true}),
        json!({"section": "S", "channel": "x"}),
    ] {
        shop.places(bad).await.expect(422);
    }
    shop.close().await;
}

/// Kills and holds race for the same places: whoever comes second is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_and_a_hold_never_get_the_same_place() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    shop.patch("events/show", json!({"orphan_rule": false})).await.expect(200);
    let manifest = buyer.get("/v1/events/show/manifest").await.body;
    let rows = manifest["sections"][0]["rows"].as_array().unwrap();
    let seats: Vec<i64> = rows[..2]
        .iter()
        .flat_map(|row| row["places"].as_array().unwrap().clone())
        .filter_map(|place| place.as_i64())
        .collect();
    for seat in seats {
        let body = json!({"places": [seat], "kill": true});
        let (seat_list, key) = ([seat], format!("k{seat}"));
        let (killed, held) = tokio::join!(
            shop.me.send(Method::POST, "/v1/organizer/events/show/places", None, Some(body)),
            buyer.hold_places("show", &front, &key, &seat_list),
        );
        let both = (killed.status.as_u16(), held.status.as_u16());
        assert!(both == (200, 409) || both == (409, 201), "{killed:?} {held:?}");
    }
    shop.close().await;
}

/// Redis agrees, Postgres refuses: Redis has again what it had.
#[tokio::test]
async fn what_postgres_refuses_is_taken_back_in_redis() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let event: uuid::Uuid = shop.get("events/show").await.id().parse().unwrap();
    let manifest = shop.me.get("/v1/events/show/manifest").await.body;
    let seat = manifest["sections"][0]["rows"][3]["places"][4].as_i64().unwrap();
    // A claim that Redis has not heard of.
    sqlx::query("INSERT INTO claims (event_id, place, order_id) VALUES ($1, $2, $1)")
        .bind(event)
        .bind(i32::try_from(seat).unwrap())
        .execute(&shop.env.pg)
        .await
        .unwrap();
    let refused = shop.places(json!({"section": "S", "row": "4", "kill": true})).await.expect(409);
    assert_eq!(refused.body["places"], json!([seat]));
    sqlx::query("DELETE FROM claims").execute(&shop.env.pg).await.unwrap();
    shop.drawer(&[("killed", 0), ("free", 60)]).await;
    let buyer = shop.buyer().await;
    let back = buyer.offer("show", "back").await;
    buyer.hold_best("show", &back, "a", 10).await.expect(201);
    buyer.hold_best("show", &back, "b", 10).await.expect(201);
    shop.close().await;
}

/// Everything is rebuilt from Postgres: changes before, during and after count.
#[tokio::test]
async fn changes_survive_the_loss_of_redis() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let app = &shop.server.server.app;
    let id = shop.get("events/show").await.id().parse().unwrap();
    let fans = json!({"code": "fans", "name": "Fan club"});
    shop.post("events/show/channels", "c", fans).await.expect(201);
    shop.places(json!({"section": "S", "row": "1", "kill": true})).await.expect(200);
    shop.places(json!({"section": "S", "row": "2", "channel": "fans"})).await.expect(200);
    shop.capacity(25).await.expect(200);
    onsale::holds::rebuild::force(app, id).await.unwrap();
    let before = [("killed", 10), ("allocated", 10), ("free", 45), ("capacity", 65)];
    shop.drawer(&before).await;

    // While nothing is built, nothing is taken away, but places and pauses can be given.
    sqlx::query("UPDATE epochs SET redis_run_id = NULL").execute(&shop.env.pg).await.unwrap();
    let row = json!({"section": "S", "row": "1", "kill": false});
    assert_eq!(shop.places(row).await.status.as_u16(), 200);
    shop.set_status("show", "paused").await.expect(200);
    onsale::holds::rebuild::ensure(app, id).await.unwrap();
    until("it is built again", || async { shop.capacity(20).await.status == 200 }).await;
    shop.drawer(&[("killed", 5), ("allocated", 10), ("free", 50), ("capacity", 65)]).await;
    let buyer = shop.buyer().await;
    let front = buyer.offer("show", "front").await;
    assert_eq!(buyer.hold_best("show", &front, "a", 1).await.expect(409).code(), "not_on_sale");
    shop.set_status("show", "on_sale").await.expect(200);
    buyer.hold_best("show", &front, "b", 10).await.expect(201);
    shop.close().await;
}
