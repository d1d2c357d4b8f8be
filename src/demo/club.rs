//! The demo's small club: tickets are personal there, and buyers accept its terms.

use anyhow::Context;
use sqlx::PgPool;

use super::presale;
use super::seed::{self, Seed};
use crate::catalog::BuyerTerms;
use crate::catalog::manifest::{self, Manifest};
use crate::ids::OrganizerId;

/// Rows of tables, and seats in each.
const ROWS: u32 = 8;
const SEATS: u32 = 12;
/// Rows near the stage, which are the better level.
const FRONT: u32 = 3;
/// How many may stand at the bar.
const BAR: u32 = 60;

const TERMS: &str = "Tickets are personal: please bring an ID that shows the name on yours.\n\
    You can give them back until seven days before the concert. Please don't take pictures \
    while the music plays.";

/// Puts a concert in the club on sale, and announces another one.
///
/// # Errors
/// If Postgres fails.
pub async fn on_sale(pg: &PgPool, organizer: OrganizerId) -> anyhow::Result<()> {
    let room = room()?;
    let songs = Seed {
        name: "Night Songs",
        description: "A voice, a piano and a room that listens.",
        venue: "The Lantern Room",
        in_days: 35,
        account_limit: Some(6),
        return_seconds: 10,
        ..Seed::new("night-songs", &room)
    };
    let event = seed::event(pg, organizer, &songs).await?;
    let mut tx = pg.begin().await?;
    let url = "https://lantern-room.example/terms".to_owned();
    let terms = BuyerTerms::new(TERMS.to_owned(), Some(url)).keep(&mut tx).await?;
    sqlx::query!(
        "UPDATE events SET attendee_names = true, terms = $2, version = version + 1 WHERE id = $1",
        event.0,
        terms
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    presale::announce(pg, organizer, &room).await
}

fn room() -> anyhow::Result<Manifest> {
    let mut table = String::from("section,row,seat,x,y,level,attributes,capacity\n");
    for row in 0..ROWS {
        let level = if row < FRONT { "Stage tables" } else { "Tables" };
        let letter = char::from_u32(u32::from('A') + row).context("a letter")?;
        for seat in 1..=SEATS {
            // Two aisles, and rows that bend a little around the stage.
            let aisles = f64::from(seat.saturating_sub(1) / 4);
            let x = (f64::from(seat) - 6.5) * 0.6 + (aisles - 1.0) * 1.1;
            let y = 3.0 + f64::from(row) * 1.2 - x * x * 0.02;
            table.push_str(&format!("Room,{letter},{seat},{x:.2},{y:.2},{level},,\n"));
        }
    }
    table.push_str(&format!("Bar,,,,,Bar,,{BAR}\n"));
    manifest::csv::parse(table.as_bytes()).map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_a_manifest() {
        let room = room().unwrap();
        assert_eq!(room.levels.len(), 3);
    }
}
