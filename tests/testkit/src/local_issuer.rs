//! An issuer inside the test's own process. [`FakeIssuer`](crate::FakeIssuer) is one on a socket.

use std::sync::Arc;

use serde_json::Value;
use sts_jose::{Algorithm, SigningKey, VerifyingKey};

/// Signs tokens with a key of its own.
#[derive(Debug)]
pub struct LocalIssuer {
    key: SigningKey,
    claims: Value,
}

impl LocalIssuer {
    /// An issuer of ES256 tokens with these claims.
    #[must_use]
    pub fn new(claims: Value) -> Self {
        Self { key: SigningKey::generate(Algorithm::ES256).unwrap(), claims }
    }

    /// Its key, for a test that signs something else with it.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The key that verifies its tokens.
    #[must_use]
    pub fn verifying_key(&self) -> Arc<VerifyingKey> {
        Arc::new(self.key.verifying_key())
    }

    /// A token with the issuer's claims, but for those of `changes`.
    #[must_use]
    pub fn token(&self, changes: &Value) -> String {
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sts_jose::sign_compact(&self.key, "JWT", claims.to_string().as_bytes()).unwrap()
    }
}
