//! Redeeming: who may, how often, and what strangers are told.

use futures::future::join_all;
use onsale::access::{code, store};
use onsale::ids::AccountId;
use serde_json::json;
use uuid::Uuid;

use super::{Door, organizer, redeem};
use crate::support::process::free_address;
use crate::support::{Buyer, Env, hall};
use onsale::demo::seed::Seed;
use onsale::http::limits::table::Rate;

#[tokio::test]
async fn every_code_that_does_not_count_gets_one_and_the_same_answer() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let fans = door.set("fans", json!({})).await;
    let used = door.code(&fans, "a").await;
    redeem(&door.server.buyer().await, &used).await.expect(200);
    let past = json!({"ends_at": "2020-01-01T00:00:00Z", "max_uses": null});
    let past = door.set("past", past).await;
    let over = door.code(&past, "b").await;
    let bound = door.set("bound", json!({"binding": "account"})).await;
    let other = json!({"recipients": [Uuid::now_v7().to_string()]});
    let foreign = door.codes(&bound, "c", other).await[0][0].clone();
    let by_mail = door.set("by-mail", json!({"binding": "email"})).await;
    let ada = json!({"recipients": ["Ada+fan@example.org"]});
    let mailed = door.codes(&by_mail, "d", ada).await[0][0].clone();
    let gone = door.set("gone", json!({})).await;
    let revoked = door.code(&gone, "e").await;
    door.delete(&format!("code-sets/{gone}")).await.expect(200);
    let first = redeem(&buyer, "0000-0000-0000-0000").await.expect(403);
    assert_eq!(first.code(), "access_code");
    for code in [&used, &over, &foreign, &mailed, &revoked, "", "x", &"7".repeat(500), "ÄÖÜ"] {
        let refused = redeem(&buyer, code).await.expect(403);
        assert_eq!(refused.body, first.body, "{code}");
    }
    door.close().await;
}

#[tokio::test]
async fn a_bound_code_is_good_for_its_owner_alone() {
    let door = Door::open().await;
    let (mine, other) = (door.server.buyer().await, door.server.buyer().await);
    let ring = &door.server.server.app.keyring;
    let account = |buyer: &Buyer| ring.verify_session(&buyer.token, jiff::Timestamp::now());
    let my_id = account(&mine).unwrap();
    let set = door.set("bound", json!({"binding": "account"})).await;
    let codes = door.codes(&set, "a", json!({"recipients": [my_id.to_string()]})).await;
    assert_eq!(codes[0][1], my_id.to_string());
    redeem(&other, &codes[0][0]).await.expect(403);
    redeem(&mine, &codes[0][0]).await.expect(200);
    let (status, text) = door.generate(&set, "b", json!({"recipients": ["me"]})).await;
    assert!(status == 422 && text.contains("/recipients/0"), "{status} {text}");
    let (status, _) = door.generate(&set, "b", json!({"count": 1})).await;
    assert_eq!(status, 422);
    // By address: whichever account has proved it. Spreadsheets see text, not a formula.
    let set = door.set("by-mail", json!({"binding": "email"})).await;
    let body = json!({"recipients": ["=ada+x@Example.org"]});
    let codes = door.codes(&set, "c", body).await;
    assert!(codes[0][1].starts_with("'="), "{codes:?}");
    let event = sqlx::query_scalar("SELECT id FROM events").fetch_one(&door.env.pg).await.unwrap();
    let event = onsale::ids::EventId(event);
    let hashes = code::hashes(ring, event, &code::normalise(&codes[0][0]).unwrap());
    let pg = &door.env.pg;
    for (email, good) in
        [(None, false), (Some("eve@example.org"), false), (Some("=ada@example.org"), true)]
    {
        let done = store::redeem(pg, event, &hashes, AccountId::fresh(), email).await.unwrap();
        assert_eq!(done.is_some(), good, "{email:?}");
    }
    door.close().await;
}

#[tokio::test]
async fn one_account_has_one_use_and_one_grant_however_often_it_asks() {
    let door = Door::open().await;
    let set = door.set("fans", json!({"max_uses": 2})).await;
    let code = door.code(&set, "a").await;
    let (one, two, three) =
        (door.server.buyer().await, door.server.buyer().await, door.server.buyer().await);
    let answers = join_all((0..20).map(|_| redeem(&one, &code))).await;
    let grants: Vec<_> = answers.into_iter().map(|a| a.expect(200).body["grant"].clone()).collect();
    assert!(grants.windows(2).all(|pair| pair[0] == pair[1]));
    redeem(&two, &code.to_lowercase().replace('-', " ")).await.expect(200);
    redeem(&three, &code).await.expect(403);
    assert_eq!(redeem(&one, &code).await.expect(200).body["grant"], grants[0]);
    let uses: (i32, i64) =
        sqlx::query_as("SELECT uses, (SELECT count(*) FROM access_redemptions) FROM access_codes")
            .fetch_one(&door.env.pg)
            .await
            .unwrap();
    assert_eq!(uses, (2, 2));
    door.close().await;
}

#[tokio::test]
async fn a_hundred_at_once_on_two_processes_never_exceed_a_code() {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(2, 10, 0))).await;
    let (first, second) = (free_address(), free_address());
    let first = env.spawn_server(first, &[], |_| {}).await;
    let second = env.spawn_server(second, &[], |_| {}).await;
    let me = organizer(&env, &first.url).await;
    let door = |path: &str| format!("/v1/organizer/events/show/{path}");
    let body = json!({"name": "fans", "max_uses": 30});
    let set = me.send(reqwest::Method::POST, &door("code-sets"), Some("s"), Some(body)).await;
    let set = set.expect(201).id();
    let url = format!("{}{}", first.url, door(&format!("code-sets/{set}/import")));
    let request = me.http.post(url).bearer_auth(&me.token).header("idempotency-key", "i");
    let request = request.header("content-type", "text/csv").body("code\nSUMMER26\n");
    assert_eq!(request.send().await.unwrap().status(), 201);
    let buyers =
        join_all((0..100).map(|at| Buyer::new(if at % 2 == 0 { &first.url } else { &second.url })));
    let buyers = buyers.await;
    // Each asks twice, at both processes.
    let asked = buyers.iter().flat_map(|buyer| {
        let there = Buyer { url: first.url.clone(), ..buyer.clone() };
        let here = Buyer { url: second.url.clone(), ..buyer.clone() };
        [(there, buyer.token.clone()), (here, buyer.token.clone())]
    });
    let answers = join_all(asked.map(|(buyer, who)| async move {
        let answer = redeem(&buyer, "summer-26").await;
        assert!([200, 403].contains(&answer.status.as_u16()), "{answer:?}");
        (who, answer.status.as_u16() == 200)
    }));
    let mut winners = std::collections::HashMap::new();
    for (who, won) in answers.await {
        *winners.entry(who).or_insert(false) |= won;
    }
    assert_eq!(winners.values().filter(|won| **won).count(), 30);
    let uses: (i32, i64) =
        sqlx::query_as("SELECT uses, (SELECT count(*) FROM access_redemptions) FROM access_codes")
            .fetch_one(&env.pg)
            .await
            .unwrap();
    assert_eq!(uses, (30, 30));
    // And the table refuses what the function never does.
    let more = sqlx::query("UPDATE access_codes SET uses = uses + 1").execute(&env.pg).await;
    let error = more.expect_err("a use too many");
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("access_codes_uses_within"));
    first.kill().await;
    second.kill().await;
    env.end().await;
}

#[tokio::test]
async fn guessing_is_bounded() {
    let mut env = Env::start().await;
    let shared = &mut env.config.limits.shared;
    shared.code_guesses = Rate { per_second: 1e-3, burst: 6 };
    shared.code_guesses_per_address = Rate { per_second: 1e-3, burst: 20 };
    env.event(&Seed::new("show", &hall(2, 10, 0))).await;
    let server = env.server().await;
    let buyer = server.buyer().await;
    for _ in 0..6 {
        redeem(&buyer, "GUESS-1").await.expect(403);
    }
    assert_eq!(redeem(&buyer, "GUESS-1").await.expect(429).code(), "too_many_requests");
    // New sessions cost nothing, so the address is bounded as well.
    let mut refused = 0;
    for _ in 0..40 {
        let answer = redeem(&server.buyer().await, "GUESS-1").await;
        refused += u32::from(answer.status.as_u16() == 429);
    }
    assert!(refused >= 20, "{refused}");
    server.stop().await;
    env.end().await;
}
