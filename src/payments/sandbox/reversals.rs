//! Refunds and disputes of one intent: what the acquirer's rules allow.

use jiff::Timestamp;
use uuid::Uuid;

use super::record::{Record, Refund, Refusal, State};
use super::statement::reference_of;
use super::test_cards::Scenario;
use super::wire::{DisputeBody, DisputeStatus, RefundBody, RefundStatus};
use crate::ids::RefundId;
use crate::money::Money;

/// How many refunds one payment may have.
const MAX_REFUNDS: usize = 100;

const NOT_CHARGED: Refusal = ("not_charged", "This payment has not taken any money.");

impl Record {
    /// Gives money back (all that is left, unless told how much), never more than was charged;
    /// failed refunds don't count. The same id finds the same refund; a new one comes with its
    /// own id.
    pub fn refund(
        &mut self,
        refund: Option<RefundId>,
        money: Option<Money>,
        later: Timestamp,
    ) -> Result<(RefundBody, Option<Uuid>), Refusal> {
        let (State::Succeeded { charged }, Some(asked)) = (self.state, self.amount) else {
            return Err(NOT_CHARGED);
        };
        let money = money.unwrap_or_else(|| Money::new(self.refundable(charged), asked.currency));
        if asked.currency != money.currency {
            return Err(("currency_mismatch", "The payment is in another currency."));
        }
        let same = |other: &&Refund| refund.is_some() && other.ours == refund;
        if let Some(known) = self.refunds.iter().find(same) {
            if known.amount != money.amount {
                return Err(("idempotency_mismatch", "This refund was made for another amount."));
            }
            return Ok((self.refund_body(known, money), None));
        }
        if !(1..=self.refundable(charged)).contains(&money.amount) {
            return Err(("amount_exceeds_charge", "A refund can't exceed what is left to refund."));
        }
        if self.refunds.len() >= MAX_REFUNDS {
            return Err(("too_many_refunds", "This payment has too many refunds."));
        }
        let ends = match self.scenario {
            Scenario::RefundLater => Some((RefundStatus::Succeeded, later)),
            Scenario::RefundFails => Some((RefundStatus::Failed, later)),
            _ => None,
        };
        let status = if ends.is_some() { RefundStatus::Pending } else { RefundStatus::Succeeded };
        let made = Refund { id: Uuid::now_v7(), ours: refund, amount: money.amount, status, ends };
        let (body, id) = (self.refund_body(&made, money), made.id);
        self.refunds.push(made);
        Ok((body, Some(id)))
    }

    /// Ends the pending refund `id`.
    pub fn end_refund(&mut self, id: Uuid) -> Option<RefundBody> {
        let money = self.amount?;
        let refund = self.refunds.iter_mut().find(|refund| refund.id == id)?;
        let (status, _) = refund.ends.take()?;
        refund.status = status;
        let ended = refund.clone();
        Some(self.refund_body(&ended, money))
    }

    /// What is left to give back of `charged`, in minor units.
    fn refundable(&self, charged: i64) -> i64 {
        let counts = |refund: &&Refund| refund.status != RefundStatus::Failed;
        charged - self.refunds.iter().filter(counts).map(|refund| refund.amount).sum::<i64>()
    }

    fn refund_body(&self, refund: &Refund, money: Money) -> RefundBody {
        RefundBody {
            reference: format!("sbre_{}", refund.id.simple()),
            intent: reference_of(self.attempt),
            refund: refund.ours,
            amount: refund.amount,
            currency: money.currency,
            status: refund.status,
        }
    }

    /// Opens a dispute, or ends the open one.
    pub fn dispute(&mut self, to: DisputeStatus) -> Result<DisputeBody, Refusal> {
        if !matches!(self.state, State::Succeeded { .. }) {
            return Err(NOT_CHARGED);
        }
        let id = match (self.dispute, to) {
            (None, DisputeStatus::Open) => Uuid::now_v7(),
            (Some((id, DisputeStatus::Open)), DisputeStatus::Won | DisputeStatus::Lost) => id,
            _ => {
                return Err(("wrong_order", "A dispute opens once and then is won or lost."));
            }
        };
        self.dispute = Some((id, to));
        let reference = format!("sbdp_{}", id.simple());
        Ok(DisputeBody { reference, intent: reference_of(self.attempt), status: to })
    }
}
