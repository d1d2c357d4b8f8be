//! Asking as fast as there are answers: so many connections, each with one request at a time (a
//! closed loop: what is measured is what the server can do, not how long a crowd would wait).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{Client, Reply};

/// Loopback addresses that connections come from.
const SOURCES: usize = 250;
/// Longest wait that is told apart, in microseconds.
const MAX_WAIT_US: u64 = 60_000_000;

/// What is asked, and what must be answered.
pub trait Asking: Send + Sync + 'static {
    /// Writes the request with this number.
    fn write(&self, number: u64, request: &mut Vec<u8>);

    /// Reads the answer to it.
    ///
    /// # Errors
    /// If it is not what it must be.
    fn read(&self, number: u64, reply: &Reply<'_>) -> Result<()>;
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many requests.
    Count(u64),
    /// After so long.
    Time(Duration),
    /// After so many or so long, whichever is first.
    Either(u64, Duration),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    /// Requests answered.
    pub requests: u64,
    /// How long it took.
    pub seconds: f64,
    /// Requests per second.
    pub per_s: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 % of the answers took no longer, in milliseconds.
    pub p99_ms: f64,
}

/// A server to ask, over so many connections.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// How many of them ask at once: if not all, they take turns.
    pub at_once: usize,
}

impl Target {
    /// All connections ask at once.
    pub const fn new(address: SocketAddr, connections: usize) -> Self {
        Self { address, connections, at_once: connections }
    }
}

/// Asks; the first request has the number `first`.
///
/// # Errors
/// The first wrong answer or broken connection.
pub async fn drive(
    target: Target,
    asking: Arc<dyn Asking>,
    first: u64,
    until: Until,
) -> Result<Window> {
    let mut clients = Vec::with_capacity(target.connections);
    for at in 0..target.connections {
        let last = u8::try_from(at % SOURCES)? + 1;
        clients.push(Client::open(Ipv4Addr::new(127, 0, 1, last), target.address).await?);
    }
    let next = Arc::new(AtomicU64::new(first));
    let turns = Arc::new(Semaphore::new(target.at_once));
    let started = Instant::now();
    let (end, over) = match until {
        Until::Count(count) => (first + count, None),
        Until::Time(time) => (u64::MAX, Some(started + time)),
        Until::Either(count, time) => (first + count, Some(started + time)),
    };
    let mut tasks = JoinSet::new();
    for client in clients {
        let (next, turns, asking) = (next.clone(), turns.clone(), asking.clone());
        tasks.spawn(async move { ask(client, (&next, &turns), &*asking, end, over).await });
    }
    let mut waits = histogram()?;
    while let Some(done) = tasks.join_next().await {
        waits.add(done.context("a task panicked")??)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let at = |quantile| waits.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Window {
        requests: waits.len(),
        seconds,
        per_s: waits.len() as f64 / seconds,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    })
}

async fn ask(
    mut client: Client,
    (next, turns): (&AtomicU64, &Semaphore),
    asking: &dyn Asking,
    end: u64,
    over: Option<Instant>,
) -> Result<Histogram<u64>> {
    let mut waits = histogram()?;
    let mut request = Vec::with_capacity(1_024);
    loop {
        // Given in the order of asking: with fewer turns than connections each has its own.
        let _turn = turns.acquire().await?;
        let then = Instant::now();
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end || over.is_some_and(|over| then >= over) {
            return Ok(waits);
        }
        request.clear();
        asking.write(number, &mut request);
        let reply = client.ask(&request).await?;
        asking.read(number, &reply)?;
        let wait = u64::try_from(then.elapsed().as_micros()).unwrap_or(MAX_WAIT_US);
        waits.record(wait.clamp(1, MAX_WAIT_US))?;
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(MAX_WAIT_US, 3)?)
}
