//! Mails that buyers ask for, and where an order's mails go.

use sqlx::{PgConnection, PgPool};

use crate::accounts::email::Email;
use crate::ids::{AccountId, OrderId};
use crate::mail::Kind;

/// Whether this account's address is the one that the order's checkout named, which had not signed
/// in itself.
///
/// # Errors
/// If Postgres fails.
pub async fn is_of_checkout(pg: &PgPool, order: OrderId, account: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM orders o JOIN accounts a ON a.email_key = o.email_key
               WHERE o.id = $1 AND a.id = $2
                 AND NOT EXISTS (SELECT FROM accounts b WHERE b.id = o.account)) AS "same!""#,
        order.0,
        account.0
    )
    .fetch_one(pg)
    .await
}

/// Whether a confirmation of the order is about to leave.
///
/// # Errors
/// If Postgres fails.
pub async fn confirmation_waits(
    pg: impl sqlx::PgExecutor<'_>,
    order: OrderId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM mails WHERE order_id = $1 AND kind = ANY ($2)
                 AND sent_at IS NULL AND due_at < 'infinity') AS "waits!""#,
        order.0,
        &[Kind::Paid.word().to_owned(), Kind::Again.word().to_owned()]
    )
    .fetch_one(pg)
    .await
}

/// Has the confirmation sent once more, unless one waits to leave.
///
/// # Errors
/// If Postgres fails.
pub async fn confirm_again(pg: &PgPool, order: OrderId, by: Option<AccountId>) -> sqlx::Result<()> {
    let mut tx = pg.begin().await?;
    sqlx::query_scalar!("SELECT id FROM orders WHERE id = $1 FOR UPDATE", order.0)
        .fetch_one(&mut *tx)
        .await?;
    if !confirmation_waits(&mut *tx, order).await? {
        tell(&mut tx, order, Kind::Again, None, by).await?;
    }
    tx.commit().await
}

/// One more mail of this kind about an order, which is locked.
async fn tell(
    pg: &mut PgConnection,
    order: OrderId,
    kind: Kind,
    recipient: Option<&str>,
    by: Option<AccountId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO mails (order_id, kind, nth, recipient, asked_by)
         SELECT $1, $2, coalesce(max(nth), 0) + 1, $3, $4 FROM mails
         WHERE order_id = $1 AND kind = $2",
        order.0,
        kind.word(),
        recipient,
        by.map(|account| account.0)
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// What naming an address came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Mails go there from now on.
    Now,
    /// They did already.
    Before,
    /// The order isn't paid (any more).
    MovedOn,
}

/// Has an order's mails go to another address: the confirmation goes there, and the address before
/// is told, in one commit.
///
/// # Errors
/// If Postgres fails.
pub async fn change(
    pg: &PgPool,
    order: OrderId,
    email: &Email,
    by: AccountId,
) -> sqlx::Result<Changed> {
    let mut tx = pg.begin().await?;
    let before = sqlx::query_scalar!(
        "SELECT email FROM orders WHERE id = $1 AND status = 'paid' FOR UPDATE",
        order.0
    );
    let Some(before) = before.fetch_optional(&mut *tx).await? else {
        return Ok(Changed::MovedOn);
    };
    if before.as_deref() == Some(email.as_str()) {
        return Ok(Changed::Before);
    }
    sqlx::query!("UPDATE orders SET email = $2 WHERE id = $1", order.0, email.as_str())
        .execute(&mut *tx)
        .await?;
    if let Some(before) = &before {
        tell(&mut tx, order, Kind::Moved, Some(before), Some(by)).await?;
    }
    // Even if one waits: it may just be leaving for the address before.
    tell(&mut tx, order, Kind::Again, None, Some(by)).await?;
    tx.commit().await?;
    Ok(Changed::Now)
}
