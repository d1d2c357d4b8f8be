//! A small hall is sold out through two server processes while Redis suffers.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{dump, restore, run};
use crate::support::shopper::shop;
use crate::support::stage::{SHOW, Stage, count, redis};
use crate::support::{Buyer, Env, hall};

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
