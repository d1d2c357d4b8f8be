//! A relay of a public beacon, which answers as drand's do, or misbehaves.

use std::future::{IntoFuture, pending};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What the relay does.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Never answers.
    Silent,
    /// 500.
    Broken,
    /// What a network's captive portal would say.
    Page,
    /// More than any beacon.
    Endless,
    /// The round after, with all that belongs to it.
    OtherRound,
    /// The round, with a value that its signature doesn't give.
    OtherValue,
    /// As it should.
    Good,
}

/// A relay. It ends with the runtime.
#[derive(Clone)]
pub struct Relay {
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

/// `waiting_room.beacon_url` for a relay there.
pub fn template(address: SocketAddr) -> String {
    format!("http://{address}/public/{{round}}")
}

/// A round as drand's relays tell it.
pub fn said(round: i64) -> Value {
    let signature = Sha256::digest(format!("round {round}")).repeat(3);
    json!({"round": round, "randomness": hex::encode(Sha256::digest(&signature)),
           "signature": hex::encode(&signature), "previous_signature": ""})
}

impl Relay {
    /// Opens there, and answers as it should.
    pub async fn open(address: SocketAddr) -> Self {
        let relay = Self { manner: Arc::new(Mutex::new(Manner::Good)), asked: Arc::default() };
        let routes = axum::Router::new().route("/public/{round}", get(say));
        let listener = tokio::net::TcpListener::bind(address).await.expect("its port");
        let served = axum::serve(listener, routes.with_state(relay.clone())).into_future();
        tokio::spawn(served);
        relay
    }

    /// What it does from now on.
    pub fn is(&self, manner: Manner) {
        *self.manner.lock().expect("not poisoned") = manner;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn say(State(relay): State<Relay>, Path(round): Path<i64>) -> Response {
    relay.asked.fetch_add(1, Ordering::SeqCst);
    let manner = *relay.manner.lock().expect("not poisoned");
    match manner {
        Manner::Silent => pending().await,
        Manner::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "no").into_response(),
        Manner::Page => "<html>Please sign in to this network</html>".into_response(),
        Manner::Endless => vec![b' '; 1 << 20].into_response(),
        Manner::OtherRound => axum::Json(said(round + 1)).into_response(),
        Manner::OtherValue => {
            let mut wrong = said(round);
            wrong["randomness"] = said(round + 1)["randomness"].clone();
            axum::Json(wrong).into_response()
        }
        Manner::Good => axum::Json(said(round)).into_response(),
    }
}
