//! What visitors read of the answers; the rest is skipped.

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

/// A place in line, on joining.
#[derive(Deserialize)]
pub struct JoinBody {
    pub token: String,
    pub poll_after_ms: u64,
}

/// A place in line, on asking.
#[derive(Deserialize)]
pub struct PlaceBody<'a> {
    pub state: &'a str,
    pub place: Option<&'a str>,
    pub poll_after_ms: u64,
}

/// A pass.
#[derive(Deserialize)]
pub struct PassBody {
    pub pass: Box<str>,
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
    pub place: TicketPlaceBody,
}

/// Its place.
#[derive(Deserialize)]
pub struct TicketPlaceBody {
    pub place: i32,
}

/// What the sandbox took.
#[derive(Default, Deserialize)]
pub struct PaidBody {
    pub charged: Option<i64>,
    #[serde(default)]
    pub code: Option<String>,
}
