//! The command that installs a missing server on the machine, and running it if told to.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Progress;
use super::error::{DevstackError, NOT_INSTALLED, Result};
use super::programs::Kind;

/// A person may have to type a password.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// For so many seconds `apt-get` waits for another one.
const PATIENCE: &str = "DPkg::Lock::Timeout=60";

/// Package clients, what installs with them, and their names for Postgres and Redis.
const CLIENTS: [(&str, &str, &str, &str); 5] = [
    ("/usr/bin/apt-get", "sudo apt-get install", "postgresql", "redis-server"),
    ("/usr/bin/dnf", "sudo dnf install", "postgresql-server", "valkey"),
    ("/sbin/apk", "sudo apk add", "postgresql", "redis"),
    ("/usr/bin/pacman", "sudo pacman -S", "postgresql", "valkey"),
    ("/opt/homebrew/bin/brew", "brew install", "postgresql@17", "valkey"),
];

/// The line to type. A machine with an unknown package client is shown Debian's.
pub(super) fn command_line(kind: Kind) -> String {
    let known = CLIENTS.iter().find(|(client, ..)| Path::new(client).exists());
    let (_, command, postgres, redis) = known.unwrap_or(&CLIENTS[0]);
    match kind {
        Kind::Postgres => format!("{command} {postgres}"),
        Kind::Redis => format!("{command} {redis}"),
    }
}

/// Installs the server with `apt-get`, in sight of the person who asked for it.
pub(super) async fn run(kind: Kind, progress: &Progress) -> Result<()> {
    let package = match kind {
        Kind::Postgres => "postgresql",
        Kind::Redis => "redis-server",
    };
    // Somebody else may be installing something.
    let install = ["-o", PATIENCE, "install", "-y", package];
    match apt_get(&install, progress).await {
        // A fresh machine has no lists of packages, and old lists name packages that are gone.
        Err(error @ DevstackError::Command { .. }) if !error.is_not_installed() => {
            apt_get(&["update"], progress).await?;
            apt_get(&install, progress).await
        }
        answer => answer,
    }
}

async fn apt_get(arguments: &[&str], progress: &Progress) -> Result<()> {
    let mut words = vec!["apt-get"];
    words.extend(arguments);
    if !rustix::process::geteuid().is_root() {
        words.insert(0, "sudo");
    }
    progress(&words.join(" "));
    let failed = |reason: String| DevstackError::Command { what: words.join(" "), reason };
    let mut command = Command::new(words[0]);
    // Standard output belongs to whoever called us, who may read lines to evaluate from it.
    let child = command
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::from(std::io::stderr()))
        .kill_on_drop(true)
        .status();
    let limit = INSTALL_LIMIT.as_secs();
    match timeout(INSTALL_LIMIT, child).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(status.to_string())),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            Err(failed(NOT_INSTALLED.to_owned()))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(DevstackError::TimedOut { what: words.join(" "), seconds: limit }),
    }
}
