//! An API key that proves who its holder is.

use sts_jose::{constant_time_eq, sha256};
use sts_policy::{ParentToken, Root};
use sts_types::{AccountId, ApiKey, ApiKeyId, Digest256, ScopeSet, UnixTime};

/// What is kept of an API key.
#[derive(Clone, Copy, Debug)]
pub struct StoredApiKey<'a> {
    /// SHA-256 of its secret.
    pub secret_sha256: Digest256,
    /// Its account's id.
    pub account: &'a AccountId,
    /// The scopes that it narrows the account's grants to. `None` for all of them.
    pub scopes: Option<&'a ScopeSet>,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// An API key whose secret was presented and checked. Whether the key is live and may be used is
/// for the caller to judge.
#[derive(Debug)]
pub struct VerifiedApiKey {
    pub(crate) id: ApiKeyId,
    pub(crate) account: AccountId,
    pub(crate) scopes: Option<ScopeSet>,
    pub(crate) expires_at: UnixTime,
}

impl VerifiedApiKey {
    /// The evidence that `presented` is the key of `stored`. `text` is what the caller sent, whether
    /// it is a key or not, so that the work is the same: one digest and one comparison.
    #[must_use]
    pub fn verify(presented: Option<&ApiKey>, text: &str, stored: Option<&StoredApiKey<'_>>) -> Option<Self> {
        let secret = presented.map_or(text, ApiKey::secret);
        let nobody = Digest256([0; 32]);
        let wanted = stored.map_or(nobody, |stored| stored.secret_sha256);
        let is_right = constant_time_eq(&wanted.0, &sha256(secret.as_bytes()).0);
        let (presented, stored) = presented.zip(stored).filter(|_| is_right)?;
        Some(Self {
            id: presented.id().clone(),
            account: stored.account.clone(),
            scopes: stored.scopes.cloned(),
            expires_at: stored.expires_at,
        })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// The key as policy rules see it: as a token that it made at `now` and that has no ancestors.
    pub(crate) fn facts(&self, now: UnixTime) -> ParentToken<'_> {
        ParentToken {
            account: &self.account,
            issued: now,
            root: Root::ApiKey { scopes: self.scopes.as_ref() },
            ancestors: &[],
            named_groups: &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_jose::OsEntropy;

    #[test]
    fn only_the_secret_that_was_made_with_a_key_proves_it() {
        let (own, other) = (ApiKey::generate(&OsEntropy), ApiKey::generate(&OsEntropy));
        let account = AccountId::new("octo").unwrap();
        let stored = |key: &ApiKey| StoredApiKey {
            secret_sha256: sha256(key.secret().as_bytes()),
            account: &account,
            scopes: None,
            expires_at: UnixTime::from_secs(1),
        };
        assert_eq!(VerifiedApiKey::verify(Some(&own), "", Some(&stored(&own))).unwrap().id(), own.id());
        assert!(VerifiedApiKey::verify(Some(&own), "", Some(&stored(&other))).is_none());
        assert!(VerifiedApiKey::verify(Some(&own), "", None).is_none());
        // The bare secret is no key.
        assert!(VerifiedApiKey::verify(None, own.secret(), Some(&stored(&own))).is_none());
    }
}
