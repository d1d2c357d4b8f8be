//! Redis is lost, stalled, full or busy: selling may pause, overselling can't happen.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use onsale::catalog::manifest::generate;
use onsale::demo::seed::Seed;
use onsale::holds::rebuild::{self, Rebuilt};
use onsale::ids::EventId;
use onsale::workers::compare;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::proxy::{Fate, Proxy};
use crate::support::shopper::{patiently, shop};
use crate::support::stage::{SHOW, Stage, at_rest, count, keys, redis};
use crate::support::{Buyer, Env, TestServer, hall, until};

/// How long an answer may take while Redis gives none.
const FAST: Duration = Duration::from_secs(3);

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

/// A small hall sold through two server processes, while Redis suffers `times` times.
async fn sale_survives(times: u32, suffer: impl AsyncFn(&Env, &mut StdRng)) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let places = hall(6, 10, 0);
    let stage = Stage::with(Env::with_own_redis().await, &[], &places, |_| {}).await;
    let scout = Buyer::new(&stage.second.url).await;
    let offers = [scout.offer(SHOW, "front").await, scout.offer(SHOW, "back").await];
    let journeys: Vec<_> = (0..80)
        .map(|number| {
            let url = if number % 2 == 0 { &stage.first.url } else { &stage.second.url }.clone();
            let offer = offers[number / 2 % 2].clone();
            tokio::spawn(async move { shop(&url, SHOW, &offer, number).await })
        })
        .collect();
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
        suffer(&stage.env, &mut rng).await;
    }
    let mut sold: Vec<i64> = Vec::new();
    for journey in journeys {
        sold.extend(journey.await.expect("a journey"));
    }
    let distinct: HashSet<i64> = sold.iter().copied().collect();
    assert_eq!(distinct.len(), sold.len(), "no seat was sold twice");
    assert_eq!(sold.len(), 60, "and none was left");
    let tickets =
        "SELECT count(DISTINCT place) FROM tickets WHERE event_id = $1 AND status = 'valid'";
    assert_eq!(count(&stage.env, stage.event, tickets).await, 60);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_in_mid_sale() {
    sale_survives(5, async |env, _| run(&mut redis(env).await, "FLUSHALL").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_sale() {
    sale_survives(3, async |env, rng| {
        env.stack.kill_redis().await.expect("killed");
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        env.stack.start_redis().await.expect("started");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_in_mid_sale_with_what_it_had_a_while_ago() {
    sale_survives(2, async |env, rng| {
        let old = dump(env).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..300))).await;
        env.stack.restart_redis().await.expect("restarted");
        restore(env, &old).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_forgotten_in_mid_sale() {
    sale_survives(20, async |env, _| run(&mut redis(env).await, "SCRIPT FLUSH").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_cut_in_mid_sale() {
    sale_survives(10, async |env, _| {
        run(&mut redis(env).await, "CLIENT KILL TYPE normal SKIPME yes").await;
    })
    .await;
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
    onsale::orders::mirror::run_once(&server.server.app).await.expect("mirrored");
    crate::support::stage::holds_are_over(&env).await;
    onsale::workers::sweep::run_once(&server.server.app).await.expect("swept");
    at_rest(&env, event, &server.url).await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn holds_die_with_their_redis_and_orders_do_not() {
    let (env, event, server, buyer, offer) = alone().await;
    let held = buyer.hold_best(SHOW, &offer, "held", 2).await.expect(201);
    let hold = buyer.hold_best(SHOW, &offer, "ordered", 2).await.expect(201);
    let order = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    let old = dump(&env).await;
    env.stack.restart_redis().await.expect("restarted");
    restore(&env, &old).await;

    let path = format!("/v1/events/{SHOW}/holds/{}", held.id());
    let id = held.id();
    let refused = patiently(|| buyer.checkout(SHOW, &id, "eve@example.org")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (410, "hold_gone"), "{refused:?}");
    buyer.get(&path).await.expect(404);
    // The same checkout again still finds its order, though Redis is another.
    let again = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    assert_eq!(again.body["payment"]["kind"], order.body["payment"]["kind"]);
    buyer.pay(&again, "4242424242424242").await.expect(200);
    assert_eq!(buyer.order(&order.id()).await.body["status"], "paid");
    // What it has can't be held by others; what died can.
    let other = server.buyer().await;
    other.hold_places(SHOW, &offer, "a", &hold.places()).await.expect(409);
    other.hold_places(SHOW, &offer, "b", &held.places()).await.expect(201);
    done(env, event, server).await;
}

#[tokio::test]
async fn a_checkout_repeated_after_a_rebuild_finds_its_order() {
    let (env, event, server, buyer, offer) = alone().await;
    let hold = buyer.hold_best(SHOW, &offer, "k", 2).await.expect(201);
    buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    rebuild::force(&server.server.app, event).await.expect("rebuilt");
    let again = buyer.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(201);
    let changed = buyer.checkout(SHOW, &hold.id(), "eve@example.org").await.expect(422);
    assert_eq!(changed.code(), "idempotency_mismatch");
    buyer.pay(&again, "4242424242424242").await.expect(200);
    server.buyer().await.checkout(SHOW, &hold.id(), "ada@example.org").await.expect(404);
    done(env, event, server).await;
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
    tokio::time::sleep(Duration::from_millis(200)).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilt_again_and_again_while_others_claim() {
    let env = Env::start().await;
    let places = hall(6, 10, 0);
    let event = env.event(&Seed::new(SHOW, &places)).await;
    let (one, two) = (env.server().await, env.server().await);
    let scout = one.buyer().await;
    let offers = [scout.offer(SHOW, "front").await, scout.offer(SHOW, "back").await];
    let journeys: Vec<_> = (0..80)
        .map(|number| {
            let url = if number % 2 == 0 { &one.url } else { &two.url }.clone();
            let offer = offers[number / 2 % 2].clone();
            tokio::spawn(async move { shop(&url, SHOW, &offer, number).await })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for n in 0..8 {
        let app = if n % 2 == 0 { &one.server.app } else { &two.server.app };
        let started = Instant::now();
        // Elsewhere: the other server has noticed the one before.
        let rebuilt = rebuild::force(app, event).await.expect("rebuilt");
        assert!(matches!(rebuilt, Rebuilt::Built(_) | Rebuilt::Elsewhere), "{rebuilt:?}");
        slowest = slowest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    println!("slowest rebuild {slowest:?}");
    let mut sold: Vec<i64> = Vec::new();
    for journey in journeys {
        sold.extend(journey.await.expect("a journey"));
    }
    let distinct: HashSet<i64> = sold.iter().copied().collect();
    assert_eq!((distinct.len(), sold.len()), (60, 60));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    two.stop().await;
    done(env, event, one).await;
}

#[tokio::test]
async fn a_stadium_is_rebuilt_in_moments() {
    let env = Env::with_own_redis().await;
    let stadium = generate::stadium();
    let event = env.event(&Seed::new(SHOW, &stadium)).await;
    for statement in [
        "INSERT INTO orders (id, event_id, status, account, email, currency, total, places, lines,
                             digest, pay_by)
         SELECT gen_random_uuid(), event_id, 'paid', gen_random_uuid(), 'a@example.org', 'EUR', 100,
                array_agg(place ORDER BY place),
                jsonb_build_array(jsonb_build_object('offer', 0, 'tier', 0, 'price', 40, 'fee', 10,
                    'tax', 0, 'places', jsonb_agg(place ORDER BY place))), '', now()
         FROM (SELECT event_id, place, (row_number() OVER (ORDER BY place) - 1) / 2 AS pair
               FROM places WHERE event_id = $1) p
         WHERE pair < 20000 GROUP BY event_id, pair",
        "INSERT INTO claims (event_id, place, order_id, sold)
         SELECT event_id, unnest(places), id, true FROM orders WHERE event_id = $1",
    ] {
        sqlx::query(statement).bind(event.0).execute(&env.pg).await.expect("orders");
    }
    let server = env.server().await;
    let started = Instant::now();
    let rebuilt = rebuild::force(&server.server.app, event).await.expect("rebuilt");
    let took = started.elapsed();
    println!("80,000 places and 20,000 orders rebuilt in {took:?}");
    assert!(matches!(rebuilt, Rebuilt::Built(_)));
    // Two seconds when optimised and alone on the machine, which tests are not.
    assert!(took < Duration::from_secs(30));
    let drawer = server.buyer().await.get(&format!("/v1/events/{SHOW}/drawer")).await.expect(200);
    assert_eq!(drawer.body["agree"], true, "{drawer:?}");
    assert_eq!(drawer.body["redis"]["sold"], 40_000);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn many_events_come_back_together() {
    let mut env = Env::with_own_redis().await;
    env.config.database.connections = 4;
    let hall = hall(2, 10, 0);
    let slugs: Vec<String> = (0..16).map(|n| format!("{SHOW}-{n}")).collect();
    for slug in &slugs {
        env.event(&Seed::new(slug, &hall)).await;
    }
    let server = env.server().await;
    let buyer = server.buyer().await;
    let mut offers = Vec::new();
    for slug in &slugs {
        offers.push(buyer.offer(slug, "front").await);
    }
    env.stack.restart_redis().await.expect("restarted");
    let started = Instant::now();
    // Every event's buyers come back at once.
    let waiting = slugs.iter().zip(&offers).map(|(slug, offer)| {
        let buyer = buyer.clone();
        async move { patiently(|| buyer.hold_best(slug, offer, "k", 2)).await.expect(201) }
    });
    futures::future::join_all(waiting).await;
    println!("16 events through 4 connections: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    server.stop().await;
    env.end().await;
}

/// An environment whose servers reach Redis through a wire that can be cut.
async fn wired() -> (Env, Proxy) {
    let mut env = Env::with_own_redis().await;
    let url = env.config.redis.url.clone();
    let (before, host) = url.rsplit_once('@').expect("a password");
    let (target, database) = host.split_once('/').expect("a database");
    let proxy = Proxy::before(target.to_owned()).await;
    env.config.redis.url = format!("{before}@{}/{database}", proxy.address);
    (env, proxy)
}

#[tokio::test]
async fn flushed_in_mid_rebuild() {
    let (env, proxy) = wired().await;
    let hall = hall(4, 10, 10);
    let event = env.event(&Seed::new(SHOW, &hall)).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let offer = buyer.offer(SHOW, "front").await;
    let direct = env.stack.redis_url.clone();
    let client = redis::Client::open(direct.as_str()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("Redis");
    // All is filled but the head, which is published last.
    proxy.trap("\r\nseq\r\n", Fate::Freeze);
    let app = server.server.app.clone();
    let building = tokio::spawn(async move { rebuild::force(&app, event).await });
    until("it is about to be published", || async { proxy.sprung() == 1 }).await;
    run(&mut redis, "FLUSHALL").await;
    proxy.thaw();
    drop(building.await.expect("no panic"));
    let hold = patiently(|| buyer.hold_best(SHOW, &offer, "k", 2)).await;
    hold.expect(201);
    done(env, event, server).await;
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
