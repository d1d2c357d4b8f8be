//! What Postgres says that an event's state in Redis must be.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::{Connection, PgPool};
use uuid::Uuid;

use crate::holds::record::{HeldPlace, Line, Step};
use crate::ids::EventId;

/// What Postgres has of one event.
#[derive(Debug, Default)]
pub struct Books {
    pub epoch: i32,
    /// The Redis that the event's state was built on.
    pub run_id: Option<String>,
    pub status: String,
    pub account_limit: Option<i32>,
    /// By number of the stretch: first place, length.
    pub stretches: Vec<(i32, i32)>,
    /// By number of the place.
    pub places: HashMap<i32, Place>,
    pub channels: Vec<i16>,
    /// Quotas of offers and uses of promo codes, by their names among the counters.
    pub limits: Vec<(String, i64)>,
    /// Orders with a grip on places, by the id of their record.
    pub orders: HashMap<String, Order>,
    /// Claims: place, sold.
    pub claims: Vec<(i32, bool)>,
    /// Records that may still have to follow their order's last commit.
    pub pending: HashSet<String>,
}

#[derive(Debug)]
pub struct Place {
    pub stretch: i32,
    pub killed: bool,
    pub channel: i16,
}

#[derive(Debug)]
pub struct Order {
    pub id: Uuid,
    pub step: Step,
    pub account: Uuid,
    pub promo: Option<i32>,
    /// In order of their numbers.
    pub places: Vec<HeldPlace>,
}

impl Books {
    /// Reads it as one snapshot. `None`: there is no such event.
    ///
    /// # Errors
    /// If Postgres fails, or an order's lines can't be read.
    pub async fn read(pg: &PgPool, event: EventId, grace: Duration) -> sqlx::Result<Option<Self>> {
        let mut connection = pg.acquire().await?;
        let mut tx = connection.begin().await?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query!(
            // A rehearsal's shadow is sold, and a draft for whoever knows nothing of rehearsals.
            r#"SELECT CASE WHEN r.ended_at IS NULL AND r.event_id IS NOT NULL THEN 'on_sale'
                           ELSE e.status END AS "status!",
                      e.account_limit, p.epoch, p.redis_run_id
               FROM events e JOIN epochs p ON p.event_id = e.id
               LEFT JOIN rehearsals r ON r.event_id = e.id WHERE e.id = $1"#,
            event.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut books = Self {
            epoch: row.epoch,
            run_id: row.redis_run_id,
            status: row.status,
            account_limit: row.account_limit,
            ..Self::default()
        };
        books.read_manifest(&mut tx, event).await?;
        books.read_sales(&mut tx, event, grace).await?;
        tx.rollback().await?;
        Ok(Some(books))
    }

    async fn read_manifest(
        &mut self,
        pg: &mut sqlx::PgConnection,
        event: EventId,
    ) -> sqlx::Result<()> {
        let stretches = sqlx::query!(
            "SELECT first, length FROM stretches WHERE event_id = $1 ORDER BY stretch",
            event.0
        )
        .fetch_all(&mut *pg)
        .await?;
        self.stretches = stretches.into_iter().map(|row| (row.first, row.length)).collect();
        let places = sqlx::query!(
            "SELECT place, stretch, killed, channel FROM places WHERE event_id = $1",
            event.0
        )
        .fetch_all(&mut *pg)
        .await?;
        let place = |killed, channel, stretch| Place { stretch, killed, channel };
        self.places = places
            .into_iter()
            .map(|row| (row.place, place(row.killed, row.channel, row.stretch)))
            .collect();
        self.channels = sqlx::query_scalar!(
            "SELECT channel FROM channels WHERE event_id = $1 ORDER BY channel",
            event.0
        )
        .fetch_all(&mut *pg)
        .await?;
        let limits = sqlx::query!(
            r#"SELECT 'o:' || offer AS "name!", quota::bigint AS "most!" FROM offers
               WHERE event_id = $1 AND quota IS NOT NULL
               UNION ALL
               SELECT 'p:' || promo, max_uses FROM promo_codes
               WHERE event_id = $1 AND max_uses IS NOT NULL"#,
            event.0
        )
        .fetch_all(&mut *pg)
        .await?;
        self.limits = limits.into_iter().map(|row| (row.name, row.most)).collect();
        Ok(())
    }

    async fn read_sales(
        &mut self,
        pg: &mut sqlx::PgConnection,
        event: EventId,
        grace: Duration,
    ) -> sqlx::Result<()> {
        let orders = sqlx::query!(
            "SELECT id, coalesce(hold_id, id) AS record, status, account, promo, lines
             FROM orders
             WHERE event_id = $1
               AND status IN ('open', 'cancelling', 'paid', 'disputed', 'refund_pending')",
            event.0
        )
        .fetch_all(&mut *pg)
        .await?;
        for row in orders {
            let waits = matches!(row.status.as_str(), "open" | "cancelling");
            // Lines that can't be read list no places: the record then differs from them.
            let lines: Vec<Line> = serde_json::from_value(row.lines).unwrap_or_default();
            let order = Order {
                id: row.id,
                step: if waits { Step::Claimed } else { Step::Sold },
                account: row.account,
                promo: row.promo,
                places: self.held(&lines),
            };
            self.orders.insert(row.record.unwrap_or(row.id).to_string(), order);
        }
        let claims = sqlx::query!("SELECT place, sold FROM claims WHERE event_id = $1", event.0)
            .fetch_all(&mut *pg)
            .await?;
        self.claims = claims.into_iter().map(|row| (row.place, row.sold)).collect();
        let pending = sqlx::query!(
            "SELECT o.id, o.hold_id FROM orders o WHERE o.event_id = $1 AND o.id IN (
                 SELECT unnest(m.orders) FROM mirror m
                 WHERE m.created_at >= now() - make_interval(secs => $2))",
            event.0,
            grace.as_secs_f64()
        )
        .fetch_all(&mut *pg)
        .await?;
        for row in pending {
            self.pending.extend([row.id].into_iter().chain(row.hold_id).map(|id| id.to_string()));
        }
        Ok(())
    }

    fn held(&self, lines: &[Line]) -> Vec<HeldPlace> {
        let mut places: Vec<HeldPlace> = Vec::new();
        for line in lines {
            places.extend(line.places.iter().map(|place| HeldPlace {
                place: *place,
                stretch: self.places.get(place).map_or(-1, |known| known.stretch),
                offer: line.offer,
                tier: line.tier,
            }));
        }
        places.sort_unstable_by_key(|held| held.place);
        places
    }
}
