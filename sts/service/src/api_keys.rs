//! API keys as the service sees them: a table for look-ups, and the uses since they were saved.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sts_jose::{constant_time_eq, sha256};
use sts_store::{KeyUse, LedgerError, ObjectStore};
use sts_types::{AccountName, ApiKeyId, Digest256, IpNetwork, Scope, UnixTime};

use crate::unsaved::Unsaved;

/// An API key of an account. The secret itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyEntry {
    /// The public part of the key.
    pub id: ApiKeyId,
    /// The username of its account.
    pub account: AccountName,
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_sha256: Digest256,
    /// The scopes that it narrows the account's grants to. `None` for all of them.
    pub scopes: Option<Vec<Scope>>,
    /// The addresses that it may be used from. Empty for any.
    pub allow_from: Vec<IpNetwork>,
    /// When it was created.
    pub created_at: UnixTime,
    /// Who created it.
    pub created_by: String,
    /// It is dead at and after this time.
    pub expires_at: UnixTime,
}

impl ApiKeyEntry {
    /// Whether the key has not expired.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        now < self.expires_at
    }

    /// Whether the key may be used from that address.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow_from.is_empty() || self.allow_from.iter().any(|network| network.contains(address))
    }
}

/// How long API keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeyLimits {
    /// Lifetime of a key that is created without one, in seconds.
    pub default_ttl: u64,
    /// The longest lifetime, in seconds.
    pub max_ttl: u64,
}

impl Default for ApiKeyLimits {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { default_ttl: 30 * DAY, max_ttl: 90 * DAY }
    }
}

/// Every API key. Immutable: a change makes a new table, so look-ups take no lock.
#[derive(Debug, Default)]
pub struct ApiKeys {
    by_id: HashMap<ApiKeyId, Arc<ApiKeyEntry>>,
}

impl ApiKeys {
    /// A table of `keys`.
    pub fn new(keys: impl IntoIterator<Item = ApiKeyEntry>) -> Self {
        Self { by_id: keys.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect() }
    }

    /// The key of that id, live or expired.
    #[must_use]
    pub fn find(&self, id: &ApiKeyId) -> Option<&Arc<ApiKeyEntry>> {
        self.by_id.get(id)
    }

    /// The key of that id if `secret` is its own. The work is the same whether there is such a key or
    /// not. Expiry, addresses and the account are for the caller to judge.
    #[must_use]
    pub fn authenticate(&self, id: &ApiKeyId, secret: &str) -> Option<&Arc<ApiKeyEntry>> {
        let nobody = Digest256([0; 32]);
        let found = self.by_id.get(id);
        let wanted = found.map_or(&nobody, |key| &key.secret_sha256);
        let is_right = constant_time_eq(&wanted.0, &sha256(secret.as_bytes()).0);
        found.filter(|_| is_right)
    }

    /// The keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ApiKeyEntry>> {
        self.by_id.values()
    }

    /// The keys of an account, the oldest first.
    #[must_use]
    pub fn of_account(&self, account: &AccountName) -> Vec<Arc<ApiKeyEntry>> {
        let mut keys: Vec<_> = self.iter().filter(|key| key.account == *account).cloned().collect();
        keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        keys
    }
}

/// The last uses of API keys that the store does not have yet.
#[derive(Debug, Default)]
pub struct ApiKeyUses(Unsaved<ApiKeyId, KeyUse>);

impl ApiKeyUses {
    /// Notes that the key got a token.
    pub fn note(&self, id: &ApiKeyId, at: UnixTime, from: IpAddr) {
        self.0.note(id.clone(), KeyUse { at, from: from.to_canonical().to_string() });
    }

    /// The use of that key, if it is not saved yet.
    #[must_use]
    pub fn of(&self, id: &ApiKeyId) -> Option<KeyUse> {
        self.0.of(id)
    }

    /// Writes the uses to the store.
    ///
    /// # Errors
    /// The store's. What it did not take is written the next time.
    pub async fn save(&self, store: &dyn ObjectStore) -> Result<(), LedgerError> {
        self.0.save(|uses| store.record_uses(uses)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ApiKeyId {
        ApiKeyId::new(text).unwrap()
    }

    fn key(name: &str, secret: &str) -> ApiKeyEntry {
        ApiKeyEntry {
            id: id(name),
            account: AccountName::new("octo").unwrap(),
            name: "build server".to_owned(),
            secret_sha256: sha256(secret.as_bytes()),
            scopes: None,
            allow_from: Vec::new(),
            created_at: UnixTime::from_secs(1),
            created_by: "admin token".to_owned(),
            expires_at: UnixTime::from_secs(100),
        }
    }

    #[test]
    fn a_key_is_known_by_its_id_and_its_secret() {
        let keys = ApiKeys::new([key("0123456789ab", "right"), key("0123456789AB", "other")]);
        let is_known = |name: &str, secret: &str| keys.authenticate(&id(name), secret).is_some();
        assert!(is_known("0123456789ab", "right") && is_known("0123456789AB", "other"));
        assert!(!is_known("0123456789ab", "other") && !is_known("0123456789aa", "right"));
        assert!(!is_known("0123456789ab", ""));
        assert_eq!(keys.of_account(&AccountName::new("octo").unwrap()).len(), 2);
        assert!(keys.of_account(&AccountName::new("other").unwrap()).is_empty());
    }

    #[test]
    fn a_key_has_an_end_and_addresses() {
        let mut own = key("0123456789ab", "x");
        assert!(own.is_live(UnixTime::from_secs(99)) && !own.is_live(UnixTime::from_secs(100)));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(own.allows(address("192.0.2.1")));
        own.allow_from = vec![IpNetwork::parse("10.0.0.0/8").unwrap(), IpNetwork::parse("2001:db8::1").unwrap()];
        for (text, is_allowed) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("2001:db8::1", true), ("192.0.2.1", false)]
        {
            assert_eq!(own.allows(address(text)), is_allowed, "{text}");
        }
    }

    #[test]
    fn the_address_of_a_use_is_shown_as_people_write_it() {
        let (uses, one) = (ApiKeyUses::default(), id("0123456789ab"));
        uses.note(&one, UnixTime::from_secs(2), "::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(uses.of(&one), Some(KeyUse { at: UnixTime::from_secs(2), from: "192.0.2.1".to_owned() }));
    }
}
