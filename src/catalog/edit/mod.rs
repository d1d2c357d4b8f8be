//! Changing what is for sale, also while it is sold.
//!
//! All changes of one event stand in one line: [`Edit::begin`] locks the event's row, and holds
//! the listing exactly as it is. Buyers never wait for that lock. A change that buyers must not
//! see before it is allowed (a kill, an allocation) is made in Redis first and refused there if
//! a place is taken; then Postgres commits it, under the epoch in which Redis agreed. A change
//! that gives buyers more is committed first, and Redis follows ([`follow`]).
//!
//! An event that was never on sale has no holds: its state in Redis is simply built anew.

pub mod areas;
pub mod events;
pub mod exchange;
pub mod follow;
pub mod kinds;
pub mod offers;
pub mod places;
pub mod promos;
pub mod redis;
pub mod terms;

use std::sync::Arc;

use sqlx::{PgConnection, Postgres, Transaction};

use super::cache::Sale;
use super::{EventStatus, Listing};
use crate::app::App;
use crate::holds::rebuild;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;

/// How often a change that finds the event changed in between looks again.
const MAX_TRIES: u32 = 5;

/// A change of one event: the lock, and what it is changed from.
pub struct Edit {
    tx: Transaction<'static, Postgres>,
    /// The event as it is; nobody else changes it meanwhile.
    pub sale: Arc<Sale>,
}

/// Which epochs the commit goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Claims go on meanwhile.
    GoOn,
    /// Running claims end first, later ones wait for the commit.
    Wait,
}

impl Edit {
    /// Locks the event, whoever else changes it, and reads it.
    ///
    /// # Errors
    /// `not_found`, or Postgres fails.
    pub async fn begin(app: &App, event: EventId) -> Result<Self, Problem> {
        for _ in 0..MAX_TRIES {
            // Read before the lock and compared under it: so no change needs two connections.
            let sale = app.catalog.refresh(event).await?;
            let sale = sale.ok_or_else(|| Problem::new(Code::NotFound))?;
            let mut tx = app.pg.begin().await?;
            let now = sqlx::query!(
                r#"SELECT e.version, p.epoch, coalesce(p.redis_run_id, '') AS "run_id!"
                   FROM events e JOIN epochs p ON p.event_id = e.id
                   WHERE e.id = $1 FOR NO KEY UPDATE OF e"#,
                event.0
            )
            .fetch_one(&mut *tx)
            .await?;
            if (now.version, now.epoch) == (sale.listing.event.version, sale.epoch)
                && now.run_id == sale.run_id
            {
                return Ok(Self { tx, sale });
            }
        }
        Err(Problem::new(Code::Unavailable).detail("the event is being changed by others"))
    }

    /// The same, for what a cancelled event can't have any more.
    ///
    /// # Errors
    /// `not_found`, `event_state`, or Postgres fails.
    pub async fn begin_alive(app: &App, event: EventId) -> Result<Self, Problem> {
        let edit = Self::begin(app, event).await?;
        if edit.listing().event.status == EventStatus::Cancelled {
            return Err(Problem::new(Code::EventState).detail("the event is cancelled"));
        }
        Ok(edit)
    }

    /// The transaction.
    pub fn pg(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.sale.listing.event.id
    }

    /// What is for sale.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.sale.listing
    }

    /// Whether there may be holds and orders: the sale has begun, even if it is over.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.listing().event.status, EventStatus::Draft | EventStatus::Published)
    }

    /// Whether Redis has a state of the event that sells, and that must be changed as well.
    #[must_use]
    pub fn is_built(&self) -> bool {
        self.is_live() && !self.sale.run_id.is_empty()
    }

    /// Ties the commit to the epoch that was read: the state in Redis that was, or will be,
    /// changed as well. Where there is none that sells, also one that is just being built from
    /// what Postgres had before, the epoch is raised instead: whatever is there is built anew.
    ///
    /// # Errors
    /// `rebuilding` if the epoch is another by now, or Postgres fails.
    pub async fn pin_epoch(&mut self, app: &App, claims: Claims) -> Result<(), Problem> {
        let event = self.event();
        if !self.is_built() {
            sqlx::query!(
                "UPDATE epochs SET epoch = epoch + 1, redis_run_id = NULL WHERE event_id = $1",
                event.0
            )
            .execute(&mut *self.tx)
            .await?;
            return Ok(());
        }
        let epoch = match claims {
            Claims::GoOn => {
                sqlx::query_scalar!(
                    "SELECT epoch FROM epochs WHERE event_id = $1 FOR SHARE",
                    event.0
                )
                .fetch_one(&mut *self.tx)
                .await?
            }
            Claims::Wait => {
                sqlx::query_scalar!(
                    "SELECT epoch FROM epochs WHERE event_id = $1 FOR UPDATE",
                    event.0
                )
                .fetch_one(&mut *self.tx)
                .await?
            }
        };
        if epoch == self.sale.epoch { Ok(()) } else { Err(stale(app, event)) }
    }

    /// Commits, so that every process sees the change, and this one at once.
    ///
    /// # Errors
    /// `unknown_outcome` if Postgres did not say whether it committed, or Postgres fails.
    pub async fn commit(mut self, app: &App) -> Result<Arc<Sale>, Problem> {
        let event = self.event();
        sqlx::query!("UPDATE events SET version = version + 1 WHERE id = $1", event.0)
            .execute(&mut *self.tx)
            .await?;
        self.tx.commit().await.map_err(|error| {
            tracing::warn!(%event, %error, "a change's outcome is not known");
            Problem::new(Code::Unknown)
        })?;
        app.catalog.refresh(event).await?.ok_or_else(|| Problem::new(Code::NotFound))
    }
}

/// Redis doesn't have what Postgres recognises: it is rebuilt, the change must be repeated.
fn stale(app: &App, event: EventId) -> Problem {
    rebuild::request(app, event);
    Problem::new(Code::Rebuilding)
}

/// A constraint's refusal as the answer that it stands for. Names of constraints are API.
fn refused(error: sqlx::Error, at: &str) -> Problem {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    match constraint {
        Some(
            "events_slug_key"
            | "channels_code_key"
            | "price_types_code_key"
            | "promo_codes_code_key",
        ) => {
            let errors = serde_json::json!([{ "pointer": at, "detail": "is taken" }]);
            Problem::new(Code::Exists).with("errors", errors)
        }
        Some("events_edge") => Problem::new(Code::EventState),
        _ => error.into(),
    }
}

/// The number after the highest one.
fn next_number<T: Copy + Ord + From<u8> + std::ops::Add<Output = T>>(
    numbers: impl Iterator<Item = T>,
) -> T {
    numbers.max().map_or(T::from(1), |last| last + T::from(1))
}
