//! Writing a numbered manifest into an event that is not on sale yet.

use sqlx::{PgConnection, PgPool};

use super::manifest::Manifest;
use super::numbering::{self, Numbered};
use super::{Place, Stretch};
use crate::ids::EventId;

/// Rows per statement: enough that round trips don't count, few enough to stay in memory.
const CHUNK: usize = 20_000;

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// So many places.
    Places(usize),
    /// The event is past being a draft: its places can only be changed one by one.
    NotDraft,
    /// No such event.
    NoEvent,
}

/// Gives a draft event its manifest, in place of any earlier one.
///
/// # Errors
/// If Postgres fails: then nothing has changed.
pub async fn import(pg: &PgPool, event: EventId, manifest: &Manifest) -> sqlx::Result<Imported> {
    let numbered = numbering::number(manifest);
    let mut tx = pg.begin().await?;
    let status = sqlx::query_scalar!("SELECT status FROM events WHERE id = $1 FOR UPDATE", event.0)
        .fetch_optional(&mut *tx)
        .await?;
    match status.as_deref() {
        None => return Ok(Imported::NoEvent),
        Some("draft") => {}
        Some(_) => return Ok(Imported::NotDraft),
    }
    clear(&mut tx, event).await?;
    write_shape(&mut tx, event, &numbered).await?;
    write_places(&mut tx, event, 0, &numbered.stretches, &numbered.places).await?;
    // A draft that was looked at may have been built in Redis: it must be built anew.
    sqlx::query!(
        "UPDATE epochs SET epoch = epoch + 1, redis_run_id = NULL WHERE event_id = $1",
        event.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE events SET focus_x = $2, focus_y = $3, version = version + 1 WHERE id = $1",
        event.0,
        manifest.focus.x,
        manifest.focus.y
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Imported::Places(numbered.places.len()))
}

async fn clear(pg: &mut PgConnection, event: EventId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM offers WHERE event_id = $1", event.0).execute(&mut *pg).await?;
    sqlx::query!("DELETE FROM places WHERE event_id = $1", event.0).execute(&mut *pg).await?;
    sqlx::query!("DELETE FROM stretches WHERE event_id = $1", event.0).execute(&mut *pg).await?;
    sqlx::query!("DELETE FROM sections WHERE event_id = $1", event.0).execute(&mut *pg).await?;
    sqlx::query!("DELETE FROM levels WHERE event_id = $1", event.0).execute(&mut *pg).await?;
    Ok(())
}

async fn write_shape(
    pg: &mut PgConnection,
    event: EventId,
    numbered: &Numbered,
) -> sqlx::Result<()> {
    for level in &numbered.levels {
        sqlx::query!(
            "INSERT INTO levels (event_id, level, code, name, color) VALUES ($1, $2, $3, $4, $5)",
            event.0,
            level.number,
            level.code,
            level.name,
            level.color
        )
        .execute(&mut *pg)
        .await?;
    }
    for section in &numbered.sections {
        sqlx::query!(
            "INSERT INTO sections (event_id, section, code, name, area, outline)
             VALUES ($1, $2, $3, $4, $5, $6)",
            event.0,
            section.number,
            section.code,
            section.name,
            section.area,
            section.outline
        )
        .execute(&mut *pg)
        .await?;
    }
    Ok(())
}

/// Writes stretches, numbered from `from` on, and their places.
///
/// # Errors
/// If Postgres fails.
pub async fn write_places(
    pg: &mut PgConnection,
    event: EventId,
    from: i32,
    stretches: &[Stretch],
    places: &[Place],
) -> sqlx::Result<()> {
    let numbers: Vec<i32> = (from..).take(stretches.len()).collect();
    let first: Vec<i32> = stretches.iter().map(|stretch| stretch.first).collect();
    let length: Vec<i32> = stretches.iter().map(|stretch| stretch.length).collect();
    let level: Vec<i16> = stretches.iter().map(|stretch| stretch.level).collect();
    let class: Vec<i16> = stretches.iter().map(|stretch| stretch.class.number()).collect();
    let section: Vec<i16> = stretches.iter().map(|stretch| stretch.section).collect();
    sqlx::query!(
        "INSERT INTO stretches (event_id, stretch, first, length, level, class, section)
         SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[], $5::smallint[],
                                  $6::smallint[], $7::smallint[])",
        event.0,
        &numbers,
        &first,
        &length,
        &level,
        &class,
        &section
    )
    .execute(&mut *pg)
    .await?;
    for chunk in places.chunks(CHUNK) {
        write_chunk(&mut *pg, event, chunk).await?;
    }
    Ok(())
}

async fn write_chunk(pg: &mut PgConnection, event: EventId, places: &[Place]) -> sqlx::Result<()> {
    let number: Vec<i32> = places.iter().map(|place| place.number).collect();
    let stretch: Vec<i32> = places.iter().map(|place| place.stretch).collect();
    let section: Vec<i16> = places.iter().map(|place| place.section).collect();
    let level: Vec<i16> = places.iter().map(|place| place.level).collect();
    let attributes: Vec<i16> = places.iter().map(|place| place.attributes).collect();
    let label = |label: &Option<std::sync::Arc<str>>| label.as_deref().map(str::to_owned);
    let row: Vec<Option<String>> = places.iter().map(|place| label(&place.row)).collect();
    let seat: Vec<Option<String>> = places.iter().map(|place| label(&place.seat)).collect();
    let x: Vec<f32> = places.iter().map(|place| place.x).collect();
    let y: Vec<f32> = places.iter().map(|place| place.y).collect();
    sqlx::query!(
        "INSERT INTO places (event_id, place, stretch, section, level, attributes, row_label,
                             seat_label, x, y)
         SELECT $1, * FROM unnest($2::int[], $3::int[], $4::smallint[], $5::smallint[],
             $6::smallint[], $7::text[], $8::text[], $9::real[], $10::real[])",
        event.0,
        &number,
        &stretch,
        &section,
        &level,
        &attributes,
        &row as &[Option<String>],
        &seat as &[Option<String>],
        &x,
        &y
    )
    .execute(pg)
    .await?;
    Ok(())
}
