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

/// The identity of an object in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name, unique within the kind. An API key's is its id.
    pub name: String,
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
    /// each object.
    fn commit(&self, at: u64, changes: Vec<ObjectChange>) -> LedgerFuture<'_, Committed>;

    /// Keeps the last uses of API keys. An earlier use never replaces a later one. They are no
    /// evidence, so they are not sealed, and nobody waits for them.
    fn record_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> LedgerFuture<'_, ()>;

    /// The last uses of all API keys. Those of deleted keys may be among them.
    fn uses(&self) -> LedgerFuture<'_, Vec<(ApiKeyId, KeyUse)>>;
}
