//! What an organizer sees of suspects, and decides, on every process.

use std::time::Instant;

use onsale::organizers::keys::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::{NEVER_MS, Shop, account_of};
use crate::organizers::organizer;
use crate::support::stage::SHOW;
use crate::support::{Answer, Buyer, Env, soon, until};

async fn decide(me: &Buyer, subject: &str, word: Value) -> Answer {
    let path = format!("/v1/organizer/events/{SHOW}/suspicion/{subject}");
    me.send(Method::PUT, &path, None, Some(json!({"override": word, "note": "seen"}))).await
}

async fn listed(me: &Buyer) -> Vec<Value> {
    let page = me.get(&format!("/v1/organizer/events/{SHOW}/suspicion")).await.expect(200);
    assert_eq!(page.body["next"], Value::Null);
    page.body["subjects"].as_array().expect("subjects").clone()
}

#[tokio::test]
async fn an_organizer_reads_reasons_and_has_the_last_word_everywhere() {
    let shop = Shop::open(Env::start().await, 500).await;
    let other = shop.env.server().await;
    let me = organizer(&shop.env, &shop.server, shop.env.organizer, &Scope::ALL).await;
    let eve = shop.server.buyer().await;
    for turn in 0..5 {
        shop.expire(&eve, None, &turn.to_string()).await;
    }
    let subject = account_of(&shop, &eve).await;
    let there = Buyer { url: other.url.clone(), ..eve.clone() };
    until("the other process knows", || async {
        shop.hold(&there, "k").await.code() == "cooldown"
    })
    .await;

    let suspects = listed(&me).await;
    let known = suspects.iter().find(|suspect| suspect["subject"] == subject.as_str());
    let known = known.expect("eve is listed");
    assert_eq!(known["reasons"][0]["reason"], "hold_expired_unpaid");
    assert_eq!((&known["reasons"][0]["times"], &known["override"]), (&json!(5), &Value::Null));
    assert!(known["points"].as_f64().is_some_and(|points| points > 4.9), "{known}");

    let decided = decide(&me, &subject, json!("trust")).await.expect(200);
    assert_eq!(decided.body["override"], "trust");
    // The hold may be there already, from before the other process knew.
    until("eve is trusted there", || async { shop.hold(&there, "k").await.status.is_success() })
        .await;

    let ada = shop.server.buyer().await;
    let away = Buyer { url: other.url.clone(), ..ada.clone() };
    let subject = account_of(&shop, &ada).await;
    soon(async |_| {
        decide(&me, &subject, Value::Null).await.expect(200);
        // Whoever is not blocked is told that the places are taken.
        until("ada is free there", || async { shop.hold(&away, "k").await.status == 409 }).await;
        let started = Instant::now();
        decide(&me, &subject, json!("block")).await.expect(200);
        until("ada is blocked there", || async { shop.hold(&away, "k").await.status == 403 }).await;
        started.elapsed()
    })
    .await;
    let refused = shop.hold(&away, "k").await.expect(403);
    assert_eq!(refused.code(), "blocked");
    assert_eq!(refused.body["reasons"][0], "blocked_by_organizer");
    assert!(refused.body["appeal"].is_string());
    decide(&me, &subject, Value::Null).await.expect(200);
    until("ada is as good as any", || async { shop.hold(&away, "k").await.status == 409 }).await;
    other.stop().await;
    shop.end().await;
}

#[tokio::test]
async fn a_prefix_is_never_blocked_and_names_are_checked() {
    let shop = Shop::open(Env::start().await, NEVER_MS).await;
    let me = organizer(&shop.env, &shop.server, shop.env.organizer, &Scope::ALL).await;
    let eve = shop.server.buyer().await;
    shop.expire(&eve, None, "k").await;
    let suspects = listed(&me).await;
    let name = |suspect: &Value| suspect["subject"].as_str().expect("a name").to_owned();
    let prefix = suspects.iter().map(name).find(|name| name.starts_with("prefix-"));
    let prefix = prefix.expect("the prefix is listed");
    decide(&me, &prefix, json!("block")).await.expect(422);
    decide(&me, &prefix, json!("trust")).await.expect(200);
    let card = format!("card-{}", uuid::Uuid::now_v7().simple());
    decide(&me, &card, json!("block")).await.expect(422);
    for wrong in ["account", "robot-1", "account-zz"] {
        decide(&me, wrong, json!("block")).await.expect(404);
    }
    decide(&me, &prefix, json!("hang")).await.expect(422);
    me.get(&format!("/v1/organizer/events/{SHOW}/suspicion?page=-1")).await.expect(422);
    me.get(&format!("/v1/organizer/events/{SHOW}/suspicion?page=200")).await.expect(422);
    let poor = organizer(&shop.env, &shop.server, shop.env.organizer, &[Scope::Catalog]).await;
    poor.get(&format!("/v1/organizer/events/{SHOW}/suspicion")).await.expect(403);
    shop.end().await;
}
