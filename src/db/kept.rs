//! A connection of one's own, for who asks Postgres all the time and one thing after the other.
//!
//! A pool asks every connection whether it lives, before it is used and twice after: four round
//! trips where one does the work. Here they are saved while the connection is in use; after a
//! pause it is asked once, and after any error that isn't an answer of Postgres it goes back to
//! the pool, which finds out.
//!
//! Where there is none, one is made, and that goes on when whoever asked has given up: a Postgres
//! so busy that it takes longer than anybody waits would else never be connected to again.
//!
//! Every few seconds its plans are made anew. A plan that was made when the sale began, while the
//! tables were empty, walks through the whole of them for each batch, and Postgres would keep it
//! until it next gathers statistics: a minute, in which the surge is over.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::sync::oneshot;

/// A connection that was idle for so long is asked whether it lives.
const IDLE: Duration = Duration::from_secs(1);
/// Plans are not older than this. Making those of a batch takes a few milliseconds.
const PLANS: Duration = Duration::from_secs(3);
/// How long is waited for a connection that has to be made: there may be others next time.
const MADE_WITHIN: Duration = Duration::from_secs(2);

/// A pool, and the connection that is kept out of it.
pub struct Kept {
    pool: PgPool,
    resting: Arc<Resting>,
}

/// Where the connection is between two uses.
#[derive(Default)]
struct Resting(Mutex<Option<Rested>>);

/// The connection, between two uses.
struct Rested {
    connection: PoolConnection<Postgres>,
    since: Instant,
    planned: Instant,
}

/// The connection, in use.
pub struct Taken<'a> {
    kept: &'a Kept,
    connection: PoolConnection<Postgres>,
    planned: Instant,
}

impl Kept {
    /// None is kept yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, resting: Arc::default() }
    }

    /// Takes the connection, or another one while that is taken. Dropped without
    /// [`Taken::give_back`], it goes through the pool's tests: so a query that was given up in
    /// the middle leaves nothing behind.
    ///
    /// # Errors
    /// If none can be had in time.
    pub async fn take(&self) -> sqlx::Result<Taken<'_>> {
        if let Some(Rested { mut connection, since, planned }) = self.resting.take() {
            if planned.elapsed() >= PLANS {
                if sqlx::raw_sql("DISCARD PLANS").execute(&mut *connection).await.is_ok() {
                    return Ok(Taken { kept: self, connection, planned: Instant::now() });
                }
            } else if since.elapsed() < IDLE || connection.ping().await.is_ok() {
                return Ok(Taken { kept: self, connection, planned });
            }
        }
        let connection = self.make().await?;
        Ok(Taken { kept: self, connection, planned: Instant::now() })
    }

    /// One of the pool's. What comes too late rests for the next who asks.
    async fn make(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let (pool, resting) = (self.pool.clone(), self.resting.clone());
        let (made, wanted) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(Ok(late)) = made.send(pool.acquire().await) {
                resting.put(late, Instant::now());
            }
        });
        let made = tokio::time::timeout(MADE_WITHIN, wanted).await;
        made.map_err(|_| sqlx::Error::PoolTimedOut)?.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }
}

impl Resting {
    fn take(&self) -> Option<Rested> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One rests here; others go back to the pool.
    fn put(&self, connection: PoolConnection<Postgres>, planned: Instant) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.get_or_insert(Rested { connection, since: Instant::now(), planned });
    }
}

impl Taken<'_> {
    /// Keeps the connection, if Postgres has answered.
    ///
    /// # Errors
    /// The answer's own.
    pub fn give_back<T>(self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        if matches!(answer, Ok(_) | Err(sqlx::Error::Database(_))) {
            let Self { kept, connection, planned } = self;
            // Two may have been taken at once: one is kept.
            kept.resting.put(connection, planned);
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
