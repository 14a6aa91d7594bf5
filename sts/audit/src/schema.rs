//! The JSON Schema of every line of the audit trail.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::decision::DecisionEvent;
use crate::event::{CheckpointLine, act_schemas};

/// The members that a line has in an audit file beside those of its event.
const CHAINED: [(&str, &str); 3] = [
    ("seq", "in a file: the number of the line in its chain, from 1"),
    ("prev", "in a file: the `hash` of the line before, or 64 zeros"),
    ("hash", "in a file: SHA-256, in hexadecimal, of all bytes of the line before `,\"hash\"`"),
];

/// The JSON Schema of every line. `reasons` are the names that a decision may be refused for,
/// `grants` those of the grants.
#[must_use]
pub fn event_schema(reasons: &[&str], grants: &[&str]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    let mut generator = settings.into_generator();
    let mut definitions = Map::new();
    let mut decision = generator.root_schema_for::<DecisionEvent>().to_value();
    narrow(&mut decision, "reason", reasons);
    narrow(&mut decision, "grant", grants);
    definitions.insert("decision".to_owned(), line("decision", "One exchange, whatever its outcome.", decision));
    for (name, meaning, schema) in act_schemas(&mut generator) {
        definitions.insert(name.to_owned(), line(name, meaning, schema.to_value()));
    }
    definitions.insert("checkpoint".to_owned(), checkpoint(of::<CheckpointLine<'_>>(&mut generator)));
    let lines: Vec<Value> = definitions.keys().map(|name| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sts audit event",
        "description": "One JSON line of the audit trail. `event` says of which type it is. No line holds a token, key or secret.",
        "type": "object",
        "required": ["time", "level", "event", "version", "actor_kind", "outcome"],
        "oneOf": lines,
        "$defs": definitions,
    })
}

fn of<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> Value {
    generator.root_schema_for::<T>().to_value()
}

/// Restricts a member to the names of a table that this crate does not know.
fn narrow(schema: &mut Value, member: &str, names: &[&str]) {
    if let Some(member) = schema.pointer_mut(&format!("/properties/{member}")).and_then(Value::as_object_mut) {
        member.remove("type");
        member.insert("enum".to_owned(), json!(names));
    }
}

/// The schema of a line of this type: exactly these members, and those of the chain.
fn line(name: &str, meaning: &str, mut schema: Value) -> Value {
    simplify(&mut schema);
    let Some(members) = schema.as_object_mut() else { return schema };
    members.remove("$schema");
    members.remove("title");
    members.insert("description".to_owned(), json!(meaning));
    members.insert("additionalProperties".to_owned(), json!(false));
    let mut required = members.remove("required").unwrap_or_else(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        if !required.contains(&json!("event")) {
            required.push(json!("event"));
        }
        required.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
    }
    members.insert("required".to_owned(), required);
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("event".to_owned(), json!({ "const": name }));
        properties.insert("version".to_owned(), json!({ "const": crate::EVENT_VERSION }));
        if let Some(time) = properties.get_mut("time").and_then(Value::as_object_mut) {
            time.insert("format".to_owned(), json!("date-time"));
        }
        for (member, description) in CHAINED {
            let schema = match member {
                "seq" => json!({ "type": "integer", "minimum": 1, "description": description }),
                _ => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "description": description }),
            };
            properties.insert(member.to_owned(), schema);
        }
    }
    schema
}

fn checkpoint(schema: Value) -> Value {
    let mut schema = line("checkpoint", "A signature over the file up to this line.", schema);
    if let Some(properties) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) {
        let jws = "a compact JWS by one of our signing keys. Its payload is the text of `hash`";
        properties.insert("jws".to_owned(), json!({ "type": "string", "description": jws }));
    }
    if let Some(required) = schema.pointer_mut("/required").and_then(Value::as_array_mut) {
        required.extend(["seq", "prev", "hash", "jws"].map(Value::from));
    }
    schema
}

/// Takes out what the generator says of members that are absent and never `null`, and its notes on
/// Rust's types.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    members.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&json!("null")));
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    members.remove("anyOf");
                    for (name, value) in one {
                        members.entry(name).or_insert(value);
                    }
                }
            }
            if let Some(words) = members.get("oneOf").and_then(words) {
                members.remove("oneOf");
                members.insert("enum".to_owned(), json!(words));
            }
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            if members
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|format| format.starts_with("uint") || format.starts_with("int") || format == "ip")
            {
                members.remove("format");
            }
            members.remove("maximum");
            members.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

/// The words that a value may be, if the choices are words.
fn words(choices: &Value) -> Option<Vec<Value>> {
    choices.as_array()?.iter().map(|choice| choice.get("const").cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EVENT_TYPES;

    #[test]
    fn every_type_of_event_has_a_closed_schema_that_names_who_acted() {
        let schema = event_schema(&["not_authorized"], &["token_exchange"]);
        let lines = schema["$defs"].as_object().unwrap();
        let mut names: Vec<&str> = EVENT_TYPES.to_vec();
        names.sort_unstable();
        assert_eq!(lines.keys().map(String::as_str).collect::<Vec<_>>(), names);
        for (name, line) in lines {
            assert_eq!(line["additionalProperties"], false, "{name}");
            for member in ["time", "level", "event", "version", "actor_kind", "outcome"] {
                assert!(line["required"].as_array().unwrap().contains(&json!(member)), "{name} {member}");
                assert!(line["properties"][member].is_object(), "{name} {member}");
            }
        }
        assert_eq!(lines["decision"]["properties"]["reason"]["enum"], json!(["not_authorized"]));
        let outcomes = json!(["granted", "refused", "unavailable", "abandoned"]);
        assert_eq!(lines["decision"]["properties"]["outcome"]["enum"], outcomes);
    }
}
