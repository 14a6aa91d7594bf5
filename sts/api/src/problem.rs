//! What went wrong with a request to `/admin/v1` (RFC 9457), and findings about what it would put in force.

use serde::{Deserialize, Serialize};
use sts_types::RequestId;
use utoipa::ToSchema;

use crate::schema::RequestIdText;

/// Problem details. `error` and `error_description` repeat the code and the text, as errors of the other paths have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem. `about:blank`: the status says it all, with `reason`.
    #[serde(rename = "type", default = "about_blank")]
    #[schema(required)]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    #[schema(required)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it is and what to do.
    #[serde(default)]
    #[schema(required)]
    pub detail: String,
    /// The stable reason.
    #[serde(default)]
    #[schema(required)]
    pub reason: String,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RequestIdText>, nullable = false)]
    pub request_id: Option<RequestId>,
    /// What is wrong with the candidate.
    #[serde(default)]
    #[schema(required)]
    pub findings: Vec<Finding>,
    /// The code of RFC 6749 or 6750.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// The same as `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error_description: Option<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

/// A finding about a candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// `error`, `unsafe`, `test_failed`, `warning` or `note`. The last two refuse nothing.
    pub severity: String,
    /// The stable code of the rule behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
    /// A JSON pointer into the body of the request; `null` if the finding is about something else.
    #[schema(required)]
    pub pointer: Option<String>,
    /// The object that it is about, `kind/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub object: Option<String>,
    /// The file that it is about, `path:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub file: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[schema(required)]
    pub help: Option<String>,
    /// A value of a stranger's token that the rule would accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub witness: Option<String>,
}

impl Finding {
    /// Whether it refuses the candidate.
    #[must_use]
    pub fn refuses(&self) -> bool {
        !matches!(self.severity.as_str(), "warning" | "note")
    }
}

/// What a change does to tokens: those of the policy tests, and those of the decisions that the server remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    /// Tokens that are refused now and would be granted.
    pub newly_allowed: Vec<ChangedVerdict>,
    /// Tokens that are granted now and would be refused.
    pub newly_denied: Vec<ChangedVerdict>,
}

/// A token that a change judges differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedVerdict {
    /// Whose token it is: `policy test NAME`, or the remembered request.
    pub request: String,
    /// The verdict now.
    pub before: String,
    /// The verdict under the change.
    pub after: String,
}

/// The answer to a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// What a load would warn of.
    pub findings: Vec<Finding>,
    /// What the change does to tokens.
    pub effect: Effect,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_is_read_as_it_was_written() {
        let problem = json!({
            "type": "about:blank", "title": "Unprocessable Content", "status": 422, "detail": "d", "reason": "invalid_object",
            "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH",
            "findings": [{
                "severity": "unsafe", "code": "broad-subject", "pointer": "/spec/identities/0/subject",
                "object": "service-accounts/bot", "message": "m", "help": null, "witness": "repo:other/x",
            }],
            "error": "invalid_request", "error_description": "d",
        });
        let read: Problem = serde_json::from_value(problem.clone()).unwrap();
        assert!(read.findings.iter().all(Finding::refuses));
        assert_eq!(serde_json::to_value(read).unwrap(), problem);
    }

    #[test]
    fn an_error_of_another_path_is_read_as_a_problem_of_the_same_status() {
        let read: Problem = serde_json::from_value(json!({ "status": 401, "reason": "invalid_token" })).unwrap();
        assert_eq!((read.status, read.kind.as_str()), (401, "about:blank"));
    }
}
