//! Gives places that come back to those who ask, before they are free for all.
//!
//! The sweep that frees them and the holds for the asks are one transaction in Redis: nobody gets
//! in between. No other sweep frees anything while somebody asks.

use std::collections::HashMap;

use super::redis::{self as line, InLine};
use super::{Kept, hold_of};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::faults;
use crate::holds::plan::Plan;
use crate::holds::rebuild;
use crate::holds::redis::{self as grips, Asker, Held, Letting, Reply};
use crate::ids::{AccountId, AskId};
use crate::redis::Trouble;
use crate::redis::scripts;
use crate::suspicion;

/// Most asks that one transaction tries. Each costs what a hold costs, and all others wait.
const MAX_TRIED: usize = 64;
/// Most records that one transaction frees: not more than what the tried asks can take, or the
/// rest would be free for all while asks for it are still in line.
const MAX_FREED: usize = 16;

/// Frees what has come back and holds it for the asks that it fits, oldest first. True if there
/// may be more to do at once.
///
/// # Errors
/// See [`Trouble`]; asks that were served stay in line for a moment then, which is harmless.
pub async fn serve(app: &App, sale: &Sale) -> Result<bool, Trouble> {
    let asks = line::line(&app.redis, sale).await?;
    let (mut over, mut tried) = (Vec::new(), Vec::new());
    let mut calls = vec![grips::sweep_for_asks(sale, MAX_FREED)];
    for ask in chosen(asks) {
        let kept: Option<Kept> = serde_json::from_str(&ask.wish).ok();
        let planned = kept.and_then(|kept| {
            let mut plan = Plan::new(&sale.listing, &kept.wish, app.now()).ok()?;
            plan.prices.pass = kept.pass;
            plan.prices.traces = kept.traces;
            Some(plan)
        });
        // What it asks for is not sold any more.
        let Some(mut plan) = planned else {
            over.push(ask.id);
            continue;
        };
        // Who has to wait before they hold anything again stays in line meanwhile.
        let (event, traces) = (sale.listing.event.id, plan.prices.traces);
        let Ok(lasting) = suspicion::check(app, event, ask.account, traces) else { continue };
        plan.lasting = lasting;
        let InLine { id, digest, account, .. } = ask;
        let asker = Asker { id: hold_of(id), digest, account, retake: false };
        calls.push(grips::hold_call(sale, &asker, &plan));
        tried.push((id, account, plan));
    }
    let mut replies = app.redis.eval_together(&sale.run_id, &calls).await?.into_iter().map(Reply);
    faults::point("asks served");
    let swept = replies.next().map(|reply| grips::swept(&reply)).transpose()?.flatten();
    let Some(swept) = swept else {
        rebuild::request(app, sale.listing.event.id);
        return Ok(false);
    };
    crate::holds::note_expired(app, sale.listing.event.id, &swept.over);
    let mut served = 0;
    for ((id, account, plan), reply) in tried.into_iter().zip(replies) {
        let held = grips::read_held(&reply, &plan).ok_or_else(|| reply.bad(&scripts::HOLD))?;
        if matches!(held, Held::Held { .. }) {
            served += 1;
            app.seekers.found(sale.listing.event.id, account);
            hand_over(app, sale, id, account).await?;
        } else if is_final(&held) {
            over.push(id);
        }
    }
    metrics::counter!("onsale_asks_served_total").increment(served);
    if !over.is_empty() {
        line::unask(&app.redis, sale, None, &over).await?;
    }
    Ok(swept.more || served > 0)
}

/// Takes a served ask out of the line. If it was given up after the line was read, its asker
/// doesn't want the hold any more.
async fn hand_over(app: &App, sale: &Sale, ask: AskId, account: AccountId) -> Result<(), Trouble> {
    if line::unask(&app.redis, sale, None, &[ask]).await? == Some(0) {
        grips::release(&app.redis, sale, hold_of(ask), Letting::Buyer(account)).await?;
    }
    Ok(())
}

/// Whether the ask has left the line with this answer. The others may be served another time.
fn is_final(held: &Held) -> bool {
    match held {
        Held::Held { .. }
        | Held::Again { .. }
        | Held::Mismatch
        | Held::Finished
        | Held::Limit(_)
        | Held::Window(_)
        | Held::Promo => true,
        Held::Stale
        | Held::Closed(_)
        | Held::Quota { .. }
        | Held::Orphan(_)
        | Held::Taken { .. }
        | Held::None { .. } => false,
    }
}

/// The asks that are tried, oldest first. If there are too many, the oldest of each kind come
/// before the second ones of any: many who ask for what never comes don't stand in the way of
/// those who ask for something else.
fn chosen(asks: Vec<InLine>) -> Vec<InLine> {
    if asks.len() <= MAX_TRIED {
        return asks;
    }
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let mut ranked: Vec<(usize, usize, InLine)> = Vec::with_capacity(asks.len());
    for (age, ask) in asks.into_iter().enumerate() {
        let before = kinds.entry(kind(&ask.wish)).or_default();
        ranked.push((*before, age, ask));
        *before += 1;
    }
    ranked.sort_by_key(|(before, age, _)| (*before, *age));
    ranked.truncate(MAX_TRIED);
    ranked.sort_by_key(|(_, age, _)| *age);
    ranked.into_iter().map(|(_, _, ask)| ask).collect()
}

/// Asks of one kind fit the same places.
fn kind(kept: &str) -> String {
    let kept: Option<Kept> = serde_json::from_str(kept).ok();
    kept.and_then(|kept| serde_json::to_string(&kept.wish.lines).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, OfferId};

    fn ask(offer: OfferId, best: usize) -> InLine {
        let lines = format!(r#"[{{"offer":"{offer}","best":{best}}}]"#);
        let wish = format!(r#"{{"wish":{{"lines":{lines}}},"pass":null}}"#);
        InLine { id: AskId::fresh(), digest: String::new(), account: AccountId::fresh(), wish }
    }

    #[test]
    fn a_short_line_is_tried_whole() {
        let offer = OfferId::fresh();
        let asks: Vec<_> = (0..MAX_TRIED).map(|_| ask(offer, 2)).collect();
        assert_eq!(chosen(asks.clone()), asks);
    }

    #[test]
    fn the_oldest_of_each_kind_are_tried_in_order_of_age() {
        let (one, other) = (OfferId::fresh(), OfferId::fresh());
        let mut asks: Vec<_> = (0..500).map(|_| ask(one, 50)).collect();
        asks.extend((0..3).map(|_| ask(one, 2)));
        asks.extend((0..3).map(|_| ask(other, 2)));
        let chosen = chosen(asks.clone());
        assert_eq!(chosen.len(), MAX_TRIED);
        assert_eq!(chosen[..MAX_TRIED - 6], asks[..MAX_TRIED - 6]);
        assert_eq!(chosen[MAX_TRIED - 6..], asks[500..]);
    }
}
