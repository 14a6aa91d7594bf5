use serde_json::json;
use sts_types::IdentityName;

use super::*;
use crate::fixture::*;
use crate::{
    AccountSpec, AncestorLimit, ExternalGroupSpec, IdentitySpec, Outcome, ParentToken, Refusal, RequestedNames, Root,
    Severity, Spec, summary,
};

const KEYCLOAK: &str = "https://login.corp.example/realms/ci";

/// The word of a directory for every login.
#[derive(Debug)]
struct Directory {
    groups: Result<Vec<&'static str>, &'static str>,
    fault: Option<&'static str>,
}

impl Memberships for Directory {
    fn of(&self, _: &AccountId, login: &ExternalLogin, _: UnixTime) -> Result<MemberOf, NoMembership> {
        assert_eq!((login.directory.as_str(), &*login.name), ("corp", "Svc-Build"));
        match &self.groups {
            Ok(groups) => Ok(MemberOf { groups: groups.iter().map(|group| (*group).into()).collect(), age: Some(42) }),
            Err(cause) => Err(NoMembership { cause: (*cause).to_owned(), age: Some(4000) }),
        }
    }

    fn group_fault(&self, _: &DirectoryName, _: &str) -> Option<String> {
        self.fault.map(str::to_owned)
    }
}

fn says(groups: &[&'static str]) -> Directory {
    Directory { groups: Ok(groups.to_vec()), fault: None }
}

/// `build` may read at `deploy` by itself. `CN=Deployers` of the directory, or the group `deployers` in a
/// token of `keycloak`, lets it create there and use `logs`.
fn policy() -> Spec {
    let reads = |identity| IdentitySpec { scopes: Some(scopes(&["read"])), ..identity };
    let build = AccountSpec {
        teams: vec![at("readers".to_owned())],
        grants: vec![],
        identities: vec![
            subject("main", "repo:octo-org/octo-repo:ref:refs/heads/main"),
            reads(subject("reads", "repo:octo-org/octo-repo:ref:refs/heads/dev")),
            of("keycloak", subject("client", "build")),
        ],
        ..with_login(account("build", vec![]), "Svc-Build")
    };
    let mut spec = with_directory(spec(vec![build, account("plain", vec![subject("x", "repo:o/r:ref:refs/heads/x")])]));
    spec.issuers.push(issuer("keycloak", KEYCLOAK));
    let deployers = vec![directory_group("CN=Deployers"), token_group("keycloak", "/realm/groups", "deployers")];
    spec.teams = vec![
        team("readers", vec![grant("deploy", &["read"])]),
        external("deployers", vec![grant("deploy", &["create"]), grant("logs", &[])], deployers),
    ];
    spec
}

/// The outcome and the first line for a token, a request and what the directory says.
fn explained(
    rules: &RuleSet,
    of: &str,
    claims: &ClaimSet,
    names: &[&str],
    memberships: &dyn Memberships,
) -> (String, String) {
    let (audience, entry) = (words(names), entry(of));
    let asked = RequestedNames { audience: &audience, ..RequestedNames::default() };
    let facts = Facts { entry: &entry, claims, now: NOW, memberships };
    let requested = rules.resolve(&asked).unwrap();
    let decision = rules.explain(facts, &requested);
    let outcome = match (rules.decide(facts, &requested), &decision.outcome) {
        (Outcome::Granted(grant), Outcome::Granted(_)) => {
            let groups: Vec<&str> = grant.groups().map(TeamName::as_str).collect();
            format!("{} [{}] as {}", grant.api, grant.scopes, groups.join(" "))
        }
        (Outcome::Refused(refusal), Outcome::Refused(_)) => format!("{refusal:?}"),
        other => panic!("{other:?}"),
    };
    (outcome, summary(rules, facts, &asked, &decision))
}

fn of_github(branch: &str) -> ClaimSet {
    token(json!({ "sub": format!("repo:octo-org/octo-repo:ref:refs/heads/{branch}") }))
}

fn of_keycloak(groups: serde_json::Value) -> ClaimSet {
    let claims = json!({ "iss": KEYCLOAK, "sub": "build", "aud": OURS, "realm": { "groups": groups } });
    claims.as_object().unwrap().clone().into()
}

#[test]
fn a_group_of_a_directory_gives_its_team_for_as_long_as_the_directory_says_so() {
    let rules = rules(&policy());
    let stale = Directory { groups: Err("the directory `corp` last answered 4000 s ago"), fault: None };
    for (memberships, branch, target, wanted) in [
        (&says(&["cn=deployers"]), "main", "deploy", "deploy [create read] as readers deployers"),
        (&says(&["cn=deployers"]), "main", "logs", "logs [] as readers deployers"),
        // The identity narrows what groups give, too.
        (&says(&["cn=deployers"]), "dev", "deploy", "deploy [read] as readers deployers"),
        (&says(&["cn=others"]), "main", "deploy", "deploy [read] as readers"),
        (&says(&["cn=others"]), "main", "logs", "TargetNotGranted"),
        (&says(&[]), "main", "deploy", "deploy [read] as readers"),
        (&stale, "main", "deploy", "deploy [read] as readers"),
        (&stale, "main", "logs", "TargetNotGranted"),
    ] {
        let (outcome, _) = explained(&rules, "github", &of_github(branch), &["build", target], memberships);
        assert_eq!(outcome, wanted, "{memberships:?} {branch} {target}");
    }
}

#[test]
fn the_only_api_of_an_account_is_the_only_one_it_has_now() {
    let rules = rules(&policy());
    let outcome = |memberships: &Directory| explained(&rules, "github", &of_github("main"), &["build"], memberships).0;
    assert_eq!(outcome(&says(&[])), "deploy [read] as readers");
    assert_eq!(outcome(&says(&["cn=deployers"])), "TargetRequired");
}

#[test]
fn a_group_that_a_token_names_gives_its_team_to_that_token_alone() {
    let rules = rules(&policy());
    let nobody = says(&[]);
    for (groups, wanted) in [
        (json!(["deployers"]), "deploy [create read] as readers deployers"),
        (json!(["other", "deployers"]), "deploy [create read] as readers deployers"),
        // A scalar is a list of one.
        (json!("deployers"), "deploy [create read] as readers deployers"),
        // The text is exact, and no pattern.
        (json!(["Deployers"]), "deploy [read] as readers"),
        (json!(["deployers "]), "deploy [read] as readers"),
        (json!(["*"]), "deploy [read] as readers"),
        (json!([["deployers"]]), "deploy [read] as readers"),
        (json!({ "deployers": true }), "deploy [read] as readers"),
        (json!(null), "deploy [read] as readers"),
    ] {
        let claims = of_keycloak(groups.clone());
        assert_eq!(explained(&rules, "keycloak", &claims, &["build", "deploy"], &nobody).0, wanted, "{groups}");
    }
    // Another issuer may send the same claim.
    let mut claims = of_github("main").to_map();
    claims.insert("realm".to_owned(), json!({ "groups": ["deployers"] }));
    let outcome = explained(&rules, "github", &claims.into(), &["build", "deploy"], &nobody).0;
    assert_eq!(outcome, "deploy [read] as readers");
}

#[test]
fn the_first_line_names_what_keeps_a_team_away() {
    let rules = rules(&policy());
    let line =
        |memberships: &Directory| explained(&rules, "github", &of_github("main"), &["build", "logs"], memberships).1;
    let stale = Directory { groups: Err("the directory `corp` last answered 4000 s ago"), fault: None };
    let replaced = Directory { fault: Some("another group has the name `CN=Deployers` now"), ..says(&[]) };
    for (memberships, wanted) in [
        (&stale, "team `deployers` would grant it, but the directory `corp` last answered 4000 s ago"),
        (
            &says(&[]),
            "team `deployers` would grant it, but the directory `corp` does not list the login `Svc-Build` in `CN=Deployers`",
        ),
        (&replaced, "team `deployers` would grant it, but another group has the name `CN=Deployers` now"),
    ] {
        let line = line(memberships);
        assert!(line.starts_with("refused: target_not_granted: account `build`") && line.contains(wanted), "{line}");
    }
    let claims = of_keycloak(json!([]));
    let mut without_login = policy();
    without_login.accounts[0].external_login = None;
    let rules = crate::fixture::rules(&without_login);
    let line = explained(&rules, "keycloak", &claims, &["build", "logs"], &says(&[])).1;
    let wanted = "it is given to tokens of `keycloak` whose `/realm/groups` names `deployers` only";
    assert!(line.contains(wanted), "{line}");
}

/// What a token gets that came from a token for `deploy` with the scope `read`, and the teams that groups give it.
fn descend(
    rules: &RuleSet,
    root: Root<'_>,
    named_groups: &[NamedGroup],
    groups: &[&'static str],
    target: &str,
) -> Result<(String, Vec<NamedGroup>), Refusal> {
    let (build, api) = (AccountId::new("build").unwrap(), sts_types::ApiName::new("deploy").unwrap());
    let (audience, read) = (rules.api("deploy").unwrap().audience.clone(), ScopeSet::parse("read").unwrap());
    let ancestors = [AncestorLimit { api: &api, audience: &audience, scopes: &read }];
    let parent = ParentToken { account: &build, issued: NOW, root, ancestors: &ancestors, named_groups };
    let requested = ask(rules, &[target], "");
    match rules.decide_descendant(&parent, &requested, &says(groups), NOW) {
        Outcome::Granted(grant) => Ok((format!("{} [{}]", grant.api, grant.scopes), grant.named_groups().collect())),
        Outcome::Refused(refusal) => {
            let diagnosis = rules.diagnose_descendant(&parent, &requested, &says(groups), NOW, refusal);
            assert_eq!(diagnosis.reason, refusal.reason());
            Err(refusal)
        }
    }
}

/// What a token record says of a team that the group `value` of `claim` gave.
fn named(team: &str, claim: &str, value: &str) -> NamedGroup {
    NamedGroup { team: TeamName::new(team).unwrap(), claim: claim.to_owned(), value: value.to_owned() }
}

#[test]
fn a_token_of_ours_keeps_what_its_first_token_named_and_what_the_directory_says_now() {
    let rules = rules(&policy());
    let (client, main) = (IdentityName::new("client").unwrap(), IdentityName::new("main").unwrap());
    let (keycloak, github) = (entry("keycloak"), entry("github"));
    let of_keycloak = Root::Identity { identity: &client, entry: &keycloak };
    let of_github = Root::Identity { identity: &main, entry: &github };
    let key = Root::ApiKey { scopes: None };
    let deployers = [named("deployers", "/realm/groups", "deployers")];
    for (root, groups_of_token, groups, target, wanted) in [
        (of_keycloak, &deployers[..], &[][..], "logs", Ok("logs []")),
        // The ancestor for the same API limits it as before.
        (of_keycloak, &deployers, &["cn=deployers"], "deploy", Ok("deploy [read]")),
        (of_keycloak, &[], &[], "logs", Err(Refusal::TargetNotGranted)),
        (of_keycloak, &[], &["cn=deployers"], "logs", Ok("logs []")),
        // What a record of another entry says gives nothing.
        (of_github, &deployers, &[], "logs", Err(Refusal::TargetNotGranted)),
        (key, &[], &["cn=deployers"], "logs", Ok("logs []")),
        (key, &deployers, &[], "logs", Err(Refusal::TargetNotGranted)),
    ] {
        let got = descend(&rules, root, groups_of_token, groups, target).map(|(granted, _)| granted);
        assert_eq!(got, wanted.map(str::to_owned), "{root:?} {groups_of_token:?} {groups:?}");
    }
}

#[test]
fn a_token_of_ours_keeps_a_team_only_while_the_group_that_gave_it_still_does() {
    let (client, keycloak) = (IdentityName::new("client").unwrap(), entry("keycloak"));
    let root = Root::Identity { identity: &client, entry: &keycloak };
    let deployers = named("deployers", "/realm/groups", "deployers");
    let to_logs = |groups: Vec<ExternalGroupSpec>, named: &NamedGroup| {
        let mut spec = policy();
        spec.teams[1].external_groups = groups;
        // The group gives another team as well, which grants all of `deploy`.
        let group = token_group("keycloak", "/realm/groups", "deployers");
        spec.teams.push(external("owners", vec![grant("deploy", &["delete"]), grant("logs", &[])], vec![group]));
        descend(&rules(&spec), root, std::slice::from_ref(named), &[], "logs")
    };
    let of = |claim: &str, value: &str| token_group("keycloak", claim, value);
    let same = || of("/realm/groups", "deployers");
    // The record says it again, so that a token of this token has no more.
    let kept = Ok(("logs []".to_owned(), vec![deployers.clone()]));
    assert_eq!(to_logs(vec![same()], &deployers), kept);
    assert_eq!(to_logs(vec![of("/realm/groups", "admins"), same()], &deployers), kept);
    for groups in [
        vec![of("/realm/groups", "admins")],
        vec![of("groups", "deployers")],
        vec![directory_group("CN=Deployers")],
        vec![],
    ] {
        assert_eq!(to_logs(groups.clone(), &deployers), Err(Refusal::TargetNotGranted), "{groups:?}");
    }
    for other in [
        named("deployers", "/realm/groups", "admins"),
        named("deployers", "groups", "deployers"),
        named("readers", "/realm/groups", "deployers"),
        named("gone", "/realm/groups", "deployers"),
    ] {
        assert_eq!(to_logs(vec![same()], &other), Err(Refusal::TargetNotGranted), "{other:?}");
    }
}

#[test]
fn a_token_is_given_the_teams_of_each_group_in_each_claim() {
    let mut spec = policy();
    let groups =
        |values: &[(&str, &str)]| values.iter().map(|(claim, value)| token_group("keycloak", claim, value)).collect();
    spec.teams.push(external("a", vec![], groups(&[("groups", "x"), ("groups", "y"), ("role", "a")])));
    spec.teams.push(external("b", vec![], groups(&[("groups", "y")])));
    spec.teams.push(external("c", vec![], groups(&[("role", "c")])));
    let rules = rules(&spec);
    for (claims, wanted) in [
        (json!({ "groups": ["y"] }), &["a", "b"][..]),
        (json!({ "groups": ["z", "x", "x"], "role": "c" }), &["a", "c"]),
        (json!({ "groups": "y", "role": ["a", "c"] }), &["a", "b", "c"]),
        (json!({ "groups": [["y"], 7, { "y": "y" }], "role": "A" }), &[]),
    ] {
        let serde_json::Value::Object(members) = claims.clone() else { unreachable!("an object") };
        let (entry, of_token, memberships) = (entry("keycloak"), ClaimSet::from(members), says(&[]));
        let facts = Facts { entry: &entry, claims: &of_token, now: NOW, memberships: &memberships };
        let holdings = rules.holdings_of(&rules.accounts[0], facts);
        let given: Vec<&str> = holdings.given.iter().map(|(team, _)| team.name.as_str()).collect();
        assert_eq!(given, wanted, "{claims}");
    }
}

#[test]
fn the_scopes_that_a_group_could_give_are_those_of_the_account_s_directory_and_issuers() {
    let mut spec = policy();
    let sts = |scope: &str| vec![grant("sts", &[scope]), grant("deploy", &["delete"])];
    spec.teams.push(external("keepers", sts("sts:read"), vec![directory_group("CN=Keepers")]));
    spec.teams.push(external("revokers", sts("sts:revoke"), vec![token_group("keycloak", "role", "revoker")]));
    spec.teams.push(external("bare", vec![grant("sts", &[])], vec![directory_group("CN=Bare")]));
    spec.accounts.push(AccountSpec {
        grants: sts("sts:admin"),
        ..account("root", vec![subject("r", "repo:o/r:ref:refs/heads/r")])
    });
    let rules = rules(&spec);
    let own = |account: &str| rules.possible_own_scopes(account).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!((own("build"), own("plain")), ("sts:read sts:revoke".to_owned(), String::new()));
    assert_eq!((own("root"), own("nobody")), ("sts:admin".to_owned(), String::new()));
    let all = |account: &str| rules.possible_scopes(account).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(all("build"), "create delete read sts:read sts:revoke");
    assert_eq!(all("plain"), "create read");
}

#[test]
fn what_groups_could_give_matters_at_load_only_where_an_account_refers_to_its_grants() {
    let relies = |change: &dyn Fn(&mut AccountSpec)| {
        let mut spec = policy();
        spec.accounts[0].identities.remove(1);
        change(&mut spec.accounts[0]);
        rules(&spec).accounts[0].terms.relies_on_external
    };
    assert!(!relies(&|_| {}));
    assert!(relies(&|account| account.default_api = Some(at("logs".to_owned()))));
    assert!(relies(&|account| account.identities[0].scopes = Some(scopes(&["create"]))));
    assert!(relies(&|account| account.identities[0].grants = Some(vec![grant("logs", &[])])));
    assert!(!relies(&|account| {
        account.external_login = None;
        account.identities.truncate(1);
        account.default_api = Some(at("deploy".to_owned()));
    }));
}

/// The findings, without the warning that a subject names its owner by name.
fn told(spec: &Spec) -> Vec<String> {
    findings(spec).into_iter().filter(|found| !found.contains("names its owner without an id")).collect()
}

#[test]
fn groups_and_logins_are_checked() {
    let report = |change: &dyn Fn(&mut Spec)| {
        let mut spec = policy();
        change(&mut spec);
        told(&spec).join("\n")
    };
    assert_eq!(report(&|_| {}), "");
    let group = |group: ExternalGroupSpec| move |spec: &mut Spec| spec.teams[1].external_groups.push(group.clone());
    for (wanted, found) in [
        (
            "Error: there is no directory `corpp` / write `corp`",
            report(&|spec| {
                spec.accounts[0].external_login.as_mut().unwrap().directory = at("corpp".to_owned());
            }),
        ),
        (
            "Error: team `deployers` lists the group `cn=DEPLOYERS` twice",
            report(&group(directory_group("cn=DEPLOYERS"))),
        ),
        (
            "Error: team `deployers` lists the group `deployers` twice",
            report(&group(token_group("keycloak", "/realm/groups", "deployers"))),
        ),
        (
            "Error: there is no issuer entry `keycloack` / write `keycloak`",
            report(&group(token_group("keycloack", "g", "x"))),
        ),
        ("Error: the claim `aud` names no group", report(&group(token_group("keycloak", "aud", "x")))),
        ("Error: the name of the group is empty", report(&group(token_group("keycloak", "g", "")))),
        (
            "Unsafe: issuer entry `github` is shared by many tenants, and each of them can send the group `x`",
            report(&group(token_group("github", "groups", "x"))),
        ),
        (
            "Error: the login `SVC-BUILD` belongs to service account `build`",
            report(&|spec| spec.accounts[1] = with_login(spec.accounts[1].clone(), "SVC-BUILD")),
        ),
        (
            "Warning: no group of the directory `corp` gives a team",
            report(&|spec| drop(spec.teams[1].external_groups.remove(0))),
        ),
        (
            "Error: the service account is not granted the scope `delete`",
            report(&|spec| spec.accounts[0].identities[1].scopes = Some(scopes(&["delete"]))),
        ),
        (
            "Error: `default_api` `logs` is not granted to `plain`",
            report(&|spec| {
                spec.accounts[1].default_api = Some(at("logs".to_owned()));
            }),
        ),
        // What a group could give may be named.
        ("", report(&|spec| spec.accounts[0].identities[1].scopes = Some(scopes(&["create"])))),
        ("", report(&|spec| spec.accounts[0].default_api = Some(at("logs".to_owned())))),
    ] {
        assert!(found.starts_with(wanted) && (found.is_empty() == wanted.is_empty()), "wanted {wanted}, got {found}");
    }
}

#[test]
fn a_member_of_a_family_cannot_name_a_group() {
    let mut spec = policy();
    let cells = sts_types::VariableSpec::OneOf(vec!["a".to_owned(), "b".to_owned()]);
    let template = sts_types::IssuerTemplate::new("https://{cell}.corp.example", &[("cell".to_owned(), cells)].into());
    let template = template.unwrap();
    spec.issuers[1].issuer = at(sts_types::Issuers::Family(Arc::new(template)));
    let found = RuleSet::compile(&spec).unwrap_err();
    let strangers = |finding: &crate::Finding| {
        finding.code == sts_types::CheckCode::StrangersGroup && finding.severity == Severity::Unsafe
    };
    assert!(found.iter().any(strangers), "{found:?}");
}

#[test]
fn a_faulty_team_blames_nobody_else() {
    let mut spec = policy();
    spec.teams[1].external_groups.push(token_group("nobody", "g", "x"));
    spec.accounts[0].identities[1].scopes = Some(scopes(&["delete"]));
    assert_eq!(told(&spec).len(), 1, "{:?}", told(&spec));
}

#[test]
fn an_account_without_groups_pays_for_nothing() {
    let rules = rules(&policy());
    let account = &rules.accounts[1];
    #[derive(Debug)]
    struct Unasked;
    impl Memberships for Unasked {
        fn of(&self, account: &AccountId, _: &ExternalLogin, _: UnixTime) -> Result<MemberOf, NoMembership> {
            panic!("{account} has no login")
        }
        fn group_fault(&self, _: &DirectoryName, group: &str) -> Option<String> {
            panic!("{group}")
        }
    }
    let claims = of_github("main");
    let (entry, memberships) = (entry("github"), Unasked);
    let facts = Facts { entry: &entry, claims: &claims, now: NOW, memberships: &memberships };
    assert!(rules.holdings_of(account, facts).given.is_empty());
}

#[test]
fn the_teams_that_groups_give_are_told_without_a_decision() {
    let rules = rules(&policy());
    let teams = |account: &str, directory: &Directory| rules.group_teams(account, directory, NOW);
    let names =
        |given: &[GivenTeam]| given.iter().map(|given| format!("{} {}", given.team, given.source)).collect::<Vec<_>>();
    let own = teams("build", &says(&["cn=deployers", "cn=others"])).unwrap();
    assert_eq!(own.login.map(|login| login.name.to_string()).as_deref(), Some("Svc-Build"));
    assert_eq!(
        names(&own.given),
        ["deployers from the group `CN=Deployers` of the directory `corp`, as it was 42 s ago"]
    );
    assert_eq!(
        names(&own.by_token),
        ["deployers from the group `deployers` in `/realm/groups` of the token of `keycloak`"]
    );
    let own = teams("build", &Directory { groups: Err("the directory is away"), fault: None }).unwrap();
    assert_eq!((own.given.len(), own.fault.as_deref()), (0, Some("the directory is away")));
    assert_eq!(teams("plain", &says(&["cn=deployers"])), Some(GroupTeams::default()));
    assert_eq!(teams("nobody", &says(&[])), None);
}
