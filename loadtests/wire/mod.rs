//! HTTP as visitors speak it: kept connections of their own, connections that many share as
//! through a proxy, or a new one each time; from many loopback addresses, every wait measured.

mod connection;
mod multiplexed;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::connection::Received;
pub use self::connection::{Connection, Open};
use self::multiplexed::Multiplexed;

/// How long a request may take before it counts as lost. Servers give up after 15 s.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// How long a request may wait for a connection to be free.
const CONNECTION_LIMIT: Duration = Duration::from_mins(1);
/// Loopback addresses that shared connections come from: each has its own 28,000 ports, and to
/// the servers each is another client.
const SOURCES: u32 = 250;
/// Unused for so long, a connection may be about to be closed by the server, which gives idle
/// clients 30 s by default. It is then replaced.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum WireError {
    /// No connection.
    #[error("can't connect: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The server closed it.
    #[error("the connection was closed without an answer")]
    Closed,
    /// The server closed it within an answer.
    #[error("the connection was closed within an answer")]
    Cut,
    /// Not in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection was free in time: the generator's own limit.
    #[error("no connection was free in time")]
    NoConnection,
    /// An address, a path or a header that can't be sent.
    #[error("the request can't be sent")]
    Unsendable,
    /// Not HTTP as this program reads it.
    #[error("the answer can't be read")]
    Unreadable,
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
    /// The queue token.
    pub queue: Option<&'a str>,
    /// The pass.
    pub pass: Option<&'a str>,
    /// The address that a proxy says the visitor has.
    pub forwarded: Option<&'a str>,
    /// The rehearsal's tag, and the visitor that is played.
    pub played: Option<&'a str>,
}

impl<'a> Ask<'a> {
    fn method(&self) -> &'static str {
        match (self.delete, self.post || self.body.is_some()) {
            (true, _) => "DELETE",
            (false, true) => "POST",
            (false, false) => "GET",
        }
    }

    /// Headers that are given as text.
    fn texts(&self) -> [(&'static str, Option<&'a str>); 5] {
        [
            ("idempotency-key", self.key),
            ("onsale-queue", self.queue),
            ("onsale-pass", self.pass),
            ("x-forwarded-for", self.forwarded),
            ("onsale-rehearsal", self.played),
        ]
    }
}

/// An answer, and how long it took.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its `ETag`.
    pub etag: Option<HeaderValue>,
    /// Its `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// Its body.
    pub body: Vec<u8>,
    /// Waiting for a connection to be free.
    pub queued: Duration,
    /// From then on to the answer, a new connection included.
    pub service: Duration,
}

/// A server, and the connections to it.
pub struct Origin {
    address: SocketAddr,
    host: HeaderValue,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
    multiplexed: Multiplexed,
    opened: AtomicU32,
    open: Arc<Open>,
    max_idle: Duration,
    is_out: AtomicBool,
}

impl Origin {
    /// A server that at most so many shared connections are made to.
    ///
    /// # Errors
    /// Never for an address that is one.
    pub fn new(address: SocketAddr, connections: usize) -> Result<Self, WireError> {
        Self::counted(address, connections, Arc::default(), MAX_IDLE)
    }

    /// The same, with its open connections counted here, and kept so long without use.
    ///
    /// # Errors
    /// Never for an address that is one.
    pub fn counted(
        address: SocketAddr,
        connections: usize,
        open: Arc<Open>,
        max_idle: Duration,
    ) -> Result<Self, WireError> {
        let host = HeaderValue::try_from(address.to_string());
        Ok(Self {
            address,
            host: host.map_err(|_| WireError::Unsendable)?,
            idle: Mutex::new(Vec::new()),
            free: Semaphore::new(connections),
            multiplexed: Multiplexed::default(),
            opened: AtomicU32::new(0),
            open,
            max_idle,
            is_out: AtomicBool::new(false),
        })
    }

    /// The same, under the name that it has for others.
    ///
    /// # Errors
    /// If that can't be sent.
    pub fn named(self, host: &str) -> Result<Self, WireError> {
        let host = HeaderValue::try_from(host).map_err(|_| WireError::Unsendable)?;
        Ok(Self { host, ..self })
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the balancer in front sends nobody there.
    pub fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Takes it out, or in again.
    pub fn take_out(&self, out: bool) {
        self.is_out.store(out, Ordering::Relaxed);
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Sends a request through a shared connection and waits for the answer.
    ///
    /// # Errors
    /// If there was none.
    pub async fn ask(&self, path: &str, ask: Ask<'_>) -> Result<Answer, WireError> {
        let wanted = Instant::now();
        let request = connection::write(&self.host, path, &ask)?;
        let permit = timeout(CONNECTION_LIMIT, self.free.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or(WireError::NoConnection)?;
        let queued = wanted.elapsed();
        let exchange = async {
            let mut connection = self.kept_or_new().await?;
            let received = connection.exchange(&request).await?;
            // The last one used: the fewest stay open, and those rarely grow stale.
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(received)
        };
        let received = timeout(REQUEST_LIMIT, exchange).await.map_err(|_| WireError::Timeout)?;
        received.map(|received| Answer::new(received, wanted, queued))
    }

    /// Sends a request over HTTP/2, through a connection that many use at once.
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn ask_multiplexed(&self, path: &str, ask: Ask<'_>) -> Result<Answer, WireError> {
        let wanted = Instant::now();
        let permit = timeout(CONNECTION_LIMIT, self.multiplexed.free.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or(WireError::NoConnection)?;
        let queued = wanted.elapsed();
        let opened = || {
            self.opened.fetch_add(1, Ordering::Relaxed);
        };
        let request = || multiplexed::request(&self.host, path, &ask);
        let exchange = self.multiplexed.exchange(self.address, request, (&self.open, opened));
        let received = timeout(REQUEST_LIMIT, exchange).await.map_err(|_| WireError::Timeout)?;
        received.map(|received| Answer::new(received, wanted, queued))
    }

    /// Sends a request through the visitor's own connection, which is opened from this address if
    /// there is none (any more), and stays in its place.
    ///
    /// # Errors
    /// If there was none.
    pub async fn ask_through(
        &self,
        own: &mut Option<Connection>,
        from: Ipv4Addr,
        path: &str,
        ask: Ask<'_>,
    ) -> Result<Answer, WireError> {
        let wanted = Instant::now();
        let request = connection::write(&self.host, path, &ask)?;
        let exchange = async {
            let mut connection = match own.take() {
                Some(kept) if kept.to == self.address && kept.is_fresh(self.max_idle) => kept,
                _ => self.open(from).await?,
            };
            let received = connection.exchange(&request).await?;
            *own = Some(connection);
            Ok(received)
        };
        let received = timeout(REQUEST_LIMIT, exchange).await.map_err(|_| WireError::Timeout)?;
        received.map(|received| Answer::new(received, wanted, Duration::ZERO))
    }

    /// Sends a request and hangs up without waiting for an answer, as a phone in a tunnel does.
    ///
    /// # Errors
    /// If it could not be sent.
    pub async fn ask_and_hang_up(
        &self,
        from: Ipv4Addr,
        path: &str,
        ask: Ask<'_>,
    ) -> Result<(), WireError> {
        let request = connection::write(&self.host, path, &ask)?;
        let mut connection = self.open(from).await?;
        connection.send(&request).await
    }

    async fn kept_or_new(&self) -> Result<Connection, WireError> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(connection) if connection.is_fresh(self.max_idle) => return Ok(connection),
                Some(_) => {}
                None => {
                    let number = self.opened.load(Ordering::Relaxed) % SOURCES;
                    let last = u8::try_from(number).unwrap_or(0) + 1;
                    return self.open(Ipv4Addr::new(127, 0, 1, last)).await;
                }
            }
        }
    }

    async fn open(&self, from: Ipv4Addr) -> Result<Connection, WireError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Connection::open(from, self.address, &self.open).await
    }
}

impl Answer {
    fn new(received: Received, wanted: Instant, queued: Duration) -> Self {
        let service = wanted.elapsed().saturating_sub(queued);
        let Received { status, etag, retry_after_s, body } = received;
        Self { status, etag, retry_after_s, body, queued, service }
    }
}

#[cfg(test)]
mod tests;
