//! Finds out why a request was refused, for its owner. `sts explain`, the decision event and
//! remembered refusals all show the result of [`diagnose`].

mod attempt;
mod audience;
mod issuer;
mod keys;
mod look_alike;
mod presented;
mod registered;
mod request;
mod spiffe;
mod times;
mod units;
mod view;

pub(crate) use request::diagnose_unread;
pub use view::RefusedRequest;

use sts_policy::{Diagnosis, Facts, Outcome};

use crate::Snapshot;
use crate::reason::Reason;
use view::TokenView;

/// Why `request` was refused under `snapshot`, and what would help.
///
/// It may test changes on the rules, so run it outside of requests. It does no I/O.
#[must_use]
pub fn diagnose(snapshot: &Snapshot, request: &RefusedRequest<'_>) -> Diagnosis {
    diagnosed(&TokenView::of(snapshot, request))
}

fn diagnosed(token: &TokenView<'_>) -> Diagnosis {
    let (snapshot, request) = (token.snapshot, token.request);
    let reason = request.refused.reason;
    let found = match reason {
        Reason::TokenMalformed => presented::malformed(token).or_else(|| registered::malformed(token)),
        Reason::TokenAlgorithm => presented::algorithm(token),
        Reason::TokenTypeRefused => presented::kind(token),
        Reason::IssuerUnknown => issuer::unknown(token),
        Reason::KeyUnknown => keys::unknown(token),
        Reason::SignatureInvalid => keys::signature(token),
        Reason::IssuerUnavailable => keys::unavailable(token),
        Reason::TokenExpired => times::expired(token),
        Reason::TokenNotYetValid => times::not_yet_valid(token),
        Reason::TokenTooOld => times::too_old(token),
        Reason::TokenReplayed => times::replayed(token),
        Reason::TokenAudience => audience::foreign(token),
        _ => rules(snapshot, request, reason).or_else(|| Some(request::diagnose(request))),
    };
    let found = found.unwrap_or_else(|| Diagnosis::new("", request.refused.text()));
    Diagnosis { reason: reason.name().into(), ..found }
}

/// The rules' own diagnosis, if they were evaluated and gave that reason.
fn rules(snapshot: &Snapshot, request: &RefusedRequest<'_>, reason: Reason) -> Option<Diagnosis> {
    let requested = match snapshot.rules.resolve(&request.asked) {
        Ok(requested) => requested,
        Err(error) => {
            let found = sts_policy::diagnose_request(error, &request.asked);
            return Some(found).filter(|found| found.reason == reason.name());
        }
    };
    let memberships = &*snapshot.memberships;
    let facts = Facts { entry: request.entry?, claims: request.claims?, now: request.now, memberships };
    let decision = snapshot.rules.explain(facts, &requested);
    match &decision.outcome {
        Outcome::Refused(refusal) if refusal.reason() == reason.name() => {
            snapshot.rules.diagnose(facts, &request.asked, &decision)
        }
        _ => None,
    }
}
