//! The issuer's keys, for its tokens and its status lists.

use jwks_cache::{CacheAnswer, JwksCache, LookupError};
use sts_jose::CompactJws;
use sts_types::EntryName;

use crate::{TokenFault, VerifyError};

pub(crate) struct IssuerKeys {
    pub(crate) cache: JwksCache,
    pub(crate) entry: EntryName,
}

impl IssuerKeys {
    /// Verifies the signature. Takes no lock and does no I/O while the key is known.
    ///
    /// # Errors
    /// [`TokenFault::Key`], [`TokenFault::Signature`], or `Unavailable` if the issuer could not be
    /// asked for the key.
    pub(crate) async fn verify(&self, jws: &CompactJws<'_>) -> Result<(), VerifyError> {
        let (kid, algorithm) = (jws.header().kid.as_ref(), jws.header().algorithm);
        let keys = match self.cache.find_cached(&self.entry, kid, algorithm) {
            CacheAnswer::Hit(keys) => keys,
            CacheAnswer::Miss => match self.cache.find(&self.entry, kid, algorithm).await {
                Ok(keys) => keys,
                Err(LookupError::Unknown) => return Err(TokenFault::Key.into()),
                Err(LookupError::Unavailable { retry_after }) => {
                    return Err(VerifyError::Unavailable {
                        what: "the issuer's keys cannot be looked up right now",
                        retry_after,
                    });
                }
            },
        };
        if keys.iter().any(|key| jws.verify(key).is_ok()) { Ok(()) } else { Err(TokenFault::Signature.into()) }
    }
}
