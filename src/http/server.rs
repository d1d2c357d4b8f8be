//! The server: bounded connections, timeouts for what clients send, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::Http;

/// Largest set of request headers in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Requests that one HTTP/2 connection may have open.
const MAX_H2_STREAMS: u32 = 200;
/// Pause after a failed accept (out of descriptors): the next would fail too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the last connections have for their first request, before idle ones are closed.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What connections are served with.
struct Door {
    router: Router,
    builder: Builder<TokioExecutor>,
    graceful: GracefulShutdown,
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
    let builder = connection_builder(Duration::from_secs(config.header_timeout_s));
    let door = Door { router, builder, graceful: GracefulShutdown::new() };
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
    if tokio::time::timeout(patience, door.graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after {patience:?}");
    }
    Ok(())
}

impl Door {
    fn let_in(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        drop(stream.set_nodelay(true));
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let watched = self.graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // Clients that hang up or send nonsense are their own affair.
            drop(watched.await);
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
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(MAX_H2_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX));
    builder
}
