//! Tokens that somebody other than the workload could get from the same issuer. Each differs from
//! the workload's token in what the attack changes.

use serde_json::{Map, Value, json};

use crate::Preset;

type Claims = Map<String, Value>;

/// The tokens, each with a name.
pub(super) fn of(preset: Option<Preset>, workload: &Claims) -> Vec<(&'static str, Claims)> {
    let mut all = match preset {
        Some(Preset::GithubActions | Preset::Forgejo) => github(workload),
        Some(Preset::Gitlab) => gitlab(workload),
        Some(Preset::Kubernetes) => kubernetes(workload),
        _ => Vec::new(),
    };
    for (_, claims) in &mut all {
        if let Some(subject) = preset.and_then(|preset| preset.subject_of(claims)) {
            claims.insert("sub".to_owned(), subject.into());
        }
    }
    // Where the platform writes the subject from other claims, nobody can choose it.
    let is_derived = preset.is_some_and(|preset| preset.subject_of(workload).is_some());
    all.extend(of_any(workload, is_derived));
    all
}

/// The workload's token with other claims. `null` takes one away.
fn with(workload: &Claims, changes: Value) -> Claims {
    let mut claims = workload.clone();
    let Value::Object(changes) = changes else { return claims };
    for (name, value) in changes {
        match value {
            Value::Null => claims.remove(&name),
            value => claims.insert(name, value),
        };
    }
    claims
}

fn text<'c>(claims: &'c Claims, name: &str) -> &'c str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn github(workload: &Claims) -> Vec<(&'static str, Claims)> {
    let repository = text(workload, "repository");
    let name = repository.split_once('/').map_or(repository, |(_, name)| name);
    let stranger = json!({ "repository": format!("stranger/{name}"), "repository_owner": "stranger",
        "repository_owner_id": "666", "repository_id": "667" });
    let fork = json!({ "event_name": "pull_request", "environment": null, "ref": "refs/pull/7/merge",
        "head_ref": "patch-1", "base_ref": "main" });
    let target = json!({ "event_name": "pull_request_target", "environment": null, "head_ref": "patch-1" });
    vec![
        ("a pull request", with(workload, fork)),
        ("code of a fork in pull_request_target", with(workload, target)),
        ("a comment on an issue", with(workload, json!({ "event_name": "issue_comment", "environment": null }))),
        ("another branch", with(workload, json!({ "ref": "refs/heads/stranger", "environment": null }))),
        ("a tag", with(workload, json!({ "ref": "refs/tags/v1", "ref_type": "tag", "environment": null }))),
        ("another environment", with(workload, json!({ "environment": "stranger" }))),
        ("the repository of another owner", with(workload, stranger)),
        (
            "a repository of a longer name",
            with(workload, json!({ "repository": format!("{repository}-stranger"), "repository_id": "667" })),
        ),
        (
            "the same names, taken over by somebody else",
            with(workload, json!({ "repository_owner_id": "666", "repository_id": "667" })),
        ),
    ]
}

fn gitlab(workload: &Claims) -> Vec<(&'static str, Claims)> {
    let path = text(workload, "project_path");
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let stranger = json!({ "project_path": format!("stranger/{name}"), "namespace_path": "stranger",
        "project_id": "667", "namespace_id": "666" });
    vec![
        (
            "a merge request",
            with(
                workload,
                json!({ "pipeline_source": "merge_request_event", "ref": "patch-1", "ref_protected": "false" }),
            ),
        ),
        ("another branch", with(workload, json!({ "ref": "stranger", "ref_protected": "false" }))),
        ("another environment", with(workload, json!({ "environment": "stranger" }))),
        ("the project of another group", with(workload, stranger)),
        (
            "a project of a longer name",
            with(workload, json!({ "project_path": format!("{path}-stranger"), "project_id": "667" })),
        ),
        (
            "the same names, taken over by somebody else",
            with(workload, json!({ "project_id": "667", "namespace_id": "666" })),
        ),
    ]
}

fn kubernetes(workload: &Claims) -> Vec<(&'static str, Claims)> {
    let with_member = |path: &[&str], value: &str| {
        let mut claims = workload.clone();
        let mut place = claims.get_mut("kubernetes.io");
        for member in path {
            place = place.and_then(|object| object.get_mut(member));
        }
        if let Some(place) = place {
            *place = value.into();
        }
        claims
    };
    vec![
        ("another namespace", with_member(&["namespace"], "stranger")),
        ("another service account of the namespace", with_member(&["serviceaccount", "name"], "stranger")),
        ("a service account made anew under the name", with_member(&["serviceaccount", "uid"], "stranger")),
    ]
}

/// What can be tried at every issuer.
fn of_any(workload: &Claims, is_subject_derived: bool) -> Vec<(&'static str, Claims)> {
    let subject = text(workload, "sub");
    let mut all = vec![("a token for another audience", with(workload, json!({ "aud": "https://other.example" })))];
    if !subject.is_empty() && !is_subject_derived {
        let other_case: String = subject.chars().flat_map(char::to_uppercase).collect();
        all.push(("a longer subject", with(workload, json!({ "sub": format!("{subject}-stranger") }))));
        all.push(("the subject in other letters", with(workload, json!({ "sub": other_case }))));
    }
    all
}
