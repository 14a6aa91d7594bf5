//! Tokens that are bound to a key (DPoP, RFC 9449).

use crate::grants_support::*;
use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{
    Algorithm, Config, Forge, Key, RedisServer, Request, Response, Server, Site, exchange_request, now, send,
};

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::ES256, "holder"));
static OTHER: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::EdDSA, "other"));

fn with_proof(server: &Server, subject: &str, proof: &str) -> Response {
    server.send(&exchange_request(&token(subject), &[]).header("DPoP", proof))
}

fn bound(server: &Server, subject: &str, key: &Key) -> String {
    let body = granted(&with_proof(server, subject, &proof(key).sign()));
    assert_eq!(body["token_type"], "DPoP");
    body["access_token"].as_str().unwrap().to_owned()
}

/// RFC 7638.
fn thumbprint(key: &Key) -> String {
    let jwk = key.jwk();
    let members: &[&str] = if jwk["kty"] == "EC" { &["crv", "kty", "x", "y"] } else { &["crv", "kty", "x"] };
    let members: Vec<String> = members.iter().map(|name| format!("\"{name}\":{}", jwk[name])).collect();
    let text = format!("{{{}}}", members.join(","));
    sts_testkit::base64url(&sts_jose::sha256(text.as_bytes()).0)
}

#[test]
fn dp02_sb01_a_proof_binds_the_token_of_every_grant_to_its_key() {
    for key in [&*KEY, &*OTHER] {
        let access = bound(&GRANTS, "svc:octo", key);
        assert_eq!(payload(&access)["cnf"], json!({ "jkt": thumbprint(key) }));
        let body = GRANTS.introspect("deploy", DEPLOY_SECRET, &access);
        assert_eq!((&body["cnf"], &body["token_type"]), (&json!({ "jkt": thumbprint(key) }), &json!("DPoP")));
    }
    let assertion = token("svc:octo");
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
    let response = GRANTS.send(&Request::post_form("/token", &form).header("DPoP", &proof(&KEY).sign()));
    assert_eq!(granted(&response)["token_type"], "DPoP");
    let metadata = GRANTS.send(&Request::get("/.well-known/oauth-authorization-server")).json();
    let algorithms = metadata["dpop_signing_alg_values_supported"].as_array().unwrap();
    assert!(["ES256", "RS256", "EdDSA"].iter().all(|name| algorithms.contains(&json!(name))), "{algorithms:?}");
    assert!(!algorithms.iter().any(|name| name.as_str().unwrap().starts_with("HS") || name == "none"));
}

#[test]
fn dp01_a_wrong_proof_is_invalid_dpop_proof_and_mints_nothing() {
    let fresh = || proof(&KEY);
    let private = json!({ "kty": "EC", "crv": "P-256", "x": KEY.jwk()["x"], "y": KEY.jwk()["y"], "d": "AQ" });
    for (what, bent) in [
        ("no JWT", "x".to_owned()),
        ("empty", String::new()),
        ("an ID token", token("svc:octo")),
        ("another typ", fresh().header("typ", "JWT").sign()),
        ("no typ", fresh().no_header("typ").sign()),
        ("no key", fresh().no_header("jwk").sign()),
        ("a private key", fresh().header("jwk", private).sign()),
        ("a shared secret", fresh().header("jwk", json!({ "kty": "oct", "k": "AQ" })).sign()),
        ("another key's signature", Forge::sign_with(&fresh(), |input| OTHER.sign(input))),
        ("alg none", fresh().header("alg", "none").sign_with(|_| Vec::new())),
        ("alg HS256", fresh().header("alg", "HS256").sign()),
        ("no jti", fresh().no_claim("jti").sign()),
        ("no htm", fresh().no_claim("htm").sign()),
        ("GET", fresh().claim("htm", "GET").sign()),
        ("no htu", fresh().no_claim("htu").sign()),
        ("another endpoint", fresh().claim("htu", format!("{US}/introspect")).sign()),
        ("another host", fresh().claim("htu", "https://elsewhere.example/token").sign()),
        ("the address", fresh().claim("htu", format!("http://{}/token", GRANTS.public())).sign()),
        ("no iat", fresh().no_claim("iat").sign()),
        ("too old", fresh().claim("iat", now() - 310).sign()),
        ("of tomorrow", fresh().claim("iat", now() + 320).sign()),
        ("crit", fresh().header("crit", json!(["x"])).sign()),
    ] {
        let response = with_proof(&GRANTS, "svc:octo", &bent);
        refused(&response, 400, "invalid_dpop_proof", "proof_invalid");
        assert!(!response.text().contains("elsewhere"), "{what}");
    }
    for fine in [
        fresh().claim("iat", now() - 280).sign(),
        fresh().claim("htu", format!("{US}/token?a=b#c")).sign(),
        fresh().header("typ", "application/dpop+jwt").sign(),
    ] {
        granted(&with_proof(&GRANTS, "svc:octo", &fine));
    }
    let two = exchange_request(&token("svc:octo"), &[])
        .header("DPoP", &proof(&KEY).sign())
        .header("DPoP", &proof(&KEY).sign());
    refused(&GRANTS.send(&two), 400, "invalid_dpop_proof", "proof_invalid");
}

#[test]
fn dp02_a_proof_is_used_once_over_all_replicas_and_both_stores() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let replicas: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    for (first, second) in [(&replicas[0], &replicas[1]), (&*GRANTS, &*GRANTS)] {
        let used = proof(&KEY).sign();
        granted(&with_proof(first, "svc:octo", &used));
        for server in [first, second] {
            let response = with_proof(server, "svc:octo", &used);
            refused(&response, 400, "invalid_dpop_proof", "proof_invalid");
            assert!(response.text().contains("used before"), "{}", response.text());
        }
        // The same `jti` of another key is another proof.
        let jti = payload(&used)["jti"].clone();
        granted(&with_proof(second, "svc:octo", &proof(&OTHER).claim("jti", jti).sign()));
    }
    // A one-use token whose request fails for its proof is not spent, nor the other way round.
    let once = |jti: &str| forge("svc:octo").claim("iss", "https://once.example").claim("jti", jti).sign();
    let ask = |subject: &str, proof: &str| GRANTS.send(&exchange_request(subject, &[]).header("DPoP", proof));
    let (subject, used) = (once("dpop-once"), proof(&KEY).sign());
    granted(&with_proof(&GRANTS, "svc:octo", &used));
    refused(&ask(&subject, &used), 400, "invalid_dpop_proof", "proof_invalid");
    let second = proof(&KEY).sign();
    granted(&ask(&subject, &second));
    let third = proof(&KEY).sign();
    invalid(&ask(&subject, &third), "token_replayed");
    granted(&ask(&once("dpop-once-2"), &third));
}

#[test]
fn dp03_sb01_an_account_that_requires_a_proof_gets_no_bearer_token() {
    let response = GRANTS.exchange(&token("svc:bound"), &[]);
    refused(&response, 400, "invalid_dpop_proof", "proof_invalid");
    assert!(response.text().contains("send a DPoP proof"), "{}", response.text());
    bound(&GRANTS, "svc:bound", &KEY);
    // Strangers do not learn it.
    invalid(&GRANTS.exchange(&token("svc:nobody"), &[("audience", "bound")]), "not_authorized");
}

#[test]
fn dp02_a_bound_token_is_no_bearer_token_at_our_endpoints_and_comes_with_a_proof() {
    let server = &*GRANTS;
    let access = bound(server, "svc:introspector", &KEY);
    let bearer = server.token(&token("svc:introspector"), &[]);
    let ask = |authorization: &str, proofs: &[String]| {
        let request = Request::post_form("/introspect", &[("token", "x")]).header("Authorization", authorization);
        server.send(&proofs.iter().fold(request, |request, proof| request.header("DPoP", proof)))
    };
    let dpop = format!("DPoP {access}");
    let fresh = || proof_for(&KEY, "/introspect", &access);
    assert_eq!(ask(&dpop, &[fresh().sign()]).status, 200);
    assert_eq!(ask(&format!("dpop {access}"), &[fresh().sign()]).status, 200);
    refused(&ask(&format!("Bearer {access}"), &[]), 401, "invalid_token", "invalid_token");
    refused(&ask(&format!("Bearer {access}"), &[fresh().sign()]), 401, "invalid_token", "invalid_token");
    refused(&ask(&format!("DPoP {bearer}"), &[fresh().sign()]), 401, "invalid_token", "invalid_token");
    for (what, proofs) in [
        ("none", vec![]),
        ("two", vec![fresh().sign(), fresh().sign()]),
        ("no ath", vec![fresh().no_claim("ath").sign()]),
        ("another token's", vec![proof_for(&KEY, "/introspect", &bearer).sign()]),
        ("another key's", vec![proof_for(&OTHER, "/introspect", &access).sign()]),
        ("another endpoint's", vec![proof_for(&KEY, "/token", &access).sign()]),
        ("too old", vec![fresh().claim("iat", now() - 400).sign()]),
    ] {
        let response = ask(&dpop, &proofs);
        refused(&response, 401, "invalid_dpop_proof", "proof_invalid");
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("DPoP ") && challenge.contains("invalid_dpop_proof"), "{what}: {challenge}");
    }
    // The admin listener is at the address that the caller used.
    let admin = bound(server, "svc:reader", &KEY);
    let at = |path: &str, proof: &str| {
        let request = Request::get(path).header("Authorization", &format!("DPoP {admin}")).header("DPoP", proof);
        send(server.admin(), &request).status
    };
    let url = format!("http://{}/admin/v1/keys", server.admin());
    let own = || proof_for(&KEY, "/x", &admin).claim("htm", "GET").claim("htu", url.clone());
    assert_eq!(at("/admin/v1/keys", &own().sign()), 200);
    assert_eq!(at("/admin/v1/keys", &own().claim("htm", "POST").sign()), 401);
    assert_eq!(at("/admin/v1/tokens", &own().sign()), 401);
    // Presenting the whole token is authority to revoke it, with or without its key.
    assert_eq!(server.revoke(&access).status, 200);
    refused(&ask(&dpop, &[fresh().sign()]), 401, "invalid_token", "invalid_token");
}

/// A place of ours that takes a token that is bound to a key.
#[derive(Clone, Copy)]
enum Endpoint {
    Introspect,
    Revoke,
    Keys,
}

impl Endpoint {
    const ALL: [Self; 3] = [Self::Introspect, Self::Revoke, Self::Keys];

    fn proof(self, server: &Server, access: &str) -> Forge<'static> {
        match self {
            Self::Introspect => proof_for(&KEY, "/introspect", access),
            Self::Revoke => proof_for(&KEY, "/revoke", access),
            Self::Keys => {
                let url = format!("http://{}/admin/v1/keys", server.admin());
                proof_for(&KEY, "/x", access).claim("htm", "GET").claim("htu", url)
            }
        }
    }

    fn ask(self, server: &Server, access: &str, proof: &str) -> Response {
        let request = match self {
            Self::Introspect => Request::post_form("/introspect", &[("token", "x")]),
            Self::Revoke => Request::post_form("/revoke", &[("token", "x")]),
            Self::Keys => Request::get("/admin/v1/keys"),
        };
        let address = if matches!(self, Self::Keys) { server.admin() } else { server.public() };
        send(address, &request.header("Authorization", &format!("DPoP {access}")).header("DPoP", proof))
    }
}

/// An account that may use all of these places, on both stores.
fn own_endpoints(config: Config) -> Config {
    config.with(
        "service_accounts/all-rights",
        json!({
            "grants": { "sts": ["sts:introspect", "sts:revoke", "sts:admin"] },
            "identities": [identity("plain", "svc:all-rights")],
        }),
    )
}

fn assert_used_up(response: &Response) {
    refused(response, 401, "invalid_dpop_proof", "proof_invalid");
    assert!(response.text().contains("used before"), "{}", response.text());
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("DPoP ") && challenge.contains("invalid_dpop_proof"), "{challenge}");
}

#[test]
fn dp02_at_our_own_endpoints_too_a_proof_is_used_once_over_all_replicas_and_both_stores() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let shared = own_endpoints(shared_world(&redis, &keys));
    let replicas: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&shared)));
    let embedded = Server::start_in(STS, world_site(&own_endpoints(world())));
    for (first, second) in [(&replicas[0], &replicas[1]), (&embedded, &embedded)] {
        let access = bound(first, "svc:all-rights", &KEY);
        for endpoint in Endpoint::ALL {
            let used = endpoint.proof(first, &access).sign();
            assert_eq!(endpoint.ask(first, &access, &used).status, 200);
            assert_used_up(&endpoint.ask(first, &access, &used));
            // The admin listener of each server has an address of its own, which the proof names.
            if !matches!(endpoint, Endpoint::Keys) {
                assert_used_up(&endpoint.ask(second, &access, &used));
            }
            // The same `jti` in a proof for another request is the same proof.
            let jti = payload(&used)["jti"].clone();
            for other in Endpoint::ALL {
                let again = other.proof(second, &access).claim("jti", jti.clone()).sign();
                assert_used_up(&other.ask(second, &access, &again));
            }
            let again = exchange_request(&token("svc:octo"), &[]);
            let again = second.send(&again.header("DPoP", &proof(&KEY).claim("jti", jti).sign()));
            refused(&again, 400, "invalid_dpop_proof", "proof_invalid");
        }
        let used = proof(&KEY).sign();
        granted(&with_proof(first, "svc:octo", &used));
        let again = Endpoint::Introspect.proof(second, &access).claim("jti", payload(&used)["jti"].clone()).sign();
        assert_used_up(&Endpoint::Introspect.ask(second, &access, &again));
    }
}

#[test]
fn dp02_of_many_requests_at_once_with_one_proof_exactly_one_is_served() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = own_endpoints(shared_world(&redis, &keys));
    let replicas: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let access = bound(&replicas[0], "svc:all-rights", &KEY);
    for endpoint in [Endpoint::Introspect, Endpoint::Revoke] {
        let used = endpoint.proof(&replicas[0], &access).sign();
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let ask = |at: usize| endpoint.ask(&replicas[at % 2], &access, &used);
            let threads: Vec<_> = (0..16).map(|at| scope.spawn(move || ask(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (served, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((served.len(), others.len()), (1, 15));
        others.into_iter().for_each(assert_used_up);
    }
}

#[test]
fn dp02_a_request_that_is_refused_for_anything_else_spends_no_proof() {
    let server = Server::start_in(STS, world_site(&own_endpoints(world())));
    let (right, weak) = (bound(&server, "svc:all-rights", &KEY), bound(&server, "svc:introspector", &KEY));
    // Each is refused before the claim is taken, so the `jti` is free for a sound request.
    let mine = |access: &str| Endpoint::Introspect.proof(&server, access);
    for (what, refused) in [
        ("another key's", (right.clone(), proof_for(&OTHER, "/introspect", &right))),
        ("another endpoint's", (right.clone(), mine(&right).claim("htu", format!("{US}/revoke")))),
        ("another token's", (right.clone(), mine(&weak))),
        ("too old", (right.clone(), mine(&right).claim("iat", now() - 400))),
        ("no token of ours", ("x".to_owned(), mine("x"))),
    ] {
        let (access, proof) = refused;
        let jti = format!("spared {what}");
        assert_eq!(Endpoint::Introspect.ask(&server, &access, &proof.claim("jti", jti.clone()).sign()).status, 401);
        let sound = mine(&right).claim("jti", jti);
        assert_eq!(Endpoint::Introspect.ask(&server, &right, &sound.sign()).status, 200, "{what}");
    }
    // The scope is missing.
    let jti = "spared without a scope";
    let refused =
        Endpoint::Revoke.ask(&server, &weak, &Endpoint::Revoke.proof(&server, &weak).claim("jti", jti).sign());
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(Endpoint::Introspect.ask(&server, &weak, &mine(&weak).claim("jti", jti).sign()).status, 200);
}

#[test]
fn dp02_a_store_that_does_not_say_whether_a_proof_was_used_is_no_leave_to_use_it() {
    let (mut redis, keys) = (RedisServer::start(), Site::new());
    let server = Server::start_in(STS, world_site(&own_endpoints(shared_world(&redis, &keys))));
    let access = bound(&server, "svc:all-rights", &KEY);
    // It reads and does not write.
    redis.order(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    for endpoint in Endpoint::ALL {
        let answer = endpoint.ask(&server, &access, &endpoint.proof(&server, &access).sign());
        refused(&answer, 503, "temporarily_unavailable", "store_unavailable");
        assert!(answer.header("retry-after").is_some(), "{}", answer.text());
    }
    redis.order(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(
        Endpoint::Keys.ask(&server, &access, &Endpoint::Keys.proof(&server, &access).sign()).status,
        200,
        "it writes again"
    );
    redis.kill();
    for endpoint in Endpoint::ALL {
        let answer = endpoint.ask(&server, &access, &endpoint.proof(&server, &access).sign());
        refused(&answer, 503, "temporarily_unavailable", "store_unavailable");
    }
}

#[test]
fn dp02_a_proof_that_was_freed_in_redis_is_used_up_where_it_was_seen() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let server = Server::start_in(STS, world_site(&own_endpoints(shared_world(&redis, &keys))));
    let access = bound(&server, "svc:all-rights", &KEY);
    for endpoint in Endpoint::ALL {
        let used = endpoint.proof(&server, &access).sign();
        assert_eq!(endpoint.ask(&server, &access, &used).status, 200);
        for key in redis.keys().iter().filter(|key| key.contains(":c:")) {
            redis.order(&["DEL", key]);
        }
        assert_used_up(&endpoint.ask(&server, &access, &used));
    }
    server.lines().wait("an alert", |line| line.contains("the claim on a one-use token").then_some(()));
}

#[test]
fn dp02_a_self_exchange_keeps_its_binding_and_needs_a_proof_by_the_same_key() {
    let server = &*GRANTS;
    let root = bound(server, "svc:chain", &KEY);
    let ask = |token: &str, key: Option<&Key>| {
        let request = own_request(token, &[("scope", "releases:read")]);
        server.send(&match key {
            Some(key) => request.header("DPoP", &proof(key).sign()),
            None => request,
        })
    };
    refused(&ask(&root, None), 400, "invalid_dpop_proof", "proof_invalid");
    refused(&ask(&root, Some(&OTHER)), 400, "invalid_dpop_proof", "proof_invalid");
    let body = granted(&ask(&root, Some(&KEY)));
    let child = body["access_token"].as_str().unwrap();
    assert_eq!((&body["token_type"], &payload(child)["cnf"]), (&json!("DPoP"), &payload(&root)["cnf"]));
    refused(&ask(child, None), 400, "invalid_dpop_proof", "proof_invalid");
    // A bearer token may be bound, once and for all.
    let narrowed = granted(&ask(&server.token(&token("svc:chain"), &[]), Some(&OTHER)));
    assert_eq!(narrowed["token_type"], "DPoP");
    refused(&ask(narrowed["access_token"].as_str().unwrap(), Some(&KEY)), 400, "invalid_dpop_proof", "proof_invalid");
    // An actor's bound token needs its key, too.
    let robot = bound(server, "svc:robot", &OTHER);
    let more = [("actor_token", robot.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let front = token("svc:front");
    refused(&server.exchange(&front, &more), 400, "invalid_dpop_proof", "proof_invalid");
    let by = |key: &Key| server.send(&exchange_request(&front, &more).header("DPoP", &proof(key).sign()));
    refused(&by(&KEY), 400, "invalid_dpop_proof", "proof_invalid");
    assert_eq!(payload(&access_token(&by(&OTHER)))["act"], json!({ "sub": "robot" }));
}

#[test]
fn dp02_who_has_not_the_key_of_a_bound_token_learns_nothing_of_its_rules() {
    let server = &*GRANTS;
    let (root, robot, front) = (bound(server, "svc:chain", &KEY), bound(server, "svc:robot", &KEY), token("svc:octo"));
    let as_actor = [("actor_token", robot.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    for (request, reason) in [
        (own_request(&root, &[("scope", "unheard:of")]), "scope_not_granted"),
        (own_request(&root, &[("audience", "nothing")]), "not_authorized"),
        // This account lets nobody act.
        (exchange_request(&front, &as_actor), "not_authorized"),
    ] {
        refused(&server.send(&request), 400, "invalid_dpop_proof", "proof_invalid");
        let by = |key: &Key| server.send(&request.clone().header("DPoP", &proof(key).sign()));
        refused(&by(&OTHER), 400, "invalid_dpop_proof", "proof_invalid");
        assert_eq!(reason_of(&by(&KEY)), reason);
    }
}

#[test]
fn dp01_an_id_token_that_is_bound_to_a_key_is_not_exchanged() {
    let subject = forge("svc:octo").claim("cnf", json!({ "jkt": thumbprint(&KEY) })).sign();
    let response = GRANTS.send(&exchange_request(&subject, &[]).header("DPoP", &proof(&KEY).sign()));
    invalid(&response, "token_type_refused");
}

#[test]
fn a_refused_proof_is_explained_and_the_event_has_the_reason() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let response = with_proof(&server, "svc:octo", &proof(&KEY).claim("htu", "https://elsewhere.example/token").sign());
    let id = response.header("x-request-id").unwrap();
    let explained = server.cli(&["explain", "--denial", id]).ended(1).text();
    let first = explained.lines().next().unwrap();
    assert!(first.contains("proof_invalid") && first.contains("htu"), "{first}");
    let event: Value = serde_json::from_str(&server.cli(&["denials", "show", id, "--json"]).ended(0).stdout).unwrap();
    assert_eq!(event["reason"], "proof_invalid");
}
