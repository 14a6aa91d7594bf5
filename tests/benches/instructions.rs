//! Instructions of the parts of an exchange, counted by callgrind: repeatable on a busy machine, so that CI can hold them to what is
//! committed (`tests/benches/instructions.tsv`) and fail at a tenth more.
//!
//! `cargo bench -p sts-service --bench instructions` measures and compares; `STS_BLESS=1` before it writes the file. What the signatures
//! themselves take is measured too and taken off: it differs from processor to processor, and is not ours to change.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints what it measured, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use futures_util::FutureExt as _;
use sts_config::{AbsentSecrets, CrateSpecs};
use sts_jose::{Algorithm, OsEntropy, Signer as _, SigningKey, VerifyingKey};
use sts_keyring::{KeyStoreSpec, Keyring, KeyringSpec};
use sts_policy::{NoDirectory, Requested, RequestedNames, RuleSet};
use sts_service::Parameters;
use sts_store::contract::{AlertLog, ManualClock};
use sts_store::{Ledger as _, TokenRecord};
use sts_store_embedded::EmbeddedLedger;
use sts_token::{MintContext, TrustSpec, UnverifiedToken, VerifiedClaims, VerifiedTokenCache};
use sts_types::{Issuer, Jti, RequestId, UnixTime};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/benches/instructions.tsv");
/// A count may be so much more than what is committed.
const TOLERATED: f64 = 1.10;
const NOW: UnixTime = UnixTime::from_secs(1_790_000_060);
const WARM: usize = 20;
const COUNTED: usize = 100;

/// What is counted, and what of it is a signature's.
const STEPS: [(&str, Option<&str>); 7] = [
    (VERIFY_SIGNATURE, None),
    (SIGN, None),
    ("read the form", None),
    ("verify a fresh token", Some(VERIFY_SIGNATURE)),
    ("verify a token that came before", None),
    ("decide", None),
    ("decide and mint", Some(SIGN)),
];
/// Counted last, since it keeps a store.
const RECORD: &str = "record (embedded)";
const VERIFY_SIGNATURE: &str = "RS256 verification alone";
const SIGN: &str = "ES256 signature alone";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--serve") {
        serve();
        return ExitCode::SUCCESS;
    }
    let counts = count();
    let text = counts.iter().fold(String::new(), |mut text, (name, count)| {
        writeln!(text, "{name}\t{count:.0}").unwrap();
        text
    });
    println!("{text}");
    if std::env::var_os("STS_BLESS").is_some() {
        std::fs::write(BASELINE, text).unwrap();
        return ExitCode::SUCCESS;
    }
    compare(&counts)
}

fn compare(counts: &BTreeMap<String, f64>) -> ExitCode {
    let committed = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let committed: BTreeMap<&str, f64> = committed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, count)| (name, count.parse().unwrap()))
        .collect();
    let mut code = ExitCode::SUCCESS;
    for (name, count) in counts.iter().filter(|(name, _)| ![VERIFY_SIGNATURE, SIGN].contains(&name.as_str())) {
        match committed.get(name.as_str()) {
            Some(before) if *count <= before * TOLERATED => {}
            Some(before) => {
                eprintln!(
                    "{name}: {count:.0} instructions, {:+.1} % of the {before:.0} committed",
                    (count / before - 1.0) * 100.0
                );
                code = ExitCode::FAILURE;
            }
            None => {
                eprintln!("{name} is not in {BASELINE}: run with STS_BLESS=1");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Instructions for one of each step.
fn count() -> BTreeMap<String, f64> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("counts");
    let mut child = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--instr-atstart=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("valgrind: {error}"));
    let pid = child.id().to_string();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut input = child.stdin.take().unwrap();
    let mut run = |step: &str, times: usize| {
        writeln!(input, "{times} {step}").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "done", "{step}");
    };
    let control = |argument: &str| {
        let done = Command::new("callgrind_control").args([argument, &pid]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    // Prepared without being counted.
    run(SIGN, 1);
    control("--instr=on");
    let mut totals = BTreeMap::new();
    for (at, step) in STEPS.iter().map(|(step, _)| *step).chain([RECORD]).enumerate() {
        run(step, WARM);
        control("--zero");
        run(step, COUNTED);
        control("--dump");
        let dump = std::fs::read_to_string(out.with_extension((at + 1).to_string())).unwrap();
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        totals.insert(step.to_owned(), total.trim().parse::<f64>().unwrap() / COUNTED as f64);
    }
    drop(input);
    child.wait().unwrap();
    let signatures: BTreeMap<_, _> =
        STEPS.iter().filter_map(|(step, part)| Some(((*step).to_owned(), *totals.get((*part)?)?))).collect();
    totals.into_iter().map(|(step, total)| (step.clone(), total - signatures.get(&step).unwrap_or(&0.0))).collect()
}

/// Runs the steps that standard input names.
fn serve() {
    let mut exchange = Exchange::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (times, step) = line.split_once(' ').unwrap();
        for _ in 0..times.parse::<usize>().unwrap() {
            exchange.step(step);
        }
        println!("done");
    }
}

/// Everything that an exchange needs.
struct Exchange {
    issuer: Issuer,
    generation: String,
    rules: RuleSet,
    trust: Arc<TrustSpec>,
    requested: Requested,
    body: String,
    token: String,
    issuer_key: Arc<VerifyingKey>,
    remembered: VerifiedTokenCache,
    keyring: Keyring,
    signing_key: SigningKey,
    ledger: EmbeddedLedger,
    runtime: tokio::runtime::Runtime,
    record: TokenRecord,
    recorded: u64,
    request_id: RequestId,
    _directory: tempfile::TempDir,
}

impl Exchange {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signing = SigningKey::generate(Algorithm::RS256).unwrap();
        let path = directory.path().join("sts.yaml");
        std::fs::write(&path, config(signing.public_jwk())).unwrap();
        let (configuration, report) = sts_config::read(&path, &|_| None, AbsentSecrets::Refuse);
        let configuration = configuration.unwrap_or_else(|| panic!("{}", report.finish().0.render(false)));
        let generation = configuration.digest.to_hex().chars().take(16).collect();
        let CrateSpecs { policy, trust, .. } = configuration.into_specs();
        let rules = RuleSet::compile(&policy).unwrap().rules;
        let token = sts_jose::sign_compact(&signing, "JWT", CLAIMS.as_bytes()).unwrap();
        let asked = RequestedNames {
            audience: &["octo-deploy".to_owned()],
            resource: &["https://deploy.example.com".to_owned()],
            scope: Some("deployments:create"),
            client_id: None,
            client_is_account: false,
            lifetime: None,
        };
        let requested = rules.resolve(&asked).unwrap();
        let keys = directory.path().join("keys");
        let keyring = KeyringSpec {
            store: KeyStoreSpec::Directory(keys.clone()),
            device: None,
            algorithms: vec![Algorithm::ES256],
            rotate_every: None,
            max_ttl: 3600,
        };
        let keyring = Keyring::in_directory(keyring, &keys, &OsEntropy, NOW).unwrap();
        let seal = Arc::new(keyring.seal());
        let store = directory.path().join("store.redb");
        let ledger =
            EmbeddedLedger::open(&store, seal, Arc::new(ManualClock::default()), Arc::new(AlertLog::default()))
                .unwrap();
        let mut exchange = Self {
            requested,
            body: form(&token),
            token,
            issuer_key: Arc::new(signing.verifying_key()),
            remembered: VerifiedTokenCache::default(),
            keyring,
            signing_key: SigningKey::generate(Algorithm::ES256).unwrap(),
            ledger,
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            record: sts_store::contract::record("jti", "octo-deploy"),
            recorded: 0,
            request_id: RequestId::new("01J00000000000000000000000").unwrap(),
            issuer: policy.issuer,
            generation,
            rules,
            trust: Arc::new(trust.into_iter().next().unwrap()),
            _directory: directory,
        };
        let (token, verified) = (exchange.token.clone(), exchange.verify());
        exchange.remembered.remember(&token, &verified);
        exchange.remembered.remember(&token, &verified);
        exchange.record = exchange.mint().record().clone();
        exchange
    }

    fn step(&mut self, step: &str) {
        match step {
            VERIFY_SIGNATURE => {
                let jws = sts_jose::CompactJws::parse(&self.token).unwrap();
                jws.verify(&self.issuer_key).unwrap();
            }
            SIGN => {
                drop(self.keyring.signer(Algorithm::ES256, NOW).unwrap());
                self.signing_key.sign_now(CLAIMS.as_bytes()).unwrap();
            }
            "read the form" => {
                assert!(Parameters::from_form(self.body.as_bytes()).is_ok_and(|read| read.has("subject_token")));
            }
            "verify a fresh token" => drop(self.verify()),
            "verify a token that came before" => drop(self.remembered()),
            "decide" => {
                let verified = self.remembered();
                let decided = self.rules.decide(verified.facts(&NoDirectory, NOW), &self.requested);
                assert!(matches!(decided, sts_policy::Outcome::Granted(_)));
            }
            "decide and mint" => drop(self.mint()),
            RECORD => {
                self.recorded += 1;
                let jti = Jti::new(&format!("{:027}", self.recorded)).unwrap();
                let record = TokenRecord { jti, ..self.record.clone() };
                self.runtime.block_on(self.ledger.issue(record, vec![])).unwrap();
            }
            other => panic!("no such step: {other}"),
        }
    }

    fn verify(&self) -> VerifiedClaims {
        let trust = Arc::clone(&self.trust);
        let token = UnverifiedToken::parse(&self.token).unwrap();
        token.check_kind(std::slice::from_ref(&trust)).unwrap();
        let signed = token.check_signature(&[(trust, Arc::clone(&self.issuer_key))]);
        let Ok(signed) = signed else { panic!("the signature does not verify") };
        signed.validate(NOW).unwrap()
    }

    fn remembered(&self) -> VerifiedClaims {
        self.remembered.find(&self.token).unwrap().validate(NOW).unwrap()
    }

    fn mint(&self) -> sts_token::MintedToken {
        let authorized = self.remembered().authorize(&self.rules, &NoDirectory, &self.requested, NOW);
        let Ok(authorized) = authorized else { panic!("not authorized") };
        let signer = self.keyring.signer(Algorithm::ES256, NOW).unwrap();
        let minted = authorized
            .mint(&MintContext {
                issuer: &self.issuer,
                signer: &*signer,
                entropy: &OsEntropy,
                shard: None,
                now_millis: u64::try_from(NOW.as_secs()).unwrap() * 1000,
                cap_to_subject: false,
                status: None,
                generation: &self.generation,
                request_id: &self.request_id,
            })
            .now_or_never();
        minted.unwrap().unwrap()
    }
}

fn form(token: &str) -> String {
    format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}&audience=octo-deploy&\
         resource=https%3A%2F%2Fdeploy.example.com&scope=deployments%3Acreate"
    )
}

/// A GitHub Actions job's.
const CLAIMS: &str = concat!(
    r#"{"jti":"8d3a2f61-5f0e-4c58-9f1b-1c4e7a90b2d3","sub":"repo:octo-org/octo-repo:ref:refs/heads/main","aud":"https://sts.example.com","#,
    r#""ref":"refs/heads/main","sha":"5c9c1d4a0f7b4e2a9d3b6f8e1c2a4b6d8f0e1a2b","repository":"octo-org/octo-repo","#,
    r#""repository_owner":"octo-org","repository_owner_id":"65","run_id":"30433642","run_number":"10","run_attempt":"2","#,
    r#""repository_visibility":"private","repository_id":"74","actor_id":"12","actor":"octocat","workflow":"deploy","head_ref":"","#,
    r#""base_ref":"","event_name":"push","ref_protected":"true","ref_type":"branch","#,
    r#""workflow_ref":"octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main","#,
    r#""job_workflow_ref":"octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main","#,
    r#""runner_environment":"github-hosted","iss":"https://token.actions.githubusercontent.com","#,
    r#""nbf":1789999760,"exp":1790000360,"iat":1790000060}"#
);

fn config(jwk: &serde_json::Value) -> String {
    let environments = (1..10).fold(String::new(), |mut text, number| {
        writeln!(text, "      - {{ name: env{number}, issuer: github, github: {{ repository: octo-org/octo-repo, repository_id: 74, environment: env{number} }} }}").unwrap();
        text
    });
    format!(
        r#"
issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
issuers:
  github: {{ issuer: "https://token.actions.githubusercontent.com", jwks: {{ "keys": [{jwk}] }} }}
apis:
  deploy: {{ audience: "https://deploy.example.com", scopes: ["deployments:create", "releases:read"] }}
service_accounts:
  octo-deploy:
    grants: {{ deploy: ["deployments:create", "releases:read"] }}
    identities:
{environments}      - {{ name: main, issuer: github, github: {{ repository: octo-org/octo-repo, repository_id: 74, ref: refs/heads/main }} }}
"#
    )
}
