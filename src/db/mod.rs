//! Postgres: the group commit, and migrations.

pub mod batch;

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
