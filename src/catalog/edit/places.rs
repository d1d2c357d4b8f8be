//! Kills and allocations: places removed from sale, or set aside for a channel.
//!
//! Sold and held places are never taken away: Redis refuses them before Postgres is asked, and
//! Postgres looks once more, after the claims that ran meanwhile.

use super::follow::{self, What};
use super::redis::{self as bits, Blocked, CHUNK, Letters};
use super::{Claims, Edit, stale};
use crate::app::App;
use crate::catalog::{PUBLIC, Place};
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;

/// Most records that a sweep asked for by a refused change ends.
const LAZY_SWEEP: usize = 500;
/// Most places that a refusal names.
const MAX_NAMED: usize = 200;

/// What happens to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Removed from sale.
    Kill,
    /// On sale again.
    Revive,
    /// Set aside for this channel; 0 is everyone.
    Allocate(i16),
}

impl Change {
    /// Whether the place isn't that way already.
    fn concerns(self, place: &Place) -> bool {
        match self {
            Self::Kill => !place.killed,
            Self::Revive => place.killed,
            Self::Allocate(channel) => place.channel != channel,
        }
    }

    /// What Redis must block before Postgres commits. A killed place is blocked for all anyway.
    fn narrows(self, place: &Place) -> bool {
        match self {
            Self::Kill => true,
            Self::Revive => false,
            Self::Allocate(channel) => channel != PUBLIC && !place.killed,
        }
    }

    /// Whether buyers of some channel get more, once it is committed.
    fn widens(self) -> bool {
        self != Self::Kill
    }
}

/// Changes places; how many were not that way already.
///
/// # Errors
/// `places_taken`, naming them, and nothing was changed; `rebuilding`; `unknown_outcome` if it is
/// stored but buyers may not feel it yet: repeat it.
pub async fn change(
    app: &App,
    event: EventId,
    numbers: &[i32],
    change: Change,
) -> Result<usize, Problem> {
    let edit = Edit::begin_alive(app, event).await?;
    apply(app, edit, numbers, change).await
}

/// Changes places under a lock that is held already; see [`change`].
///
/// # Errors
/// See [`change`].
pub async fn apply(
    app: &App,
    mut edit: Edit,
    numbers: &[i32],
    change: Change,
) -> Result<usize, Problem> {
    let sale = edit.sale.clone();
    let (event, live) = (edit.event(), edit.is_live());
    let known = numbers.iter().filter_map(|number| sale.listing.place(*number));
    let places: Vec<&Place> = known.filter(|place| change.concerns(place)).collect();
    let concerned: Vec<i32> = places.iter().map(|place| place.number).collect();
    if !live {
        write(&mut edit, &concerned, change).await?;
        edit.pin_epoch(app, Claims::GoOn).await?;
        edit.commit(app).await?;
        return Ok(concerned.len());
    }
    let narrowed: Vec<&Place> = places.into_iter().filter(|place| change.narrows(place)).collect();
    let decided = decide(app, edit, &narrowed, &concerned, change).await;
    match decided {
        // Also when nothing was to be changed: a repeat makes Redis follow that didn't.
        Ok(()) if change.widens() => {
            follow::now_or_soon(app, event, What::Places(numbers.to_vec())).await?;
        }
        Ok(()) => {}
        Err(problem) => {
            // Whatever Redis blocked meanwhile: it is again what Postgres has.
            let numbers = narrowed.iter().map(|place| place.number).collect();
            drop(follow::now_or_soon(app, event, What::Places(numbers)).await);
            return Err(problem);
        }
    }
    Ok(concerned.len())
}

/// Redis first, then Postgres. Takes the lock with it, also when it fails.
async fn decide(
    app: &App,
    mut edit: Edit,
    narrowed: &[&Place],
    concerned: &[i32],
    change: Change,
) -> Result<(), Problem> {
    narrow(app, &edit, narrowed, change).await?;
    if concerned.is_empty() {
        return Ok(());
    }
    write(&mut edit, concerned, change).await?;
    if narrowed.is_empty() {
        edit.pin_epoch(app, Claims::GoOn).await?;
    } else {
        edit.pin_epoch(app, Claims::Wait).await?;
        let numbers: Vec<i32> = narrowed.iter().map(|place| place.number).collect();
        refuse_claimed(&mut edit, &numbers).await?;
    }
    edit.commit(app).await?;
    Ok(())
}

/// Blocks in Redis what will not be for sale, unless it is taken.
async fn narrow(app: &App, edit: &Edit, places: &[&Place], change: Change) -> Result<(), Problem> {
    let sale = &edit.sale;
    let letters = match change {
        Change::Allocate(channel) => Letters::reserve(sale, channel),
        Change::Kill | Change::Revive => Letters::kill(sale),
    };
    let mut swept = false;
    for chunk in places.chunks(CHUNK) {
        loop {
            match bits::block(app, sale, &letters, chunk, true).await? {
                Blocked::Done => break,
                Blocked::Stale => return Err(stale(app, edit.event())),
                Blocked::Taken(_) if !swept => {
                    // Holds that are over but not yet swept are in nobody's way.
                    swept = true;
                    let hanging = i64::try_from(app.config.workers.hanging_ms).unwrap_or(i64::MAX);
                    let sweep = crate::holds::redis::sweep(&app.redis, sale, LAZY_SWEEP, hanging);
                    sweep.await?;
                }
                Blocked::Taken(taken) => return Err(taken_problem(&taken)),
            }
        }
    }
    Ok(())
}

/// The refusal that names what is held, claimed or sold.
fn taken_problem(taken: &[i32]) -> Problem {
    let named = &taken[..taken.len().min(MAX_NAMED)];
    Problem::new(Code::PlacesTaken)
        .detail("held, claimed or sold places stay as they are; nothing was changed")
        .with("places", named)
        .with("count", taken.len())
}

async fn refuse_claimed(edit: &mut Edit, numbers: &[i32]) -> Result<(), Problem> {
    let event = edit.event();
    let claimed = sqlx::query_scalar!(
        "SELECT place FROM claims WHERE event_id = $1 AND place = ANY ($2) ORDER BY place",
        event.0,
        numbers
    )
    .fetch_all(edit.pg())
    .await?;
    if claimed.is_empty() { Ok(()) } else { Err(taken_problem(&claimed)) }
}

async fn write(edit: &mut Edit, numbers: &[i32], change: Change) -> Result<(), Problem> {
    let event = edit.event();
    let (killed, channel) = match change {
        Change::Kill => (Some(true), None),
        Change::Revive => (Some(false), None),
        Change::Allocate(channel) => (None, Some(channel)),
    };
    sqlx::query!(
        "UPDATE places SET killed = coalesce($3, killed), channel = coalesce($4, channel)
         WHERE event_id = $1 AND place = ANY ($2)",
        event.0,
        numbers,
        killed,
        channel
    )
    .execute(edit.pg())
    .await?;
    Ok(())
}
