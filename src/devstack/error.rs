//! What can go wrong while servers are found, fetched, started or stopped.

use std::io;
use std::path::{Path, PathBuf};

/// The reason given for a program that isn't there.
pub(super) const NOT_INSTALLED: &str = "not installed";

/// Why the devstack could not do what was asked. Each message is one line, fit for a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevstackError {
    /// No usable server was found on the machine, and none could be fetched.
    #[error("{server} could not be found or fetched ({reason}). Install it: {install}")]
    Missing {
        /// The server as people call it.
        server: &'static str,
        /// What was tried, and how each try ended.
        reason: String,
        /// The one command that helps.
        install: String,
    },
    /// The cluster was created by another major version of Postgres than any that was found.
    #[error(
        "the database cluster in {cluster} was created by Postgres {created_by}, which could not \
         be found ({reason}). Install that version, or remove the directory to start afresh"
    )]
    OtherMajor {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The major version that created it.
        created_by: u32,
        /// What was found instead.
        reason: String,
    },
    /// Another process owns, or several share, the data directory.
    #[error("the data directory {0} is in use by another onsale process; stop it first")]
    InUse(PathBuf),
    /// Root may not run Postgres, and no other account exists.
    #[error("Postgres refuses to run as root, and this machine has no other account to run it as")]
    NoAccount,
    /// A directory that should be ours alone belongs to somebody else.
    #[error("{0} is not a directory that only this account can write; remove it and try again")]
    Untrusted(PathBuf),
    /// A server ended, or never answered, during its start.
    #[error("{server} did not start: {reason} (log: {log})")]
    NotStarted {
        /// The server as people call it.
        server: &'static str,
        /// The last words of its log, or what was waited for.
        reason: String,
        /// Where the rest of its log is.
        log: PathBuf,
    },
    /// A program ran and failed, or could not be run.
    #[error("{what} failed: {reason}")]
    Command {
        /// What was attempted.
        what: String,
        /// The last line the program wrote.
        reason: String,
    },
    /// Something took longer than its bound.
    #[error("{what} took longer than {seconds} s")]
    TimedOut {
        /// What was attempted.
        what: String,
        /// The bound, in seconds.
        seconds: u64,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The verb that belongs before the path.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The request needs a server that this stack runs for itself alone.
    #[error("{0} is not this stack's own: it is shared, or was given by its URL")]
    NotOwned(&'static str),
    /// A database or directory name that could not be used without quoting.
    #[error("{0:?} is not a plain name: a-z, 0-9 and _ only, a letter first, at most 63 bytes")]
    BadName(String),
    /// Postgres answered with an error.
    #[error("Postgres: {0}")]
    Database(#[from] sqlx::Error),
    /// Redis answered with an error.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
}

impl DevstackError {
    /// True when a program that was to be run isn't there.
    pub(super) fn is_not_installed(&self) -> bool {
        matches!(self, Self::Command { reason, .. } if reason == NOT_INSTALLED)
    }
}

/// What every function of this module returns.
pub type Result<T> = std::result::Result<T, DevstackError>;

/// Names the file in an input or output error; meant for `map_err`.
pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> DevstackError + use<> {
    let path = path.to_path_buf();
    move |source| DevstackError::Io { action, path, source }
}
