//! The company that takes the money: it charges test cards, and tells the shop by webhooks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cards::Card;
use super::config::{AcquirerConfig, ConfigError, check_secrets};
use super::events::intent_event;
use super::ledger::{Kept, Ledger, Unreachable};
use super::plan::{Decline, Plan, Verdict};
use super::record::{Presented, Record, Refusal, State};
use super::sender::{Delivered, Sender};
use super::statement::{Keys, Statement};
use super::wire::IntentBody;
use super::{api, page};
use crate::ids::AttemptId;

/// How long deliveries under way may take after a shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The sandbox's acquirer. Clones are the same acquirer.
#[derive(Clone)]
pub struct Acquirer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub config: AcquirerConfig,
    pub keys: Keys,
    pub ledger: Ledger,
    sender: Sender,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// What a try to pay came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Paid {
        charged: i64,
        delivered: Option<Delivered>,
    },
    Declined(Decline),
    Challenge,
    Processing,
    Cancelled,
    /// The bank had asked nothing: the card page is the next step.
    CardNeeded,
}

/// Why a try to pay wasn't made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTried {
    Unreachable(Unreachable),
    Refused(Refusal),
}

impl Acquirer {
    /// Opens the acquirer: reads its journal and goes on with what was processing.
    /// Reading blocks, so call it before serving.
    ///
    /// # Errors
    /// A configuration that can't work, or an unreadable journal.
    ///
    /// # Panics
    /// Outside a Tokio runtime, if the journal holds something to go on with.
    pub fn open(config: AcquirerConfig, shutdown: CancellationToken) -> Result<Self, ConfigError> {
        check_secrets(&config.secret, &config.webhook_secrets)?;
        if let Some(behaviour) = &config.behaviour {
            behaviour.check()?;
        }
        let tasks = TaskTracker::new();
        let acquirer = Self(Arc::new(Inner {
            keys: Keys::new(&config.secret),
            ledger: Ledger::open(config.journal.as_deref(), config.max_intents)?,
            sender: Sender::new(&config, tasks.clone(), shutdown.clone())?,
            config,
            tasks,
            shutdown,
        }));
        acquirer.go_on();
        Ok(acquirer)
    }

    /// The hosted page and the API; mount it anywhere.
    pub fn router(&self) -> Router {
        page::router().merge(api::router(self)).with_state(self.clone())
    }

    /// Waits until every delivery under way has ended, but not for long; only after the
    /// shutdown token was cancelled. What wasn't delivered is for the shop to ask.
    pub async fn drained(&self) {
        self.0.tasks.close();
        if timeout(DRAIN_TIMEOUT, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("webhooks of the sandbox were still under way at the end");
        }
    }

    /// After a restart: settles what was processing, ends refunds that were pending.
    fn go_on(&self) {
        for record in self.0.ledger.all() {
            if let State::Processing { settles_at: Some(at), .. } = record.state {
                self.spawn_settling(record.attempt, at);
            }
            for refund in &record.refunds {
                if let Some((_, at)) = refund.ends {
                    self.spawn_refund_end(record.attempt, refund.id, at);
                }
            }
        }
    }

    /// Runs `work` at `at`, unless a shutdown comes first: then the journal remembers it.
    pub(super) fn spawn_at<T: Send + 'static>(
        &self,
        at: Timestamp,
        work: impl FnOnce(Self) -> Option<T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let acquirer = self.clone();
        self.0.tasks.spawn(async move {
            let wait = at.duration_since(Timestamp::now()).try_into().unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait) => work(acquirer),
                () = acquirer.0.shutdown.cancelled() => None,
            }
        })
    }

    /// Presents a card.
    pub(super) async fn pay(&self, statement: &Statement, card: Card) -> Result<Outcome, NotTried> {
        let (attempt, now) = (statement.attempt, Timestamp::now());
        let Card { seen, scenario } = card;
        let plan = |tries| Plan::of(scenario, &self.0.config, attempt, tries);
        self.attempt_payment(statement, now, |record| record.present((seen, scenario), plan, now))
            .await
    }

    /// The buyer answers the bank's question.
    pub(super) async fn confirm(
        &self,
        statement: &Statement,
        approve: bool,
    ) -> Result<Outcome, NotTried> {
        let now = Timestamp::now();
        let refused = Verdict::Decline(Decline::AuthenticationFailed);
        let verdict = if approve { Plan::APPROVE.verdict } else { refused };
        let plan = Plan { verdict, ..Plan::APPROVE };
        self.attempt_payment(statement, now, |record| record.confirm(plan, now)).await
    }

    async fn attempt_payment(
        &self,
        statement: &Statement,
        now: Timestamp,
        step: impl FnOnce(&mut Record) -> Presented,
    ) -> Result<Outcome, NotTried> {
        let changed = self.0.ledger.change(statement.key(), now, |record| {
            if let Err(refusal) = record.learn(statement) {
                return (Err(refusal), Kept::Unchanged);
            }
            let presented = step(record);
            let kept = if presented.is_new() { Kept::Written } else { Kept::Unchanged };
            (Ok((presented, record.body())), kept)
        });
        let (presented, body) =
            changed.map_err(NotTried::Unreachable)?.map_err(NotTried::Refused)?;
        Ok(match presented {
            Presented::Answered(_, plan) => self.announce(statement.attempt, plan, body),
            Presented::Waiting(plan) => {
                self.wait_for_bank(statement.attempt, plan, body, now).await
            }
            Presented::Challenge => Outcome::Challenge,
            Presented::AlreadyProcessing => Outcome::Processing,
            Presented::AlreadyPaid => {
                Outcome::Paid { charged: body.charged.unwrap_or(0), delivered: None }
            }
            Presented::Cancelled => Outcome::Cancelled,
            Presented::NothingToConfirm => Outcome::CardNeeded,
        })
    }

    /// Cancels if still possible; the intent afterwards.
    pub(super) fn cancel(&self, attempt: AttemptId) -> Result<IntentBody, Unreachable> {
        let (body, cancelled) =
            self.0.ledger.change((attempt, None), Timestamp::now(), |record| {
                let cancelled = record.cancel();
                let kept = if cancelled { Kept::Written } else { Kept::Unchanged };
                ((record.body(), cancelled), kept)
            })?;
        if cancelled {
            self.send(vec![intent_event("intent.cancelled", body.clone(), None)]);
        }
        Ok(body)
    }

    /// Hands events to the sender.
    pub(super) fn send(&self, events: Vec<Bytes>) -> Option<Delivered> {
        self.0.sender.send(events)
    }
}
