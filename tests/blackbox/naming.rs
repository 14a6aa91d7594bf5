//! How a request names account and target, and how little a refusal reveals.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Response, Server};

/// The account and audience of the minted token, or the reason of the refusal.
fn outcome(response: &Response) -> (String, String) {
    if response.status != 200 {
        return (reason_of(response), String::new());
    }
    let body = response.json();
    let payload = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&sts_testkit::decode_base64url(&payload).unwrap()).unwrap();
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    (text("sub"), text("aud"))
}

/// A subject, its request, and the expected result: account and audience, or the reason.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

#[track_caller]
fn table(cases: &[Case<'_>]) {
    for (subject, asked, first, second) in cases {
        let response = exchange(&token(subject), asked);
        assert_eq!(outcome(&response), ((*first).to_owned(), (*second).to_owned()), "{subject} {asked:?}");
    }
}

#[test]
fn ri01_sb02_an_account_is_named_by_username_or_id_and_a_target_by_name_or_uri() {
    table(&[
        ("svc:octo", &[], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "octo")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", OCTO_ID)], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "octo"), ("audience", OCTO_ID)], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "octo"), ("audience", "octo")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "deploy")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", DEPLOY)], OCTO_ID, DEPLOY),
        ("svc:octo", &[("resource", DEPLOY)], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "octo"), ("audience", "deploy"), ("resource", DEPLOY)], OCTO_ID, DEPLOY),
        ("svc:octo", &[("audience", "deploy"), ("audience", DEPLOY), ("resource", DEPLOY)], OCTO_ID, DEPLOY),
        ("svc:two", &[("audience", "billing")], "two", BILLING),
        ("svc:two", &[("resource", BILLING)], "two", BILLING),
        ("svc:two", &[("audience", BILLING)], "two", BILLING),
        ("svc:two", &[("audience", "two"), ("resource", DEPLOY)], "two", DEPLOY),
    ]);
}

#[test]
fn with_no_api_named_the_only_one_or_the_default_one_is_meant() {
    table(&[
        ("svc:octo", &[], OCTO_ID, DEPLOY),
        ("svc:bare", &[], "bare-user", BARE),
        ("svc:two", &[], "target_required", ""),
        ("svc:two", &[("audience", "two")], "target_required", ""),
        ("svc:two", &[("scope", "invoices:read")], "target_required", ""),
        ("svc:two-by-default", &[], "two-by-default", BILLING),
        ("svc:two-by-default", &[("resource", DEPLOY)], "two-by-default", DEPLOY),
    ]);
}

#[test]
fn tx10_tx11_c082_a_target_that_is_not_granted_is_invalid_target() {
    table(&[
        ("svc:octo", &[("audience", "billing")], "target_not_granted", ""),
        ("svc:octo", &[("audience", BILLING)], "target_not_granted", ""),
        ("svc:octo", &[("resource", BILLING)], "target_not_granted", ""),
        ("svc:octo", &[("resource", "https://unknown.example")], "target_not_granted", ""),
        ("svc:octo", &[("audience", "https://unknown.example")], "target_not_granted", ""),
        ("svc:octo", &[("audience", "some/path")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "https://deploy.example.com#x")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "https://deploy.example.com#")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "https://deploy.example.com/")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "HTTPS://DEPLOY.example.com")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "deploy")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "/relative")], "target_not_granted", ""),
        ("svc:octo", &[("resource", "octo")], "target_not_granted", ""),
        ("svc:octo", &[("audience", "deploy"), ("audience", "billing")], "target_not_granted", ""),
        ("svc:octo", &[("resource", DEPLOY), ("resource", BILLING)], "target_not_granted", ""),
        ("svc:octo", &[("resource", DEPLOY), ("resource", "https://unknown.example")], "target_not_granted", ""),
        ("svc:two", &[("audience", "deploy"), ("resource", BILLING)], "target_not_granted", ""),
        // Our own API and issuer: granted like any other, never by default.
        ("svc:octo", &[("audience", "sts")], "target_not_granted", ""),
        ("svc:octo", &[("resource", US)], "target_not_granted", ""),
    ]);
    let many: Vec<(&str, &str)> = (0..40).map(|_| ("resource", "https://unknown.example")).collect();
    refused(&exchange(&token("svc:octo"), &many), 400, "invalid_target", "target_not_granted");
    refused(&exchange(&token("svc:two"), &[]), 400, "invalid_target", "target_required");
}

#[test]
fn f7_values_that_name_two_accounts_are_malformed_once_the_token_is_verified() {
    for names in [["octo", "two"], [OCTO_ID, "two"], ["octo", "nobody"], ["nobody", "noone"]] {
        let asked: Vec<(&str, &str)> = names.iter().map(|name| ("audience", *name)).collect();
        invalid(&exchange(&token("svc:octo"), &asked), "request_malformed");
        invalid(&exchange(&forge("svc:octo").claim("aud", "https://x.example").sign(), &asked), "token_audience");
        invalid(&exchange("not.a.token", &asked), "token_malformed");
    }
}

/// An answer without the parts that differ from request to request.
fn plain(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let id = response.json()["request_id"].as_str().unwrap().to_owned();
    let varies = |name: &str| ["date", "x-request-id"].contains(&name.to_ascii_lowercase().as_str());
    let mut headers: Vec<_> = response.headers.iter().filter(|(name, _)| !varies(name)).cloned().collect();
    headers.sort();
    (response.status, headers, response.text().replace(&id, "ID"))
}

#[test]
fn f7_while_no_token_is_verified_an_answer_is_the_same_whatever_names_exist() {
    let tokens = [
        "x.y.z".to_owned(),
        forge("svc:octo").claim("iss", "https://nobody.example").sign(),
        forge("svc:octo").header("kid", "nobody").sign(),
        sts_testkit::Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign(),
        forge("svc:octo").claim("exp", 1_000_000_000).sign(),
        forge("svc:octo").claim("aud", "https://x.example").sign(),
    ];
    let names = [
        "octo",
        OCTO_ID,
        "two",
        "disabled",
        "deploy",
        DEPLOY,
        "sts",
        US,
        BILLING,
        "zzz",
        "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b12",
        "https://zzz.example",
        "urn:example:zzz",
        "Octo",
        "a b",
        "https://deploy.example.com#x",
    ];
    let mut requests: Vec<Vec<(&str, &str)>> = Vec::new();
    for first in names {
        for parameter in ["audience", "resource", "client_id", "scope"] {
            requests.push(vec![(parameter, first)]);
        }
        for second in ["octo", "deploy", "zzz", "yyy", DEPLOY] {
            requests.push(vec![("audience", first), ("audience", second)]);
            requests.push(vec![("audience", first), ("resource", second), ("client_id", "octo")]);
        }
    }
    requests.push(vec![("scope", "releases:read")]);
    for token in tokens {
        let reference = plain(&exchange(&token, &[]));
        for asked in &requests {
            assert_eq!(plain(&exchange(&token, asked)), reference, "{asked:?}");
        }
        for name in names.into_iter().filter(|name| !name.contains(':')) {
            let request = sts_testkit::exchange_request(&token, &[]).basic(name, "");
            assert_eq!(plain(&send(&request)), reference, "{name} as a client");
        }
    }
}

#[test]
fn f7_wrong_credentials_are_one_answer_whether_the_name_exists_or_not() {
    use sts_testkit::Request;
    for path in ["/token", "/revoke", "/introspect"] {
        let ask =
            |name: &str, secret: &str| plain(&send(&Request::post_form(path, &[("token", "x")]).basic(name, secret)));
        let reference = ask("nobody", "wrong");
        for name in ["deploy", "billing", "bare", "octo", OCTO_ID, "sts", DEPLOY, "zzz"] {
            assert_eq!(ask(name, "wrong"), reference, "{path} {name}");
        }
    }
}

#[test]
fn client_id_counts_only_when_no_audience_names_an_account_and_it_is_one_s_username() {
    table(&[
        ("svc:twin", &[("client_id", "twin-a")], "twin-a", DEPLOY),
        ("svc:twin", &[("client_id", "twin-b"), ("audience", "deploy")], "twin-b", DEPLOY),
        ("svc:twin", &[("client_id", "twin-a"), ("audience", "twin-b")], "twin-b", DEPLOY),
        ("svc:twin", &[("client_id", "nobody"), ("audience", "twin-a")], "twin-a", DEPLOY),
        ("svc:octo", &[("client_id", "nobody")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("client_id", "deploy")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("client_id", "")], OCTO_ID, DEPLOY),
        ("svc:octo", &[("client_id", "two")], "not_authorized", ""),
    ]);
}

#[test]
fn c078_with_no_account_named_exactly_one_that_matches_and_covers_must_be_left() {
    table(&[
        ("svc:twin", &[], "ambiguous_account", ""),
        ("svc:twin", &[("audience", "deploy")], "ambiguous_account", ""),
        ("svc:twin", &[("scope", "releases:read")], "ambiguous_account", ""),
        // Only one of the two accounts has the grant.
        ("svc:twin", &[("audience", "billing")], "twin-b", BILLING),
        ("svc:twin", &[("scope", "deployments:create")], "twin-a", DEPLOY),
        ("svc:twin", &[("audience", "twin-a")], "twin-a", DEPLOY),
        ("svc:twin", &[("audience", "twin-b")], "twin-b", DEPLOY),
        ("svc:twin", &[("audience", "bare-user")], "not_authorized", ""),
        ("svc:twin", &[("audience", BARE)], "target_not_granted", ""),
        ("svc:twin", &[("audience", "deploy"), ("scope", "invoices:read")], "scope_not_granted", ""),
    ]);
    invalid(&exchange(&token("svc:twin"), &[]), "ambiguous_account");
}

#[test]
fn require_account_turns_the_search_off() {
    let server = Server::start_in(STS, world_site(&world().with("tokens/require_account", true)));
    let first = |asked: &[(&str, &str)]| outcome(&server.exchange(&token("svc:octo"), asked)).0;
    assert_eq!(first(&[("audience", "octo")]), OCTO_ID);
    assert_eq!(first(&[("client_id", "octo")]), OCTO_ID);
    for unnamed in [&[][..], &[("audience", "deploy")], &[("resource", DEPLOY)], &[("client_id", "nobody")]] {
        let response = server.exchange(&token("svc:octo"), unnamed);
        assert_eq!(response.status, 400, "{unnamed:?}: {}", response.text());
    }
}

#[test]
fn tx08_c081_scopes_are_granted_as_asked_or_not_at_all() {
    let scope = |asked: &str| {
        let response = exchange(&token("svc:octo"), &[("scope", asked)]);
        if response.status == 200 {
            let mut scopes: Vec<String> =
                response.json()["scope"].as_str().unwrap().split(' ').map(str::to_owned).collect();
            scopes.sort();
            scopes.join(" ")
        } else {
            refused(&response, 400, "invalid_scope", "scope_not_granted");
            "scope_not_granted".to_owned()
        }
    };
    let (both, denied) = ("deployments:create releases:read", "scope_not_granted");
    let cloud = "https://www.googleapis.com/auth/cloud-platform";
    for (asked, expected) in [
        ("", both),
        (" ", both),
        ("releases:read", "releases:read"),
        ("releases:read deployments:create", both),
        ("releases:read releases:read", "releases:read"),
        (cloud, both),
        ("https://www.googleapis.com/auth/cloud-platform releases:read", "releases:read"),
        ("releases:write", denied),
        ("releases:read admin", denied),
        ("invoices:read", denied),
        ("Releases:read", denied),
        ("releases:*", denied),
        ("sts:admin", denied),
        ("releases:read\ninvoices:read", denied),
        ("releases:read\t", denied),
        // Scopes that client libraries add by themselves.
        ("openid", both),
        ("openid profile email offline_access", both),
        ("openid releases:read", "releases:read"),
        ("openid address", denied),
    ] {
        assert_eq!(scope(asked), expected, "{asked:?}");
    }
    let many = (0..5000).map(|at| format!("s{at}")).collect::<Vec<_>>().join(" ");
    assert_eq!(scope(&many), denied);
}

#[test]
fn ignore_scopes_replaces_what_is_ignored() {
    let server = Server::start_in(STS, world_site(&world().with("tokens/ignore_scopes", json!(["openid"]))));
    let ask = |scope: &str| server.exchange(&token("svc:octo"), &[("scope", scope)]);
    assert_eq!(granted(&ask("openid"))["scope"], "deployments:create releases:read");
    refused(&ask("https://www.googleapis.com/auth/cloud-platform"), 400, "invalid_scope", "scope_not_granted");
}

#[test]
fn c079_c080_c121_fld57_all_policy_refusals_are_one_answer_but_for_the_request_id() {
    let reference = exchange(&token("svc:nobody"), &[]);
    invalid(&reference, "not_authorized");
    let description = reference.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.contains(reference.header("x-request-id").unwrap()), "{description}");
    for (what, subject, asked) in [
        ("no such account", "svc:octo", vec![("audience", "nobody")]),
        ("another's account", "svc:octo", vec![("audience", "two")]),
        ("another's id", "svc:two", vec![("audience", OCTO_ID)]),
        ("a disabled account", "svc:disabled", vec![("audience", "disabled")]),
        ("a disabled account, unnamed", "svc:disabled", vec![]),
        ("an account that is over", "svc:over", vec![("audience", "over")]),
        ("no such account, with a target", "svc:octo", vec![("audience", "nobody"), ("resource", BILLING)]),
        (
            "another's account, with an unknown target",
            "svc:octo",
            vec![("audience", "two"), ("resource", "https://x.example")],
        ),
        ("another's account, with an unknown scope", "svc:octo", vec![("audience", "two"), ("scope", "x")]),
        ("two targets", "svc:nobody", vec![("audience", "deploy"), ("audience", "billing")]),
        ("a name that breaks the grammar", "svc:octo", vec![("audience", "Octo")]),
        ("a name that is no name", "svc:octo", vec![("audience", "\u{fffd}*")]),
    ] {
        let response = exchange(&token(subject), &asked);
        assert_eq!(plain(&response), plain(&reference), "{what}");
    }
}

#[test]
fn c080_a_disabled_issuer_entry_is_no_issuer() {
    let response = exchange(&token_of("https://off.example", "svc:octo"), &[]);
    assert_ne!(response.status, 200);
    assert!(["issuer_unknown", "not_authorized"].contains(&reason_of(&response).as_str()), "{}", response.text());
}

#[test]
fn the_owner_finds_the_whole_trace_of_a_refusal_under_its_request_id() {
    let id = |response: &Response| response.json()["request_id"].as_str().unwrap().to_owned();
    let response = exchange(&token("svc:octo"), &[("audience", "two")]);
    let explained = WORLD.cli(&["explain", "--denial", &id(&response)]).ended(1);
    for part in ["two", "svc:two", "svc:octo"] {
        assert!(explained.stdout.contains(part), "{part}: {}", explained.stdout);
    }
    let none = WORLD.cli(&["explain", "--denial", "01JZZZZZZZZZZZZZZZZZZZZZZZ"]).ended(1);
    assert!(none.stderr.starts_with("error: "));
}

#[test]
fn c121_a_policy_refusal_leaves_at_a_multiple_of_5_ms_and_never_before_the_first() {
    for _ in 0..30 {
        let (response, took) = sts_testkit::timed(|| exchange(&token("svc:nobody"), &[]));
        invalid(&response, "not_authorized");
        assert!(took >= std::time::Duration::from_millis(5), "{took:?}");
    }
}
