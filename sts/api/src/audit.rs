//! The audit trail's tail: `/admin/v1/audit`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::UnixTime;
use utoipa::{IntoParams, ToSchema};

use crate::query::{QueryError, limit, moment, parameters, written};

/// Audit events, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The events, as `sts schema --event` describes them.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Map<String, Value>>,
    /// For `after`, if there are more.
    #[schema(required)]
    pub next: Option<String>,
}

/// Which audit events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only these types, such as `object_changed`, separated by commas.
    #[param(nullable = false)]
    pub r#type: Option<String>,
    /// Only what this party did: a name, or a kind such as `admin_token`.
    #[param(nullable = false)]
    pub actor: Option<String>,
    /// Only what is about this: an object such as `service-accounts/octo`, a name, an issuer entry, a `jti`, or a request id.
    #[param(nullable = false)]
    pub object: Option<String>,
    /// The earliest time: epoch seconds, or RFC 3339.
    #[param(nullable = false, value_type = String)]
    pub since: Option<UnixTime>,
    /// The latest time: epoch seconds, or RFC 3339.
    #[param(nullable = false, value_type = String)]
    pub until: Option<UnixTime>,
    /// `next` of the page before.
    #[param(nullable = false)]
    pub after: Option<String>,
    /// The most events to answer.
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        const FORM: &str =
            "audit events are listed by one `type`, `actor`, `object`, `since`, `until`, `after` and `limit` at most";
        let mut read = Self::default();
        for (name, value) in parameters(query) {
            let is_repeated = match &*name {
                "type" => read.r#type.replace(value.into_owned()).is_some(),
                "actor" => read.actor.replace(value.into_owned()).is_some(),
                "object" => read.object.replace(value.into_owned()).is_some(),
                "after" => read.after.replace(value.into_owned()).is_some(),
                "since" => read.since.replace(moment("since", &value)?).is_some(),
                "until" => read.until.replace(moment("until", &value)?).is_some(),
                "limit" => read.limit.replace(limit(&value)?).is_some(),
                _ => return Err(FORM.into()),
            };
            if is_repeated {
                return Err(FORM.into());
            }
        }
        Ok(read)
    }

    /// The query string that asks for this.
    #[must_use]
    pub fn to_query(&self) -> String {
        let seconds = |time: Option<UnixTime>| time.map(|time| time.to_string());
        written(&[
            ("type", self.r#type.clone()),
            ("actor", self.actor.clone()),
            ("object", self.object.clone()),
            ("since", seconds(self.since)),
            ("until", seconds(self.until)),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_was_written() {
        let query = AuditQuery {
            r#type: Some("revocation,object_changed".into()),
            actor: Some("admin_token".into()),
            object: Some("service-accounts/a b".into()),
            since: Some(UnixTime::from_secs(1)),
            until: Some(UnixTime::from_secs(2)),
            after: Some("3".into()),
            limit: Some(4),
        };
        assert_eq!(AuditQuery::from_query(&query.to_query()).unwrap(), query);
        assert_eq!(AuditQuery::from_query("since=1970-01-01T00:00:05Z").unwrap().since, Some(UnixTime::from_secs(5)));
        for wrong in ["type=a&type=b", "limit=0", "since=x", "kind=decision"] {
            assert!(AuditQuery::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
