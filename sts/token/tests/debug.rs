//! No `Debug` of the evidence shows the token that it came from.

use std::sync::Arc;

use serde_json::json;
use sts_testkit::LocalIssuer;
use sts_token::{CallerProof, TrustSpec, UnverifiedToken, VerifiedTokenCache};
use sts_types::{Algorithm, EntryName, Issuer, UnixTime};

#[test]
fn debug_of_the_evidence_shows_no_part_of_the_token_and_no_claim() {
    const NOW: i64 = 1_790_000_000;
    let claims = json!({
        "iss": "https://issuer.example", "sub": "s", "aud": "a", "iat": NOW, "exp": NOW + 300, "jti": "1",
        "private": "a-claim-that-nobody-asked-for",
    });
    let issuer = LocalIssuer::new(claims);
    let token = issuer.token(&json!({}));
    let trust = Arc::new(TrustSpec {
        entry: EntryName::new("ci").unwrap(),
        issuers: Issuer::new("https://issuer.example").unwrap().into(),
        algorithms: vec![Algorithm::ES256],
        types: Vec::new(),
        leeway: 60,
        max_token_lifetime: 86_400,
        max_token_age: None,
        require_iat: true,
        trust_domain: None,
        enabled: true,
    });
    let unverified = UnverifiedToken::parse(&token).unwrap();
    let mut shown = vec![format!("{unverified:?}")];
    let Ok(signed) = unverified.check_signature(&[(trust, issuer.verifying_key())]) else { panic!("it verifies") };
    shown.push(format!("{signed:?}"));
    let verified = signed.validate(UnixTime::from_secs(NOW)).unwrap();
    let cache = VerifiedTokenCache::default();
    cache.remember(&token, &verified);
    cache.remember(&token, &verified);
    shown.extend([format!("{verified:?}"), format!("{cache:?}"), format!("{:?}", cache.find(&token).unwrap())]);
    shown.push(format!("{:?}", CallerProof::Federated(verified)));
    for shown in shown {
        assert!(token.split('.').all(|part| !shown.contains(part)), "{shown}");
        assert!(!shown.contains("nobody-asked"), "{shown}");
    }
}
