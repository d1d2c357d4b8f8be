//! The claim: one commit for as many orders as wait for it.

use std::sync::Arc;
use std::time::Duration;

use iso_currency::Currency;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::accounts::email::Email;
use crate::catalog::BuyerTerms;
use crate::db::batch::{Commit, Job, answered};
use crate::db::kept::Kept;
use crate::holds::record::{HeldPlace, Line, Step, numbers};
use crate::holds::redis::MirrorEntry;
use crate::ids::{AccountId, AttemptId, EventId, HoldId, OrderId};
use crate::orders::mirror::{Follower, Mirror, Note};
use crate::orders::recent::{Known, Recent};
use crate::orders::{Order, OrderStatus};
use crate::suspicion::Traces;

/// How often a claim whose outcome isn't known is asked again, and the first pause between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// An order to be claimed.
#[derive(Clone, Debug)]
pub struct ClaimJob {
    /// The hold's id, which becomes the order's.
    pub id: HoldId,
    /// The event.
    pub event: EventId,
    /// The epoch in which it was held.
    pub epoch: i32,
    /// The buyer.
    pub account: AccountId,
    /// Where tickets go.
    pub email: Email,
    /// The channel.
    pub channel: i16,
    /// The promo code's number.
    pub promo: Option<i32>,
    /// The event's currency.
    pub currency: Currency,
    /// What is to be paid.
    pub total: i64,
    /// What was bought.
    pub lines: Vec<Line>,
    /// The places, as the hold's record lists them.
    pub places: Vec<HeldPlace>,
    /// Of the checkout request.
    pub digest: [u8; 16],
    /// Whether equivalents will do.
    pub accept_equivalent: bool,
    /// How long the claim waits for its payment, by Postgres's clock.
    pub pay_seconds: i32,
    /// Name and locale.
    pub details: serde_json::Value,
    /// What the hold was made with.
    pub traces: Traces,
    /// The payment attempt.
    pub attempt: AttemptId,
    /// Its provider.
    pub provider: &'static str,
    /// The provider's id of it, if that is known beforehand.
    pub reference: Option<String>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The order exists since then, by Postgres's clock, and its places are claimed.
    Claimed(Timestamp),
    /// Its id was there before: read it.
    Exists,
    /// The epoch has passed; the hold died with it.
    Stale,
    /// Claims are frozen.
    Frozen,
    /// These places are another order's.
    Taken(Vec<i32>),
    /// The buyer's limit.
    Limit,
    /// An offer's quota.
    Quota,
    /// The promo code's uses.
    Promo,
    /// Postgres did not say; the same claim again finds out.
    Unknown,
}

impl ClaimJob {
    /// The order that this becomes, claimed then.
    #[must_use]
    pub fn order(&self, then: Timestamp) -> Order {
        Order {
            id: self.id.order(),
            event: self.event,
            status: OrderStatus::Open,
            account: self.account,
            email: Some(self.email.to_string()),
            currency: self.currency,
            total: self.total,
            places: numbers(&self.places),
            lines: self.lines.clone(),
            digest: self.digest.to_vec(),
            accept_equivalent: self.accept_equivalent,
            pay_by: then + SignedDuration::from_secs(i64::from(self.pay_seconds)),
            created_at: then,
            changed_at: then,
            late: false,
            channel: self.channel,
            promo: self.promo,
            hold: None,
        }
    }
}

impl Job for ClaimJob {
    fn subject(&self) -> Uuid {
        self.id.0
    }
}

/// Commits claims.
pub struct Claimer {
    /// A connection for these commits alone.
    pub pg: Kept,
    /// Told of what was claimed.
    pub mirror: Arc<Mirror>,
    /// Remembers it.
    pub recent: Arc<Recent>,
}

impl Commit for Claimer {
    type Job = ClaimJob;
    type Outcome = Claimed;

    async fn commit(&self, jobs: Vec<ClaimJob>) -> Vec<Claimed> {
        if jobs.len() == 1 {
            return vec![self.alone(&jobs[0]).await];
        }
        let mut outcomes = match self.run(&jobs).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::warn!(%error, batch = jobs.len(), "a batch of claims runs one by one");
                vec![Claimed::Unknown; jobs.len()]
            }
        };
        for (job, outcome) in jobs.iter().zip(&mut outcomes) {
            // Who lost in company may have lost to another loser: the last word is said alone.
            let again = matches!(
                outcome,
                Claimed::Taken(_)
                    | Claimed::Limit
                    | Claimed::Quota
                    | Claimed::Promo
                    | Claimed::Unknown
            );
            if again {
                *outcome = self.alone(job).await;
            }
        }
        outcomes
    }
}

impl Claimer {
    /// One claim. While its outcome isn't known, the same claim with the same id is sent again:
    /// it waits for the first, if that still runs, and then finds it.
    async fn alone(&self, job: &ClaimJob) -> Claimed {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            match self.run(std::slice::from_ref(job)).await {
                Ok(mut outcomes) => return outcomes.pop().unwrap_or(Claimed::Unknown),
                Err(error) => {
                    tracing::warn!(%error, hold = %job.id, "a claim's outcome is not known");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Claimed::Unknown
    }

    async fn run(&self, jobs: &[ClaimJob]) -> sqlx::Result<Vec<Claimed>> {
        let columns = Columns::of(jobs);
        let mut pg = answered(self.pg.take()).await?;
        let rows = sqlx::query!(
            r#"SELECT position_in_batch AS "position!", outcome AS "outcome!",
                      missed AS "missed!", mirror_id,
                      claimed_at AS "claimed_at!: SqlTimestamp"
               FROM claim_orders($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                                 $15, $16, $17, $18, $19, $20, $21, $22)
               ORDER BY position_in_batch"#,
            &columns.id,
            &columns.event,
            &columns.epoch,
            &columns.account,
            &columns.email,
            &columns.email_key,
            &columns.channel,
            &columns.promo as &[Option<i32>],
            &columns.currency,
            &columns.total,
            &columns.lines,
            &columns.digest,
            &columns.accept,
            &columns.pay_seconds,
            &columns.details,
            &columns.attempt,
            &columns.provider,
            &columns.reference as &[Option<String>],
            &columns.from,
            &columns.to,
            &columns.place_of,
            &columns.place,
        )
        .fetch_all(&mut *pg);
        let rows = answered(rows).await;
        let rows = pg.give_back(rows)?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut note = Note::default();
        for (row, job) in rows.into_iter().zip(jobs) {
            let outcome = match row.outcome.as_str() {
                "claimed" => Claimed::Claimed(row.claimed_at.to_jiff()),
                "exists" => Claimed::Exists,
                "stale" => Claimed::Stale,
                "frozen" => Claimed::Frozen,
                "taken" => Claimed::Taken(row.missed),
                "limit" => Claimed::Limit,
                "quota" => Claimed::Quota,
                "promo" => Claimed::Promo,
                other => return Err(sqlx::Error::Decode(format!("claim: {other}").into())),
            };
            if matches!(outcome, Claimed::Claimed(_)) {
                note.mirror_id = row.mirror_id;
                let follower = Follower { event: job.event, epoch: job.epoch, entry: entry(job) };
                self.recent.note(Known { follower: follower.clone(), traces: job.traces });
                note.followers.push(follower);
            }
            outcomes.push(outcome);
        }
        self.mirror.note(note);
        Ok(outcomes)
    }
}

fn entry(job: &ClaimJob) -> MirrorEntry {
    MirrorEntry {
        id: job.id,
        step: Step::Claimed,
        account: job.account,
        promo: job.promo,
        places: job.places.clone(),
    }
}

/// A batch as the function takes it: one array per column.
#[derive(Default)]
struct Columns {
    id: Vec<Uuid>,
    event: Vec<Uuid>,
    epoch: Vec<i32>,
    account: Vec<Uuid>,
    email: Vec<String>,
    email_key: Vec<String>,
    channel: Vec<i16>,
    promo: Vec<Option<i32>>,
    currency: Vec<String>,
    total: Vec<i64>,
    lines: Vec<serde_json::Value>,
    digest: Vec<Vec<u8>>,
    accept: Vec<bool>,
    pay_seconds: Vec<i32>,
    details: Vec<serde_json::Value>,
    attempt: Vec<Uuid>,
    provider: Vec<String>,
    reference: Vec<Option<String>>,
    /// Where the order's places begin and end in `place`.
    from: Vec<i32>,
    to: Vec<i32>,
    place_of: Vec<i32>,
    /// Of each order in their order.
    place: Vec<i32>,
}

impl Columns {
    fn of(jobs: &[ClaimJob]) -> Self {
        let mut columns = Self::default();
        // Arrays of Postgres count from 1.
        for (position, job) in (1..).zip(jobs) {
            columns.id.push(job.id.0);
            columns.event.push(job.event.0);
            columns.epoch.push(job.epoch);
            columns.account.push(job.account.0);
            columns.email.push(job.email.to_string());
            columns.email_key.push(job.email.key());
            columns.channel.push(job.channel);
            columns.promo.push(job.promo);
            columns.currency.push(job.currency.code().to_owned());
            columns.total.push(job.total);
            columns.lines.push(serde_json::to_value(&job.lines).unwrap_or_default());
            columns.digest.push(job.digest.to_vec());
            columns.accept.push(job.accept_equivalent);
            columns.pay_seconds.push(job.pay_seconds);
            columns.details.push(job.details.clone());
            columns.attempt.push(job.attempt.0);
            columns.provider.push(job.provider.to_owned());
            columns.reference.push(job.reference.clone());
            let places = numbers(&job.places);
            // A batch is far from as many.
            let end = |columns: &Self| i32::try_from(columns.place.len()).unwrap_or(i32::MAX);
            columns.from.push(end(&columns) + 1);
            columns.place_of.extend(places.iter().map(|_| position));
            columns.place.extend(places);
            columns.to.push(end(&columns));
        }
        columns
    }
}

/// Terms that a buyer accepted, and when.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedTerms {
    /// What was accepted.
    pub terms: BuyerTerms,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The terms that were accepted with an order.
///
/// # Errors
/// If Postgres fails.
pub async fn accepted_terms(pg: &PgPool, order: OrderId) -> sqlx::Result<Option<AcceptedTerms>> {
    let row = sqlx::query!(
        r#"SELECT encode(t.digest, 'hex') AS "digest!", t.text, t.url,
                  (o.details #>> '{terms,at}')::timestamptz AS "at!: SqlTimestamp"
           FROM orders o
           JOIN terms t ON t.digest = decode(o.details #>> '{terms,digest}', 'hex')
           WHERE o.id = $1"#,
        order.0
    )
    .fetch_optional(pg)
    .await?;
    Ok(row.map(|row| {
        let terms = BuyerTerms { digest: row.digest, text: row.text, url: row.url };
        AcceptedTerms { terms, at: row.at.to_jiff() }
    }))
}
