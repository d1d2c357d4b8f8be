//! Redis loses its memory, or dies, in every phase of a room: nobody loses a place, no number
//! comes twice or falls, and from each phase the journey goes on to tickets.

use onsale::waiting_room::{DRAWN, RoomState};

use super::*;
use crate::accounts::signed_in;
use crate::support::shopper::patiently;
use crate::support::stage::{self, SHOW};
use crate::support::until;

const CARD: &str = "4242424242424242";

/// How Redis is lost.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// FLUSHALL: it goes on, with nothing in it.
    Flush,
    /// kill -9, and started anew.
    Restart,
}

/// Somebody in line.
struct Person {
    buyer: Buyer,
    token: String,
    pass: Option<String>,
}

/// What somebody is told that must not be lost.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    state: Value,
    place: Value,
}

/// A room, and all who are in its line.
struct Line {
    venue: Venue,
    people: Vec<Person>,
    loss: Loss,
    /// The last number that a late-comer got.
    last: i64,
}

impl Line {
    async fn open(loss: Loss) -> Self {
        let env = Env::with_own_redis().await;
        let venue = Venue::on(env, |room| {
            room.per_minute = 60_000;
            let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(30);
            room.lanes[0].joins_at = later;
        })
        .await;
        Self { venue, people: Vec::new(), loss, last: DRAWN - 1 }
    }

    /// Changes the room as an organizer would.
    async fn change(&self, change: impl FnOnce(&mut Room)) {
        let app = &self.venue.server.server.app;
        app.rooms.refresh(&[self.venue.event]).await.expect("read");
        let mut room = (*app.rooms.known(self.venue.event).expect("a room")).clone();
        change(&mut room);
        self.venue.put(&room).await;
    }

    /// Somebody joins, whom nobody knew. Late-comers' numbers rise.
    async fn come(&mut self, buyer: Buyer) {
        let joined = patiently(|| join_with(&buyer, json!({}))).await.expect(200);
        if let Some(place) = joined.body["place"].as_str() {
            let number: i64 = place.parse().expect("a number");
            assert!(number > self.last, "{number} after {}", self.last);
            self.last = number;
        }
        self.people.push(Person { buyer, token: token(&joined), pass: None });
    }

    async fn stranger(&mut self) {
        self.come(self.venue.server.buyer().await).await;
    }

    /// Who has an account: one place on all devices.
    async fn member(&mut self, email: &str) {
        self.come(signed_in(&self.venue.env, &self.venue.server, email).await).await;
    }

    async fn told(&self) -> Vec<Told> {
        let mut all = Vec::new();
        for person in &self.people {
            let now = poll(&person.buyer, &person.token).await.expect(200);
            let (state, place) = (now.body["state"].clone(), now.body["place"].clone());
            all.push(Told { state, place });
        }
        all
    }

    /// Redis is lost, and comes back.
    async fn lose(&mut self, phase: &str) {
        let before = self.told().await;
        match self.loss {
            Loss::Flush => {
                let mut redis = stage::redis(&self.venue.env).await;
                let () = redis::cmd("FLUSHALL").query_async(&mut redis).await.expect("flushed");
            }
            Loss::Restart => {
                self.venue.env.stack.kill_redis().await.expect("dead");
                // Polls need no Redis.
                assert_eq!(self.told().await, before, "{phase}, Redis is dead");
                self.venue.env.stack.start_redis().await.expect("back");
            }
        }
        assert_eq!(self.told().await, before, "{phase}, Redis was lost");
        let scout = &self.venue.server.buyer().await;
        until("the sale is rebuilt", || async {
            self.venue.admit().await;
            scout.get(&format!("/v1/events/{SHOW}/drawer")).await.status.is_success()
                && self.is_in_redis().await
        })
        .await;
    }

    /// Whether there is a sale in Redis: what was counted a moment ago is told without it.
    async fn is_in_redis(&self) -> bool {
        let app = &self.venue.server.server.app;
        let sale = app.find_sale(SHOW).await.expect("the show");
        let mut redis = stage::redis(&self.venue.env).await;
        redis::cmd("EXISTS").arg(&sale.keys.head).query_async(&mut redis).await.expect("an answer")
    }

    /// Everybody is told the same as before.
    async fn same(&self, phase: &str, before: &[Told]) {
        assert_eq!(self.told().await, before, "{phase}");
        // On another device, or joining again, it is the same place.
        for person in &self.people {
            let again = json!({"token": person.token});
            let again = patiently(|| join_with(&person.buyer, again.clone())).await.expect(200);
            assert_eq!(token(&again), person.token, "{phase}");
        }
    }

    async fn all_are(&self, state: &str) {
        let told = self.told().await;
        assert!(told.iter().all(|told| told.state == state), "{state}: {told:?}");
    }

    /// Calls until nobody waits.
    async fn call_all(&self, who: std::ops::Range<usize>) {
        until("all are called", || async {
            self.venue.admit().await;
            let told = self.told().await;
            who.clone().all(|number| told[number].state == "your_turn")
        })
        .await;
    }

    async fn exchange(&mut self, number: usize) {
        let person = &self.people[number];
        let pass = patiently(|| exchange(&person.buyer, &person.token)).await.expect(201);
        let pass = pass.body["pass"].as_str().expect("a pass").to_owned();
        let known = self.people[number].pass.replace(pass.clone());
        assert!(known.is_none_or(|known| known == pass), "one turn, one pass");
    }

    async fn hold(&self, number: usize, key: &str) -> Answer {
        let person = &self.people[number];
        patiently(|| hold(&person.buyer, key, person.pass.as_deref())).await.expect(201)
    }
}

/// Through all phases, losing Redis in each.
async fn walk(loss: Loss) {
    let mut line = Line::open(loss).await;
    let early = line.venue.server.buyer().await;
    line.lose("announced").await;
    assert_eq!(join_with(&early, json!({})).await.expect(409).code(), "not_open_yet");

    let joins_at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    line.change(|room| room.lanes[0].joins_at = joins_at).await;
    line.come(early).await;
    line.stranger().await;
    line.member("ada@example.org").await;
    let before = line.told().await;
    line.lose("pre-queue").await;
    line.same("pre-queue", &before).await;
    line.stranger().await;
    line.all_are("pre_queue").await;

    line.venue.shut().await;
    line.stranger().await;
    line.member("bob@example.org").await;
    let before = line.told().await;
    line.lose("drawing").await;
    line.same("drawing", &before).await;
    line.stranger().await;
    line.all_are("drawing").await;

    line.change(|room| room.state = RoomState::Paused).await;
    line.venue.draw().await;
    let before = line.told().await;
    assert!(before.iter().all(|told| told.place.is_string()), "{before:?}");
    line.lose("paused").await;
    line.same("paused", &before).await;
    line.stranger().await;
    line.all_are("paused").await;

    line.change(|room| (room.state, room.per_minute) = (RoomState::Open, 1)).await;
    let before = line.told().await;
    line.lose("open").await;
    let waiting = line.told().await;
    assert!(before.iter().zip(&waiting).all(|(was, is)| was.place == is.place));
    line.stranger().await;
    inside(line).await;
}

/// From the call to the tickets.
async fn inside(mut line: Line) {
    line.change(|room| room.per_minute = 60_000).await;
    let all = line.people.len();
    line.call_all(0..all).await;
    let before = line.told().await;
    line.lose("called").await;
    line.same("called", &before).await;

    for number in 0..4 {
        line.exchange(number).await;
    }
    line.lose("with a pass").await;
    for number in 0..all {
        line.exchange(number).await;
    }
    for number in 0..3 {
        line.hold(number, "before").await;
    }
    line.lose("holding").await;
    // Holds of a lost Redis are gone, as documented: the pass is still good for others.
    let mut orders = Vec::new();
    for number in 0..3 {
        let held = line.hold(number, "after").await.id();
        let buyer = &line.people[number].buyer;
        let email = format!("buyer{number}@example.org");
        let order = patiently(|| buyer.checkout(SHOW, &held, &email)).await.expect(201);
        orders.push(order);
    }
    line.lose("paying").await;
    for (person, order) in line.people.iter().zip(&orders) {
        person.buyer.pay(order, CARD).await.expect(200);
        let paid = person.buyer.order(&order.id()).await;
        assert_eq!(paid.body["status"], "paid");
        assert_eq!(paid.body["tickets"].as_array().map(Vec::len), Some(2), "{paid:?}");
    }
    over(line, &orders).await;
}

/// The line is drained, and closed.
async fn over(mut line: Line, orders: &[Answer]) {
    let late = line.people.len();
    line.stranger().await;
    line.change(|room| room.joining = false).await;
    let before = line.told().await[late].clone();
    line.lose("draining").await;
    assert_eq!(line.told().await[late].place, before.place);
    let refused = line.venue.server.buyer().await;
    assert_eq!(join_with(&refused, json!({})).await.expect(409).code(), "line_closed");
    line.call_all(late..late + 1).await;
    line.exchange(late).await;
    let held = line.hold(late, "last").await;

    line.change(|room| room.state = RoomState::Closed).await;
    let buyer = line.people[late].buyer.clone();
    let last = buyer.checkout(SHOW, &held.id(), "last@example.org").await.expect(201);
    line.lose("closed").await;
    // Who is inside may finish; what was bought stays bought.
    buyer.pay(&last, CARD).await.expect(200);
    assert_eq!(buyer.order(&last.id()).await.body["status"], "paid");
    for (person, order) in line.people.iter().zip(orders) {
        assert_eq!(person.buyer.order(&order.id()).await.body["status"], "paid");
    }
    onsale::orders::mirror::run_once(&line.venue.server.server.app).await.expect("mirrored");
    line.venue.env.audit_at_rest().await;
    line.venue.end().await;
}

#[tokio::test]
async fn flushed_in_every_phase_redis_costs_nobody_a_place() {
    walk(Loss::Flush).await;
}

#[tokio::test]
async fn restarted_in_every_phase_redis_costs_nobody_a_place() {
    walk(Loss::Restart).await;
}
