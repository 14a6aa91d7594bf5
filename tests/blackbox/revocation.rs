//! Revocation by the holder of a token (RFC 7009), and by rules over the records.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Finished, Forge, Request, Server, now, rejoin, until};

fn active(server: &Server, token: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, token)["active"] == true
}

#[test]
fn rv01_rv02_rv03_presenting_the_whole_token_revokes_that_one_token_at_once() {
    let (first, second) = (WORLD.token(&token("svc:octo"), &[]), WORLD.token(&token("svc:octo"), &[]));
    for _ in 0..2 {
        let response = WORLD.revoke(&first);
        assert_eq!((response.status, response.body.as_slice()), (200, b"".as_slice()));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert!(!active(&WORLD, &first));
    }
    assert!(active(&WORLD, &second));
}

#[test]
fn rv01_what_is_not_ours_is_200_without_a_write() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let claims: Value =
        serde_json::from_slice(&sts_testkit::decode_base64url(access.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let forged = Forge::new(&KEYS.nobodys, &claims).header("typ", "at+jwt");
    for token in [
        "x".to_owned(),
        token("svc:octo"),
        forged.sign(),
        rejoin(&access, 2, |_| "AAAA".to_owned()),
        access[..access.len() - 2].to_owned(),
        format!("{access} "),
    ] {
        let response = WORLD.revoke(&token);
        assert_eq!((response.status, response.body.len()), (200, 0), "{token}");
    }
    assert!(active(&WORLD, &access), "a token with the same jti and a wrong signature revoked it");
}

#[test]
fn rv01_the_token_is_required_once_as_a_form_and_a_wrong_hint_is_ignored() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let ask = |parameters: &[(&str, &str)]| WORLD.send(&Request::post_form("/revoke", parameters));
    invalid(&ask(&[]), "request_malformed");
    invalid(&ask(&[("token", "")]), "request_malformed");
    invalid(&ask(&[("token", &access), ("token", "x")]), "request_malformed");
    assert!(active(&WORLD, &access));
    assert_eq!(ask(&[("token", &access), ("token_type_hint", "refresh_token")]).status, 200);
    assert!(!active(&WORLD, &access));
}

#[test]
fn rv02_credentials_that_are_wrong_are_401_and_nothing_is_revoked() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let request = || Request::post_form("/revoke", &[("token", &access)]);
    refused(&WORLD.send(&request().basic("deploy", "wrong")), 401, "invalid_client", "invalid_client");
    refused(&WORLD.send(&request().basic("nobody", "x")), 401, "invalid_client", "invalid_client");
    refused(&WORLD.send(&request().bearer("x")), 401, "invalid_token", "invalid_token");
    let reader = WORLD.token(&token("svc:reader"), &[]);
    refused(&WORLD.send(&request().bearer(&reader)), 403, "insufficient_scope", "insufficient_scope");
    let with_secret = Request::post_form("/revoke", &[("token", &access), ("client_secret", "x")]);
    assert_eq!(WORLD.send(&with_secret).status, 401);
    assert!(active(&WORLD, &access));
    assert_eq!(WORLD.send(&request().basic("deploy", DEPLOY_SECRET)).status, 200);
    assert!(!active(&WORLD, &access));
    let (access, root) = (WORLD.token(&token("svc:octo"), &[]), WORLD.token(&token("svc:root"), &[]));
    assert_eq!(WORLD.send(&Request::post_form("/revoke", &[("token", &access)]).bearer(&root)).status, 200);
    assert!(!active(&WORLD, &access));
}

/// A server with tokens of several accounts, identities and subjects, for rules to revoke.
struct Scene {
    server: Server,
    tokens: Vec<(&'static str, String)>,
}

impl Scene {
    fn new() -> Self {
        let config = world().with(
            "service_accounts/patterns",
            json!({
                "teams": ["deployers"],
                "identities": [{
                    "name": "any", "issuer": "plain", "subject": "svc:p:**", "copy_claims": ["repository"],
                }],
            }),
        );
        let server = Server::start_in(STS, world_site(&config));
        let pattern = |subject: &str, repository: &str| forge(subject).claim("repository", repository).sign();
        let rs256 = Forge::new(&KEYS.rs256, &claims("svc:octo")).sign();
        let sources = [
            ("octo", token("svc:octo")),
            ("octo-rs", rs256),
            ("octo-wide", token_of("https://wide.example", "svc:octo")),
            ("many", token("svc:many")),
            ("p-a-1", pattern("svc:p:a/1", "octo-org/a")),
            ("p-a-2", pattern("svc:p:a/2", "octo-org/b")),
            ("p-b", pattern("svc:p:b", "other-org/a")),
        ];
        let tokens = sources.map(|(name, source)| (name, server.token(&source, &[]))).into();
        Self { server, tokens }
    }

    fn revoke(&self, arguments: &[&str]) -> Finished {
        let mut all = vec!["tokens", "revoke"];
        all.extend_from_slice(arguments);
        self.server.cli(&all)
    }

    fn dead(&self) -> Vec<&'static str> {
        self.tokens.iter().filter(|(_, token)| !active(&self.server, token)).map(|(name, _)| *name).collect()
    }
}

#[test]
fn a_rule_revokes_every_token_that_all_its_fields_fit_at_once() {
    for (arguments, dead) in [
        (vec!["--account", "octo"], vec!["octo", "octo-rs", "octo-wide"]),
        (vec!["--account", OCTO_ID], vec!["octo", "octo-rs", "octo-wide"]),
        (vec!["--account", "octo", "--issuer", "wide"], vec!["octo-wide"]),
        (vec!["--issuer", "wide"], vec!["octo-wide"]),
        (vec!["--identity", "any"], vec!["p-a-1", "p-a-2", "p-b"]),
        (vec!["--subject", "svc:p:a/*"], vec!["p-a-1", "p-a-2"]),
        (vec!["--subject", "svc:p:*"], vec!["p-b"]),
        (vec!["--subject", "svc:many"], vec!["many"]),
        (vec!["--issuer-kid", "rs"], vec!["octo-rs", "octo-wide"]),
        (vec!["--issuer-kid", "rs", "--issuer", "plain"], vec!["octo-rs"]),
        (vec!["--claim", "repository=octo-org/*"], vec!["p-a-1", "p-a-2"]),
        (vec!["--claim", "repository=octo-org/*", "--subject", "svc:p:a/2"], vec!["p-a-2"]),
        (vec!["--account", "octo", "--before", "2020-01-01T00:00:00Z"], vec![]),
        (vec!["--generation", "another", "--account", "octo"], vec![]),
        (vec!["--account", "many", "--reason", "an incident"], vec!["many"]),
    ] {
        let scene = Scene::new();
        scene.revoke(&arguments).ended(0);
        assert_eq!(scene.dead(), dead, "{arguments:?}");
    }
}

#[test]
fn a_rule_by_our_kid_by_generation_or_by_jti_revokes_and_survives_a_crash() {
    let scene = Scene::new();
    let jti = |token: &str| -> String {
        let payload = sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned()
    };
    scene.revoke(&["--jti", &jti(&scene.tokens[3].1)]).ended(0);
    assert_eq!(scene.dead(), ["many"]);
    let shown = scene.server.cli(&["tokens", "show", &jti(&scene.tokens[3].1), "--json"]).ended(0).json();
    assert_eq!((&shown["state"], &shown["account"]), (&json!("revoked"), &json!("many")));
    let header = sts_testkit::decode_base64url(scene.tokens[0].1.split('.').next().unwrap()).unwrap();
    let kid = serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned();
    let Scene { server, tokens } = scene;
    let scene = Scene { server: server.crash_and_restart(), tokens };
    assert_eq!(scene.dead(), ["many"]);
    let shown = scene.server.cli(&["tokens", "show", &jti(&scene.tokens[0].1), "--json"]).ended(0).json();
    let generation = shown["generation"].as_str().unwrap();
    scene.revoke(&["--generation", generation, "--account", "octo", "--issuer", "plain"]).ended(0);
    assert_eq!(scene.dead(), ["octo", "octo-rs", "many"]);
    scene.revoke(&["--generation", generation]).ended(0);
    assert_eq!(scene.dead().len(), scene.tokens.len());
    let Scene { server, .. } = Scene::new();
    let fresh = server.token(&token("svc:octo"), &[]);
    let header = sts_testkit::decode_base64url(fresh.split('.').next().unwrap()).unwrap();
    let own = serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned();
    server.cli(&["tokens", "revoke", "--kid", &kid]).ended(0);
    assert!(active(&server, &fresh), "another server has another key");
    server.cli(&["tokens", "revoke", "--kid", &own]).ended(0);
    assert!(!active(&server, &fresh));
    let Scene { server, tokens } = scene;
    let scene = Scene { server: server.crash_and_restart(), tokens };
    assert_eq!(scene.dead().len(), scene.tokens.len());
}

#[test]
fn who_revoked_when_and_why_is_told_with_every_token_that_a_rule_covers() {
    let scene = Scene::new();
    let begun = now();
    scene.revoke(&["--identity", "any", "--claim", "repository=octo-org/*", "--reason", "runner compromised"]).ended(0);
    let listed = scene.server.cli(&["tokens", "list", "--account", "patterns", "--json"]).ended(0).json();
    let revoked: Vec<&Value> =
        listed["tokens"].as_array().unwrap().iter().filter(|token| token["state"] == "revoked").collect();
    assert_eq!(revoked.len(), 2, "{listed}");
    for token in revoked {
        let revocation = &token["revoked"];
        assert_eq!(revocation["reason"], "runner compromised", "{token}");
        assert_eq!(revocation["by"], "admin token", "{token}");
        assert!((begun..=now()).contains(&revocation["at"].as_i64().unwrap()), "{token}");
        assert_eq!(revocation["scope"]["rule"]["identity"], "any", "{token}");
        let shown = scene.server.cli(&["tokens", "show", token["jti"].as_str().unwrap(), "--json"]).ended(0).json();
        assert_eq!(shown["revoked"], *revocation);
    }
    let rules =
        || scene.server.send_admin(Request::get("/admin/v1/revocation-rules")).json()["revocation_rules"].clone();
    assert_eq!(rules().as_array().unwrap().len(), 1);
    assert_eq!(rules()[0]["reason"], "runner compromised");
    assert!(rules()[0]["until"].as_i64().unwrap() >= begun + 3600, "as long as a token may live that it covers");
    // The revocation of one token is not a rule.
    scene.revoke(&["--jti", listed["tokens"][0]["jti"].as_str().unwrap()]).ended(0);
    assert_eq!(rules().as_array().unwrap().len(), 1);
}

#[test]
fn a_rule_covers_what_was_issued_before_now_and_not_what_comes_later() {
    let server = Server::start_in(STS, world_site(&world()));
    let before = server.token(&token("svc:octo"), &[]);
    server.cli(&["tokens", "revoke", "--account", "octo"]).ended(0);
    let made = now();
    assert!(!active(&server, &before));
    until("another second", || now() > made);
    let after = server.token(&token("svc:octo"), &[]);
    assert!(active(&server, &after));
    assert!(!active(&server, &before));
}

#[test]
fn a_rule_without_any_field_or_with_an_unknown_one_is_refused_and_revokes_nothing() {
    let scene = Scene::new();
    scene.revoke(&[]).ended(1);
    scene.revoke(&["--reason", "no field"]).ended(1);
    scene.revoke(&["--before", "2099-01-01T00:00:00Z"]).ended(1);
    scene.revoke(&["--acount", "octo"]).ended(2);
    scene.revoke(&["--before", "yesterday", "--account", "octo"]).ended(2);
    scene.revoke(&["--subject", "a***"]).ended(1);
    let post = |body: Value| scene.server.send_admin(Request::post_json("/admin/v1/revocations", &body));
    for wrong in [
        json!({}),
        json!({ "acount": "octo" }),
        json!({ "account": "octo", "extra": 1 }),
        json!({ "account": 1 }),
        json!({ "reason": "x" }),
        json!({ "before": now() }),
        json!({ "account": "octo", "before": "yesterday" }),
        json!({ "subject": "a\\" }),
        json!([]),
    ] {
        let response = post(wrong.clone());
        assert_eq!(response.status, 400, "{wrong}: {}", response.text());
    }
    assert_eq!(scene.dead(), Vec::<&str>::new());
    // The command line and the API use the same names.
    let response = post(json!({ "issuer_kid": "rs", "issuer": "plain", "reason": "key theft" }));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(scene.dead(), ["octo-rs"]);
}

#[test]
fn a_jti_kid_or_subject_that_begins_with_a_hyphen_is_a_value_and_no_option() {
    for (arguments, code) in [
        (["tokens", "show", "-abc"].as_slice(), 1),
        (&["tokens", "show", "--json", "-abc"], 1),
        (&["tokens", "list", "--after", "-abc"], 0),
        (&["tokens", "revoke", "--jti", "-abc"], 1),
        (&["tokens", "revoke", "--kid", "-abc"], 0),
        (&["tokens", "revoke", "--issuer-kid", "-abc"], 0),
        (&["tokens", "revoke", "--subject", "-abc"], 0),
    ] {
        WORLD.cli(arguments).ended(code);
    }
}

#[test]
fn a_revoked_bearer_token_opens_nothing() {
    let server = Server::start_in(STS, world_site(&world()));
    let root = server.token(&token("svc:root"), &[]);
    let list = || sts_testkit::send(server.admin(), &Request::get("/admin/v1/keys").bearer(&root)).status;
    assert_eq!(list(), 200);
    assert_eq!(server.revoke(&root).status, 200);
    assert_eq!(list(), 401);
}
