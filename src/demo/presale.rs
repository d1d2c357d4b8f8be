//! The demo's evening that isn't on sale yet: its presale is drawn among those who register.

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use sqlx::PgPool;
use uuid::Uuid;

use super::seed::{self, Seed};
use crate::access::Binding;
use crate::access::store::{self as access, SetRow};
use crate::catalog::manifest::Manifest;
use crate::ids::{OfferId, OrganizerId};
use crate::registrations::{self, Registration, lane};
use crate::waiting_room::draw::{Draw, SEED_BYTES};

/// Days until registering ends, until the draw, and until the presale ends.
const CLOSES: i64 = 7;
const DRAWN: i64 = 8;
const ENDS: i64 = 15;
/// Who registers early is as likely to win as who does late.
const WINNERS: i32 = 40;
const BEACON: &str = "drand quicknet";

/// Announces an evening in this room.
///
/// # Errors
/// If Postgres fails.
pub async fn announce(pg: &PgPool, organizer: OrganizerId, room: &Manifest) -> anyhow::Result<()> {
    let evening = Seed {
        name: "Night Songs: One More Evening",
        description: "The piano stays, the voice comes back.",
        venue: "The Lantern Room",
        in_days: 63,
        account_limit: Some(4),
        announced: true,
        ..Seed::new("night-songs-again", room)
    };
    let event = seed::event(pg, organizer, &evening).await?;
    let now = Timestamp::now();
    let in_days = |days: i64| now + SignedDuration::from_hours(24 * days);
    let set = SetRow {
        id: Uuid::now_v7(),
        name: "Friends of the Lantern Room".to_owned(),
        starts_at: Some(in_days(DRAWN)),
        ends_at: Some(in_days(ENDS)),
        max_uses: None,
        binding: Binding::Account,
        codes: 0,
        redeemed: 0,
        revoked_at: None,
        created_at: now,
    };
    let seed: [u8; SEED_BYTES] = rand::rng().random();
    let registration = Registration {
        id: Uuid::now_v7(),
        event,
        number: 0,
        name: set.name.clone(),
        code_set: set.id,
        opens_at: now,
        closes_at: in_days(CLOSES),
        draw_at: in_days(DRAWN),
        winners: WINNERS,
        draw: Draw::new(event, lane(0), seed, BEACON, None, None),
        drawn: None,
        done: false,
    };
    let best =
        sqlx::query_scalar!("SELECT id FROM offers WHERE event_id = $1 AND level = 0", event.0)
            .fetch_all(pg)
            .await?;
    let mut tx = pg.begin().await?;
    access::add_set(&mut tx, event, &set).await?;
    for offer in best {
        access::close_offer(&mut tx, OfferId(offer), set.id).await?;
    }
    registrations::store::add(&mut tx, &registration, &seed).await?;
    tx.commit().await?;
    Ok(())
}
