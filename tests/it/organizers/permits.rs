//! Who may do what: every route, every scope, every tenant.

use jiff::{Timestamp, ToSpan};
use onsale::http::openapi;
use onsale::organizers::keys::{self, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, organizer};
use crate::support::Buyer;

/// Every route of the organizers' in the document, with an event's name in its place.
fn routes() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&openapi::document().to_json().unwrap()).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let organizers = operation["tags"][0] == "organizer";
            assert_eq!(organizers, path.starts_with("/v1/organizer/"), "{path}");
            if organizers {
                assert!(operation["security"][0]["organizer"].is_array(), "{method} {path}");
                let id = uuid::Uuid::now_v7().to_string();
                let path = path.replace("{event}", "show").replace("{offer}", &id);
                let path = path.replace("{order}", &id).replace("{area}", "FLOOR");
                let subject = format!("account-{}", id.replace('-', ""));
                let path = path.replace("{code}", "FANS").replace("{subject}", &subject);
                let path = path.replace("{set}", &id).replace("{registration}", &id);
                let path = path.replace("{account}", &id).replace("{rehearsal}", &id);
                assert!(!path.contains('{'), "{path}: name its parameter here");
                let method = method.to_uppercase().parse().unwrap();
                routes.push((method, path));
            }
        }
    }
    routes
}

/// What the route answers, asked with nothing but a key.
async fn ask(who: &Buyer, method: &Method, path: &str) -> (u16, String) {
    let body = (*method != Method::GET).then(|| json!({}));
    let answer = who.send(method.clone(), path, Some("k"), body).await;
    (answer.status.as_u16(), answer.code().to_owned())
}

#[tokio::test]
async fn no_route_answers_without_a_key_a_scope_or_its_own_event() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let (env, server) = (&shop.env, &shop.server);
    let other = keys::ensure_organizer(&env.pg, "other", "Other").await.unwrap();
    let stranger = organizer(env, server, other, &Scope::ALL).await;
    let idle = organizer(env, server, env.organizer, &[]).await;
    let buyer = shop.buyer().await;
    let nobody = Buyer { token: String::new(), ..buyer.clone() };
    let routes = routes();
    assert!(routes.len() >= 22, "{routes:?}");
    for (method, path) in &routes {
        let refused = (401, "unauthenticated".to_owned());
        assert_eq!(ask(&nobody, method, path).await, refused, "{method} {path}");
        assert_eq!(ask(&buyer, method, path).await, refused, "{method} {path}");
        let refused = (403, "forbidden".to_owned());
        assert_eq!(ask(&idle, method, path).await, refused, "{method} {path}");
        if path.contains("/show") {
            let refused = (404, "not_found".to_owned());
            assert_eq!(ask(&stranger, method, path).await, refused, "{method} {path}");
            // Mine is found: whatever is wrong is not that.
            let mine = ask(&shop.me, method, path).await;
            assert!(mine.0 < 500 && mine.0 != 401 && mine.0 != 403, "{method} {path}: {mine:?}");
        }
    }
    // Lists show one's own.
    assert_eq!(stranger.get("/v1/organizer/events").await.body["events"], json!([]));
    assert_eq!(stranger.get("/v1/organizer/venues").await.body["venues"], json!([]));
    // Another's venue is none of mine, nor is my key of use to them.
    let event = super::event(&shop.venue().await, "stolen");
    let refused = stranger.send(Method::POST, "/v1/organizer/events", Some("e"), Some(event));
    assert_eq!(refused.await.expect(422).body["errors"][0]["pointer"], "/venue");
    shop.close().await;
}

#[tokio::test]
async fn a_scope_allows_what_it_names_and_no_more() {
    let shop = Shop::open().await;
    shop.show("show").await;
    let order = uuid::Uuid::now_v7();
    let asked = [
        (Scope::Catalog, Method::GET, "/v1/organizer/events/show".to_owned()),
        (Scope::Sales, Method::POST, "/v1/organizer/events/show/freeze".to_owned()),
        (Scope::Orders, Method::GET, "/v1/organizer/events/show/sales".to_owned()),
        (Scope::Refunds, Method::POST, format!("/v1/organizer/events/show/orders/{order}/refund")),
        (Scope::Comps, Method::POST, "/v1/organizer/events/show/comps".to_owned()),
    ];
    for scope in Scope::ALL {
        let key = organizer(&shop.env, &shop.server, shop.env.organizer, &[scope]).await;
        for (needed, method, path) in &asked {
            let (status, _) = ask(&key, method, path).await;
            assert_eq!(status != 403, scope == *needed, "{scope:?}: {method} {path}: {status}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn an_ended_or_changed_key_is_as_good_as_none() {
    let shop = Shop::open().await;
    let pg = &shop.env.pg;
    let past = Timestamp::now().checked_sub(1.minute()).unwrap();
    let over = keys::create(pg, shop.env.organizer, "over", &Scope::ALL, Some(past)).await.unwrap();
    let ended = keys::create(pg, shop.env.organizer, "ended", &Scope::ALL, None).await.unwrap();
    let good = |key: &str| Buyer { token: key.to_owned(), ..shop.me.clone() };
    good(&ended).get("/v1/organizer/venues").await.expect(200);
    assert!(keys::revoke(pg, &ended).await.unwrap());
    assert!(!keys::revoke(pg, &ended).await.unwrap());
    let mine = &shop.me.token;
    let last = if mine.ends_with('0') { "1" } else { "0" };
    let changed = format!("{}{last}", &mine[..mine.len() - 1]);
    let swapped = format!("{}{}", &ended[..16], &mine[16..]);
    for key in [&over, &ended, &changed, &swapped, "ok_", "x", &mine.to_uppercase()] {
        let answer = good(key).get("/v1/organizer/venues").await.expect(401);
        assert_eq!(answer.body["detail"], "send a valid API key", "{key}");
    }
    shop.close().await;
}
