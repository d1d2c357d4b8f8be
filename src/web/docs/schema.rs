//! JSON schemas as lists of fields that people can read.

use serde_json::{Map, Value};

use super::prose;

/// How deep nested objects are written out: deeper ones name their type only.
const MAX_DEPTH: usize = 4;
/// Where references lead.
const PREFIX: &str = "#/components/schemas/";

/// A field of a body.
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Whether it is always there.
    pub required: bool,
    /// What it means, as HTML.
    pub text: String,
    /// How deep it is nested.
    pub depth: usize,
}

/// The document's named schemas.
pub struct Schemas<'a>(Option<&'a Map<String, Value>>);

impl<'a> Schemas<'a> {
    /// Those of a document.
    #[must_use]
    pub fn new(document: &'a Value) -> Self {
        Self(document["components"]["schemas"].as_object())
    }

    /// The schema that a reference names, or the schema itself. A nullable one is the other one.
    #[must_use]
    pub fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix(PREFIX)) {
            return self.0.and_then(|known| known.get(name)).unwrap_or(schema);
        }
        match nullable(schema) {
            Some(inner) => self.resolve(inner),
            None => schema,
        }
    }

    /// The fields of a schema, nested ones after their parent.
    #[must_use]
    pub fn fields(&self, schema: &'a Value) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(schema, 0, &mut fields);
        fields
    }

    fn collect(&self, schema: &'a Value, depth: usize, into: &mut Vec<Field>) {
        let schema = self.resolve(schema);
        if depth >= MAX_DEPTH {
            return;
        }
        if schema["type"] == "array" {
            return self.collect(&schema["items"], depth, into);
        }
        for part in parts(schema) {
            let part = self.resolve(part);
            let required = part["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let properties = part["properties"].as_object().into_iter().flatten();
            for (name, property) in properties {
                // Said beside a reference counts, else what the referred says of itself.
                let text = property["description"].as_str();
                let referred = self.resolve(property);
                let own = text.unwrap_or_default();
                // What the words of an enum mean is said where they are listed.
                let more = referred["description"].as_str();
                let more = more.filter(|_| own.is_empty() || referred["enum"].is_array());
                let more = more.filter(|more| *more != own).unwrap_or_default();
                into.push(Field {
                    name: name.clone(),
                    kind: self.kind(property),
                    required: required.iter().any(|known| known == name),
                    text: prose::line(format!("{own} {more}").trim()),
                    depth,
                });
                self.collect(property, depth + 1, into);
            }
        }
    }

    /// The type of a schema in words.
    #[must_use]
    pub fn kind(&self, schema: &'a Value) -> String {
        let resolved = self.resolve(schema);
        if let Some(words) = resolved["enum"].as_array() {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            return words.join(" | ");
        }
        let kind = match &resolved["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("")
            }
            _ if resolved["oneOf"].is_array() => "one of",
            _ if resolved["allOf"].is_array() => "object",
            _ => "any",
        };
        if kind == "array" {
            return format!("list of {}", self.kind(&resolved["items"]));
        }
        let format = resolved["format"].as_str().filter(|format| *format != "binary");
        match format {
            Some("date-time") => "time".to_owned(),
            Some("uuid") => "id".to_owned(),
            _ => kind.to_owned(),
        }
    }
}

/// The other schema of `oneOf: [null, other]`.
fn nullable(schema: &Value) -> Option<&Value> {
    let of = schema["oneOf"].as_array()?;
    let mut others = of.iter().filter(|one| one["type"] != "null");
    let other = others.next()?;
    (of.len() == 2 && others.next().is_none()).then_some(other)
}

/// What a schema is put together from: all of `allOf`, each of `oneOf`, or itself.
pub fn parts(schema: &Value) -> Vec<&Value> {
    let list = schema["allOf"].as_array().or_else(|| schema["oneOf"].as_array());
    list.map_or_else(|| vec![schema], |list| list.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_nesting_and_nullables_are_followed_and_circles_end() {
        let document = json!({"components": {"schemas": {
            "Id": {"type": "string", "format": "uuid"},
            "Node": {"type": "object", "required": ["id"], "properties": {
                "id": {"$ref": "#/components/schemas/Id"},
                "next": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Node"}]},
            }},
        }}});
        let schemas = Schemas::new(&document);
        let node = json!({"type": "array", "items": {"$ref": "#/components/schemas/Node"}});
        let fields = schemas.fields(&node);
        assert_eq!(fields.len(), 2 * MAX_DEPTH);
        assert_eq!((fields[0].kind.as_str(), fields[0].required), ("id", true));
        assert_eq!((fields[1].kind.as_str(), fields[1].required), ("object", false));
        assert_eq!(schemas.kind(&node), "list of object");
    }
}
