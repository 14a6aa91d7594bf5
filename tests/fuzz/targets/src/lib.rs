//! What is fuzzed: one function for each reader of untrusted bytes. Each takes any bytes and panics when something that must
//! always hold does not. libFuzzer drives them for hours (`make fuzz`); `tests/smoke.rs` drives them over their seeds, with every
//! test run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "code of tests only: a panic is what a finding looks like"
)]

mod pattern;
mod preset;

use std::path::Path;
use std::sync::Arc;

use jwks_cache::NetworkRule;
use serde_json::Value;
use sts_claims::ClaimSet;
use sts_config::AbsentSecrets;
use sts_directory::{Dn, GroupRef, Sid, UserFilter};
use sts_jose::{Algorithm, CompactJws, KeySet, base64url, decode_base64url};
use sts_policy::RuleSet;
use sts_service::Parameters;
use sts_store::Revocation;
use sts_token::UnverifiedToken;
use sts_types::{Issuer, TokenRecord};

pub use pattern::pattern;
pub use preset::{let_in, preset};

/// A fuzz target: its name, which is also that of its folder of seeds, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 13] = [
    ("compact_jws", compact_jws),
    ("header", header),
    ("claims", claims),
    ("jwk_set", jwk_set),
    ("discovery", discovery),
    ("pattern", pattern),
    ("condition", condition),
    ("preset", preset),
    ("form", form),
    ("json_body", json_body),
    ("configuration", configuration),
    ("record", record),
    ("directory_names", directory_names),
];

/// A token that is read is exactly its three parts, each in its one spelling.
pub fn compact_jws(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = UnverifiedToken::parse(text);
    if CompactJws::parse(text).is_ok() {
        let parts: Vec<&str> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        for part in parts {
            assert_eq!(base64url(&decode_base64url(part).expect("base64url")), part);
        }
    }
}

/// A header that is read is a JSON object for every other reader too, and says the same algorithm.
pub fn header(data: &[u8]) {
    let token = format!("{}.e30.AA", base64url(data));
    if let Ok(jws) = CompactJws::parse(&token) {
        let value: Value = serde_json::from_slice(data).expect("JSON");
        let named = value.get("alg").and_then(Value::as_str).expect("an algorithm");
        assert!(named == jws.header().algorithm.name() || named == "Ed25519");
        assert!(value.get("crit").is_none());
    }
}

/// Claims that are read are the same for another reader.
pub fn claims(data: &[u8]) {
    if let Ok(claims) = ClaimSet::parse(data) {
        let value: Value = serde_json::from_slice(data).expect("JSON");
        let members = value.as_object().expect("an object");
        assert_eq!(members, &claims.to_map());
        for (name, value) in members {
            let own = claims.member(name).expect("a member that was sent");
            assert_eq!(own.to_value(), *value);
            for (name, inner) in value.as_object().into_iter().flatten() {
                assert_eq!(own.get(name).expect("a member that was sent").to_value(), *inner);
            }
            let elements = own.elements().map(|element| element.to_value());
            assert!(elements.eq(value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().cloned()));
        }
    }
}

/// A set that is read is within its bounds.
pub fn jwk_set(data: &[u8]) {
    if let Ok(set) = KeySet::parse(data, &Algorithm::ALL) {
        assert!((1..=sts_jose::MAX_KEYS).contains(&set.keys.len()));
    }
}

/// A discovery document leads to an https URL without credentials, and only for its own issuer.
pub fn discovery(data: &[u8]) {
    let issuer = Issuer::new("https://issuer.example").expect("an issuer");
    let strict = NetworkRule { allow_private_network: false, allow_http: false };
    if let Ok(url) = jwks_cache::read_discovery(data, &issuer, strict) {
        assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none());
        let other = Issuer::new("https://other.example").expect("an issuer");
        assert!(jwks_cache::read_discovery(data, &other, strict).is_err());
    }
}

/// The condition language, in the place where it stands: loading always ends in rules or in findings, and a policy test
/// judges by the rules.
pub fn condition(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let indented = text.replace('\n', "\n              ");
    load(&format!(
        "issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
issuers:
  ci: {{ issuer: https://ci.example, jwks_url: https://ci.example/keys }}
service_accounts:
  octo:
    identities:
      - name: main
        issuer: ci
        subject: main
        claims:
            x:
              {indented}
tests:
  - name: judges
    token: {{ iss: https://ci.example, sub: main, x: main }}
    account: octo
    expect: deny
"
    ));
}

/// A form, and that what comes of it can be asked for.
pub fn form(data: &[u8]) {
    asked(Parameters::from_form(data));
}

/// A JSON body.
pub fn json_body(data: &[u8]) {
    if let Ok(parameters) = Parameters::from_json(data) {
        assert!(serde_json::from_slice::<Value>(data).is_ok_and(|value| value.is_object()));
        asked(Ok(parameters));
    }
}

fn asked(parameters: Result<Parameters<'_>, sts_service::RefusedError>) {
    if let Ok(parameters) = parameters {
        for name in ["subject_token", "audience"] {
            let count = parameters.all(name).count();
            assert!(count <= sts_service::MAX_PARAMETERS);
            if let Ok(one) = parameters.one(name) {
                assert!(count <= 1 && one.is_none_or(|value| !value.is_empty() && !value.contains('\0')));
            }
        }
        let _ = parameters.forbid_repeats(&[]);
    }
}

/// A whole configuration file.
pub fn configuration(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        load(text);
    }
}

/// The rules of that configuration, or findings that say why there are none.
fn load(text: &str) -> Option<Arc<RuleSet>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sts.yaml");
    std::fs::write(&file, text).unwrap();
    let (configuration, report) = sts_config::read(Path::new(&file), &|_| None, AbsentSecrets::Refuse);
    let (findings, _) = report.finish();
    let Some(configuration) = configuration else {
        assert!(findings.is_fatal());
        assert!(!findings.render(false).is_empty());
        return None;
    };
    let rules = RuleSet::compile_with_unsafe(&configuration.into_specs().policy);
    rules.ok().filter(|_| !findings.is_fatal()).map(|compiled| Arc::new(compiled.rules))
}

/// What the store holds, once its seal fits: read, written and read again it is the same.
pub fn record(data: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<TokenRecord>(data) {
        let written = serde_json::to_vec(&record).expect("JSON");
        assert_eq!(serde_json::from_slice::<TokenRecord>(&written).expect("a record"), record);
    }
    if let Ok(revocation) = serde_json::from_slice::<Revocation>(data) {
        let written = serde_json::to_vec(&revocation).expect("JSON");
        assert_eq!(serde_json::from_slice::<Revocation>(&written).expect("a revocation"), revocation);
    }
}

/// A distinguished name is itself and within itself, with any text; a SID has one binary form; a
/// filter that was accepted keeps its text.
pub fn directory_names(data: &[u8]) {
    if let Some(sid) = Sid::from_bytes(data) {
        assert_eq!(sid.to_bytes(), data);
        assert_eq!(sid.to_string().parse(), Ok(sid));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(dn) = Dn::parse(text) {
        assert!(dn.is_within(&dn) && !dn.key().is_empty());
        let below = Dn::parse(&format!("CN=below,{text}"));
        // Longer than a name may be.
        assert!(
            below.is_err() || below.is_ok_and(|below| below.is_within(&dn) && below != dn && !dn.is_within(&below))
        );
    }
    if let Ok(group) = GroupRef::parse(text) {
        assert_eq!(GroupRef::parse(&group.to_string()), Ok(group));
    }
    if let Ok(filter) = UserFilter::parse(text) {
        assert_eq!(filter.as_str(), text);
    }
}
