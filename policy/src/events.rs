//! Events of GitHub Actions, Forgejo Actions and Gitea Actions, by who can cause them.
//!
//! The list is of the events that take write access to the repository. Every other event is refused, so that one which a
//! platform adds tomorrow is refused, too. It was made from "Events that trigger workflows" (GitHub documentation), from
//! "Forgejo Actions, Reference" (Forgejo documentation), and from the events that Gitea maps to workflows
//! (`modules/actions/workflows.go`).
//!
//! What a stranger can cause, and is therefore not here:
//! - opening and commenting: `issues`, `issue_comment`, `discussion`, `discussion_comment`, `pull_request` and all that begins
//!   so (`pull_request_target`, `pull_request_review`, `pull_request_review_comment`, `pull_request_comment`, ...);
//! - a click: `fork`, `watch` (a star); `gollum`, where everybody may edit the wiki;
//! - what follows a stranger's pull request: `workflow_run`, `check_run`, `check_suite` and `status` run on the default branch
//!   when a workflow or another CI system has judged it; `dynamic` is GitHub's own scan of it.
//!
//! `label` and `milestone` take triage access only. `deployment` and `deployment_status` take write access to create, and run
//! the ref that is deployed.

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

/// The names of those events, as a trace shows them.
pub(crate) fn expected() -> String {
    format!("one of \"{}\"", WRITERS_EVENTS.join("\", \""))
}

/// Whether a token of GitHub's grammar is of an event that only somebody with write access can cause. A token that does
/// not say its event is judged by its subject, which names a pull request as such.
pub(crate) fn is_writers<'a>(event: Option<sts_claims::Json<'_>>, subject: impl FnOnce() -> Option<&'a str>) -> bool {
    match event {
        Some(event) => event.elements().all(|own| own.as_str().is_some_and(|name| WRITERS_EVENTS.contains(&name))),
        None => !subject().is_some_and(|subject| subject.ends_with(":pull_request")),
    }
}
