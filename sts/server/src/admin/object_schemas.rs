//! The schemas of objects, their changes and API keys.

use serde_json::{Value, json};
use sts_api::{ApiKeyState, Applied, NotInForce, ObjectSource};
use sts_types::ObjectKind;

use crate::openapi::schema_of;

/// The schemas by name.
pub(super) fn schemas() -> Value {
    let all = [objects(), changes(), answers(), api_keys()];
    let all = all.into_iter().filter_map(|schemas| match schemas {
        Value::Object(schemas) => Some(schemas),
        _ => None,
    });
    Value::Object(all.flatten().collect())
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn described(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}

fn seconds(what: &str) -> Value {
    json!({ "type": "integer", "description": format!("{what} Epoch seconds.") })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn page(items: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": list(&schema_of(items)),
            "next": { "type": ["string", "null"], "description": "Go on `after` this; `null` when there are no more." },
        },
    })
}

fn document() -> Value {
    json!({ "type": "object", "description": "What stands under the name in a configuration file, as JSON." })
}

fn objects() -> Value {
    let kinds = ObjectKind::ALL.map(ObjectKind::name);
    let sources: Vec<&str> = ObjectSource::ALL.iter().map(|source| source.name()).collect();
    let states: Vec<&str> = NotInForce::ALL.iter().map(|state| state.name()).collect();
    json!({
        "ManagedObject": {
            "type": "object",
            "required": ["kind", "name", "spec", "source"],
            "properties": {
                "kind": { "enum": kinds },
                "name": text(),
                "spec": document(),
                "source": { "enum": sources, "description": "Where it is declared. What a file declares is read-only." },
                "file": described("The file that declares it."),
                "revision": { "type": "integer", "description": "Changes with each write." },
                "created_at": seconds("When it was created."),
                "created_by": text(),
                "updated_at": seconds("When it was last changed."),
                "updated_by": text(),
                "not_in_force": { "enum": states },
                "findings": list(&schema_of("Finding")),
            },
        },
        "ManagedObjects": page("ManagedObject"),
        "Identity": {
            "type": "object",
            "required": ["name"],
            "properties": { "name": text() },
            "description": "An identity as a configuration file has it, with its name.",
        },
        "Identities": page("Identity"),
        "Finding": {
            "type": "object",
            "required": ["severity", "message"],
            "properties": {
                "severity": { "enum": ["error", "unsafe", "test_failed", "warning", "note"] },
                "code": described("The rule behind it."),
                "pointer": { "type": ["string", "null"], "description": "A JSON pointer into the body of the request." },
                "object": described("The object that it is about, `kind/name`."),
                "file": described("The file that it is about, `path:line:column`."),
                "message": text(),
                "help": { "type": ["string", "null"], "description": "What to write instead." },
                "witness": described("A value of a stranger's token that the rule would accept."),
            },
        },
    })
}

fn changes() -> Value {
    let kinds = ObjectKind::ALL.map(ObjectKind::name);
    json!({
        "NewObject": {
            "type": "object",
            "required": ["name", "spec"],
            "properties": { "name": text(), "spec": document() },
            "additionalProperties": false,
        },
        "ReplacedObject": {
            "type": "object",
            "required": ["spec"],
            "properties": { "spec": document() },
            "description": "An object as GET answers it. Only `spec` is taken.",
        },
        "ObjectPatch": { "type": "object", "description": "A merge patch of the object, such as `{\"spec\": {\"enabled\": false}}`." },
        "IdentityPatch": { "type": "object", "description": "A merge patch of the identity." },
        "ApplyRequest": {
            "type": "object",
            "required": ["objects"],
            "properties": {
                "objects": list(&json!({
                    "type": "object",
                    "required": ["kind", "name", "spec"],
                    "properties": { "kind": { "enum": kinds }, "name": text(), "spec": document() },
                    "additionalProperties": false,
                })),
                "prune": {
                    "type": "array",
                    "items": { "enum": kinds },
                    "description": "Kinds of which all managed objects are deleted that are not among `objects`.",
                },
                "dry_run": { "type": "boolean" },
            },
            "additionalProperties": false,
        },
        "EvaluateRequest": {
            "type": "object",
            "properties": {
                "token": described("A token, which is verified as an exchange verifies it."),
                "claims": { "type": "object", "description": "Claims, in place of a token. Nothing of them is verified." },
                "issuer": described("The issuer entry of the claims, where several share their `iss`."),
                "account": text(),
                "audience": { "oneOf": [text(), list(&text())] },
                "resource": { "oneOf": [text(), list(&text())] },
                "scope": text(),
                "at": { "oneOf": [{ "type": "integer" }, { "type": "string", "format": "date-time" }] },
                "identity": { "type": "object", "description": "A draft of an identity of `account`." },
            },
            "additionalProperties": false,
        },
    })
}

fn answers() -> Value {
    let outcomes: Vec<&str> = Applied::ALL.iter().map(|applied| applied.name()).collect();
    let item = json!({
        "type": "object",
        "required": ["kind", "name", "outcome"],
        "properties": {
            "kind": text(),
            "name": text(),
            "outcome": { "enum": outcomes },
            "revision": { "type": "integer" },
        },
    });
    let cases = list(&json!({
        "type": "object",
        "required": ["request", "before", "after"],
        "properties": { "request": described("Whose token: a policy test, or a remembered request."), "before": text(), "after": text() },
    }));
    json!({
        "Effect": {
            "type": "object",
            "required": ["newly_allowed", "newly_denied"],
            "properties": { "newly_allowed": cases, "newly_denied": cases },
        },
        "DryRun": {
            "type": "object",
            "required": ["findings", "effect"],
            "properties": { "findings": list(&schema_of("Finding")), "effect": schema_of("Effect") },
        },
        "WrittenObject": { "anyOf": [schema_of("ManagedObject"), schema_of("DryRun")] },
        "WrittenIdentity": { "anyOf": [schema_of("Identity"), schema_of("DryRun")] },
        "ApplyAnswer": {
            "type": "object",
            "required": ["items", "findings", "dry_run"],
            "properties": {
                "items": list(&item),
                "findings": list(&schema_of("Finding")),
                "effect": schema_of("Effect"),
                "dry_run": { "type": "boolean" },
            },
        },
        "Evaluation": {
            "type": "object",
            "required": ["verdict", "summary", "judged_at"],
            "properties": {
                "verdict": { "enum": ["granted", "refused"] },
                "summary": described("The verdict with its cause."),
                "judged_at": seconds("When it is judged as of."),
                "decision": { "type": "object", "description": "The trace." },
                "text": described("The trace for people."),
            },
        },
        "EffectiveConfig": {
            "type": "object",
            "required": ["issuer", "generation", "sources"],
            "properties": { "issuer": text(), "generation": text(), "sources": { "type": "object" } },
        },
        "Health": { "type": "object", "required": ["ready", "store"], "properties": { "ready": { "type": "boolean" }, "store": text() } },
    })
}

fn api_keys() -> Value {
    let states: Vec<&str> = ApiKeyState::ALL.iter().map(|state| state.name()).collect();
    let members = json!({
        "id": described("The 12 characters after `sts_`."),
        "account": text(),
        "name": text(),
        "scopes": list(&text()),
        "allow_from": list(&text()),
        "state": { "enum": states },
        "created_at": seconds("When it was created."),
        "created_by": text(),
        "expires_at": seconds("When it expires."),
        "last_used_at": { "type": ["integer", "null"], "description": "At most a minute old. Epoch seconds." },
        "last_used_from": { "type": ["string", "null"] },
    });
    let required = ["id", "account", "name", "state", "created_at", "expires_at"];
    let key = json!({ "key": described("The key itself. No other answer has it.") });
    json!({
        "ApiKey": { "type": "object", "required": required, "properties": members },
        "ApiKeys": page("ApiKey"),
        "NewApiKey": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": text(),
                "ttl": {
                    "oneOf": [{ "type": "string", "pattern": "^[0-9]+[smhd]$" }, { "type": "integer", "minimum": 1 }],
                    "description": "How long it is valid: `30d`, or seconds.",
                },
                "scopes": { "type": "array", "items": text(), "description": "What its tokens are narrowed to." },
                "allow_from": { "type": "array", "items": text(), "description": "Addresses, or blocks such as `10.0.0.0/8`." },
            },
            "additionalProperties": false,
        },
        "ApiKeyCreated": { "allOf": [schema_of("ApiKey"), { "type": "object", "required": ["key"], "properties": key }] },
    })
}
