//! Denial of inventory: who holds places and never pays is seen, gets shorter holds, and then has
//! to wait between them.
//!
//! A score is a sum of named [`Reason`]s, each with points that fade. They are kept for accounts,
//! devices, address prefixes and cards, in Postgres: written in batches ([`ledger`]) and followed
//! by every process in bounded memory ([`standings`]), so that a hold costs two look-ups and no
//! I/O. Redis has no part in it.
//!
//! - A prefix is shared by households, schools and whole mobile networks. It only ever adds to
//!   what an account or device has done itself, and at most as much again ([`verdict`]).
//! - Nobody is refused without being told the reasons and a way to appeal. Signing in and paying
//!   lower a score, and an organizer can overrule it.
//! - What ends is counted at most once: by the process to which the script or the commit that
//!   ended it answered. If that process dies before it has written, nothing is counted.

pub mod config;
pub mod http;
pub mod ledger;
pub mod reason;
pub mod standings;
pub mod store;
pub mod traces;
pub mod verdict;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::reason::Reason;
use self::store::Owner;
pub use self::traces::Traces;
pub use self::verdict::{Lasting, Verdict};
use crate::app::App;
use crate::holds::record::PriceSnapshot;
use crate::http::problem::{Code, Problem};
use crate::ids::{AccountId, EventId, OrderId};

/// The event of what belongs to no event alone.
pub const ANYWHERE: EventId = EventId(Uuid::nil());
/// How long one exchange with Postgres may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What a score is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An account, anonymous ones included.
    Account,
    /// A browser or app, by the token that it keeps.
    Device,
    /// An address prefix, as limits have it.
    Prefix,
    /// A payment card, by the provider's fingerprint.
    Card,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Account, Self::Device, Self::Prefix, Self::Card];

    /// As in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Device => "device",
            Self::Prefix => "prefix",
            Self::Card => "card",
        }
    }

    /// From its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Whom a score is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// The account's or device's id, or a keyed hash of anything else.
    pub id: Uuid,
}

impl Subject {
    /// An account.
    #[must_use]
    pub const fn account(account: AccountId) -> Self {
        Self { kind: Kind::Account, id: account.0 }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.word(), self.id.simple())
    }
}

impl FromStr for Subject {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, id) = text.split_once('-').ok_or(())?;
        let subject = Self { kind: Kind::named(kind).ok_or(())?, id: id.parse().map_err(|_| ())? };
        // One way to write each.
        if subject.to_string() == text { Ok(subject) } else { Err(()) }
    }
}

/// What this process knows and has yet to write.
#[derive(Default)]
pub struct Suspicion {
    /// What Postgres says.
    pub standings: standings::Standings,
    /// What it has not been told.
    pub ledger: ledger::Ledger,
}

/// Whether a buyer may hold places now, and for how long. From memory alone.
///
/// # Errors
/// `cooldown` or `blocked`, each with `reasons` and an `appeal`.
pub fn check(
    app: &App,
    event: EventId,
    account: AccountId,
    traces: Traces,
) -> Result<Lasting, Problem> {
    let config = &app.config.suspicion;
    if !config.enabled {
        return Ok(Lasting::Full);
    }
    let now_s = app.now().as_second();
    let verdict = app.suspicion.standings.judge(config, event, account, traces, now_s);
    let refused = |code| {
        metrics::counter!("onsale_suspects_refused_total").increment(1);
        let problem = Problem::new(code).with("reasons", &verdict.reasons);
        problem.with("appeal", &config.appeal).detail(&config.appeal)
    };
    if verdict.blocked {
        return Err(refused(Code::Blocked));
    }
    match verdict.wait_s {
        Some(wait_s) => Err(refused(Code::Cooldown).retry_after(wait_s)),
        None => Ok(verdict.lasting),
    }
}

/// Points of a buyer on an event, for what asks more of suspects: none for who has done nothing.
#[must_use]
pub fn points(app: &App, event: EventId, account: AccountId, traces: Traces) -> f64 {
    let config = &app.config.suspicion;
    if !config.enabled {
        return 0.0;
    }
    let now_s = app.now().as_second();
    app.suspicion.standings.judge(config, event, account, traces, now_s).points
}

/// Something that counts for or against a buyer: for account and device alike, and for the prefix
/// if it is against them.
pub fn note(app: &App, event: EventId, account: AccountId, traces: Traces, reason: Reason) {
    if !app.config.suspicion.enabled {
        return;
    }
    let subjects = traces
        .subjects()
        .filter(|subject| subject.kind != Kind::Prefix || reason.terms().points > 0.0);
    for subject in std::iter::once(Subject::account(account)).chain(subjects) {
        app.suspicion.ledger.note(event, subject, reason, app.now().as_second());
    }
}

/// Something that counts for a prefix alone.
pub fn note_prefix(app: &App, event: EventId, traces: Traces, reason: Reason) {
    let prefix = traces.subjects().find(|subject| subject.kind == Kind::Prefix);
    if let Some(prefix) = prefix.filter(|_| app.config.suspicion.enabled) {
        app.suspicion.ledger.note(event, prefix, reason, app.now().as_second());
    }
}

/// Holds ended unpaid: by the script's answer, which names each only once.
pub fn note_expired(app: &App, event: EventId, over: &[(AccountId, String)]) {
    for (account, opaque) in over {
        let prices: Option<PriceSnapshot> = serde_json::from_str(opaque).ok();
        let traces = prices.map_or(Traces::NONE, |prices| prices.traces);
        note(app, event, *account, traces, Reason::HoldExpired);
    }
}

/// Something that happened to an order; whose it is is looked up later if it isn't known.
pub fn note_order(app: &App, order: OrderId, what: ledger::OrderNote) {
    if app.config.suspicion.enabled {
        let known = app.recent.of(order);
        let owner = known.map(|known| Owner {
            event: known.follower.event,
            account: known.follower.entry.account,
            traces: known.traces,
        });
        app.suspicion.ledger.note_order(order, owner, what);
    }
}

/// Writes what is to be written and reads what has changed, until stopped.
pub async fn follow(app: Arc<App>, stop: CancellationToken) {
    let every = Duration::from_millis(app.config.suspicion.follow_ms);
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(every) => false,
        };
        match tokio::time::timeout(WITHIN, run_once(&app)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "suspicion can't be followed"),
            Err(late) => tracing::warn!(%late, "suspicion can't be followed"),
        }
        if stopped {
            return;
        }
    }
}

/// Writes what is to be written and reads what has changed.
///
/// # Errors
/// If Postgres fails. What was to be written is lost then, rather than counted twice.
pub async fn run_once(app: &App) -> sqlx::Result<()> {
    if !app.config.suspicion.enabled {
        return Ok(());
    }
    let written = ledger::flush(app).await;
    app.suspicion.standings.refresh(&app.pg, app.config.suspicion.max_subjects).await?;
    app.suspicion.ledger.forget(app.now().as_second());
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_one_name() {
        for kind in Kind::ALL {
            let subject = Subject { kind, id: Uuid::now_v7() };
            assert_eq!(subject.to_string().parse(), Ok(subject));
            assert!(subject.to_string().to_uppercase().parse::<Subject>().is_err());
        }
        for text in ["", "account", "account-", "robot-00000000000000000000000000000000"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
