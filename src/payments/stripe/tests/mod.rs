//! The client against a stateful fake on the wire.

mod calls;
#[path = "../../../../tests/support/stripe_fake/mod.rs"]
mod stripe_fake;
mod webhooks;

use std::time::Duration;

use iso_currency::Currency;

use self::stripe_fake::{SECRET_KEY, StripeFake};
use super::{Stripe, StripeConfig};
use crate::ids::{AttemptId, OrderId};
use crate::money::Money;
use crate::payments::NewIntent;

const WEBHOOK_SECRET: &str = "whsec_of_the_fake_endpoint";
const PUBLISHABLE_KEY: &str = "pk_test_fake";

/// A call that gets no answer fails after this.
const TIMEOUT: Duration = Duration::from_secs(2);

fn config() -> StripeConfig {
    StripeConfig::new(SECRET_KEY, PUBLISHABLE_KEY, WEBHOOK_SECRET)
}

async fn start() -> (StripeFake, Stripe) {
    // Another test may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (fake, api_base) = StripeFake::start().await;
    let config = StripeConfig { api_base, timeout: TIMEOUT, ..config() };
    (fake, Stripe::new(config).expect("a good configuration"))
}

fn new_intent(amount: i64) -> NewIntent {
    NewIntent {
        attempt: AttemptId::fresh(),
        order: OrderId::fresh(),
        amount: Money::new(amount, Currency::EUR),
        description: "2 × Arena & \"Block A\"=1".to_owned(),
        return_url: "https://shop.example/orders/1".to_owned(),
        email: "buyer+1@example.org".to_owned(),
    }
}
