//! What a checkout's form asks for besides the address: who comes, and that the terms are
//! accepted; with what was entered, and what is wrong with it.

use super::lines;
use super::page::Fields;
use crate::catalog::Listing;
use crate::checkout::details::Attendee;
use crate::holds::MAX_PLACES;
use crate::holds::http::HoldView;
use crate::http::problem::{Code, Problem};
use crate::say;
use crate::words::retold;

/// How the fields of names begin; the place's number follows.
const FIELD: &str = "attendee-";
/// Terms up to this length are shown unfolded.
const SHORT_CHARS: usize = 320;

/// Who a ticket is for, as the form asks.
pub struct Person {
    /// Its place.
    pub place: i32,
    /// For whom that is.
    pub price_type: String,
    /// How the place is called.
    pub label: String,
    /// What was entered.
    pub name: String,
    /// What is wrong with it; empty if nothing.
    pub wrong: String,
}

/// Terms to be accepted.
pub struct TermsBox {
    /// Their digest.
    pub digest: String,
    /// What they say.
    pub text: String,
    /// Where they say more.
    pub url: Option<String>,
    /// Whether the text is shown without asking for it.
    pub unfolded: bool,
    /// Whether these very terms were accepted.
    pub accepted: bool,
    /// What is wrong; empty if nothing.
    pub wrong: String,
}

/// What is wrong with the address and the buyer's name; empty if nothing.
#[derive(Default)]
pub struct WrongFields {
    /// Of the address.
    pub email: String,
    /// Of the buyer's name.
    pub name: String,
}

/// The names that were entered, in the order of the form.
#[must_use]
pub fn entered(fields: &Fields) -> Vec<Attendee> {
    let attendee = |(place, name): (&str, &str)| {
        let name = name.trim();
        let place = place.parse().ok().filter(|_| !name.is_empty())?;
        Some(Attendee { place, name: name.to_owned() })
    };
    fields.beginning(FIELD).filter_map(attendee).take(MAX_PLACES).collect()
}

/// Whether something was entered for the checkout.
#[must_use]
pub fn is_begun(fields: &Fields) -> bool {
    let boxes = ["email", "name", "terms", "equivalent"];
    boxes.into_iter().any(|name| fields.ticked(name)) || !entered(fields).is_empty()
}

/// A name for each place, if the event asks.
#[must_use]
pub fn asked(
    listing: &Listing,
    view: &HoldView,
    fields: &Fields,
    refused: Option<&Problem>,
) -> Vec<Person> {
    if !listing.event.attendee_names {
        return Vec::new();
    }
    let entered = entered(fields);
    let missing = refused
        .filter(|problem| matches!(problem.code, Code::DetailsNeeded | Code::Invalid))
        .map(|problem| super::refusals::numbers(problem, "places"))
        .unwrap_or_default();
    let person = |place: &crate::holds::http::PlaceView, price_type: &str| {
        let number = place.place;
        let at = entered.iter().position(|attendee| attendee.place == number);
        let wrong = match at {
            Some(at) => wrong_at(refused, &format!("/attendees/{at}/")),
            None if missing.contains(&number) => say("hold.attendee_missing").into(),
            None => String::new(),
        };
        Person {
            place: number,
            price_type: price_type.to_owned(),
            label: lines::place_name(listing, place),
            name: at.map(|at| entered[at].name.clone()).unwrap_or_default(),
            wrong,
        }
    };
    let lines = view.lines.iter();
    lines.flat_map(|line| line.places.iter().map(|place| person(place, &line.price_type))).collect()
}

/// The event's terms, if it has any.
#[must_use]
pub fn terms(listing: &Listing, fields: &Fields, refused: Option<&Problem>) -> Option<TermsBox> {
    let terms = listing.event.terms.as_ref()?;
    let accepted = fields.text("terms") == Some(terms.digest.as_str());
    let about_them = refused
        .is_some_and(|problem| problem.errors().any(|(pointer, _)| pointer == "/terms_accepted"));
    let wrong = match (about_them, fields.ticked("terms")) {
        (true, true) => say("hold.terms_changed").into(),
        (true, false) => say("hold.terms_missing").into(),
        (false, _) => String::new(),
    };
    Some(TermsBox {
        digest: terms.digest.clone(),
        text: terms.text.clone(),
        url: terms.url.clone(),
        unfolded: terms.text.chars().count() <= SHORT_CHARS
            || (about_them && !accepted && fields.ticked("terms")),
        accepted,
        wrong,
    })
}

/// What is wrong with the address and the buyer's name.
#[must_use]
pub fn wrong_fields(refused: Option<&Problem>) -> WrongFields {
    WrongFields { email: wrong_at(refused, "/email"), name: wrong_at(refused, "/name") }
}

/// What is wrong with the field at this pointer, or below it, in the reader's words.
fn wrong_at(refused: Option<&Problem>, pointer: &str) -> String {
    let Some(problem) = refused else { return String::new() };
    let why = problem.errors().find(|(at, _)| at.starts_with(pointer)).map(|(_, why)| why);
    why.map(|why| super::refusals::sentence(&retold("reason.", why))).unwrap_or_default()
}
