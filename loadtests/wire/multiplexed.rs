//! HTTP/2 by prior knowledge, as a proxy in front speaks it: few connections, many requests on each
//! at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Mutex, Semaphore};

use super::connection::{self, Counted, MAX_ANSWER_BYTES, Open, Received};
use super::{Ask, WireError};

/// Connections to each server.
const CONNECTIONS: usize = 4;
/// Requests at once on each: servers allow twice as many.
const AT_ONCE: usize = 100;
/// A request that a connection which was just ending didn't take is sent again so often.
const ATTEMPTS: u32 = 3;

type Sender = SendRequest<Body>;

/// Connections to a server that many share at once.
pub struct Multiplexed {
    senders: [Mutex<Option<Sender>>; CONNECTIONS],
    next: AtomicUsize,
    /// So many requests more may be under way.
    pub free: Semaphore,
}

impl Default for Multiplexed {
    fn default() -> Self {
        Self {
            senders: Default::default(),
            next: AtomicUsize::new(0),
            free: Semaphore::new(CONNECTIONS * AT_ONCE),
        }
    }
}

impl Multiplexed {
    /// Sends a request and reads the whole answer; opens a connection if there is none. `opened`
    /// is told of each.
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn exchange(
        &self,
        to: SocketAddr,
        request: impl Fn() -> Result<Request<Body>, WireError>,
        (open, opened): (&Arc<Open>, impl Fn()),
    ) -> Result<Received, WireError> {
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let mut attempt = 1;
        loop {
            let mut sender = self.sender(slot, to, open, &opened).await?;
            match sender.send_request(request()?).await {
                Ok(answer) => return read(answer).await,
                // It was never sent.
                Err(error) if error.is_canceled() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(broken(error)),
            }
        }
    }

    async fn sender(
        &self,
        slot: usize,
        to: SocketAddr,
        open: &Arc<Open>,
        opened: impl Fn(),
    ) -> Result<Sender, WireError> {
        let mut kept = self.senders[slot].lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        opened();
        let last = u8::try_from(slot).unwrap_or(0) + 1;
        let stream = connection::connect(Ipv4Addr::new(127, 0, 2, last), to).await?;
        let counted = Counted::new(open);
        let mut builder = Builder::new(TokioExecutor::new());
        let made = builder.timer(TokioTimer::new()).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(broken)?;
        tokio::spawn(async move {
            // What breaks, the requests on it say.
            let _ = connection.await;
            drop(counted);
        });
        *kept = Some(sender.clone());
        Ok(sender)
    }
}

async fn read(answer: axum::http::Response<hyper::body::Incoming>) -> Result<Received, WireError> {
    let (head, body) = answer.into_parts();
    let body = to_bytes(Body::new(body), MAX_ANSWER_BYTES).await.map_err(broken)?;
    let retry = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(Received {
        status: head.status,
        etag: head.headers.get(header::ETAG).cloned(),
        retry_after_s: retry.and_then(|text| text.parse().ok()),
        body: body.into(),
    })
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WireError {
    WireError::Broken(std::io::Error::other(error))
}

/// A request as HTTP/2 has it.
pub fn request(host: &HeaderValue, path: &str, ask: &Ask<'_>) -> Result<Request<Body>, WireError> {
    let host = host.to_str().map_err(|_| WireError::Unsendable)?;
    let mut request = Request::builder().method(ask.method()).uri(format!("http://{host}{path}"));
    for (name, value) in [("authorization", ask.session), ("if-none-match", ask.known)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    for (name, value) in ask.texts() {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let body = ask.body.clone();
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request.body(body.map_or_else(Body::empty, Body::from)).map_err(|_| WireError::Unsendable)
}
