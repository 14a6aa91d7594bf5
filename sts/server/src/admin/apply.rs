//! Many changes at once, all or nothing: `/admin/v1/apply`.

use std::collections::BTreeSet;

use sts_api::{Applied, AppliedItem, AppliedObject, ApplyAnswer, ApplyRequest, ObjectSource};
use sts_types::ObjectKind;
use utoipa::openapi::path::Parameter;

use super::managed::{self, Change, Expected, Outcome, Place};
use super::{Body, Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route};
use crate::app_state::AppState;
use crate::openapi::Model;

pub(super) const ROUTES: &[Route] = &[Route::to::<ApplyObjects>()];

/// How often somebody else may change an object of the request meanwhile.
const ATTEMPTS: usize = 8;

/// Makes the objects of the store as the request says.
#[derive(Debug)]
pub(crate) struct ApplyObjects(pub(crate) ApplyRequest);

impl Operation for ApplyObjects {
    type Answer = ApplyAnswer;

    const ENDPOINT: Endpoint = Endpoint {
        method: "POST",
        path: "/apply",
        right: Right::Admin,
        needs_rules: true,
        documentation: Documentation {
            name: "applyObjects",
            summary: "Make objects as they are to be, all or none. What is so already, in a file or in the store, passes",
            body: Some(Body::required::<ApplyRequest>()),
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[403, 409, 422, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        let mut read: ApplyRequest = serde_json::from_value(request.body.clone()).map_err(|error| {
            format!(
                "this takes `objects`, a list of objects with `kind`, `name` and `spec`, `prune`, a list of kinds, and `dry_run`; \
                 nothing was changed ({error})"
            )
        })?;
        read.dry_run |= request.dry_run()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = read.objects.iter().find(|object| !names.insert((object.kind, &object.name))) {
            let (kind, name) = (twice.kind.name(), twice.name.escape_debug());
            return Err(format!("`{kind}/{name}` stands twice among the objects; nothing was changed"));
        }
        Ok(Self(read))
    }

    fn request(&self) -> Request {
        Request::post("", &self.0)
    }

    fn query_parameters() -> Vec<Parameter> {
        super::objects::dry_run_parameter()
    }

    // Thousands of accounts.
    const MAX_BODY: usize = 32 * 1024 * 1024;

    fn not_done(&self) -> &'static str {
        "nothing was changed"
    }

    async fn run(self, state: &AppState, caller: &Caller) -> Result<ApplyAnswer, OperationError> {
        let ApplyRequest { objects, prune, dry_run } = self.0;
        for attempt in 1.. {
            let plan = Plan::of(state, &objects, &prune)?;
            let done = managed::write(state, caller, plan.changes, dry_run, &Place::Listed(&plan.indexes)).await;
            return match done {
                Err(OperationError::PreconditionFailed(_)) if attempt < ATTEMPTS => continue,
                Err(error) => Err(error),
                Ok(Outcome { findings, effect, .. }) => {
                    let mut items = plan.items;
                    for item in &mut items {
                        let stored = managed::find(state, item.kind, &item.name, Some(ObjectSource::Managed))?;
                        item.revision = stored.and_then(|object| object.revision);
                    }
                    Ok(ApplyAnswer { items, findings, effect, dry_run })
                }
            };
        }
        Err(OperationError::Failed("nothing was changed".to_owned()))
    }
}

/// What an apply changes.
struct Plan {
    changes: Vec<Change>,
    /// For each change, the index of its object in the request.
    indexes: Vec<(ObjectKind, String, usize)>,
    items: Vec<AppliedItem>,
}

impl Plan {
    fn of(state: &AppState, objects: &[AppliedObject], prune: &[ObjectKind]) -> Result<Self, OperationError> {
        let mut plan = Self { changes: Vec::new(), indexes: Vec::new(), items: Vec::new() };
        for (index, object) in objects.iter().enumerate() {
            plan.indexes.push((object.kind, object.name.clone(), index));
            plan.put(state, object)?;
        }
        let kept: BTreeSet<(ObjectKind, &str)> =
            objects.iter().map(|object| (object.kind, object.name.as_str())).collect();
        for kind in ObjectKind::ALL.into_iter().filter(|kind| prune.contains(kind)) {
            for (name, revision) in managed::revisions(state, kind)? {
                if !kept.contains(&(kind, name.as_str())) {
                    plan.item(kind, &name, Applied::Deleted);
                    plan.changes.push(Change { kind, name, put: None, expected: Expected::Revision(revision) });
                }
            }
        }
        Ok(plan)
    }

    fn put(&mut self, state: &AppState, object: &AppliedObject) -> Result<(), OperationError> {
        let AppliedObject { kind, name, spec } = object;
        let (outcome, expected) = match managed::find(state, *kind, name, None)? {
            Some(own) if own.source == ObjectSource::File && own.spec == *spec => (Applied::InFile, None),
            Some(own) if own.source == ObjectSource::File => return Err(managed::declared_by_file(&own)),
            Some(own) if own.spec == *spec && own.not_in_force.is_none() => (Applied::Unchanged, None),
            Some(own) => (Applied::Changed, own.revision.map(Expected::Revision)),
            None => (Applied::Created, Some(Expected::Absent)),
        };
        self.item(*kind, name, outcome);
        if let Some(expected) = expected {
            self.changes.push(Change { kind: *kind, name: name.clone(), put: Some(spec.clone()), expected });
        }
        Ok(())
    }

    fn item(&mut self, kind: ObjectKind, name: &str, outcome: Applied) {
        self.items.push(AppliedItem { kind, name: name.to_owned(), outcome, revision: None });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::is_read_again;
    use super::*;

    fn request(names: &[&str]) -> ApplyRequest {
        let object =
            |name: &&str| AppliedObject { kind: ObjectKind::Team, name: (*name).to_owned(), spec: Default::default() };
        ApplyRequest { objects: names.iter().map(object).collect(), prune: vec![ObjectKind::Team], dry_run: true }
    }

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&ApplyObjects(request(&["a", "b"])));
    }

    #[test]
    fn one_object_twice_and_misspelt_members_are_refused() {
        for body in [json!(request(&["a", "a"])), json!({ "objects": [], "dryrun": true }), json!({})] {
            let error = ApplyObjects::read(&Request::post("", &body)).unwrap_err();
            assert!(error.contains("nothing was changed"), "{error}");
        }
        let query = Request { query: "dry_run=true".to_owned(), ..Request::post("", json!({ "objects": [] })) };
        assert!(ApplyObjects::read(&query).unwrap().0.dry_run);
    }
}
