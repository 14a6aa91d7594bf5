//! What the tests of a whole service share: its configuration, and an issuer with its keys.

#![allow(dead_code, reason = "each test binary uses its part of the support")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use sts_config::{AbsentSecrets, CrateSpecs};
use sts_jose::OsEntropy;
use sts_jose::VerifyingKey;
use sts_keyring::{KeyStoreSpec, Keyring, KeyringSpec};
use sts_policy::RuleSet;
use sts_service::{
    ApiSecret, Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeyUnavailable, KeysView, Parameters, RefusedError,
    Snapshot, TrustTable,
};
use sts_testkit::{LocalIssuer, ManualClock};
use sts_types::{Algorithm, ApiName, EntryName, Issuer, UnixTime, rfc};

pub(crate) const NOW: i64 = 1_790_000_060;
pub(crate) const ISSUER: &str = "https://issuer.example";

/// `REPLAY` stands for members of the issuer entry.
pub(crate) const CONFIG: &str = r#"
issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
tokens: { copy_claims: [run_id] }
issuers:
  ci: { issuer: "https://issuer.example", REPLAY jwks_url: "https://issuer.example/keys" }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: [read, write] }
  other: { audience: "https://other.example.com", scopes: [read] }
service_accounts:
  octo:
    grants: { deploy: [read, write] }
    identities:
      - { name: main, issuer: ci, subject: "job:main" }
"#;

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixTime::from_secs(NOW)))
}

/// The issuer of [`CONFIG`].
pub(crate) fn issuer() -> LocalIssuer {
    LocalIssuer::new(json!({
        "iss": ISSUER, "sub": "job:main", "aud": "https://sts.example.com", "run_id": "42",
        "iat": NOW - 60, "exp": NOW + 240,
    }))
}

/// The one key of an issuer.
pub(crate) struct FakeKeys {
    key: Arc<VerifyingKey>,
    clock: Arc<ManualClock>,
    /// Whether the issuer does not answer.
    pub(crate) unavailable: AtomicBool,
    pub(crate) withdrawn: AtomicBool,
    /// How long a look-up takes.
    pub(crate) takes_millis: AtomicU64,
}

impl FakeKeys {
    pub(crate) fn of(issuer: &LocalIssuer, clock: &Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            key: issuer.verifying_key(),
            clock: Arc::clone(clock),
            unavailable: AtomicBool::new(false),
            withdrawn: AtomicBool::new(false),
            takes_millis: AtomicU64::new(0),
        })
    }
}

impl IssuerKeys for FakeKeys {
    fn cached(&self, asked: KeyQuestion<'_>) -> Option<Candidates> {
        self.clock.advance(Duration::from_millis(self.takes_millis.load(Ordering::Relaxed)));
        let fits = asked.kid == self.key.kid() && asked.algorithm == self.key.algorithm();
        let is_there = !self.withdrawn.load(Ordering::Relaxed) && !self.unavailable.load(Ordering::Relaxed);
        (fits && is_there).then(|| vec![Arc::clone(&self.key)])
    }

    fn find<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer> {
        let wait = KeyUnavailable { retry_after: Duration::from_secs(7) };
        let is_unavailable = self.unavailable.load(Ordering::Relaxed);
        async move { if is_unavailable { KeyAnswer::Unavailable(wait) } else { KeyAnswer::Unknown } }.boxed()
    }

    fn signature_failed<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>> {
        async { None }.boxed()
    }

    fn verified(&self, _: KeyQuestion<'_>) {}

    fn view(&self, _: &EntryName, _: &Issuer) -> Option<KeysView> {
        None
    }
}

pub(crate) fn keyring(directory: &Path, now: UnixTime) -> Keyring {
    Keyring::in_directory(keyring_spec(), &directory.join("keys"), &OsEntropy, now).unwrap()
}

pub(crate) fn keyring_spec() -> KeyringSpec {
    KeyringSpec {
        store: KeyStoreSpec::Directory("keys".into()),
        device: None,
        algorithms: vec![Algorithm::ES256],
        rotate_every: None,
        max_ttl: 3600,
    }
}

/// The snapshot of that configuration, which is written into the directory.
pub(crate) fn snapshot(directory: &Path, config: &str, keys: Arc<dyn IssuerKeys>) -> Snapshot {
    let path = directory.join("sts.yaml");
    std::fs::write(&path, config).unwrap();
    let (configuration, report) = sts_config::read(&path, &|_| None, AbsentSecrets::Refuse);
    let configuration = configuration.unwrap_or_else(|| panic!("{}", report.finish().0.render(false)));
    let (settings, digest) = (configuration.settings.clone(), configuration.digest);
    let CrateSpecs { policy, trust, .. } = configuration.into_specs();
    let rules = RuleSet::compile(&policy).unwrap_or_else(|findings| panic!("{findings:?}")).rules;
    Snapshot {
        remembered: Arc::default(),
        generation: digest.to_hex(),
        issuer: settings.issuer.clone(),
        rules: Arc::new(rules),
        trust: Arc::new(TrustTable::new(trust)),
        keys,
        status_list: settings.status_list,
        cap_to_subject: settings.cap_to_subject,
        max_ttl: 3600,
        signing: HashMap::new(),
        secrets: HashMap::from([(ApiName::new("deploy").unwrap(), ApiSecret::new(b"secret of deploy"))]),
        log_claims: false,
        api_keys: Arc::default(),
        api_keys_enabled: true,
        api_key_limits: sts_service::ApiKeyLimits::default(),
        memberships: Arc::new(sts_policy::NoDirectory),
        has_rules: true,
        lacks_objects: false,
    }
}

/// A request to exchange `token`.
pub(crate) fn exchange_parameters(token: &str, more: &[(&str, &str)]) -> Result<Parameters<'static>, RefusedError> {
    let base = [
        ("grant_type", rfc::GRANT_TOKEN_EXCHANGE),
        ("subject_token_type", rfc::TOKEN_TYPE_JWT),
        ("subject_token", token),
    ];
    let own = |text: &str| text.to_owned().into();
    Parameters::new(base.iter().chain(more).map(|(name, value)| (own(name), own(value))).collect())
}
