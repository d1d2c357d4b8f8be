//! Servers installed on the machine, on the PATH or in the usual places.

use std::path::{Path, PathBuf};

use super::programs::{Candidate, Kind};

const REDIS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// Where packages put programs that may not be on the PATH.
const USUAL_PLACES: [&str; 6] = [
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/usr/sbin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
];

/// Directories with one subdirectory per Postgres version, each with a `bin`.
const VERSIONED_PLACES: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// Programs installed on the machine: those on the PATH first, then the usual places, newest
/// version first.
pub(super) fn on_the_machine(kind: Kind) -> Vec<Candidate> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if kind == Kind::Postgres {
        directories.extend(VERSIONED_PLACES.iter().flat_map(|place| versions_in(Path::new(place))));
    }
    directories.extend(USUAL_PLACES.iter().map(PathBuf::from));
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in directories {
        let executables = match kind {
            Kind::Postgres => postgres_in(&directory).into_iter().collect(),
            Kind::Redis => redis_in(&directory),
        };
        for executable in executables {
            if !found.contains(&executable) {
                found.push(executable);
            }
        }
    }
    found.into_iter().map(|executable| Candidate { executable, libraries: Vec::new() }).collect()
}

/// Postgres in this directory, if `initdb` is beside it. Links are followed first: a link to
/// `postgres` alone is often all that is on the PATH.
pub(super) fn postgres_in(directory: &Path) -> Option<PathBuf> {
    let executable = std::fs::canonicalize(directory.join("postgres")).ok()?;
    executable.with_file_name("initdb").is_file().then_some(executable)
}

/// Redis or Valkey in this directory. Links are kept: one of them may lead to a program that
/// decides by the name it is called by what it is.
pub(super) fn redis_in(directory: &Path) -> Vec<PathBuf> {
    let paths = REDIS_NAMES.iter().map(|name| directory.join(name));
    paths.filter(|path| path.is_file()).collect()
}

pub(super) fn versions_in(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let version = name.strip_prefix("postgresql@").unwrap_or(name).parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}
