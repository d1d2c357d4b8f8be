//! What restarts and lost memory do to a line: nothing.

use onsale::waiting_room::DRAWN;
use serde_json::json;

use super::*;
use crate::support::stage;

async fn number(buyer: &Buyer) -> i64 {
    let joined = join_with(buyer, json!({})).await.expect(200);
    joined.body["place"].as_str().expect("a place").parse().expect("a number")
}

#[tokio::test]
async fn numbers_never_repeat_and_never_fall_whatever_redis_forgets() {
    let venue = Venue::open(|_| {}).await;
    venue.draw().await;
    let mut redis = stage::redis(&venue.env).await;
    let mut last = DRAWN - 1;
    for round in 0..4 {
        for _ in 0..3 {
            let buyer = venue.server.buyer().await;
            let next = number(&buyer).await;
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        if round == 3 {
            break;
        }
        // This event's memory is gone, as FLUSHALL would have it for all tests at once.
        let keys = stage::keys(&venue.env, "*").await;
        let lines: Vec<_> = keys.iter().filter(|key| key.contains(":line:")).collect();
        assert!(!lines.is_empty());
        for key in lines {
            let _: i64 = redis::cmd("DEL").arg(key).query_async(&mut redis).await.expect("gone");
        }
    }
    venue.end().await;
}

#[tokio::test]
async fn two_processes_give_each_number_once() {
    let venue = Venue::open(|_| {}).await;
    venue.draw().await;
    let second = venue.env.server().await;
    let mut numbers = Vec::new();
    let mut tasks = Vec::new();
    for i in 0..60 {
        let url = if i % 2 == 0 { venue.server.url.clone() } else { second.url.clone() };
        tasks.push(tokio::spawn(async move { number(&Buyer::new(&url).await).await }));
    }
    for task in tasks {
        numbers.push(task.await.expect("a number"));
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 60);
    second.stop().await;
    venue.end().await;
}

#[tokio::test]
async fn a_line_goes_on_where_it_was_when_redis_dies() {
    let env = Env::with_own_redis().await;
    let venue = Venue::on(env, |_| {}).await;
    let early = venue.server.buyer().await;
    let drawn = join(&early).await;
    venue.draw().await;
    let before = venue.server.buyer().await;
    let queued = join(&before).await;
    venue.admit().await;
    venue.env.stack.kill_redis().await.expect("dead");
    // Polls need no Redis.
    poll(&before, &queued).await.expect(200);
    venue.env.stack.start_redis().await.expect("back");
    crate::support::until("late-comers can join again", || async {
        let buyer = venue.server.buyer().await;
        join_with(&buyer, json!({})).await.status == 200
    })
    .await;
    crate::support::until("the sale is rebuilt and all are called", || async {
        venue.admit().await;
        poll(&before, &queued).await.body["state"] == "your_turn"
    })
    .await;
    assert_eq!(poll(&early, &drawn).await.body["state"], "your_turn");
    venue.end().await;
}

#[tokio::test]
async fn polls_ask_neither_redis_nor_postgres() {
    let env = Env::with_own_redis().await;
    let venue = Venue::on(env, |_| {}).await;
    venue.draw().await;
    let buyer = venue.server.buyer().await;
    let token = join(&buyer).await;
    poll(&buyer, &token).await.expect(200);
    let mut redis = stage::redis(&venue.env).await;
    let commands = async |redis: &mut redis::aio::MultiplexedConnection| -> i64 {
        let info: String =
            redis::cmd("INFO").arg("stats").query_async(redis).await.expect("statistics");
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.expect("a counter").trim().parse().expect("a number")
    };
    let queries = async || -> i64 {
        sqlx::query_scalar(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database
             WHERE datname = current_database()",
        )
        .fetch_one(&venue.env.pg)
        .await
        .expect("a number")
    };
    // The background's share is measured over the same time without polls.
    let measure = async |polls: usize, redis: &mut redis::aio::MultiplexedConnection| {
        let (before, asked) = (commands(redis).await, queries().await);
        let started = std::time::Instant::now();
        for _ in 0..polls {
            poll(&buyer, &token).await.expect(200);
        }
        let took = started.elapsed();
        (commands(redis).await - before, queries().await - asked, took)
    };
    let (with, queried, took) = measure(2_000, &mut redis).await;
    let (before, asked) = (commands(&mut redis).await, queries().await);
    tokio::time::sleep(took).await;
    let (idle, idly) = (commands(&mut redis).await - before, queries().await - asked);
    // The keeper, the snapshots and the heartbeat ask a few times per second, polls never: one
    // command in ten polls would be seen.
    assert!(with < 2 * idle + 200, "{with} commands in {took:?}, {idle} without polls");
    assert!(queried < 2 * idly + 200, "{queried} queries in {took:?}, {idly} without polls");
    venue.end().await;
}
