//! Redis is lost, stalled, full or busy: selling may pause, overselling can't happen.

mod mid_sale;
mod rebuilding;

use std::time::{Duration, Instant};

use onsale::demo::seed::Seed;
use onsale::ids::EventId;
use onsale::workers::compare;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::proxy::{Proxy, target};
use crate::support::shopper::patiently;
use crate::support::stage::{SHOW, at_rest, count, keys, redis};
use crate::support::{Buyer, Env, TestServer, hall, until};

/// How long an answer may take while Redis gives none.
const FAST: Duration = Duration::from_secs(8);

async fn run(redis: &mut MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut built = redis::cmd(words.next().expect("a command"));
    built.arg(words.collect::<Vec<_>>());
    let _: redis::Value = built.query_async(redis).await.expect("Redis obeys");
}

/// Everything under the environment's prefix.
async fn dump(env: &Env) -> Vec<(String, Vec<u8>)> {
    let mut redis = redis(env).await;
    let mut all = Vec::new();
    for key in keys(env, "*").await {
        let bytes: Option<Vec<u8>> =
            redis::cmd("DUMP").arg(&key).query_async(&mut redis).await.expect("a dump");
        all.extend(bytes.map(|bytes| (key, bytes)));
    }
    all.sort();
    all
}

async fn restore(env: &Env, dump: &[(String, Vec<u8>)]) {
    let mut redis = redis(env).await;
    for (key, bytes) in dump {
        let () = redis::cmd("RESTORE")
            .arg(key)
            .arg(0)
            .arg(bytes)
            .arg("REPLACE")
            .query_async(&mut redis)
            .await
            .expect("restored");
    }
}

/// A server in this process on a Redis of its own, and a buyer.
async fn alone() -> (Env, EventId, TestServer, Buyer, String) {
    let env = Env::with_own_redis().await;
    let hall = hall(4, 10, 10);
    let event = env.event(&Seed::new(SHOW, &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer(SHOW, "front").await;
    (env, event, server, buyer, offer)
}

async fn done(env: Env, event: EventId, server: TestServer) {
    // Rows become the worker's after a moment.
    until("everything is mirrored", || async {
        onsale::orders::mirror::run_once(&server.server.app).await.expect("mirrored");
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM mirror")
            .fetch_one(&env.pg)
            .await
            .expect("Postgres");
        rows == 0
    })
    .await;
    crate::support::stage::holds_are_over(&env).await;
    onsale::workers::sweep::run_once(&server.server.app).await.expect("swept");
    at_rest(&env, event, &server.url).await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_stalled_redis_is_refused_fast_and_money_is_settled_all_the_same() {
    let (env, event, server, buyer, offer) = alone().await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    let pid = env.stack.redis_pid().await.expect("our own");
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(pid, Signal::STOP).expect("stopped");
    for n in 0..3 {
        let started = Instant::now();
        let answer = buyer.hold_best(SHOW, &offer, &format!("stalled-{n}"), 2).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(started.elapsed() < FAST, "{:?}", started.elapsed());
    }
    let started = Instant::now();
    buyer.pay(&order, "4242424242424242").await.expect(200);
    assert!(started.elapsed() < FAST, "{:?}", started.elapsed());
    assert_eq!(buyer.order(&order.id()).await.body["status"], "paid");
    kill_process(pid, Signal::CONT).expect("goes on");
    // The same key finds what may have been held meanwhile, or holds it now.
    let held = patiently(|| buyer.hold_best(SHOW, &offer, "stalled-0", 2)).await;
    assert!(held.status.is_success(), "{held:?}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    done(env, event, server).await;
}

#[tokio::test]
async fn a_full_redis_refuses_whole_holds() {
    let (env, event, server, buyer, offer) = alone().await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    let waits = buyer.hold_best(SHOW, &offer, "waits", 2).await.expect(201);
    let mut redis = redis(&env).await;
    until("the claim is mirrored", || async {
        count(&env, event, "SELECT count(*) FROM mirror WHERE $1 IS NOT NULL").await == 0
    })
    .await;
    run(&mut redis, "CONFIG SET maxmemory 100kb").await;
    let before = dump(&env).await;
    let refused = buyer.hold_best(SHOW, &offer, "full", 3).await.expect(503);
    assert_eq!(refused.code(), "unavailable");
    buyer.checkout(SHOW, &waits.id(), "ada@example.org").await.expect(503);
    assert!(before == dump(&env).await, "no partial hold");
    buyer.pay(&order, "4242424242424242").await.expect(200);
    assert_eq!(buyer.order(&order.id()).await.body["status"], "paid");
    run(&mut redis, "CONFIG SET maxmemory 0").await;
    buyer.hold_best(SHOW, &offer, "full", 3).await.expect(201);
    buyer.checkout(SHOW, &waits.id(), "ada@example.org").await.expect(201);
    crate::support::stage::time_to_pay_is_over(&env).await;
    onsale::orders::drive::run_once(&server.server.app).await.expect("driven");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    done(env, event, server).await;
}

#[tokio::test]
async fn a_busy_redis_is_refused_fast() {
    let (env, event, server, buyer, offer) = alone().await;
    let mut control = redis(&env).await;
    run(&mut control, "CONFIG SET busy-reply-threshold 50").await;
    let mut victim = redis(&env).await;
    let busy = tokio::spawn(async move {
        let script = redis::Script::new("while true do end");
        let ended: redis::RedisResult<()> = script.invoke_async(&mut victim).await;
        ended.expect_err("killed");
    });
    until("Redis is busy", || async {
        let mut control = control.clone();
        redis::cmd("PING").query_async::<redis::Value>(&mut control).await.is_err()
    })
    .await;
    let started = Instant::now();
    let answer = buyer.hold_best(SHOW, &offer, "k", 2).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(started.elapsed() < FAST, "{:?}", started.elapsed());
    run(&mut control, "SCRIPT KILL").await;
    busy.await.expect("the script was killed");
    let held = patiently(|| buyer.hold_best(SHOW, &offer, "k", 2)).await;
    assert!(held.status.is_success(), "{held:?}");
    done(env, event, server).await;
}

/// Redis loses all that it knew of an order: its record, its bits, its counts.
async fn lose(env: &Env, order: &str) {
    let script = redis::Script::new(
        "local record = redis.call('HGET', KEYS[1], ARGV[1])
        local state, account, places =
            string.match(record, '^(%a)|%d+|([^|]*)|%d+|%d*|[^|]*|([^|]*)|')
        for place, offer in string.gmatch(places, '(%d+):%d+:(%d+):%d+') do
            redis.call('SETBIT', KEYS[2], place, 0)
            redis.call('HINCRBY', KEYS[3], 'o:' .. offer, -1)
            redis.call('HINCRBY', KEYS[3], 'a:' .. account, -1)
            redis.call('HINCRBY', KEYS[3], state, -1)
        end
        redis.call('HDEL', KEYS[1], ARGV[1])",
    );
    let holds = keys(env, "holds").await.pop().expect("one event");
    let mut redis = redis(env).await;
    let () = script
        .key(&holds)
        .key(holds.replace(":holds", ":taken"))
        .key(holds.replace(":holds", ":counts"))
        .arg(order)
        .invoke_async(&mut redis)
        .await
        .expect("lost");
}

#[tokio::test]
async fn of_two_holders_one_claims_and_the_other_is_told_before_paying() {
    for equivalent in [false, true] {
        let (env, event, server, ada, offer) = alone().await;
        let eve = server.buyer().await;
        let hold = ada.hold_best(SHOW, &offer, "a", 2).await.expect(201);
        let order = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
        until("the claim is mirrored", || async {
            count(&env, event, "SELECT count(*) FROM mirror WHERE $1 IS NOT NULL").await == 0
        })
        .await;
        lose(&env, &order.id()).await;
        let second = eve.hold_places(SHOW, &offer, "e", &hold.places()).await.expect(201);
        let path = format!("/v1/events/{SHOW}/holds/{}/checkout", second.id());
        let body = serde_json::json!({"email": "eve@example.org", "accept_equivalent": equivalent});
        let lost = eve.send(Method::POST, &path, Some("c"), Some(body)).await.expect(409);
        assert_eq!(lost.code(), "claim_lost");
        assert_eq!(lost.body["places"], serde_json::json!(hold.places()));
        ada.pay(&order, "4242424242424242").await.expect(200);
        if equivalent {
            let instead = lost.body["equivalent"]["id"].as_str().expect("a hold instead");
            let bought = eve.checkout(SHOW, instead, "eve@example.org").await.expect(201);
            eve.pay(&bought, "4242424242424242").await.expect(200);
            assert!(bought.places().iter().all(|place| !hold.places().contains(place)));
        } else {
            assert!(lost.body.get("equivalent").is_none());
        }
        done(env, event, server).await;
    }
}

#[tokio::test]
async fn a_hold_on_what_was_sold_does_not_keep_redis_wrong() {
    let (env, event, server, ada, offer) = alone().await;
    let eve = server.buyer().await;
    let hold = ada.hold_best(SHOW, &offer, "a", 2).await.expect(201);
    let order = ada.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    ada.pay(&order, "4242424242424242").await.expect(200);
    until("the claim is mirrored", || async {
        count(&env, event, "SELECT count(*) FROM mirror WHERE $1 IS NOT NULL").await == 0
    })
    .await;
    lose(&env, &order.id()).await;
    // She holds it and never checks out.
    let second = eve.hold_places(SHOW, &offer, "e", &hold.places()).await.expect(201);
    until("the comparer puts it right", || async {
        drop(compare::run_once(&server.server.app).await);
        let drawer = ada.get(&format!("/v1/events/{SHOW}/drawer")).await;
        drawer.body["redis"]["sold"] == 2
    })
    .await;
    let id = second.id();
    let late = patiently(|| eve.checkout(SHOW, &id, "eve@example.org")).await;
    assert!([409, 410].contains(&late.status.as_u16()), "{late:?}");
    done(env, event, server).await;
}

/// An environment whose servers reach Redis through a wire that can be cut.
async fn wired() -> (Env, Proxy) {
    let mut env = Env::with_own_redis().await;
    let url = env.config.redis.url.clone();
    let target = target(&url);
    let proxy = Proxy::before(target.to_owned()).await;
    env.config.redis.url = url.replace(target, &proxy.address.to_string());
    (env, proxy)
}

#[tokio::test]
async fn a_link_that_went_silent_is_replaced() {
    let (env, proxy) = wired().await;
    let hall = hall(4, 10, 10);
    let event = env.event(&Seed::new(SHOW, &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer(SHOW, "front").await;
    proxy.freeze();
    buyer.hold_best(SHOW, &offer, "frozen", 2).await.expect(503);
    proxy.forget();
    let started = Instant::now();
    let hold = patiently(|| buyer.hold_best(SHOW, &offer, "k", 2)).await;
    hold.expect(201);
    println!("holds again after {:?}", started.elapsed());
    done(env, event, server).await;
}
