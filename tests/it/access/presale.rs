//! Presale registration on pages, without scripts.

use serde_json::json;

use super::Door;
use crate::support::Buyer;
use crate::waiting_pages::Guest;

const PAGE: &str = "/events/show/presale";

/// A browser in which this buyer has signed in.
fn browser(door: &Door, buyer: &Buyer) -> Guest {
    let mut guest = Guest::new(&door.server.url);
    guest.cookies.insert("onsale_session".into(), buyer.token.clone());
    guest
}

#[tokio::test]
async fn one_registers_withdraws_and_sees_the_outcome_with_forms() {
    let door = Door::open().await;
    let mut nobody = Guest::new(&door.server.url);
    nobody.get(PAGE).await.says(404, &["Nothing here"]);
    let set = door.set("fans", json!({"ends_at": "2090-02-01T00:00:00Z"})).await;
    let path = door.registration(&set, 1).await;
    let id = path.rsplit('/').next().unwrap();
    let (register, withdraw) = (format!("{PAGE}/{id}/register"), format!("{PAGE}/{id}/withdraw"));

    // The event leads there, and who hasn't signed in is led to it.
    let said = ["Fans first", "register for the presale until", PAGE];
    nobody.get("/events/show").await.says(200, &said);
    nobody.get(PAGE).await.says(200, &["Sign in and register", "Open until", "no password"]);
    nobody.post(&register, &[]).await.leads("/sign-in?next=/events/show/presale");
    nobody.get(&register).await.leads(PAGE);

    let (ada, eve) = (door.person("ada@example.org").await, door.person("eve@x.org").await);
    let (mut one, mut two) = (browser(&door, &ada), browser(&door, &eve));
    one.get(PAGE).await.says(200, &["/register\"", "<dd>0</dd>"]);
    for _ in 0..2 {
        one.post(&register, &[]).await.leads(PAGE);
    }
    let page = one.get(PAGE).await;
    let page =
        page.says(200, &["You are registered", "ada@example.org", "/withdraw\"", "<dd>1</dd>"]);
    assert!(!page.text.contains("/register\""), "{}", page.text);
    one.post(&withdraw, &[]).await.leads(PAGE);
    one.get(PAGE).await.says(200, &["/register\"", "<dd>0</dd>"]);
    one.post(&register, &[]).await.leads(PAGE);
    two.post(&register, &[]).await.leads(PAGE);

    door.over().await;
    two.post(&withdraw, &[]).await.says(409, &["Registration is not open now", "ended on"]);
    two.get(PAGE).await.says(200, &["You are registered", "The draw takes place on"]);
    door.beacon(&path, "heads").await.expect(200);
    two.get(PAGE).await.says(200, &["The draw is being made"]);
    door.work().await;
    let own = format!("{path}/mine");
    let mut mine = [ada.get(&own).await.expect(200).body, eve.get(&own).await.expect(200).body];
    let mut pages = [one.get(PAGE).await, two.get(PAGE).await];
    // Whoever won, that one is the first from here on.
    if mine[1]["outcome"] == "won" {
        mine.swap(0, 1);
        pages.swap(0, 1);
    }
    let (code, place) = (mine[0]["code"].as_str().unwrap(), mine[0]["place"].as_str().unwrap());
    let [winner, loser] = pages;
    winner.says(200, &["You were drawn!", "It works until", code, place]);
    let loser = loser.says(200, &["did not fall on you", "The draw was made"]);
    assert!(!loser.text.contains(code));
    let late = door.person("late@x.org").await;
    browser(&door, &late).get(PAGE).await.says(200, &["You didn’t take part"]);
    nobody.get(PAGE).await.says(200, &["Sign in to see"]);
    door.close().await;
}
