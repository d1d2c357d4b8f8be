//! What an organizer sees of suspects, and decides.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::store;
use super::verdict::Override;
use super::{Kind, Subject};
use crate::app::App;
use crate::http::extract::{Body, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::organizers::permit::{Own, Sales};
use crate::organizers::rules;

/// Subjects on a page.
const PAGE: i64 = 50;
/// Most pages that can be turned.
const MAX_PAGES: i64 = 200;
/// Longest note in characters.
const MAX_NOTE_CHARS: usize = 500;
/// Most subjects that an organizer can decide about, for one event.
const MAX_OVERRIDES: i64 = 10_000;

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SuspicionQuery {
    /// From 0 on. Points fade, so who stands on which page changes.
    #[param(minimum = 0, maximum = 199)]
    pub page: Option<i64>,
}

/// Why somebody is suspected.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReasonView {
    /// Its stable name.
    #[schema(example = "hold_expired_unpaid")]
    pub reason: String,
    /// What it is worth now; below 0 it speaks for them.
    pub points: f64,
    /// How often it was counted.
    pub times: i64,
    /// When it was counted last (RFC 3339).
    #[schema(format = DateTime)]
    pub at: String,
}

/// Somebody with their reasons.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SuspectView {
    /// Its name: the kind (`account`, `device`, `prefix`, `card`), a dash, and 32 hex digits. Of
    /// an account these are its id, of prefixes and cards a keyed hash.
    pub subject: String,
    /// The sum of the points.
    pub points: f64,
    /// The reasons, the weightiest first.
    pub reasons: Vec<ReasonView>,
    /// What you have decided.
    pub r#override: Option<Override>,
    /// Why.
    pub note: Option<String>,
}

/// A page of suspects.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SuspicionView {
    /// Those with the most points first.
    pub subjects: Vec<SuspectView>,
    /// The next page, if there is one.
    pub next: Option<i64>,
}

/// What is decided about somebody.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// `trust`: nothing counts against them. `block`: they may hold nothing. Null: as the points
    /// say.
    pub r#override: Option<Override>,
    /// Why; for you.
    #[serde(default)]
    pub note: String,
}

/// What was decided.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OverrideView {
    /// About whom.
    pub subject: String,
    /// What.
    pub r#override: Option<Override>,
    /// Why.
    pub note: String,
}

/// Who is suspected of holding places without buying them, and why.
///
/// A buyer's points are those of the account or of the device, whichever are more; those of the
/// address prefix add to that, at most as much again, and alone they are nothing.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/suspicion", tag = "organizer",
    operation_id = "listSuspicion",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), SuspicionQuery),
    responses((status = 200, description = "A page of them", body = SuspicionView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Query(query): Query<SuspicionQuery>,
) -> Result<Json<SuspicionView>, Problem> {
    let page = query.page.unwrap_or(0);
    if !(0..MAX_PAGES).contains(&page) {
        return Err(Problem::field("/page", format!("from 0 to {}", MAX_PAGES - 1)));
    }
    let mut rows = store::list(&app.pg, own.event(), page * PAGE, PAGE + 1).await?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let subjects = rows.into_iter().map(|row| SuspectView {
        subject: row.subject.to_string(),
        points: row.points,
        reasons: reasons(&row.reasons),
        r#override: row.decided,
        note: row.note,
    });
    let next = (more && page + 1 < MAX_PAGES).then_some(page + 1);
    Ok(Json(SuspicionView { subjects: subjects.collect(), next }))
}

fn reasons(value: &Value) -> Vec<ReasonView> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |value: &Value| ReasonView {
        reason: text(&value["reason"]),
        points: value["points"].as_f64().unwrap_or_default(),
        times: value["times"].as_i64().unwrap_or_default(),
        at: text(&value["at"]),
    };
    value.as_array().into_iter().flatten().map(read).collect()
}

/// Decides about somebody whatever their points are, or leaves it to the points again. Effective
/// everywhere within two seconds.
#[utoipa::path(
    put, path = "/v1/organizer/events/{event}/suspicion/{subject}", tag = "organizer",
    operation_id = "putSuspicionOverride",
    security(("organizer" = [])), request_body = OverrideRequest,
    params(("event" = String, Path, description = "Id or slug"),
           ("subject" = String, Path, description = "As listed, such as `account-` and its id")),
    responses((status = 200, description = "Decided", body = OverrideView),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `sales`", body = ProblemBody),
        (status = 404, description = "No such event of yours, or no name of a subject",
            body = ProblemBody),
        (status = 422, description = "`invalid`: a prefix can't be blocked, because many share \
            it, and cards can neither be trusted nor blocked", body = ProblemBody))
)]
pub async fn decide(
    State(app): State<Arc<App>>,
    own: Own<Sales>,
    Path((_, subject)): Path<(String, String)>,
    Body(request): Body<OverrideRequest>,
) -> Result<Json<OverrideView>, Problem> {
    let subject: Subject = subject.parse().map_err(|()| Problem::new(Code::NotFound))?;
    let note = rules::text("/note", &request.note, MAX_NOTE_CHARS)?;
    let decided = request.r#override;
    if subject.kind == Kind::Card && decided.is_some() {
        return Err(Problem::field("/override", "decide about accounts and devices instead"));
    }
    if subject.kind == Kind::Prefix && decided == Some(Override::Block) {
        let why = "many share a prefix: block accounts and devices instead";
        return Err(Problem::field("/override", why));
    }
    let event = own.event();
    if subject.kind != Kind::Card {
        let mut tx = app.pg.begin().await?;
        if store::count_overrides(&mut tx, event).await? >= MAX_OVERRIDES {
            return Err(Problem::field("/override", format!("at most {MAX_OVERRIDES} per event")));
        }
        store::decide(&mut tx, event, subject, decided, &note).await?;
        tx.commit().await?;
    }
    tracing::info!(%event, %subject, word = decided.map(Override::word), "an organizer decided");
    let limit = app.config.suspicion.max_subjects;
    app.suspicion.standings.refresh(&app.pg, limit).await?;
    let subject = subject.to_string();
    Ok(Json(OverrideView { subject, r#override: decided, note }))
}
