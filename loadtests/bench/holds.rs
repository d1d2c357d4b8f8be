//! Holds of two chosen neighbours: through the API, and through a bare handler that does nothing
//! but one EVALSHA of the same script.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use onsale::ids::AccountId;
use onsale::keyring::Keyring;

use super::stock::{Pair, Stock};
use crate::waiting::client::Reply;
use crate::waiting::drive::Asking;

/// Everybody holds another pair, each with a session of their own, through the API.
pub struct Holding {
    /// Sessions are made here, with the servers' keys.
    pub keyring: Arc<Keyring>,
    /// What is held.
    pub stock: Arc<Stock>,
}

impl Holding {
    fn pair(&self, number: u64) -> Pair {
        self.stock.pairs[usize::try_from(number).unwrap_or(0) % self.stock.pairs.len()]
    }
}

/// A whole POST.
pub fn post(request: &mut Vec<u8>, path: &str, session: &str, key: &str, body: &str) {
    let written = write!(
        request,
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {session}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    debug_assert!(written.is_ok(), "memory takes everything");
}

/// The wish for a pair, as JSON.
pub fn wish(pair: &Pair) -> String {
    let [left, right] = pair.places;
    format!("{{\"lines\":[{{\"offer\":\"{}\",\"places\":[{left},{right}]}}]}}", pair.offer)
}

impl Asking for Holding {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        let pair = self.pair(number);
        let mut path = String::with_capacity(64);
        let written = write!(path, "/v1/events/{}/holds", self.stock.events[pair.event].slug);
        debug_assert!(written.is_ok(), "memory takes everything");
        let session = self.keyring.session(AccountId::fresh(), Timestamp::now());
        post(request, &path, &session, "1", &wish(&pair));
    }

    fn read(&self, _: u64, reply: &Reply<'_>) -> Result<()> {
        // A refusal is not a hold, and there is no reason for any here.
        let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
        ensure!(reply.status == 201, "a hold: {} {}", reply.status, shown());
        Ok(())
    }
}

/// The same pairs through the bare handler.
pub struct Bare {
    /// What is held.
    pub stock: Arc<Stock>,
}

impl Asking for Bare {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        let pair = self.stock.pairs[usize::try_from(number).unwrap_or(0) % self.stock.pairs.len()];
        let [left, right] = pair.places;
        let (event, offer) = (pair.event, pair.offer);
        let body = format!(
            "{{\"event\":{event},\"offer\":\"{offer}\",\"places\":[{left},{right}],\
             \"id\":\"{}\",\"account\":\"{}\"}}",
            AccountId::fresh(),
            AccountId::fresh()
        );
        // The same headers, so that reading them costs the same.
        post(request, super::bare_hold::PATH, &"x".repeat(92), "1", &body);
    }

    fn read(&self, _: u64, reply: &Reply<'_>) -> Result<()> {
        let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
        ensure!(reply.status == 201, "a bare hold: {} {}", reply.status, shown());
        Ok(())
    }
}
