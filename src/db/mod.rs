//! Postgres: the group commit, connections of its own for it, and migrations.

pub mod batch;
pub mod kept;

use sqlx::PgPool;

/// The migrations, forward only.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Brings the schema up to date.
///
/// # Errors
/// If Postgres fails, or a migration that was applied is not the one that is here.
pub async fn migrate(pg: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATIONS.run(pg).await
}
