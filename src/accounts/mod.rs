//! Buyers. Until they sign in, a buyer is the subject of an anonymous session, of which nothing
//! is stored, and an e-mail address at checkout.
//!
//! Who signs in proves that they read an address's mail, by a six-digit code or a link
//! (`code.rs`, `sign_in.rs`), and gets a session that can be seen, rotated and revoked
//! (`sessions.rs`). Tokens of both kinds are verified without asking anybody (`token.rs`); each
//! process follows the sessions that were revoked (`revoked.rs`).
//!
//! Nothing here tells whether an address has an account.

pub mod code;
pub mod email;
pub mod http;
pub mod revoked;
pub mod sessions;
pub mod sign_in;
pub mod store;
pub mod token;

use crate::app::App;
use crate::catalog::Event;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, SessionId};

/// Who a valid token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose holds and orders are made with it.
    pub account: AccountId,
    /// The signed-in session; none for an anonymous one.
    pub signed_in: Option<SessionId>,
}

/// Whose token this is, if it is valid now and its session wasn't revoked. Asks nobody.
#[must_use]
pub fn session_of(app: &App, token: &str) -> Option<Session> {
    let now = app.now();
    let session = app.keyring.read_token(token, now).filter(|token| token.is_alive(now))?.session;
    let revoked = session.signed_in.is_some_and(|id| app.revoked.contains(id));
    (!revoked).then_some(session)
}

/// Refuses an anonymous session where the event demands an account.
///
/// # Errors
/// `sign_in_needed`.
pub fn admit(event: &Event, session: &Session) -> Result<(), Problem> {
    if event.needs_account && session.signed_in.is_none() {
        return Err(Problem::new(Code::SignInNeeded));
    }
    Ok(())
}
