//! What an event asks of its buyers at checkout, and whether it was given: names of attendees,
//! and that its terms are accepted. Looked at before anything is written.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::CheckoutRequest;
use crate::app::App;
use crate::catalog::Event;
use crate::catalog::cache::Sale;
use crate::holds::http::{self as holds, HoldView};
use crate::holds::{MAX_PLACES, record::Line};
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, HoldId};
use crate::orders;
use crate::organizers::rules;

/// Longest name of an attendee, in characters.
pub const MAX_ATTENDEE_CHARS: usize = 120;

/// Who a ticket is for.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attendee {
    /// A place of the hold, by its number.
    #[schema(example = 1_203)]
    pub place: i32,
    /// Their name, at most 120 characters.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
}

/// What is wrong with a request: as a whole by its code, and field by field.
#[derive(Default)]
struct Wrong {
    invalid: bool,
    missing: Vec<i32>,
    errors: Vec<(String, String)>,
}

impl Wrong {
    fn invalid(&mut self, pointer: String, why: impl Into<String>) {
        self.invalid = true;
        self.errors.push((pointer, why.into()));
    }
}

/// Checks that the request has what the event asks for. A repeat of a checkout that has made its
/// order is let through: it finds that order, whatever the event asks for by now.
///
/// # Errors
/// `invalid`, `details_needed` or `terms_changed`, with every field that is wrong; the hold stays
/// as it is.
pub async fn check(
    app: &App,
    sale: &Sale,
    hold: HoldId,
    account: AccountId,
    request: &CheckoutRequest,
) -> Result<(), Problem> {
    let event = &sale.listing.event;
    let agreed = event.terms.as_ref().map(|terms| &terms.digest)
        == event.terms.as_ref().and(request.terms_accepted.as_ref());
    if agreed && !event.attendee_names {
        return Ok(());
    }
    let view = match holds::find(app, sale, hold, account).await {
        Ok(view) => view,
        // Whatever it became: the next step finds out, and says so.
        Err(problem) if matches!(problem.code, Code::NotFound | Code::HoldGone) => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let Some(problem) = refusal(event, &view, request, agreed) else { return Ok(()) };
    let order = orders::store::find(&app.pg, hold.order()).await?;
    if order.is_some_and(|order| order.account == account) {
        return Ok(());
    }
    Err(problem)
}

/// Why this request isn't enough for the hold; all of it at once.
fn refusal(
    event: &Event,
    view: &HoldView,
    request: &CheckoutRequest,
    agreed: bool,
) -> Option<Problem> {
    let mut wrong = Wrong::default();
    if let Err(problem) = super::parse(request.clone()) {
        for (pointer, why) in problem.errors() {
            wrong.invalid(pointer.to_owned(), why);
        }
    }
    if event.attendee_names {
        let places = view.lines.iter().flat_map(|line| line.places.iter().map(|one| one.place));
        names(&mut wrong, &places.collect::<Vec<_>>(), request);
    }
    let other = !agreed && request.terms_accepted.is_some();
    let alone = wrong.errors.is_empty();
    if !agreed {
        let why = if other { "the terms have changed" } else { "accept the event's terms" };
        wrong.errors.push(("/terms_accepted".to_owned(), why.to_owned()));
    }
    if wrong.errors.is_empty() {
        return None;
    }
    let code = match (wrong.invalid, other && alone) {
        (true, _) => Code::Invalid,
        (false, true) => Code::TermsChanged,
        (false, false) => Code::DetailsNeeded,
    };
    let mut problem = Problem::fields(code, &wrong.errors);
    if !wrong.missing.is_empty() {
        problem = problem.with("places", wrong.missing);
    }
    if !agreed {
        problem = problem.with("terms", &event.terms);
    }
    Some(problem)
}

/// Looks for a good name for each of these places.
fn names(wrong: &mut Wrong, places: &[i32], request: &CheckoutRequest) {
    if request.attendees.len() > MAX_PLACES {
        return wrong.invalid("/attendees".to_owned(), format!("at most {MAX_PLACES}"));
    }
    let mut named = HashSet::new();
    for (at, attendee) in request.attendees.iter().enumerate() {
        let pointer = format!("/attendees/{at}");
        if !places.contains(&attendee.place) {
            wrong.invalid(format!("{pointer}/place"), "is no place of this hold");
        } else if !named.insert(attendee.place) {
            wrong.invalid(format!("{pointer}/place"), "is named twice");
        } else if attendee.name.trim().is_empty() {
            wrong.missing.push(attendee.place);
            wrong.errors.push((format!("{pointer}/name"), "is missing".to_owned()));
        } else if let Err(problem) =
            rules::line(&format!("{pointer}/name"), &attendee.name, MAX_ATTENDEE_CHARS)
        {
            for (pointer, why) in problem.errors() {
                wrong.invalid(pointer.to_owned(), why);
            }
        }
    }
    for place in places.iter().filter(|place| !named.contains(place)) {
        wrong.missing.push(*place);
        wrong.errors.push(("/attendees".to_owned(), format!("place {place} needs a name")));
    }
}

/// Writes the names beside their places.
pub fn write_names(event: &Event, request: &CheckoutRequest, lines: &mut [Line]) {
    // Names that nobody asked for are not kept.
    if !event.attendee_names || request.attendees.is_empty() {
        return;
    }
    let name = |place: &i32| {
        let found = request.attendees.iter().find(|attendee| attendee.place == *place);
        found.map(|attendee| attendee.name.trim().to_owned()).unwrap_or_default()
    };
    for line in lines {
        line.names = line.places.iter().map(name).collect();
    }
}

/// Which terms were accepted and when, as the order remembers it.
#[must_use]
pub fn accepted(event: &Event, request: &CheckoutRequest, now: Timestamp) -> Option<Value> {
    let digest = request.terms_accepted.as_ref().filter(|_| event.terms.is_some())?;
    Some(json!({ "digest": digest, "at": now }))
}
