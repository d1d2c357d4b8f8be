//! Reading an event from Postgres, as one consistent snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::{PgConnection, PgPool};

use super::listing::{Listing, Parts};
use super::{
    BuyerTerms, Channel, Class, Event, EventStatus, Level, Offer, Place, PriceType, Promo, Section,
    Stretch, Tier, Venue,
};
use crate::ids::{EventId, OfferId, OrganizerId};

/// Where an event's state in Redis stands, by Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// The generation that claims accept.
    pub epoch: i32,
    /// The Redis it was built on; none while it is being rebuilt.
    pub run_id: Option<String>,
}

/// Reads an event and its epoch. `None` if there is no such event.
///
/// # Errors
/// If Postgres fails, or holds what no version of this program writes.
pub async fn load(pg: &PgPool, id: EventId) -> sqlx::Result<Option<(Listing, EpochRow)>> {
    let mut tx = pg.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *tx)
        .await?;
    let Some((event, epoch)) = load_event(&mut tx, id).await? else { return Ok(None) };
    let stretches = load_stretches(&mut tx, id).await?;
    let places = load_places(&mut tx, id).await?;
    let (levels, sections) = load_shape(&mut tx, id).await?;
    let (channels, price_types) = load_kinds(&mut tx, id).await?;
    let offers = load_offers(&mut tx, id).await?;
    let promos = load_promos(&mut tx, id).await?;
    let code_sets = crate::access::store::load(&mut tx, id).await?;
    let registrations = crate::registrations::store::announced(&mut tx, id).await?;
    tx.commit().await?;
    let parts = Parts {
        event,
        levels,
        sections,
        stretches,
        places,
        channels,
        price_types,
        offers,
        promos,
        code_sets,
        registrations,
    };
    Ok(Some((Listing::from(parts), epoch)))
}

async fn load_event(pg: &mut PgConnection, id: EventId) -> sqlx::Result<Option<(Event, EpochRow)>> {
    let row = sqlx::query!(
        r#"SELECT e.organizer_id, e.slug, e.name, e.description,
                  e.starts_at AS "starts_at: SqlTimestamp", e.currency,
                  CASE WHEN r.ended_at IS NULL AND r.event_id IS NOT NULL THEN 'on_sale'
                       ELSE e.status END AS "status!",
                  r.event_id IS NOT NULL AS "rehearsal!",
                  e.account_limit, e.hold_seconds, e.hold_max_seconds, e.pay_seconds,
                  e.return_seconds, e.orphan_rule, e.needs_account, e.focus_x, e.focus_y, e.version,
                  e.attendee_names, b.digest AS "terms_digest?", b.text AS "terms_text?",
                  b.url AS terms_url,
                  EXISTS (SELECT FROM waiting_rooms w WHERE w.event_id = e.id)
                      AS "waiting_room!",
                  v.name AS venue_name,
                  v.address, v.time_zone, p.epoch, p.redis_run_id
           FROM events e JOIN venues v ON v.id = e.venue_id JOIN epochs p ON p.event_id = e.id
           LEFT JOIN rehearsals r ON r.event_id = e.id
           LEFT JOIN terms b ON b.digest = e.terms
           WHERE e.id = $1"#,
        id.0
    )
    .fetch_optional(pg)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let unknown = |what: &str| sqlx::Error::Decode(format!("events: unknown {what}").into());
    let terms = row.terms_digest.zip(row.terms_text).map(|(digest, text)| BuyerTerms {
        digest: hex::encode(digest),
        text,
        url: row.terms_url,
    });
    let event = Event {
        id,
        organizer: OrganizerId(row.organizer_id),
        slug: row.slug,
        name: row.name,
        description: row.description,
        venue: Venue { name: row.venue_name, address: row.address, time_zone: row.time_zone },
        starts_at: row.starts_at.to_jiff(),
        currency: row.currency.parse().map_err(|_| unknown("currency"))?,
        status: EventStatus::from_word(&row.status).ok_or_else(|| unknown("status"))?,
        account_limit: row.account_limit,
        hold_seconds: row.hold_seconds,
        hold_max_seconds: row.hold_max_seconds,
        pay_seconds: row.pay_seconds,
        return_seconds: row.return_seconds,
        orphan_rule: row.orphan_rule,
        waiting_room: row.waiting_room,
        needs_account: row.needs_account,
        attendee_names: row.attendee_names,
        terms,
        rehearsal: row.rehearsal,
        focus: (row.focus_x, row.focus_y),
        version: row.version,
    };
    Ok(Some((event, EpochRow { epoch: row.epoch, run_id: row.redis_run_id })))
}

async fn load_stretches(pg: &mut PgConnection, id: EventId) -> sqlx::Result<Vec<Stretch>> {
    let rows = sqlx::query!(
        "SELECT first, length, level, class, section FROM stretches
         WHERE event_id = $1 ORDER BY stretch",
        id.0
    )
    .fetch_all(pg)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stretch {
            first: row.first,
            length: row.length,
            level: row.level,
            class: Class::from_number(row.class),
            section: row.section,
        })
        .collect())
}

async fn load_places(pg: &mut PgConnection, id: EventId) -> sqlx::Result<Vec<Place>> {
    let rows = sqlx::query!(
        "SELECT place, stretch, section, level, attributes, row_label, seat_label, x, y,
                killed, channel
         FROM places WHERE event_id = $1 ORDER BY place",
        id.0
    )
    .fetch_all(pg)
    .await?;
    // A stadium has tens of thousands of seats but few different labels.
    let mut labels: HashMap<String, Arc<str>> = HashMap::new();
    let mut shared = |label: Option<String>| {
        label.map(|label| labels.entry(label).or_insert_with_key(|l| l.as_str().into()).clone())
    };
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        places.push(Place {
            number: row.place,
            stretch: row.stretch,
            section: row.section,
            level: row.level,
            attributes: row.attributes,
            row: shared(row.row_label),
            seat: shared(row.seat_label),
            x: row.x,
            y: row.y,
            killed: row.killed,
            channel: row.channel,
        });
    }
    Ok(places)
}

async fn load_shape(
    pg: &mut PgConnection,
    id: EventId,
) -> sqlx::Result<(Vec<Level>, Vec<Section>)> {
    let levels = sqlx::query!(
        "SELECT level, code, name, color FROM levels WHERE event_id = $1 ORDER BY level",
        id.0
    )
    .fetch_all(&mut *pg)
    .await?;
    let sections = sqlx::query!(
        "SELECT section, code, name, area, outline FROM sections
         WHERE event_id = $1 ORDER BY section",
        id.0
    )
    .fetch_all(pg)
    .await?;
    let levels = levels.into_iter().map(|row| Level {
        number: row.level,
        code: row.code,
        name: row.name,
        color: row.color,
    });
    let sections = sections.into_iter().map(|row| Section {
        number: row.section,
        code: row.code,
        name: row.name,
        area: row.area,
        outline: row.outline,
    });
    Ok((levels.collect(), sections.collect()))
}

async fn load_kinds(
    pg: &mut PgConnection,
    id: EventId,
) -> sqlx::Result<(Vec<Channel>, Vec<PriceType>)> {
    let channels = sqlx::query_as!(
        Channel,
        "SELECT channel AS number, code, name FROM channels WHERE event_id = $1 ORDER BY channel",
        id.0
    )
    .fetch_all(&mut *pg)
    .await?;
    let price_types = sqlx::query_as!(
        PriceType,
        "SELECT price_type AS number, code, name FROM price_types
         WHERE event_id = $1 ORDER BY price_type",
        id.0
    )
    .fetch_all(pg)
    .await?;
    Ok((channels, price_types))
}

async fn load_offers(pg: &mut PgConnection, id: EventId) -> sqlx::Result<Vec<Offer>> {
    let tier_rows = sqlx::query!(
        r#"SELECT t.offer_id, t.name, t.price, t.until_count, t.until AS "until: SqlTimestamp"
           FROM offer_tiers t JOIN offers o ON o.id = t.offer_id
           WHERE o.event_id = $1 ORDER BY t.offer_id, t.tier"#,
        id.0
    )
    .fetch_all(&mut *pg)
    .await?;
    let mut tiers: HashMap<OfferId, Vec<Tier>> = HashMap::new();
    for row in tier_rows {
        tiers.entry(OfferId(row.offer_id)).or_default().push(Tier {
            name: row.name,
            price: row.price,
            until_count: row.until_count,
            until: row.until.map(SqlTimestamp::to_jiff),
        });
    }
    let rows = sqlx::query!(
        r#"SELECT id, offer, name, level, price_type, channel, fee_fixed, fee_bp, tax_bp,
                  starts_at AS "starts_at: SqlTimestamp", ends_at AS "ends_at: SqlTimestamp",
                  access_code, quota, min_per_order, max_per_order, multiple_of, package_size,
                  active, code_set
           FROM offers WHERE event_id = $1 ORDER BY offer"#,
        id.0
    )
    .fetch_all(pg)
    .await?;
    let mut offers = Vec::with_capacity(rows.len());
    for row in rows {
        offers.push(Offer {
            id: OfferId(row.id),
            number: row.offer,
            name: row.name,
            level: row.level,
            price_type: row.price_type,
            channel: row.channel,
            fee_fixed: row.fee_fixed,
            fee_bp: row.fee_bp,
            tax_bp: row.tax_bp,
            starts_at: row.starts_at.map(SqlTimestamp::to_jiff),
            ends_at: row.ends_at.map(SqlTimestamp::to_jiff),
            access_code: row.access_code,
            code_set: row.code_set,
            quota: row.quota,
            min_per_order: row.min_per_order,
            max_per_order: row.max_per_order,
            multiple_of: row.multiple_of,
            package_size: row.package_size,
            active: row.active,
            tiers: tiers.remove(&OfferId(row.id)).unwrap_or_default(),
        });
    }
    Ok(offers)
}

async fn load_promos(pg: &mut PgConnection, id: EventId) -> sqlx::Result<Vec<Promo>> {
    let rows = sqlx::query!(
        r#"SELECT promo, code, percent_bp, amount_off, max_uses,
                  starts_at AS "starts_at: SqlTimestamp", ends_at AS "ends_at: SqlTimestamp",
                  active
           FROM promo_codes WHERE event_id = $1 ORDER BY promo"#,
        id.0
    )
    .fetch_all(pg)
    .await?;
    let mut promos = Vec::with_capacity(rows.len());
    for row in rows {
        promos.push(Promo {
            number: row.promo,
            code: row.code,
            percent_bp: row.percent_bp,
            amount_off: row.amount_off,
            max_uses: row.max_uses,
            starts_at: row.starts_at.map(SqlTimestamp::to_jiff),
            ends_at: row.ends_at.map(SqlTimestamp::to_jiff),
            active: row.active,
        });
    }
    Ok(promos)
}

/// What a process must know of its cached events to see changes: version and epoch of each.
///
/// # Errors
/// If Postgres fails.
pub async fn versions(
    pg: &PgPool,
    ids: &[uuid::Uuid],
) -> sqlx::Result<Vec<(EventId, i64, EpochRow)>> {
    let rows = sqlx::query!(
        "SELECT e.id, e.version, p.epoch, p.redis_run_id
         FROM events e JOIN epochs p ON p.event_id = e.id WHERE e.id = ANY ($1)",
        ids
    )
    .fetch_all(pg)
    .await?;
    let row = rows.into_iter().map(|row| {
        let epoch = EpochRow { epoch: row.epoch, run_id: row.redis_run_id };
        (EventId(row.id), row.version, epoch)
    });
    Ok(row.collect())
}

/// The event with this slug.
///
/// # Errors
/// If Postgres fails.
pub async fn by_slug(pg: &PgPool, slug: &str) -> sqlx::Result<Option<EventId>> {
    let id = sqlx::query_scalar!("SELECT id FROM events WHERE slug = $1", slug)
        .fetch_optional(pg)
        .await?;
    Ok(id.map(EventId))
}

/// Events whose holds must be possible: those whose sale has begun and isn't over.
///
/// # Errors
/// If Postgres fails.
pub async fn selling(pg: &PgPool) -> sqlx::Result<Vec<EventId>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM events WHERE status IN ('on_sale', 'paused', 'closed')
           UNION ALL SELECT event_id FROM rehearsals WHERE ended_at IS NULL"#
    )
    .fetch_all(pg)
    .await?;
    Ok(ids.into_iter().map(EventId).collect())
}
