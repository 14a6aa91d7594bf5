//! Real problems with issuers' keys: key sets without kids, imprecise numbers, redirects,
//! connections that close, proxies, and the errors when an issuer or the server itself cannot be
//! reached.

use crate::support::*;
use serde_json::{Value, json};
use std::net::TcpListener;
use sts_testkit::{Algorithm, Config, FakeIssuer, Finished, Forge, Key, Page, Server, Site, corpus_file, free_address};

fn es256(kid: &str) -> Key {
    Key::new(Algorithm::ES256, kid)
}

fn with_entry(entry: Value) -> Config {
    world().with("issuers/field", entry).with(
        "service_accounts/field",
        json!({ "teams": ["deployers"], "identities": [identity("field", "svc:field")] }),
    )
}

fn token_of<'a>(key: &'a Key, issuer: &str) -> Forge<'a> {
    Forge::new(key, &claims("svc:field")).claim("iss", issuer)
}

/// The key set of `key`, with a change to its one JWK.
fn bent(key: &Key, bend: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut set = Key::set(&[key]);
    bend(set["keys"][0].as_object_mut().unwrap());
    set
}

#[test]
fn fld32_a_key_without_a_kid_in_a_key_file_is_tried_for_any_kid() {
    let key = es256("of-the-token");
    let unnamed = bent(&key, |jwk| drop(jwk.remove("kid")));
    let issuer = "https://field.example";
    for (entry, is_inline) in [
        (json!({ "issuer": issuer, "jwks_file": "field.jwks.json" }), false),
        (json!({ "issuer": issuer, "jwks": unnamed }), true),
    ] {
        let site = world_site(&with_entry(entry));
        site.write("field.jwks.json", unnamed.to_string());
        let server = Server::start_in(STS, site);
        granted(&server.exchange(&token_of(&key, issuer).sign(), &[]));
        granted(&server.exchange(&token_of(&key, issuer).no_header("kid").sign(), &[]));
        let stranger = es256("of-the-token");
        let forged = server.exchange(&token_of(&stranger, issuer).sign(), &[]);
        assert_eq!(reason_of(&forged), "signature_invalid", "inline: {is_inline}");
    }
}

#[test]
fn fld34_numbers_of_a_key_that_are_written_sloppily_are_read() {
    let padded = |text: &Value| {
        let text = text.as_str().unwrap();
        json!(format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4)))
    };
    let (ec, rsa) = (es256("ec"), Key::new(Algorithm::RS256, "rsa"));
    let mut set = Key::set(&[&ec, &rsa]);
    for (index, name) in [(0, "x"), (0, "y"), (1, "n"), (1, "e")] {
        set["keys"][index][name] = padded(&set["keys"][index][name]);
    }
    let fake = FakeIssuer::start(&set);
    let server = Server::start_in(STS, world_site(&with_entry(json!({ "issuer": fake.url(), "allow_http": true }))));
    for key in [&ec, &rsa] {
        granted(&server.exchange(&token_of(key, &fake.url()).sign(), &[]));
    }
}

#[test]
fn fld33_a_redirect_within_the_origin_is_followed_and_one_off_it_is_named() {
    let key = es256("k");
    let fake = FakeIssuer::start(&Key::set(&[&key]));
    let document = json!({ "issuer": fake.url(), "jwks_uri": fake.jwks_url() });
    fake.discovery(Page::redirect("/openid"));
    fake.page("/openid", Page::Json(document));
    let config = with_entry(json!({ "issuer": fake.url(), "allow_http": true }));
    let server = Server::start_in(STS, world_site(&config));
    granted(&server.exchange(&token_of(&key, &fake.url()).sign(), &[]));
    fake.discovery(Page::redirect("http://127.0.0.1:9/openid"));
    server.cli(&["issuers", "refresh", "field"]).ended(1);
    let shown = server.cli(&["issuers", "show", "field"]).ended(0).stdout;
    assert!(shown.contains("`http://127.0.0.1:9`") && shown.contains("`jwks_url`"), "{shown}");
}

#[test]
fn f5_forged_tokens_of_a_family_hinder_no_proven_and_no_named_member() {
    let fake = FakeIssuer::start(&Key::set(&[]));
    let member = |cluster: &str| format!("{}/c/{cluster}", fake.url());
    let publish = |cluster: &str, key: &Key| {
        let issuer = member(cluster);
        let document = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        fake.page(&format!("/c/{cluster}/.well-known/openid-configuration"), Page::Json(document));
        fake.page(&format!("/c/{cluster}/keys"), Page::Json(Key::set(&[key])));
    };
    let (prod, named, forger) = (es256("prod"), es256("named"), es256("forger"));
    publish("prod-1", &prod);
    publish("named-1", &named);
    for number in 0..1100 {
        publish(&format!("x-{number}"), &forger);
    }
    let config = world()
        .with("limits", json!({ "failures_per_second": 0 }))
        .with("issuers/clusters", json!({
            "issuer_template": format!("{}/c/{{cluster}}", fake.url()),
            "variables": { "cluster": "[a-z]+-[0-9]+" },
            "allow_http": true,
        }))
        .with("service_accounts/fleet", json!({
            "teams": ["deployers"],
            "identities": [
                { "name": "production", "issuer": "clusters", "subject": "svc:fleet", "claims": { "cluster": "prod-*" } },
                { "name": "named", "issuer": "clusters", "subject": "svc:fleet", "claims": { "cluster": ["named-1"] } },
            ],
        }));
    let server = Server::start_in(STS, world_site(&config));
    let token =
        |cluster: &str, key: &Key| Forge::new(key, &claims("svc:fleet")).claim("iss", member(cluster)).fresh().sign();
    granted(&server.exchange(&token("prod-1", &prod), &[]));
    let stranger = es256("forger");
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..1100 {
        let forged = token(&format!("x-{number}"), &stranger);
        *reasons.entry(reason_of(&server.exchange(&forged, &[]))).or_default() += 1;
    }
    assert!(reasons["issuer_unavailable"] > 500, "{reasons:?}");
    granted(&server.exchange(&token("prod-1", &prod), &[]));
    // A kid that nobody asked for before, at the end of the flood.
    granted(&server.exchange(&token("named-1", &named), &[]));
    let rotated = es256("rotated");
    publish("prod-1", &rotated);
    granted(&server.exchange(&token("prod-1", &rotated), &[]));
}

#[test]
fn fld20_a_proxy_in_the_environment_is_warned_of_and_one_in_the_configuration_is_used() {
    // The address of the listener is taken, so the start fails after the warning.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = world_site(&world().with("listen", taken.local_addr().unwrap().to_string()));
    let serve = |environment: &[(&str, &str)]| STS.run_in(site.root(), &["serve", "--config", "sts.yaml"], environment);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let said = serve(&[(variable, "http://user:hunter2@proxy.example:3128")]).text();
        assert!(said.contains(variable) && said.contains("`proxy`"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(!serve(&[("HTTPS_PROXY", "")]).text().contains("HTTPS_PROXY"));

    // The top-level proxy is used by every fetched entry that sets none.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = proxy.accept().unwrap();
        let mut head = [0; 512];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let config = with_entry(json!({ "issuer": "https://field.example" }))
        .with(
            "issuers/direct",
            json!({ "issuer": "https://127.0.0.1:9", "allow_private_network": true, "proxy": "none" }),
        )
        .with("proxy", format!("http://{address}"));
    let server = Server::start_in(STS, world_site(&config));
    server.cli(&["issuers", "refresh", "direct"]).ended(1);
    server.cli(&["issuers", "refresh", "field"]).ended(1);
    let shown = server.cli(&["issuers", "show", "field"]).ended(0).stdout;
    assert!(shown.contains("proxy") && shown.contains(&address.to_string()), "{shown}");
    let direct = server.cli(&["issuers", "show", "direct"]).ended(0).stdout;
    assert!(direct.contains("connection refused") && !direct.contains(&address.to_string()), "{direct}");
    assert!(asked.join().unwrap().starts_with("CONNECT field.example:443"));
}

fn exchange(url: &str, more: &[&str]) -> Finished {
    let site = Site::new();
    site.write("ca.crt", std::fs::read(corpus_file("tls/server.crt")).unwrap());
    let arguments = [&["exchange", "--url", url, "--timeout", "1"], more].concat();
    STS.run_in(site.root(), &arguments, &[("STS_ID_TOKEN", "x.y.z"), ("NO_PROXY", "*")]).ended(1)
}

#[test]
fn fld47_the_client_tells_dns_refused_plain_http_and_certificates_apart() {
    let closed = free_address();
    let plain = FakeIssuer::start(&Key::set(&[]));
    plain.page("/token", Page::redirect("https://elsewhere.example/token"));
    let site = world_site(&world().with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" })));
    site.write("tls.crt", std::fs::read(corpus_file("tls/server.crt")).unwrap());
    site.write("tls.key", std::fs::read(corpus_file("tls/server.key")).unwrap());
    let server = Server::start_in(STS, site);
    let https = format!("https://localhost:{}", server.public().port());
    for (url, more, parts) in [
        (format!("https://{closed}"), &[][..], &["connection refused", "nothing listens"][..]),
        ("https://nowhere.invalid".to_owned(), &[], &["nowhere.invalid:443", "DNS"]),
        (plain.url().replace("http:", "https:"), &[], &["TLS", "scheme and port"]),
        (https.clone(), &[], &["CN=sts test", "TLS", "--ca-file"]),
        (https.clone(), &["--ca-file", "ca.crt"], &["refused: token_malformed"]),
        (plain.url(), &[], &["redirects to `https://elsewhere.example`", "--url"]),
    ] {
        let said = exchange(&url, more).stderr;
        for part in parts {
            assert!(said.contains(part), "{url}: `{part}` is missing: {said}");
        }
        assert!(!said.contains("x.y.z"));
    }
}
