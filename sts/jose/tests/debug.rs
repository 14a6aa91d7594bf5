//! No `Debug` of this crate shows a key, a token, or what is signed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use futures_util::FutureExt as _;
use serde_json::Value;
use sts_jose::{
    Algorithm, CompactJws, HmacSeal, Signer, Signing, SigningInput, SigningKey, VerifyingKey, base64url,
    sign_compact_digested,
};
use sts_types::Kid;

const PAYLOAD: &[u8] = br#"{"sub":"a-payload-that-nobody-else-may-see"}"#;

/// Keeps how its input shows itself.
struct Shows(SigningKey, Mutex<Vec<String>>);

impl Signer for Shows {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn kid(&self) -> &Kid {
        self.0.kid()
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    fn public_jwk(&self) -> &Value {
        self.0.public_jwk()
    }

    fn sign<'a>(&'a self, input: SigningInput<'a>) -> Signing<'a, Vec<u8>> {
        let signing = self.0.sign(input);
        self.1.lock().unwrap().extend([format!("{input:?}"), format!("{signing:?}")]);
        signing
    }
}

#[test]
fn debug_shows_no_key_and_no_token() {
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let signer = Shows(SigningKey::generate(algorithm).unwrap(), Mutex::default());
        let signed = sign_compact_digested(&signer, "JWT", PAYLOAD).now_or_never().unwrap().unwrap();
        let mut shown = signer.1.into_inner().unwrap();
        shown.extend([
            format!("{:?}", signer.0),
            format!("{signed:?}"),
            format!("{:?}", CompactJws::parse(&signed.jwt).unwrap()),
            format!("{:?}", HmacSeal::new(b"the seal's key, of 32 octets ...")),
        ]);
        assert_eq!(shown.len(), 6);
        let octets = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
        let pkcs8 = signer.0.to_pkcs8();
        let (_, signature) = signed.jwt.rsplit_once('.').unwrap();
        let mut secrets = vec![
            "may-see".to_owned(),
            base64url(PAYLOAD),
            octets(PAYLOAD),
            base64url(&pkcs8),
            octets(&pkcs8),
            signature.to_owned(),
            octets(&sts_jose::decode_base64url(signature).unwrap()),
            "the seal's key".to_owned(),
            octets(b"the seal's key"),
        ];
        secrets.retain(|secret| !secret.is_empty());
        for shown in &shown {
            assert!(secrets.iter().all(|secret| !shown.contains(secret.as_str())), "{shown}");
        }
    }
}
