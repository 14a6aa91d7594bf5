//! Tokens of ours that are exchanged for others.

use crate::grants_support::*;
use crate::support::*;
use serde_json::json;
use sts_testkit::{Forge, Key, Request, Server};

#[test]
fn c085_tx08_a_token_of_ours_gives_a_narrower_one_of_the_same_account() {
    let root = GRANTS.token(&token("svc:chain"), &[("scope", "deployments:create releases:read")]);
    let child = access_token(&exchange_own(&GRANTS, &root, &[("scope", "releases:read"), ("expires_in", "60")]));
    let (own, parent) = (payload(&child), payload(&root));
    assert_eq!((&own["sub"], &own["client_id"]), (&json!("chain"), &json!("chain")));
    assert_eq!((&own["scope"], &own["aud"]), (&json!("releases:read"), &json!(DEPLOY)));
    assert_eq!((&own["parent"], &own["federated"]), (&parent["jti"], &parent["federated"]));
    assert!(own.get("credential").is_none() && own.get("act").is_none() && own.get("cnf").is_none());
    assert!(own["exp"].as_i64() <= parent["exp"].as_i64());
    let body = GRANTS.introspect("deploy", DEPLOY_SECRET, &child);
    assert_eq!((&body["active"], &body["federated"]), (&json!(true), &parent["federated"]));
    // Another API that the identity grants, and by its URI.
    for more in [[("audience", "billing")], [("resource", BILLING)]] {
        let billing = access_token(&exchange_own(&GRANTS, &root, &more));
        assert_eq!(
            (&payload(&billing)["aud"], &payload(&billing)["scope"]),
            (&json!(BILLING), &json!("invoices:read"))
        );
    }
    // Without a request it has all that is left.
    let all = access_token(&exchange_own(&GRANTS, &child, &[]));
    assert_eq!(payload(&all)["scope"], "releases:read");
}

#[test]
fn c085_no_chain_widens_scope_audience_account_or_life() {
    let root = GRANTS.token(&token("svc:chain"), &[("scope", "releases:read")]);
    for (more, expected) in [
        (&[("scope", "deployments:create")][..], "scope_not_granted"),
        (&[("scope", "sts:admin")], "scope_not_granted"),
        (&[("audience", "sts")], "target_not_granted"),
        (&[("audience", US)], "target_not_granted"),
        (&[("audience", "https://nowhere.example")], "target_not_granted"),
        (&[("audience", "two")], "not_authorized"),
        (&[("audience", "nobody")], "not_authorized"),
        (&[("audience", "chain")], "granted"),
        (&[("audience", "deploy"), ("audience", "billing")], "target_not_granted"),
    ] {
        assert_eq!(reason_of(&exchange_own(&GRANTS, &root, more)), expected, "{more:?}");
    }
    // By way of another API the scopes do not come back.
    let billing = access_token(&exchange_own(&GRANTS, &root, &[("audience", "billing")]));
    let back = exchange_own(&GRANTS, &billing, &[("audience", "deploy"), ("scope", "deployments:create")]);
    assert_eq!(reason_of(&back), "scope_not_granted");
    let back = access_token(&exchange_own(&GRANTS, &billing, &[("audience", "deploy")]));
    assert_eq!(payload(&back)["scope"], "releases:read");
    // What the identity does not grant, its tokens do not give.
    let narrow = GRANTS.token(&token("svc:chain-reads"), &[]);
    assert_eq!(reason_of(&exchange_own(&GRANTS, &narrow, &[("scope", "deployments:create")])), "scope_not_granted");
    assert_eq!(reason_of(&exchange_own(&GRANTS, &narrow, &[("audience", "billing")])), "target_not_granted");
    // The life of the parent is the longest.
    let short = GRANTS.token(&token("svc:chain"), &[("expires_in", "30")]);
    let child = granted(&exchange_own(&GRANTS, &short, &[("expires_in", "600")]));
    assert!(child["expires_in"].as_u64().unwrap() <= 30, "{child}");
    assert!(payload(child["access_token"].as_str().unwrap())["exp"].as_i64() <= payload(&short)["exp"].as_i64());
}

#[test]
fn c085_three_tokens_may_follow_the_first_and_no_fourth() {
    let mut last = GRANTS.token(&token("svc:chain"), &[]);
    for _ in 0..3 {
        last = access_token(&exchange_own(&GRANTS, &last, &[]));
    }
    assert!(is_active(&GRANTS, &last));
    let response = exchange_own(&GRANTS, &last, &[]);
    invalid(&response, "token_type_refused");
    assert!(response.text().contains("three tokens before it"), "{}", response.text());
}

#[test]
fn c085_rv03_revoking_any_ancestor_ends_what_came_from_it_and_nothing_else_on_both_stores() {
    on_both_stores(|server| {
        let chain = || {
            let mut all = vec![server.token(&token("svc:chain"), &[])];
            for _ in 0..3 {
                all.push(access_token(&exchange_own(server, all.last().unwrap(), &[])));
            }
            all
        };
        for at in 0..4 {
            let tokens = chain();
            let sibling = access_token(&exchange_own(server, &tokens[0], &[]));
            assert_eq!(server.revoke(&tokens[at]).status, 200);
            for (index, token) in tokens.iter().enumerate() {
                assert_eq!(is_active(server, token), index < at, "{at} {index}");
                if index >= at && index < 3 {
                    invalid(&exchange_own(server, token, &[]), "not_authorized");
                }
            }
            assert_eq!(is_active(server, &sibling), at > 0);
        }
        // By a rule that names what only the ancestor has: our key, and the moment.
        let tokens = chain();
        let kid = server.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
        let rule = json!({ "kid": kid, "reason": "lost" });
        let answer = server.send_admin(Request::post_json("/admin/v1/revocations", &rule)).json();
        assert!(answer["covered"].as_u64().unwrap() >= 4, "{answer}");
        for token in &tokens {
            assert!(!is_active_by_api(server, token));
        }
        let late = server.token(&token("svc:chain"), &[]);
        invalid(&exchange_own(server, &tokens[0], &[]), "not_authorized");
        assert!(is_active_by_api(server, &late));
    });
}

fn is_active_by_api(server: &Server, token: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, token)["active"] == true
}

#[test]
fn bc07_c025_what_is_no_live_access_token_of_ours_is_refused_by_its_fault() {
    let server = &*GRANTS;
    let access = server.token(&token("svc:chain"), &[]);
    let signing = server.signing_key();
    let copy = || Forge::new(&signing, &payload(&access)).header("typ", "at+jwt");
    let stranger = Key::new(sts_testkit::Algorithm::ES256, signing.kid().unwrap());
    for (what, presented, expected) in [
        ("an ID token", token("svc:chain"), "token_type_refused"),
        ("nothing of ours", "x".to_owned(), "token_malformed"),
        ("a plain JWT under our key", copy().header("typ", "JWT").sign(), "token_type_refused"),
        ("a proof under our key", copy().header("typ", "dpop+jwt").sign(), "token_type_refused"),
        ("an answer of introspection", copy().header("typ", "token-introspection+jwt").sign(), "token_type_refused"),
        ("another issuer", copy().claim("iss", PLAIN).sign(), "issuer_unknown"),
        ("an unknown key", copy().header("kid", "unknown").sign(), "key_unknown"),
        ("another key", Forge::new(&stranger, &payload(&access)).header("typ", "at+jwt").sign(), "signature_invalid"),
        ("expired", copy().claim("exp", sts_testkit::now() - 1).sign(), "token_expired"),
        ("no signature", copy().header("alg", "none").sign_with(|_| Vec::new()), "token_algorithm"),
        // Our key signed them, and they are not the recorded token.
        ("another signature", copy().sign(), "not_authorized"),
        ("more scope", copy().claim("scope", "deployments:create releases:read").sign(), "not_authorized"),
        ("another account", copy().claim("sub", "two").sign(), "not_authorized"),
        ("an unknown jti", copy().claim("jti", "0123456789abcdef0123456789").sign(), "not_authorized"),
    ] {
        assert_eq!(reason_of(&exchange_own(server, &presented, &[])), expected, "{what}");
    }
    // The other way round: a token of ours is no ID token, whatever it is called.
    for kind in [ID_TOKEN, "urn:ietf:params:oauth:token-type:jwt"] {
        let response = server.exchange(&access, &[("subject_token_type", kind)]);
        invalid(&response, "token_type_refused");
    }
    granted(&exchange_own(server, &access, &[]));
}

#[test]
fn c080_a_token_whose_identity_is_gone_gives_no_other_and_its_children_end() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let root = server.token(&token("svc:chain"), &[]);
    let child = access_token(&exchange_own(&server, &root, &[]));
    let disabled = grants_world().with("service_accounts/chain/enabled", false);
    server.site().replace("sts.yaml", disabled.text());
    server.signal("HUP");
    sts_testkit::until("the account is disabled", || !is_active(&server, &root));
    assert!(!is_active(&server, &child));
    let response = exchange_own(&server, &root, &[]);
    invalid(&response, "not_authorized");
    let explained = server.cli(&["explain", "--denial", response.header("x-request-id").unwrap()]).ended(1).text();
    assert!(explained.lines().next().unwrap().contains("`chain` is disabled"), "{explained}");
}

#[test]
fn every_refusal_of_a_token_of_ours_explains_itself_to_the_owner() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let root = server.token(&token("svc:chain"), &[("scope", "releases:read")]);
    let mut deep = server.token(&token("svc:chain"), &[]);
    for _ in 0..3 {
        deep = access_token(&exchange_own(&server, &deep, &[]));
    }
    let revoked = server.token(&token("svc:chain"), &[]);
    assert_eq!(server.revoke(&revoked).status, 200);
    for (presented, more, words) in [
        (
            &root,
            &[("scope", "deployments:create")][..],
            &["scope_not_granted", "releases:read", "identity `plain`"][..],
        ),
        (&root, &[("audience", "sts")], &["target_not_granted", "`billing`"]),
        (&root, &[("audience", "two")], &["not_authorized", "account `chain`", "names another"]),
        (&deep, &[], &["token_type_refused", "3 tokens before it"]),
        (&revoked, &[], &["not_authorized", "was revoked at", "token holder"]),
    ] {
        let response = exchange_own(&server, presented, more);
        let id = response.header("x-request-id").unwrap();
        let explained = server.cli(&["explain", "--denial", id]).ended(1).text();
        let first = explained.lines().next().unwrap();
        assert!(words.iter().all(|word| first.contains(word)), "{more:?}: {first}");
        assert!(!explained.contains(presented.as_str()), "no token is shown");
    }
}

#[test]
fn a_status_list_tells_of_the_tokens_that_came_from_a_revoked_one() {
    let server = Server::start_in(STS, world_site(&grants_world().with("status_list", true)));
    let root = server.token(&token("svc:chain"), &[]);
    let child = access_token(&exchange_own(&server, &root, &[]));
    let front = token("svc:front");
    let robot = server.token(&token("svc:robot"), &[]);
    let more = [("actor_token", robot.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let delegated = access_token(&server.exchange(&front, &more));
    let place = |token: &str| sts_testkit::StatusPlace::of(&payload(token));
    let is_valid = |token: &str| crate::status_lists::is_valid(&server, &place(token));
    assert!(is_valid(&child) && is_valid(&delegated));
    assert_eq!(server.revoke(&root).status, 200);
    assert_eq!(server.revoke(&robot).status, 200);
    sts_testkit::until("both are told as invalid", || !is_valid(&child) && !is_valid(&delegated));
}
