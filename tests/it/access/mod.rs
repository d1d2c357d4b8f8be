//! Access codes and presale registration on the real stack.

mod codes;
mod grants;
mod pages;
mod presale;
mod redeeming;
mod registrations;

use onsale::demo::seed::Seed;
use onsale::organizers::keys::{self, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Buyer, Env, TestServer, hall};

/// An event on sale, `show`, with a server and its organizer.
struct Door {
    env: Env,
    server: TestServer,
    me: Buyer,
}

impl Door {
    async fn open() -> Self {
        Self::of(Env::start().await).await
    }

    async fn of(env: Env) -> Self {
        env.event(&Seed::new("show", &hall(6, 20, 0))).await;
        let server = env.server().await;
        let me = organizer(&env, &server.url).await;
        Self { env, server, me }
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> Answer {
        let path = format!("/v1/organizer/events/show/{path}");
        self.me.send(Method::POST, &path, Some(key), Some(body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.me.get(&format!("/v1/organizer/events/show/{path}")).await.expect(200)
    }

    async fn delete(&self, path: &str) -> Answer {
        let path = format!("/v1/organizer/events/show/{path}");
        self.me.send(Method::DELETE, &path, None, None).await
    }

    /// A code set with these terms; its id.
    async fn set(&self, name: &str, terms: Value) -> String {
        let mut body = terms;
        body["name"] = json!(name);
        self.post("code-sets", name, body).await.expect(201).id()
    }

    /// Generates codes.
    async fn codes(&self, set: &str, key: &str, body: Value) -> Vec<Vec<String>> {
        let (status, text) = self.generate(set, key, body).await;
        assert_eq!(status, 201, "{text}");
        rows(&text)
    }

    /// One code of a set of bearers.
    async fn code(&self, set: &str, key: &str) -> String {
        self.codes(set, key, json!({"count": 1})).await[0][0].clone()
    }

    async fn generate(&self, set: &str, key: &str, body: Value) -> (u16, String) {
        let url = format!("{}/v1/organizer/events/show/code-sets/{set}/codes", self.server.url);
        let request = self.me.http.post(url).bearer_auth(&self.me.token);
        let request = request.header("idempotency-key", key).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    /// Imports a table.
    async fn import(&self, set: &str, key: &str, table: &str) -> Answer {
        let url = format!("{}/v1/organizer/events/show/code-sets/{set}/import", self.server.url);
        let request = self.me.http.post(url).bearer_auth(&self.me.token);
        let request = request.header("idempotency-key", key).header("content-type", "text/csv");
        let answer = request.body(table.to_owned()).send().await.expect("an answer");
        let status = answer.status();
        let bytes = answer.bytes().await.expect("a body");
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn close(self) {
        self.env.audit_at_rest().await;
        self.server.stop().await;
        self.env.end().await;
    }
}

/// The organizer of an environment, with a key for everything.
async fn organizer(env: &Env, url: &str) -> Buyer {
    let key = keys::create(&env.pg, env.organizer, "tests", &Scope::ALL, None).await;
    Buyer { token: key.expect("a key"), ..Buyer::new(url).await }
}

/// The rows of a table below its header.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().skip(1);
    rows.map(|row| row.split(',').map(str::to_owned).collect()).collect()
}

/// Tries a code.
async fn redeem(buyer: &Buyer, code: &str) -> Answer {
    let body = json!({"code": code});
    buyer.send(Method::POST, "/v1/events/show/access", None, Some(body)).await
}

/// Redeems a code; the grant.
async fn grant(buyer: &Buyer, code: &str) -> String {
    let answer = redeem(buyer, code).await.expect(200);
    answer.body["grant"].as_str().expect("a grant").to_owned()
}

/// Asks for a hold of the best seat with these grants.
async fn hold(buyer: &Buyer, offer: &str, key: &str, grants: &str) -> Answer {
    let url = format!("{}/v1/events/show/holds", buyer.url);
    let request = buyer.http.post(url).bearer_auth(&buyer.token).header("idempotency-key", key);
    let request = request.header("onsale-access", grants);
    let wish = json!({"lines": [{"offer": offer, "best": 1}]});
    let answer = request.json(&wish).send().await.expect("an answer");
    let status = answer.status();
    let bytes = answer.bytes().await.expect("a body");
    Answer { status, body: serde_json::from_slice(&bytes).expect("JSON") }
}

/// Joins the waiting room's lane with these grants.
async fn join(buyer: &Buyer, lane: &str, grants: &str) -> Answer {
    let body = json!({"lane": lane, "access": grants});
    buyer.send(Method::POST, "/v1/events/show/waiting-room/join", None, Some(body)).await
}
