//! The subject token's shape, algorithm, signature and claims: parts A and B of the attack corpus,
//! over HTTP.

use crate::support::*;
use serde_json::{Value, json};
use std::net::TcpListener;
use sts_testkit::{Algorithm, Forge, Key, Mutants, base64url, decode_base64url, hmac, now, rejoin};

/// The first failure of a token, or `granted`.
fn judged(token: &str) -> String {
    reason_of(&exchange(token, &[]))
}

#[track_caller]
fn each(expected: &str, cases: impl IntoIterator<Item = (impl std::fmt::Display, String)>) {
    for (name, token) in cases {
        let response = exchange(&token, &[]);
        assert_eq!(reason_of(&response), expected, "{name}");
        if expected != "granted" {
            invalid(&response, expected);
        }
    }
}

#[test]
fn the_honest_token_that_all_others_are_bent_from_is_granted() {
    assert_eq!(judged(&token("svc:octo")), "granted");
}

#[test]
fn c001_c002_c003_bc01_no_spelling_of_none_is_an_algorithm() {
    let spelt = ["none", "None", "NONE", "nOnE", "none ", " none", "", "HS256", "hs256", "rs256", "RSA1_5", "A128GCM"];
    let unsigned = spelt.iter().map(|alg| (*alg, forge("svc:octo").header("alg", *alg).sign_with(|_| Vec::new())));
    each("token_algorithm", unsigned);
    let signed = spelt.iter().map(|alg| (*alg, forge("svc:octo").header("alg", *alg).sign()));
    each("token_algorithm", signed);
    let typed = [json!(null), json!(["RS256"]), json!({}), json!(256), json!(true)];
    each(
        "token_algorithm",
        typed.into_iter().map(|alg| (alg.to_string(), forge("svc:octo").header("alg", alg).sign())),
    );
    each("token_algorithm", [("missing", forge("svc:octo").no_header("alg").sign())]);
    let escaped = r#"{"alg":"n\u006fne","typ":"JWT"}"#;
    each("token_algorithm", [("escaped", forge("svc:octo").raw_header(escaped).sign_with(|_| Vec::new()))]);
}

#[test]
fn c003_c028_c029_j01_bc03_bc04_only_three_parts_are_a_token() {
    let own = token("svc:octo");
    let parts: Vec<&str> = own.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    let jwe = base64url(br#"{"alg":"dir","enc":"A256GCM"}"#);
    let pbes = base64url(br#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"}"#);
    let bomb = base64url(br#"{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}"#);
    each(
        "token_malformed",
        [
            ("one part", h.to_owned()),
            ("two parts", format!("{h}.{p}")),
            ("four parts", format!("{h}.{p}.{s}.{s}")),
            ("leading dot", format!(".{own}")),
            ("trailing dot", format!("{own}.")),
            ("dots", "..".to_owned()),
            ("five empty parts", "....".to_owned()),
            ("no header", format!(".{p}.{s}")),
            ("no payload", format!("{h}..{s}")),
            ("jwe dir", format!("{jwe}....")),
            ("jwe pbes2", format!("{pbes}.{h}.{h}.{p}.{s}")),
            ("jwe zip", format!("{bomb}.{h}.{h}.{p}.{s}")),
            ("flattened", json!({ "protected": h, "payload": p, "signature": s }).to_string()),
            ("general", json!({ "payload": p, "signatures": [{ "protected": h, "signature": s }] }).to_string()),
            ("hidden", json!({ "payload": own, "protected": h, "signature": s }).to_string()),
            ("not a token", "opaque".to_owned()),
        ],
    );
}

#[test]
fn c004_c005_c006_an_hmac_keyed_with_anything_public_is_no_signature() {
    let keys = &*KEYS;
    for key in [&keys.rs256, &keys.es256, &keys.eddsa] {
        let pem = pem(&key.public_der());
        let secrets = [
            key.public_bytes(),
            key.public_der(),
            pem.clone().into_bytes(),
            format!("{pem}\n").into_bytes(),
            format!(" {pem}").into_bytes(),
            key.jwk().to_string().into_bytes(),
            Vec::new(),
            vec![0; 32],
        ];
        for alg in ["HS256", "HS384", "HS512"] {
            for secret in &secrets {
                let bent = Forge::new(key, &claims("svc:octo")).header("alg", alg);
                let unknown = bent.clone().header("kid", "nothing");
                each("token_algorithm", [bent, unknown].map(|bent| (alg, bent.sign_with(|i| hmac(alg, secret, i)))));
                // The name of an asymmetric algorithm with an HMAC as its signature.
                let bent = Forge::new(key, &claims("svc:octo"));
                each("signature_invalid", [(alg, bent.sign_with(|input| hmac(alg, secret, input)))]);
            }
        }
    }
}

/// The form in which `openssl` writes a public key.
fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"))
}

#[test]
fn c007_c008_c009_j06_an_ecdsa_signature_has_one_form_and_full_range() {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut less = N;
    less[31] -= 1;
    let mut one = [0; 32];
    one[31] = 1;
    let values: [[u8; 32]; 4] = [[0; 32], one, less, N];
    let pairs = values.iter().flat_map(|r| values.iter().map(move |s| [r.as_slice(), s.as_slice()].concat()));
    each("signature_invalid", pairs.map(|pair| (format!("{pair:02x?}"), forge("svc:octo").sign_with(|_| pair))));
    let honest = forge("svc:octo");
    let bend = |bend: &dyn Fn(Vec<u8>) -> Vec<u8>| honest.sign_with(|input| bend(KEYS.es256.sign(input)));
    each(
        "signature_invalid",
        [
            ("empty", bend(&|_| Vec::new())),
            ("63 bytes", bend(&|s| s[..63].to_vec())),
            ("65 bytes", bend(&|s| [s.as_slice(), &[0]].concat())),
            ("padded r", bend(&|s| [&[0], s.as_slice()].concat())),
            ("twice", bend(&|s| [s.as_slice(), s.as_slice()].concat())),
            ("der", bend(&|s| der(&s))),
            ("swapped", bend(&|s| [&s[32..], &s[..32]].concat())),
        ],
    );
}

/// The ASN.1 form of an ECDSA signature, which JOSE does not use.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut value: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
        if value.first().is_some_and(|b| *b >= 0x80) {
            value.insert(0, 0);
        }
        [&[2, u8::try_from(value.len()).unwrap()], value.as_slice()].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()], both.as_slice()].concat()
}

#[test]
fn c011_c012_bc02_a_header_cannot_move_a_key_to_another_algorithm() {
    let keys = &*KEYS;
    let wide = |key: &'static Key, alg: &str| {
        Forge::new(key, &claims("svc:octo")).claim("iss", "https://wide.example").header("alg", alg)
    };
    // An algorithm that the entry accepts, with the kid of a key for another algorithm.
    each(
        "key_unknown",
        [
            ("RS256 key as PS256", wide(&keys.rs256, "PS256").sign_with(|i| keys.rs256.sign_as(Algorithm::PS256, i))),
            ("PS256 key as RS256", wide(&keys.ps256, "RS256").sign_with(|i| keys.ps256.sign_as(Algorithm::RS256, i))),
            ("RS256 key as ES384", wide(&keys.rs256, "ES384").sign()),
            ("EC384 key as RS256", wide(&keys.es384, "RS256").sign()),
        ],
    );
    // Algorithms that the entry does not accept.
    let plain = |alg: &str| forge("svc:octo").header("alg", alg).sign();
    each("token_algorithm", ["ES384", "PS256", "RS512", "ES512", "RS384"].map(|alg| (alg, plain(alg))));
    each(
        "signature_invalid",
        [
            (
                "PS256 signature",
                Forge::new(&keys.rs256, &claims("svc:octo")).sign_with(|i| keys.rs256.sign_as(Algorithm::PS256, i)),
            ),
            (
                "RS512 signature",
                Forge::new(&keys.rs256, &claims("svc:octo")).sign_with(|i| keys.rs256.sign_as(Algorithm::RS512, i)),
            ),
        ],
    );
    let other = |key: &'static Key, alg: &str| Forge::new(key, &claims("svc:octo")).header("alg", alg).sign();
    each(
        "key_unknown",
        [
            ("EC key for EdDSA", other(&keys.es256, "EdDSA")),
            ("Ed25519 key for ES256", other(&keys.eddsa, "ES256")),
            ("P-384 key for ES256", other(&keys.es384, "ES256")),
            ("P-256 key for ES384", wide(&keys.es256, "ES384").sign()),
        ],
    );
}

#[test]
fn c015_no_bit_of_a_token_can_be_flipped() {
    let own = token("svc:octo");
    let parts: Vec<Vec<u8>> = own.split('.').map(|part| decode_base64url(part).unwrap()).collect();
    for part in 0..3 {
        for at in 0..parts[part].len() {
            let mut bent = parts.clone();
            bent[part][at] ^= 1 << (at % 8);
            let token = bent.iter().map(|part| base64url(part)).collect::<Vec<_>>().join(".");
            let response = exchange(&token, &[]);
            assert_eq!(response.status, 400, "part {part} byte {at}: {}", response.text());
        }
    }
}

#[test]
fn c015_whatever_a_token_is_bent_to_it_is_granted_or_refused_and_nothing_else_happens() {
    let server = sts_testkit::Server::start_in(STS, world_site(&world().with("limits/failures_per_second", 0)));
    let mut granted = 0;
    for token in Mutants::new(15, forge("svc:octo")).take(2_000) {
        let response = server.exchange(&token, &[]);
        assert!([200, 400].contains(&response.status), "{}: {token}", response.text());
        granted += usize::from(response.status == 200);
    }
    assert!((50..1_000).contains(&granted), "{granted}");
    assert!(server.is_alive() && !server.lines().text().contains("panic"));
}

#[test]
fn c016_a_key_in_the_header_is_never_used() {
    let attacker = Key::new(Algorithm::ES256, "es");
    let bent = |name: &str, value: Value| Forge::new(&attacker, &claims("svc:octo")).header(name, value).sign();
    each(
        "signature_invalid",
        [
            ("jwk", bent("jwk", attacker.jwk())),
            ("x5c", bent("x5c", json!(["MIIB"]))),
            ("x5t", bent("x5t", json!("ykNaY4qM_ta4k2TgZOCEYLkcYlA"))),
        ],
    );
    let unknown = Forge::new(&attacker, &claims("svc:octo")).header("kid", "mine").header("jwk", attacker.jwk());
    each("key_unknown", [("unknown kid", unknown.sign())]);
}

#[test]
fn c017_c018_c055_j05_urls_in_a_token_are_never_called() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let real = forge("svc:octo")
        .header("jku", url.as_str())
        .header("x5u", url.as_str())
        .header("x5c", json!(["MIIB"]))
        .claim("_claim_names", json!({ "groups": "src" }))
        .claim("_claim_sources", json!({ "src": { "endpoint": url } }));
    each("granted", [("by the real key", real.sign())]);
    let attacker = Key::new(Algorithm::ES256, "es");
    let forged = Forge::new(&attacker, &claims("svc:octo")).header("jku", url.as_str()).header("kid", "mine");
    each("key_unknown", [("by another", forged.sign())]);
    let elsewhere = Forge::new(&attacker, &claims("svc:octo")).claim("iss", url.as_str());
    each("issuer_unknown", [("issuer", elsewhere.sign())]);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn c019_c020_j04_extensions_are_not_understood_and_payloads_are_always_encoded() {
    let crits = [json!(["exp"]), json!([]), json!("b64"), json!(["b64"]), json!(null), json!(["http://example.com/x"])];
    each("token_malformed", crits.map(|crit| (crit.to_string(), forge("svc:octo").header("crit", crit).sign())));
    each(
        "token_malformed",
        [
            ("b64 false", forge("svc:octo").header("b64", false).sign()),
            ("b64 true", forge("svc:octo").header("b64", true).sign()),
            ("zip", forge("svc:octo").header("zip", "DEF").sign()),
            ("enc", forge("svc:octo").header("enc", "A128GCM").sign()),
            ("detached", rejoin(&token("svc:octo"), 1, |_| String::new())),
        ],
    );
}

#[test]
fn c021_c022_a_kid_is_an_opaque_text() {
    let kid = |kid: Value| forge("svc:octo").header("kid", kid).sign();
    each("granted", [("missing", forge("svc:octo").no_header("kid").sign())]);
    let typed = [json!(null), json!(1), json!({}), json!(["es"]), json!(true), json!("")];
    each("token_malformed", typed.map(|value| (value.to_string(), kid(value))));
    let hostile =
        ["../../etc/passwd", "/dev/null", "a' OR 1=1--", "*", "{tenant}:key", "\u{202e}se", "ES", "es ", "es/"];
    each("key_unknown", hostile.map(|value| (value, kid(json!(value)))));
    let control = ["\r\nSET x", "es\0", "\u{1b}[31m"];
    each("token_malformed", control.map(|value| (value.escape_debug().to_string(), kid(json!(value)))));
    each("token_malformed", [4_000, 48_000].map(|length| ("long", kid(json!("k".repeat(length))))));
}

#[test]
fn c023_bc05_bc06_a_key_counts_for_its_own_issuer_only() {
    let by_other = Forge::new(&KEYS.other, &claims("svc:octo"));
    each("key_unknown", [("kid of another issuer", by_other.sign())]);
    let bent = by_other.clone().header("kid", "es");
    each("signature_invalid", [("kid of this issuer", bent.sign())]);
    // The same `sub` from another issuer is another subject.
    let elsewhere = by_other.claim("iss", "https://other.example");
    each("not_authorized", [("same sub", elsewhere.sign())]);
}

#[test]
fn c024_bc08_a_typ_other_than_jwt_is_another_kind_of_token() {
    let typ = |typ: Value| forge("svc:octo").header("typ", typ).sign();
    let fine = ["JWT", "jwt", "application/jwt", "Application/JWT"];
    each("granted", fine.map(|value| (value, typ(json!(value)))));
    each("granted", [("absent", forge("svc:octo").no_header("typ").sign())]);
    let others = [
        "at+jwt",
        "application/at+jwt",
        "AT+JWT",
        "dpop+jwt",
        "txntoken+jwt",
        "logout+jwt",
        "secevent+jwt",
        "id+jwt",
        "",
        "JWT ",
        "a/b/jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
    ];
    each("token_type_refused", others.map(|value| (value, typ(json!(value)))));
    let typed = [json!(null), json!(1), json!(["JWT"])];
    each("token_malformed", typed.map(|value| (value.to_string(), typ(value))));
    // An entry may list more.
    let listed = Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", "https://wide.example");
    each("granted", [("listed", listed.clone().header("typ", "application/id+jwt").sign())]);
    each("token_type_refused", [("not listed", listed.header("typ", "at+jwt").sign())]);
}

#[test]
fn c025_c026_bc07_our_own_tokens_are_not_subject_tokens() {
    let own = WORLD.token(&token("svc:octo"), &[]);
    each("token_type_refused", [("as it is", own)]);
}

#[test]
fn c027_a_token_inside_a_token_is_not_looked_for() {
    let inner = token("svc:octo");
    let nested = forge("svc:octo").header("cty", "JWT").raw_payload(inner.clone());
    let deeper = |levels: usize| {
        (1..levels).fold(nested.sign(), |inner, _| forge("svc:octo").header("cty", "JWT").raw_payload(inner).sign())
    };
    each(
        "token_malformed",
        [
            ("one level", nested.sign()),
            ("two levels", deeper(2)),
            ("as many as a token holds", deeper(12)),
            ("by other", Forge::new(&KEYS.nobodys, &json!({})).raw_payload(inner).sign()),
        ],
    );
}

#[test]
fn c030_c031_j02_a_header_is_one_strict_json_object() {
    let raw = |header: &[u8]| forge("svc:octo").raw_header(header.to_vec()).sign();
    let utf16: Vec<u8> = r#"{"alg":"ES256","kid":"es"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    each(
        "token_malformed",
        [
            ("alg twice", raw(br#"{"alg":"ES256","alg":"none","kid":"es"}"#)),
            ("alg twice, reversed", raw(br#"{"alg":"none","alg":"ES256","kid":"es"}"#)),
            ("alg twice, escaped", raw(br#"{"alg":"ES256","\u0061lg":"ES256","kid":"es"}"#)),
            ("kid twice", raw(br#"{"alg":"ES256","kid":"es","kid":"es"}"#)),
            ("nested twice", raw(br#"{"alg":"ES256","kid":"es","x":{"a":1,"a":1}}"#)),
            ("list", raw(b"[]")),
            ("string", raw(br#""x""#)),
            ("number", raw(b"1")),
            ("null", raw(b"null")),
            ("nothing", raw(b"")),
            ("bom", raw(b"\xef\xbb\xbf{\"alg\":\"ES256\",\"kid\":\"es\"}")),
            ("utf-16", raw(&utf16)),
            ("trailing", raw(br#"{"alg":"ES256","kid":"es"}x"#)),
            ("two", raw(br#"{"alg":"ES256"}{"kid":"es"}"#)),
            ("not utf-8", raw(b"{\"alg\":\"ES256\",\"kid\":\"\xff\"}")),
            ("comment", raw(br#"{"alg":"ES256"/**/,"kid":"es"}"#)),
        ],
    );
}

#[test]
fn c032_j01_base64url_has_one_spelling() {
    for part in 0..3 {
        let bend = |bend: fn(&str) -> String| rejoin(&token("svc:octo"), part, bend);
        let cases = [
            ("padding", bend(|text| format!("{text}="))),
            ("double padding", bend(|text| format!("{text}=="))),
            ("plus", bend(|text| format!("+{}", &text[1..]))),
            ("slash", bend(|text| format!("/{}", &text[1..]))),
            ("space", bend(|text| format!("{} {}", &text[..4], &text[4..]))),
            ("newline", bend(|text| format!("{}\n{}", &text[..4], &text[4..]))),
            ("question mark", bend(|text| format!("{}?{}", &text[..4], &text[4..]))),
            ("4n+1", bend(|text| format!("{}A", &text[..text.len() / 4 * 4]))),
        ];
        each("token_malformed", cases);
    }
    // 64 bytes leave four unused bits in the last character: each spelling of them but zero is
    // another text.
    let own = token("svc:octo");
    let (head, last) = own.split_at(own.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    assert_eq!(at % 16, 0);
    let spelt = (1..16).map(|more| format!("{head}{}", alphabet.as_bytes()[at + more] as char));
    each("token_malformed", spelt.map(|token| ("unused bits", token)));
}

#[test]
fn c035_c036_a_payload_is_one_strict_json_object() {
    let twice = |name: &str, json: &str| forge("svc:octo").raw_claim(name, json).sign();
    each(
        "token_malformed",
        [
            ("sub", twice("sub", "\"svc:octo\"")),
            ("sub, other", twice("sub", "\"svc:root\"")),
            ("sub, escaped", twice("s\\u0075b", "\"svc:root\"")),
            ("iss", twice("iss", "\"https://issuer.example\"")),
            ("aud", twice("aud", "\"x\"")),
            ("exp", twice("exp", "9999999999")),
            ("nested", twice("x", r#"{"a":{"b":1,"b":2}}"#)),
            ("in a list", twice("x", r#"[{"b":1,"b":2}]"#)),
            ("nan", twice("x", "NaN")),
            ("infinity", twice("x", "Infinity")),
            ("lone surrogate", twice("x", "\"\\ud800\"")),
            ("control", twice("x", "\"\n\"")),
            ("leading zero", twice("x", "01")),
            ("deep", twice("x", &format!("{}{}", "[".repeat(70), "]".repeat(70)))),
            ("deeper", twice("x", &format!("{}{}", "[".repeat(5000), "]".repeat(5000)))),
        ],
    );
    // The bad one first.
    let honest = claims("svc:octo").to_string();
    let before = |json: &str| forge("svc:octo").raw_payload(format!("{{{json},{}", &honest[1..])).sign();
    each(
        "token_malformed",
        ["\"sub\":\"svc:root\"", "\"iss\":\"https://evil.example\"", "\"aud\":[]", "\"exp\":1", "\"e\\u0078p\":1"]
            .map(|json| (json, before(json))),
    );
    let deep = |depth: usize| twice("x", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    each("granted", [("depth 60", deep(60))]);
    let raw = |bytes: &[u8]| forge("svc:octo").raw_payload(bytes.to_vec()).sign();
    each(
        "token_malformed",
        [
            ("list", raw(b"[]")),
            ("null", raw(b"null")),
            ("nothing", raw(b"")),
            ("text", raw(b"hello")),
            ("trailing", raw(b"{}x")),
            ("bom", raw(&[b"\xef\xbb\xbf".as_slice(), claims("svc:octo").to_string().as_bytes()].concat())),
            ("c054 overlong", raw(&[b"{\"iss\":\"".as_slice(), b"\xc0\xaf", b"\"}"].concat())),
            ("c054 utf-8", raw(&[b"{\"iss\":\"".as_slice(), b"\xff", b"\"}"].concat())),
        ],
    );
}

#[test]
fn c037_c038_c060_j09_exp_is_a_number_in_the_future() {
    let exp = |json: &str| forge("svc:octo").no_claim("exp").raw_claim("exp", json).sign();
    each("token_malformed", [("missing", forge("svc:octo").no_claim("exp").sign())]);
    each("token_malformed", [("missing, with jti", forge("svc:octo").no_claim("exp").claim("jti", "x").sign())]);
    let wrong = [
        "null",
        "\"1893456000\"",
        "\"never\"",
        "true",
        "[]",
        "{}",
        "1e308",
        "-1e308",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "NaN",
        "Infinity",
        "-Infinity",
        "0x7fffffff",
        "+1893456000",
        "1893456000.",
    ];
    each("token_malformed", wrong.map(|json| (json, exp(json))));
    // 2^64 + now: an addition that wraps would read it as now.
    each("token_malformed", [("wrapped", exp(&(u128::from(u64::MAX) + 1 + now().unsigned_abs() as u128).to_string()))]);
    each("token_too_old", ["1.9e9", "1893456000.5", "9007199254740992"].map(|json| (json, exp(json))));
    each("token_expired", ["0", "-1", "1", "-0", "1.5", "1000000000"].map(|json| (json, exp(json))));
    each("granted", [("fraction", exp(&format!("{}.5", now() + 100)))]);
}

#[test]
fn c039_j09_exp_holds_for_a_leeway_of_60_seconds_unless_the_entry_says_otherwise() {
    let exp = |offset: i64| forge("svc:octo").claim("iat", now() - 1000).claim("exp", now() + offset).sign();
    each("granted", [(-50, exp(-50)), (-30, exp(-30))]);
    each("token_expired", [(-61, exp(-61)), (-3600, exp(-3600))]);
    let wide = |offset: i64| {
        Forge::new(&KEYS.rs256, &claims("svc:octo"))
            .claim("iss", "https://wide.example")
            .claim("iat", now() - 500)
            .claim("exp", now() + offset)
            .sign()
    };
    each("granted", [(-5, wide(-5))]);
    each("token_expired", [(-11, wide(-11))]);
}

#[test]
fn c040_c041_nbf_and_iat_are_judged_and_iat_is_required() {
    let with = |name: &str, json: &str| forge("svc:octo").no_claim(name).raw_claim(name, json).sign();
    for name in ["nbf", "iat"] {
        each("token_not_yet_valid", [(name, with(name, &(now() + 120).to_string()))]);
        each("granted", [(name, with(name, &(now() + 30).to_string()))]);
        each("token_malformed", ["null", "\"1\"", "true", "[]", "{}"].map(|json| (json, with(name, json))));
    }
    each("token_not_yet_valid", [("nbf in years", with("nbf", &format!("{}.5", now() + 100_000)))]);
    each("granted", [("a fraction", with("nbf", &format!("{}.5", now() - 10)))]);
    let ends = |seconds: i64| forge("svc:octo").claim("exp", now() + seconds);
    each("token_not_yet_valid", [("it begins after its end", ends(600).claim("nbf", now() + 601).sign())]);
    each(
        "token_malformed",
        [
            ("it begins after its end, within the leeway", ends(10).claim("nbf", now() + 40).sign()),
            ("it was issued after its end", ends(10).claim("iat", now() + 40).sign()),
        ],
    );
    each("token_malformed", [("no iat", forge("svc:octo").no_claim("iat").sign())]);
    each("granted", [("no nbf", forge("svc:octo").sign())]);
    let optional = Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", "https://wide.example").no_claim("iat");
    each("granted", [("require_iat: false", optional.sign())]);
    each("token_malformed", [("require_iat: false, but there and wrong", optional.claim("iat", "x").sign())]);
    each("token_too_old", [("10 years", with("iat", &(now() - 315_360_000).to_string()))]);
}

#[test]
fn c042_j10_a_life_or_age_beyond_the_entry_is_too_old() {
    let life = |seconds: i64| forge("svc:octo").claim("iat", now() - 5).claim("exp", now() - 5 + seconds).sign();
    each("granted", [("24 h", life(86_400))]);
    each("token_too_old", [("24 h 1 s", life(86_401)), ("1 year", life(31_536_000))]);
    let wide = |age: i64, life: i64| {
        let iat = now() - age;
        let forged = Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", "https://wide.example");
        forged.claim("iat", iat).claim("exp", iat + life).sign()
    };
    each("granted", [("within", wide(500, 3600))]);
    each("token_too_old", [("max_token_age", wide(700, 3600)), ("max_token_lifetime", wide(5, 3601))]);
}

#[test]
fn c043_c044_c045_j11_aud_is_ours_byte_for_byte_and_alone() {
    let aud = |aud: Value| forge("svc:octo").claim("aud", aud).sign();
    let malformed = [
        json!(""),
        json!([]),
        json!([""]),
        json!(null),
        json!(1),
        json!({}),
        json!([US, 1]),
        json!([[US]]),
        json!(true),
        json!(vec![US; 33]),
    ];
    each("token_malformed", malformed.map(|value| (value.to_string(), aud(value))));
    each("token_malformed", [("missing", forge("svc:octo").no_claim("aud").sign())]);
    each(
        "granted",
        [("string", aud(json!(US))), ("list of one", aud(json!([US]))), ("id of the account", aud(json!(OCTO_ID)))],
    );
    let others = [
        "https://sts.example.com/",
        "https://STS.example.com",
        "HTTPS://sts.example.com",
        "https://sts.example.com:443",
        "https%3A%2F%2Fsts.example.com",
        "https://sts.example.co",
        "https://sts.example.comx",
        " https://sts.example.com",
        "sts.example.com",
        "https://sts.example.com#",
        "octo",
        "*",
        "sts",
    ];
    each("token_audience", others.map(|value| (value, aud(json!(value)))));
    each("not_authorized", [("two, one ours", aud(json!([US, "other"]))), ("other, ours", aud(json!(["other", US])))]);
    // An audience that is a UUID is compared with the accounts' ids. No account has this one.
    each("not_authorized", [("another UUID", aud(json!("00000000-0000-4000-8000-000000000000")))]);
    let wide = |aud: Value| {
        Forge::new(&KEYS.rs256, &claims("svc:octo")).claim("iss", "https://wide.example").claim("aud", aud).sign()
    };
    each(
        "granted",
        [("listed", wide(json!("api://wide"))), ("sole_audience: false", wide(json!(["x", "api://wide", "y"])))],
    );
    each("token_audience", [("not listed", wide(json!("api://other")))]);
}

#[test]
fn c046_c047_j12_iss_is_a_configured_issuer_byte_for_byte() {
    let iss = |iss: Value| forge("svc:octo").claim("iss", iss).sign();
    each(
        "token_malformed",
        [json!(null), json!(1), json!([PLAIN]), json!({}), json!("")].map(|value| (value.to_string(), iss(value))),
    );
    each("token_malformed", [("missing", forge("svc:octo").no_claim("iss").sign())]);
    let near = [
        "https://issuer.example/",
        "http://issuer.example",
        "https://ISSUER.example",
        "https://issuer.example:443",
        "https://issuer.example.",
        "https://user@issuer.example",
        "https://issuer%2eexample",
        "https://issuer.example/../",
        "https://іssuer.example",
        "https://xn--ssuer-2of.example",
        "https://issuer.example@evil.example",
        "https://issuer.example.evil.example",
        "https://issuer.example#",
        "https://issuer.example?",
        " https://issuer.example",
        "file:///etc/passwd",
        "issuer.example",
        "plain",
        "*",
    ];
    each("issuer_unknown", near.map(|value| (value, iss(json!(value)))));
    each("issuer_unknown", [("our own", iss(json!(US)))]);
    each(
        "token_malformed",
        [("crlf", iss(json!("https://issuer.example\r\nX: y"))), ("nul", iss(json!("https://issuer.example\0")))],
    );
    let long = iss(json!(format!("https://{}.example", "a".repeat(9000))));
    assert!(["issuer_unknown", "token_malformed"].contains(&judged(&long).as_str()));
}

#[test]
fn c048_c049_j12_sub_is_a_bounded_text_and_compares_byte_for_byte() {
    let sub = |sub: Value| forge("svc:octo").claim("sub", sub).sign();
    let malformed = [
        json!(null),
        json!(""),
        json!(1),
        json!([]),
        json!({}),
        json!(["svc:octo"]),
        json!("x".repeat(1025)),
        json!("svc:octo\n"),
        json!("svc:octo\t"),
        json!("svc:octo\0"),
        json!("svc:octo\u{7f}"),
    ];
    each("token_malformed", malformed.map(|value| (value.to_string(), sub(value))));
    each("token_malformed", [("missing", forge("svc:octo").no_claim("sub").sign())]);
    let raw = |json: &str| forge("svc:octo").no_claim("sub").raw_claim("sub", json).sign();
    each("token_malformed", ["\"svc:octo\\ud800\"", "\"\\udc00svc:octo\""].map(|json| (json, raw(json))));
    let near = [
        " ",
        "svc:octo ",
        " svc:octo",
        "SVC:octo",
        "svc:Octo",
        "svc:octo\u{200d}",
        "\u{202e}svc:octo",
        "svc：octo",
        "svc:осto",
        // Composed and decomposed forms, and the replacement character.
        "svc:\u{f6}cto",
        "svc:o\u{308}cto",
        "svc:octo\u{fffd}",
        "svc%3Aocto",
        "svc:octo/",
        "svc:*",
        "*",
        "svc:oct?",
        "\\svc:octo",
    ];
    each("not_authorized", near.map(|value| (value, sub(json!(value)))));
    each("not_authorized", [("1024 bytes", sub(json!("x".repeat(1024))))]);
}

#[test]
fn a_subject_token_that_is_bound_to_a_key_is_of_another_kind() {
    for cnf in [json!({ "jkt": "x" }), json!({}), json!(null), json!("x")] {
        each("token_type_refused", [("cnf", forge("svc:octo").claim("cnf", cnf).sign())]);
    }
}

#[test]
fn c056_tx13_act_and_may_act_of_a_subject_token_give_nobody_anything() {
    let nested = (0..40).fold(json!({ "sub": "a" }), |inner, _| json!({ "sub": "a", "act": inner }));
    let timed = json!({ "sub": "a", "exp": 1, "nbf": now() + 9000, "aud": "other" });
    for act in [nested, timed] {
        let bent = forge("svc:octo").claim("may_act", json!({ "sub": "x", "iss": PLAIN })).claim("act", act);
        let access = WORLD.token(&bent.sign(), &[]);
        let payload = decode_base64url(access.split('.').nth(1).unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert!(!payload.contains("act\":"), "{payload}");
    }
    let deep = format!("{}1{}", "{\"act\":".repeat(100), "}".repeat(100));
    each("token_malformed", [("a hundred deep", forge("svc:octo").raw_claim("act", &deep).sign())]);
}

#[test]
fn c052_hostile_json_is_refused_whatever_its_size() {
    let payload = |text: String| forge("svc:octo").raw_payload(text).sign();
    each(
        "token_malformed",
        [
            ("depth", payload(format!("{{\"iss\":{}", "[".repeat(11_000)))),
            ("digits", payload(format!("{{\"iss\":\"{PLAIN}\",\"exp\":{}}}", "9".repeat(11_000)))),
            (
                "members",
                payload(format!("{{{}}}", (0..1500).map(|at| format!("\"{at}\":1")).collect::<Vec<_>>().join(","))),
            ),
            ("escapes", payload(format!("{{\"iss\":\"{}", "\\u0041".repeat(1900)))),
        ],
    );
}

#[test]
fn the_order_of_failures_is_the_order_of_the_contract() {
    // Each token has all later faults as well, so removing the first fault shows the next.
    let keys = &*KEYS;
    let expired = now() - 7200;
    let bad = json!({ "iss": "https://nobody.example", "sub": "svc:nobody", "aud": "other", "iat": expired, "exp": expired + 60 });
    let ask = [("audience", "two"), ("resource", "https://nowhere.example"), ("scope", "nothing")];
    let reason = |token: &str, ask: &[(&str, &str)]| reason_of(&exchange(token, ask));
    let bent = Forge::new(&keys.nobodys, &bad).header("kid", "nobodys").header("typ", "at+jwt").header("alg", "none");

    assert_eq!(reason("x", &[("actor_token", "x")]), "request_malformed");
    assert_eq!(reason("x", &ask), "token_malformed");
    assert_eq!(reason(&bent.sign(), &ask), "token_algorithm");
    let bent = bent.header("alg", "ES256");
    assert_eq!(reason(&bent.sign(), &ask), "token_type_refused");
    let bent = bent.header("typ", "JWT");
    assert_eq!(reason(&bent.sign(), &ask), "issuer_unknown");
    let bent = bent.claim("iss", PLAIN).claim("sub", json!(1));
    assert_eq!(reason(&bent.sign(), &ask), "key_unknown");
    let bent = bent.header("kid", "es");
    assert_eq!(reason(&bent.sign(), &ask), "signature_invalid");
    let sign = |bent: &Forge<'_>| bent.sign_with(|input| keys.es256.sign(input));
    assert_eq!(reason(&sign(&bent), &ask), "token_malformed");
    let bent = bent.claim("sub", "svc:nobody");
    assert_eq!(reason(&sign(&bent), &ask), "token_expired");
    let bent = bent.claim("iat", now() - 100_000).claim("exp", now() + 60);
    assert_eq!(reason(&sign(&bent), &ask), "token_too_old");
    let bent = bent.claim("iat", now() + 300);
    assert_eq!(reason(&sign(&bent), &ask), "token_not_yet_valid");
    let bent = bent.claim("iat", now());
    assert_eq!(reason(&sign(&bent), &ask), "token_audience");
    let bent = bent.claim("aud", US);
    assert_eq!(reason(&sign(&bent), &ask), "not_authorized");
    let bent = bent.claim("sub", "svc:two");
    assert_eq!(reason(&sign(&bent), &ask), "target_not_granted");
    assert_eq!(reason(&sign(&bent), &ask[..1]), "target_required");
    let ask = [("audience", "two"), ("resource", DEPLOY), ("scope", "nothing")];
    assert_eq!(reason(&sign(&bent), &ask), "scope_not_granted");
    assert_eq!(reason(&sign(&bent), &ask[..2]), "granted");
}
