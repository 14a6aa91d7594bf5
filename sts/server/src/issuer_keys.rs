//! Adapts the key cache to the service's trait, and its changes to the audit trail.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jwks_cache::{
    CacheAnswer, EntryRef, EntryView, JwksCache, KeyObserver, KeySeen, KeysChanged, LookupError, SeenFrom, SourceKind,
};
use sts_audit::{Actor, IssuerKey, IssuerKeysChanged, Trail};
use sts_service::{
    Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeySetView, KeyUnavailable, KeyView, KeysFailure, KeysView,
    SkippedKeyView,
};
use sts_types::{EntryName, Issuer};

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

    fn verified(&self, question: KeyQuestion<'_>) {
        self.0.verified(entry(question));
    }

    fn view(&self, entry: &EntryName, issuer: &Issuer) -> Option<KeysView> {
        self.0.view(EntryRef::of_issuer(entry, issuer)).map(view)
    }
}

fn view(view: EntryView) -> KeysView {
    let EntryView { status, seen_from, file_modified_at, recent } = view;
    KeysView {
        setting: match status.source {
            SourceKind::Discovery => "issuer",
            SourceKind::Url => "jwks_url",
            SourceKind::File => "jwks_file",
            SourceKind::Inline => "jwks",
        },
        place: match seen_from {
            SeenFrom::Discovery(place) => place,
            SeenFrom::Url(place) | SeenFrom::File(place) => Some(place),
            SeenFrom::Inline | SeenFrom::Disk => None,
        },
        state: status.state.name(),
        keys: status
            .keys
            .into_iter()
            .map(|key| KeyView { kid: key.kid, algorithm: key.algorithm, thumbprint: key.thumbprint })
            .collect(),
        skipped: status
            .skipped
            .into_iter()
            .map(|skipped| SkippedKeyView { kid: skipped.kid, why: skipped.message })
            .collect(),
        fetched_at: status.fetched_at,
        file_modified_at,
        last_error: status.last_error.map(|error| KeysFailure {
            at: error.at,
            kind: status.last_fetch.map_or("unknown", |fetch| fetch.outcome),
            message: error.message,
        }),
        recent: recent
            .into_iter()
            .map(|set| KeySetView { at: set.at, keys: set.keys.into_iter().map(seen).collect() })
            .collect(),
    }
}

fn seen(key: KeySeen) -> KeyView {
    KeyView { kid: key.kid, algorithm: key.algorithm, thumbprint: key.thumbprint }
}

fn entry(question: KeyQuestion<'_>) -> EntryRef<'_> {
    EntryRef::of_issuer(question.entry, question.issuer)
}

/// Records in the audit trail that an issuer has other keys.
pub(crate) struct KeyEvents(pub(crate) Arc<Trail>);

impl KeyObserver for KeyEvents {
    fn keys_changed(&self, change: KeysChanged) {
        let keys = |keys: Vec<KeySeen>| keys.into_iter().map(issuer_key).collect();
        let act = IssuerKeysChanged {
            object: format!("issuers/{}", change.entry),
            issuer_entry: change.entry.to_string(),
            issuer: change.member.map(|issuer| issuer.to_string()),
            cause: change.cause.name().to_owned(),
            from: match change.source {
                SeenFrom::Discovery(place) => place,
                SeenFrom::Url(place) | SeenFrom::File(place) => Some(place),
                SeenFrom::Inline | SeenFrom::Disk => None,
            },
            added: keys(change.added),
            removed: keys(change.removed),
        };
        self.0.record(&Actor::SERVER, act);
    }
}

fn issuer_key(key: KeySeen) -> IssuerKey {
    IssuerKey {
        kid: key.kid.map(|kid| kid.to_string()),
        algorithm: key.algorithm.name().to_owned(),
        thumbprint: key.thumbprint,
    }
}
