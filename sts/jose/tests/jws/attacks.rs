//! Signatures that must not verify, and the few odd ones that must.

use crate::forge::{KEYS, Keys, token};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding};
use sts_jose::{Algorithm, BadSignature, CompactJws, base64url, decode_base64url};

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{algorithm}"}}"#)
}

/// Whether `token` verifies with the key of `algorithm`.
fn verify(token: &str, algorithm: Algorithm) -> Result<(), BadSignature> {
    CompactJws::parse(token).unwrap().verify(&KEYS.verifying(algorithm))
}

/// The octets of the signature of `token`.
fn signature(token: &str) -> Vec<u8> {
    decode_base64url(token.rsplit_once('.').unwrap().1).unwrap()
}

/// `token` with another signature.
fn resigned(token: &str, signature: &[u8]) -> String {
    format!("{}.{}", token.rsplit_once('.').unwrap().0, base64url(signature))
}

#[test]
fn bc02_c011_c012_a_token_verifies_with_a_key_of_its_own_algorithm_only() {
    for made in Algorithm::ALL {
        let token = KEYS.token(made, &header(made), b"{}");
        for key in Algorithm::ALL {
            assert_eq!(verify(&token, key).is_ok(), made == key, "{made} token, {key} key");
        }
        assert_eq!(CompactJws::parse(&token).unwrap().verify(&Keys::generate().verifying(made)), Err(BadSignature));
    }
}

#[test]
fn c012_a_header_cannot_pass_one_rsa_signature_off_as_another() {
    for said in RSA {
        for made in RSA {
            let token = KEYS.token(made, &header(said), b"{}");
            for key in RSA {
                let right = said == made && made == key;
                assert_eq!(verify(&token, key).is_ok(), right, "{said} header, {made} signature, {key} key");
            }
        }
    }
}

#[test]
fn c004_c006_a_mac_keyed_with_the_public_key_verifies_nothing() {
    for algorithm in Algorithm::ALL {
        let jwk = KEYS.jwk(algorithm);
        let material = jwk.get("n").or(jwk.get("x")).unwrap().as_str().unwrap();
        for secret in [jwk.to_string().into_bytes(), decode_base64url(material).unwrap(), material.as_bytes().to_vec()]
        {
            let token = token(header(algorithm).as_bytes(), b"{}", |input| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input).as_ref().to_vec()
            });
            assert_eq!(verify(&token, algorithm), Err(BadSignature), "{algorithm}");
        }
    }
}

#[test]
fn j06_j07_c008_a_signature_has_exactly_one_length() {
    for algorithm in Algorithm::ALL {
        let token = KEYS.token(algorithm, &header(algorithm), b"{}");
        let right = signature(&token);
        let zero_before = [&[0], right.as_slice()].concat();
        let zero_after = [right.as_slice(), &[0]].concat();
        for wrong in [&right[..0], &right[..1], &right[..right.len() - 1], &right[1..], &zero_before, &zero_after] {
            assert_eq!(verify(&resigned(&token, wrong), algorithm), Err(BadSignature), "{algorithm} {}", wrong.len());
        }
    }
}

#[test]
fn j06_c007_c008_r_and_s_lie_between_0_and_n() {
    let n: [u8; 32] = data_encoding::HEXLOWER
        .decode(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .unwrap()
        .try_into()
        .unwrap();
    let one = edge(1);
    let n_minus_1 = subtract(&n, &one);
    let token = KEYS.token(Algorithm::ES256, &header(Algorithm::ES256), b"{}");
    for r in [edge(0), one, n_minus_1, n, [0xff; 32]] {
        for s in [edge(0), one, n_minus_1, n, [0xff; 32]] {
            let forged = resigned(&token, &[r, s].concat());
            assert_eq!(verify(&forged, Algorithm::ES256), Err(BadSignature), "{r:02x?} {s:02x?}");
        }
    }
}

#[test]
fn c010_the_high_s_twin_verifies_so_a_signature_is_no_identity() {
    let n: [u8; 32] = data_encoding::HEXLOWER
        .decode(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .unwrap()
        .try_into()
        .unwrap();
    let token = KEYS.token(Algorithm::ES256, &header(Algorithm::ES256), b"{}");
    let (r, s): (Vec<u8>, [u8; 32]) = {
        let signature = signature(&token);
        (signature[..32].to_vec(), signature[32..].try_into().unwrap())
    };
    let twin = resigned(&token, &[r, subtract(&n, &s).to_vec()].concat());
    assert_ne!(twin, token);
    assert_eq!(verify(&twin, Algorithm::ES256), Ok(()));
}

fn edge(low: u8) -> [u8; 32] {
    let mut number = [0; 32];
    number[31] = low;
    number
}

/// `a - b`, big-endian; `a` is the larger.
fn subtract(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for at in (0..32).rev() {
        let (partial, first) = a[at].overflowing_sub(b[at]);
        let (digit, second) = partial.overflowing_sub(u8::from(borrow));
        difference[at] = digit;
        borrow = first || second;
    }
    difference
}

#[test]
fn j06_c009_a_der_signature_is_refused() {
    let key = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let point = aws_lc_rs::signature::KeyPair::public_key(&key).as_ref()[1..].to_vec();
    let (x, y) = point.split_at(32);
    let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) });
    let verifying = sts_jose::parse_jwk(&jwk, &[Algorithm::ES256]).unwrap();
    let sign = |input: &[u8]| key.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
    let token = token(header(Algorithm::ES256).as_bytes(), b"{}", sign);
    assert_eq!(CompactJws::parse(&token).unwrap().verify(&verifying), Err(BadSignature));
}

#[test]
fn j07_c013_a_pss_salt_is_as_long_as_the_hash() {
    const fn salted(encoding: RsaSignatureEncoding, length: u16) -> RsaSignatureEncoding {
        encoding.with_pss_salt_length(RsaPssSaltLength::Custom(length))
    }
    static LENGTHS: [(Algorithm, RsaSignatureEncoding, bool); 12] = [
        (Algorithm::PS256, salted(signature::RSA_PSS_SHA256, 0), false),
        (Algorithm::PS256, salted(signature::RSA_PSS_SHA256, 31), false),
        (Algorithm::PS256, salted(signature::RSA_PSS_SHA256, 32), true),
        (Algorithm::PS256, salted(signature::RSA_PSS_SHA256, 64), false),
        (Algorithm::PS384, salted(signature::RSA_PSS_SHA384, 0), false),
        (Algorithm::PS384, salted(signature::RSA_PSS_SHA384, 32), false),
        (Algorithm::PS384, salted(signature::RSA_PSS_SHA384, 48), true),
        (Algorithm::PS384, salted(signature::RSA_PSS_SHA384, 64), false),
        (Algorithm::PS512, salted(signature::RSA_PSS_SHA512, 0), false),
        (Algorithm::PS512, salted(signature::RSA_PSS_SHA512, 32), false),
        (Algorithm::PS512, salted(signature::RSA_PSS_SHA512, 64), true),
        (Algorithm::PS512, salted(signature::RSA_PSS_SHA512, 65), false),
    ];
    for (algorithm, encoding, right) in &LENGTHS {
        let token = token(header(*algorithm).as_bytes(), b"{}", |input| KEYS.sign_rsa(encoding, input));
        assert_eq!(verify(&token, *algorithm).is_ok(), *right, "{algorithm} {encoding:?}");
    }
}

#[test]
fn c014_an_ed25519_signature_is_not_accepted_again_with_the_group_order_added() {
    // L = 2^252 + 27742317777372353535851937790883648493, little-endian.
    let order: [u8; 32] = data_encoding::HEXLOWER
        .decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        .unwrap()
        .try_into()
        .unwrap();
    let token = KEYS.token(Algorithm::EdDSA, &header(Algorithm::EdDSA), b"{}");
    assert_eq!(verify(&token, Algorithm::EdDSA), Ok(()));
    let mut twin = signature(&token);
    let mut carry = 0;
    for (digit, addend) in twin[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(addend) + carry;
        *digit = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(verify(&resigned(&token, &twin), Algorithm::EdDSA), Err(BadSignature));
}

#[test]
fn c015_no_single_bit_of_a_token_can_be_flipped() {
    let algorithm = Algorithm::ES256;
    let key = KEYS.verifying(algorithm);
    let token = KEYS.token(algorithm, r#"{"alg":"ES256","typ":"JWT"}"#, br#"{"sub":"repo:o/r:ref:refs/heads/main"}"#);
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| decode_base64url(part).unwrap()).collect();
    let mut flipped = 0;
    for part in 0..3 {
        for bit in 0..parts[part].len() * 8 {
            let mut changed = parts.clone();
            changed[part][bit / 8] ^= 1 << (bit % 8);
            let changed: Vec<String> = changed.iter().map(|part| base64url(part)).collect();
            let changed = changed.join(".");
            flipped += 1;
            assert!(!CompactJws::parse(&changed).is_ok_and(|jws| jws.verify(&key).is_ok()), "part {part} bit {bit}");
        }
    }
    assert_eq!(flipped, 8 * parts.concat().len());
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(!CompactJws::parse(&changed).is_ok_and(|jws| jws.verify(&key).is_ok()), "character {at} bit {bit}");
        }
    }
}

#[test]
fn j05_c016_a_key_that_the_token_brings_is_never_used() {
    let attacker = Keys::generate();
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let header = format!(r#"{{"alg":"{algorithm}","jwk":{}}}"#, attacker.jwk(algorithm));
        let forged = attacker.token(algorithm, &header, b"{}");
        assert_eq!(verify(&forged, algorithm), Err(BadSignature), "{algorithm}");
        assert_eq!(verify(&KEYS.token(algorithm, &header, b"{}"), algorithm), Ok(()), "{algorithm}");
    }
}

#[test]
fn c020_a_detached_payload_does_not_verify() {
    let token = KEYS.token(Algorithm::ES256, &header(Algorithm::ES256), br#"{"sub":"a"}"#);
    let (head, signature) = (token.split('.').next().unwrap(), token.rsplit_once('.').unwrap().1);
    assert_eq!(verify(&format!("{head}..{signature}"), Algorithm::ES256), Err(BadSignature));
}

#[test]
fn c125_what_is_printed_of_a_token_and_its_key_names_both_and_holds_no_part_that_is_signed() {
    let payload = br#"{"sub":"canary"}"#;
    let token = KEYS.token(Algorithm::ES256, r#"{"alg":"ES256","kid":"a"}"#, payload);
    let printed = format!("{:?}", CompactJws::parse(&token).unwrap());
    assert!(printed.contains("ES256") && printed.contains("\"a\""), "{printed}");
    let bytes = format!("{payload:?}");
    for part in token.split('.').chain(["canary", bytes.trim_matches(['[', ']'])]) {
        assert!(!printed.contains(part), "{printed}");
    }
    let key = KEYS.verifying(Algorithm::ES256);
    let printed = format!("{key:?}");
    assert!(printed.contains("ES256") && printed.contains(key.thumbprint()), "{printed}");
}
