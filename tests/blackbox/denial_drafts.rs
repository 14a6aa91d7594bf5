//! The change that a refused request drafts: it lets in that request, and no stranger.

use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{Algorithm, Forge, Key, Request, Response, Sample, Server, now};

static GITHUB: LazyLock<Key> = LazyLock::new(|| Key::new(Algorithm::RS256, "github"));

/// A server with the issuer `github`, and the managed account `deploy-bot`, which a job of the environment
/// `production` of one repository gets.
pub(crate) fn server() -> Server {
    let issuer = Sample::of("github-actions").at(now())["iss"].clone();
    let config = world().with("issuers/github", json!({ "issuer": issuer, "jwks": Key::set(&[&GITHUB]) }));
    let server = Server::start_in(STS, world_site(&config));
    let production = json!({ "name": "production", "issuer": "github",
        "github": { "repository": "octo-org/octo-repo", "repository_owner_id": "65", "environment": "production" } });
    let spec = json!({ "teams": ["deployers"], "identities": [production] });
    create(&server, "deploy-bot", spec);
    create(&server, "empty-bot", json!({ "teams": ["deployers"] }));
    server
}

fn create(server: &Server, name: &str, spec: Value) {
    let body = json!({ "name": name, "spec": spec });
    let created = server.send_admin(Request::post_json("/admin/v1/service-accounts", &body));
    assert_eq!(created.status, 201, "{}", created.text());
}

/// A job's token for us. `null` leaves a claim out.
pub(crate) fn job(changes: Value) -> String {
    let mut claims = Sample::of("github-actions").at(now() - 5);
    let own = json!({
        "aud": US, "sub": "repo:octo-org/octo-repo:environment:production", "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org", "repository_owner_id": "65", "repository_id": "1296269",
        "environment": "production", "event_name": "push", "ref": "refs/heads/main",
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(own.as_object().unwrap().clone());
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    Forge::new(&GITHUB, &claims).sign()
}

/// The request id of the refusal of that token, which names `account`.
pub(crate) fn refusal(server: &Server, token: &str, parameters: &[(&str, &str)], reason: &str) -> String {
    let refused = server.exchange(token, parameters);
    assert_eq!(reason_of(&refused), reason, "{}", refused.text());
    refused.header("x-request-id").unwrap().to_owned()
}

fn drafted(server: &Server, request_id: &str) -> Value {
    let answer = server.send_admin(Request::get(&format!("/admin/v1/denials/{request_id}/draft")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_ne!(answer["draft"].is_null(), answer["instead"].is_null(), "{answer}");
    answer
}

/// Why there is no draft for that token.
#[track_caller]
fn instead(server: &Server, token: &str, parameters: &[(&str, &str)], reason: &str) -> String {
    let answer = drafted(server, &refusal(server, token, parameters, reason));
    answer["instead"].as_str().unwrap_or_else(|| panic!("a draft: {answer}")).to_owned()
}

fn make(server: &Server, draft: &Value, query: &str) -> Response {
    let identities = format!("/admin/v1/service-accounts/{}/identities", draft["account"].as_str().unwrap());
    let request = if draft["kind"] == "add" {
        Request::new("POST", &format!("{identities}{query}"))
    } else {
        let name = draft["identity"].as_str().unwrap().replace(' ', "%20");
        let request = Request::new("PUT", &format!("{identities}/{name}{query}"));
        request.header("If-Match", draft["etag"].as_str().unwrap())
    };
    server.send_admin(request.body("application/json", draft["document"].to_string()))
}

#[test]
fn a_claim_at_fault_alone_is_accepted_beside_the_others_by_the_identity_that_is_nearest() {
    let server = server();
    let staging = || job(json!({ "sub": "repo:octo-org/octo-repo:environment:staging", "environment": "staging" }));
    let id = refusal(&server, &staging(), &[("audience", "deploy-bot")], "not_authorized");
    let answer = drafted(&server, &id);
    let draft = &answer["draft"];
    assert_eq!((&draft["kind"], &draft["identity"]), (&json!("change"), &json!("production")), "{draft}");
    assert_eq!(
        draft["document"]["github"],
        json!({
            "repository": "octo-org/octo-repo", "repository_owner_id": "65", "environment": ["production", "staging"],
        })
    );
    assert!(draft["yaml"].as_str().unwrap().contains("staging") && draft["file"].is_null(), "{draft}");

    let tried = make(&server, draft, "?dry_run=true").json();
    let allowed = tried["effect"]["newly_allowed"].as_array().unwrap();
    assert!(allowed.len() == 1 && allowed[0]["request"].as_str().unwrap().contains(&id), "{tried}");
    assert_eq!(tried["effect"]["newly_denied"], json!([]));
    assert_eq!(
        reason_of(&server.exchange(&staging(), &[("audience", "deploy-bot")])),
        "not_authorized",
        "nothing is made"
    );

    assert_eq!(make(&server, draft, "").status, 200);
    granted(&server.exchange(&staging(), &[("audience", "deploy-bot")]));
    for stranger in [
        job(json!({ "sub": "repo:evil/r:environment:staging", "repository": "evil/r", "environment": "staging" })),
        job(json!({ "environment": "staging", "event_name": "pull_request_target" })),
        job(json!({ "sub": "repo:octo-org/octo-repo:environment:test", "environment": "test" })),
    ] {
        assert_eq!(reason_of(&server.exchange(&stranger, &[("audience", "deploy-bot")])), "not_authorized");
    }
    // It was made already, so the identity is another one, and what was drafted is of no use any more.
    assert_eq!(make(&server, draft, "").status, 412);
    let again = drafted(&server, &id);
    assert!(again["instead"].as_str().unwrap().contains("grant such a request now"), "{again}");
}

#[test]
fn a_token_that_is_near_no_identity_gets_one_for_its_subject_and_the_ids_of_its_owner() {
    let server = server();
    let main = |id: &str| {
        let sub = "repo:octo-org/octo-repo:ref:refs/heads/main";
        job(json!({ "sub": sub, "environment": null, "repository_id": id }))
    };
    for account in ["deploy-bot", "empty-bot"] {
        let answer = drafted(&server, &refusal(&server, &main("1296269"), &[("audience", account)], "not_authorized"));
        let draft = &answer["draft"];
        assert_eq!(
            draft["document"],
            json!({
                "name": "main", "issuer": "github", "subject": "repo:octo-org/octo-repo:ref:refs/heads/main",
                "claims": { "repository_id": "1296269", "repository_owner_id": "65" },
            }),
            "{answer}"
        );
        // With nothing to compare the owner with, a person has to.
        assert_eq!(draft["notes"].is_array(), account == "empty-bot", "{draft}");
        let made = make(&server, draft, "");
        assert_eq!(made.status, 201, "{}", made.text());
        granted(&server.exchange(&main("1296269"), &[("audience", account)]));
        // A repository that was made anew under the same name.
        assert_eq!(reason_of(&server.exchange(&main("7"), &[("audience", account)])), "not_authorized");
        assert_eq!(make(&server, draft, "").status, 409);
    }
}

#[test]
fn a_wildcard_in_a_token_is_an_ordinary_character_of_the_draft() {
    let server = server();
    create(
        &server,
        "stars",
        json!({ "teams": ["deployers"], "identities": [
        { "name": "one", "issuer": "plain", "subject": "svc:one", "scopes": ["releases:read"], "ttl": "5m" },
    ] }),
    );
    let id = refusal(&server, &token("svc:**"), &[("audience", "stars")], "not_authorized");
    let answer = drafted(&server, &id);
    let draft = &answer["draft"];
    // The copy keeps what narrows the identity that is near.
    assert_eq!(
        draft["document"],
        json!({
            "name": "allowed", "issuer": "plain", "subject": "svc:\\*\\*", "scopes": ["releases:read"], "ttl": "5m",
        }),
        "{answer}"
    );
    assert_eq!(make(&server, draft, "").status, 201);
    assert_eq!(granted(&server.exchange(&token("svc:**"), &[("audience", "stars")]))["scope"], "releases:read");
    assert_eq!(reason_of(&server.exchange(&token("svc:anything"), &[("audience", "stars")])), "not_authorized");
}

#[test]
fn a_new_identity_gives_no_more_than_the_nearest_one() {
    let server = server();
    let near = |changes: Value| {
        let mut near = json!({ "name": "one", "issuer": "plain", "subject": "svc:one",
            "claims": { "role": "deployer" }, "scopes": ["releases:read"], "ttl": "5m", "replay": "once",
            "not_after": "2099-01-01T00:00:00Z" });
        near.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "teams": ["deployers"], "identities": [near] })
    };
    create(&server, "bounded", near(json!({})));
    let other = || forge("svc:two").claim("role", "tester").claim("jti", "once-only").sign();
    let answer = drafted(&server, &refusal(&server, &other(), &[("audience", "bounded")], "not_authorized"));
    let draft = &answer["draft"];
    assert_eq!(
        draft["document"],
        json!({ "name": "two", "issuer": "plain", "subject": "svc:two", "scopes": ["releases:read"], "ttl": "5m",
            "replay": "once", "not_after": "2099-01-01T00:00:00Z" }),
        "{answer}"
    );
    assert!(draft["summary"].as_str().unwrap().contains("bounded like `one`"), "{draft}");
    assert_eq!(make(&server, draft, "").status, 201);
    let got = granted(&server.exchange(&other(), &[("audience", "bounded")]));
    assert_eq!((&got["scope"], &got["expires_in"]), (&json!("releases:read"), &json!(300)));
    assert_eq!(reason_of(&server.exchange(&other(), &[("audience", "bounded")])), "token_replayed");

    // What the nearest identity does not give is not drafted.
    create(&server, "ended", near(json!({ "not_after": "2001-01-01T00:00:00Z" })));
    create(&server, "switched-off", near(json!({ "enabled": false })));
    create(&server, "of-others", near(json!({ "audience": ["https://other.example"] })));
    create(&server, "bounded-reader", near(json!({})));
    let scope = [("audience", "bounded-reader"), ("scope", "deployments:create")];
    for (parameters, part) in [
        (&[("audience", "ended")][..], "outside of its times"),
        (&[("audience", "switched-off")], "is disabled"),
        (&[("audience", "of-others")], "No small change"),
        (&scope, "no more than `one`"),
    ] {
        let told = instead(&server, &other(), parameters, "not_authorized");
        assert!(told.contains(part), "{parameters:?}: {told}");
    }
}

#[test]
fn an_identity_that_a_pattern_opens_is_not_opened_further() {
    let server = server();
    let of = |name: &str, subject: &str, claims: Value| {
        let identity = json!({ "name": "one", "issuer": "plain", "subject": subject, "claims": claims });
        create(&server, name, json!({ "teams": ["deployers"], "identities": [identity] }));
    };
    of("by-pattern", "svc:*", json!({ "role": "deployer" }));
    of("by-words", "svc:two", json!({ "role": "deployer", "stage": "prod*" }));
    of("by-values", "svc:two", json!({ "role": "deployer", "stage": "prod" }));
    let token = || forge("svc:two").claim("role", "tester").claim("stage", "prod").sign();
    for (account, kind) in [("by-pattern", "add"), ("by-words", "add"), ("by-values", "change")] {
        let answer = drafted(&server, &refusal(&server, &token(), &[("audience", account)], "not_authorized"));
        assert_eq!(answer["draft"]["kind"], kind, "{account}: {answer}");
    }
}

#[test]
fn a_file_s_account_gets_the_text_to_write_into_it() {
    let server = server();
    let id = refusal(&server, &token("svc:new"), &[("audience", "bare-user")], "not_authorized");
    let answer = drafted(&server, &id);
    let draft = &answer["draft"];
    assert!(draft["file"].as_str().unwrap().contains("sts.yaml"), "{draft}");
    assert!(draft["yaml"].as_str().unwrap().contains("svc:new"), "{draft}");
    assert_eq!(make(&server, draft, "").json()["reason"], "declared_by_file");
}

#[test]
fn nothing_is_drafted_that_would_let_a_stranger_in() {
    let server = server();
    let named = [("audience", "deploy-bot")];
    let evil = job(json!({
        "sub": "repo:evil/octo-repo:environment:production", "repository": "evil/octo-repo", "repository_owner": "evil",
        "repository_owner_id": "666", "repository_id": "7",
    }));
    let told = instead(&server, &evil, &named, "not_authorized");
    assert!(told.contains("another owner") && told.contains("evil/octo-repo"), "{told}");
    let remade = job(json!({ "repository_owner_id": "666", "repository_id": "7" }));
    let told = instead(&server, &remade, &named, "not_authorized");
    assert!(told.contains("another owner"), "the name has got to somebody else: {told}");
    // An identity that knows the owner by name only is no way around that, whosever it is.
    let by_name = json!({ "name": "lib", "issuer": "github", "subject": "repo:octo-org/lib:ref:refs/heads/main" });
    create(&server, "by-name", json!({ "teams": ["deployers"], "identities": [by_name] }));
    for account in ["by-name", "empty-bot"] {
        let told = instead(&server, &remade, &[("audience", account)], "not_authorized");
        assert!(told.contains("another owner"), "{account}: {told}");
    }
    for event in ["pull_request", "pull_request_target", "issue_comment"] {
        let sub = "repo:octo-org/octo-repo:pull_request";
        let pull = job(json!({ "sub": sub, "environment": null, "event_name": event }));
        for account in ["deploy-bot", "empty-bot"] {
            let told = instead(&server, &pull, &[("audience", account)], "not_authorized");
            assert!(told.contains("stranger can cause"), "{event} {account}: {told}");
        }
    }
    for event in ["workflow_run", "fork", "discussion"] {
        let on_main = job(json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "event_name": event }));
        let told = instead(&server, &on_main, &[("audience", "empty-bot")], "not_authorized");
        assert!(told.contains("stranger can cause") && told.contains(event), "{told}");
    }
}

/// A server with the issuer `gitlab`, and accounts with one identity each for the project 20.
fn gitlab_server() -> Server {
    let config =
        world().with("issuers/gitlab", json!({ "issuer": "https://gitlab.com", "jwks": Key::set(&[&GITHUB]) }));
    let server = Server::start_in(STS, world_site(&config));
    let account = |name: &str, rule: Value| {
        let mut identity = json!({ "name": "deployer", "issuer": "gitlab", "gitlab": rule });
        if name == "by-place" {
            identity["allow_broad"] = json!("a test");
        }
        create(&server, name, json!({ "teams": ["deployers"], "identities": [identity] }));
    };
    account("by-place", json!({ "job_project_id": "20", "job_namespace_id": "72", "ref": "main" }));
    account("by-code", json!({ "namespace_id": "72", "job_namespace_id": "72", "environment": "production" }));
    account("protected", json!({ "project_id": "20", "ref": "main", "ref_protected": true }));
    create(&server, "empty-bot", json!({ "teams": ["deployers"] }));
    server
}

/// The token of a GitLab job on the branch `dev`, which is protected. `null` leaves a claim out.
fn gitlab_job(changes: Value) -> String {
    let mut claims = Sample::of("gitlab").at(now() - 5);
    let own = json!({
        "aud": US, "sub": "project_path:octo-group/octo-project:ref_type:branch:ref:dev", "ref": "dev",
        "ref_path": "refs/heads/dev", "job_project_id": "20", "job_namespace_id": "72", "environment": null,
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(own.as_object().unwrap().clone());
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    Forge::new(&GITHUB, &claims).sign()
}

#[test]
fn a_fork_s_code_gets_no_draft_wherever_it_runs() {
    let server = gitlab_server();
    let fork = json!({
        "sub": "project_path:stranger/octo-project:ref_type:branch:ref:dev", "project_path": "stranger/octo-project",
        "namespace_path": "stranger", "project_id": "777", "namespace_id": "99", "pipeline_source": "merge_request_event",
    });
    for account in ["by-place", "by-code", "protected", "empty-bot"] {
        let told = instead(&server, &gitlab_job(fork.clone()), &[("audience", account)], "not_authorized");
        let part = if account == "empty-bot" { "runs in another project" } else { "another owner" };
        assert!(told.contains(part) && told.contains("777") == (account == "empty-bot"), "{account}: {told}");
    }
    // Our code, in a stranger's project.
    let elsewhere = json!({ "job_project_id": "777", "job_namespace_id": "99" });
    let told = instead(&server, &gitlab_job(elsewhere), &[("audience", "protected")], "not_authorized");
    assert!(told.contains("`job_project_id` is `777`, and `project_id` is `20`"), "{told}");
    // Before GitLab 18.4 a merge request from a fork looks like one of the project.
    let old = json!({ "job_project_id": null, "job_namespace_id": null, "pipeline_source": "merge_request_event" });
    let told = instead(&server, &gitlab_job(old), &[("audience", "empty-bot")], "not_authorized");
    assert!(told.contains("no `job_project_id`"), "{told}");

    let main = "project_path:octo-group/octo-project:ref_type:branch:ref:dev";
    let answer =
        drafted(&server, &refusal(&server, &gitlab_job(json!({})), &[("audience", "empty-bot")], "not_authorized"));
    let ids = json!({ "project_id": "20", "namespace_id": "72", "job_project_id": "20", "job_namespace_id": "72" });
    assert_eq!(answer["draft"]["document"]["claims"], ids, "{answer}");
    assert_eq!(answer["draft"]["document"]["subject"], main, "{answer}");
}

#[test]
fn a_draft_keeps_the_demand_for_a_protected_branch() {
    let server = gitlab_server();
    let named = [("audience", "protected")];
    let told = instead(&server, &gitlab_job(json!({ "ref_protected": "false" })), &named, "not_authorized");
    assert!(
        told.contains("`ref_protected`") && told.contains("`\"false\"`") && told.contains("Protect the branch"),
        "{told}"
    );
    let answer = drafted(&server, &refusal(&server, &gitlab_job(json!({})), &named, "not_authorized"));
    let draft = &answer["draft"];
    assert_eq!(
        (&draft["kind"], &draft["document"]["gitlab"]["ref"]),
        (&json!("change"), &json!(["main", "dev"])),
        "{answer}"
    );
}

#[test]
fn a_new_identity_is_bound_to_a_protected_branch_like_the_nearest_one() {
    let server = gitlab_server();
    let identity = json!({ "name": "main", "issuer": "gitlab", "subject": "project_path:octo-group/octo-project:ref_type:branch:ref:main",
        "gitlab": { "project_id": "20", "ref": "main", "ref_protected": true } });
    create(&server, "by-subject", json!({ "teams": ["deployers"], "identities": [identity] }));
    let dev = |is_protected: &str| gitlab_job(json!({ "ref_protected": is_protected }));
    let named = [("audience", "by-subject")];
    let answer = drafted(&server, &refusal(&server, &dev("true"), &named, "not_authorized"));
    assert_eq!(answer["draft"]["document"]["claims"]["ref_protected"], "true", "{answer}");
    assert_eq!(make(&server, &answer["draft"], "").status, 201);
    granted(&server.exchange(&dev("true"), &named));
    assert_eq!(reason_of(&server.exchange(&dev("false"), &named)), "not_authorized");
}

#[test]
fn an_excused_identity_is_not_widened() {
    let server = server();
    let broad = json!({ "name": "any", "issuer": "github", "allow_broad": "a test",
        "github": { "environment": "production", "ref": "refs/heads/main" } });
    let known = json!({ "name": "known", "issuer": "github", "subject": "repo:octo-org/lib:ref:refs/heads/main",
        "github": { "repository_owner_id": "65", "environment": "test", "ref": "refs/heads/test" } });
    create(&server, "broad", json!({ "teams": ["deployers"], "identities": [broad, known] }));
    let staging = job(json!({ "sub": "repo:octo-org/octo-repo:environment:staging", "environment": "staging" }));
    let answer = drafted(&server, &refusal(&server, &staging, &[("audience", "broad")], "not_authorized"));
    let draft = &answer["draft"];
    assert_eq!(
        (&draft["kind"], &draft["document"]["claims"]["repository_owner_id"]),
        (&json!("add"), &json!("65")),
        "{answer}"
    );
}

#[test]
fn an_identity_that_names_events_is_given_none_of_strangers() {
    let server = server();
    let on = |events: Value| {
        json!({ "name": "main", "issuer": "github", "subject": "repo:octo-org/octo-repo:ref:refs/heads/main",
            "github": { "repository_owner_id": "65", "event_name": events, "ref_type": "branch" } })
    };
    create(&server, "pushed", json!({ "teams": ["deployers"], "identities": [on(json!("push"))] }));
    create(&server, "forked", json!({ "teams": ["deployers"], "identities": [on(json!(["push", "fork"]))] }));
    let main = |event: &str, kind: &str| {
        let sub = "repo:octo-org/octo-repo:ref:refs/heads/main";
        job(json!({ "sub": sub, "environment": null, "event_name": event, "ref_type": kind }))
    };
    for event in ["fork", "watch", "discussion", "check_run", "pull_request_review"] {
        let told = instead(&server, &main(event, "branch"), &[("audience", "pushed")], "not_authorized");
        assert!(told.contains("stranger can cause") && told.contains(event), "{told}");
    }
    let draft = drafted(&server, &refusal(&server, &main("push", "tag"), &[("audience", "forked")], "not_authorized"));
    assert!(!draft.to_string().contains("\"fork\""), "{draft}");
}

#[test]
fn a_refusal_that_no_identity_causes_says_what_to_do_instead() {
    let server = server();
    let octo = [("audience", "octo")];
    let missing_scope = [("audience", "octo"), ("scope", "invoices:read")];
    type Case<'a> = (String, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 8] = [
        (Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign(), &octo, "signature_invalid", "refresh"),
        (forge("svc:octo").header("kid", "x").sign(), &octo, "key_unknown", "refresh"),
        (forge("svc:octo").claim("iat", 100).claim("exp", 200).sign(), &octo, "token_expired", "fresh one"),
        (forge("svc:octo").claim("aud", "https://other.example").sign(), &octo, "token_audience", "right audience"),
        (token("svc:octo"), &missing_scope, "scope_not_granted", "grant"),
        (token("svc:twin"), &[], "ambiguous_account", "name one"),
        (token("svc:new"), &[("audience", "disabled")], "not_authorized", "Enable it"),
        (token("svc:new"), &[("audience", "nobody-there")], "not_authorized", "names no account"),
    ];
    for (token, parameters, reason, part) in cases {
        let told = instead(&server, &token, parameters, reason);
        assert!(told.contains(part), "{reason}: {told}");
    }
    let gone = server.send_admin(Request::get("/admin/v1/denials/01J8Z3QK5V6W7X8Y9ZABCDEFGH/draft"));
    assert_eq!(gone.status, 404);
}
