//! What this process has seen and has yet to write: bounded, so that a crowd can't fill it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::store::{self, Owner, Sum, Use};
use super::{Reason, Subject, traces};
use crate::app::App;
use crate::ids::{AccountId, EventId, OrderId};
use crate::payments::settle;

/// What is free of points is counted anew so often, in seconds.
pub const WINDOW_S: i64 = 600;
/// Most sums that wait to be written; what comes then is dropped, and counted as dropped.
const MAX_WAITING: usize = 50_000;
/// Most orders that wait to be looked up.
const MAX_ORDERS: usize = 10_000;
/// The reason of a refund: the card pays for more accounts than it may.
pub const SAME_CARD: &str = "card_of_many_accounts";
/// Most counts of what is still free.
const MAX_TALLIES: usize = 200_000;

type Key = (EventId, Subject, Reason);

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderNote {
    /// It ended without money.
    Unpaid,
    /// It was paid.
    Paid,
    /// It was paid with the card of this fingerprint.
    Charged(String),
    /// A card was declined; its fingerprint, if it is known.
    Declined(Option<String>),
}

/// Points that wait, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Waiting {
    points: f64,
    times: i32,
}

/// How often something happened in a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    window: i64,
    count: u32,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<Key, Waiting>,
    tallies: HashMap<Key, Tally>,
    orders: Vec<(OrderId, Option<Owner>, OrderNote)>,
}

/// What waits to be written.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

impl Ledger {
    /// Counts a reason once. Never waits.
    pub fn note(&self, event: EventId, subject: Subject, reason: Reason, now_s: i64) {
        let (terms, key) = (reason.terms(), (event, subject, reason));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if terms.free > 0 {
            if inner.tallies.len() >= MAX_TALLIES && !inner.tallies.contains_key(&key) {
                return dropped();
            }
            let window = now_s.div_euclid(WINDOW_S);
            let tally = inner.tallies.entry(key).or_default();
            if tally.window != window {
                *tally = Tally { window, count: 0 };
            }
            tally.count = tally.count.saturating_add(1);
            if tally.count <= terms.free {
                return;
            }
        }
        if inner.waiting.len() >= MAX_WAITING && !inner.waiting.contains_key(&key) {
            return dropped();
        }
        let waiting = inner.waiting.entry(key).or_default();
        waiting.points += terms.points;
        waiting.times = waiting.times.saturating_add(1);
    }

    /// Counts what happened to an order, and to whom if that is known. Never waits.
    pub fn note_order(&self, order: OrderId, owner: Option<Owner>, what: OrderNote) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.orders.len() >= MAX_ORDERS {
            return dropped();
        }
        inner.orders.push((order, owner, what));
    }

    /// Forgets counts whose time is over.
    pub fn forget(&self, now_s: i64) {
        let window = now_s.div_euclid(WINDOW_S);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.tallies.retain(|_, tally| tally.window == window);
    }

    fn take_sums(&self) -> Vec<Sum> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        let sum = |((event, subject, reason), waiting): (Key, Waiting)| Sum {
            event,
            subject,
            reason,
            points: waiting.points,
            times: waiting.times,
        };
        waiting.into_iter().map(sum).collect()
    }

    fn take_orders(&self) -> Vec<(OrderId, Option<Owner>, OrderNote)> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.orders)
    }
}

fn dropped() {
    metrics::counter!("onsale_suspicion_dropped_total").increment(1);
}

/// Writes what waits, in one transaction.
///
/// # Errors
/// If Postgres fails. Its commit may have come to pass, so nothing is written again.
pub async fn flush(app: &App) -> sqlx::Result<()> {
    let (ledger, now_s) = (&app.suspicion.ledger, app.now().as_second());
    let orders = ledger.take_orders();
    if !orders.is_empty() {
        whose(app, &orders, now_s).await?;
    }
    let sums = ledger.take_sums();
    if sums.is_empty() {
        return Ok(());
    }
    let mut tx = app.pg.begin().await?;
    store::add(&mut tx, &sums).await?;
    tx.commit().await
}

/// Turns what happened to orders into what counts for and against their buyers.
async fn whose(
    app: &App,
    notes: &[(OrderId, Option<Owner>, OrderNote)],
    now_s: i64,
) -> sqlx::Result<()> {
    let unknown = notes.iter().filter(|(_, owner, _)| owner.is_none());
    let ids: Vec<_> = unknown.map(|(order, ..)| order.0).collect();
    let owners = store::owners(&app.pg, &ids).await?;
    let mut cards = Vec::new();
    for (order, owner, what) in notes {
        let Some(owner) = owner.as_ref().or_else(|| owners.get(order)) else { continue };
        let note = |reason| super::note(app, owner.event, owner.account, owner.traces, reason);
        let card = match what {
            OrderNote::Unpaid => {
                note(Reason::OrderUnpaid);
                None
            }
            OrderNote::Paid => {
                note(Reason::Paid);
                None
            }
            OrderNote::Charged(card) => Some(card),
            OrderNote::Declined(card) => {
                note(Reason::DeclinedCards);
                card.as_ref()
            }
        };
        let Some(card) = card else { continue };
        let card = traces::card(&app.keyring, card);
        if matches!(what, OrderNote::Declined(_)) {
            let subject = Subject { kind: super::Kind::Card, id: card };
            app.suspicion.ledger.note(owner.event, subject, Reason::DeclinedCards, now_s);
        }
        let charged = matches!(what, OrderNote::Charged(_)).then_some(*order);
        cards.push((Use { event: owner.event, card, account: owner.account }, charged));
    }
    let uses: Vec<Use> = cards.iter().map(|(used, _)| *used).collect();
    let mut tx = app.pg.begin().await?;
    let most = i64::from(app.config.suspicion.accounts_per_card);
    let before = store::note_uses(&mut tx, &uses, most).await?;
    tx.commit().await?;
    for ((used, charged), before) in cards.into_iter().zip(before) {
        let Use { event, card, account } = used;
        if before.is_one_too_many() {
            // Who shares a card with many others: each further account counts once.
            let card = Subject { kind: super::Kind::Card, id: card };
            for subject in [Subject::account(account), card] {
                app.suspicion.ledger.note(event, subject, Reason::SameCard, now_s);
            }
        }
        let over = most > 0 && before.others >= most;
        if let Some(order) = charged.filter(|_| over) {
            give_back(app, event, account, order).await;
        }
    }
    Ok(())
}

/// Gives back what was paid with a card that pays for too many accounts, unless the organizer
/// trusts this one.
async fn give_back(app: &App, event: EventId, account: AccountId, order: OrderId) {
    if app.suspicion.standings.trusts(event, account) {
        return;
    }
    tracing::info!(%event, %order, "the card has paid for too many accounts: giving it back");
    metrics::counter!("onsale_card_limit_total").increment(1);
    if let Err(problem) = settle::request_refund(app, order, SAME_CARD).await {
        tracing::warn!(%order, ?problem, "what a card paid for too many can't be given back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_notes_are_one_sum_and_the_first_may_be_free() {
        let ledger = Ledger::default();
        let (event, buyer) = (EventId::fresh(), Subject::account(AccountId::fresh()));
        for _ in 0..5 {
            ledger.note(event, buyer, Reason::HoldExpired, 0);
            ledger.note(event, buyer, Reason::HoldsLetGo, 0);
        }
        let mut sums = ledger.take_sums();
        sums.sort_by_key(|sum| sum.reason);
        let told: Vec<_> = sums.iter().map(|sum| (sum.reason, sum.points, sum.times)).collect();
        assert_eq!(told, [(Reason::HoldExpired, 5.0, 5), (Reason::HoldsLetGo, 0.5, 2)]);
        assert!(ledger.take_sums().is_empty());
        // What is free is so anew after a while.
        ledger.forget(WINDOW_S);
        ledger.note(event, buyer, Reason::HoldsLetGo, WINDOW_S);
        assert!(ledger.take_sums().is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let ledger = Ledger::default();
        let event = EventId::fresh();
        for _ in 0..MAX_WAITING + 10 {
            ledger.note(event, Subject::account(AccountId::fresh()), Reason::HoldExpired, 0);
            ledger.note_order(OrderId::fresh(), None, OrderNote::Unpaid);
        }
        assert_eq!(ledger.take_sums().len(), MAX_WAITING);
        assert_eq!(ledger.take_orders().len(), MAX_ORDERS);
    }
}
