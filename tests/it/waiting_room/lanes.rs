//! Lanes, and who may join them.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_presale_lane_needs_its_code_and_an_accessible_one_an_accessible_seat() {
    let venue = Venue::open(|room| {
        let mut presale = lane(room.event, 1, LaneKind::Presale, "fans");
        presale.access_code = Some("NORTH-STAR".into());
        room.lanes.push(presale);
        room.lanes.push(lane(room.event, 2, LaneKind::Accessible, "accessible"));
    })
    .await;
    let buyer = venue.server.buyer().await;
    let refused = join_with(&buyer, json!({"lane": "fans"})).await.expect(403);
    assert_eq!(refused.code(), "access_code");
    let wrong = json!({"lane": "fans", "access_code": "SOUTH-STAR"});
    assert_eq!(join_with(&buyer, wrong).await.expect(403).code(), "access_code");
    let right = json!({"lane": "fans", "access_code": " north-star "});
    assert_eq!(join_with(&buyer, right).await.expect(200).body["lane"], 1);
    join_with(&buyer, json!({"lane": "nowhere"})).await.expect(422);

    let other = venue.server.buyer().await;
    let token = token(&join_with(&other, json!({"lane": "accessible"})).await.expect(200));
    venue.draw().await;
    venue.admit_all().await;
    let pass = exchange(&other, &token).await.expect(201);
    let pass = pass.body["pass"].as_str().expect("a pass");
    let refused = hold(&other, "1", Some(pass)).await.expect(422);
    assert_eq!(refused.code(), "invalid");
    venue.end().await;
}

#[tokio::test]
async fn lanes_share_the_admissions() {
    let venue = Venue::open(|room| {
        room.per_minute = 6_000;
        room.lanes[0].share = 300;
        room.lanes.push(lane(room.event, 1, LaneKind::General, "second"));
    })
    .await;
    let app = &venue.server.server.app;
    for _ in 0..2_000 {
        app.uncounted.note(venue.event, 0, onsale::ids::AccountId::fresh());
        app.uncounted.note(venue.event, 1, onsale::ids::AccountId::fresh());
    }
    venue.draw().await;
    // 15 people's worth of places are free: enough for the shares to show, not for all.
    venue.admit().await;
    let called: Vec<f64> = sqlx::query_scalar("SELECT called FROM waiting_lanes ORDER BY lane")
        .fetch_all(&venue.env.pg)
        .await
        .expect("numbers");
    assert!(called[0] > 0.0 && (called[0] / called[1] - 3.0).abs() < 0.1, "{called:?}");
    venue.end().await;
}

#[tokio::test]
async fn one_cannot_join_too_early_or_too_late() {
    let venue = Venue::open(|room| {
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(30);
        room.lanes[0].joins_at = later;
    })
    .await;
    let buyer = venue.server.buyer().await;
    let early = join_with(&buyer, json!({})).await.expect(409);
    assert_eq!(early.code(), "not_open_yet");
    assert!(early.body["joins_at"].is_string());
    let app = &venue.server.server.app;
    let mut room = (*app.rooms.known(venue.event).expect("a room")).clone();
    room.joining = false;
    venue.put(&room).await;
    assert_eq!(join_with(&buyer, json!({})).await.expect(409).code(), "line_closed");
    venue.end().await;
}
