//! Processes: run one to its end, or start, recognise and stop a server.
//!
//! A pid alone doesn't name a process for long, because pids are reused. Every server therefore
//! runs in a working directory of its own, and a pid is only believed, and only signalled, while
//! its process still has that directory.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::START_ATTEMPTS_MAX;
use super::error::{DevstackError, NOT_INSTALLED, Result, io_error};

/// How often something awaited is looked at again.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a killed process may take to vanish.
const KILLED_LIMIT: Duration = Duration::from_secs(5);

/// Ports are chosen below every system's ephemeral range. A client that keeps trying to reach a
/// stopped server on an ephemeral port can be given that very port as its own, connect to itself,
/// and so keep the server from ever coming back.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const PORT_ATTEMPTS_MAX: u32 = 200;

/// Longest excerpt of a program's output or a log that an error carries, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// What is said of a server that ended and had written nothing.
const SILENT_END: &str = "it ended without a word";

/// A log larger than this is emptied before the next start.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// Statements that failed are logged, with what buyers typed.
const LOG_MODE: u32 = 0o600;

/// A started server, or one that another process started.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    directory: PathBuf,
    /// Present when this process is the parent, which must then reap it.
    child: Option<Child>,
}

impl Running {
    /// Starts `command` in `directory`, in a process group of its own: Ctrl-C in a terminal goes
    /// to the whole foreground group, and the servers must outlive the sale that uses them.
    pub(super) fn start(mut command: Command, directory: &Path, log: &Path) -> Result<Self> {
        let what = program_name(&command);
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(io_error("open", log))?;
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| DevstackError::Command {
                what: format!("starting {what}"),
                reason: error.to_string(),
            })?;
        // A child that was never polled has a pid.
        let pid = child.id().unwrap_or(0);
        Ok(Self { pid, directory: directory.to_path_buf(), child: Some(child) })
    }

    /// Takes over a server that another process started.
    pub(super) fn adopt(pid: u32, directory: &Path) -> Self {
        Self { pid, directory: directory.to_path_buf(), child: None }
    }

    /// A child's pid is its own until it is reaped, so the kernel's word is enough; `/proc` is
    /// asked only about servers that another process started.
    pub(super) fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => is_alive(self.pid, &self.directory),
        }
    }

    /// How a server ended that wrote nothing about it.
    pub(super) fn silent_end(&mut self) -> String {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().transpose());
        let how = match ended {
            Some(Ok(status)) => describe(status),
            Some(Err(error)) => error.to_string(),
            None => "unknown how".to_owned(),
        };
        format!("{SILENT_END} ({how})")
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && self.is_alive()
        {
            // The process may end between the look and the signal; then nothing is left to do.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends each signal in turn, and waits its bound, until the process is gone; SIGKILL last.
    pub(super) async fn stop(&mut self, signals: &[(Signal, Duration)]) -> Result<()> {
        for (signal, limit) in signals.iter().copied().chain([(Signal::KILL, KILLED_LIMIT)]) {
            self.signal(signal);
            let deadline = Instant::now() + limit;
            while self.is_alive() {
                if Instant::now() > deadline {
                    break;
                }
                sleep(POLL_INTERVAL).await;
            }
            if !self.is_alive() {
                return Ok(());
            }
        }
        Err(DevstackError::TimedOut {
            what: format!("stopping process {}", self.pid),
            seconds: KILLED_LIMIT.as_secs(),
        })
    }
}

/// True while `pid` is a process whose working directory is `directory`. Where the system shows
/// no working directories (macOS), any process of that pid counts.
pub(super) fn is_alive(pid: u32, directory: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == directory);
    }
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// The processes with one of these names whose working directory is `directory`; none where the
/// system has no `/proc`. The name is asked for because a person's shell may stand there too.
pub(super) fn processes_in(directory: &Path, names: &[&str]) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| is_alive(*pid, directory))
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| names.contains(&comm.trim_end()))
        })
        .collect()
}

/// Runs a program to its end and returns what it wrote to its standard output. The program is
/// killed when it takes longer than `limit`.
pub(super) async fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let what = program_name(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(limit, command.output())
        .await
        .map_err(|_| DevstackError::TimedOut { what: what.clone(), seconds: limit.as_secs() })?
        .map_err(|error| DevstackError::Command {
            what: what.clone(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => NOT_INSTALLED.to_owned(),
                _ => error.to_string(),
            },
        })?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let reason = last_words(&String::from_utf8_lossy(&ended.stderr))
        .or_else(|| last_words(&String::from_utf8_lossy(&ended.stdout)))
        .unwrap_or_else(|| describe(ended.status));
    Err(DevstackError::Command { what, reason })
}

/// The last line that says something, cut to a readable length.
pub(super) fn last_words(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let end = line.floor_char_boundary(REASON_BYTES_MAX);
    Some(line[..end].to_owned())
}

/// A loopback port that nothing listens on right now.
pub(super) fn free_port() -> Result<u16> {
    let mut random = rand::rng();
    for _ in 0..PORT_ATTEMPTS_MAX {
        let port = random.random_range(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(DevstackError::Command {
        what: "choosing a port".to_owned(),
        reason: format!("none of {PORT_ATTEMPTS_MAX} tried in {PORTS:?} was free"),
    })
}

/// Starts a server, and again if its port was taken: another may have come first, or the killed
/// one before it lets go of the port a moment after it is gone. One that ended without a word
/// didn't come as far as its own checks: something else ended it, and it is started again too.
pub(super) async fn start_repeatedly<T>(
    port_was_taken: fn(&str) -> bool,
    mut start: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    for _ in 1..START_ATTEMPTS_MAX {
        match Box::pin(start()).await {
            Err(DevstackError::NotStarted { reason, .. })
                if port_was_taken(&reason) || reason.starts_with(SILENT_END) =>
            {
                sleep(POLL_INTERVAL * 10).await;
            }
            outcome => return outcome,
        }
    }
    Box::pin(start()).await
}

/// How long `log` is now; what a server writes from here on belongs to its next start.
pub(super) fn log_length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// The part of `log` after `start`, if it can be read.
pub(super) fn log_since(log: &Path, start: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or(&bytes)).into_owned()
}

fn open_log(log: &Path) -> Result<fs::File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(LOG_MODE)
        .open(log)
        .map_err(io_error("open", log))?;
    if log_length(log) > LOG_BYTES_MAX {
        file.set_len(0).map_err(io_error("empty", log))?;
    }
    Ok(file)
}

fn program_name(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}
