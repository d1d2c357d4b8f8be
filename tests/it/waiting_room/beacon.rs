//! A beacon that is fetched from a relay, which may be gone, slow, or wrong.

use onsale::waiting_room::draw::Draw;
use onsale::waiting_room::verify::{self, Question, Verdict};
use onsale::workers::beacons;

use super::*;
use crate::support::process::free_address;
use crate::support::relay::{Manner, Relay, said, template};

/// The round that was named.
const ROUND: i64 = 4_711;

#[tokio::test]
async fn a_draw_waits_for_the_right_value_of_its_round_and_takes_no_other() {
    let address = free_address();
    let mut env = Env::start().await;
    env.config.waiting_room.beacon_url = template(address);
    env.config.waiting_room.beacon_within_ms = 5_000;
    let venue = Venue::on(env, |room| {
        let draw = &room.lanes[0].draw;
        let name = draw.beacon_name.clone();
        room.lanes[0].draw = Draw::new(room.event, 0, [7; 32], &name, Some(ROUND), None);
    })
    .await;
    let app = &venue.server.server.app;
    let buyer = venue.server.buyer().await;
    let token = join(&buyer).await;
    let relay = Relay::open(address).await;
    beacons::run_once(app).await.expect("nothing is due");
    assert_eq!(relay.asked(), 0, "nobody may know it while one can still join");
    venue.shut().await;
    // Nobody is called, and no seed revealed, before the value is there.
    let undrawn = async |what: &str| {
        app.rooms.refresh(&[venue.event]).await.expect("read");
        let room = app.rooms.known(venue.event).expect("a room");
        assert!(!room.lanes[0].draw.is_drawn(), "{what}");
        assert_eq!(venue.admit().await, 0.0, "{what}");
        let told = poll(&buyer, &token).await.expect(200);
        assert_eq!(told.body["state"], "drawing", "{what}");
        assert_eq!(told.body["room"]["lanes"][0]["seed"], Value::Null, "{what}");
    };
    let manners = [
        Manner::Silent,
        Manner::Broken,
        Manner::Page,
        Manner::Endless,
        Manner::OtherRound,
        Manner::OtherValue,
    ];
    for (asked, manner) in manners.into_iter().enumerate() {
        relay.is(manner);
        beacons::run_once(app).await.expect("Postgres works");
        assert_eq!(relay.asked(), asked + 1, "{manner:?}");
        undrawn(&format!("{manner:?}")).await;
    }
    relay.is(Manner::Good);
    beacons::run_once(app).await.expect("Postgres works");
    beacons::run_once(app).await.expect("Postgres works");
    assert_eq!(relay.asked(), manners.len() + 1, "one good answer is enough");
    venue.admit_all().await;
    assert_published(&venue, &buyer, &token).await;
    venue.end().await;
}

/// Everybody can read what was mixed in, and find everybody's place with it.
async fn assert_published(venue: &Venue, buyer: &Buyer, token: &str) {
    crate::support::until("the value is published", || async {
        let lane = poll(buyer, token).await.expect(200).body["room"]["lanes"][0].clone();
        lane["beacon"] == said(ROUND)["randomness"]
    })
    .await;
    let app = &venue.server.server.app;
    let account = app.keyring.verify_session(&buyer.token, app.now()).expect("a session");
    let url = format!("{}/v1/events/show/waiting-room", venue.server.url);
    let question =
        Question { subject: account.0, lane: Some(0), url: Some(url), ..Question::default() };
    let Verdict::Place(place, _) = verify::answer(question).await.expect("an answer") else {
        panic!("another seed");
    };
    let told = poll(buyer, token).await.expect(200);
    assert_eq!(told.body["place"], place.to_string());
    assert_eq!(told.body["state"], "your_turn");
}

#[tokio::test]
async fn a_relay_that_is_down_is_asked_until_it_is_back_by_workers_that_block_nobody() {
    let address = free_address();
    let mut env = Env::start().await;
    env.config.waiting_room.beacon_url = template(address);
    crate::support::stage::brisk(&mut env.config);
    let venue = Venue::on(env, |room| {
        let name = room.lanes[0].draw.beacon_name.clone();
        room.lanes[0].draw = Draw::new(room.event, 0, [7; 32], &name, Some(ROUND), None);
        // Another lane's organizer tosses a coin: it needn't wait for the relay.
        room.lanes.push(lane(room.event, 1, LaneKind::General, "coin"));
    })
    .await;
    let (ada, bob) = (venue.server.buyer().await, venue.server.buyer().await);
    let waits = join(&ada).await;
    let coin = token(&join_with(&bob, json!({"lane": "coin"})).await.expect(200));
    venue.shut().await;
    let put = store::put_beacon(&venue.env.pg, venue.event, 1, "heads").await;
    assert!(put.expect("stored"));
    crate::support::until("the other lane moves", || async {
        poll(&bob, &coin).await.expect(200).body["state"] == "your_turn"
    })
    .await;
    assert_eq!(poll(&ada, &waits).await.expect(200).body["state"], "drawing");
    let relay = Relay::open(address).await;
    crate::support::until("it is drawn and called", || async {
        poll(&ada, &waits).await.expect(200).body["state"] == "your_turn"
    })
    .await;
    assert_eq!(relay.asked(), 1);
    assert_published(&venue, &ada, &waits).await;
    venue.end().await;
}
