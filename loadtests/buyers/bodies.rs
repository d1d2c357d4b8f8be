//! What buyers read of the answers; the rest is skipped.

use serde::Deserialize;

/// A problem document.
#[derive(Deserialize)]
pub struct ProblemBody {
    pub code: String,
    /// Held for the buyer in place of what was lost.
    #[serde(default)]
    pub equivalent: Option<HeldBody>,
}

/// A session.
#[derive(Deserialize)]
pub struct SessionBody<'a> {
    pub token: &'a str,
}

/// A hold.
#[derive(Deserialize)]
pub struct HeldBody {
    pub id: String,
    pub lines: Vec<LineBody>,
}

/// Places of one offer.
#[derive(Deserialize)]
pub struct LineBody {
    pub quantity: usize,
}

impl HeldBody {
    /// How many places are held.
    pub fn places(&self) -> usize {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// An order.
#[derive(Deserialize)]
pub struct OrderBody {
    pub id: String,
    pub status: String,
    pub total: i64,
    #[serde(default)]
    pub payment: Option<PaymentBody>,
    #[serde(default)]
    pub tickets: Vec<TicketBody>,
}

/// Where it is paid.
#[derive(Deserialize)]
pub struct PaymentBody {
    pub url: String,
}

/// A ticket.
#[derive(Deserialize)]
pub struct TicketBody {
    pub place: PlaceBody,
}

/// Its place.
#[derive(Deserialize)]
pub struct PlaceBody {
    pub place: i32,
}

/// What the sandbox took.
#[derive(Deserialize)]
pub struct PaidBody {
    pub charged: Option<i64>,
}
