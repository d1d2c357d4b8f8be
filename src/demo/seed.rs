//! Events to try things with: used by the demo, by tests and by load tests.

use anyhow::Context;
use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;
use uuid::Uuid;

use crate::catalog::import::{self, Imported};
use crate::catalog::manifest::{Manifest, generate};
use crate::ids::{EventId, OfferId, OrganizerId, VenueId};

/// Prices of the best and of each lower level, in cents.
const PRICES: [i64; 7] = [14_900, 11_900, 8_900, 6_900, 4_900, 3_900, 2_900];

/// Where the venues are.
const ZONE: &str = "Europe/Berlin";

/// An event to be made.
pub struct Seed<'a> {
    /// Its id, if it is to be a certain one.
    pub id: Option<EventId>,
    /// Its name in URLs.
    pub slug: &'a str,
    /// What is played.
    pub name: &'a str,
    /// Plain text.
    pub description: &'a str,
    /// The venue's name.
    pub venue: &'a str,
    /// Its places.
    pub manifest: &'a Manifest,
    /// Days until the evening on which it begins.
    pub in_days: i64,
    /// Most places per buyer.
    pub account_limit: Option<i32>,
    /// How long a hold lasts.
    pub hold_seconds: i32,
    /// How long a claim waits for its payment.
    pub pay_seconds: i32,
    /// Longest delay until places that come back are free, in seconds.
    pub return_seconds: i32,
    /// Whether it is only announced, and not on sale yet.
    pub announced: bool,
}

impl<'a> Seed<'a> {
    /// A plain event with this manifest. Places come back at once.
    #[must_use]
    pub const fn new(slug: &'a str, manifest: &'a Manifest) -> Self {
        Self {
            id: None,
            slug,
            name: "A test event",
            description: "",
            venue: "A test venue",
            manifest,
            in_days: 60,
            account_limit: None,
            hold_seconds: 480,
            pay_seconds: 900,
            return_seconds: 0,
            announced: false,
        }
    }
}

/// What the demo shows: an arena, a theatre and a club. Made once; later starts find them.
///
/// # Errors
/// If Postgres fails.
pub async fn demo(pg: &PgPool, say: &(dyn Fn(&str) + Send + Sync)) -> anyhow::Result<()> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM organizers WHERE slug = 'northern-stage') AS "yes!""#
    )
    .fetch_one(pg)
    .await?;
    if exists {
        return Ok(());
    }
    say("putting an arena with 20,000 places on sale");
    let organizer = organizer(pg, "northern-stage", "Northern Stage").await?;
    let arena = generate::arena();
    let aurora = Seed {
        name: "Aurora: Northern Lights Tour",
        description: "Two hours of light and sound, once in the north and never again.",
        venue: "Harbour Arena",
        account_limit: Some(8),
        return_seconds: 10,
        ..Seed::new("aurora", &arena)
    };
    event(pg, organizer, &aurora).await?;
    say("and a theatre with 1,500");
    let theatre = generate::theatre();
    let gull = Seed {
        name: "The Seagull",
        description: "Chekhov's comedy in four acts.",
        venue: "Old Theatre on the Quay",
        in_days: 21,
        account_limit: Some(10),
        return_seconds: 10,
        ..Seed::new("the-seagull", &theatre)
    };
    event(pg, organizer, &gull).await?;
    super::club::on_sale(pg, organizer).await?;
    Ok(())
}

/// A stadium with more than 100,000 seats, for who wants to see a large chart. Made once.
///
/// # Errors
/// If Postgres fails.
pub async fn stadium(pg: &PgPool, say: &(dyn Fn(&str) + Send + Sync)) -> anyhow::Result<()> {
    let slug = "cup-committee";
    let known = sqlx::query_scalar!("SELECT id FROM organizers WHERE slug = $1", slug)
        .fetch_optional(pg)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    say("and a stadium with 100,000");
    let organizer = organizer(pg, slug, "Cup Committee").await?;
    let stadium = generate::great_stadium();
    let cup = Seed {
        name: "Cup Final",
        description: "One match, one cup.",
        venue: "Great Stadium",
        in_days: 40,
        account_limit: Some(6),
        return_seconds: 10,
        ..Seed::new("cup-final", &stadium)
    };
    event(pg, organizer, &cup).await?;
    Ok(())
}

/// An organizer.
///
/// # Errors
/// If Postgres fails, or the slug is taken.
pub async fn organizer(pg: &PgPool, slug: &str, name: &str) -> sqlx::Result<OrganizerId> {
    let id = OrganizerId::fresh();
    sqlx::query!("INSERT INTO organizers (id, slug, name) VALUES ($1, $2, $3)", id.0, slug, name)
        .execute(pg)
        .await?;
    Ok(id)
}

/// An event on sale, or announced: each level for adults and, where it has seats, for children at half price.
///
/// # Errors
/// If Postgres fails, or the slug is taken.
pub async fn event(
    pg: &PgPool,
    organizer: OrganizerId,
    seed: &Seed<'_>,
) -> anyhow::Result<EventId> {
    let event = draft(pg, organizer, seed).await?;
    let imported = import::import(pg, event, seed.manifest).await?;
    anyhow::ensure!(matches!(imported, Imported::Places(_)), "the manifest: {imported:?}");
    let levels = sqlx::query!(
        r#"SELECT l.level, l.name, EXISTS (
               SELECT FROM stretches s WHERE s.event_id = l.event_id AND s.level = l.level
                 AND s.class <> 2) AS "seated!"
           FROM levels l WHERE event_id = $1 ORDER BY level"#,
        event.0
    )
    .fetch_all(pg)
    .await?;
    let mut number = 0;
    for (level, price) in levels.iter().zip(PRICES.iter().cycle()) {
        let adult = Price { level: level.level, price_type: 0, price: *price };
        offer(pg, event, number, &level.name, &adult).await?;
        number += 1;
        if level.seated {
            let child = Price { price_type: 1, price: *price / 2, ..adult };
            offer(pg, event, number, &format!("{}, child", level.name), &child).await?;
            number += 1;
        }
    }
    sqlx::query!(
        "UPDATE events SET status = $2, version = version + 1 WHERE id = $1",
        event.0,
        if seed.announced { "published" } else { "on_sale" }
    )
    .execute(pg)
    .await?;
    Ok(event)
}

async fn draft(pg: &PgPool, organizer: OrganizerId, seed: &Seed<'_>) -> anyhow::Result<EventId> {
    let (event, venue) = (seed.id.unwrap_or_else(EventId::fresh), VenueId::fresh());
    let day = Timestamp::now().in_tz(ZONE)?.date().checked_add(seed.in_days.days());
    let starts_at = day.context("the event is too far away")?.at(19, 30, 0, 0).in_tz(ZONE)?;
    let mut tx = pg.begin().await?;
    sqlx::query!(
        "INSERT INTO venues (id, organizer_id, name, address, time_zone)
         VALUES ($1, $2, $3, 'Quay 1, 20457 Hamburg, Germany', $4)",
        venue.0,
        organizer.0,
        seed.venue,
        ZONE
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO events (id, organizer_id, venue_id, slug, name, description, starts_at,
                             currency, account_limit, hold_seconds, hold_max_seconds, pay_seconds,
                             return_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'EUR', $8, $9, $9 * 2, $10, $11)",
        event.0,
        organizer.0,
        venue.0,
        seed.slug,
        seed.name,
        seed.description,
        starts_at.timestamp().to_sqlx() as _,
        seed.account_limit,
        seed.hold_seconds,
        seed.pay_seconds,
        seed.return_seconds
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("INSERT INTO epochs (event_id) VALUES ($1)", event.0).execute(&mut *tx).await?;
    sqlx::query!(
        "INSERT INTO channels (event_id, channel, code, name) VALUES ($1, 0, 'public', 'Public')",
        event.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO price_types (event_id, price_type, code, name)
         VALUES ($1, 0, 'adult', 'Adult'), ($1, 1, 'child', 'Child')",
        event.0
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(event)
}

struct Price {
    level: i16,
    price_type: i16,
    price: i64,
}

async fn offer(
    pg: &PgPool,
    event: EventId,
    number: i16,
    name: &str,
    price: &Price,
) -> sqlx::Result<()> {
    let id: Uuid = OfferId::fresh().0;
    sqlx::query!(
        "INSERT INTO offers (id, event_id, offer, name, level, price_type, fee_fixed, fee_bp,
                             tax_bp)
         VALUES ($1, $2, $3, $4, $5, $6, 100, 250, 700)",
        id,
        event.0,
        number,
        name,
        price.level,
        price.price_type
    )
    .execute(pg)
    .await?;
    sqlx::query!(
        "INSERT INTO offer_tiers (offer_id, tier, price) VALUES ($1, 0, $2)",
        id,
        price.price
    )
    .execute(pg)
    .await?;
    Ok(())
}
