//! What is left of a limit, as clients are told (draft-ietf-httpapi-ratelimit-headers).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};

use super::table::Rate;
use crate::http::problem::{Code, Problem};

/// Limits: quota and window.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of them.
pub const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What is left of a limit after a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// The limit's name.
    pub name: &'static str,
    /// Its rate.
    pub rate: Rate,
    /// Units left now.
    pub left: u32,
    /// Seconds until all units are back.
    pub reset_s: u32,
}

impl Allowance {
    /// The refusal when nothing is left: there is a unit again in `wait_s` seconds.
    #[must_use]
    pub fn refuse(self, message: &'static str, wait_s: u32) -> Problem {
        metrics::counter!("onsale_limited_total", "limit" => self.name).increment(1);
        Problem::new(Code::TooManyRequests)
            .detail(message)
            .with("limit", self.name)
            .retry_after(wait_s.max(1))
            .allowance(self)
    }

    /// Adds both headers, to those of other limits if there are any.
    pub fn tell(self, headers: &mut HeaderMap) {
        if !self.rate.limits() {
            return;
        }
        let mut text = String::with_capacity(48);
        let mut add = |header: HeaderName, (q, quota): (&str, u32), (w, seconds): (&str, u32)| {
            text.clear();
            let mut number = itoa::Buffer::new();
            text.extend(["\"", self.name, "\";", q, "=", number.format(quota)]);
            text.extend([";", w, "=", number.format(seconds)]);
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.append(header, value);
            }
        };
        add(POLICY, ("q", self.rate.burst), ("w", self.rate.window_s().max(1)));
        add(LEFT, ("r", self.left), ("t", self.reset_s));
    }
}

impl IntoResponseParts for Allowance {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        self.tell(parts.headers_mut());
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_in_the_draft() {
        let rate = Rate { per_second: 2.0, burst: 20 };
        let allowance = Allowance { name: "holds", rate, left: 5, reset_s: 8 };
        let mut headers = HeaderMap::new();
        allowance.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"holds\";q=20;w=10");
        assert_eq!(headers["ratelimit"], "\"holds\";r=5;t=8");
        let none = Allowance { rate: Rate::NONE, ..allowance };
        let mut headers = HeaderMap::new();
        none.tell(&mut headers);
        assert!(headers.is_empty());
    }
}
