//! A million visitors: how they join, and how each asks where they stand.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use onsale::ids::AccountId;
use onsale::keyring::Keyring;

use super::client::Reply;
use super::drive::Asking;

/// What an answer to joining begins with.
const TOKEN_AT: &[u8] = b"{\"token\":\"";
/// What an answer to a poll begins with.
const STATE_AT: &[u8] = b"{\"state\":\"";

/// Tokens of visitors, one after the other: all are of the same length.
#[derive(Default)]
pub struct Tokens {
    text: Vec<u8>,
    length: usize,
}

impl Tokens {
    /// How many.
    pub fn count(&self) -> usize {
        self.text.len() / self.length.max(1)
    }

    fn push(&mut self, token: &[u8]) -> Result<()> {
        if self.length == 0 {
            self.length = token.len();
        }
        ensure!(token.len() == self.length && !token.is_empty(), "a token of another length");
        self.text.extend_from_slice(token);
        Ok(())
    }

    fn get(&self, at: usize) -> &[u8] {
        &self.text[at * self.length..(at + 1) * self.length]
    }
}

/// Visitors with a session each, who join.
pub struct Joining {
    /// Sessions are made here, with the servers' keys: asking for each would take as long again.
    pub keyring: Keyring,
    /// Where to join.
    pub path: String,
    /// Sessions with their proofs, where joining needs one; by number.
    pub proofs: Vec<(String, String)>,
    /// What was answered.
    pub tokens: Mutex<Tokens>,
}

impl Asking for Joining {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let (session, body) = match self.proofs.get(at) {
            Some((session, proof)) => (session.clone(), format!("{{\"proof\":\"{proof}\"}}")),
            None => {
                let session = self.keyring.session(AccountId::fresh(), Timestamp::now());
                (session, "{}".to_owned())
            }
        };
        let written = write!(
            request,
            "POST {} HTTP/1.1\r\nhost: surge\r\nauthorization: Bearer {session}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        );
        debug_assert!(written.is_ok(), "memory takes everything");
    }

    fn read(&self, _: u64, reply: &Reply<'_>) -> Result<()> {
        let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
        ensure!(reply.status == 200, "joining: {} {}", reply.status, shown());
        let token = reply.body.strip_prefix(TOKEN_AT);
        let end = token.and_then(|token| token.iter().position(|byte| *byte == b'"'));
        let (token, end) = token.zip(end).with_context(|| format!("no token: {}", shown()))?;
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(&token[..end])
    }
}

/// The same visitors, each of whom asks where they stand.
pub struct Polling {
    /// Whose turn it is to ask.
    pub tokens: RwLock<Tokens>,
    /// Where to ask.
    pub path: String,
    /// How many were told each state.
    pub states: [AtomicU64; STATES.len()],
}

/// States that visitors may be told.
pub const STATES: [&str; 5] = ["pre_queue", "drawing", "waiting", "your_turn", "second_chance"];

impl Polling {
    /// How many were told which state, since the last time.
    pub fn told(&self) -> Vec<(&'static str, u64)> {
        let counts = self.states.iter().map(|count| count.swap(0, Ordering::Relaxed));
        STATES.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

impl Asking for Polling {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(number).unwrap_or(0) % tokens.count().max(1);
        request.extend_from_slice(b"GET ");
        request.extend_from_slice(self.path.as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\nhost: surge\r\nonsale-queue: ");
        request.extend_from_slice(tokens.get(at));
        request.extend_from_slice(b"\r\n\r\n");
    }

    fn read(&self, _: u64, reply: &Reply<'_>) -> Result<()> {
        let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
        ensure!(reply.status == 200, "polling: {} {}", reply.status, shown());
        let rest = reply.body.strip_prefix(STATE_AT).with_context(|| format!("{}", shown()))?;
        let known = STATES.iter().position(|state| rest.starts_with(state.as_bytes()));
        let known = known.with_context(|| format!("an unexpected state: {}", shown()))?;
        self.states[known].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Anybody who asks the bare handler, with a header as long as a token.
pub struct Plain {
    /// The whole request.
    pub request: Vec<u8>,
    /// How long the answer must be.
    pub bytes: usize,
}

impl Plain {
    /// Asks for a path.
    pub fn new(path: &str, bytes: usize) -> Self {
        let token = "x".repeat(82);
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: surge\r\nonsale-queue: {token}\r\n\r\n");
        Self { request: request.into_bytes(), bytes }
    }
}

impl Asking for Plain {
    fn write(&self, _: u64, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.request);
    }

    fn read(&self, _: u64, reply: &Reply<'_>) -> Result<()> {
        // Numbers in a poll's answer change their length.
        let alike = reply.body.len().abs_diff(self.bytes) <= self.bytes / 50;
        ensure!(reply.status == 200 && alike, "{}: {} bytes", reply.status, reply.body.len());
        Ok(())
    }
}
