//! Postgres against itself: every check is a query for what must not be there.
//!
//! All run in one read-only transaction with one snapshot, each under a savepoint: what can't
//! even be queried is a finding, and the checks after it still run. None of them trusts the
//! functions, constraints or indexes that it audits.

mod admissions;
mod bounds;
mod claims;
mod guards;
mod limits;
mod money;
mod rehearsals;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::{About, Check, MAX_EXAMPLES, Scope, When};

/// How long one check may take, whatever the pool's own bound is.
const STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = '60s'";
/// Whole tables are joined: sorts and hashes should stay in memory.
const WORK_MEM: &str = "SET LOCAL work_mem = '64MB'";
/// Compiling a query takes longer than any of these run.
const NO_JIT: &str = "SET LOCAL jit = off";

/// The tables as a check sees them: those rows that are in scope, under the tables' own names.
/// `grip` lists the statuses in which an order has a grip on its places, and whether it has paid.
const IN_SCOPE: &str = "
WITH scope AS (SELECT $1::uuid AS event, make_interval(secs => $2) AS grace),
grip (status, sold) AS (VALUES ('open', false), ('cancelling', false), ('paid', true),
                               ('disputed', true), ('refund_pending', true)),
events AS NOT MATERIALIZED (SELECT * FROM events WHERE $1 IS NULL OR id = $1),
stretches AS NOT MATERIALIZED (SELECT * FROM stretches WHERE $1 IS NULL OR event_id = $1),
places AS NOT MATERIALIZED (SELECT * FROM places WHERE $1 IS NULL OR event_id = $1),
offers AS NOT MATERIALIZED (SELECT * FROM offers WHERE $1 IS NULL OR event_id = $1),
promo_codes AS NOT MATERIALIZED (SELECT * FROM promo_codes WHERE $1 IS NULL OR event_id = $1),
offer_counts AS NOT MATERIALIZED (SELECT * FROM offer_counts WHERE $1 IS NULL OR event_id = $1),
promo_counts AS NOT MATERIALIZED (SELECT * FROM promo_counts WHERE $1 IS NULL OR event_id = $1),
orders AS NOT MATERIALIZED (SELECT * FROM orders WHERE $1 IS NULL OR event_id = $1),
claims AS NOT MATERIALIZED (SELECT * FROM claims WHERE $1 IS NULL OR event_id = $1),
claims_history AS NOT MATERIALIZED
    (SELECT * FROM claims_history WHERE $1 IS NULL OR event_id = $1),
waiting_rooms AS NOT MATERIALIZED
    (SELECT * FROM waiting_rooms WHERE $1 IS NULL OR event_id = $1),
waiting_lanes AS NOT MATERIALIZED
    (SELECT * FROM waiting_lanes WHERE $1 IS NULL OR event_id = $1),
waiting_places AS NOT MATERIALIZED
    (SELECT * FROM waiting_places WHERE $1 IS NULL OR event_id = $1),
passes AS NOT MATERIALIZED (SELECT * FROM passes WHERE $1 IS NULL OR event_id = $1),
access_codes AS NOT MATERIALIZED (SELECT * FROM access_codes WHERE $1 IS NULL OR event_id = $1),
waiting_calls AS NOT MATERIALIZED
    (SELECT * FROM waiting_calls WHERE $1 IS NULL OR event_id = $1),
rehearsals AS NOT MATERIALIZED (SELECT * FROM rehearsals WHERE $1 IS NULL OR event_id = $1),
rehearsal_payments AS NOT MATERIALIZED
    (SELECT * FROM rehearsal_payments WHERE $1 IS NULL OR event_id = $1),
tickets AS NOT MATERIALIZED (SELECT * FROM tickets WHERE $1 IS NULL OR event_id = $1),
attempts AS NOT MATERIALIZED
    (SELECT * FROM attempts WHERE $1 IS NULL OR order_id IN (SELECT id FROM orders)),
refunds AS NOT MATERIALIZED
    (SELECT * FROM refunds WHERE $1 IS NULL OR order_id IN (SELECT id FROM orders)),
disputes AS NOT MATERIALIZED
    (SELECT * FROM disputes WHERE $1 IS NULL OR order_id IN (SELECT id FROM orders)),
mails AS NOT MATERIALIZED
    (SELECT * FROM mails WHERE $1 IS NULL OR order_id IN (SELECT id FROM orders)),
mirror AS NOT MATERIALIZED (SELECT * FROM mirror m WHERE $1 IS NULL
    OR EXISTS (SELECT FROM orders o WHERE o.id = ANY (m.orders))),
outbox AS NOT MATERIALIZED (SELECT * FROM outbox m WHERE $1 IS NULL
    OR EXISTS (SELECT FROM orders o WHERE o.id = ANY (m.orders))),
order_places AS (
    SELECT o.id AS order_id, o.event_id, o.status, p.place
    FROM orders o CROSS JOIN unnest(o.places) AS p (place)
),
order_lines AS (
    SELECT o.id AS order_id, o.event_id, o.status, (l->>'offer')::smallint AS offer,
           (l->>'price')::bigint + (l->>'fee')::bigint AS amount, l->'places' AS places,
           jsonb_array_length(l->'places') AS n
    FROM orders o CROSS JOIN jsonb_array_elements(o.lines) AS l
)";

/// A check by query.
pub struct Query {
    /// What it is about.
    pub about: About,
    /// When it holds.
    pub when: When,
    /// Selects one text per violation. Reads what [`IN_SCOPE`] defines.
    pub sql: &'static str,
}

fn all() -> impl Iterator<Item = &'static Query> {
    let sales = [guards::CHECKS, claims::CHECKS, money::CHECKS, limits::CHECKS, bounds::CHECKS];
    sales.into_iter().chain([admissions::CHECKS, rehearsals::CHECKS]).flatten()
}

/// Runs every check on one snapshot.
///
/// # Errors
/// If Postgres can't be asked at all.
pub async fn run(pg: &PgPool, scope: &Scope) -> sqlx::Result<Vec<Check>> {
    let mut tx = pg.begin().await?;
    for setting in
        ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", STATEMENT_TIMEOUT, WORK_MEM]
    {
        sqlx::query(setting).execute(&mut *tx).await?;
    }
    sqlx::query(NO_JIT).execute(&mut *tx).await?;
    let mut checks = Vec::new();
    for query in all() {
        checks.push(if query.when.holds(scope) {
            ask(&mut tx, query, scope).await?
        } else {
            query.about.skipped("holds only at rest")
        });
    }
    tx.rollback().await?;
    Ok(checks)
}

async fn ask(pg: &mut PgConnection, query: &Query, scope: &Scope) -> sqlx::Result<Check> {
    let sql = format!(
        "{IN_SCOPE}, bad (what) AS ({})
         SELECT (SELECT count(*) FROM bad),
                ARRAY (SELECT what FROM bad ORDER BY what LIMIT {MAX_EXAMPLES})",
        query.sql
    );
    let mut savepoint = pg.begin().await?;
    let answer = sqlx::query_as::<_, (i64, Vec<String>)>(AssertSqlSafe(sql))
        .bind(scope.event.map(|event| event.0))
        .bind(scope.grace.as_secs_f64())
        .fetch_one(&mut *savepoint)
        .await;
    savepoint.rollback().await?;
    match answer {
        Ok((count, examples)) => Ok(query.about.found(u64::try_from(count).unwrap_or(0), examples)),
        // The data is not even of the shape that the check reads.
        Err(sqlx::Error::Database(error)) => {
            Ok(query.about.found(1, vec![format!("can't be asked: {error}")]))
        }
        Err(error) => Err(error),
    }
}
