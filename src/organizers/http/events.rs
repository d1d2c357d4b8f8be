//! Events as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::views::OwnEventView;
use super::{PAGE, cut, tagged};
use crate::app::App;
use crate::catalog::edit::Edit;
use crate::catalog::edit::events::{self as edit, EventTerms, NewEvent};
use crate::catalog::http::{EventItem, EventPage, PageQuery};
use crate::catalog::{BuyerTerms, EventStatus};
use crate::http::extract::{Body, IdempotencyKey, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{EventId, OrganizerId, VenueId};
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Can, Catalog, Own};
use crate::organizers::rules::{self, Patch};

/// How long holds and claims last unless an event says otherwise, in seconds.
const HOLD_SECONDS: i32 = 480;
const HOLD_MAX_SECONDS: i32 = 1_200;
const PAY_SECONDS: i32 = 900;
/// Longest delay until places that come back are free unless an event says otherwise, in seconds.
const RETURN_SECONDS: i32 = 10;

/// An event to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// Where: a venue of yours.
    pub venue: VenueId,
    /// Its name in URLs, for good: lower-case letters and digits with hyphens between them.
    #[schema(example = "midsummer-night-2026")]
    pub slug: String,
    /// What is played.
    pub name: String,
    /// Plain text.
    #[serde(default)]
    pub description: String,
    /// When (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// Of all its prices, for good (ISO 4217).
    #[schema(example = "EUR")]
    pub currency: String,
    /// Most places per buyer, held and bought together.
    #[serde(default)]
    pub account_limit: Option<i32>,
    /// How long a hold lasts, in seconds; 480 if left out.
    #[serde(default)]
    pub hold_seconds: Option<i32>,
    /// To what total it may be extended, in seconds; 1,200 if left out.
    #[serde(default)]
    pub hold_max_seconds: Option<i32>,
    /// How long a claim waits for its payment, in seconds; 900 if left out.
    #[serde(default)]
    pub pay_seconds: Option<i32>,
    /// Places that come back are free after a random delay below this, in seconds; 10 if left
    /// out, 0 is at once.
    #[serde(default)]
    pub return_seconds: Option<i32>,
    /// Whether choices that strand a single seat are refused; yes if left out.
    #[serde(default)]
    pub orphan_rule: Option<bool>,
    /// Whether holds need a signed-in session; no if left out.
    #[serde(default)]
    pub needs_account: bool,
    /// Whether checkout needs a name for each ticket; no if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attendee_names: bool,
    /// What buyers accept at checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsRequest>,
}

/// Terms that buyers accept at checkout.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsRequest {
    /// Plain text, at most 5,000 characters: buyers read it where they accept it.
    #[schema(example = "Tickets can be given back until seven days before the show.")]
    pub text: String,
    /// A page that tells more: an `https` address, at most 500 characters.
    #[serde(default)]
    #[schema(example = "https://northern-stage.example/terms")]
    pub url: Option<String>,
}

impl TermsRequest {
    fn checked(self) -> Result<BuyerTerms, Problem> {
        let text = rules::text("/terms/text", self.text.trim(), rules::MAX_TERMS_CHARS)?;
        if text.is_empty() {
            return Err(Problem::field("/terms/text", "must not be empty"));
        }
        if let Some(url) = &self.url {
            rules::link("/terms/url", url)?;
        }
        Ok(BuyerTerms::new(text, self.url))
    }
}

/// What is to be changed of an event; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventChange {
    /// What is played.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// Plain text.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Patch<String>,
    /// When (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Patch<Timestamp>,
    /// Most places per buyer; null is no limit. A lower one is felt by holds at checkout.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub account_limit: Patch<Option<i32>>,
    /// How long a hold lasts, in seconds.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub hold_seconds: Patch<i32>,
    /// To what total it may be extended, in seconds.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub hold_max_seconds: Patch<i32>,
    /// How long a claim waits for its payment, in seconds.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub pay_seconds: Patch<i32>,
    /// Places that come back are free after a random delay below this, in seconds; 0 is at once.
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    pub return_seconds: Patch<i32>,
    /// Whether choices that strand a single seat are refused.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub orphan_rule: Patch<bool>,
    /// Whether holds need a signed-in session. Felt by anonymous holds at checkout.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub needs_account: Patch<bool>,
    /// Whether checkout needs a name for each ticket. Felt by holds at checkout.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub attendee_names: Patch<bool>,
    /// What buyers accept at checkout; null is nothing. Felt by holds at checkout: whoever saw
    /// other terms is shown these first.
    #[serde(default)]
    #[schema(value_type = Option<TermsRequest>)]
    pub terms: Patch<Option<TermsRequest>>,
}

/// Reads texts, and checks what depends on several fields.
fn checked(terms: EventTerms) -> Result<EventTerms, Problem> {
    let name = rules::line("/name", &terms.name, rules::MAX_NAME_CHARS)?;
    let description =
        rules::text("/description", &terms.description, rules::MAX_DESCRIPTION_CHARS)?;
    if let Some(limit) = terms.account_limit {
        rules::within("/account_limit", limit, &rules::ACCOUNT_LIMIT)?;
    }
    rules::within("/hold_seconds", terms.hold_seconds, &rules::HOLD_SECONDS)?;
    rules::within("/hold_max_seconds", terms.hold_max_seconds, &rules::HOLD_MAX_SECONDS)?;
    rules::within("/pay_seconds", terms.pay_seconds, &rules::PAY_SECONDS)?;
    rules::within("/return_seconds", terms.return_seconds, &rules::RETURN_SECONDS)?;
    if terms.hold_max_seconds < terms.hold_seconds {
        return Err(Problem::field("/hold_max_seconds", "must not be less than hold_seconds"));
    }
    Ok(EventTerms { name, description, ..terms })
}

/// Makes an event, as a draft that only you see.
#[utoipa::path(
    post, path = "/v1/organizer/events", tag = "organizer", security(("organizer" = [])),
    operation_id = "createEvent",
    params(("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    request_body = EventRequest,
    responses((status = 201, description = "Made", body = OwnEventView),
        (status = 200, description = "Made before, with the same key", body = OwnEventView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 409, description = "`exists`: the slug is taken", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    can: Can<Catalog>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<EventRequest>,
) -> Result<(StatusCode, Json<OwnEventView>), Problem> {
    let creation = Creation::new(can.organizer, "events", &key, &request);
    rules::slug("/slug", &request.slug)?;
    let currency = rules::currency("/currency", &request.currency)?;
    let terms = checked(EventTerms {
        name: request.name,
        description: request.description,
        starts_at: request.starts_at,
        account_limit: request.account_limit,
        hold_seconds: request.hold_seconds.unwrap_or(HOLD_SECONDS),
        hold_max_seconds: request.hold_max_seconds.unwrap_or(HOLD_MAX_SECONDS),
        pay_seconds: request.pay_seconds.unwrap_or(PAY_SECONDS),
        return_seconds: request.return_seconds.unwrap_or(RETURN_SECONDS),
        orphan_rule: request.orphan_rule.unwrap_or(true),
        needs_account: request.needs_account,
        attendee_names: request.attendee_names,
        terms: request.terms.map(TermsRequest::checked).transpose()?,
    })?;
    let mut tx = app.pg.begin().await?;
    let (status, id) = match creation.begin(&mut tx).await? {
        Begun::Again(id) => (StatusCode::OK, EventId(id)),
        Begun::New(id) => {
            let (organizer, venue, slug) = (can.organizer, request.venue, request.slug);
            let id = EventId(id);
            let event = NewEvent { id, organizer, venue, slug, currency, terms };
            edit::create(&mut tx, &event).await?;
            (StatusCode::CREATED, id)
        }
    };
    tx.commit().await?;
    Ok((status, Json(whole(&app, id).await?)))
}

/// The event as it is now.
///
/// # Errors
/// `not_found`, or Postgres fails.
pub async fn whole(app: &App, id: EventId) -> Result<OwnEventView, Problem> {
    let sale = app.catalog.refresh(id).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    OwnEventView::read(app, &sale).await
}

/// The organizer's events, drafts included.
#[utoipa::path(
    get, path = "/v1/organizer/events", tag = "organizer", security(("organizer" = [])),
    operation_id = "listOwnEvents",
    params(PageQuery),
    responses((status = 200, description = "A page", body = EventPage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    can: Can<Catalog>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut events = page(&app, can.organizer, query.cursor).await?;
    let next = cut(&mut events, |event| event.id.0);
    tagged(&headers, &EventPage { events, next })
}

async fn page(
    app: &App,
    organizer: OrganizerId,
    cursor: Option<Uuid>,
) -> Result<Vec<EventItem>, Problem> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.slug, e.name, v.name AS venue, v.time_zone, e.status,
                  e.starts_at AS "starts_at: SqlTimestamp"
           FROM events e JOIN venues v ON v.id = e.venue_id
           WHERE e.organizer_id = $1
             AND NOT EXISTS (SELECT FROM rehearsals r WHERE r.event_id = e.id)
             AND e.id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
           ORDER BY e.id LIMIT $3"#,
        organizer.0,
        cursor,
        i64::try_from(PAGE + 1).unwrap_or(i64::MAX)
    )
    .fetch_all(&app.pg)
    .await?;
    let items = rows.into_iter().map(|row| {
        Some(EventItem {
            id: EventId(row.id),
            slug: row.slug,
            name: row.name,
            venue: row.venue,
            time_zone: row.time_zone,
            starts_at: row.starts_at.to_jiff(),
            status: EventStatus::from_word(&row.status)?,
        })
    });
    items.collect::<Option<_>>().ok_or_else(|| Problem::internal("an event's status is unknown"))
}

/// An event with everything: levels, sections, price types, channels, offers, promo codes.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}", tag = "organizer", security(("organizer" = [])),
    operation_id = "getOwnEvent",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The event", body = OwnEventView),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    tagged(&headers, &OwnEventView::read(&app, &own.sale).await?)
}

/// Changes an event. Holds and orders keep the times that they were given.
#[utoipa::path(
    patch, path = "/v1/organizer/events/{event}", tag = "organizer",
    operation_id = "updateEvent",
    security(("organizer" = [])), request_body = EventChange,
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The event as it is now", body = OwnEventView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: it is cancelled", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn update(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Body(change): Body<EventChange>,
) -> Result<Json<OwnEventView>, Problem> {
    let mut event = Edit::begin_alive(&app, own.event()).await?;
    let mut terms = EventTerms::from(&event.listing().event);
    change.name.apply(&mut terms.name);
    change.description.apply(&mut terms.description);
    change.starts_at.apply(&mut terms.starts_at);
    change.account_limit.apply(&mut terms.account_limit);
    change.hold_seconds.apply(&mut terms.hold_seconds);
    change.hold_max_seconds.apply(&mut terms.hold_max_seconds);
    change.pay_seconds.apply(&mut terms.pay_seconds);
    change.return_seconds.apply(&mut terms.return_seconds);
    change.orphan_rule.apply(&mut terms.orphan_rule);
    change.needs_account.apply(&mut terms.needs_account);
    change.attendee_names.apply(&mut terms.attendee_names);
    if let Patch::To(asked) = change.terms {
        terms.terms = asked.map(TermsRequest::checked).transpose()?;
    }
    edit::update(&mut event, &checked(terms)?).await?;
    let sale = event.commit(&app).await?;
    OwnEventView::read(&app, &sale).await.map(Json)
}
