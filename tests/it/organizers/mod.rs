//! The organizers' API on the real stack.

mod catalog;
mod permits;
mod places;
mod rehearsals;
mod sales;

use std::time::Duration;

use onsale::audit;
use onsale::demo::seed::Seed;
use onsale::ids::OrganizerId;
use onsale::organizers::keys::{self, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Buyer, Env, TestServer, hall};

/// An environment with a server, and an organizer who may do everything.
struct Shop {
    env: Env,
    server: TestServer,
    me: Buyer,
}

impl Shop {
    async fn open() -> Self {
        let mut env = Env::start().await;
        // What is counted for and against buyers is written when a test says so.
        env.config.suspicion.follow_ms = 3_600_000;
        let server = env.server().await;
        let me = organizer(&env, &server, env.organizer, &Scope::ALL).await;
        Self { env, server, me }
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        self.me.send(Method::POST, &format!("/v1/organizer/{path}"), Some(key), Some(body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.me.send(Method::PATCH, &format!("/v1/organizer/{path}"), None, Some(body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.me.get(&format!("/v1/organizer/{path}")).await
    }

    /// Sends a manifest as a file.
    async fn put_manifest(&self, event: &str, kind: &str, text: impl Into<String>) -> Answer {
        let url = format!("{}/v1/organizer/events/{event}", self.server.url);
        let (url, kind) = match kind {
            "pretix" => (format!("{url}/manifest?format=pretix"), "application/json"),
            kind => (format!("{url}/manifest"), kind),
        };
        let request = self.me.http.put(url).bearer_auth(&self.me.token);
        let request = request.header("content-type", kind).body(text.into());
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("a body");
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn venue(&self) -> String {
        let venue = json!({"name": "Hall", "address": "Quay 1", "time_zone": "Europe/Berlin"});
        self.post("venues", "hall", venue).await.id()
    }

    /// A draft with 4 rows of 10 seats in two levels and an area of 20, without offers.
    async fn draft(&self, slug: &str) {
        let venue = self.venue().await;
        self.post("events", slug, event(&venue, slug)).await.expect(201);
        let imported = self.put_manifest(slug, "text/csv", table()).await.expect(200);
        assert_eq!(imported.body["places"], 60);
        let adult = json!({"code": "adult", "name": "Adult"});
        self.post(&format!("events/{slug}/price-types"), "adult", adult).await.expect(201);
    }

    /// An event on sale: front, back and floor at 5,000, 3,000 and 2,000.
    async fn show(&self, slug: &str) {
        self.draft(slug).await;
        for (level, price) in [("front", 5_000), ("back", 3_000), ("floor", 2_000)] {
            let offer = offer(level, price);
            self.post(&format!("events/{slug}/offers"), level, offer).await.expect(201);
        }
        self.set_status(slug, "on_sale").await.expect(200);
    }

    async fn set_status(&self, slug: &str, status: &str) -> Answer {
        self.post(&format!("events/{slug}/status"), "-", json!({"status": status})).await
    }

    async fn buyer(&self) -> Buyer {
        self.server.buyer().await
    }

    /// Ends the test: nothing may be wrong, and whatever Redis is told must have arrived.
    async fn close(self) {
        let scope = audit::Scope { event: None, at_rest: true, grace: Duration::from_secs(30) };
        let report = audit::run(&self.env.pg, Some(&self.server.server.app.redis), &scope).await;
        let report = report.expect("an audit");
        assert!(report.clean, "{}", report.table());
        self.server.stop().await;
        self.env.end().await;
    }
}

/// An organizer with a key of these scopes.
pub async fn organizer(env: &Env, server: &TestServer, id: OrganizerId, scopes: &[Scope]) -> Buyer {
    let key = keys::create(&env.pg, id, "tests", scopes, None).await.expect("a key");
    Buyer { token: key, ..Buyer::new(&server.url).await }
}

/// A hall on sale as "show", its server, and its organizer.
pub async fn show() -> (Env, TestServer, Buyer) {
    let env = Env::start().await;
    env.event(&Seed::new("show", &hall(4, 10, 20))).await;
    let server = env.server().await;
    let me = organizer(&env, &server, env.organizer, &Scope::ALL).await;
    (env, server, me)
}

/// 4 rows of 10 seats and an area of 20.
fn table() -> String {
    let mut csv = String::from("section,row,seat,x,y,level,attributes,capacity\n");
    for row in 1..=4 {
        let level = if row <= 2 { "front" } else { "back" };
        for seat in 1..=10 {
            csv += &format!("S,{row},{seat},{},{row},{level},,\n", f64::from(seat) * 0.5);
        }
    }
    csv + "FLOOR,,,,,floor,,20\n"
}

fn event(venue: &str, slug: &str) -> Value {
    json!({"venue": venue, "slug": slug, "name": "A show", "currency": "EUR",
           "starts_at": "2030-06-21T20:00:00Z"})
}

fn offer(level: &str, price: i64) -> Value {
    json!({"name": level, "level": level, "price_type": "adult", "tiers": [{"price": price}]})
}
