//! Changes of an identity to try, the smallest first.

use serde_json::{Map, Value, json};
use sts_api::{DraftKind, Object};
use sts_claims::ClaimPath;
use sts_policy::{NearestIdentity, Pattern, Preset, SoleFault};

use super::evidence::Evidence;

/// The longest name that a draft gives.
const MAX_NAME: usize = 40;

/// A change of one identity.
pub(super) struct Candidate {
    pub(super) kind: DraftKind,
    /// Its place among the identities of the account.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) document: Map<String, Value>,
    /// The identity whose bounds it has.
    pub(super) bounded_like: Option<String>,
    /// The identity that it is made from.
    pub(super) replaced: Option<Map<String, Value>>,
}

/// Members of an identity that bound what it gives. A new identity has those of the nearest one.
const BOUNDS: [&str; 6] = ["enabled", "scopes", "grants", "ttl", "not_before", "not_after"];

/// Further ones, which depend on the issuer.
const BOUNDS_OF_ISSUER: [&str; 2] = ["audience", "replay"];

/// An identity of the account, as its document has it.
struct Near<'a> {
    index: usize,
    document: &'a Map<String, Value>,
    nearest: &'a NearestIdentity,
}

/// The candidates. `pins` fix the token's owner for good.
pub(super) fn candidates(
    account: &Object,
    evidence: &Evidence,
    nearest: Option<&NearestIdentity>,
    pins: &Map<String, Value>,
) -> Vec<Candidate> {
    let identities = account.spec.get("identities").and_then(Value::as_array);
    let identities: Vec<&Map<String, Value>> = identities.into_iter().flatten().filter_map(Value::as_object).collect();
    let name = free_name(evidence.subject(), &identities);
    let near = match nearest {
        None => None,
        Some(nearest) => match near(nearest, &identities) {
            Some(near) => Some(near),
            // What bounds it is not known.
            None => return Vec::new(),
        },
    };
    let end = identities.len();
    let small = near.as_ref().and_then(|near| match near.nearest.fault.as_ref()? {
        SoleFault::Subject => like(near, evidence, pins, &name),
        // Whether the rest of an excused identity keeps strangers out, the load does not check.
        SoleFault::Claim(_) if near.document.contains_key("allow_broad") => None,
        SoleFault::Claim(claim) => wider(near, claim, evidence),
    });
    // A copy comes after the identities that there are.
    let small = small.map(|small| match small.kind {
        DraftKind::Add => Candidate { index: end, ..small },
        DraftKind::Change => small,
    });
    small.into_iter().chain([exact(end, near.as_ref(), evidence, pins, &name)]).collect()
}

/// The nearest identity with its document. One without a name is called by its place.
fn near<'a>(nearest: &'a NearestIdentity, identities: &[&'a Map<String, Value>]) -> Option<Near<'a>> {
    let is_it = |(index, identity): (usize, &&Map<String, Value>)| match identity.get("name").and_then(Value::as_str) {
        Some(name) => name == nearest.name.as_str(),
        None => nearest.name.as_str() == format!("identity {}", index + 1),
    };
    let index = identities.iter().enumerate().position(is_it)?;
    Some(Near { index, document: identities.get(index)?, nearest })
}

/// The identity with one more value of the claim at fault.
fn wider(near: &Near<'_>, claim: &str, evidence: &Evidence) -> Option<Candidate> {
    let actual = evidence.claims().find(&ClaimPath::parse(claim).ok()?)?;
    let mut document = near.document.clone();
    let value = widen(&mut document, claim, &actual.to_value())?;
    let name = near.document.get("name")?.as_str()?.to_owned();
    Some(Candidate {
        kind: DraftKind::Change,
        index: near.index,
        summary: format!("The identity `{name}` accepts {value} as `{claim}`, too."),
        bounded_like: Some(name.clone()),
        name,
        document,
        replaced: Some(near.document.clone()),
    })
}

/// Makes the condition on `claim` accept `actual`, too, and answers the value as it is written.
fn widen(document: &mut Map<String, Value>, claim: &str, actual: &Value) -> Option<Value> {
    let value = match actual {
        Value::String(text) => Value::from(Pattern::literal(text).as_str()),
        Value::Number(_) | Value::Bool(_) => actual.clone(),
        _ => return None,
    };
    let condition = blocks(document).find_map(|block| block.get_mut(claim))?;
    accept(condition, value.clone())?;
    Some(value)
}

/// The members of an identity that hold conditions: `claims`, and the block of a platform, whose members are
/// the claims of the same names.
fn blocks(document: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let is_block =
        |key: &str| key == "claims" || Preset::ALL.into_iter().any(|preset| preset.short_rule_key() == Some(key));
    let blocks = document.iter_mut().filter(move |(key, _)| is_block(key));
    blocks.filter_map(|(_, block)| block.as_object_mut())
}

/// Makes a condition that lists values accept `value`, too.
fn accept(condition: &mut Value, value: Value) -> Option<()> {
    match condition {
        Value::Array(values) => values.push(value),
        Value::Object(form) => {
            let [(member, Value::Array(values))] = &mut form.iter_mut().collect::<Vec<_>>()[..] else { return None };
            (member.as_str() == "any_of").then(|| values.push(value))?;
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => *condition = json!([condition.take(), value]),
        Value::Null => return None,
    }
    Some(())
}

/// A copy of the nearest identity for exactly this subject. It keeps what narrows that identity.
fn like(near: &Near<'_>, evidence: &Evidence, pins: &Map<String, Value>, name: &str) -> Option<Candidate> {
    let of = near.document.get("name")?.as_str()?;
    let mut document = near.document.clone();
    document.insert("name".to_owned(), name.into());
    document.insert("subject".to_owned(), Pattern::literal(evidence.subject()).as_str().into());
    document.remove("allow_broad");
    let missing: Vec<_> = pins.iter().filter(|(claim, value)| !narrow(&mut document, claim, value)).collect();
    pin(&mut document, missing.into_iter());
    Some(Candidate {
        kind: DraftKind::Add,
        index: 0,
        name: name.to_owned(),
        summary: format!("A new identity, like `{of}` but for exactly this subject."),
        bounded_like: Some(of.to_owned()),
        document,
        replaced: None,
    })
}

/// An identity for exactly this subject. It gives no more than the nearest one.
fn exact(
    index: usize,
    near: Option<&Near<'_>>,
    evidence: &Evidence,
    pins: &Map<String, Value>,
    name: &str,
) -> Candidate {
    let mut document = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("issuer".to_owned(), evidence.entry().as_str().into()),
        ("subject".to_owned(), Pattern::literal(evidence.subject()).as_str().into()),
    ]);
    pin(&mut document, pins.iter());
    let guards = near.map_or(&[][..], |near| &near.nearest.guards);
    let guards: Map<String, Value> = guards.iter().filter_map(|guard| guarded(&guard.claim, evidence)).collect();
    pin(&mut document, guards.iter());
    let of_issuer = near.filter(|near| near.nearest.accepts_issuer).map_or(&[][..], |_| &BOUNDS_OF_ISSUER);
    let mut kept = Vec::new();
    for member in BOUNDS.iter().chain(of_issuer) {
        if let Some(value) = near.and_then(|near| near.document.get(*member)) {
            document.insert((*member).to_owned(), value.clone());
            kept.push(format!("`{member}`"));
        }
    }
    let owner = if pins.is_empty() { "" } else { " of this owner" };
    let bounded_like = near.filter(|_| !kept.is_empty()).map(|near| near.nearest.name.as_str().to_owned());
    let bounds = bounded_like.as_ref().map(|near| format!(" It is bounded like `{near}`: {}.", kept.join(", ")));
    Candidate {
        kind: DraftKind::Add,
        index,
        name: name.to_owned(),
        summary: format!("A new identity for exactly this subject{owner}.{}", bounds.unwrap_or_default()),
        bounded_like,
        document,
        replaced: None,
    }
}

/// The value of a yes-or-no claim that the nearest identity demands an answer of.
fn guarded(claim: &str, evidence: &Evidence) -> Option<(String, Value)> {
    let value = evidence.claims().find(&ClaimPath::parse(claim).ok()?)?.to_value();
    (!value.is_array() && !value.is_object()).then(|| (claim.to_owned(), value))
}

/// Makes the conditions on `claim` accept this value only, which the token has. Answers whether there is one.
fn narrow(document: &mut Map<String, Value>, claim: &str, value: &Value) -> bool {
    let mut has_one = false;
    for block in blocks(document) {
        for (name, condition) in block.iter_mut() {
            // A pointer of one step is the claim of that name.
            if name == claim || name.strip_prefix('/') == Some(claim) {
                has_one = true;
                if !is_exact(condition) {
                    *condition = pinned(value);
                }
            }
        }
    }
    has_one
}

/// Whether a condition accepts one value only.
fn is_exact(condition: &Value) -> bool {
    match condition {
        Value::String(text) => Pattern::parse(text).is_ok_and(|pattern| pattern.is_exact()),
        Value::Number(_) | Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A value as a condition that accepts nothing else.
fn pinned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(Pattern::literal(text).as_str()),
        other => other.clone(),
    }
}

/// Adds conditions on exactly these values to `claims`.
fn pin<'a>(document: &mut Map<String, Value>, pins: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut pins = pins.map(|(name, value)| (name.clone(), pinned(value))).peekable();
    if pins.peek().is_some()
        && let Value::Object(claims) = document.entry("claims").or_insert_with(|| json!({}))
    {
        claims.extend(pins);
    }
}

/// A name that the account does not have yet: the last part of the subject.
fn free_name(subject: &str, identities: &[&Map<String, Value>]) -> String {
    let last = subject.rsplit([':', '/']).find(|part| !part.is_empty()).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ');
    let base: String = last.chars().filter(|c| is_plain(*c)).take(MAX_NAME).collect();
    let base = if base.trim().is_empty() { "allowed".to_owned() } else { base.trim().to_owned() };
    let is_free = |name: &str| identities.iter().all(|own| own.get("name").and_then(Value::as_str) != Some(name));
    let numbered = (2..).map(|number| format!("{base} {number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| is_free(name)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wider_of(identity: Value, on: &str, actual: Value) -> Option<Value> {
        let mut identity = identity.as_object().unwrap().clone();
        widen(&mut identity, on, &actual).map(|_| Value::Object(identity))
    }

    #[test]
    fn one_more_value_stands_beside_those_that_are_accepted_and_is_no_pattern() {
        for (before, value, after) in [
            (json!("production"), json!("stag*"), json!(["production", "stag\\*"])),
            (json!(["a", "b"]), json!("c"), json!(["a", "b", "c"])),
            (json!({ "any_of": ["a"] }), json!("c"), json!({ "any_of": ["a", "c"] })),
            (json!(1), json!(2), json!([1, 2])),
        ] {
            let identity = json!({ "name": "i", "github": { "repository": "o/r", "environment": before } });
            let expected = json!({ "name": "i", "github": { "repository": "o/r", "environment": after } });
            assert_eq!(wider_of(identity, "environment", value), Some(expected));
        }
    }

    #[test]
    fn a_condition_that_lists_no_values_is_left_alone() {
        for condition in
            [json!({ "none_of": ["a"] }), json!({ "any_of": ["a"], "or_absent": true }), json!({ "regex": "a" })]
        {
            assert_eq!(wider_of(json!({ "name": "i", "claims": { "x": condition } }), "x", json!("b")), None);
        }
        assert_eq!(wider_of(json!({ "name": "i", "claims": {} }), "x", json!("b")), None, "not in the document");
        assert_eq!(wider_of(json!({ "name": "i", "claims": { "x": "a" } }), "x", json!(["b"])), None, "a list");
        let grants = json!({ "name": "i", "grants": { "deploy": ["read"] }, "claims": { "ref": "main" } });
        assert_eq!(wider_of(grants, "deploy", json!("create")), None, "a grant is no condition");
    }

    #[test]
    fn a_copy_is_pinned_where_a_condition_on_the_claim_accepts_more_than_the_token_s_value() {
        let narrowed = |identity: Value| {
            let mut document = identity.as_object().unwrap().clone();
            let has_one = narrow(&mut document, "project_id", &json!("20"));
            (has_one, Value::Object(document))
        };
        let id = json!("20");
        for open in [
            json!("2*"),
            json!(["20", "21"]),
            json!({ "present": true }),
            json!({ "any_of": ["20"], "or_absent": true }),
            json!({ "none_of": ["7"] }),
        ] {
            for name in ["project_id", "/project_id"] {
                let identity = json!({ "name": "i", "claims": { name: open } });
                assert_eq!(
                    narrowed(identity),
                    (true, json!({ "name": "i", "claims": { name: id } })),
                    "{name}: {open}"
                );
            }
            let identity = json!({ "gitlab": { "project_id": open, "ref": "main" } });
            assert_eq!(narrowed(identity), (true, json!({ "gitlab": { "project_id": id, "ref": "main" } })), "{open}");
        }
        for exact in [json!({ "gitlab": { "project_id": 20 } }), json!({ "claims": { "project_id": "20" } })] {
            assert_eq!(narrowed(exact.clone()), (true, exact));
        }
        // A grant of that name is no condition.
        let grants = json!({ "grants": { "project_id": ["read"] }, "claims": { "ref": "main" } });
        assert_eq!(narrowed(grants.clone()), (false, grants));
    }

    #[test]
    fn a_name_comes_from_the_subject_and_is_free() {
        let taken = json!({ "name": "main" });
        let taken = [taken.as_object().unwrap()];
        for (subject, name) in [
            ("repo:o/r:ref:refs/heads/main", "main 2"),
            ("repo:o/r:environment:staging", "staging"),
            ("\u{202e}<b>", "b"),
            (":/", "allowed"),
        ] {
            assert_eq!(free_name(subject, &taken), name, "{subject}");
        }
    }
}
