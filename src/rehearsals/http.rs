//! Rehearsals over HTTP: an organizer begins one, looks at it, has it audited and ends it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store;
use super::tag::Tag;
use super::{Rehearsal, build, slug, times};
use crate::app::App;
use crate::audit;
use crate::http::extract::{Body, IdempotencyKey, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::EventId;
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Own, Sales};

/// What workers may take for what they do, in an audit.
const GRACE: Duration = Duration::from_secs(30);
/// How long an audit may take.
const AUDIT_WITHIN: Duration = Duration::from_secs(10);
/// Seconds until an audit that took too long may be asked for again.
const AUDIT_AGAIN_S: u32 = 5;

/// A rehearsal to begin.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RehearsalRequest {
    /// When the shadow's sale opens: from now on, within 24 hours (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Timestamp,
    /// When it ends by itself: at most 6 hours after the opening; one hour if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
}

/// A rehearsal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RehearsalView {
    /// The shadow's id: an event for everybody who knows it, and in no list.
    pub id: EventId,
    /// Its name in URLs.
    pub slug: String,
    /// Whose shadow it is.
    pub event: EventId,
    /// When its sale opens.
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    /// Whether it has ended, and is being removed.
    pub ended: bool,
    /// Its secret, for load programs: sent as `Onsale-Rehearsal`, followed by a space and the IPv4
    /// address of the visitor that is played. Limits then count that visitor.
    pub tag: String,
    /// Orders that are paid.
    pub orders_paid: i64,
    /// Orders that may still be paid.
    pub orders_open: i64,
    /// Places sold.
    pub places_sold: i64,
    /// Mails that were not sent because it is a rehearsal.
    pub mails_unsent: i64,
}

impl RehearsalView {
    async fn read(app: &App, slug: String, rehearsal: &Rehearsal) -> Result<Self, Problem> {
        let figures = store::figures(&app.pg, rehearsal.shadow).await?;
        let tag = Tag { shadow: rehearsal.shadow, until: rehearsal.ends_at };
        Ok(Self {
            id: rehearsal.shadow,
            slug,
            event: rehearsal.of,
            opens_at: rehearsal.opens_at,
            ends_at: rehearsal.ends_at,
            ended: rehearsal.ended_at.is_some(),
            tag: tag.seal(&app.keyring),
            orders_paid: figures.paid,
            orders_open: figures.open,
            places_sold: figures.sold,
            mails_unsent: figures.unsent,
        })
    }
}

/// Which rehearsal of an event.
#[derive(Deserialize)]
pub struct Which {
    rehearsal: EventId,
}

async fn find(app: &App, own: &Own<Sales>, which: &Which) -> Result<Rehearsal, Problem> {
    let known = store::find(&app.pg, own.event(), which.rehearsal).await?;
    known.ok_or_else(|| Problem::new(Code::NotFound))
}

/// Begins a rehearsal: a shadow of the event, to be sold by the deployment as it runs.
///
/// It has the event's places, terms, offers and waiting room, all of whose times keep their
/// distance from the opening. It is in no list, charges nobody, mails nobody and lets nobody in;
/// it asks for no accounts, and code sets have no codes. When it ends, nothing of it is left.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/rehearsals", tag = "organizer",
    operation_id = "beginRehearsal", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    request_body = RehearsalRequest,
    responses((status = 201, description = "Begun", body = RehearsalView),
        (status = 200, description = "Begun before, with the same key", body = RehearsalView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours; or, with a key that was used, a \
            rehearsal that is over", body = ProblemBody),
        (status = 409, description = "`exists`: a rehearsal of it is on; `event_state`: there is \
            nothing to sell, or it is a rehearsal itself", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn begin(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<RehearsalRequest>,
) -> Result<(StatusCode, Json<RehearsalView>), Problem> {
    let listing = &own.sale.listing;
    let of = own.event();
    let creation = Creation::new(own.organizer, &format!("rehearsals {of}"), &key, &request);
    let (opens_at, ends_at) = times(request.opens_at, request.ends_at, app.now())?;
    if listing.places.is_empty() || !listing.offers.iter().any(|offer| offer.active) {
        return Err(Problem::new(Code::EventState).detail("there is nothing to sell"));
    }
    let mut tx = app.pg.begin().await?;
    let (status, shadow) = match creation.begin(&mut tx).await? {
        Begun::Again(id) => (StatusCode::OK, EventId(id)),
        Begun::New(id) => {
            let (shadow, created_at) = (EventId(id), app.now());
            let made = Rehearsal { shadow, of, opens_at, ends_at, created_at, ended_at: None };
            store::make(&mut tx, &made, &slug(&listing.event.slug, shadow)).await?;
            (StatusCode::CREATED, shadow)
        }
    };
    tx.commit().await?;
    build(&app, shadow).await;
    let made = find(&app, &own, &Which { rehearsal: shadow }).await?;
    let slug = slug(&listing.event.slug, shadow);
    Ok((status, Json(RehearsalView::read(&app, slug, &made).await?)))
}

/// A rehearsal, and what it has come to.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/rehearsals/{rehearsal}", tag = "organizer",
    operation_id = "getRehearsal", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("rehearsal" = EventId, Path, description = "The shadow's id")),
    responses((status = 200, description = "The rehearsal", body = RehearsalView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or nothing of the rehearsal is \
            left", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path(which): Path<Which>,
) -> Result<Json<RehearsalView>, Problem> {
    let known = find(&app, &own, &which).await?;
    let slug = slug(&own.sale.listing.event.slug, known.shadow);
    RehearsalView::read(&app, slug, &known).await.map(Json)
}

/// Ends a rehearsal. Nothing of it is sold any more when this is answered; everything of it is
/// removed within moments, after which there is no such rehearsal.
#[utoipa::path(
    delete, path = "/v1/organizer/events/{event}/rehearsals/{rehearsal}", tag = "organizer",
    operation_id = "endRehearsal", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("rehearsal" = EventId, Path, description = "The shadow's id")),
    responses((status = 202, description = "It has ended, and is being removed",
            body = RehearsalView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or nothing of the rehearsal is \
            left", body = ProblemBody))
)]
pub async fn end(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path(which): Path<Which>,
) -> Result<(StatusCode, Json<RehearsalView>), Problem> {
    let known = find(&app, &own, &which).await?;
    store::end(&app.pg, known.shadow).await?;
    app.catalog.refresh(known.shadow).await?;
    let known = find(&app, &own, &which).await?;
    let slug = slug(&own.sale.listing.event.slug, known.shadow);
    Ok((StatusCode::ACCEPTED, Json(RehearsalView::read(&app, slug, &known).await?)))
}

/// How strictly to audit.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Nothing is being sold any more: also what only holds then.
    #[serde(default)]
    pub at_rest: bool,
}

/// What the auditor found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RehearsalAudit {
    /// No check found anything wrong.
    pub clean: bool,
    /// Whether also that was checked which only holds at rest.
    pub at_rest: bool,
    /// How many checks there were.
    pub checks: usize,
    /// What is wrong, check by check.
    pub violations: Vec<RehearsalViolation>,
}

/// A check that found something wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RehearsalViolation {
    /// Its name.
    pub check: &'static str,
    /// What is not true.
    pub proves: &'static str,
    /// How often it is not.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Has the auditor prove every invariant of the shadow, as it does in production.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/rehearsals/{rehearsal}/audit", tag = "organizer",
    operation_id = "auditRehearsal", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"),
           ("rehearsal" = EventId, Path, description = "The shadow's id"), AuditQuery),
    responses((status = 200, description = "What it found", body = RehearsalAudit),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or nothing of the rehearsal is \
            left", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`unavailable`: it took too long, or another one is under \
            way", body = ProblemBody))
)]
pub async fn audit(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path(which): Path<Which>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<RehearsalAudit>, Problem> {
    let known = find(&app, &own, &which).await?;
    let later = || Problem::new(Code::Unavailable).retry_after(AUDIT_AGAIN_S);
    // One at a time: it reads whole tables of the shadow.
    let _turn = app.audits.try_acquire().map_err(|_| later())?;
    let scope = audit::Scope { event: Some(known.shadow), at_rest: query.at_rest, grace: GRACE };
    let audited = audit::run(&app.pg, Some(&app.redis), &scope);
    let report = tokio::time::timeout(AUDIT_WITHIN, audited).await.map_err(|_| later())?;
    let report = report.map_err(|error| {
        tracing::warn!(%error, "a rehearsal can't be audited");
        later()
    })?;
    let (clean, at_rest, checks) = (report.clean, report.at_rest, report.checks.len());
    let wrong = report.checks.into_iter().filter(|check| check.violations > 0);
    let violations = wrong.map(|check| RehearsalViolation {
        check: check.name,
        proves: check.proves,
        count: check.violations,
        examples: check.examples,
    });
    Ok(Json(RehearsalAudit { clean, at_rest, checks, violations: violations.collect() }))
}
