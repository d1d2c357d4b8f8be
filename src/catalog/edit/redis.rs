//! Bitmaps of what is not for sale, in Redis.

use crate::app::App;
use crate::catalog::cache::Sale;
use crate::catalog::{PUBLIC, Place, Stretch};
use crate::holds::redis::Args;
use crate::redis::{Trouble, scripts};

/// Places in one call of the script: it runs for some milliseconds at most.
pub const CHUNK: usize = 2_000;

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The bits are as asked.
    Done,
    /// These places are taken; nothing was changed.
    Taken(Vec<i32>),
    /// The epoch has passed.
    Stale,
}

/// What happens to a place's bit in each bitmap: `1` set, `0` cleared, `-` left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letters {
    kills: char,
    /// In the order of the listing's channels.
    channels: Vec<char>,
}

impl Letters {
    /// Blocks everything for everyone.
    #[must_use]
    pub fn kill(sale: &Sale) -> Self {
        Self { kills: '1', channels: vec!['1'; sale.listing.channels.len()] }
    }

    /// Takes places that aren't killed from everyone but `channel`.
    #[must_use]
    pub fn reserve(sale: &Sale, channel: i16) -> Self {
        let letter = |number: i16| if number == channel { '-' } else { '1' };
        let channels = sale.listing.channels.iter().map(|known| letter(known.number));
        Self { kills: '-', channels: channels.collect() }
    }

    /// Exactly what a place with these properties has.
    #[must_use]
    pub fn exact(sale: &Sale, killed: bool, channel: i16) -> Self {
        let letter = |blocked: bool| if blocked { '1' } else { '0' };
        let sells = |number: i16| !killed && (channel == PUBLIC || channel == number);
        let channels = sale.listing.channels.iter().map(|known| letter(!sells(known.number)));
        Self { kills: letter(killed), channels: channels.collect() }
    }
}

/// Sets or clears the bits of at most [`CHUNK`] places, all or none.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn block(
    app: &App,
    sale: &Sale,
    letters: &Letters,
    places: &[&Place],
    refuse_taken: bool,
) -> Result<Blocked, Trouble> {
    let keys = &sale.keys;
    let channels: Vec<String> =
        sale.listing.channels.iter().map(|channel| keys.blocked(channel.number)).collect();
    let mut names = vec![&*keys.head, &keys.taken, &keys.hints, &keys.kills];
    names.extend(channels.iter().map(String::as_str));
    let mut args = Args::new(sale);
    args.push(u8::from(refuse_taken));
    args.push(std::iter::once(&letters.kills).chain(&letters.channels).collect::<String>());
    let places = places.iter().map(|place| format!("{}:{}", place.number, place.stretch));
    args.push(places.collect::<Vec<_>>().join(","));
    let reply = args.eval(&app.redis, sale, &scripts::BLOCK, &names).await?;
    match reply.word() {
        Some("blocked") => Ok(Blocked::Done),
        Some("taken") => {
            let taken = reply.numbers(1).ok_or_else(|| reply.bad(&scripts::BLOCK))?;
            Ok(Blocked::Taken(taken))
        }
        Some("stale") => Ok(Blocked::Stale),
        _ => Err(reply.bad(&scripts::BLOCK)),
    }
}

/// Tells Redis of further stretches, numbered from `from` on. False: the epoch has passed.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn grow(
    app: &App,
    sale: &Sale,
    from: i32,
    stretches: &[Stretch],
) -> Result<bool, Trouble> {
    let keys = &sale.keys;
    let mut args = Args::new(sale);
    args.push(from);
    args.push_bytes(&crate::holds::rebuild::stretch_bytes(stretches));
    let names = [&*keys.head, &keys.stretches, &keys.hints];
    let reply = args.eval(&app.redis, sale, &scripts::GROW, &names).await?;
    match reply.word() {
        Some("grown") => Ok(true),
        Some("stale") => Ok(false),
        _ => Err(reply.bad(&scripts::GROW)),
    }
}

/// Opens or closes holds. False: the epoch has passed.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn set_state(app: &App, sale: &Sale) -> Result<bool, Trouble> {
    let mut args = Args::new(sale);
    args.push(sale.listing.event.status);
    let reply = args.eval(&app.redis, sale, &scripts::STATE, &[&sale.keys.head]).await?;
    match reply.word() {
        Some("set") => Ok(true),
        Some("stale") => Ok(false),
        _ => Err(reply.bad(&scripts::STATE)),
    }
}

/// A connection to the Redis that the sale was built on.
async fn bulk(app: &App, sale: &Sale) -> Result<deadpool_redis::Connection, Trouble> {
    match app.redis.link() {
        Some(link) if link.run_id == sale.run_id => app.redis.bulk().await,
        _ => Err(Trouble::Down),
    }
}

/// Gives a channel without an allocation the public's bitmap. False: Redis doesn't have that.
///
/// # Errors
/// If Redis doesn't answer; asking again is harmless.
pub async fn add_channel(app: &App, sale: &Sale, channel: i16) -> Result<bool, Trouble> {
    let mut bulk = bulk(app, sale).await?;
    redis::cmd("COPY")
        .arg(sale.keys.blocked(PUBLIC))
        .arg(sale.keys.blocked(channel))
        .arg("REPLACE")
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)
}

/// Which places have a live record, at this instant.
///
/// # Errors
/// If Redis doesn't answer.
pub async fn taken(app: &App, sale: &Sale) -> Result<Vec<u8>, Trouble> {
    let mut bulk = bulk(app, sale).await?;
    let bitmap: Option<Vec<u8>> = redis::cmd("GET")
        .arg(&sale.keys.taken)
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    Ok(bitmap.unwrap_or_default())
}

/// Places held and bought through an offer, as Redis counts them.
///
/// # Errors
/// If Redis doesn't answer.
pub async fn count_of_offer(app: &App, sale: &Sale, offer: i16) -> Result<i64, Trouble> {
    let mut bulk = bulk(app, sale).await?;
    let count: Option<i64> = redis::cmd("HGET")
        .arg(&sale.keys.counts)
        .arg(format!("o:{offer}"))
        .query_async(&mut bulk)
        .await
        .map_err(Trouble::Unknown)?;
    Ok(count.unwrap_or(0))
}
