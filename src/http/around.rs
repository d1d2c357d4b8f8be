//! What surrounds every request: its id, its deadline, its line in the log and its place in the
//! metrics, and the headers that every answer has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::limits;
use super::problem::{Code, Problem};
use crate::app::App;

/// Names a request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The route of what has none, in metrics.
const UNMATCHED: &str = "unmatched";

/// Around every request that may take its time.
pub async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&mut request);
    let (id, method, route) = (asked.id, &asked.method, asked.route());
    let span = tracing::info_span!("request", %id, %method, route);
    let within = Duration::from_secs(app.config.http.request_timeout_s);
    let answer = tokio::time::timeout(within, next.run(request).instrument(span.clone())).await;
    let mut response = answer.unwrap_or_else(|_| Problem::new(Code::Timeout).into_response());
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, took = ?asked.started.elapsed(), "answered"));
    asked.answered(&app, &mut response);
    response
}

/// Around polls, of which there are more than of anything else, and which are answered from
/// memory at once: limits and headers are theirs as everybody's, but no line in the log.
pub async fn around_poll(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(&mut request);
    let mut response = limits::admit_poll(&app, request, next).await;
    asked.answered(&app, &mut response);
    response
}

/// What is remembered of a request until it is answered.
struct Asked {
    started: Instant,
    id: Uuid,
    told: Option<HeaderValue>,
    method: Method,
    version: Version,
    matched: Option<MatchedPath>,
}

impl Asked {
    fn of(request: &mut Request) -> Self {
        let id = request_id();
        let text = id.hyphenated();
        let told = HeaderValue::from_str(text.encode_lower(&mut Uuid::encode_buffer())).ok();
        Self {
            started: Instant::now(),
            id,
            told,
            method: request.method().clone(),
            version: request.version(),
            matched: request.extensions().get().cloned(),
        }
    }

    fn route(&self) -> &str {
        self.matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str)
    }

    fn answered(self, app: &App, response: &mut Response) {
        let took = self.started.elapsed();
        app.timings.note(self.route(), &self.method, response.status(), took);
        let headers = response.headers_mut();
        if let Some(value) = self.told {
            headers.insert(REQUEST_ID, value);
        }
        // Who has an open connection to a node that stops should make its next one elsewhere.
        // HTTP/2 has a frame for it, which the server sends.
        if self.version < Version::HTTP_2 && app.stopping.is_cancelled() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Pages say it themselves.
        let referrer = headers.entry(header::REFERRER_POLICY);
        referrer.or_insert(HeaderValue::from_static("no-referrer"));
    }
}

/// A UUID of version 7 with random bits of the thread's own generator: to ask the kernel for
/// them, as the others do, would be the dearest part of a poll.
fn request_id() -> Uuid {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}
