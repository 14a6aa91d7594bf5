//! The shapes of requests and answers that are not those of one resource of the admin listener.

use serde_json::{Value, json};
use sts_service::GrantType;
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
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "reason", "request_id", "findings", "error", "error_description"],
            "description": "RFC 9457, with the members that errors have elsewhere.",
            "properties": {
                "type": text(),
                "title": text(),
                "status": { "type": "integer" },
                "detail": text(),
                "reason": { "enum": reasons },
                "request_id": schema_of("RequestId"),
                "findings": { "type": "array", "items": schema_of("Finding"), "description": "What is wrong with what was sent." },
                "error": text(),
                "error_description": text(),
            },
        },
        "ExchangeRequest": {
            "type": "object",
            "required": [parameter::GRANT_TYPE],
            "description": "Each grant needs its own token: `subject_token`, `assertion` or `client_assertion`.",
            "properties": {
                (parameter::GRANT_TYPE): { "enum": GrantType::ALL.map(GrantType::uri) },
                (parameter::ASSERTION): { "type": "string", "minLength": 1, "maxLength": 16384, "description": "The platform's ID token (RFC 7523 section 2.1)." },
                (parameter::CLIENT_ASSERTION): { "type": "string", "minLength": 1, "maxLength": 16384, "description": "The platform's ID token (RFC 7523 section 2.2)." },
                (parameter::CLIENT_ASSERTION_TYPE): { "const": rfc::CLIENT_ASSERTION_JWT_BEARER },
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
    })
}
