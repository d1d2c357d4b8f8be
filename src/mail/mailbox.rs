//! Mails that stay here: for the demo and tests, where there is nobody to send them to.

use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::PgPool;

use super::{Mail, Mailer, NotSent};

/// Mails that are kept; older ones go.
pub const MAX_MAILS: i64 = 1_000;
/// So many more may be kept until the oldest are let go.
const TRIM_EVERY: i64 = 100;

/// Keeps mails in Postgres.
pub struct Mailbox {
    pg: PgPool,
}

/// A kept mail.
pub struct Kept {
    /// Its number.
    pub id: i64,
    /// To whom.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub body: String,
    /// When it would have left.
    pub created_at: Timestamp,
}

impl Mailbox {
    /// An empty one, or what was in it before.
    #[must_use]
    pub const fn new(pg: PgPool) -> Self {
        Self { pg }
    }

    async fn keep(&self, mail: &Mail) -> sqlx::Result<()> {
        let id = sqlx::query_scalar!(
            "INSERT INTO mailbox (order_id, kind, recipient, subject, body, message)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
            mail.topic.order().map(|order| order.0),
            mail.topic.word(),
            mail.recipient,
            mail.subject,
            mail.text,
            mail.message.formatted()
        )
        .fetch_one(&self.pg)
        .await?;
        // Not with each mail: all senders would look for the same rows.
        if id % TRIM_EVERY != 0 {
            return Ok(());
        }
        // Many are kept at once, and each looks for what is too old in its own order: whoever
        // waited for another's rows could wait in a circle.
        let tidied = sqlx::query!(
            "DELETE FROM mailbox WHERE id IN (
                 SELECT id FROM mailbox WHERE id <= $1 FOR UPDATE SKIP LOCKED)",
            id - MAX_MAILS
        )
        .execute(&self.pg)
        .await;
        // The mail is kept all the same; the next one tidies up.
        if let Err(error) = tidied {
            tracing::warn!(%error, "old mails stay in the mailbox");
        }
        Ok(())
    }
}

impl Mailer for Mailbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), NotSent>> {
        Box::pin(
            async move { self.keep(mail).await.map_err(|error| NotSent::Later(error.to_string())) },
        )
    }
}

/// The newest mails, newest first.
///
/// # Errors
/// If Postgres fails.
pub async fn newest(pg: &PgPool, limit: i64) -> sqlx::Result<Vec<Kept>> {
    let rows = sqlx::query!(
        r#"SELECT id, recipient, subject, body, created_at AS "created_at: SqlTimestamp"
           FROM mailbox ORDER BY id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(pg)
    .await?;
    let kept = rows.into_iter().map(|row| Kept {
        id: row.id,
        recipient: row.recipient,
        subject: row.subject,
        body: row.body,
        created_at: row.created_at.to_jiff(),
    });
    Ok(kept.collect())
}

/// A whole mail as it would have gone over the wire.
///
/// # Errors
/// If Postgres fails.
pub async fn message(pg: &PgPool, id: i64) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("SELECT message FROM mailbox WHERE id = $1", id).fetch_optional(pg).await
}
