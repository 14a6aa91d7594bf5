//! The JSON Schema of the decision event.

use serde_json::{Value, json};

use crate::event::{EVENT_VERSION, Outcome};
use crate::grant::GrantType;

/// The JSON Schema of the event in `log.format: json`. `reasons` are the names that a refusal may
/// have.
#[must_use]
pub fn event_schema(reasons: &[&str]) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sts decision event",
        "description": "One JSON line for every exchange. It never holds a token.",
        "type": "object",
        "additionalProperties": false,
        "required": ["time", "level", "event", "version", "request_id", "outcome", "generation", "duration_us"],
        "properties": {
            "event": { "const": "decision" },
            "version": { "const": EVENT_VERSION },
            "time": { "type": "string", "format": "date-time", "description": "UTC, milliseconds" },
            "level": { "enum": ["INFO", "WARN"], "description": "`WARN` where a fault of the server, or of something that it depends on, kept the request from being judged" },
            "request_id": text("the ULID that the caller was given, also in `X-Request-Id`"),
            "outcome": { "enum": Outcome::ALL.map(Outcome::name), "description": "`abandoned`: the caller hung up before there was an answer" },
            "reason": { "enum": reasons, "description": "absent when granted or abandoned" },
            "detail": text("which rule of that reason"),
            "grant": { "enum": GrantType::ALL.map(GrantType::name), "description": "absent when the request names none that exists" },
            "proof": { "enum": ["federated", "api_key", "own"], "description": "what a minted token was minted on: an ID token, an API key, or a token of ours" },
            "actor": text("the id of the account that acts for `account`, if one does"),
            "issuer_entry": text("the issuer entry, once known"),
            "subject": text("the subject token's `sub`, once verified"),
            "account": text("the account's username"),
            "identity": text("the identity that decided"),
            "nearest_identity": text("`account/identity` that came nearest, when policy refused"),
            "failing_condition": failing_condition(),
            "cause": text("why it was refused, for the owner"),
            "presented": presented(),
            "earlier_use": earlier_use(),
            "audience": text("the minted `aud`; when refused, the `audience` and `resource` asked for"),
            "scope": text("the minted `scope`; when refused, the one asked for"),
            "jti": text("the minted `jti`"),
            "generation": text("the snapshot it ran under"),
            "source": text("the caller's address"),
            "duration_us": { "type": "integer", "minimum": 0, "description": "from arrival to decision, in microseconds" },
            "claims": { "type": "object", "description": "the subject token's claims, with `log.claims: true`" },
        },
    })
}

/// The condition of the nearest identity that the token does not meet.
fn failing_condition() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["on", "expected"],
        "properties": {
            "on": text("`subject`, `audience`, or a claim's name or pointer"),
            "expected": text("what the rule wants"),
            "actual": text("what the token has; absent when the claim is"),
        },
    })
}

/// What a refused token says about itself.
fn presented() -> Value {
    let number = |description: &str| json!({ "type": "number", "description": description });
    json!({
        "type": "object",
        "description": "what a refused token says about itself; unless `verified` is true, anybody may have written it",
        "additionalProperties": false,
        "required": ["verified"],
        "properties": {
            "verified": { "type": "boolean", "description": "whether a key of a trusted issuer verified it" },
            "iss": text("its `iss`"),
            "aud": { "type": "array", "items": { "type": "string" }, "description": "the first values of its `aud`" },
            "kid": text("the `kid` of its header"),
            "alg": text("the `alg` of its header"),
            "typ": text("the `typ` of its header"),
            "exp": number("its `exp`"),
            "nbf": number("its `nbf`"),
            "iat": number("its `iat`"),
        },
    })
}

/// The exchange that a one-use token was spent on.
fn earlier_use() -> Value {
    json!({
        "type": "object",
        "description": "the exchange that a one-use token was spent on, where that is known",
        "additionalProperties": false,
        "required": ["time", "request_id"],
        "properties": {
            "time": { "type": "string", "format": "date-time", "description": "UTC, milliseconds" },
            "request_id": text("its request"),
        },
    })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}
