//! Managed objects: rules and API keys in the store, changed under a running server.
//!
//! A write is a load: the candidate of files, managed objects and change is compiled whole before
//! anything is written. Every replica follows the store's sequence.

mod admissions;
mod api_keys;
mod effect;
mod engine;
mod key_notices;
mod rights;
mod rules;
mod view;

pub use admissions::{Tried, TriedFrom};
pub use api_keys::{ApiKeyError, ApiKeyRequest, ApiKeySpec, ApiKeyView, CreatedApiKey};
pub use effect::{Effect, EffectCase};
pub use engine::{ManagedObjects, ManagedParts};
pub use rights::{Author, needs_person};
pub use rules::{
    Candidate, Declared, FindingPlace, InstallRules, ObjectFinding, ObjectRules, PreparedRules, SetAside, key_of,
    rule_kind,
};
pub use view::{HeldObject, ManagedView};

use std::path::PathBuf;

use sts_store::{LedgerError, ObjectKey, ObjectKind};

/// What a change requires of the object's revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is no such object yet.
    Absent,
    /// The object has this revision.
    Revision(u64),
    /// Anything.
    Any,
}

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestedChange {
    /// Creates the object or replaces its spec.
    Put {
        /// Kind and name.
        key: ObjectKey,
        /// The document.
        spec: serde_json::Value,
        /// What is there so far.
        expected: Expected,
    },
    /// Removes the object. The API keys of an account go with it.
    Delete {
        /// Kind and name.
        key: ObjectKey,
        /// What is there so far.
        expected: Expected,
    },
}

impl RequestedChange {
    /// The object to change.
    #[must_use]
    pub const fn key(&self) -> &ObjectKey {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    const fn expected(&self) -> Expected {
        match self {
            Self::Put { expected, .. } | Self::Delete { expected, .. } => *expected,
        }
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// `manage.kinds` does not name the kind.
    #[error("objects of this kind are not managed here: add the kind to `manage.kinds`")]
    NotManaged(ObjectKind),
    /// A file declares the object.
    #[error("the object is declared in the file {}, and is changed there", .1.display())]
    DeclaredByFile(ObjectKey, PathBuf),
    /// There is such an object already.
    #[error("there is an object of this kind and name already")]
    Exists(ObjectKey),
    /// There is no such object.
    #[error("there is no managed object of this kind and name")]
    Unknown(ObjectKey),
    /// The object has another revision.
    #[error("the object has the revision {actual}, not {expected}")]
    RevisionMismatch {
        /// The object.
        key: ObjectKey,
        /// What the caller has.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// The candidate would be refused by a load.
    #[error("the change does not compile")]
    Invalid(Vec<ObjectFinding>),
    /// A token of ours must not do this.
    #[error("this needs the admin token or a person: {0}")]
    InteractiveRequired(String),
    /// Others wrote again and again meanwhile.
    #[error("others change objects at the same time: try again")]
    Contended,
    /// The store has changes that are not in force here, because the files do not load.
    #[error("changes of managed objects are not in force here, because the files do not load: repair the files")]
    Behind,
    /// The store did not answer. If the error came from the commit itself, the change may have been
    /// written all the same.
    #[error("{0}")]
    StoreUnavailable(#[from] LedgerError),
}

/// What a write did, or would do.
#[derive(Debug)]
pub struct Written {
    /// The objects that were put, as they are now, in the order of the request.
    pub objects: Vec<(ObjectKey, std::sync::Arc<HeldObject>)>,
    /// The objects that were removed, API keys of removed accounts among them.
    pub removed: Vec<ObjectKey>,
    /// What was changed, each with how it was and how it is. Empty for a dry run.
    pub changed: Vec<ChangedObject>,
    /// How many changes changed nothing, so that nothing was written for them.
    pub unchanged: usize,
    /// Findings that do not refuse the change.
    pub warnings: Vec<ObjectFinding>,
    /// What a dry run would change; `None` for a real one.
    pub effect: Option<Effect>,
}

/// An object that a write changed.
#[derive(Debug)]
pub struct ChangedObject {
    /// Kind and name.
    pub key: ObjectKey,
    /// How it was; `None` if it was created.
    pub before: Option<std::sync::Arc<HeldObject>>,
    /// How it is; `None` if it was deleted.
    pub after: Option<std::sync::Arc<HeldObject>>,
}
