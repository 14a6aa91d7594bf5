//! API keys as managed objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use sts_audit::Actor;
use sts_jose::sha256;
use sts_store::{KeyUse, ObjectKey, ObjectKind};
use sts_types::{AccountName, ApiKey, ApiKeyId, Digest256, IpNetwork, Scope, UnixTime};
use zeroize::Zeroizing;

use super::engine::ManagedObjects;
use super::rights::{Author, key_object};
use super::view::HeldObject;
use super::{Expected, RequestedChange, WriteError};
use crate::Service;
use crate::api_keys::{ApiKeyEntry, ApiKeyLimits, ApiKeys};

/// The document of an API key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApiKeySpec {
    /// The username of its account.
    pub account: AccountName,
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_sha256: Digest256,
    /// The scopes that it narrows the account's grants to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// The addresses that it may be used from. Empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<IpNetwork>,
    /// When it ends.
    pub expires_at: UnixTime,
}

/// A key to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRequest {
    /// The username of the account.
    pub account: String,
    /// The key's name, for people; unique within the account.
    pub name: String,
    /// Its lifetime in seconds. `None` for the default.
    pub ttl: Option<u64>,
    /// The scopes that it narrows the account's grants to.
    pub scopes: Option<Vec<Scope>>,
    /// The addresses that it may be used from.
    pub allow_from: Vec<IpNetwork>,
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyView {
    /// The key.
    pub key: Arc<ApiKeyEntry>,
    /// Its revision.
    pub revision: u64,
    /// Its last use, up to a minute old on other servers than the one it was used at.
    pub last_use: Option<KeyUse>,
}

/// A new key.
pub struct CreatedApiKey {
    /// What is kept of it.
    pub view: ApiKeyView,
    /// The key itself. Nobody can read it again.
    pub key: Zeroizing<String>,
}

/// Without the key.
impl std::fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiKey").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Why no key was created.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// `api_keys.enabled` is false.
    #[error("API keys are turned off by `api_keys.enabled`")]
    Disabled,
    /// There is no such account.
    #[error("there is no service account of this name")]
    UnknownAccount,
    /// The request is wrong: which member, and what is wrong with it.
    #[error("`{0}`: {1}")]
    Invalid(&'static str, String),
    /// The account has a key of that name.
    #[error("the account has an API key of this name already")]
    Exists,
    /// The write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The most characters of a key's name.
const LONGEST_NAME: usize = 100;

impl ManagedObjects {
    /// Creates a key. It works on this server when this returns.
    ///
    /// # Errors
    /// See [`ApiKeyError`].
    pub async fn create_api_key(
        &self,
        request: ApiKeyRequest,
        author: &Author,
        service: &Service,
    ) -> Result<CreatedApiKey, ApiKeyError> {
        let snapshot = service.snapshot();
        if !snapshot.api_keys_enabled {
            return Err(ApiKeyError::Disabled);
        }
        let limits = snapshot.api_key_limits;
        let now = self.clock.now();
        let account = self.check_request(&request, limits)?;
        let ttl = request.ttl.unwrap_or(limits.default_ttl);
        let key = ApiKey::generate(&*self.entropy);
        let spec = ApiKeySpec {
            account,
            name: request.name,
            secret_sha256: sha256(key.secret().as_bytes()),
            scopes: request.scopes,
            allow_from: request.allow_from,
            expires_at: now.plus(i64::try_from(ttl).unwrap_or(i64::MAX)),
        };
        let document = serde_json::to_value(&spec).map_err(|error| ApiKeyError::Invalid("name", error.to_string()))?;
        let change = RequestedChange::Put { key: key_object(key.id()), spec: document, expected: Expected::Absent };
        let written = self.write(vec![change], author, false).await?;
        let held = written.objects.into_iter().next().map(|(_, held)| held);
        let (Some(held), Some(entry)) = (&held, held.as_ref().and_then(|held| entry(key.id().as_str(), held))) else {
            return Err(ApiKeyError::Write(WriteError::Unknown(key_object(key.id()))));
        };
        tracing::info!(id = %key.id(), account = %entry.account, by = author.name(), expires_at = %entry.expires_at, "an API key was created");
        let view = ApiKeyView { key: Arc::new(entry), revision: held.revision, last_use: None };
        Ok(CreatedApiKey { view, key: key.expose() })
    }

    /// Ends a key of the account. Its tokens end with it.
    ///
    /// # Errors
    /// [`WriteError::Unknown`] if the account has no such key.
    pub async fn revoke_api_key(&self, account: &str, id: &ApiKeyId, author: &Author) -> Result<(), WriteError> {
        let key = key_object(id);
        if self.api_key(id).is_none_or(|view| view.key.account.as_str() != account) {
            // Another server may have made it a moment ago.
            self.catch_up().await?;
            if self.api_key(id).is_none_or(|view| view.key.account.as_str() != account) {
                return Err(WriteError::Unknown(key));
            }
        }
        self.write(vec![RequestedChange::Delete { key, expected: Expected::Any }], author, false).await?;
        tracing::info!(%id, account, by = author.name(), "an API key was revoked");
        Ok(())
    }

    /// The key of that id.
    #[must_use]
    pub fn api_key(&self, id: &ApiKeyId) -> Option<ApiKeyView> {
        let view = self.view();
        let held = view.get(&key_object(id))?;
        let key = Arc::new(entry(id.as_str(), held)?);
        Some(ApiKeyView { last_use: view.uses.get(id).cloned(), key, revision: held.revision })
    }

    /// The keys of an account, the oldest first. `service` knows of uses that are not saved yet.
    #[must_use]
    pub fn api_keys_of(&self, account: &str, service: &Service) -> Vec<ApiKeyView> {
        self.api_keys_that(service, |key| key.account.as_str() == account)
    }

    /// The keys of all accounts, in the order of the accounts' names, the oldest of each first. Every
    /// document is read once.
    #[must_use]
    pub fn api_keys(&self, service: &Service) -> Vec<ApiKeyView> {
        self.api_keys_that(service, |_| true)
    }

    fn api_keys_that(&self, service: &Service, fits: impl Fn(&ApiKeyEntry) -> bool) -> Vec<ApiKeyView> {
        let view = self.view();
        let mut keys: Vec<ApiKeyView> = view
            .of_kind(ObjectKind::ApiKeys)
            .filter_map(|(key, held)| Some((entry(&key.name, held)?, held.revision)))
            .filter(|(key, _)| fits(key))
            .map(|(key, revision)| {
                let saved = view.uses.get(&key.id).cloned();
                let last_use = service.api_key_uses().of(&key.id).or(saved);
                ApiKeyView { key: Arc::new(key), revision, last_use }
            })
            .collect();
        keys.sort_by(|ApiKeyView { key: one, .. }, ApiKeyView { key: other, .. }| {
            let account = one.account.as_str().cmp(other.account.as_str());
            account.then_with(|| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)))
        });
        keys
    }

    /// Saves the uses that the service noted, and reads what other servers saved.
    pub async fn save_api_key_uses(&self, service: &Service) {
        if let Err(error) = service.api_key_uses().save(&*self.store).await {
            tracing::warn!(%error, "the last uses of API keys could not be saved; it is tried again");
            return;
        }
        if let Ok(all) = self.store.uses().await {
            let guard = self.locked().await;
            let view = self.view();
            self.view
                .store(Arc::new(super::ManagedView { uses: Arc::new(all.into_iter().collect()), ..(*view).clone() }));
            drop(guard);
        }
        let (rules, view) = (self.rules.rules(), self.view());
        // One that is set aside is there, and is reported as that.
        let is_stored =
            |name: &str| view.get(&ObjectKey { kind: ObjectKind::ServiceAccounts, name: name.to_owned() }).is_some();
        let is_account = |name: &str| rules.account(name).is_some() || is_stored(name);
        let record = |act| service.record(&Actor::SERVER, act);
        self.notices.warn(&table(&view.objects), self.clock.now(), is_account, record);
    }

    /// How many live keys end within 14 days.
    #[must_use]
    pub fn api_keys_to_expire(&self) -> usize {
        let now = self.clock.now();
        let soon = now.plus(super::key_notices::FIRST_NOTICE);
        table(&self.view().objects).iter().filter(|key| key.is_live(now) && key.expires_at <= soon).count()
    }

    fn check_request(&self, request: &ApiKeyRequest, limits: ApiKeyLimits) -> Result<AccountName, ApiKeyError> {
        let name = &request.name;
        if name.trim().is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            let message = format!("write 1 to {LONGEST_NAME} characters without control characters");
            return Err(ApiKeyError::Invalid("name", message));
        }
        if request.ttl.is_some_and(|ttl| ttl == 0 || ttl > limits.max_ttl) {
            let message = format!("write 1 to {} seconds: `api_keys.max_ttl` is the longest", limits.max_ttl);
            return Err(ApiKeyError::Invalid("ttl", message));
        }
        let rules = self.rules.rules();
        let account = rules
            .account(&request.account)
            .filter(|account| account.name.as_str() == request.account)
            .ok_or(ApiKeyError::UnknownAccount)?;
        let possible = rules.possible_scopes(&request.account);
        for scope in request.scopes.iter().flatten() {
            // A group may give it later.
            if !possible.contains(scope.as_str()) {
                let message = format!("the service account is not granted the scope `{}`", scope.as_str());
                return Err(ApiKeyError::Invalid("scopes", message));
            }
        }
        if self.view().of_kind(ObjectKind::ApiKeys).any(|(key, held)| {
            entry(&key.name, held).is_some_and(|key| key.account == *account.name && key.name == *name)
        }) {
            return Err(ApiKeyError::Exists);
        }
        Ok(account.name.clone())
    }
}

/// The API keys among `objects`.
pub(super) fn table(objects: &BTreeMap<ObjectKey, Arc<HeldObject>>) -> ApiKeys {
    let keys = objects.range(ObjectKey { kind: ObjectKind::ApiKeys, name: String::new() }..);
    ApiKeys::new(keys.filter_map(|(key, held)| entry(&key.name, held)))
}

/// The key that an object holds. `None` if another version wrote it in a way that is not understood:
/// such a key gets no token.
fn entry(id: &str, held: &HeldObject) -> Option<ApiKeyEntry> {
    let ApiKeySpec { account, name, secret_sha256, scopes, allow_from, expires_at } =
        serde_json::from_str(&held.spec).ok()?;
    Some(ApiKeyEntry {
        id: ApiKeyId::new(id).ok()?,
        account,
        name,
        secret_sha256,
        scopes,
        allow_from,
        created_at: held.created_at,
        created_by: held.created_by.to_string(),
        expires_at,
    })
}
