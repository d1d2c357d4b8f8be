//! The best two places, in halls of several sizes that are sold to several shares: the hold
//! script's time by Redis's own count. It should be the same everywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;
use onsale::catalog::cache::{Catalog, Sale};
use onsale::holds::plan::{Plan, Wish, WishLine};
use onsale::holds::redis::{self as grips, Asker, Held, Letting};
use onsale::ids::{AccountId, HoldId, OfferId};
use onsale::redis::{Patience, Redis};
use redis::aio::MultiplexedConnection;
use serde_json::json;

use super::figure::{Figure, Samples};
use super::stage::Stage;
use super::stock::{Pair, Stock};

/// Shares that are taken, in percent.
const TAKEN: [usize; 3] = [0, 50, 95];
/// Holds at a time; fewer where there are not enough places for twice as many.
const AT_ONCE: usize = 8;
/// Connections, as a server has by default.
const LINKS: usize = 2;
/// Pairs of a hold that fills a hall: as many places as an order may have by default.
const PAIRS: usize = 5;
/// Most holds that fill a hall at a time.
const FILLING: usize = 50;

/// Medians of all windows by hall and share, in microseconds.
#[derive(Default)]
pub struct Cells(Vec<(usize, usize, Samples)>);

/// Halls of several sizes.
pub struct Best {
    halls: Vec<Arc<Stock>>,
    cells: Cells,
}

/// A hall, and the way to it.
struct Hall<'a> {
    redis: Arc<Redis>,
    sale: Arc<Sale>,
    stock: &'a Stock,
    stats: MultiplexedConnection,
    taken: usize,
}

impl Best {
    /// Halls, the smallest first.
    pub fn new(halls: Vec<Arc<Stock>>) -> Self {
        Self { halls, cells: Cells::default() }
    }

    /// All halls at all shares, for so long together.
    ///
    /// # Errors
    /// If Redis fails, or a place that should be free isn't.
    pub async fn window(
        &mut self,
        stage: &Stage,
        length: Duration,
        figure: &mut Figure,
    ) -> Result<()> {
        let each = length / u32::try_from(self.halls.len() * TAKEN.len())?;
        let mut costs = Vec::new();
        for stock in &self.halls {
            stage.empty(stock).await?;
            let mut hall = Hall::open(stage, stock).await?;
            for share in TAKEN {
                hall.fill(share).await?;
                let cost = hall.measure(each).await?;
                costs.push((stock.places, share, cost));
            }
        }
        let flat = costs.first().map_or(0.0, |(_, _, cost)| cost.median_us);
        let worst = costs.iter().map(|(_, _, cost)| cost.median_us).fold(0.0, f64::max);
        figure.value.0.push(worst);
        figure.limit.0.push(flat);
        let part = costs.iter().map(|(places, taken, cost)| {
            json!({ "places": places, "taken_percent": taken, "us": cost.median_us,
                    "first_us": cost.first_us, "bursts": cost.bursts })
        });
        figure.part(part.collect());
        self.cells.add(&costs);
        figure.notes = self.cells.notes(&costs);
        Ok(())
    }
}

/// What a hold costs in Redis, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    median_us: f64,
    /// The first ones after so many places were taken by choice: what a row has left is only
    /// looked at when somebody wants the best.
    first_us: f64,
    bursts: usize,
}

impl Hall<'_> {
    async fn open<'a>(stage: &Stage, stock: &'a Stock) -> Result<Hall<'a>> {
        let event = stock.events.first().context("a hall")?;
        let prefix = crate::rig::PREFIX.to_owned();
        let catalog = Catalog::new(stage.rig.shop.pg.clone(), prefix.clone());
        let sale = catalog.sale(event.id).await?.context("the hall is not there")?;
        let redis =
            Redis::connect(stage.rig.redis_url(), prefix, LINKS, Patience::default()).await?;
        let stats = redis::Client::open(stage.rig.redis_url())?;
        let stats = stats.get_multiplexed_async_connection().await?;
        Ok(Hall { redis, sale, stock, stats, taken: 0 })
    }

    async fn hold(&self, line: WishLine) -> Result<HoldId> {
        let wish = Wish { lines: vec![line], ..Wish::default() };
        let plan = Plan::new(&self.sale.listing, &wish, Timestamp::now());
        let plan = plan.map_err(|flaw| anyhow::anyhow!("{flaw:?}"))?;
        let id = HoldId(uuid::Uuid::new_v4());
        let digest = "0".repeat(32);
        let asker = Asker { id, digest, account: AccountId::fresh(), retake: false };
        match grips::hold(&self.redis, &self.sale, &asker, &plan).await? {
            Held::Held { .. } => Ok(id),
            refusal => bail!("a hold in a hall: {refusal:?}"),
        }
    }

    /// Takes chosen pairs, in a random order, until this share of all pairs is taken.
    async fn fill(&mut self, percent: usize) -> Result<()> {
        let until = self.stock.pairs.len() * percent / 100;
        let more = &self.stock.pairs[self.taken..until.max(self.taken)];
        let holds: Vec<_> = more.chunks(PAIRS).collect();
        for some in holds.chunks(FILLING) {
            try_join_all(some.iter().map(|pairs| self.hold(chosen(pairs)))).await?;
        }
        self.taken = until.max(self.taken);
        Ok(())
    }

    /// Holds the best two some times at once, gives them back, and again.
    async fn measure(&mut self, length: Duration) -> Result<Cost> {
        let offer = OfferId(self.stock.pairs.first().context("a pair")?.offer);
        let free = self.stock.pairs.len() - self.taken;
        let at_once = AT_ONCE.min(free / 2).max(1);
        let started = Instant::now();
        let (mut costs, mut first_us) = (Samples::default(), None);
        while started.elapsed() < length || costs.0.is_empty() {
            ensure!(started.elapsed() < length * 10, "Redis is never alone with the holds");
            let best = || WishLine { best: Some(2), ..WishLine::of(offer) };
            let before = self.evalsha().await?;
            let ids = try_join_all((0..at_once).map(|_| self.hold(best()))).await?;
            let after = self.evalsha().await?;
            for id in ids {
                grips::release(&self.redis, &self.sale, id, Letting::System).await?;
            }
            let us = (after.1 - before.1) as f64 / at_once as f64;
            first_us.get_or_insert(us);
            // The server sweeps now and then: then its scripts are counted, too.
            if after.0 - before.0 == at_once as u64 {
                costs.0.push(us);
            }
        }
        let first_us = first_us.unwrap_or_default();
        Ok(Cost { median_us: costs.median(), first_us, bursts: costs.0.len() })
    }

    /// Calls of scripts until now, and microseconds that they took.
    async fn evalsha(&mut self) -> Result<(u64, u64)> {
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("commandstats").query_async(&mut self.stats).await?;
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
        let field = |name: &str| {
            let mut fields = line?.split(',').filter_map(|part| part.split_once('='));
            fields.find(|(known, _)| *known == name)?.1.parse().ok()
        };
        // There is no line before the first call.
        Ok((field("calls").unwrap_or(0), field("usec").unwrap_or(0)))
    }
}

fn chosen(pairs: &[Pair]) -> WishLine {
    let places = pairs.iter().flat_map(|pair| pair.places).collect();
    let offer = OfferId(pairs.first().map(|pair| pair.offer).unwrap_or_default());
    WishLine { places: Some(places), ..WishLine::of(offer) }
}

impl Cells {
    fn add(&mut self, costs: &[(usize, usize, Cost)]) {
        for (at, (places, share, cost)) in costs.iter().enumerate() {
            if self.0.len() <= at {
                self.0.push((*places, *share, Samples::default()));
            }
            self.0[at].2.0.push(cost.median_us);
        }
    }

    /// A line per hall.
    fn notes(&self, last: &[(usize, usize, Cost)]) -> Vec<String> {
        let both: Vec<_> = self.0.iter().zip(last).collect();
        let halls = both.chunks(TAKEN.len()).map(|hall| {
            let cells = hall.iter().map(|((_, share, us), (_, _, last))| {
                format!("{share} % taken {:.1} µs (the first {:.0})", us.median(), last.first_us)
            });
            let places = hall.first().map_or(0, |((places, ..), _)| *places);
            format!("{places} places: {}", cells.collect::<Vec<_>>().join(", "))
        });
        halls.collect()
    }
}
