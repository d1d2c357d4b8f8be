//! Redeeming access codes over HTTP.

use std::sync::Arc;

use axum::extract::State;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::grant::Grant;
use super::{code, proven_email, store};
use crate::app::App;
use crate::catalog::Listing;
use crate::http::extract::{Body, Buyer, Path};
use crate::http::json::Json;
use crate::http::limits::{self, Client, SharedLimit};
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{AccountId, OfferId};
use crate::suspicion::{self, Reason, Traces};
use crate::waiting_room::Room;

/// A code as it was typed.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Upper and lower case, spaces and hyphens don't count, nor does O for 0 or I and L for 1.
    #[schema(example = "K7QM-2XB4-9RTE-0AWC")]
    pub code: String,
}

/// What a code opens, for the account that redeemed it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AccessView {
    /// Send it as `Onsale-Access` when joining the waiting room and when holding places; several
    /// with commas between them. It is of no use to any other session.
    pub grant: String,
    /// What the organizer called it.
    pub name: String,
    /// What it opens.
    pub opens: Vec<Opened>,
    /// From when it counts (RFC 3339); at once if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// Until when; as long as the sale if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// Something that needs a grant.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Opened {
    /// An offer can be bought.
    Offer {
        /// Its id.
        id: OfferId,
        /// Its name.
        name: String,
    },
    /// A lane of the waiting room can be joined.
    Lane {
        /// Its code.
        code: String,
        /// Its name.
        name: String,
    },
}

/// What a set opens.
#[must_use]
pub fn opened_by(listing: &Listing, room: Option<&Room>, set: Uuid) -> Vec<Opened> {
    let offers = listing.offers.iter().filter(|offer| offer.active && offer.code_set == Some(set));
    let offers = offers.map(|offer| Opened::Offer { id: offer.id, name: offer.name.clone() });
    let lanes = room.into_iter().flat_map(|room| &room.lanes);
    let lanes = lanes.filter(|lane| lane.code_set == Some(set));
    let lanes = lanes.map(|lane| Opened::Lane { code: lane.code.clone(), name: lane.name.clone() });
    offers.chain(lanes).collect()
}

/// Redeems an access code.
///
/// One use of the code is counted per account: asked again, the answer is the same grant. A code
/// that is wrong, used up, over, revoked or somebody else's gets one and the same answer.
#[utoipa::path(
    post, path = "/v1/events/{event}/access", tag = "events",
    operation_id = "redeemAccessCode",
    params(("event" = String, Path, description = "Id or slug")),
    request_body = AccessRequest, security(("session" = [])),
    responses((status = 200, description = "The grant", body = AccessView),
        (status = 401, description = "No session", body = ProblemBody),
        (status = 403, description = "`access_code`: this code opens nothing for you",
            body = ProblemBody),
        (status = 404, description = "No such event", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too_many_requests`", body = ProblemBody))
)]
pub async fn redeem(
    State(app): State<Arc<App>>,
    Path(event): Path<String>,
    Buyer(account): Buyer,
    client: Client,
    Body(request): Body<AccessRequest>,
) -> Result<Json<AccessView>, Problem> {
    access(&app, &event, account, client, &request.code).await.map(Json)
}

/// Redeems a code; see [`redeem`].
///
/// # Errors
/// The refusal.
pub async fn access(
    app: &App,
    event: &str,
    account: AccountId,
    client: Client,
    typed: &str,
) -> Result<AccessView, Problem> {
    let sale = crate::catalog::http::visible(app, event).await?;
    let event = sale.listing.event.id;
    limits::shared(app, SharedLimit::CodeGuesses, &account.to_string()).await?;
    limits::shared(app, SharedLimit::CodeGuessesAddress, &client.to_string()).await?;
    let refused = || {
        metrics::counter!("onsale_access_codes_total", "result" => "refused").increment(1);
        Problem::new(Code::AccessCode).detail("this code opens nothing here")
    };
    // What can't be a code is looked up as well: the answer must not come sooner.
    let normal = code::normalise(typed).unwrap_or_default();
    let hashes = code::hashes(&app.keyring, event, &normal);
    let email = proven_email(app, account).await?;
    let redeemed = store::redeem(&app.pg, event, &hashes, account, email.as_deref()).await?;
    let Some(redeemed) = redeemed else {
        let traces = Traces::from_address(app, client.0);
        suspicion::note(app, event, account, traces, Reason::CodesGuessed);
        return Err(refused());
    };
    // A set that was made a moment ago may not be known here yet.
    let sale = match sale.listing.code_set(redeemed.set) {
        Some(_) => sale,
        None => app.catalog.refresh(event).await?.ok_or_else(refused)?,
    };
    let set = sale.listing.code_set(redeemed.set).ok_or_else(refused)?;
    let room = app.rooms.get(event).await?;
    metrics::counter!("onsale_access_codes_total", "result" => "redeemed").increment(1);
    let grant = Grant { event, account, set: set.id, code: redeemed.code };
    Ok(AccessView {
        grant: grant.seal(&app.keyring),
        name: set.name.clone(),
        opens: opened_by(&sale.listing, room.as_deref(), set.id),
        starts_at: set.starts_at,
        expires_at: set.ends_at,
    })
}
