//! One-use tokens.

use crate::support::*;
use serde_json::json;
use sts_testkit::{Forge, Server, now, until};

const ONCE: &str = "https://once.example";

fn once(jti: &str) -> String {
    Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", ONCE).claim("jti", jti).sign()
}

#[test]
fn c057_a_one_use_token_is_exchanged_once() {
    let token = once("c057");
    granted(&exchange(&token, &[]));
    for _ in 0..3 {
        invalid(&exchange(&token, &[]), "token_replayed");
    }
    // The same jti in another token is the same use.
    let again =
        Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", ONCE).claim("jti", "c057").claim("x", 1).sign();
    invalid(&exchange(&again, &[]), "token_replayed");
    granted(&exchange(&once("c057-other"), &[]));
}

#[test]
fn by_default_a_token_may_be_exchanged_again() {
    let token = forge("svc:octo").claim("jti", "again").sign();
    for _ in 0..3 {
        granted(&exchange(&token, &[]));
    }
}

#[test]
fn c057_of_a_hundred_at_once_exactly_one_is_granted() {
    let token = once("c057-race");
    let reasons: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(|| reason_of(&exchange(&token, &[])))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    assert_eq!((count("granted"), count("token_replayed")), (1, 99), "{reasons:?}");
}

#[test]
fn a_one_use_token_is_not_spent_on_a_refusal() {
    let token = once("unspent");
    invalid(&exchange(&token, &[("audience", "two")]), "not_authorized");
    refused(&exchange(&token, &[("audience", "billing")]), 400, "invalid_target", "target_not_granted");
    refused(&exchange(&token, &[("scope", "nothing")]), 400, "invalid_scope", "scope_not_granted");
    granted(&exchange(&token, &[]));
    invalid(&exchange(&token, &[]), "token_replayed");
}

#[test]
fn c059_a_token_without_jti_is_one_by_what_was_signed_and_the_twin_of_its_signature_is_the_same() {
    let token = |x: i64| Forge::new(&KEYS.es256, &claims("svc:octo")).claim("iss", ONCE).claim("x", x);
    let first = token(1);
    granted(&exchange(&first.sign(), &[]));
    // Another signature over the same bytes: ECDSA has many.
    invalid(&exchange(&first.sign(), &[]), "token_replayed");
    granted(&exchange(&token(2).sign(), &[]));
}

#[test]
fn c010_the_high_s_twin_of_a_signature_is_no_second_use() {
    let forged = Forge::new(&KEYS.es256, &claims("svc:octo")).claim("iss", ONCE).claim("x", "twin");
    // Without a jti, too: what was signed is the same.
    for token in [forged.clone().claim("jti", "twin").sign(), forged.sign()] {
        granted(&exchange(&token, &[]));
        let twin = sts_testkit::rejoin(&token, 2, |signature| {
            let bytes = sts_testkit::decode_base64url(signature).unwrap();
            sts_testkit::base64url(&[&bytes[..32], negated(&bytes[32..]).as_slice()].concat())
        });
        assert_ne!(twin, token);
        invalid(&exchange(&twin, &[]), "token_replayed");
        invalid(&exchange(&token, &[]), "token_replayed");
    }
}

/// n - s for P-256.
fn negated(s: &[u8]) -> Vec<u8> {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut difference = vec![0; 32];
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let value = i16::from(N[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(value < 0);
        difference[at] = u8::try_from(value.rem_euclid(256)).unwrap();
    }
    difference
}

#[test]
fn c059_the_same_jti_of_two_issuers_is_two_uses_and_no_jti_collides() {
    let keys = &*KEYS;
    let config = world().with("issuers/plain/replay", "once").with("issuers/other/replay", "once").with(
        "service_accounts/octo/identities",
        json!([identity("plain", "svc:octo"), identity("other", "svc:octo")]),
    );
    let server = Server::start_in(STS, world_site(&config));
    let plain = |jti: &str| Forge::new(&keys.es256, &claims("svc:octo")).claim("jti", jti).sign();
    let other = |jti: &str| {
        Forge::new(&keys.other, &claims("svc:octo")).claim("jti", jti).claim("iss", "https://other.example").sign()
    };
    for jti in ["a", "plain:a", "a:b", "plain", "\u{fffd}", "{x}"] {
        granted(&server.exchange(&plain(jti), &[]));
        granted(&server.exchange(&other(jti), &[]));
        invalid(&server.exchange(&plain(jti), &[]), "token_replayed");
        invalid(&server.exchange(&other(jti), &[]), "token_replayed");
    }
    for wrong in [json!(null), json!(""), json!(1), json!(["a"]), json!("x".repeat(1025)), json!("a\n")] {
        let token = Forge::new(&keys.es256, &claims("svc:octo")).claim("jti", wrong.clone()).sign();
        assert_eq!(reason_of(&server.exchange(&token, &[])), "token_malformed", "{wrong}");
    }
}

#[test]
fn c058_c138_a_use_outlives_a_crash_and_the_expiry_of_the_token_within_the_leeway() {
    let server = Server::start_in(STS, world_site(&world()));
    let token = once("crash");
    granted(&server.exchange(&token, &[]));
    let server = server.crash_and_restart();
    invalid(&server.exchange(&token, &[]), "token_replayed");
    // It expires now; for a leeway of 60 s it is still a token, and its use is still known.
    let exp = now() + 1;
    let short =
        Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", ONCE).claim("jti", "short").claim("exp", exp).sign();
    granted(&server.exchange(&short, &[]));
    until("the token to expire", || now() > exp);
    invalid(&server.exchange(&short, &[]), "token_replayed");
}

#[test]
fn once_per_account_lets_each_account_use_a_token_once() {
    let config = world()
        .with("issuers/plain/replay", "once_per_account")
        .with("service_accounts/twin-a/identities", json!([identity("plain", "svc:twin")]));
    let server = Server::start_in(STS, world_site(&config));
    let token = forge("svc:twin").claim("jti", "x").sign();
    for account in ["twin-a", "twin-b"] {
        granted(&server.exchange(&token, &[("audience", account)]));
        invalid(&server.exchange(&token, &[("audience", account)]), "token_replayed");
    }
}

#[test]
fn an_identity_may_say_it_for_itself() {
    let config = world().with(
        "service_accounts/octo/identities",
        json!([
            { "name": "once", "issuer": "plain", "subject": "svc:octo", "replay": "once" },
            { "name": "often", "issuer": "once", "subject": "svc:octo", "replay": "allow" },
        ]),
    );
    let server = Server::start_in(STS, world_site(&config));
    let plain = token("svc:octo");
    granted(&server.exchange(&plain, &[]));
    invalid(&server.exchange(&plain, &[]), "token_replayed");
    let often = once("often");
    granted(&server.exchange(&often, &[]));
    granted(&server.exchange(&often, &[]));
}
