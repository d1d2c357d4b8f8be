//! The program under test: found or built, started, watched and stopped.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use onsale::config::ENV_PREFIX;
use onsale::demo::Secrets;
use onsale::http::limits::Limits;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a program may take to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// What is readable by its owner only: configurations hold secrets.
const PRIVATE: u32 = 0o600;

/// Before every key in Redis.
pub const PREFIX: &str = "surge";

/// Ports that programs are given, and how often a free one is looked for.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const PORT_ATTEMPTS: usize = 1_000;

/// Variables that cargo sets for what it runs.
const TOLD: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The `onsale` program of the same build as this one.
pub struct Program {
    executable: PathBuf,
    /// Where configurations and logs go.
    directory: PathBuf,
    /// Postgres and Redis.
    urls: [(&'static str, String); 2],
}

/// A running `onsale`.
pub struct Running {
    /// Which one.
    pub name: String,
    /// Its id.
    pub pid: u32,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// The program beside this one. Started by cargo, this one first has cargo bring it up to
    /// date: `cargo run` builds no other program than the one it runs.
    ///
    /// # Errors
    /// If there is none, or it can't be built.
    pub async fn find(directory: &Path, database_url: &str, redis_url: &str) -> Result<Self> {
        let me = std::env::current_exe().context("this program's own path")?;
        let executable = me.with_file_name("onsale");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let profile = me.parent().and_then(Path::file_name).unwrap_or_default();
            // The directory of the profile `dev` has another name.
            let profile = if profile == "debug" { "dev".into() } else { profile.to_owned() };
            let mut command = Command::new(cargo);
            // What cargo tells this program of its own package would have dependencies built
            // anew, whose build scripts look at it, and again by the next cargo outside.
            for (name, _) in std::env::vars_os() {
                if name.to_str().is_some_and(|name| TOLD.iter().any(|told| name.starts_with(told)))
                {
                    command.env_remove(name);
                }
            }
            let status = command
                .args(["build", "--quiet", "--features", "surge", "--bin", "onsale", "--profile"])
                .arg(profile)
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .await?;
            ensure!(status.success(), "onsale can't be built");
        }
        ensure!(executable.is_file(), "{} is missing: build it first", executable.display());
        let urls = [("DATABASE_URL", database_url.to_owned()), ("REDIS_URL", redis_url.to_owned())];
        Ok(Self { executable, directory: directory.to_owned(), urls })
    }

    /// The program with its configuration, and nothing of this process's own.
    pub fn command(&self, configuration: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with(ENV_PREFIX)) {
                command.env_remove(name);
            }
        }
        for (name, url) in &self.urls {
            command.env(name, url);
        }
        command.arg("--config").arg(configuration).stdin(Stdio::null()).kill_on_drop(true);
        // Ctrl-C goes to the whole foreground group: these are stopped in order instead.
        command.process_group(0);
        command
    }

    /// Starts it, its words going into a log.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self, name: &str, configuration: &Path, arguments: &[String]) -> Result<Running> {
        let log = self.directory.join(format!("{name}.log"));
        // What it said before a restart stays.
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("{}", log.display()))?;
        let child = self
            .command(configuration)
            .args(arguments)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} can't be started", self.executable.display()))?;
        let pid = child.id().context("a program that ended at once")?;
        Ok(Running { name: name.to_owned(), pid, child, log })
    }
}

impl Running {
    /// Fails, with its last words, once it has ended.
    ///
    /// # Errors
    /// If it has ended.
    pub fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("without a word");
        bail!("{} ended ({status}): {last}; see {}", self.name, self.log.display())
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Errors
    /// If it can't be ended.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it doesn't; it is then killed.
    pub async fn stop(mut self) -> Result<()> {
        if self.child.try_wait()?.is_none()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, Signal::TERM)?;
        }
        match timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(ended) => {
                let status = ended?;
                ensure!(status.success(), "{} ended badly: {status}", self.name);
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not end within {STOP_WITHIN:?} and was killed", self.name)
            }
        }
    }
}

/// What is configured unlike the defaults.
pub struct Tuning {
    /// Limits of requests.
    pub limits: Limits,
    /// Lines of the section `http`, as TOML.
    pub http: String,
    /// Sections of their own, as TOML.
    pub more: String,
}

impl Default for Tuning {
    /// No limits per client: all the buyers of a load test come from one address (and pay with the
    /// same cards, so none counts for what accounts it pays for).
    fn default() -> Self {
        Self { limits: Limits::none(), http: String::new(), more: String::new() }
    }
}

/// Writes a server's or the sandbox's configuration: where the server listens and the sandbox is.
///
/// # Errors
/// If the file can't be written.
pub fn configure(
    path: &Path,
    secrets: &Secrets,
    (listen, sandbox): (SocketAddr, SocketAddr),
    tuning: &Tuning,
) -> Result<()> {
    let keys = |name: &str, keys: &[onsale::config::KeyConfig]| {
        let one = |key: &onsale::config::KeyConfig| {
            format!("[[keys.{name}]]\nid = {}\nsecret = \"{}\"\n", key.id, key.secret)
        };
        keys.iter().map(one).collect::<String>()
    };
    let text = format!(
        "[http]\nlisten = \"{listen}\"\npublic_url = \"http://{listen}\"\n{}\
         {}\
         [redis]\nprefix = \"{PREFIX}\"\n\
         [log]\nfilter = \"warn\"\n\
         [suspicion]\naccounts_per_card = 0\n\
         [payments.sandbox]\nurl = \"http://{sandbox}\"\nsecret = \"{}\"\n\
         webhook_secrets = [\"{}\"]\n{}{}{}",
        tuning.http,
        limits_section(&tuning.limits)?,
        secrets.sandbox,
        secrets.webhook,
        keys("tokens", &secrets.keys.tokens),
        keys("tickets", &secrets.keys.tickets),
        tuning.more,
    );
    let mut open = OpenOptions::new();
    let file = open.create(true).truncate(true).write(true).mode(PRIVATE).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} can't be written", path.display()))
}

/// The rates of all limits.
fn limits_section(limits: &Limits) -> Result<String> {
    let mut text = String::new();
    for (kind, rates) in [
        ("node", serde_json::to_value(&limits.node)?),
        ("shared", serde_json::to_value(&limits.shared)?),
    ] {
        text.push_str(&format!("[limits.{kind}]\n"));
        for (name, rate) in rates.as_object().into_iter().flatten() {
            let (per_second, burst) = (rate["per_second"].as_f64(), &rate["burst"]);
            let per_second = per_second.unwrap_or_default();
            text.push_str(&format!(
                "{name} = {{ per_second = {per_second:?}, burst = {burst} }}\n"
            ));
        }
    }
    Ok(text)
}

/// Addresses of this host that nothing listens on at this moment, below the ports that the kernel
/// gives to clients: a server that is started again must find its port as it left it.
///
/// # Errors
/// If there are none.
pub fn free_addresses(host: Ipv4Addr, count: usize) -> Result<Vec<SocketAddr>> {
    // All are taken before any is given back: no two are the same.
    let mut taken: Vec<TcpListener> = Vec::new();
    for _ in 0..PORT_ATTEMPTS {
        if taken.len() == count {
            break;
        }
        let port = rand::random_range(PORTS);
        taken.extend(TcpListener::bind((host, port)));
    }
    ensure!(taken.len() == count, "no free ports on {host}");
    let addresses: std::io::Result<_> = taken.iter().map(TcpListener::local_addr).collect();
    Ok(addresses?)
}

#[cfg(test)]
mod tests {
    use onsale::http::limits::table::Rate;

    use super::*;

    #[test]
    fn a_configuration_is_one_that_the_servers_accept() {
        let path = std::env::temp_dir().join(format!("surge-{}.toml", uuid::Uuid::now_v7()));
        let addresses = free_addresses(Ipv4Addr::LOCALHOST, 2).unwrap();
        let secrets = Secrets::random();
        let mut tuning = Tuning::default();
        tuning.limits.shared.joins = Rate { per_second: 0.5, burst: 3 };
        "header_timeout_s = 77\n".clone_into(&mut tuning.http);
        configure(&path, &secrets, (addresses[0], addresses[1]), &tuning).unwrap();
        let mut config = onsale::config::Config::load(Some(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        config.database.url = "postgres://x".into();
        config.redis.url = "redis://x".into();
        config.validate().unwrap();
        assert_eq!(config.http.listen, addresses[0]);
        assert_eq!(config.limits, tuning.limits);
        assert_eq!(config.http.header_timeout_s, 77);
        assert_eq!(config.payments.sandbox.url, format!("http://{}", addresses[1]));
        assert_eq!(config.keys.tickets[0].secret, secrets.keys.tickets[0].secret);
    }

    #[test]
    fn free_addresses_differ() {
        let mut addresses = free_addresses(Ipv4Addr::LOCALHOST, 5).unwrap();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 5);
    }
}
