//! The objects that rules are made of: `/admin/v1/{kind}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::{ObjectKind, UnixTime};
use utoipa::{IntoParams, ToSchema};

use crate::names::names;
use crate::problem::{DryRun, Finding};
use crate::query::{QueryError, limit, parameters, written};
use crate::schema::{EpochSeconds, ObjectKindName};

names! {
    /// Where an object is declared.
    pub enum ObjectSource {
        /// In a file. It is read-only here.
        File = "file",
        /// In the store.
        Managed = "managed",
    }
}

names! {
    /// Why an object of the store is not in force.
    pub enum NotInForce {
        /// A file declares an object of this kind and name.
        Shadowed = "shadowed",
        /// It did not compile at the start. It is left out until it is changed.
        SetAside = "set_aside",
    }
}

/// An object with its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagedObject)]
pub struct Object {
    /// Its kind, as paths name it.
    #[schema(value_type = ObjectKindName)]
    pub kind: ObjectKind,
    /// Its name. For a service account, the username.
    pub name: String,
    /// Its document: the shape of the configuration file as JSON.
    #[schema(value_type = Object)]
    pub spec: Map<String, Value>,
    /// Where it is declared.
    pub source: ObjectSource,
    /// The file that declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub file: Option<String>,
    /// The line of its name in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// Changes with each write. No two states of an object share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revision: Option<u64>,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EpochSeconds>, nullable = false)]
    pub created_at: Option<UnixTime>,
    /// Who created it: `admin token`, a console user, or an account's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub created_by: Option<String>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EpochSeconds>, nullable = false)]
    pub updated_at: Option<UnixTime>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub updated_by: Option<String>,
    /// Why it is not in force, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub not_in_force: Option<NotInForce>,
    /// When a service account and its identities last got a token. At most a minute old; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_use: Option<LastUse>,
    /// What is wrong with it, if it is set aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Object {
    /// Where a file declares it: `FILE:LINE`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }

    /// The entity tag of this state of a managed object.
    #[must_use]
    pub fn etag(&self) -> Option<String> {
        let revision = self.revision?;
        Some(match self.not_in_force {
            None => format!("\"{revision}\""),
            Some(state) => format!("\"{revision}-{state}\""),
        })
    }

    /// Whether `enabled` is not `false`. Kinds without that key are always enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.spec.get("enabled") != Some(&Value::Bool(false))
    }
}

/// [`Object`] under a name that does not mean any object to the derive macro of `utoipa`.
pub(crate) type ManagedObject = Object;

/// The answer of `GET /admin/v1/{kind}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectPage {
    /// The objects, in the order of their names.
    #[schema(value_type = Vec<ManagedObject>)]
    pub items: Vec<Object>,
    /// Go on `after` this; `null` when there are no more.
    #[schema(required)]
    pub next: Option<String>,
}

/// When a service account last got a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastUse {
    /// By any of its identities or API keys; `null` if not in the last 400 days.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub at: Option<UnixTime>,
    /// By each identity, by name. An identity that was not used in the last 400 days is left out.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, EpochSeconds>)]
    pub identities: BTreeMap<String, UnixTime>,
}

/// The answer to a change of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Written {
    /// The object as it is now.
    Object(Box<Object>),
    /// For a dry run: what the change would do.
    DryRun(DryRun),
    /// The object is gone. There is no body.
    Deleted(()),
}

/// The body of `POST /admin/v1/{kind}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewObject {
    /// Its name.
    pub name: String,
    /// Its document.
    #[schema(value_type = Object)]
    pub spec: Map<String, Value>,
}

/// The body of `PUT /admin/v1/{kind}/{name}`: an object as `GET` answers it. Only `spec` is taken; the
/// other members may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplacedObject {
    /// Its kind, which must be that of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name, which must be that of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its new document.
    #[schema(value_type = Object)]
    pub spec: Map<String, Value>,
}

/// The answer of `GET /admin/v1/service-accounts/{name}/identities`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityPage {
    /// The identities, in the order in which they are tried.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Map<String, Value>>,
    /// Go on `after` this; `null` when there are no more.
    #[schema(required)]
    pub next: Option<String>,
}

/// The answer to a change of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WrittenIdentity {
    /// For a dry run: what the change would do.
    DryRun(DryRun),
    /// The identity as it is now.
    Identity(Map<String, Value>),
    /// The identity is gone. There is no body.
    Deleted(()),
}

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The name that the page before ended with.
    #[param(nullable = false)]
    pub after: Option<String>,
    /// The most items of the page.
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
}

impl PageQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        const FORM: &str = "this list takes one `after` and one `limit` at most";
        let mut read = Self::default();
        for (name, value) in parameters(query) {
            let is_repeated = match &*name {
                "after" => read.after.replace(value.into_owned()).is_some(),
                "limit" => read.limit.replace(limit(&value)?).is_some(),
                _ => true,
            };
            if is_repeated {
                return Err(FORM.into());
            }
        }
        Ok(read)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        written(&[("after", self.after.clone()), ("limit", self.limit.map(|limit| limit.to_string()))])
    }
}

/// Which objects to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ObjectQuery {
    /// Only those declared there.
    #[param(nullable = false)]
    pub source: Option<ObjectSource>,
    /// Only those that are enabled, or are not.
    #[param(nullable = false)]
    pub enabled: Option<bool>,
    /// Only accounts of this team.
    #[param(nullable = false)]
    pub team: Option<String>,
    /// Only teams that this account has, or that a group gives or may give it.
    #[param(nullable = false)]
    pub account: Option<String>,
    /// Only accounts with an identity of this issuer entry.
    #[param(nullable = false)]
    pub issuer: Option<String>,
    /// Only those with this text in their name, display name or description, letter case ignored.
    #[param(nullable = false)]
    pub q: Option<String>,
    /// The name that the page before ended with.
    #[param(nullable = false)]
    pub after: Option<String>,
    /// The most objects of the page.
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
    /// With the last use of accounts. It changes without a new revision, so it is not part of an
    /// object otherwise.
    #[param(nullable = false)]
    pub last_use: Option<bool>,
}

impl ObjectQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        const FORM: &str = "objects are listed by one `source`, `enabled`, `team`, `account`, `issuer`, `q`, `after`, `limit` and `last_use` at most";
        let mut read = Self::default();
        for (name, value) in parameters(query) {
            let is_repeated = match &*name {
                "source" => read.source.replace(source(&value)?).is_some(),
                "enabled" => read.enabled.replace(flag("enabled", &value)?).is_some(),
                "team" => read.team.replace(value.into_owned()).is_some(),
                "account" => read.account.replace(value.into_owned()).is_some(),
                "issuer" => read.issuer.replace(value.into_owned()).is_some(),
                "q" => read.q.replace(value.into_owned()).is_some(),
                "after" => read.after.replace(value.into_owned()).is_some(),
                "limit" => read.limit.replace(limit(&value)?).is_some(),
                "last_use" => read.last_use.replace(flag("last_use", &value)?).is_some(),
                _ => return Err(FORM.into()),
            };
            if is_repeated {
                return Err(FORM.into());
            }
        }
        Ok(read)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        written(&[
            ("source", self.source.map(|source| source.to_string())),
            ("enabled", self.enabled.map(|enabled| enabled.to_string())),
            ("team", self.team.clone()),
            ("account", self.account.clone()),
            ("issuer", self.issuer.clone()),
            ("q", self.q.clone()),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("last_use", self.last_use.map(|last_use| last_use.to_string())),
        ])
    }
}

fn source(value: &str) -> Result<ObjectSource, QueryError> {
    ObjectSource::of(value).ok_or_else(|| "`source` is `file` or `managed`".into())
}

/// A boolean in a query string.
pub(crate) fn flag(name: &str, value: &str) -> Result<bool, QueryError> {
    value.parse().map_err(|_| QueryError(format!("`{name}` is `true` or `false`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_read_as_it_was_written() {
        for text in [
            json!({ "kind": "teams", "name": "t", "spec": { "grants": {} }, "source": "file", "file": "a.yaml", "line": 7 }),
            json!({
                "kind": "service-accounts", "name": "bot", "spec": {}, "source": "managed", "revision": 7,
                "created_at": 1, "created_by": "admin token", "updated_at": 2, "updated_by": "x",
                "not_in_force": "set_aside",
                "findings": [{ "severity": "error", "pointer": "/spec/teams/0", "message": "m", "help": "h" }],
            }),
        ] {
            let read: Object = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
    }

    #[test]
    fn the_answer_to_a_change_is_told_by_its_shape() {
        let object = json!({ "kind": "teams", "name": "t", "spec": {}, "source": "managed", "revision": 7 });
        let Written::Object(object) = serde_json::from_value(object).unwrap() else { panic!("no object") };
        assert_eq!(object.etag().as_deref(), Some("\"7\""));
        let shadowed = Object { not_in_force: Some(NotInForce::Shadowed), ..*object };
        assert_eq!(shadowed.etag().as_deref(), Some("\"7-shadowed\""));
        let dry_run = json!({ "findings": [], "effect": { "newly_allowed": [], "newly_denied": [] } });
        assert!(matches!(serde_json::from_value(dry_run).unwrap(), Written::DryRun(_)));
        assert!(matches!(serde_json::from_value(Value::Null).unwrap(), Written::Deleted(())));
    }

    #[test]
    fn what_a_get_answers_can_be_put() {
        let object = json!({ "kind": "teams", "name": "t", "spec": {}, "source": "managed", "revision": 7 });
        let put: ReplacedObject = serde_json::from_value(object).unwrap();
        assert_eq!((put.name.as_deref(), put.spec.len()), (Some("t"), 0));
        let unknown = json!({ "name": "t", "spec": {}, "revision": 7 });
        assert!(serde_json::from_value::<NewObject>(unknown).is_err());
    }

    #[test]
    fn a_query_is_read_as_it_was_written_and_each_name_once() {
        let query = ObjectQuery {
            source: Some(ObjectSource::Managed),
            enabled: Some(false),
            team: Some("a&b".to_owned()),
            account: Some("a=b".to_owned()),
            q: Some("x y".to_owned()),
            limit: Some(3),
            ..ObjectQuery::default()
        };
        assert_eq!(ObjectQuery::from_query(&query.to_query()), Ok(query));
        for wrong in ["source=files", "enabled=1", "limit=0", "team=a&team=b", "enabled=true&enabled=true", "x=1"] {
            assert!(ObjectQuery::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
