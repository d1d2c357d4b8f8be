//! Requests per client address and node: cheap, outermost, and the same for everyone.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::{Code, Problem};
use crate::app::App;

/// Addresses after which those that are idle are forgotten.
const MAX_ADDRESSES: usize = 100_000;

/// A node's limiter.
#[derive(Default)]
pub struct PerAddress(OnceLock<Option<DefaultKeyedRateLimiter<IpAddr>>>);

impl PerAddress {
    /// `Err(seconds)`: ask again after so long.
    fn check(&self, per_second: u32, burst: u32, address: IpAddr) -> Result<(), u32> {
        let limiter = self.0.get_or_init(|| {
            let quota = Quota::per_second(NonZeroU32::new(per_second)?);
            let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
            Some(RateLimiter::keyed(quota.allow_burst(burst)))
        });
        let Some(limiter) = limiter else { return Ok(()) };
        if limiter.len() > MAX_ADDRESSES {
            limiter.retain_recent();
        }
        limiter.check_key(&address).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX)
        })
    }
}

/// The client's address: the peer's, or the last hop's before a trusted proxy. An IPv6 client is
/// its /64.
#[must_use]
pub fn client_address(trusted: &[IpAddr], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut address = peer;
    if trusted.contains(&peer) {
        let hops = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
        let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
        // From the right: each trusted hop vouches for the one before it, nobody else does.
        for hop in hops.iter().rev() {
            let Ok(hop) = hop.trim().parse() else { break };
            address = hop;
            if !trusted.contains(&address) {
                break;
            }
        }
    }
    match address {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Refuses whom asks too often. Webhooks are never refused: they settle.
pub async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let http = &app.config.http;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if let Some(peer) = peer
        && http.requests_per_second > 0
        && !request.uri().path().starts_with("/webhooks/")
    {
        let address = client_address(&http.trusted_proxies, peer, request.headers());
        let checked = app.per_address.check(http.requests_per_second, http.request_burst, address);
        if let Err(seconds) = checked {
            return Problem::new(Code::TooManyRequests).retry_after(seconds).into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", value.parse().unwrap());
        headers
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_from_the_right() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxy = ip("10.0.0.1");
        let forged = headers("1.1.1.1, 2.2.2.2");
        assert_eq!(client_address(&[], proxy, &forged), proxy);
        assert_eq!(client_address(&[proxy], proxy, &forged), ip("2.2.2.2"));
        let two = headers("1.1.1.1, 2.2.2.2, 10.0.0.1");
        assert_eq!(client_address(&[proxy], proxy, &two), ip("2.2.2.2"));
        assert_eq!(client_address(&[proxy], proxy, &headers("nonsense")), proxy);
        let v6 = headers("2001:db8:1:2:3:4:5:6");
        assert_eq!(client_address(&[proxy], proxy, &v6), ip("2001:db8:1:2::"));
    }

    #[test]
    fn a_burst_is_allowed_and_then_refused() {
        let limiter = PerAddress::default();
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!((0..5).all(|_| limiter.check(1, 5, address).is_ok()));
        assert!(limiter.check(1, 5, address).is_err());
        let unlimited = PerAddress::default();
        assert!((0..1_000).all(|_| unlimited.check(0, 0, address).is_ok()));
    }
}
