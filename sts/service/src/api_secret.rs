//! The introspection secret of an API.

use sts_jose::{constant_time_eq, sha256};
use sts_types::Digest256;

/// The digest of an API's introspection secret. The secret itself is not kept. A high-entropy
/// secret needs no slow hash.
#[derive(Clone)]
pub struct ApiSecret(Digest256);

impl std::fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiSecret").finish_non_exhaustive()
    }
}

impl ApiSecret {
    /// Keeps the digest of `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(sha256(secret))
    }

    /// A secret that nobody has, to compare with where there is no API.
    pub(crate) const fn of_nobody() -> Self {
        Self(Digest256([0; 32]))
    }

    pub(crate) fn is(&self, secret: &[u8]) -> bool {
        constant_time_eq(&self.0.0, &sha256(secret).0)
    }
}
