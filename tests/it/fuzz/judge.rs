//! Whether an answer is one that the document describes.

use std::collections::{BTreeMap, BTreeSet};

use onsale::http::problem::Code;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::Operation;
use super::known::Known;
use super::requests::Request;

/// Most findings that are shown.
const SHOWN: usize = 60;

/// What was found, each kind once.
pub struct Findings {
    seed: u64,
    found: BTreeMap<String, String>,
    succeeded: BTreeSet<String>,
    statuses: BTreeMap<u16, u64>,
}

impl Findings {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, found: BTreeMap::new(), succeeded: BTreeSet::new(), statuses: BTreeMap::new() }
    }

    fn note(&mut self, operation: &Operation<'_>, what: &str, request: &Request) {
        let kind = format!("{}: {what}", operation.name());
        self.found.entry(kind).or_insert_with(|| request.shown());
    }

    /// Judges an answer, and learns from it.
    pub async fn judge(
        &mut self,
        document: &Value,
        operation: &Operation<'_>,
        request: &Request,
        answer: Response,
        known: &mut Known,
    ) {
        let status = answer.status();
        *self.statuses.entry(status.as_u16()).or_default() += 1;
        let text = |name: &str| {
            let value = answer.headers().get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (kind, id) = (text("content-type"), text("x-request-id"));
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        if id.is_empty() {
            self.note(operation, "no request id", request);
        }
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            self.note(operation, &format!("{status}"), request);
        }
        let documented = &operation.text["responses"][status.as_str()];
        if documented.is_null() {
            let body = answer.text().await.unwrap_or_default();
            let body: String = body.chars().take(200).collect();
            self.note(operation, &format!("undocumented {}", status.as_u16()), request);
            let kind = format!("{}: undocumented {}", operation.name(), status.as_u16());
            self.found.entry(kind).and_modify(|shown| shown.push_str(&format!(" -> {body}")));
            return;
        }
        let kinds = documented["content"].as_object();
        let listed = kinds.map_or(kind.is_empty(), |kinds| kinds.contains_key(&kind));
        if !listed {
            let what = format!("{} with undocumented type {kind:?}", status.as_u16());
            self.note(operation, &what, request);
        }
        if kind == "text/event-stream" {
            self.succeeded.insert(operation.name());
            return;
        }
        let body = answer.bytes().await.unwrap_or_default();
        if status.is_client_error() || status.is_server_error() {
            self.refusal(operation, documented, status, &body, request);
            return;
        }
        self.succeeded.insert(operation.name());
        if let Ok(body) = serde_json::from_slice::<Value>(&body) {
            let schema = &documented["content"][&kind]["schema"];
            if let Err(what) = fits(document, schema, &body, "") {
                self.note(
                    operation,
                    &format!("{} is not as described: {what}", status.as_u16()),
                    request,
                );
            }
            known.learn(&body);
            known.made(operation.path, &body);
        }
    }

    /// A refusal is a problem whose code the document names for this status.
    fn refusal(
        &mut self,
        operation: &Operation<'_>,
        documented: &Value,
        status: StatusCode,
        body: &[u8],
        request: &Request,
    ) {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = problem["code"].as_str().unwrap_or_default();
        let known = Code::ALL.iter().find(|known| known.code() == code);
        if known.is_none_or(|known| known.status() != status) {
            self.note(operation, &format!("{status} with code {code:?}"), request);
        }
        let described = documented["description"].as_str().unwrap_or_default();
        if !described.contains(&format!("`{code}`")) {
            let detail = problem["detail"].as_str().unwrap_or_default();
            let what = format!("{} does not name `{code}` ({detail})", status.as_u16());
            self.note(operation, &what, request);
        }
    }

    /// Fails if there is anything to mend, or if too little was tried.
    pub fn end(self, requests: u64, operations: &[Operation<'_>]) {
        println!("{requests} requests: {:?}", self.statuses);
        let missing: Vec<String> = operations
            .iter()
            .map(Operation::name)
            .filter(|name| !self.succeeded.contains(name))
            .collect();
        println!("never with success: {missing:?}");
        let shown: Vec<String> = self
            .found
            .iter()
            .take(SHOWN)
            .map(|(kind, request)| format!("{kind}\n    {request}"))
            .collect();
        let seed = self.seed;
        assert!(
            shown.is_empty(),
            "{} with FUZZ_SEED={seed}:\n{}",
            self.found.len(),
            shown.join("\n")
        );
        // Most operations must have been reached beyond their first check.
        assert!(missing.len() * 2 < operations.len(), "FUZZ_SEED={seed}: {missing:?}");
    }
}

/// Whether an answer has what its schema requires, of the kinds that it says.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return fits(document, &document["components"]["schemas"][name], value, at);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        fits(document, part, value, at)?;
    }
    for of in ["oneOf", "anyOf"] {
        if let Some(ways) = schema[of].as_array()
            && !ways.iter().any(|way| fits(document, way, value, at).is_ok())
        {
            return Err(format!("{at}: none of its ways"));
        }
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at}: {value} is not in the list"));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !kinds.is_empty() && !kinds.into_iter().any(is) {
        return Err(format!("{at}: of another type"));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(document, &schema["items"], item, &format!("{at}/{number}"))?;
    }
    if !value.is_object() {
        return Ok(());
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("{at}/{name}: missing"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            fits(document, property, value, &format!("{at}/{name}"))?;
        }
    }
    Ok(())
}
