//! The crowd: buyers who come by a schedule that no answer changes (an open model), until the
//! last place is sold.

mod arrivals;
mod asking;
mod bodies;
mod journey;
mod persona;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use self::arrivals::Arrivals;
use self::journey::Journey;
use self::persona::Buyer;
use crate::shop::Shop;
use crate::verdict::tally::Tallies;
use crate::wire::{Ask, Origin};

/// Once everything is held, claimed or sold, buyers come this much more slowly: few look in
/// where it says "sold out".
const SLOWER_WHEN_GONE: f64 = 20.0;
/// Most buyers on their way at once; more would measure this program's memory.
const MAX_ON_THE_WAY: u64 = 100_000;
/// How often the drawer count is read once nothing is free.
const DRAWER_EVERY: Duration = Duration::from_millis(500);
/// How often it is said that nothing is sold, in seconds.
const QUIET_SECONDS: u32 = 5;
/// How long those on their way get to finish when the time is up.
const FINISH_WITHIN: Duration = Duration::from_mins(1);

/// What all buyers share.
pub struct Crowd {
    /// The event.
    pub shop: Shop,
    /// The shop's servers.
    pub servers: Vec<Origin>,
    /// The payment sandbox.
    pub sandbox: Origin,
    /// Its address as it is written in payment pages.
    pub sandbox_url: String,
    /// What happens.
    pub tallies: Tallies,
    /// When the sale began.
    pub opened: Instant,
}

/// How they come.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// Names the schedule and the buyers.
    pub seed: u64,
    /// Buyers per second.
    pub rate: f64,
    /// How many come at most.
    pub most: u64,
    /// How long they come at most.
    pub within: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gone {
    /// Buyers who came.
    pub came: u64,
    /// Of them, not let start because this program had too many on the way.
    pub dropped: u64,
    /// Of them, still on their way when the program stopped waiting.
    pub lost: u64,
    /// How long it took altogether.
    pub took: Duration,
}

/// The public drawer count.
#[derive(Debug, Deserialize)]
pub struct Drawer {
    /// By Redis.
    pub redis: Count,
    /// By Postgres.
    pub postgres: Count,
    /// Whether both tell the same.
    pub agree: bool,
}

/// One side of the drawer count.
#[derive(Debug, Deserialize)]
pub struct Count {
    /// Sold.
    pub sold: u64,
    /// Claimed by unpaid orders.
    pub claimed: u64,
    /// Held.
    pub held: u64,
    /// Free.
    pub free: u64,
}

impl Drawer {
    /// Whether both sides say that nothing is left, and nothing can come back unpaid.
    pub fn is_empty(&self) -> bool {
        let empty = |count: &Count| count.claimed + count.held + count.free == 0;
        self.agree && empty(&self.redis) && empty(&self.postgres)
    }

    /// Whether both sides say that nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        let rests = |count: &Count| count.claimed + count.held == 0;
        self.agree && rests(&self.redis) && rests(&self.postgres)
    }
}

/// Counts a buyer as on the way for as long as it lives, whatever ends the journey.
struct OnTheWay(Arc<AtomicU64>);

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crowd {
    /// Lets the buyers come until everything is sold, and waits for those on their way.
    pub async fn rush(self: &Arc<Self>, coming: Coming, say: &(dyn Fn(&str) + Sync)) -> Gone {
        let on_the_way = Arc::new(AtomicU64::new(0));
        let (tell, sold_out) = watch::channel(false);
        let come_and_go = async {
            let gone = self.let_come(coming, &on_the_way, sold_out).await;
            let patience = Instant::now() + FINISH_WITHIN;
            while on_the_way.load(Ordering::Relaxed) > 0 && Instant::now() < patience {
                sleep(Duration::from_millis(20)).await;
            }
            gone
        };
        let mut gone = tokio::select! {
            gone = come_and_go => gone,
            () = self.watch(&tell) => Gone::default(),
            () = self.tell_progress(&on_the_way, say) => Gone::default(),
        };
        gone.lost = on_the_way.load(Ordering::Relaxed);
        gone.took = self.opened.elapsed();
        gone
    }

    /// One buyer after the other, at the times of the schedule.
    async fn let_come(
        self: &Arc<Self>,
        coming: Coming,
        on_the_way: &Arc<AtomicU64>,
        mut sold_out: watch::Receiver<bool>,
    ) -> Gone {
        let mut gone = Gone::default();
        let mut arrivals = Arrivals::new(coming.seed, coming.rate);
        for number in 0..coming.most {
            let nothing = self.shop.seen().is_some_and(|seen| seen.free == 0);
            let after = arrivals.next(if nothing { SLOWER_WHEN_GONE } else { 1.0 });
            if after > coming.within {
                break;
            }
            let due = self.opened + after;
            tokio::select! {
                biased;
                _ = sold_out.wait_for(|all| *all) => break,
                () = sleep_until(due.into()) => {}
            }
            gone.came += 1;
            let here = on_the_way.fetch_add(1, Ordering::Relaxed);
            let guard = OnTheWay(on_the_way.clone());
            if here >= MAX_ON_THE_WAY {
                gone.dropped += 1;
                continue;
            }
            let buyer = Buyer::new(coming.seed, number, &self.shop);
            let journey = Journey::new(self.clone(), buyer, due);
            tokio::spawn(async move {
                journey.go().await;
                drop(guard);
            });
        }
        gone
    }

    /// Watches for the moment when the last place is sold, and then tells.
    async fn watch(&self, tell: &watch::Sender<bool>) {
        loop {
            sleep(DRAWER_EVERY).await;
            let gone = self.shop.seen().is_some_and(|seen| seen.free == 0);
            if gone && self.drawer().await.is_some_and(|drawer| drawer.is_empty()) {
                tell.send_replace(true);
            }
        }
    }

    /// The public drawer count, if it is answered.
    pub async fn drawer(&self) -> Option<Drawer> {
        let path = format!("{}/drawer", self.shop.path);
        let answer = self.servers.first()?.ask(&path, Ask::default()).await.ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// A line per second in which anything was sold, and now and then one that nothing was.
    async fn tell_progress(&self, on_the_way: &AtomicU64, say: &(dyn Fn(&str) + Sync)) {
        let (mut before, mut quiet) = (0, 0);
        for second in 1_u64.. {
            sleep_until((self.opened + Duration::from_secs(second)).into()).await;
            let (sales, places) = self.tallies.sold_so_far();
            quiet = if sales == before { quiet + 1 } else { 0 };
            if quiet % QUIET_SECONDS == 0 {
                let free = self.shop.seen().map_or(self.shop.capacity, |seen| seen.free);
                let here = on_the_way.load(Ordering::Relaxed);
                let now = sales - before;
                say(&format!(
                    "{places:>6} places sold, {free:>6} free, {here:>6} buyers on the way, \
                     {now:>5} purchases/s"
                ));
            }
            before = sales;
        }
    }
}
