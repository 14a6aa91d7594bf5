//! The key cache as the service sees it.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jwks_cache::{CacheAnswer, JwksCache, LookupError};
use sts_service::{Candidates, IssuerKeys, KeyAnswer, KeyUnavailable};
use sts_types::{Algorithm, EntryName, Kid};

/// A [`JwksCache`] behind the service's trait.
pub(crate) struct CachedKeys(pub(crate) JwksCache);

impl IssuerKeys for CachedKeys {
    fn cached(&self, entry: &EntryName, kid: Option<&Kid>, algorithm: Algorithm) -> Option<Candidates> {
        match self.0.find_cached(entry, kid, algorithm) {
            CacheAnswer::Hit(keys) => Some(keys.to_vec()),
            CacheAnswer::Miss => None,
        }
    }

    fn find<'a>(
        &'a self,
        entry: &'a EntryName,
        kid: Option<&'a Kid>,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, KeyAnswer> {
        async move {
            match self.0.find(entry, kid, algorithm).await {
                Ok(keys) => KeyAnswer::Found(keys.to_vec()),
                Err(LookupError::Unknown) => KeyAnswer::Unknown,
                Err(LookupError::Unavailable { retry_after }) => KeyAnswer::Unavailable(KeyUnavailable { retry_after }),
            }
        }
        .boxed()
    }

    fn signature_failed<'a>(
        &'a self,
        entry: &'a EntryName,
        kid: Option<&'a Kid>,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Option<Candidates>> {
        async move { self.0.signature_failed(entry, kid, algorithm).await.map(|keys| keys.to_vec()) }.boxed()
    }
}
