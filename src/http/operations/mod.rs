//! What is true of every operation, said once: answers that any request may get, the form of
//! refusals, and the headers that go with them.
//!
//! The handlers' annotations say what is special about each; this adds the rest, so that nobody
//! has to repeat it and nobody can forget it.

#[cfg(test)]
mod tests;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Content, Header, OpenApi, PathItem, Ref, RefOr, Required, Response};

use super::problem::Code;

/// What any request may be answered.
pub const ANYWHERE: [Code; 5] =
    [Code::TooManyRequests, Code::Internal, Code::Unavailable, Code::Overloaded, Code::Timeout];
/// The media type of refusals and failures (RFC 9457).
const PROBLEM: &str = "application/problem+json";
/// Bodies that ask for places in one of three ways, and the types of those.
const ONE_OF_THREE: [&str; 2] = ["WishLine", "CompRequest"];
const THREE: [(&str, Type); 3] =
    [("places", Type::Array), ("best", Type::Integer), ("area", Type::String)];

/// Completes the document of all handlers.
pub fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            for code in codes(path, operation) {
                name(operation, code);
            }
            tag_states(operation);
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    dress(status, response);
                }
            }
        }
    }
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    for schema in schemas.into_iter().flatten() {
        if ONE_OF_THREE.contains(&schema.0.as_str()) {
            exactly_one(schema.1);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch]
        .into_iter()
        .flatten()
}

/// The codes that an operation may answer because of what it is made of.
fn codes(path: &str, operation: &Operation) -> Vec<Code> {
    let has = |tag: &str| operation.tags.iter().flatten().any(|known| known == tag);
    let takes = |place: ParameterIn, name: Option<&str>| {
        operation.parameters.iter().flatten().any(|parameter| match parameter {
            RefOr::T(known) => {
                known.parameter_in == place && name.is_none_or(|name| known.name == name)
            }
            RefOr::Ref(_) => false,
        })
    };
    // Webhooks settle: they are never refused for their number, and their bodies are the
    // provider's affair.
    let webhook = has("webhooks");
    let body = operation.request_body.is_some();
    let by_rule = [
        (Code::Malformed, body),
        (Code::TooLarge, body),
        (Code::SlowBody, body),
        (Code::MediaType, body && !webhook),
        (Code::Invalid, (body && !webhook) || takes(ParameterIn::Query, None)),
        (Code::IdempotencyKey, takes(ParameterIn::Header, Some("Idempotency-Key"))),
        (Code::Unauthenticated, operation.security.is_some()),
        (Code::Forbidden, has("organizer")),
        (Code::NotFound, path.contains('{')),
    ];
    let anywhere = ANYWHERE.into_iter().filter(|code| !webhook || *code != Code::TooManyRequests);
    let by_rule = by_rule.into_iter().filter(|(_, applies)| *applies).map(|(code, _)| code);
    by_rule.chain(anywhere).collect()
}

/// An answer of which there is nothing more to say than its code.
#[must_use]
pub fn words(code: Code) -> String {
    format!("`{}`: {}", code.code(), code.title().trim_end_matches('.'))
}

/// Names the code in the answer of its status, which is added if it isn't there.
fn name(operation: &mut Operation, code: Code) {
    let status = code.status().as_str().to_owned();
    let quoted = format!("`{}`", code.code());
    let answers = &mut operation.responses.responses;
    match answers.get_mut(&status) {
        Some(RefOr::T(known)) if known.description.contains(&quoted) => {}
        Some(RefOr::T(known)) => {
            let says = &mut known.description;
            let named = Code::ALL.iter().any(|code| says.contains(&format!("`{}`", code.code())));
            *says = if named { format!("{says}; {quoted}") } else { format!("{says} ({quoted})") };
        }
        Some(RefOr::Ref(_)) => {}
        None => {
            answers.insert(status, RefOr::T(Response::new(words(code))));
        }
    }
}

/// Refusals and failures have one form; some say when to ask again.
fn dress(status: &str, response: &mut Response) {
    if !status.starts_with(['4', '5']) {
        return;
    }
    let body = Content::new(Some(Ref::from_schema_name("ProblemBody")));
    response.content = [(PROBLEM.to_owned(), RefOr::T(body))].into_iter().collect();
    if status == "429" || status == "503" {
        let says = "Seconds until asking again may help";
        response.headers.insert("Retry-After".into(), header(Type::Integer, says));
    }
}

/// Where there is a 304 there are an `ETag` and an `If-None-Match`.
fn tag_states(operation: &mut Operation) {
    let answers = &mut operation.responses.responses;
    if !answers.contains_key("304") {
        return;
    }
    for status in ["200", "304"] {
        if let Some(RefOr::T(response)) = answers.get_mut(status) {
            let says = "Names this state: send it as `If-None-Match`";
            response.headers.insert("ETag".into(), header(Type::String, says));
        }
    }
    let parameter = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The `ETag` that you have: 304 without a body if it is still that"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
}

fn header(kind: Type, says: &str) -> RefOr<Header> {
    let schema = ObjectBuilder::new().schema_type(kind);
    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(says)).build())
}

/// Says that exactly one of the three is there; null is the same as not there.
fn exactly_one(schema: &mut RefOr<Schema>) {
    let ways = THREE.into_iter().fold(OneOfBuilder::new(), |ways, (name, kind)| {
        let property = ObjectBuilder::new().schema_type(kind);
        ways.item(ObjectBuilder::new().property(name, property).required(name))
    });
    *schema = AllOfBuilder::new().item(schema.clone()).item(ways).into();
}
