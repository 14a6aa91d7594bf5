//! Runs the `tests:` of a configuration against its rules.

mod token;

use sts_types::{CheckCode, Origin, ScopeSet, UnixTime};

use crate::finding::{did_you_mean, quoted};
use crate::membership::GroupsOfTest;
use crate::resolve::RequestedNames;
use crate::text::{render, summary};
use crate::{
    Case, Decision, Expectation, Facts, Finding, Grant, Outcome, Requested, RuleSet, Severity, Spec, TestSpec,
};
use token::Candidate;

pub(crate) use token::set as set_claim;

/// Bound on the policy tests that every proposed change is tried against.
const MAX_GUARDS: usize = 1000;

impl RuleSet {
    /// Keeps the tokens that `tests` expect to be refused. The diagnosis then proposes no change
    /// that would let one of them in.
    pub fn guard(&mut self, spec: &Spec, tests: &[TestSpec], now: UnixTime) {
        let denials = || tests.iter().filter(|test| test.expect == Expectation::Deny);
        self.guards = (denials().count() <= MAX_GUARDS)
            .then(|| denials().filter_map(|test| test_case(self, spec, test, now).ok()).collect());
    }
}

/// A policy test that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestPassed {
    /// Set if the refusal has more than one cause, so that the test proves little.
    pub warning: Option<Finding>,
}

/// A policy test that failed.
#[derive(Clone, Debug)]
pub struct TestFailure {
    /// Position of the test, or of the part that is wrong.
    pub origin: Origin,
    /// The actual outcome.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The decision. `None` if the test could not be run.
    pub decision: Option<Box<Decision>>,
}

/// Runs one policy test at the time `now`. A token that starts from a preset takes the claims that
/// name its owner from the nearest identity. It then differs from a matching token only in what the
/// test writes.
///
/// # Errors
/// If the outcome differs from the expected one, or the test cannot be run.
pub fn run_test(rules: &RuleSet, spec: &Spec, test: &TestSpec, now: UnixTime) -> Result<TestPassed, TestFailure> {
    let audience = audience(test);
    let (request_names, requested) = request(rules, test, &audience)?;
    let evaluated = likely_token(rules, spec, test, &requested, now)?;
    let memberships = GroupsOfTest(&test.token.groups);
    let facts = Facts {
        entry: &evaluated.candidate.entry,
        claims: &evaluated.candidate.claims,
        now,
        memberships: &memberships,
    };
    let decision = rules.explain(facts, &requested);
    let verdict = summary(rules, facts, &request_names, &decision);
    let fails =
        |origin, message, help| TestFailure { origin, message, help, decision: Some(Box::new(decision.clone())) };
    match (&test.expect, &evaluated.outcome) {
        (Expectation::Deny, Outcome::Refused(refusal)) => match &test.because {
            Some(because) if !evaluated.is_because_of(test) => {
                let found = if evaluated.failed.is_empty() {
                    refusal.reason().to_owned()
                } else {
                    evaluated.failed.join("`, `")
                };
                let message = format!("refused, but because of `{found}`, not {}", quoted(&because.value));
                let help = "change the token so that only that condition fails, or write the cause found".to_owned();
                Err(fails(because.origin, message, Some(help)))
            }
            _ => Ok(TestPassed { warning: unclear_refusal(test, &evaluated) }),
        },
        (Expectation::Deny, Outcome::Granted(_)) => {
            Err(fails(test.origin, format!("expected a refusal, but {verdict}"), None))
        }
        (Expectation::Grant { .. }, Outcome::Granted(grant)) => match differs(test, grant) {
            None => Ok(TestPassed::default()),
            Some((origin, what)) => Err(fails(origin, format!("{what}; {verdict}"), None)),
        },
        (Expectation::Grant { .. }, Outcome::Refused(_)) => {
            Err(fails(test.origin, format!("expected a grant, but {verdict}"), first_failing(&decision)))
        }
    }
}

/// The token and request of a policy test, to decide on them under other rules, too.
///
/// # Errors
/// If the test cannot be run.
pub fn test_case(rules: &RuleSet, spec: &Spec, test: &TestSpec, now: UnixTime) -> Result<Case, TestFailure> {
    let named = audience(test);
    let (_, requested) = request(rules, test, &named)?;
    let Candidate { entry, claims, .. } = likely_token(rules, spec, test, &requested, now)?.candidate;
    let account = test.account.iter().map(|account| account.value.clone());
    let audience = test.audience.iter().cloned().chain(account).collect();
    let groups = test.token.groups.clone();
    Ok(Case { entry, claims, groups, audience, resource: test.resource.clone(), scope: test.scope.clone(), now })
}

/// Picks the token that the author of a test probably means: one with the expected grant, or else
/// the nearest to a grant, or else one that fails for the expected cause.
fn likely_token<'a>(
    rules: &'a RuleSet,
    spec: &Spec,
    test: &TestSpec,
    requested: &Requested,
    now: UnixTime,
) -> Result<EvaluatedToken<'a>, TestFailure> {
    let broken = |origin, message: String, help: Option<String>| TestFailure { origin, message, help, decision: None };
    let candidates =
        token::candidates(rules, spec, test).map_err(|error| broken(error.origin, error.message, error.help))?;
    let evaluated = candidates.into_iter().map(|candidate| {
        let memberships = GroupsOfTest(&test.token.groups);
        EvaluatedToken::new(rules, candidate, requested, &memberships, now)
    });
    let nearness = |evaluated: &EvaluatedToken<'_>| {
        (!evaluated.is_as_expected(test), evaluated.distance(), !evaluated.is_because_of(test))
    };
    evaluated.min_by_key(nearness).ok_or_else(|| {
        let help = "add an identity that accepts such tokens, or write the token's `iss`".to_owned();
        broken(test.origin, "no issuer entry has such tokens".to_owned(), Some(help))
    })
}

/// The `audience` values of a test's request. `account` adds one.
fn audience(test: &TestSpec) -> Vec<String> {
    test.audience.iter().cloned().chain(test.account.iter().map(|account| account.value.clone())).collect()
}

/// The request of a test.
fn request<'a>(
    rules: &RuleSet,
    test: &'a TestSpec,
    audience: &'a [String],
) -> Result<(RequestedNames<'a>, Requested), TestFailure> {
    let broken = |origin, message, help| TestFailure { origin, message, help, decision: None };
    if let Some(account) = &test.account
        && rules.account(&account.value).is_none()
    {
        let names = rules.accounts().map(|account| account.name.as_str()).collect::<Vec<_>>();
        let help = did_you_mean(&account.value, names).map(|name| format!("write `{name}`"));
        let message = format!("there is no account {}", quoted(&account.value));
        return Err(broken(account.origin, message, help));
    }
    let request_names = RequestedNames {
        audience,
        resource: &test.resource,
        scope: test.scope.as_deref(),
        client_id: None,
        client_is_account: false,
        lifetime: None,
    };
    let requested = rules.resolve(&request_names).map_err(|error| {
        let help = "name the account once: in `account`, or in `audience`".to_owned();
        broken(test.origin, error.to_string(), Some(help))
    })?;
    Ok((request_names, requested))
}

/// A candidate token with its outcome.
struct EvaluatedToken<'a> {
    candidate: Candidate<'a>,
    outcome: Outcome,
    /// The failed conditions of the nearest identity. Empty unless the refusal is that none
    /// matched.
    failed: Vec<String>,
}

impl<'a> EvaluatedToken<'a> {
    fn new(
        rules: &RuleSet,
        candidate: Candidate<'a>,
        requested: &Requested,
        memberships: &GroupsOfTest<'_>,
        now: UnixTime,
    ) -> Self {
        let facts = Facts { entry: &candidate.entry, claims: &candidate.claims, now, memberships };
        let outcome = rules.decide(facts, requested);
        let conditions = match (&outcome, candidate.near) {
            (Outcome::Refused(refusal), Some(near)) if refusal.is_policy() => rules.conditions(near, facts),
            (Outcome::Refused(refusal), None) if refusal.is_policy() => rules
                .explain(facts, requested)
                .trace
                .into_iter()
                .next()
                .map(|identity| identity.conditions)
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let failed =
            conditions.into_iter().filter(|condition| !condition.holds).map(|condition| condition.on).collect();
        Self { candidate, outcome, failed }
    }

    /// Whether the outcome is the grant that the test expects.
    fn is_as_expected(&self, test: &TestSpec) -> bool {
        matches!(&self.outcome, Outcome::Granted(grant) if differs(test, grant).is_none())
    }

    /// Whether the cause of the refusal is the one in the test's `because`, if it has one.
    fn is_because_of(&self, test: &TestSpec) -> bool {
        let Some(because) = &test.because else { return true };
        let wanted = match because.value.as_str() {
            "sub" => "subject",
            "aud" => "audience",
            "iss" => "issuer",
            other => other,
        };
        let reason = matches!(self.outcome, Outcome::Refused(refusal) if refusal.reason() == wanted);
        reason || self.failed.iter().any(|on| on == wanted || *on == because.value)
    }

    /// Distance to a grant: 0 if granted, 1 if an identity matched, otherwise 1 plus the causes of
    /// the nearest miss.
    fn distance(&self) -> usize {
        match &self.outcome {
            Outcome::Granted(_) => 0,
            Outcome::Refused(_) => 1 + self.causes().len(),
        }
    }

    /// The failed conditions, each cause once. If the subject follows from claims that the test
    /// writes, it is no cause of its own beside a failed claim.
    fn causes(&self) -> Vec<&str> {
        let others = self.failed.iter().any(|on| on != "subject");
        let follows = others && self.candidate.derived_subject;
        self.failed.iter().map(String::as_str).filter(|on| !(follows && *on == "subject")).collect()
    }
}

/// Warns about a refusal with several causes: the test would still pass if one of them were lost.
fn unclear_refusal(test: &TestSpec, evaluated: &EvaluatedToken<'_>) -> Option<Finding> {
    let causes = evaluated.causes();
    (causes.len() > 1).then(|| Finding {
        code: CheckCode::PolicyTestUnclear,
        origin: test.origin,
        severity: Severity::Warning,
        message: format!("the refusal has more than one cause (`{}`), so the test proves little", causes.join("`, `")),
        help: Some("write the token so that it differs from one that matches in one thing only".to_owned()),
        witness: None,
    })
}

/// The first difference between the grant and the expected one.
fn differs(test: &TestSpec, grant: &Grant) -> Option<(Origin, String)> {
    let Expectation::Grant { account, identity, scopes } = &test.expect else { return None };
    if let Some(account) = account
        && account.value != grant.account.name.as_str()
        && account.value != grant.account.id.as_str()
    {
        return Some((account.origin, format!("expected the account {}", quoted(&account.value))));
    }
    if let Some(identity) = identity
        .as_ref()
        .filter(|wanted| grant.identity.as_ref().is_none_or(|identity| identity.as_str() != wanted.value))
    {
        return Some((identity.origin, format!("expected the identity {}", quoted(&identity.value))));
    }
    let wanted: ScopeSet = scopes.as_ref()?.iter().map(|scope| scope.value.clone()).collect();
    let same = wanted.iter().count() == grant.scopes.iter().count()
        && wanted.iter().all(|scope| grant.scopes.contains(scope.as_str()));
    let origin = scopes.as_ref().and_then(|scopes| scopes.first()).map_or(test.origin, |scope| scope.origin);
    (!same).then(|| (origin, format!("expected the scopes {}", quoted(&wanted.to_string()))))
}

/// The first failed condition of the trace, as a line.
fn first_failing(decision: &Decision) -> Option<String> {
    let trace = render(decision);
    trace.lines().map(str::trim).find(|line| line.starts_with("FAIL")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{AccountSpec, IssuerSpec, Preset, TestTokenSpec};
    use serde_json::{Value, json};
    use sts_types::Located;

    /// The policy of the documentation.
    fn octo() -> Spec {
        let production =
            json!({ "repository": "octo-org/octo-repo", "repository_id": 1296269, "environment": "production" });
        let main = subject("main branch", "repo:octo-org/octo-repo:ref:refs/heads/main");
        let main = crate::IdentitySpec {
            scopes: Some(scopes(&["create"])),
            ..claims(main, json!({ "repository_owner_id": "65" }))
        };
        spec(vec![account("octo-deploy", vec![short(identity("production"), "github", production), main])])
    }

    /// A test that names `account`, unless empty. `token` is JSON with `preset` among the claims.
    fn test(token: Value, account: &str, expect: Expectation) -> TestSpec {
        let Value::Object(mut claims) = token else { panic!("an object") };
        let preset = claims.remove("preset").map(|name| at(name.as_str().unwrap().to_owned()));
        TestSpec {
            origin: Origin(1),
            name: "t".to_owned(),
            token: TestTokenSpec { preset, claims, groups: vec![] },
            issuer: None,
            account: (!account.is_empty()).then(|| at(account.to_owned())),
            audience: vec![],
            resource: vec![],
            scope: None,
            expect,
            because: None,
        }
    }

    fn run(spec: &Spec, test: &TestSpec) -> Result<TestPassed, String> {
        run_test(&rules(spec), spec, test, NOW).map_err(|failure| failure.message)
    }

    fn grants(identity: &str, granted: &[&str]) -> Expectation {
        Expectation::Grant { account: None, identity: Some(at(identity.to_owned())), scopes: Some(scopes(granted)) }
    }

    fn because(test: TestSpec, cause: &str) -> TestSpec {
        TestSpec { because: Some(Located::nowhere(cause.to_owned())), ..test }
    }

    #[test]
    fn the_documented_test_passes_without_a_doubt() {
        let token =
            json!({ "preset": "github-actions", "repository": "octo-org/octo-repo", "event_name": "pull_request" });
        let test = test(token, "octo-deploy", Expectation::Deny);
        assert_eq!(findings(&octo()), [""; 0]);
        assert_eq!(run(&octo(), &test), Ok(TestPassed { warning: None }));
        assert_eq!(run(&octo(), &because(test.clone(), "event_name")), Ok(TestPassed { warning: None }));
        let wrong = run(&octo(), &because(test, "environment")).unwrap_err();
        assert_eq!(wrong, "refused, but because of `subject`, `event_name`, not `environment`");
    }

    #[test]
    fn the_cause_is_looked_for_on_every_identity_that_is_as_near() {
        let token = json!({ "preset": "github-actions", "environment": "staging" });
        for cause in ["environment", "subject", "sub", "not_authorized"] {
            let test = because(test(token.clone(), "octo-deploy", Expectation::Deny), cause);
            assert_eq!(run(&octo(), &test), Ok(TestPassed { warning: None }), "{cause}");
        }
        let wrong = run(&octo(), &because(test(token, "octo-deploy", Expectation::Deny), "audience")).unwrap_err();
        assert_eq!(wrong, "refused, but because of `environment`, not `audience`");
    }

    #[test]
    fn a_preset_token_differs_only_in_what_the_test_writes() {
        for (written, expect) in [
            (json!({ "environment": "production" }), grants("production", &["create", "read"])),
            (json!({}), grants("main branch", &["create"])),
            (json!({ "ref": "refs/heads/main" }), grants("main branch", &["create"])),
            (json!({ "ref": "refs/heads/dev" }), Expectation::Deny),
            (json!({ "environment": "staging" }), Expectation::Deny),
            (json!({ "repository": "octo-org/other" }), Expectation::Deny),
            (json!({ "repository_owner_id": "66" }), Expectation::Deny),
            (json!({ "event_name": "pull_request_target" }), Expectation::Deny),
            (json!({ "aud": "https://other.example" }), Expectation::Deny),
        ] {
            let mut token = written.clone();
            token["preset"] = "github-actions".into();
            assert_eq!(run(&octo(), &test(token, "octo-deploy", expect)), Ok(TestPassed::default()), "{written}");
        }
    }

    #[test]
    fn the_sample_follows_each_platforms_identities() {
        let with = |url: &str, identity: crate::IdentitySpec| {
            let mut spec = spec(vec![account("octo", vec![of("e", identity)])]);
            spec.issuers = vec![issuer("e", url)];
            spec
        };
        let cluster = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
        let names = json!({ "namespace": "prod", "service_account": "deployer" });
        for (url, identity, written, preset) in [
            (GITHUB, subject("i", "repo:acme/*:ref:refs/heads/**"), json!({}), "github-actions"),
            (
                GITHUB,
                subject("i", "repo:acme/app:pull_request"),
                json!({ "event_name": "pull_request" }),
                "github-actions",
            ),
            (GITHUB, subject("i", "repo:acme@1/app@2:ref:refs/heads/main"), json!({}), "github-actions"),
            (
                GITHUB,
                claims(subject("i", "repo:acme/app:environment:prod"), json!({ "ref": "refs/heads/main" })),
                json!({ "environment": "prod" }),
                "github-actions",
            ),
            ("https://gitlab.com", subject("i", "project_path:acme/app:ref_type:branch:ref:main"), json!({}), "gitlab"),
            (
                "https://gitlab.com",
                short(identity("i"), "gitlab", json!({ "project_id": 9, "ref_protected": true })),
                json!({}),
                "gitlab",
            ),
            (cluster, short(identity("i"), "kubernetes", names), json!({}), "kubernetes"),
            (cluster, subject("i", "system:serviceaccount:prod:deployer"), json!({}), "kubernetes"),
            (
                cluster,
                subject("i", "system:serviceaccount:*:octo-sa"),
                json!({ "kubernetes.io": { "namespace": "other", "serviceaccount": { "name": "octo-sa" } } }),
                "kubernetes",
            ),
            ("https://accounts.google.com", subject("i", "123"), json!({}), "google"),
            ("https://agent.buildkite.com", subject("i", "organization:acme:pipeline:p:**"), json!({}), "buildkite"),
        ] {
            let spec = with(url, identity);
            let mut token = written;
            token["preset"] = preset.into();
            assert_eq!(
                run(&spec, &test(token.clone(), "octo", grants("i", &["create", "read"]))),
                Ok(TestPassed::default()),
                "{token} on {url}"
            );
            assert!(
                run(&spec, &test(token, "octo", Expectation::Deny))
                    .unwrap_err()
                    .contains("expected a refusal, but granted")
            );
        }
    }

    #[test]
    fn a_condition_on_sub_under_claims_is_a_cause_by_its_name() {
        let mut spec = spec(vec![account("octo", vec![of("own", claims(identity("i"), json!({ "sub": "job" })))])]);
        spec.issuers = vec![issuer("own", "https://own.example")];
        let other = json!({ "iss": "https://own.example", "sub": "other", "aud": OURS });
        assert_eq!(run(&spec, &because(test(other, "octo", Expectation::Deny), "sub")), Ok(TestPassed::default()));
    }

    #[test]
    fn a_refusal_for_more_than_one_cause_is_doubtful() {
        let token = json!({ "preset": "github-actions", "event_name": "issue_comment", "repository_owner_id": "1", "aud": "x" });
        let passed = run(&octo(), &test(token, "octo-deploy", Expectation::Deny)).unwrap();
        let warning = passed.warning.unwrap();
        assert_eq!((warning.origin, warning.severity), (Origin(1), Severity::Warning));
        assert!(warning.message.contains("(`audience`, `environment`, `event_name`)"), "{}", warning.message);
    }

    fn signed_by(test: TestSpec, entry: &str) -> TestSpec {
        TestSpec { issuer: Some(at(entry.to_owned())), ..test }
    }

    /// Two clusters with the same `iss`, and one account for each.
    fn clusters() -> Spec {
        let entry_account = |entry: &str| {
            let pod = subject("pod", "system:serviceaccount:prod:deployer");
            account(&format!("of-{entry}"), vec![of(entry, pod)])
        };
        let mut spec = spec(vec![entry_account("a"), entry_account("b")]);
        let cluster =
            |name: &str| IssuerSpec { preset: Some(Preset::Kubernetes), ..issuer(name, "https://cluster.local") };
        spec.issuers = vec![cluster("a"), cluster("b"), issuer("github", GITHUB)];
        spec
    }

    #[test]
    fn fld05_a_test_names_the_entry_that_signed_where_entries_share_an_issuer() {
        let spec = clusters();
        let whole =
            json!({ "iss": "https://cluster.local", "sub": "system:serviceaccount:prod:deployer", "aud": OURS });
        let sample = json!({ "preset": "kubernetes" });
        let no_iss = json!({ "sub": "system:serviceaccount:prod:deployer", "aud": OURS });
        for token in [whole, sample, no_iss] {
            let of_a = || test(token.clone(), "of-a", grants("pod", &["create", "read"]));
            assert_eq!(run(&spec, &signed_by(of_a(), "a")), Ok(TestPassed::default()), "{token}");
            let verdict = run(&spec, &signed_by(of_a(), "b")).unwrap_err();
            assert!(verdict.starts_with("expected a grant, but refused"), "{verdict}");
            let crossed = || test(token.clone(), "of-b", Expectation::Deny);
            assert_eq!(run(&spec, &because(signed_by(crossed(), "a"), "issuer")), Ok(TestPassed::default()), "{token}");
            assert!(run(&spec, &signed_by(crossed(), "b")).unwrap_err().starts_with("expected a refusal, but granted"));
        }
    }

    #[test]
    fn fld05_a_test_that_names_no_entry_is_an_error_that_lists_those_that_share_the_issuer() {
        let mut spec = clusters();
        let whole = json!({ "iss": "https://cluster.local", "sub": "x", "aud": OURS });
        for token in [whole, json!({ "preset": "kubernetes" })] {
            let verdict = run_test(&rules(&spec), &spec, &test(token, "of-a", Expectation::Deny), NOW).unwrap_err();
            assert_eq!(verdict.message, "the issuer entries `a`, `b` share the `iss` `https://cluster.local`");
            assert!(verdict.help.unwrap().contains("`issuer: a`"));
        }
        let github = json!({ "preset": "github-actions" });
        for (entry, wanted) in [
            ("gihub", "there is no issuer entry `gihub`"),
            ("a", "issuer entry `a` has the preset `kubernetes`, not `github-actions`"),
        ] {
            let verdict = run(&spec, &signed_by(test(github.clone(), "of-a", Expectation::Deny), entry)).unwrap_err();
            assert_eq!(verdict, wanted);
        }
        let other = json!({ "iss": "https://other.example", "sub": "x" });
        let verdict = run(&spec, &signed_by(test(other, "of-a", Expectation::Deny), "b")).unwrap_err();
        assert!(
            verdict.contains("`https://other.example`") && verdict.contains("`https://cluster.local`"),
            "{verdict}"
        );
        // A disabled entry does not count.
        spec.issuers[1].enabled = false;
        let of_a = test(json!({ "preset": "kubernetes" }), "of-a", grants("pod", &["create", "read"]));
        assert_eq!(run(&spec, &of_a), Ok(TestPassed::default()));
    }

    #[test]
    fn a_wrong_expectation_is_said_with_what_came_out() {
        let token = || json!({ "preset": "github-actions" });
        let wrong_account = Expectation::Grant { account: Some(at("other".to_owned())), identity: None, scopes: None };
        for (spec_test, wanted) in [
            (
                test(token(), "octo-deploy", Expectation::Deny),
                "expected a refusal, but granted: account `octo-deploy` by identity `main branch`",
            ),
            (
                test(token(), "octo-deploy", grants("production", &["create", "read"])),
                "expected the identity `production`; granted:",
            ),
            (
                test(token(), "octo-deploy", grants("main branch", &["create", "read"])),
                "expected the scopes `create read`; granted:",
            ),
            (test(token(), "", wrong_account), "expected the account `other`; granted:"),
            (
                test(
                    json!({ "preset": "github-actions", "ref": "refs/heads/dev" }),
                    "octo-deploy",
                    grants("main branch", &["create"]),
                ),
                "expected a grant, but refused: not_authorized: account `octo-deploy`; the nearest identity is",
            ),
            (test(token(), "octo-deplo", Expectation::Deny), "there is no account `octo-deplo`"),
            (test(json!({ "preset": "github" }), "octo-deploy", Expectation::Deny), "there is no preset `github`"),
            (test(json!({ "preset": "gitlab" }), "octo-deploy", Expectation::Deny), "no issuer entry has such tokens"),
            (test(json!({ "sub": "x" }), "octo-deploy", Expectation::Deny), "the token has no `iss`"),
            (
                test(json!({ "iss": "https://x.example" }), "octo-deploy", Expectation::Deny),
                "no issuer entry has the `iss` `https://x.example`",
            ),
        ] {
            let message = run(&octo(), &spec_test).unwrap_err();
            assert!(message.starts_with(wanted), "wanted {wanted}, got {message}");
        }
    }

    #[test]
    fn c080_a_disabled_account_passes_no_test_that_expects_a_grant() {
        let mut spec = octo();
        spec.accounts[0] = AccountSpec { enabled: false, ..spec.accounts[0].clone() };
        let token = json!({ "preset": "github-actions" });
        assert!(run(&spec, &test(token.clone(), "octo-deploy", grants("main branch", &["create"]))).is_err());
        assert_eq!(
            run(&spec, &because(test(token, "octo-deploy", Expectation::Deny), "enabled")),
            Ok(TestPassed::default())
        );
    }
}
