//! The OpenAPI document, generated from the handlers, and its page.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::{accounts, catalog, checkout, holds, orders, organizers, payments, tickets, waiting_room};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "onsale",
        description = "Event ticket sales for high-demand onsales.\n\n\
            **Buying a ticket**: `POST /v1/sessions` → `GET /v1/events` → `GET /v1/events/{event}` \
            (its offers) → `POST /v1/events/{event}/holds` → \
            `POST /v1/events/{event}/holds/{hold}/checkout` → pay at `payment.url` → \
            `GET /v1/orders/{order}` (its tickets).\n\n\
            Amounts are in minor units (cents). Times are RFC 3339. Refusals are RFC 9457 \
            problems: act on their `code`. Creating requests need an `Idempotency-Key`; repeat \
            a request whose outcome you don't know with the same key.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Securities),
    tags(
        (name = "sessions", description = "Who buys"),
        (name = "events", description = "What is for sale"),
        (name = "waiting room", description = "Who may shop, and when"),
        (name = "holds", description = "A temporary grip on places"),
        (name = "orders", description = "Checkout, payment, tickets"),
        (name = "tickets", description = "For gates"),
        (name = "webhooks", description = "For payment providers"),
        (name = "organizer", description = "Putting events on sale (API key)"),
    )
)]
struct Document;

struct Securities;

impl Modify for Securities {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |what: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what));
            SecurityScheme::Http(scheme.build())
        };
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("session", bearer("The token of `POST /v1/sessions`"));
        components.add_security_scheme("organizer", bearer("An organizer's API key"));
    }
}

/// The routes of the API.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(accounts::http::create))
        .routes(routes!(catalog::http::list))
        .routes(routes!(catalog::http::read))
        .routes(routes!(catalog::http::manifest))
        .routes(routes!(catalog::http::drawer))
        .routes(routes!(holds::http::availability))
        .routes(routes!(holds::http::stream))
        .routes(routes!(waiting_room::http::read))
        .routes(routes!(waiting_room::http::join))
        .routes(routes!(waiting_room::http::place))
        .routes(routes!(waiting_room::http::stream))
        .routes(routes!(waiting_room::http::exchange, waiting_room::http::give_up))
        .routes(routes!(holds::http::create))
        .routes(routes!(holds::http::read, holds::http::release))
        .routes(routes!(holds::http::extend))
        .routes(routes!(checkout::http::checkout))
        .routes(routes!(orders::http::read))
        .routes(routes!(orders::http::cancel))
        .routes(routes!(orders::http::pay))
        .routes(routes!(tickets::http::picture))
        .routes(routes!(tickets::http::keys))
        .routes(routes!(tickets::http::verify))
        .routes(routes!(payments::webhook::receive))
        .merge(organizers::http::routes())
}

/// The document itself.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

/// `/openapi.json` and `/docs`.
pub fn documents(app: &Arc<App>, document: &utoipa::openapi::OpenApi) -> Router<Arc<App>> {
    let json = document.to_json().unwrap_or_default();
    let page = crate::web::docs::page(document);
    let docs = Router::new().route("/docs", get(move || async move { Html(page) }));
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .merge(crate::web::dressed(app, docs))
}
