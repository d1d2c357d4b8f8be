//! What surrounds every request: its id, its deadline, its line in the log and its place in the
//! metrics, and the headers that every answer has.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderName, HeaderValue, Method, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tower::Service;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::limits;
use super::problem::{Code, Problem};
use crate::app::App;

/// Names a request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The route of what has none, in metrics.
const UNMATCHED: &str = "unmatched";

/// Around every request that may take its time. A service of its own, because what is made of a
/// function clones and boxes all that it surrounds, once more for each request.
#[derive(Clone)]
pub struct Around<S> {
    app: Arc<App>,
    inner: S,
}

impl<S> Around<S> {
    /// Surrounds a service.
    pub const fn new(app: Arc<App>, inner: S) -> Self {
        Self { app, inner }
    }
}

impl<S> Service<Request> for Around<S>
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let asked = Asked::of(request.method(), request.version(), request.extensions());
        let span = asked.span();
        let answer = span.in_scope(|| self.inner.call(request));
        let app = self.app.clone();
        Box::pin(async move {
            let answer = async { answer.await.map(IntoResponse::into_response) };
            Ok(asked.see_through(&app, span, answer).await)
        })
    }
}

/// Around what a sale consists of: holds, checkouts and the webhooks that settle. They are asked
/// for most after polls, and never have anything to compress. Their handlers ask for it
/// themselves, as those of polls do, and get the body as it came.
pub async fn step<F>(
    app: &App,
    request: Request,
    answer: impl FnOnce(Parts, Bytes) -> F,
) -> Response
where
    F: Future<Output = Result<Response, Problem>>,
{
    let asked = Asked::of(request.method(), request.version(), request.extensions());
    let span = asked.span();
    let caught = |parts, bytes| async {
        // Boxed: what surrounds it would be moved with all the room that it needs.
        let answer = AssertUnwindSafe(Box::pin(answer(parts, bytes))).catch_unwind().await;
        answer.unwrap_or_else(|_panic| Err(panicked())).into_response()
    };
    let answer = async {
        let answer = limits::admit_step(app, request, caught).await;
        Ok(answer.into_response())
    };
    asked.see_through(app, span, answer).await
}

/// The answer to a step with a method that it doesn't have.
pub async fn step_missed(State(app): State<Arc<App>>, request: Request) -> Response {
    step(&app, request, async |_, _| Err(Problem::new(Code::Method))).await
}

/// What who asked is told of a handler that panicked; why is in the log.
#[must_use]
pub fn panicked() -> Problem {
    Problem::internal("a handler panicked")
}

/// Around polls, of which there are more than of anything else, and which are answered from
/// memory at once: limits and headers are theirs as everybody's, but no line in the log. Handlers
/// of polls ask for it themselves: a layer would be cloned for each, with all that it surrounds.
pub async fn poll<F>(app: &App, request: Request, answer: impl FnOnce(Parts) -> F) -> Response
where
    F: Future<Output = Result<Response, Problem>>,
{
    let (parts, _) = request.into_parts();
    let asked = Asked::of(&parts.method, parts.version, &parts.extensions);
    let mut response = limits::admit_poll(app, parts, answer).await.into_response();
    asked.answered(app, &mut response);
    response
}

/// The answer to a poll with a method that polls don't have.
pub async fn poll_missed(State(app): State<Arc<App>>, request: Request) -> Response {
    poll(&app, request, async |_| Err(Problem::new(Code::Method))).await
}

/// Around what browsers ask before another site's page may poll: no handler hears of it.
pub async fn poll_preflight(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    let run = async |parts| Ok(next.run(Request::from_parts(parts, Body::empty())).await);
    poll(&app, request, run).await
}

/// The same for steps: as of everything but polls, it is not counted.
pub async fn step_preflight(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    let asked = Asked::of(request.method(), request.version(), request.extensions());
    let mut response = next.run(request).await;
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
    fn of(method: &Method, version: Version, extensions: &Extensions) -> Self {
        let id = request_id();
        let text = id.hyphenated();
        let told = HeaderValue::from_str(text.encode_lower(&mut Uuid::encode_buffer())).ok();
        Self {
            started: Instant::now(),
            id,
            told,
            method: method.clone(),
            version,
            matched: extensions.get().cloned(),
        }
    }

    /// What the log says of all that happens until it is answered.
    fn span(&self) -> Span {
        tracing::info_span!("request", id = %self.id, method = %self.method, route = self.route())
    }

    /// Waits for the answer, but not for ever.
    async fn see_through(
        self,
        app: &App,
        span: Span,
        answer: impl Future<Output = Result<Response, Infallible>>,
    ) -> Response {
        let within = Duration::from_secs(app.config.http.request_timeout_s);
        let mut response = match tokio::time::timeout(within, answer.instrument(span.clone())).await
        {
            Ok(Ok(answer)) => answer,
            Err(_) => Problem::new(Code::Timeout).into_response(),
        };
        let status = response.status().as_u16();
        span.in_scope(|| tracing::debug!(status, took = ?self.started.elapsed(), "answered"));
        self.answered(app, &mut response);
        response
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
        if self.version < Version::HTTP_2 && app.stopping.load(Ordering::Relaxed) {
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
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let millis = u64::try_from(millis).unwrap_or(0);
    // Drawn at once: byte by byte it would take three times as many bits.
    let mut random = [0; 10];
    random.copy_from_slice(&rand::random::<u128>().to_ne_bytes()[..10]);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
