//! A text that may be one of our tokens, and the record that shows whether it is.

use sts_jose::{VerifyingKeys, constant_time_eq, decode_base64url, sha256};
use sts_types::{Digest256, Issuer, Jti, TokenRecord, UnixTime};

use crate::own::MAX_OWN_TOKEN;

/// An untrusted text. Its `jti` only selects the record to compare it with.
///
/// Each record carries our seal and the digest of the one token that we signed with it. A text with
/// that digest is that token, bit for bit: its signature, `typ`, `kid` and claims were right when
/// it was minted, so checking the signature again would show nothing new.
#[derive(Debug)]
pub struct PresentedToken {
    jti: Jti,
    parent: Option<Jti>,
    digest: Digest256,
}

impl PresentedToken {
    /// Reads which record to compare `token` with; `None` if it cannot be a token of ours with
    /// `issuer`.
    #[must_use]
    pub fn read(token: &str, issuer: &Issuer) -> Option<Self> {
        // Cheapest check first: anyone can send a text to these endpoints.
        if token.len() > MAX_OWN_TOKEN {
            return None;
        }
        let payload = decode_base64url(token.split('.').nth(1)?)?;
        let named: UnverifiedPayload = serde_json::from_slice(&payload).ok()?;
        if named.iss != issuer.as_str() {
            return None;
        }
        let parent = named.parent.and_then(|parent| Jti::new(&parent).ok());
        Some(Self { jti: Jti::new(&named.jti).ok()?, parent, digest: sha256(token.as_bytes()) })
    }

    /// The `parent` in the payload. It is not trusted: it only tells which record to read together
    /// with that of `jti`.
    #[must_use]
    pub fn parent(&self) -> Option<&Jti> {
        self.parent.as_ref()
    }

    /// The `jti` in the payload. It is not trusted.
    #[must_use]
    pub fn jti(&self) -> &Jti {
        &self.jti
    }

    /// Whether it is the token of `record`, not expired at `now`, under a key that we still
    /// publish. There is no leeway, because our own clock set `exp`. The caller must have verified
    /// the seal of `record`.
    #[must_use]
    pub fn is_live_by(&self, record: &TokenRecord, keys: &impl VerifyingKeys, now: UnixTime) -> bool {
        constant_time_eq(&self.digest.0, &record.token_digest.0)
            && self.jti == record.jti
            && now < record.exp
            && keys.verifying_key(&record.kid, now).is_some()
    }
}

/// The members that are read.
#[derive(serde::Deserialize)]
struct UnverifiedPayload {
    iss: String,
    jti: String,
    parent: Option<String>,
}
