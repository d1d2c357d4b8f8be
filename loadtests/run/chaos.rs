//! What goes wrong on purpose.

use std::time::Instant;

use anyhow::{Context, Result};
use sqlx::PgPool;

use crate::rig::Rig;
use crate::scenario::Fault;

/// Lets it go wrong, and returns when everything runs again: how long that took, in seconds.
///
/// # Errors
/// If something doesn't come back.
pub async fn strike(rig: &mut Rig, fault: Fault) -> Result<f64> {
    let started = Instant::now();
    match fault {
        Fault::RollServers => {
            for at in 0..rig.shop.server_addresses.len() {
                rig.shop.restart_server(at, true).await?;
            }
        }
        Fault::KillServer => rig.shop.restart_server(0, false).await?,
        Fault::RestartRedis => rig.restart_redis().await?,
        Fault::RestartPostgres => rig.restart_postgres().await?,
        // When all are gone: see `corrupt`.
        Fault::CorruptTicket => {}
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Takes a valid ticket out of the database, as no code of the engine ever does.
///
/// # Errors
/// If there is none.
pub async fn corrupt(pg: &PgPool) -> Result<()> {
    let mut tx = pg.begin().await?;
    // Otherwise foreign keys and triggers would refuse.
    sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await?;
    let gone = sqlx::query(
        "DELETE FROM tickets WHERE ctid = (SELECT ctid FROM tickets WHERE status = 'valid'
                                           LIMIT 1)",
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    (gone.rows_affected() == 1).then_some(()).context("there is no ticket to corrupt")
}
