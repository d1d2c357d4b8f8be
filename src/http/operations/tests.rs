//! The document, checked mechanically: what programs and strangers rely on.

use std::collections::HashSet;

use serde_json::Value;

use crate::holds::{MAX_LINES, MAX_PLACES};
use crate::http::openapi;
use crate::http::problem::Code;

/// Where references lead.
const SCHEMAS: &str = "#/components/schemas/";

fn document() -> Value {
    serde_json::to_value(openapi::document()).unwrap()
}

/// Every operation: its method and path, and itself.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["responses"].is_object(), "{method} {path}");
            operations.push((format!("{method} {path}"), operation));
        }
    }
    assert!(operations.len() >= 43, "{}", operations.len());
    operations
}

/// Each answer of each operation: the operation's name, the status, the answer.
fn answers(document: &Value) -> Vec<(String, u16, &Value)> {
    let mut answers = Vec::new();
    for (name, operation) in operations(document) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            answers.push((name.clone(), status.parse().unwrap(), answer));
        }
    }
    answers
}

/// The codes that a description names.
fn codes(description: &str) -> Vec<Code> {
    let words: Vec<&str> = description.split('`').skip(1).step_by(2).collect();
    Code::ALL.iter().copied().filter(|code| words.contains(&code.code())).collect()
}

/// Every value of the document with this name, wherever it is.
fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(name));
            map.values().for_each(|value| all(value, name, found));
        }
        Value::Array(list) => list.iter().for_each(|value| all(value, name, found)),
        _ => {}
    }
}

#[test]
fn operation_ids_are_unique_and_say_what_is_done_to_what() {
    let document = document();
    let mut seen = HashSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        // `read` alone would be unique until the next one comes.
        let verb_and_noun = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.contains(|c: char| c.is_ascii_uppercase())
            && id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(verb_and_noun, "{name}: set operation_id = \"verbNoun\", not {id:?}");
        assert!(seen.insert(id), "{name}: {id} is taken");
    }
}

#[test]
fn refusals_are_problems_that_name_their_codes() {
    let document = document();
    let mut named = HashSet::new();
    for (name, status, answer) in answers(&document) {
        let kinds: Vec<&String> =
            answer["content"].as_object().into_iter().flat_map(|kinds| kinds.keys()).collect();
        if status < 400 {
            assert!(!kinds.iter().any(|kind| kind.contains("problem")), "{name} {status}");
            continue;
        }
        assert_eq!(kinds, ["application/problem+json"], "{name} {status}");
        let schema = &answer["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, &format!("{SCHEMAS}ProblemBody"), "{name} {status}");
        let codes = codes(answer["description"].as_str().unwrap());
        assert!(!codes.is_empty(), "{name} {status}: name its codes");
        for code in codes {
            assert_eq!(code.status().as_u16(), status, "{name}: {}", code.code());
            named.insert(code.code());
        }
        let waits = answer["headers"]["Retry-After"].is_object();
        assert_eq!(waits, status == 429 || status == 503, "{name} {status}");
    }
    // No operation of the document answers that its method isn't offered.
    let missing = Code::ALL.iter().filter(|code| **code != Code::Method);
    let missing: Vec<_> = missing.filter(|code| !named.contains(code.code())).collect();
    assert!(missing.is_empty(), "{missing:?}: no operation names them");
}

#[test]
fn every_code_is_in_the_schema_of_problems() {
    let document = document();
    let mut enums = Vec::new();
    all(&document["components"]["schemas"]["ProblemBody"], "code", &mut enums);
    let listed = enums.iter().find_map(|code| code["enum"].as_array()).expect("an enum");
    let codes: Vec<Value> = Code::ALL.iter().map(|code| code.code().into()).collect();
    assert_eq!(*listed, codes);
}

#[test]
fn every_parameter_is_described_and_every_one_of_a_path_is_there() {
    let document = document();
    for (name, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let mut in_path = HashSet::new();
        for parameter in &parameters {
            let description = parameter["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name}: {}", parameter["name"]);
            assert!(parameter["schema"].is_object(), "{name}: {}", parameter["name"]);
            if parameter["in"] == "path" {
                assert_eq!(parameter["required"], true, "{name}");
                in_path.insert(parameter["name"].as_str().unwrap());
            }
        }
        let parts = name.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(parts.collect::<HashSet<_>>(), in_path, "{name}");
        let keyed = parameters.iter().any(|parameter| parameter["name"] == "If-None-Match");
        for status in ["200", "304"].iter().filter(|_| keyed) {
            assert!(operation["responses"][status]["headers"]["ETag"].is_object(), "{name}");
        }
        assert_eq!(keyed, operation["responses"]["304"].is_object(), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let name = reference.as_str().unwrap().strip_prefix(SCHEMAS);
        let schema = name.map(|name| &document["components"]["schemas"][name]);
        assert!(schema.is_some_and(Value::is_object), "{reference}");
    }
    for (name, operation) in operations(&document) {
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|tag| tag["name"] == operation["tags"][0]), "{name}");
    }
}

/// Whether an example has all that its schema requires and nothing that it doesn't know.
fn fits(document: &Value, schema: &Value, example: &Value, at: &str) {
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix(SCHEMAS));
    if let Some(name) = named {
        return fits(document, &document["components"]["schemas"][name], example, at);
    }
    if let Some(list) = example.as_array() {
        for (number, item) in list.iter().enumerate() {
            fits(document, &schema["items"], item, &format!("{at}/{number}"));
        }
    }
    let words = schema["enum"].as_array();
    assert!(words.is_none_or(|words| words.contains(example)), "{at}: {example}");
    let Some(properties) = schema["properties"].as_object() else { return };
    let example = example.as_object().unwrap_or_else(|| panic!("{at}: no object"));
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(example.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
    }
    for (name, value) in example {
        let property = properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is unknown"));
        fits(document, property, value, &format!("{at}/{name}"));
    }
}

#[test]
fn examples_fit_their_schemas() {
    let document = document();
    for name in ["HoldView", "OrderView"] {
        let schema = &document["components"]["schemas"][name];
        let example = &schema["example"];
        assert!(example.is_object(), "{name}");
        fits(&document, schema, example, name);
    }
}

#[test]
fn a_line_asks_in_exactly_one_way() {
    let document = document();
    let line = &document["components"]["schemas"]["WishLine"]["allOf"];
    let ways: Vec<&Value> =
        line[1]["oneOf"].as_array().unwrap().iter().map(|way| &way["required"][0]).collect();
    assert_eq!(ways, ["places", "best", "area"]);
    let properties = &line[0]["properties"];
    assert_eq!(properties["places"]["maxItems"], MAX_PLACES);
    let lines = &document["components"]["schemas"]["Wish"]["properties"]["lines"];
    assert_eq!((&lines["minItems"], &lines["maxItems"]), (&1.into(), &MAX_LINES.into()));
}
