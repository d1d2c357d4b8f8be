//! Making codes: generated, imported, listed, revoked.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Door, redeem};

#[tokio::test]
async fn a_hundred_thousand_codes_are_made_in_one_request_and_are_nowhere_else() {
    let door = Door::open().await;
    let set = door.set("big", json!({})).await;
    let started = Instant::now();
    let codes = door.codes(&set, "all", json!({"count": 100_000})).await;
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    let codes: HashSet<String> = codes.into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(codes.len(), 100_000);
    let written = |code: &String| {
        let groups: Vec<&str> = code.split('-').collect();
        groups.len() == 4 && groups.iter().all(|group| group.len() == 4)
    };
    assert!(codes.iter().all(written));
    assert_eq!(door.get("code-sets").await.body["code_sets"][0]["codes"], 100_000);
    // A dump of the tables has the prefix of a code, and nothing that it could be found by.
    let code = codes.iter().next().unwrap();
    let rows: Vec<String> = sqlx::query_scalar("SELECT c::text FROM access_codes c LIMIT 1000")
        .fetch_all(&door.env.pg)
        .await
        .unwrap();
    let plain = code.replace('-', "");
    assert!(rows.iter().all(|row| !row.contains(&plain) && !row.contains(code.as_str())));
    redeem(&door.server.buyer().await, code).await.expect(200);
    door.close().await;
}

#[tokio::test]
async fn the_same_request_gets_the_same_codes_for_a_while() {
    let door = Door::open().await;
    let set = door.set("fans", json!({})).await;
    let first = door.codes(&set, "one", json!({"count": 3})).await;
    assert_eq!(first, door.codes(&set, "one", json!({"count": 3})).await);
    assert_ne!(first, door.codes(&set, "two", json!({"count": 3})).await);
    let (status, text) = door.generate(&set, "one", json!({"count": 4})).await;
    assert!(status == 422 && text.contains("idempotency_mismatch"), "{status} {text}");
    sqlx::query("UPDATE code_batches SET created_at = now() - interval '61 minutes'")
        .execute(&door.env.pg)
        .await
        .unwrap();
    let (status, text) = door.generate(&set, "one", json!({"count": 3})).await;
    assert!(status == 409 && text.contains("exists"), "{status} {text}");
    let sets = door.get("code-sets").await;
    assert_eq!(sets.body["code_sets"][0]["codes"], 6);
    for bad in [
        json!({"count": 0}),
        json!({"count": 100_001}),
        json!({"count": -1}),
        json!({}),
        json!({"recipients": ["a"]}),
        json!({"count": 1, "recipients": []}),
    ] {
        let (status, text) = door.generate(&set, "bad", bad.clone()).await;
        assert_eq!(status, 422, "{bad}: {text}");
    }
    let nowhere = uuid::Uuid::now_v7().to_string();
    assert_eq!(door.generate(&nowhere, "bad", json!({"count": 1})).await.0, 404);
    door.close().await;
}

#[tokio::test]
async fn own_codes_are_imported_whole_or_not_at_all() {
    let door = Door::open().await;
    let set = door.set("own", json!({"max_uses": null})).await;
    let table = "code\nGOLDEN-2026\nX\nsilver_26\ngolden 2o26\n";
    let refused = door.import(&set, "a", table).await.expect(422);
    let lines: Vec<_> =
        refused.body["errors"].as_array().unwrap().iter().map(|error| &error["line"]).collect();
    assert_eq!(lines, [3, 5]);
    assert_eq!(door.get(&format!("code-sets/{set}/codes")).await.body["codes"], json!([]));
    let table = "code\nGOLDEN-2026\nsilver_26\n";
    let imported = door.import(&set, "a", table).await.expect(201);
    assert_eq!(imported.body["imported"], 2);
    assert_eq!(door.import(&set, "a", table).await.expect(200).body["imported"], 0);
    assert_eq!(
        door.import(&set, "a", "code\nOTHER1\n").await.expect(422).code(),
        "idempotency_mismatch"
    );
    // Also not into another set of the event, however it is typed.
    let other = door.set("other", json!({})).await;
    let refused = door.import(&other, "b", "code\nbronze1\nGoldenZOZ6\ngolden2O26\n").await;
    let refused = refused.expect(422);
    assert_eq!(refused.body["errors"][0]["line"], 4);
    assert_eq!(door.get("code-sets").await.body["code_sets"][1]["codes"], 0);
    redeem(&door.server.buyer().await, " Golden-2O26").await.expect(200);
    let listed = door.get(&format!("code-sets/{set}/codes?prefix=g0")).await;
    assert_eq!(listed.body["codes"][0]["uses"], 1);
    assert_eq!(listed.body["codes"].as_array().unwrap().len(), 1);
    door.close().await;
}

#[tokio::test]
async fn a_revoked_code_and_a_revoked_set_open_nothing() {
    let door = Door::open().await;
    let set = door.set("fans", json!({"max_uses": 5})).await;
    let codes = door.codes(&set, "one", json!({"count": 2})).await;
    let page = door.get(&format!("code-sets/{set}/codes")).await;
    let prefix = |at: usize| codes[at][0][..4].to_owned();
    assert_eq!(page.body["codes"][0]["prefix"], prefix(0));
    let id = page.body["codes"][0]["id"].as_i64().unwrap();
    let buyer = door.server.buyer().await;
    redeem(&buyer, &codes[0][0]).await.expect(200);
    for _ in 0..2 {
        door.delete(&format!("code-sets/{set}/codes/{id}")).await.expect(204);
    }
    assert_eq!(redeem(&buyer, &codes[0][0]).await.expect(403).code(), "access_code");
    redeem(&buyer, &codes[1][0]).await.expect(200);
    let revoked = door.delete(&format!("code-sets/{set}")).await.expect(200);
    assert!(revoked.body["revoked_at"].is_string());
    assert_eq!(redeem(&buyer, &codes[1][0]).await.expect(403).code(), "access_code");
    let (status, text) = door.generate(&set, "late", json!({"count": 1})).await;
    assert!(status == 409 && text.contains("event_state"), "{status} {text}");
    door.delete(&format!("code-sets/{set}/codes/{}", i64::MAX)).await.expect(404);
    door.close().await;
}
