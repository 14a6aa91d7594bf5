//! A token of ours that proves who its holder is.

use sts_policy::{AncestorLimit, ParentToken, Root};
use sts_types::{Jti, KeyThumbprint, ScopeSet, TokenRecord};

use crate::OwnToken;

/// How many tokens of ours may follow one another after the first.
pub const MAX_DEPTH: usize = 3;

/// A token of ours whose record, and the records of all tokens that it depends on, are in force.
#[derive(Debug)]
pub struct VerifiedParent {
    // Larger than the other proofs together.
    pub(crate) record: Box<TokenRecord>,
    /// The records of the tokens that it came from.
    ancestors: Vec<TokenRecord>,
    /// What the API key at its root is narrowed to, if there is a key and it is narrowed.
    key_scopes: Option<ScopeSet>,
}

impl VerifiedParent {
    /// The evidence that `token` is that of `record`, and that `record` and the records of all tokens
    /// that it depends on are in force. `others` has at least those, in any order. `None` if one is
    /// missing, or `is_in_force` says no. `key_scopes` is what the API key at its root is narrowed to, if
    /// there is a key and it is narrowed.
    #[must_use]
    pub fn new(
        token: &OwnToken,
        record: TokenRecord,
        others: Vec<TokenRecord>,
        key_scopes: Option<ScopeSet>,
        is_in_force: impl Fn(&TokenRecord) -> bool,
    ) -> Option<Self> {
        let is_sound = |jti: &Jti| others.iter().any(|other| other.jti == *jti && is_in_force(other));
        if !token.is_recorded_by(&record) || !is_in_force(&record) || !record.ancestors().all(is_sound) {
            return None;
        }
        let came_from = |other: &TokenRecord| record.proof.ancestors().any(|jti| *jti == other.jti);
        let ancestors = others.into_iter().filter(came_from).collect();
        Some(Self { record: Box::new(record), ancestors, key_scopes })
    }

    /// The parent of that record, in force or not.
    #[cfg(test)]
    pub(crate) fn of_record(record: TokenRecord) -> Self {
        Self { record: Box::new(record), ancestors: Vec::new(), key_scopes: None }
    }

    /// Its record.
    #[must_use]
    pub fn record(&self) -> &TokenRecord {
        &self.record
    }

    /// Whether one more token may follow it.
    #[must_use]
    pub fn may_have_a_child(&self) -> bool {
        self.record.proof.ancestors().count() < MAX_DEPTH
    }

    /// The key that it is bound to, if it is bound to one.
    #[must_use]
    pub fn confirmation(&self) -> Option<&KeyThumbprint> {
        self.record.confirmation.as_ref()
    }

    /// What the token and each ancestor are for.
    #[must_use]
    pub fn limits(&self) -> Vec<AncestorLimit<'_>> {
        let records = std::iter::once(&*self.record).chain(&self.ancestors);
        records.map(|TokenRecord { api, audience, scope, .. }| AncestorLimit { api, audience, scopes: scope }).collect()
    }

    /// The token as policy rules see it, with its [limits](Self::limits).
    #[must_use]
    pub fn facts<'a>(&'a self, ancestors: &'a [AncestorLimit<'a>]) -> ParentToken<'a> {
        let root = match self.record.proof.federated() {
            Some(federated) => Root::Identity { identity: &federated.identity, entry: &federated.entry },
            None => Root::ApiKey { scopes: self.key_scopes.as_ref() },
        };
        ParentToken {
            account: &self.record.account,
            issued: self.record.iat,
            root,
            ancestors,
            named_groups: &self.record.named_groups,
        }
    }
}
