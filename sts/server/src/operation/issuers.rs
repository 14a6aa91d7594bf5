//! What operators see of issuer entries and families, and have them do.

use futures_util::{StreamExt as _, stream};
use jwks_cache::{EntryRef, FamilyStatus, FetchError, FetchErrorKind, HistoryError, InForce, JwksCache, KeyHistory};
use serde_json::{Value, json};
use sts_types::{EntryName, Issuer, UnixTime};

use super::{OperationError, not_found};

/// How many members of a family are refreshed at a time.
const AT_ONCE: usize = 16;

/// Every entry, and every family with its members.
pub(super) fn list(cache: &JwksCache) -> Value {
    json!({ "issuers": cache.status(), "families": cache.families() })
}

/// One entry or family.
pub(super) fn show(cache: &JwksCache, name: &str) -> Result<Value, OperationError> {
    if let Some(status) = cache.status().into_iter().find(|entry| entry.name.as_str() == name) {
        return Ok(json!(status));
    }
    family(cache, name).map(|family| json!(family)).ok_or_else(unknown)
}

/// Fetches the keys of an entry, of one member of a family, or of all its members that were asked for lately.
pub(super) async fn refresh(cache: &JwksCache, name: &str, issuer: Option<&str>) -> Result<Value, OperationError> {
    let (entry, issuer) = (entry_name(name)?, issuer_of(issuer)?);
    if let Some(issuer) = &issuer {
        return cache.refresh(EntryRef::of_issuer(&entry, issuer)).await.map(|done| json!(done)).map_err(not_refreshed);
    }
    let Some(family) = family(cache, name) else {
        return cache.refresh(&entry).await.map(|done| json!(done)).map_err(not_refreshed);
    };
    let members = stream::iter(family.members).map(|member| {
        let entry = &entry;
        async move {
            let done = cache.refresh(EntryRef::of_issuer(entry, &member.issuer)).await;
            (member.issuer, done)
        }
    });
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (issuer, outcome) in members.buffered(AT_ONCE).collect::<Vec<_>>().await {
        match outcome {
            Ok(report) => done.push(json!({ "issuer": issuer, "refreshed": report })),
            Err(error) => failed.push(error.to_string()),
        }
    }
    match failed.as_slice() {
        [] => Ok(json!({ "members": done })),
        [first, ..] => Err(OperationError::IssuerUnavailable(format!(
            "{} of {} members were not refreshed; the first: {first}",
            failed.len(),
            failed.len() + done.len()
        ))),
    }
}

/// The key sets that an entry, or one member of a family, had; or the one in force at a moment.
pub(super) async fn history(
    cache: &JwksCache,
    name: &str,
    issuer: Option<&str>,
    at: Option<UnixTime>,
) -> Result<Value, OperationError> {
    let (entry, issuer) = (entry_name(name)?, issuer_of(issuer)?);
    let of = match &issuer {
        Some(issuer) => EntryRef::of_issuer(&entry, issuer),
        None => EntryRef::from(&entry),
    };
    match cache.history(of).await {
        Ok(history) => Ok(at.map_or_else(|| json!(history), |at| in_force(&history, at))),
        Err(HistoryError::UnknownEntry) if issuer.is_none() && family(cache, name).is_some() => {
            Err(OperationError::Refused(
                "this is a family of issuers, each with a history of its own: say which with --issuer URL".to_owned(),
            ))
        }
        Err(HistoryError::UnknownEntry) => Err(unknown()),
        Err(error @ HistoryError::Unreadable(_)) => Err(OperationError::Failed(error.to_string())),
    }
}

fn not_refreshed(error: FetchError) -> OperationError {
    match error.fault {
        FetchErrorKind::UnknownEntry => unknown(),
        _ => OperationError::IssuerUnavailable(error.to_string()),
    }
}

fn family(cache: &JwksCache, name: &str) -> Option<FamilyStatus> {
    cache.families().into_iter().find(|family| family.name.as_str() == name)
}

fn entry_name(name: &str) -> Result<EntryName, OperationError> {
    EntryName::new(name).map_err(|_| unknown())
}

fn issuer_of(text: Option<&str>) -> Result<Option<Issuer>, OperationError> {
    text.map(Issuer::new).transpose().map_err(|error| OperationError::Refused(error.to_string()))
}

fn unknown() -> OperationError {
    not_found(&HistoryError::UnknownEntry.to_string())
}

/// What was trusted at a moment: `state` is `in_force`, `lapsed` or `not_recorded`, and `event` the set of the first.
fn in_force(history: &KeyHistory, at: UnixTime) -> Value {
    let (state, event, lapsed_at) = match history.at(at) {
        InForce::Set(event) => ("in_force", Some(event), None),
        InForce::Lapsed(lapsed_at) => ("lapsed", None, Some(lapsed_at)),
        InForce::NotRecorded => ("not_recorded", None, None),
    };
    json!({
        "name": history.name,
        "at": at,
        "state": state,
        "event": event,
        "lapsed_at": lapsed_at,
        "unreadable": history.unreadable,
    })
}
