//! Sessions of people who have signed in: rotated, listed, revoked.
//!
//! A token is good for an hour, and for rotating its session as long as that lives. Each rotation
//! raises the session's generation. Who comes with the generation before it within the grace has
//! raced with another tab, and gets the new one as well; who comes with an older one shows that
//! two have had the same token, and the session ends for both.

use super::store::{self, Locked};
use super::token::{TOKEN_S, Token};
use crate::app::App;
use crate::ids::{AccountId, SessionId};

/// Signed-in sessions of one account that may live at once; the oldest ends.
pub const MAX_SESSIONS: i64 = 20;
/// A session that isn't rotated for so long ends, in seconds: 7 days.
pub const IDLE_S: i64 = 7 * 24 * 3_600;
/// No session lives longer, in seconds: 90 days.
pub const LONGEST_S: i64 = 90 * 24 * 3_600;
/// How long the generation before the current one may still rotate, in seconds.
pub const GRACE_S: f64 = 30.0;
/// Age from which on pages rotate by themselves, in seconds.
pub const ROTATE_FROM_S: i64 = TOKEN_S / 2;

/// What became of a rotation.
#[derive(Clone, Debug)]
pub enum Rotated {
    /// The session goes on with this token.
    To(String),
    /// It has ended, perhaps just now.
    Over,
}

/// What a token of this generation may do to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The next generation.
    Raise,
    /// The current generation again.
    Same,
    /// Nothing: another has rotated with the same token.
    Stolen,
    /// Nothing: it has ended.
    Over,
}

const fn turn(row: Locked, generation: i32) -> Turn {
    if row.over {
        return Turn::Over;
    }
    if generation == row.generation {
        // Raised once per grace at most, so that nobody who races is two generations behind. One
        // that has just begun was in no race.
        return if row.fresh && row.generation > 1 { Turn::Same } else { Turn::Raise };
    }
    if row.fresh && generation == row.generation - 1 { Turn::Same } else { Turn::Stolen }
}

/// Rotates the session of an authentic signed-in token, which may be older than its hour.
///
/// # Errors
/// If Postgres fails; the token is what it was.
pub async fn rotate(app: &App, token: &Token) -> sqlx::Result<Rotated> {
    let (account, now) = (token.session.account, app.now());
    let Some(id) = token.session.signed_in else { return Ok(Rotated::Over) };
    if token.age_s(now) >= IDLE_S || app.revoked.contains(id) {
        return Ok(Rotated::Over);
    }
    let mut tx = app.pg.begin().await?;
    let Some(row) = store::lock_session(&mut tx, id, account).await? else {
        return Ok(Rotated::Over);
    };
    let generation = match turn(row, token.generation) {
        Turn::Raise => {
            store::raise_generation(&mut tx, id).await?;
            row.generation + 1
        }
        Turn::Same => row.generation,
        Turn::Stolen => {
            store::revoke(&mut *tx, id, account).await?;
            tx.commit().await?;
            app.revoked.add(id);
            metrics::counter!("onsale_sessions_stolen_total").increment(1);
            tracing::warn!(session = %id, %account, "an old token came back: its session is ended");
            return Ok(Rotated::Over);
        }
        Turn::Over => return Ok(Rotated::Over),
    };
    tx.commit().await?;
    Ok(Rotated::To(app.keyring.signed_in(id, account, generation, now)))
}

/// Ends a session of this account; every process knows within moments. False if there is none.
///
/// # Errors
/// If Postgres fails.
pub async fn revoke(app: &App, id: SessionId, account: AccountId) -> sqlx::Result<bool> {
    let revoked = store::revoke(&app.pg, id, account).await?;
    if revoked {
        app.revoked.add(id);
    }
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: i32, fresh: bool) -> Locked {
        Locked { generation, fresh, over: false }
    }

    #[test]
    fn a_rotation_is_raced_within_the_grace_and_stolen_after_it() {
        assert_eq!(turn(row(1, true), 1), Turn::Raise, "just signed in");
        assert_eq!(turn(row(2, true), 1), Turn::Same, "another tab was faster");
        assert_eq!(turn(row(2, true), 2), Turn::Same, "once per grace");
        assert_eq!(turn(row(2, false), 2), Turn::Raise);
        assert_eq!(turn(row(2, false), 1), Turn::Stolen);
        assert_eq!(turn(row(3, true), 1), Turn::Stolen);
        assert_eq!(turn(row(1, true), 2), Turn::Stolen, "of a future that never was");
        assert_eq!(turn(Locked { over: true, ..row(2, true) }, 2), Turn::Over);
    }
}
