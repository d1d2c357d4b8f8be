//! Codes and links: good once, for ten minutes, for one person, and not to be guessed.

use std::time::{Duration, Instant};

use futures::future::join_all;
use onsale::accounts::sign_in::{CODES_PER_HOUR, MAX_WRONG, WRONG_PER_DAY};
use onsale::workers::forget;
use serde_json::json;

use super::{ask, confirm, count, kind, mail, mailed, post, run, signed_in, wrong};
use crate::support::Env;

#[tokio::test]
async fn a_code_signs_in_once_and_the_answer_never_tells_who_has_an_account() {
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    let known = signed_in(&env, &server, "ada@example.org").await;
    let asked = ask(&buyer, "ada@example.org").await.expect(202);
    let stranger = ask(&buyer, "eve@example.org").await.expect(202);
    assert_eq!(asked.body, stranger.body);
    // The same for who was asked for, who wasn't, and what was used.
    let pending = confirm(&buyer, "eve@example.org", "000000").await;
    let nobody = confirm(&buyer, "nobody@example.org", "000000").await.expect(403);
    assert_eq!((pending.status, &pending.body), (nobody.status, &nobody.body));
    assert_eq!(nobody.code(), "sign_in_code");

    mail(&server).await;
    run(&env, "DELETE FROM mailbox").await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&server).await;
    let (to, code, token) = mailed(&env).await;
    assert_eq!(to, "ada@example.org");
    let spaced = format!(" {}-{} ", &code[..3], &code[3..]);
    let session = confirm(&buyer, "Ada@Example.org", &spaced).await.expect(201);
    let same = confirm(&buyer, "ada@example.org", &code).await.expect(403);
    assert_eq!(same.body, nobody.body);
    let link = post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(403);
    assert_eq!(link.body, nobody.body);
    // One account, two sessions.
    let sessions = known.get("/v1/sessions").await.expect(200);
    assert_eq!(sessions.body["sessions"].as_array().expect("a list").len(), 2);
    assert_eq!(session.body["session"], sessions.body["sessions"][0]["id"]);
    assert_eq!(count(&env, "SELECT count(*) FROM accounts").await, 1);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_link_works_once_and_shows_whom_it_signs_in_first() {
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&server).await;
    let (_, _, token) = mailed(&env).await;
    let changed = token[..63].to_owned() + if token.ends_with('0') { "1" } else { "0" };
    for bad in ["", "x", &changed, &token[..63], &"0".repeat(64)] {
        let body = json!({ "token": bad });
        post(&buyer, "/v1/sign-in/confirm", body).await.expect(403);
    }
    // Looking at it, as mail scanners do, uses nothing up.
    let url = format!("{}/sign-in/link?token={token}", server.url);
    for _ in 0..3 {
        let page = reqwest::get(&url).await.expect("an answer").text().await.expect("a page");
        assert!(page.contains("sign in as <strong>ada@example.org"), "{page}");
    }
    let session = post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(201);
    assert_eq!(kind(session.body["token"].as_str().expect("a token")), "s2");
    post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(403);
    assert_eq!(reqwest::get(&url).await.expect("an answer").status(), 403);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn five_wrong_tries_end_a_code_but_not_its_link() {
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&server).await;
    let (_, code, token) = mailed(&env).await;
    for bad in ["", "12345", "1234567", "abcdef"] {
        let answer = confirm(&buyer, "ada@example.org", bad).await.expect(422);
        assert_eq!(answer.code(), "invalid", "what is no code counts as no try");
    }
    for _ in 0..MAX_WRONG {
        confirm(&buyer, "ada@example.org", &wrong(&code)).await.expect(403);
    }
    confirm(&buyer, "ada@example.org", &code).await.expect(403);
    post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(201);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn an_expired_a_replaced_or_another_persons_code_is_none() {
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&server).await;
    let (_, first, first_link) = mailed(&env).await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&server).await;
    let (_, second, second_link) = mailed(&env).await;
    if first != second {
        confirm(&buyer, "ada@example.org", &first).await.expect(403);
    }
    post(&buyer, "/v1/sign-in/confirm", json!({"token": first_link})).await.expect(403);
    ask(&buyer, "eve@example.org").await.expect(202);
    mail(&server).await;
    let (_, eves, _) = mailed(&env).await;
    if eves != second {
        confirm(&buyer, "ada@example.org", &eves).await.expect(403);
        confirm(&buyer, "eve@example.org", &second).await.expect(403);
    }
    run(&env, "UPDATE sign_ins SET expires_at = now()").await;
    confirm(&buyer, "ada@example.org", &second).await.expect(403);
    confirm(&buyer, "eve@example.org", &eves).await.expect(403);
    post(&buyer, "/v1/sign-in/confirm", json!({"token": second_link})).await.expect(403);
    assert_eq!(count(&env, "SELECT count(*) FROM accounts").await, 0);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn guessing_at_once_and_again_and_again_is_bounded_by_postgres() {
    let env = Env::start().await;
    let (one, two) = (env.server().await, env.server().await);
    let (buyer, other) = (one.buyer().await, two.buyer().await);
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&one).await;
    let (_, code, token) = mailed(&env).await;
    // Forty wrong ones at once through two servers: five are looked at.
    let guess = wrong(&code);
    let guesses = (0..40).map(|n| {
        let buyer = if n % 2 == 0 { &buyer } else { &other };
        confirm(buyer, "ada@example.org", &guess)
    });
    assert!(join_all(guesses).await.iter().all(|answer| answer.status == 403));
    let tried = "SELECT wrong_in_day::bigint FROM sign_ins";
    assert_eq!(count(&env, tried).await, i64::from(MAX_WRONG));
    confirm(&buyer, "ada@example.org", &code).await.expect(403);
    post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(201);

    // With a fresh code each time: so many codes an hour, so many guesses a day.
    let mut codes = std::collections::HashSet::new();
    for hour in 0..4 {
        for _ in 0..CODES_PER_HOUR + 3 {
            ask(&buyer, "ada+x@example.org").await.expect(202);
            ask(&buyer, "ada@example.org").await.expect(202);
            mail(&one).await;
            let (_, code, token) = mailed(&env).await;
            codes.insert(token);
            for _ in 0..MAX_WRONG + 2 {
                confirm(&buyer, "ada@example.org", &wrong(&code)).await.expect(403);
            }
        }
        if hour < 3 {
            run(&env, "UPDATE sign_ins SET hour_from = hour_from - interval '1 hour'").await;
        }
    }
    let most = usize::try_from(CODES_PER_HOUR * 4).expect("few");
    assert!(codes.len() <= most, "{} codes", codes.len());
    assert_eq!(count(&env, tried).await, i64::from(WRONG_PER_DAY));
    // The right code no longer helps, a link always does, and a day later so do codes.
    run(&env, "UPDATE sign_ins SET hour_from = hour_from - interval '1 hour'").await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&one).await;
    let (_, code, token) = mailed(&env).await;
    confirm(&buyer, "ada@example.org", &code).await.expect(403);
    post(&buyer, "/v1/sign-in/confirm", json!({"token": token})).await.expect(201);
    run(&env, "UPDATE sign_ins SET day_from = day_from - interval '1 day'").await;
    ask(&buyer, "ada@example.org").await.expect(202);
    mail(&one).await;
    let (_, code, _) = mailed(&env).await;
    confirm(&buyer, "ada@example.org", &code).await.expect(201);
    one.stop().await;
    two.stop().await;
    env.end().await;
}

#[tokio::test]
async fn a_variant_of_an_address_is_the_same_account_and_mail_goes_to_the_first() {
    let env = Env::start().await;
    let server = env.server().await;
    let ada = signed_in(&env, &server, "Ada.Lovelace@gmail.com").await;
    let buyer = server.buyer().await;
    ask(&buyer, "adalovelace+tickets@googlemail.com").await.expect(202);
    mail(&server).await;
    let (to, code, _) = mailed(&env).await;
    assert_eq!(to, "Ada.Lovelace@gmail.com");
    let again = confirm(&buyer, "ADA.LOVELACE+x@gmail.com", &code).await.expect(201);
    let mine = ada.get("/v1/sessions").await.expect(200);
    assert_eq!(mine.body["sessions"].as_array().expect("a list").len(), 2);
    assert_eq!(mine.body["sessions"][0]["id"], again.body["session"]);
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn answers_take_as_long_with_an_account_as_without() {
    const TRIES: u32 = 40;
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    for n in 0..TRIES {
        let insert = "INSERT INTO accounts (id, email, email_key)
                      SELECT gen_random_uuid(), e, e FROM (SELECT 'k' || $1 || '@x.org' e) t";
        sqlx::query(insert).bind(n.to_string()).execute(&env.pg).await.expect("inserted");
    }
    let mut took = [Vec::new(), Vec::new()];
    for n in 0..TRIES {
        for (kind, times) in ["k", "u"].iter().zip(&mut took) {
            let started = Instant::now();
            ask(&buyer, &format!("{kind}{n}@x.org")).await.expect(202);
            times.push(started.elapsed());
        }
    }
    let [known, unknown] = took.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let slack = Duration::from_millis(5);
    assert!(known < unknown * 3 + slack && unknown < known * 3 + slack, "{known:?} {unknown:?}");
    server.stop().await;
    env.end().await;
}

#[tokio::test]
async fn what_is_over_is_forgotten_but_not_what_still_bounds_guesses() {
    let env = Env::start().await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    signed_in(&env, &server, "ada@example.org").await;
    for email in ["bob@example.org", "eve@example.org"] {
        ask(&buyer, email).await.expect(202);
    }
    confirm(&buyer, "eve@example.org", "000000").await;
    let app = &server.server.app;
    forget::run_once(app).await.expect("done");
    assert_eq!(count(&env, "SELECT count(*) FROM sign_ins").await, 3);
    run(&env, "UPDATE sign_ins SET expires_at = now(), hour_from = now() - interval '2 hours'")
        .await;
    run(&env, "UPDATE account_sessions SET expires_at = now() - interval '1 hour'").await;
    forget::run_once(app).await.expect("done");
    let left = "SELECT count(*) FROM sign_ins WHERE email_key = 'eve@example.org'
                AND wrong_in_day = 1";
    assert_eq!(count(&env, left).await, count(&env, "SELECT count(*) FROM sign_ins").await);
    assert_eq!(count(&env, "SELECT count(*) FROM account_sessions").await, 1);
    run(&env, "UPDATE sign_ins SET day_from = now() - interval '2 days'").await;
    run(&env, "UPDATE account_sessions SET expires_at = now() - interval '3 hours'").await;
    forget::run_once(app).await.expect("done");
    let rest = "SELECT (SELECT count(*) FROM sign_ins) + (SELECT count(*) FROM account_sessions)";
    assert_eq!(count(&env, rest).await, 0);
    server.stop().await;
    env.end().await;
}
