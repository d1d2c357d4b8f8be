//! The buyer's bank: it answers when the plan says, and the shop is told how the plan says.

use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::acquirer::{Acquirer, Outcome};
use super::events::{dispute_event, intent_event};
use super::ledger::Kept;
use super::plan::{Calls, Plan, Verdict, Wait};
use super::record::after;
use super::wire::{DisputeStatus, IntentBody, Status};
use crate::ids::AttemptId;

impl Acquirer {
    /// The bank takes its time; the try goes on even if the buyer goes away.
    pub(super) async fn wait_for_bank(
        &self,
        attempt: AttemptId,
        plan: Plan,
        body: IntentBody,
        now: Timestamp,
    ) -> Outcome {
        match plan.wait {
            Wait::Answer(delay) => {
                let settled = self.spawn_settling(attempt, after(now, delay)).await;
                settled.ok().flatten().unwrap_or(Outcome::Processing)
            }
            Wait::Behind(delay) => {
                self.send(vec![intent_event("intent.processing", body, None)]);
                drop(self.spawn_settling(attempt, after(now, delay)));
                Outcome::Processing
            }
            Wait::Forever | Wait::No => Outcome::Processing,
        }
    }

    /// The bank answers at `at`.
    pub(super) fn spawn_settling(
        &self,
        attempt: AttemptId,
        at: Timestamp,
    ) -> JoinHandle<Option<Outcome>> {
        self.spawn_at(at, move |acquirer| {
            let settled = acquirer.0.ledger.change_known(attempt, Timestamp::now(), |record| {
                let plan = record.settle();
                let kept = if plan.is_some() { Kept::Written } else { Kept::Unchanged };
                (plan.map(|plan| (plan, record.body())), kept)
            });
            let (plan, body) = settled.flatten()?;
            Some(acquirer.announce(attempt, plan, body))
        })
    }

    /// Tells the shop what the bank said, as the plan has it.
    pub(super) fn announce(&self, attempt: AttemptId, plan: Plan, body: IntentBody) -> Outcome {
        let charged = match plan.verdict {
            Verdict::Charge { .. } => body.charged.unwrap_or(0),
            Verdict::Decline(why) => {
                self.send(vec![intent_event("intent.declined", body, Some(why.code()))]);
                return Outcome::Declined(why);
            }
        };
        let late = IntentBody { status: Status::Processing, charged: None, ..body.clone() };
        let event = intent_event("intent.succeeded", body, None);
        let events = match plan.calls {
            Calls::Times(times) => vec![event; usize::from(times)],
            Calls::Lost => Vec::new(),
            Calls::OutOfOrder => vec![event, intent_event("intent.processing", late, None)],
            Calls::Disputed => {
                let dispute = self.change_dispute(attempt, DisputeStatus::Open);
                let disputed = dispute.and_then(Result::ok).map(dispute_event);
                std::iter::once(event).chain(disputed).collect()
            }
        };
        Outcome::Paid { charged, delivered: self.send(events) }
    }
}
