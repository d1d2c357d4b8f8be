//! Access codes on pages, without scripts: typed once, kept for the session.

use serde_json::json;

use super::Door;
use crate::waiting_pages::Guest;

const HOLDS: &str = "/events/show/holds";

#[tokio::test]
async fn a_code_typed_on_a_page_opens_an_offer_for_the_session() {
    let door = Door::open().await;
    let buyer = door.server.buyer().await;
    let offer = buyer.offer("show", "front").await;
    let set = door.set("fans", json!({"offers": [offer], "max_uses": 1})).await;
    let code = door.code(&set, "a").await;
    let lower = code.to_lowercase();
    let number: i16 = sqlx::query_scalar("SELECT offer FROM offers WHERE name = 'front'")
        .fetch_one(&door.env.pg)
        .await
        .unwrap();
    let quantity = format!("n-{number}");
    let form = |key, access| [(quantity.as_str(), "1"), ("key", key), ("access", access)];
    let uses = "SELECT count(*) FROM access_redemptions";
    let uses = || sqlx::query_scalar::<_, i64>(uses).fetch_one(&door.env.pg);

    let mut ada = Guest::new(&door.server.url);
    ada.get("/events/show/choose").await.says(200, &["with an access code"]);
    for wrong in ["", "K7QM-2XB4-9RTE-0AWC"] {
        let refused = ada.post(HOLDS, &form("k1", wrong)).await;
        refused.says(403, &["This needs an access code", wrong]);
    }
    assert_eq!(uses().await.unwrap(), 0);
    // The same form with the right code holds, and sent again it is the same hold.
    let held = ada.post(HOLDS, &form("k1", &lower)).await;
    assert_eq!(held.status.as_u16(), 303, "{}", held.text);
    ada.post(HOLDS, &form("k1", &lower)).await.leads(&held.to);
    ada.get(&held.to).await.says(200, &["front"]);
    // From here on it needn't be typed.
    let more = ada.post(HOLDS, &form("k2", "")).await;
    assert_eq!(more.status.as_u16(), 303, "{}", more.text);
    assert_ne!(more.to, held.to);
    assert_eq!(uses().await.unwrap(), 1);

    // Neither the code, which is used up, nor the cookie is of use to anybody else.
    let mut eve = Guest::new(&door.server.url);
    eve.get("/events/show/choose").await.says(200, &[]);
    let grants = ada.named("onsale_grants");
    eve.cookies.insert(grants.clone(), ada.cookies[&grants].clone());
    for typed in ["", &code] {
        eve.post(HOLDS, &form("k1", typed)).await.says(403, &["This needs an access code"]);
    }
    assert_eq!(uses().await.unwrap(), 1);
    door.close().await;
}
