//! Bad inputs: each gets a clear 4xx problem, nothing is lost, nothing reaches 500.

mod bodies;
mod everywhere;
mod holds;
mod ids;
mod tokens;
mod webhooks;
mod wire;

use onsale::demo::seed::Seed;
use onsale::http::problem::Code;
use onsale::ids::EventId;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::support::{Answer, Buyer, Env, TestServer, hall};

/// A shop with two events, a buyer, and the ids that requests need.
struct Shop {
    env: Env,
    server: TestServer,
    buyer: Buyer,
    event: EventId,
    front: String,
    back: String,
    floor: String,
    elsewhere: String,
}

impl Shop {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    async fn open_with(change: impl FnOnce(&mut onsale::config::Config)) -> Self {
        let mut env = Env::start().await;
        change(&mut env.config);
        let hall = hall(4, 10, 60);
        let event = env.event(&Seed::new("show", &hall)).await;
        env.event(&Seed::new("other", &hall)).await;
        let server = env.server().await;
        let buyer = server.buyer().await;
        let front = buyer.offer("show", "front").await;
        let back = buyer.offer("show", "back").await;
        let floor = buyer.offer("show", "floor").await;
        let elsewhere = buyer.offer("other", "front").await;
        Self { env, server, buyer, event, front, back, floor, elsewhere }
    }

    /// A request with the buyer's token.
    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.server.url);
        self.buyer.http.request(method, url).bearer_auth(&self.buyer.token)
    }

    /// What must still be true after all that: the books agree, and only `held` places are held.
    async fn close(self, held: i64) {
        assert_eq!(self.buyer.drawer("show").await["redis"]["held"], held);
        self.server.stop().await;
        self.env.end().await;
    }
}

/// A refusal, if it is one: a problem with a known code and everything that RFC 9457 asks for.
async fn refused(response: Response, what: &str) -> Answer {
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let id = response.headers().get("x-request-id").cloned();
    let body = response.bytes().await.expect("a body");
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    assert!(status.is_client_error(), "{what}: {status} {shown}");
    let kind = kind.map(|kind| kind.to_str().expect("a type").to_owned());
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{what}: {status} {shown}");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let code = body["code"].as_str().expect("a code");
    let known = Code::ALL.iter().find(|known| known.code() == code);
    assert_eq!(known.expect("a known code").status(), status, "{what}");
    assert_eq!(body["status"], status.as_u16(), "{what}");
    assert_eq!(body["type"], format!("/problems/{code}"), "{what}");
    assert!(body["title"].is_string(), "{what}");
    assert!(id.is_some(), "{what} can't be found in the log");
    Answer { status, body }
}

/// The same, with the one status and code that it must be.
async fn refused_as(request: RequestBuilder, status: u16, code: &str, what: &str) {
    let answer = refused(request.send().await.expect("an answer"), what).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}: {answer:?}");
}
