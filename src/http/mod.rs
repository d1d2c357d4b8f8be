//! HTTP: the router of all steps, what surrounds every request, and the server itself.

pub mod around;
pub mod examples;
pub mod extract;
pub mod health;
pub mod json;
mod lifetime;
pub mod limits;
pub mod members;
pub mod openapi;
pub mod operations;
pub mod problem;
pub mod server;
pub mod timings;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use axum::response::IntoResponse;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::around::Around;
use self::limits::Admit;
use self::problem::{Code, Problem};
use crate::app::App;

/// Answers smaller than this are not worth compressing, in bytes.
const COMPRESS_ABOVE: u64 = 1_024;

/// Everything that is served.
pub fn router(app: &Arc<App>) -> Router {
    let document = openapi::document();
    let cors = cors(&app.config.http.cors_origins);
    let body_limit = DefaultBodyLimit::max(app.config.http.max_body_bytes);
    let compress =
        SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    // One stack, outermost first: a router boxes its routes once per layer, and clones all boxes
    // with every request.
    let (outer, within) = (app.clone(), app.clone());
    let surroundings = ServiceBuilder::new()
        .layer_fn(move |inner| Around::new(outer.clone(), inner))
        .layer(CatchPanicLayer::custom(|_panic| around::panicked().into_response()))
        .option_layer(cors.clone())
        .layer(CompressionLayer::new().gzip(true).compress_when(compress))
        .layer(body_limit)
        .layer_fn(move |inner| Admit::new(within.clone(), inner));
    // What is asked for most surrounds itself, with less.
    let mut polls = Router::from(openapi::polls()).method_not_allowed_fallback(around::poll_missed);
    let mut steps = Router::from(openapi::steps()).method_not_allowed_fallback(around::step_missed);
    if let Some(cors) = cors {
        let preflight = middleware::from_fn_with_state(app.clone(), around::poll_preflight);
        polls = polls.layer(ServiceBuilder::new().layer(preflight).layer(cors.clone()));
        let preflight = middleware::from_fn_with_state(app.clone(), around::step_preflight);
        steps = steps.layer(ServiceBuilder::new().layer(preflight).layer(cors));
    }
    let missed = || async { Problem::new(Code::Method) };
    Router::from(openapi::routes())
        .merge(openapi::documents(app, &document))
        .merge(health::routes())
        .merge(crate::web::routes(app))
        .merge(crate::mail::http::routes(app))
        .fallback(crate::web::missing)
        .method_not_allowed_fallback(missed)
        .layer(surroundings)
        .merge(polls)
        .merge(steps)
        .with_state(app.clone())
}

/// None where no other site's pages may ask.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::PATCH, Method::PUT])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            crate::access::grant::ACCESS_HEADER,
            crate::waiting_room::http::QUEUE_HEADER,
            crate::waiting_room::http::PASS_HEADER,
            HeaderName::from_static(crate::suspicion::traces::HEADER),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            limits::allowance::POLICY,
            limits::allowance::LEFT,
            around::REQUEST_ID,
        ])
        .max_age(Duration::from_secs(3_600));
    Some(layer)
}
