//! Issuers that are nearly trusted, families, trust domains, and moments in another unit.

use serde_json::{Value, json};

use crate::support::{Case, NOW, assert_all, case};

const OK: &str = "{ issuer: ci, subject: \"svc:octo\" }";

#[test]
fn fld03_an_iss_that_looks_like_a_trusted_one_is_said_to_with_the_difference() {
    let of = |iss: &str, wants: &'static [&'static str]| case(OK, "", json!({ "iss": iss }), wants);
    assert_all(vec![
        of(
            "https://token.action.githubusercontent.com",
            &[
                "that of issuer entry `github` is \"https://token.actions.githubusercontent.com\"",
                "another one than `token.actions.githubusercontent.com`",
                "trust no other host",
            ],
        ),
        of("https://Token.Actions.githubusercontent.com", &["the letter case of the host"]),
        of("https://token.actions.githubusercontent.com/", &["trailing `/`", "issuer entry `github`"]),
        of("http://token.actions.githubusercontent.com", &["the scheme is `http`, not `https`"]),
        of("https://token.actions.githubusercontent.com:8443", &["it has the port `:8443`, not no port"]),
        of("https://token.actions.githubusercontent.com.", &["a dot at the end of the host"]),
        of("https://t\u{43e}ken.actions.githubusercontent.com", &["only looks like", "U+043E", "trust no other host"]),
        of("https://xn--gtlab-zsa.com", &["issuer entry `gitlab`", "another one than `gitlab.com`"]),
        of("https://gitlab.co", &["another one than `gitlab.com`"]),
        of(
            "https://login.microsoftonline.com/33333333-4444-4555-8666-777777777777",
            &["issuer entry `entra`", "`/v2.0` is missing at its end"],
        ),
        of(
            "https://login.microsoftonline.com/33333333-4444-4555-8666-777777777778/v2.0",
            &["issuer entry `entra`", "the path is"],
        ),
        of(
            "https://kubernetes.default.svc",
            &["issuer entry `cluster`", "`.cluster.local` is missing at the end of the host"],
        ),
        of(" https://ci.example/", &["blanks or invisible", "issuer entry `ci`"]),
        of("\"https://ci.example/\"", &["quotes", "issuer entry `ci`"]),
        of(
            "https://ci.example:443/",
            &["the port `:443`", "write `issuer: https://ci.example:443/` on issuer entry `ci`"],
        ),
        of("https://ci.example/Realms/x", &["on the same host"]),
    ]);
    // Only the same place under another spelling may be written into the configuration.
    for iss in ["https://CI.example.org/", "https://ci.examp1e/", "https://ci.example/other", "http://ci.example/"] {
        let line = of(iss, &[]).explained().summary;
        assert!(!line.contains("write `issuer"), "{line}");
    }
}

#[test]
fn a_family_says_which_variable_does_not_take_the_token() {
    const FAMILY: &str = "eks: { issuer_template: \"https://oidc.eks.{region}.amazonaws.com/id/{cluster}\", preset: kubernetes, \
                          variables: { region: [eu-west-1, eu-central-1], cluster: \"[0-9A-F]{32}\" } }";
    let member = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
    let rule = "{ issuer: eks, subject: \"system:serviceaccount:octo-ns:octo-sa\", claims: { cluster: \"0123456789ABCDEF0123456789ABCDEF\", region: eu-west-1 } }";
    let of = |iss: &str, wants: &'static [&'static str]| Case {
        issuers: FAMILY,
        ..case(rule, "kubernetes", json!({ "iss": iss }), wants)
    };
    assert_all(vec![
        of(
            &member.replace("eu-west-1", "us-east-1"),
            &[
                "issuer_unknown",
                "form of issuer entry `eks`",
                "`region` is \"us-east-1\", expected one of \"eu-west-1\", \"eu-central-1\"",
                "`variables`",
            ],
        ),
        of(&member.replace("ABCDEF", "abcdef"), &["`cluster` is", "expected what its pattern takes"]),
        of(
            &member.replace("0123", "AAAA"),
            &[
                "not_authorized",
                "`cluster` is \"AAAA456789ABCDEFAAAA456789ABCDEF\", expected \"0123456789ABCDEF0123456789ABCDEF\"",
            ],
        ),
        of(
            &member.replace("eu-west-1", "eu-central-1"),
            &["not_authorized", "`region` is \"eu-central-1\", expected \"eu-west-1\""],
        ),
    ]);
    const TENANTS: &str = "tenants: { issuer_template: \"https://login.microsoftonline.com/{tenant}/v2.0\", audience: \"api://sts\", \
                           variables: { tenant: [11111111-4444-4555-8666-777777777777] } }";
    let rule = "{ issuer: tenants, subject: \"66666666-7777-4888-8999-000000000000\", claims: { tid: \"11111111-4444-4555-8666-777777777777\" } }";
    assert_all(vec![Case {
        issuers: TENANTS,
        ..case(
            rule,
            "azure",
            json!({ "iss": "https://login.microsoftonline.com/22222222-4444-4555-8666-777777777777/v2.0" }),
            &["issuer_unknown", "`tenant` is \"22222222-4444-4555-8666-777777777777\"", "expected one of"],
        )
    }]);
}

#[test]
fn fld31_a_token_without_iss_says_which_trust_domain_it_names() {
    const SVID: &str = "svid: { issuer: \"https://svid.octo.example\", preset: spiffe, trust_domain: prod.octo.example, jwks_url: \"https://svid.octo.example/keys\" }";
    let rule = "{ issuer: svid, subject: \"spiffe://prod.octo.example/ns/a/sa/b\" }";
    let of = |sub: &str, wants: &'static [&'static str]| Case {
        issuers: SVID,
        ..case(rule, "spiffe", json!({ "iss": null, "sub": sub }), wants)
    };
    assert_all(vec![
        of(
            "spiffe://staging.octo.example/ns/a/sa/b",
            &[
                "has no `iss`",
                "names the trust domain \"staging.octo.example\"",
                "there are \"prod.octo.example\" (issuer entry `svid`)",
                "present an SVID of the trust domain \"prod.octo.example\"",
            ],
        ),
        of("spiffe://prod.octo.exampel/ns/a/sa/b", &["the nearest is \"prod.octo.example\""]),
        of("spiffe://prod-octo.example/ns/a/sa/b", &["the nearest is \"prod.octo.example\""]),
        of("spiffe://PROD.octo.example/ns/a/sa/b", &["its trust domain has capital letters"]),
        of("SPIFFE://prod.octo.example/ns/a/sa/b", &["`SPIFFE` is written `spiffe`"]),
        of("spiffe://prod.octo.example", &["it has no path"]),
        of("spiffe://prod.octo.example/", &["it has no path"]),
        of("spiffe://prod.octo.example/a/", &["ends in a slash"]),
        of("spiffe://prod.octo.example//a", &["an empty part"]),
        of("spiffe://prod.octo.example:8081/a", &["has a port"]),
        of("spiffe:///a", &["its trust domain is empty"]),
        Case {
            issuers: SVID,
            ..case(
                rule,
                "spiffe",
                json!({ "iss": "https://svid.octo.example", "sub": "spiffe://staging.octo.example/a" }),
                &[
                    "`sub` is",
                    "trust domain \"prod.octo.example\"",
                    "`trust_domain` of issuer entry `svid`",
                    "its trust domain is \"staging.octo.example\"",
                ],
            )
        },
        case(
            OK,
            "spiffe",
            json!({ "iss": null }),
            &["names the trust domain \"octo.example\"", "no entry takes tokens without `iss`", "`trust_domain`"],
        ),
    ]);
}

#[test]
fn moments_in_another_unit_are_told_once() {
    let of = |claims: Value, wants: &'static [&'static str]| case(OK, "", claims, wants);
    assert_all(vec![
        of(
            json!({ "iat": (NOW - 60) * 1000, "nbf": (NOW - 60) * 1000, "exp": (NOW + 600) * 1000 }),
            &["`iat`, `nbf` and `exp` are in milliseconds", "write `iat`, `nbf` and `exp` in seconds: divide by 1000"],
        ),
        of(json!({ "iat": (NOW - 60) * 1000 }), &["`iat` is in milliseconds"]),
        of(json!({ "exp": (NOW + 600) * 1_000_000 }), &["`exp` is in microseconds", "divide by 1000000"]),
        of(json!({ "exp": (NOW + 600) * 1_000_000_000 }), &["`exp` is in nanoseconds"]),
        of(json!({ "exp": "2026-09-21T14:24:20Z" }), &["it is a date in words", "as the number 1790000660"]),
        of(json!({ "exp": "1790000660 " }), &["as the number 1790000660"]),
    ]);
}
