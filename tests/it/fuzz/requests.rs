//! Requests: what an operation's text describes, and mutations of it.

use rand::Rng;
use rand::rngs::StdRng;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use serde_json::Value;

use super::Operation;
use super::known::Known;

/// Media types that are none of the document's, or none at all.
const ODD_TYPES: &[&str] = &["text/plain", "application/xml", "multipart/form-data", "json", ";;;"];
/// A table that is a manifest.
const TABLE: &str = "section,row,seat,x,y,level,attributes,capacity\nS,1,1,1,1,front,,\n";

/// Makes requests.
pub struct Maker<'a> {
    /// The OpenAPI document.
    pub document: &'a Value,
    /// What was learnt.
    pub known: &'a Known,
    /// Chance, repeatable.
    pub rng: &'a mut StdRng,
    /// How odd: 0 is as described, 1 is nonsense.
    pub odd: f64,
    /// Whether anything was made odd.
    pub changed: bool,
}

/// A request, as it can be shown and sent again.
#[derive(Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    /// Whether a token was sent that should be good.
    pub signed: bool,
}

impl Request {
    /// Sends it.
    pub async fn send(&self, http: &Client, url: &str) -> Response {
        let method = self.method.parse().expect("a method");
        let mut request = http.request(method, format!("{url}{}", self.target));
        request = request.headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await.unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// As text, without tokens' ends.
    pub fn shown(&self) -> String {
        let body = self.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let body: String = body.chars().take(400).collect();
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!(" {name}: {}", value.chars().take(40).collect::<String>())
        };
        let headers: String = self.headers.iter().map(header).collect();
        let target: String = self.target.chars().take(300).collect();
        format!("{} {target}{headers} {body}", self.method)
    }
}

/// A text as it stands in a path or query.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).into(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl Maker<'_> {
    fn is_odd(&mut self, share: f64) -> bool {
        let odd = self.rng.random_bool(self.odd * share);
        self.changed |= odd;
        odd
    }

    /// A request for an operation.
    pub fn request(&mut self, operation: &Operation<'_>) -> Request {
        let mut target = String::new();
        for part in operation.path.split('/').skip(1) {
            target.push('/');
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => target.push_str(&self.path_part(operation, name)),
                None => target.push_str(part),
            }
        }
        let mut headers = HeaderMap::new();
        let mut query = Vec::new();
        for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            let required = parameter["required"] == true;
            let there = if required { !self.is_odd(0.2) } else { self.rng.random_bool(0.4) };
            match parameter["in"].as_str() {
                Some("query") if there => query.push(self.query(parameter, name)),
                Some("header") if there => self.header(&mut headers, parameter, name),
                _ => {}
            }
        }
        if self.is_odd(0.1) {
            query.push("surprise=%00%ff&&=".into());
        }
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let signed = self.authorize(&mut headers, operation);
        let body = self.body(&mut headers, operation);
        Request { method: operation.method.clone(), target, headers, body, signed }
    }

    fn path_part(&mut self, operation: &Operation<'_>, name: &str) -> String {
        if self.is_odd(0.15) {
            // A path with nothing between two slashes is another one.
            let odd = self.odd_text();
            return if odd.trim_matches('.').is_empty() { "%20".into() } else { encoded(&odd) };
        }
        let known = match name {
            // What organizers do would soon leave nothing to buy.
            "event" if operation.path.contains("/organizer/") && operation.method != "GET" => {
                Some(self.known.spoilt.clone())
            }
            "format" => Some(["qr.svg", "qr.png"][self.rng.random_range(0..2)].to_owned()),
            "provider" => Some("sandbox".to_owned()),
            name => self.known.any(name, self.rng),
        };
        let known = known.unwrap_or_else(|| uuid::Uuid::from_u128(self.rng.random()).to_string());
        encoded(&known)
    }

    fn query(&mut self, parameter: &Value, name: &str) -> String {
        let value = match self.value(&parameter["schema"], name, 0) {
            Value::String(text) => encoded(&text),
            other => encoded(&other.to_string()),
        };
        if self.is_odd(0.1) {
            format!("{name}={value}&{name}={value}")
        } else {
            format!("{name}={value}")
        }
    }

    fn header(&mut self, headers: &mut HeaderMap, parameter: &Value, name: &str) {
        let lower: HeaderName = name.to_lowercase().parse().expect("a header's name");
        let value = match name {
            "Idempotency-Key" if !self.is_odd(0.3) => {
                format!("key-{}", self.rng.random_range(0..1_000_000))
            }
            "Onsale-Queue" => self.known.any("token", self.rng).unwrap_or_default(),
            "Onsale-Pass" => self.known.any("pass", self.rng).unwrap_or_default(),
            _ => match self.value(&parameter["schema"], name, 0) {
                Value::String(text) => text,
                other => other.to_string(),
            },
        };
        let value = if self.is_odd(0.2) { self.odd_text() } else { value };
        let bytes: Vec<u8> =
            value.bytes().filter(|byte| *byte >= 32 && *byte != 127).take(2_000).collect();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.append(&lower, value.clone());
            if self.is_odd(0.05) {
                headers.append(lower, value);
            }
        }
    }

    /// Adds a token if one is asked for; whether it is one that should do.
    fn authorize(&mut self, headers: &mut HeaderMap, operation: &Operation<'_>) -> bool {
        let scheme = &operation.text["security"][0];
        let wanted = scheme.as_object().and_then(|scheme| scheme.keys().next().cloned());
        let Some(wanted) = wanted else { return false };
        let signed_in = self.rng.random_bool(0.5);
        let good = match (wanted.as_str(), signed_in) {
            ("organizer", _) => self.known.organizer.clone(),
            (_, true) => self.known.account.clone(),
            (_, false) => self.known.session.clone(),
        };
        let odd = self.is_odd(0.2);
        let value = match self.rng.random_range(0..5) {
            _ if !odd => format!("Bearer {good}"),
            0 => return false,
            1 => format!("Basic {good}"),
            2 => format!("Bearer {}", self.known.organizer),
            3 => format!("Bearer {good}x"),
            _ => "Bearer".into(),
        };
        headers.insert("authorization", value.parse().expect("visible characters"));
        !odd
    }

    fn body(&mut self, headers: &mut HeaderMap, operation: &Operation<'_>) -> Option<Vec<u8>> {
        let kinds = operation.text["requestBody"]["content"].as_object()?;
        let at = self.rng.random_range(0..kinds.len());
        let (kind, content) = kinds.iter().nth(at)?;
        let mut kind = kind.clone();
        let mut body = if kind.contains("json") {
            serde_json::to_vec(&self.value(&content["schema"], "", 0)).expect("JSON")
        } else {
            TABLE.into()
        };
        if self.is_odd(0.15) {
            kind = ODD_TYPES[self.rng.random_range(0..ODD_TYPES.len())].to_owned();
        }
        if self.is_odd(0.2) {
            self.spoil(&mut body);
        }
        if !self.is_odd(0.05) {
            headers.insert("content-type", kind.parse().expect("a type"));
        }
        (!self.is_odd(0.05)).then_some(body)
    }

    /// What parsers stumble over.
    fn spoil(&mut self, body: &mut Vec<u8>) {
        match self.rng.random_range(0..8) {
            0 => body.truncate(body.len() / 2),
            1 => body.clear(),
            2 => body.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            3 => body.extend_from_slice(b"\xff\xfe"),
            4 => *body = "[".repeat(5_000).into_bytes(),
            5 => *body = b"{\"a\":1,\"a\":1}".to_vec(),
            6 => body.resize(100_000, b' '),
            _ => {
                for _ in 0..3 {
                    if !body.is_empty() {
                        let at = self.rng.random_range(0..body.len());
                        body[at] = self.rng.random();
                    }
                }
            }
        }
    }
}
