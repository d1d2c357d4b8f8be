//! Events as a whole: made, described, opened and closed.

use std::time::Duration;

use iso_currency::Currency;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::follow::{self, What};
use super::{Claims, Edit, refused};
use crate::app::App;
use crate::catalog::{BuyerTerms, Event, EventStatus};
use crate::holds::rebuild::{self, Rebuilt};
use crate::http::problem::{Code, Problem};
use crate::ids::{EventId, OrganizerId, VenueId};

/// How often, and after which pauses, an event that another node is building is looked at.
const BUILD_TRIES: u32 = 60;
const BUILD_PAUSE: Duration = Duration::from_millis(50);

/// A venue to be made.
#[derive(Clone, Debug)]
pub struct NewVenue {
    /// Its id.
    pub id: VenueId,
    /// Whose it is.
    pub organizer: OrganizerId,
    /// Its name.
    pub name: String,
    /// Its postal address.
    pub address: String,
    /// IANA name of its time zone.
    pub time_zone: String,
}

/// An event to be made, as a draft.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// Whose it is.
    pub organizer: OrganizerId,
    /// Where it takes place.
    pub venue: VenueId,
    /// Its name in URLs.
    pub slug: String,
    /// Of all its prices.
    pub currency: Currency,
    /// What can be changed later.
    pub terms: EventTerms,
}

/// What can be changed of an event.
#[derive(Clone, Debug)]
pub struct EventTerms {
    /// What is played.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// When it begins.
    pub starts_at: Timestamp,
    /// Most places per buyer.
    pub account_limit: Option<i32>,
    /// How long a hold lasts, in seconds.
    pub hold_seconds: i32,
    /// To what total it may be extended, in seconds.
    pub hold_max_seconds: i32,
    /// How long a claim waits for its payment, in seconds.
    pub pay_seconds: i32,
    /// Longest delay until places that come back are free, in seconds.
    pub return_seconds: i32,
    /// Whether choices that strand a single seat are refused.
    pub orphan_rule: bool,
    /// Whether only buyers who have signed in can hold places.
    pub needs_account: bool,
    /// Whether each ticket needs a name at checkout.
    pub attendee_names: bool,
    /// What buyers accept at checkout.
    pub terms: Option<BuyerTerms>,
}

impl From<&Event> for EventTerms {
    fn from(event: &Event) -> Self {
        Self {
            name: event.name.clone(),
            description: event.description.clone(),
            starts_at: event.starts_at,
            account_limit: event.account_limit,
            hold_seconds: event.hold_seconds,
            hold_max_seconds: event.hold_max_seconds,
            pay_seconds: event.pay_seconds,
            return_seconds: event.return_seconds,
            orphan_rule: event.orphan_rule,
            needs_account: event.needs_account,
            attendee_names: event.attendee_names,
            terms: event.terms.clone(),
        }
    }
}

/// Makes a venue.
///
/// # Errors
/// If Postgres fails.
pub async fn create_venue(pg: &mut PgConnection, venue: &NewVenue) -> Result<(), Problem> {
    sqlx::query!(
        "INSERT INTO venues (id, organizer_id, name, address, time_zone)
         VALUES ($1, $2, $3, $4, $5)",
        venue.id.0,
        venue.organizer.0,
        venue.name,
        venue.address,
        venue.time_zone
    )
    .execute(pg)
    .await?;
    Ok(())
}

/// Makes a draft, with its epoch and the public's channel.
///
/// # Errors
/// `exists` if the slug is taken, `invalid` if the venue isn't this organizer's, or Postgres
/// fails.
pub async fn create(pg: &mut PgConnection, event: &NewEvent) -> Result<(), Problem> {
    let terms = &event.terms;
    let accepted = keep(pg, terms.terms.as_ref()).await?;
    let made = sqlx::query!(
        "INSERT INTO events (id, organizer_id, venue_id, slug, currency, name, description,
                             starts_at, account_limit, hold_seconds, hold_max_seconds,
                             pay_seconds, orphan_rule, needs_account, return_seconds,
                             attendee_names, terms)
         SELECT $1, $2, v.id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
         FROM venues v WHERE v.id = $3 AND v.organizer_id = $2",
        event.id.0,
        event.organizer.0,
        event.venue.0,
        event.slug,
        event.currency.code(),
        terms.name,
        terms.description,
        terms.starts_at.to_sqlx() as _,
        terms.account_limit,
        terms.hold_seconds,
        terms.hold_max_seconds,
        terms.pay_seconds,
        terms.orphan_rule,
        terms.needs_account,
        terms.return_seconds,
        terms.attendee_names,
        accepted
    )
    .execute(&mut *pg)
    .await
    .map_err(|error| refused(error, "/slug"))?;
    if made.rows_affected() == 0 {
        return Err(Problem::field("/venue", "not a venue of yours"));
    }
    sqlx::query!("INSERT INTO epochs (event_id) VALUES ($1)", event.id.0).execute(&mut *pg).await?;
    sqlx::query!(
        "INSERT INTO channels (event_id, channel, code, name) VALUES ($1, 0, 'public', 'Public')",
        event.id.0
    )
    .execute(pg)
    .await?;
    Ok(())
}

async fn keep(pg: &mut PgConnection, terms: Option<&BuyerTerms>) -> sqlx::Result<Option<Vec<u8>>> {
    match terms {
        Some(terms) => terms.keep(pg).await.map(Some),
        None => Ok(None),
    }
}

/// Writes what can be changed of an event.
///
/// # Errors
/// If Postgres fails.
pub async fn update(edit: &mut Edit, terms: &EventTerms) -> Result<(), Problem> {
    let event = edit.event();
    let accepted = keep(edit.pg(), terms.terms.as_ref()).await?;
    sqlx::query!(
        "UPDATE events SET name = $2, description = $3, starts_at = $4, account_limit = $5,
                           hold_seconds = $6, hold_max_seconds = $7, pay_seconds = $8,
                           orphan_rule = $9, needs_account = $10, return_seconds = $11,
                           attendee_names = $12, terms = $13
         WHERE id = $1",
        event.0,
        terms.name,
        terms.description,
        terms.starts_at.to_sqlx() as _,
        terms.account_limit,
        terms.hold_seconds,
        terms.hold_max_seconds,
        terms.pay_seconds,
        terms.orphan_rule,
        terms.needs_account,
        terms.return_seconds,
        terms.attendee_names,
        accepted
    )
    .execute(edit.pg())
    .await?;
    Ok(())
}

/// Moves an event's sale on or back, along the edges that the database allows. Holds are open or
/// closed accordingly when this returns.
///
/// # Errors
/// `event_state`; `unknown_outcome` if it is stored but buyers may not feel it yet: repeat it.
pub async fn set_status(app: &App, event: EventId, to: EventStatus) -> Result<(), Problem> {
    let mut edit = Edit::begin(app, event).await?;
    let from = edit.listing().event.status;
    let was_live = edit.is_live();
    if from == to {
        drop(edit);
    } else {
        check_ready(&edit, to)?;
        edit.pin_epoch(app, Claims::GoOn).await?;
        sqlx::query!("UPDATE events SET status = $2 WHERE id = $1", event.0, to.word())
            .execute(edit.pg())
            .await
            .map_err(|error| {
                refused(error, "/status").detail(format!("an event can't go from {from} to {to}"))
            })?;
        edit.commit(app).await?;
    }
    if was_live {
        return follow::now_or_soon(app, event, What::State).await;
    }
    if to == EventStatus::OnSale {
        build(app, event).await;
    }
    Ok(())
}

/// Builds an event that goes on sale. If that isn't possible now, whoever asks next starts it.
async fn build(app: &App, event: EventId) {
    for _ in 0..BUILD_TRIES {
        match rebuild::ensure(app, event).await {
            // What the other one builds may be the draft: look again when it is done.
            Ok(Rebuilt::Elsewhere) => tokio::time::sleep(BUILD_PAUSE).await,
            Ok(Rebuilt::Built(_) | Rebuilt::Fine | Rebuilt::NoEvent) => return,
            Err(error) => {
                tracing::warn!(%event, %error, "an event that goes on sale can't be built yet");
                return;
            }
        }
    }
}

/// What is announced has places, and something to buy.
fn check_ready(edit: &Edit, to: EventStatus) -> Result<(), Problem> {
    if !matches!(to, EventStatus::Published | EventStatus::OnSale) {
        return Ok(());
    }
    let listing = edit.listing();
    let missing = if listing.places.is_empty() {
        "the event has no manifest"
    } else if !listing.offers.iter().any(|offer| offer.active) {
        "the event has no active offer"
    } else {
        return Ok(());
    };
    Err(Problem::new(Code::EventState).detail(missing))
}

/// Stops every checkout of the event, or lets them go on: the operator's second switch. Running
/// claims end first.
///
/// # Errors
/// If Postgres fails.
pub async fn freeze(app: &App, event: EventId, frozen: bool) -> Result<(), Problem> {
    sqlx::query!("UPDATE epochs SET claims_frozen = $2 WHERE event_id = $1", event.0, frozen)
        .execute(&app.pg)
        .await?;
    Ok(())
}
