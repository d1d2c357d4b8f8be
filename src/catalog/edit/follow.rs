//! Redis follows a committed change, now or as soon as it can.
//!
//! What Redis is told is read from Postgres under the event's lock: whichever of two changes
//! comes last, Redis ends with what Postgres has. So this is also how a change in Redis is taken
//! back that Postgres refused.

use std::collections::HashMap;
use std::time::Duration;

use super::Edit;
use super::redis::{self as bits, Blocked, CHUNK, Letters};
use crate::app::App;
use crate::catalog::Place;
use crate::http::problem::{Code, Problem};
use crate::ids::EventId;
use crate::redis::Trouble;

/// Pauses between attempts while Redis doesn't answer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether holds are open.
    State,
    /// To whom these places are for sale.
    Places(Vec<i32>),
}

/// Makes Redis follow. If it can't now, it does later: the problem then says that the change
/// stands, but that buyers may not see it yet.
///
/// # Errors
/// `unknown_outcome`.
pub async fn now_or_soon(app: &App, event: EventId, what: What) -> Result<(), Problem> {
    if once(app, event, &what).await {
        return Ok(());
    }
    if let Some(app) = app.arc() {
        app.tasks.clone().spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::select! {
                    // Another process, or the next start, finds Redis without it: see `once`.
                    () = app.stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                if once(&app, event, &what).await {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }
    Err(Problem::new(Code::Unknown).detail("stored, but sales follow only in a moment"))
}

/// One attempt. True: done, or a rebuild does it, which reads the same from Postgres.
async fn once(app: &App, event: EventId, what: &What) -> bool {
    match attempt(app, event, what).await {
        Ok(done) => done,
        Err(problem) => {
            tracing::warn!(%event, ?problem, "Redis can't follow a change yet");
            false
        }
    }
}

async fn attempt(app: &App, event: EventId, what: &What) -> Result<bool, Problem> {
    let edit = Edit::begin(app, event).await?;
    if edit.sale.run_id.is_empty() {
        crate::holds::rebuild::request(app, event);
        return Ok(true);
    }
    let followed = match what {
        What::State => bits::set_state(app, &edit.sale).await,
        What::Places(numbers) => set_places(app, &edit, numbers).await,
    };
    match followed {
        Ok(true) => Ok(true),
        // A newer generation was read from Postgres after this change was committed (it pinned
        // the epoch); an older one, or none, is built anew.
        Ok(false) => {
            crate::holds::rebuild::request(app, event);
            Ok(true)
        }
        Err(Trouble::Down) if is_elsewhere(app, &edit.sale.run_id) => {
            crate::holds::rebuild::request(app, event);
            Ok(true)
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether the Redis of today is another than the event was built on.
fn is_elsewhere(app: &App, run_id: &str) -> bool {
    app.redis.link().is_some_and(|link| link.run_id != run_id)
}

async fn set_places(app: &App, edit: &Edit, numbers: &[i32]) -> Result<bool, Trouble> {
    let mut alike: HashMap<(bool, i16), Vec<&Place>> = HashMap::new();
    for place in numbers.iter().filter_map(|number| edit.listing().place(*number)) {
        alike.entry((place.killed, place.channel)).or_default().push(place);
    }
    for ((killed, channel), places) in alike {
        let letters = Letters::exact(&edit.sale, killed, channel);
        for chunk in places.chunks(CHUNK) {
            if bits::block(app, &edit.sale, &letters, chunk, false).await? == Blocked::Stale {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
