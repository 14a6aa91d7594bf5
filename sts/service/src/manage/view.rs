//! Managed objects as they are held in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use sts_jose::digest_of_parts;
use sts_store::{KeyUse, ManagedObject, ObjectKey, ObjectKind};
use sts_types::{ApiKeyId, Digest256, UnixTime};

use super::rules::SetAside;

/// A managed object. The document is held as text, which takes a fraction of a tree's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldObject {
    /// The document, as JSON.
    pub spec: Arc<str>,
    /// Its revision.
    pub revision: u64,
    /// When it was created.
    pub created_at: UnixTime,
    /// Who created it.
    pub created_by: Arc<str>,
    /// When it was last changed.
    pub updated_at: UnixTime,
    /// Who changed it last.
    pub updated_by: Arc<str>,
    /// Digest of kind, name and document.
    pub(super) digest: Digest256,
}

impl HeldObject {
    pub(super) fn of(object: &ManagedObject) -> Self {
        let spec: Arc<str> = object.spec.to_string().into();
        let digest = digest_of_parts(&[&[object.key.kind.number()], object.key.name.as_bytes(), spec.as_bytes()]);
        Self {
            spec,
            revision: object.revision,
            created_at: object.created_at,
            created_by: object.created_by.as_str().into(),
            updated_at: object.updated_at,
            updated_by: object.updated_by.as_str().into(),
            digest,
        }
    }

    /// The document as a tree.
    #[must_use]
    pub fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.spec).unwrap_or_default()
    }
}

/// All managed objects at one sequence, and how they are in force here.
#[derive(Clone, Debug, Default)]
pub struct ManagedView {
    /// The store's sequence.
    pub sequence: u64,
    /// Every object, API keys too.
    pub objects: Arc<BTreeMap<ObjectKey, Arc<HeldObject>>>,
    /// Those that are not in force because they do not compile.
    pub set_aside: BTreeMap<ObjectKey, SetAside>,
    /// Those that are not in force because a file declares an object of that name.
    pub shadowed: Vec<ObjectKey>,
    /// The last uses of API keys, as far as the store has them.
    pub uses: Arc<BTreeMap<ApiKeyId, KeyUse>>,
}

impl ManagedView {
    /// The object of that key, in force or not.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<HeldObject>> {
        self.objects.get(key)
    }

    /// The objects of a kind, in the order of their names.
    pub fn of_kind(&self, kind: ObjectKind) -> impl Iterator<Item = (&ObjectKey, &Arc<HeldObject>)> {
        self.objects.range(ObjectKey { kind, name: String::new() }..).take_while(move |(key, _)| key.kind == kind)
    }

    /// What shall be in force: the rules that are not set aside.
    pub(super) fn rules(
        objects: &BTreeMap<ObjectKey, Arc<HeldObject>>,
        set_aside: &BTreeMap<ObjectKey, SetAside>,
    ) -> BTreeMap<ObjectKey, Arc<HeldObject>> {
        let is_rule = |key: &&ObjectKey| key.kind != ObjectKind::ApiKeys && !set_aside.contains_key(*key);
        objects.iter().filter(|(key, _)| is_rule(key)).map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }
}
