//! What polls are compared with: an axum handler that does nothing but answer JSON, on the same
//! runtime and allocator as onsale and served by the same code.

use std::future::ready;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use onsale::config::Http;
use onsale::serve::stop_signal;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    let listener = TcpListener::bind(options.listen).await?;
    let drain = CancellationToken::new();
    let stop = drain.clone();
    tokio::spawn(async move {
        drop(stop_signal().await);
        stop.cancel();
    });
    onsale::http::server::serve(listener, router, &Http::default(), drain).await?;
    Ok(true)
}
