//! `/docs`: the API's document as a page that needs no internet, and a page for each problem.
//!
//! Made once at the start from the generated OpenAPI document, read as JSON: that is what
//! programs get, so the page can't say anything else.

mod example;
mod prose;
mod schema;

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LANGUAGE, HeaderValue};
use axum::response::Response;
use serde_json::Value;

use self::schema::{Field, Schemas};
use super::page::{Link, Notice, Oops, show};
use super::refusals;
use crate::http::extract::Path;
use crate::http::operations;
use crate::http::problem::{Code, Problem};
use crate::words::{Language, spoken};

/// The verbs that an OpenAPI path may have.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

struct Parameter {
    name: String,
    place: String,
    kind: String,
    required: bool,
    text: String,
}

struct Answer {
    status: String,
    text: String,
    fields: Vec<Field>,
}

struct Operation {
    anchor: String,
    method: String,
    path: String,
    summary: String,
    text: String,
    session: &'static str,
    parameters: Vec<Parameter>,
    body: Vec<Field>,
    answers: Vec<Answer>,
    curl: String,
}

struct Group {
    name: String,
    text: String,
    operations: Vec<Operation>,
}

struct ProblemRow {
    code: &'static str,
    status: u16,
    title: &'static str,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    title: String,
    shop: String,
    intro: String,
    groups: Vec<Group>,
    anywhere: Vec<ProblemRow>,
    problems: Vec<ProblemRow>,
}

/// The page of the server at this address.
#[must_use]
pub fn page(document: &utoipa::openapi::OpenApi, shop: &str) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let schemas = Schemas::new(&document);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let groups = tags.iter().map(|tag| Group {
        name: text(&tag["name"]),
        text: text(&tag["description"]),
        operations: operations(&document, &text(&tag["name"]), &schemas),
    });
    let page = DocsPage {
        title: text(&document["info"]["title"]),
        shop: shop.to_owned(),
        intro: prose::html(document["info"]["description"].as_str().unwrap_or_default()),
        groups: groups.filter(|group| !group.operations.is_empty()).collect(),
        anywhere: operations::ANYWHERE.iter().map(problem_row).collect(),
        problems: Code::ALL.iter().map(problem_row).collect(),
    };
    page.render().unwrap_or_else(|error| {
        tracing::error!(%error, "the API's page could not be rendered");
        String::new()
    })
}

fn problem_row(code: &Code) -> ProblemRow {
    ProblemRow { code: code.code(), status: code.status().as_u16(), title: code.title() }
}

fn operations(document: &Value, tag: &str, schemas: &Schemas<'_>) -> Vec<Operation> {
    let Some(paths) = document["paths"].as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            let operation = &item[method];
            let tags = operation["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            if tags.iter().any(|known| known == tag) {
                found.push(read(path, method, operation, schemas));
            }
        }
    }
    found
}

fn read(path: &str, method: &str, operation: &Value, schemas: &Schemas<'_>) -> Operation {
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let parameters: Vec<Parameter> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| parameter_of(parameter, schemas))
        .collect();
    let security = operation["security"].to_string();
    let session = match (security.contains("organizer"), security.contains("session")) {
        (true, _) => "organizer",
        (_, true) if security.contains("{}") => "either",
        (_, true) => "session",
        _ => "",
    };
    let request = &operation["requestBody"]["content"];
    let request = request.as_object().and_then(|kinds| kinds.values().next());
    let request = request.map_or(&Value::Null, |kind| &kind["schema"]);
    Operation {
        anchor: format!("{method}{}", path.replace(['/', '{', '}'], "-").replace("--", "-")),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text("summary").trim_end_matches('.').to_owned(),
        text: prose::html(text("description")),
        session,
        curl: example::curl(method, path, &parameters, session, request, schemas),
        parameters,
        body: schemas.fields(request),
        answers: answers(operation, schemas),
    }
}

fn parameter_of(parameter: &Value, schemas: &Schemas<'_>) -> Parameter {
    let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
    Parameter {
        name: text("name"),
        place: text("in"),
        kind: schemas.kind(&parameter["schema"]),
        required: parameter["required"].as_bool().unwrap_or(false),
        text: prose::line(parameter["description"].as_str().unwrap_or_default()),
    }
}

fn answers(operation: &Value, schemas: &Schemas<'_>) -> Vec<Answer> {
    let Some(responses) = operation["responses"].as_object() else { return Vec::new() };
    let answer = |(status, response): (&String, &Value)| {
        let content = response["content"].as_object().and_then(|kinds| kinds.values().next());
        let schema = content.map_or(&Value::Null, |kind| &kind["schema"]);
        // Problems all have one shape, which the page explains once.
        let problem = schema["$ref"].as_str().is_some_and(|name| name.ends_with("/ProblemBody"));
        Answer {
            status: status.clone(),
            text: prose::line(response["description"].as_str().unwrap_or_default()),
            fields: if problem { Vec::new() } else { schemas.fields(schema) },
        }
    };
    // What any request may be answered is said once.
    let everywhere: Vec<String> = operations::ANYWHERE.into_iter().map(operations::words).collect();
    let special = |(_, response): &(&String, &Value)| {
        let says = response["description"].as_str().unwrap_or_default();
        !everywhere.iter().any(|known| known == says)
    };
    responses.iter().filter(special).map(answer).collect()
}

/// What a problem's code means.
pub async fn problem(Path(code): Path<String>) -> Result<Response, Oops> {
    let known = Code::ALL.iter().find(|known| known.code() == code);
    let known = known.ok_or_else(|| Problem::new(Code::NotFound))?;
    // For those who write programs, in their language, as the page that leads here.
    let mut response = spoken(Language::ENGLISH, || show(StatusCode::OK, &explained(*known)));
    response.headers_mut().insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    Ok(response)
}

fn explained(known: Code) -> Notice {
    let words = refusals::advice(&Problem::new(known));
    Notice {
        title: known.title().trim_end_matches('.').to_owned(),
        text: format!(
            "Code {} comes with status {}. A buyer would be told: {}. {}",
            known.code(),
            known.status(),
            words.title,
            words.text
        ),
        links: vec![Link::new("/docs#problems", "All problems")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_and_nothing_unescaped() {
        let document = crate::http::openapi::document();
        let html = page(&document, "https://shop.example");
        let json = serde_json::to_value(&document).unwrap();
        for (path, item) in json["paths"].as_object().unwrap() {
            assert!(html.contains(path.as_str()), "{path}");
            for method in METHODS {
                if let Some(summary) = item[method]["summary"].as_str() {
                    let start = summary.split(['.', '`', '\'', ':']).next().unwrap();
                    assert!(html.contains(start), "{summary}");
                }
            }
        }
        assert!(html.contains("Idempotency-Key: "));
        assert!(!html.contains("style=") && !html.contains("<script>"));
    }
}
