//! Events of GitHub Actions, Forgejo Actions and Gitea Actions, by who can cause them.
//!
//! [`WRITERS_EVENTS`] lists the events that need write access to the repository. All other events
//! are refused, including those that a platform adds tomorrow. Sources: "Events that trigger
//! workflows" (GitHub documentation), "Forgejo Actions, Reference" (Forgejo documentation), and the
//! events that Gitea maps to workflows (`modules/actions/workflows.go`).
//!
//! Strangers can cause these events, so the list leaves them out:
//! - opening and commenting: `issues`, `issue_comment`, `discussion`, `discussion_comment`,
//!   `pull_request` and everything with that prefix (`pull_request_target`, `pull_request_review`,
//!   `pull_request_review_comment`, `pull_request_comment`, ...);
//! - a click: `fork`, `watch` (a star), and `gollum` if everybody may edit the wiki;
//! - what follows a stranger's pull request: `workflow_run`, `check_run`, `check_suite` and
//!   `status` run on the default branch after a workflow or another CI system has checked the pull
//!   request; `dynamic` is GitHub's own scan of it.
//!
//! `label` and `milestone` need only triage access. `deployment` and `deployment_status` need write
//! access to create, and run the deployed ref.

/// Events that only somebody with write access can cause.
pub(crate) const WRITERS_EVENTS: [&str; 14] = [
    "push",
    "workflow_dispatch",
    "schedule",
    "release",
    "repository_dispatch",
    "create",
    "delete",
    "merge_group",
    "deployment",
    "deployment_status",
    "registry_package",
    "page_build",
    "branch_protection_rule",
    "public",
];

/// Events that strangers can cause, for trying rules. The last one stands for those of tomorrow, which
/// a rule with a wildcard accepts.
pub(crate) const STRANGERS_EVENTS: [&str; 23] = [
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_comment",
    "discussion",
    "discussion_comment",
    "fork",
    "watch",
    "star",
    "gollum",
    "workflow_call",
    "check_run",
    "check_suite",
    "status",
    "dynamic",
    "label",
    "milestone",
    "member",
    "unknown_event",
];

/// The list of the events of writers, as text for a trace.
pub(crate) fn expected() -> String {
    format!("one of \"{}\"", WRITERS_EVENTS.join("\", \""))
}

/// Whether a token of GitHub's grammar comes from an event that needs write access. If the token
/// has no event, its subject decides: that of a pull request ends in `:pull_request`.
pub(crate) fn is_writers<'a>(event: Option<sts_claims::Json<'_>>, subject: impl FnOnce() -> Option<&'a str>) -> bool {
    match event {
        Some(event) => {
            event.elements().all(|element| element.as_str().is_some_and(|name| WRITERS_EVENTS.contains(&name)))
        }
        None => !subject().is_some_and(|subject| subject.ends_with(":pull_request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_is_one_of_writers_and_of_strangers() {
        assert!(STRANGERS_EVENTS.iter().all(|event| !WRITERS_EVENTS.contains(event)));
    }
}
