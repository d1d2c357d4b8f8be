//! From joining to a ticket, and everything on the way that must be refused.

use onsale::ids::AccountId;
use onsale::keyring::Keyring;
use onsale::waiting_room::DRAWN;
use onsale::waiting_room::token::{Pass, QueueToken};
use serde_json::json;

use super::*;
use crate::support::until;

#[tokio::test]
async fn who_joins_before_the_draw_waits_is_called_shops_and_leaves() {
    let venue = Venue::open(|_| {}).await;
    let buyer = venue.server.buyer().await;
    hold(&buyer, "early", None).await.expect(403);

    let joined = join_with(&buyer, json!({})).await.expect(200);
    assert_eq!(joined.body["state"], "pre_queue");
    assert_eq!(joined.body["place"], Value::Null, "nobody knows ranks before the draw");
    let token = token(&joined);
    assert_eq!(join(&buyer).await, token, "joining again changes nothing");
    let early = exchange(&buyer, &token).await.expect(409);
    assert_eq!(early.code(), "not_your_turn");

    venue.draw().await;
    // The estimate of who joined is Redis's; the controller brings it.
    venue.admit_all().await;
    let turn = poll(&buyer, &token).await.expect(200);
    assert_eq!(turn.body["state"], "your_turn", "{turn:?}");
    until("everybody is told the beacon and the seed", || async {
        let told = poll(&buyer, &token).await.expect(200).body["room"]["lanes"][0].clone();
        told["beacon"] == "heads" && told["seed"] == "07".repeat(32).as_str()
    })
    .await;

    let pass = exchange(&buyer, &token).await.expect(201);
    let again = exchange(&buyer, &token).await.expect(201);
    assert_eq!(pass.body["pass"], again.body["pass"], "one turn, one pass");
    let pass = pass.body["pass"].as_str().expect("a pass");
    let held = hold(&buyer, "one", Some(pass)).await.expect(201);
    let order = buyer.checkout("show", &held.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);

    // Whoever has bought is outside again, on every process.
    until("the pass ends with the purchase", || async {
        hold(&buyer, "two", Some(pass)).await.code() == "pass_invalid"
    })
    .await;
    assert_eq!(exchange(&buyer, &token).await.expect(409).code(), "turn_spent");
    // Also if the process that settled the payment was stopped before it could say so.
    sqlx::query("UPDATE passes SET ended_at = NULL, reason = NULL, places = NULL")
        .execute(&venue.env.pg)
        .await
        .expect("the past");
    until("the controller ends what was forgotten", || async {
        venue.admit().await;
        let reason: Option<String> = sqlx::query_scalar("SELECT reason FROM passes")
            .fetch_one(&venue.env.pg)
            .await
            .expect("a pass");
        reason.as_deref() == Some("bought")
    })
    .await;
    let back = join_with(&buyer, json!({"token": token})).await.expect(200);
    let place: i64 = back.body["place"].as_str().expect("a place").parse().expect("a number");
    assert!(place >= DRAWN, "behind everyone");
    venue.end().await;
}

#[tokio::test]
async fn late_comers_are_served_in_the_order_of_arrival_and_never_before_the_drawn() {
    let venue = Venue::open(|room| room.per_minute = 60).await;
    let mut drawn = Vec::new();
    for _ in 0..10 {
        let buyer = venue.server.buyer().await;
        drawn.push((join(&buyer).await, buyer));
    }
    venue.draw().await;
    let mut late = Vec::new();
    for _ in 0..5 {
        let buyer = venue.server.buyer().await;
        late.push((join(&buyer).await, buyer));
    }
    let called = async |line: &[(String, Buyer)]| {
        let mut states = Vec::new();
        for (token, buyer) in line {
            let state = poll(buyer, token).await.expect(200);
            states.push(state.body["state"] == "your_turn");
        }
        states
    };
    let mut seen = 0;
    for _ in 0..200 {
        venue.admit().await;
        let now = called(&late).await;
        let count = now.iter().filter(|called| **called).count();
        assert!(now.iter().take(count).all(|called| *called), "in order: {now:?}");
        if count > 0 {
            assert!(called(&drawn).await.iter().all(|called| *called), "the drawn come first");
        }
        assert!(count >= seen, "nobody is called back");
        seen = count;
        if count == 5 {
            break;
        }
    }
    assert_eq!(seen, 5, "all are called in the end");
    venue.end().await;
}

#[tokio::test]
async fn tokens_and_passes_are_of_no_use_to_others() {
    let venue = Venue::open(|_| {}).await;
    venue.draw().await;
    let (buyer, token, pass) = inside(&venue).await;
    let thief = venue.server.buyer().await;
    assert_eq!(exchange(&thief, &token).await.expect(403).code(), "queue_token");
    assert_eq!(hold(&thief, "1", Some(&pass)).await.expect(403).code(), "pass_invalid");
    assert_eq!(hold(&thief, "1", None).await.expect(403).code(), "pass_needed");
    // A token of one step is none of another.
    assert_eq!(hold(&buyer, "1", Some(&token)).await.expect(403).code(), "pass_invalid");
    assert_eq!(exchange(&buyer, &pass).await.expect(403).code(), "queue_token");
    assert_eq!(poll(&buyer, &buyer.token).await.expect(403).code(), "queue_token");
    assert_eq!(hold(&buyer, "1", Some(&buyer.token)).await.expect(403).code(), "pass_invalid");
    // Nor is one of another event, or another's key.
    let app = &venue.server.server.app;
    let account = account(&buyer, app).await;
    let foreign = Pass {
        id: uuid::Uuid::now_v7(),
        event: EventId::fresh(),
        subject: account,
        lane: 0,
        until_ms: i64::MAX / 2,
    };
    let sealed = foreign.seal(&app.keyring);
    assert_eq!(hold(&buyer, "1", Some(&sealed)).await.expect(403).code(), "pass_invalid");
    let mut keys = venue.env.config.keys.clone();
    keys.tokens[0].secret = "ab".repeat(32);
    let other = Keyring::new(&keys).expect("keys");
    let ours = Pass { event: venue.event, ..foreign };
    let forged = hold(&buyer, "1", Some(&ours.seal(&other))).await.expect(403);
    assert_eq!(forged.code(), "pass_invalid");
    let over = Pass { until_ms: 1, ..ours }.seal(&app.keyring);
    assert_eq!(hold(&buyer, "1", Some(&over)).await.expect(403).code(), "pass_invalid");
    let early = QueueToken { event: venue.event, lane: 0, subject: account, place: Some(1) };
    let jumped = exchange(&buyer, &early.seal(&app.keyring)).await.expect(403);
    assert_eq!(jumped.code(), "queue_token", "no token names a place in the draw");
    hold(&buyer, "1", Some(&pass)).await.expect(201);
    venue.end().await;
}

async fn account(buyer: &Buyer, app: &onsale::app::App) -> AccountId {
    app.keyring.verify_session(&buyer.token, app.now()).expect("a session")
}

#[tokio::test]
async fn giving_up_frees_the_slot_at_once() {
    let venue = Venue::open(|room| room.target_inside = 1).await;
    venue.draw().await;
    let (first, _, pass) = inside(&venue).await;
    let second = venue.server.buyer().await;
    let token = join(&second).await;
    for _ in 0..5 {
        venue.admit().await;
    }
    assert_eq!(poll(&second, &token).await.body["state"], "waiting", "one at a time");
    let url = format!("{}/v1/events/show/waiting-room/pass", first.url);
    let gone = first.http.delete(url).bearer_auth(&first.token).header("onsale-pass", &pass);
    assert_eq!(gone.send().await.expect("an answer").status(), 204);
    assert_eq!(hold(&first, "1", Some(&pass)).await.expect(403).code(), "pass_invalid");
    venue.admit_all().await;
    assert_eq!(poll(&second, &token).await.body["state"], "your_turn");
    venue.end().await;
}

#[tokio::test]
async fn a_missed_turn_comes_once_more_and_then_one_joins_again() {
    let venue = Venue::open(|_| {}).await;
    venue.draw().await;
    let buyer = venue.server.buyer().await;
    let token = join(&buyer).await;
    venue.admit_all().await;
    let earlier = async |seconds: i64| {
        sqlx::query("UPDATE waiting_calls SET at = at - make_interval(secs => $1)")
            .bind(seconds as f64)
            .execute(&venue.env.pg)
            .await
            .expect("the past");
        let app = &venue.server.server.app;
        app.rooms.refresh(&[venue.event]).await.expect("read");
        poll(&buyer, &token).await.expect(200).body["state"].clone()
    };
    assert_eq!(earlier(0).await, "your_turn");
    assert_eq!(earlier(130).await, "second_chance");
    assert_eq!(exchange(&buyer, &token).await.expect(409).body["state"], "second_chance");
    assert_eq!(earlier(240).await, "your_turn");
    assert_eq!(earlier(130).await, "missed");
    assert_eq!(exchange(&buyer, &token).await.expect(409).body["state"], "missed");
    let back = join_with(&buyer, json!({"token": token})).await.expect(200);
    assert_ne!(super::token(&back), token);
    assert_eq!(back.body["state"], "waiting");
    venue.end().await;
}
