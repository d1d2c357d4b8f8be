//! Tickets over HTTP: pictures for buyers, keys and verification for gates.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::code::TicketCode;
use super::qr;
use crate::app::App;
use crate::holds::http::{PlaceView, place_view};
use crate::http::extract::{Body, MaybeBuyer, Path, Query};
use crate::http::json::Json;
use crate::http::problem::{Code, Problem, ProblemBody};
use crate::ids::{EventId, OrderId};
use crate::orders::http::{LinkQuery, visible};
use crate::orders::reading::Whole;

/// A format of the code's picture.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
pub enum Picture {
    /// SVG.
    #[serde(rename = "qr.svg")]
    Svg,
    /// PNG.
    #[serde(rename = "qr.png")]
    Png,
}

/// A ticket's code as a picture.
///
/// There is no need to build this URL: a ticket's `qr` is it, ready to be fetched.
#[utoipa::path(
    get, path = "/v1/orders/{order}/tickets/{ticket}/{format}", tag = "tickets",
    operation_id = "getTicketPicture",
    security(("session" = []), ()),
    params(("order" = OrderId, Path, description = "The order's id, which was its hold's"),
           ("ticket" = String, Path, description = "The place's number and the ticket's serial: \
               `4711-1`"),
           ("format" = inline(Picture), Path, description = "Of the picture"), LinkQuery),
    responses((status = 200, description = "The picture", content((String = "image/svg+xml"),
                                                                  ("image/png"))),
        (status = 404, description = "No such valid ticket of yours", body = ProblemBody))
)]
pub async fn picture(
    State(app): State<Arc<App>>,
    Path((order, ticket, format)): Path<(OrderId, String, Picture)>,
    Query(query): Query<LinkQuery>,
    buyer: MaybeBuyer,
) -> Result<Response, Problem> {
    let Whole { order, tickets, .. } = visible(&app, order, buyer, query.key.as_deref()).await?;
    let none = || Problem::new(Code::NotFound);
    let (place, serial) = ticket.split_once('-').ok_or_else(none)?;
    let place: i32 = place.parse().map_err(|_| none())?;
    let serial: i32 = serial.parse().map_err(|_| none())?;
    let shown = tickets.iter().any(|ticket| {
        (ticket.place, ticket.serial) == (place, serial)
            && matches!(ticket.status.as_str(), "valid" | "used")
    });
    if !shown {
        return Err(none());
    }
    let code = TicketCode { event: order.event, place, serial };
    let sale = app.catalog.sale(order.event).await?.ok_or_else(none)?;
    let code = code.issue(&sale.listing.event, &app.keyring);
    let code = code.ok_or_else(|| Problem::internal("no ticket key"))?;
    let (kind, bytes) = match format {
        Picture::Svg => ("image/svg+xml", qr::svg(&code).map_err(Problem::internal)?.into_bytes()),
        Picture::Png => ("image/png", qr::png(&code).map_err(Problem::internal)?),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, no-store")];
    Ok((headers, bytes).into_response())
}

/// A public ticket key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TicketKey {
    /// The key id in the code's second byte.
    pub id: u8,
    /// `Ed25519`.
    pub algorithm: &'static str,
    /// 32 bytes as base64.
    pub public_key: String,
}

/// The public keys of tickets, and how a code is made up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TicketKeys {
    /// How to read and verify a code.
    pub format: &'static str,
    /// All keys that codes may be signed with.
    pub keys: Vec<TicketKey>,
}

/// The keys with which gates verify tickets without a connection.
#[utoipa::path(
    get, path = "/v1/tickets/keys", tag = "tickets",
    operation_id = "listTicketKeys",
    responses((status = 200, description = "The keys", body = TicketKeys))
)]
pub async fn keys(State(app): State<Arc<App>>) -> Json<TicketKeys> {
    let key = |(id, key): (u8, ed25519_dalek::VerifyingKey)| TicketKey {
        id,
        algorithm: "Ed25519",
        public_key: STANDARD.encode(key.as_bytes()),
    };
    Json(TicketKeys {
        format: "base64url without padding of: version 1 (1 byte), key id (1), event (16), place \
                 (4, big-endian), serial (4, big-endian), signature (64) over the ASCII bytes \
                 `onsale ticket` followed by the 26 bytes before the signature",
        keys: app.keyring.ticket_keys().into_iter().map(key).collect(),
    })
}

/// A code to verify.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// As scanned.
    pub code: String,
}

/// What a code says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Verified {
    /// Whether one of our keys signed it.
    pub authentic: bool,
    /// `valid`, `used`, `suspended` or `void`; none if it isn't authentic or never existed.
    pub status: Option<String>,
    /// For which event.
    pub event: Option<EventId>,
    /// For which place.
    pub place: Option<PlaceView>,
    /// Why it is refused.
    pub reason: Option<String>,
}

/// Whether a code is authentic, and its ticket's state. Does not use the ticket.
#[utoipa::path(
    post, path = "/v1/tickets/verify", tag = "tickets", request_body = VerifyRequest,
    operation_id = "verifyTicket",
    responses((status = 200, description = "The verdict", body = Verified),
        (status = 422, description = "`invalid`", body = ProblemBody))
)]
pub async fn verify(
    State(app): State<Arc<App>>,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<Verified>, Problem> {
    let code = match TicketCode::verify(&request.code, &app.keyring) {
        Ok(code) => code,
        Err(error) => {
            return Ok(Json(Verified {
                authentic: false,
                status: None,
                event: None,
                place: None,
                reason: Some(error.to_string()),
            }));
        }
    };
    let status = sqlx::query_scalar!(
        "SELECT status FROM tickets WHERE event_id = $1 AND place = $2 AND serial = $3",
        code.event.0,
        code.place,
        code.serial
    )
    .fetch_optional(&app.pg)
    .await?;
    let sale = app.catalog.sale(code.event).await?;
    Ok(Json(Verified {
        authentic: true,
        reason: status.is_none().then(|| "there is no such ticket".to_owned()),
        status,
        event: Some(code.event),
        place: sale.and_then(|sale| place_view(&sale.listing, code.place)),
    }))
}
