//! Reading orders, and small notes on them.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::reading::Whole;
use super::{Order, OrderStatus};
use crate::holds::record::Line;
use crate::ids::{AccountId, AttemptId, EventId, HoldId, OrderId, RefundId};

struct Row {
    id: Uuid,
    event_id: Uuid,
    status: String,
    account: Uuid,
    email: Option<String>,
    currency: String,
    total: i64,
    places: Vec<i32>,
    lines: serde_json::Value,
    digest: Vec<u8>,
    accept_equivalent: bool,
    pay_by: SqlTimestamp,
    created_at: SqlTimestamp,
    changed_at: SqlTimestamp,
    late: bool,
    channel: i16,
    promo: Option<i32>,
    hold_id: Option<Uuid>,
}

impl TryFrom<Row> for Order {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let broken = |what: &str| {
            sqlx::Error::Decode(format!("order {}: {what} can't be read", row.id).into())
        };
        let status = OrderStatus::from_word(&row.status).ok_or_else(|| broken("status"))?;
        // What never became an order has no currency.
        let none = matches!(status, OrderStatus::Abandoned | OrderStatus::Retake);
        let currency = if none { Ok(iso_currency::Currency::XXX) } else { row.currency.parse() };
        let lines: Vec<Line> =
            serde_json::from_value(row.lines.clone()).map_err(|_| broken("lines"))?;
        Ok(Self {
            currency: currency.map_err(|_| broken("currency"))?,
            lines,
            id: OrderId(row.id),
            event: EventId(row.event_id),
            status,
            account: AccountId(row.account),
            email: row.email,
            total: row.total,
            places: row.places,
            digest: row.digest,
            accept_equivalent: row.accept_equivalent,
            pay_by: row.pay_by.to_jiff(),
            created_at: row.created_at.to_jiff(),
            changed_at: row.changed_at.to_jiff(),
            late: row.late,
            channel: row.channel,
            promo: row.promo,
            hold: row.hold_id.map(HoldId),
        })
    }
}

/// These orders, in no particular order; missing ones are left out.
///
/// # Errors
/// If Postgres fails.
pub async fn many(pg: impl sqlx::PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Order>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, event_id, status, account, email, currency, total, places, lines, digest,
                  accept_equivalent, pay_by AS "pay_by: SqlTimestamp",
                  created_at AS "created_at: SqlTimestamp",
                  changed_at AS "changed_at: SqlTimestamp", late, channel, promo, hold_id
           FROM orders WHERE id = ANY ($1)"#,
        ids
    )
    .fetch_all(pg)
    .await?;
    rows.into_iter().map(Order::try_from).collect()
}

/// Those of these orders that somebody still has to bring to their end.
///
/// # Errors
/// If Postgres fails.
pub async fn unfinished(
    pg: impl sqlx::PgExecutor<'_>,
    ids: &[Uuid],
) -> sqlx::Result<HashSet<Uuid>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders
         WHERE id = ANY ($1) AND status IN ('open', 'cancelling', 'late')",
        ids
    )
    .fetch_all(pg)
    .await?;
    Ok(ids.into_iter().collect())
}

/// These orders with all that belongs to them, in no particular order; missing ones are left out.
/// Tickets are looked up place by place: with the places as an array in sight, the planner goes
/// through all tickets of the event.
///
/// # Errors
/// If Postgres fails.
pub async fn whole(pg: impl sqlx::PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Whole>> {
    let rows = sqlx::query!(
        r#"SELECT o.id, o.event_id, o.status, o.account, o.email, o.currency, o.total, o.places,
                  o.lines, o.digest, o.accept_equivalent, o.pay_by AS "pay_by: SqlTimestamp",
                  o.created_at AS "created_at: SqlTimestamp",
                  o.changed_at AS "changed_at: SqlTimestamp", o.late, o.channel, o.promo,
                  o.hold_id, t.ticket_places, t.serials, t.statuses, r.refunds,
                  a.decline AS "decline?"
           FROM orders o
           LEFT JOIN LATERAL (
               SELECT array_agg(t.place ORDER BY t.place, t.serial) AS ticket_places,
                      array_agg(t.serial ORDER BY t.place, t.serial) AS serials,
                      array_agg(t.status ORDER BY t.place, t.serial) AS statuses
               FROM unnest(o.places) AS p (place)
               CROSS JOIN LATERAL (
                   SELECT * FROM tickets t
                   WHERE t.event_id = o.event_id AND t.place = p.place OFFSET 0) t
               WHERE o.status <> 'open' AND t.order_id = o.id) t ON true
           LEFT JOIN LATERAL (
               SELECT jsonb_agg(jsonb_build_object('id', r.id, 'amount', r.amount,
                                                   'reason', r.reason, 'status', r.status)
                                ORDER BY r.created_at) AS refunds
               FROM refunds r WHERE r.order_id = o.id) r ON true
           LEFT JOIN LATERAL (
               SELECT a.decline FROM attempts a
               WHERE o.status = 'open' AND a.order_id = o.id AND a.decline IS NOT NULL
               ORDER BY a.created_at DESC, a.id DESC LIMIT 1) a ON true
           WHERE o.id = ANY ($1)"#,
        ids
    )
    .fetch_all(pg)
    .await?;
    let broken = |error| sqlx::Error::Decode(Box::new(error));
    let mut orders = Vec::with_capacity(rows.len());
    for row in rows {
        let numbers = row.ticket_places.unwrap_or_default().into_iter();
        let marks =
            row.serials.unwrap_or_default().into_iter().zip(row.statuses.unwrap_or_default());
        let tickets = numbers.zip(marks);
        let tickets = tickets.map(|(place, (serial, status))| Ticket { place, serial, status });
        let refunds = row.refunds.map(serde_json::from_value).transpose().map_err(broken)?;
        let order = Row {
            id: row.id,
            event_id: row.event_id,
            status: row.status,
            account: row.account,
            email: row.email,
            currency: row.currency,
            total: row.total,
            places: row.places,
            lines: row.lines,
            digest: row.digest,
            accept_equivalent: row.accept_equivalent,
            pay_by: row.pay_by,
            created_at: row.created_at,
            changed_at: row.changed_at,
            late: row.late,
            channel: row.channel,
            promo: row.promo,
            hold_id: row.hold_id,
        };
        orders.push(Whole {
            order: order.try_into()?,
            tickets: tickets.collect(),
            refunds: refunds.unwrap_or_default(),
            decline: row.decline,
        });
    }
    Ok(orders)
}

/// The order with this id, if there is one.
///
/// # Errors
/// If Postgres fails.
pub async fn find(pg: &PgPool, id: OrderId) -> sqlx::Result<Option<Order>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, event_id, status, account, email, currency, total, places, lines, digest,
                  accept_equivalent, pay_by AS "pay_by: SqlTimestamp",
                  created_at AS "created_at: SqlTimestamp",
                  changed_at AS "changed_at: SqlTimestamp", late, channel, promo, hold_id
           FROM orders WHERE id = $1"#,
        id.0
    )
    .fetch_optional(pg)
    .await?;
    row.map(Order::try_from).transpose()
}

/// The order with this id, which exists.
///
/// # Errors
/// If Postgres fails, or it doesn't exist.
pub async fn get(pg: &PgPool, id: OrderId) -> sqlx::Result<Order> {
    find(pg, id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// A page of an event's orders, newest ids last: those after `after`.
///
/// # Errors
/// If Postgres fails.
pub async fn page(
    pg: &PgPool,
    event: EventId,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders
         WHERE event_id = $1 AND status NOT IN ('abandoned', 'retake')
           AND id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY id LIMIT $3",
        event.0,
        after,
        limit
    )
    .fetch_all(pg)
    .await?;
    let mut orders = many(pg, &ids).await?;
    orders.sort_unstable_by_key(|order| order.id);
    Ok(orders)
}

/// A buyer's orders for an event, newest first.
///
/// # Errors
/// If Postgres fails.
pub async fn of_account(
    pg: &PgPool,
    event: EventId,
    account: AccountId,
) -> sqlx::Result<Vec<Order>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE event_id = $1 AND account = $2
           AND status NOT IN ('abandoned', 'retake')",
        event.0,
        account.0
    )
    .fetch_all(pg)
    .await?;
    let mut orders = many(pg, &ids).await?;
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.created_at));
    Ok(orders)
}

/// A page of a buyer's orders, newest first: those before the order `before`, which is theirs.
///
/// # Errors
/// If Postgres fails.
pub async fn of_buyer(
    pg: &PgPool,
    account: AccountId,
    before: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    // By event, because that is how orders are indexed: one look into the index for each is
    // cheaper than an index that every order would have to be written into.
    let ids = sqlx::query_scalar!(
        r#"SELECT o.id AS "id!" FROM events e CROSS JOIN LATERAL (
               SELECT id, created_at FROM orders
               WHERE event_id = e.id AND account = $1 AND status NOT IN ('abandoned', 'retake')
               OFFSET 0
           ) o
           WHERE $2::uuid IS NULL OR (o.created_at, o.id) <
               (SELECT b.created_at, b.id FROM orders b WHERE b.id = $2 AND b.account = $1)
           ORDER BY o.created_at DESC, o.id DESC LIMIT $3"#,
        account.0,
        before,
        limit
    )
    .fetch_all(pg)
    .await?;
    let mut orders = many(pg, &ids).await?;
    orders.sort_unstable_by_key(|order| std::cmp::Reverse((order.created_at, order.id)));
    Ok(orders)
}

/// A payment attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Its order.
    pub order: OrderId,
    /// Its provider.
    pub provider: String,
    /// The provider's id, once known.
    pub reference: Option<String>,
    /// `open`, `processing`, `succeeded` or `cancelled`.
    pub status: String,
    /// Why the provider declined last.
    pub decline: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An order's payment attempts, oldest first.
///
/// # Errors
/// If Postgres fails.
pub async fn attempts(pg: &PgPool, order: OrderId) -> sqlx::Result<Vec<Attempt>> {
    let rows = sqlx::query!(
        r#"SELECT id, provider, reference, status, decline,
                  created_at AS "created_at: SqlTimestamp"
           FROM attempts WHERE order_id = $1 ORDER BY created_at, id"#,
        order.0
    )
    .fetch_all(pg)
    .await?;
    let attempts = rows.into_iter().map(|row| Attempt {
        id: AttemptId(row.id),
        order,
        provider: row.provider,
        reference: row.reference,
        status: row.status,
        decline: row.decline,
        created_at: row.created_at.to_jiff(),
    });
    Ok(attempts.collect())
}

/// Notes the provider's id of an attempt.
///
/// # Errors
/// If Postgres fails.
pub async fn note_reference(
    pg: &PgPool,
    order: OrderId,
    attempt: AttemptId,
    reference: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE attempts SET reference = $3 WHERE order_id = $1 AND id = $2 AND reference IS NULL",
        order.0,
        attempt.0,
        reference
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Opens a further attempt for an order that still waits, if none is open. `None` if that isn't
/// possible (any more).
///
/// # Errors
/// If Postgres fails.
pub async fn open_attempt(
    pg: &PgPool,
    order: OrderId,
    provider: &str,
    reference_of: impl Fn(AttemptId) -> Option<String>,
) -> sqlx::Result<Option<AttemptId>> {
    let fresh = AttemptId::fresh();
    // The order is locked first, as everywhere: a cancellation that began wins.
    let mut tx = pg.begin().await?;
    let open = sqlx::query_scalar!(
        "SELECT id FROM orders WHERE id = $1 AND status = 'open' AND pay_by > now() FOR UPDATE",
        order.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if open.is_none() {
        return Ok(None);
    }
    let known = sqlx::query_scalar!(
        "SELECT id FROM attempts WHERE order_id = $1 AND status IN ('open', 'processing')",
        order.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let attempt = match known {
        Some(id) => AttemptId(id),
        None => {
            sqlx::query!(
                "INSERT INTO attempts (order_id, id, provider, reference, amount, currency)
                 SELECT id, $2, $3, $4, total, currency FROM orders WHERE id = $1",
                order.0,
                fresh.0,
                provider,
                reference_of(fresh)
            )
            .execute(&mut *tx)
            .await?;
            fresh
        }
    };
    tx.commit().await?;
    Ok(Some(attempt))
}

/// A ticket.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// For which place.
    pub place: i32,
    /// Which of the place's tickets.
    pub serial: i32,
    /// `valid`, `used`, `suspended` or `void`.
    pub status: String,
}

/// An order's tickets, by place.
///
/// # Errors
/// If Postgres fails.
pub async fn tickets(pg: &PgPool, order: &Order) -> sqlx::Result<Vec<Ticket>> {
    sqlx::query_as!(
        Ticket,
        "SELECT place, serial, status FROM tickets
         WHERE event_id = $1 AND place = ANY ($2) AND order_id = $3 ORDER BY place, serial",
        order.event.0,
        &order.places,
        order.id.0
    )
    .fetch_all(pg)
    .await
}

/// A refund of an order.
#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How much.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// `due`, `pending`, `done` or `failed`.
    pub status: String,
}

/// An order's refunds, oldest first.
///
/// # Errors
/// If Postgres fails.
pub async fn refunds(pg: &PgPool, order: OrderId) -> sqlx::Result<Vec<Refund>> {
    let rows = sqlx::query!(
        "SELECT id, amount, reason, status FROM refunds WHERE order_id = $1 ORDER BY created_at",
        order.0
    )
    .fetch_all(pg)
    .await?;
    let refunds = rows.into_iter().map(|row| Refund {
        id: RefundId(row.id),
        amount: row.amount,
        reason: row.reason,
        status: row.status,
    });
    Ok(refunds.collect())
}
