//! One configuration for every case, with the part that is wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use sts_claims::ClaimSet;
use sts_config::{AbsentSecrets, CrateSpecs};
use sts_policy::{Preset, RequestedNames, RuleSet};
use sts_service::{
    Candidates, Explanation, IssuerKeys, KeyAnswer, KeyQuestion, KeyUnavailable, KeysView, Presented, Snapshot,
    TrustTable,
};
use sts_testkit::ManualClock;
use sts_types::{EntryName, Issuer, UnixTime};

/// When everything is judged, by default a minute after the samples were issued.
pub(crate) const NOW: i64 = 1_790_000_060;

pub(crate) const CONFIG: &str = r#"
issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
issuers:
  github: { issuer: "https://token.actions.githubusercontent.com" }
  gitlab: { issuer: "https://gitlab.com" }
  cluster: { issuer: "https://kubernetes.default.svc.cluster.local", preset: kubernetes, jwks_url: "https://keys.example/k" }
  entra: { issuer: "https://login.microsoftonline.com/33333333-4444-4555-8666-777777777777/v2.0", audience: "api://sts" }
  terraform: { issuer: "https://app.terraform.io" }
  circleci: { issuer: "https://oidc.circleci.com/org/c9035eb6-6eb2-4c85-8a81-d9ed6a1d1d1e" }
  buildkite: { issuer: "https://agent.buildkite.com" }
  google: { issuer: "https://accounts.google.com" }
  spire: { issuer: "https://oidc-discovery.octo.example", preset: spiffe }
  ci: { issuer: "https://ci.example/", jwks_url: "https://ci.example/keys", max_token_age: 10m, replay: once }
  MORE
  off: { issuer: "https://off.example", jwks_url: "https://off.example/keys", enabled: false }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: [read, write] }
  billing: { audience: "https://billing.example.com/v1", scopes: ["invoices:read"] }
teams:
  deployers: { grants: { deploy: [read, write] } }
service_accounts:
  octo-deploy: { teams: [deployers], ACCOUNT identities: [ IDENTITY ] }
  two: { teams: [deployers], grants: { billing: ["invoices:read"] }, identities: [ { name: own, issuer: ci, subject: "svc:two" } ] }
  twin: { teams: [deployers], identities: [ { name: own, issuer: ci, subject: "svc:two" } ] }
"#;

/// One mistake.
pub(crate) struct Case {
    /// The identity of `octo-deploy`.
    pub(crate) identity: &'static str,
    /// More keys of `octo-deploy`.
    pub(crate) account: &'static str,
    /// The platform whose typical token is presented.
    pub(crate) preset: &'static str,
    /// What is different about it; `null` removes a claim.
    pub(crate) claims: Value,
    pub(crate) audience: &'static [&'static str],
    pub(crate) resource: &'static [&'static str],
    pub(crate) scope: &'static str,
    /// More issuer entries.
    pub(crate) issuers: &'static str,
    /// The entry whose key would have signed, where several share the `iss`.
    pub(crate) entry: Option<&'static str>,
    /// What the first line has.
    pub(crate) wants: &'static [&'static str],
}

/// A case with the usual request.
pub(crate) fn case(
    identity: &'static str,
    preset: &'static str,
    claims: Value,
    wants: &'static [&'static str],
) -> Case {
    Case {
        identity,
        account: "",
        preset,
        claims,
        audience: &["octo-deploy"],
        resource: &[],
        scope: "",
        issuers: "",
        entry: None,
        wants,
    }
}

/// Asserts that the first line of each explanation says what it should.
pub(crate) fn assert_all(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for case in &cases {
        let explanation = case.explained();
        let line = explanation.summary.clone();
        let missing: Vec<_> = case.wants.iter().filter(|want| !line.contains(**want)).collect();
        let diagnosis = explanation.diagnosis.unwrap_or_else(|| panic!("granted: {} {}", case.identity, case.claims));
        let whole = diagnosis.claim.is_some() && diagnosis.actual.is_some() && diagnosis.expected.is_some();
        let starts = line.starts_with(&format!("refused: {}: ", diagnosis.reason));
        if !missing.is_empty() || !whole || !starts || diagnosis.fix.is_none() || line.contains('\n') {
            wrong.push(format!(
                "{} {}\n  missing {missing:?}, fix {:?}\n  {line}",
                case.identity, case.claims, diagnosis.fix
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

impl Case {
    pub(crate) fn explained(&self) -> Explanation {
        let identity = if self.identity.is_empty() {
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\" }"
        } else {
            self.identity
        };
        let config =
            CONFIG.replace("IDENTITY", identity).replace("ACCOUNT", self.account).replace("MORE", self.issuers);
        let snapshot = snapshot(&config, Vec::new());
        let mut claims = Preset::from_name(self.preset).map(Preset::sample).unwrap_or_else(bare);
        if self.preset != "azure" {
            claims.insert("aud".to_owned(), json!("https://sts.example.com"));
        } else {
            claims.insert("aud".to_owned(), json!("api://sts"));
        }
        for (name, value) in self.claims.as_object().unwrap() {
            if value.is_null() {
                claims.remove(name)
            } else {
                claims.insert(name.clone(), value.clone())
            };
        }
        let (audience, resource) = (words(self.audience), words(self.resource));
        let asked = RequestedNames {
            audience: &audience,
            resource: &resource,
            scope: Some(self.scope),
            ..RequestedNames::default()
        };
        let claims: ClaimSet = claims.into();
        explain(&snapshot, Presented::Claims { claims, entry: self.entry }, &asked)
    }
}

/// Claims of the entry `ci`.
pub(crate) fn bare() -> Map<String, Value> {
    let claims =
        json!({ "iss": "https://ci.example/", "sub": "svc:octo", "iat": NOW - 60, "exp": NOW + 600, "jti": "j" });
    claims.as_object().unwrap().clone()
}

pub(crate) fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn explain(snapshot: &Snapshot, presented: Presented<'_>, asked: &RequestedNames<'_>) -> Explanation {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime
        .block_on(sts_service::explain(snapshot, &ManualClock::at(UnixTime::from_secs(NOW)), presented, asked, None))
        .unwrap()
}

/// The configuration of the cases, with one sound identity.
pub(crate) fn sound(keys: Option<KeysView>) -> Snapshot {
    let identity = "{ issuer: ci, subject: \"svc:octo\" }";
    let config = CONFIG.replace("IDENTITY", identity).replace("ACCOUNT", "").replace("MORE", "");
    snapshot(&config, keys.map(|view| ("ci", view)).into_iter().collect())
}

/// The same with more issuer entries, and keys by entry.
pub(crate) fn sound_with(issuers: &str, keys: Vec<(&'static str, KeysView)>) -> Snapshot {
    let identity = "{ issuer: ci, subject: \"svc:octo\" }";
    snapshot(&CONFIG.replace("IDENTITY", identity).replace("ACCOUNT", "").replace("MORE", issuers), keys)
}

pub(crate) fn snapshot(config: &str, keys: Vec<(&'static str, KeysView)>) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sts.yaml");
    std::fs::write(&path, config).unwrap();
    let (configuration, report) = sts_config::read(&path, &|_| None, AbsentSecrets::Refuse);
    let (findings, _) = report.finish();
    assert!(
        !findings.is_fatal(),
        "{}
{config}",
        findings.render(false)
    );
    let CrateSpecs { policy, trust, .. } = configuration.unwrap().into_specs();
    let issuer = policy.issuer.clone();
    let rules = RuleSet::compile_with_unsafe(&policy)
        .unwrap_or_else(|findings| {
            panic!(
                "{findings:?}
{config}"
            )
        })
        .rules;
    Snapshot {
        remembered: Arc::default(),
        generation: String::new(),
        issuer,
        rules: Arc::new(rules),
        trust: Arc::new(TrustTable::new(trust)),
        keys: Arc::new(Keys(keys)),
        status_list: false,
        cap_to_subject: false,
        max_ttl: 3600,
        signing: HashMap::new(),
        secrets: HashMap::new(),
        log_claims: false,
        api_keys: Arc::default(),
        api_keys_enabled: true,
        api_key_limits: sts_service::ApiKeyLimits::default(),
        memberships: Arc::new(sts_policy::NoDirectory),
        has_rules: true,
        lacks_objects: false,
    }
}

/// Keys that are known of and verify nothing, by entry.
struct Keys(Vec<(&'static str, KeysView)>);

impl IssuerKeys for Keys {
    fn cached(&self, _: KeyQuestion<'_>) -> Option<Candidates> {
        None
    }

    fn find<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer> {
        let unavailable = self.0.iter().any(|(_, view)| view.last_error.is_some());
        async move {
            if unavailable {
                KeyAnswer::Unavailable(KeyUnavailable { retry_after: Duration::from_secs(5) })
            } else {
                KeyAnswer::Unknown
            }
        }
        .boxed()
    }

    fn signature_failed<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>> {
        async { None }.boxed()
    }

    fn verified(&self, _: KeyQuestion<'_>) {}

    fn view(&self, entry: &EntryName, _: &Issuer) -> Option<KeysView> {
        self.0.iter().find(|(name, _)| *name == entry.as_str()).map(|(_, view)| view.clone())
    }
}
