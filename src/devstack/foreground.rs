//! A stack for a terminal: until Ctrl-C, or for as long as a command runs.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::error::{DevstackError, Result};
use super::{Options, Stack};

/// What a shell reports for a command that a signal ended, less the signal's number.
const SIGNAL_STATUS_BASE: i32 = 128;

/// Starts the stack, prints where it is as lines that a shell can evaluate, and stops it on
/// Ctrl-C or SIGTERM.
///
/// # Errors
/// When the stack can't be started or stopped.
pub async fn run_foreground(options: Options) -> Result<()> {
    let stack = Stack::start(options).await?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    println!("export DATABASE_URL='{}'", stack.database_url);
    println!("export REDIS_URL='{}'", stack.redis_url);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stack.stop().await
}

/// Starts the stack, runs a command with `DATABASE_URL` and `REDIS_URL` set, stops the stack, and
/// returns the command's status (128 + n if signal n ended it).
///
/// Ctrl-C reaches the command by itself, since it is in our process group; SIGTERM is passed on.
/// In both cases the stack stays until the command has ended.
///
/// # Errors
/// When the stack can't be started or stopped, or the command can't be run.
pub async fn run_with(options: Options, command: Vec<OsString>) -> Result<ExitCode> {
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_default();
    let what = program.to_string_lossy().into_owned();
    let stack = Stack::start(options).await?;
    let outcome = run(&stack, &program, words).await;
    stack.stop().await?;
    outcome.map_err(|error| DevstackError::Command { what, reason: error.to_string() })
}

async fn run(
    stack: &Stack,
    program: &OsString,
    arguments: impl Iterator<Item = OsString>,
) -> std::io::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", &stack.database_url)
        .env("REDIS_URL", &stack.redis_url)
        .spawn()?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => if let Some(pid) = pid {
                // It may have ended in this moment; then its status is next.
                let _ = kill_process(pid, Signal::TERM);
            },
        }
    };
    let code = status.code().or_else(|| Some(SIGNAL_STATUS_BASE + status.signal()?));
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| DevstackError::Command {
        what: "listening for signals".to_owned(),
        reason: error.to_string(),
    })
}
