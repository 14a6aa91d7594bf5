//! The identities of a service account: `/admin/v1/service-accounts/{name}/identities`.

use serde_json::{Map, Value};
use sts_api::{IdentityPage, Object, PageQuery, WrittenIdentity};
use sts_types::{ObjectKind, nearest};
use utoipa::openapi::path::Parameter;

use super::managed::{self, Change, Place};
use super::objects::{dry_run_parameter, page_parameters};
use super::preconditions::{check, required};
use super::request::{Edit, dry_run_query};
use super::{
    AnswerHead, Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, merge_patch,
};
use crate::app_state::AppState;
use crate::openapi::{ChangedIdentity, IdentityDocument, IdentityPatch, Model};

pub(super) const ROUTES: &[Route] = &[
    Route::to::<ListIdentities>(),
    Route::to::<CreateIdentity>(),
    Route::to::<ShowIdentity>(),
    Route::to::<ReplaceIdentity>(),
    Route::to::<ChangeIdentity>(),
    Route::to::<DeleteIdentity>(),
];

/// Identities of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most identities of a page.
const MAX_PAGE: usize = 1000;

const ALL: &str = "/service-accounts/{name}/identities";
const ONE: &str = "/service-accounts/{name}/identities/{identity}";
const NOT_DONE: &str = "nothing was changed";

type Identity = Map<String, Value>;

/// The identities of an account, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct ListIdentities {
    account: String,
    query: PageQuery,
}

impl Operation for ListIdentities {
    type Answer = IdentityPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: ALL,
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "listIdentities",
            summary: "The identities of a service account, in the order in which they are tried",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let query = PageQuery::from_query(&request.query).map_err(|error| format!("{error}; nothing was listed"))?;
        request.without_members(Self { account: request.parameter.clone(), query })
    }

    fn request(&self) -> Request {
        Request::get(&self.account, self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<IdentityPage, OperationError> {
        let identities = identities(&account(state, &self.account)?);
        let from = match &self.query.after {
            None => 0,
            Some(after) => position(&identities, after).map_or(identities.len(), |index| index + 1),
        };
        let limit = self.query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let has_more = identities.len() > from.saturating_add(limit);
        let items: Vec<Identity> = identities.into_iter().skip(from).take(limit).collect();
        let next = items.last().filter(|_| has_more).map(name_of);
        Ok(IdentityPage { items, next })
    }

    fn query_parameters() -> Vec<Parameter> {
        page_parameters()
    }
}

/// One identity of an account.
#[derive(Debug)]
pub(crate) struct ShowIdentity {
    account: String,
    identity: String,
}

impl Operation for ShowIdentity {
    type Answer = Identity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: ONE,
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "showIdentity",
            summary: "One identity of a service account",
            body: None,
            answer: Some(Model::of::<IdentityDocument>()),
            failures: &[404],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let (account, identity) = (request.parameter.clone(), request.inner.clone());
        request.without_parameters(Self { account, identity })
    }

    fn request(&self) -> Request {
        Request { inner: self.identity.clone(), ..Request::get(&self.account, String::new()) }
    }

    fn not_done(&self) -> &'static str {
        "the identity was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Identity, OperationError> {
        let identities = identities(&account(state, &self.account)?);
        find(&identities, &self.account, &self.identity).map(|(_, identity)| identity.clone())
    }

    fn head(identity: &Identity) -> AnswerHead {
        AnswerHead { etag: Some(etag(identity)), ..AnswerHead::default() }
    }
}

/// Adds an identity to an account, after the others.
#[derive(Debug)]
pub(crate) struct CreateIdentity {
    account: String,
    identity: Identity,
    dry_run: bool,
}

impl Operation for CreateIdentity {
    type Answer = WrittenIdentity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: ALL,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "createIdentity",
            summary: "Add an identity to a service account",
            body: Some(Body::required::<IdentityDocument>()),
            answer: Some(Model::of::<ChangedIdentity>()),
            failures: &[403, 404, 409, 422, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let identity = named(&request.body)?;
        Ok(Self { account: request.parameter.clone(), identity, dry_run: request.dry_run()? })
    }

    fn request(&self) -> Request {
        Request { query: dry_run_query(self.dry_run), ..Request::post(&self.account, &self.identity) }
    }

    fn not_done(&self) -> &'static str {
        NOT_DONE
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<WrittenIdentity, OperationError> {
        let name = name_of(&self.identity);
        let add = |identities: &mut Vec<Identity>| {
            if position(identities, &name).is_some() {
                let text = format!("the account has an identity `{}` already; {NOT_DONE}", name.escape_debug());
                return Err(OperationError::Exists(text));
            }
            identities.push(self.identity.clone());
            Ok(identities.len() - 1)
        };
        write(state, caller, &self.account, self.dry_run, add).await
    }

    const SUCCESSES: &'static [u16] = &[200, 201];

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }

    fn head(written: &WrittenIdentity) -> AnswerHead {
        match written {
            // Where it is depends on the account, which the request names.
            WrittenIdentity::Identity(identity) => {
                AnswerHead { status: 201, etag: Some(etag(identity)), ..AnswerHead::default() }
            }
            WrittenIdentity::DryRun(_) | WrittenIdentity::Deleted(()) => AnswerHead::default(),
        }
    }
}

/// Replaces an identity.
#[derive(Debug)]
pub(crate) struct ReplaceIdentity {
    edit: Edit,
    replaced: Identity,
}

impl Operation for ReplaceIdentity {
    type Answer = WrittenIdentity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "PUT",
        path: ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "replaceIdentity",
            summary: "Replace an identity of a service account",
            body: Some(Body::required::<IdentityDocument>()),
            answer: Some(Model::of::<ChangedIdentity>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        Ok(Self { edit: Edit::read(request)?, replaced: named(&request.body)? })
    }

    fn request(&self) -> Request {
        self.edit.request(&self.replaced)
    }

    fn not_done(&self) -> &'static str {
        NOT_DONE
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<WrittenIdentity, OperationError> {
        let replace = |identities: &mut Vec<Identity>| {
            let index = matched(identities, &self.edit)?;
            put(identities, index, self.replaced.clone())
        };
        write(state, caller, &self.edit.parameter, self.edit.dry_run, replace).await
    }

    fn head(written: &WrittenIdentity) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

/// Changes an identity by a merge patch.
#[derive(Debug)]
pub(crate) struct ChangeIdentity {
    edit: Edit,
    patch: Value,
}

impl Operation for ChangeIdentity {
    type Answer = WrittenIdentity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "PATCH",
        path: ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "changeIdentity",
            summary: "Change an identity of a service account by a merge patch (RFC 7396)",
            body: Some(Body::required::<IdentityPatch>()),
            answer: Some(Model::of::<ChangedIdentity>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        Ok(Self { edit: Edit::read(request)?, patch: request.body.clone() })
    }

    fn request(&self) -> Request {
        self.edit.request(&self.patch)
    }

    fn not_done(&self) -> &'static str {
        NOT_DONE
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<WrittenIdentity, OperationError> {
        let change = |identities: &mut Vec<Identity>| {
            let index = matched(identities, &self.edit)?;
            let mut patched = identities.get(index).cloned().map_or(Value::Null, Value::Object);
            merge_patch(&mut patched, self.patch.clone());
            put(identities, index, named(&patched).map_err(OperationError::Refused)?)
        };
        write(state, caller, &self.edit.parameter, self.edit.dry_run, change).await
    }

    fn head(written: &WrittenIdentity) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

/// Deletes an identity.
#[derive(Debug)]
pub(crate) struct DeleteIdentity {
    edit: Edit,
}

impl Operation for DeleteIdentity {
    type Answer = WrittenIdentity;

    const ENDPOINT: Endpoint = Endpoint {
        method: "DELETE",
        path: ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "deleteIdentity",
            summary: "Delete an identity of a service account: tokens minted on it are inactive",
            body: None,
            answer: Some(Model::of::<ChangedIdentity>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    const SUCCESSES: &'static [u16] = &[200, 204];

    fn read(request: &Request) -> Result<Self, String> {
        request.without_members(Self { edit: Edit::read(request)? })
    }

    fn request(&self) -> Request {
        self.edit.request(Value::Null)
    }

    fn not_done(&self) -> &'static str {
        "nothing was deleted"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<WrittenIdentity, OperationError> {
        let delete = |identities: &mut Vec<Identity>| {
            let index = matched(identities, &self.edit)?;
            identities.remove(index);
            Ok(usize::MAX)
        };
        write(state, caller, &self.edit.parameter, self.edit.dry_run, delete).await
    }

    fn head(written: &WrittenIdentity) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

fn changed(written: &WrittenIdentity) -> AnswerHead {
    match written {
        WrittenIdentity::Identity(identity) => AnswerHead { etag: Some(etag(identity)), ..AnswerHead::default() },
        WrittenIdentity::DryRun(_) => AnswerHead::default(),
        WrittenIdentity::Deleted(()) => AnswerHead { status: 204, ..AnswerHead::default() },
    }
}

/// Changes the identities of an account with `change`, which answers the index of the one to show, or one that is not there
/// when it is gone. When somebody else changes the account meanwhile, `change` judges again.
async fn write(
    state: &AppState,
    caller: &Caller,
    account: &str,
    dry_run: bool,
    change: impl Fn(&mut Vec<Identity>) -> Result<usize, OperationError>,
) -> Result<WrittenIdentity, OperationError> {
    const ATTEMPTS: usize = 8;
    for attempt in 1.. {
        let current = managed::changeable(state, ObjectKind::ServiceAccount, account)?;
        let mut identities = identities(&current);
        let index = change(&mut identities)?;
        let mut spec = current.spec.clone();
        let written: Vec<Value> = identities.into_iter().map(Value::Object).collect();
        spec.insert("identities".to_owned(), Value::Array(written));
        let place = Place::Member(ObjectKind::ServiceAccount, account, format!("/identities/{index}"));
        let done = managed::write_one(state, caller, Change::of(&current, Some(spec)), dry_run, place).await;
        return match done {
            Err(OperationError::PreconditionFailed(_)) if attempt < ATTEMPTS => continue,
            Err(error) => Err(error),
            Ok(sts_api::Written::DryRun(dry_run)) => Ok(WrittenIdentity::DryRun(dry_run)),
            Ok(sts_api::Written::Deleted(())) => Ok(WrittenIdentity::Deleted(())),
            Ok(sts_api::Written::Object(object)) => Ok(match self::identities(&object).into_iter().nth(index) {
                Some(identity) => WrittenIdentity::Identity(identity),
                None => WrittenIdentity::Deleted(()),
            }),
        };
    }
    Err(OperationError::Failed(NOT_DONE.to_owned()))
}

/// The account in force.
fn account(state: &AppState, name: &str) -> Result<Object, OperationError> {
    managed::show(state, ObjectKind::ServiceAccount, name, None)
}

/// The identities of an account, each with its name.
fn identities(account: &Object) -> Vec<Identity> {
    let listed = account.spec.get("identities").and_then(Value::as_array).into_iter().flatten();
    listed
        .enumerate()
        .map(|(index, identity)| {
            let mut identity = identity.as_object().cloned().unwrap_or_default();
            identity.entry("name").or_insert_with(|| Value::String(format!("identity {}", index + 1)));
            identity
        })
        .collect()
}

fn name_of(identity: &Identity) -> String {
    identity.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn position(identities: &[Identity], name: &str) -> Option<usize> {
    identities.iter().position(|identity| identity.get("name").is_some_and(|own| own == name))
}

fn find<'i>(identities: &'i [Identity], account: &str, name: &str) -> Result<(usize, &'i Identity), OperationError> {
    if let Some(found) = identities.iter().enumerate().find(|(_, identity)| name_of(identity) == name) {
        return Ok(found);
    }
    let names: Vec<String> = identities.iter().map(name_of).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    let (account, name) = (account.escape_debug(), name.escape_debug());
    Err(OperationError::NotFound(format!("the service account `{account}` has no identity `{name}`{near}")))
}

/// The index of an identity whose state the caller has seen.
fn matched(identities: &[Identity], edit: &Edit) -> Result<usize, OperationError> {
    let (index, current) = find(identities, &edit.parameter, &edit.inner)?;
    check(required(edit.if_match.as_deref())?, &etag(current))?;
    Ok(index)
}

/// Puts an identity in the place of another. Its name may change, but not to that of a third.
fn put(identities: &mut [Identity], index: usize, identity: Identity) -> Result<usize, OperationError> {
    let name = name_of(&identity);
    if position(identities, &name).is_some_and(|own| own != index) {
        let text = format!("the account has an identity `{}` already; {NOT_DONE}", name.escape_debug());
        return Err(OperationError::Exists(text));
    }
    if let Some(slot) = identities.get_mut(index) {
        *slot = identity;
    }
    Ok(index)
}

/// Reads an identity, which has a name here: a path names it.
fn named(body: &Value) -> Result<Identity, String> {
    match body {
        Value::Object(identity) if identity.get("name").is_some_and(Value::is_string) => Ok(identity.clone()),
        _ => Err(format!("an identity is an object with a `name`, a string; {NOT_DONE}")),
    }
}

pub(super) fn etag(identity: &Identity) -> String {
    managed::digest_tag(&Value::Object(identity.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::is_read_again;
    use super::*;

    fn identity(name: &str) -> Identity {
        named(&json!({ "name": name, "issuer": "github" })).unwrap()
    }

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        let (account, name, if_match) =
            (|| "bot".to_owned(), || "main branch/x".to_owned(), || Some("\"a\"".to_owned()));
        let query = PageQuery { after: Some(name()), limit: Some(2) };
        is_read_again(&ListIdentities { account: account(), query });
        is_read_again(&ShowIdentity { account: account(), identity: name() });
        for dry_run in [false, true] {
            is_read_again(&CreateIdentity { account: account(), identity: identity("x"), dry_run });
            let edit = || Edit { parameter: account(), inner: name(), if_match: if_match(), dry_run };
            is_read_again(&ReplaceIdentity { edit: edit(), replaced: identity("y") });
            is_read_again(&ChangeIdentity { edit: edit(), patch: json!({ "ttl": null }) });
            is_read_again(&DeleteIdentity { edit: edit() });
        }
    }

    #[test]
    fn an_identity_keeps_its_place_and_takes_no_name_of_another() {
        let mut all = vec![identity("a"), identity("b")];
        assert_eq!(put(&mut all, 0, identity("c")).unwrap(), 0);
        assert_eq!(all.iter().map(name_of).collect::<Vec<_>>(), ["c", "b"]);
        assert!(matches!(put(&mut all, 0, identity("b")), Err(OperationError::Exists(_))));
        let error = find(&all, "bot", "d").unwrap_err().to_string();
        assert!(error.contains("no identity `d`"), "{error}");
    }
}
