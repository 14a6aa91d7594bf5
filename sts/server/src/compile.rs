//! Specs to what a server runs by. Rules come from two sources, files and managed objects: they are merged by name (files win),
//! compiled once, and put in force as one snapshot. `serve`, a reload, `sts check` and `sts explain` all come through [`compile`].

mod generation;
mod key_sets;
mod named_members;
mod overlaps;
mod policy_tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_config::{
    AbsentSecrets, Configuration, ConsoleProvider, CrateSpecs, Diagnostic, Diagnostics, KeysSpec, ObjectContext,
    ObjectSource, Outline, Place, Report, Secret, Settings, Severity, Sources, StoreAccess,
};
use sts_policy::{FaultyNames, Finding, RuleSet, Spec, TestSpec};
use sts_token::TrustSpec;
use sts_types::{Algorithm, ApiName, Digest256, ObjectRef};

pub(crate) use generation::generation;
pub(crate) use named_members::assign_more;
pub use overlaps::describe_overlaps;
pub use policy_tests::{guard, run_policy_tests};

/// What a server runs by.
pub struct Compiled {
    /// The settings of the server itself.
    pub settings: Settings,
    /// The compiled rules.
    pub rules: Arc<RuleSet>,
    /// Whether `rules` holds the configured rules. `names_alone` has none.
    pub has_rules: bool,
    /// The issuer entries for the key cache.
    pub keys: jwks_cache::Specs,
    /// The same issuer entries for token verification.
    pub trust: Vec<TrustSpec>,
    /// `signing_algorithm` of the APIs that set it. Each is one of `signing.algorithms`.
    pub api_signing: BTreeMap<ApiName, Algorithm>,
    /// Introspection secrets, by API.
    pub api_secrets: BTreeMap<ApiName, Secret>,
    /// The OpenID provider of the console.
    pub console: Option<Arc<ConsoleProvider>>,
    /// Name of the snapshot: 16 hexadecimal digits of a digest over both sources.
    pub generation: String,
    /// Digests by name, to log what a reload changes.
    pub outline: Outline,
    /// Every file that was read, to watch for changes.
    pub files: Vec<PathBuf>,
}

/// Prints the generation only: the rules are large, and beside them are secrets.
impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What was written. A server drops it before it serves: it is several times as large as the rules.
pub struct SourceDocuments {
    /// The spec that the rules were compiled from.
    pub policy: Spec,
    /// The policy tests of every file; see [`run_policy_tests`].
    pub tests: Vec<TestSpec>,
    sources: Sources,
}

/// Prints how much there is only.
impl fmt::Debug for SourceDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceDocuments").field("accounts", &self.policy.accounts.len()).finish_non_exhaustive()
    }
}

/// A configuration that compiled.
#[derive(Debug)]
pub struct Loaded {
    /// What a server runs by.
    pub compiled: Compiled,
    /// What that was made from.
    pub written: SourceDocuments,
    /// Findings that do not refuse the load.
    pub warnings: Diagnostics,
    /// What a change of managed objects is compiled beside.
    pub beside: Beside,
}

/// What of a load is kept to compile changes of managed objects.
#[derive(Debug)]
pub struct Beside {
    /// What the decoding of an object takes from the configuration.
    pub context: ObjectContext,
    /// The objects that files declare.
    pub declared: Vec<ObjectSource>,
    /// Managed objects that a file shadows.
    pub shadowed: Vec<ObjectRef>,
    /// Digest of the files.
    pub files: Digest256,
}

/// What a configuration is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve it.
    Serve,
    /// To check it where its secrets may be absent.
    Check(AbsentSecrets),
    /// To explain its decisions, never to serve: unsafe rules stay in, because the question is often
    /// about them. They are among the warnings.
    Explain,
}

impl Purpose {
    const fn absent_secrets(self) -> AbsentSecrets {
        match self {
            Self::Serve | Self::Explain => AbsentSecrets::Refuse,
            Self::Check(absent_secrets) => absent_secrets,
        }
    }

    fn is_refused_by(self, findings: &Diagnostics) -> bool {
        match self {
            Self::Serve | Self::Check(_) => findings.is_fatal(),
            Self::Explain => findings.exit_code() > 1,
        }
    }
}

/// Reads the configuration at `path` with all files that it names, and compiles it. Policy tests do
/// not run.
///
/// # Errors
/// All findings, not only the first. See [`Diagnostics::exit_code`].
pub fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    purpose: Purpose,
) -> Result<Loaded, Diagnostics> {
    load_with(path, environment, purpose, &[], None)
}

/// As [`load`], with managed objects beside the files, and the digest over them.
///
/// # Errors
/// As for [`load`].
pub fn load_with(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    purpose: Purpose,
    managed: &[ObjectSource],
    digest: Option<Digest256>,
) -> Result<Loaded, Diagnostics> {
    match sts_config::read_with(path, environment, purpose.absent_secrets(), managed) {
        (Some(configuration), report) => compile(configuration, digest, report, purpose),
        (None, report) => Err(report.finish().0),
    }
}

/// Compiles what the files and the managed objects say, beside the findings about their form. `managed`
/// is the digest over the managed objects, if there are any.
///
/// # Errors
/// All findings, in the order of the files, if one of them refuses the configuration.
pub fn compile(
    files: Configuration,
    managed: Option<Digest256>,
    mut report: Report,
    purpose: Purpose,
) -> Result<Loaded, Diagnostics> {
    let Configuration {
        settings,
        tokens,
        objects,
        tests,
        faulty,
        is_complete,
        digest,
        outline,
        files,
        declared,
        shadowed,
        context,
    } = files;
    let generation = generation(digest, managed);
    let beside = Beside { context, declared, shadowed, files: digest };
    let has_faulty_names = !faulty.is_empty();
    let CrateSpecs { policy, keys, trust, api_signing, api_secrets, console } =
        objects.into_specs(settings.issuer.clone(), tokens, settings.directory_names(), faulty);
    key_sets::check(&keys, &trust, purpose.absent_secrets(), &mut report);
    if let Some(console) = &console {
        key_sets::check_console(console, &mut report);
    }
    let rules = if is_complete { rules(&policy, &mut report) } else { None };
    let (findings, sources) = report.finish();
    // Findings about a faulty name are suppressed. That is safe only because the fault itself
    // refuses the load.
    debug_assert!(!has_faulty_names || findings.exit_code() > 1, "a name is faulty and no error says so");
    let Some(rules) = rules.filter(|_| !purpose.is_refused_by(&findings)) else { return Err(findings) };
    let mut keys = KeysSpec::specs(keys.into_iter().map(|(spec, _)| spec));
    named_members::assign(&mut keys, &policy);
    let rules = Arc::new(rules);
    let compiled = Compiled {
        settings,
        rules,
        has_rules: true,
        keys,
        trust,
        api_signing,
        api_secrets,
        console: console.map(Arc::new),
        generation,
        outline,
        files,
    };
    Ok(Loaded { compiled, written: SourceDocuments { policy, tests, sources }, warnings: findings, beside })
}

/// What opens a store without a server: settings, and rules under which nobody is granted anything,
/// which know the accounts by name. `None` if not even such rules compile.
pub(crate) fn names_alone(access: StoreAccess) -> Option<Compiled> {
    let StoreAccess { settings, tokens, accounts } = access;
    let spec = |accounts| Spec {
        issuer: settings.issuer.clone(),
        tokens: tokens.clone(),
        issuers: Vec::new(),
        apis: Vec::new(),
        directories: settings.directory_names(),
        teams: Vec::new(),
        accounts,
        console: None,
        faulty: FaultyNames::default(),
    };
    let compiled = RuleSet::compile(&spec(accounts)).or_else(|_| RuleSet::compile(&spec(Vec::new()))).ok()?;
    Some(Compiled {
        rules: Arc::new(compiled.rules),
        has_rules: false,
        keys: jwks_cache::Specs::default(),
        trust: Vec::new(),
        api_signing: BTreeMap::new(),
        api_secrets: BTreeMap::new(),
        console: None,
        generation: String::new(),
        outline: Outline::default(),
        files: Vec::new(),
        settings,
    })
}

/// Compiles the rules.
fn rules(spec: &Spec, report: &mut Report) -> Option<RuleSet> {
    // A thread of its own saves memory, because the allocator gives it another arena. The specs are
    // several times as large as the rules, and only a page without any rule can be returned with them.
    let thread = std::thread::Builder::new().name("rules".to_owned());
    let compiled = std::thread::scope(|threads| {
        match thread.spawn_scoped(threads, || RuleSet::compile_with_unsafe(spec)) {
            Ok(compiling) => compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // The system may refuse a new thread.
            Err(_) => RuleSet::compile_with_unsafe(spec),
        }
    });
    // An unsafe rule refuses the load by its finding. Only [`Purpose::Explain`] keeps such rules.
    let (rules, findings) = match compiled {
        Ok(compiled) => (Some(compiled.rules), compiled.warnings),
        Err(findings) => (None, findings),
    };
    add_new(report, findings);
    rules
}

/// Adds the findings of the rules at places that have none yet.
pub(crate) fn add_new(report: &mut Report, findings: Vec<Finding>) {
    let is_new = |finding: &Finding| {
        // A warning at the same place must not hide a finding that refuses the load.
        let refuses = finding.severity > sts_policy::Severity::Warning;
        !(if refuses { report.has_refusal_at(finding.origin) } else { report.has_finding_at(finding.origin) })
    };
    let new: Vec<Finding> = findings.into_iter().filter(is_new).collect();
    for finding in new {
        let place = report.place(finding.origin);
        report.push(diagnostic(finding, place));
    }
}

/// A finding of the rules among those of a configuration.
pub(crate) fn diagnostic(finding: Finding, place: Option<Place>) -> Diagnostic {
    let Finding { code, severity, message, help, witness, .. } = finding;
    Diagnostic { code, severity: severity_of(severity), place, message, help, witness }
}

/// The severity of a finding of the rules among those of a configuration.
pub(crate) const fn severity_of(severity: sts_policy::Severity) -> Severity {
    match severity {
        sts_policy::Severity::Error => Severity::Error,
        sts_policy::Severity::Unsafe => Severity::Unsafe,
        sts_policy::Severity::Warning => Severity::Warning,
    }
}
