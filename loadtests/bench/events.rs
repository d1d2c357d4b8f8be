//! Many events on sale at once, and holds all over them, beside one event.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::CONNECTIONS;
use super::figure::Figure;
use super::holds::Holding;
use super::stage::{Cost, Stage};
use super::stock::Stock;
use crate::waiting::drive::{Target, Until, drive};

/// The name of the many.
pub const MANY: &str = "many";

/// One event, and many.
pub struct Events {
    one: Arc<Stock>,
    many: Arc<Stock>,
    first: u64,
}

impl Events {
    /// Takes the many off sale until their window.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn set_up(stage: &Stage, one: Arc<Stock>, many: Arc<Stock>) -> Result<Self> {
        put_on_sale(stage, false).await?;
        Ok(Self { one, many, first: 0 })
    }

    /// Holds in one event, and in many.
    ///
    /// # Errors
    /// If any hold is refused.
    pub async fn window(
        &mut self,
        stage: &Stage,
        (length, rounds): (Duration, usize),
        figure: &mut Figure,
    ) -> Result<()> {
        let target = Target::new(stage.server(), CONNECTIONS);
        stage.empty(&self.one).await?;
        let holding = |stock: &Arc<Stock>| {
            Arc::new(Holding { keyring: stage.keyring.clone(), stock: stock.clone() })
        };
        let most = self.one.pairs.len() as u64;
        let one = drive(target, holding(&self.one), 0, Until::Either(most, length)).await?;
        put_on_sale(stage, true).await?;
        // What is held in them stays: each round has its own part of the pairs.
        let most = self.many.pairs.len() as u64 / rounds.max(1) as u64;
        let until = Until::Either(most, length);
        let cost = Cost::begin(stage);
        let many = drive(target, holding(&self.many), self.first, until).await?;
        cost.end(stage, "hold", many.requests, figure);
        put_on_sale(stage, false).await?;
        self.first += most;
        figure.value.0.push(many.per_s);
        figure.limit.0.push(one.per_s);
        figure.notes.push(format!(
            "{} events, holds in a random order of them: p99 {:.1} ms in {:.1} s; one event with \
             {} places: p99 {:.1} ms in {:.1} s",
            self.many.events.len(),
            many.p99_ms,
            many.seconds,
            self.one.places,
            one.p99_ms,
            one.seconds
        ));
        figure.part(json!({ "many": many, "one": one, "events": self.many.events.len() }));
        Ok(())
    }
}

/// Puts the many on sale, or takes them off so that no other figure pays for their sweeps. No
/// organizer can take an event off sale for good without cancelling it: this goes past the rule of
/// the table, and the servers, which are told nothing, keep everything that they know of them.
async fn put_on_sale(stage: &Stage, now: bool) -> Result<()> {
    let mut tx = stage.rig.shop.pg.begin().await?;
    sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await?;
    sqlx::query("UPDATE events SET status = $1 WHERE slug LIKE $2")
        .bind(if now { "on_sale" } else { "published" })
        .bind(format!("{MANY}-%"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
