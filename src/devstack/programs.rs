//! Which server programs there are: on the machine, fetched earlier, fetched or installed now.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::error::{DevstackError, Result, io_error};
use super::home::Home;
use super::machine::on_the_machine;
use super::process::output;
use super::sharing::lock_fetching;
use super::{Options, apt, install, wheels};

const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Oldest Postgres whose SQL is relied on (the oldest release that is still maintained).
const POSTGRES_MAJOR_MIN: u32 = 14;

/// Oldest Redis that has sharded publish and subscribe.
const REDIS_MAJOR_MIN: u32 = 7;

/// One of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Redis,
}

impl Kind {
    /// The server as people call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Postgres => "Postgres",
            Self::Redis => "Redis",
        }
    }

    fn major_min(self) -> u32 {
        match self {
            Self::Postgres => POSTGRES_MAJOR_MIN,
            Self::Redis => REDIS_MAJOR_MIN,
        }
    }
}

/// A server program that ran and told its version.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) executable: PathBuf,
    /// Directories of shared libraries that came with the program, if it brought any.
    libraries: Vec<PathBuf>,
    pub(super) major: u32,
}

impl Program {
    /// A command that runs the program (or a sibling of it) as the servers' account.
    pub(super) fn command(&self, executable: &Path, home: &Home) -> Command {
        confined(executable, &self.libraries, home)
    }
}

/// A program that is there but hasn't been tried.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) executable: PathBuf,
    pub(super) libraries: Vec<PathBuf>,
}

/// Finds the program on the machine, among those fetched earlier, or fetches it, or installs it
/// if told to. An existing cluster demands the major version that created it.
pub(super) async fn find_or_fetch(
    kind: Kind,
    options: &Options,
    home: &Home,
    major: Option<u32>,
) -> Result<Program> {
    let programs = options.programs_dir.clone().unwrap_or_else(|| home.programs());
    // Programs don't run where we stand, so a relative path would lead them astray.
    let programs = std::path::absolute(&programs).map_err(io_error("open", &programs))?;
    let mut search = Search { kind, home, major, refusals: Vec::new() };
    let mut present = if options.ignore_system { Vec::new() } else { on_the_machine(kind) };
    present.extend(wheels::unpacked(kind, &programs));
    present.extend(apt::unpacked(kind, &programs));
    if let Some(program) = search.first_usable(present).await {
        return Ok(program);
    }
    if options.install {
        // Both servers are looked for at once, and `apt-get` runs once at a time.
        let _installing = lock_fetching(&programs, "apt-get").await?;
        match install::run(kind, &options.progress).await {
            Err(error) => search.refuse(error.to_string()),
            Ok(()) => {
                if let Some(program) = search.first_usable(on_the_machine(kind)).await {
                    return Ok(program);
                }
            }
        }
        return Err(search.give_up());
    }
    let _fetching = lock_fetching(&programs, kind.label()).await?;
    let fetched = wheels::fetch(kind, &programs, &options.progress).await;
    if let Some(program) = search.usable(fetched).await {
        return Ok(program);
    }
    let fetched = apt::fetch(kind, &programs, &options.progress).await;
    if let Some(program) = search.usable(fetched).await {
        return Ok(program);
    }
    Err(search.give_up())
}

/// What is looked for, and why what was found so far won't do.
struct Search<'a> {
    kind: Kind,
    home: &'a Home,
    major: Option<u32>,
    refusals: Vec<String>,
}

impl Search<'_> {
    async fn first_usable(&mut self, candidates: Vec<Candidate>) -> Option<Program> {
        for candidate in candidates {
            if let Some(program) = self.usable(Ok(candidate)).await {
                return Some(program);
            }
        }
        None
    }

    /// Tries a program by asking for its version, as the account that would run it.
    async fn usable(&mut self, candidate: Result<Candidate>) -> Option<Program> {
        let Candidate { executable, libraries } =
            candidate.map_err(|error| self.refuse(error.to_string())).ok()?;
        let mut command = confined(&executable, &libraries, self.home);
        let version = output(command.arg("--version"), VERSION_LIMIT).await;
        let at = executable.display();
        let refusal = match version.map(|text| major_in(&text)) {
            Ok(Some(major)) if major < self.kind.major_min() => {
                format!("{at} is version {major}, older than {}", self.kind.major_min())
            }
            Ok(Some(major)) if self.major.is_some_and(|wanted| wanted != major) => {
                format!("{at} is version {major}")
            }
            Ok(Some(major)) => {
                return Some(Program { executable, libraries, major });
            }
            Ok(None) => format!("{at} tells no version"),
            Err(error) => format!("{at}: {error}"),
        };
        self.refuse(refusal);
        None
    }

    /// A program that was refused may be met again on another way.
    fn refuse(&mut self, reason: String) {
        if !self.refusals.contains(&reason) {
            self.refusals.push(reason);
        }
    }

    fn give_up(self) -> DevstackError {
        let reason = self.refusals.join("; ");
        match self.major {
            Some(created_by) => {
                DevstackError::OtherMajor { cluster: self.home.cluster(), created_by, reason }
            }
            None => DevstackError::Missing {
                server: self.kind.label(),
                reason,
                install: install::command_line(self.kind),
            },
        }
    }
}

fn confined(executable: &Path, libraries: &[PathBuf], home: &Home) -> Command {
    let mut command = Command::new(executable);
    home.confine(&mut command);
    if let Some(path) = library_path(libraries) {
        command.env("LD_LIBRARY_PATH", path);
    }
    command
}

fn library_path(libraries: &[PathBuf]) -> Option<OsString> {
    // A directory whose name holds the separator can't be listed; the program then says what
    // it misses.
    let joined = std::env::join_paths(libraries).ok()?;
    (!joined.is_empty()).then_some(joined)
}

/// The major version in `postgres (PostgreSQL) 15.18`, `Redis server v=7.0.15 sha=…` or
/// `Valkey server v=9.1.2 …`.
fn major_in(version: &str) -> Option<u32> {
    let numbers = ["(PostgreSQL) ", " v="]
        .iter()
        .find_map(|before| version.split_once(before).map(|(_, after)| after))?;
    let end = numbers.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbers.len());
    numbers[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_in("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_in("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), Some(7));
        assert_eq!(major_in("Valkey server v=9.1.2 sha=0"), Some(9));
        assert_eq!(major_in("some other program 3"), None);
        assert_eq!(major_in(""), None);
    }
}
