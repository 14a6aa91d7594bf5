//! The shapes that requests and answers have.

use serde_json::{Value, json};
use sts_types::rfc::{self, parameter};

use super::schema_of;
use crate::http::HttpReason;

pub(super) fn all() -> Value {
    let text = || json!({ "type": "string" });
    let seconds = || json!({ "type": "integer", "description": "Epoch seconds." });
    let reasons: Vec<&str> = HttpReason::all().map(HttpReason::name).collect();
    let one_or_many = json!({ "oneOf": [text(), { "type": "array", "items": text() }] });
    let list_of = |name: &str, items: Value| json!({ "type": "object", "required": [name], "properties": { name: { "type": "array", "items": items } } });
    json!({
        "RequestId": { "type": "string", "pattern": "^[0-9A-Z]{26}$" },
        "Object": { "type": "object" },
        "NoMembers": { "type": "object" },
        "Error": {
            "type": "object",
            "required": ["error", "error_description", "reason", "request_id"],
            "properties": {
                "error": { "type": "string", "description": "The code of RFC 6749, 6750 or 8693." },
                "error_description": { "type": "string", "pattern": "^[ !#-\\[\\]-~]+$" },
                "reason": { "enum": reasons },
                "request_id": schema_of("RequestId"),
                "ErrorMessage": text(),
                "Errors": { "type": "array", "items": text() },
            },
        },
        "ExchangeRequest": {
            "type": "object",
            "required": [parameter::GRANT_TYPE, parameter::SUBJECT_TOKEN, parameter::SUBJECT_TOKEN_TYPE],
            "properties": {
                (parameter::GRANT_TYPE): { "const": rfc::GRANT_TOKEN_EXCHANGE },
                (parameter::SUBJECT_TOKEN): { "type": "string", "minLength": 1, "maxLength": 16384, "description": "The platform's ID token." },
                (parameter::SUBJECT_TOKEN_TYPE): { "enum": [rfc::TOKEN_TYPE_JWT, rfc::TOKEN_TYPE_ID_TOKEN] },
                (parameter::AUDIENCE): one_or_many,
                (parameter::RESOURCE): one_or_many,
                (parameter::SCOPE): text(),
                (parameter::REQUESTED_TOKEN_TYPE): { "enum": [rfc::TOKEN_TYPE_ACCESS_TOKEN, rfc::TOKEN_TYPE_JWT] },
                (parameter::CLIENT_ID): text(),
                (parameter::EXPIRES_IN): { "type": "integer", "minimum": 1, "description": "Seconds; can only shorten." },
            },
        },
        "ExchangeAnswer": {
            "type": "object",
            "required": [
                parameter::ACCESS_TOKEN,
                parameter::ISSUED_TOKEN_TYPE,
                parameter::TOKEN_TYPE,
                parameter::EXPIRES_IN,
                parameter::SCOPE,
            ],
            "properties": {
                (parameter::ACCESS_TOKEN): text(),
                (parameter::ISSUED_TOKEN_TYPE): { "const": rfc::TOKEN_TYPE_ACCESS_TOKEN },
                (parameter::TOKEN_TYPE): { "const": "Bearer" },
                (parameter::EXPIRES_IN): { "type": "integer", "minimum": 1 },
                (parameter::SCOPE): text(),
            },
            "additionalProperties": false,
        },
        "TokenRequest": {
            "type": "object",
            "required": [parameter::TOKEN],
            "properties": { (parameter::TOKEN): { "type": "string", "minLength": 1 }, (parameter::TOKEN_TYPE_HINT): text() },
        },
        "Introspection": {
            "type": "object",
            "required": ["active"],
            "properties": {
                "active": { "type": "boolean" },
                "iss": text(),
                "sub": text(),
                "client_id": text(),
                "aud": text(),
                "scope": text(),
                "exp": seconds(),
                "iat": seconds(),
                "jti": text(),
                "token_type": { "const": "Bearer" },
                "federated": { "type": "object", "description": "The ID token that it was minted on." },
                "credential": { "type": "object", "description": "The credential of ours that it was minted on." },
            },
        },
        "Metadata": {
            "type": "object",
            "required": ["issuer", "token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint", "grant_types_supported"],
            "properties": { "issuer": text(), "token_endpoint": text(), "jwks_uri": text() },
        },
        "KeySet": list_of("keys", json!({
            "type": "object",
            "required": ["kty", "kid", "use", "alg"],
            "not": { "anyOf": (["d", "p", "q", "dp", "dq", "qi", "k"].map(|secret| json!({ "required": [secret] }))) },
        })),
        "Token": {
            "type": "object",
            "required": ["jti", "account", "audience", "iat", "exp", "state"],
            "properties": { "jti": text(), "account": text(), "audience": text(), "iat": seconds(), "exp": seconds(), "state": text() },
        },
        "Tokens": {
            "type": "object",
            "required": ["tokens", "next"],
            "properties": {
                "tokens": { "type": "array", "items": schema_of("Token") },
                "next": { "type": ["string", "null"], "description": "Go on `after` this; `null` when there are no more." },
                "notes": { "type": "array", "items": text(), "description": "Names in the query that nobody has, or that `after` is forgotten." },
                "forgotten": { "type": "boolean", "description": "Whether `after` is forgotten: list again from the start." },
            },
        },
        "ReplayClaim": {
            "type": "object",
            "required": ["taken", "earlier_use"],
            "properties": {
                "taken": { "type": "boolean", "description": "Whether the token was used." },
                "earlier_use": {
                    "type": ["object", "null"],
                    "description": "The exchange that it was spent on, where that is known.",
                    "required": ["at_millis", "request_id"],
                    "properties": {
                        "at_millis": { "type": "integer", "description": "Milliseconds since the epoch." },
                        "request_id": schema_of("RequestId"),
                    },
                },
            },
        },
        "SigningKeys": {
            "type": "object",
            "required": ["keys"],
            "properties": {
                "keys": { "type": "array", "items": { "type": "object", "required": ["kid", "algorithm", "phase", "created"] } },
                "made": { "type": "array", "items": text(), "description": "After a rotation: the `kid` of each key that it made." },
            },
        },
    "Issuers": issuers(),
    "Refresh": refresh(),
    "RevocationRules": list_of("revocation_rules", schema_of("Object")),
        "Revoked": covering(json!(["covered", "at_least", "dry_run"]), json!({
            "revocation": { "type": "object", "description": "As it is recorded; not there for a dry run." },
            "dry_run": { "type": "boolean", "description": "Whether nothing was revoked." },
        })),
        "UndoneRule": covering(json!(["undone", "covered", "at_least"]), json!({
            "undone": { "type": "object", "description": "The rule that was taken back." },
        })),
        "Revocation": {
            "type": "object",
            "minProperties": 1,
            "properties": {
                "jti": text(),
                "account": text(),
                "identity": text(),
                "issuer": { "type": "string", "description": "An issuer entry's name." },
                "subject": { "type": "string", "description": "A pattern." },
                "api_key": { "type": "string", "description": "An API key's id." },
                "issuer_kid": text(),
                "kid": text(),
                "generation": text(),
                "claim": {
                    "description": "Patterns by claim name; also as `NAME=PATTERN`, or a list of these.",
                    "oneOf": [
                        { "type": "object", "additionalProperties": text() },
                        text(),
                        { "type": "array", "items": text() },
                    ],
                },
                "before": {
                    "description": "Only tokens issued before this moment, which has passed. Without it, every token recorded by now.",
                    "oneOf": [seconds(), { "type": "string", "format": "date-time" }],
                },
                "reason": text(),
                "force": { "type": "boolean", "description": "Take names that neither the configuration nor a record has." },
                "dry_run": { "type": "boolean", "description": "Count the tokens that would be ended, and revoke nothing." },
            },
            "additionalProperties": false,
        },
    })
}

/// What a revocation, or taking one back, came to.
fn covering(required: Value, mut members: Value) -> Value {
    let counts = json!({
        "covered": {
            "type": ["integer", "null"],
            "description": "How many live tokens, those left out that something else has revoked; `null` when the store stopped \
                            answering before they were counted.",
        },
        "at_least": { "type": "boolean", "description": "Whether there may be more: there was no time to look at every record." },
    });
    if let (Some(members), Value::Object(counts)) = (members.as_object_mut(), counts) {
        members.extend(counts);
    }
    json!({ "type": "object", "required": required, "properties": members })
}

fn issuers() -> Value {
    let objects = || json!({ "type": "array", "items": schema_of("Object") });
    json!({
        "type": "object",
        "required": ["issuers", "families"],
        "properties": { "issuers": objects(), "families": objects() },
    })
}

fn refresh() -> Value {
    let issuer =
        json!({ "type": "string", "description": "Which issuer, where the entry stands for a family of them." });
    json!({ "type": "object", "properties": { "issuer": issuer }, "additionalProperties": false })
}
