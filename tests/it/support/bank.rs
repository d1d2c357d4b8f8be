//! The payment sandbox inside the test: it can be slow, silent, gone, or contradict itself.

use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use onsale::payments::sandbox::{Acquirer, AcquirerConfig, SIGNATURE_HEADER};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::{Answer, Env};

/// A sandbox of the test's own.
pub struct Bank {
    address: SocketAddr,
    listener: Option<TcpListener>,
    acquirer: Option<Acquirer>,
    serving: CancellationToken,
    ends: CancellationToken,
    secret: String,
    webhook_secret: String,
    http: Client,
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address).expect("its own address");
    socket.listen(64).expect("a listener")
}

impl Bank {
    /// An address for it, which servers started later know.
    pub fn found(env: &mut Env) -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().expect("bound");
        env.config.payments.sandbox.url = format!("http://{address}");
        Self {
            address,
            listener: Some(listener),
            acquirer: None,
            serving: CancellationToken::new(),
            ends: CancellationToken::new(),
            secret: env.config.payments.sandbox.secret.clone(),
            webhook_secret: env.config.payments.sandbox.webhook_secrets[0].clone(),
            http: Client::builder().no_proxy().build().expect("a client"),
        }
    }

    /// Opens for this shop. What is slow takes moments.
    pub async fn open(&mut self, shop: &str) {
        let webhook = format!("{shop}/webhooks/sandbox");
        let mut config = AcquirerConfig::new(&self.secret, &webhook, &self.webhook_secret);
        config.slow = Duration::from_millis(300);
        config.late = Duration::from_millis(500);
        let acquirer = Acquirer::open(config, self.ends.clone()).expect("an acquirer");
        self.acquirer = Some(acquirer);
        self.back();
    }

    /// Nobody answers at its address any more.
    pub async fn down(&mut self) {
        self.serving.cancel();
        super::until("the bank is gone", || async {
            tokio::net::TcpStream::connect(self.address).await.is_err()
        })
        .await;
    }

    /// It answers again, and remembers.
    pub fn back(&mut self) {
        let listener = self.listener.take().unwrap_or_else(|| listen(self.address));
        let router = self.acquirer.as_ref().expect("opened").router();
        self.serving = CancellationToken::new();
        let stop = self.serving.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router).into_future() => served.expect("served"),
                () = stop.cancelled() => {}
            }
        });
    }

    /// The bearer token of its API.
    fn bearer(&self) -> String {
        hex::encode(mac(self.secret.as_bytes(), &[b"onsale sandbox: api, 1"]))
    }

    /// A call of its API.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method, url).bearer_auth(self.bearer());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let bytes = response.bytes().await.expect("a body");
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// Opens or ends a dispute of an order's first payment.
    pub async fn dispute(&self, order: &str, status: &str) {
        let path = format!("/v1/intents/{}/dispute", reference(order));
        self.call(Method::POST, &path, Some(json!({"status": status}))).await.expect(200);
    }

    /// Gives money back that nobody asked for; all that is left without an amount.
    pub async fn refund_outside(&self, order: &str, amount: Option<i64>) {
        let path = format!("/v1/intents/{}/refund-outside", reference(order));
        self.call(Method::POST, &path, Some(json!({"amount": amount}))).await.expect(200);
    }

    /// Sends a webhook of one's own making to a shop.
    pub async fn send(&self, shop: &str, event: &Value) -> StatusCode {
        let body = serde_json::to_vec(event).expect("JSON");
        let time = Timestamp::now().as_second().to_string();
        let signature =
            hex::encode(mac(self.webhook_secret.as_bytes(), &[time.as_bytes(), b".", &body]));
        let request = self
            .http
            .post(format!("{shop}/webhooks/sandbox"))
            .header(SIGNATURE_HEADER, format!("t={time},v1={signature}"))
            .header("content-type", "application/json")
            .body(body);
        request.send().await.expect("an answer").status()
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.serving.cancel();
        self.ends.cancel();
    }
}

/// The bank's name of an order's first payment.
pub fn reference(order: &str) -> String {
    format!("sb_{}", order.replace('-', ""))
}

/// An event about an order's first payment, as the bank would send it.
pub fn intent_event(id: &str, kind: &str, order: &str, amount: i64, charged: Option<i64>) -> Value {
    let status = kind.strip_prefix("intent.").expect("an intent's event");
    json!({
        "id": id, "type": kind, "created": Timestamp::now(),
        "data": {"intent": {
            "reference": reference(order), "status": status, "order": order, "amount": amount,
            "currency": "EUR", "charged": charged, "card": null, "created_at": Timestamp::now(),
        }},
    })
}
