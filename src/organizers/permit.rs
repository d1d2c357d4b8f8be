//! Permission as a type: what a handler asks for is what its caller must have.
//!
//! These are checked before a request's body is read, in this order: the key (401), its scope
//! (403), whose the event is (404, also if there is none).

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::keys::{self, Organizer, Scope};
use crate::app::App;
use crate::catalog::cache::Sale;
use crate::http::extract::{Path, bearer};
use crate::http::problem::{Code, Problem};
use crate::ids::{EventId, OrganizerId};
use crate::rehearsals;

/// A scope as a type.
pub trait Permission: Send {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! permissions {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Scope::", stringify!($name), "`] as a type.")]
        pub struct $name;

        impl Permission for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

permissions!(Catalog, Sales, Orders, Refunds, Comps);

/// An organizer whose key allows `P`.
pub struct Can<P> {
    /// The organizer.
    pub organizer: OrganizerId,
    scope: PhantomData<P>,
}

/// An event of the path's `{event}`, of an organizer whose key allows `P`.
pub struct Own<P> {
    /// The organizer.
    pub organizer: OrganizerId,
    /// The event as Postgres has it now.
    pub sale: Arc<Sale>,
    scope: PhantomData<P>,
}

impl Organizer {
    /// Refuses a key without this scope.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden).detail(format!("needs the scope {}", scope.word())))
    }
}

impl FromRequestParts<Arc<App>> for Organizer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        // One answer for every reason: it must not tell which keys exist.
        let refused = || Problem::new(Code::Unauthenticated).detail("send a valid API key");
        let text = bearer(&parts.headers).ok_or_else(refused)?;
        keys::authenticate(&app.pg, text).await?.ok_or_else(refused)
    }
}

impl<P: Permission> FromRequestParts<Arc<App>> for Can<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let organizer = Organizer::from_request_parts(parts, app).await?;
        organizer.require(P::SCOPE)?;
        Ok(Self { organizer: organizer.id, scope: PhantomData })
    }
}

impl<P: Permission> FromRequestParts<Arc<App>> for Own<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Can { organizer, .. } = Can::<P>::from_request_parts(parts, app).await?;
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, app).await?.0;
        let name = path.get("event").ok_or_else(|| Problem::internal("a route has no event"))?;
        let known = app.find_sale(name).await?;
        let missing = || Problem::new(Code::NotFound);
        // An event never changes hands, so what is cached may answer this; the rest must be new.
        if known.listing.event.organizer != organizer {
            return Err(missing());
        }
        let sale = app.catalog.refresh(known.listing.event.id).await?.ok_or_else(missing)?;
        if sale.listing.event.rehearsal && !parts.method.is_safe() {
            rehearsals::check_change(parts.uri.path())?;
        }
        Ok(Self { organizer, sale, scope: PhantomData })
    }
}

impl<P> Own<P> {
    /// The event's id.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.sale.listing.event.id
    }
}
