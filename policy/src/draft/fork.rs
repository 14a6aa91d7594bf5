//! Code of a fork that runs in the project that it was forked from.
//!
//! Anybody may fork a project and propose any code to it. Where a job runs says nothing of whose code it runs.

use serde_json::Value;

use super::{grammar, origin_value};
use crate::{Facts, RuleSet};

/// What started the job.
pub(super) const SOURCE: &str = "pipeline_source";

/// The value of [`SOURCE`] in the pipeline of a merge request.
const MERGE_REQUEST: &str = "merge_request_event";

/// Why a token may be that of a fork's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkCode {
    /// The claim `place` tells where the job runs, and `code` where its code comes from. They differ.
    Runs {
        /// The name of the claim on the place.
        place: &'static str,
        /// The name of the claim on the code.
        code: &'static str,
    },
    /// The job is that of a merge request, and the token lacks the claim `place`, which tells a fork's merge
    /// request from another.
    Unsaid {
        /// The name of the claim on the place.
        place: &'static str,
    },
}

impl RuleSet {
    /// Whether the token may be that of a job that runs a fork's code.
    #[must_use]
    pub fn fork_code(&self, facts: Facts<'_>) -> Option<ForkCode> {
        let pairs = grammar(self.issuer_spec(facts.entry)?)?.runs_in;
        let value = |name: &str| origin_value(facts.claims, name);
        let differs = |place: &str, code: &str| value(place).is_some_and(|place| Some(place) != value(code));
        if let Some((place, code)) = pairs.iter().find(|(place, code)| differs(place, code)) {
            return Some(ForkCode::Runs { place, code });
        }
        let (place, _) = pairs.first()?;
        let is_merge_request = value(SOURCE).as_ref().and_then(Value::as_str) == Some(MERGE_REQUEST);
        (is_merge_request && value(place).is_none()).then_some(ForkCode::Unsaid { place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use serde_json::json;

    #[test]
    fn a_job_that_runs_elsewhere_than_its_code_comes_from_runs_a_fork_s() {
        let gitlab = crate::IssuerSpec {
            name: at(sts_types::EntryName::new("gitlab").unwrap()),
            ..issuer("gitlab", "https://gitlab.com")
        };
        let mut spec = spec(vec![]);
        spec.issuers.push(gitlab);
        let rules = rules(&spec);
        let of = |claims: Value| {
            let claims: sts_claims::ClaimSet = claims.as_object().unwrap().clone().into();
            let facts = Facts { entry: &entry("gitlab"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            rules.fork_code(facts)
        };
        let same =
            json!({ "project_id": "20", "namespace_id": "72", "job_project_id": "20", "job_namespace_id": "72" });
        let with = |changes: Value| {
            let mut claims = same.clone();
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            of(claims)
        };
        let project = Some(ForkCode::Runs { place: "job_project_id", code: "project_id" });
        let namespace = Some(ForkCode::Runs { place: "job_namespace_id", code: "namespace_id" });
        let unsaid = Some(ForkCode::Unsaid { place: "job_project_id" });
        assert_eq!(with(json!({ "project_id": "21", "namespace_id": "99" })), project);
        assert_eq!(with(json!({ "namespace_id": "99" })), namespace);
        assert_eq!(with(json!({ "project_id": null })), project);
        assert_eq!(with(json!({ "pipeline_source": "merge_request_event" })), None);
        // Before GitLab 18.4 no claim tells.
        assert_eq!(of(json!({ "project_id": "20", "pipeline_source": "push" })), None);
        assert_eq!(of(json!({ "project_id": "20", "pipeline_source": "merge_request_event" })), unsaid);
    }
}
