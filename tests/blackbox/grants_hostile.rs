//! Callers who mean harm, at every grant: parameters of one grant in another, values that are
//! repeated or of the wrong type, the subject as its own actor, and bent proofs of possession.

use crate::grants_support::*;
use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{Algorithm, Forge, Key, Request, Response, Server, exchange_request, form, now};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

static KEY: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::ES256, "holder"));

/// The parameters of each grant for `octo`.
fn honest() -> [(&'static str, Vec<(&'static str, String)>); 4] {
    let id_token = || token("svc:octo");
    let key = api_key(&GRANTS, "octo", &json!({ "name": payload(&proof(&KEY).sign())["jti"] }));
    [
        (
            "exchange",
            vec![
                ("grant_type", EXCHANGE.to_owned()),
                ("subject_token", id_token()),
                ("subject_token_type", ID_TOKEN.to_owned()),
            ],
        ),
        ("assertion", vec![("grant_type", JWT_BEARER.to_owned()), ("assertion", id_token())]),
        (
            "client assertion",
            vec![
                ("grant_type", CLIENT_CREDENTIALS.to_owned()),
                ("client_assertion", id_token()),
                ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ],
        ),
        (
            "API key",
            vec![
                ("grant_type", CLIENT_CREDENTIALS.to_owned()),
                ("client_id", "octo".to_owned()),
                ("client_secret", key),
            ],
        ),
    ]
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn o2_02_c109_no_parameter_of_any_grant_is_repeated_and_none_counts_when_it_is_empty() {
    for (grant, pairs) in honest() {
        let pairs = borrowed(&pairs);
        granted(&GRANTS.send(&Request::post_form("/token", &pairs)));
        for index in 0..pairs.len() {
            for again in [pairs[index].1, "", "x"] {
                let more = [&pairs[..], &[(pairs[index].0, again)]].concat();
                invalid(&GRANTS.send(&Request::post_form("/token", &more)), "request_malformed");
            }
            // Empty is absent, and each of them is needed.
            let mut empty = pairs.clone();
            empty[index].1 = "";
            let without: Vec<_> = pairs.iter().copied().filter(|(name, _)| *name != pairs[index].0).collect();
            let answers = [empty, without].map(|pairs| GRANTS.send(&Request::post_form("/token", &pairs)));
            for answer in &answers {
                assert!([400, 401].contains(&answer.status), "{grant} without {}: {}", pairs[index].0, answer.text());
                assert_error_shape(answer);
            }
            assert_eq!(answers[0].status, answers[1].status, "{grant} {}", pairs[index].0);
        }
    }
}

#[test]
fn c108_c109_a_json_body_of_any_grant_has_values_of_the_right_type_and_no_member_twice() {
    for (grant, pairs) in honest() {
        let body = |name: &str, value: Value| {
            let mut body: serde_json::Map<String, Value> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
            body.insert(name.to_owned(), value);
            Request::post_json("/token", &body.into())
        };
        granted(&GRANTS.send(&body("audience", json!(["octo", "deploy"]))));
        for (name, value) in
            pairs.iter().map(|(name, value)| (*name, value.as_str())).chain([("scope", "releases:read")])
        {
            for wrong in [json!([value]), json!({ "value": value }), json!(1), json!(true), json!([])] {
                invalid(&GRANTS.send(&body(name, wrong.clone())), "request_malformed");
            }
        }
        for (name, wrong) in [
            ("audience", json!(1)),
            ("audience", json!([1])),
            ("audience", json!([["octo"]])),
            ("audience", json!({ "0": "octo" })),
            ("resource", json!([null])),
            ("expires_in", json!("soon")),
            ("expires_in", json!(-1)),
            ("expires_in", json!(1.5)),
            ("expires_in", json!([60])),
        ] {
            invalid(&GRANTS.send(&body(name, wrong.clone())), "request_malformed");
        }
        let text = json!(
            pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>()
        );
        let twice = text.to_string().replacen('{', &format!("{{\"{}\":\"x\",", pairs[1].0), 1);
        invalid(&GRANTS.send(&Request::new("POST", "/token").body("application/json", twice)), "request_malformed");
        let whole = form(&borrowed(&pairs));
        for media_type in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/jwt",
            "application/x-www-form-urlencoded; charset=utf-16",
        ] {
            let response = GRANTS.send(&Request::new("POST", "/token").body(media_type, whole.clone()));
            assert_eq!((response.status, reason_of(&response).as_str()), (415, "media_type"), "{grant} {media_type}");
        }
    }
}

#[test]
fn tx14_o2_05_a_grant_takes_no_credential_of_another_and_ignores_its_other_parameters() {
    let all = honest();
    let [exchange, assertion, client_assertion, key] = all.each_ref().map(|(_, pairs)| borrowed(pairs));
    let ask = |pairs: &[(&str, &str)], more: &[(&str, &str)]| {
        reason_of(&GRANTS.send(&Request::post_form("/token", &[pairs, more].concat())))
    };
    let credentials = [("client_secret", key[2].1), client_assertion[1], client_assertion[2]];
    for credential in credentials {
        for grant in [&exchange, &assertion] {
            assert_eq!(ask(grant, &[credential]), "invalid_client", "{}", credential.0);
        }
    }
    assert_eq!(ask(&key, &[client_assertion[1]]), "request_malformed");
    assert_eq!(ask(&client_assertion, &[("client_secret", key[2].1)]), "request_malformed");
    // A stranger's token in a parameter that the grant does not have changes nothing.
    let stranger = token("svc:two");
    let foreign = [("subject_token", stranger.as_str()), ("assertion", &stranger)];
    for (grant, others) in [
        (&exchange, &foreign[1..]),
        (&assertion, &foreign[..1]),
        (&client_assertion, &foreign[..]),
        (&key, &foreign[..]),
    ] {
        let response = GRANTS.send(&Request::post_form("/token", &[&grant[..], others].concat()));
        assert_eq!(payload(&access_token(&response))["sub"], OCTO_ID);
    }
    // A grant reads its own parameter alone.
    for (grant, other) in [(EXCHANGE, "assertion"), (JWT_BEARER, "subject_token"), (JWT_BEARER, "client_assertion")] {
        let pairs = [("grant_type", grant), ("subject_token_type", ID_TOKEN), (other, exchange[1].1)];
        assert!(["request_malformed", "invalid_client"].contains(&ask(&pairs, &[]).as_str()), "{grant} {other}");
    }
}

#[test]
fn sb02_c079_another_account_is_named_in_no_way_of_any_grant() {
    for (grant, pairs) in honest() {
        for (name, value) in
            [("audience", "two"), ("audience", "nobody"), ("audience", "disabled"), ("client_id", "two")]
        {
            let pairs: Vec<_> =
                borrowed(&pairs).into_iter().filter(|(own, _)| *own != name).chain([(name, value)]).collect();
            let reason = reason_of(&GRANTS.send(&Request::post_form("/token", &pairs)));
            let expected = if (grant, name) == ("API key", "client_id") { "invalid_client" } else { "not_authorized" };
            assert_eq!(reason, expected, "{grant}: {name} {value}");
        }
        for (name, value, expected) in [
            ("audience", "sts", "target_not_granted"),
            ("audience", US, "target_not_granted"),
            ("resource", BILLING, "target_not_granted"),
            ("resource", "https://deploy.example.com#x", "target_not_granted"),
            ("scope", "invoices:read", "scope_not_granted"),
            ("scope", "sts:admin", "scope_not_granted"),
            ("scope", "deployments:create *", "scope_not_granted"),
        ] {
            let pairs = [&borrowed(&pairs)[..], &[(name, value)]].concat();
            assert_eq!(
                reason_of(&GRANTS.send(&Request::post_form("/token", &pairs))),
                expected,
                "{grant}: {name} {value}"
            );
        }
    }
}

#[test]
fn tx03_c083_nobody_is_their_own_actor() {
    let config = grants_world()
        .with("service_accounts/front/delegation/actors", json!(["front", "robot", "double"]))
        // The same token is of both accounts.
        .with(
            "service_accounts/double",
            json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:front")] }),
        );
    let server = Server::start_in(STS, world_site(&config));
    let front = token("svc:front");
    let acting = |subject: &str, actor: &str, kind: &str| {
        server.exchange(subject, &[("audience", "front"), ("actor_token", actor), ("actor_token_type", kind)])
    };
    // The subject token shows one party.
    let twice = acting(&front, &front, ID_TOKEN);
    invalid(&twice, "request_malformed");
    assert!(twice.text().contains("`actor_token` is the subject token"), "{}", twice.text());
    let own = server.token(&front, &[("audience", "front")]);
    let again = [("actor_token", own.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    invalid(&exchange_own(&server, &own, &again), "request_malformed");
    // Another token of the same account is no other party, though the account lists itself.
    let sibling = server.token(&front, &[("audience", "front")]);
    for refused in [acting(&front, &own, ACCESS_TOKEN), exchange_own(&server, &sibling, &again)] {
        invalid(&refused, "not_authorized");
        let explained = server.cli(&["explain", "--denial", refused.header("x-request-id").unwrap()]).ended(1).text();
        assert!(explained.lines().next().unwrap().contains("of account `front` itself"), "{explained}");
    }
    // A cycle: the actor's account lets the subject act for it. Neither gets more than its own.
    let robot = server.token(&token("svc:robot"), &[]);
    let acted = access_token(&acting(&front, &robot, ACCESS_TOKEN));
    assert_eq!((&payload(&acted)["sub"], &payload(&acted)["act"]), (&json!("front"), &json!({ "sub": "robot" })));
    let as_actor = [("actor_token", acted.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    invalid(&exchange_own(&server, &robot, &as_actor), "token_type_refused");
}

#[test]
fn tx13_c056_a_may_act_of_a_shape_that_nobody_can_fit_lets_nobody_act() {
    for may_act in [
        json!([{ "sub": "svc:robot", "iss": PLAIN }]),
        json!({ "sub": ["svc:robot"], "iss": PLAIN }),
        json!({ "sub": { "value": "svc:robot" }, "iss": PLAIN }),
        json!({ "sub": "svc:robot", "iss": [PLAIN] }),
        json!({ "sub": "svc:robot", "iss": null }),
        json!({ "sub": null, "iss": PLAIN }),
        json!({ "sub": "SVC:ROBOT", "iss": PLAIN }),
        json!({ "sub": "svc:robot ", "iss": PLAIN }),
        json!({ "sub": "svc:*", "iss": PLAIN }),
        json!({ "sub": "svc:robot", "iss": PLAIN, "may_act": { "sub": "svc:relay" } }),
        json!({ "sub": "svc:robot", "iss": PLAIN, "absent": null }),
        json!({ "sub": "svc:robot", "iss": PLAIN, "": "" }),
        json!({ "Sub": "svc:robot", "iss": PLAIN }),
        json!(true),
        json!(0),
        json!(""),
    ] {
        let subject = forge("svc:front").claim("may_act", may_act.clone()).sign();
        let robot = token("svc:robot");
        let response = GRANTS.exchange(&subject, &[("actor_token", &robot), ("actor_token_type", ID_TOKEN)]);
        assert_eq!(reason_of(&response), "not_authorized", "{may_act}");
    }
    // Members that the actor's token has are fitted whole, of any type.
    let nested = json!({ "groups": ["a", "b"], "n": 1 });
    for (own, wanted, expected) in [
        (nested.clone(), nested.clone(), "granted"),
        (nested.clone(), json!({ "groups": ["a"], "n": 1 }), "not_authorized"),
        (json!(1), json!("1"), "not_authorized"),
        (json!(true), json!(true), "granted"),
    ] {
        let may_act = json!({ "sub": "svc:robot", "iss": PLAIN, "extra": wanted });
        let subject = forge("svc:front").claim("may_act", may_act).sign();
        let robot = forge("svc:robot").claim("extra", own).sign();
        let response = GRANTS.exchange(&subject, &[("actor_token", &robot), ("actor_token_type", ID_TOKEN)]);
        assert_eq!(reason_of(&response), expected);
    }
}

fn with_proof(proof: &str) -> Response {
    GRANTS.send(&exchange_request(&token("svc:octo"), &[]).header("DPoP", proof))
}

#[test]
fn dp01_c026_a_bent_proof_is_refused_whatever_is_bent_and_never_ignored() {
    let rsa = Key::new(Algorithm::RS256, "rsa");
    let fresh = || proof(&KEY);
    let jwk = |change: fn(&mut Value)| {
        let mut jwk = KEY.jwk();
        change(&mut jwk);
        fresh().header("jwk", jwk).sign()
    };
    let mut rsa_private = rsa.jwk();
    for member in ["p", "q", "dp", "dq", "qi"] {
        rsa_private[member] = json!("AQAB");
    }
    let header = |key: &Key| json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk() }).to_string();
    let twice = header(&KEY).replacen('{', &format!("{{\"jwk\":{},", KEYS.nobodys.jwk()), 1);
    for (what, bent) in [
        ("an RSA key with its primes", proof(&rsa).header("jwk", rsa_private).sign()),
        ("a private member that is null", jwk(|jwk| jwk["d"] = Value::Null)),
        ("a point off its curve", jwk(|jwk| jwk["y"] = jwk["x"].clone())),
        ("another curve's name", jwk(|jwk| jwk["crv"] = json!("P-384"))),
        ("another algorithm's key", jwk(|jwk| jwk["alg"] = json!("ES384"))),
        ("a key to encrypt with", jwk(|jwk| jwk["use"] = json!("enc"))),
        ("a list of keys", fresh().header("jwk", json!([KEY.jwk()])).sign()),
        ("a key set", fresh().header("jwk", Key::set(&[&KEY])).sign()),
        ("a key as text", fresh().header("jwk", KEY.jwk().to_string()).sign()),
        ("two keys", fresh().raw_header(twice).sign()),
        ("our own key's URL", fresh().no_header("jwk").header("jku", format!("{US}/.well-known/jwks.json")).sign()),
        ("typ at+jwt", fresh().header("typ", "at+jwt").sign()),
        ("alg None", fresh().header("alg", "None").sign()),
        ("HS256 by the public key", {
            let forged = fresh().header("alg", "HS256");
            forged.sign_with(|input| sts_testkit::hmac("HS256", KEY.jwk().to_string().as_bytes(), input))
        }),
        ("RS256 of an EC key", fresh().header("alg", "RS256").sign()),
        ("b64", fresh().header("crit", json!(["b64"])).header("b64", false).sign()),
        ("JSON serialisation", json!({ "protected": "e30", "payload": "e30", "signature": "" }).to_string()),
        ("a blank in front", format!("x {}", fresh().sign())),
        ("two in one field", format!("{}, {}", fresh().sign(), fresh().sign())),
        ("a lower-case method", fresh().claim("htm", "post").sign()),
        ("a list of methods", fresh().claim("htm", json!(["POST"])).sign()),
        ("another scheme", fresh().claim("htu", US.replace("https", "http") + "/token").sign()),
        ("another port", fresh().claim("htu", format!("{US}:8443/token")).sign()),
        ("a user", fresh().claim("htu", "https://x@sts.example.com/token").sign()),
        ("another letter case in the path", fresh().claim("htu", format!("{US}/Token")).sign()),
        ("a longer path", fresh().claim("htu", format!("{US}/token/")).sign()),
        ("a host with a dot", fresh().claim("htu", "https://sts.example.com./token").sign()),
        ("a line break", fresh().claim("htu", format!("{US}/to\nken")).sign()),
        ("a path alone", fresh().claim("htu", "/token").sign()),
        ("a list of URLs", fresh().claim("htu", json!([format!("{US}/token")])).sign()),
        ("iat in words", fresh().claim("iat", now().to_string()).sign()),
        ("iat in milliseconds", fresh().claim("iat", now() * 1000).sign()),
        ("iat before all time", fresh().raw_claim_of("iat", "-9223372036854775808").sign()),
        ("iat beyond all numbers", fresh().raw_claim_of("iat", "1e400").sign()),
        ("iat null", fresh().claim("iat", Value::Null).sign()),
        ("iat twice", fresh().raw_claim("iat", &now().to_string()).sign()),
        ("jti empty", fresh().claim("jti", "").sign()),
        ("jti a number", fresh().claim("jti", 1).sign()),
        ("jti of 20 KiB", fresh().claim("jti", "x".repeat(20 * 1024)).sign()),
        ("payload a list", fresh().raw_payload("[]").sign()),
    ] {
        let response = with_proof(&bent);
        assert_eq!(
            (response.status, reason_of(&response).as_str()),
            (400, "proof_invalid"),
            "{what}: {}",
            response.text()
        );
        refused(&response, 400, "invalid_dpop_proof", "proof_invalid");
    }
    for (what, fine) in [
        ("another letter case in scheme and host", fresh().claim("htu", "HTTPS://STS.Example.com/token").sign()),
        ("the default port", fresh().claim("htu", "https://sts.example.com:443/token").sign()),
        ("a fraction of a second", fresh().raw_claim_of("iat", &format!("{}.5", now())).sign()),
        ("members that we do not know", fresh().claim("nonce", "x").header("kid", "x").sign()),
        ("RSA", proof(&rsa).sign()),
    ] {
        assert_eq!(with_proof(&fine).status, 200, "{what}");
    }
}

/// A claim as JSON text, in place of the one that is there.
trait RawClaim {
    fn raw_claim_of(self, name: &str, json: &str) -> Self;
}

impl RawClaim for Forge<'_> {
    fn raw_claim_of(self, name: &str, json: &str) -> Self {
        self.no_claim(name).raw_claim(name, json)
    }
}

#[test]
fn dp01_every_grant_refuses_a_bent_proof_before_it_looks_at_anything_else() {
    let bent = proof(&KEY).claim("htm", "GET").sign();
    for (grant, pairs) in honest() {
        let request = Request::post_form("/token", &borrowed(&pairs));
        let bound = granted(&GRANTS.send(&request.clone().header("DPoP", &proof(&KEY).sign())));
        assert_eq!(bound["token_type"], "DPoP", "{grant}");
        let response = GRANTS.send(&request.header("DPoP", &bent));
        refused(&response, 400, "invalid_dpop_proof", "proof_invalid");
    }
}
