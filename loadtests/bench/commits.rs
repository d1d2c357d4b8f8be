//! The limit of purchases: `pgbench` committing one bare order with two places per transaction,
//! in one statement, prepared, on the same Postgres.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tokio::process::Command;

/// The tables, as narrow as they can be with a primary key on orders and one on places.
const TABLES: &str = "
    DROP TABLE IF EXISTS bench_orders, bench_places;
    CREATE TABLE bench_orders (id uuid PRIMARY KEY, account uuid NOT NULL, total bigint NOT NULL);
    CREATE TABLE bench_places (place bigint PRIMARY KEY, order_id uuid NOT NULL);
    DROP SEQUENCE IF EXISTS bench_place;
    CREATE SEQUENCE bench_place CACHE 1000;";
/// One order.
const STATEMENT: &str = "
    WITH born AS (
        INSERT INTO bench_orders VALUES (gen_random_uuid(), gen_random_uuid(), 10000) RETURNING id
    )
    INSERT INTO bench_places
    SELECT nextval('bench_place'), id FROM born, generate_series(1, 2);";
/// Counts of clients of which the best is taken.
const CLIENTS: [u32; 4] = [8, 16, 32, 64];
/// How long each is tried, in seconds.
const TRIAL_S: u64 = 3;

/// The program and how it does best.
pub struct Commits {
    url: String,
    script: std::path::PathBuf,
    /// The best count of clients.
    pub clients: u32,
}

impl Commits {
    /// Makes the tables and finds the best count of clients.
    ///
    /// # Errors
    /// If there is no `pgbench`.
    pub async fn prepare(pg: &PgPool, url: &str, directory: &Path) -> Result<Self> {
        sqlx::raw_sql(TABLES).execute(pg).await?;
        let script = directory.join("bare-order.sql");
        std::fs::write(&script, STATEMENT.split_whitespace().collect::<Vec<_>>().join(" "))?;
        let mut commits = Self { url: url.to_owned(), script, clients: 1 };
        let mut best = 0.0;
        for clients in CLIENTS {
            let per_s = commits.run(clients, Duration::from_secs(TRIAL_S)).await?;
            if per_s > best {
                (best, commits.clients) = (per_s, clients);
            }
        }
        Ok(commits)
    }

    /// Commits per second over so long.
    ///
    /// # Errors
    /// If `pgbench` fails.
    pub async fn window(&self, length: Duration) -> Result<f64> {
        self.run(self.clients, length).await
    }

    async fn run(&self, clients: u32, length: Duration) -> Result<f64> {
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", length.as_secs().max(1)))
            .arg(format!("--file={}", self.script.display()))
            .arg(&self.url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("pgbench, which comes with Postgres, can't be started")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {complained}");
        let per_s = said.lines().find_map(|line| {
            line.strip_prefix("tps = ")?.split_whitespace().next()?.parse::<f64>().ok()
        });
        per_s.with_context(|| format!("pgbench says no rate: {said}"))
    }
}
