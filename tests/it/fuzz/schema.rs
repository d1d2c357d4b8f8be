//! Values by schema, and what makes them odd.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use super::requests::Maker;

/// Where references lead.
const SCHEMAS: &str = "#/components/schemas/";
/// Schemas within schemas are followed so far.
const DEEPEST: usize = 8;

/// Texts that break naive programs.
pub const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "null",
    "-1",
    "0x10",
    "1e400",
    "' OR 1=1 --",
    "\"; DROP TABLE orders; --",
    "../../etc/passwd",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\u{202e}evil\u{202c}",
    "🎟️🎟️",
    "e\u{301}\u{301}\u{301}",
    "line\r\nSet-Cookie: a=b",
    "00000000-0000-0000-0000-000000000000",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
    "2025-02-30T25:61:61+99:99",
    "NaN",
    "s1.1.00000000000000000000000000000000.1.AAAA",
];

impl Maker<'_> {
    /// A value that the schema describes, as far as it is understood; sometimes odd.
    pub fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if self.rng.random_bool(self.odd / 4.0) {
            self.changed = true;
            return self.odd_value(depth);
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let named = reference.strip_prefix(SCHEMAS).expect("a schema");
            let schema = &self.document["components"]["schemas"][named];
            return self.value(schema, name, depth + 1);
        }
        if let Some(words) = schema["enum"].as_array() {
            return words.choose(self.rng).cloned().unwrap_or_default();
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.all_of(parts, name, depth);
        }
        for of in ["oneOf", "anyOf"] {
            if let Some(ways) = schema[of].as_array() {
                let way = ways.choose(self.rng).expect("a way").clone();
                return self.value(&way, name, depth + 1);
            }
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        match kinds.choose(self.rng).copied() {
            Some("string") => self.text(schema, name).into(),
            Some("integer") => self.integer(schema).into(),
            Some("number") => json!(self.rng.random_range(0.0..1_000.0)),
            Some("boolean") => self.rng.random_bool(0.5).into(),
            Some("array") => self.array(schema, name, depth),
            Some("null") => Value::Null,
            _ if schema["properties"].is_object() => self.object(schema, depth),
            Some("object") => self.object(schema, depth),
            _ => json!({}),
        }
    }

    fn all_of(&mut self, parts: &[Value], name: &str, depth: usize) -> Value {
        let mut whole = Map::new();
        for part in parts {
            // Of ways that exclude each other one is chosen, and the others' members are dropped.
            if let Some(ways) = part["oneOf"].as_array() {
                let chosen = self.rng.random_range(0..ways.len());
                for (at, way) in ways.iter().enumerate() {
                    let members = way["required"].as_array().into_iter().flatten();
                    for member in members.filter_map(Value::as_str) {
                        if at != chosen && self.rng.random_bool(1.0 - self.odd / 2.0) {
                            whole.remove(member);
                        } else if at == chosen && whole.get(member).is_none_or(Value::is_null) {
                            let value = match member {
                                "places" => json!([self.rng.random_range(0..60)]),
                                "best" => json!(self.rng.random_range(1..4)),
                                _ => json!("FLOOR"),
                            };
                            whole.insert(member.to_owned(), value);
                        }
                    }
                }
                continue;
            }
            match self.value(part, name, depth + 1) {
                Value::Object(members) => whole.extend(members),
                other => return other,
            }
        }
        Value::Object(whole)
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut members = Map::new();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let wanted = required.contains(&name.as_str());
            let there = if wanted { 1.0 - self.odd / 5.0 } else { 0.4 };
            if depth < DEEPEST && self.rng.random_bool(there) {
                let value = self.value(property, name, depth + 1);
                members.insert(name.clone(), value);
            } else if wanted {
                self.changed = true;
            }
        }
        if self.rng.random_bool(self.odd / 6.0) {
            self.changed = true;
            let value = self.odd_value(depth);
            members.insert("surprise".into(), value);
        }
        Value::Object(members)
    }

    fn array(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        let bound = |name: &str, default: u64| schema[name].as_u64().unwrap_or(default);
        let least = bound("minItems", 0);
        let most = bound("maxItems", 3).min(least + 3).max(least);
        let mut count = self.rng.random_range(least..=most);
        if self.rng.random_bool(self.odd / 8.0) {
            self.changed = true;
            count = [0, 1, 51, 1_000][self.rng.random_range(0..4)];
        }
        let items = (0..count).map(|_| self.value(&schema["items"], name, depth + 1));
        Value::Array(items.collect())
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(least.saturating_add(100));
        match self.rng.random_range(0..8) {
            0 => least,
            1 => most,
            _ => self.rng.random_range(least..=most.min(least.saturating_add(200)).max(least)),
        }
    }

    /// A text for a member or parameter of this name.
    pub fn text(&mut self, schema: &Value, name: &str) -> String {
        if self.rng.random_bool(0.7)
            && let Some(known) = self.known.any(name, self.rng)
        {
            return known;
        }
        let format = schema["format"].as_str().unwrap_or_default();
        match (name, format) {
            (_, "date-time") => {
                let at =
                    jiff::Timestamp::now().as_second() + self.rng.random_range(-9_999..999_999);
                jiff::Timestamp::from_second(at).expect("a time").to_string()
            }
            (_, "uuid") => uuid::Uuid::from_u128(self.rng.random()).to_string(),
            ("email", _) => format!("fuzz{}@example.org", self.rng.random_range(0..50)),
            ("currency", _) => "EUR".into(),
            ("time_zone", _) => "Europe/Berlin".into(),
            ("level" | "name", _) => ["front", "back", "floor"][self.rng.random_range(0..3)].into(),
            ("event" | "slug", _) => format!("event-{}", self.rng.random_range(0..20)),
            _ if self.rng.random_bool(0.5) => {
                let known = self.known.whatever(self.rng);
                known.unwrap_or_else(|| "nothing".into())
            }
            _ => format!("t{}", self.rng.random_range(0..1_000)),
        }
    }

    /// Anything at all.
    pub fn odd_value(&mut self, depth: usize) -> Value {
        match self.rng.random_range(0..14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(i64::MAX),
            4 => json!(i64::MIN),
            5 => json!(u64::MAX),
            6 => json!(1e308),
            7 => json!(0.1),
            8 => json!(2_147_483_648_i64),
            9 => json!([]),
            10 => json!({}),
            11 if depth < 3 => json!([self.odd_value(depth + 1)]),
            12 => json!("x".repeat(10_000)),
            _ => json!(self.odd_text()),
        }
    }

    /// A text that nobody expects.
    pub fn odd_text(&mut self) -> String {
        (*ODD_TEXTS.choose(self.rng).expect("texts")).to_owned()
    }
}
