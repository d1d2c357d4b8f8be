//! Limits refuse at their bound, recover, say so in headers, and count whom they should.

mod overload;
mod shared;

use std::time::Duration;

use onsale::demo::seed::Seed;
use onsale::http::limits::table::Rate;
use onsale::http::limits::{Limits, NodeLimit};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{Env, TestServer, hall, until};

/// So slow that nothing comes back while a test runs.
const SLOW: f64 = 0.000_1;

fn slow(burst: u32) -> Rate {
    Rate { per_second: SLOW, burst }
}

/// A shop with these limits, behind a proxy that is the test itself.
async fn open(change: impl FnOnce(&mut Limits)) -> (Env, TestServer) {
    let mut env = Env::start().await;
    env.event(&Seed::new("show", &hall(4, 10, 0))).await;
    env.config.http.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    change(&mut env.config.limits);
    let server = env.server().await;
    (env, server)
}

/// A request of a client that the proxy vouches for.
async fn from(server: &TestServer, client: &str, method: Method, path: &str) -> Response {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = http.request(method, format!("{}{path}", server.url));
    request.header("x-forwarded-for", client).send().await.expect("an answer")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn close(env: Env, server: TestServer) {
    server.stop().await;
    env.end().await;
}

/// A route of each class that has a limit per address.
const ROUTES: &[(NodeLimit, Method, &str)] = &[
    (NodeLimit::BrowseAddress, Method::GET, "/v1/events"),
    (NodeLimit::BrowseAddress, Method::GET, "/nothing/of/the/kind"),
    (NodeLimit::HoldAddress, Method::POST, "/v1/events/show/holds"),
    (NodeLimit::CheckoutAddress, Method::GET, "/v1/orders/none"),
    (NodeLimit::SignInAddress, Method::POST, "/v1/sessions"),
    (NodeLimit::OrganizeAddress, Method::GET, "/v1/organizer/events"),
];

#[tokio::test]
async fn every_class_has_its_limit_per_address_and_settlement_none() {
    let (env, server) = open(|limits| {
        let rates = &mut limits.node;
        rates.browse_per_address = slow(3);
        rates.holds_per_address = slow(3);
        rates.checkout_per_address = slow(3);
        rates.sign_in_per_address = slow(3);
        rates.organizing_per_address = slow(3);
    })
    .await;
    for (number, (limit, method, path)) in ROUTES.iter().enumerate() {
        let client = format!("192.0.2.{number}");
        for _ in 0..3 {
            let answer = from(&server, &client, method.clone(), path).await;
            assert_ne!(answer.status().as_u16(), 429, "{path}");
        }
        let refused = from(&server, &client, method.clone(), path).await;
        assert_eq!(refused.status().as_u16(), 429, "{path}");
        let headers = refused.headers().clone();
        let policy = format!("\"{}\";q=3;w=30000", limit.name());
        assert_eq!(text(&headers, "ratelimit-policy"), policy);
        assert_eq!(text(&headers, "ratelimit"), format!("\"{}\";r=0;t=30000", limit.name()));
        let wait: u32 = text(&headers, "retry-after").parse().expect("seconds");
        assert!((9_000..=10_000).contains(&wait), "{wait}");
        let body: Value = refused.json().await.expect("a problem");
        assert_eq!(
            (&body["code"], &body["limit"]),
            (&"too_many_requests".into(), &limit.name().into())
        );
        // Another client isn't meant.
        let other = from(&server, "198.51.100.1", method.clone(), path).await;
        assert_ne!(other.status().as_u16(), 429, "{path}");
    }
    for _ in 0..20 {
        let webhook = from(&server, "192.0.2.0", Method::POST, "/webhooks/sandbox").await;
        assert_eq!(webhook.status().as_u16(), 400);
        let live = from(&server, "192.0.2.0", Method::GET, "/health/live").await;
        assert_eq!(live.status().as_u16(), 200);
    }
    close(env, server).await;
}

#[tokio::test]
async fn a_client_is_an_address_that_a_proxy_vouches_for_or_an_ipv6_network() {
    let (env, server) = open(|limits| limits.node.browse_per_address = slow(2)).await;
    let get = |client: &'static str| {
        let server = &server;
        async move { from(server, client, Method::GET, "/v1/events").await.status().as_u16() }
    };
    // What a client forges stands left of what the proxy adds.
    for forged in ["1.1.1.1, 203.0.113.5", "2.2.2.2,203.0.113.5"] {
        assert_eq!(get(forged).await, 200);
    }
    assert_eq!(get("3.3.3.3, 203.0.113.5").await, 429);
    assert_eq!(get("203.0.113.5, 127.0.0.2").await, 429);
    assert_eq!(get("203.0.113.6").await, 200);
    // All addresses of a /64 are one client.
    assert_eq!(get("2001:db8:0:1::1").await, 200);
    assert_eq!(get("2001:db8:0:1:ffff::2").await, 200);
    assert_eq!(get("2001:db8:0:1::3").await, 429);
    assert_eq!(get("2001:db8:0:2::3").await, 200);
    close(env, server).await;
}

#[tokio::test]
async fn sessions_have_limits_that_say_what_is_left_and_recover() {
    let (env, server) = open(|limits| {
        limits.node.holds_per_session = Rate { per_second: 2.0, burst: 4 };
        limits.node.holds_per_address = Rate { per_second: 100.0, burst: 1_000 };
    })
    .await;
    let (buyer, other) = (server.buyer().await, server.buyer().await);
    let path = format!("/v1/events/show/holds/{}", uuid::Uuid::now_v7());
    let ask = |token: String| {
        let request = buyer.http.get(format!("{}{path}", server.url)).bearer_auth(token);
        async move { request.send().await.expect("an answer") }
    };
    let first = ask(buyer.token.clone()).await;
    assert_eq!(first.status().as_u16(), 404);
    let all = |answer: &Response, name: &str| -> Vec<String> {
        let values = answer.headers().get_all(name).iter();
        values.map(|value| value.to_str().expect("text").to_owned()).collect()
    };
    let policies = ["\"holds_per_address\";q=1000;w=10", "\"holds_per_session\";q=4;w=2"];
    assert_eq!(all(&first, "ratelimit-policy"), policies);
    let left = ["\"holds_per_address\";r=999;t=1", "\"holds_per_session\";r=3;t=1"];
    assert_eq!(all(&first, "ratelimit"), left);
    let mut asked = 1;
    while ask(buyer.token.clone()).await.status().as_u16() != 429 {
        asked += 1;
        assert!(asked < 50, "never refused");
    }
    assert!(asked >= 4, "{asked}");
    assert_ne!(ask(other.token.clone()).await.status().as_u16(), 429);
    until("a unit is back", || async { ask(buyer.token.clone()).await.status() != 429 }).await;
    // What everybody sees alike doesn't say it: caches would tell it to others.
    let events = buyer.http.get(format!("{}/v1/events", server.url)).send().await.unwrap();
    assert!(!events.headers().contains_key("ratelimit"));
    close(env, server).await;
}

#[tokio::test]
async fn polls_are_surrounded_as_everything_is() {
    let mut env = Env::start().await;
    env.config.http.cors_origins = vec!["https://shop.example".into()];
    env.config.limits.node.waiting_per_address = slow(3);
    let server = env.server().await;
    let url = format!("{}/v1/events/nobody/waiting-room/place", server.url);
    let ask = |method: &str| {
        let method = method.parse().expect("a method");
        let request = reqwest::Client::new().request(method, &url);
        let request = request.header("origin", "https://shop.example");
        request.header("access-control-request-method", "GET").send()
    };
    // What no handler answers is counted as well.
    for (method, status) in [("OPTIONS", 200), ("POST", 405), ("GET", 404), ("GET", 429)] {
        let answer = ask(method).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method}");
        let headers = answer.headers();
        assert_eq!(text(headers, "access-control-allow-origin"), "https://shop.example");
        assert_eq!(text(headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(headers, "referrer-policy"), "no-referrer");
        text(headers, "x-request-id").parse::<uuid::Uuid>().expect("an id");
    }
    assert_eq!(ask("OPTIONS").await.expect("an answer").status().as_u16(), 429);
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("metrics");
    let metrics = metrics.text().await.expect("a text");
    let route = "route=\"/v1/events/{event}/waiting-room/place\"";
    for labels in ["method=\"POST\",status=\"405\"", "method=\"OPTIONS\",status=\"200\""] {
        assert!(metrics.contains(&format!("onsale_http_seconds_count{{{route},{labels}}}")));
    }
    close(env, server).await;
}

#[tokio::test]
async fn steps_are_surrounded_as_everything_is() {
    let mut env = Env::start().await;
    env.config.http.cors_origins = vec!["https://shop.example".into()];
    env.config.http.max_body_bytes = 1_024;
    env.config.limits.node.holds_per_address = slow(4);
    let server = env.server().await;
    let route = "/v1/events/{event}/holds";
    let url = format!("{}{}", server.url, route.replace("{event}", "nobody"));
    let buyer = crate::support::Buyer::new(&server.url).await;
    let ask = |method: &str, body: String| {
        let request = reqwest::Client::new().request(method.parse().expect("a method"), &url);
        let request = request.header("origin", "https://shop.example").bearer_auth(&buyer.token);
        let request = request.header("access-control-request-method", "POST");
        let request = request.header("content-type", "application/json");
        request.header("idempotency-key", "k").body(body).send()
    };
    let (wish, huge) = (r#"{"lines": []}"#, "x".repeat(2_000));
    for (method, body, status) in [
        ("POST", "{", 400),
        ("POST", &*huge, 413),
        ("GET", "", 405),
        ("POST", wish, 404),
        ("POST", wish, 429),
        // What browsers ask before is not counted.
        ("OPTIONS", "", 200),
    ] {
        let answer = ask(method, body.to_owned()).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {body}");
        let headers = answer.headers();
        assert_eq!(text(headers, "access-control-allow-origin"), "https://shop.example");
        assert_eq!(text(headers, "x-content-type-options"), "nosniff");
        text(headers, "x-request-id").parse::<uuid::Uuid>().expect("an id");
        if status >= 400 {
            assert_eq!(text(headers, "content-type"), "application/problem+json", "{status}");
        }
    }
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.expect("metrics");
    let metrics = metrics.text().await.expect("a text");
    for labels in ["method=\"POST\",status=\"413\"", "method=\"OPTIONS\",status=\"200\""] {
        let line = format!("onsale_http_seconds_count{{route=\"{route}\",{labels}}}");
        assert!(metrics.contains(&line), "{line}");
    }
    close(env, server).await;
}

#[tokio::test]
async fn pages_of_other_origins_may_read_refusals() {
    let mut env = Env::start().await;
    env.config.http.cors_origins = vec!["https://shop.example".into()];
    env.config.limits.node.browse_per_address = slow(1);
    let server = env.server().await;
    let ask = || async {
        let request = reqwest::Client::new().get(format!("{}/v1/events", server.url));
        request.header("origin", "https://shop.example").send().await.expect("an answer")
    };
    ask().await;
    let refused = ask().await;
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(text(refused.headers(), "access-control-allow-origin"), "https://shop.example");
    let exposed = text(refused.headers(), "access-control-expose-headers").to_lowercase();
    for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
        assert!(exposed.split(',').any(|exposed| exposed.trim() == name), "{exposed}");
    }
    // People are told in a page.
    let page = reqwest::Client::new().get(&server.url).header("accept", "text/html");
    let page = page.timeout(Duration::from_secs(10)).send().await.expect("a page");
    assert_eq!(page.status().as_u16(), 429);
    assert!(page.headers().contains_key("retry-after"));
    assert!(text(page.headers(), "content-type").starts_with("text/html"));
    close(env, server).await;
}
