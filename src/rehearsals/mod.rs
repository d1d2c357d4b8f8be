//! Rehearsals: a **shadow** of an event, sold by the deployment as it runs.
//!
//! A shadow has the event's places, terms, offers and waiting room, and an opening of its own. It
//! goes the whole path of a ticket, with the real scripts, commits and workers, and differs in what
//! must not happen:
//!
//! - it is in no list: for whatever doesn't ask for rehearsals, it is a draft;
//! - nobody is charged: its gateway has no provider behind it (`payments/gateways.rs`), and the
//!   database refuses any other one for its orders;
//! - nobody is told: the database settles its mails before anybody can send them;
//! - nobody gets in: its tickets are signed under a name that no gate knows (`tickets/code.rs`);
//! - nobody else is counted: requests that carry its [`tag`] are limited per visitor that they
//!   play, apart from everybody's limits, and only where they are about it.
//!
//! It ends when it is ended or its time is up, and then nothing of it is left: a worker
//! (`workers/rehearsals.rs`) removes it, any number of times if it must.

pub mod http;
pub mod store;
pub mod tag;

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::holds::rebuild;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;

/// Latest opening, from now on.
pub const OPENS_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// Longest time from the opening to the end.
pub const LASTS_AT_MOST: SignedDuration = SignedDuration::from_hours(6);
/// How long it lasts if nothing is said.
pub const LASTS: SignedDuration = SignedDuration::from_hours(1);
/// Clocks may differ by so much: an opening that is past by less is now.
const SLACK: SignedDuration = SignedDuration::from_mins(1);
/// Longest part of the event's slug in the shadow's.
const SLUG_PART: usize = 44;

/// A rehearsal.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsal {
    /// The shadow.
    pub shadow: EventId,
    /// Whose shadow it is.
    pub of: EventId,
    /// When its sale opens: T-0.
    pub opens_at: Timestamp,
    /// When it ends by itself.
    pub ends_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
}

/// The shadow's name in URLs.
#[must_use]
pub fn slug(event: &str, shadow: EventId) -> String {
    let part = event.get(..event.len().min(SLUG_PART)).unwrap_or("event").trim_end_matches('-');
    let random = shadow.0.simple().to_string();
    format!("{part}-rehearsal-{}", &random[random.len() - 6..])
}

/// The times of a rehearsal, if they can be kept.
///
/// # Errors
/// `invalid`, for the field that is wrong.
pub fn times(
    opens_at: Timestamp,
    ends_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Problem> {
    let until_opening = opens_at.duration_since(now);
    if until_opening < -SLACK || until_opening > OPENS_WITHIN {
        let hours = OPENS_WITHIN.as_hours();
        return Err(Problem::field("/opens_at", format!("from now on, within {hours} hours")));
    }
    let ends_at = match ends_at {
        Some(ends_at) => ends_at,
        None => opens_at.checked_add(LASTS).map_err(Problem::internal)?,
    };
    let lasts = ends_at.duration_since(opens_at);
    if lasts <= SignedDuration::ZERO || lasts > LASTS_AT_MOST {
        let hours = LASTS_AT_MOST.as_hours();
        let why = format!("after the opening, by at most {hours} hours");
        return Err(Problem::field("/ends_at", why));
    }
    Ok((opens_at, ends_at))
}

/// What steers a shadow; everything else about it is its event's.
const STEERED: [&str; 2] = ["/waiting-room/control", "/refund"];

/// Refuses to change a shadow in other ways than a rehearsal is there for.
///
/// # Errors
/// `event_state`.
pub fn check_change(path: &str) -> Result<(), Problem> {
    if STEERED.iter().any(|end| path.ends_with(end)) {
        return Ok(());
    }
    let why = "it is a rehearsal: change the event, and rehearse again";
    Err(Problem::new(Code::EventState).detail(why))
}

/// Has the shadow ready in Redis before the first visitor asks. Who asks first does it otherwise.
pub async fn build(app: &App, shadow: EventId) {
    if let Err(error) = rebuild::ensure(app, shadow).await {
        tracing::warn!(%shadow, %error, "a rehearsal can't be built yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::organizers::rules;

    #[test]
    fn a_shadow_has_a_slug_of_its_own() {
        let (shadow, long) = (EventId::fresh(), "ab-".repeat(21) + "x");
        for event in ["show", long.as_str()] {
            rules::slug("/slug", event).expect("a slug");
            let slug = slug(event, shadow);
            rules::slug("/slug", &slug).unwrap_or_else(|_| panic!("{slug}"));
            assert_ne!(slug, self::slug(event, EventId(uuid::Uuid::new_v4())));
        }
    }

    #[test]
    fn times_are_in_order_and_bounded() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |minutes: i64| now + SignedDuration::from_mins(minutes);
        assert_eq!(times(at(5), None, now).unwrap(), (at(5), at(65)));
        assert!(times(at(0), Some(at(360)), now).is_ok() && times(at(24 * 60), None, now).is_ok());
        for (opens, ends) in [(-2, 5), (24 * 60 + 1, 24 * 60 + 2), (5, 5), (5, 4), (5, 366)] {
            assert!(times(at(opens), Some(at(ends)), now).is_err(), "{opens} {ends}");
        }
    }

    #[test]
    fn a_shadow_is_steered_and_not_changed() {
        assert!(check_change("/v1/organizer/events/x/waiting-room/control").is_ok());
        assert!(check_change("/v1/organizer/events/x/orders/y/refund").is_ok());
        for path in ["/v1/organizer/events/x", "/v1/organizer/events/x/registrations"] {
            assert!(check_change(path).is_err(), "{path}");
        }
    }
}
