//! What a token may look like before any key is looked at.

use crate::forge::{KEYS, token};
use proptest::prelude::*;
use std::path::Path;
use sts_jose::{Algorithm, CompactJws, JwsError, JwsHeader, MAX_TOKEN_BYTES, base64url};

fn header(text: &str) -> Result<JwsHeader, JwsError> {
    let token = token(text.as_bytes(), b"{}", |_| vec![0; 64]);
    CompactJws::parse(&token).map(|jws| jws.header().clone())
}

fn malformed<T>(result: &Result<T, JwsError>) -> bool {
    matches!(result, Err(JwsError::Malformed(_)))
}

#[test]
fn c001_c002_c004_c005_c006_only_the_exact_names_of_signature_algorithms_are_read() {
    for alg in [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"none \"",
        "\"n\\u006fne\"",
        "null",
        "[\"RS256\"]",
        "{}",
        "1",
        "\"\"",
        "\"HS256\"",
        "\"HS384\"",
        "\"HS512\"",
        "\"rs256\"",
        "\"RS256 \"",
        "\"ES256K\"",
        "\"Ed448\"",
        "\"RS1\"",
        "\"dir\"",
        "\"RSA-OAEP\"",
    ] {
        assert_eq!(header(&format!(r#"{{"alg":{alg}}}"#)), Err(JwsError::Algorithm), "{alg}");
    }
    assert_eq!(header("{}"), Err(JwsError::Algorithm));
    for algorithm in Algorithm::ALL {
        assert_eq!(header(&format!(r#"{{"alg":"{algorithm}"}}"#)).unwrap().algorithm, algorithm);
    }
    assert_eq!(header(r#"{"alg":"R\u0053256"}"#).unwrap().algorithm, Algorithm::RS256);
}

#[test]
fn j08_ed25519_is_another_name_of_eddsa() {
    assert_eq!(header(r#"{"alg":"Ed25519"}"#).unwrap().algorithm, Algorithm::EdDSA);
}

#[test]
fn c001_an_unsecured_token_is_refused_with_and_without_a_signature() {
    for signature in [vec![], vec![0; 64]] {
        let token = token(br#"{"alg":"none"}"#, b"{}", |_| signature);
        assert_eq!(CompactJws::parse(&token).unwrap_err(), JwsError::Algorithm);
    }
}

#[test]
fn bc01_no_source_compares_with_a_name_that_is_not_accepted() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for file in std::fs::read_dir(sources).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let product = source.split("#[cfg(test)]").next().unwrap().to_lowercase();
        read += 1;
        for refused in ["\"none\"", "\"hs"] {
            assert!(!product.contains(refused), "{} compares with {refused}", path.display());
        }
    }
    assert!(read > 10);
}

#[test]
fn c003_c028_c029_only_three_parts_are_a_signed_token() {
    let good = KEYS.token(Algorithm::ES256, r#"{"alg":"ES256"}"#, b"{}");
    assert!(CompactJws::parse(&good).is_ok());
    let (head, _) = good.rsplit_once('.').unwrap();
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        head.to_owned(),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.{good}"),
        format!("{good}.."),
        r#"{"payload":"e30","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AA"}"#.to_owned(),
        format!(r#"{{"payload":"{good}","signatures":[{{"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AA"}}]}}"#),
    ] {
        assert!(malformed(&CompactJws::parse(&text)), "{text}");
    }
}

#[test]
fn c028_an_encrypted_token_is_named_as_such_before_anything_is_decoded() {
    let header = base64url(br#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"zip":"DEF"}"#);
    let refused = CompactJws::parse(&format!("{header}.AA.AA.AA.AA")).unwrap_err();
    assert_eq!(refused, CompactJws::parse("?.?.?.?.?").unwrap_err());
    assert!(refused.to_string().contains("JWE"));
}

#[test]
fn j04_c019_c020_extensions_refuse_the_token_whatever_their_value() {
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":"b64""#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":null"#,
        r#""crit":["http://example.com/UNDEFINED"]"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
    ] {
        assert!(malformed(&header(&format!(r#"{{"alg":"ES256",{member}}}"#))), "{member}");
    }
}

#[test]
fn j05_c016_c017_c018_keys_in_a_header_are_ignored() {
    let read = header(
        r#"{"alg":"ES256","kid":"k","typ":"JWT","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example/","x5u":"https://evil.example/",
            "x5c":["AA"],"x5t":"AA","x5t#S256":"AA","cty":"JWT","unknown":[{}]}"#,
    );
    let bare = header(r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#);
    assert_eq!(read, bare);
    let bare = bare.unwrap();
    assert_eq!((bare.kid.unwrap().as_str(), bare.typ.as_deref()), ("k", Some("JWT")));
}

#[test]
fn c021_c022_a_kid_is_a_bounded_string_without_control_characters() {
    let long = format!("\"{}\"", "k".repeat(1025));
    for kid in ["null", "1", "{}", "[]", "true", r#""""#, r#""\r\nSET x""#, r#""a\u0000b""#, r#""\u007f""#, &long] {
        assert!(malformed(&header(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#))), "{kid}");
    }
    for kid in ["../../etc/passwd", "/dev/null", "a' OR 1=1--", "*", "{tenant}:key", "a\u{202e}b", " "] {
        assert_eq!(header(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#)).unwrap().kid.unwrap().as_str(), kid);
    }
    assert_eq!(header(r#"{"alg":"ES256"}"#).unwrap().kid, None);
}

#[test]
fn c024_typ_is_a_string_and_is_handed_on_as_written() {
    for typ in ["null", "1", "[\"JWT\"]"] {
        assert!(malformed(&header(&format!(r#"{{"alg":"ES256","typ":{typ}}}"#))), "{typ}");
    }
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT", "", "dpop+jwt"] {
        assert_eq!(header(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#)).unwrap().typ.as_deref(), Some(typ));
    }
}

#[test]
fn j02_c030_a_duplicate_member_of_the_header_is_refused() {
    for text in [
        r#"{"alg":"RS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"RS256"}"#,
        r#"{"alg":"RS256","\u0061lg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"RS256","jwk":{"a":1,"a":1}}"#,
    ] {
        assert!(malformed(&header(text)), "{text}");
    }
}

#[test]
fn c031_a_header_is_one_utf8_json_object() {
    let utf16: Vec<u8> = r#"{"alg":"ES256"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [
        b"[]".as_slice(),
        b"\"x\"",
        b"1",
        b"null",
        b"",
        b"\xef\xbb\xbf{\"alg\":\"ES256\"}",
        &utf16,
        b"{\"alg\":\"ES256\"} x",
        b"{\"alg\":\"ES256\"}{}",
        b"{\"alg\":\"ES256\",\"kid\":\"\xff\"}",
    ] {
        assert!(malformed(&CompactJws::parse(&token(bytes, b"{}", |_| vec![0; 64]))), "{bytes:?}");
    }
}

#[test]
fn c032_c033_each_part_is_canonical_base64url_and_nothing_surrounds_the_token() {
    // {"alg":"ES256"} and {} and one octet.
    let parts = ["eyJhbGciOiJFUzI1NiJ9", "e30", "AA"];
    assert!(CompactJws::parse(&parts.join(".")).is_ok());
    for at in 0..3 {
        for spoil in [
            |part: &str| format!("{part}="),
            |part: &str| format!("{part}=="),
            |part: &str| format!("{part} "),
            |part: &str| format!(" {part}"),
            |part: &str| format!("{part}\n"),
            |part: &str| format!("{part}?"),
            |part: &str| format!("+{part}"),
            |part: &str| format!("/{part}"),
            |part: &str| format!("{part}{}", "A".repeat((5 - part.len() % 4) % 4)),
            |part: &str| format!("\"{part}\""),
            |part: &str| format!("{part}\u{feff}"),
        ] {
            let mut spoilt = parts.map(str::to_owned);
            spoilt[at] = spoil(parts[at]);
            assert!(malformed(&CompactJws::parse(&spoilt.join("."))), "{spoilt:?}");
        }
    }
    // Trailing bits that are not zero: the same octets, written otherwise.
    for other in ["eyJhbGciOiJFUzI1NiJ9.e31.AA", "eyJhbGciOiJFUzI1NiJ9.e30.AB"] {
        assert!(malformed(&CompactJws::parse(other)), "{other}");
    }
    assert!(malformed(&CompactJws::parse(&format!("Bearer {}", parts.join(".")))));
}

#[test]
fn c053_a_token_over_16_kib_is_refused() {
    let [header, signature] = ["eyJhbGciOiJFUzI1NiJ9", "AA"];
    let sized = |size: usize| format!("{header}.{}.{signature}", "A".repeat(size - header.len() - signature.len() - 2));
    assert_eq!(sized(MAX_TOKEN_BYTES).len(), MAX_TOKEN_BYTES);
    assert!(CompactJws::parse(&sized(MAX_TOKEN_BYTES)).is_ok());
    for size in [MAX_TOKEN_BYTES + 4, 64 * 1024, 10 * 1024 * 1024] {
        assert!(malformed(&CompactJws::parse(&sized(size))), "{size}");
    }
}

#[test]
fn no_error_and_no_debug_output_repeats_the_token() {
    let token = token(br#"{"alg":"ES256"}"#, br#"{"sub":"the-payload"}"#, |_| b"the-signature".to_vec());
    let shown = format!("{:?}", CompactJws::parse(&token).unwrap());
    for part in token.split('.') {
        assert!(!shown.contains(part));
    }
    assert!(!shown.contains("the-"));
    let error = CompactJws::parse("secret.secret").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

proptest! {
    #[test]
    fn bc04_whatever_is_read_has_exactly_the_text_it_was_read_from(text in "[A-Za-z0-9_=. -]{0,40}|eyJhbGciOiJFUzI1NiJ9\\.[A-Za-z0-9_=. ]{0,9}\\.[A-Za-z0-9_-]{0,9}") {
        if let Ok(jws) = CompactJws::parse(&text) {
            let (signing_input, _) = text.rsplit_once('.').unwrap();
            prop_assert_eq!(jws.signing_input(), signing_input.as_bytes());
            prop_assert_eq!(base64url(jws.payload()), text.split('.').nth(1).unwrap());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = CompactJws::parse(&text);
    }

    #[test]
    fn no_header_makes_the_parser_panic(bytes: Vec<u8>) {
        let _ = CompactJws::parse(&token(&bytes, b"", |_| vec![]));
    }
}
