//! How long a connection stays that nothing is asked on.
//!
//! Of HTTP/1 the parser looks after that itself, from the first byte on. Before it nobody would,
//! and with HTTP/2 nobody either: a client that answers pings and asks nothing is alive, and would
//! keep its place for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// What is asked on a connection.
pub struct Lifetime {
    /// Set with the first request: from then on the parser looks after it.
    is_http1: AtomicBool,
    /// Requests whose answers haven't been sent.
    open: AtomicU32,
    /// When the connection was made, or the last answer was sent.
    quiet_since: Mutex<Instant>,
}

/// A request of HTTP/2, open until dropped.
pub struct Asked(Arc<Lifetime>);

/// An answer's body: the request is open until all of it was taken.
pub struct Answering {
    body: Body,
    _asked: Asked,
}

impl Lifetime {
    /// Of a connection that has just been made.
    pub fn new() -> Self {
        Self {
            is_http1: AtomicBool::new(false),
            open: AtomicU32::new(0),
            quiet_since: Mutex::new(Instant::now()),
        }
    }

    /// Notes a request; of HTTP/1 only that there was one.
    pub fn ask(self: &Arc<Self>, version: Version) -> Option<Asked> {
        if version < Version::HTTP_2 {
            self.is_http1.store(true, Ordering::Relaxed);
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Asked(self.clone()))
    }

    /// Returns once nothing has been asked for so long, from now on.
    pub async fn quiet_for(&self, time: Duration) {
        let mut until = Instant::now() + time;
        loop {
            sleep_until(until).await;
            if self.is_http1.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let now = Instant::now();
            let since = *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner);
            until = match self.open.load(Ordering::Relaxed) {
                0 if since + time <= now => return,
                0 => since + time,
                _ => now + time,
            };
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The moment first: whoever sees that nothing is open also sees since when.
        let mut since = self.0.quiet_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = Instant::now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Answering {
    /// Keeps the request open as long as there is anything of its answer.
    pub fn new(body: Body, asked: Asked) -> Self {
        Self { body, _asked: asked }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_connection_is_quiet_while_nothing_is_open() {
        let lifetime = Arc::new(Lifetime::new());
        let asked = lifetime.ask(Version::HTTP_2);
        let one = lifetime.clone();
        let quiet = tokio::spawn(async move { one.quiet_for(LIMIT).await });
        tokio::time::sleep(LIMIT * 5).await;
        assert!(!quiet.is_finished(), "an answer is being sent");
        let sent = Instant::now();
        drop(asked);
        quiet.await.unwrap();
        assert!(sent.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn http1_looks_after_itself_once_it_was_spoken() {
        let lifetime = Arc::new(Lifetime::new());
        assert!(lifetime.ask(Version::HTTP_11).is_none());
        let quiet = tokio::time::timeout(LIMIT * 5, lifetime.quiet_for(LIMIT)).await;
        assert!(quiet.is_err());
        Lifetime::new().quiet_for(LIMIT).await;
    }
}
