//! Access codes: who may buy an offer, or join a lane of the waiting room, before others.
//!
//! ```text
//! code set ──▶ codes ──redeemed──▶ grant ──▶ join a lane, hold an offer
//! organizer    keyed hashes       token,     checked without I/O
//!              only               no row
//! ```
//!
//! A code is redeemed once per account ([`store::redeem`]): a constraint in Postgres decides how
//! many accounts that may be. The answer is a [`grant::Grant`], a signed token that names event,
//! account, set and code, and is of no use to anybody else. A single-use code whose hold expires
//! is not lost: the grant stays with the account.
//!
//! Whether a grant counts at a moment is said by the set as the listing has it ([`CodeSet`]): its
//! window, and whether it, or the code, was revoked.

pub mod code;
pub mod grant;
pub mod http;
pub mod import;
pub mod store;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::ids::AccountId;

/// Most codes of a set.
pub const MAX_CODES: i32 = 1_000_000;
/// Most codes that one request makes.
pub const MAX_AT_ONCE: usize = 100_000;

/// Whose the codes of a set are.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, sqlx::Type,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Binding {
    /// Whoever has one may redeem it.
    Bearer,
    /// Each is one account's.
    Account,
    /// Each is one e-mail address's: only an account with that address may redeem it.
    Email,
}

/// A set of codes as everybody's listing knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSet {
    /// Its id.
    pub id: Uuid,
    /// Its name, for organizers and for who has a grant.
    pub name: String,
    /// From when grants count.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// Whether the whole set was revoked.
    pub revoked: bool,
    /// Codes that were redeemed before they were revoked.
    pub revoked_codes: HashSet<i64>,
}

impl CodeSet {
    /// Whether a grant that was given for this code counts now.
    #[must_use]
    pub fn is_open(&self, code: i64, now: Timestamp) -> bool {
        !self.revoked
            && self.starts_at.is_none_or(|from| now >= from)
            && self.ends_at.is_none_or(|until| now < until)
            && !self.revoked_codes.contains(&code)
    }
}

/// The normalised address of an account, which has proved it by signing in: needed for codes that
/// are bound to an address. An anonymous session has none.
///
/// # Errors
/// If Postgres fails.
pub async fn proven_email(app: &App, account: AccountId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT email_key FROM accounts WHERE id = $1", account.0)
        .fetch_optional(&app.pg)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_counts_within_the_window_unless_it_was_revoked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut set = CodeSet {
            id: Uuid::nil(),
            name: "Fans".into(),
            starts_at: Some(at(10)),
            ends_at: Some(at(20)),
            revoked: false,
            revoked_codes: HashSet::from([7]),
        };
        assert!(set.is_open(1, at(10)) && set.is_open(1, at(19)));
        assert!(!set.is_open(1, at(9)) && !set.is_open(1, at(20)) && !set.is_open(7, at(15)));
        set.revoked = true;
        assert!(!set.is_open(1, at(15)));
    }
}
