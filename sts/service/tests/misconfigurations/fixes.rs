//! Fixes outside identities and grants: each that is named is made, by what its text says, loaded, and judged again.

use regex::Regex;
use serde_json::{Map, Value, json};
use sts_claims::ClaimSet;
use sts_policy::RequestedNames;
use sts_service::Presented;

use crate::support::{CONFIG, NOW, bare, explain, snapshot, words};

const ENTRY: &str = "max_token_age: 10m, replay: once";

/// A configuration and a token, of which something is wrong.
#[derive(Clone)]
struct World {
    /// Settings of the entry `ci`.
    entry: Vec<(&'static str, String)>,
    /// Keys of the account.
    account: String,
    claims: Map<String, Value>,
    audience: Vec<String>,
}

impl World {
    fn new(entry: &[(&'static str, &str)], account: &str, changes: &Value) -> Self {
        let mut claims = bare();
        claims.insert("aud".to_owned(), json!("https://sts.example.com"));
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() { drop(claims.remove(name)) } else { drop(claims.insert(name.clone(), value.clone())) }
        }
        let entry = entry.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { entry, account: account.to_owned(), claims, audience: words(&["octo-deploy"]) }
    }

    fn judged(&self, claims: &Map<String, Value>) -> sts_service::Explanation {
        let entry: Vec<String> = self.entry.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let identity = "{ issuer: ci, subject: \"svc:octo\" }";
        let config = CONFIG
            .replace(ENTRY, &format!("replay: once{}{}", if entry.is_empty() { "" } else { ", " }, entry.join(", ")))
            .replace("IDENTITY", identity)
            .replace("ACCOUNT", &self.account)
            .replace("MORE", "");
        let asked = RequestedNames { audience: &self.audience, ..RequestedNames::default() };
        let claims: ClaimSet = claims.clone().into();
        explain(&snapshot(&config, Vec::new()), Presented::Claims { claims, entry: None }, &asked)
    }

    /// The worlds in which one of the named changes was made.
    fn mended(&self, fix: &str) -> Vec<Self> {
        let mut all = Vec::new();
        let entry = Regex::new(
            "write `(leeway|max_token_lifetime|max_token_age|require_iat|enabled): ([^`]+)` on issuer entry `ci`",
        )
        .unwrap();
        for found in entry.captures_iter(fix) {
            let mut world = self.clone();
            let name = ["leeway", "max_token_lifetime", "max_token_age", "require_iat", "enabled"];
            let name = name.into_iter().find(|own| *own == &found[1]).unwrap();
            world.entry.retain(|(own, _)| *own != name);
            world.entry.push((name, found[2].to_owned()));
            all.push(world);
        }
        let account = Regex::new("`(enabled: true|default_api: [a-z]+)` on the account").unwrap();
        for found in account.captures_iter(fix) {
            let kept: Vec<&str> = self.account.split(',').filter(|own| !own.contains("enabled")).collect();
            all.push(Self { account: format!("{} {},", kept.join(","), &found[1]), ..self.clone() });
        }
        let bound = Regex::new(r"(?:an earlier `(not_before)` \(|a later `(not_after)` \(after )([0-9TZ:-]+)").unwrap();
        for found in bound.captures_iter(fix) {
            let (name, at) = match found.get(1) {
                Some(_) => ("not_before", found[3].to_owned()),
                None => ("not_after", found[3].replace("2026", "2027")),
            };
            all.push(Self { account: format!("{name}: {at},"), ..self.clone() });
        }
        let audience = Regex::new("(?:request the token with the audience|whose `aud` is) \"([^\"]+)\"").unwrap();
        for found in audience.captures_iter(fix) {
            let mut world = self.clone();
            world.claims.insert("aud".to_owned(), json!(&found[1]));
            all.push(world);
        }
        if fix.contains("request a new token") || fix.contains("lives at most") {
            let mut world = self.clone();
            world.claims.extend([("iat".to_owned(), json!(NOW)), ("exp".to_owned(), json!(NOW + 300))]);
            all.push(world);
        }
        all
    }

    /// Tokens of strangers, and tokens that nobody should take.
    fn attacks(&self) -> Vec<Map<String, Value>> {
        let with = |name: &str, value: Value| {
            let mut claims = self.claims.clone();
            claims.insert(name.to_owned(), value);
            claims
        };
        vec![
            with("sub", json!("svc:evil")),
            with("iss", json!("https://ci.example.evil/")),
            with("aud", json!("https://other.example")),
            with("exp", json!(NOW - 3600)),
            with("exp", json!(NOW + 31_536_000)),
            with("iat", json!(NOW + 3600)),
            with("cnf", json!({ "jkt": "x" })),
        ]
    }
}

#[test]
fn fld06_a_fix_outside_the_rules_that_is_named_suffices_is_safe_and_loads() {
    let worlds = [
        World::new(&[], "", &json!({ "iat": NOW + 90 })),
        World::new(&[], "", &json!({ "iat": NOW + 300, "nbf": NOW + 299 })),
        World::new(&[("leeway", "10s")], "", &json!({ "nbf": NOW + 11 })),
        World::new(&[], "", &json!({ "exp": NOW + 172_740 })),
        World::new(&[("max_token_lifetime", "5m")], "", &json!({})),
        World::new(&[("max_token_lifetime", "5m"), ("max_token_age", "20s")], "", &json!({})),
        World::new(&[("max_token_age", "10m")], "", &json!({ "iat": NOW - 1200 })),
        World::new(&[("max_token_age", "10m")], "", &json!({ "iat": NOW - 1200, "aud": "https://other.example" })),
        World::new(&[], "", &json!({ "iat": null })),
        World::new(&[], "", &json!({ "exp": NOW - 200, "iat": NOW - 800 })),
        World::new(&[("enabled", "false")], "", &json!({})),
        World::new(&[("audience", "\"https://a.example\"")], "", &json!({})),
        World::new(&[], "", &json!({ "aud": null })),
        World::new(&[], "enabled: false,", &json!({})),
        World::new(&[], "not_before: 2027-01-01T00:00:00Z,", &json!({})),
        World::new(&[], "not_after: 2026-01-01T00:00:00Z,", &json!({})),
        World::new(&[], "grants: { billing: [\"invoices:read\"] },", &json!({})),
    ];
    for world in worlds {
        let explanation = world.judged(&world.claims);
        let line = explanation.summary;
        let fix = explanation.diagnosis.unwrap_or_else(|| panic!("{line}")).fix.unwrap_or_else(|| panic!("{line}"));
        let mended = world.mended(&fix);
        assert!(!mended.is_empty(), "{line}");
        // Where one change alone does not suffice, the text has each that is needed.
        let steps = fix.contains(", and then ");
        for (at, after) in mended.iter().enumerate() {
            let after = if steps {
                mended.iter().skip(at).skip(1).fold(after.clone(), |own, _| own.mended(&fix).pop().unwrap())
            } else {
                after.clone()
            };
            let now = after.judged(&after.claims);
            assert!(now.is_granted() || (steps && at > 0), "{line}\nand then: {}", now.summary);
            for attack in world.attacks() {
                let is_let_in = after.judged(&attack).is_granted() && !world.judged(&attack).is_granted();
                assert!(!is_let_in, "{line}: {attack:?}");
            }
        }
    }
}

#[test]
fn fld06_a_fix_that_would_not_suffice_names_what_else_is_wrong() {
    let world = World::new(&[], "", &json!({ "exp": NOW - 200, "iat": NOW - 800, "sub": "svc:other" }));
    let line = world.judged(&world.claims).summary;
    for want in [
        "refused: token_expired: ",
        "that mended, the answer is still not_authorized",
        "`subject` is \"svc:other\"",
        ", and then present a token whose `sub` is \"svc:octo\"",
    ] {
        assert!(line.contains(want), "{want}: {line}");
    }
}
