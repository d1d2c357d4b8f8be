//! One intent as the acquirer remembers it, and every change it may go through.
//!
//! All changes are methods that run under the intent's own entry of the ledger, so of a payment
//! and a cancellation that meet exactly one wins, and the other is told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cards::CardSeen;
use super::plan::{Decline, Plan, Verdict, Wait};
use super::statement::{Statement, reference_of};
use super::test_cards::Scenario;
use super::wire::{DisputeStatus, IntentBody, RefundStatus, Status};
use crate::ids::{AttemptId, OrderId, RefundId};
use crate::money::Money;

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Waits for a card.
    Open,
    /// Waits for the buyer to confirm at the bank; still open to the shop.
    Challenged,
    /// The bank is being asked.
    Processing {
        /// What it will say.
        plan: Plan,
        /// When; absent: never.
        settles_at: Option<Timestamp>,
    },
    /// The money was taken.
    Succeeded {
        /// Minor units.
        charged: i64,
    },
    /// Will never take money.
    Cancelled,
}

/// One refund.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    pub id: Uuid,
    /// The shop's id; absent if it was made here.
    pub ours: Option<RefundId>,
    pub amount: i64,
    pub status: RefundStatus,
    /// Where a pending one ends, and when.
    pub ends: Option<(RefundStatus, Timestamp)>,
}

/// One intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub attempt: AttemptId,
    /// Absent until the statement was seen.
    pub order: Option<OrderId>,
    pub amount: Option<Money>,
    pub state: State,
    /// When the acquirer first heard of it.
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// Cards tried so far.
    pub tries: u32,
    pub card: Option<CardSeen>,
    pub scenario: Scenario,
    pub last_decline: Option<Decline>,
    pub refunds: Vec<Refund>,
    pub dispute: Option<(Uuid, DisputeStatus)>,
}

/// What became of a card that was presented.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presented {
    /// The bank has answered.
    Answered(Verdict, Plan),
    /// The bank will answer, as the plan says.
    Waiting(Plan),
    /// The buyer must confirm first.
    Challenge,
    /// An earlier card is processing.
    AlreadyProcessing,
    /// Paid before; nothing was charged again.
    AlreadyPaid,
    /// The shop has cancelled it.
    Cancelled,
    /// A confirmation that no card waits for.
    NothingToConfirm,
}

impl Presented {
    /// Whether the intent changed by it.
    pub const fn is_new(self) -> bool {
        matches!(self, Self::Answered(..) | Self::Waiting(_) | Self::Challenge)
    }
}

/// Why a refund or dispute is refused: a stable code and words.
pub type Refusal = (&'static str, &'static str);

impl Record {
    /// An intent that nobody has touched.
    pub fn untouched(attempt: AttemptId, now: Timestamp) -> Self {
        Self {
            attempt,
            order: None,
            amount: None,
            state: State::Open,
            created_at: now,
            changed_at: now,
            tries: 0,
            card: None,
            scenario: Scenario::Approve,
            last_decline: None,
            refunds: Vec::new(),
            dispute: None,
        }
    }

    /// Whether nothing would be lost by forgetting it: the same statement makes it again.
    pub fn is_pristine(&self) -> bool {
        self.state == State::Open && self.tries == 0
    }

    /// Whether it is final.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Succeeded { .. } | State::Cancelled)
    }

    /// Learns what is asked for; another statement for the same attempt is refused.
    pub fn learn(&mut self, statement: &Statement) -> Result<(), Refusal> {
        let (order, amount) = (self.order.get_or_insert(statement.order), statement.amount);
        if *order == statement.order && *self.amount.get_or_insert(amount) == amount {
            return Ok(());
        }
        Err(("other_statement", "This payment was opened with another order or amount."))
    }

    /// A card is presented; `plan` says what will happen to it, given the count of tries.
    pub fn present(
        &mut self,
        (seen, scenario): (CardSeen, Scenario),
        plan: impl FnOnce(u32) -> Plan,
        now: Timestamp,
    ) -> Presented {
        if let Some(already) = self.unpayable() {
            return already;
        }
        self.tries = self.tries.saturating_add(1);
        self.card = Some(seen);
        self.scenario = scenario;
        self.last_decline = None;
        if scenario == Scenario::Challenge {
            self.state = State::Challenged;
            return Presented::Challenge;
        }
        self.go(plan(self.tries), now)
    }

    /// The buyer has answered the bank's question.
    pub fn confirm(&mut self, plan: Plan, now: Timestamp) -> Presented {
        if self.state == State::Challenged {
            return self.go(plan, now);
        }
        self.unpayable().unwrap_or(Presented::NothingToConfirm)
    }

    fn unpayable(&self) -> Option<Presented> {
        match self.state {
            State::Open | State::Challenged => None,
            State::Processing { .. } => Some(Presented::AlreadyProcessing),
            State::Succeeded { .. } => Some(Presented::AlreadyPaid),
            State::Cancelled => Some(Presented::Cancelled),
        }
    }

    fn go(&mut self, plan: Plan, now: Timestamp) -> Presented {
        let settles_at = match plan.wait {
            Wait::No => {
                self.answer(plan.verdict);
                return Presented::Answered(plan.verdict, plan);
            }
            Wait::Answer(delay) | Wait::Behind(delay) => Some(after(now, delay)),
            Wait::Forever => None,
        };
        self.state = State::Processing { plan, settles_at };
        Presented::Waiting(plan)
    }

    /// The bank answers what was processing.
    pub fn settle(&mut self) -> Option<Plan> {
        let State::Processing { plan, .. } = self.state else {
            return None;
        };
        self.answer(plan.verdict);
        Some(plan)
    }

    fn answer(&mut self, verdict: Verdict) {
        self.state = match verdict {
            Verdict::Charge { short } => {
                let asked = self.amount.map_or(0, |money| money.amount);
                State::Succeeded { charged: (asked - short).max(0) }
            }
            Verdict::Decline(why) => {
                self.last_decline = Some(why);
                State::Open
            }
        };
    }

    /// Cancels what is still open; says whether that changed anything.
    pub fn cancel(&mut self) -> bool {
        let open = matches!(self.state, State::Open | State::Challenged);
        if open {
            self.state = State::Cancelled;
        }
        open
    }

    /// The intent as the API and events state it.
    pub fn body(&self) -> IntentBody {
        let (status, charged) = match self.state {
            State::Open | State::Challenged => (Status::Open, None),
            State::Processing { .. } => (Status::Processing, None),
            State::Succeeded { charged } => (Status::Succeeded, Some(charged)),
            State::Cancelled => (Status::Cancelled, None),
        };
        IntentBody {
            reference: reference_of(self.attempt),
            status,
            order: self.order,
            amount: self.amount.map(|money| money.amount),
            currency: self.amount.map(|money| money.currency),
            charged,
            card: self.card.clone(),
            created_at: self.created_at,
        }
    }
}

/// The moment `delay` after `now`, or the last there is.
pub fn after(now: Timestamp, delay: std::time::Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
