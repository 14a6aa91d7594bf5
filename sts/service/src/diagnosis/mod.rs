//! The one place that knows why a request is refused, for its owner: `sts explain`, the decision event and remembered refusals
//! all show what [`diagnose`] makes.

mod fault;

use sts_policy::{Asked, Diagnosis, Facts};
use sts_types::{ClaimSet, EntryName, RequestId, UnixTime};

use crate::Snapshot;
use crate::reason::Refused;

pub(crate) use fault::{audience, issuer};

/// What is known of a refused request. It is diagnosed off the request path: a diagnosis may try fixes on the rules.
#[derive(Clone, Copy)]
pub struct RefusedRequest<'a> {
    /// The refusal, as the caller was told.
    pub refused: &'a Refused,
    /// The subject token as it was presented. Its claims are shown, never believed.
    pub token: Option<&'a str>,
    /// The issuer entry, once known.
    pub entry: Option<&'a EntryName>,
    /// The verified claims, where verification came so far.
    pub claims: Option<&'a ClaimSet>,
    /// Account, target and scope, as they were asked for.
    pub asked: Asked<'a>,
    /// When it was judged.
    pub now: UnixTime,
    /// The earlier use of a one-use token, where the store tells.
    pub earlier_use: Option<&'a EarlierUse>,
}

/// The exchange that a one-use token was spent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierUse {
    /// When.
    pub time: UnixTime,
    /// Its request.
    pub request_id: RequestId,
}

/// Why `request` was refused under `snapshot`, and what would end it.
#[must_use]
pub fn diagnose(snapshot: &Snapshot, request: &RefusedRequest<'_>) -> Diagnosis {
    let RefusedRequest { refused, token, entry, claims, asked, now, .. } = *request;
    if let (Some(entry), Some(claims), Ok(requested)) = (entry, claims, snapshot.rules.resolve(&asked)) {
        let decision = snapshot.rules.explain(Facts { entry, claims, now }, &requested);
        if let sts_policy::Outcome::Refused(refusal) = decision.outcome
            && refusal.reason() == refused.reason.name()
        {
            let summary = sts_policy::summary(&snapshot.rules, &requested, &decision);
            return Diagnosis::new(refused.reason.name(), summary.trim_start_matches("refused: "));
        }
    }
    let fault = token.and_then(|token| fault::describe(snapshot, refused.reason, token, now));
    let more = fault.map_or(String::new(), |fault| format!("; {fault}"));
    Diagnosis::new(refused.reason.name(), format!("{}{more}", refused.text()))
}
