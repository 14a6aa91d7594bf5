//! An issuer, its tokens, and a clock that only a test moves.

use std::sync::Arc;

use serde_json::{Value, json};
use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, ManualClock};
use sts_types::UnixTime;
use sts_verify::{Verifier, VerifierBuilder};

pub(crate) const AUDIENCE: &str = "https://deploy.example.com";
pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) struct World {
    pub(crate) key: Key,
    pub(crate) issuer: FakeIssuer,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = Key::new(Algorithm::ES256, "one");
        let issuer = FakeIssuer::start(&Key::set(&[&key]));
        Self { key, issuer, clock: Arc::new(ManualClock::at(UnixTime::from_secs(NOW))) }
    }

    pub(crate) fn builder(&self) -> VerifierBuilder {
        Verifier::builder(self.issuer.url()).audience(AUDIENCE).allow_http().clock(self.clock.clone())
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.builder().build().unwrap()
    }

    /// A good token, to be changed.
    pub(crate) fn forge(&self) -> Forge<'_> {
        self.forge_with(&self.key)
    }

    /// The same claims under another key.
    pub(crate) fn forge_with<'a>(&self, key: &'a Key) -> Forge<'a> {
        Forge::new(key, &self.claims()).header("typ", "at+jwt")
    }

    pub(crate) fn token(&self) -> String {
        self.forge().sign()
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer.url(), "sub": "octo", "client_id": "octo", "aud": AUDIENCE, "jti": "token-1",
            "iat": NOW - 5, "exp": NOW + 600, "scope": "deployments:create deployments:read",
        })
    }
}
