//! Accounts that act for others (RFC 8693 section 4.1).

use crate::grants_support::*;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Response, Server};

/// The exchange of `front`'s ID token with an actor's ID token.
fn acted(server: &Server, subject: &str, actor: &str, more: &[(&str, &str)]) -> Response {
    server.exchange(subject, &[&[("actor_token", actor), ("actor_token_type", ID_TOKEN)], more].concat())
}

#[test]
fn tx12_an_actor_that_the_account_lists_acts_by_an_id_token_or_a_token_of_ours() {
    let front = token("svc:front");
    let robot = GRANTS.token(&token("svc:robot"), &[]);
    for (actor, kind) in [(token("svc:robot"), ID_TOKEN), (robot, ACCESS_TOKEN)] {
        let response = GRANTS.exchange(&front, &[("actor_token", &actor), ("actor_token_type", kind)]);
        let access = access_token(&response);
        let claims = payload(&access);
        assert_eq!((&claims["sub"], &claims["act"]), (&json!("front"), &json!({ "sub": "robot" })));
        let body = GRANTS.introspect("deploy", DEPLOY_SECRET, &access);
        assert_eq!((&body["active"], &body["act"]), (&json!(true), &json!({ "sub": "robot" })));
    }
}

#[test]
fn tx03_tx12_c083_an_actor_that_may_not_act_is_refused_and_never_dropped() {
    let front = token("svc:front");
    let bent = |name: &str, value: Value| forge("svc:robot").claim(name, value).sign();
    let expired = bent("exp", json!(sts_testkit::now() - 600));
    let foreign = bent("iss", json!("https://stranger.example"));
    let elsewhere = bent("aud", json!("https://elsewhere.example"));
    let forged = sts_testkit::Forge::new(&KEYS.nobodys, &claims("svc:robot")).sign();
    for (subject, actor, expected) in [
        (&front, token("svc:octo"), "not_authorized"),
        (&front, token("svc:front"), "not_authorized"),
        (&front, token("svc:nobody"), "not_authorized"),
        (&front, expired, "token_expired"),
        (&front, foreign, "issuer_unknown"),
        (&front, elsewhere, "token_audience"),
        (&front, forged, "signature_invalid"),
        (&front, "x".to_owned(), "token_malformed"),
        // This account lets nobody act.
        (&token("svc:octo"), token("svc:robot"), "not_authorized"),
    ] {
        assert_eq!(reason_of(&acted(&GRANTS, subject, &actor, &[])), expected, "{actor:.40}");
    }
    let robot = token("svc:robot");
    for shape in [
        &[("actor_token", robot.as_str())][..],
        &[("actor_token_type", ID_TOKEN)],
        &[("actor_token", ""), ("actor_token_type", ID_TOKEN)],
        &[("actor_token", &robot), ("actor_token_type", "urn:ietf:params:oauth:token-type:saml2")],
        &[("actor_token", &robot), ("actor_token", &robot), ("actor_token_type", ID_TOKEN)],
    ] {
        invalid(&GRANTS.exchange(&front, shape), "request_malformed");
    }
    // The fault of the actor's token is said to be that.
    let response = acted(&GRANTS, &front, &bent("exp", json!(sts_testkit::now() - 600)), &[]);
    assert!(response.text().contains("`actor_token`: the actor token has expired"), "{}", response.text());
}

#[test]
fn tx13_c056_may_act_of_the_subject_token_must_fit_the_actor_in_all_of_its_members() {
    let robot = GRANTS.token(&token("svc:robot"), &[]);
    for (may_act, by_id_token, by_own) in [
        (json!({ "sub": "svc:robot", "iss": PLAIN }), "granted", "not_authorized"),
        (json!({ "sub": "svc:robot" }), "granted", "not_authorized"),
        (json!({ "sub": "robot", "iss": US }), "not_authorized", "granted"),
        // Without `iss` it is a subject of the token's own issuer.
        (json!({ "sub": "robot" }), "not_authorized", "not_authorized"),
        // Who has nothing but the issuer is anybody.
        (json!({ "iss": PLAIN }), "not_authorized", "not_authorized"),
        (json!({ "iss": US }), "not_authorized", "not_authorized"),
        (json!({ "client_id": "robot", "iss": US }), "not_authorized", "not_authorized"),
        (json!({ "sub": "svc:robot", "iss": "https://other.example" }), "not_authorized", "not_authorized"),
        (json!({ "sub": "svc:relay", "iss": PLAIN }), "not_authorized", "not_authorized"),
        (json!({ "sub": "svc:robot", "iss": PLAIN, "email": "x" }), "not_authorized", "not_authorized"),
        (json!({}), "not_authorized", "not_authorized"),
        (json!("svc:robot"), "not_authorized", "not_authorized"),
        (json!(["svc:robot"]), "not_authorized", "not_authorized"),
        (Value::Null, "not_authorized", "not_authorized"),
    ] {
        let subject = forge("svc:front").claim("may_act", may_act.clone()).sign();
        assert_eq!(reason_of(&acted(&GRANTS, &subject, &token("svc:robot"), &[])), by_id_token, "{may_act}");
        let own = [("actor_token", robot.as_str()), ("actor_token_type", ACCESS_TOKEN)];
        assert_eq!(reason_of(&GRANTS.exchange(&subject, &own)), by_own, "{may_act}");
        // It holds for the tokens that were made from the subject token, too.
        let mut descendant = GRANTS.token(&subject, &[]);
        for _ in 0..2 {
            assert!(payload(&descendant).get("may_act").is_none());
            let id_token = token("svc:robot");
            let by = [("actor_token", id_token.as_str()), ("actor_token_type", ID_TOKEN)];
            assert_eq!(reason_of(&exchange_own(&GRANTS, &descendant, &by)), by_id_token, "{may_act}");
            assert_eq!(reason_of(&exchange_own(&GRANTS, &descendant, &own)), by_own, "{may_act}");
            descendant = access_token(&exchange_own(&GRANTS, &descendant, &[]));
        }
        // Without an actor the subject acts for itself.
        granted(&GRANTS.exchange(&subject, &[]));
    }
}

#[test]
fn tx12_actors_nest_at_most_four_deep_and_are_never_dropped() {
    let front = token("svc:front");
    let mut last = access_token(&acted(&GRANTS, &front, &token("svc:relay"), &[]));
    let mut expected = json!({ "sub": "relay" });
    for actor in ["relay-2", "relay-3", "relay-4"] {
        let id_token = token(&format!("svc:{actor}"));
        let more = [("actor_token", id_token.as_str()), ("actor_token_type", ID_TOKEN)];
        last = access_token(&exchange_own(&GRANTS, &last, &more));
        expected = json!({ "sub": actor, "act": expected });
        assert_eq!(payload(&last)["act"], expected);
    }
    assert_eq!(introspected(&GRANTS, &last)["act"], expected);
    // A chain of tokens keeps its actors.
    let relayed = access_token(&acted(&GRANTS, &front, &token("svc:relay"), &[]));
    let child = access_token(&exchange_own(&GRANTS, &relayed, &[]));
    assert_eq!(payload(&child)["act"], json!({ "sub": "relay" }));
    // Who acts for somebody else is not that account.
    let more = [("actor_token", relayed.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    invalid(&GRANTS.exchange(&front, &more), "token_type_refused");
    // A foreign `act` is nobody's of ours.
    let foreign = forge("svc:front").claim("act", json!({ "sub": "root", "act": { "sub": "x" } })).sign();
    assert!(payload(&GRANTS.token(&foreign, &[])).get("act").is_none());
}

#[test]
fn tx12_an_actor_token_at_the_end_of_its_chain_makes_no_longer_one() {
    let front = token("svc:front");
    let mut robot = GRANTS.token(&token("svc:robot"), &[]);
    for depth in 0..4 {
        let acted = GRANTS.exchange(&front, &[("actor_token", &robot), ("actor_token_type", ACCESS_TOKEN)]);
        if depth == 3 {
            invalid(&acted, "token_type_refused");
            assert!(acted.text().contains("`actor_token`"), "{}", acted.text());
        } else {
            granted(&acted);
            robot = access_token(&exchange_own(&GRANTS, &robot, &[]));
        }
    }
}

#[test]
fn tx15_a_delegated_token_lives_no_longer_than_both_tokens_and_spends_a_one_use_actor() {
    let short = forge("svc:robot").claim("exp", sts_testkit::now() + 40).sign();
    let body = granted(&acted(&GRANTS, &token("svc:front"), &short, &[]));
    assert!(body["expires_in"].as_u64().unwrap() <= 40, "{body}");
    let once = forge("svc:robot-once").claim("iss", "https://once.example").claim("jti", "actor-once").sign();
    granted(&acted(&GRANTS, &token("svc:front"), &once, &[]));
    invalid(&acted(&GRANTS, &token("svc:front"), &once, &[]), "token_replayed");
    invalid(&GRANTS.exchange(&once, &[]), "token_replayed");
}

#[test]
fn tx12_what_ends_the_actor_ends_its_delegated_tokens_on_both_stores() {
    on_both_stores(|server| {
        let front = token("svc:front");
        let robot = server.token(&token("svc:robot"), &[]);
        let by_token = access_token(
            &server.exchange(&front, &[("actor_token", robot.as_str()), ("actor_token_type", ACCESS_TOKEN)]),
        );
        let by_id_token = access_token(&acted(server, &front, &token("svc:robot"), &[]));
        let alone = server.token(&front, &[]);
        assert!([&by_token, &by_id_token, &alone].iter().all(|token| is_active(server, token)));
        assert_eq!(server.revoke(&robot).status, 200);
        assert_eq!([&by_token, &by_id_token, &alone].map(|token| is_active(server, token)), [false, true, true]);
        let rule = json!({ "account": "robot", "reason": "incident" });
        let request = sts_testkit::Request::post_json("/admin/v1/revocations", &rule);
        assert_eq!(server.send_admin(request).status, 200);
        assert_eq!([&by_id_token, &alone].map(|token| is_active(server, token)), [false, true]);
    });
}

#[test]
fn a_refused_actor_is_explained_to_the_owner() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let expired = forge("svc:robot").claim("exp", sts_testkit::now() - 600).sign();
    let may_act = forge("svc:front").claim("may_act", json!({ "sub": "x" })).sign();
    for (subject, actor, words) in [
        (token("svc:octo"), token("svc:robot"), &["not_authorized", "`octo` lets nobody act", "delegation"][..]),
        (token("svc:front"), token("svc:octo"), &["not_authorized", "`front`", "delegation.actors"]),
        (may_act, token("svc:robot"), &["not_authorized", "`may_act`"]),
        (token("svc:front"), expired, &["token_expired", "exp"]),
    ] {
        let response = acted(&server, &subject, &actor, &[]);
        let id = response.header("x-request-id").unwrap();
        let explained = server.cli(&["explain", "--denial", id]).ended(1).text();
        let first = explained.lines().next().unwrap();
        assert!(words.iter().all(|word| first.contains(word)), "{first}");
    }
}

#[test]
fn an_actor_that_does_not_exist_is_an_error_of_the_configuration() {
    let site = world_site(&grants_world().with("service_accounts/front/delegation/actors", json!(["robto"])));
    let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2).text();
    assert!(checked.contains("unknown-actor") && checked.contains("robot"), "{checked}");
}
