//! How long answers take, by route, method and status.
//!
//! Naming a histogram costs more than recording in it: its labels are written and looked up. So
//! each is named once, and kept.

use std::collections::HashMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{Method, StatusCode};
use metrics::Histogram;

/// The methods that have a name of their own in metrics: there is no end to what clients invent.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// The histograms of a route, by method and status.
type Known = Vec<(&'static str, StatusCode, Histogram)>;

/// The histograms of answers' times, of a route's template each. Written anew as a whole when one
/// is added, so that nobody who looks takes a lock.
#[derive(Default)]
pub struct Timings {
    routes: ArcSwap<HashMap<String, Known>>,
}

impl Timings {
    /// An answer took so long.
    pub fn note(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = name(method);
        let is_it = |(m, s, _): &&(&str, StatusCode, Histogram)| *s == status && *m == method;
        match self.routes.load().get(route).and_then(|known| known.iter().find(is_it)) {
            Some((_, _, histogram)) => histogram.record(took.as_secs_f64()),
            None => self.note_first(route, method, status, took),
        }
    }

    #[cold]
    fn note_first(&self, route: &str, method: &'static str, status: StatusCode, took: Duration) {
        let histogram = metrics::histogram!("onsale_http_seconds", "route" => route.to_owned(),
            "method" => method, "status" => status.as_u16().to_string());
        histogram.record(took.as_secs_f64());
        // Two that come first at once both keep theirs, which are the same histogram.
        self.routes.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            let known = routes.entry(route.to_owned()).or_default();
            known.push((method, status, histogram.clone()));
            routes
        });
    }
}

fn name(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_and_invented_methods_are_one() {
        let timings = Timings::default();
        let note = |method: &Method, status| {
            timings.note("/a/{b}", method, status, Duration::from_millis(1));
        };
        let known = || timings.routes.load()["/a/{b}"].len();
        for _ in 0..3 {
            note(&Method::GET, StatusCode::OK);
        }
        assert_eq!(known(), 1);
        note(&Method::GET, StatusCode::NOT_FOUND);
        note(&Method::DELETE, StatusCode::OK);
        assert_eq!(known(), 3);
        for invented in [b"ONE", b"TWO"] {
            note(&Method::from_bytes(invented).unwrap(), StatusCode::METHOD_NOT_ALLOWED);
        }
        assert_eq!(known(), 4);
    }
}
