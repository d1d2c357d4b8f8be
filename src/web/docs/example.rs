//! An example request for each operation, from its parameters and its body's schema.

use serde_json::{Map, Value};

use super::Parameter;
use super::schema::{Schemas, parts};

/// How deep an example body goes.
const MAX_DEPTH: usize = 4;

/// The command that sends such a request.
#[must_use]
pub fn curl(
    method: &str,
    path: &str,
    parameters: &[Parameter],
    session: &str,
    request: &Value,
    schemas: &Schemas<'_>,
) -> String {
    let path = path.replace('{', "$").replace('}', "");
    let verb =
        if method == "get" { String::new() } else { format!(" -X {}", method.to_uppercase()) };
    let mut command = format!("curl{verb} \"$ONSALE{path}\"");
    let mut header = |text: &str| command.push_str(&format!(" \\\n  -H {text}"));
    match session {
        "organizer" => header("\"Authorization: Bearer $API_KEY\""),
        "session" | "either" => header("\"Authorization: Bearer $TOKEN\""),
        _ => {}
    }
    if parameters.iter().any(|p| p.name == "Idempotency-Key" && p.required) {
        header("\"Idempotency-Key: $(uuidgen)\"");
    }
    if !request.is_null() {
        header("'Content-Type: application/json'");
        let body = example(request, schemas, 0);
        let body = serde_json::to_string(&body).unwrap_or_default();
        command.push_str(&format!(" \\\n  -d '{body}'"));
    }
    command
}

/// A value that fits the schema: its own example, or one made from what is required.
fn example(schema: &Value, schemas: &Schemas<'_>, depth: usize) -> Value {
    let given = ["example", "default"].into_iter().map(|name| &schema[name]);
    if let Some(given) = given.into_iter().find(|value| !value.is_null()) {
        return given.clone();
    }
    let schema = schema_of(schema, schemas);
    if let Some(given) = schema["examples"].as_array().and_then(|all| all.first()) {
        return given.clone();
    }
    if let Some(word) = schema["enum"].as_array().and_then(|words| words.first()) {
        return word.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    };
    let kind = if schema["allOf"].is_array() { "object" } else { kind };
    match kind {
        "object" if depth < MAX_DEPTH => object(schema, schemas, depth),
        "array" if depth < MAX_DEPTH => {
            Value::Array(vec![example(&schema["items"], schemas, depth + 1)])
        }
        "integer" | "number" => Value::from(1),
        "boolean" => Value::Bool(false),
        "string" if schema["format"] == "uuid" => Value::from("…id…"),
        "string" if schema["format"] == "date-time" => Value::from("2027-05-01T18:00:00Z"),
        "string" => Value::from("…"),
        _ => Value::Object(Map::new()),
    }
}

fn schema_of<'a>(schema: &'a Value, schemas: &Schemas<'a>) -> &'a Value {
    schemas.resolve(schema)
}

fn object(schema: &Value, schemas: &Schemas<'_>, depth: usize) -> Value {
    let mut object = Map::new();
    for part in parts(schema) {
        let part = schema_of(part, schemas);
        let required = part["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let properties = part["properties"].as_object().into_iter().flatten();
        for (name, property) in properties {
            if required.iter().any(|known| known == name) {
                object.insert(name.clone(), example(property, schemas, depth + 1));
            }
        }
        // A line of a wish needs one of three things; the simplest is shown.
        if object.contains_key("offer") && part["properties"]["best"].is_object() {
            object.insert("best".to_owned(), Value::from(2));
        }
    }
    Value::Object(object)
}
