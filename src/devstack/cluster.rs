//! The database cluster on disk: created once, and freed of what an earlier server left.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::{DevstackError, Result, io_error};
use super::home::Home;
use super::postgres::{STOP_SIGNALS, SUPERUSER};
use super::process::{POLL_INTERVAL, Running, output, processes_in};
use super::programs::{Kind, Program};

const INITDB_LIMIT: Duration = Duration::from_secs(120);

/// How long processes of a killed server may take to notice that it is gone.
const ORPHANS_LIMIT: Duration = Duration::from_secs(10);

/// The major version that created the cluster, if there is one.
pub(super) fn created_by(cluster: &Path) -> Result<Option<u32>> {
    if !cluster.exists() {
        return Ok(None);
    }
    let file = cluster.join("PG_VERSION");
    let version = fs::read_to_string(&file).map_err(io_error("read", &file))?;
    Ok(version.trim().parse().ok())
}

/// Creates the cluster beside its place and moves it there when complete, so that an interrupted
/// creation is started over.
pub(super) async fn create_cluster(
    program: &Program,
    home: &Home,
    password: &str,
    durable: bool,
) -> Result<()> {
    let partial = home.path("postgres.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(io_error("remove", &partial))?;
    }
    home.make_private_directory(&partial)?;
    let password_file = home.path("initdb.password");
    home.write_for_servers(&password_file, password)?;
    let mut initdb = program.command(&program.executable.with_file_name("initdb"), home);
    initdb
        .args(["--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8"])
        .args(["--locale=C", "--no-instructions"])
        .arg(format!("--pwfile={}", password_file.display()))
        .arg("-D")
        .arg(&partial);
    if !durable {
        initdb.arg("--no-sync");
    }
    let created = output(&mut initdb, INITDB_LIMIT).await;
    let _ = fs::remove_file(&password_file);
    created?;
    let cluster = home.cluster();
    fs::rename(&partial, &cluster).map_err(io_error("rename", &partial))
}

/// Stops the server of an earlier run that is still there, waits for stragglers of one that was
/// killed, and only then removes a lock file that names no such process: its pid may by now
/// belong to something else, and Postgres would refuse to start.
pub(super) async fn stop_stale(cluster: &Path) -> Result<()> {
    let lock_file = cluster.join("postmaster.pid");
    let recorded = fs::read_to_string(&lock_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
    let mut present = processes_in(cluster, &["postgres"]);
    if let Some(pid) = recorded.filter(|pid| present.contains(pid)) {
        Running::adopt(pid, cluster).stop(&STOP_SIGNALS).await?;
    }
    let deadline = Instant::now() + ORPHANS_LIMIT;
    while !present.is_empty() && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
        present = processes_in(cluster, &["postgres"]);
    }
    if let Some(pid) = present.first() {
        return Err(DevstackError::NotStarted {
            server: Kind::Postgres.label(),
            reason: format!("process {pid} of an earlier run still uses the cluster"),
            log: lock_file,
        });
    }
    if recorded.is_some() && Path::new("/proc/self/cwd").exists() {
        let _ = fs::remove_file(&lock_file);
    }
    Ok(())
}
