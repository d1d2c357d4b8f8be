//! The sessions that were revoked while a token of theirs may still be good: known to every
//! process, so that verifying a token asks nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::store;
use super::token::TOKEN_S;
use crate::app::App;
use crate::ids::SessionId;
use crate::keyring::FUTURE_S;

/// How often Postgres is asked. A revocation is felt everywhere after at most this and one query.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// How long one look may take.
const FOLLOW_WITHIN: Duration = Duration::from_secs(5);
/// Each look goes back before the last one by so much: revocations become visible when they are
/// committed, not when they were written.
const OVERLAP: Duration = Duration::from_secs(60);
/// A revocation is forgotten after this: every token of the session is too old by then, even one
/// issued by a clock that was ahead.
const KEEP: Duration = Duration::from_secs((TOKEN_S + FUTURE_S).unsigned_abs());
/// How often the old ones are dropped.
const DROP_EVERY: Duration = Duration::from_mins(1);

/// What was revoked lately.
#[derive(Debug, Default)]
pub struct Revoked(DashMap<SessionId, Instant>);

impl Revoked {
    /// Whether this session was revoked.
    #[must_use]
    pub fn contains(&self, id: SessionId) -> bool {
        self.0.contains_key(&id)
    }

    /// Notes a revocation.
    pub fn add(&self, id: SessionId) {
        self.0.entry(id).or_insert_with(Instant::now);
    }

    /// Reads what was revoked since `back` ago.
    ///
    /// # Errors
    /// If Postgres fails.
    async fn look(&self, pg: &PgPool, back: Duration) -> sqlx::Result<()> {
        for id in store::revoked_within(pg, back.min(KEEP).as_secs_f64()).await? {
            self.add(SessionId(id));
        }
        Ok(())
    }

    fn drop_old(&self) {
        self.0.retain(|_, since| since.elapsed() < KEEP + OVERLAP);
    }
}

/// Reads all of it, then follows Postgres until the process stops.
///
/// # Errors
/// If Postgres fails: nobody must be served before it is known who isn't to be.
pub async fn start(app: &Arc<App>) -> sqlx::Result<()> {
    let read = Instant::now();
    app.revoked.look(&app.pg, KEEP).await?;
    tokio::spawn(follow(app.revoked.clone(), app.pg.clone(), read, app.stop.child_token()));
    Ok(())
}

async fn follow(revoked: Arc<Revoked>, pg: PgPool, mut read: Instant, stop: CancellationToken) {
    let mut dropped = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
        }
        let begun = Instant::now();
        // As far back as the last look that succeeded: an outage hides nothing.
        let looked = revoked.look(&pg, begun - read + OVERLAP);
        match tokio::time::timeout(FOLLOW_WITHIN, looked).await {
            Ok(Ok(())) => read = begun,
            Ok(Err(error)) => tracing::warn!(%error, "revoked sessions can't be followed"),
            Err(late) => tracing::warn!(%late, "revoked sessions can't be followed"),
        }
        if dropped.elapsed() > DROP_EVERY {
            dropped = Instant::now();
            revoked.drop_old();
        }
    }
}
