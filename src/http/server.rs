//! The server: bounded connections, timeouts for what clients send, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::lifetime::{Answering, Lifetime};
use crate::config::Http;

/// Largest set of request headers in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Requests that one HTTP/2 connection may have open.
const MAX_H2_STREAMS: u32 = 200;
/// Requests that an HTTP/2 client may take back before they were looked at; more at once, and the
/// connection ends (CVE-2023-44487, "rapid reset").
const MAX_H2_RESETS: usize = 20;
/// Requests of an HTTP/2 connection that may break the protocol before it ends.
const MAX_H2_MISTAKES: usize = 100;
/// What one HTTP/2 request may have on its way to a client that doesn't read, in bytes.
const MAX_H2_UNREAD_BYTES: usize = 128 * 1024;
/// An HTTP/2 client is asked so often whether it is still there, and has so long to answer.
const H2_PING_EVERY: Duration = Duration::from_secs(30);
const H2_PONG_WITHIN: Duration = Duration::from_secs(20);
/// Pause after a failed accept (out of descriptors): the next would fail too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the last connections have for their first request, before idle ones are closed.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// What a client that asks nothing has to hear that its connection ends.
const HEAR_WITHIN: Duration = Duration::from_secs(5);

/// What connections are served with.
struct Door {
    router: Router,
    builder: Builder<TokioExecutor>,
    /// How long a connection stays on which nothing is asked.
    idle: Duration,
    closing: CancellationToken,
    open: TaskTracker,
}

/// Serves until `drain` is cancelled, then finishes what is open.
///
/// # Errors
/// Never at present; a failing accept is logged and tried again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &Http,
    drain: CancellationToken,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(config.max_connections));
    let idle = Duration::from_secs(config.header_timeout_s);
    let (closing, open) = (CancellationToken::new(), TaskTracker::new());
    let door = Door { router, builder: connection_builder(idle), idle, closing, open };
    loop {
        let permit = tokio::select! {
            () = drain.cancelled() => break,
            permit = permits.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => door.let_in(stream, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who has already connected, as far as the kernel is concerned, may have sent a request.
    while let Ok(permit) = permits.clone().try_acquire_owned()
        && let Some(Ok((stream, peer))) = listener.accept().now_or_never()
    {
        door.let_in(stream, peer, permit);
    }
    drop(listener);
    tokio::time::sleep(LAST_WORDS).await;
    let patience = Duration::from_secs(config.drain_s);
    door.closing.cancel();
    door.open.close();
    if tokio::time::timeout(patience, door.open.wait()).await.is_err() {
        tracing::warn!("connections were still open after {patience:?}");
    }
    Ok(())
}

impl Door {
    fn let_in(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        drop(stream.set_nodelay(true));
        let (router, lifetime) = (self.router.clone(), Arc::new(Lifetime::new()));
        let asked_on = lifetime.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let asked = asked_on.ask(request.version());
            let answer = router.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answer.await?;
                Ok::<_, Infallible>(match asked {
                    Some(asked) => answer.map(|body| Body::new(Answering::new(body, asked))),
                    None => answer,
                })
            }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = connection.into_owned();
        let (idle, closing) = (self.idle, self.closing.clone());
        self.open.spawn(async move {
            let mut connection = pin!(connection);
            // Clients that hang up or send nonsense are their own affair.
            let is_over = tokio::select! {
                _ = connection.as_mut() => true,
                () = closing.cancelled() => false,
                () = lifetime.quiet_for(idle) => false,
            };
            if !is_over {
                // What is open is finished; to HTTP/2 it is said that nothing more is taken.
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => {}
                    () = lifetime.quiet_for(HEAR_WITHIN) => {}
                }
            }
            drop(permit);
        });
    }
}

fn connection_builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(H2_PING_EVERY))
        .keep_alive_timeout(H2_PONG_WITHIN)
        .max_concurrent_streams(MAX_H2_STREAMS)
        .max_pending_accept_reset_streams(MAX_H2_RESETS)
        .max_local_error_reset_streams(MAX_H2_MISTAKES)
        .max_send_buf_size(MAX_H2_UNREAD_BYTES)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX));
    builder
}
