//! Redis is killed in the middle of a rush and started again with nothing in it: how long nobody
//! can hold anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use onsale::ids::AccountId;
use onsale::keyring::Keyring;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::figure::Figure;
use super::holds::{post, wish};
use super::purchases::Buying;
use super::stage::Stage;
use super::stock::Stock;
use crate::waiting::client::Client;

/// Buyers who ask for places all the time, each at the next one as soon as there is an answer.
const BUYERS: u8 = 8;
/// Between two attempts while there are no holds.
const AGAIN: Duration = Duration::from_millis(2);
/// Holds before Redis is killed.
const BEFORE: usize = 100;
/// How long it may take until somebody holds something again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Orders at most: to sell half of a large event would take longer than everything else here.
const ORDERS: u64 = 10_000;
/// The most that setting up may take.
const SELL_WITHIN: Duration = Duration::from_mins(5);

/// An event, partly sold: a rebuild reads its orders.
pub struct Recovery {
    stock: Arc<Stock>,
    sold: u64,
}

/// Everybody who tries to hold.
struct Rush {
    keyring: Arc<Keyring>,
    stock: Arc<Stock>,
    server: SocketAddr,
    sold: u64,
    next: AtomicU64,
    held: Mutex<Vec<Instant>>,
}

impl Recovery {
    /// Sells half of the event, or as many orders as are allowed.
    ///
    /// # Errors
    /// If it can't be sold.
    pub async fn set_up(stage: &Stage, stock: Arc<Stock>, buyers: u8) -> Result<Self> {
        let sold = (stock.pairs.len() as u64 / 2).min(ORDERS);
        let buying = Arc::new(Buying {
            keyring: stage.keyring.clone(),
            stock: stock.clone(),
            next: AtomicU64::new(0),
            most: Some(sold),
            server: stage.server(),
            provider: stage.rig.shop.sandbox_address,
        });
        buying.window(buyers, SELL_WITHIN).await?;
        Ok(Self { stock, sold })
    }

    /// Kills Redis once.
    ///
    /// # Errors
    /// If nobody can hold anything before, or again after.
    pub async fn window(&self, stage: &mut Stage, figure: &mut Figure) -> Result<()> {
        let rush = Arc::new(Rush {
            keyring: stage.keyring.clone(),
            stock: self.stock.clone(),
            server: stage.server(),
            sold: self.sold,
            next: AtomicU64::new(self.sold),
            held: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for buyer in 1..=BUYERS {
            let rush = rush.clone();
            tasks.spawn(async move { rush.hold_on(buyer).await });
        }
        rush.until(&mut tasks, |held| held.len() >= BEFORE).await?;
        let killed = Instant::now();
        stage.restart_redis().await?;
        let back = Instant::now();
        rush.until(&mut tasks, |held| held.last().is_some_and(|last| *last > back)).await?;
        tasks.shutdown().await;
        let mut held = std::mem::take(&mut *rush.held());
        held.sort_unstable();
        // The last hold before is the one before the longest pause.
        let pause = held.windows(2).filter(|pair| pair[1] > killed).map(|pair| pair[1] - pair[0]);
        let pause = pause.max().context("no pause")?;
        figure.value.0.push(pause.as_secs_f64() * 1_000.0);
        figure.limit.0.push((back - killed).as_secs_f64() * 1_000.0);
        figure.part(json!({
            "pause_ms": pause.as_secs_f64() * 1_000.0,
            "restart_ms": (back - killed).as_secs_f64() * 1_000.0,
            "orders": self.sold,
        }));
        figure.notes = vec![format!(
            "{BUYERS} buyers ask without pause; {} orders are read again; the limit is the same \
             Redis's restart, until it answers",
            self.sold
        )];
        Ok(())
    }
}

impl Rush {
    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(
        &self,
        tasks: &mut JoinSet<Result<()>>,
        is_so: impl Fn(&[Instant]) -> bool,
    ) -> Result<()> {
        let started = Instant::now();
        while !is_so(&self.held()) {
            if let Some(ended) = tasks.try_join_next() {
                ended.context("a task panicked")??;
            }
            ensure!(started.elapsed() < PATIENCE, "nobody can hold anything");
            sleep(AGAIN).await;
        }
        Ok(())
    }

    /// One buyer, who goes on until the task is dropped.
    async fn hold_on(&self, buyer: u8) -> Result<()> {
        let from = Ipv4Addr::new(127, 0, 4, buyer);
        let mut client = Client::open(from, self.server).await?;
        let mut request = Vec::with_capacity(1_024);
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let unsold = self.stock.pairs.len() as u64 - self.sold;
            let pair = &self.stock.pairs[usize::try_from(self.sold + at % unsold)?];
            let session = self.keyring.session(AccountId::fresh(), Timestamp::now());
            let path = format!("/v1/events/{}/holds", self.stock.events[pair.event].slug);
            request.clear();
            post(&mut request, &path, &session, "1", &wish(pair));
            match client.ask(&request).await {
                Ok(reply) if reply.status == 201 => self.held().push(Instant::now()),
                // Taken where the buyers have come round, closed while Redis is away.
                Ok(reply) => {
                    ensure!([409, 503].contains(&reply.status), "a hold: {}", reply.status);
                    sleep(AGAIN).await;
                }
                Err(_) => client = Client::open(from, self.server).await?,
            }
        }
    }
}
