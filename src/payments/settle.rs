//! Settlement: what a provider says becomes what is true, once, in one commit.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::rehearsal::Rehearsal;
use super::{DisputeState, Happening, Intent, IntentState, RefundState, RefundView, WebhookEvent};
use crate::app::App;
use crate::db::batch::{Commit, Job, NotTaken, answered};
use crate::db::kept::Kept;
use crate::faults;
use crate::holds::record::Step;
use crate::http::problem::{Code, Problem};
use crate::ids::{AttemptId, OrderId};
use crate::orders::mirror::{self, Mirror, Note};
use crate::orders::recent::Recent;
use crate::orders::{self};
use crate::suspicion::{self, ledger::OrderNote};
use crate::waiting_room::passes::Buyers;

/// How often a settlement whose outcome isn't known is asked again, and the first pause between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// A charge to be settled.
#[derive(Clone, Debug)]
pub struct SettleJob {
    /// The provider; empty for free orders.
    pub provider: String,
    /// The provider's id of the event; none if we asked ourselves.
    pub event: Option<String>,
    /// The order.
    pub order: OrderId,
    /// The attempt; none for free orders.
    pub attempt: Option<AttemptId>,
    /// The provider's id of the payment.
    pub reference: String,
    /// Minor units that were taken.
    pub charged: i64,
    /// Their currency.
    pub currency: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The order is paid, by this.
    Paid,
    /// It was settled before.
    Already,
    /// This event was handled before.
    Duplicate,
    /// The places had been released: they are taken again, or the money goes back.
    Late,
    /// Not what the order is charged: a refund is due.
    Unwanted,
    /// No such order or attempt.
    Unknown,
    /// The provider had called the payment cancelled.
    Contradiction,
    /// Postgres did not say; the same again finds out.
    NotSaid,
}

impl Job for SettleJob {
    fn subject(&self) -> Uuid {
        self.order.0
    }
}

/// Commits settlements.
pub struct Settler {
    /// A connection for these commits alone.
    pub pg: Kept,
    /// Told of what was paid.
    pub mirror: Arc<Mirror>,
    /// Knows most of the orders.
    pub recent: Arc<Recent>,
    /// Told as well: the buyers' passes end.
    pub buyers: Buyers,
}

impl Commit for Settler {
    type Job = SettleJob;
    type Outcome = Settled;

    async fn commit(&self, jobs: Vec<SettleJob>) -> Vec<Settled> {
        if jobs.len() > 1 {
            match self.run(&jobs).await {
                Ok(outcomes) => return outcomes,
                Err(error) => {
                    tracing::warn!(%error, batch = jobs.len(), "settlements run one by one");
                }
            }
        }
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in &jobs {
            outcomes.push(self.alone(job).await);
        }
        outcomes
    }
}

impl Settler {
    async fn alone(&self, job: &SettleJob) -> Settled {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            match self.run(std::slice::from_ref(job)).await {
                Ok(mut outcomes) => return outcomes.pop().unwrap_or(Settled::NotSaid),
                Err(error) => {
                    tracing::warn!(%error, order = %job.order, "a settlement's outcome is unknown");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Settled::NotSaid
    }

    async fn run(&self, jobs: &[SettleJob]) -> sqlx::Result<Vec<Settled>> {
        let mut pg = answered(self.pg.take()).await?;
        let provider: Vec<String> = jobs.iter().map(|job| job.provider.clone()).collect();
        let event: Vec<Option<String>> = jobs.iter().map(|job| job.event.clone()).collect();
        let order: Vec<Uuid> = jobs.iter().map(|job| job.order.0).collect();
        let attempt: Vec<Option<Uuid>> = jobs.iter().map(|job| job.attempt.map(|a| a.0)).collect();
        let reference: Vec<String> = jobs.iter().map(|job| job.reference.clone()).collect();
        let charged: Vec<i64> = jobs.iter().map(|job| job.charged).collect();
        let currency: Vec<String> = jobs.iter().map(|job| job.currency.clone()).collect();
        let rows = sqlx::query!(
            r#"SELECT outcome AS "outcome!", mirror_id
               FROM settle_charges($1, $2, $3, $4, $5, $6, $7) ORDER BY position_in_batch"#,
            &provider,
            &event as &[Option<String>],
            &order,
            &attempt as &[Option<Uuid>],
            &reference,
            &charged,
            &currency,
        )
        .fetch_all(&mut *pg);
        let rows = answered(rows).await;
        let rows = pg.give_back(rows)?;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut paid = Vec::new();
        let mut note = Note::default();
        for (row, job) in rows.into_iter().zip(jobs) {
            let outcome = match row.outcome.as_str() {
                "paid" => Settled::Paid,
                "already" => Settled::Already,
                "duplicate" => Settled::Duplicate,
                "late" => Settled::Late,
                "unwanted" => Settled::Unwanted,
                "unknown" => Settled::Unknown,
                "contradiction" => Settled::Contradiction,
                other => return Err(sqlx::Error::Decode(format!("settle: {other}").into())),
            };
            metrics::counter!("onsale_settled_total", "outcome" => row.outcome).increment(1);
            if outcome == Settled::Paid {
                paid.push(job.order.0);
                note.mirror_id = row.mirror_id;
                match self.recent.of(job.order) {
                    Some(known) => {
                        let mut sold = known.follower.clone();
                        sold.entry.step = Step::Sold;
                        note.followers.push(sold);
                    }
                    None => note.orders.push(job.order.0),
                }
            }
            outcomes.push(outcome);
        }
        self.buyers.paid(&paid);
        self.mirror.note(note);
        Ok(outcomes)
    }
}

/// Settles an order that costs nothing: without a provider, not without the protocol.
///
/// # Errors
/// If Postgres doesn't say whether it did.
pub async fn settle_free(app: &App, order: OrderId) -> Result<(), Problem> {
    let job = SettleJob {
        provider: String::new(),
        event: None,
        order,
        attempt: None,
        reference: String::new(),
        charged: 0,
        currency: String::new(),
    };
    match submit(app, job).await? {
        Settled::Paid | Settled::Already => Ok(()),
        other => Err(Problem::internal(format!("free order {order}: {other:?}"))),
    }
}

async fn submit(app: &App, job: SettleJob) -> Result<Settled, Problem> {
    let settled = app.settlements.submit(job).await;
    faults::point("settled");
    match settled {
        Ok(Settled::NotSaid) => Err(Problem::new(Code::Unknown)),
        Ok(settled) => Ok(settled),
        Err(NotTaken::Full | NotTaken::Closed) => Err(Problem::new(Code::Unavailable)),
    }
}

/// What a webhook's event does. Called again it does nothing more.
///
/// # Errors
/// If it could not be stored: the provider must send it again.
pub async fn receive(app: &App, provider: &str, event: WebhookEvent) -> Result<(), Problem> {
    faults::point("webhook received");
    match event.what {
        Happening::Intent(intent) => take_intent(app, provider, Some(event.id), &intent).await,
        Happening::Declined { intent, reason } => {
            let Some((order, attempt)) = locate(app, provider, &intent).await? else {
                return Ok(());
            };
            sqlx::query!(
                "UPDATE attempts SET decline = $3, fingerprint = $4, changed_at = now()
                 WHERE order_id = $1 AND id = $2 AND status IN ('open', 'processing')",
                order.0,
                attempt.0,
                reason,
                intent.fingerprint
            )
            .execute(&app.pg)
            .await?;
            suspicion::note_order(app, order, OrderNote::Declined(intent.fingerprint));
            Ok(())
        }
        Happening::Refund(refund) => {
            catch_up(app, provider, &refund.intent).await?;
            take_refund(app, provider, &refund).await
        }
        Happening::Dispute { intent, reference, state } => {
            catch_up(app, provider, &intent).await?;
            take_dispute(app, provider, &intent, &reference, state).await
        }
        Happening::Ignored => Ok(()),
    }
}

/// Refunds and disputes are of payments that succeeded: where that isn't known yet, events have
/// come out of order, and the provider is asked first.
async fn catch_up(app: &App, provider: &str, intent: &str) -> Result<(), Problem> {
    let order = sqlx::query_scalar!(
        "SELECT order_id FROM attempts
         WHERE provider = $1 AND reference = $2 AND status IN ('open', 'processing')",
        provider,
        intent
    )
    .fetch_optional(&app.pg)
    .await?;
    let Some(order) = order else { return Ok(()) };
    for attempt in orders::store::attempts(&app.pg, OrderId(order)).await? {
        if attempt.reference.as_deref() == Some(intent) {
            ask_provider(app, &attempt).await?;
        }
    }
    Ok(())
}

/// The order and attempt of an intent: from its metadata, or from its reference.
async fn locate(
    app: &App,
    provider: &str,
    intent: &Intent,
) -> Result<Option<(OrderId, AttemptId)>, Problem> {
    if let (Some(order), Some(attempt)) = (intent.order, intent.attempt) {
        return Ok(Some((order, attempt)));
    }
    let row = sqlx::query!(
        "SELECT order_id, id FROM attempts WHERE provider = $1 AND reference = $2",
        provider,
        intent.reference
    )
    .fetch_optional(&app.pg)
    .await?;
    Ok(row.map(|row| (OrderId(row.order_id), AttemptId(row.id))))
}

/// Makes what the provider states of an intent true here: from a webhook (with the event's id),
/// or because we asked.
///
/// # Errors
/// If it could not be stored.
pub async fn take_intent(
    app: &App,
    provider: &str,
    event: Option<String>,
    intent: &Intent,
) -> Result<(), Problem> {
    // A payment that names no order of ours is somebody else's use of the same account.
    let Some((order, attempt)) = locate(app, provider, intent).await? else { return Ok(()) };
    let note = |status: &'static str| async move {
        sqlx::query!(
            "SELECT note_attempt($1, $2, $3, $4)",
            order.0,
            attempt.0,
            intent.reference,
            status
        )
        .execute(&app.pg)
        .await
    };
    match intent.state {
        IntentState::Open => {}
        IntentState::Processing => {
            note("processing").await?;
        }
        IntentState::Cancelled => {
            note("cancelled").await?;
        }
        IntentState::Succeeded { charged } if charged <= 0 => {
            // Nothing was taken, so there is nothing to settle or to give back.
            tracing::error!(reference = intent.reference, charged, "a payment of nothing");
        }
        IntentState::Succeeded { charged } => {
            let job = SettleJob {
                provider: provider.to_owned(),
                event,
                order,
                attempt: Some(attempt),
                reference: intent.reference.clone(),
                charged,
                currency: intent.amount.currency.code().to_owned(),
            };
            let settled = submit(app, job).await?;
            if settled == Settled::Paid {
                suspicion::note_order(app, order, OrderNote::Paid);
                if let Some(card) = &intent.fingerprint {
                    suspicion::note_order(app, order, OrderNote::Charged(card.clone()));
                }
            }
            if matches!(settled, Settled::Unknown | Settled::Contradiction) {
                give_back_stray(app, provider, intent, charged, settled).await?;
            }
        }
    }
    Ok(())
}

/// A charge that fits no order here, as after restoring a backup older than the provider: it is
/// never kept silently.
async fn give_back_stray(
    app: &App,
    provider: &str,
    intent: &Intent,
    charged: i64,
    why: Settled,
) -> Result<(), Problem> {
    // Nothing was taken: the rehearsal has ended meanwhile, and its order is gone.
    if provider == Rehearsal::NAME {
        return Ok(());
    }
    tracing::error!(reference = intent.reference, ?why, "a payment fits no order: refunding it");
    sqlx::query!(
        "INSERT INTO refunds (id, provider, intent, amount, currency, reason)
         VALUES ($1, $2, $3, $4, $5, 'stray')
         ON CONFLICT (provider, intent) WHERE order_id IS NULL DO NOTHING",
        Uuid::now_v7(),
        provider,
        intent.reference,
        charged,
        intent.amount.currency.code()
    )
    .execute(&app.pg)
    .await?;
    Ok(())
}

/// Makes what the provider states of a refund true here.
///
/// # Errors
/// If it could not be stored.
pub async fn take_refund(app: &App, provider: &str, refund: &RefundView) -> Result<(), Problem> {
    let status = match refund.state {
        RefundState::Pending => "pending",
        RefundState::Succeeded => "done",
        RefundState::Failed => "failed",
    };
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", mirror_id
           FROM note_refund($1, $2, $3, $4, NULL, $5, $6, $7)"#,
        refund.refund.map(|id| id.0),
        provider,
        refund.intent,
        refund.reference,
        refund.amount.amount,
        refund.amount.currency.code(),
        status
    )
    .fetch_one(&app.pg)
    .await?;
    follow_attempts_order(app, provider, &refund.intent, row.mirror_id).await
}

async fn take_dispute(
    app: &App,
    provider: &str,
    intent: &str,
    reference: &str,
    state: DisputeState,
) -> Result<(), Problem> {
    let status = match state {
        DisputeState::Open => "open",
        DisputeState::Won => "won",
        DisputeState::Lost => "lost",
    };
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", mirror_id FROM note_dispute($1, $2, $3, $4)"#,
        provider,
        reference,
        intent,
        status
    )
    .fetch_one(&app.pg)
    .await?;
    if row.outcome == "noted" {
        tracing::warn!(reference, status, "a payment is disputed");
    }
    follow_attempts_order(app, provider, intent, row.mirror_id).await
}

/// Mirrors the order behind a payment, if the commit changed its claims.
async fn follow_attempts_order(
    app: &App,
    provider: &str,
    intent: &str,
    mirror_id: Option<i64>,
) -> Result<(), Problem> {
    if mirror_id.is_none() {
        return Ok(());
    }
    let order = sqlx::query_scalar!(
        "SELECT order_id FROM attempts WHERE provider = $1 AND reference = $2",
        provider,
        intent
    )
    .fetch_optional(&app.pg)
    .await?;
    if let Some(order) = order {
        mirror::follow(app, mirror_id, order).await;
    }
    Ok(())
}

/// Asks for an order's refund in full.
///
/// # Errors
/// If the order's state doesn't allow it, or Postgres fails.
pub async fn request_refund(app: &App, order: OrderId, reason: &str) -> Result<(), Problem> {
    let row = sqlx::query!(
        r#"SELECT outcome AS "outcome!", mirror_id FROM request_refund($1, $2)"#,
        order.0,
        reason
    )
    .fetch_one(&app.pg)
    .await?;
    mirror::follow(app, row.mirror_id, order.0).await;
    match row.outcome.as_str() {
        "refund_pending" | "refunded" => Ok(()),
        other => Err(Problem::new(Code::OrderState).detail(format!("the order is {other}"))),
    }
}

/// The current state of an attempt at its provider, made true here.
///
/// # Errors
/// The provider's, or of storing it.
pub async fn ask_provider(app: &App, attempt: &orders::store::Attempt) -> Result<(), Problem> {
    let Some(reference) = &attempt.reference else { return Ok(()) };
    let Some(gateway) = app.gateways.named(&attempt.provider) else { return Ok(()) };
    match gateway.fetch(reference).await {
        Ok(intent) => take_intent(app, gateway.name(), None, &known(intent, attempt)).await,
        Err(super::ProviderError::NotFound) => Ok(()),
        Err(error) => Err(Problem::new(Code::ProviderUnavailable).detail(error.to_string())),
    }
}

/// An intent that we asked for by an attempt's reference is that attempt's, whatever metadata
/// the provider returns.
#[must_use]
pub fn known(mut intent: Intent, attempt: &orders::store::Attempt) -> Intent {
    intent.order = Some(attempt.order);
    intent.attempt = Some(attempt.id);
    intent
}
