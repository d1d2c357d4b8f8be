//! The organizer's switches, and what every process makes of them.

use std::time::Instant;

use onsale::organizers::keys::Scope;
use serde_json::json;

use super::*;
use crate::support::{soon, until};

const CONTROL: &str = "/v1/organizer/events/show/waiting-room/control";

async fn organizer(venue: &Venue) -> Buyer {
    crate::organizers::organizer(&venue.env, &venue.server, venue.env.organizer, &Scope::ALL).await
}

#[tokio::test]
async fn a_room_is_made_drawn_and_opened_over_the_api() {
    let env = Env::start().await;
    let hall = hall(4, 10, 20);
    let event = env.event(&Seed::new("show", &hall)).await;
    let server = env.server().await;
    let venue = Venue { env, event, server };
    let me = organizer(&venue).await;
    let path = "/v1/organizer/events/show/waiting-room";
    let at = |minutes: i64| {
        (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
    };
    let general = json!({"code": "general", "name": "General", "kind": "general",
        "draw_at": at(30), "opens_at": at(31), "beacon_name": "tomorrow's lottery numbers"});
    let room = json!({"target_inside": 5, "proof": false, "lanes": [general]});
    let buyer = venue.server.buyer().await;
    hold(&buyer, "before", None).await.expect(201);
    let made = me.send(Method::PUT, path, None, Some(room.clone())).await.expect(200);
    let hash = made.body["lanes"][0]["seed_hash"].as_str().expect("a hash").to_owned();
    assert_eq!(made.body["lanes"][0]["phase"], "pre_queue");
    assert_eq!(made.body["lanes"][0]["seed"], Value::Null);
    until("holds need a pass", || async {
        hold(&venue.server.buyer().await, "1", None).await.code() == "pass_needed"
    })
    .await;
    // Changing it doesn't change the draw.
    let again = me.send(Method::PUT, path, None, Some(json!({"per_minute": 60}))).await.expect(200);
    assert_eq!(again.body["lanes"][0]["seed_hash"], hash);
    let mut other = room.clone();
    other["lanes"][0]["beacon_name"] = json!("my own number");
    me.send(Method::PUT, path, None, Some(other)).await.expect(422);

    let beacon = json!({"lane": "general", "beacon": "3 7 11 19 23 41"});
    let early = me.send(Method::POST, &format!("{path}/beacon"), None, Some(beacon.clone())).await;
    assert_eq!(early.expect(409).code(), "event_state");
    me.send(Method::POST, CONTROL, None, Some(json!({"action": "open_now"}))).await.expect(200);
    let drawn = me.send(Method::POST, &format!("{path}/beacon"), None, Some(beacon)).await;
    let drawn = drawn.expect(200);
    let seed = drawn.body["lanes"][0]["seed"].as_str().expect("a seed").to_owned();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(hex::decode(seed).expect("hex"));
    assert_eq!(hex::encode(digest), hash, "the seed that was promised");
    let moved = me.send(Method::PUT, path, None, Some(room)).await.expect(409);
    assert_eq!(moved.code(), "event_state", "a draw that was made stays");
    venue.end().await;
}

#[tokio::test]
async fn a_switch_is_felt_by_every_process_in_less_than_two_seconds() {
    let venue = Venue::open(|room| room.per_minute = 1).await;
    let second = venue.env.server().await;
    venue.draw().await;
    let me = organizer(&venue).await;
    let mut buyer = venue.server.buyer().await;
    let token = join(&buyer).await;
    buyer.url.clone_from(&second.url);
    for (action, state) in [
        ("pause", "paused"),
        ("resume", "waiting"),
        ("drain", "waiting"),
        ("close", "closed"),
        ("resume", "waiting"),
        ("lift", "lifted"),
    ] {
        soon(async |turn| {
            let message = format!("{turn}: {action}");
            let body = json!({"action": action, "message": message});
            me.send(Method::POST, CONTROL, None, Some(body)).await.expect(200);
            let switched = Instant::now();
            until(&format!("{action} is felt"), || async {
                let now = poll(&buyer, &token).await.expect(200);
                now.body["state"] == state && now.body["room"]["message"] == message.as_str()
            })
            .await;
            switched.elapsed()
        })
        .await;
        if action == "drain" {
            let late = venue.server.buyer().await;
            assert_eq!(join_with(&late, json!({})).await.expect(409).code(), "line_closed");
        }
    }
    // Lifted: nobody needs a pass.
    hold(&buyer, "1", None).await.expect(201);
    second.stop().await;
    venue.end().await;
}

#[tokio::test]
async fn a_revoked_pass_is_refused_everywhere() {
    let venue = Venue::open(|_| {}).await;
    venue.draw().await;
    let second = venue.env.server().await;
    let (mut buyer, _, pass) = inside(&venue).await;
    let app = &venue.server.server.app;
    let account = app.keyring.verify_session(&buyer.token, app.now()).expect("a session");
    let me = organizer(&venue).await;
    buyer.url.clone_from(&second.url);
    hold(&buyer, "1", Some(&pass)).await.expect(201);
    let path = format!("/v1/organizer/events/show/waiting-room/passes/{account}");
    me.send(Method::DELETE, &path, None, None).await.expect(204);
    me.send(Method::DELETE, &path, None, None).await.expect(404);
    until("the second process refuses it", || async {
        hold(&buyer, "2", Some(&pass)).await.code() == "pass_invalid"
    })
    .await;
    second.stop().await;
    venue.end().await;
}

#[tokio::test]
async fn nobody_is_called_for_whom_nothing_is_left_until_something_comes_back() {
    let venue = Venue::open(|room| room.target_inside = 1_000).await;
    venue.draw().await;
    let (shopper, _, pass) = inside(&venue).await;
    // One buys everything that there is: 60 places, 50 at a time.
    let mut held = Vec::new();
    for (key, level, n) in
        [("a", "front", 10), ("b", "front", 10), ("c", "back", 10), ("d", "back", 10)]
    {
        let offer = shopper.offer("show", level).await;
        let wish = json!({"lines": [{"offer": offer, "best": n}]});
        held.push(hold_wish(&shopper, key, Some(&pass), wish).await.expect(201));
    }
    let floor = shopper.offer("show", "floor").await;
    for key in ["e", "f"] {
        let wish = json!({"lines": [{"offer": floor, "area": "FLOOR", "quantity": 10}]});
        held.push(hold_wish(&shopper, key, Some(&pass), wish).await.expect(201));
    }
    // What is held may come back soon, what is being paid for hardly.
    for hold in &held {
        shopper.checkout("show", &hold.id(), "ada@example.org").await.expect(201);
    }
    let waiter = venue.server.buyer().await;
    let token = join(&waiter).await;
    until("the board knows", || async {
        venue.admit().await;
        poll(&waiter, &token).await.body["state"] == "sold_out"
    })
    .await;
    for hold in &held {
        let path = format!("/v1/orders/{}/cancel", hold.id());
        shopper.send(Method::POST, &path, None, None).await.expect(200);
    }
    until("places that came back let people in", || async {
        venue.admit().await;
        poll(&waiter, &token).await.body["state"] == "your_turn"
    })
    .await;
    venue.end().await;
}

#[tokio::test]
async fn who_found_nothing_and_asks_no_more_keeps_nobody_from_the_last_places() {
    let room = |room: &mut onsale::waiting_room::Room| room.target_inside = 1_000;
    let venue = Venue::of(Env::start().await, &hall(2, 10, 1), room).await;
    venue.draw().await;
    let mut shoppers = Vec::new();
    for _ in 0..6 {
        shoppers.push(inside(&venue).await);
    }
    let (first, _, pass) = &shoppers[0];
    for level in ["front", "back"] {
        let offer = first.offer("show", level).await;
        let wish = json!({"lines": [{"offer": offer, "best": 10}]});
        let held = hold_wish(first, level, Some(pass), wish).await.expect(201);
        let order = first.checkout("show", &held.id(), "ada@example.org").await.expect(201);
        first.pay(&order, "4242424242424242").await.expect(200);
    }
    assert_eq!(first.drawer("show").await["postgres"]["sold"], 20);
    // The others want two together, and one place is left.
    let waiter = venue.server.buyer().await;
    let token = join(&waiter).await;
    for (shopper, _, pass) in &shoppers[1..] {
        assert_eq!(hold(shopper, "1", Some(pass)).await.expect(409).code(), "none_left");
    }
    until("that they got nothing is noted", || async { got_nothing(&venue).await == 5 }).await;
    // They may yet take what is left.
    missed(&venue, "now()").await;
    for _ in 0..5 {
        assert_eq!(venue.admit().await, 0.0);
    }
    missed(&venue, "now() - interval '10 s'").await;
    until("somebody else is let in to the last place", || async {
        venue.admit().await;
        poll(&waiter, &token).await.body["state"] == "your_turn"
    })
    .await;
    // Who comes back is still inside.
    let (back, _, pass) = &shoppers[5];
    let floor = back.offer("show", "floor").await;
    let wish = json!({"lines": [{"offer": floor, "area": "FLOOR", "quantity": 1}]});
    hold_wish(back, "2", Some(pass), wish).await.expect(201);
    until("that they found something is noted", || async { got_nothing(&venue).await == 4 }).await;
    venue.end().await;
}

/// How many are noted as having got nothing.
async fn got_nothing(venue: &Venue) -> i64 {
    sqlx::query_scalar("SELECT count(missed_at) FROM passes")
        .fetch_one(&venue.env.pg)
        .await
        .expect("a number")
}

/// All who got nothing got it then.
async fn missed(venue: &Venue, then: &'static str) {
    let at = format!("UPDATE passes SET missed_at = {then} WHERE missed_at IS NOT NULL");
    sqlx::query(sqlx::AssertSqlSafe(at)).execute(&venue.env.pg).await.expect("noted");
}
