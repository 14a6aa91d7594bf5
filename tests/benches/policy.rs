//! What a decision costs in policies of 10 to 1,000,000 identities, when no account is named: `cargo bench -p sts-policy`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot prepare its case has nothing to measure")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use divan::{Bencher, black_box};
use serde_json::json;
use sts_claims::ClaimSet;
use sts_policy::{
    AccountSpec, ApiSpec, ConditionSpec, Facts, GrantSpec, IdentitySpec, IssuerSpec, KnownIssuer, NoDirectory, Preset,
    PresetSource, Replay, RequestedNames, RuleSet, ScalarSpec, Spec, TokensSpec,
};
use sts_types::{
    AccountName, ApiName, Audience, EntryName, IdentityName, Issuer, Lifetime, Located, Origin, Scope, UnixTime,
};

const SIZES: [usize; 3] = [10, 1_000, 1_000_000];
const SAMPLES: u32 = 5_000;
/// Workloads that present tokens at a time.
const BUSY: usize = 200;
const OURS: &str = "https://sts.example.com";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn main() {
    divan::main();
}

/// How the identities of a policy are written; each is of a repository of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// `subject: repo:octo-org/rN:ref:refs/heads/main`
    Exact,
    /// `claims: { repository_id: "N", environment: production }`
    Claim,
    /// `subject: repo:octo-org/rN:ref:refs/heads/**`
    Pattern,
    /// Patterns that begin alike and of which every one is tried: `repo:octo-org/*-N:**`
    SharedPrefix,
}

fn at<T>(value: T) -> Located<T> {
    Located::nowhere(value)
}

fn text(value: &str) -> ScalarSpec {
    ScalarSpec::Text(value.to_owned())
}

fn identity(kind: Kind, n: usize) -> IdentitySpec {
    let subject = match kind {
        Kind::Exact => Some(format!("repo:octo-org/r{n}:ref:refs/heads/main")),
        Kind::Pattern => Some(format!("repo:octo-org/r{n}:ref:refs/heads/**")),
        Kind::SharedPrefix => Some(format!("repo:octo-org/*-{n}:**")),
        Kind::Claim => None,
    };
    let claims = match kind {
        Kind::Claim => vec![("repository_id", n.to_string()), ("environment", "production".to_owned())],
        Kind::Exact | Kind::Pattern | Kind::SharedPrefix => vec![("repository_owner_id", "65".to_owned())],
    };
    IdentitySpec {
        origin: Origin::NONE,
        name: IdentityName::new("i").expect("a name"),
        issuers: vec![at("github".to_owned())],
        subject: subject.map(at),
        audience: vec![],
        claims: claims
            .into_iter()
            .map(|(name, value)| (at(name.to_owned()), ConditionSpec::Scalar(at(text(&value)))))
            .collect(),
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

fn account(kind: Kind, n: usize) -> AccountSpec {
    AccountSpec {
        name: at(AccountName::new(&format!("a{n}")).expect("a name")),
        id: None,
        display_name: None,
        enabled: true,
        teams: vec![],
        grants: vec![GrantSpec {
            api: at("deploy".to_owned()),
            scopes: vec![at(Scope::new("read").expect("a scope"))],
        }],
        default_api: None,
        ttl: None,
        not_before: None,
        not_after: None,
        require_proof: false,
        actors: vec![],
        external_login: None,
        identities: vec![identity(kind, n)],
    }
}

fn spec(kind: Kind, identities: usize) -> Spec {
    Spec {
        issuer: Issuer::new(OURS).expect("an issuer"),
        tokens: TokensSpec {
            ttl: at(Lifetime::from_secs(900).expect("a lifetime")),
            max_ttl: at(Lifetime::from_secs(3600).expect("a lifetime")),
            require_account: false,
            ignore_scopes: vec![],
            copy_claims: vec![],
        },
        issuers: vec![IssuerSpec {
            name: at(EntryName::new("github").expect("a name")),
            issuer: at(Issuer::new(GITHUB).expect("an issuer").into()),
            preset: Some(Preset::GithubActions),
            preset_source: PresetSource::Url,
            known: KnownIssuer::of_url(GITHUB),
            shared: true,
            shared_written: false,
            owner_claims: vec![],
            public: true,
            audience: vec![],
            sole_audience: true,
            replay: Replay::Allow,
            enabled: true,
        }],
        apis: vec![ApiSpec {
            name: at(ApiName::new("deploy").expect("a name")),
            audience: at(Audience::new("https://deploy.example.com").expect("an audience")),
            display_name: None,
            scopes: vec![at(Scope::new("read").expect("a scope"))],
        }],
        directories: vec![],
        teams: vec![],
        accounts: (0..identities).map(|n| account(kind, n)).collect(),
        console: None,
        faulty: Default::default(),
    }
}

/// Compiled once for all cases of it.
fn rules(kind: Kind, identities: usize) -> Arc<RuleSet> {
    type Known = Mutex<HashMap<(Kind, usize), Arc<RuleSet>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Known::default).lock().expect("a lock");
    let compile = || Arc::new(RuleSet::compile(&spec(kind, identities)).expect("sound rules").rules);
    Arc::clone(known.entry((kind, identities)).or_insert_with(compile))
}

/// A token of repository `n`, which one identity matches.
fn token(kind: Kind, n: usize) -> ClaimSet {
    let mut claims = Preset::GithubActions.sample();
    let name = if kind == Kind::SharedPrefix { format!("octo-org/r-{n}") } else { format!("octo-org/r{n}") };
    for (claim, value) in [
        ("aud", OURS),
        ("sub", &format!("repo:{name}:ref:refs/heads/main")),
        ("repository", &name),
        ("repository_id", &n.to_string()),
        ("repository_owner_id", "65"),
        ("environment", "production"),
    ] {
        claims.insert(claim.to_owned(), json!(value));
    }
    claims.into()
}

/// Each decision is on a token just made, of one of `busy` identities that take turns. They lie all over the policy.
fn decide(bencher: Bencher<'_, '_>, kind: Kind, identities: usize, busy: usize) {
    const STRIDE: usize = 7_919;
    let rules = rules(kind, identities);
    let entry = EntryName::new("github").expect("a name");
    let requested = rules.resolve(&RequestedNames::default()).expect("a request");
    let now = UnixTime::from_secs(1_790_000_000);
    let decide = |claims: &ClaimSet| {
        let outcome =
            rules.decide(Facts { entry: &entry, claims, now, memberships: &NoDirectory }, black_box(&requested));
        assert!(matches!(outcome, sts_policy::Outcome::Granted(_)));
        outcome
    };
    let mut turns = (0..busy).map(|turn| turn * STRIDE % identities).cycle();
    let mut next = || token(kind, turns.next().expect("a turn"));
    for _ in 0..busy.min(2_000) {
        decide(&next());
    }
    bencher.with_inputs(next).bench_local_refs(|claims| decide(claims));
}

#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn exact_subject(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, Kind::Exact, identities, BUSY);
}

#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn exact_claim(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, Kind::Claim, identities, BUSY);
}

#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn pattern(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, Kind::Pattern, identities, BUSY);
}

/// Every identity is new, so that of a large policy nothing that tells identities apart is in the processor's caches: what
/// differs is the time that memory takes.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn exact_subject_never_seen(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, Kind::Exact, identities, usize::MAX / 10_000);
}

/// The worst case: every pattern begins alike, and each is tried.
#[divan::bench(args = [10, 1_000], sample_count = SAMPLES / 10, sample_size = 1)]
fn patterns_that_share_a_prefix(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, Kind::SharedPrefix, identities, BUSY);
}

/// A refusal with its trace.
#[divan::bench(args = SIZES)]
fn explain_a_refusal(bencher: Bencher<'_, '_>, identities: usize) {
    let rules = rules(Kind::Exact, identities);
    let entry = EntryName::new("github").expect("a name");
    let requested = rules.resolve(&RequestedNames::default()).expect("a request");
    let claims = token(Kind::Exact, identities + 1);
    let now = UnixTime::from_secs(1_790_000_000);
    bencher.bench_local(|| {
        rules.explain(Facts { entry: &entry, claims: &claims, now, memberships: &NoDirectory }, black_box(&requested))
    });
}

#[divan::bench(args = [1_000, 100_000], sample_count = 3)]
fn compile(bencher: Bencher<'_, '_>, identities: usize) {
    let spec = spec(Kind::Pattern, identities);
    bencher.bench_local(|| RuleSet::compile(&spec).expect("sound rules"));
}
