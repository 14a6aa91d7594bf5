//! A text that says it is a token of ours, and the record that shows whether it is.

use sts_jose::{constant_time_eq, decode_base64url, sha256};
use sts_types::{Digest256, Issuer, Jti, TokenRecord, UnixTime};

use crate::Keyring;
use crate::own::MAX_OWN_TOKEN;

/// A presented text of which nothing is believed: its `jti` only names the record to compare it with.
///
/// A record is sealed by us and holds the digest of the one token that we signed with it. Whatever has that digest is that token, bit
/// by bit: signature, `typ`, `kid` and claims were ours when it was minted, so that nothing is left for a signature to show.
pub struct PresentedToken {
    jti: Jti,
    digest: Digest256,
}

impl PresentedToken {
    /// Reads which record `token` is to be compared with; `None` when it cannot be a token of ours as `issuer`.
    #[must_use]
    pub fn read(token: &str, issuer: &Issuer) -> Option<Self> {
        if token.len() > MAX_OWN_TOKEN {
            return None;
        }
        let payload = decode_base64url(token.split('.').nth(1)?)?;
        let named: Named = serde_json::from_slice(&payload).ok()?;
        if named.iss != issuer.as_str() {
            return None;
        }
        Some(Self { jti: Jti::new(&named.jti).ok()?, digest: sha256(token.as_bytes()) })
    }

    /// The `jti` that it names.
    #[must_use]
    pub fn jti(&self) -> &Jti {
        &self.jti
    }

    /// Whether it is the very token of `record`, which is in time at `now` and whose key we still publish. No leeway, since the clock
    /// that minted it is ours. `record` must have been opened under our seal.
    #[must_use]
    pub fn is_live_by(&self, record: &TokenRecord, keyring: &Keyring, now: UnixTime) -> bool {
        constant_time_eq(&self.digest.0, &record.token_digest.0)
            && self.jti == record.jti
            && now < record.exp
            && keyring.publishes(&record.kid, now)
    }
}

/// What is read of the payload.
#[derive(serde::Deserialize)]
struct Named {
    iss: String,
    jti: String,
}
