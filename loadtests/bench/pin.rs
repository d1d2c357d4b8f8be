//! Pinning to a core: the server side has one to itself, the generator has the other, and so no
//! figure depends on how the kernel shares them out.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of what is measured, with its Redis and Postgres.
pub const SERVER_CORE: usize = 0;
/// The core of who asks, and of what stands for the outside world: the payment provider.
pub const GENERATOR_CORE: usize = 1;

/// Pins the calling thread, and with it every thread and process that it will start.
///
/// # Errors
/// If this process may not use both cores.
pub fn this_thread() -> Result<()> {
    let allowed = sched_getaffinity(None).context("which cores may be used")?;
    ensure!(
        allowed.is_set(SERVER_CORE) && allowed.is_set(GENERATOR_CORE),
        "the bench needs cores {SERVER_CORE} and {GENERATOR_CORE} for itself"
    );
    sched_setaffinity(None, &only(GENERATOR_CORE)).context("this thread can't be pinned")
}

/// Pins all threads of a process and of its children to the server's core. Whoever starts or
/// ends meanwhile is pinned by who started them, or gone.
///
/// # Errors
/// If there is no such process.
pub fn to_server_core(pid: u32) -> Result<()> {
    let mut pending = vec![pid];
    while let Some(pid) = pending.pop() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        let Ok(tasks) = tasks else { continue };
        for task in tasks.flatten() {
            let id = task.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            let Some(thread) = id.and_then(Pid::from_raw) else { continue };
            // A thread that has ended needs no core.
            let _ended = sched_setaffinity(Some(thread), &only(SERVER_CORE));
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pending.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    let one = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
    let set = sched_getaffinity(Some(one)).context("a process that was to be pinned is gone")?;
    ensure!(set.count() == 1 && set.is_set(SERVER_CORE), "process {pid} is not pinned");
    Ok(())
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}
