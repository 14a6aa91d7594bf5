//! The public listener.

use serde_json::{Map, Value, json};

use super::{Described, answer, empty, errors, schema_of};

/// What the public listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Token,
    Revoke,
    Introspect,
    Metadata,
    KeySet,
    StatusList,
    Live,
    Ready,
}

impl Endpoint {
    /// Where each endpoint is.
    const PATHS: &[(&'static str, Self)] = &[
        ("/token", Self::Token),
        ("/revoke", Self::Revoke),
        ("/introspect", Self::Introspect),
        ("/.well-known/openid-configuration", Self::Metadata),
        ("/.well-known/oauth-authorization-server", Self::Metadata),
        ("/.well-known/jwks.json", Self::KeySet),
        ("/.well-known/jwks", Self::KeySet),
        ("/status/{list}", Self::StatusList),
        ("/healthz", Self::Live),
        ("/readyz", Self::Ready),
    ];
}

pub(super) fn all() -> Vec<Described> {
    Endpoint::PATHS.iter().map(|(path, endpoint)| described(path, *endpoint)).collect()
}

fn described(path: &'static str, endpoint: Endpoint) -> Described {
    let method = match endpoint {
        Endpoint::Token | Endpoint::Revoke | Endpoint::Introspect => "post",
        _ => "get",
    };
    // The first path of an endpoint has its name; the others are aliases.
    let nth = Endpoint::PATHS.iter().filter(|(_, other)| *other == endpoint).position(|(other, _)| *other == path);
    let alias = nth.filter(|at| *at > 0).map(|at| format!("Alias{at}")).unwrap_or_default();
    let (name, summary, mut operation) = operation(endpoint);
    if let Some(members) = operation.as_object_mut() {
        members.insert("operationId".to_owned(), json!(format!("{name}{alias}")));
        members.insert("summary".to_owned(), json!(summary));
        members.insert("tags".to_owned(), json!(["public"]));
    }
    Described { method: method.to_owned(), path: path.to_owned(), operation }
}

fn operation(endpoint: Endpoint) -> (&'static str, &'static str, Value) {
    match endpoint {
        Endpoint::Token => (
            "exchange",
            "Exchange a platform's ID token for an access token (RFC 8693, RFC 7523)",
            posted(
                json!({
                    "application/x-www-form-urlencoded": { "schema": schema_of("ExchangeRequest") },
                    "application/json": { "schema": schema_of("ExchangeRequest") },
                }),
                json!([]),
                answer("Minted, and recorded", "ExchangeAnswer"),
                &[400, 401, 413, 415, 429, 503],
            ),
        ),
        Endpoint::Revoke => (
            "revoke",
            "Revoke the token that is presented (RFC 7009)",
            posted(
                json!({ "application/x-www-form-urlencoded": { "schema": schema_of("TokenRequest") } }),
                json!([{}, { "api": [] }, { "bearer": [] }]),
                empty("It is revoked, or was never a token of ours"),
                &[400, 401, 403, 413, 415, 429, 503],
            ),
        ),
        Endpoint::Introspect => {
            let mut told = answer("What the token is; exactly `{\"active\":false}` for every other", "Introspection");
            if let Some(content) = told.get_mut("content").and_then(Value::as_object_mut) {
                let signed =
                    json!({ "schema": { "type": "string", "description": "RFC 9701, where `Accept` asks for it." } });
                content.insert("application/token-introspection+jwt".to_owned(), signed);
            }
            let operation = posted(
                json!({ "application/x-www-form-urlencoded": { "schema": schema_of("TokenRequest") } }),
                json!([{ "api": [] }, { "bearer": [] }]),
                told,
                &[400, 401, 403, 413, 415, 429, 503],
            );
            ("introspect", "Ask whether a token is active (RFC 7662)", operation)
        }
        Endpoint::Metadata => ("metadata", "Our metadata (RFC 8414)", document("Metadata")),
        Endpoint::KeySet => ("keySet", "Our public keys (RFC 7517)", document("KeySet")),
        Endpoint::StatusList => ("statusList", "The status of tokens (draft-ietf-oauth-status-list)", status_list()),
        Endpoint::Live => ("live", "Whether the process serves", status("It serves", &[])),
        Endpoint::Ready => (
            "ready",
            "Whether exchanges can be served; the admin listener's has the detail as JSON",
            status("They can", &["503"]),
        ),
    }
}

fn posted(content: Value, security: Value, granted: Value, statuses: &[u16]) -> Value {
    let mut responses = errors(statuses);
    responses.insert("200".to_owned(), granted);
    json!({ "requestBody": { "required": true, "content": content }, "security": security, "responses": responses })
}

/// A JSON document that caches may keep.
fn document(schema: &str) -> Value {
    cached(answer("The document", schema), errors(&[]))
}

/// What caches may keep, and what is answered in its place.
fn cached(mut found: Value, mut responses: Map<String, Value>) -> Value {
    if let Some(headers) = found.get_mut("headers").and_then(Value::as_object_mut) {
        for name in ["ETag", "Cache-Control", "Access-Control-Allow-Origin"] {
            headers.insert(name.to_owned(), json!({ "schema": { "type": "string" } }));
        }
    }
    responses.insert("200".to_owned(), found);
    responses.insert("304".to_owned(), empty("The caller has it already"));
    json!({ "security": [], "responses": responses })
}

fn status_list() -> Value {
    let mut found = empty("The list, signed");
    if let Some(members) = found.as_object_mut() {
        let signed = json!({ "application/statuslist+jwt": { "schema": { "type": "string" } } });
        members.insert("content".to_owned(), signed);
    }
    let mut operation = cached(found, errors(&[404, 503]));
    if let Some(members) = operation.as_object_mut() {
        let list = json!([{
            "name": "list", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "As `status.status_list.uri` of a token ends.",
        }]);
        members.insert("parameters".to_owned(), list);
    }
    operation
}

fn status(yes: &str, no: &[&str]) -> Value {
    let mut responses = errors(&[]);
    responses.insert("200".to_owned(), empty(yes));
    for status in no {
        responses.insert((*status).to_owned(), empty("They cannot"));
    }
    json!({ "security": [], "responses": responses })
}
