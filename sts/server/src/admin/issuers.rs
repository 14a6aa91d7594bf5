//! Issuer entries and families, and the state of their keys: `/admin/v1/issuers`.

use futures_util::{StreamExt as _, stream};
use jwks_cache::{EntryRef, FamilyStatus, FetchError, FetchErrorKind, HistoryError, JwksCache};
use sts_api::{
    FamilyRefreshed, HistoryAnswer, HistoryQuery, IssuerAnswer, IssuerObject, Issuers, MemberRefreshed, ObjectPage,
    ObjectQuery, ObjectSource, RefreshAnswer, RefreshRequest,
};
use sts_types::{EntryName, Issuer, ObjectKind};
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::issuer_state::{entry, family, history, history_at, refreshed};
use super::objects::{self, ChangeObject, CreateObject, DeleteObject, ListObjects, ReplaceObject};
use super::{
    AnswerHead, Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, kinds,
    managed, not_found,
};
use crate::app_state::AppState;
use crate::openapi::{IssuerState, Model};

pub(super) const ROUTES: &[Route] = &[
    Route::to::<ListIssuers>(),
    Route::to::<CreateObject<kinds::Issuers>>(),
    Route::to::<ShowIssuer>(),
    Route::to::<ReplaceObject<kinds::Issuers>>(),
    Route::to::<ChangeObject<kinds::Issuers>>(),
    Route::to::<DeleteObject<kinds::Issuers>>(),
    Route::to::<RefreshIssuer>(),
    Route::to::<IssuerHistory>(),
];

/// How many members of a family are refreshed at a time.
const AT_ONCE: usize = 16;

/// Every entry, and every family with its members.
#[derive(Debug, Default)]
pub(crate) struct ListIssuers {
    query: ObjectQuery,
}

impl Operation for ListIssuers {
    type Answer = Issuers;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/issuers",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listIssuers",
            summary: "The issuer entries with the state of their keys",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_members(Self { query: objects::query_of(ObjectKind::Issuer, request)? })
    }

    fn request(&self) -> Request {
        Request::get("", self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Issuers, OperationError> {
        let ObjectPage { items, next } = ListObjects::<kinds::Issuers>::new(self.query).run(state, caller).await?;
        let cache = state.issuers.borrow().clone();
        Ok(Issuers {
            issuers: cache.status().into_iter().map(entry).collect(),
            families: cache.families().into_iter().map(family).collect(),
            items,
            next,
        })
    }

    fn query_parameters() -> Vec<Parameter> {
        objects::list_parameters(ObjectKind::Issuer)
    }
}

/// One entry or family.
#[derive(Debug)]
pub(crate) struct ShowIssuer {
    pub(crate) name: String,
    pub(crate) source: Option<ObjectSource>,
}

impl Operation for ShowIssuer {
    type Answer = IssuerObject;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/issuers/{name}",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "showIssuer",
            summary: "One issuer entry",
            body: None,
            answer: Some(Model::of::<IssuerState>()),
            failures: &[404],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let source = objects::source_of(request)?;
        request.without_members(Self { name: request.parameter.clone(), source })
    }

    fn request(&self) -> Request {
        let query = ObjectQuery { source: self.source, ..ObjectQuery::default() };
        Request::get(&self.name, query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "the issuer entry was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<IssuerObject, OperationError> {
        let object = managed::find(state, ObjectKind::Issuer, &self.name, self.source)?;
        let cache = state.issuers.borrow().clone();
        let status = cache.status().into_iter().find(|entry| entry.name.as_str() == self.name);
        let state = match status {
            Some(status) => Some(IssuerAnswer::Entry(Box::new(entry(status)))),
            None => find_family(&cache, &self.name).map(|found| IssuerAnswer::Family(family(found))),
        };
        // What a shadowed object says is not in force, so the state is not its own.
        let is_in_force = object.as_ref().is_none_or(|object| object.not_in_force.is_none());
        let state = state.filter(|_| is_in_force);
        if object.is_none() && (state.is_none() || self.source.is_some()) {
            return Err(unknown());
        }
        Ok(IssuerObject { object, state })
    }

    fn head(shown: &IssuerObject) -> AnswerHead {
        AnswerHead { etag: shown.object.as_ref().map(managed::etag), ..AnswerHead::default() }
    }

    fn query_parameters() -> Vec<Parameter> {
        objects::source_parameter()
    }
}

/// Fetches the keys of an entry, of one member of a family, or of all its members that were used lately.
#[derive(Debug)]
pub(crate) struct RefreshIssuer {
    pub(crate) name: String,
    pub(crate) refresh: RefreshRequest,
}

impl Operation for RefreshIssuer {
    type Answer = RefreshAnswer;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/issuers/{name}/refresh",
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "refreshIssuer",
            summary: "Fetch an entry's keys at once; of a family those of one issuer, or of all that were asked for lately",
            body: Some(Body::optional::<RefreshRequest>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str =
            "a refresh takes an object with `issuer` (a string) at most, and no query parameters; no keys were fetched";
        let refresh: Option<RefreshRequest> = serde_json::from_value(request.body.clone()).map_err(|_| FORM)?;
        if !request.query.is_empty() {
            return Err(FORM.to_owned());
        }
        Ok(Self { name: request.parameter.clone(), refresh: refresh.unwrap_or_default() })
    }

    fn request(&self) -> Request {
        Request::post(&self.name, &self.refresh)
    }

    fn not_done(&self) -> &'static str {
        "no keys were fetched"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<RefreshAnswer, OperationError> {
        let cache = state.issuers.borrow().clone();
        let (entry, issuer) = (entry_name(&self.name)?, issuer_of(self.refresh.issuer.as_deref())?);
        let of = match &issuer {
            Some(issuer) => EntryRef::of_issuer(&entry, issuer),
            None => match find_family(&cache, &self.name) {
                Some(family) => return refresh_family(&cache, &entry, family).await.map(RefreshAnswer::Family),
                None => EntryRef::from(&entry),
            },
        };
        cache.refresh(of).await.map(|done| RefreshAnswer::Issuer(refreshed(&done))).map_err(not_refreshed)
    }
}

async fn refresh_family(
    cache: &JwksCache,
    entry: &EntryName,
    family: FamilyStatus,
) -> Result<FamilyRefreshed, OperationError> {
    let refreshes = stream::iter(family.members).map(|member| async move {
        let done = cache.refresh(EntryRef::of_issuer(entry, &member.issuer)).await;
        (member.issuer, done)
    });
    let (mut members, mut failed) = (Vec::new(), Vec::new());
    for (issuer, outcome) in refreshes.buffered(AT_ONCE).collect::<Vec<_>>().await {
        match outcome {
            Ok(report) => members.push(MemberRefreshed { issuer, refreshed: refreshed(&report) }),
            Err(error) => failed.push(error.to_string()),
        }
    }
    match failed.as_slice() {
        [] => Ok(FamilyRefreshed { members }),
        [first, ..] => Err(OperationError::IssuerUnavailable(format!(
            "{} of {} members were not refreshed; the first: {first}",
            failed.len(),
            failed.len() + members.len()
        ))),
    }
}

/// The key sets that an entry, or one member of a family, had; or the one in force at a moment.
#[derive(Debug)]
pub(crate) struct IssuerHistory {
    pub(crate) name: String,
    pub(crate) query: HistoryQuery,
}

impl Operation for IssuerHistory {
    type Answer = HistoryAnswer;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/issuers/{name}/history",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "issuerHistory",
            summary: "The key sets that an entry had, or the one in force at a moment",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 500],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = HistoryQuery::from_query(&request.query).map_err(|error| error.to_string())?;
        Ok(Self { name: request.parameter.clone(), query })
    }

    fn request(&self) -> Request {
        Request::get(&self.name, self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<HistoryAnswer, OperationError> {
        let cache = state.issuers.borrow().clone();
        let (entry, issuer) = (entry_name(&self.name)?, issuer_of(self.query.issuer.as_deref())?);
        let of = match &issuer {
            Some(issuer) => EntryRef::of_issuer(&entry, issuer),
            None => EntryRef::from(&entry),
        };
        match cache.history(of).await {
            Ok(seen) => Ok(match self.query.at {
                Some(at) => HistoryAnswer::At(Box::new(history_at(&seen, at))),
                None => HistoryAnswer::Whole(history(seen)),
            }),
            Err(HistoryError::UnknownEntry) if issuer.is_none() && find_family(&cache, &self.name).is_some() => {
                Err(OperationError::Refused(
                    "this is a family of issuers, each with a history of its own: say which with --issuer URL"
                        .to_owned(),
                ))
            }
            Err(HistoryError::UnknownEntry) => Err(unknown()),
            Err(error @ HistoryError::Unreadable(_)) => Err(OperationError::Failed(error.to_string())),
        }
    }

    fn query_parameters() -> Vec<Parameter> {
        HistoryQuery::into_params(|| Some(ParameterIn::Query))
    }
}

fn not_refreshed(error: FetchError) -> OperationError {
    match error.fault {
        FetchErrorKind::UnknownEntry => unknown(),
        _ => OperationError::IssuerUnavailable(error.to_string()),
    }
}

fn find_family(cache: &JwksCache, name: &str) -> Option<FamilyStatus> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::is_read_again;
    use super::*;
    use sts_types::UnixTime;

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        is_read_again(&ListIssuers::default());
        is_read_again(&ShowIssuer { name: "github".into(), source: None });
        is_read_again(&RefreshIssuer { name: "github".into(), refresh: RefreshRequest::default() });
        let issuer = Some("https://a.example/b?c&d".to_owned());
        is_read_again(&RefreshIssuer { name: "eks".into(), refresh: RefreshRequest { issuer: issuer.clone() } });
        is_read_again(&IssuerHistory { name: "github".into(), query: HistoryQuery::default() });
        let query = HistoryQuery { issuer, at: Some(UnixTime::from_secs(1_790_000_000)) };
        is_read_again(&IssuerHistory { name: "eks".into(), query });
    }

    #[test]
    fn a_refresh_takes_one_issuer_and_nothing_else() {
        let read = |body: Value, query: &str| {
            RefreshIssuer::read(&Request { query: query.to_owned(), ..Request::post("eks", body) })
        };
        assert!(read(Value::Null, "").is_ok() && read(json!({}), "").is_ok());
        for (body, query) in [(json!({ "isuer": "x" }), ""), (json!({ "issuer": 1 }), ""), (json!({}), "issuer=x")] {
            assert!(read(body, query).unwrap_err().ends_with("no keys were fetched"));
        }
    }
}
