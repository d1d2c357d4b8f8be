//! Orders as their buyers see them, read in batches: whatever is asked for while one read is
//! under way is the next one. At the peak everybody looks at an order at once.

use std::sync::Arc;

use uuid::Uuid;

use super::Order;
use super::store::{self, Refund, Ticket};
use crate::app::App;
use crate::db::batch::{Commit, Job, answered};
use crate::db::kept::Kept;
use crate::http::problem::{Code, Problem};
use crate::ids::OrderId;

/// An order with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The order.
    pub order: Order,
    /// Its tickets, by place.
    pub tickets: Vec<Ticket>,
    /// Its refunds, oldest first.
    pub refunds: Vec<Refund>,
    /// Why the provider declined last.
    pub decline: Option<String>,
}

/// Reads orders. Nothing is committed: a batch of reads has the same shape.
pub struct Reader {
    /// A connection for these reads alone.
    pub pg: Kept,
}

/// An order that is asked for.
pub struct Wanted(pub OrderId);

impl Job for Wanted {
    fn subject(&self) -> Uuid {
        self.0.0
    }
}

/// What came of a read: nothing if there is no such order.
type Found = Result<Option<Whole>, Arc<sqlx::Error>>;

impl Commit for Reader {
    type Job = Wanted;
    type Outcome = Found;

    async fn commit(&self, jobs: Vec<Wanted>) -> Vec<Found> {
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.0.0).collect();
        match self.read(&ids).await {
            Ok(mut found) => {
                let mut take = |id: &Uuid| {
                    let at = found.iter().position(|whole| whole.order.id.0 == *id)?;
                    Some(found.swap_remove(at))
                };
                ids.iter().map(|id| Ok(take(id))).collect()
            }
            Err(error) => {
                let error = Arc::new(error);
                ids.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }
}

impl Reader {
    async fn read(&self, ids: &[Uuid]) -> sqlx::Result<Vec<Whole>> {
        let mut pg = answered(self.pg.take()).await?;
        let found = answered(store::whole(&mut *pg, ids)).await;
        pg.give_back(found)
    }
}

/// The order with this id and all that belongs to it, if there is one.
///
/// # Errors
/// If Postgres fails, or too many ask.
pub async fn find(app: &App, id: OrderId) -> Result<Option<Whole>, Problem> {
    let found = app.orders.submit(Wanted(id)).await;
    let found = found.map_err(|_| Problem::new(Code::Unavailable))?;
    found.map_err(|error| Problem::postgres(&error))
}

/// The order with this id, which exists.
///
/// # Errors
/// If Postgres fails, too many ask, or it doesn't exist.
pub async fn get(app: &App, id: OrderId) -> Result<Whole, Problem> {
    let found = find(app, id).await?;
    found.ok_or_else(|| Problem::internal(format!("there is no order {id}")))
}
