//! Price types and channels.

use super::redis as bits;
use super::{Claims, Edit, next_number, refused, stale};
use crate::app::App;
use crate::http::problem::{Code, Problem};
use crate::organizers::rules::{MAX_CHANNELS, MAX_PRICE_TYPES};

fn full(what: &str, most: usize) -> Problem {
    Problem::new(Code::Invalid).detail(format!("an event has at most {most} {what}"))
}

/// Adds a price type; its number.
///
/// # Errors
/// `exists`, `invalid` if there are too many, or Postgres fails.
pub async fn add_price_type(edit: &mut Edit, code: &str, name: &str) -> Result<i16, Problem> {
    let known = &edit.listing().price_types;
    if known.len() >= MAX_PRICE_TYPES {
        return Err(full("price types", MAX_PRICE_TYPES));
    }
    let number: i16 = next_number(known.iter().map(|known| known.number));
    let event = edit.event();
    sqlx::query!(
        "INSERT INTO price_types (event_id, price_type, code, name) VALUES ($1, $2, $3, $4)",
        event.0,
        number,
        code,
        name
    )
    .execute(edit.pg())
    .await
    .map_err(|error| refused(error, "/code"))?;
    Ok(number)
}

/// Adds a channel, without an allocation yet; its number.
///
/// # Errors
/// `exists`, `invalid` if there are too many, `rebuilding`, or Postgres or Redis fail.
pub async fn add_channel(
    app: &App,
    edit: &mut Edit,
    code: &str,
    name: &str,
) -> Result<i16, Problem> {
    let known = &edit.listing().channels;
    if known.len() > MAX_CHANNELS {
        return Err(full("channels beside the public", MAX_CHANNELS));
    }
    let number: i16 = next_number(known.iter().map(|known| known.number));
    let event = edit.event();
    sqlx::query!(
        "INSERT INTO channels (event_id, channel, code, name) VALUES ($1, $2, $3, $4)",
        event.0,
        number,
        code,
        name
    )
    .execute(edit.pg())
    .await
    .map_err(|error| refused(error, "/code"))?;
    edit.pin_epoch(app, Claims::GoOn).await?;
    // Before the commit: whoever knows of the channel must find its bitmap. One that is left over
    // if the commit fails is replaced by the next try.
    if edit.is_built() && !bits::add_channel(app, &edit.sale, number).await? {
        return Err(stale(app, event));
    }
    Ok(number)
}
