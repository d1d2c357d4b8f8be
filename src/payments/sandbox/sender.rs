//! Delivery of webhooks: signed, retried until acknowledged, bounded in every direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rand::Rng;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{AcquirerConfig, ConfigError, MAX_WEBHOOK_URLS, web_url};
use super::wire::SIGNATURE_HEADER;
use crate::payments::signature::Secrets;

/// Deliveries that wait for an answer at the same time.
const MAX_IN_FLIGHT: usize = 128;

/// Deliveries not yet acknowledged. More are given up at once: the shop asks for what it missed.
const MAX_PENDING: usize = 100_000;

/// How often one event is tried.
const MAX_TRIES: u32 = 20;

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long the shop may take to acknowledge.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connecting to the shop may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of an acknowledgement is read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Resolves when the first of the events was acknowledged; fails when it was given up.
pub type Delivered = oneshot::Receiver<()>;

/// The sender of webhooks.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    client: Client,
    urls: Vec<Url>,
    next_url: AtomicUsize,
    secrets: Secrets,
    in_flight: Semaphore,
    pending: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Sender {
    pub fn new(
        config: &AcquirerConfig,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, ConfigError> {
        if config.webhook_urls.len() > MAX_WEBHOOK_URLS {
            return Err(ConfigError::TooMany("webhook URLs", MAX_WEBHOOK_URLS));
        }
        let urls: Result<Vec<Url>, _> =
            config.webhook_urls.iter().map(|url| web_url("a webhook URL", url)).collect();
        // The shop is a neighbour: no proxy from the environment stands in between.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(DELIVERY_TIMEOUT)
            .pool_max_idle_per_host(MAX_IN_FLIGHT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| ConfigError::Client(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            client,
            urls: urls?,
            next_url: AtomicUsize::new(0),
            secrets: Secrets::new(&config.webhook_secrets),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            pending: Arc::new(Semaphore::new(MAX_PENDING)),
            tasks,
            shutdown,
        })))
    }

    /// Delivers `events` one after the other, each once the one before was acknowledged.
    pub fn send(&self, events: Vec<Bytes>) -> Option<Delivered> {
        if self.0.urls.is_empty() || events.is_empty() {
            return None;
        }
        let Ok(permit) = Arc::clone(&self.0.pending).try_acquire_owned() else {
            tracing::warn!(pending = MAX_PENDING, "too many webhooks pending: one was given up");
            return None;
        };
        let (acknowledged, delivered) = oneshot::channel();
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let mut acknowledged = Some(acknowledged);
            for event in events {
                if !inner.deliver(event).await {
                    break;
                }
                if let Some(acknowledged) = acknowledged.take() {
                    // Whoever asked may have stopped waiting.
                    let _ = acknowledged.send(());
                }
            }
            drop(permit);
        });
        Some(delivered)
    }
}

impl Inner {
    /// Tries until acknowledged; `false` when given up, for good or because of a shutdown.
    async fn deliver(&self, body: Bytes) -> bool {
        let mut pause = FIRST_PAUSE;
        for tried in 1..=MAX_TRIES {
            match self.deliver_once(body.clone()).await {
                Ok(()) => return true,
                Err(why) => tracing::debug!(tried, why, "a sandbox webhook was not acknowledged"),
            }
            // Jitter, so that what failed together doesn't come again together.
            let jittered = pause.mul_f64(rand::rng().random_range(0.5..=1.0));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = self.shutdown.cancelled() => return false,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
        tracing::warn!(tries = MAX_TRIES, "a sandbox webhook was given up");
        false
    }

    /// One request to the next URL. Only 2xx acknowledges.
    async fn deliver_once(&self, body: Bytes) -> Result<(), String> {
        let _permit = self.in_flight.acquire().await.map_err(|error| error.to_string())?;
        let at = self.next_url.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        let signature = self.secrets.header_value(Timestamp::now(), &body);
        let request = self
            .client
            .post(self.urls[at].clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature)
            .body(body);
        let mut response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        if status.is_success() { Ok(()) } else { Err(status.to_string()) }
    }
}
