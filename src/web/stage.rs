//! Where a sale stands, for people: from the event's status, the offers' windows and what is left.

use jiff::Timestamp;

use super::words::When;
use crate::catalog::{EventStatus, Listing, PUBLIC};

/// Where a sale stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// In style sheets and scripts.
    pub word: &'static str,
    /// On badges.
    pub badge: &'static str,
    /// What it means for a buyer; empty where that is plain.
    pub text: String,
    /// Whether places can be chosen.
    pub open: bool,
    /// Whether they may be chosen later: worth waiting for.
    pub waits: bool,
    /// When the sale begins, if that is known and still to come.
    pub begins: Option<Timestamp>,
}

impl Stage {
    const fn new(word: &'static str, badge: &'static str, open: bool) -> Self {
        let over = matches!(word.as_bytes(), b"closed" | b"cancelled");
        Self { word, badge, text: String::new(), open, waits: !over, begins: None }
    }

    fn saying(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// By status alone, for lists.
    #[must_use]
    pub fn of_status(status: EventStatus) -> Self {
        match status {
            EventStatus::Draft | EventStatus::Published => {
                Self::new("announced", "Announced", false)
                    .saying("Tickets are not on sale yet. This page shows when they are.")
            }
            EventStatus::OnSale => Self::new("on-sale", "On sale", true),
            EventStatus::Paused => Self::new("paused", "Paused", false).saying(
                "Sales are paused for a moment. What you hold or have bought is safe; this page \
                 goes on by itself.",
            ),
            EventStatus::Closed => {
                Self::new("closed", "Sale ended", false).saying("The sale is over.")
            }
            EventStatus::Cancelled => Self::new("cancelled", "Cancelled", false)
                .saying("This event will not take place. Buyers are told by e-mail."),
        }
    }

    /// With all that is known.
    #[must_use]
    pub fn of(listing: &Listing, sold_out: bool, now: Timestamp) -> Self {
        let event = &listing.event;
        if event.status != EventStatus::OnSale {
            return Self::of_status(event.status);
        }
        let offers = || listing.offers.iter().filter(|o| o.active && o.channel == PUBLIC);
        let open = offers().any(|o| {
            o.starts_at.is_none_or(|from| now >= from) && o.ends_at.is_none_or(|end| now < end)
        });
        let next = offers().filter_map(|o| o.starts_at).filter(|from| now < *from).min();
        match (open, next) {
            (false, Some(next)) => {
                let when = When::new(next, &event.venue.time_zone).whole();
                let soon = Self::new("announced", "Soon", false);
                Self { begins: Some(next), ..soon.saying(format!("Sale begins {when}.")) }
            }
            (false, None) => Self::of_status(EventStatus::Closed),
            (true, _) if sold_out => Self::new("sold-out", "Sold out", true).saying(
                "Nothing is left at this moment. Places come back when somebody's time runs out; \
                 the numbers here follow by themselves.",
            ),
            (true, _) => Self::of_status(EventStatus::OnSale),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_sale_can_be_chosen_from() {
        use EventStatus::*;
        for status in [Draft, Published, OnSale, Paused, Closed, Cancelled] {
            let stage = Stage::of_status(status);
            assert_eq!(stage.open, status == OnSale, "{status}");
            assert_eq!(stage.text.is_empty(), status == OnSale, "{status}");
            assert_eq!(stage.waits, !matches!(status, Closed | Cancelled), "{status}");
        }
    }
}
