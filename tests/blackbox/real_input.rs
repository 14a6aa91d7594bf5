//! Input of real platforms: published tokens with their issuers' own keys, and every platform's
//! claims (these files contain pitfalls 1 to 16 of workload identity).

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{
    Algorithm, Config, Finished, Forge, Key, Sample, Server, Site, base64url, claims_samples, corpus_json, now,
    recorded_token, rejoin,
};

/// A published token, its time, and a rule that matches it.
struct Recorded {
    name: &'static str,
    issuer: &'static str,
    iat: i64,
    exp: i64,
    identity: Value,
}

fn recorded() -> [Recorded; 2] {
    [
        Recorded {
            name: "github-actions",
            issuer: "https://token.actions.githubusercontent.com",
            iat: 1_743_246_227,
            exp: 1_743_267_827,
            identity: json!({
                "name": "i", "issuer": "entry",
                "github": { "repository": "rgl/github-actions-validate-jwt", "repository_id": 957_014_466, "ref": "refs/heads/main" },
            }),
        },
        Recorded {
            name: "gitlab-self-managed",
            issuer: "https://gitlab.example.com",
            iat: 1_677_188_547,
            exp: 1_677_192_147,
            identity: json!({
                "name": "i", "issuer": "entry",
                "subject": "project_path:example/gitlab-ci-validate-jwt:ref_type:branch:ref:master",
                "claims": { "project_id": "2", "ref_protected": "true" },
            }),
        },
    ]
}

fn site(recorded: &Recorded, token: &str) -> Site {
    let preset = if recorded.name == "gitlab-self-managed" { "gitlab" } else { "github-actions" };
    let config = world()
        .with(
            "issuers/entry",
            json!({
                "issuer": recorded.issuer,
                "preset": preset,
                "audience": "https://example.com",
                "jwks_file": "recorded.jwks.json",
            }),
        )
        .with("service_accounts/recorded", json!({ "teams": ["deployers"], "identities": [recorded.identity] }));
    let site = world_site(&config);
    site.write("recorded.jwks.json", corpus_json(&format!("issuers/{}.jwks.json", recorded.name)).to_string());
    site.write("token", token);
    site
}

fn explain(site: &Site, at: &str) -> Finished {
    STS.run(site.root(), &["explain", "--config", "sts.yaml", "--token", "token", "--account", "recorded", "--at", at])
}

fn reason(site: &Site, at: i64) -> Value {
    let arguments = ["explain", "--config", "sts.yaml", "--token", "token", "--json", "--at", &at.to_string()];
    let finished = STS.run(site.root(), &arguments);
    finished.json().get("reason").cloned().unwrap_or(json!("granted"))
}

#[test]
fn a_published_token_is_granted_at_its_time_by_its_issuer_s_own_keys() {
    for recorded in recorded() {
        let site = site(&recorded, &recorded_token(recorded.name));
        let explained = explain(&site, &(recorded.iat + 60).to_string()).ended(0);
        assert!(explained.first_line().contains("granted"), "{}", explained.stdout);
        for (at, expected) in [
            (recorded.iat - 30, "granted"),
            (recorded.iat - 61, "token_not_yet_valid"),
            (recorded.exp + 59, "granted"),
            (recorded.exp + 60, "token_expired"),
        ] {
            assert_eq!(reason(&site, at), expected, "{} at {at}", recorded.name);
        }
        let now = STS.run(site.root(), &["explain", "--config", "sts.yaml", "--token", "token"]).ended(1);
        assert!(now.first_line().contains("token_expired"), "{}", now.stdout);
    }
    let site = site(&recorded()[0], &recorded_token("github-actions"));
    explain(&site, "2025-03-29T11:05:00Z").ended(0);
}

#[test]
fn c015_a_published_token_that_was_touched_is_refused() {
    let [github, _] = recorded();
    let whole = recorded_token(github.name);
    let payload = corpus_json("issuers/github-actions.recorded-token.json")["payload"].as_str().unwrap().to_owned();
    for (expected, token) in [
        ("signature_invalid", rejoin(&whole, 1, |_| base64url(payload.replace("\"rgl\"", "\"rgI\"").as_bytes()))),
        (
            "signature_invalid",
            rejoin(&whole, 1, |_| base64url(payload.replace("refs/heads/main", "refs/heads/evil").as_bytes())),
        ),
        ("signature_invalid", rejoin(&whole, 2, |signature| format!("A{}", &signature[1..]))),
        ("token_malformed", rejoin(&whole, 2, |signature| format!("{signature}="))),
        ("token_malformed", whole.trim_end_matches(|c| c != '.').to_owned() + "!"),
    ] {
        assert_eq!(reason(&site(&github, &token), github.iat + 60), expected);
    }
}

/// The preset of a platform whose issuers have private hosts. The others are recognised by their
/// URL.
fn self_hosted(sample: &str) -> Option<&'static str> {
    Some(match sample {
        "github-enterprise-server" => "github-actions",
        "forgejo-actions" => "forgejo",
        "jenkins-oidc-provider" => "jenkins",
        "keycloak-client-credentials" => "keycloak",
        "auth0-client-credentials" => "auth0",
        "okta-client-credentials" => "okta",
        "octopus-deploy" => "octopus",
        "spiffe-jwt-svid" => "spiffe",
        "kubernetes" | "kubernetes-default-token" => "kubernetes",
        _ => return None,
    })
}

/// A key for each sample's algorithm, under its own kid.
fn key(sample: &Sample) -> Key {
    let algorithm = match sample.header["alg"].as_str().unwrap() {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        other => {
            assert_eq!(other, "RS256");
            Algorithm::RS256
        }
    };
    Key::new(algorithm, sample.header["kid"].as_str().unwrap())
}

/// A server for one sample: its issuer, its own `aud`, and an account with its exact subject.
fn server(sample: &Sample, key: &Key, preset: Option<&str>) -> Server {
    let text = |name: &str| sample.claims[name].as_str().unwrap().to_owned();
    let audience = sample.claims.get("aud").cloned().unwrap_or_else(|| json!("https://sts.octo.example"));
    let mut entry = json!({ "issuer": text("iss"), "audience": audience, "jwks": Key::set(&[key]) });
    if let Some(preset) = preset {
        entry["preset"] = json!(preset);
    }
    let config = Config::new()
        .with("apis/deploy", json!({ "audience": DEPLOY, "scopes": ["releases:read"] }))
        .with("issuers/platform", entry)
        .with(
            "service_accounts/exact",
            json!({
                "grants": { "deploy": ["releases:read"] },
                "identities": [{ "name": "exact", "issuer": "platform", "subject": text("sub") }],
            }),
        );
    Server::start(STS, &config)
}

fn token(sample: &Sample, key: &Key) -> String {
    let forged = Forge::new(key, &sample.at(now() - 60));
    let forged = match sample.header.get("typ") {
        Some(typ) => forged.header("typ", typ.clone()),
        None => forged.no_header("typ"),
    };
    let members =
        sample.header.as_object().unwrap().iter().filter(|(name, _)| !["alg", "kid", "typ"].contains(&name.as_str()));
    members.fold(forged, |forged, (name, value)| forged.header(name, value.clone())).sign()
}

#[test]
fn every_platform_s_token_is_granted_by_its_exact_subject_but_for_those_that_must_not_be() {
    for sample in claims_samples() {
        let name = sample.name.as_str();
        if ["kubernetes-legacy", "github-actions-pull-request"].contains(&name) {
            continue;
        }
        let key = key(&sample);
        let server = server(&sample, &key, self_hosted(name));
        let expected = match name {
            "kubernetes-default-token" => "token_too_old",
            "keycloak-client-credentials" => "token_malformed",
            _ => "granted",
        };
        assert_eq!(reason_of(&server.exchange(&token(&sample, &key), &[])), expected, "{name}");
    }
}

#[test]
fn fld30_a_legacy_kubernetes_token_needs_keys_of_the_entrys_own_and_still_lacks_its_times() {
    let sample = Sample::of("kubernetes-legacy");
    let key = key(&sample);
    let legacy = token(&sample, &key);
    let honest = Sample::of("kubernetes");
    let server = server(&honest, &key, Some("kubernetes"));
    invalid(&server.exchange(&legacy, &[]), "issuer_unknown");
    let entry = json!({ "issuer": sample.claims["iss"], "jwks": Key::set(&[&key]) });
    let site = Site::with(&Config::new().with("issuers/legacy", entry));
    STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(0);
    let fetched = Site::with(&Config::new().with("issuers/legacy/issuer", sample.claims["iss"].clone()));
    STS.run(fetched.root(), &["check", "--config", "sts.yaml"]).ended(2);
    // Under the cluster's issuer it still lacks `exp` and `aud`.
    let bent = Forge::new(&key, &sample.at(now())).claim("iss", honest.claims["iss"].clone()).sign();
    invalid(&server.exchange(&bent, &[]), "token_malformed");
}

#[test]
fn a_managed_identity_token_of_a_day_is_granted_with_its_preset_only() {
    let sample = Sample::of("azure-managed-identity-v1");
    let key = key(&sample);
    let by_url = server(&sample, &key, None);
    assert_eq!(reason_of(&by_url.exchange(&token(&sample, &key), &[])), "granted");
    drop(by_url);
    let without = server(&sample, &key, Some("none"));
    invalid(&without.exchange(&token(&sample, &key), &[]), "token_too_old");
}

#[test]
fn a_pull_request_verifies_and_policy_refuses_it() {
    let (pull, branch) = (Sample::of("github-actions-pull-request"), Sample::of("github-actions"));
    let key = key(&branch);
    let server = server(&branch, &key, None);
    assert_eq!(reason_of(&server.exchange(&token(&branch, &key), &[])), "granted");
    invalid(&server.exchange(&token(&pull, &key), &[]), "not_authorized");
    // Also by a rule on the claims that both share.
    let config = world()
        .with("issuers/github", json!({
            "issuer": pull.claims["iss"], "audience": pull.claims["aud"], "jwks": Key::set(&[&key]),
        }))
        .with("service_accounts/claims", json!({
            "teams": ["deployers"],
            "identities": [{ "name": "i", "issuer": "github", "github": { "repository_id": pull.claims["repository_id"] } }],
        }));
    let server = Server::start_in(STS, world_site(&config));
    granted(&server.exchange(&token(&branch, &key), &[("audience", "claims")]));
    invalid(&server.exchange(&token(&pull, &key), &[("audience", "claims")]), "not_authorized");
}

#[test]
fn c143_a_clock_that_runs_ahead_by_seconds_is_within_the_leeway() {
    let sample = Sample::of("github-actions");
    let key = key(&sample);
    let server = server(&sample, &key, None);
    let ahead = |seconds: i64| {
        let token = Forge::new(&key, &sample.at(now() + seconds)).sign();
        reason_of(&server.exchange(&token, &[]))
    };
    assert_eq!(ahead(10), "granted");
    assert_eq!(ahead(50), "granted");
    assert_eq!(ahead(120), "token_not_yet_valid");
}
