//! Challenges over HTTP.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::{Challenge, Purpose, issue};
use crate::app::App;
use crate::catalog;
use crate::http::extract::{MaybeBuyer, Path};
use crate::http::json::Json;
use crate::http::limits::Client;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::AccountId;
use crate::suspicion::{self, Traces};
use crate::web::session::Visitor;

/// Who is asking: by bearer token, as programs do, or by the pages' cookie, as widgets do.
#[derive(Clone, Copy, Debug)]
pub struct Asker(pub AccountId);

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let MaybeBuyer(account) = MaybeBuyer::from_request_parts(parts, app).await?;
        if let Some(account) = account {
            return Ok(Self(account));
        }
        let visitor = match Visitor::from_request_parts(parts, app).await {
            Ok(visitor) => visitor,
            Err(never) => match never {},
        };
        visitor.account.map(Self).ok_or_else(|| {
            Problem::new(Code::Unauthenticated).detail("get a session at POST /v1/sessions")
        })
    }
}

/// Gives out a challenge; see `challenge.md`.
#[utoipa::path(
    get, path = "/v1/events/{event}/waiting-room/challenge", tag = "waiting room",
    operation_id = "getChallenge",
    summary = "A challenge to solve before joining: proof of work in ALTCHA's protocol",
    description = include_str!("challenge.md"),
    security(("session" = [])),
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The challenge", body = Challenge),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody))
)]
pub async fn challenge(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Asker(account): Asker,
    Client(client): Client,
    traces: Traces,
) -> Result<Response, Problem> {
    let sale = catalog::http::visible(&app, &event).await?;
    let purpose = Purpose { event: sale.listing.event.id, account };
    let (now, config) = (app.now(), &app.config.waiting_room.proof);
    let own =
        suspicion::points(&app, purpose.event, account, traces) * app.config.suspicion.proof_points;
    let difficulty = app.proofs.ask_more(config, client, own, now.as_second());
    metrics::counter!("onsale_challenges_total").increment(1);
    metrics::histogram!("onsale_challenge_hashes").record(f64::from(difficulty.0));
    let challenge = issue(&app.keyring, config, purpose, difficulty, now);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(challenge)).into_response())
}
