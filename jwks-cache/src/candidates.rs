//! The keys that may verify one token.

use std::ops::Deref;
use std::sync::Arc;

use sts_jose::VerifyingKey;

/// The most keys that are tried for one token.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// One to four keys that fit a token's header, in the order of their set. Cloning allocates nothing.
#[derive(Clone, Debug)]
pub struct Candidates(Inner);

#[derive(Clone, Debug)]
enum Inner {
    One(Arc<VerifyingKey>),
    Several(Arc<[Arc<VerifyingKey>]>),
}

impl Candidates {
    /// The first four of `keys`; `None` when there is none.
    pub(crate) fn of(keys: impl IntoIterator<Item = Arc<VerifyingKey>>) -> Option<Self> {
        let mut keys: Vec<_> = keys.into_iter().take(MAX_CANDIDATES).collect();
        match keys.len() {
            0 => None,
            1 => keys.pop().map(|key| Self(Inner::One(key))),
            _ => Some(Self(Inner::Several(keys.into()))),
        }
    }

    /// Whether every key of `self` is in `others` too.
    pub(crate) fn are_among(&self, others: &[Arc<VerifyingKey>]) -> bool {
        self.iter().all(|key| others.iter().any(|other| other.thumbprint() == key.thumbprint()))
    }
}

impl Deref for Candidates {
    type Target = [Arc<VerifyingKey>];

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Inner::One(key) => std::slice::from_ref(key),
            Inner::Several(keys) => keys,
        }
    }
}
