//! Where grants count, and where they don't.

use onsale::demo::seed::Seed;
use serde_json::json;

use super::{Door, grant, hold, join, redeem};
use crate::support::{hall, until};

#[tokio::test]
async fn an_offer_of_a_set_is_sold_with_a_grant_and_not_without() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let set = door.set("fans", json!({"offers": [offer]})).await;
    let other = door.set("others", json!({"max_uses": null})).await;
    let code = door.code(&set, "a").await;
    let opened = redeem(&buyer, &code).await.expect(200);
    assert_eq!(opened.body["opens"][0]["kind"], "offer");
    assert_eq!(opened.body["opens"][0]["id"], json!(offer));
    let mine = opened.body["grant"].as_str().unwrap();
    let event = buyer.get("/v1/events/show").await;
    let shown = event.body["offers"].as_array().unwrap().clone();
    let shown = shown.iter().find(|shown| shown["id"] == json!(offer)).unwrap();
    assert_eq!(shown["needs_access_code"], true);
    let refused =
        |answer: crate::support::Answer| assert_eq!(answer.expect(403).code(), "access_code");
    refused(buyer.hold_best("show", &offer, "none", 1).await);
    // Another set's, another session's, another event's, and anything that is no grant.
    let not_this = grant(&buyer, &door.code(&other, "b").await).await;
    refused(hold(&buyer, &offer, "set", &not_this).await);
    let thief = door.server.buyer().await;
    refused(hold(&thief, &offer, "thief", mine).await);
    door.env.event(&Seed::new("twin", &hall(2, 10, 0))).await;
    for (at, bad) in ["", "g1.", "x", &mine[..mine.len() - 1], &buyer.token].iter().enumerate() {
        refused(hold(&buyer, &offer, &format!("bad{at}"), bad).await);
    }
    let held = hold(&buyer, &offer, "good", &format!("{not_this}, {mine}")).await.expect(201);
    // A repeated request is the same, with or without other grants.
    assert_eq!(hold(&buyer, &offer, "good", mine).await.expect(200).id(), held.id());
    let order = buyer.checkout("show", &held.id(), "ada@example.org").await.expect(201);
    buyer.pay(&order, "4242424242424242").await.expect(200);
    // A single-use code stays with the account whatever becomes of the hold.
    redeem(&thief, &code).await.expect(403);
    hold(&buyer, &offer, "again", mine).await.expect(201);
    // Other offers are as they were; and the field can't be sent.
    let back = buyer.offer("show", "back").await;
    buyer.hold_best("show", &back, "back", 1).await.expect(201);
    let forged = json!({"lines": [{"offer": offer, "best": 1}], "grants": []});
    buyer.hold("show", "forged", forged).await.expect(422);
    door.delete(&format!("code-sets/{set}")).await.expect(200);
    refused(hold(&buyer, &offer, "revoked", mine).await);
    let change = json!({"code_set": null});
    let path = format!("/v1/organizer/events/show/offers/{offer}");
    door.me.send(reqwest::Method::PATCH, &path, None, Some(change)).await.expect(200);
    buyer.hold_best("show", &offer, "free", 1).await.expect(201);
    let wrong = json!({"code_set": uuid::Uuid::now_v7()});
    let wrong = door.me.send(reqwest::Method::PATCH, &path, None, Some(wrong)).await.expect(422);
    assert_eq!(wrong.body["errors"][0]["pointer"], "/code_set");
    door.server.stop().await;
    door.env.end().await;
}

#[tokio::test]
async fn a_grant_counts_within_its_window_and_until_its_code_is_revoked() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let soon = json!({"offers": [offer], "starts_at": "2090-01-01T00:00:00Z", "max_uses": null});
    let set = door.set("soon", soon).await;
    let code = door.code(&set, "a").await;
    let early = redeem(&buyer, &code).await.expect(200);
    assert_eq!(early.body["starts_at"], "2090-01-01T00:00:00Z");
    let grant = early.body["grant"].as_str().unwrap();
    assert_eq!(hold(&buyer, &offer, "early", grant).await.expect(403).code(), "access_code");
    let now = "UPDATE code_sets SET starts_at = now() - interval '1 minute';
               UPDATE events SET version = version + 1";
    sqlx::raw_sql(now).execute(&door.env.pg).await.unwrap();
    until("the window is seen", || async {
        hold(&buyer, &offer, "open", grant).await.status.as_u16() < 300
    })
    .await;
    let id = door.get(&format!("code-sets/{set}/codes")).await.body["codes"][0]["id"].clone();
    door.delete(&format!("code-sets/{set}/codes/{id}")).await.expect(204);
    assert_eq!(hold(&buyer, &offer, "late", grant).await.expect(403).code(), "access_code");
    door.server.stop().await;
    door.env.end().await;
}

#[tokio::test]
async fn a_lane_of_a_set_is_joined_with_a_grant_and_not_without() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let set = door.set("fans", json!({"max_uses": null})).await;
    let times = json!({"draw_at": "2090-01-01T00:00:00Z", "opens_at": "2090-01-01T00:01:00Z"});
    let lane = |code: &str, kind: &str, set: Option<&str>| {
        let mut lane = times.clone();
        lane["code"] = json!(code);
        lane["name"] = json!(code);
        lane["kind"] = json!(kind);
        lane["beacon_name"] = json!("coin");
        lane["code_set"] = json!(set);
        lane
    };
    let put = |lanes: serde_json::Value| {
        let path = "/v1/organizer/events/show/waiting-room";
        door.me.send(
            reqwest::Method::PUT,
            path,
            None,
            Some(json!({"lanes": lanes, "proof": false})),
        )
    };
    let wrong = uuid::Uuid::now_v7().to_string();
    let refused = put(json!([lane("fans", "presale", Some(&wrong))])).await.expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/lanes/0/code_set");
    let refused = put(json!([lane("fans", "presale", None)])).await.expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/lanes/0/access_code");
    let lanes = json!([lane("all", "general", None), lane("fans", "presale", Some(&set))]);
    let room = put(lanes).await.expect(200);
    assert_eq!(room.body["lanes"][1]["needs_grant"], true);
    assert_eq!(join(&buyer, "fans", "").await.expect(403).code(), "access_code");
    join(&buyer, "all", "").await.expect(200);
    let code = door.code(&set, "a").await;
    let opened = redeem(&buyer, &code).await.expect(200);
    assert_eq!(opened.body["opens"][0], json!({"kind": "lane", "code": "fans", "name": "fans"}));
    let mine = opened.body["grant"].as_str().unwrap();
    let thief = door.server.buyer().await;
    assert_eq!(join(&thief, "fans", mine).await.expect(403).code(), "access_code");
    join(&buyer, "fans", mine).await.expect(200);
    // The header is as good as the field.
    let url = format!("{}/v1/events/show/waiting-room/join", buyer.url);
    let request = buyer.http.post(url).bearer_auth(&buyer.token).header("onsale-access", mine);
    let answer = request.json(&json!({"lane": "fans"})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // A lane can be given to a set by the set, and by name.
    let named = door.set("all", json!({"lanes": ["all"]})).await;
    until("the lane is closed", || async { join(&thief, "all", "").await.status.as_u16() == 403 })
        .await;
    let bad = json!({"name": "bad", "lanes": ["nowhere"]});
    let bad = door.post("code-sets", "bad", bad).await.expect(422);
    assert_eq!(bad.body["errors"][0]["pointer"], "/lanes/0");
    let code = door.code(&named, "b").await;
    join(&thief, "all", &grant(&thief, &code).await).await.expect(200);
    door.server.stop().await;
    door.env.end().await;
}
