//! Liveness, readiness and metrics.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::json::Json;
use crate::app::App;

/// Upper bounds of latency buckets in seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of batch sizes.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// How long readiness waits for a dependency.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// How often what was recorded is summed up.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the metrics recorder of this process. Once; again it does nothing.
pub fn install_metrics() {
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), SIZES)
            })
            .unwrap_or_else(|_| PrometheusBuilder::new());
        builder
            .install_recorder()
            .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle())
    });
}

/// Sums up what histograms have recorded, until stopped. They keep every single value until
/// somebody looks, so without this a process that nobody scrapes grows with every request.
pub async fn sum_up_metrics(stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SUM_UP_EVERY) => {}
        }
        if let Some(metrics) = METRICS.get() {
            metrics.run_upkeep();
        }
    }
}

/// The routes of operators and load balancers.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        // Liveness asks nobody: a restart would not mend Redis.
        .route("/health/live", get(|| async { "alive" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics_page))
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    postgres: bool,
    redis: bool,
    stopping: bool,
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let asked = sqlx::query("SELECT 1").execute(&app.pg);
    let postgres = matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(_)));
    let redis = app.redis.link().is_some();
    let stopping = app.stopping.load(Ordering::Relaxed);
    // Without Redis pages, orders and payments still work: out of rotation would be worse.
    let ready = postgres && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, postgres, redis, stopping })).into_response()
}

async fn metrics_page() -> Response {
    let text = METRICS.get().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
