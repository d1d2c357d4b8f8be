//! Places that come back: after a random delay, first to those who asked.

mod asks;
mod pages;

use std::collections::BTreeSet;

use onsale::demo::seed::Seed;
use onsale::holds::rebuild;
use onsale::ids::EventId;
use onsale::orders::drive;
use onsale::workers::sweep;
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::Value;

use crate::support::stage::{
    SHOW, at_rest, holds_are_over, keys, redis, returns_are_due, time_to_pay_is_over,
};
use crate::support::{Answer, Buyer, Env, TestServer, hall, until};

/// A delay that is over in no test, in seconds.
const LONG: i32 = 600;

pub struct Shop {
    pub env: Env,
    pub event: EventId,
    pub server: TestServer,
    pub offer: String,
}

impl Shop {
    /// Two rows in front with six seats each, and 60 to stand.
    pub async fn open(return_seconds: i32) -> Self {
        let hall = hall(4, 6, 60);
        Self::of(Env::start().await, &Seed { return_seconds, ..Seed::new(SHOW, &hall) }).await
    }

    pub async fn of(env: Env, seed: &Seed<'_>) -> Self {
        let event = env.event(seed).await;
        let server = env.server().await;
        let offer = server.buyer().await.offer(SHOW, "front").await;
        Self { env, event, server, offer }
    }

    pub async fn sweep(&self) {
        sweep::run_once(&self.server.server.app).await.expect("swept");
    }

    pub async fn end(self) {
        // Asks that are still in line get what comes back: it takes a while until nobody does.
        until("nobody holds anything", || async {
            holds_are_over(&self.env).await;
            self.sweep().await;
            returns_are_due(&self.env).await;
            self.sweep().await;
            let live = keys(&self.env, "deadlines").await.len();
            live + keys(&self.env, "returning").await.len() == 0
        })
        .await;
        at_rest(&self.env, self.event, &self.server.url).await;
        self.server.stop().await;
        self.env.end().await;
    }
}

/// Gives a hold back.
pub async fn give_back(buyer: &Buyer, hold: &Answer) {
    let path = format!("/v1/events/{SHOW}/holds/{}", hold.id());
    buyer.send(Method::DELETE, &path, None, None).await.expect(204);
}

/// What Redis counts; both sides agree, and all adds up.
pub async fn drawer(buyer: &Buyer) -> Value {
    let redis = buyer.drawer(SHOW).await["redis"].clone();
    let parts = ["sold", "claimed", "killed", "allocated", "held", "free"];
    let sum: i64 = parts.iter().map(|part| redis[part].as_i64().expect("a number")).sum();
    assert_eq!(sum, 84, "{redis}");
    redis
}

#[tokio::test]
async fn what_a_buyer_lets_go_counts_no_more_and_is_free_only_after_the_delay() {
    let hall = hall(4, 6, 60);
    let seed = Seed { return_seconds: LONG, account_limit: Some(2), ..Seed::new(SHOW, &hall) };
    let shop = Shop::of(Env::start().await, &seed).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    give_back(&ada, &hold).await;
    give_back(&ada, &hold).await;
    // For its buyer it is over.
    ada.get(&format!("/v1/events/{SHOW}/holds/{}", hold.id())).await.expect(410);
    ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(410);
    ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(410);
    let extend = format!("/v1/events/{SHOW}/holds/{}/extend", hold.id());
    ada.send(Method::POST, &extend, None, None).await.expect(410);
    ada.hold_places(SHOW, &shop.offer, "b", &[4, 5]).await.expect(201);
    // For all others it isn't.
    shop.sweep().await;
    let refused = eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(409);
    assert_eq!(refused.code(), "places_taken");
    until("the drawer shows it", || async {
        let counted = drawer(&eve).await;
        counted["held"] == 4 && counted["free"] == 80
    })
    .await;
    returns_are_due(&shop.env).await;
    // Nobody has to wait for the sweep.
    eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn an_expired_hold_comes_back_after_its_delay() {
    let shop = Shop::open(LONG).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    let script = redis::Script::new(
        "local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local rest = string.match(redis.call('HGET', KEYS[2], ARGV[1]), '^h|%d+(|.*)$')
        redis.call('HSET', KEYS[2], ARGV[1], 'h|' .. now .. rest)
        redis.call('ZADD', KEYS[1], now, ARGV[1])",
    );
    let deadlines = keys(&shop.env, "deadlines").await.pop().expect("one event");
    let holds = deadlines.replace(":deadlines", ":holds");
    let mut redis = redis(&shop.env).await;
    let () = script
        .key(deadlines)
        .key(holds)
        .arg(hold.id())
        .invoke_async(&mut redis)
        .await
        .expect("its time is over");
    eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(409);
    shop.sweep().await;
    eve.hold_places(SHOW, &shop.offer, "b", &[0, 1]).await.expect(409);
    ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(410);
    until("the drawer shows it", || async { drawer(&eve).await["held"] == 2 }).await;
    returns_are_due(&shop.env).await;
    shop.sweep().await;
    until("the drawer shows it", || async { drawer(&eve).await["held"] == 0 }).await;
    eve.hold_places(SHOW, &shop.offer, "c", &[0, 1]).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn an_unpaid_order_comes_back_after_its_delay() {
    let shop = Shop::open(LONG).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    let order = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    time_to_pay_is_over(&shop.env).await;
    drive::run_once(&shop.server.server.app).await.expect("driven");
    assert_eq!(ada.order(&order.id()).await.body["status"], "released");
    until("Redis and Postgres count it as held by nobody", || async {
        let drawer = eve.get(&format!("/v1/events/{SHOW}/drawer")).await.expect(200).body;
        let redis = &drawer["redis"];
        drawer["agree"] == true && redis["claimed"] == 0 && redis["held"] == 2
    })
    .await;
    eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(409);
    returns_are_due(&shop.env).await;
    eve.hold_places(SHOW, &shop.offer, "b", &[0, 1]).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn delays_are_within_their_bound_and_spread() {
    let shop = Shop::open(LONG).await;
    let ada = shop.server.buyer().await;
    let offer = ada.offer(SHOW, "floor").await;
    for number in 0..60 {
        let line = serde_json::json!({"offer": offer, "area": "FLOOR", "quantity": 1});
        let wish = serde_json::json!({"lines": [line]});
        let hold = ada.hold(SHOW, &format!("k{number}"), wish).await.expect(201);
        give_back(&ada, &hold).await;
    }
    let mut redis = redis(&shop.env).await;
    let key = keys(&shop.env, "returning").await.pop().expect("one event");
    let scores: Vec<(String, i64)> = redis.zrange_withscores(key, 0, -1).await.expect("scores");
    let now = jiff::Timestamp::now().as_millisecond();
    let bound = i64::from(LONG) * 1_000;
    let due: Vec<i64> = scores.iter().map(|(_, due)| *due).collect();
    assert_eq!(due.len(), 60);
    let slack = 30_000;
    assert!(due.iter().all(|due| (now - slack..now + bound).contains(due)), "{due:?}");
    // All of 60 in two thirds of the time happens once in 10^10 runs.
    assert!(due.iter().any(|due| *due < now + bound / 3), "{due:?}");
    assert!(due.iter().any(|due| *due > now + bound * 2 / 3 - slack), "{due:?}");
    assert!(due.iter().collect::<BTreeSet<_>>().len() > 50, "{due:?}");
    shop.end().await;
}

#[tokio::test]
async fn a_rebuild_in_the_delay_leaves_nothing_behind() {
    let shop = Shop::open(LONG).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    give_back(&ada, &hold).await;
    rebuild::force(&shop.server.server.app, shop.event).await.expect("rebuilt");
    until("the drawer shows it", || async { drawer(&eve).await["held"] == 0 }).await;
    eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    shop.end().await;
}

#[tokio::test]
async fn losing_redis_in_the_delay_frees_the_places_and_ends_the_asks() {
    let hall = hall(4, 6, 60);
    let seed = Seed { return_seconds: LONG, ..Seed::new(SHOW, &hall) };
    let shop = Shop::of(Env::with_own_redis().await, &seed).await;
    let (ada, eve) = (shop.server.buyer().await, shop.server.buyer().await);
    let hold = ada.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await.expect(201);
    let ask = asks::ask(&eve, &shop.offer, "a", 6).await.expect(201);
    give_back(&ada, &hold).await;
    let mut redis = redis(&shop.env).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut redis).await.expect("flushed");
    until("the event is rebuilt", || async {
        let hold = eve.hold_places(SHOW, &shop.offer, "a", &[0, 1]).await;
        hold.status.is_success()
    })
    .await;
    let path = format!("/v1/events/{SHOW}/asks/{}", ask.id());
    assert_eq!(eve.get(&path).await.expect(410).code(), "ask_gone");
    asks::ask(&eve, &shop.offer, "a", 6).await.expect(201);
    shop.end().await;
}
