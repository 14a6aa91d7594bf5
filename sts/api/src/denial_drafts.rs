//! The change of an identity that would allow a refused request: `/admin/v1/denials/{request_id}/draft`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::names::names;

names! {
    /// What a draft does to the identities of its account.
    pub enum DraftKind {
        /// It adds one: `POST` it.
        Add = "add",
        /// It changes one: `PUT` it, with `If-Match`.
        Change = "change",
    }
}

/// The answer of `GET /admin/v1/denials/{request_id}/draft`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenialDraft {
    /// The smallest change of an identity that grants such a request and that nobody else gains by. Nothing is changed yet.
    #[schema(required)]
    pub draft: Option<IdentityDraft>,
    /// Without a draft: why there is none, and what to do instead.
    #[schema(required)]
    pub instead: Option<String>,
}

/// A change of one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityDraft {
    /// What it does.
    pub kind: DraftKind,
    /// The account.
    pub account: String,
    /// The name of the identity.
    pub identity: String,
    /// What it does, in words.
    pub summary: String,
    /// The identity as it would be.
    #[schema(value_type = Object)]
    pub document: Map<String, Value>,
    /// The same as text for a file.
    pub yaml: String,
    /// For a change: the `ETag` of the identity as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub etag: Option<String>,
    /// The file that declares the account. The change is made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub file: Option<String>,
    /// What to look at before it is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_draft_is_read_as_it_was_written() {
        for text in [
            json!({ "draft": null, "instead": "send a fresh token" }),
            json!({ "instead": null, "draft": {
                "kind": "change", "account": "octo", "identity": "main", "summary": "s", "document": { "name": "main" },
                "yaml": "name: main", "etag": "\"1\"", "file": "a.yaml", "notes": ["look"],
            } }),
            json!({ "instead": null, "draft": {
                "kind": "add", "account": "octo", "identity": "main", "summary": "s", "document": {}, "yaml": "",
            } }),
        ] {
            let read: DenialDraft = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
    }
}
