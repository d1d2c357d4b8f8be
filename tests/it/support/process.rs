//! Servers as processes of their own, that can be killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use onsale::config::Config;
use tokio::process::{Child, Command};

use super::{Env, PATIENCE, until};

/// An address that is still free when a process binds it some time later: on Linux all of
/// 127.0.0.0/8 is this machine, and nobody else here uses the one that is chosen.
pub fn free_address() -> SocketAddr {
    static CHOSEN: AtomicU32 = AtomicU32::new(0);
    let [.., high, low] = CHOSEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let ip = if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, 64 + (std::process::id() % 128) as u8, high, low.max(1))
    } else {
        Ipv4Addr::LOCALHOST
    };
    let listener = std::net::TcpListener::bind((ip, 0)).expect("a port");
    listener.local_addr().expect("bound")
}

/// A running `onsale`.
pub struct Process {
    pub url: String,
    pub child: Child,
}

impl Env {
    /// Starts `onsale serve` on `address` with this environment's configuration, changed by
    /// `change`, and waits until it is ready.
    pub async fn spawn_server(
        &self,
        address: SocketAddr,
        variables: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
    ) -> Process {
        let mut config = self.config.clone();
        config.http.listen = address;
        config.http.public_url = format!("http://{address}");
        change(&mut config);
        let url = config.http.public_url.clone();
        let child = run(&["serve"], &config, variables);
        let mut process = Process { url, child };
        let started = Instant::now();
        while !process.is_ready().await {
            assert!(started.elapsed() < PATIENCE, "{} never was ready", process.url);
            // Who doesn't find Redis or Postgres gives up, and is started again, as servers are.
            if process.child.try_wait().expect("a child").is_some() {
                process.child = run(&["serve"], &config, variables);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    /// Starts `onsale sandbox`, which tells these servers in turn.
    pub async fn spawn_sandbox(&self, address: SocketAddr, servers: &[SocketAddr]) -> Process {
        let listen = address.to_string();
        let mut arguments = vec!["sandbox".to_owned(), "--listen".into(), listen.clone()];
        for server in servers {
            arguments.push("--webhook".into());
            arguments.push(format!("http://{server}/webhooks/sandbox"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = run(&arguments, &self.config, &[]);
        until("the sandbox listens", || async {
            tokio::net::TcpStream::connect(&listen).await.is_ok()
        })
        .await;
        Process { url: format!("http://{address}"), child }
    }
}

fn run(arguments: &[&str], config: &Config, variables: &[(&str, &str)]) -> Child {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("onsale-{}.toml", super::unique()));
    let text = config::Config::try_from(config).expect("a configuration");
    let value: serde_json::Value = text.try_deserialize().expect("a configuration");
    std::fs::write(&path, to_toml(&value)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_onsale"));
    command
        .arg("--config")
        .arg(&path)
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_URL")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command.spawn().expect("onsale starts")
}

/// Tables of plain values, which is all that a configuration has.
fn to_toml(value: &serde_json::Value) -> String {
    let mut text = String::new();
    let mut tables = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            tables.push((key.clone(), value));
        } else {
            text.push_str(&format!("{key} = {}\n", inline(value)));
        }
    }
    for (key, value) in tables {
        text.push_str(&format!("{key} = {}\n", inline(value)));
    }
    text
}

fn inline(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        serde_json::Value::Array(list) => {
            let entries: Vec<String> = list.iter().map(inline).collect();
            format!("[{}]", entries.join(", "))
        }
        other => other.to_string(),
    }
}

impl Process {
    async fn is_ready(&self) -> bool {
        let ready = reqwest::get(format!("{}/health/ready", self.url)).await;
        ready.is_ok_and(|answer| answer.status().is_success())
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// SIGTERM, and its orderly end.
    pub async fn terminate(mut self) {
        let pid = self.child.id().expect("running");
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{status}");
    }
}
