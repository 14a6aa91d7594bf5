//! Many changes at once, all or nothing: `/admin/v1/apply`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::ObjectKind;
use utoipa::ToSchema;

use crate::is_false;
use crate::names::names;
use crate::problem::{Effect, Finding};
use crate::schema::ObjectKindName;

/// The body of `POST /admin/v1/apply`: the wanted state of each object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The objects.
    pub objects: Vec<AppliedObject>,
    /// Kinds of which all managed objects are deleted that are not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<ObjectKindName>)]
    pub prune: Vec<ObjectKind>,
    /// Whether to change nothing and answer what would change.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// The wanted state of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppliedObject {
    /// Its kind.
    #[schema(value_type = ObjectKindName)]
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// Its document.
    #[schema(value_type = Object)]
    pub spec: Map<String, Value>,
}

names! {
    /// What became of an object.
    pub enum Applied {
        /// It is new.
        Created = "created",
        /// It was changed.
        Changed = "changed",
        /// It was so already.
        Unchanged = "unchanged",
        /// A file declares it so already.
        InFile = "in_file",
        /// It was deleted, because it is not among the objects.
        Deleted = "deleted",
    }
}

/// The answer of `POST /admin/v1/apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyAnswer {
    /// What became of each object: those of the request in their order, then those that were deleted.
    pub items: Vec<AppliedItem>,
    /// What a load would warn of.
    pub findings: Vec<Finding>,
    /// What the changes do to tokens. For a dry run only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub effect: Option<Effect>,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedItem {
    /// Its kind.
    #[schema(value_type = ObjectKindName)]
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Applied,
    /// Its revision, if the store has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_and_its_answer_are_read_as_they_were_written() {
        let object = json!({ "kind": "teams", "name": "t", "spec": { "grants": {} } });
        let request = json!({ "objects": [object], "prune": ["teams"], "dry_run": true });
        let read: ApplyRequest = serde_json::from_value(request.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), request);
        let item = json!({ "kind": "teams", "name": "t", "outcome": "in_file" });
        let answer = json!({
            "items": [item, { "kind": "teams", "name": "u", "outcome": "deleted" }], "findings": [],
            "effect": { "newly_allowed": [], "newly_denied": [] }, "dry_run": true,
        });
        let read: ApplyAnswer = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), answer);
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        for wrong in
            [json!({ "objects": [], "purge": [] }), json!({ "objects": [{ "kind": "team", "name": "t", "spec": {} }] })]
        {
            assert!(serde_json::from_value::<ApplyRequest>(wrong).is_err());
        }
    }
}
