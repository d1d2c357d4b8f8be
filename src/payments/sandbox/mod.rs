//! The sandbox: a payment provider of our own that behaves like a real one, over real HTTP.
//!
//! It has two halves that share nothing but a secret and the wire:
//!
//! - [`Sandbox`], the client: a [`Provider`](super::Provider). It creates intents in process,
//!   without a call and without state, because everything a payment needs is in a signed
//!   **statement** that travels in the payment page's URL.
//! - [`Acquirer`], the company that takes the money: the hosted payment page, an API, and
//!   signed webhooks with retries. It runs inside another server, or alone by [`run`].
//!
//! # Intents that nobody has touched
//! The acquirer first hears of an intent when its page is opened, when it is paid or when it is
//! cancelled. Before that its reference is an **untouched** intent: fetching it answers `Open`,
//! cancelling it leaves a tombstone, so that the statement can't be paid later. The acquirer
//! never saw the statement then, so it states no amount: the client reports 0 of its currency,
//! which no real intent has (free orders skip the provider). `Succeeded` always states both.
//! An intent's `created_at` is when the acquirer first heard of it, by its own clock; so a list
//! since some moment misses nothing that came afterwards.
//!
//! # Test cards
//! Any expiry in the future, any CVC, any name. The first nine are numbers that Stripe publishes.
//!
//! | number | what happens |
//! |---|---|
//! | 4242 4242 4242 4242, 5555 5555 5555 4444 | approved |
//! | 4000 0000 0000 0002 | declined; another card may be tried |
//! | 4000 0000 0000 9995 | declined: insufficient funds |
//! | 4000 0025 0000 3155, 4000 0000 0000 3220 | 3-D Secure step, then as the buyer chooses |
//! | 4000 0000 0000 7726 | approved; a refund is pending first, succeeds later |
//! | 4000 0000 0000 5126 | approved; a refund is pending first, fails later |
//! | 4000 0000 0000 0259 | approved, then disputed |
//! | 4000 0099 0000 0103 | slow: approved, the answer takes 5 s |
//! | 4000 0099 0000 0202 | late: processing, approved after a minute |
//! | 4000 0099 0000 0301 | never: processing for ever, no webhook |
//! | 4000 0099 0000 0400 | approved, the same event is delivered twice |
//! | 4000 0099 0000 0509 | approved, the same event is delivered ten times |
//! | 4000 0099 0000 0608 | approved, a `processing` event arrives after `succeeded` |
//! | 4000 0099 0000 0707 | approved, the webhook is lost |
//! | 4000 0099 0000 0806 | approved for one minor unit less than asked |
//! | 4000 0098 and seven digits | approved; each has a fingerprint of its own |
//!
//! Any other number is refused before anything is kept: this is no place for a real card.

mod acquirer;
mod answers;
mod api;
mod bank;
mod cards;
mod client;
mod config;
mod events;
mod journal;
mod ledger;
mod money_back;
mod page;
mod plan;
mod record;
mod reversals;
mod sender;
mod statement;
mod test_cards;
#[cfg(test)]
mod tests;
mod views;
mod wire;

pub use acquirer::Acquirer;
pub use cards::own_card;
pub use client::Sandbox;
pub use config::{AcquirerConfig, ClientConfig, ConfigError};
pub use plan::Behaviour;
pub use test_cards::{Scenario, TEST_CARDS, TestCard};
pub use wire::SIGNATURE_HEADER;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the acquirer alone on `listener` until `shutdown`, then lets deliveries under way end.
///
/// # Errors
/// A configuration that can't work, or a listener that fails.
pub async fn run(
    config: AcquirerConfig,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let acquirer = Acquirer::open(config, shutdown.clone())?;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let router: Router = acquirer.router();
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    acquirer.drained().await;
    Ok(())
}
