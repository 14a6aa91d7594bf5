//! Refused requests that are remembered: one by its request id, and all of them, grouped on request.

use serde_json::{Value, json};
use sts_service::{GroupBy, RememberedRefusal, Service, group};
use sts_types::{RequestId, nearest};

use super::OperationError;
use crate::http::HttpReason;

/// Refusals of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most refusals of a page.
const MAX_PAGE: usize = 1000;

const NOT_LISTED: &str = "no refusals are listed";

/// Which refusals are listed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DenialsQuery {
    /// Only those that ask for this account, or came nearest to an identity of it.
    pub(crate) account: Option<String>,
    /// Only those of this issuer entry.
    pub(crate) issuer: Option<String>,
    /// Only those for this reason.
    pub(crate) reason: Option<String>,
    /// Names of [`GroupBy`], separated by commas.
    pub(crate) group_by: Option<String>,
    /// The request id that the page before ended with.
    pub(crate) after: Option<String>,
    /// The most that are answered.
    pub(crate) limit: Option<usize>,
}

impl DenialsQuery {
    pub(super) fn read(query: &str) -> Result<Self, String> {
        const FORM: &str =
            "denials are listed by one `account`, `issuer`, `reason`, `group_by`, `after` and `limit` at most";
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "account" => &mut read.account,
                "issuer" => &mut read.issuer,
                "reason" => {
                    reason(&value)?;
                    &mut read.reason
                }
                "group_by" => {
                    by(&value)?;
                    &mut read.group_by
                }
                "after" => &mut read.after,
                "limit" if read.limit.is_none() => {
                    read.limit = Some(super::limit(&value)?);
                    continue;
                }
                _ => return Err(FORM.to_owned()),
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(FORM.to_owned());
            }
        }
        Ok(read)
    }

    pub(super) fn write(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        super::query(&[
            ("account", self.account.clone()),
            ("issuer", self.issuer.clone()),
            ("reason", self.reason.clone()),
            ("group_by", self.group_by.clone()),
            ("after", self.after.clone()),
            ("limit", limit),
        ])
    }

    fn wants(&self, refusal: &RememberedRefusal) -> bool {
        let nearest = refusal.nearest_identity.as_deref().and_then(|nearest| nearest.split_once('/'));
        let is_of = |account: &String| {
            refusal.account.as_ref() == Some(account) || nearest.is_some_and(|(nearest, _)| nearest == account)
        };
        self.account.as_ref().is_none_or(is_of)
            && self.issuer.as_ref().is_none_or(|issuer| refusal.issuer_entry.as_ref() == Some(issuer))
            && self.reason.as_ref().is_none_or(|reason| refusal.diagnosis.reason == **reason)
    }
}

/// Refuses a reason that no refusal has: an empty list would say that there are no such refusals, and not why.
fn reason(name: &str) -> Result<(), String> {
    let names = || HttpReason::all().map(HttpReason::name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    Err(match nearest(name, names()) {
        Some(near) => format!("`reason` is none that a request is refused for; did you mean `{near}`?"),
        None => "`reason` is none that a request is refused for; each refusal in the list names its own".to_owned(),
    })
}

fn by(names: &str) -> Result<Vec<GroupBy>, String> {
    GroupBy::parse(names).map_err(|_| {
        let known = GroupBy::ALL.map(|by| format!("`{}`", by.name())).join(", ");
        format!("`group_by` takes names of {known}, separated by commas")
    })
}

/// A page, newest first, as `{items, next}`; or the groups, largest first.
pub(super) async fn list(service: &Service, query: &DenialsQuery) -> Result<Value, OperationError> {
    let all = service.denials().await.map_err(|_| OperationError::StoreUnavailable(NOT_LISTED))?;
    let wanted: Vec<RememberedRefusal> = all.into_iter().filter(|refusal| query.wants(refusal)).collect();
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
    if let Some(names) = &query.group_by {
        let mut groups = group(&wanted, &by(names).map_err(OperationError::Refused)?);
        let left_out = groups.len().saturating_sub(limit);
        groups.truncate(limit);
        return Ok(json!({ "items": groups, "next": null, "left_out": left_out }));
    }
    let from = match &query.after {
        None => 0,
        Some(after) => match wanted.iter().position(|refusal| refusal.request_id.as_str() == after) {
            Some(place) => place + 1,
            None => return Err(not_remembered(after)),
        },
    };
    let page: Vec<&RememberedRefusal> = wanted.iter().skip(from).take(limit).collect();
    let next = page.last().filter(|_| wanted.len() > from + page.len()).map(|last| last.request_id.clone());
    Ok(json!({ "items": page.into_iter().map(brief).collect::<Vec<_>>(), "next": next }))
}

/// Without the trace.
fn brief(refusal: &RememberedRefusal) -> Value {
    let mut value = json!(refusal);
    if let Some(members) = value.as_object_mut() {
        members.remove("decision");
        members.remove("text");
    }
    value
}

/// One refusal with its whole trace.
pub(super) async fn show(service: &Service, request_id: &str) -> Result<Value, OperationError> {
    match service.denial(request_id).await {
        Ok(Some(refusal)) => Ok(json!(refusal)),
        Ok(None) => Err(not_remembered(request_id)),
        Err(_) => Err(OperationError::StoreUnavailable(
            "the refusal may be remembered there, and its decision event is in the log",
        )),
    }
}

fn not_remembered(request_id: &str) -> OperationError {
    let Ok(request_id) = RequestId::new(request_id) else {
        return OperationError::NotFound(
            "that is not a request id: one has 26 letters and digits, and stands in the answer and its X-Request-Id header"
                .to_owned(),
        );
    };
    OperationError::NotFound(format!(
        "no refusal of request {request_id} is remembered: refusals are kept for 24 hours, those that name no issuer of ours for \
         less, and the most frequent give way when there are too many. The decision event of each request is in the log of the \
         server that answered it: grep {request_id} there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_written_and_each_name_once() {
        let query = DenialsQuery {
            account: Some("octo&x".to_owned()),
            group_by: Some("reason,condition".to_owned()),
            limit: Some(3),
            ..DenialsQuery::default()
        };
        assert_eq!(DenialsQuery::read(query.write().trim_start_matches('?')), Ok(query));
        for wrong in [
            "account=a&account=b",
            "limit=x",
            "limit=0",
            "reason=not_authorised",
            "limit=1&limit=2",
            "group_by=colour",
            "before=1",
            "group_by=",
        ] {
            assert!(DenialsQuery::read(wrong).is_err(), "{wrong}");
        }
    }
}
