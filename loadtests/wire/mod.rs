//! HTTP as buyers speak it: kept connections from many loopback addresses, bounded in number,
//! every wait measured.

mod connection;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use hyper::{Method, Request, StatusCode};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::connection::{Connection, Sent, Whole};

/// How long a request may take before it counts as lost. Servers give up after 15 s.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How long a request may wait for a connection to be free.
const CONNECTION_LIMIT: Duration = Duration::from_mins(1);
/// Loopback addresses that connections come from: each has its own 28,000 ports, and to the
/// servers each is another client.
const SOURCES: u32 = 250;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum WireError {
    /// No connection.
    #[error("can't connect: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The server closed it.
    #[error("the connection was closed without an answer")]
    Closed,
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection was free in time: the generator's own limit.
    #[error("no connection was free in time")]
    NoConnection,
    /// An address, a path or a header that can't be sent.
    #[error("the request can't be sent: {0}")]
    Unsendable(#[from] hyper::http::Error),
    /// More than this program reads.
    #[error("the answer is too large")]
    TooLarge,
}

/// A request.
#[derive(Default)]
pub struct Ask<'a> {
    /// Sent with POST if there is one; otherwise see `post`.
    pub body: Option<String>,
    /// POST without a body.
    pub post: bool,
    /// DELETE.
    pub delete: bool,
    /// `Bearer …`.
    pub session: Option<&'a HeaderValue>,
    /// The `Idempotency-Key`.
    pub key: Option<&'a str>,
    /// The `ETag` that is known.
    pub known: Option<&'a HeaderValue>,
}

/// An answer, and how long it took.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its `ETag`.
    pub etag: Option<HeaderValue>,
    /// Its body.
    pub body: Vec<u8>,
    /// From when the request was wanted to its answer.
    pub wanted: Duration,
    /// Of it, waiting for a connection to be free.
    pub queued: Duration,
    /// The rest of it.
    pub service: Duration,
}

/// A server, and the connections to it.
pub struct Origin {
    address: SocketAddr,
    host: HeaderValue,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
    opened: AtomicU32,
}

impl Origin {
    /// A server that at most so many connections are made to.
    ///
    /// # Errors
    /// Never for an address that is one.
    pub fn new(address: SocketAddr, connections: usize) -> Result<Self, WireError> {
        let host = HeaderValue::try_from(address.to_string()).map_err(hyper::http::Error::from)?;
        Ok(Self {
            address,
            host,
            idle: Mutex::new(Vec::new()),
            free: Semaphore::new(connections),
            opened: AtomicU32::new(0),
        })
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// If there was none.
    pub async fn ask(&self, path: &str, ask: Ask<'_>) -> Result<Answer, WireError> {
        let wanted = Instant::now();
        let request = self.request(path, ask)?;
        let permit = timeout(CONNECTION_LIMIT, self.free.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or(WireError::NoConnection)?;
        let queued = wanted.elapsed();
        let exchange = self.exchange(request);
        let (response, body) =
            timeout(REQUEST_LIMIT, exchange).await.map_err(|_| WireError::Timeout)??;
        let wanted = wanted.elapsed();
        Ok(Answer {
            status: response.status(),
            etag: response.headers().get(ETAG).cloned(),
            body,
            wanted,
            queued,
            service: wanted.saturating_sub(queued),
        })
    }

    async fn exchange(
        &self,
        request: Request<Whole>,
    ) -> Result<(hyper::Response<()>, Vec<u8>), WireError> {
        let mut request = request;
        loop {
            // The last one used: the fewest stay open, and those rarely grow stale.
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut connection, is_new) = match kept {
                Some(connection) if connection.is_fresh() => (connection, false),
                Some(_) => continue,
                None => (self.open().await?, true),
            };
            match connection.exchange(request).await? {
                Sent::Answered(response, body) => {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    return Ok((response, body));
                }
                Sent::NotSent(_) if is_new => return Err(WireError::Closed),
                Sent::NotSent(unsent) => request = *unsent,
            }
        }
    }

    async fn open(&self) -> Result<Connection, WireError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) % SOURCES;
        let last = u8::try_from(number).unwrap_or(0) + 1;
        Connection::open(Ipv4Addr::new(127, 0, 1, last), self.address).await
    }

    fn request(&self, path: &str, ask: Ask<'_>) -> Result<Request<Whole>, WireError> {
        let method = match (ask.delete, ask.post || ask.body.is_some()) {
            (true, _) => Method::DELETE,
            (false, true) => Method::POST,
            (false, false) => Method::GET,
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if let Some(session) = ask.session {
            request = request.header(AUTHORIZATION, session);
        }
        if let Some(key) = ask.key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(known) = ask.known {
            request = request.header(IF_NONE_MATCH, known);
        }
        if ask.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            request = request.header(CONTENT_TYPE, json);
        }
        Ok(request.body(ask.body.unwrap_or_default().into())?)
    }
}

#[cfg(test)]
mod tests;
