//! A connection of one's own, for who asks Postgres all the time and one thing after the other.
//!
//! A pool asks every connection whether it lives, before it is used and twice after: four round
//! trips where one does the work. Here they are saved while the connection is in use; after a
//! pause it is asked once, and after any error that isn't an answer of Postgres it goes back to
//! the pool, which finds out.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};

/// A connection that was idle for so long is asked whether it lives.
const IDLE: Duration = Duration::from_secs(1);

/// A pool, and the connection that is kept out of it.
pub struct Kept {
    pool: PgPool,
    connection: Mutex<Option<(PoolConnection<Postgres>, Instant)>>,
}

/// The connection, in use.
pub struct Taken<'a> {
    kept: &'a Kept,
    connection: PoolConnection<Postgres>,
}

impl Kept {
    /// None is kept yet.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool, connection: Mutex::new(None) }
    }

    /// Takes the connection, or another one while that is taken. Dropped without
    /// [`Taken::give_back`], it goes through the pool's tests: so a query that was given up in
    /// the middle leaves nothing behind.
    ///
    /// # Errors
    /// If none can be had in time.
    pub async fn take(&self) -> sqlx::Result<Taken<'_>> {
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut connection, since)) = kept
            && (since.elapsed() < IDLE || connection.ping().await.is_ok())
        {
            return Ok(Taken { kept: self, connection });
        }
        Ok(Taken { kept: self, connection: self.pool.acquire().await? })
    }
}

impl Taken<'_> {
    /// Keeps the connection, if Postgres has answered.
    ///
    /// # Errors
    /// The answer's own.
    pub fn give_back<T>(self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        if matches!(answer, Ok(_) | Err(sqlx::Error::Database(_))) {
            let kept = self.kept.connection.lock();
            let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
            // Two may have been taken at once: one is kept.
            kept.get_or_insert((self.connection, Instant::now()));
        }
        answer
    }
}

impl Deref for Taken<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
