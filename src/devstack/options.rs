//! How a stack is to be started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Told what is being done, one short line at a time.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Whom the servers belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// To this process alone: they stop with it.
    Owned,
    /// To all processes that ask for the same data directory: they stop some ten seconds after
    /// the last of them ended.
    Shared,
}

/// How a stack is to be started.
#[derive(Clone)]
pub struct Options {
    /// Where the cluster, the logs and fetched programs are kept; created if need be.
    pub data_dir: PathBuf,
    /// Fetched programs are looked for, and put, here instead of into the data directory.
    pub programs_dir: Option<PathBuf>,
    /// Whether Postgres waits for the disk at each commit. Off is for tests only: a power cut
    /// may then destroy the cluster.
    pub durable: bool,
    /// Who may use the stack.
    pub share: Sharing,
    /// Told what is being done.
    pub progress: Progress,
    /// Whether servers that are missing are installed with `apt-get` instead of being fetched.
    pub install: bool,
    /// Passes over servers installed on the machine; what is fetched is then used.
    pub ignore_system: bool,
    /// A Postgres to use instead of a private one.
    pub database_url: Option<String>,
    /// A Redis to use instead of a private one.
    pub redis_url: Option<String>,
}

impl Options {
    /// A durable stack of this process's own. `DATABASE_URL`, `REDIS_URL` and
    /// `ONSALE_DEVSTACK_IGNORE_SYSTEM` (to be set to 1) are taken from the environment.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            data_dir: data_dir.into(),
            programs_dir: None,
            durable: true,
            share: Sharing::Owned,
            progress: Arc::new(|_| {}),
            install: false,
            ignore_system: variable("ONSALE_DEVSTACK_IGNORE_SYSTEM").is_some_and(|v| v == "1"),
            database_url: variable("DATABASE_URL"),
            redis_url: variable("REDIS_URL"),
        }
    }

    /// The stack that all tests of this package share, in the build directory.
    #[must_use]
    pub fn for_tests() -> Self {
        // A test program lies in <build directory>/<profile>/deps.
        let program = std::env::current_exe().unwrap_or_default();
        let profile = program.ancestors().find(|path| path.ends_with("deps"));
        let build = profile.and_then(|path| path.ancestors().nth(2));
        let build = build.unwrap_or_else(|| Path::new("target"));
        let progress: Progress = Arc::new(|line| eprintln!("devstack: {line}"));
        Self {
            durable: false,
            share: Sharing::Shared,
            progress,
            ..Self::new(build.join("devstack"))
        }
    }
}
