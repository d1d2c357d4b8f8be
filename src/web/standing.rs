//! Where an order stands, for people.

use crate::orders::OrderStatus;

/// What a status means to the buyer: a heading, an explanation, and whether it will move on.
#[must_use]
pub const fn status_words(
    status: OrderStatus,
    processing: bool,
) -> (&'static str, &'static str, bool) {
    match status {
        OrderStatus::Open if processing => (
            "Your bank is working on it",
            "The payment is being processed. This page follows by itself; there is nothing that \
             you have to do.",
            true,
        ),
        OrderStatus::Open => (
            "Your places are waiting for your payment",
            "Nobody else can get them until the time below is over. If you have just paid, this \
             page follows by itself within half a minute; you can't be charged twice.",
            true,
        ),
        OrderStatus::Cancelling => (
            "This order is being cancelled",
            "The payment is being cancelled; then the places are free again.",
            true,
        ),
        OrderStatus::Paid => {
            ("You are going", "Show these codes at the entrance, one each.", false)
        }
        OrderStatus::Disputed => (
            "This payment is disputed",
            "Your bank has asked the payment back, so these tickets are suspended until that is \
             settled.",
            false,
        ),
        OrderStatus::RefundPending => {
            ("A refund is on its way", "The tickets are no longer valid.", true)
        }
        OrderStatus::Refunded => {
            ("This order was refunded", "The money went back the way it came.", false)
        }
        OrderStatus::Late => (
            "Your payment came late",
            "The time was over when it came. We are taking your places again, or equally good \
             ones; if there are none, the money goes back.",
            true,
        ),
        OrderStatus::RefundDue => (
            "The places were gone",
            "Your payment came after the time was over and the places were sold. The money goes \
             back to you in full.",
            true,
        ),
        OrderStatus::Released | OrderStatus::Abandoned | OrderStatus::Retake => (
            "This order was not paid",
            "Its time is over or it was cancelled. Nothing was charged; the places are free for \
             others.",
            false,
        ),
    }
}

/// Why a payment didn't work.
#[must_use]
pub fn decline_words(reason: &str) -> String {
    let why = match reason {
        "insufficient_funds" => "the card has not enough funds",
        "authentication_failed" | "payment_intent_authentication_failure" => {
            "the bank's check was not passed"
        }
        "expired_card" => "the card has expired",
        _ => "the card was declined",
    };
    format!("That payment didn't work: {why}. Nothing was charged. Try again or use another card.")
}

/// Where a refund stands.
#[must_use]
pub const fn refund_words(status: &str) -> &'static str {
    match status.as_bytes() {
        b"done" => "refunded",
        b"failed" => "refund failed; we are looking after it",
        _ => "refund under way",
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
            assert_eq!(status_words(status, false).2, moves, "{status:?}");
        }
    }

    #[test]
    fn a_decline_is_explained() {
        assert!(decline_words("insufficient_funds").contains("funds"));
        assert!(decline_words("x").contains("declined"));
    }
}
