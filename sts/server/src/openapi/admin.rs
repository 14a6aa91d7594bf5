//! The admin listener: what its routes say of themselves, and what is open to everybody.

use serde_json::{Map, Value, json};

use super::{Described, answer, empty, errors, schema_of};
use crate::admin::{Documentation, ROUTES, Route};

/// The statuses that any operation may answer with.
const STATUSES: &[u16] = &[400, 401, 403, 413, 415];

pub(super) fn all() -> Vec<Described> {
    let operations = ROUTES.iter().copied().flatten().map(described);
    [metrics(), openapi()].into_iter().chain(operations).collect()
}

fn described(route: &Route) -> Described {
    let Documentation { name, summary, body, answer: schema, failures } = &route.endpoint.documentation;
    let mut responses = problems(&[STATUSES, failures].concat());
    for status in route.successes {
        let done = match status {
            201 => answer("Created", schema),
            204 => empty("Gone"),
            _ => answer("Done", schema),
        };
        responses.insert(status.to_string(), done);
    }
    let path = route.endpoint.full_path();
    let mut parameters = path_parameters(&path);
    if failures.contains(&428) {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
            "description": "The `ETag` of the state that the change is of.",
        }));
    }
    parameters.extend((route.query_parameters)());
    let mut operation = json!({
        "operationId": name,
        "summary": summary,
        "tags": ["admin"],
        "security": [{ "admin": [] }],
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some((schema, is_required)), Some(members)) = (body, operation.as_object_mut()) {
        let media = if route.endpoint.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let content = json!({ media: { "schema": schema_of(schema) } });
        members.insert("requestBody".to_owned(), json!({ "required": is_required, "content": content }));
    }
    Described { method: route.endpoint.method.to_lowercase(), path, operation }
}

/// Errors in the form that those of operations have.
fn problems(statuses: &[u16]) -> Map<String, Value> {
    let mut responses = errors(statuses);
    for response in responses.values_mut() {
        if let Some(members) = response.as_object_mut() {
            let content = json!({ "application/problem+json": { "schema": schema_of("Problem") } });
            members.insert("content".to_owned(), content);
        }
    }
    responses
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter =
        |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    names.map(parameter).collect()
}

fn metrics() -> Described {
    let mut responses = errors(&[400]);
    let mut text = empty("Counts, in the text format of Prometheus");
    if let Some(members) = text.as_object_mut() {
        members.insert("content".to_owned(), json!({ "text/plain": { "schema": { "type": "string" } } }));
    }
    responses.insert("200".to_owned(), text);
    open("/metrics", "metrics", "Counts for Prometheus", responses)
}

fn openapi() -> Described {
    let mut responses = errors(&[400]);
    responses.insert("200".to_owned(), answer("The document", "Object"));
    open("/openapi.json", "openapi", "This document", responses)
}

fn open(path: &'static str, name: &str, summary: &str, responses: Map<String, Value>) -> Described {
    let operation = json!({
        "operationId": name,
        "summary": summary,
        "tags": ["admin"],
        "security": [],
        "responses": responses,
    });
    Described { method: "get".to_owned(), path: path.to_owned(), operation }
}
