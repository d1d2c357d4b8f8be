//! Stops the servers when nobody is left who would.
//!
//! A process that is killed can't clean up, and asking the kernel to signal a child at its
//! parent's death needs code between fork and exec, which is unsafe. A small shell does it
//! instead. It outlives us, and it signals a pid only while that process works in its server's
//! own directory.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::error::{DevstackError, Result};
use super::home::Home;
use super::process::output;

/// How long a disarmed watchdog may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What both watchdogs share. Arguments 1 and 2 are the directories of Postgres and Redis. Fast
/// shutdown first (INT for Postgres, TERM for Redis), immediate after 10 s, KILL after 15 s.
const PRELUDE: &str = r#"
trap '' HUP INT QUIT TERM
postgres_dir=$1 redis_dir=$2 postgres=0 redis=0
alive() {
  [ "$1" -gt 0 ] && kill -0 "$1" 2>/dev/null &&
    { [ ! -e /proc/self ] || [ "$(readlink "/proc/$1/cwd")" = "$2" ]; }
}
send() { alive "$2" "$3" && kill -s "$1" "$2" 2>/dev/null; }
stop_servers() {
  send TERM "$redis" "$redis_dir"
  send INT "$postgres" "$postgres_dir"
  tenths=0
  while alive "$postgres" "$postgres_dir" || alive "$redis" "$redis_dir"; do
    tenths=$((tenths + 1))
    if [ "$tenths" -eq 100 ]; then
      send KILL "$redis" "$redis_dir"
      send QUIT "$postgres" "$postgres_dir"
    elif [ "$tenths" -ge 150 ]; then
      send KILL "$postgres" "$postgres_dir"
      return
    fi
    sleep 0.1
  done
}
"#;

/// Reads which pids to watch from its input, whose end means that the parent is gone.
const UNTIL_PARENT_ENDS: &str = r"
while read -r name pid; do
  case $name in
    postgres) postgres=$pid ;;
    redis) redis=$pid ;;
  esac
done
stop_servers
";

/// Arguments 3 to 7: the pids, the two lock files, the state file. After ten quiet seconds it
/// takes both locks, so that whoever comes now waits and then starts a stack of their own.
const UNTIL_USERS_END: &str = r#"
postgres=$3 redis=$4 users=$5 starting=$6 state=$7
quiet=0
while sleep 1; do
  alive "$postgres" "$postgres_dir" || alive "$redis" "$redis_dir" || exit 0
  if flock -n -x "$users" true; then quiet=$((quiet + 1)); else quiet=0; fi
  [ "$quiet" -ge 10 ] || continue
  quiet=0
  exec 8>>"$starting" 9>>"$users"
  if flock -n -x 8 && flock -n -x 9; then
    rm -f "$state"
    stop_servers
    exit 0
  fi
  exec 8>&- 9>&-
done
"#;

/// The watchdog of servers that end with this process.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    input: ChildStdin,
}

impl Watchdog {
    /// Starts the shell. From here on, the end of this process, however it comes, ends the
    /// servers that were announced with [`Watchdog::watch`].
    pub(super) fn start(home: &Home) -> Result<Self> {
        let mut command = shell(home, UNTIL_PARENT_ENDS);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(unstartable)?;
        let input =
            child.stdin.take().ok_or_else(|| unstartable(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { child, input })
    }

    /// Announces a server's pid, or with 0 that it needs no watching any more.
    pub(super) async fn watch(&mut self, server: &str, pid: u32) -> Result<()> {
        let line = format!("{server} {pid}\n");
        self.input.write_all(line.as_bytes()).await.map_err(unstartable)
    }

    /// Ends the watchdog without stopping anything.
    pub(super) async fn disarm(mut self) -> Result<()> {
        self.watch("postgres", 0).await?;
        self.watch("redis", 0).await?;
        drop(self.input);
        // It reads two lines and exits; if it is slow, nothing depends on it any more.
        let _ = timeout(END_LIMIT, self.child.wait()).await;
        Ok(())
    }
}

/// Starts the watchdog of servers that several processes share; it lives until the last of them
/// has been gone for a while. A machine without `flock` can't count users: there the servers stay
/// and the next run adopts them, so `false` is returned and no watchdog runs.
pub(super) async fn watch_users(home: &Home, postgres: u32, redis: u32) -> Result<bool> {
    let mut probe = Command::new("flock");
    probe.arg("--version");
    if output(&mut probe, END_LIMIT).await.is_err() {
        return Ok(false);
    }
    let mut command = shell(home, UNTIL_USERS_END);
    command
        .arg(postgres.to_string())
        .arg(redis.to_string())
        .arg(home.path("users.lock"))
        .arg(home.path("starting.lock"))
        .arg(home.path("stack.json"))
        .stdin(Stdio::null())
        .spawn()
        .map_err(unstartable)?;
    Ok(true)
}

fn shell(home: &Home, script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{PRELUDE}{script}"))
        .arg("onsale-watchdog")
        .arg(home.cluster())
        .arg(home.redis())
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

fn unstartable(error: std::io::Error) -> DevstackError {
    DevstackError::Command { what: "the watchdog".to_owned(), reason: error.to_string() }
}
