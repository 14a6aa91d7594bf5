//! Tests of decisions. The number in a test's name is its row in the corpus of attacks.

use std::sync::Arc;

use super::*;
use crate::Provenance;
use crate::fixture::*;
use crate::{IdentitySpec, IssuerSpec, Spec};
use proptest::prelude::*;
use serde_json::json;
use sts_claims::ClaimSet;
use sts_types::{IssuerTemplate, Issuers, Lifetime, UnixTime, VariableSpec};

const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

fn one(identity: IdentitySpec) -> RuleSet {
    rules(&spec(vec![account("octo", vec![identity])]))
}

/// Whether the account's only identity matches.
fn matches(rules: &RuleSet, claims: &ClaimSet) -> bool {
    match outcome(rules, claims, &ask(rules, &["octo"], "")).as_str() {
        "NoIdentityMatched" => false,
        "octo/i: deploy [create read]" => true,
        other => panic!("{other}"),
    }
}

#[test]
fn c061_a_pattern_of_one_owner_does_not_reach_another() {
    let rules = one(subject("i", "repo:acme/**"));
    assert!(matches(&rules, &token(json!({ "sub": "repo:acme/x:ref:refs/heads/main" }))));
    assert!(!matches(&rules, &token(json!({ "sub": "repo:acme-evil/x:ref:refs/heads/main" }))));
}

#[test]
fn fld1_c069_strangers_events_are_refused_unless_the_identity_names_the_event() {
    // Every documented event that needs no write access, and unknown ones.
    const STRANGERS: [&str; 38] = [
        "pull_request",
        "pull_request_target",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "pull_request_comment",
        "pull_request_review_approved",
        "pull_request_review_rejected",
        "pull_request_review_request",
        "pull_request_assign",
        "pull_request_label",
        "pull_request_milestone",
        "pull_request_sync",
        "issues",
        "issue_comment",
        "issue_assign",
        "issue_label",
        "issue_milestone",
        "discussion",
        "discussion_comment",
        "fork",
        "watch",
        "star",
        "gollum",
        "wiki",
        "workflow_run",
        "check_run",
        "check_suite",
        "status",
        "dynamic",
        "label",
        "milestone",
        "commit_comment",
        "sub_issues",
        "Push",
        "push ",
        "an_event_of_tomorrow",
        "",
    ];
    let owner = json!({ "repository_owner_id": "65" });
    let plain = [
        subject("i", MAIN),
        claims(identity("i"), owner.clone()),
        short(identity("i"), "github", json!({ "repository_id": 74 })),
        claims(subject("i", "repo:octo-org/**"), owner),
    ];
    for identity in plain {
        let rules = one(identity);
        assert!(matches(&rules, &token(json!({}))));
        for event in crate::events::WRITERS_EVENTS {
            assert!(matches(&rules, &token(json!({ "event_name": event }))), "{event}");
        }
        for event in STRANGERS {
            assert!(!matches(&rules, &token(json!({ "event_name": event }))), "{event}");
        }
        assert!(!matches(&rules, &token(json!({ "event_name": ["push", "issue_comment"] }))));
        assert!(!matches(&rules, &token(json!({ "event_name": 1 }))));
    }
    let named = one(claims(subject("i", "repo:octo-org/**"), json!({ "event_name": "pull_request_target" })));
    assert!(matches(&named, &token(json!({ "event_name": "pull_request_target" }))));
    assert!(!matches(&named, &token(json!({ "event_name": "pull_request" }))));
    let by_block =
        one(short(identity("i"), "github", json!({ "repository_id": 74, "event_name": ["push", "pull_request"] })));
    assert!(matches(&by_block, &token(json!({ "event_name": "pull_request" }))));
}

#[test]
fn c069_a_subject_that_ends_in_pull_request_accepts_that_event_and_no_branch() {
    let rules = one(subject("i", "repo:octo-org/octo-repo:pull_request"));
    let pull_request = json!({ "sub": "repo:octo-org/octo-repo:pull_request", "event_name": "pull_request" });
    assert!(matches(&rules, &token(pull_request.clone())));
    assert!(!matches(&rules, &token(json!({}))));
    assert!(!matches(&one(subject("i", "repo:octo-org/octo-repo:ref:refs/heads/*")), &token(pull_request.clone())));
    // A text that looks like the pattern does not match it.
    assert!(!matches(&one(subject("i", "repo:octo-org/octo-repo:pull*_request")), &token(pull_request)));
}

#[test]
fn c070_old_and_new_subjects_do_not_fit_each_others_rules_and_the_block_covers_both() {
    let new = "repo:octo-org@65/octo-repo@74:ref:refs/heads/main";
    assert!(!matches(&one(subject("i", MAIN)), &token(json!({ "sub": new }))));
    assert!(!matches(&one(subject("i", new)), &token(json!({}))));
    assert!(matches(&one(subject("i", new)), &token(json!({ "sub": new }))));
    let block = one(short(identity("i"), "github", json!({ "repository": "octo-org/octo-repo", "repository_id": 74 })));
    for sub in [MAIN, new, "environment:prod:repository_owner:octo-org"] {
        assert!(matches(&block, &token(json!({ "sub": sub }))), "{sub}");
    }
}

#[test]
fn c071_a_recreated_repository_has_another_id() {
    let rules = one(claims(subject("i", MAIN), json!({ "repository_id": "74", "repository_owner_id": "65" })));
    assert!(matches(&rules, &token(json!({}))));
    assert!(!matches(&rules, &token(json!({ "repository_id": "75" }))));
    assert!(!matches(&rules, &token(json!({ "repository_owner_id": "66" }))));
    assert!(!matches(&rules, &token(json!({ "repository_id": null }))));
    assert!(!matches(&rules, &token(json!({ "repository_id": 74 }))));
}

#[test]
fn c072_a_subject_is_matched_as_it_stands_and_never_split() {
    let rules = one(subject("i", MAIN));
    for sub in [
        "repo:octo-org/octo-repo:environment:prod:ref:refs/heads/main",
        "ref:refs/heads/main:repo:octo-org/octo-repo",
        "repo:octo-org/octo-repo:environment:prod%3Aref%3Arefs/heads/main",
        "repo:octo-org%2Focto-repo:ref:refs/heads/main",
    ] {
        assert!(!matches(&rules, &token(json!({ "sub": sub }))), "{sub}");
    }
}

#[test]
fn c073_environment_names_are_compared_byte_for_byte() {
    let rules = one(short(identity("i"), "github", json!({ "repository_id": 74, "environment": "prod" })));
    assert!(matches(&rules, &token(json!({ "environment": "prod" }))));
    for other in ["Prod", "prod ", "prod/", "", "prod\n"] {
        assert!(!matches(&rules, &token(json!({ "environment": other }))), "{other:?}");
    }
    assert!(!matches(&rules, &token(json!({}))));
    assert!(!matches(&one(subject("i", MAIN)), &token(json!({ "sub": format!("{MAIN} ") }))));
}

#[test]
fn c043_an_audience_is_a_string_or_a_list_of_strings() {
    let mut spec = spec(vec![account("octo", vec![subject("i", MAIN)])]);
    spec.issuers[0].sole_audience = false;
    let rules = rules(&spec);
    for aud in [json!(null), json!(""), json!([]), json!([""]), json!(1), json!({}), json!([OURS, 1]), json!([[OURS]])]
    {
        assert!(!matches(&rules, &token(json!({ "aud": aud }))), "{aud}");
    }
    assert!(matches(&rules, &token(json!({ "aud": [OURS] }))));
    assert!(matches(&rules, &token(json!({ "aud": ["https://other.example", OURS] }))));
}

#[test]
fn c044_an_audience_is_compared_byte_for_byte() {
    let rules = one(subject("i", MAIN));
    for aud in [
        "https://sts.example.com/",
        "HTTPS://sts.example.com",
        "https://STS.example.com",
        "https://sts.example.com:443",
        "https://sts.example.com.evil.example",
        "xhttps://sts.example.com",
        "https://sts%2Eexample.com",
        "https://sts.e\u{78}ample.com\u{200b}",
    ] {
        assert!(!matches(&rules, &token(json!({ "aud": aud }))), "{aud}");
    }
}

#[test]
fn c045_one_audience_of_several_is_not_enough_where_it_must_stand_alone() {
    let rules = one(subject("i", MAIN));
    assert!(matches(&rules, &token(json!({ "aud": [OURS] }))));
    assert!(!matches(&rules, &token(json!({ "aud": [OURS, "https://other.example"] }))));
    assert!(!matches(&rules, &token(json!({ "aud": [OURS, OURS] }))));
}

#[test]
fn audiences_are_the_identitys_else_the_entrys_else_our_issuer_or_the_accounts_uuid() {
    let audience = |text: &str| vec![at(sts_types::Audience::new(text).unwrap())];
    let mut spec = spec(vec![with_id(account("octo", vec![subject("i", MAIN)]), UUID)]);
    let fits = |spec: &Spec| {
        let rules = rules(spec);
        let entry = entry("github");
        ["https://identity.example", "https://entry.example", OURS, UUID, "octo"].map(|aud| {
            let claims = token(json!({ "aud": aud }));
            let matched = matches(&rules, &claims);
            assert!(!matched || rules.knows_audience(&entry, &claims), "{aud}");
            matched
        })
    };
    assert_eq!(fits(&spec), [false, false, true, true, false]);
    spec.issuers[0].audience = audience("https://entry.example");
    assert_eq!(fits(&spec), [false, true, false, false, false]);
    spec.accounts[0].identities[0].audience = audience("https://identity.example");
    assert_eq!(fits(&spec), [true, false, false, false, false]);
}

#[test]
fn the_audience_is_known_before_any_account_is_looked_at() {
    let mut other = subject("other", MAIN);
    other.audience = vec![at(sts_types::Audience::new("https://other.example").unwrap())];
    let mut spec = spec(vec![account("octo", vec![subject("i", MAIN), other])]);
    spec.issuers.push(issuer("gitlab", "https://gitlab.com"));
    let rules = rules(&spec);
    let known = |of: &str, aud| rules.knows_audience(&entry(of), &token(json!({ "aud": aud })));
    assert!(known("github", json!(OURS)));
    assert!(known("github", json!("https://other.example")));
    assert!(known("github", json!(["x", "00000000-0000-4000-8000-00000000000A"])));
    assert!(!known("github", json!("https://github.com/octo-org")));
    assert!(!known("github", json!(null)));
    assert!(!known("github", json!({ OURS: OURS })));
    assert!(!known("gitlab", json!("https://other.example")), "an identity of another entry");
    assert!(!known("nobody", json!(OURS)));
}

#[test]
fn c078_the_first_identity_that_matches_and_covers_decides() {
    let narrow = IdentitySpec { scopes: Some(scopes(&["read"])), ..subject("narrow", MAIN) };
    let wide = subject("wide", "repo:octo-org/**");
    let rules = rules(&spec(vec![account("octo", vec![narrow, wide])]));
    let decide = |scope: &str| outcome(&rules, &token(json!({})), &ask(&rules, &["octo"], scope));
    assert_eq!(decide(""), "octo/narrow: deploy [read]");
    assert_eq!(decide("read"), "octo/narrow: deploy [read]");
    assert_eq!(decide("create"), "octo/wide: deploy [create]");
    assert_eq!(decide("read create"), "octo/wide: deploy [read create]");
    assert_eq!(decide("delete"), "ScopeNotGranted");
}

#[test]
fn c078_two_accounts_that_fit_are_ambiguous_and_the_request_may_tell_them_apart() {
    let mut b = account("b", vec![subject("i", MAIN)]);
    b.grants = vec![grant("deploy", &["read"])];
    let stranger = account("c", vec![subject("i", "repo:octo-org/other:ref:refs/heads/main")]);
    let mut spec = spec(vec![account("a", vec![subject("i", MAIN), subject("j", "repo:octo-org/**")]), b, stranger]);
    let decide = |spec: &Spec, names: &[&str], scope: &str| {
        let rules = rules(spec);
        outcome(&rules, &token(json!({})), &ask(&rules, names, scope))
    };
    assert_eq!(decide(&spec, &[], ""), "AmbiguousAccount");
    assert_eq!(decide(&spec, &[], "read"), "AmbiguousAccount");
    assert_eq!(decide(&spec, &[], "create"), "a/i: deploy [create]");
    assert_eq!(decide(&spec, &["b"], ""), "b/i: deploy [read]");
    assert_eq!(decide(&spec, &[], "delete"), "ScopeNotGranted");
    assert_eq!(decide(&spec, &["logs"], ""), "TargetNotGranted");
    spec.accounts[0].enabled = false;
    assert_eq!(decide(&spec, &[], ""), "b/i: deploy [read]");
    spec.tokens.require_account = true;
    assert_eq!(decide(&spec, &[], ""), "NoIdentityMatched");
    assert_eq!(decide(&spec, &["b"], ""), "b/i: deploy [read]");
}

#[test]
fn of_several_accounts_that_match_the_one_that_came_furthest_names_the_reason() {
    let mut two_apis = account("a", vec![subject("i", MAIN)]);
    two_apis.grants.push(grant("logs", &[]));
    let mut only_logs = account("c", vec![subject("i", MAIN)]);
    only_logs.grants = vec![grant("logs", &[])];
    let decide = |accounts: &[&crate::AccountSpec], names: &[&str]| {
        let rules = rules(&spec(accounts.iter().map(|account| (*account).clone()).collect()));
        outcome(&rules, &token(json!({})), &ask(&rules, names, "delete"))
    };
    let one_api = account("b", vec![subject("i", MAIN)]);
    for (accounts, names, wanted) in [
        (&[&two_apis][..], &[][..], "TargetRequired"),
        (&[&two_apis, &one_api], &[], "ScopeNotGranted"),
        (&[&one_api, &two_apis], &[], "ScopeNotGranted"),
        (&[&only_logs], &["deploy"], "TargetNotGranted"),
        (&[&only_logs, &one_api], &["deploy"], "ScopeNotGranted"),
    ] {
        assert_eq!(decide(accounts, names), wanted);
    }
}

#[test]
fn c079_every_refusal_of_policy_is_one_reason() {
    let rules = one(subject("i", MAIN));
    let stranger = token(json!({ "sub": "repo:evil/x:ref:refs/heads/main" }));
    for names in [&["octo"][..], &["nobody"], &[], &["octo", "https://nowhere.example"]] {
        let requested = ask(&rules, names, "delete no-such-scope");
        let Outcome::Refused(refusal) = rules.decide(
            Facts { entry: &entry("github"), claims: &stranger, now: NOW, memberships: &crate::NoDirectory },
            &requested,
        ) else {
            panic!("granted")
        };
        assert_eq!(refusal.reason(), "not_authorized", "{names:?}");
    }
}

#[test]
fn c080_what_is_disabled_or_out_of_time_matches_nothing_and_keeps_nothing_active() {
    let base = || spec(vec![account("octo", vec![subject("i", MAIN)])]);
    type Change = fn(&mut Spec);
    let changes: [(&str, Change); 9] = [
        ("AccountDisabled", |spec| spec.accounts[0].enabled = false),
        ("AccountDisabled", |spec| spec.accounts[0].not_before = Some(NOW.plus(1))),
        ("AccountDisabled", |spec| spec.accounts[0].not_after = Some(NOW)),
        ("NoIdentityMatched", |spec| spec.accounts[0].identities[0].enabled = false),
        ("NoIdentityMatched", |spec| spec.accounts[0].identities[0].not_before = Some(NOW.plus(1))),
        ("NoIdentityMatched", |spec| spec.accounts[0].identities[0].not_after = Some(NOW)),
        ("NoIdentityMatched", |spec| spec.issuers[0].enabled = false),
        ("NoSuchAccount", |spec| spec.accounts.clear()),
        ("NoIdentityMatched", |spec| spec.accounts[0].identities.clear()),
    ];
    for (wanted, change) in changes {
        let mut spec = base();
        change(&mut spec);
        let rules = rules(&spec);
        assert_eq!(outcome(&rules, &token(json!({})), &ask(&rules, &["octo"], "")), wanted);
        assert_eq!(outcome(&rules, &token(json!({})), &ask(&rules, &[], "")), "NoIdentityMatched");
        assert!(!active(&rules, NOW), "{wanted}");
    }
    let mut spec = base();
    spec.accounts[0].not_before = Some(NOW);
    spec.accounts[0].identities[0].not_after = Some(NOW.plus(1));
    let rules = rules(&spec);
    assert!(matches(&rules, &token(json!({}))));
    assert!(active(&rules, NOW));
    assert!(!active(&rules, NOW.plus(1)));
}

fn active(rules: &RuleSet, now: UnixTime) -> bool {
    let id = sts_types::AccountId::new("octo").unwrap();
    let identity = sts_types::IdentityName::new("i").unwrap();
    rules.still_active(&Provenance { account: &id, identity: &identity, entry: &entry("github"), issued: NOW }, now)
}

#[test]
fn in04_raising_a_not_before_ends_what_was_issued_earlier() {
    type Raise = fn(&mut crate::AccountSpec, UnixTime);
    let raises: [Raise; 2] =
        [|account, at| account.not_before = Some(at), |account, at| account.identities[0].not_before = Some(at)];
    for raise in raises {
        for (at, lives) in [(NOW, true), (NOW.plus(1), false), (NOW.plus(60), false)] {
            let mut spec = spec(vec![account("octo", vec![subject("i", MAIN)])]);
            raise(&mut spec.accounts[0], at);
            assert_eq!(active(&rules(&spec), NOW.plus(60)), lives, "issued at {NOW}, not before {at}");
        }
    }
}

#[test]
fn a_token_stays_active_by_its_accounts_id_only() {
    let rules = rules(&spec(vec![with_id(account("octo", vec![subject("i", MAIN)]), UUID)]));
    assert!(!active(&rules, NOW), "the username is not the id");
    assert!(rules.account("octo").is_some_and(|account| account.id.as_str() == UUID));
    assert!(rules.account(UUID).is_some_and(|account| account.name.as_str() == "octo"));
}

#[test]
fn a_token_stays_active_only_while_identity_and_issuer_entry_belong_together() {
    let mut spec = spec(vec![account("octo", vec![subject("i", MAIN)])]);
    spec.issuers.push(issuer("other", "https://other.example"));
    let rules = rules(&spec);
    let active = |account: &str, identity: &str, of: &str| {
        let account = sts_types::AccountId::new(account).unwrap();
        let identity = sts_types::IdentityName::new(identity).unwrap();
        let entry = entry(of);
        let token = Provenance { account: &account, identity: &identity, entry: &entry, issued: NOW };
        rules.still_active(&token, NOW)
    };
    assert!(active("octo", "i", "github"));
    assert!(!active("nobody", "i", "github"));
    assert!(!active("octo", "gone", "github"));
    assert!(!active("octo", "i", "other"));
    assert!(!active("octo", "i", "gone"));
}

#[test]
fn c081_scopes_are_never_widened() {
    let rules = one(subject("i", MAIN));
    let decide = |scope: &str| outcome(&rules, &token(json!({})), &ask(&rules, &["octo"], scope));
    let many = (0..10_000).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ");
    for scope in
        ["delete", "read delete", "admin", "sts:admin", "READ", "read\tcreate", "read \u{1}", "read,create", "*", &many]
    {
        assert_eq!(decide(scope), "ScopeNotGranted", "{scope:?}");
    }
    assert_eq!(decide("   "), "octo/i: deploy [create read]");
    assert_eq!(decide("read  read"), "octo/i: deploy [read]");
    let google = "https://www.googleapis.com/auth/cloud-platform";
    assert_eq!(decide(google), "octo/i: deploy [create read]");
    assert_eq!(decide(&format!("{google} create")), "octo/i: deploy [create]");
}

#[test]
fn c082_only_granted_targets_are_targets() {
    let rules = one(subject("i", MAIN));
    let decide = |names: &[&str]| outcome(&rules, &token(json!({})), &ask(&rules, names, ""));
    for target in [
        "logs",
        "https://logs.example.com",
        "sts",
        OURS,
        "https://deploy.example.com/",
        "https://deploy.example.com#x",
        "a/b",
    ] {
        assert_eq!(decide(&["octo", target]), "TargetNotGranted", "{target}");
    }
    assert_eq!(decide(&["octo", "deploy", "logs"]), "TargetNotGranted");
    for target in ["deploy", "https://deploy.example.com"] {
        assert_eq!(decide(&["octo", target]), "octo/i: deploy [create read]");
    }
    assert_eq!(decide(&["octo", "deploy", "https://deploy.example.com"]), "octo/i: deploy [create read]");
}

#[test]
fn a_target_that_is_not_named_is_the_only_or_the_default_one() {
    let mut spec = spec(vec![account("octo", vec![subject("i", MAIN)])]);
    spec.accounts[0].grants.push(grant("logs", &[]));
    let decide = |spec: &Spec, names: &[&str], scope: &str| {
        let rules = rules(spec);
        outcome(&rules, &token(json!({})), &ask(&rules, names, scope))
    };
    assert_eq!(decide(&spec, &["octo"], ""), "TargetRequired");
    assert_eq!(decide(&spec, &[], ""), "TargetRequired");
    assert_eq!(decide(&spec, &["octo"], "delete"), "TargetRequired");
    assert_eq!(decide(&spec, &["octo", "logs"], ""), "octo/i: logs []");
    spec.accounts[0].default_api = Some(at("logs".to_owned()));
    assert_eq!(decide(&spec, &["octo"], ""), "octo/i: logs []");
    assert_eq!(decide(&spec, &["octo"], "read"), "ScopeNotGranted");
}

#[test]
fn the_lifetime_is_the_smallest_and_the_replay_rule_the_nearest() {
    let life = |seconds| Lifetime::from_secs(seconds).unwrap();
    let grant = |spec: &Spec, asked: Option<u32>| {
        let rules = rules(spec);
        let requested = Requested { lifetime: asked.map(life), ..ask(&rules, &["octo"], "") };
        match rules.decide(
            Facts { entry: &entry("github"), claims: &token(json!({})), now: NOW, memberships: &crate::NoDirectory },
            &requested,
        ) {
            Outcome::Granted(grant) => grant,
            Outcome::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    let mut spec = spec(vec![account("octo", vec![subject("i", MAIN)])]);
    spec.tokens.copy_claims = vec![at("actor".to_owned())];
    let lifetime = |spec: &Spec, asked| grant(spec, asked).lifetime.as_secs();
    assert_eq!((lifetime(&spec, None), lifetime(&spec, Some(60)), lifetime(&spec, Some(9999))), (900, 60, 900));
    spec.accounts[0].ttl = Some(at(life(1800)));
    assert_eq!((lifetime(&spec, None), lifetime(&spec, Some(1200)), lifetime(&spec, Some(9999))), (1800, 1200, 1800));
    spec.accounts[0].identities[0].ttl = Some(at(life(600)));
    assert_eq!(lifetime(&spec, None), 600);
    // Defaults that no file wrote are cut, not refused.
    spec.tokens.max_ttl = at(life(300));
    assert_eq!(lifetime(&spec, None), 300);

    assert_eq!(grant(&spec, None).replay, crate::Replay::Allow);
    spec.issuers[0].replay = crate::Replay::Once;
    assert_eq!(grant(&spec, None).replay, crate::Replay::Once);
    spec.accounts[0].identities[0].replay = Some(crate::Replay::OncePerAccount);
    assert_eq!(grant(&spec, None).replay, crate::Replay::OncePerAccount);

    spec.accounts[0].identities[0].copy_claims = vec![at("run_id".to_owned()), at("actor".to_owned())];
    let names = grant(&spec, None).copy_claims.iter().map(|path| path.to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["actor", "run_id"]);
}

#[test]
fn c076_the_issuer_entry_is_part_of_every_identity() {
    let mut spec = spec(vec![account("octo", vec![of("a", subject("i", "job")), of("b", subject("j", "other"))])]);
    spec.issuers = vec![issuer("a", "https://same.example"), issuer("b", "https://same.example")];
    let rules = rules(&spec);
    let of =
        |entry: &str, sub: &str| outcome_of(&rules, entry, &token(json!({ "sub": sub })), &ask(&rules, &["octo"], ""));
    assert_eq!(of("a", "job"), "octo/i: deploy [create read]");
    assert_eq!(of("b", "job"), "NoIdentityMatched");
    assert_eq!(of("b", "other"), "octo/j: deploy [create read]");
    assert_eq!(of("c", "job"), "NoIdentityMatched");
}

#[test]
fn c050_c051_conditions_are_on_exact_names_and_pointers_through_objects() {
    let with = |claim: &str, wanted: serde_json::Value| {
        let mut spec = spec(vec![account("octo", vec![of("k", claims(subject("i", "s"), json!({ claim: wanted })))])]);
        spec.issuers = vec![issuer("k", "https://k.example")];
        let rules = rules(&spec);
        move |token: serde_json::Value| {
            let mut token = token.as_object().cloned().unwrap();
            token.insert("aud".to_owned(), OURS.into());
            token.insert("sub".to_owned(), "s".into());
            outcome_of(&rules, "k", &token.into(), &ask(&rules, &["octo"], "")).starts_with("octo/i")
        }
    };
    let dotted = with("a.b", json!("x"));
    assert!(dotted(json!({ "a.b": "x" })));
    assert!(!dotted(json!({ "a": { "b": "x" } })));
    let pointer = with("/kubernetes.io/namespace", json!("x"));
    assert!(pointer(json!({ "kubernetes.io": { "namespace": "x" } })));
    assert!(!pointer(json!({ "kubernetes.io/namespace": "x", "/kubernetes.io/namespace": "x" })));
    assert!(!pointer(json!({ "kubernetes": { "io": { "namespace": "x" } } })));
    assert!(!with("/list/0", json!("x"))(json!({ "list": ["x"] })));
    assert!(!with("__proto__", json!("x"))(json!({ "a": "x" })));
    assert!(with("flag", json!(true))(json!({ "flag": true })));
    assert!(!with("flag", json!(true))(json!({ "flag": "true" })));
    assert!(!with("c", json!({ "none_of": ["x"] }))(json!({})));
    assert!(!with("c", json!({ "none_of": ["x"] }))(json!({ "c": null })));
    assert!(with("c", json!({ "none_of": ["x"], "or_absent": true }))(json!({})));
    let regex = with("c", json!({ "regex": "a|b" }));
    assert!(regex(json!({ "c": "a" })) && regex(json!({ "c": "b" })) && regex(json!({ "c": ["z", "b"] })));
    assert!(!regex(json!({ "c": "ax" })) && !regex(json!({ "c": "xb" })) && !regex(json!({ "c": "b\n" })));
}

/// Small policies and tokens from few words, so that they match often.
fn identity_strategy() -> impl Strategy<Value = IdentitySpec> {
    let word = || proptest::sample::select(vec!["x", "y", "*", "**"]);
    (
        proptest::option::of(word()),
        proptest::option::of((word(), any::<bool>())),
        proptest::option::of(proptest::sample::select(vec!["create", "read"])),
        proptest::sample::select(vec!["a", "b"]),
    )
        .prop_map(|(sub, claim, narrowed, issuer)| IdentitySpec {
            subject: sub.map(|text| at(text.to_owned())),
            scopes: narrowed.map(|scope| scopes(&[scope])),
            ..of(
                issuer,
                claim.map_or(identity("i"), |(text, or_absent)| {
                    claims(identity("i"), json!({ "c": { "any_of": [text, "z"], "or_absent": or_absent } }))
                }),
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c081_what_is_asked_for_never_widens_what_is_granted(
        written in proptest::collection::vec(identity_strategy(), 1..4),
        teams in proptest::collection::vec(proptest::sample::subsequence(vec!["create", "read", "delete"], 0..3), 0..3),
        own in proptest::sample::subsequence(vec!["create", "read"], 1..3),
        asked in proptest::collection::vec(proptest::sample::select(vec!["create", "read", "delete", "admin", "*", "read*"]), 0..4),
        sub in "[xyz]",
    ) {
        let identities = written.into_iter().enumerate();
        let named = identities.map(|(n, one)| IdentitySpec {
            name: sts_types::IdentityName::new(&format!("i{n}")).unwrap(),
            scopes: None,
            ..one
        });
        let mut octo = account("octo", named.collect());
        octo.grants = vec![grant("deploy", &own)];
        octo.teams = (0..teams.len()).map(|n| at(format!("t{n}"))).collect();
        let mut spec = spec(vec![octo]);
        spec.issuers = vec![issuer("a", "https://a.example"), issuer("b", "https://b.example")];
        spec.teams = teams.iter().enumerate().map(|(n, granted)| team(&format!("t{n}"), vec![grant("deploy", granted)])).collect();
        let rules = rules(&spec);
        let token: ClaimSet = json!({ "sub": sub, "aud": OURS, "c": "x" }).as_object().cloned().unwrap().into();
        let scopes_for = |scope: &str| {
            let (entry, requested) = (entry("a"), ask(&rules, &["octo"], scope));
            match rules.decide(Facts { entry: &entry, claims: &token, now: NOW, memberships: &crate::NoDirectory }, &requested) {
                Outcome::Granted(grant) => Some(grant.scopes.iter().map(|one| one.to_string()).collect::<Vec<_>>()),
                Outcome::Refused(_) => None,
            }
        };
        let allowed: Vec<&str> = own.iter().chain(teams.iter().flatten()).copied().collect();
        let whole = scopes_for("");
        if let Some(whole) = &whole {
            // The grants of several teams add up, and nothing else does.
            prop_assert!(whole.iter().all(|one| allowed.contains(&one.as_str())), "{:?}", whole);
            prop_assert!(allowed.iter().all(|one| whole.iter().any(|granted| granted == one)), "{:?}", whole);
        }
        if let Some(granted) = scopes_for(&asked.join(" ")).filter(|_| !asked.is_empty()) {
            prop_assert!(granted.iter().all(|one| allowed.contains(&one.as_str()) && asked.contains(&one.as_str())), "{:?}", granted);
        }
    }

    #[test]
    fn the_search_finds_what_naming_each_account_finds(
        written in proptest::collection::vec(proptest::collection::vec(identity_strategy(), 0..4), 0..4),
        sub in "[xyz]",
        claim in proptest::option::of(proptest::collection::vec("[xyz]", 0..3)),
        scope in proptest::sample::select(vec!["", "create", "read", "create read", "delete"]),
        issuer_name in proptest::sample::select(vec!["a", "b"]),
    ) {
        let accounts = written.into_iter().enumerate().map(|(at, identities)| {
            let identities = identities.into_iter().enumerate();
            let named = identities.map(|(n, identity)| IdentitySpec { name: sts_types::IdentityName::new(&format!("i{n}")).unwrap(), ..identity });
            account(&format!("a{at}"), named.collect())
        });
        let mut spec = spec(accounts.collect());
        spec.issuers = vec![issuer("a", "https://a.example"), issuer("b", "https://b.example")];
        let rules = rules(&spec);
        let token: ClaimSet = json!({ "sub": sub, "aud": OURS, "c": claim }).as_object().cloned().unwrap().into();
        let of = |names: &[&str]| outcome_of(&rules, issuer_name, &token, &ask(&rules, names, scope));
        let each: Vec<String> = spec.accounts.iter().map(|account| of(&[account.name.value.as_str()])).collect();
        let granted: Vec<&String> = each.iter().filter(|outcome| outcome.contains('/')).collect();
        let wanted = match granted.as_slice() {
            [] if each.iter().any(|outcome| outcome == "ScopeNotGranted") => "ScopeNotGranted".to_owned(),
            [] => "NoIdentityMatched".to_owned(),
            [only] => (*only).clone(),
            _ => "AmbiguousAccount".to_owned(),
        };
        prop_assert_eq!(of(&[]), wanted);
        // Identities only add: without its last identity, an account never gets more.
        for (at, account) in spec.accounts.iter().enumerate().filter(|(_, account)| !account.identities.is_empty()) {
            let mut fewer = spec.clone();
            fewer.accounts[at].identities.pop();
            let fewer = super::tests::rules(&fewer);
            let before = outcome_of(&fewer, issuer_name, &token, &ask(&fewer, &[account.name.value.as_str()], scope));
            prop_assert!(!before.contains('/') || before == each[at]);
        }
    }
}

#[test]
fn what_stands_for_a_variable_is_read_from_the_tokens_own_issuer() {
    let rules = |values: &[&str]| VariableSpec::OneOf(values.iter().map(|value| (*value).to_owned()).collect());
    let variables = [("region".to_owned(), rules(&["eu-west-1", "us-east-2"]))].into();
    let template = IssuerTemplate::new("https://oidc.{region}.example.com", &variables).unwrap();
    let mut spec =
        spec(vec![account("octo", vec![of("family", claims(subject("i", "job"), json!({ "region": "eu-west-1" })))])]);
    spec.issuers = vec![IssuerSpec {
        issuer: at(Issuers::Family(Arc::new(template))),
        ..issuer("family", "https://x.example.com")
    }];
    let rules = crate::fixture::rules(&spec);
    let of_issuer = |iss: &str| {
        let claims = token(json!({ "iss": iss, "sub": "job", "region": "eu-west-1" }));
        outcome_of(&rules, "family", &claims, &ask(&rules, &["octo"], ""))
    };
    assert_eq!(of_issuer("https://oidc.eu-west-1.example.com"), "octo/i: deploy [create read]");
    assert_eq!(of_issuer("https://oidc.us-east-2.example.com"), "NoIdentityMatched");
}

#[test]
fn c069_a_token_that_does_not_say_its_event_is_judged_by_its_subject() {
    let owner = json!({ "repository_owner_id": "65" });
    for rules in [one(claims(identity("i"), owner.clone())), one(claims(subject("i", "repo:octo-org/**"), owner))] {
        let without = |sub: &str| token(json!({ "event_name": null, "sub": sub }));
        assert!(matches(&rules, &without(MAIN)));
        assert!(!matches(&rules, &without("repo:octo-org/octo-repo:pull_request")));
    }
}

#[test]
fn c069_a_regular_expression_lifts_the_refusal_when_it_has_an_events_name() {
    let by = |regex: &str| {
        one(claims(identity("i"), json!({ "repository_owner_id": "65", "event_name": { "regex": regex } })))
    };
    for named in ["push|pull_request", "pull_request(_target)?", "fork", ".*_request"] {
        let event = if named == "fork" { "fork" } else { "pull_request" };
        assert!(matches(&by(named), &token(json!({ "event_name": event }))), "{named}");
        assert!(!matches(&by(named), &token(json!({ "event_name": "gollum" }))), "{named}");
    }
    for any in [".*", "[a-z_]+", "p.*", "(?:pul|pus).*", "[^0-9]+"] {
        assert!(matches(&by(any), &token(json!({ "event_name": "push" }))), "{any}");
        assert!(!matches(&by(any), &token(json!({ "event_name": "pull_request" }))), "{any}");
    }
}
