//! Short rules of the presets, as a configuration has them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_policy::{Facts, NoDirectory, Outcome, Preset, RequestedNames, RuleSet};
use sts_types::{EntryName, UnixTime};

const OURS: &str = "https://sts.example.com";

/// A preset's name and, on the lines after it, a short rule of it: loading ends in rules or in findings, and rules that load on
/// an issuer of many tenants never let in both a tenant and a stranger.
pub fn preset(data: &[u8]) {
    let _ = let_in(data);
}

/// Whether a tenant and a stranger are let in; `None` where there are no rules.
pub fn let_in(data: &[u8]) -> Option<(bool, bool)> {
    let (name, rule) = std::str::from_utf8(data).ok()?.split_once('\n')?;
    let preset = Preset::from_name(name)?;
    let key = preset.short_rule_key()?;
    let mut tenant = preset.sample();
    let issuer = tenant.get("iss").and_then(Value::as_str)?.to_owned();
    tenant.insert("aud".to_owned(), OURS.into());
    let rule = rule.replace('\n', "\n          ");
    let text = format!(
        "issuer: {OURS}
listen: 127.0.0.1:8080
data_dir: data
issuers:
  ci: {{ issuer: \"{issuer}\", preset: {name} }}
apis:
  deploy: {{ audience: https://deploy.example.com, scopes: [read] }}
service_accounts:
  octo:
    grants: {{ deploy: [read] }}
    identities:
      - name: main
        issuer: ci
        {key}:
          {rule}
"
    );
    let rules = super::load(&text)?;
    let accepts_tenant = accepts(&rules, tenant.clone());
    let accepts_stranger = accepts(&rules, stranger(&tenant, data));
    let shared = preset.defaults().shared || Preset::shared_by_url(&issuer);
    assert!(!(shared && accepts_tenant && accepts_stranger), "a rule that reaches across owners:\n{text}");
    Some((accepts_tenant, accepts_stranger))
}

fn accepts(rules: &RuleSet, claims: Map<String, Value>) -> bool {
    let entry = EntryName::new("ci").expect("a name");
    let requested = rules.resolve(&RequestedNames::default()).expect("a request");
    let (claims, now) = (ClaimSet::from(claims), UnixTime::from_secs(1_790_000_000));
    let facts = Facts { entry: &entry, claims: &claims, now, memberships: &NoDirectory };
    matches!(rules.decide(facts, &requested), Outcome::Granted(_))
}

/// The same job of somebody else: other names and other ids, which hang on the input, so that no input can list them.
fn stranger(tenant: &Map<String, Value>, data: &[u8]) -> Map<String, Value> {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let hash = hasher.finish();
    let mut claims = tenant.clone();
    for (name, value) in &mut claims {
        if !["iss", "aud", "exp", "iat", "nbf"].contains(&name.as_str()) {
            estrange(value, hash);
        }
    }
    claims
}

fn estrange(value: &mut Value, hash: u64) {
    match value {
        Value::String(text) => {
            let turned: String =
                text.chars().map(|c| c.to_digit(10).map_or(c, |digit| other_digit(digit, hash))).collect();
            *text = turned.replace("octo", &format!("other-{hash:x}"));
        }
        Value::Array(list) => list.iter_mut().for_each(|one| estrange(one, hash)),
        Value::Object(members) => members.values_mut().for_each(|one| estrange(one, hash)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn other_digit(digit: u32, hash: u64) -> char {
    let turn = u32::try_from(hash % 9).unwrap_or_default() + 1;
    char::from_digit((digit + turn) % 10, 10).unwrap_or('0')
}
