//! The codes of a code set: generated, counted, revoked.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PAGE, code_sets, cut, tagged};
use crate::access::import::{Own as OwnCode, Recipient};
use crate::access::store::{self, CodeRow};
use crate::access::{Binding, MAX_AT_ONCE, MAX_CODES, code};
use crate::app::App;
use crate::catalog::edit::Edit;
use crate::http::extract::{IdempotencyKey, Path, Query, parse_json};
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId};
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};

/// Generated codes can be asked for again, with the same key, for so many seconds.
const REPEAT_S: f64 = 3_600.0;
/// Largest list of codes or recipients, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Codes to be generated.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodesRequest {
    /// How many, for a set of bearers: 1 to 100,000.
    #[serde(default)]
    pub count: Option<u32>,
    /// For whom, for a set that is bound: ids of accounts, or e-mail addresses. One code each.
    #[serde(default)]
    pub recipients: Option<Vec<String>>,
}

/// A code and its use. The code itself is nowhere.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AccessCodeView)]
pub struct CodeView {
    /// Its id, to revoke it.
    pub id: i64,
    /// Its first characters.
    pub prefix: String,
    /// Whose it is, if it is one account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Whose it is, if it is one address's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Accounts that have redeemed it.
    pub uses: i64,
    /// When the first did.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl From<CodeRow> for CodeView {
    fn from(row: CodeRow) -> Self {
        let CodeRow { id, prefix, account, email, uses, first_used_at, revoked_at } = row;
        Self { id, prefix, account, email, uses, first_used_at, revoked_at }
    }
}

/// A page of codes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CodePage {
    /// In the order of their creation.
    pub codes: Vec<CodeView>,
    /// Ask with this `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Which codes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CodeQuery {
    /// The `next` of the page before.
    pub cursor: Option<i64>,
    /// A code's first characters, as somebody tells them to support.
    pub prefix: Option<String>,
}

fn recipients(
    binding: Binding,
    request: &CodesRequest,
) -> Result<Vec<(Recipient, String)>, Problem> {
    match (binding, request.count, &request.recipients) {
        (Binding::Bearer, Some(count), None) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if !(1..=MAX_AT_ONCE).contains(&count) {
                return Err(Problem::field("/count", format!("must be 1 to {MAX_AT_ONCE}")));
            }
            Ok(vec![(Recipient::Bearer, String::new()); count])
        }
        (Binding::Bearer, ..) => {
            Err(Problem::field("/count", "needs a count, and no recipients: whoever has one"))
        }
        (_, None, Some(texts)) if (1..=MAX_AT_ONCE).contains(&texts.len()) => {
            let read = |(at, text): (usize, &String)| {
                let recipient = Recipient::parse(binding, text).ok_or_else(|| {
                    Problem::field(&format!("/recipients/{at}"), Recipient::form(binding))
                })?;
                Ok((recipient, text.trim().to_owned()))
            };
            texts.iter().enumerate().map(read).collect()
        }
        _ => {
            let why = format!("needs 1 to {MAX_AT_ONCE} recipients, and no count");
            Err(Problem::field("/recipients", why))
        }
    }
}

/// Generates codes for a batch: as they are written, and as they are stored.
#[expect(clippy::type_complexity, reason = "what is shown, and what is stored")]
fn generate(
    app: &App,
    event: EventId,
    batch: Uuid,
    key: u8,
    recipients: &[(Recipient, String)],
) -> Result<(Vec<String>, Vec<(OwnCode, [u8; 16])>), Problem> {
    let gone = || Problem::new(Code::Exists).detail("the key of these codes is gone");
    let (mut shown, mut stored) = (Vec::new(), Vec::new());
    for (number, (recipient, _)) in (0_u32..).zip(recipients) {
        let text = code::of_batch(&app.keyring, key, batch, number).ok_or_else(gone)?;
        let normal = code::normalise(&text).unwrap_or_default();
        let hash = code::hash(&app.keyring, event, &normal);
        let line = u64::from(number) + 1;
        stored.push((OwnCode { line, code: normal, recipient: recipient.clone() }, hash));
        shown.push(text);
    }
    Ok((shown, stored))
}

/// Codes and recipients as a table.
fn table(codes: &[String], recipients: &[(Recipient, String)]) -> Result<Response, Problem> {
    let bound = recipients.first().is_some_and(|(one, _)| *one != Recipient::Bearer);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header: &[&str] = if bound { &["code", "recipient"] } else { &["code"] };
    writer.write_record(header).map_err(Problem::internal)?;
    for (code, (_, text)) in codes.iter().zip(recipients) {
        // An address may begin like a formula: to a spreadsheet it must be text.
        let quote = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        let text = format!("{quote}{text}");
        let row: &[&str] = if bound { &[code, &text] } else { &[code] };
        writer.write_record(row).map_err(Problem::internal)?;
    }
    let bytes = writer.into_inner().map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"codes.csv\""),
    ];
    Ok((StatusCode::CREATED, headers, bytes).into_response())
}

/// Generates codes. They are in this answer and nowhere else: only their keyed hashes are stored.
///
/// An answer that was lost can be had once more, for an hour, with the same `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/code-sets/{set}/codes", tag = "organizer",
    operation_id = "createCodes",
    security(("organizer" = [])), request_body = CodesRequest,
    params(("event" = String, Path, description = "Id or slug"), ("set" = Uuid, Path, description = "The set's id"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "The codes: a column `code`, and `recipient` where \
            the set is bound", content_type = "text/csv", body = String),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such code set of yours", body = ProblemBody),
        (status = 409, description = "`exists`: made with this key more than an hour ago; \
            `event_state`: the set is revoked or full", body = ProblemBody),
        (status = 413, description = "`too_large`", body = ProblemBody),
        (status = 422, description = "`invalid`, `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, set)): Path<(String, Uuid)>,
    IdempotencyKey(key): IdempotencyKey,
    request: Request,
) -> Result<Response, Problem> {
    let event = own.event();
    let found = code_sets::find(&app, event, set).await?;
    let request: CodesRequest = parse_json(&super::manifest::whole(request, MAX_BYTES).await?)?;
    let recipients = recipients(found.binding, &request)?;
    let route = format!("events/{event}/code-sets/{set}/codes");
    let creation = Creation::new(own.organizer, &route, &key, &request);
    let work = {
        let app = app.clone();
        async move { generated(&app, event, set, &creation, recipients).await }
    };
    app.see_through(work).await
}

async fn generated(
    app: &Arc<App>,
    event: EventId,
    set: Uuid,
    creation: &Creation,
    recipients: Vec<(Recipient, String)>,
) -> Result<Response, Problem> {
    let mut tx = app.pg.begin().await?;
    let (batch, key, new) = match creation.begin(&mut tx).await? {
        Begun::New(id) => (id, app.keyring.token_key(), true),
        Begun::Again(id) => {
            let key = store::batch_key(&mut tx, id, REPEAT_S).await?;
            let key = key.and_then(|key| u8::try_from(key).ok()).ok_or_else(|| {
                Problem::new(Code::Exists).detail("these codes were made more than an hour ago")
            })?;
            (id, key, false)
        }
    };
    let (shown, stored, recipients) = {
        let app = app.clone();
        let work = move || {
            let (shown, stored) = generate(&app, event, batch, key, &recipients)?;
            Ok::<_, Problem>((shown, stored, recipients))
        };
        tokio::task::spawn_blocking(work).await.map_err(Problem::internal)??
    };
    if new {
        let max_uses = room(&mut tx, event, set, stored.len()).await?;
        store::add_batch(&mut tx, batch, set, i16::from(key)).await?;
        store::add_codes(&mut tx, event, set, max_uses, &stored).await?;
        tx.commit().await?;
        tracing::info!(%event, %set, codes = stored.len(), "access codes were generated");
    }
    table(&shown, &recipients)
}

/// Makes room in a set; how often each of its codes may be redeemed.
///
/// # Errors
/// `event_state` if there is none, or Postgres fails.
pub async fn room(
    pg: &mut sqlx::PgConnection,
    event: EventId,
    set: Uuid,
    more: usize,
) -> Result<Option<i32>, Problem> {
    let more = i32::try_from(more).unwrap_or(i32::MAX);
    let made = store::make_room(pg, event, set, more).await?;
    made.map(|(_, max_uses)| max_uses).ok_or_else(|| {
        let why = format!("the set is revoked, or would have more than {MAX_CODES} codes");
        Problem::new(Code::EventState).detail(why)
    })
}

/// The codes of a set, and how many have redeemed each.
#[utoipa::path(
    get, path = "/v1/organizer/events/{event}/code-sets/{set}/codes", tag = "organizer",
    operation_id = "listCodes",
    security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), ("set" = Uuid, Path, description = "The set's id"), CodeQuery),
    responses((status = 200, description = "A page", body = CodePage),
        (status = 304, description = "As you have it"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such code set of yours", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, set)): Path<(String, Uuid)>,
    Query(query): Query<CodeQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let event = own.event();
    code_sets::find(&app, event, set).await?;
    let prefix = query.prefix.unwrap_or_default().to_ascii_uppercase();
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Problem::field("/prefix", "letters and digits"));
    }
    let (after, most) = (query.cursor.unwrap_or(0), i64::try_from(PAGE + 1).unwrap_or(i64::MAX));
    let mut rows = store::codes(&app.pg, event, set, &prefix, after, most).await?;
    let next = cut(&mut rows, |row| row.id);
    let codes = rows.into_iter().map(CodeView::from).collect();
    tagged(&headers, &CodePage { codes, next })
}

/// Revokes one code for good: it can't be redeemed, and grants that were given for it don't count.
#[utoipa::path(
    delete, path = "/v1/organizer/events/{event}/code-sets/{set}/codes/{code}",
    operation_id = "revokeCode",
    tag = "organizer", security(("organizer" = [])),
    params(("event" = String, Path, description = "Id or slug"), ("set" = Uuid, Path, description = "The set's id"),
           ("code" = i64, Path, description = "Its id")),
    responses((status = 204, description = "Revoked, now or before"),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such code of yours", body = ProblemBody))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, set, code)): Path<(String, Uuid, i64)>,
) -> Result<StatusCode, Problem> {
    let event = own.event();
    let mut edit = Edit::begin(&app, event).await?;
    if !store::revoke_code(edit.pg(), event, set, code).await? {
        return Err(Problem::new(Code::NotFound));
    }
    edit.commit(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}
