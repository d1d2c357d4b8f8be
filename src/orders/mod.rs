//! Orders: from the claim to their end.
//!
//! `store.rs` reads them, `reading.rs` in batches; `recent.rs` knows those that were just claimed.
//! `mirror.rs` makes Redis follow them, `drive.rs` brings each to its end: unpaid ones are
//! cancelled at the provider and then released, late money takes its places again or goes back.
//! `contact` is about where mails on a paid one go.

pub mod contact;
pub mod drive;
pub mod http;
pub mod mirror;
pub mod reading;
pub mod recent;
pub mod store;

use iso_currency::Currency;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::holds::record::Line;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId, HoldId, OrderId};
use crate::money::Money;

/// `open`: its places wait for the payment until `pay_by`. `cancelling`: it is being cancelled,
/// the payment may still have been faster. `paid`: its tickets are valid. `disputed`: the buyer's
/// bank disputes the payment, its tickets are suspended. `refund_pending`: the money is going back.
/// `refunded` (final): the money went back, the places are free. `released` (final unless money
/// comes late): it was cancelled or not paid in time, nothing is charged, the places are free.
/// `late`: money came after the release, its places are being taken again. `refund_due`: money
/// came, the places are gone, it goes back. `abandoned` and `retake` are never shown.
//
// Edges are enforced in the database (`orders_edge`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Its places are claimed and wait for the payment.
    Open,
    /// It is being cancelled: the payment may still have been faster.
    Cancelling,
    /// Paid: its tickets are valid.
    Paid,
    /// The buyer's bank disputes the payment: its tickets are suspended.
    Disputed,
    /// A refund was asked for.
    RefundPending,
    /// The money went back, the places are free.
    Refunded,
    /// It ended unpaid, the places are free.
    Released,
    /// Money came after the release; its places are being taken again.
    Late,
    /// Money came, the places are gone: it goes back.
    RefundDue,
    /// Never became an order: its hold was given up.
    Abandoned,
    /// Not an order: the outcome of a hold by which a late order took places again.
    Retake,
}

/// The refusal of what isn't done to an order that stands there.
fn moved_on(status: OrderStatus) -> Problem {
    Problem::new(Code::OrderState).detail(format!("the order is {}", status.word()))
}

impl OrderStatus {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Open, "open"),
        (Self::Cancelling, "cancelling"),
        (Self::Paid, "paid"),
        (Self::Disputed, "disputed"),
        (Self::RefundPending, "refund_pending"),
        (Self::Refunded, "refunded"),
        (Self::Released, "released"),
        (Self::Late, "late"),
        (Self::RefundDue, "refund_due"),
        (Self::Abandoned, "abandoned"),
        (Self::Retake, "retake"),
    ];

    /// Reads the word in the table.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(status, _)| *status)
    }

    /// The word in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, word)| word)
    }

    /// Whether it has a grip on its places (`has_claims` in the database).
    #[must_use]
    pub const fn has_claims(self) -> bool {
        matches!(
            self,
            Self::Open | Self::Cancelling | Self::Paid | Self::Disputed | Self::RefundPending
        )
    }
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id, which was its hold's.
    pub id: OrderId,
    /// For which event.
    pub event: EventId,
    /// Where it stands.
    pub status: OrderStatus,
    /// The buyer.
    pub account: AccountId,
    /// Where mails about it go.
    pub email: Option<String>,
    /// Of its amounts.
    pub currency: Currency,
    /// What is, was or would have been paid.
    pub total: i64,
    /// Its places.
    pub places: Vec<i32>,
    /// What was bought.
    pub lines: Vec<Line>,
    /// Of the checkout request.
    pub digest: Vec<u8>,
    /// Whether equivalents will do.
    pub accept_equivalent: bool,
    /// Until when it waits for its payment.
    pub pay_by: Timestamp,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub changed_at: Timestamp,
    /// Money came after the release and the places were taken again.
    pub late: bool,
    /// The channel.
    pub channel: i16,
    /// The number of its promo code.
    pub promo: Option<i32>,
    /// The record in Redis, if it isn't named by the order's id.
    pub hold: Option<HoldId>,
}

impl Order {
    /// Its total as money.
    #[must_use]
    pub const fn money(&self) -> Money {
        Money::new(self.total, self.currency)
    }

    /// Who this place is for, if the event asked.
    #[must_use]
    pub fn attendee(&self, place: i32) -> Option<&str> {
        self.lines.iter().find_map(|line| line.name_of(place))
    }

    /// A short name for people: the first 8 digits of the id, in upper case.
    #[must_use]
    pub fn code(&self) -> String {
        self.id.0.simple().to_string()[..8].to_uppercase()
    }

    /// The id of its record in Redis.
    #[must_use]
    pub fn record(&self) -> HoldId {
        self.hold.unwrap_or(HoldId(self.id.0))
    }
}
