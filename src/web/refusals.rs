//! Refusals in words that help a buyer on. Programs read the codes; people read this.

use serde_json::Value;

use super::words;
use crate::catalog::Listing;
use crate::http::problem::{Code, Problem};

/// What to tell a buyer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What happened, in a few words.
    pub title: String,
    /// What to do now.
    pub text: String,
    /// The places that it is about, as they are called.
    pub places: Vec<String>,
}

/// What to tell a buyer about a refusal, without knowing the event.
#[must_use]
pub fn advice(problem: &Problem) -> Advice {
    let (title, text) = words_of(problem.code);
    let mut advice = Advice { title: title.to_owned(), text: text.to_owned(), places: Vec::new() };
    let number = |name| problem.member(name).and_then(Value::as_u64);
    match problem.code {
        Code::Invalid => {
            if let Some(why) = problem.reason() {
                // Pointers into a JSON body mean nothing to people.
                let why = why.split_once(": ").filter(|(at, _)| at.starts_with('/'));
                if let Some((_, why)) = why.filter(|(_, why)| !why.is_empty()) {
                    advice.text = sentence(why);
                }
            }
        }
        Code::AccountLimit => match number("left") {
            Some(0) => {
                advice.text = "You already hold or own as many tickets as one person can have \
                               for this event."
                    .to_owned();
            }
            Some(left) => {
                let left = words::count(usize::try_from(left).unwrap_or(0), "ticket", "tickets");
                advice.text = format!("You can take {left} more for this event. Choose fewer.");
            }
            None => {}
        },
        Code::QuotaReached => match number("left") {
            Some(left) if left > 0 => {
                advice.title = "Not that many left at this price".to_owned();
                advice.text = format!("Only {left} left at this price. Choose fewer, or another.");
            }
            _ => {}
        },
        Code::NoneLeft => match number("longest") {
            Some(longest) if longest > 1 => {
                advice.text = format!(
                    "The most seats together are {longest} at the moment. Choose fewer, allow \
                     seats apart, or choose another price."
                );
            }
            Some(1) => {
                advice.text = "Only single seats are left here. Allow seats apart, or choose \
                               another price."
                    .to_owned();
            }
            _ => {}
        },
        Code::NotOnSale if problem.member("state").and_then(Value::as_str) == Some("paused") => {
            advice.title = "Sales are paused".to_owned();
            advice.text = "Nothing can be chosen until they go on. What you hold or have bought \
                           is safe."
                .to_owned();
        }
        _ => {}
    }
    advice
}

/// The same with the names of the places that it is about.
#[must_use]
pub fn advice_on(problem: &Problem, listing: &Listing) -> Advice {
    let places = numbers(problem, "places").into_iter().filter_map(|number| {
        let place = listing.place(number)?;
        Some(listing.label(place))
    });
    Advice { places: places.collect(), ..advice(problem) }
}

/// A member that is a list of place numbers.
#[must_use]
pub fn numbers(problem: &Problem, name: &str) -> Vec<i32> {
    let list = problem.member(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_i64).filter_map(|number| i32::try_from(number).ok()).collect()
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// Title and text of each code.
const fn words_of(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::PlacesTaken => (
            "Somebody was a moment faster",
            "These seats went while you were choosing. Nothing was held and nothing was charged.",
        ),
        Code::NoneLeft => (
            "Not that many together",
            "There are not enough tickets like that. Choose fewer, or another price.",
        ),
        Code::OrphanSeat => (
            "That would leave one seat alone",
            "Move your choice by one seat, or take the single seat as well.",
        ),
        Code::AccountLimit => ("That is more than one person can have", "Choose fewer tickets."),
        Code::QuotaReached => ("Sold out at this price", "Choose another price or section."),
        Code::OfferUnavailable => {
            ("Not sold at present", "This price is not on sale now. Choose another one.")
        }
        Code::AccessCode => (
            "This needs an access code",
            "Enter the code from your invitation, or choose another price.",
        ),
        Code::SignInNeeded => (
            "Sign in first",
            "This is only for people who have signed in. It takes your e-mail address and the code \
             that we send there.",
        ),
        Code::SignInCode => (
            "That did not sign you in",
            "The code or link is wrong, was used already, or is too old. Look for the newest mail \
             from us, use the link in it, or ask for another one.",
        ),
        Code::PromoCode => (
            "This promo code can't be used",
            "Check it for typing errors. It may also be over or used up; without it you can go on.",
        ),
        Code::PassNeeded => (
            "There is a waiting room",
            "Many people want these tickets, so they are let in one after the other. Join the \
             waiting room; nothing was held yet.",
        ),
        Code::PassInvalid => (
            "Your time inside is over",
            "Others are let in now. What you hold stays yours until its own time ends; to choose \
             more, join the waiting room again.",
        ),
        _ => words_of_line(code),
    }
}

/// Of refusals in the waiting room.
const fn words_of_line(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::QueueToken => (
            "Your place isn't known here",
            "It belongs to the browser that joined, which must accept cookies. Join again.",
        ),
        Code::NotYourTurn => {
            ("It isn't your turn now", "Your place is kept. This page shows when it is your turn.")
        }
        Code::ProofNeeded => (
            "Sign in by e-mail instead",
            "Your device could not prove that it isn't a robot's. Who signs in by e-mail needs no \
             proof: see “Sign in” at the top, then join.",
        ),
        Code::TurnSpent => (
            "You have had this turn",
            "Each turn lets one in once. Join again for another one, behind everyone who waits.",
        ),
        Code::NotOpenYet => {
            ("It is too early to join", "This page shows when joining begins. Nobody is in yet.")
        }
        Code::LineClosed => {
            ("Nobody can join any more", "The line is closed. Who is in it is still let in.")
        }
        _ => words_of_others(code),
    }
}

const fn words_of_others(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::NotOnSale => {
            ("Not on sale now", "Tickets for this event can't be chosen at the moment.")
        }
        Code::HoldGone => (
            "Your time is up",
            "These places were given back, so that others can have them. Nothing was charged. \
             They may still be free: choose again.",
        ),
        Code::HoldInCheckout => {
            ("Checkout has begun", "These places are already on their way to an order.")
        }
        Code::ExtensionBound => (
            "No more time can be added",
            "You have had all of it. Check out now to keep your places.",
        ),
        Code::ClaimLost => (
            "Somebody was a moment faster",
            "These places were sold just before your checkout. Nothing was charged.",
        ),
        Code::Frozen => (
            "Checkout is stopped for a moment",
            "Your places stay held. Wait a little, then try again.",
        ),
        Code::Unknown => (
            "We don't know yet whether that worked",
            "Press the button again to find out. You won't get or pay anything twice.",
        ),
        Code::Rebuilding => (
            "The sale goes on in a moment",
            "The seat map is being set up again. Try again in a few seconds.",
        ),
        Code::Unavailable | Code::Timeout | Code::TooManyRequests | Code::Overloaded => {
            ("Very busy just now", "Wait a few seconds, then try again.")
        }
        Code::Cooldown => (
            "Wait a while before you choose again",
            "Several times you held places and didn't buy them. Sign in by e-mail to make the wait \
             shorter, or write to the organizer if this is wrong.",
        ),
        Code::Blocked => (
            "The organizer lets you hold no places",
            "If you think that this is wrong, write to the organizer.",
        ),
        Code::SlowBody => (
            "Your connection was too slow",
            "Not all of it came through. Nothing was done; try again.",
        ),
        Code::ProviderUnavailable => (
            "The payment page doesn't answer",
            "Your places are kept for you. Try again in a moment.",
        ),
        Code::ProofInvalid | Code::ProofSpent => (
            "We could not check your browser",
            "Load the page again to repeat it, or sign in by e-mail: then no check is needed.",
        ),
        Code::OrderState => ("Not possible any more", "The order has moved on. Look at it again."),
        Code::IdempotencyMismatch => (
            "You have chosen already",
            "What you chose before from this page is still held for you.",
        ),
        Code::CheckoutMismatch => (
            "You have checked out already",
            "These places are in an order with the details that you gave first.",
        ),
        Code::NotFound => ("Nothing here", "There is no such page, or it isn't yours to see."),
        Code::Unauthenticated => (
            "We don't know you here",
            "Places are held for the browser that chose them, which must accept cookies.",
        ),
        Code::Forbidden => ("Not from there", "This form was not sent from our own pages."),
        Code::Internal => (
            "Something went wrong on our side",
            "It has been noted. Nothing was charged that isn't shown in an order.",
        ),
        _ => ("That could not be read", "Go back and try again."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_for_people() {
        for code in Code::ALL {
            let advice = advice(&Problem::new(*code));
            assert!(!advice.title.is_empty() && advice.text.ends_with('.'), "{code:?}");
            assert!(!advice.text.contains("Idempotency"), "{code:?}");
        }
    }

    #[test]
    fn numbers_and_pointers_become_sentences() {
        let left = advice(&Problem::new(Code::AccountLimit).with("left", 1));
        assert!(left.text.contains("1\u{a0}ticket more"), "{}", left.text);
        let field = advice(&Problem::field("/lines", "Stalls: 2 to 8 places per order"));
        assert_eq!(field.text, "Stalls: 2 to 8 places per order.");
        let longest = advice(&Problem::new(Code::NoneLeft).with("longest", 3));
        assert!(longest.text.contains("together are 3"));
    }
}
