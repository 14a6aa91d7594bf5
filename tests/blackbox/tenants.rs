//! Issuers that many tenants share. The tenant is in the path of the issuer, in a claim, or in the
//! URL of the keys.

use crate::support::*;
use serde_json::json;
use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, Page, Sample, Server, now};

#[test]
fn c077_another_tenant_s_path_is_another_issuer() {
    let key = Key::new(Algorithm::ES256, "shared");
    let set = Key::set(&[&key]);
    let config = world()
        .with("issuers/one", json!({ "issuer": "https://login.example/one/v2.0", "jwks": set }))
        .with("service_accounts/one", json!({ "teams": ["deployers"], "identities": [identity("one", "svc:one")] }));
    let server = Server::start_in(STS, world_site(&config));
    let judged = |issuer: &str| {
        reason_of(&server.exchange(&Forge::new(&key, &claims("svc:one")).claim("iss", issuer).sign(), &[]))
    };
    assert_eq!(judged("https://login.example/one/v2.0"), "granted");
    for other in [
        "https://login.example/two/v2.0",
        "https://login.example/one/v2.0/",
        "https://login.example/One/v2.0",
        "https://login.example/one/../one/v2.0",
        "https://login.example/%6Fne/v2.0",
        "https://login.example/{tenantid}/v2.0",
        "https://login.example//one/v2.0",
        "https://login.example/one",
    ] {
        assert_eq!(judged(other), "issuer_unknown", "{other}");
    }
}

#[test]
fn c074_gitlab_is_matched_by_ids_and_kinds_of_ref_and_never_by_names_that_can_be_taken_over() {
    let key = Key::new(Algorithm::RS256, "gitlab");
    let sample = Sample::of("gitlab");
    let honest = sample.at(now() - 5);
    let config = world()
        .with(
            "issuers/gitlab",
            json!({ "issuer": honest["iss"], "audience": honest["aud"], "jwks": Key::set(&[&key]) }),
        )
        .with(
            "service_accounts/gitlab",
            json!({
                "teams": ["deployers"],
                "identities": [{
                    "name": "main",
                    "issuer": "gitlab",
                    "claims": {
                        "project_id": honest["project_id"],
                        "ref": honest["ref"],
                        "ref_type": "branch",
                        "ref_protected": "true",
                    },
                }],
            }),
        );
    let server = Server::start_in(STS, world_site(&config));
    let honest = Forge::new(&key, &honest).claim("ref_type", "branch").claim("ref_protected", "true");
    let judged = |token: Forge<'_>| reason_of(&server.exchange(&token.sign(), &[("audience", "gitlab")]));
    assert_eq!(judged(honest.clone()), "granted");
    assert_eq!(judged(honest.clone().claim("project_path", "renamed/app")), "granted");
    for (what, bent) in [
        ("a fork's pipeline", honest.clone().claim("project_id", "999999")),
        ("a number for an id", honest.clone().claim("project_id", 1)),
        ("a tag of the same name", honest.clone().claim("ref_type", "tag")),
        ("an unprotected branch", honest.clone().claim("ref_protected", "false")),
        ("true, not \"true\"", honest.clone().claim("ref_protected", true)),
        ("no word of protection", honest.clone().no_claim("ref_protected")),
        ("a merge request", honest.clone().claim("ref", "refs/merge-requests/1/head")),
    ] {
        assert_eq!(judged(bent), "not_authorized", "{what}");
    }
}

#[test]
fn md05_an_issuer_may_keep_its_keys_at_another_origin() {
    let key = Key::new(Algorithm::ES256, "k");
    let (issuer, elsewhere) = (FakeIssuer::start(&Key::set(&[])), FakeIssuer::start(&Key::set(&[&key])));
    issuer.discovery(Page::Json(json!({ "issuer": issuer.url(), "jwks_uri": elsewhere.jwks_url() })));
    let config = world()
        .with("issuers/fake", json!({ "issuer": issuer.url(), "allow_http": true }))
        .with("service_accounts/fake", json!({ "teams": ["deployers"], "identities": [identity("fake", "svc:fake")] }));
    let server = Server::start_in(STS, world_site(&config));
    let token = Forge::new(&key, &claims("svc:fake")).claim("iss", issuer.url()).sign();
    granted(&server.exchange(&token, &[]));
    assert_eq!((issuer.fetches(), elsewhere.fetches()), (0, 1));
}
