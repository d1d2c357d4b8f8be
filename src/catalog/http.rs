//! What is for sale, as everyone may see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cache::Sale;
use super::manifest::Attributes;
use super::{BuyerTerms, EventStatus, Listing, PUBLIC, UnitPrice, Venue};
use crate::app::App;
use crate::holds::http::cached;
use crate::http::extract::{Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{EventId, OfferId};

/// How long a count in Postgres is good.
const DRAWER_EVERY: Duration = Duration::from_millis(500);
/// Events on a page.
const PAGE: i64 = 50;

/// An event.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct EventView {
    /// Its id.
    pub id: EventId,
    /// Its name in URLs.
    pub slug: String,
    /// What is played.
    pub name: String,
    /// Plain text.
    pub description: String,
    /// Where.
    pub venue: Venue,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Of all amounts.
    pub currency: String,
    /// Where its sale stands.
    pub status: EventStatus,
    /// How many places there are.
    pub capacity: usize,
    /// Most places per buyer, held and bought together; null: no limit.
    pub account_limit: Option<i32>,
    /// Whether choices that leave a single free seat without a free neighbour are refused
    /// (`orphan_seat`), while less than 90 % of all places are taken.
    pub orphan_rule: bool,
    /// How long a hold lasts, and by how much it is extended, in seconds.
    pub hold_seconds: i32,
    /// How long it may last with all extensions, in seconds.
    pub hold_max_seconds: i32,
    /// Whether holds need a signed-in session.
    pub needs_account: bool,
    /// Whether checkout needs a name for each ticket (`attendees`).
    pub attendee_names: bool,
    /// What checkout needs to be accepted (`terms_accepted`: their `digest`).
    pub terms: Option<BuyerTerms>,
    /// What can be bought by everyone.
    pub offers: Vec<OfferView>,
}

/// What can be bought.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct OfferView {
    /// Named in a hold.
    pub id: OfferId,
    /// Its name.
    pub name: String,
    /// The code of its price level: `levels[].code` of the manifest, `levels[].level` of the
    /// availability.
    pub level: String,
    /// The level's name.
    pub level_name: String,
    /// The level's colour.
    pub color: String,
    /// The class of buyer.
    pub price_type: String,
    /// Codes of the areas it sells; empty if it sells seats only.
    pub areas: Vec<String>,
    /// Whether it sells seats.
    pub seated: bool,
    /// Its tiers; the first that has not ended counts.
    pub tiers: Vec<TierView>,
    /// Places that one unit price buys.
    pub package_size: i32,
    /// Fewest places per order.
    pub min_per_order: i32,
    /// Most places per order.
    pub max_per_order: i32,
    /// Places per order are a multiple of this.
    pub multiple_of: i32,
    /// Whether it needs an access code.
    pub needs_access_code: bool,
    /// When it begins to sell (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// When it ends (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
}

/// An offer's price until a date or a count.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TierView {
    /// Its name.
    pub name: String,
    /// Per unit, in minor units; fee on top, tax contained.
    pub unit: UnitPrice,
    /// It ends when so many places were sold.
    pub until_count: Option<i32>,
    /// It ends then (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// Whether the public may know of an event in this state.
#[must_use]
pub const fn is_public(status: EventStatus) -> bool {
    !matches!(status, EventStatus::Draft)
}

/// The event, if the public may see it.
///
/// # Errors
/// `not_found`.
pub async fn visible(app: &App, name: &str) -> Result<Arc<Sale>, Problem> {
    let sale = app.find_sale(name).await?;
    if is_public(sale.listing.event.status) { Ok(sale) } else { Err(Problem::new(Code::NotFound)) }
}

impl EventView {
    /// The event as the public sees it: offers of its own channel that are active.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        let event = &listing.event;
        let public = |offer: &&super::Offer| offer.active && offer.channel == PUBLIC;
        Self {
            id: event.id,
            slug: event.slug.clone(),
            name: event.name.clone(),
            description: event.description.clone(),
            venue: event.venue.clone(),
            starts_at: event.starts_at,
            currency: event.currency.code().to_owned(),
            status: event.status,
            capacity: listing.capacity(),
            account_limit: event.account_limit,
            orphan_rule: event.orphan_rule,
            hold_seconds: event.hold_seconds,
            hold_max_seconds: event.hold_max_seconds,
            needs_account: event.needs_account,
            attendee_names: event.attendee_names,
            terms: event.terms.clone(),
            offers: listing.offers.iter().filter(public).map(|o| offer_view(listing, o)).collect(),
        }
    }
}

/// An offer as buyers see it.
#[must_use]
pub fn offer_view(listing: &Listing, offer: &super::Offer) -> OfferView {
    let level = listing.level(offer.level);
    let price_type = listing.price_types.iter().find(|known| known.number == offer.price_type);
    let of_level = || listing.stretches.iter().filter(|stretch| stretch.level == offer.level);
    let mut areas: Vec<String> = of_level()
        .filter(|stretch| stretch.class == super::Class::Area)
        .filter_map(|stretch| listing.section(stretch.section))
        .map(|section| section.code.clone())
        .collect();
    areas.dedup();
    let tiers = offer.tiers.iter().map(|tier| TierView {
        name: tier.name.clone(),
        unit: offer.unit_price(tier, None),
        until_count: tier.until_count,
        until: tier.until,
    });
    OfferView {
        id: offer.id,
        name: offer.name.clone(),
        level: level.map(|level| level.code.clone()).unwrap_or_default(),
        level_name: level.map(|level| level.name.clone()).unwrap_or_default(),
        color: level.map(|level| level.color.clone()).unwrap_or_default(),
        price_type: price_type.map(|known| known.name.clone()).unwrap_or_default(),
        seated: of_level().any(|stretch| stretch.class != super::Class::Area),
        areas,
        tiers: tiers.collect(),
        package_size: offer.package_size,
        min_per_order: offer.min_per_order,
        max_per_order: offer.max_per_order,
        multiple_of: offer.multiple_of,
        needs_access_code: offer.access_code.is_some() || offer.code_set.is_some(),
        starts_at: offer.starts_at,
        ends_at: offer.ends_at,
    }
}

/// One event with its offers.
#[utoipa::path(
    get, path = "/v1/events/{event}", tag = "events",
    operation_id = "getEvent",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The event", body = EventView),
        (status = 304, description = "As you have it"),
        (status = 404, description = "No such event", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sale = visible(&app, &event).await?;
    let etag = format!("\"v{}\"", sale.listing.event.version);
    let view = EventView::new(&sale.listing);
    let body = serde_json::to_vec(&view).map_err(Problem::internal)?;
    Ok(cached(&headers, &etag, "application/json", "public, max-age=1", || body.into()))
}

/// An event in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventItem {
    /// Its id.
    pub id: EventId,
    /// Its name in URLs.
    pub slug: String,
    /// What is played.
    pub name: String,
    /// Where.
    pub venue: String,
    /// IANA name of the venue's time zone.
    pub time_zone: String,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Where its sale stands.
    pub status: EventStatus,
}

/// A page of events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventPage {
    /// In the order of their creation.
    pub events: Vec<EventItem>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Uuid>,
}

/// Where a page begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The `next` of the page before.
    pub cursor: Option<Uuid>,
}

/// Events that are announced or on sale.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", params(PageQuery),
    operation_id = "listEvents",
    responses((status = 200, description = "A page", body = EventPage),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<EventPage>, Problem> {
    page(&app, query.cursor).await.map(Json)
}

/// A page of public events; see [`list`].
///
/// # Errors
/// If Postgres fails.
pub async fn page(app: &App, cursor: Option<Uuid>) -> Result<EventPage, Problem> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.slug, e.name, v.name AS venue, v.time_zone, e.status,
                  e.starts_at AS "starts_at: SqlTimestamp"
           FROM events e JOIN venues v ON v.id = e.venue_id
           WHERE e.status <> 'draft'
             AND e.id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
           ORDER BY e.id LIMIT $2"#,
        cursor,
        PAGE + 1
    )
    .fetch_all(&app.pg)
    .await?;
    let mut events: Vec<EventItem> = rows
        .into_iter()
        .filter_map(|row| {
            Some(EventItem {
                id: EventId(row.id),
                slug: row.slug,
                name: row.name,
                venue: row.venue,
                time_zone: row.time_zone,
                starts_at: row.starts_at.to_jiff(),
                status: EventStatus::from_word(&row.status)?,
            })
        })
        .collect();
    let size = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let more = events.len() > size;
    events.truncate(size);
    let next = events.last().filter(|_| more).map(|event| event.id.0);
    Ok(EventPage { events, next })
}

/// The manifest on the wire: compact, since it lists every place.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ManifestView {
    /// Which version of the event this is.
    pub version: i64,
    /// Where people look: x and y in metres.
    pub focus: (f32, f32),
    /// Price levels, best first.
    pub levels: Vec<LevelView>,
    /// Sections and areas.
    pub sections: Vec<SectionView>,
}

/// A price level.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LevelView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
}

/// A section with its places.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SectionView {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it is an area (general admission).
    pub area: bool,
    /// Its corners: x and y in metres.
    #[schema(value_type = Vec<Object>)]
    pub outline: serde_json::Value,
    /// How many places it has.
    pub capacity: usize,
    /// Its rows; none in an area, whose places are all alike and not listed: `sections[].free` of
    /// the availability says how many are left, and a hold takes them by `area` and `quantity`.
    pub rows: Vec<RowView>,
}

/// A row: parallel arrays, one entry per seat, in the order of the printed seat numbers.
///
/// That order doesn't tell neighbours: rows may have aisles, or odd numbers on one side. Seats of
/// one row whose place numbers follow one another are neighbours, except that a new group may
/// begin at a multiple of 8. Groups end at aisles and where the price level or the class
/// (accessible or not) changes; `x` and `y` tell the rest.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RowView {
    /// As printed.
    pub row: String,
    /// Place numbers, which a hold names.
    pub places: Vec<i32>,
    /// Seat numbers as printed.
    pub seats: Vec<String>,
    /// Each seat's price level, as an index into the manifest's `levels`, counted from 0: its
    /// `code` there is what an offer calls `level`.
    pub levels: Vec<i16>,
    /// Metres.
    pub x: Vec<f32>,
    /// Metres.
    pub y: Vec<f32>,
    /// Places with attributes: place number and words (`accessible`, `companion`,
    /// `restricted_view`, `aisle`).
    pub attributes: Vec<(i32, Vec<&'static str>)>,
}

impl ManifestView {
    /// The manifest of a listing.
    #[must_use]
    pub fn new(listing: &Listing) -> Self {
        let mut rows = std::collections::HashMap::<i16, Vec<RowView>>::new();
        let mut capacity = std::collections::HashMap::<i16, usize>::new();
        for place in &listing.places {
            *capacity.entry(place.section).or_default() += 1;
            let (Some(row), Some(seat)) = (&place.row, &place.seat) else { continue };
            let rows = rows.entry(place.section).or_default();
            let at = match rows.iter().position(|known| known.row == **row) {
                Some(at) => at,
                None => {
                    rows.push(RowView::empty(row));
                    rows.len() - 1
                }
            };
            rows[at].push(place, seat);
        }
        let sections = listing.sections.iter().map(|section| {
            let mut rows = rows.remove(&section.number).unwrap_or_default();
            rows.sort_by(|a, b| (a.row.len(), &a.row).cmp(&(b.row.len(), &b.row)));
            rows.iter_mut().for_each(RowView::sort);
            SectionView {
                code: section.code.clone(),
                name: section.name.clone(),
                area: section.area,
                outline: section.outline.clone(),
                capacity: capacity.get(&section.number).copied().unwrap_or(0),
                rows,
            }
        });
        let levels = listing.levels.iter().map(|level| LevelView {
            code: level.code.clone(),
            name: level.name.clone(),
            color: level.color.clone(),
        });
        Self {
            version: listing.event.version,
            focus: listing.event.focus,
            sections: sections.collect(),
            levels: levels.collect(),
        }
    }
}

impl RowView {
    fn empty(row: &str) -> Self {
        Self {
            row: row.to_owned(),
            places: Vec::new(),
            seats: Vec::new(),
            levels: Vec::new(),
            x: Vec::new(),
            y: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn push(&mut self, place: &super::Place, seat: &str) {
        self.places.push(place.number);
        self.seats.push(seat.to_owned());
        self.levels.push(place.level);
        self.x.push(place.x);
        self.y.push(place.y);
        let bits = u16::try_from(place.attributes).unwrap_or(0);
        if let Some(attributes) = Attributes::from_bits(bits).filter(|a| !a.is_empty()) {
            self.attributes.push((place.number, attributes.words().collect()));
        }
    }

    /// Puts seats in the order in which they are printed: stretches of different levels or
    /// classes have numbers far apart.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by(|a, b| {
            let key = |at: &usize| (self.seats[*at].len(), &self.seats[*at]);
            key(a).cmp(&key(b))
        });
        self.places = order.iter().map(|at| self.places[*at]).collect();
        self.levels = order.iter().map(|at| self.levels[*at]).collect();
        self.x = order.iter().map(|at| self.x[*at]).collect();
        self.y = order.iter().map(|at| self.y[*at]).collect();
        self.seats = order.iter().map(|at| self.seats[*at].clone()).collect();
    }
}

/// Every section, row and seat, with its place number.
#[utoipa::path(
    get, path = "/v1/events/{event}/manifest", tag = "events",
    operation_id = "getManifest",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The manifest", body = ManifestView),
        (status = 304, description = "As you have it"),
        (status = 404, description = "No such event", body = ProblemBody))
)]
pub async fn manifest(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sale = visible(&app, &event).await?;
    let body = manifest_body(&app, &sale).await?;
    let etag = format!("\"m{}\"", sale.listing.event.version);
    Ok(cached(&headers, &etag, "application/json", "public, max-age=1", || body))
}

/// The manifest's bytes, kept while the version lasts: a stadium's are megabytes.
async fn manifest_body(app: &App, sale: &Arc<Sale>) -> Result<Bytes, Problem> {
    let key = (sale.listing.event.id, sale.listing.event.version);
    if let Some(body) = app.manifests.get(&key.0).filter(|known| known.0 == key.1) {
        return Ok(body.1.clone());
    }
    let listing = sale.listing.clone();
    let made =
        tokio::task::spawn_blocking(move || serde_json::to_vec(&ManifestView::new(&listing)));
    let body = Bytes::from(made.await.map_err(Problem::internal)?.map_err(Problem::internal)?);
    app.manifests.insert(key.0, (key.1, body.clone()));
    Ok(body)
}

/// One side of the drawer count: each place is in exactly one of the first six, which add up to
/// the capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Drawer {
    /// Sold.
    pub sold: i64,
    /// Claimed by orders that wait for their payment.
    pub claimed: i64,
    /// Removed from sale.
    pub killed: i64,
    /// Set aside for a channel.
    pub allocated: i64,
    /// Held by buyers (Postgres does not know holds: 0 there).
    pub held: i64,
    /// Free for everyone.
    pub free: i64,
    /// All places.
    pub capacity: i64,
}

/// The public drawer count.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DrawerView {
    /// By Redis, which admits.
    pub redis: Drawer,
    /// By Postgres, which decides.
    pub postgres: Drawer,
    /// Whether both tell the same: sold, claimed, killed, allocated and capacity are equal, and
    /// free here and held there add up. While sales run, the two are read moments apart.
    pub agree: bool,
}

/// Counts every place, by Redis and by Postgres.
#[utoipa::path(
    get, path = "/v1/events/{event}/drawer", tag = "operations",
    operation_id = "getDrawerCount",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The count", body = DrawerView),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 503, description = "`rebuilding`", body = ProblemBody))
)]
pub async fn drawer(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
) -> Result<Json<DrawerView>, Problem> {
    let sale = app.built(visible(&app, &event).await?).await?;
    let snapshot = app.availability.snapshot(&app, &sale).await?;
    let listing = &sale.listing;
    let capacity = i64::try_from(listing.capacity()).unwrap_or(i64::MAX);
    let mut redis = Drawer {
        sold: snapshot.sold,
        claimed: snapshot.claimed,
        killed: 0,
        allocated: 0,
        held: -(snapshot.sold + snapshot.claimed),
        free: 0,
        capacity,
    };
    for place in &listing.places {
        use super::listing::bit;
        // In the order of precedence.
        if bit(&snapshot.taken, place.number) {
            redis.held += 1;
        } else if bit(&snapshot.kills, place.number) {
            redis.killed += 1;
        } else if bit(&snapshot.blocked, place.number) {
            redis.allocated += 1;
        } else {
            redis.free += 1;
        }
    }
    let postgres = drawer_of_postgres(&app, listing.event.id).await?;
    let agree = redis.sold == postgres.sold
        && redis.claimed == postgres.claimed
        && redis.killed + redis.allocated + redis.held + redis.free
            == postgres.killed + postgres.allocated + postgres.free
        && redis.capacity == postgres.capacity;
    Ok(Json(DrawerView { redis, postgres, agree }))
}

/// Counts in Postgres, at most [`DRAWER_EVERY`] ago: anyone may ask, and a stadium is large.
async fn drawer_of_postgres(app: &App, event: EventId) -> Result<Drawer, Problem> {
    let fresh = |counted: &(Instant, Drawer)| counted.0.elapsed() < DRAWER_EVERY;
    if let Some(known) = app.drawers.get(&event).filter(|known| fresh(known)) {
        return Ok(known.1.clone());
    }
    let drawer = count_in_postgres(app, event).await?;
    app.drawers.insert(event, (Instant::now(), drawer.clone()));
    Ok(drawer)
}

async fn count_in_postgres(app: &App, event: EventId) -> Result<Drawer, Problem> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE c.sold) AS "sold!",
                  count(*) FILTER (WHERE NOT c.sold) AS "claimed!",
                  count(*) FILTER (WHERE c.place IS NULL AND p.killed) AS "killed!",
                  count(*) FILTER (WHERE c.place IS NULL AND NOT p.killed AND p.channel <> 0)
                      AS "allocated!",
                  count(*) FILTER (WHERE c.place IS NULL AND NOT p.killed AND p.channel = 0)
                      AS "free!",
                  count(*) AS "capacity!"
           FROM places p LEFT JOIN claims c ON c.event_id = p.event_id AND c.place = p.place
           WHERE p.event_id = $1"#,
        event.0
    )
    .fetch_one(&app.pg)
    .await?;
    Ok(Drawer {
        sold: row.sold,
        claimed: row.claimed,
        killed: row.killed,
        allocated: row.allocated,
        held: 0,
        free: row.free,
        capacity: row.capacity,
    })
}
