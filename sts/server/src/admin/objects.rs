//! The objects that rules are made of: `/admin/v1/{kind}`. Files and the store declare them; those of the store are changed here.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use serde_json::{Value, json};
use sts_api::{NewObject, Object, ObjectPage, ObjectQuery, ObjectSource, PageQuery, ReplacedObject, Written};
use sts_types::ObjectKind;
use utoipa::IntoParams as _;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::kinds::Kind;
use super::managed::{self, Change, Expected, Place, etag};
use super::preconditions::{check, required};
use super::request::{Edit, dry_run_query};
use super::{
    AnswerHead, Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, merge_patch,
};
use crate::app_state::AppState;
use crate::openapi::{ChangedObject, Model, ObjectPatch, flag_parameter};

pub(super) const fn documented<K: Kind>() -> [Route; 6] {
    [
        Route::to::<ListObjects<K>>(),
        Route::to::<CreateObject<K>>(),
        Route::to::<ShowObject<K>>(),
        Route::to::<ReplaceObject<K>>(),
        Route::to::<ChangeObject<K>>(),
        Route::to::<DeleteObject<K>>(),
    ]
}

/// Objects of a page when no limit is asked for.
const DEFAULT_PAGE: usize = 100;
/// The most objects of a page.
const MAX_PAGE: usize = 1000;

/// The objects of one kind.
#[derive(Debug)]
pub(crate) struct ListObjects<K> {
    query: ObjectQuery,
    kind: PhantomData<K>,
}

impl<K: Kind> ListObjects<K> {
    pub(crate) fn new(query: ObjectQuery) -> Self {
        Self { query, kind: PhantomData }
    }
}

impl<K: Kind> Operation for ListObjects<K> {
    type Answer = ObjectPage;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: K::ALL,
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[0],
            summary: K::SUMMARIES[0],
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_members(Self::new(query_of(K::KIND, request)?))
    }

    fn request(&self) -> Request {
        Request::get("", self.query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "nothing was listed"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<ObjectPage, OperationError> {
        let query = self.query;
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let wanted = query.q.as_deref().map(str::to_lowercase);
        let after = query.after.clone();
        let with_last_use = query.last_use == Some(true);
        let teams = query.account.as_deref().map(|account| teams_of(state, account));
        let sought = wanted.clone();
        let may_match =
            move |name: &str, text: &str| sought.as_deref().is_none_or(|sought| may_have(sought, name, text));
        let matches = move |object: &managed::View<'_>| matches(&query, wanted.as_deref(), object);
        let mut page = match teams {
            Some(teams) => managed::page_of(state, K::KIND, &teams, after.as_deref(), limit, matches)?,
            None => managed::page(state, K::KIND, after, limit, may_match, matches).await?,
        };
        if with_last_use {
            state.last_uses.add_to(&mut page.items).await;
        }
        Ok(page)
    }

    fn query_parameters() -> Vec<Parameter> {
        list_parameters(K::KIND)
    }
}

/// What a list of `kind` is asked for.
pub(super) fn query_of(kind: ObjectKind, request: &Request) -> Result<ObjectQuery, String> {
    let query = ObjectQuery::from_query(&request.query).map_err(|error| format!("{error}; nothing was listed"))?;
    if query.account.is_some() && kind != ObjectKind::Team {
        return Err("teams alone are listed by `account`; nothing was listed".to_owned());
    }
    Ok(query)
}

/// The query parameters of a list of `kind`.
pub(super) fn list_parameters(kind: ObjectKind) -> Vec<Parameter> {
    let is_here = |parameter: &Parameter| parameter.name != "account" || kind == ObjectKind::Team;
    query_parameters().into_iter().filter(is_here).collect()
}

/// The names of the teams that an account has, and of those that a group gives or may give it.
fn teams_of(state: &AppState, account: &str) -> BTreeSet<String> {
    let (service, snapshot) = (&state.service, state.service.snapshot());
    let given = snapshot.rules.group_teams(account, &*snapshot.memberships, service.clock().now());
    let given = given.into_iter().flat_map(|teams| teams.given.into_iter().chain(teams.by_token));
    let of_groups = given.map(|given| given.team.to_string());
    // The rules have no account that is set aside.
    let spec = managed::show(state, ObjectKind::ServiceAccount, account, None).map(|object| object.spec);
    let own = spec.ok().and_then(|spec| Some(spec.get("teams")?.as_array()?.clone())).unwrap_or_default();
    own.iter().filter_map(Value::as_str).map(str::to_owned).chain(of_groups).collect()
}

/// Whether the object of that name and document may have the text `sought`, which is in lower case. In a document with
/// an escape, a text can look otherwise.
fn may_have(sought: &str, name: &str, document: &str) -> bool {
    name.to_lowercase().contains(sought) || document.contains('\\') || document.to_lowercase().contains(sought)
}

fn matches(query: &ObjectQuery, text: Option<&str>, object: &managed::View<'_>) -> bool {
    let has = |key: &str, wanted: &str| match object.spec.get(key) {
        Some(Value::Array(items)) => items.iter().any(|item| item == wanted),
        Some(value) => value == wanted,
        None => false,
    };
    let has_issuer = |wanted: &str| {
        let identities = object.spec.get("identities").and_then(Value::as_array);
        identities.into_iter().flatten().any(|identity| match identity.get("issuer") {
            Some(Value::Array(items)) => items.iter().any(|item| item == wanted),
            Some(value) => value == wanted,
            None => false,
        })
    };
    let has_text = |wanted: &str| {
        let described = ["display_name", "description"].into_iter().filter_map(|key| object.spec.get(key)?.as_str());
        described.chain([object.name]).any(|text| text.to_lowercase().contains(wanted))
    };
    let is_enabled = object.spec.get("enabled") != Some(&Value::Bool(false));
    query.source.is_none_or(|source| object.source == source)
        && query.enabled.is_none_or(|enabled| is_enabled == enabled)
        && query.team.as_deref().is_none_or(|team| has("teams", team))
        && query.issuer.as_deref().is_none_or(has_issuer)
        && text.is_none_or(has_text)
}

/// `source`, which is all that the query string of one object may have.
pub(super) fn source_of(request: &Request) -> Result<Option<ObjectSource>, String> {
    const FORM: &str = "the only query parameter here is `source`, `file` or `managed`; the object was not looked up";
    let query = ObjectQuery::from_query(&request.query).map_err(|_| FORM)?;
    let ObjectQuery { source, .. } = query.clone();
    if query != (ObjectQuery { source, ..ObjectQuery::default() }) {
        return Err(FORM.to_owned());
    }
    Ok(source)
}

/// One object.
#[derive(Debug)]
pub(crate) struct ShowObject<K> {
    name: String,
    source: Option<ObjectSource>,
    with_last_use: bool,
    kind: PhantomData<K>,
}

impl<K: Kind> ShowObject<K> {
    /// The object of that name that `source` declares; without one, that in force.
    pub(crate) fn new(name: String, source: Option<ObjectSource>) -> Self {
        Self { name, source, with_last_use: false, kind: PhantomData }
    }

    /// Asks for the last use, too.
    pub(crate) fn with_last_use(self, with_last_use: bool) -> Self {
        Self { with_last_use, ..self }
    }
}

impl<K: Kind> Operation for ShowObject<K> {
    type Answer = Object;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: K::ONE,
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[2],
            summary: K::SUMMARIES[2],
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "the query parameters here are `source`, `file` or `managed`, and `last_use`, `true` or `false`; \
                            the object was not looked up";
        let query = ObjectQuery::from_query(&request.query).map_err(|_| FORM)?;
        let (source, last_use) = (query.source, query.last_use);
        if query != (ObjectQuery { source, last_use, ..ObjectQuery::default() }) {
            return Err(FORM.to_owned());
        }
        let show = Self::new(request.parameter.clone(), source).with_last_use(last_use == Some(true));
        request.without_members(show)
    }

    fn request(&self) -> Request {
        let last_use = self.with_last_use.then_some(true);
        let query = ObjectQuery { source: self.source, last_use, ..ObjectQuery::default() };
        Request::get(&self.name, query.to_query())
    }

    fn not_done(&self) -> &'static str {
        "the object was not looked up"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<Object, OperationError> {
        let mut object = managed::show(state, K::KIND, &self.name, self.source)?;
        if self.with_last_use {
            state.last_uses.add_to(std::slice::from_mut(&mut object)).await;
        }
        Ok(object)
    }

    fn query_parameters() -> Vec<Parameter> {
        let names = ["source", "last_use"];
        query_parameters().into_iter().filter(|parameter| names.contains(&parameter.name.as_str())).collect()
    }

    fn head(object: &Object) -> AnswerHead {
        AnswerHead { etag: Some(etag(object)), ..AnswerHead::default() }
    }
}

/// Creates an object in the store.
#[derive(Debug)]
pub(crate) struct CreateObject<K> {
    new: NewObject,
    dry_run: bool,
    kind: PhantomData<K>,
}

impl<K: Kind> Operation for CreateObject<K> {
    type Answer = Written;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: K::ALL,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[1],
            summary: K::SUMMARIES[1],
            body: Some(Body::required::<NewObject>()),
            answer: Some(Model::of::<ChangedObject>()),
            failures: &[403, 409, 422, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        const FORM: &str = "a new object is `name`, a string, and `spec`, an object; nothing was changed";
        let new = serde_json::from_value(request.body.clone()).map_err(|error| format!("{FORM} ({error})"))?;
        Ok(Self { new, dry_run: request.dry_run()?, kind: PhantomData })
    }

    fn request(&self) -> Request {
        Request { query: dry_run_query(self.dry_run), ..Request::post("", &self.new) }
    }

    fn not_done(&self) -> &'static str {
        "nothing was changed"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Written, OperationError> {
        let NewObject { name, spec } = self.new;
        let change = Change { kind: K::KIND, name: name.clone(), put: Some(spec), expected: Expected::Absent };
        managed::write_one(state, caller, change, self.dry_run, Place::Whole(K::KIND, &name)).await
    }

    const SUCCESSES: &'static [u16] = &[200, 201];

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }

    fn head(written: &Written) -> AnswerHead {
        created(written, |object| format!("/admin/v1{}/{}", K::ALL, super::request::encoded(&object.name)))
    }
}

/// 201 with the place of a new object; 200 for a dry run.
fn created(written: &Written, location: impl FnOnce(&Object) -> String) -> AnswerHead {
    match written {
        Written::Object(object) => {
            AnswerHead { status: 201, etag: Some(etag(object)), location: Some(location(object)) }
        }
        Written::DryRun(_) | Written::Deleted(()) => AnswerHead::default(),
    }
}

/// Replaces the document of an object.
#[derive(Debug)]
pub(crate) struct ReplaceObject<K> {
    edit: Edit,
    replaced: ReplacedObject,
    kind: PhantomData<K>,
}

impl<K: Kind> Operation for ReplaceObject<K> {
    type Answer = Written;

    const ENDPOINT: Endpoint = Endpoint {
        method: "PUT",
        path: K::ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[3],
            summary: K::SUMMARIES[3],
            body: Some(Body::required::<ReplacedObject>()),
            answer: Some(Model::of::<ChangedObject>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let replaced = replaced(K::KIND, &request.parameter, &request.body)?;
        Ok(Self { edit: Edit::read(request)?, replaced, kind: PhantomData })
    }

    fn request(&self) -> Request {
        self.edit.request(&self.replaced)
    }

    fn not_done(&self) -> &'static str {
        "nothing was changed"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Written, OperationError> {
        let current = matched::<K>(state, &self.edit)?;
        write::<K>(state, caller, &self.edit, Change::of(&current, Some(self.replaced.spec))).await
    }

    fn head(written: &Written) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

/// The object in the store, whose state the caller has seen.
fn matched<K: Kind>(state: &AppState, edit: &Edit) -> Result<Object, OperationError> {
    let current = managed::changeable(state, K::KIND, &edit.parameter)?;
    check(required(edit.if_match.as_deref())?, &etag(&current))?;
    Ok(current)
}

async fn write<K: Kind>(
    state: &AppState,
    caller: &Caller,
    edit: &Edit,
    change: Change,
) -> Result<Written, OperationError> {
    managed::write_one(state, caller, change, edit.dry_run, Place::Whole(K::KIND, &edit.parameter)).await
}

fn changed(written: &Written) -> AnswerHead {
    match written {
        Written::Object(object) => AnswerHead { etag: Some(etag(object)), ..AnswerHead::default() },
        Written::DryRun(_) => AnswerHead::default(),
        Written::Deleted(()) => AnswerHead { status: 204, ..AnswerHead::default() },
    }
}

/// The members of an object that cannot be changed, as `GET` answers them.
const READ_ONLY: &[&str] = &[
    "kind",
    "name",
    "source",
    "file",
    "revision",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "not_in_force",
    "findings",
];

/// Reads an object as `GET` answers it. A member that is misspelt, or of another object, is refused.
pub(super) fn replaced(kind: ObjectKind, name: &str, body: &Value) -> Result<ReplacedObject, String> {
    let unknown = body.as_object().into_iter().flatten().map(|(member, _)| member.as_str());
    let mut unknown = unknown.filter(|member| *member != "spec" && !READ_ONLY.contains(member));
    if kind != ObjectKind::Issuer
        && let Some(member) = unknown.next()
    {
        return Err(format!(
            "an object has no member `{}`: its document is `spec`; nothing was changed",
            member.escape_debug()
        ));
    }
    let read: ReplacedObject = serde_json::from_value(body.clone())
        .map_err(|error| format!("an object has a `spec` that is an object; nothing was changed ({error})"))?;
    let is_other = |written: &Option<String>, own: &str| written.as_deref().is_some_and(|written| written != own);
    if is_other(&read.kind, kind.name()) || is_other(&read.name, name) {
        return Err("kind and name of an object cannot be changed: delete it, and create another; nothing was changed"
            .to_owned());
    }
    Ok(read)
}

/// Changes an object by a merge patch.
#[derive(Debug)]
pub(crate) struct ChangeObject<K> {
    edit: Edit,
    patch: Value,
    kind: PhantomData<K>,
}

impl<K: Kind> ChangeObject<K> {
    pub(crate) fn new(name: String, patch: Value, if_match: Option<String>) -> Self {
        let edit = Edit { parameter: name, inner: String::new(), if_match, dry_run: false };
        Self { edit, patch, kind: PhantomData }
    }
}

impl<K: Kind> Operation for ChangeObject<K> {
    type Answer = Written;

    const ENDPOINT: Endpoint = Endpoint {
        method: "PATCH",
        path: K::ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[4],
            summary: K::SUMMARIES[4],
            body: Some(Body::required::<ObjectPatch>()),
            answer: Some(Model::of::<ChangedObject>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        Ok(Self { edit: Edit::read(request)?, patch: request.body.clone(), kind: PhantomData })
    }

    fn request(&self) -> Request {
        self.edit.request(&self.patch)
    }

    fn not_done(&self) -> &'static str {
        "nothing was changed"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Written, OperationError> {
        let current = matched::<K>(state, &self.edit)?;
        let before = json!(current);
        let mut patched = before.clone();
        merge_patch(&mut patched, self.patch);
        let is_changed = |member: &&&str| patched.get(**member) != before.get(**member);
        if let Some(member) = READ_ONLY.iter().find(is_changed) {
            let text =
                format!("`{member}` of an object cannot be changed: its document is `spec`; nothing was changed");
            return Err(OperationError::Refused(text));
        }
        let ReplacedObject { spec, .. } =
            replaced(K::KIND, &self.edit.parameter, &patched).map_err(OperationError::Refused)?;
        write::<K>(state, caller, &self.edit, Change::of(&current, Some(spec))).await
    }

    fn head(written: &Written) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

/// Deletes a managed object.
#[derive(Debug)]
pub(crate) struct DeleteObject<K> {
    edit: Edit,
    kind: PhantomData<K>,
}

impl<K: Kind> DeleteObject<K> {
    pub(crate) fn new(name: String, if_match: Option<String>, dry_run: bool) -> Self {
        Self { edit: Edit { parameter: name, inner: String::new(), if_match, dry_run }, kind: PhantomData }
    }
}

impl<K: Kind> Operation for DeleteObject<K> {
    type Answer = Written;

    const ENDPOINT: Endpoint = Endpoint {
        method: "DELETE",
        path: K::ONE,
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: K::IDS[5],
            summary: K::SUMMARIES[5],
            body: None,
            answer: Some(Model::of::<ChangedObject>()),
            failures: &[403, 404, 409, 412, 422, 428, 503],
        },
    };

    const SUCCESSES: &'static [u16] = &[200, 204];

    fn read(request: &Request) -> Result<Self, String> {
        request.without_members(Self { edit: Edit::read(request)?, kind: PhantomData })
    }

    fn request(&self) -> Request {
        self.edit.request(Value::Null)
    }

    fn not_done(&self) -> &'static str {
        "nothing was deleted"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<Written, OperationError> {
        let current = matched::<K>(state, &self.edit)?;
        write::<K>(state, caller, &self.edit, Change::of(&current, None)).await
    }

    fn head(written: &Written) -> AnswerHead {
        changed(written)
    }

    fn query_parameters() -> Vec<Parameter> {
        dry_run_parameter()
    }
}

/// The documentation of a list's query parameters.
pub(super) fn query_parameters() -> Vec<Parameter> {
    ObjectQuery::into_params(|| Some(ParameterIn::Query))
}

/// The documentation of the parameters of a page.
pub(super) fn page_parameters() -> Vec<Parameter> {
    PageQuery::into_params(|| Some(ParameterIn::Query))
}

pub(super) fn source_parameter() -> Vec<Parameter> {
    query_parameters().into_iter().filter(|parameter| parameter.name == "source").collect()
}

pub(super) fn dry_run_parameter() -> Vec<Parameter> {
    vec![flag_parameter("dry_run", "Change nothing, and answer the findings and what the change would do.")]
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::kinds::{Issuers, ServiceAccounts, Teams};
    use super::super::tests::is_read_again;
    use super::*;

    fn spec() -> Map<String, Value> {
        [("teams".to_owned(), json!(["a"]))].into_iter().collect()
    }

    #[test]
    fn a_search_reads_every_document_that_may_have_the_text() {
        let text = |name: &str| json!({ "display_name": name }).to_string();
        for (sought, name, display_name) in [
            ("bot", "build-bot", "x"),
            ("straße 7", "a", "STRASSE straße 7"),
            ("ς", "a", "ΟΔΟΣ"),
            ("\"q", "a", "a \"Q\""),
            ("c:\\x", "a", "C:\\X"),
            ("a\nb", "a", "A\nB"),
        ] {
            assert!(display_name.to_lowercase().contains(sought) || name.contains(sought), "{sought}");
            assert!(may_have(sought, name, &text(display_name)), "{sought}");
        }
        assert!(may_have("é", "a", "{\"display_name\":\"\\u00c9\"}"), "escaped");
        assert!(!may_have("bot", "a", &text("deploys")));
    }

    #[test]
    fn each_operation_is_read_again_from_its_request() {
        let query = ObjectQuery { q: Some("a b".into()), limit: Some(2), ..ObjectQuery::default() };
        is_read_again(&ListObjects::<Teams>::new(query));
        is_read_again(&ShowObject::<Issuers>::new("github".into(), Some(ObjectSource::Managed)));
        is_read_again(&ShowObject::<ServiceAccounts>::new("bot".into(), None).with_last_use(true));
        let (name, if_match) = (|| "bot".to_owned(), || Some("\"7\"".to_owned()));
        for dry_run in [false, true] {
            let new = NewObject { name: name(), spec: spec() };
            is_read_again(&CreateObject::<ServiceAccounts> { new, dry_run, kind: PhantomData });
            let replaced = ReplacedObject { kind: None, name: None, spec: spec() };
            let edit = || Edit { parameter: name(), inner: String::new(), if_match: if_match(), dry_run };
            is_read_again(&ReplaceObject::<Teams> { edit: edit(), replaced, kind: PhantomData });
            let patch = json!({ "spec": { "x": null } });
            is_read_again(&ChangeObject::<Teams> { edit: edit(), patch, kind: PhantomData });
            is_read_again(&DeleteObject::<Teams>::new(name(), if_match(), dry_run));
        }
    }

    #[test]
    fn what_is_put_is_the_object_of_the_path_and_has_no_misspelt_member() {
        let read = |body: Value| replaced(ObjectKind::Team, "t", &body);
        assert!(read(json!({ "kind": "teams", "name": "t", "spec": {}, "revision": 3, "source": "managed" })).is_ok());
        for wrong in [
            json!({ "kind": "apis", "spec": {} }),
            json!({ "name": "u", "spec": {} }),
            json!({ "spec": {}, "enabled": false }),
            json!({ "spec": [] }),
            json!({}),
        ] {
            assert!(read(wrong.clone()).unwrap_err().contains("nothing was changed"), "{wrong}");
        }
    }
}
