//! Where a sale stands, for people: from the event's status, the offers' windows and what is left.

use jiff::Timestamp;

use super::words::When;
use crate::catalog::{EventStatus, Listing, PUBLIC};
use crate::say;

/// Where a sale stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// In style sheets and scripts.
    pub word: &'static str,
    /// On badges.
    pub badge: String,
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
    /// The stage of a word in styles; what it says is found by it.
    fn new(word: &'static str, key: &str, open: bool) -> Self {
        let over = matches!(word, "closed" | "cancelled");
        let text = if word == "on-sale" { None } else { Some(say(&format!("stage.{key}.text"))) };
        let text = text.map(String::from).unwrap_or_default();
        let badge = say(&format!("stage.{key}")).into();
        Self { word, badge, text, open, waits: !over, begins: None }
    }

    fn named(word: &'static str, open: bool) -> Self {
        Self::new(word, word, open)
    }

    /// By status alone, for lists.
    #[must_use]
    pub fn of_status(status: EventStatus) -> Self {
        match status {
            EventStatus::Draft | EventStatus::Published => Self::named("announced", false),
            EventStatus::OnSale => Self::named("on-sale", true),
            EventStatus::Paused => Self::named("paused", false),
            EventStatus::Closed => Self::named("closed", false),
            EventStatus::Cancelled => Self::named("cancelled", false),
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
                let text = say("stage.soon.text").put("when", when).into();
                Self { begins: Some(next), text, ..Self::new("announced", "soon", false) }
            }
            (false, None) => Self::of_status(EventStatus::Closed),
            (true, _) if sold_out => Self::named("sold-out", true),
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
