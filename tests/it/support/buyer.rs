//! A buyer, over HTTP.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::PATIENCE;
use super::shopper::patiently;

/// An answer: its status and JSON body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// Its code, if it is a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Its id.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id: {self:?}")).to_owned()
    }

    /// The answer, if it has this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
    }

    /// The place numbers of a hold or order.
    pub fn places(&self) -> Vec<i64> {
        let lines = self.body["lines"].as_array().expect("lines");
        let places = lines.iter().flat_map(|line| line["places"].as_array().expect("places"));
        places.map(|place| place["place"].as_i64().expect("a number")).collect()
    }
}

/// A buyer with a session.
#[derive(Clone)]
pub struct Buyer {
    pub url: String,
    pub token: String,
    pub http: Client,
}

impl Buyer {
    pub async fn new(url: &str) -> Self {
        // Connections are given up long before the server would close them.
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(5))
            .build();
        let mut buyer =
            Self { url: url.to_owned(), token: String::new(), http: http.expect("a client") };
        let session = patiently(|| buyer.send(Method::POST, "/v1/sessions", None, None));
        let session = session.await.expect(201);
        buyer.token = session.body["token"].as_str().expect("a token").to_owned();
        buyer
    }

    /// Sends a request and reads the answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        self.try_send(method, path, key, body).await.expect("an answer")
    }

    /// Sends a request; the server may die meanwhile.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let url = if path.starts_with("http") { path.into() } else { self.url.clone() + path };
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, None).await
    }

    /// The id of the event's offer with this name.
    pub async fn offer(&self, event: &str, name: &str) -> String {
        let event = self.get(&format!("/v1/events/{event}")).await.expect(200);
        let offers = event.body["offers"].as_array().expect("offers").clone();
        let offer = offers.iter().find(|offer| offer["name"] == name);
        let offer = offer.unwrap_or_else(|| panic!("no offer {name} in {offers:?}"));
        offer["id"].as_str().expect("an id").to_owned()
    }

    /// Asks for a hold.
    pub async fn hold(&self, event: &str, key: &str, wish: Value) -> Answer {
        self.send(Method::POST, &format!("/v1/events/{event}/holds"), Some(key), Some(wish)).await
    }

    /// Asks for these places.
    pub async fn hold_places(&self, event: &str, offer: &str, key: &str, places: &[i64]) -> Answer {
        self.hold(event, key, json!({"lines": [{"offer": offer, "places": places}]})).await
    }

    /// Asks for the best `n` together.
    pub async fn hold_best(&self, event: &str, offer: &str, key: &str, n: u32) -> Answer {
        self.hold(event, key, json!({"lines": [{"offer": offer, "best": n}]})).await
    }

    /// Checks a hold out.
    pub async fn checkout(&self, event: &str, hold: &str, email: &str) -> Answer {
        let path = format!("/v1/events/{event}/holds/{hold}/checkout");
        self.send(Method::POST, &path, Some("checkout"), Some(json!({"email": email}))).await
    }

    /// Pays on the sandbox's page, and waits until the shop was told.
    pub async fn pay(&self, order: &Answer, card: &str) -> Answer {
        let page = order.body["payment"]["url"].as_str().expect("a page to pay at");
        let url = format!("{page}?wait=webhook");
        self.send(Method::POST, &url, None, Some(json!({"card": card}))).await
    }

    /// What the drawer holds once both sides agree: Redis follows a commit a moment later.
    pub async fn drawer(&self, event: &str) -> Value {
        let path = format!("/v1/events/{event}/drawer");
        let started = Instant::now();
        loop {
            let drawer = patiently(|| self.get(&path)).await.expect(200).body;
            if drawer["agree"] == true {
                return drawer;
            }
            assert!(started.elapsed() < PATIENCE, "they never agree: {drawer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The order as it stands; a busy server is asked again.
    pub async fn order(&self, id: &str) -> Answer {
        let path = format!("/v1/orders/{id}");
        patiently(|| self.get(&path)).await.expect(200)
    }
}
