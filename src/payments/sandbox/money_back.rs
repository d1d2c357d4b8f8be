//! Money that goes back: the acquirer's side of refunds and disputes.

use jiff::Timestamp;
use uuid::Uuid;

use super::acquirer::Acquirer;
use super::events::{dispute_event, refund_event};
use super::ledger::Kept;
use super::record::{Refusal, after};
use super::wire::{DisputeBody, DisputeStatus, RefundBody, RefundStatus};
use crate::ids::{AttemptId, RefundId};
use crate::money::Money;

/// An answer about an intent: absent if there is none.
pub(super) type Asked<T> = Option<Result<T, Refusal>>;

impl Acquirer {
    /// Gives money back: the shop's own refund by its id, or one made here.
    pub(super) fn refund(
        &self,
        attempt: AttemptId,
        refund: Option<RefundId>,
        money: Option<Money>,
    ) -> Asked<RefundBody> {
        let (ledger, now) = (&self.0.ledger, Timestamp::now());
        let later = after(now, self.0.config.late);
        let asked = ledger.change_known(attempt, now, |record| {
            if refund.is_some_and(|id| !ledger.owns_refund(id, attempt)) {
                let why = ("idempotency_mismatch", "This refund was made for another payment.");
                return (Err(why), Kept::Unchanged);
            }
            let made = record.refund(refund, money, later);
            let known = |id: &RefundId| record.refunds.iter().any(|made| made.ours == Some(*id));
            if let Some(id) = refund.filter(|id| made.is_err() && !known(id)) {
                ledger.disown_refund(id);
            }
            let new = matches!(made, Ok((_, Some(_))));
            (made, if new { Kept::Written } else { Kept::Unchanged })
        })?;
        Some(asked.map(|(body, new)| {
            if let Some(id) = new {
                self.send(vec![refund_event(body.clone())]);
                if body.status == RefundStatus::Pending {
                    self.spawn_refund_end(attempt, id, later);
                }
            }
            body
        }))
    }

    /// Ends a pending refund at its time.
    pub(super) fn spawn_refund_end(&self, attempt: AttemptId, refund: Uuid, at: Timestamp) {
        drop(self.spawn_at(at, move |acquirer| {
            let ended = acquirer.0.ledger.change_known(attempt, Timestamp::now(), |record| {
                let ended = record.end_refund(refund);
                let kept = if ended.is_some() { Kept::Written } else { Kept::Unchanged };
                (ended, kept)
            });
            acquirer.send(vec![refund_event(ended.flatten()?)])
        }));
    }

    /// Opens a dispute as the buyer's bank would, or ends it.
    pub(super) fn dispute(&self, attempt: AttemptId, to: DisputeStatus) -> Asked<DisputeBody> {
        let changed = self.change_dispute(attempt, to)?;
        Some(changed.inspect(|body| {
            self.send(vec![dispute_event(body.clone())]);
        }))
    }

    /// The same, without telling anybody yet.
    pub(super) fn change_dispute(
        &self,
        attempt: AttemptId,
        to: DisputeStatus,
    ) -> Asked<DisputeBody> {
        self.0.ledger.change_known(attempt, Timestamp::now(), |record| {
            let changed = record.dispute(to);
            let kept = if changed.is_ok() { Kept::Written } else { Kept::Unchanged };
            (changed, kept)
        })
    }
}
