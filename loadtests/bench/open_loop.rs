//! Requests at random moments, whether or not earlier ones were answered, as crowds send them.
//! Waits count from the intended moment, so a server that is behind can't hide it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::waiting::client::{Client, Reply};

/// Loopback addresses that connections come from.
const SOURCES: usize = 250;
/// Longest wait that is told apart, in microseconds.
const MAX_WAIT_US: u64 = 60_000_000;

/// What is asked.
pub trait Offering: Send + Sync + 'static {
    /// Writes a request, and says what it is about.
    ///
    /// # Errors
    /// If there is nothing left to ask for.
    fn write(&self, request: &mut Vec<u8>) -> Result<usize>;

    /// Whether the answer is the good one; `false` if the server was too busy.
    ///
    /// # Errors
    /// If it is neither.
    fn read(&self, about: usize, reply: &Reply<'_>) -> Result<bool>;
}

/// What came of it, per second of the window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Offered {
    /// Requests that were meant to be sent.
    pub intended_per_s: f64,
    /// Requests that were sent: the generator had a connection for them.
    pub sent_per_s: f64,
    /// Good answers.
    pub good_per_s: f64,
    /// The server was too busy.
    pub refused_per_s: f64,
    /// Half of the good answers came no later after the intended moment, in milliseconds.
    pub p50_ms: f64,
    /// 99 % of them came no later, in milliseconds.
    pub p99_ms: f64,
    /// 99 % of the requests that had a connection waiting were sent no later after the intended
    /// moment, in milliseconds: the generator's own share in the waits.
    pub late_p99_ms: f64,
}

struct Schedule {
    moments: Vec<Duration>,
    next: AtomicUsize,
    started: Instant,
    end: Instant,
}

/// One connection's part.
struct Part {
    sent: u64,
    good: u64,
    refused: u64,
    waits: Histogram<u64>,
    late: Histogram<u64>,
}

/// Offers so many requests per second for so long, over at most so many connections. Answers that
/// come after the end are waited for, but not counted.
///
/// # Errors
/// The first answer that should not have come, or a broken connection.
pub async fn offer(
    address: SocketAddr,
    connections: usize,
    (per_s, length): (f64, Duration),
    offering: Arc<dyn Offering>,
) -> Result<Offered> {
    let mut clients = Vec::with_capacity(connections);
    for at in 0..connections {
        let last = u8::try_from(at % SOURCES)? + 1;
        clients.push(Client::open(Ipv4Addr::new(127, 0, 3, last), address).await?);
    }
    let moments = moments(per_s, length);
    let intended = moments.len();
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let schedule = Arc::new(Schedule { moments, next, started, end: started + length });
    let mut tasks = JoinSet::new();
    for client in clients {
        let (schedule, offering) = (schedule.clone(), offering.clone());
        tasks.spawn(async move { part(client, &schedule, &*offering).await });
    }
    let mut sum = Part::new()?;
    while let Some(done) = tasks.join_next().await {
        let part = done.context("a task panicked")??;
        sum.sent += part.sent;
        sum.good += part.good;
        sum.refused += part.refused;
        sum.waits.add(part.waits)?;
        sum.late.add(part.late)?;
    }
    let seconds = length.as_secs_f64();
    let ms = |of: &Histogram<u64>, quantile| of.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Offered {
        intended_per_s: intended as f64 / seconds,
        sent_per_s: sum.sent as f64 / seconds,
        good_per_s: sum.good as f64 / seconds,
        refused_per_s: sum.refused as f64 / seconds,
        p50_ms: ms(&sum.waits, 0.5),
        p99_ms: ms(&sum.waits, 0.99),
        late_p99_ms: ms(&sum.late, 0.99),
    })
}

/// Independent of each other, so many per second on average, the same in every run.
fn moments(per_s: f64, length: Duration) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(11);
    let mut moments = Vec::with_capacity((per_s * length.as_secs_f64()) as usize + 1);
    let mut at = 0.0;
    loop {
        at -= (1.0 - random.random::<f64>()).ln() / per_s;
        if at >= length.as_secs_f64() {
            return moments;
        }
        moments.push(Duration::from_secs_f64(at));
    }
}

impl Part {
    fn new() -> Result<Self> {
        let empty = || Histogram::new_with_max(MAX_WAIT_US, 2);
        Ok(Self { sent: 0, good: 0, refused: 0, waits: empty()?, late: empty()? })
    }
}

async fn part(mut client: Client, schedule: &Schedule, offering: &dyn Offering) -> Result<Part> {
    let mut part = Part::new()?;
    let mut request = Vec::with_capacity(1_024);
    loop {
        let at = schedule.next.fetch_add(1, Ordering::Relaxed);
        let Some(moment) = schedule.moments.get(at) else { return Ok(part) };
        let intended = schedule.started + *moment;
        let is_early = Instant::now() < intended;
        if is_early {
            sleep_until(intended.into()).await;
            part.late.record(us(intended.elapsed()))?;
        }
        if Instant::now() >= schedule.end {
            return Ok(part);
        }
        request.clear();
        let about = offering.write(&mut request)?;
        part.sent += 1;
        let reply = client.ask(&request).await?;
        let good = offering.read(about, &reply)?;
        if Instant::now() >= schedule.end {
            return Ok(part);
        }
        if good {
            part.good += 1;
            part.waits.record(us(intended.elapsed()))?;
        } else {
            part.refused += 1;
        }
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(MAX_WAIT_US).clamp(1, MAX_WAIT_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_as_many_as_wanted_and_in_order() {
        let moments = moments(1_000.0, Duration::from_secs(10));
        assert!((9_600..10_400).contains(&moments.len()), "{}", moments.len());
        assert!(moments.is_sorted());
        assert!(moments.last().is_some_and(|last| *last < Duration::from_secs(10)));
    }
}
