//! Which account runs the servers.
//!
//! Postgres refuses to run as root. When this process is root, the servers run as another account
//! that exists already; nothing is created on the machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::error::{DevstackError, Result, io_error};
use super::process::output;

const ACCOUNTS: &str = "/etc/passwd";

/// Accounts made for this or for nothing, in the order they are tried.
const PREFERRED_NAMES: [&str; 2] = ["postgres", "nobody"];

const REACH_LIMIT: Duration = Duration::from_secs(5);

/// An account other than root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// The account to switch to: none unless this process is root. A cluster that exists keeps
    /// its owner, because Postgres only opens a cluster that it owns.
    pub(super) fn choose(cluster: &Path) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Some(Self { uid: metadata.uid(), gid: metadata.gid() }));
        }
        let accounts = fs::read_to_string(ACCOUNTS).unwrap_or_default();
        choose_account(&accounts).map(Some).ok_or(DevstackError::NoAccount)
    }

    /// Makes `command` run as this account, with none of root's groups.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or directory to this account.
    pub(super) fn give(self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(io_error("change the owner of", path))
    }

    /// True when this account can pass through `directory` and all directories above it. Asked by
    /// trying, since access lists and mounts decide it too.
    pub(super) async fn can_reach(self, directory: &Path) -> bool {
        let mut command = Command::new("test");
        command.arg("-x").arg(directory).current_dir("/");
        self.apply(&mut command);
        output(&mut command, REACH_LIMIT).await.is_ok()
    }
}

fn choose_account(accounts: &str) -> Option<ServerUser> {
    let parsed: Vec<(&str, ServerUser)> = accounts.lines().filter_map(parse_account).collect();
    PREFERRED_NAMES
        .iter()
        .find_map(|wanted| parsed.iter().find(|(name, _)| name == wanted))
        .or_else(|| parsed.last())
        .map(|(_, user)| *user)
}

/// Reads `name:password:uid:gid:…`; root and malformed lines are left out.
fn parse_account(line: &str) -> Option<(&str, ServerUser)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (uid != 0).then_some((name, ServerUser { uid, gid }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_account_made_for_postgres() {
        let accounts = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534:::\n\
                        postgres:x:101:104:::\nada:x:1000:1000:::\n";
        assert_eq!(choose_account(accounts), Some(ServerUser { uid: 101, gid: 104 }));
        let without = accounts.replace("postgres:", "other:");
        assert_eq!(choose_account(&without), Some(ServerUser { uid: 65_534, gid: 65_534 }));
    }

    #[test]
    fn takes_any_account_but_root() {
        let accounts = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0:::\nbroken\nada:x:1000:1001:::\n";
        assert_eq!(choose_account(accounts), Some(ServerUser { uid: 1000, gid: 1001 }));
        assert_eq!(choose_account("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
