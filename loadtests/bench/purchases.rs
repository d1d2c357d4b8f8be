//! Complete purchases: hold, checkout, payment at the provider's, its signed webhook, tickets.
//!
//! Each buyer is a task of its own that buys one pair after the other, with a new session each
//! time. The provider is a process of its own on the generator's core; its answer to the payment
//! comes once its webhook was answered, and the purchase counts once the order shows its tickets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use jiff::Timestamp;
use onsale::ids::AccountId;
use onsale::keyring::Keyring;
use onsale::payments::sandbox::own_card;
use serde_json::Value;
use tokio::task::JoinSet;

use super::holds::{post, wish};
use super::stock::{Pair, Stock};
use crate::waiting::client::Client;

/// Longest purchase that is told apart, in microseconds.
const MAX_WAIT_US: u64 = 60_000_000;

/// Who buys what, where.
pub struct Buying {
    /// Sessions are made here, with the servers' keys.
    pub keyring: Arc<Keyring>,
    /// What is bought.
    pub stock: Arc<Stock>,
    /// The next pair.
    pub next: AtomicU64,
    /// How many pairs are bought at most, if not as many as can be.
    pub most: Option<u64>,
    /// The server.
    pub server: SocketAddr,
    /// The payment provider.
    pub provider: SocketAddr,
}

/// What came of it.
pub struct Bought {
    /// Complete purchases per second.
    pub per_s: f64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 % took no longer, in milliseconds.
    pub p99_ms: f64,
}

impl Buying {
    /// So many buyers buy for so long.
    ///
    /// # Errors
    /// The first answer that should not have come.
    pub async fn window(self: &Arc<Self>, buyers: u8, length: Duration) -> Result<Bought> {
        let end = Instant::now() + length;
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for at in 0..buyers {
            let buying = self.clone();
            tasks.spawn(async move { buying.buy(at, end).await });
        }
        let mut waits = Histogram::<u64>::new_with_max(MAX_WAIT_US, 3)?;
        while let Some(done) = tasks.join_next().await {
            waits.add(done.context("a task panicked")??)?;
        }
        let at = |quantile| waits.value_at_quantile(quantile) as f64 / 1_000.0;
        let per_s = waits.len() as f64 / started.elapsed().as_secs_f64();
        Ok(Bought { per_s, p50_ms: at(0.5), p99_ms: at(0.99) })
    }

    async fn buy(&self, buyer: u8, end: Instant) -> Result<Histogram<u64>> {
        let from = Ipv4Addr::new(127, 0, 2, buyer.max(1));
        let mut server = Client::open(from, self.server).await?;
        let mut provider = Client::open(from, self.provider).await?;
        let mut waits = Histogram::new_with_max(MAX_WAIT_US, 3)?;
        while Instant::now() < end {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if self.most.is_some_and(|most| at >= most) {
                break;
            }
            let pair = self.stock.pairs.get(usize::try_from(at)?).context("everything is sold")?;
            let began = Instant::now();
            // A crowd doesn't pay with one card: the engine would take notice.
            let card = format!("{{\"card\":\"{}\"}}", own_card(u32::try_from(at)?));
            self.purchase(&mut server, &mut provider, pair, &card).await?;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(MAX_WAIT_US);
            waits.record(took.clamp(1, MAX_WAIT_US))?;
        }
        Ok(waits)
    }

    async fn purchase(
        &self,
        server: &mut Client,
        provider: &mut Client,
        pair: &Pair,
        card: &str,
    ) -> Result<()> {
        let account = AccountId::fresh();
        let session = self.keyring.session(account, Timestamp::now());
        let holds = format!("/v1/events/{}/holds", self.stock.events[pair.event].slug);
        let mut request = Vec::with_capacity(1_024);
        post(&mut request, &holds, &session, "h", &wish(pair));
        let hold = ask(server, &request, 201).await?;
        let id = word(&hold, "/id")?;

        request.clear();
        let body = format!("{{\"email\":\"{}@example.org\"}}", account.0.simple());
        post(&mut request, &format!("{holds}/{id}/checkout"), &session, "c", &body);
        let order = ask(server, &request, 201).await?;
        let page = word(&order, "/payment/url")?;
        let path = page.splitn(4, '/').nth(3).context("a payment page without a path")?;

        request.clear();
        post(&mut request, &format!("/{path}?wait=webhook"), &session, "p", card);
        ask(provider, &request, 200).await?;

        request.clear();
        request.extend_from_slice(
            format!(
                "GET /v1/orders/{id} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {session}\
                 \r\n\r\n"
            )
            .as_bytes(),
        );
        let order = ask(server, &request, 200).await?;
        let tickets = order.pointer("/tickets").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(tickets == 2, "no tickets yet after the webhook was answered: {order}");
        Ok(())
    }
}

async fn ask(client: &mut Client, request: &[u8], status: u16) -> Result<Value> {
    let reply = client.ask(request).await?;
    let asked = || String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
    let shown = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]).into_owned();
    ensure!(reply.status == status, "{}: {} {}", asked(), reply.status, shown());
    serde_json::from_slice(reply.body).with_context(shown)
}

fn word<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}"))
}
