//! One-use tokens.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Forge, RedisServer, Response, Server, Site, now, until};

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
    // Another signature over the same bytes. ECDSA has many.
    invalid(&exchange(&first.sign(), &[]), "token_replayed");
    granted(&exchange(&token(2).sign(), &[]));
}

#[test]
fn c010_the_high_s_twin_of_a_signature_is_no_second_use() {
    let forged = Forge::new(&KEYS.es256, &claims("svc:octo")).claim("iss", ONCE).claim("x", "twin");
    // Without a jti, too: the signing input is the same.
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
    // It expires now. Within the leeway of 60 s it is still valid, and its use is still recorded.
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

/// The first line that `sts explain` prints for that refusal.
fn first_line(server: &Server, replay: &Response) -> String {
    let id = replay.json()["request_id"].as_str().unwrap().to_owned();
    let shown = server.cli(&["explain", "--denial", &id]).ended(1).stdout;
    shown.lines().next().unwrap().to_owned()
}

fn request_of(answer: &Response) -> String {
    answer.header("x-request-id").unwrap().to_owned()
}

/// Replays `token`, which the request `used` has used, at each of these servers. Then asks, as the
/// owner, when it was used.
fn assert_owner_is_told(servers: &[&Server], token: &str, used: &str) {
    for server in servers {
        let replay = server.exchange(token, &[]);
        invalid(&replay, "token_replayed");
        let told = format!("{}{:?}", replay.text(), replay.headers);
        assert!(!told.contains(used), "the caller is not told: {told}");

        let line = first_line(server, &replay);
        assert!(line.contains("was used before at 20") && line.contains(&format!("by request {used}")), "{line}");
        let id = replay.json()["request_id"].as_str().unwrap().to_owned();
        let shown = server.cli(&["denials", "show", &id, "--json"]).ended(0).json();
        assert!(shown["actual"].as_str().unwrap().contains(used), "{shown}");
        let event = event(server, &id);
        assert_eq!(event["earlier_use"]["request_id"], used, "{event}");
        let at = event["earlier_use"]["time"].as_str().unwrap();
        assert!(at.ends_with('Z') && at <= event["time"].as_str().unwrap(), "{event}");
        assert!(event["cause"].as_str().unwrap().contains(used), "{event}");
    }
}

fn event(server: &Server, request_id: &str) -> Value {
    server.lines().decision(request_id)
}

#[test]
fn fld42_the_owner_of_a_replayed_token_is_told_when_it_was_used_and_by_which_request() {
    let server = Server::start_in(STS, world_site(&world()));
    let (token, other) = (once("fld42"), once("fld42-other"));
    let used = request_of(&server.exchange(&token, &[]));
    let others = request_of(&server.exchange(&other, &[]));
    assert_owner_is_told(&[&server, &server], &token, &used);
    assert_owner_is_told(&[&server], &other, &others);
    // The use survives a crash.
    let server = server.crash_and_restart();
    assert_owner_is_told(&[&server], &token, &used);
}

#[test]
fn fld42_every_replica_tells_by_which_request_a_token_was_used_at_another() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let [one, two] = [(); 2].map(|()| Server::start_in(STS, world_site(&config)));
    let token = once("fld42-replicas");
    let used = request_of(&one.exchange(&token, &[]));
    assert_owner_is_told(&[&two, &one, &two], &token, &used);
}

#[test]
fn fld42_a_claim_that_somebody_wrote_to_redis_names_no_request_and_is_a_replay_all_the_same() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let one = Server::start_in(STS, world_site(&config));
    let token = once("fld42-forged");
    granted(&one.exchange(&token, &[]));
    let key = redis.keys().into_iter().find(|key| key.contains(":c:")).unwrap();
    // As an earlier version wrote it, as a forger would write it, and as another type of value.
    for forged in [&["SET", &key, "1"][..], &["SET", &key, "01J8Z3QK5V6W7X8Y9ZABCDEFGH"], &["LPUSH", &key, "x"]] {
        redis.order(&["DEL", &key]);
        redis.command(forged);
        // A server that has not seen the first use.
        let two = Server::start_in(STS, world_site(&config));
        let replay = two.exchange(&token, &[]);
        invalid(&replay, "token_replayed");
        let line = first_line(&two, &replay);
        assert!(line.contains("was used before (") && !line.contains("by request"), "{line}");
        assert_eq!(event(&two, replay.json()["request_id"].as_str().unwrap()).get("earlier_use"), None);
    }
}

#[test]
fn fld42_explain_tells_of_a_token_that_was_used_whether_a_server_runs_or_not() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    for config in [world(), shared_world(&redis, &keys)] {
        let server = Server::start_in(STS, world_site(&config));
        let (spent, unspent) = (once("fld42-explain"), once("fld42-unspent"));
        let used = request_of(&server.exchange(&spent, &[]));
        server.site().write("spent.jwt", format!("{spent}\n"));
        server.site().write("unspent.jwt", &unspent);
        let long_ago = (now() - 50).to_string();
        let assert_told = |explain: &dyn Fn(&[&str]) -> sts_testkit::Finished| {
            let told = explain(&["--token", "spent.jwt"]).ended(1);
            let line = told.stdout.lines().next().unwrap();
            assert!(line.starts_with("refused: token_replayed: ") && line.contains(&used), "{line}");
            let told = explain(&["--token", "spent.jwt", "--json"]).ended(1).json();
            assert_eq!((&told["verdict"], &told["reason"]), (&json!("refused"), &json!("token_replayed")));
            assert!(told["decision"].is_object(), "the rules' part of it follows: {told}");
            // It was not used at that time.
            explain(&["--token", "spent.jwt", "--at", &long_ago]).ended(0);
            let told = explain(&["--token", "unspent.jwt"]).ended(0);
            assert!(!told.stderr.contains("note:"), "{}", told.text());
            // Another account, or one without a grant: that refusal comes first.
            let told = explain(&["--token", "spent.jwt", "--account", "two"]).ended(1);
            assert!(told.stdout.starts_with("refused: not_authorized: "), "{}", told.stdout);
        };
        assert_told(&|args| server.cli(&[&["explain"], args].concat()));
        let (_, site) = server.terminate();
        assert_told(&|args| STS.run(site.root(), &[&["explain", "--config", "sts.yaml"], args].concat()));
        // No server ever ran here, so it is unknown whether the token was used. The answer says so.
        let elsewhere = world_site(&world());
        elsewhere.write("spent.jwt", &spent);
        let told = STS.run(elsewhere.root(), &["explain", "--token", "spent.jwt"]).ended(0);
        assert!(told.stderr.contains("whether it was used is not known"), "{}", told.text());
    }
}
