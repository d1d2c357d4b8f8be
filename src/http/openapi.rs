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

use super::operations;
use crate::app::App;
use crate::{
    access, accounts, catalog, checkout, holds, orders, organizers, payments, registrations,
    tickets, waiting_room,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "onsale",
        description = include_str!("openapi.md"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    modifiers(&Securities),
    tags(
        (name = "sessions", description = "Who buys"),
        (name = "events", description = "What is for sale"),
        (name = "waiting room", description = "Who may shop, and when"),
        (name = "registrations", description = "A draw for a place in the presale"),
        (name = "holds", description = "A temporary grip on places"),
        (name = "orders", description = "Checkout, payment, tickets"),
        (name = "tickets", description = "Pictures for buyers, keys and verification for gates"),
        (name = "operations", description = "For whoever watches the sale"),
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
        components.add_security_scheme(
            "session",
            bearer("The token of `POST /v1/sessions` or `POST /v1/sign-in/confirm`"),
        );
        components.add_security_scheme("organizer", bearer("An organizer's API key"));
    }
}

/// The routes of the API.
#[must_use]
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(accounts::http::create, accounts::http::list))
        .routes(routes!(accounts::http::rotate))
        .routes(routes!(accounts::http::sign_out))
        .routes(routes!(accounts::http::revoke))
        .routes(routes!(accounts::http::ask))
        .routes(routes!(accounts::http::confirm))
        .routes(routes!(catalog::http::list))
        .routes(routes!(catalog::http::read))
        .routes(routes!(catalog::http::manifest))
        .routes(routes!(catalog::http::drawer))
        .routes(routes!(waiting_room::proof::http::challenge))
        .routes(routes!(holds::http::availability))
        .routes(routes!(holds::http::stream))
        .routes(routes!(waiting_room::http::join))
        .routes(routes!(waiting_room::http::stream))
        .routes(routes!(waiting_room::http::exchange, waiting_room::http::give_up))
        .routes(routes!(access::http::redeem))
        .routes(routes!(registrations::http::list))
        .routes(routes!(
            registrations::http::read,
            registrations::http::register,
            registrations::http::withdraw
        ))
        .routes(routes!(registrations::http::mine))
        .routes(routes!(holds::http::read, holds::http::release, holds::retype::http::change))
        .routes(routes!(holds::http::extend))
        .routes(routes!(holds::asks::http::create))
        .routes(routes!(holds::asks::http::read, holds::asks::http::withdraw))
        .routes(routes!(orders::http::list))
        .routes(routes!(orders::http::read))
        .routes(routes!(orders::http::cancel))
        .routes(routes!(orders::http::pay))
        .routes(routes!(orders::contact::http::resend))
        .routes(routes!(orders::contact::http::change))
        .routes(routes!(tickets::http::picture))
        .routes(routes!(tickets::http::keys))
        .routes(routes!(tickets::http::verify))
        .merge(organizers::http::routes())
}

/// The routes of polls, which are surrounded by less than the others.
pub fn polls() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(waiting_room::http::read))
        .routes(routes!(waiting_room::http::place))
}

/// The routes of a sale's steps, which are surrounded by less than the others, too.
pub fn steps() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(holds::http::create))
        .routes(routes!(checkout::http::checkout))
        .routes(routes!(payments::webhook::receive))
}

/// The document itself.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = std::mem::take(routes().get_openapi_mut());
    for mut others in [polls(), steps()] {
        document.merge(std::mem::take(others.get_openapi_mut()));
    }
    operations::complete(&mut document);
    document
}

/// `/openapi.json` and `/docs`.
pub fn documents(app: &Arc<App>, document: &utoipa::openapi::OpenApi) -> Router<Arc<App>> {
    let json = document.to_json().unwrap_or_default();
    let page = crate::web::docs::page(document, &app.config.http.public_url);
    let english = [(header::CONTENT_LANGUAGE, "en")];
    let docs = Router::new().route("/docs", get(move || async move { (english, Html(page)) }));
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .merge(crate::web::dressed(app, docs))
}
