//! Limits that all processes share: together, without Redis, and after it has forgotten.

use onsale::app::App;
use onsale::demo::seed::Seed;
use onsale::http::limits::table::Rate;
use onsale::http::limits::{self, SharedLimit};
use onsale::http::problem::Code;
use reqwest::Method;

use super::{slow, text};
use crate::support::stage::redis;
use crate::support::{Env, hall, until};

/// How often this may be done at once; far below any limit that isn't meant.
async fn units(app: &App, limit: SharedLimit, key: &str) -> usize {
    for taken in 0..100 {
        match limits::shared(app, limit, key).await {
            Ok(_) => {}
            Err(problem) if problem.code == Code::TooManyRequests => return taken,
            Err(problem) => panic!("{problem:?}"),
        }
    }
    100
}

#[tokio::test]
async fn two_processes_share_a_limit_and_it_recovers() {
    let mut env = Env::start().await;
    env.config.limits.shared.payment_attempts = Rate { per_second: 1.0, burst: 5 };
    env.config.limits.shared.joins = slow(6);
    let (one, two) = (env.server().await, env.server().await);
    let (first, second) = (&one.server.app, &two.server.app);
    for number in 0..6 {
        let app = if number % 2 == 0 { first } else { second };
        let allowance = limits::shared(app, SharedLimit::Joins, "k").await.expect("allowed");
        assert_eq!(allowance.left, 5 - number);
    }
    assert_eq!(units(first, SharedLimit::Joins, "k").await, 0);
    assert_eq!(units(second, SharedLimit::Joins, "k").await, 0);
    assert_eq!(units(second, SharedLimit::Joins, "another").await, 6);
    // A key of any length and kind is one key.
    let long = "{x}\u{0}\n".repeat(1_000);
    assert_eq!(units(first, SharedLimit::Joins, &long).await, 6);
    assert_eq!(units(second, SharedLimit::Joins, &long).await, 0);

    let key = "recovers";
    assert!(units(first, SharedLimit::PaymentAttempts, key).await >= 5);
    // One that came back meanwhile is used up as well.
    let wait = loop {
        match limits::shared(second, SharedLimit::PaymentAttempts, key).await {
            Ok(_) => {}
            Err(wait) => break wait,
        }
    };
    assert_eq!((wait.code, wait.retry_after_s()), (Code::TooManyRequests, Some(1)));
    until("a unit is back", || async {
        limits::shared(second, SharedLimit::PaymentAttempts, key).await.is_ok()
    })
    .await;
    one.stop().await;
    two.stop().await;
    env.end().await;
}

#[tokio::test]
async fn the_caller_may_decide_the_rate() {
    let env = Env::start().await;
    let server = env.server().await;
    let app = &server.server.app;
    let take =
        |per_second: f64, burst: u32| limits::shared_at(app, "turns", "e", per_second, burst);
    for left in [2, 1, 0] {
        assert_eq!(take(0.001, 3).await.expect("allowed").left, left);
    }
    assert_eq!(take(0.001, 3).await.expect_err("refused").code, Code::TooManyRequests);
    // A higher rate counts from now on: what an hour would have taken to come back is there.
    until("a unit is back at the new rate", || async { take(1_000.0, 100).await.is_ok() }).await;
    for nothing in [0.0, -1.0, f64::NAN] {
        let refused = limits::shared_at(app, "turns", "fresh", nothing, 3).await;
        assert_eq!(refused.expect_err("refused").code, Code::TooManyRequests);
    }
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn forgetting_gives_one_burst_and_without_redis_each_does_what_it_must() {
    let mut env = Env::with_own_redis().await;
    env.config.limits.shared.joins = slow(4);
    env.config.limits.shared.code_guesses = slow(4);
    env.config.limits.shared.code_guesses_per_address = slow(4);
    let server = env.server().await;
    let app = &server.server.app;
    assert_eq!(units(app, SharedLimit::Joins, "k").await, 4);
    let mut control = redis(&env).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut control).await.expect("flushed");
    assert_eq!(units(app, SharedLimit::Joins, "k").await, 4);
    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut control).await.expect("flushed");
    assert_eq!(units(app, SharedLimit::Joins, "k").await, 0);
    assert_eq!(units(app, SharedLimit::CodeGuesses, "k").await, 4);

    env.stack.kill_redis().await.expect("killed");
    for limit in [SharedLimit::CodeGuesses, SharedLimit::CodeGuessesAddress] {
        for key in ["k", "new"] {
            let closed = limits::shared(app, limit, key).await.expect_err("closed");
            assert_eq!((closed.code, closed.retry_after_s()), (Code::Unavailable, Some(2)));
        }
    }
    let closed = limits::shared_at(app, "turns", "k", 100.0, 100).await.expect_err("closed");
    assert_eq!(closed.code, Code::Unavailable);
    // This process alone keeps count of the others.
    assert_eq!(units(app, SharedLimit::Joins, "k").await, 4);
    assert_eq!(units(app, SharedLimit::Joins, "k").await, 0);

    env.stack.start_redis().await.expect("started");
    until("guesses are allowed again", || async {
        limits::shared(app, SharedLimit::CodeGuesses, "fresh").await.is_ok()
    })
    .await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn attempts_to_pay_are_limited_per_account_on_every_server() {
    let mut env = Env::start().await;
    env.config.limits.shared.payment_attempts = slow(4);
    env.event(&Seed::new("show", &hall(2, 10, 0))).await;
    let (one, two) = (env.server().await, env.server().await);
    let buyer = one.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let hold = buyer.hold_best("show", &offer, "a", 2).await.expect(201);
    let order = buyer.checkout("show", &hold.id(), "a@example.org").await.expect(201);
    let path = format!("/v1/orders/{}/payments", order.id());
    let elsewhere = format!("{}{path}", two.url);
    buyer.send(Method::POST, &path, None, None).await.expect(200);
    buyer.send(Method::POST, &elsewhere, None, None).await.expect(200);
    // A checkout repeated is an attempt like any other.
    buyer.checkout("show", &hold.id(), "a@example.org").await.expect(201);
    for url in [format!("{}{path}", one.url), elsewhere] {
        let request = buyer.http.post(url).bearer_auth(&buyer.token);
        let refused = request.send().await.expect("an answer");
        assert_eq!(refused.status().as_u16(), 429);
        assert_eq!(text(refused.headers(), "ratelimit"), "\"payment_attempts\";r=0;t=40000");
        assert_eq!(text(refused.headers(), "ratelimit-policy"), "\"payment_attempts\";q=4;w=40000");
        assert!(refused.headers().contains_key("retry-after"));
    }
    // The order itself stands and can be paid where its page already is.
    buyer.pay(&order, "4242424242424242").await.expect(200);
    assert_eq!(buyer.order(&order.id()).await.body["status"], "paid");
    // Somebody else isn't meant.
    let other = two.buyer().await;
    let hold = other.hold_best("show", &offer, "a", 2).await.expect(201);
    other.checkout("show", &hold.id(), "b@example.org").await.expect(201);
    one.stop().await;
    two.stop().await;
    env.end().await;
}
