//! The change of an identity that would allow a refused request: `/admin/v1/denials/{request_id}/draft`.
//!
//! A draft is compiled and judged before it is shown: it must grant the request, and no event that a
//! stranger can cause. It never has a wildcard that the rules do not have already, never lifts a yes-or-no
//! condition such as that on `ref_protected`, and a new identity gives no more than the nearest one.

mod candidate;
mod evidence;
mod instead;

use serde_json::{Map, Value, json};
use sts_api::{DenialDraft, DraftKind, IdentityDraft, Object, ObjectSource};
use sts_policy::{Outcome, OwnerRelation, Refusal};
use sts_service::{RememberedRefusal, Snapshot};
use sts_types::ObjectKind;

use super::denials::not_remembered;
use super::identities::etag;
use super::managed::{self, Place};
use super::{Caller, Documentation, Endpoint, Operation, OperationError, Request, Right, Route, store_unavailable};
use crate::app_state::AppState;
use crate::openapi::Model;
use candidate::{Candidate, candidates};
use evidence::Evidence;

pub(super) const ROUTES: &[Route] = &[Route::to::<DraftForDenial>()];

/// Drafts the smallest change of an identity that would allow a refused request. It changes nothing.
#[derive(Debug)]
pub(crate) struct DraftForDenial {
    request_id: String,
}

impl Operation for DraftForDenial {
    type Answer = DenialDraft;

    const ENDPOINT: Endpoint = Endpoint {
        method: "GET",
        path: "/denials/{request_id}/draft",
        right: Right::Read,
        needs_rules: true,
        documentation: Documentation {
            name: "draftForDenial",
            summary: "The smallest change of an identity that would allow a refused request; nothing is changed",
            body: None,
            answer: Some(Model::of::<Self::Answer>()),
            failures: &[404, 503],
        },
    };

    fn read(request: &Request) -> Result<Self, String> {
        request.without_parameters(Self { request_id: request.parameter.clone() })
    }

    fn request(&self) -> Request {
        Request::get(&self.request_id, String::new())
    }

    fn not_done(&self) -> &'static str {
        "nothing was drafted"
    }

    async fn run(self, state: &AppState, _: &Caller) -> Result<DenialDraft, OperationError> {
        let found = state.service.denial(&self.request_id).await;
        let refusal = found.map_err(|error| store_unavailable(&error, self.not_done()))?;
        let refusal = refusal.ok_or_else(|| not_remembered(&self.request_id))?;
        Ok(match draft(state, &refusal).await? {
            Ok(draft) => DenialDraft { draft: Some(draft), instead: None },
            Err(instead) => DenialDraft { draft: None, instead: Some(instead) },
        })
    }
}

/// The draft, or what to do instead.
async fn draft(state: &AppState, refusal: &RememberedRefusal) -> Result<Result<IdentityDraft, String>, OperationError> {
    if let Some(instead) = instead::for_reason(refusal) {
        return Ok(Err(instead));
    }
    let (evidence, name) = match (Evidence::of(refusal), account_of(refusal)) {
        (Some(evidence), Some(name)) => (evidence, name),
        (None, _) => return Ok(Err(instead::without_evidence())),
        (_, None) => return Ok(Err(instead::without_account())),
    };
    let Some(account) = managed::find(state, ObjectKind::ServiceAccount, &name, None)? else {
        return Ok(Err(instead::account_is_gone(&name)));
    };
    let snapshot = state.service.snapshot();
    let (rules, memberships) = (&snapshot.rules, &*snapshot.memberships);
    let now = state.service.clock().now();
    if let Some(instead) = instead::under_rules(&judge(&snapshot, &evidence, &name, now), &account) {
        return Ok(Err(instead));
    }
    let relation = rules.owner_relation(&name, evidence.facts(memberships, now));
    if relation == OwnerRelation::Stranger {
        return Ok(Err(instead::for_stranger(&name, evidence.claims())));
    }
    if let Some(event) = rules.strangers_event(evidence.facts(memberships, now)) {
        return Ok(Err(instead::for_event(&event)));
    }
    let facts = evidence.facts(memberships, now);
    if let Some(fork) = rules.fork_code(facts) {
        return Ok(Err(instead::for_fork(&fork, evidence.claims())));
    }
    let pins = rules.owner_pins(facts);
    let nearest = rules.nearest_identity(&name, nearest_of(refusal, &name), facts);
    if let Some(off) = nearest.as_ref().filter(|nearest| !nearest.is_in_force) {
        return Ok(Err(instead::for_nearest_off(off.name.as_str())));
    }
    if let Some(guard) = nearest.iter().flat_map(|nearest| &nearest.guards).find(|guard| !guard.is_met) {
        return Ok(Err(instead::for_guard(&name, &guard.claim, evidence.claims())));
    }
    let mut why_not = instead::no_candidate();
    for candidate in candidates(&account, &evidence, nearest.as_ref(), &pins) {
        match try_out(state, &account, &evidence, &candidate).await? {
            None => return Ok(Ok(shown(&account, candidate, relation, &evidence))),
            Some(why) => why_not = why,
        }
    }
    Ok(Err(why_not))
}

/// The account that the request names. Without one, that of the nearest identity.
fn account_of(refusal: &RememberedRefusal) -> Option<String> {
    let nearest = || Some(refusal.nearest_identity.as_deref()?.split_once('/')?.0.to_owned());
    refusal.account.clone().or_else(nearest)
}

/// The name of the identity of `account` that was nearest when the request was refused.
fn nearest_of<'a>(refusal: &'a RememberedRefusal, account: &str) -> Option<&'a str> {
    let (of, identity) = refusal.nearest_identity.as_deref()?.split_once('/')?;
    (of == account).then_some(identity)
}

/// What the rules say of the request.
fn judge(snapshot: &Snapshot, evidence: &Evidence, account: &str, now: sts_types::UnixTime) -> Outcome {
    let audience = evidence.audience(account);
    let names = evidence.names(&audience);
    match snapshot.rules.resolve(&names) {
        Ok(requested) => snapshot.rules.decide(evidence.facts(&*snapshot.memberships, now), &requested),
        Err(_) => Outcome::Refused(Refusal::NoIdentityMatched),
    }
}

/// Compiles the candidate and judges the request under it. Answers why it does not do.
async fn try_out(
    state: &AppState,
    account: &Object,
    evidence: &Evidence,
    candidate: &Candidate,
) -> Result<Option<String>, OperationError> {
    let mut spec = account.spec.clone();
    let identities = spec.entry("identities").or_insert_with(|| json!([]));
    let Value::Array(identities) = identities else { return Ok(Some(instead::no_candidate())) };
    match identities.get_mut(candidate.index) {
        Some(own) => *own = Value::Object(candidate.document.clone()),
        None => identities.push(Value::Object(candidate.document.clone())),
    }
    let pointer = format!("/identities/{}", candidate.index);
    let place = Place::Nested(ObjectKind::ServiceAccount, &account.name, pointer, "");
    let drafted = match managed::draft(state, &account.name, spec, &place).await {
        Ok(snapshot) => snapshot,
        Err(OperationError::Invalid { findings, .. }) => return Ok(Some(instead::refused_by(&findings))),
        Err(error) => return Err(error),
    };
    let now = state.service.clock().now();
    let audience = evidence.audience(&account.name);
    let facts = evidence.facts(&*drafted.memberships, now);
    if let Some(event) = drafted.rules.granted_event(facts, &evidence.names(&audience)) {
        return Ok(Some(instead::for_event(&event)));
    }
    Ok(match judge(&drafted, evidence, &account.name, now) {
        Outcome::Granted(_) => None,
        Outcome::Refused(refusal) => Some(instead::still_refused(refusal, candidate.bounded_like.as_deref())),
    })
}

fn shown(account: &Object, candidate: Candidate, relation: OwnerRelation, evidence: &Evidence) -> IdentityDraft {
    let Candidate { kind, name, summary, document, replaced, .. } = candidate;
    let spec = Map::from_iter([("identities".to_owned(), json!([document]))]);
    let yaml = sts_config::object_text([(ObjectKind::ServiceAccount, account.name.as_str(), &spec, None)]);
    IdentityDraft {
        kind,
        account: account.name.clone(),
        identity: name,
        summary,
        yaml: yaml.trim_end().to_owned(),
        etag: replaced.as_ref().filter(|_| kind == DraftKind::Change).map(etag),
        file: account.file.clone().filter(|_| account.source == ObjectSource::File),
        notes: instead::notes(relation, evidence.claims()),
        document,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::is_read_again;
    use super::*;

    #[test]
    fn the_operation_is_read_again_from_its_request() {
        is_read_again(&DraftForDenial { request_id: "01J".into() });
    }
}
