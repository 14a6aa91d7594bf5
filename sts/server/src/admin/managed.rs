//! What the resources of objects share: the objects of both sources, and changes of those in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sts_api::{ChangedVerdict, DryRun, Effect, Finding, NotInForce, Object, ObjectPage, ObjectSource, Written};
use sts_audit as audit;
use sts_service::Snapshot;
use sts_service::manage::{
    ApiKeySpec, ChangedObject, Declared, EffectCase, FindingPlace, HeldObject, ManagedObjects, ManagedView,
    ObjectFinding, RequestedChange, WriteError, key_of, rule_kind,
};
use sts_store::ObjectKey;
use sts_types::{CheckCode, ObjectKind, ObjectRef, nearest};

use super::{Caller, OperationError, store_unavailable};
use crate::app_state::AppState;
use crate::rule_base::RuleBase;

pub(super) use sts_service::manage::Expected;

/// One change of an object in the store.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) kind: ObjectKind,
    pub(super) name: String,
    /// Its new document; `None` deletes it.
    pub(super) put: Option<Map<String, Value>>,
    pub(super) expected: Expected,
}

impl Change {
    /// A change of `object` as it is.
    pub(super) fn of(object: &Object, put: Option<Map<String, Value>>) -> Self {
        let expected = object.revision.map_or(Expected::Any, Expected::Revision);
        Self { kind: object.kind, name: object.name.clone(), put, expected }
    }

    fn requested(self, view: &ManagedView) -> RequestedChange {
        let key = key(self.kind, &self.name);
        match self.put {
            Some(mut spec) => {
                if let Some(held) = view.get(&key).filter(|_| self.kind == ObjectKind::Issuer) {
                    restore_credentials(&mut spec, &held.spec);
                }
                RequestedChange::Put { key, spec: Value::Object(spec), expected: self.expected }
            }
            None => RequestedChange::Delete { key, expected: self.expected },
        }
    }
}

/// What changes came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Finding>,
    /// For a dry run.
    pub(super) effect: Option<Effect>,
}

/// Where the body of a request has what a finding is about.
#[derive(Clone, Debug)]
pub(super) enum Place<'p> {
    /// The body is this object.
    Whole(ObjectKind, &'p str),
    /// The body is what a pointer into the document of this object names.
    Member(ObjectKind, &'p str, String),
    /// What a pointer into the document of this object names is at another pointer in the body.
    Nested(ObjectKind, &'p str, String, &'p str),
    /// The body lists objects, each at its index.
    Listed(&'p [(ObjectKind, String, usize)]),
}

impl Place<'_> {
    /// The pointer into the body to the member at `pointer` of the document of `object`.
    fn pointer(&self, object: &ObjectRef, pointer: &str, code: CheckCode) -> Option<String> {
        // The name of an object is no part of its document.
        let is_name = pointer.is_empty()
            && matches!(code, CheckCode::InvalidName | CheckCode::DuplicateName | CheckCode::ReservedName);
        let own = if is_name { "/name".to_owned() } else { format!("/spec{pointer}") };
        let is_it = |kind: ObjectKind, name: &str| kind == object.kind && name == object.name;
        match self {
            Self::Whole(kind, name) => is_it(*kind, name).then_some(own),
            Self::Member(kind, name, member) if is_it(*kind, name) => {
                let rest = pointer.strip_prefix(member.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
            }
            Self::Nested(kind, name, member, at) if is_it(*kind, name) => {
                let rest = pointer.strip_prefix(member.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| format!("{at}{rest}"))
            }
            Self::Member(..) | Self::Nested(..) => None,
            Self::Listed(all) => {
                let (.., index) = all.iter().find(|(kind, name, _)| is_it(*kind, name))?;
                Some(format!("/objects/{index}{own}"))
            }
        }
    }
}

/// An object as a filter sees it.
pub(super) struct View<'v> {
    pub(super) name: &'v str,
    pub(super) source: ObjectSource,
    pub(super) spec: &'v Map<String, Value>,
}

fn key(kind: ObjectKind, name: &str) -> ObjectKey {
    key_of(&ObjectRef { kind, name: name.to_owned() })
}

pub(super) fn engine(state: &AppState) -> Result<Arc<ManagedObjects>, OperationError> {
    state.managed().ok_or(OperationError::StoreUnavailable("this server has no managed objects"))
}

/// The objects of one kind that match, in the order of their names, after `after`. One that a file declares comes before the one in
/// the store that it shadows, on the same page. `may_match` is asked first, with the name and the document's text: to read a document
/// takes most of the time.
pub(super) async fn page(
    state: &AppState,
    kind: ObjectKind,
    after: Option<String>,
    limit: usize,
    may_match: impl Fn(&str, &str) -> bool + Send + 'static,
    matches: impl Fn(&View<'_>) -> bool + Send + 'static,
) -> Result<ObjectPage, OperationError> {
    let engine = engine(state)?;
    let (view, declared) = (engine.view(), engine.rules().declared());
    // A search reads every document. Other requests must not wait for that.
    let page = move || matching(&view, &declared, kind, after.as_deref(), limit, may_match, matches);
    let page = tokio::task::spawn_blocking(page).await;
    page.map_err(|error| OperationError::Failed(format!("the objects were not listed: {error}")))
}

/// The same of the objects in force that have these names.
pub(super) fn page_of(
    state: &AppState,
    kind: ObjectKind,
    names: &BTreeSet<String>,
    after: Option<&str>,
    limit: usize,
    matches: impl Fn(&View<'_>) -> bool,
) -> Result<ObjectPage, OperationError> {
    let mut page = ObjectPage::default();
    for name in names.iter().filter(|name| after.is_none_or(|after| name.as_str() > after)) {
        let object = match show(state, kind, name, None) {
            Ok(object) => object,
            Err(OperationError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        if !matches(&View { name: &object.name, source: object.source, spec: &object.spec }) {
            continue;
        }
        if page.items.len() >= limit {
            page.next = page.items.last().map(|last: &Object| last.name.clone());
            break;
        }
        page.items.push(object);
    }
    Ok(page)
}

fn matching(
    view: &ManagedView,
    declared: &BTreeMap<ObjectKey, Declared>,
    kind: ObjectKind,
    after: Option<&str>,
    limit: usize,
    may_match: impl Fn(&str, &str) -> bool,
    matches: impl Fn(&View<'_>) -> bool,
) -> ObjectPage {
    let first = key(kind, after.unwrap_or_default());
    let is_next = |own: &ObjectKey, text: &str| {
        own.kind == first.kind
            && after.is_none_or(|after| own.name.as_str() > after)
            && may_match(own.name.as_str(), text)
    };
    let files = declared.range(first.clone()..).filter(|(own, declared)| is_next(own, &declared.spec));
    let stored = view.objects.range(first.clone()..).filter(|(own, held)| is_next(own, &held.spec));
    let (mut files, mut stored) = (files.peekable(), stored.peekable());
    let mut page = ObjectPage::default();
    loop {
        let is_file_first = match (files.peek(), stored.peek()) {
            (None, None) => return page,
            (Some((file, _)), Some((own, _))) => file <= own,
            (file, _) => file.is_some(),
        };
        let object = if is_file_first {
            files.next().map(|(key, declared)| of_file(kind, &key.name, declared))
        } else {
            stored.next().map(|(key, held)| of_store(kind, key, held, view, declared.contains_key(key)))
        };
        let Some(object) = object else { return page };
        if !matches(&View { name: &object.name, source: object.source, spec: &object.spec }) {
            continue;
        }
        let last = page.items.last().map(|last: &Object| last.name.clone());
        if page.items.len() >= limit && last.as_ref() != Some(&object.name) {
            page.next = last;
            return page;
        }
        page.items.push(object);
    }
}

fn of_file(kind: ObjectKind, name: &str, declared: &Declared) -> Object {
    Object {
        kind,
        name: name.to_owned(),
        spec: document(kind, &declared.spec),
        source: ObjectSource::File,
        file: Some(declared.file.to_string_lossy().into_owned()),
        line: Some(declared.line),
        revision: None,
        created_at: None,
        created_by: None,
        updated_at: None,
        updated_by: None,
        not_in_force: None,
        last_use: None,
        findings: Vec::new(),
    }
}

fn of_store(kind: ObjectKind, key: &ObjectKey, held: &HeldObject, view: &ManagedView, is_declared: bool) -> Object {
    let aside = view.set_aside.get(key);
    let not_in_force = match (aside, is_declared) {
        (_, true) => Some(NotInForce::Shadowed),
        (Some(_), false) => Some(NotInForce::SetAside),
        (None, false) => None,
    };
    let why = aside.map(|aside| Finding {
        severity: "error".to_owned(),
        object: Some(format!("{}/{}", kind.name(), key.name)),
        message: aside.why.clone(),
        ..Finding::default()
    });
    Object {
        kind,
        name: key.name.clone(),
        spec: document(kind, &held.spec),
        source: ObjectSource::Managed,
        file: None,
        line: None,
        revision: Some(held.revision),
        created_at: Some(held.created_at),
        created_by: Some(held.created_by.to_string()),
        updated_at: Some(held.updated_at),
        updated_by: Some(held.updated_by.to_string()),
        not_in_force,
        last_use: None,
        findings: why.into_iter().collect(),
    }
}

/// The document of an object. The credentials that the URL of a proxy may have are left out.
fn document(kind: ObjectKind, text: &str) -> Map<String, Value> {
    let mut document: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    if kind == ObjectKind::Issuer
        && let Some(Value::String(proxy)) = document.get_mut("proxy")
        && let Some(shown) = without_credentials(proxy)
    {
        *proxy = shown;
    }
    document
}

/// The URL of a proxy as it is shown, if it has credentials.
fn without_credentials(proxy: &str) -> Option<String> {
    let (scheme, rest) = proxy.split_once("://")?;
    let (_, host) = rest.rsplit_once('@')?;
    Some(format!("{scheme}://{host}"))
}

/// Puts the credentials of the `stored` proxy back into an issuer's new document that has the proxy as
/// it was shown. So an answer of `GET` can be sent back, and a patch changes only what it names.
fn restore_credentials(document: &mut Map<String, Value>, stored: &str) {
    let stored: Map<String, Value> = serde_json::from_str(stored).unwrap_or_default();
    if let Some(Value::String(secret)) = stored.get("proxy")
        && let Some(Value::String(proxy)) = document.get_mut("proxy")
        && without_credentials(secret).is_some_and(|shown| shown == *proxy)
    {
        proxy.clone_from(secret);
    }
}

/// The object of that name that `source` declares; without one, that in force, or else the one in the store.
pub(super) fn find(
    state: &AppState,
    kind: ObjectKind,
    name: &str,
    source: Option<ObjectSource>,
) -> Result<Option<Object>, OperationError> {
    let (engine, key) = (engine(state)?, key(kind, name));
    let declared = engine.rules().declared();
    let of_files = declared.get(&key);
    if let Some(declared) = of_files.filter(|_| source != Some(ObjectSource::Managed)) {
        return Ok(Some(of_file(kind, name, declared)));
    }
    if source == Some(ObjectSource::File) {
        return Ok(None);
    }
    let view = engine.view();
    Ok(view.get(&key).map(|held| of_store(kind, &key, held, &view, of_files.is_some())))
}

/// As [`find`]; 404 where there is none.
pub(super) fn show(
    state: &AppState,
    kind: ObjectKind,
    name: &str,
    source: Option<ObjectSource>,
) -> Result<Object, OperationError> {
    find(state, kind, name, source)?.ok_or_else(|| no_such_object(state, kind, name, source))
}

/// The names and revisions of the managed objects of a kind.
pub(super) fn revisions(state: &AppState, kind: ObjectKind) -> Result<Vec<(String, u64)>, OperationError> {
    let (kind, view) = (key(kind, "").kind, engine(state)?.view());
    Ok(view.of_kind(kind).map(|(key, held)| (key.name.clone(), held.revision)).collect())
}

/// The managed object of that name. What a file declares is read-only.
pub(super) fn changeable(state: &AppState, kind: ObjectKind, name: &str) -> Result<Object, OperationError> {
    if let Some(object) = find(state, kind, name, Some(ObjectSource::Managed))? {
        return Ok(object);
    }
    match find(state, kind, name, None)? {
        Some(object) => Err(declared_by_file(&object)),
        None => Err(no_such_object(state, kind, name, Some(ObjectSource::Managed))),
    }
}

pub(super) fn declared_by_file(object: &Object) -> OperationError {
    declared_in(object.kind, &object.name, object.place().as_deref().unwrap_or("a file of the server"))
}

fn declared_in(kind: ObjectKind, name: &str, file: &str) -> OperationError {
    OperationError::Conflict(format!(
        "`{}/{name}` is declared in `{file}`, so it is read-only here: change the file; nothing was changed",
        kind.name()
    ))
}

/// 404, with the nearest name.
pub(super) fn no_such_object(
    state: &AppState,
    kind: ObjectKind,
    name: &str,
    source: Option<ObjectSource>,
) -> OperationError {
    let engine = match engine(state) {
        Ok(engine) => engine,
        Err(error) => return error,
    };
    let (view, declared) = (engine.view(), engine.rules().declared());
    let of_kind = key(kind, "").kind;
    let stored = view.of_kind(of_kind).map(|(key, _)| key.name.as_str());
    let files = declared.keys().filter(|key| key.kind == of_kind && source != Some(ObjectSource::Managed));
    let near = nearest(name, stored.chain(files.map(|key| key.name.as_str())));
    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    let managed = if source == Some(ObjectSource::Managed) { "managed " } else { "" };
    OperationError::NotFound(format!("there is no {managed}{} `{}`{near}", kind.noun(), name.escape_debug()))
}

/// Makes all changes, or none, and has them in force before it answers.
pub(super) async fn write(
    state: &AppState,
    caller: &Caller,
    changes: Vec<Change>,
    dry_run: bool,
    place: &Place<'_>,
) -> Result<Outcome, OperationError> {
    let names: Vec<String> = changes.iter().map(|change| format!("{}/{}", change.kind.name(), change.name)).collect();
    let engine = engine(state)?;
    let requested = changes.into_iter().map(|change| change.requested(&engine.view())).collect();
    let written = engine.write(requested, &caller.author, dry_run).await;
    let written = written.map_err(|error| write_error(state, error, place))?;
    record_changes(state, caller, &written.changed);
    if !dry_run {
        tracing::info!(by = caller.name(), objects = %json!(names), "managed objects were changed");
    }
    Ok(Outcome {
        findings: written.warnings.iter().map(|own| finding(own, place)).collect(),
        effect: written.effect.map(effect),
    })
}

/// Records each change in the audit trail.
fn record_changes(state: &AppState, caller: &Caller, changed: &[ChangedObject]) {
    let actor = caller.actor();
    for ChangedObject { key, before, after } in changed {
        let Some(kind) = rule_kind(key.kind) else {
            if let (Some(held), None) = (before, after) {
                state.audit.record(&actor, revoked_with_account(&key.name, held));
            }
            continue;
        };
        let change = match (before, after) {
            (None, _) => audit::Change::Created,
            (Some(_), None) => audit::Change::Deleted,
            (Some(_), Some(_)) => audit::Change::Changed,
        };
        let shown = |held: &Arc<HeldObject>| document(kind, &held.spec);
        let act = audit::ObjectChanged {
            object: format!("{}/{}", kind.name(), key.name),
            change,
            before: before.as_ref().map(shown),
            after: after.as_ref().map(shown),
        };
        state.audit.record(&actor, act);
    }
}

/// The end of an API key whose account is deleted.
fn revoked_with_account(id: &str, held: &HeldObject) -> audit::ApiKeyRevoked {
    let key: Option<ApiKeySpec> = serde_json::from_str(&held.spec).ok();
    audit::ApiKeyRevoked {
        object: format!("api-keys/{id}"),
        account: key.as_ref().map(|key| key.account.to_string()).unwrap_or_default(),
        name: key.map(|key| key.name),
        cause: Some("its account was deleted, or made anew".to_owned()),
    }
}

/// What the caller is told of a write that did not happen.
pub(super) fn write_error(state: &AppState, error: WriteError, place: &Place<'_>) -> OperationError {
    let object = |key: &ObjectKey| rule_kind(key.kind).map_or("an API key", ObjectKind::noun);
    match error {
        WriteError::NotManaged(kind) => {
            let kind = rule_kind(kind).map_or("api_keys", ObjectKind::key);
            OperationError::NotManaged(format!(
                "`{kind}` are declared in files only: to change them here, list `{kind}` under `manage.kinds`; nothing was changed"
            ))
        }
        WriteError::DeclaredByFile(key, file) => {
            let kind = rule_kind(key.kind).unwrap_or(ObjectKind::ServiceAccount);
            declared_in(kind, &key.name, &file.to_string_lossy())
        }
        WriteError::Exists(key) => OperationError::Exists(format!(
            "there is {} `{}` already: change it, or choose another name; nothing was changed",
            object(&key),
            key.name
        )),
        WriteError::Unknown(key) => match rule_kind(key.kind) {
            Some(kind) => no_such_object(state, kind, &key.name, Some(ObjectSource::Managed)),
            None => OperationError::NotFound(format!("there is no API key `{}`", key.name.escape_debug())),
        },
        WriteError::RevisionMismatch { key, expected, actual } => OperationError::PreconditionFailed(format!(
            "somebody else changed `{}`: it is at revision {actual}, and the change is of revision {expected}. Get it again, and \
             repeat the change; nothing was changed",
            key.name
        )),
        WriteError::Invalid(findings) => {
            let refusing = findings.iter().filter(|own| !matches!(own.severity, "warning" | "note")).count();
            let count = if refusing == 1 {
                "a finding refuses it".to_owned()
            } else {
                format!("{refusing} findings refuse it")
            };
            OperationError::Invalid {
                detail: format!("a load would refuse this ({count}); nothing was changed"),
                findings: findings.iter().map(|own| finding(own, place)).collect(),
            }
        }
        WriteError::InteractiveRequired(why) => OperationError::InteractiveRequired(format!(
            "a token of this server must not do this: {why}. Use the admin token or a console session; nothing was changed"
        )),
        WriteError::Contended => OperationError::StoreUnavailable(
            "others change objects at the same time, so nothing was changed: try again",
        ),
        WriteError::Behind => OperationError::StoreUnavailable(
            "earlier changes are not in force here, because the files do not load, so nothing was changed: repair the files, and try again",
        ),
        WriteError::StoreUnavailable(error) => {
            store_unavailable(&error, "whether the change was made is not certain: look at the object, and repeat it")
        }
    }
}

pub(super) fn finding(own: &ObjectFinding, place: &Place<'_>) -> Finding {
    let pointer = own.object().and_then(|object| place.pointer(object, own.pointer().as_str(), own.code));
    let file = match &own.place {
        Some(FindingPlace::File { file, line, column }) => Some(format!("{}:{line}:{column}", file.display())),
        Some(FindingPlace::Object(_)) | None => None,
    };
    Finding {
        severity: own.severity.to_owned(),
        code: Some(own.code.as_str().to_owned()),
        pointer,
        object: own.object().map(ToString::to_string),
        file,
        message: own.message.clone(),
        help: own.help.clone(),
        witness: own.witness.clone(),
    }
}

fn effect(own: sts_service::manage::Effect) -> Effect {
    let case = |case: EffectCase| ChangedVerdict { request: case.request, before: case.before, after: case.after };
    Effect {
        newly_allowed: own.newly_allowed.into_iter().map(case).collect(),
        newly_denied: own.newly_denied.into_iter().map(case).collect(),
    }
}

/// Makes one change, and answers the object as it is then.
pub(super) async fn write_one(
    state: &AppState,
    caller: &Caller,
    change: Change,
    dry_run: bool,
    place: Place<'_>,
) -> Result<Written, OperationError> {
    let (kind, name, is_deleted) = (change.kind, change.name.clone(), change.put.is_none());
    let Outcome { findings, effect } = write(state, caller, vec![change], dry_run, &place).await?;
    if dry_run {
        return Ok(Written::DryRun(DryRun { findings, effect: effect.unwrap_or_default() }));
    }
    if is_deleted {
        return Ok(Written::Deleted(()));
    }
    match find(state, kind, &name, Some(ObjectSource::Managed))? {
        Some(object) => Ok(Written::Object(Box::new(object))),
        None => Err(OperationError::Failed("the object was changed, and somebody deleted it since".to_owned())),
    }
}

/// The snapshot that would be in force if `spec` were the document of the account `name`.
pub(super) async fn draft(
    state: &AppState,
    name: &str,
    spec: Map<String, Value>,
    place: &Place<'_>,
) -> Result<Arc<Snapshot>, OperationError> {
    let (account, document) = (name.to_owned(), Value::Object(spec).to_string());
    let rules = rules(state)?;
    let drafted = tokio::task::spawn_blocking(move || rules.draft(&account, &document)).await;
    let drafted = drafted.map_err(|error| OperationError::Failed(format!("the draft was not compiled: {error}")))?;
    let rules = drafted.map_err(|findings| write_error(state, WriteError::Invalid(findings), place))?;
    let snapshot = state.service.snapshot();
    Ok(Arc::new(Snapshot { rules, ..(*snapshot).clone() }))
}

/// What is in force.
pub(super) fn rules(state: &AppState) -> Result<Arc<RuleBase>, OperationError> {
    let rules = state.rules.get().and_then(std::sync::Weak::upgrade);
    rules.ok_or_else(|| OperationError::Failed("no rules are in force".to_owned()))
}

/// The entity tag of an object: its revision, or a digest where files declare it.
pub(super) fn etag(object: &Object) -> String {
    object.etag().unwrap_or_else(|| digest_tag(&json!(object)))
}

/// The entity tag of a document: half of its digest.
pub(super) fn digest_tag(document: &Value) -> String {
    let digest = sts_jose::sha256(document.to_string().as_bytes()).to_hex();
    format!("\"{}\"", digest.get(..32).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(place: &Place<'_>, name: &str, pointer: &str) -> Option<String> {
        let object = ObjectRef { kind: ObjectKind::ServiceAccount, name: name.to_owned() };
        place.pointer(&object, pointer, CheckCode::UnknownTeam)
    }

    #[test]
    fn the_credentials_of_a_proxy_are_never_shown() {
        for (proxy, shown) in [
            ("http://user:p@ss@proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example:3128", "http://proxy.example:3128"),
        ] {
            let text = json!({ "proxy": proxy }).to_string();
            assert_eq!(document(ObjectKind::Issuer, &text).get("proxy"), Some(&json!(shown)));
        }
    }

    #[test]
    fn an_issuer_that_is_sent_back_as_it_was_shown_keeps_the_credentials_of_its_proxy() {
        let stored = json!({ "proxy": "http://user:p@ss@proxy.example:3128" }).to_string();
        let put = |proxy: Value| {
            let mut document = Map::from_iter([("proxy".to_owned(), proxy)]);
            restore_credentials(&mut document, &stored);
            document.remove("proxy").unwrap()
        };
        assert_eq!(put(json!("http://proxy.example:3128")), json!("http://user:p@ss@proxy.example:3128"));
        for other in [json!("http://other.example:3128"), json!("https://proxy.example:3128"), json!(null)] {
            assert_eq!(put(other.clone()), other, "credentials never go to another proxy");
        }
        let mut without = Map::new();
        restore_credentials(&mut without, &stored);
        assert!(without.is_empty(), "a proxy that was removed stays removed");
    }

    #[test]
    fn a_finding_points_into_the_body_that_was_sent() {
        let account = ObjectKind::ServiceAccount;
        let whole = Place::Whole(account, "bot");
        assert_eq!(pointer(&whole, "bot", "/teams/0").as_deref(), Some("/spec/teams/0"));
        assert_eq!(pointer(&whole, "other", "/teams/0"), None);
        let identity = Place::Member(account, "bot", "/identities/1".to_owned());
        assert_eq!(pointer(&identity, "bot", "/identities/1/subject").as_deref(), Some("/subject"));
        assert_eq!(pointer(&identity, "bot", "/identities/1").as_deref(), Some(""));
        assert_eq!(pointer(&identity, "bot", "/identities/10/subject"), None);
        let listed = [(ObjectKind::Team, "bot".to_owned(), 0), (account, "bot".to_owned(), 1)];
        assert_eq!(pointer(&Place::Listed(&listed), "bot", "/x").as_deref(), Some("/objects/1/spec/x"));
        let object = ObjectRef { kind: account, name: "bot".to_owned() };
        assert_eq!(whole.pointer(&object, "", CheckCode::DuplicateName).as_deref(), Some("/name"));
    }
}
