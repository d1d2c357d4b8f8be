//! What is sold, and on which terms.

use anyhow::{Context, Result};
use onsale::cli::SampleVenue;
use onsale::demo::seed::{self, Seed};
use onsale::ids::EventId;
use onsale::waiting_room::{Room, store};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::EVENT;

/// On which terms the event is sold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// How long a hold lasts, in seconds.
    pub hold_seconds: i32,
    /// How long an order waits for its payment, in seconds.
    pub pay_seconds: i32,
    /// Longest delay until places that come back are free, in seconds.
    pub return_seconds: i32,
    /// Most places per account or session; 0 is no limit.
    pub account_limit: i32,
}

impl Default for Terms {
    /// Holds are long enough for a slow checkout, and short enough that what was left behind
    /// comes back while buyers still come.
    fn default() -> Self {
        Self { hold_seconds: 20, pay_seconds: 60, return_seconds: 0, account_limit: 0 }
    }
}

/// Puts the event on sale.
///
/// # Errors
/// If Postgres fails.
pub async fn put_on_sale(
    pg: &PgPool,
    venue: SampleVenue,
    terms: Terms,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<EventId> {
    let manifest = venue.manifest();
    say(&format!("putting {} places on sale", manifest.capacity()));
    let organizer = seed::organizer(pg, "surge", "Surge").await?;
    let event = Seed {
        name: "Everybody at once",
        hold_seconds: terms.hold_seconds,
        pay_seconds: terms.pay_seconds,
        return_seconds: terms.return_seconds,
        account_limit: (terms.account_limit > 0).then_some(terms.account_limit),
        ..Seed::new(EVENT, &manifest)
    };
    seed::event(pg, organizer, &event).await.context("the event")
}

/// Stores a waiting room. Each of its lanes is made with a seed of its own.
///
/// # Errors
/// If Postgres fails.
pub async fn put_room(pg: &PgPool, room: &Room) -> Result<()> {
    let mut tx = pg.begin().await?;
    store::put_room(&mut tx, room).await?;
    for lane in &room.lanes {
        store::put_lane(&mut tx, room.event, lane, &rand::random()).await?;
    }
    tx.commit().await?;
    Ok(())
}
