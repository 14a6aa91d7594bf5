//! Builders of short policies for tests.

use serde_json::{Value, json};
use sts_claims::ClaimSet;
use sts_types::{
    AccountId, AccountName, ApiName, Audience, EntryName, IdentityName, Issuer, Lifetime, Located, Origin, Scope,
    TeamName, UnixTime,
};

use crate::*;

pub(crate) const OURS: &str = "https://sts.example.com";
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
pub(crate) const GITHUB: &str = "https://token.actions.githubusercontent.com";
pub(crate) const UUID: &str = "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11";

pub(crate) fn at<T>(value: T) -> Located<T> {
    Located::nowhere(value)
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn life(seconds: u32) -> Lifetime {
    Lifetime::from_secs(seconds).unwrap()
}

pub(crate) fn scopes(list: &[&str]) -> Vec<Located<Scope>> {
    list.iter().map(|scope| at(Scope::new(scope).unwrap())).collect()
}

/// A policy with the issuer entry `github`, the API `deploy` with three scopes, and the API `logs`
/// with none.
pub(crate) fn spec(accounts: Vec<AccountSpec>) -> Spec {
    Spec {
        issuer: Issuer::new(OURS).unwrap(),
        tokens: TokensSpec {
            ttl: at(life(900)),
            max_ttl: at(life(3600)),
            require_account: false,
            ignore_scopes: vec![Scope::new("https://www.googleapis.com/auth/cloud-platform").unwrap()],
            copy_claims: vec![],
        },
        issuers: vec![issuer("github", GITHUB)],
        apis: vec![api("deploy", &["create", "read", "delete"]), api("logs", &[])],
        directories: vec![],
        teams: vec![],
        accounts,
        console: None,
        faulty: crate::FaultyNames::default(),
    }
}

pub(crate) fn issuer(name: &str, url: &str) -> IssuerSpec {
    let known = KnownIssuer::of_url(url);
    let preset = Preset::for_issuer(url);
    let defaults = preset.map(Preset::defaults).unwrap_or_default();
    IssuerSpec {
        name: at(EntryName::new(name).unwrap()),
        issuer: at(Issuer::new(url).unwrap().into()),
        preset,
        preset_source: if preset.is_some() { PresetSource::Url } else { PresetSource::Unsaid },
        known,
        shared: defaults.shared || Preset::shared_by_url(url),
        shared_written: false,
        owner_claims: vec![],
        public: url.starts_with("https://"),
        audience: vec![],
        sole_audience: defaults.sole_audience,
        replay: Replay::Allow,
        enabled: true,
    }
}

pub(crate) fn api(name: &str, declared: &[&str]) -> ApiSpec {
    ApiSpec {
        name: at(ApiName::new(name).unwrap()),
        audience: at(Audience::new(&format!("https://{name}.example.com")).unwrap()),
        display_name: None,
        scopes: scopes(declared),
    }
}

pub(crate) fn grant(api: &str, granted: &[&str]) -> GrantSpec {
    GrantSpec { api: at(api.to_owned()), scopes: scopes(granted) }
}

pub(crate) fn team(name: &str, grants: Vec<GrantSpec>) -> TeamSpec {
    TeamSpec { name: at(TeamName::new(name).unwrap()), display_name: None, grants, external_groups: vec![] }
}

/// A team with these grants. Each of these groups makes an account a member.
pub(crate) fn external(name: &str, grants: Vec<GrantSpec>, groups: Vec<ExternalGroupSpec>) -> TeamSpec {
    TeamSpec { external_groups: groups, ..team(name, grants) }
}

/// A group of the directory `corp`. Its key is its name in lower case.
pub(crate) fn directory_group(group: &str) -> ExternalGroupSpec {
    let (directory, key) = (at("corp".to_owned()), group.to_lowercase().into());
    ExternalGroupSpec::Directory { directory, group: at(group.to_owned()), key }
}

pub(crate) fn token_group(issuer: &str, claim: &str, value: &str) -> ExternalGroupSpec {
    let [issuer, claim, value] = [issuer, claim, value].map(|text| at(text.to_owned()));
    ExternalGroupSpec::Token { issuer, claim, value }
}

/// `account` with a login in the directory `corp`.
pub(crate) fn with_login(account: AccountSpec, login: &str) -> AccountSpec {
    let (directory, name) = (at("corp".to_owned()), at(login.to_owned()));
    let external_login = Some(ExternalLoginSpec { directory, name, key: login.to_lowercase() });
    AccountSpec { external_login, ..account }
}

/// `spec` with the directory `corp`.
pub(crate) fn with_directory(spec: Spec) -> Spec {
    Spec { directories: vec![at(sts_types::DirectoryName::new("corp").unwrap())], ..spec }
}

/// An account with a grant of `create` and `read` for `deploy`.
pub(crate) fn account(name: &str, identities: Vec<IdentitySpec>) -> AccountSpec {
    AccountSpec {
        name: at(AccountName::new(name).unwrap()),
        id: None,
        display_name: None,
        enabled: true,
        teams: vec![],
        grants: vec![grant("deploy", &["create", "read"])],
        default_api: None,
        ttl: None,
        not_before: None,
        not_after: None,
        require_proof: false,
        actors: vec![],
        external_login: None,
        identities,
    }
}

pub(crate) fn with_id(account: AccountSpec, id: &str) -> AccountSpec {
    AccountSpec { id: Some(at(AccountId::new(id).unwrap())), ..account }
}

/// An identity of the entry `github` without conditions.
pub(crate) fn identity(name: &str) -> IdentitySpec {
    IdentitySpec {
        origin: Origin::NONE,
        name: IdentityName::new(name).unwrap(),
        issuers: vec![at("github".to_owned())],
        subject: None,
        audience: vec![],
        claims: vec![],
        short_rule: None,
        scopes: None,
        grants: None,
        ttl: None,
        copy_claims: vec![],
        replay: None,
        enabled: true,
        not_before: None,
        not_after: None,
        allow_broad: None,
    }
}

pub(crate) fn subject(name: &str, pattern: &str) -> IdentitySpec {
    IdentitySpec { subject: Some(at(pattern.to_owned())), ..identity(name) }
}

pub(crate) fn of(issuer: &str, identity: IdentitySpec) -> IdentitySpec {
    IdentitySpec { issuers: vec![at(issuer.to_owned())], ..identity }
}

/// `claims:` as JSON: a scalar, a list, or the long form.
pub(crate) fn claims(identity: IdentitySpec, claims: Value) -> IdentitySpec {
    IdentitySpec { claims: members(claims), ..identity }
}

pub(crate) fn short(identity: IdentitySpec, key: &str, rule: Value) -> IdentitySpec {
    IdentitySpec { short_rule: Some(ShortRuleSpec { key: at(key.to_owned()), members: members(rule) }), ..identity }
}

fn members(value: Value) -> Vec<(Located<String>, ConditionSpec)> {
    let Value::Object(members) = value else { panic!("an object") };
    members.into_iter().map(|(name, value)| (at(name), condition(&value))).collect()
}

fn condition(value: &Value) -> ConditionSpec {
    match value {
        Value::Array(list) => ConditionSpec::AnyOf(list.iter().map(scalar).collect()),
        Value::Object(object) => {
            let list = |name: &str| object.get(name).map(|list| list.as_array().unwrap().iter().map(scalar).collect());
            ConditionSpec::Object(Box::new(ConditionObject {
                any_of: list("any_of"),
                all_of: list("all_of"),
                none_of: list("none_of"),
                regex: object.get("regex").map(|text| at(text.as_str().unwrap().to_owned())),
                present: object.get("present").map(|present| at(present.as_bool().unwrap())),
                or_absent: object.get("or_absent") == Some(&json!(true)),
            }))
        }
        one => ConditionSpec::Scalar(scalar(one)),
    }
}

fn scalar(value: &Value) -> Located<ScalarSpec> {
    at(match value {
        Value::String(text) => ScalarSpec::Text(text.clone()),
        Value::Number(number) => ScalarSpec::Number(number.clone()),
        Value::Bool(value) => ScalarSpec::Bool(*value),
        _ => panic!("a scalar"),
    })
}

pub(crate) fn rules(spec: &Spec) -> RuleSet {
    RuleSet::compile(spec).unwrap_or_else(|findings| panic!("{findings:#?}")).rules
}

/// Every finding of the compiler, as `severity: message / help`.
pub(crate) fn findings(spec: &Spec) -> Vec<String> {
    let all = RuleSet::compile(spec).map_or_else(|findings| findings, |compiled| compiled.warnings);
    all.into_iter()
        .map(|finding| format!("{:?}: {} / {}", finding.severity, finding.message, finding.help.unwrap_or_default()))
        .collect()
}

/// The claims of a typical GitHub token for us, with `changes` applied. `null` makes a claim count
/// as absent.
pub(crate) fn token(changes: Value) -> ClaimSet {
    let mut claims = Preset::GithubActions.sample();
    claims.insert("aud".to_owned(), OURS.into());
    let Value::Object(changes) = changes else { panic!("an object") };
    claims.extend(changes);
    claims.into()
}

pub(crate) fn entry(name: &str) -> EntryName {
    EntryName::new(name).unwrap()
}

/// A request that names `audience` and `scope`.
pub(crate) fn ask(rules: &RuleSet, audience: &[&str], scope: &str) -> Requested {
    rules
        .resolve(&RequestedNames { audience: &words(audience), scope: Some(scope), ..RequestedNames::default() })
        .unwrap()
}

/// Decides with and without a trace, checks that both agree, and returns the outcome in short:
/// identity and scopes, or the refusal.
pub(crate) fn outcome(rules: &RuleSet, claims: &ClaimSet, requested: &Requested) -> String {
    outcome_of(rules, "github", claims, requested)
}

pub(crate) fn outcome_of(rules: &RuleSet, of: &str, claims: &ClaimSet, requested: &Requested) -> String {
    let entry = entry(of);
    let facts = Facts { entry: &entry, claims, now: NOW, memberships: &NoDirectory };
    let in_short = |outcome: Outcome| match outcome {
        Outcome::Granted(grant) => {
            format!("{}/{}: {} [{}]", grant.account.name, grant.identity.unwrap(), grant.api, grant.scopes)
        }
        Outcome::Refused(refusal) => format!("{refusal:?}"),
    };
    let decided = in_short(rules.decide(facts, requested));
    let Decision { outcome, trace } = rules.explain(facts, requested);
    let matched = trace.iter().any(|identity| identity.matched);
    let covers = |identity: &IdentityTrace| identity.covers == Some(true);
    match &outcome {
        Outcome::Granted(_) => {
            let decider = trace.iter().position(covers);
            assert!(
                decider.is_some() && decider == trace.len().checked_sub(1),
                "the first that covers decides: {trace:#?}"
            );
        }
        Outcome::Refused(Refusal::NoIdentityMatched) if !rules.require_account => assert!(!matched, "{trace:#?}"),
        Outcome::Refused(Refusal::TargetNotGranted | Refusal::TargetRequired | Refusal::ScopeNotGranted) => {
            assert!(matched && !trace.iter().any(covers), "{trace:#?}");
        }
        Outcome::Refused(_) => {}
    }
    assert_eq!(decided, in_short(outcome));
    decided
}
