//! A process from its start to its orderly end.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, Log, ProviderName, Role};
use crate::http;
use crate::payments::sandbox::{Acquirer, AcquirerConfig};
use crate::workers;

/// How long tracked work may take after the last connection was closed.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// What every process needs before anything else: one source of cryptography, logs, metrics.
pub fn prepare(log: &Log) {
    // A second installation (in tests) changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let filter = tracing_subscriber::EnvFilter::try_new(&log.filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Colours are for people at a terminal. They took most of the time of a request's span.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(!unwanted && std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let installed = if log.json { logs.json().try_init() } else { logs.try_init() };
    drop(installed);
    http::health::install_metrics();
}

/// A running server.
pub struct Server {
    /// Its parts.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    serving: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
    sandbox: Option<Acquirer>,
}

impl Server {
    /// Binds, connects and starts.
    ///
    /// # Errors
    /// If the address is taken, or Postgres, Redis or the configuration are not usable.
    pub async fn start(mut config: Config, listener: Option<TcpListener>) -> anyhow::Result<Self> {
        config.validate()?;
        let listener = match listener {
            Some(listener) => listener,
            None => {
                let at = config.http.listen;
                TcpListener::bind(at).await.with_context(|| format!("{at} can't be bound"))?
            }
        };
        let address = listener.local_addr()?;
        config.http.listen = address;
        let app = App::start(config).await?;
        check_schema(&app).await?;
        crate::accounts::revoked::start(&app).await?;
        let sandbox = open_sandbox(&app)?;
        tokio::spawn(http::health::sum_up_metrics(app.stop.child_token()));
        if app.config.roles.contains(&Role::Workers) {
            workers::start(&app);
        }
        let serving = app.config.roles.contains(&Role::Http).then(|| {
            let mut router: Router = http::router(&app);
            if let Some(sandbox) = &sandbox {
                router = Router::new().nest("/sandbox", sandbox.router()).merge(router);
            }
            let (config, drain) = (app.config.http.clone(), app.draining.child_token());
            tokio::spawn(async move { http::server::serve(listener, router, &config, drain).await })
        });
        Ok(Self { app, address, serving, sandbox })
    }

    /// No new connections, then what is open is finished, then everything ends.
    ///
    /// # Errors
    /// If the server had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.app.stopping.store(true, Ordering::Relaxed);
        self.app.draining.cancel();
        if let Some(serving) = self.serving {
            serving.await??;
        }
        self.app.stop.cancel();
        if let Some(sandbox) = &self.sandbox {
            sandbox.drained().await;
        }
        self.app.tasks.close();
        if tokio::time::timeout(FINISH_WITHIN, self.app.tasks.wait()).await.is_err() {
            tracing::warn!("work was still under way at the end; it is resumed by others");
        }
        Ok(())
    }

    /// Serves until SIGTERM or Ctrl-C, then says for a while that it is not ready, so that load
    /// balancers hear of it before connections are refused, then stops.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn run(self) -> anyhow::Result<()> {
        stop_signal().await?;
        tracing::info!("stopping");
        self.app.stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(self.app.config.http.unready_ms)).await;
        self.stop().await
    }
}

/// Waits for SIGTERM or Ctrl-C.
///
/// # Errors
/// If signals can't be listened for.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A server must not run on a schema that it doesn't know. Newer ones are fine: old and new
/// binaries run side by side during an upgrade, and migrations only ever add.
async fn check_schema(app: &App) -> anyhow::Result<()> {
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&app.pg)
            .await
            .unwrap_or_default();
    let missing = crate::db::MIGRATIONS.iter().any(|known| !applied.contains(&known.version));
    anyhow::ensure!(!missing, "the database's schema is older than this program: onsale migrate");
    Ok(())
}

fn open_sandbox(app: &App) -> anyhow::Result<Option<Acquirer>> {
    let settings = &app.config.payments.sandbox;
    if app.config.payments.provider != ProviderName::Sandbox || !settings.url.is_empty() {
        return Ok(None);
    }
    let webhook = format!("http://{}/webhooks/sandbox", app.config.http.listen);
    let first = settings.webhook_secrets.first().cloned().unwrap_or_default();
    let mut config = AcquirerConfig::new(&settings.secret, &webhook, &first);
    if !settings.journal.as_os_str().is_empty() {
        config.journal = Some(settings.journal.clone());
    }
    Ok(Some(Acquirer::open(config, app.stop.child_token())?))
}

/// Runs the sandbox as a process of its own until SIGTERM or Ctrl-C.
///
/// # Errors
/// If the address is taken or the configuration is not usable.
pub async fn run_sandbox(
    config: &Config,
    listen: SocketAddr,
    webhooks: Vec<String>,
) -> anyhow::Result<()> {
    let settings = &config.payments.sandbox;
    let first = settings.webhook_secrets.first().cloned().unwrap_or_default();
    let mut acquirer = AcquirerConfig::new(&settings.secret, "", &first);
    acquirer.webhook_urls = webhooks;
    if !settings.journal.as_os_str().is_empty() {
        acquirer.journal = Some(settings.journal.clone());
    }
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("{listen} can't be bound"))?;
    println!("sandbox listening on http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        drop(stop_signal().await);
        stop.cancel();
    });
    crate::payments::sandbox::run(acquirer, listener, shutdown).await
}
