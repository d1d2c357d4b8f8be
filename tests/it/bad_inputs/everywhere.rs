//! Every documented route with nonsense in its path, query and body: never a 5xx.

use serde_json::{Value, json};

use super::Shop;
use super::ids::NO_IDS;

/// Methods and paths of the document.
fn routes() -> Vec<(String, String)> {
    let document = onsale::http::openapi::document().to_json().expect("a document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").clone();
    let methods = |(path, item): (String, Value)| {
        let known = ["get", "post", "put", "patch", "delete"];
        let item = item.as_object().expect("methods").clone();
        let of_path = item.into_iter().map(|(method, _)| method);
        let of_path = of_path.filter(move |method| known.contains(&method.as_str()));
        of_path.map(move |method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(methods).collect()
}

/// The path with this text for each of its parameters; the first may be an event that exists.
fn fill(path: &str, first: &str, rest: &str) -> String {
    let mut filled = String::new();
    let mut number = 0;
    for part in path.split('/').skip(1) {
        filled.push('/');
        if part.starts_with('{') {
            filled.push_str(if number == 0 { first } else { rest });
            number += 1;
        } else {
            filled.push_str(part);
        }
    }
    filled
}

#[tokio::test]
async fn nonsense_in_any_path_is_no_failure_of_ours() {
    let shop = Shop::open().await;
    let routes = routes();
    assert!(routes.len() >= 15, "{routes:?}");
    let nobody = uuid::Uuid::from_u128(9).to_string();
    let long = "7".repeat(4_000);
    let texts = NO_IDS.iter().copied().chain([nobody.as_str(), long.as_str(), "show"]);
    let texts: Vec<&str> = texts.collect();
    let queries = ["", "?cursor=%00&since=%ff&key=%00", "?cursor=1&cursor=2", "?limit=-1", "?%00"];
    let bodies = [json!({}), json!([]), json!({"name": "\u{1}", "places": [i64::MAX]})];
    for (method, path) in &routes {
        let parameters = path.matches('{').count();
        for (at, text) in texts.iter().enumerate() {
            if parameters == 0 && at >= queries.len() {
                break;
            }
            for first in ["show", text] {
                let path = fill(path, first, text) + queries[at % queries.len()];
                let mut request = shop.request(method, &path);
                if method != "GET" && method != "DELETE" {
                    let body = &bodies[at % bodies.len()];
                    request = request.header("idempotency-key", "x").json(body);
                }
                let answer = request.send().await.expect("an answer");
                let status = answer.status().as_u16();
                let kind = answer.headers().get("content-type").cloned();
                assert!(status < 500, "{method} {path}: {status}");
                if status >= 400 {
                    let kind = kind.map(|kind| kind.to_str().unwrap_or_default().to_owned());
                    let problem = kind.as_deref() == Some("application/problem+json");
                    assert!(problem, "{method} {path}: {status} {kind:?}");
                }
            }
        }
    }
    shop.close(0).await;
}
