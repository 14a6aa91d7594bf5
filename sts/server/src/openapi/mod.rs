//! The OpenAPI 3.1 document of both listeners. The tests beside it hold it to the routes: each documented path answers its
//! documented method, and nothing that answers is left out.

mod admin;
mod public;
mod schemas;

use serde_json::{Map, Value, json};

/// The document, which is the same for every installation: servers are whatever `issuer` and `admin.listen` say.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for Described { method, path, operation } in public::all().into_iter().chain(admin::all()) {
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(method, operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sts",
            "description": "Token exchange (RFC 8693), revocation (RFC 7009), introspection (RFC 7662) and metadata on the public \
                            listener; operations on the admin listener. Every error has the same members on every path.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": [
            { "name": "public", "description": "The public listener (`listen`), also under the path of `issuer`." },
            { "name": "admin", "description": "The admin listener (`admin.listen`). `/healthz` and `/readyz` answer there too." },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "api": { "type": "http", "scheme": "basic", "description": "An API's name and introspection secret." },
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token of ours with the scope." },
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The content of `data_dir/admin.token`, or a token of ours with `sts:read` or `sts:admin`.",
                },
            },
        },
    })
}

/// The schemas of both listeners.
fn schemas() -> Value {
    let mut all = schemas::all();
    if let Some(members) = all.as_object_mut() {
        members.extend(crate::admin::schemas().flatten());
    }
    all
}

/// A parameter of the query string.
pub(crate) fn query_parameter(name: &str, schema: Value, what: &str) -> Value {
    json!({ "name": name, "in": "query", "description": what, "schema": schema })
}

/// One method of one path.
struct Described {
    method: String,
    path: String,
    operation: Value,
}

/// A response whose body is JSON of that schema.
fn answer(description: &str, schema: &str) -> Value {
    json!({
        "description": description,
        "headers": { "X-Request-Id": request_id_header() },
        "content": { "application/json": { "schema": schema_of(schema) } },
    })
}

/// A response without a body.
fn empty(description: &str) -> Value {
    json!({ "description": description, "headers": { "X-Request-Id": request_id_header() } })
}

/// The error responses of these statuses; every path has those that come before any handler.
fn errors(statuses: &[u16]) -> Map<String, Value> {
    let all = [405].iter().chain(statuses);
    all.map(|status| {
        let mut response = answer(meaning(*status), "Error");
        let more = match status {
            401 | 403 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let (Some(name), Some(headers)) = (more, response.get_mut("headers").and_then(Value::as_object_mut)) {
            headers.insert(name.to_owned(), json!({ "schema": { "type": "string" } }));
        }
        (status.to_string(), response)
    })
    .collect()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Refused: `reason` says why, as far as the caller may know",
        401 => "Credentials are missing, misplaced or wrong",
        403 => "The bearer's token does not have the scope",
        404 => "There is no such thing",
        405 => "The path has other methods",
        409 => "An object of this name exists, or a file declares it",
        412 => "Somebody else changed the object meanwhile",
        413 => "The body is too large",
        415 => "The body is of another media type",
        422 => "A load would refuse this; `findings` say why. Nothing was changed",
        428 => "`If-Match` is missing",
        429 => "Too many refused requests from this address",
        503 => "The store or the issuer's keys are unavailable; nothing was done",
        _ => "A fault of the server",
    }
}

/// A reference to the schema of that name.
pub(crate) fn schema_of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn request_id_header() -> Value {
    json!({ "schema": schema_of("RequestId") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    found.push(reference.to_owned());
                }
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = document();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
