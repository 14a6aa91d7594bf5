//! The refused token, as far as its refusal tells of it.

use serde_json::{Map, Value};
use sts_claims::{ClaimPath, ClaimSet};
use sts_policy::{Facts, Memberships, RequestedNames};
use sts_service::RememberedRefusal;
use sts_types::{EntryName, UnixTime};

/// The claims that the rules looked at and those that tell where the token comes from, all verified.
pub(super) struct Evidence {
    entry: EntryName,
    claims: ClaimSet,
    asked: Vec<String>,
    scope: Option<String>,
}

/// A condition of the nearest identity, as the trace has it.
struct TracedCondition {
    on: String,
    /// `None` where the claim is absent, or too long to be kept whole.
    actual: Option<Value>,
}

impl Evidence {
    /// `None` if the refusal does not tell the whole subject of a verified token.
    pub(super) fn of(refusal: &RememberedRefusal) -> Option<Self> {
        let presented = refusal.presented.as_ref().filter(|presented| presented.verified)?;
        let mut claims = Map::new();
        for condition in conditions(refusal).iter().filter(|condition| is_claim(&condition.on)) {
            if let (Some(value), Ok(path)) = (&condition.actual, ClaimPath::parse(&condition.on)) {
                put(&mut claims, &path, value.clone());
            }
        }
        for (name, value) in &refusal.origin {
            put(&mut claims, &ClaimPath::parse(name).ok()?, value.clone());
        }
        claims.get("sub")?.as_str()?;
        claims.insert("iss".to_owned(), presented.iss.as_deref()?.into());
        claims.insert("aud".to_owned(), presented.aud.clone().into());
        Some(Self {
            entry: EntryName::new(refusal.issuer_entry.as_deref()?).ok()?,
            claims: claims.into(),
            asked: refusal.asked.clone(),
            scope: refusal.scope.clone(),
        })
    }

    pub(super) fn entry(&self) -> &EntryName {
        &self.entry
    }

    pub(super) fn claims(&self) -> &ClaimSet {
        &self.claims
    }

    pub(super) fn subject(&self) -> &str {
        self.claims.text("sub").unwrap_or_default()
    }

    pub(super) fn facts<'a>(&'a self, memberships: &'a dyn Memberships, now: UnixTime) -> Facts<'a> {
        Facts { entry: &self.entry, claims: &self.claims, now, memberships }
    }

    /// The names in the request, with that of the account: it may have been its `client_id`.
    pub(super) fn audience(&self, account: &str) -> Vec<String> {
        let account = Some(account.to_owned()).filter(|account| !self.asked.contains(account));
        account.into_iter().chain(self.asked.iter().cloned()).collect()
    }

    pub(super) fn names<'a>(&'a self, audience: &'a [String]) -> RequestedNames<'a> {
        RequestedNames { audience, scope: self.scope.as_deref(), ..RequestedNames::default() }
    }
}

/// The conditions of the nearest identity.
fn conditions(refusal: &RememberedRefusal) -> Vec<TracedCondition> {
    let traced = refusal.decision.as_ref().and_then(|decision| decision.pointer("/trace/0/conditions")?.as_array());
    let condition = |condition: &Value| {
        let actual = condition.get("actual").and_then(Value::as_str);
        Some(TracedCondition {
            on: condition.get("on")?.as_str()?.to_owned(),
            // A value that was cut is no JSON any more.
            actual: actual.and_then(|text| serde_json::from_str(text).ok()),
        })
    };
    traced.into_iter().flatten().filter_map(condition).collect()
}

/// Whether a condition of the trace is on a claim other than those that have a place of their own.
fn is_claim(on: &str) -> bool {
    !matches!(on, "issuer" | "enabled" | "not_before" | "not_after" | "subject" | "audience")
}

/// Puts the value where the path finds it.
fn put(claims: &mut Map<String, Value>, path: &ClaimPath, value: Value) {
    let Some(pointer) = path.as_str().strip_prefix('/') else {
        claims.insert(path.as_str().to_owned(), value);
        return;
    };
    let parts: Vec<String> = pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, parents)) = parts.split_last() else { return };
    let mut place = claims;
    for parent in parents {
        let inner = place.entry(parent.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        place = inner;
    }
    place.insert(last.clone(), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_put_where_its_path_finds_it() {
        let mut claims = Map::new();
        for (path, value) in [("/kubernetes.io/namespace", "web"), ("/kubernetes.io/a~1b", "x"), ("plain", "y")] {
            put(&mut claims, &ClaimPath::parse(path).unwrap(), json!(value));
        }
        put(&mut claims, &ClaimPath::parse("/plain/below").unwrap(), json!("z"));
        assert_eq!(
            Value::Object(claims.clone()),
            json!({ "kubernetes.io": { "namespace": "web", "a/b": "x" }, "plain": "y" })
        );
        let claims: ClaimSet = claims.into();
        let path = ClaimPath::parse("/kubernetes.io/a~1b").unwrap();
        assert_eq!(claims.find(&path).and_then(sts_claims::Json::as_str), Some("x"));
    }
}
