//! The sandbox over real HTTP on loopback: acquirer, client, and a shop that takes webhooks.

mod memory;
mod money_back;
mod pages;
mod paying;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use iso_currency::Currency;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Acquirer, AcquirerConfig, ClientConfig, Sandbox};
use crate::ids::{AttemptId, OrderId};
use crate::money::Money;
use crate::payments::{Happening, IntentState, NewIntent, PayWith, Provider, WebhookEvent};

const SECRET: &str = "the sandbox's shared secret";
const WEBHOOK_SECRET: &str = "the sandbox's webhook secret";

/// Nothing here takes long; whatever does has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A webhook as the shop received it.
struct Received {
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Clone)]
struct Shop {
    received: mpsc::UnboundedSender<Received>,
    /// How many webhooks are still answered with 500.
    failing: Arc<AtomicUsize>,
}

async fn take_webhook(State(shop): State<Shop>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let less = |left: usize| left.checked_sub(1);
    let failing = shop.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
    shop.received.send(Received { headers, body }).expect("the test is still there");
    if failing { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
}

/// Everything a test needs.
struct Stack {
    sandbox: Sandbox,
    acquirer: Acquirer,
    base: String,
    buyer: reqwest::Client,
    failing: Arc<AtomicUsize>,
    received: mpsc::UnboundedReceiver<Received>,
    shutdown: CancellationToken,
    _guard: DropGuard,
}

async fn serve(router: Router, shutdown: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = shutdown.clone().cancelled_owned();
    tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stop).await });
    format!("http://{address}")
}

fn config(webhook_url: &str) -> AcquirerConfig {
    AcquirerConfig {
        slow: Duration::from_millis(30),
        late: Duration::from_millis(60),
        ..AcquirerConfig::new(SECRET, webhook_url, WEBHOOK_SECRET)
    }
}

impl Stack {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(adjust: impl FnOnce(&mut AcquirerConfig)) -> Self {
        // Another test may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shutdown = CancellationToken::new();
        let (sender, received) = mpsc::unbounded_channel();
        let failing = Arc::new(AtomicUsize::new(0));
        let shop = Shop { received: sender, failing: Arc::clone(&failing) };
        let shop = Router::new().route("/hook", post(take_webhook)).with_state(shop);
        let webhook_url = format!("{}/hook", serve(shop, &shutdown).await);
        let mut config = config(&webhook_url);
        adjust(&mut config);
        let acquirer = Acquirer::open(config, shutdown.clone()).expect("a good configuration");
        // Mounted as in the demo, so that every link must work below a prefix.
        let router = Router::new().nest("/sandbox", acquirer.router());
        let base = format!("{}/sandbox", serve(router, &shutdown).await);
        let client = ClientConfig::new(&base, SECRET, WEBHOOK_SECRET);
        let sandbox = Sandbox::new(&client).expect("a good configuration");
        let buyer = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let guard = shutdown.clone().drop_guard();
        Self { sandbox, acquirer, base, buyer, failing, received, shutdown, _guard: guard }
    }

    /// A new intent and its payment page.
    async fn intent(&self, amount: i64) -> (String, String) {
        let created = self.sandbox.create(new_intent(amount)).await.expect("made in process");
        let PayWith::Redirect { url } = created.pay_with else { panic!("a page is expected") };
        (created.intent.reference, url)
    }

    /// Sends JSON; the status and the answer.
    async fn post(&self, url: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.buyer.post(url).json(body).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn pay(&self, page: &str, card: &str) -> (StatusCode, Value) {
        self.post(page, &json!({ "card": card })).await
    }

    /// A call with the API's secret.
    async fn control(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.buyer.post(format!("{}{path}", self.base)).json(body);
        let bearer = self.acquirer.0.keys.bearer();
        let answer = request.bearer_auth(bearer).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn webhook(&mut self) -> Received {
        let received = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        received.expect("a webhook in time").expect("the shop is there")
    }

    /// The next webhook, verified.
    async fn event(&mut self) -> WebhookEvent {
        let Received { headers, body } = self.webhook().await;
        self.sandbox.verify(&headers, &body, Timestamp::now()).expect("signed by the acquirer")
    }

    async fn happening(&mut self) -> Happening {
        self.event().await.what
    }

    /// Ends the acquirer; the webhooks that were not looked at.
    async fn end(mut self) -> Vec<Received> {
        self.shutdown.cancel();
        self.acquirer.drained().await;
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

fn new_intent(amount: i64) -> NewIntent {
    NewIntent {
        attempt: AttemptId::fresh(),
        order: OrderId::fresh(),
        amount: Money::new(amount, Currency::EUR),
        description: "2 × Arena, Block A".to_owned(),
        return_url: "https://shop.example/orders/1?key=2".to_owned(),
        email: "buyer@example.org".to_owned(),
    }
}

/// The state in an intent's event.
fn state_in(happening: &Happening) -> IntentState {
    match happening {
        Happening::Intent(intent) => intent.state,
        other => panic!("not about an intent: {other:?}"),
    }
}
