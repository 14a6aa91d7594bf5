//! The key cache as the service sees it.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jwks_cache::{CacheAnswer, EntryRef, JwksCache, LookupError};
use sts_service::{Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeyUnavailable};

/// A [`JwksCache`] behind the service's trait.
pub(crate) struct CachedKeys(pub(crate) JwksCache);

impl IssuerKeys for CachedKeys {
    fn cached(&self, question: KeyQuestion<'_>) -> Option<Candidates> {
        match self.0.find_cached(entry(question), question.kid, question.algorithm) {
            CacheAnswer::Hit(keys) => Some(keys.to_vec()),
            CacheAnswer::Miss => None,
        }
    }

    fn find<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer> {
        async move {
            match self.0.find(entry(question), question.kid, question.algorithm).await {
                Ok(keys) => KeyAnswer::Found(keys.to_vec()),
                Err(LookupError::Unknown) => KeyAnswer::Unknown,
                Err(LookupError::Unavailable { retry_after }) => KeyAnswer::Unavailable(KeyUnavailable { retry_after }),
            }
        }
        .boxed()
    }

    fn signature_failed<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>> {
        async move {
            let keys = self.0.signature_failed(entry(question), question.kid, question.algorithm).await;
            keys.map(|keys| keys.to_vec())
        }
        .boxed()
    }
}

fn entry(question: KeyQuestion<'_>) -> EntryRef<'_> {
    EntryRef::of_issuer(question.entry, question.issuer)
}
