//! Managed objects: rules and API keys that are kept in the store, beside those in files.

use sts_types::{ApiKeyId, UnixTime};

use crate::ledger::LedgerFuture;

/// What a managed object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// An issuer entry.
    Issuers,
    /// An API.
    Apis,
    /// A team.
    Teams,
    /// A service account with its identities.
    ServiceAccounts,
    /// An API key. It is no rule: its spec is for the service alone.
    ApiKeys,
}

impl ObjectKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 5] = [Self::Issuers, Self::Apis, Self::Teams, Self::ServiceAccounts, Self::ApiKeys];

    /// The number under which stores keep the kind. It never changes.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Issuers => 0,
            Self::Apis => 1,
            Self::Teams => 2,
            Self::ServiceAccounts => 3,
            Self::ApiKeys => 4,
        }
    }
}

/// The identity of an object in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name, unique within the kind. An API key's is its id.
    pub name: String,
}

impl ObjectKey {
    /// The octets to which a store seals the object: the number of the kind, then the name.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.name.len());
        bytes.push(self.kind.number());
        bytes.extend_from_slice(self.name.as_bytes());
        bytes
    }
}

impl ObjectChange {
    /// The object that is changed.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Put(object) => &object.key,
            Self::Delete(key) => key,
        }
    }
}

/// A managed object as stored.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ManagedObject {
    /// Kind and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// The document: the shape of the configuration file as JSON.
    pub spec: serde_json::Value,
    /// The sequence of the commit that wrote it. The store sets it. No two states of an object share
    /// a revision, not even when it was deleted in between.
    pub revision: u64,
    /// When it was created.
    pub created_at: UnixTime,
    /// Who created it: `admin token`, a console user, or an account's id.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: UnixTime,
    /// Who changed it last.
    pub updated_by: String,
}

/// All objects at one sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagedObjects {
    /// The sequence of the last commit. 0 if there was none.
    pub sequence: u64,
    /// In the order of their keys.
    pub objects: Vec<ManagedObject>,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectChange {
    /// Creates the object or replaces it.
    Put(ManagedObject),
    /// Removes it. Removing what is not there is no error.
    Delete(ObjectKey),
}

/// What changed after some sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectChanges {
    /// The sequence of the last commit.
    pub sequence: u64,
    /// The last change of each object that changed, in the order of their keys.
    pub changes: Vec<ObjectChange>,
}

/// The outcome of [`ObjectStore::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All changes are durable under this sequence.
    Done(u64),
    /// Somebody else committed meanwhile. Nothing was written. The current sequence.
    Stale(u64),
}

/// The last use of an API key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyUse {
    /// When.
    pub at: UnixTime,
    /// The caller's address.
    pub from: String,
}

/// What the last use of is kept: an account, or one of its identities.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UseKey {
    /// The username.
    pub account: String,
    /// The identity's name. `None` for the account itself.
    pub identity: Option<String>,
}

/// The store of managed objects. Like the ledger it seals what it keeps, and it seals absence: an
/// object that was altered, removed, or replaced by its older revision behind our back makes the
/// whole store refuse until an operator accepts the loss.
pub trait ObjectStore: Send + Sync + 'static {
    /// All objects.
    fn objects(&self) -> LedgerFuture<'_, ManagedObjects>;

    /// What changed after `sequence`. `None` if the store cannot tell; then read all objects. Each
    /// replica asks several times a second, so with no change it costs one small read.
    fn changes_since(&self, sequence: u64) -> LedgerFuture<'_, Option<ObjectChanges>>;

    /// Commits all `changes`, or none, if the sequence is still `at`: the changes were judged together
    /// with the objects of that moment. Returns only after they are durable. Sets the revision of
    /// each object. Of several changes of one object the last one counts. A commit without changes
    /// writes nothing and leaves the sequence as it is.
    fn commit(&self, at: u64, changes: Vec<ObjectChange>) -> LedgerFuture<'_, Committed>;

    /// Keeps the last uses of API keys. An earlier use never replaces a later one. They are no
    /// evidence, so they are not sealed, and nobody waits for them.
    fn record_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> LedgerFuture<'_, ()>;

    /// The last uses of all API keys. Those of deleted keys may be among them.
    fn uses(&self) -> LedgerFuture<'_, Vec<(ApiKeyId, KeyUse)>>;

    /// Keeps when accounts and identities were last used, as [`record_uses`](Self::record_uses)
    /// does, and forgets those that were not used since `forget_before`, if it is given.
    fn record_last_uses(&self, uses: Vec<(UseKey, UnixTime)>, forget_before: Option<UnixTime>) -> LedgerFuture<'_, ()>;

    /// When each of `keys` was last used, in their order. `None` for one that was not, or whose use
    /// is forgotten.
    fn last_uses(&self, keys: Vec<UseKey>) -> LedgerFuture<'_, Vec<Option<UnixTime>>>;
}
