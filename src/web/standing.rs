//! Where an order stands, for people.

use crate::orders::OrderStatus;
use crate::say;

/// What a status means to the buyer.
pub struct Standing {
    /// In a few words.
    pub title: String,
    /// What it means, and what there is to do.
    pub text: String,
    /// Whether it will move on.
    pub moves: bool,
}

/// What a status means to the buyer.
#[must_use]
pub fn standing(status: OrderStatus, processing: bool) -> Standing {
    let (key, moves) = match status {
        OrderStatus::Open if processing => ("standing.processing", true),
        OrderStatus::Open => ("standing.open", true),
        OrderStatus::Cancelling => ("standing.cancelling", true),
        OrderStatus::Paid => ("standing.paid", false),
        OrderStatus::Disputed => ("standing.disputed", false),
        OrderStatus::RefundPending => ("standing.refund_pending", true),
        OrderStatus::Refunded => ("standing.refunded", false),
        OrderStatus::Late => ("standing.late", true),
        OrderStatus::RefundDue => ("standing.refund_due", true),
        OrderStatus::Released | OrderStatus::Abandoned | OrderStatus::Retake => {
            ("standing.released", false)
        }
    };
    let text = say(&format!("{key}.text")).into();
    Standing { title: say(key).into(), text, moves }
}

/// Why a payment didn't work.
#[must_use]
pub fn decline_words(reason: &str) -> String {
    let why = match reason {
        "insufficient_funds" => say("decline.funds"),
        "authentication_failed" | "payment_intent_authentication_failure" => say("decline.check"),
        "expired_card" => say("decline.expired"),
        _ => say("decline.other"),
    };
    say("decline.text").put("why", why).into()
}

/// Where a refund stands.
#[must_use]
pub fn refund_words(status: &str) -> String {
    match status {
        "done" => say("refund.done").into(),
        "failed" => say("refund.failed").into(),
        _ => say("refund.pending").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_under_way_moves() {
        for (status, moves) in [
            (OrderStatus::Open, true),
            (OrderStatus::Late, true),
            (OrderStatus::Paid, false),
            (OrderStatus::Refunded, false),
            (OrderStatus::Released, false),
        ] {
            assert_eq!(standing(status, false).moves, moves, "{status:?}");
        }
    }

    #[test]
    fn a_decline_is_explained() {
        assert!(decline_words("insufficient_funds").contains("funds"));
        assert!(decline_words("x").contains("declined"));
    }
}
