//! What polls are compared with: an axum handler that does nothing but answer JSON, on the same
//! runtime and allocator as onsale and served by the same code.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use onsale::config::Http;
use onsale::serve::stop_signal;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::rig::free_addresses;
use crate::wire::{Ask, Origin};

/// How long a bare handler may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// The cheapest answer: one text, copied.
pub const PADDED: &str = "/padded";
/// The same answer as a poll's, written by serde from memory each time.
pub const DOCUMENT: &str = "/document";

/// Where it listens, and what it answers.
#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// A file with an answer to a poll.
    #[arg(long)]
    answer: PathBuf,
}

#[derive(Serialize)]
struct Padded {
    text: String,
}

/// Serves until it is told to stop.
///
/// # Errors
/// If the address is taken or the file can't be read.
pub async fn run(options: Options) -> Result<bool> {
    let answer = std::fs::read(&options.answer).context("the answer can't be read")?;
    let document: Value = serde_json::from_slice(&answer)?;
    let mut padded = Padded { text: String::new() };
    let overhead = serde_json::to_vec(&padded)?.len();
    padded.text = "x".repeat(answer.len().saturating_sub(overhead));
    let (document, padded) = (Arc::new(document), Arc::new(padded));
    let router = Router::new()
        .route(PADDED, get(move || ready(Json(&*padded).into_response())))
        .route(DOCUMENT, get(move || ready(Json(&*document).into_response())));
    serve(options.listen, router).await
}

/// Starts a bare handler in a process of its own, which ends with what is returned, and waits until
/// it answers.
///
/// # Errors
/// If it doesn't in time.
pub async fn start(arguments: &[&str], path: &str) -> Result<(Child, SocketAddr)> {
    let address = free_addresses(Ipv4Addr::LOCALHOST, 1)?[0];
    let child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .args(["--listen", &address.to_string()])
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (origin, started) = (Origin::new(address, 1)?, Instant::now());
    // Any answer will do: a handler for POST refuses this.
    while origin.ask(path, Ask::default()).await.is_err() {
        ensure!(started.elapsed() < PATIENCE, "a bare handler doesn't answer");
        sleep(Duration::from_millis(50)).await;
    }
    Ok((child, address))
}

/// Serves a bare handler as onsale serves, until it is told to stop.
///
/// # Errors
/// If the address is taken.
pub async fn serve(listen: SocketAddr, router: Router) -> Result<bool> {
    let listener = TcpListener::bind(listen).await?;
    let drain = CancellationToken::new();
    let stop = drain.clone();
    tokio::spawn(async move {
        drop(stop_signal().await);
        stop.cancel();
    });
    onsale::http::server::serve(listener, router, &Http::default(), drain).await?;
    Ok(true)
}
