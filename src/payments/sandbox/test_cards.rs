//! The published test numbers.

use serde::{Deserialize, Serialize};

/// What a test card makes happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Charged at once.
    Approve,
    /// Refused; the intent stays open.
    Decline,
    /// Refused for want of money; the intent stays open.
    InsufficientFunds,
    /// The bank asks the buyer first (3-D Secure).
    Challenge,
    /// Charged; a refund is pending before it succeeds.
    RefundLater,
    /// Charged; a refund is pending before it fails.
    RefundFails,
    /// Charged, and disputed at once.
    Dispute,
    /// Charged after a while, during which the page waits.
    Slow,
    /// Processing, charged after a longer while.
    Late,
    /// Processing, for ever.
    Never,
    /// Charged; the same event comes twice.
    Twice,
    /// Charged; the same event comes ten times.
    TenTimes,
    /// Charged; `processing` comes after `succeeded`.
    OutOfOrder,
    /// Charged; no event comes.
    Lost,
    /// Charged one minor unit less than asked.
    WrongAmount,
}

/// A published test number.
#[derive(Clone, Copy, Debug)]
pub struct TestCard {
    /// Digits only.
    pub number: &'static str,
    /// What it makes happen.
    pub scenario: Scenario,
    /// The same in a buyer's words.
    pub does: &'static str,
}

const fn card(number: &'static str, scenario: Scenario, does: &'static str) -> TestCard {
    TestCard { number, scenario, does }
}

/// Numbers of 16 digits that begin so are approved as well, each a card of its own: see
/// [`own_card`](super::own_card).
pub const OWN_CARDS: &str = "40000098";

/// Every number the page shows.
pub const TEST_CARDS: [TestCard; 17] = [
    card("4242424242424242", Scenario::Approve, "Approved"),
    card("5555555555554444", Scenario::Approve, "Approved (Mastercard)"),
    card("4000000000000002", Scenario::Decline, "Declined; try another card"),
    card("4000000000009995", Scenario::InsufficientFunds, "Declined: insufficient funds"),
    card("4000002500003155", Scenario::Challenge, "Asks for 3-D Secure"),
    card("4000000000003220", Scenario::Challenge, "Asks for 3-D Secure 2"),
    card("4000000000007726", Scenario::RefundLater, "Approved; a refund succeeds later"),
    card("4000000000005126", Scenario::RefundFails, "Approved; a refund fails later"),
    card("4000000000000259", Scenario::Dispute, "Approved, then disputed"),
    card("4000009900000103", Scenario::Slow, "Approved slowly"),
    card("4000009900000202", Scenario::Late, "Processing, approved a minute later"),
    card("4000009900000301", Scenario::Never, "Processing for ever"),
    card("4000009900000400", Scenario::Twice, "Approved, shop told twice"),
    card("4000009900000509", Scenario::TenTimes, "Approved, shop told ten times"),
    card("4000009900000608", Scenario::OutOfOrder, "Approved, shop told out of order"),
    card("4000009900000707", Scenario::Lost, "Approved, shop never told"),
    card("4000009900000806", Scenario::WrongAmount, "Approved, one cent short"),
];

impl TestCard {
    /// The number as it is printed on cards: `4242 4242 4242 4242`.
    #[must_use]
    pub fn grouped(&self) -> String {
        let mut text = String::with_capacity(self.number.len() + 3);
        for (at, digit) in self.number.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                text.push(' ');
            }
            text.push(digit);
        }
        text
    }
}
