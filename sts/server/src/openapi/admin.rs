//! The admin listener.

use serde_json::{Value, json};
use sts_service::TokenState;

use super::{Described, answer, empty, errors, schema_of};

/// Where an operation is, and what comes of it: method, path, name, summary, schema of the answer.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const OPERATIONS: &[Row] = &[
    ("get", "/admin/v1/tokens", "listTokens", "Recorded tokens, newest first", "Tokens"),
    ("get", "/admin/v1/tokens/{jti}", "showToken", "One recorded token", "Token"),
    ("post", "/admin/v1/revocations", "revokeTokens", "Revoke by jti or rule: all that is given must match", "Revoked"),
    (
        "get",
        "/admin/v1/revocation-rules",
        "listRevocationRules",
        "The revocation rules in force, oldest first, each with who made it, when and why",
        "RevocationRules",
    ),
    (
        "delete",
        "/admin/v1/revocation-rules/{id}",
        "undoRevocationRule",
        "Take a rule back: the tokens that it covered are active again, unless something else revokes them",
        "UndoneRule",
    ),
    ("get", "/admin/v1/keys", "listKeys", "Our signing keys", "SigningKeys"),
    ("post", "/admin/v1/keys/rotate", "rotateKeys", "Make successors for our signing keys", "SigningKeys"),
    ("get", "/admin/v1/issuers", "listIssuers", "The issuer entries with the state of their keys", "Issuers"),
    ("get", "/admin/v1/issuers/{name}", "showIssuer", "One issuer entry", "Object"),
    (
        "post",
        "/admin/v1/issuers/{name}/refresh",
        "refreshIssuer",
        "Fetch an entry's keys at once; of a family those of one issuer, or of all that were asked for lately",
        "Object",
    ),
    (
        "get",
        "/admin/v1/issuers/{name}/history",
        "issuerHistory",
        "The key sets that an entry had, or the one in force at a moment",
        "Object",
    ),
    (
        "post",
        "/admin/v1/store/accept-epoch",
        "acceptEpoch",
        "Take the store as it is, after it was emptied or put back",
        "Object",
    ),
    (
        "get",
        "/admin/v1/denials",
        "listDenials",
        "The refused requests of the last 24 hours, newest first, or grouped",
        "Object",
    ),
    (
        "get",
        "/admin/v1/denials/{request_id}",
        "showDenial",
        "A refused request that is remembered, with its cause and its whole trace",
        "Object",
    ),
    (
        "get",
        "/admin/v1/replay-claims/{key}",
        "findReplayClaim",
        "Whether a one-use token was used, when and by which request, by the key of the claim on it",
        "ReplayClaim",
    ),
];

pub(super) fn all() -> Vec<Described> {
    let mut all = vec![metrics(), openapi()];
    all.extend(OPERATIONS.iter().map(|(method, path, name, summary, schema)| {
        let mut statuses = vec![400, 401, 403, 413, 415];
        if path.contains('{') || ["revokeTokens", "listTokens", "listDenials"].contains(name) {
            statuses.push(404);
        }
        // The fetch of keys, and whatever reads or writes the store.
        if [
            "refreshIssuer",
            "listTokens",
            "showToken",
            "revokeTokens",
            "listRevocationRules",
            "undoRevocationRule",
            "acceptEpoch",
            "listDenials",
            "showDenial",
            "findReplayClaim",
        ]
        .contains(name)
        {
            statuses.push(503);
        }
        if ["rotateKeys", "issuerHistory"].contains(name) {
            statuses.push(500);
        }
        let mut responses = errors(&statuses);
        responses.insert("200".to_owned(), answer("Done", schema));
        let mut operation = json!({
            "operationId": name,
            "summary": summary,
            "tags": ["admin"],
            "security": [{ "admin": [] }],
            "parameters": parameters(name, path),
            "responses": responses,
        });
        if *method == "post"
            && let Some(members) = operation.as_object_mut()
        {
            let body = match *name {
                "revokeTokens" => "Revocation",
                "refreshIssuer" => "Refresh",
                _ => "NoMembers",
            };
            let content = json!({ "application/json": { "schema": schema_of(body) } });
            members
                .insert("requestBody".to_owned(), json!({ "required": *name == "revokeTokens", "content": content }));
        }
        Described { method, path, operation }
    }));
    all
}

fn parameters(name: &str, path: &str) -> Vec<Value> {
    let query = |name: &str, schema: Value, what: &str| json!({ "name": name, "in": "query", "description": what, "schema": schema });
    let text = || json!({ "type": "string" });
    let mut all: Vec<Value> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() }))
        .collect();
    match name {
        "listTokens" => all.extend([
            query("account", text(), "Of this account only, by id or username."),
            query("identity", text(), "Of identities of this name only."),
            query("issuer", text(), "Exchanged for tokens of this issuer entry only."),
            query("subject", text(), "Whose subject token's `sub` this pattern matches."),
            query("api", text(), "For this API only, by name."),
            query("issued_after", text(), "Issued then or later: epoch seconds, or RFC 3339."),
            query("issued_before", text(), "Issued before: epoch seconds, or RFC 3339."),
            query("state", json!({ "enum": TokenState::ALL.map(|(name, _)| name) }), "In this state only."),
            query("after", text(), "The `next` of the page before."),
            query(
                "limit",
                json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
                "The most that are answered. There may be fewer and more to come: `next` says so.",
            ),
        ]),
        "revokeTokens" => all.push(query(
            "dry_run",
            json!({ "type": "boolean", "default": false }),
            "Count the tokens that would be ended, and revoke nothing; the body may say it, too.",
        )),
        "listDenials" => all.extend([
            query("account", text(), "Of those that ask for this account, or came nearest to one of its identities."),
            query("issuer", text(), "Of this issuer entry only."),
            query("reason", text(), "For this reason only."),
            query(
                "group_by",
                text(),
                "What to count together: `reason`, `account`, `identity`, `condition`, separated by commas.",
            ),
            query("after", text(), "The request id that the page before ended with."),
            query("limit", json!({ "type": "integer", "minimum": 1, "default": 100 }), "The most that are answered."),
        ]),
        "issuerHistory" => all.extend([
            query("issuer", text(), "Which issuer, where the entry stands for a family of them."),
            query("at", text(), "Epoch seconds, or RFC 3339: what was in force at that moment."),
        ]),
        _ => {}
    }
    all
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

fn open(path: &'static str, name: &str, summary: &str, responses: serde_json::Map<String, Value>) -> Described {
    let operation = json!({
        "operationId": name,
        "summary": summary,
        "tags": ["admin"],
        "security": [],
        "responses": responses,
    });
    Described { method: "get", path, operation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;
    use sts_service::RevocationRequest;

    /// What documents an operation; the compiler asks for each new one.
    fn name(operation: &Operation) -> &'static str {
        match operation {
            Operation::ListTokens { .. } => "listTokens",
            Operation::ShowToken { .. } => "showToken",
            Operation::Revoke(_) => "revokeTokens",
            Operation::ListRevocationRules => "listRevocationRules",
            Operation::UndoRule { .. } => "undoRevocationRule",
            Operation::ListKeys => "listKeys",
            Operation::RotateKeys => "rotateKeys",
            Operation::ListIssuers => "listIssuers",
            Operation::ShowIssuer { .. } => "showIssuer",
            Operation::RefreshIssuer { .. } => "refreshIssuer",
            Operation::IssuerHistory { .. } => "issuerHistory",
            Operation::AcceptEpoch => "acceptEpoch",
            Operation::ListDenials(_) => "listDenials",
            Operation::ShowDenial { .. } => "showDenial",
            Operation::FindReplayClaim { .. } => "findReplayClaim",
        }
    }

    #[test]
    fn each_documented_path_is_its_operation_and_answers_its_method_only() {
        for (method, path, expected, ..) in OPERATIONS {
            let real = path
                .replace("{jti}", "x")
                .replace("{name}", "x")
                .replace("{request_id}", "x")
                .replace("{key}", "x")
                .replace("{id}", "x");
            let found = Operation::from_request(&method.to_uppercase(), &real, "", &json!({})).unwrap().unwrap();
            assert_eq!(name(&found), *expected);
            let other = if *method == "get" { "POST" } else { "GET" };
            assert!(Operation::from_request(other, &real, "", &json!({})).is_err(), "{other} {path}");
            assert_eq!(found.to_request().0.as_str(), method.to_uppercase());
        }
    }

    #[test]
    fn a_documented_revocation_has_the_members_that_are_read() {
        let read = serde_json::to_value(RevocationRequest {
            api_key: Some(String::new()),
            before: Some(sts_types::UnixTime::from_secs(1)),
            force: true,
            dry_run: true,
            ..Default::default()
        });
        let mut read: Vec<String> = read.unwrap().as_object().unwrap().keys().cloned().collect();
        let schemas = super::super::schemas::all();
        let mut documented: Vec<String> =
            schemas["Revocation"]["properties"].as_object().unwrap().keys().cloned().collect();
        read.sort();
        documented.sort();
        assert_eq!(documented, read);
    }
}
