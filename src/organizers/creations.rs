//! Creating requests have one effect: the same `Idempotency-Key` finds what it made before.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::http::problem::{Code, Problem};
use crate::ids::OrganizerId;

/// A creating request: who asks for what.
pub struct Creation {
    id: Uuid,
    digest: [u8; 16],
}

/// Whether the request is the first of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Make it, with this id, in the same transaction.
    New(Uuid),
    /// It was made before, with this id.
    Again(Uuid),
}

fn derived(kind: &str, organizer: OrganizerId, route: &str, key: &str) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"onsale creation 1");
    for part in [kind.as_bytes(), organizer.0.as_bytes(), route.as_bytes(), key.as_bytes()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl Creation {
    /// The request that `organizer` sent to `route` under `key`. A route names what it is about:
    /// the same key may be used once on each.
    #[must_use]
    pub fn new(organizer: OrganizerId, route: &str, key: &str, request: &impl Serialize) -> Self {
        Self {
            id: derived("request", organizer, route, key),
            digest: crate::holds::digest(request),
        }
    }

    /// Begins the request, or finds what it made. A second one that is sent meanwhile waits here
    /// for the end of the first one's transaction.
    ///
    /// # Errors
    /// `idempotency_mismatch`, or Postgres fails.
    pub async fn begin(&self, pg: &mut PgConnection) -> Result<Begun, Problem> {
        // Rows of organizers are listed in the order of their creation: so ids are by time, and
        // remembered here rather than derived.
        let fresh = Uuid::now_v7();
        let born = sqlx::query!(
            "INSERT INTO creations (id, digest, made) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO NOTHING",
            self.id,
            &self.digest[..],
            fresh
        );
        if born.execute(&mut *pg).await?.rows_affected() == 1 {
            return Ok(Begun::New(fresh));
        }
        let known = sqlx::query!("SELECT digest, made FROM creations WHERE id = $1", self.id);
        let known = known.fetch_one(pg).await?;
        if known.digest != self.digest {
            return Err(Problem::new(Code::IdempotencyMismatch));
        }
        Ok(Begun::Again(known.made))
    }

    /// Whether the request was done before; for what is made in a transaction of its own.
    ///
    /// # Errors
    /// `idempotency_mismatch`, or Postgres fails.
    pub async fn is_done(&self, pg: &PgPool) -> Result<bool, Problem> {
        let known = sqlx::query_scalar!("SELECT digest FROM creations WHERE id = $1", self.id);
        match known.fetch_optional(pg).await? {
            Some(digest) if digest != self.digest => Err(Problem::new(Code::IdempotencyMismatch)),
            known => Ok(known.is_some()),
        }
    }

    /// Remembers that the request was done.
    ///
    /// # Errors
    /// `idempotency_mismatch`, or Postgres fails.
    pub async fn note_done(&self, pg: &PgPool) -> Result<(), Problem> {
        let mut connection = pg.acquire().await?;
        self.begin(&mut connection).await.map(|_| ())
    }

    /// An account that belongs to this request alone.
    #[must_use]
    pub fn account(organizer: OrganizerId, route: &str, key: &str) -> crate::ids::AccountId {
        crate::ids::AccountId(derived("account", organizer, route, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_organizer_route_and_key() {
        let (mine, theirs) = (OrganizerId::fresh(), OrganizerId::fresh());
        let id = |organizer, route, key| derived("request", organizer, route, key);
        let first = id(mine, "venues", "k");
        assert_eq!(first, id(mine, "venues", "k"));
        assert_ne!(first, id(theirs, "venues", "k"));
        assert_ne!(first, id(mine, "events", "k"));
        assert_ne!(first, id(mine, "venues", "l"));
        // Parts can't be shifted into one another.
        assert_ne!(id(mine, "ab", "c"), id(mine, "a", "bc"));
        assert_ne!(first, derived("account", mine, "venues", "k"));
    }
}
