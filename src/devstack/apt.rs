//! Servers out of Debian packages, downloaded and unpacked but never installed.
//!
//! `apt-get` checks the packages' hashes against the signed lists of the machine's own sources.
//! If the machine's lists are missing or out of date, private ones are fetched instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::Progress;
use super::error::{DevstackError, Result, io_error};
use super::machine::{postgres_in, redis_in, versions_in};
use super::process::output;
use super::programs::{Candidate, Kind};
use super::unpack::Unpacking;

const LISTS_LIMIT: Duration = Duration::from_secs(300);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
const UNPACK_LIMIT: Duration = Duration::from_secs(60);

struct Packages {
    /// What one would install.
    wanted: &'static str,
    /// Packages that are needed even where they are installed, because the server's own files
    /// are spread over them.
    always: &'static [&'static str],
    directory: &'static str,
    megabytes: &'static str,
}

const POSTGRES: Packages = Packages {
    wanted: "postgresql",
    always: &[],
    directory: "debian-postgresql",
    megabytes: "about 20",
};

const REDIS: Packages = Packages {
    wanted: "redis-server",
    always: &["redis-server", "redis-tools"],
    directory: "debian-redis",
    megabytes: "about 1.3",
};

impl Packages {
    fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Postgres => &POSTGRES,
            Kind::Redis => &REDIS,
        }
    }
}

/// The server of an earlier download.
pub(super) fn unpacked(kind: Kind, programs: &Path) -> Option<Candidate> {
    candidate(kind, &programs.join(Packages::of(kind).directory))
}

fn candidate(kind: Kind, tree: &Path) -> Option<Candidate> {
    let executable = match kind {
        Kind::Postgres => versions_in(&tree.join("usr/lib/postgresql"))
            .iter()
            .find_map(|directory| postgres_in(directory)),
        Kind::Redis => redis_in(&tree.join("usr/bin")).into_iter().next(),
    }?;
    Some(Candidate { executable, libraries: libraries_in(tree) })
}

/// Downloads and unpacks the server, and the libraries that this machine lacks, unless another
/// process just did.
pub(super) async fn fetch(kind: Kind, programs: &Path, progress: &Progress) -> Result<Candidate> {
    let packages = Packages::of(kind);
    if let Some(candidate) = unpacked(kind, programs) {
        return Ok(candidate);
    }
    let unpacking = Unpacking::begin(&programs.join(packages.directory))?;
    progress(&format!("fetching {} as Debian packages ({} MB)", kind.label(), packages.megabytes));
    if let Err(error) = download(packages, unpacking.downloads(), None).await {
        if error.is_not_installed() {
            return Err(error);
        }
        progress("fetching package lists (about 10 MB)");
        let lists = unpacking.downloads().join("lists");
        download(packages, unpacking.downloads(), Some(&lists)).await?;
    }
    for package in unpacking.downloaded("deb")? {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(package).arg(unpacking.tree());
        output(&mut command, UNPACK_LIMIT).await?;
    }
    if candidate(kind, unpacking.tree()).is_none() {
        return Err(no_server(packages));
    }
    unpacking.finish(None)?;
    unpacked(kind, programs).ok_or_else(|| no_server(packages))
}

fn no_server(packages: &Packages) -> DevstackError {
    DevstackError::Command {
        what: "apt-get".to_owned(),
        reason: format!("{} brought no server", packages.wanted),
    }
}

/// Downloads the packages into a directory; with `lists`, by lists fetched into there first.
async fn download(packages: &Packages, into: &Path, lists: Option<&Path>) -> Result<()> {
    if let Some(lists) = lists {
        for directory in [lists.join("partial"), lists.join("cache/archives/partial")] {
            std::fs::create_dir_all(&directory).map_err(io_error("create", &directory))?;
        }
        output(apt_get(into, Some(lists)).arg("update"), LISTS_LIMIT).await?;
    }
    let mut simulate = apt_get(into, lists);
    simulate.args(["--simulate", "--no-install-recommends", "install", packages.wanted]);
    let plan = output(&mut simulate, UNPACK_LIMIT).await?;
    let names = chosen(&plan, packages);
    if names.is_empty() {
        return Err(DevstackError::Command {
            what: "apt-get".to_owned(),
            reason: format!("{} is installed already, or can't be", packages.wanted),
        });
    }
    let mut command = apt_get(into, lists);
    output(command.arg("download").args(names), DOWNLOAD_LIMIT).await.map(drop)
}

fn apt_get(into: &Path, lists: Option<&Path>) -> Command {
    let mut command = Command::new("apt-get");
    command.current_dir(into).env("LC_ALL", "C").arg("--quiet");
    if let Some(lists) = lists {
        let cache = lists.join("cache");
        command
            .args(["-o", &format!("Dir::State::Lists={}", lists.display())])
            .args(["-o", &format!("Dir::Cache={}", cache.display())]);
    }
    command
}

/// The packages of a simulated installation that are worth having: the server and libraries it
/// loads. Scripts that would configure a system, and the compiler behind Postgres's JIT (100 MB,
/// and switched off), are not.
fn chosen(plan: &str, packages: &Packages) -> Vec<String> {
    let planned = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| {
            let library =
                name.starts_with("lib") && !name.starts_with("libllvm") && !name.ends_with("-perl");
            let version = name.strip_prefix("postgresql-").unwrap_or_default();
            library || version.starts_with(|c: char| c.is_ascii_digit())
        });
    let mut names: Vec<String> =
        planned.chain(packages.always.iter().copied()).map(String::from).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn libraries_in(tree: &Path) -> Vec<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["usr/lib", "lib"]
        .iter()
        .flat_map(|place| [tree.join(place).join(&triplet), tree.join(place)])
        .filter(|directory| directory.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_the_server_and_its_libraries() {
        let plan = "Reading package lists...\n\
                    Inst libjemalloc2 (5.3.0-1 Debian:12.15/oldstable [amd64])\n\
                    Inst redis-server (5:7.0.15 Debian-Security:12 [amd64])\n\
                    Conf redis-server (5:7.0.15 Debian-Security:12 [amd64])\n";
        assert_eq!(chosen(plan, &REDIS), ["libjemalloc2", "redis-server", "redis-tools"]);
        let plan = "Inst perl (1)\nInst libllvm14 (1)\nInst libjson-perl (1)\nInst libpq5 (1)\n\
                    Inst postgresql-15 (1)\nInst postgresql-common (1)\nInst postgresql (1)\n";
        assert_eq!(chosen(plan, &POSTGRES), ["libpq5", "postgresql-15"]);
    }
}
