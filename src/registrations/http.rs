//! Presale registration over HTTP.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::{self, Registered, Registrant};
use super::{Outcome, Phase, Registration, lane};
use crate::access::{code, proven_email};
use crate::accounts;
use crate::app::App;
use crate::http::extract::{Body, Buyer, Path, SignedIn};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, EventId};

/// Longest locale tag.
const MAX_LOCALE_CHARS: usize = 35;

/// A registration, with all that is needed to check its draw.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RegistrationView {
    /// Its id.
    pub id: Uuid,
    /// The event's id: part of what the draw is computed from.
    pub event: EventId,
    /// Its name.
    pub name: String,
    /// The lane in whose place it is drawn, for `onsale draw verify` and everybody's own
    /// computation: always negative.
    pub lane: i16,
    /// Where it stands.
    pub phase: Phase,
    /// From when one can register.
    #[schema(value_type = String, format = DateTime)]
    pub opens_at: Timestamp,
    /// Until when one can register and withdraw.
    #[schema(value_type = String, format = DateTime)]
    pub closes_at: Timestamp,
    /// From when the beacon may be known.
    #[schema(value_type = String, format = DateTime)]
    pub draw_at: Timestamp,
    /// How many win.
    pub winners: i32,
    /// How many are registered.
    pub registered: i64,
    /// SHA-256 of the seed, in hexadecimal.
    pub seed_hash: String,
    /// The public value that is mixed in, named beforehand.
    pub beacon_name: String,
    /// What it was; none before the draw.
    pub beacon: Option<String>,
    /// The seed in hexadecimal, once it is revealed.
    pub seed: Option<String>,
    /// How many have won.
    pub won: Option<i64>,
    /// The place of the last winner: who has a lower one has won. A text, because it doesn't fit
    /// a double.
    pub last_place: Option<String>,
    /// The server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
}

/// The registration as everybody may see it.
///
/// # Errors
/// If Postgres fails.
pub async fn view(app: &App, registration: &Registration) -> Result<RegistrationView, Problem> {
    let drawn = registration.drawn;
    let registered = match drawn {
        Some(drawn) => drawn.registered,
        None => store::count(&app.pg, registration.id).await?,
    };
    let draw = &registration.draw;
    Ok(RegistrationView {
        id: registration.id,
        event: registration.event,
        name: registration.name.clone(),
        lane: lane(registration.number),
        phase: registration.phase(app.now()),
        opens_at: registration.opens_at,
        closes_at: registration.closes_at,
        draw_at: registration.draw_at,
        winners: registration.winners,
        registered,
        seed_hash: hex::encode(draw.seed_hash()),
        beacon_name: draw.beacon_name.clone(),
        beacon: draw.beacon.clone(),
        seed: draw.revealed().map(hex::encode),
        won: drawn.map(|drawn| drawn.won),
        last_place: drawn.and_then(|drawn| drawn.last).map(|(place, _)| place.to_string()),
        server_time: app.now(),
    })
}

/// A registration of this event.
///
/// # Errors
/// `not_found`, or Postgres fails.
pub async fn find(app: &App, event: EventId, id: Uuid) -> Result<Registration, Problem> {
    let found = store::read(&app.pg, Some(event), Some(id), false).await?;
    found.into_iter().next().ok_or_else(|| Problem::new(Code::NotFound))
}

async fn visible(app: &App, event: &str, id: Uuid) -> Result<Registration, Problem> {
    let sale = crate::catalog::http::visible(app, event).await?;
    find(app, sale.listing.event.id, id).await
}

/// The event's presale registrations.
#[utoipa::path(
    get, path = "/v1/events/{event}/registrations", tag = "registrations",
    operation_id = "listRegistrations",
    params(("event" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "All of them", body = [RegistrationView]),
        (status = 404, description = "No such event", body = ProblemBody))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
) -> Result<Json<Vec<RegistrationView>>, Problem> {
    let sale = crate::catalog::http::visible(&app, &event).await?;
    let all = store::read(&app.pg, Some(sale.listing.event.id), None, false).await?;
    let mut views = Vec::with_capacity(all.len());
    for registration in &all {
        views.push(view(&app, registration).await?);
    }
    Ok(Json(views))
}

/// A presale registration. After the draw anyone can recompute every place from it, by the same
/// rule as the waiting room's, with the account's id as the subject.
#[utoipa::path(
    get, path = "/v1/events/{event}/registrations/{registration}", tag = "registrations",
    operation_id = "getRegistration",
    params(("event" = String, Path, description = "Id or slug"),
           ("registration" = Uuid, Path, description = "The registration's id")),
    responses((status = 200, description = "The registration", body = RegistrationView),
        (status = 404, description = "No such registration", body = ProblemBody))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Path((event, id)): Path<(String, Uuid)>,
) -> Result<Json<RegistrationView>, Problem> {
    view(&app, &visible(&app, &event, id).await?).await.map(Json)
}

/// How somebody registers; who it is, the session says.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The language of the mail (BCP 47).
    #[serde(default)]
    pub locale: Option<String>,
}

/// One's own registration.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RegistrantView {
    /// The subject of the draw: the account's id.
    pub subject: AccountId,
    /// Where the outcome is mailed to.
    pub email: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub registered_at: Timestamp,
    /// The place in the draw, once it is known. A text, because it doesn't fit a double.
    pub place: Option<String>,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// A winner's code, for `POST /v1/events/{event}/access` with this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A winner's code.
#[must_use]
pub fn code_of(app: &App, registration: Uuid, registrant: &Registrant) -> Option<String> {
    let key = u8::try_from(registrant.key?).ok()?;
    code::of_winner(&app.keyring, key, registration, registrant.account)
}

async fn own(
    app: &App,
    registration: &Registration,
    account: AccountId,
) -> Result<Json<RegistrantView>, Problem> {
    let found = store::registrant(&app.pg, registration.id, account).await?;
    let found = found.ok_or_else(|| Problem::new(Code::NotFound).detail("not registered"))?;
    Ok(Json(RegistrantView {
        subject: account,
        code: code_of(app, registration.id, &found),
        email: found.email,
        registered_at: found.registered_at,
        place: found.place.map(|place| place.to_string()),
        outcome: found.outcome,
    }))
}

fn closed(registration: &Registration, app: &App) -> Problem {
    Problem::new(Code::RegistrationClosed)
        .with("phase", registration.phase(app.now()))
        .with("opens_at", registration.opens_at)
        .with("closes_at", registration.closes_at)
}

/// Registers for the presale. It doesn't matter when, as long as it is open; once more is
/// harmless, and changes nothing. Needs a session of somebody who has signed in: the outcome is
/// mailed to the address that was proved by it, and one person has one registration.
#[utoipa::path(
    post, path = "/v1/events/{event}/registrations/{registration}", tag = "registrations",
    operation_id = "registerForPresale",
    params(("event" = String, Path, description = "Id or slug"),
           ("registration" = Uuid, Path, description = "The registration's id")),
    request_body = RegisterRequest, security(("session" = [])),
    responses((status = 201, description = "Registered", body = RegistrantView),
        (status = 200, description = "Registered before", body = RegistrantView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`sign_in_needed`", body = ProblemBody),
        (status = 404, description = "No such registration", body = ProblemBody),
        (status = 409, description = "`registration_closed` (with `phase`, `opens_at` and \
            `closes_at`), `exists`: another account has registered with this address",
            body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn register(
    State(app): State<Arc<App>>,
    Path((event, id)): Path<(String, Uuid)>,
    SignedIn { account, .. }: SignedIn,
    Body(request): Body<RegisterRequest>,
) -> Result<(StatusCode, Json<RegistrantView>), Problem> {
    let registration = visible(&app, &event, id).await?;
    let plain = |tag: &str| {
        tag.len() <= MAX_LOCALE_CHARS && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !request.locale.as_deref().is_none_or(plain) {
        return Err(Problem::field("/locale", "not a language tag"));
    }
    let key = proven_email(&app, account).await?;
    let key = key.ok_or_else(|| Problem::new(Code::SignInNeeded))?;
    let email = accounts::store::email(&app.pg, account).await?;
    let (address, locale) = ((email.as_str(), key.as_str()), request.locale.as_deref());
    match store::register(&app.pg, id, account, address, locale).await? {
        Registered::Now => {
            metrics::counter!("onsale_registered_total").increment(1);
            Ok((StatusCode::CREATED, own(&app, &registration, account).await?))
        }
        Registered::Before => Ok((StatusCode::OK, own(&app, &registration, account).await?)),
        Registered::Taken => {
            Err(Problem::new(Code::Exists)
                .detail("another account has registered with this address"))
        }
        Registered::Closed => Err(closed(&registration, &app)),
    }
}

/// Withdraws one's registration, as long as one can register.
#[utoipa::path(
    delete, path = "/v1/events/{event}/registrations/{registration}", tag = "registrations",
    operation_id = "withdrawRegistration",
    params(("event" = String, Path, description = "Id or slug"),
           ("registration" = Uuid, Path, description = "The registration's id")),
    security(("session" = [])),
    responses((status = 204, description = "Not registered (any more)"),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such registration", body = ProblemBody),
        (status = 409, description = "`registration_closed`: too late", body = ProblemBody))
)]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((event, id)): Path<(String, Uuid)>,
    Buyer(account): Buyer,
) -> Result<StatusCode, Problem> {
    let registration = visible(&app, &event, id).await?;
    if store::withdraw(&app.pg, id, account).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(closed(&registration, &app))
}

/// One's own registration: its place after the draw, and a winner's code.
#[utoipa::path(
    get, path = "/v1/events/{event}/registrations/{registration}/mine", tag = "registrations",
    operation_id = "getMyRegistration",
    params(("event" = String, Path, description = "Id or slug"),
           ("registration" = Uuid, Path, description = "The registration's id")),
    security(("session" = [])),
    responses((status = 200, description = "It", body = RegistrantView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 404, description = "No such registration, or not registered",
            body = ProblemBody))
)]
pub async fn mine(
    State(app): State<Arc<App>>,
    Path((event, id)): Path<(String, Uuid)>,
    Buyer(account): Buyer,
) -> Result<Json<RegistrantView>, Problem> {
    let registration = visible(&app, &event, id).await?;
    own(&app, &registration, account).await
}
