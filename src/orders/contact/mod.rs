//! How the buyer of a paid order is reached: the confirmation once more, and another address.
//!
//! Whoever sees an order may have its confirmation sent again: it goes where it went before.
//!
//! Naming another address is for who bought alone, because an order's link is passed on together
//! with its tickets, and must not be enough to take the order over. Who bought is the session that
//! checked out; and, unless it had signed in, who signs in with the address that was given at
//! checkout, since reading that mail is what a link doesn't pass on. It is always the address of
//! the checkout that counts, so the right doesn't move with the mails: who is told of a change that
//! they didn't want signs in and undoes it. The link stays good: it opens what it opened before.
//!
//! What limits count by (`orders.account`, `orders.email_key`) stays as it was bought. If it moved
//! along, whoever is at the limit could move an order away and buy the same again.

pub mod http;
pub mod store;

use super::{Order, OrderStatus, moved_on};
use crate::accounts::Session;
use crate::app::App;
use crate::http::problem::{Code, Problem};

/// Checks that this session may say where the order's mails go.
///
/// # Errors
/// `sign_in_needed` for who may have bought without showing it; `forbidden` for who has signed in
/// as somebody else. Or Postgres fails.
pub async fn check(app: &App, order: &Order, session: Option<Session>) -> Result<(), Problem> {
    let Some(session) = session else { return Err(unknown()) };
    if session.account == order.account {
        return Ok(());
    }
    if session.signed_in.is_none() {
        return Err(unknown());
    }
    if store::is_of_checkout(&app.pg, order.id, session.account).await? {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden).detail("somebody else has bought this order"))
}

fn unknown() -> Problem {
    Problem::new(Code::SignInNeeded)
        .detail("only who bought may do this: sign in as then, or with the address given then")
}

/// Only of a paid order there is a confirmation.
fn paid(order: &Order) -> Result<(), Problem> {
    match order.status {
        OrderStatus::Paid => Ok(()),
        other => Err(moved_on(other)),
    }
}
