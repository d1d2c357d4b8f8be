//! Which provider takes which money: the one place where that is decided.
//!
//! Nobody gets hold of a provider without saying for which event, or which payment that was begun
//! there. So a rehearsal can't charge anybody: the shadow's gateway has nobody to ask.

use std::sync::Arc;

use super::Gateway;
use super::rehearsal::Rehearsal;
use crate::catalog::Event;

/// The providers of a process.
pub struct Gateways {
    configured: Gateway,
    rehearsal: Gateway,
    unpaid: Arc<Rehearsal>,
}

impl Gateways {
    /// The configured provider, and what takes its place in rehearsals.
    #[must_use]
    pub fn new(configured: Gateway, unpaid: Arc<Rehearsal>) -> Self {
        Self { configured, rehearsal: unpaid.clone(), unpaid }
    }

    /// Where orders of this event are paid.
    #[must_use]
    pub fn of(&self, event: &Event) -> &Gateway {
        if event.rehearsal { &self.rehearsal } else { &self.configured }
    }

    /// Where a payment was begun, by the provider's name. None for one that is configured no more.
    #[must_use]
    pub fn named(&self, provider: &str) -> Option<&Gateway> {
        self.all().into_iter().find(|gateway| gateway.name() == provider)
    }

    /// The configured provider: the only one that sends webhooks.
    #[must_use]
    pub fn configured(&self) -> &Gateway {
        &self.configured
    }

    /// What rehearsals are paid with, to present test cards to.
    #[must_use]
    pub fn unpaid(&self) -> &Rehearsal {
        &self.unpaid
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Gateway; 2] {
        [&self.configured, &self.rehearsal]
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.all().map(|gateway| gateway.name().to_owned()).to_vec()
    }
}
