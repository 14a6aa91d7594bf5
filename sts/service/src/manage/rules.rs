//! The seam between the engine and the compiler of rules.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sts_policy::{Memberships, RuleSet, TestSpec};
use sts_store::{ObjectKey, ObjectKind};
use sts_types::{CheckCode, Digest256, JsonPointer, ObjectPointer, ObjectRef};

use super::view::HeldObject;
use crate::api_keys::ApiKeys;

/// A finding about a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFinding {
    /// The rule behind it.
    pub code: CheckCode,
    /// `error`, `unsafe`, `test_failed`, `warning` or `note`.
    pub severity: &'static str,
    /// Where it is. `None` if it is about no place in particular.
    pub place: Option<FindingPlace>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A stranger's value that a pattern would accept.
    pub witness: Option<String>,
}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingPlace {
    /// In an object.
    Object(ObjectPointer),
    /// In a file.
    File {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
    },
}

impl ObjectFinding {
    /// The object that the finding is about.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        match self.place.as_ref()? {
            FindingPlace::Object(pointer) => Some(&pointer.object),
            FindingPlace::File { .. } => None,
        }
    }

    /// The member of that object. The whole object if there is no place.
    #[must_use]
    pub fn pointer(&self) -> JsonPointer {
        match &self.place {
            Some(FindingPlace::Object(pointer)) => pointer.pointer.clone(),
            Some(FindingPlace::File { .. }) | None => JsonPointer::default(),
        }
    }
}

/// A managed object that is not in force because it does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The revision that does not compile.
    pub revision: u64,
    /// Why.
    pub why: String,
}

/// The objects that shall be in force.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Every managed object but API keys and those that are set aside.
    pub objects: Arc<BTreeMap<ObjectKey, Arc<HeldObject>>>,
    /// The objects in which they differ from those in force. `None` if that is not known.
    pub changed: Option<Vec<ObjectKey>>,
}

impl Candidate {
    /// Digest over all of them. `None` if there are none. Who wrote an object and when does not count.
    #[must_use]
    pub fn digest(&self) -> Option<Digest256> {
        if self.objects.is_empty() {
            return None;
        }
        let mut digest = sts_jose::Sha256::new();
        self.objects.values().for_each(|object| digest.update(&object.digest.0));
        Some(digest.finish())
    }
}

/// An object that a file declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The file.
    pub file: Arc<std::path::Path>,
    /// The line of its name there, from 1.
    pub line: u32,
    /// The document, as JSON.
    pub spec: Arc<str>,
}

/// A candidate that compiled. Nothing is in force yet.
pub struct PreparedRules {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Findings that do not refuse the candidate.
    pub warnings: Vec<ObjectFinding>,
    /// Managed objects that a file shadows.
    pub shadowed: Vec<ObjectKey>,
    /// Puts it in force.
    pub install: Box<dyn InstallRules>,
}

impl std::fmt::Debug for PreparedRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedRules").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

/// The last step of a candidate. It cannot fail.
pub trait InstallRules: Send {
    /// Puts the rules in force, with these API keys.
    fn install(self: Box<Self>, keys: Arc<ApiKeys>);
}

/// Compiles candidates and puts them in force. The engine calls it under its lock, never on the
/// request path; the compiler of files shares that lock.
pub trait ObjectRules: Send + Sync + 'static {
    /// Compiles the candidate beside the files. This may take a second.
    ///
    /// # Errors
    /// Every finding, if a load would refuse the candidate.
    fn prepare(&self, candidate: &Candidate) -> Result<PreparedRules, Vec<ObjectFinding>>;

    /// Puts other API keys in force and leaves the rules as they are.
    fn install_keys(&self, keys: Arc<ApiKeys>);

    /// Notes that every object was read, so that requests can be decided from now on.
    fn objects_are_read(&self);

    /// The rules in force.
    fn rules(&self) -> Arc<RuleSet>;

    /// The kinds that may be changed.
    fn managed_kinds(&self) -> Vec<ObjectKind>;

    /// The objects that files declare.
    fn declared(&self) -> Arc<BTreeMap<ObjectKey, Declared>>;

    /// What directories say of the accounts.
    fn memberships(&self) -> Arc<dyn Memberships>;

    /// The policy tests of the files.
    fn tests(&self) -> Arc<Vec<TestSpec>>;
}

/// The kind of rules of a stored kind. `None` for API keys.
#[must_use]
pub const fn rule_kind(kind: ObjectKind) -> Option<sts_types::ObjectKind> {
    match kind {
        ObjectKind::Issuers => Some(sts_types::ObjectKind::Issuer),
        ObjectKind::Apis => Some(sts_types::ObjectKind::Api),
        ObjectKind::Teams => Some(sts_types::ObjectKind::Team),
        ObjectKind::ServiceAccounts => Some(sts_types::ObjectKind::ServiceAccount),
        ObjectKind::ApiKeys => None,
    }
}

/// The key in the store of an object of the rules.
#[must_use]
pub fn key_of(object: &ObjectRef) -> ObjectKey {
    let kind = match object.kind {
        sts_types::ObjectKind::Issuer => ObjectKind::Issuers,
        sts_types::ObjectKind::Api => ObjectKind::Apis,
        sts_types::ObjectKind::Team => ObjectKind::Teams,
        sts_types::ObjectKind::ServiceAccount => ObjectKind::ServiceAccounts,
    };
    ObjectKey { kind, name: object.name.clone() }
}
