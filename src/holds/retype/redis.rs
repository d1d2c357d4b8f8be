//! Calling `lua/retype.lua`.

use super::Change;
use crate::catalog::cache::Sale;
use crate::holds::record::Record;
use crate::holds::redis::Args;
use crate::ids::{AccountId, HoldId};
use crate::redis::{Redis, Trouble, scripts};

/// What became of a change. Everything but `Changed` changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retyped {
    /// The record as it is now, and Redis's clock.
    Changed(Record, i64),
    /// The record isn't the one that was planned on.
    Moved,
    /// The offer's quota leaves only so many.
    Quota {
        /// The offer's number.
        offer: i16,
        /// Places left.
        left: i64,
    },
    /// The offer is outside its window.
    Window(i16),
    /// The promo code is used up.
    Promo,
    /// Checkout has begun.
    Claiming,
    /// No such hold any more.
    Gone,
    /// Another account's.
    Foreign,
    /// The epoch has passed.
    Stale,
}

/// The record's text from its promo code on: what a change is planned on.
#[must_use]
pub fn subject(text: &str) -> &str {
    text.splitn(5, '|').nth(4).unwrap_or_default()
}

/// Changes a hold that was as `subject` says when the change was planned.
///
/// # Errors
/// See [`Trouble`]; asking again is harmless.
pub async fn retype(
    redis: &Redis,
    sale: &Sale,
    (id, account): (HoldId, AccountId),
    subject: &str,
    change: &Change,
) -> Result<Retyped, Trouble> {
    let keys = &sale.keys;
    let keys = [&*keys.head, &keys.holds, &keys.counts];
    let mut args = Args::new(sale);
    args.push(id);
    args.push(account);
    args.push(subject);
    let (number, most) = change.promo.unzip();
    args.push(number.map(|number| number.to_string()).unwrap_or_default());
    args.push(most.flatten().unwrap_or(-1));
    args.push(serde_json::to_string(&change.prices).unwrap_or_default());
    for target in &change.targets {
        args.push(target.offer);
        args.push(target.quota.unwrap_or(-1));
        args.push(target.from_ms);
        args.push(target.until_ms);
        args.push(&target.tiers);
        let places: Vec<String> = target.places.iter().map(i32::to_string).collect();
        args.push(places.join("."));
    }
    let reply = args.eval(redis, sale, &scripts::RETYPE, &keys).await?;
    let offer = || i16::try_from(reply.number(1)?).ok();
    let retyped = match reply.word() {
        Some("changed") => {
            (|| Some(Retyped::Changed(Record::parse(reply.text(1)?)?, reply.number(2)?)))()
        }
        Some("moved") => Some(Retyped::Moved),
        Some("quota") => {
            offer().zip(reply.number(2)).map(|(offer, left)| Retyped::Quota { offer, left })
        }
        Some("window") => offer().map(Retyped::Window),
        Some("promo") => Some(Retyped::Promo),
        Some("claiming") => Some(Retyped::Claiming),
        Some("gone") => Some(Retyped::Gone),
        Some("foreign") => Some(Retyped::Foreign),
        Some("stale") => Some(Retyped::Stale),
        _ => None,
    };
    retyped.ok_or_else(|| reply.bad(&scripts::RETYPE))
}
