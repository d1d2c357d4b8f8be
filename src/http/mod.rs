//! HTTP: the router of all steps, what surrounds every request, and the server itself.

pub mod examples;
pub mod extract;
pub mod health;
pub mod limits;
pub mod members;
pub mod openapi;
pub mod operations;
pub mod problem;
pub mod server;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Version, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use uuid::Uuid;

use self::problem::{Code, Problem};
use crate::app::App;

/// Names a request in answers and logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Answers smaller than this are not worth compressing, in bytes.
const COMPRESS_ABOVE: u64 = 1_024;

/// Everything that is served.
pub fn router(app: &Arc<App>) -> Router {
    let (api, document) = openapi::routes().split_for_parts();
    let body_limit = DefaultBodyLimit::max(app.config.http.max_body_bytes);
    let compress =
        SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    // One stack, outermost first: a router boxes its routes once per layer, and clones all boxes
    // with every request.
    let surroundings = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .layer(CatchPanicLayer::custom(|_panic| {
            use axum::response::IntoResponse;
            Problem::internal("a handler panicked").into_response()
        }))
        .layer(cors(&app.config.http.cors_origins))
        .layer(CompressionLayer::new().gzip(true).compress_when(compress))
        .layer(body_limit)
        .layer(middleware::from_fn_with_state(app.clone(), limits::admit));
    Router::new()
        .merge(api)
        .merge(openapi::documents(app, &document))
        .merge(health::routes())
        .merge(crate::web::routes(app))
        .merge(crate::mail::http::routes(app))
        .fallback(crate::web::missing)
        .method_not_allowed_fallback(|| async { Problem::new(Code::Method) })
        .layer(surroundings)
        .with_state(app.clone())
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::PATCH, Method::PUT])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            crate::access::grant::ACCESS_HEADER,
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            limits::allowance::POLICY,
            limits::allowance::LEFT,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(3_600))
}

/// Around every request: its id, its deadline, its line in the log and its place in the metrics,
/// and the headers that every answer has.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    use axum::response::IntoResponse;
    use tracing::Instrument;
    let id = Uuid::now_v7();
    let started = std::time::Instant::now();
    let method = request.method().clone();
    let version = request.version();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let told = HeaderValue::from_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())).ok();
    if let Some(value) = &told {
        request.headers_mut().insert(REQUEST_ID, value.clone());
    }
    let span = tracing::info_span!("request", %id, %method, route);
    let within = Duration::from_secs(app.config.http.request_timeout_s);
    let answer = tokio::time::timeout(within, next.run(request).instrument(span.clone())).await;
    let mut response = answer.unwrap_or_else(|_| Problem::new(Code::Timeout).into_response());
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    metrics::histogram!("onsale_http_seconds", "route" => route, "method" => method.to_string(),
        "status" => status.to_string())
    .record(elapsed.as_secs_f64());
    span.in_scope(|| tracing::debug!(status, ?elapsed, "answered"));
    let headers = response.headers_mut();
    if let Some(value) = told {
        headers.insert(REQUEST_ID, value);
    }
    // Who has an open connection to a node that stops should make its next one elsewhere. HTTP/2
    // has a frame for it, which the server sends.
    if version < Version::HTTP_2 && app.stopping.is_cancelled() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Pages say it themselves.
    let referrer = headers.entry(header::REFERRER_POLICY);
    referrer.or_insert(HeaderValue::from_static("no-referrer"));
    response
}
