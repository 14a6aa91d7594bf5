//! The keys to try for one token.

use std::ops::Deref;
use std::sync::Arc;

use sts_jose::VerifyingKey;

/// Limit of the keys tried for one token, so that a set full of equal kids costs no more than four
/// signature checks.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// One to four keys that match a token's header, in the order of their set. Cloning allocates
/// nothing.
#[derive(Clone, Debug)]
pub struct Candidates(Inner);

#[derive(Clone, Debug)]
enum Inner {
    One(Arc<VerifyingKey>),
    Several(Arc<[Arc<VerifyingKey>]>),
}

impl Candidates {
    /// The first four of `keys`; `None` if there are none.
    pub(crate) fn of(keys: impl IntoIterator<Item = Arc<VerifyingKey>>) -> Option<Self> {
        let mut keys: Vec<_> = keys.into_iter().take(MAX_CANDIDATES).collect();
        match keys.len() {
            0 => None,
            1 => keys.pop().map(|key| Self(Inner::One(key))),
            _ => Some(Self(Inner::Several(keys.into()))),
        }
    }

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
