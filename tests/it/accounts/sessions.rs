//! Sessions: rotated, raced, stolen, revoked.

use std::time::Instant;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use onsale::accounts::sessions::MAX_SESSIONS;
use onsale::ids::{AccountId, SessionId};
use reqwest::Method;
use serde_json::json;

use super::{count, kind, run, signed_in, signed_in_at};
use crate::support::process::free_address;
use crate::support::stage::redis;
use crate::support::{Answer, Buyer, Env, soon, until};

const ROTATE: &str = "/v1/sessions/rotate";
/// The grace after a rotation is over.
const GRACE_OVER: &str = "UPDATE account_sessions SET rotated_at = rotated_at - interval '31 s'";

async fn rotate(buyer: &Buyer) -> Answer {
    buyer.send(Method::POST, ROTATE, None, None).await
}

fn token(answer: &Answer) -> String {
    answer.body["token"].as_str().expect("a token").to_owned()
}

/// The same person with another token.
fn with(buyer: &Buyer, token: &str) -> Buyer {
    Buyer { token: token.to_owned(), ..buyer.clone() }
}

async fn is_known(buyer: &Buyer) -> bool {
    buyer.get("/v1/sessions").await.status == 200
}

#[tokio::test]
async fn tokens_rotate_and_who_races_stays() {
    let env = Env::start().await;
    let (one, two) = (env.server().await, env.server().await);
    let first = signed_in(&env, &one, "ada@example.org").await;
    // Ten tabs on two servers come with the same token: all go on, with the same generation.
    let elsewhere = Buyer { url: two.url.clone(), ..first.clone() };
    let tabs = (0..10).map(|n| rotate(if n % 2 == 0 { &first } else { &elsewhere }));
    let answers = join_all(tabs).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(is_known(&with(&first, &token(answer))).await);
    }
    assert_eq!(count(&env, "SELECT generation::bigint FROM account_sessions").await, 2);
    // An answer was lost: the old token gets it again within the grace.
    let second = with(&first, &token(&rotate(&first).await.expect(200)));
    run(&env, GRACE_OVER).await;
    let third = with(&first, &token(&rotate(&second).await.expect(200)));
    assert_eq!(count(&env, "SELECT generation::bigint FROM account_sessions").await, 3);
    assert!(is_known(&third).await);
    one.stop().await;
    two.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_stolen_old_token_ends_the_session_for_both() {
    let env = Env::start().await;
    let server = env.server().await;
    let ada = signed_in(&env, &server, "ada@example.org").await;
    let other = signed_in(&env, &server, "ada@example.org").await;
    let renewed = with(&ada, &token(&rotate(&ada).await.expect(200)));
    run(&env, GRACE_OVER).await;
    // Whoever is second with the old one, thief or owner, shows that there are two.
    rotate(&ada).await.expect(401);
    for buyer in [&ada, &renewed] {
        assert_eq!(buyer.get("/v1/sessions").await.expect(401).code(), "unauthenticated");
        rotate(buyer).await.expect(401);
    }
    assert!(is_known(&other).await, "the account's other session lives");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_token_lives_an_hour_and_rotates_for_a_week() {
    let env = Env::start().await;
    let server = env.server().await;
    let ada = signed_in(&env, &server, "ada@example.org").await;
    let known = server.server.app.keyring.read_token(&ada.token, Timestamp::now());
    let session = known.expect("authentic").session;
    let (id, account) = (session.signed_in.expect("signed in"), session.account);
    let aged = |hours, generation| {
        let then = Timestamp::now() - SignedDuration::from_hours(hours);
        let keyring = &server.server.app.keyring;
        with(&ada, &keyring.signed_in(id, account, generation, then))
    };
    let old = aged(2, 1);
    old.get("/v1/sessions").await.expect(401);
    assert!(is_known(&with(&ada, &token(&rotate(&old).await.expect(200)))).await);
    rotate(&aged(24 * 7 + 1, 2)).await.expect(401);
    run(&env, "UPDATE account_sessions SET expires_at = now()").await;
    rotate(&aged(0, 2)).await.expect(401);
    // Sessions and accounts that there never were, or not together.
    let keyring = &server.server.app.keyring;
    let strange = [(SessionId::fresh(), account), (id, AccountId::fresh())];
    for (id, account) in strange {
        let token = keyring.signed_in(id, account, 2, Timestamp::now());
        rotate(&with(&ada, &token)).await.expect(401);
    }
    // An anonymous one is renewed, and stays who it was.
    let anonymous = server.buyer().await;
    let renewed = rotate(&anonymous).await.expect(200);
    assert_eq!(kind(&token(&renewed)), "s1");
    let before = keyring.verify_session(&anonymous.token, Timestamp::now());
    assert_eq!(keyring.verify_session(&token(&renewed), Timestamp::now()), before);
    server.stop().await;
    env.end().await;
}

/// Where the session that doesn't ask can be ended.
async fn other_session(buyer: &Buyer) -> String {
    let sessions = buyer.get("/v1/sessions").await.expect(200);
    let list = sessions.body["sessions"].as_array().expect("a list").clone();
    let other = list.iter().find(|session| session["current"] == json!(false)).expect("another");
    format!("/v1/sessions/{}", other["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_revoked_session_is_refused_by_another_process_within_two_seconds() {
    let env = Env::start().await;
    let server = env.server().await;
    let process = env.spawn_server(free_address(), &[], |_| {}).await;
    let phone = signed_in(&env, &server, "ada@example.org").await;
    let mut laptop = signed_in_at(&env, &server, &process.url, "ada@example.org").await;
    let eve = signed_in(&env, &server, "eve@example.org").await;
    assert!(is_known(&laptop).await);
    let path = other_session(&phone).await;
    // Nobody else's to end.
    eve.send(Method::DELETE, &path, None, None).await.expect(404);
    assert!(is_known(&laptop).await);
    phone.send(Method::DELETE, &path, None, None).await.expect(204);
    soon(async |turn| {
        let (mut path, mut revoked) = (path.clone(), Instant::now());
        if turn > 0 {
            laptop = signed_in_at(&env, &server, &process.url, "ada@example.org").await;
            path = other_session(&phone).await;
            revoked = Instant::now();
            phone.send(Method::DELETE, &path, None, None).await.expect(204);
        }
        until("the other process knows", || async { !is_known(&laptop).await }).await;
        let took = revoked.elapsed();
        phone.send(Method::DELETE, &path, None, None).await.expect(404);
        took
    })
    .await;
    // A process that starts later knows it from the start.
    let later = env.server().await;
    let laptop = Buyer { url: later.url.clone(), ..laptop };
    laptop.get("/v1/sessions").await.expect(401);

    // Signing out ends the session that asks, here at once.
    phone.send(Method::DELETE, "/v1/sessions/current", None, None).await.expect(204);
    phone.get("/v1/sessions").await.expect(401);
    assert!(is_known(&eve).await);
    process.terminate().await;
    server.stop().await;
    later.stop().await;
    env.end().await;
}

#[tokio::test]
async fn the_oldest_of_too_many_sessions_ends() {
    let env = Env::start().await;
    let server = env.server().await;
    let oldest = signed_in(&env, &server, "ada@example.org").await;
    run(&env, "UPDATE account_sessions SET rotated_at = now() - interval '1 day'").await;
    let fill = format!(
        "INSERT INTO account_sessions (id, account, expires_at)
         SELECT gen_random_uuid(), id, now() + interval '1 day'
         FROM accounts, generate_series(1, {})",
        MAX_SESSIONS - 1
    );
    sqlx::query(sqlx::AssertSqlSafe(fill)).execute(&env.pg).await.expect("inserted");
    let newest = signed_in(&env, &server, "ada@example.org").await;
    let left = newest.get("/v1/sessions").await.expect(200);
    let left = left.body["sessions"].as_array().expect("a list").len();
    assert_eq!(i64::try_from(left).expect("few"), MAX_SESSIONS);
    until("the oldest has ended", || async { !is_known(&oldest).await }).await;
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn anonymous_sessions_have_no_list_and_a_lost_redis_changes_nothing() {
    let env = Env::with_own_redis().await;
    let server = env.server().await;
    let ada = signed_in(&env, &server, "ada@example.org").await;
    let gone = signed_in(&env, &server, "ada@example.org").await;
    gone.send(Method::DELETE, "/v1/sessions/current", None, None).await.expect(204);
    let _: redis::Value =
        redis::cmd("FLUSHALL").query_async(&mut redis(&env).await).await.expect("flushed");
    assert!(is_known(&ada).await);
    gone.get("/v1/sessions").await.expect(401);
    let anonymous = server.buyer().await;
    for (method, path) in [
        (Method::GET, "/v1/sessions"),
        (Method::GET, "/v1/orders"),
        (Method::DELETE, "/v1/sessions/current"),
    ] {
        let refused = anonymous.send(method.clone(), path, None, None).await.expect(403);
        assert_eq!(refused.code(), "sign_in_needed");
        let nobody = with(&anonymous, "");
        nobody.send(method, path, None, None).await.expect(401);
    }
    server.stop().await;
    env.end().await;
}
