//! Organizers' own codes, imported from a table.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{code_sets, codes, manifest};
use crate::access::import::{Fault, MAX_FAULTS, Own as OwnCode};
use crate::access::{Binding, code, import, store};
use crate::app::App;
use crate::http::extract::{IdempotencyKey, Path};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::EventId;
use crate::organizers::creations::{Begun, Creation};
use crate::organizers::permit::{Catalog, Own};

/// What was imported.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CodesImported {
    /// How many codes; 0 if the same request had imported them before.
    pub imported: usize,
}

/// Imports codes of your own: a table with a column `code` (6 to 40 letters, digits and `_`;
/// spaces and hyphens don't count), and `recipient` where the set is bound. All or none.
#[utoipa::path(
    post, path = "/v1/organizer/events/{event}/code-sets/{set}/import", tag = "organizer",
    operation_id = "importCodes",
    security(("organizer" = [])), request_body(content = String, content_type = "text/csv"),
    params(("event" = String, Path, description = "Id or slug"), ("set" = Uuid, Path, description = "The set's id"),
           ("Idempotency-Key" = String, Header, description = "1 to 100 visible characters")),
    responses((status = 201, description = "Imported", body = CodesImported),
        (status = 200, description = "Imported before, with the same key", body = CodesImported),
        (status = 401, description = "No valid key", body = ProblemBody),
        (status = 403, description = "Needs the scope `catalog`", body = ProblemBody),
        (status = 404, description = "No such code set of yours", body = ProblemBody),
        (status = 409, description = "`event_state`: the set is revoked or full; `exists`: \
            another import was faster, repeat", body = ProblemBody),
        (status = 413, description = "`too_large`", body = ProblemBody),
        (status = 415, description = "Not CSV", body = ProblemBody),
        (status = 422, description = "`invalid`: `errors` name the lines; nothing was changed; \
            `idempotency_mismatch`", body = ProblemBody))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    own: Own<Catalog>,
    Path((_, set)): Path<(String, Uuid)>,
    IdempotencyKey(key): IdempotencyKey,
    request: Request,
) -> Result<(StatusCode, Json<CodesImported>), Problem> {
    let event = own.event();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/csv") {
        return Err(Problem::new(Code::MediaType).detail("send text/csv"));
    }
    let found = code_sets::find(&app, event, set).await?;
    let bytes = manifest::whole(request, codes::MAX_BYTES).await?;
    let route = format!("events/{event}/code-sets/{set}/import");
    let creation = Creation::new(own.organizer, &route, &key, &hex::encode(Sha256::digest(&bytes)));
    let work = {
        let app = app.clone();
        async move { imported(&app, event, set, found.binding, &creation, bytes).await }
    };
    app.see_through(work).await
}

fn faulty(faults: Vec<Fault>) -> Problem {
    let many = faults.len();
    let why = format!("{many} lines can't be imported; nothing was changed");
    Problem::new(Code::Invalid).detail(why).with("errors", faults)
}

async fn imported(
    app: &Arc<App>,
    event: EventId,
    set: Uuid,
    binding: Binding,
    creation: &Creation,
    bytes: Vec<u8>,
) -> Result<(StatusCode, Json<CodesImported>), Problem> {
    let keyring = app.clone();
    // By every key that counts: a code that was stored with an older one is the same code.
    let read = move || {
        let codes = import::read(binding, &bytes)?;
        let hashes = |own: OwnCode| {
            let all = code::hashes(&keyring.keyring, event, &own.code);
            let hash = code::hash(&keyring.keyring, event, &own.code);
            (own, hash, all)
        };
        Ok::<_, Vec<Fault>>(codes.into_iter().map(hashes).collect::<Vec<_>>())
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(Problem::internal)?;
    let own = read.map_err(faulty)?;
    let mut tx = app.pg.begin().await?;
    if let Begun::Again(_) = creation.begin(&mut tx).await? {
        return Ok((StatusCode::OK, Json(CodesImported { imported: 0 })));
    }
    let all: Vec<Vec<u8>> = own.iter().flat_map(|(.., all)| all.clone()).collect();
    let known = store::known(&mut tx, event, &all).await?;
    let taken = own.iter().filter(|(.., all)| all.iter().any(|hash| known.contains(hash)));
    let taken = taken.take(MAX_FAULTS).map(|(one, ..)| Fault {
        line: one.line,
        detail: "is a code of this event already".to_owned(),
    });
    let taken: Vec<Fault> = taken.collect();
    if !taken.is_empty() {
        return Err(faulty(taken));
    }
    let max_uses = codes::room(&mut tx, event, set, own.len()).await?;
    let own: Vec<_> = own.into_iter().map(|(one, hash, _)| (one, hash)).collect();
    store::add_codes(&mut tx, event, set, max_uses, &own).await.map_err(|error| {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("access_codes_hash_key") => Problem::new(Code::Exists)
                .detail("another import was faster with one of these codes"),
            _ => error.into(),
        }
    })?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(CodesImported { imported: own.len() })))
}
