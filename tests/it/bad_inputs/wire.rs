//! HTTP itself: what comes before any handler.

use std::collections::BTreeSet;
use std::time::Duration;

use onsale::http::limits::table::Rate;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Shop, refused_as};
use crate::support::PATIENCE;

impl Shop {
    /// Sends bytes and reads until the server closes, or has said nothing for a while.
    async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let address = self.server.server.address;
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // The server may close before it has read all of it.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        let mut chunk = [0; 4_096];
        loop {
            let silence = if answer.is_empty() { PATIENCE } else { Duration::from_secs(3) };
            let read = tokio::time::timeout(silence, stream.read(&mut chunk)).await;
            match read {
                Ok(Ok(n)) if n > 0 => answer.extend_from_slice(&chunk[..n]),
                _ => return answer,
            }
        }
    }

    async fn raw_status(&self, request: &str) -> u16 {
        let answer = self.raw(request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {text}"))
    }
}

#[tokio::test]
async fn requests_that_contradict_themselves() {
    let shop = Shop::open().await;
    let close = "Host: x\r\nConnection: close\r\n";
    let huge = "h".repeat(100_000);
    let many = "x-many: 1\r\n".repeat(200);
    let smuggled = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let bad = [
        (format!("GET / HTTP/1.1\r\n{close}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400),
        (format!("POST /v1/sessions HTTP/1.1\r\n{close}Content-Length: -1\r\n\r\n"), 400),
        (format!("POST /v1/sessions HTTP/1.1\r\n{close}Content-Length: 1, 2\r\n\r\na"), 400),
        (format!("GET / HTTP/1.1\r\n{close}X-Huge: {huge}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{close}{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{close}bad header: 1\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{close}x: a\u{0}b\r\n\r\n"), 400),
        (format!("G@T / HTTP/1.1\r\n{close}\r\n"), 405),
        (format!("GET /\u{0} HTTP/1.1\r\n{close}\r\n"), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ];
    for (request, expected) in bad {
        let status = shop.raw_status(&request).await;
        let fine = status == expected || (400..500).contains(&status);
        assert!(fine, "{:.120}: {status}", request.escape_debug().to_string());
    }
    // Both lengths: whoever reads one and passes on the other lets a second request through.
    let answer = shop.raw_status(&format!("POST /v1/sessions HTTP/1.1\r\n{close}{smuggled}")).await;
    assert!(answer == 400 || answer == 201, "{answer}");
    // A URI longer than anything here.
    let long = format!("GET /v1/events/{} HTTP/1.1\r\n{close}\r\n", "a".repeat(70_000));
    let status = shop.raw_status(&long).await;
    assert!((400..500).contains(&status), "{status}");
    shop.close(0).await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_next_request() {
    let shop = Shop::open().await;
    let first = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = shop.raw(format!("{first}GET /health/li").as_bytes()).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("alive"), "{text}");
    shop.close(0).await;
}

#[tokio::test]
async fn who_is_slow_is_not_waited_for() {
    let shop = Shop::open_with(|config| {
        config.http.header_timeout_s = 1;
        config.http.body_timeout_s = 1;
    })
    .await;
    let started = std::time::Instant::now();
    // Headers that never end: the connection does.
    let answer = shop.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.is_empty() || text.contains(" 408 "), "{text}");
    // A body that never comes.
    let status = shop
        .raw_status(
            "POST /v1/tickets/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\
             Content-Type: application/json\r\n\r\n{\"code\":",
        )
        .await;
    assert_eq!(status, 408);
    assert!(started.elapsed() < PATIENCE);
    shop.close(0).await;
}

#[tokio::test]
async fn methods_routes_and_origins() {
    let shop = Shop::open_with(|config| {
        config.http.cors_origins = vec!["https://shop.example".into()];
    })
    .await;
    for path in ["/nothing", "/v1", "/v1/", "/v1/events/show/nothing", "//", "/v1//events", "/%00"]
    {
        refused_as(shop.request("GET", path), 404, "not_found", path).await;
    }
    let wrong =
        [("PUT", "/v1/events"), ("GET", "/v1/sessions/rotate"), ("PATCH", "/v1/events/show/holds")];
    for (method, path) in wrong {
        refused_as(shop.request(method, path), 405, "method_not_allowed", path).await;
    }
    refused_as(shop.request("FROB", "/v1/events"), 405, "method_not_allowed", "FROB").await;
    for path in ["/v1/events", "/v1/events/show", "/v1/events/show/availability", "/openapi.json"] {
        let head = shop.request("HEAD", path).send().await.expect("an answer");
        assert_eq!(head.status().as_u16(), 200, "{path}");
        assert!(head.bytes().await.expect("nothing").is_empty());
    }
    for (origin, welcome) in [("https://shop.example", true), ("https://evil.example", false)] {
        let asked = shop.request("OPTIONS", "/v1/events/show/holds").header("origin", origin);
        let asked = asked
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key");
        let answer = asked.send().await.expect("an answer");
        let allowed = answer.headers().get("access-control-allow-origin");
        let allowed = allowed.map(|value| value.to_str().expect("text"));
        assert_eq!(allowed, welcome.then_some(origin));
        assert_eq!(answer.headers().get("access-control-allow-credentials"), None);
        let simple = shop.request("GET", "/v1/events").header("origin", origin);
        let simple = simple.send().await.expect("an answer");
        let seen = simple.headers().get("access-control-allow-origin");
        assert_eq!(seen.is_some(), welcome);
    }
    let null = shop.request("GET", "/v1/events").header("origin", "null").send().await.unwrap();
    assert_eq!(null.headers().get("access-control-allow-origin"), None);
    shop.close(0).await;
}

/// All headers that the document names in requests, and all in answers, in lower case.
/// Webhooks don't come from pages.
fn documented(document: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let lower = |name: &str| name.to_ascii_lowercase();
    // Tokens and JSON bodies are no parameters in such a document.
    let mut sent: BTreeSet<String> = ["authorization", "content-type"].map(lower).into();
    let mut told = BTreeSet::new();
    for operation in document["paths"].as_object().expect("paths").values() {
        for operation in operation.as_object().expect("operations").values() {
            if operation["tags"] == json!(["webhooks"]) {
                continue;
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let headers = parameters.filter(|parameter| parameter["in"] == "header");
            sent.extend(headers.map(|header| lower(header["name"].as_str().expect("a name"))));
            for answer in operation["responses"].as_object().expect("answers").values() {
                let headers = answer["headers"].as_object().into_iter().flatten();
                told.extend(headers.map(|(name, _)| lower(name)));
            }
        }
    }
    (sent, told)
}

#[tokio::test]
async fn pages_of_other_origins_may_send_and_read_every_documented_header() {
    const ORIGIN: &str = "https://shop.example";
    let shop = Shop::open_with(|config| config.http.cors_origins = vec![ORIGIN.into()]).await;
    let document = shop.request("GET", "/openapi.json").send().await.expect("an answer");
    let (sent, told) = documented(&document.json().await.expect("JSON"));
    let known = ["onsale-pass", "onsale-queue", "onsale-device", "onsale-access", "if-none-match"];
    assert!(known.iter().all(|name| sent.contains(*name)), "{sent:?}");
    let listed = |answer: &reqwest::Response, name: &str| -> BTreeSet<String> {
        let list = answer.headers()[name].to_str().expect("text").to_ascii_lowercase();
        list.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let preflight = shop.request("OPTIONS", "/v1/events/show/holds").header("origin", ORIGIN);
    let asked: Vec<&str> = sent.iter().map(String::as_str).collect();
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked.join(","));
    let answer = preflight.send().await.expect("an answer");
    let allowed = listed(&answer, "access-control-allow-headers");
    let missing: Vec<_> = sent.difference(&allowed).collect();
    assert!(missing.is_empty(), "not allowed: {missing:?}");
    let simple = shop.request("GET", "/v1/events").header("origin", ORIGIN).send().await;
    let exposed = listed(&simple.expect("an answer"), "access-control-expose-headers");
    // Browsers show these to everybody.
    let safe = ["content-type", "content-length", "cache-control"];
    let seen = |name: &String| exposed.contains(name) || safe.contains(&name.as_str());
    let hidden: Vec<_> = told.iter().filter(|name| !seen(name)).collect();
    assert!(hidden.is_empty(), "not exposed: {hidden:?}");
    shop.close(0).await;
}

#[tokio::test]
async fn a_forged_forwarding_header_changes_nobodys_limit() {
    let shop = Shop::open_with(|config| {
        config.limits.node.browse_per_address = Rate { per_second: 1.0, burst: 8 };
    })
    .await;
    let mut refusals = 0;
    for number in 0..20 {
        let request = shop.request("GET", "/v1/events");
        let request = request.header("x-forwarded-for", format!("192.0.2.{number}, 198.51.100.1"));
        let answer = request.header("forwarded", "for=192.0.2.1").send().await.expect("an answer");
        if answer.status().as_u16() == 429 {
            assert!(answer.headers().contains_key("retry-after"));
            refusals += 1;
        }
    }
    assert!(refusals >= 10, "{refusals}");
    // Settlement is never refused for the crowd's sake.
    refused_as(shop.request("POST", "/webhooks/sandbox"), 400, "webhook_refused", "webhook").await;
    shop.server.stop().await;
    shop.env.end().await;
}

#[tokio::test]
async fn http2_by_prior_knowledge() {
    let shop = Shop::open().await;
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS without any, then HEADERS of stream 1: GET /v1/events.
    request.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let path = b"/v1/events";
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    block.extend_from_slice(path);
    block.extend_from_slice(&[0x41, 1, b'x']);
    let length = u8::try_from(block.len()).expect("short");
    request.extend_from_slice(&[0, 0, length, 1, 5, 0, 0, 0, 1]);
    request.extend_from_slice(&block);
    let answer = shop.raw(&request).await;
    let mut frames = answer.as_slice();
    let mut status = None;
    while let [a, b, c, kind, _, _, _, _, stream, rest @ ..] = frames {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        if (*kind, *stream) == (1, 1) {
            status = rest.first().copied();
        }
        frames = rest.get(length..).unwrap_or_default();
    }
    // 0x88 is `:status: 200` in the static table.
    assert_eq!(status, Some(0x88), "{answer:?}");
    shop.close(0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let shop = Shop::open().await;
    let body = format!("{{\"lines\":[{{\"offer\":\"{}\",\"best\":1}}]}}", shop.back);
    for _ in 0..10 {
        let head = format!(
            "POST /v1/events/show/holds HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Idempotency-Key: gone\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            shop.buyer.token,
            body.len()
        );
        let mut stream = TcpStream::connect(shop.server.server.address).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        stream.write_all(body.as_bytes()).await.expect("written");
        drop(stream);
    }
    // Whatever became of those, the same key is one hold.
    let wish = serde_json::from_str(&body).expect("JSON");
    let hold = shop.buyer.hold("show", "gone", wish).await;
    assert!([200, 201].contains(&hold.status.as_u16()), "{hold:?}");
    let path = format!("/v1/events/show/holds/{}", hold.id());
    shop.buyer.send(Method::DELETE, &path, None, None).await.expect(204);
    shop.close(0).await;
}
