//! Mails that stay here: for the demo and tests, where there is nobody to send them to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Mail, Mailer, NotSent};
use crate::db::batch::{Batcher, Commit, Job, answered};
use crate::db::kept::Kept as Connection;

/// Mails that are kept; older ones go.
pub const MAX_MAILS: i64 = 1_000;
/// So many more may be kept until the oldest are let go.
const TRIM_EVERY: i64 = 100;

/// Mails that one statement keeps, and that wait for it.
const AT_ONCE: usize = 64;
const WAITING: usize = 1_024;

/// Keeps mails in Postgres.
pub struct Mailbox {
    keeper: Batcher<Keeper>,
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

/// A mail to be kept.
#[derive(Clone)]
struct Letter {
    about: Uuid,
    order: Option<Uuid>,
    kind: &'static str,
    recipient: String,
    subject: String,
    body: String,
    message: Vec<u8>,
}

impl Job for Letter {
    fn subject(&self) -> Uuid {
        self.about
    }
}

/// Keeps mails that come together in one commit.
struct Keeper {
    pg: Connection,
    /// Up to here this process has let mails go.
    trimmed: AtomicI64,
}

impl Commit for Keeper {
    type Job = Letter;
    type Outcome = sqlx::Result<()>;

    async fn commit(&self, letters: Vec<Letter>) -> Vec<sqlx::Result<()>> {
        if letters.len() > 1 && answered(self.keep(&letters)).await.is_ok() {
            return letters.iter().map(|_| Ok(())).collect();
        }
        let mut outcomes = Vec::with_capacity(letters.len());
        for letter in &letters {
            outcomes.push(answered(self.keep(std::slice::from_ref(letter))).await);
        }
        outcomes
    }
}

impl Keeper {
    async fn keep(&self, letters: &[Letter]) -> sqlx::Result<()> {
        let orders: Vec<Option<Uuid>> = letters.iter().map(|letter| letter.order).collect();
        let kinds: Vec<String> = letters.iter().map(|letter| letter.kind.to_owned()).collect();
        let text = |of: fn(&Letter) -> &String| -> Vec<String> {
            letters.iter().map(|letter| of(letter).clone()).collect()
        };
        let messages: Vec<Vec<u8>> = letters.iter().map(|letter| letter.message.clone()).collect();
        let mut pg = self.pg.take().await?;
        let ids = sqlx::query_scalar!(
            "INSERT INTO mailbox (order_id, kind, recipient, subject, body, message)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                                  $6::bytea[])
             RETURNING id",
            &orders as &[Option<Uuid>],
            &kinds,
            &text(|letter| &letter.recipient),
            &text(|letter| &letter.subject),
            &text(|letter| &letter.body),
            &messages
        )
        .fetch_all(&mut *pg)
        .await;
        let ids = pg.give_back(ids)?;
        // Not with each mail: all processes would look for the same rows.
        if let Some(id) = ids.into_iter().find(|id| id % TRIM_EVERY == 0) {
            self.trim(id - MAX_MAILS).await;
        }
        Ok(())
    }

    /// Lets mails go up to this one. The others are kept all the same if that fails.
    ///
    /// Not from the first: until Postgres has cleared away what went before, it would look through
    /// all of that each time.
    async fn trim(&self, last: i64) {
        let before = self.trimmed.load(Ordering::Relaxed);
        // Who waited for another's rows could wait in a circle.
        let trimmed = async {
            let mut pg = self.pg.take().await?;
            let done = sqlx::query!(
                "DELETE FROM mailbox WHERE id IN (
                     SELECT id FROM mailbox WHERE id > $1 AND id <= $2 FOR UPDATE SKIP LOCKED)",
                before,
                last
            )
            .execute(&mut *pg)
            .await;
            pg.give_back(done)
        };
        match trimmed.await {
            Ok(_) => self.trimmed.store(last, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "old mails stay in the mailbox"),
        }
    }
}

impl Mailbox {
    /// An empty one, or what was in it before.
    #[must_use]
    pub fn new(pg: Connection) -> Self {
        let keeper = Arc::new(Keeper { pg, trimmed: AtomicI64::new(0) });
        Self { keeper: Batcher::start("mailbox", keeper, AT_ONCE, WAITING) }
    }
}

impl Mailer for Mailbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), NotSent>> {
        let letter = Letter {
            about: mail.topic.id(),
            order: mail.topic.order().map(|order| order.0),
            kind: mail.topic.word(),
            recipient: mail.recipient.clone(),
            subject: mail.subject.clone(),
            body: mail.text.clone(),
            message: mail.message.formatted(),
        };
        Box::pin(async move {
            let kept = self.keeper.submit(letter).await;
            let kept = kept.map_err(|why| NotSent::Later(format!("{why:?}")))?;
            kept.map_err(|error| NotSent::Later(error.to_string()))
        })
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
