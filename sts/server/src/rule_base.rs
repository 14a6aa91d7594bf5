//! What is in force, and the two ways to change it: the files and the managed objects. Both compile
//! here and swap one snapshot. Whoever prepares a candidate holds the lock of managed objects until it
//! is installed, so that neither way undoes the other.

mod draft;
mod incremental;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jwks_cache::JwksCache;
use rustls::sign::CertifiedKey;
use sts_audit::{ConfigurationFinding, LoadTrigger};
use sts_config::{Diagnostic, Diagnostics, ObjectSource, Place, Settings};
use sts_policy::{Memberships, RuleSet, TestSpec};
use sts_service::manage::{
    Candidate, Declared, FindingPlace, HeldObject, InstallRules, ObjectFinding, ObjectRules, PreparedRules, key_of,
    rule_kind,
};
use sts_service::{ApiKeys, Snapshot};
use sts_store::{ObjectKey, ObjectKind};
use sts_types::{Digest256, ObjectRef};

use crate::app_state::AppState;
use crate::certificate::public_host;
use crate::compile::{Beside, Compiled, Loaded, SourceDocuments};
use crate::components::{console_sign_in, snapshot};
use crate::directories;
use crate::http::{BindError, ServedCertificate, leaf_problems, read_certificate};
use crate::openid_provider::ConsoleSignIn;
use crate::reload::{fixed_at_start, load_with, needs_restart, tell_changes};

/// Managed objects by key.
pub(crate) type Managed = BTreeMap<ObjectKey, Arc<HeldObject>>;

/// The certificates that the listeners show.
pub(crate) struct Certificates {
    pub(crate) public: Option<Arc<ServedCertificate>>,
    pub(crate) admin: Option<Arc<ServedCertificate>>,
}

impl Certificates {
    /// Each certificate with the name of its listener.
    pub(crate) fn by_listener(&self) -> Vec<(&'static str, Arc<ServedCertificate>)> {
        let named = [("public", &self.public), ("admin", &self.admin)];
        named.into_iter().filter_map(|(name, served)| Some((name, Arc::clone(served.as_ref()?)))).collect()
    }
}

/// A listener's setting, what it serves, and the certificate to serve from now on.
type RenewedCertificate = (&'static str, Arc<ServedCertificate>, CertifiedKey);

/// What is in force.
pub(crate) struct RuleBase {
    config: PathBuf,
    state: Arc<AppState>,
    certificates: Certificates,
    in_force: Mutex<InForce>,
    /// Snapshots that are no longer in force, kept until no request holds them, so that they are freed
    /// off the request path.
    retired: Mutex<Vec<Arc<Snapshot>>>,
}

/// The configuration in force and what a change is compiled beside.
struct InForce {
    compiled: Compiled,
    base: Arc<Base>,
    /// The managed objects in force.
    managed: Arc<Managed>,
}

/// What the last load of files left behind.
struct Base {
    beside: Beside,
    declared: Arc<BTreeMap<ObjectKey, Declared>>,
    tests: Arc<Vec<TestSpec>>,
}

impl Base {
    fn new(mut beside: Beside, tests: Vec<TestSpec>) -> Self {
        let declared = std::mem::take(&mut beside.declared).into_iter().filter_map(|source| {
            let (file, line) = source.file?;
            Some((key_of(&source.object), Declared { file, line, spec: source.spec }))
        });
        Self { beside, declared: Arc::new(declared.collect()), tests: Arc::new(tests) }
    }
}

/// Why a candidate is not put in force.
pub(crate) enum Refusal {
    Findings(Diagnostics),
    Other(String),
}

impl Refusal {
    /// For the log.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Findings(findings) => format!("\n{}", findings.render(false)),
            Self::Other(text) => text.clone(),
        }
    }

    /// For the audit trail, without any line of a file.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Findings(_) => "the configuration has errors".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }

    /// The findings that refuse the load.
    pub(crate) fn audit_findings(&self) -> Vec<ConfigurationFinding> {
        let Self::Findings(findings) = self else { return Vec::new() };
        let refusing = findings.iter().filter(|own| !matches!(own.severity.name(), "warning" | "note"));
        refusing
            .map(|own| ConfigurationFinding {
                severity: own.severity.name().to_owned(),
                code: own.code.as_str().to_owned(),
                message: own.message.clone(),
                place: own.place.as_ref().map(|place| match place {
                    Place::Object(pointer) => pointer.to_string(),
                    Place::File(at) => format!("{}:{}:{}", at.file.display(), at.line, at.column),
                }),
            })
            .collect()
    }

    fn findings(self) -> Vec<ObjectFinding> {
        match self {
            Self::Findings(findings) => object_findings(&findings),
            Self::Other(message) => vec![ObjectFinding {
                code: sts_types::CheckCode::NeverInForce,
                severity: "error",
                place: None,
                message,
                help: None,
                witness: None,
            }],
        }
    }
}

/// A whole load that may be put in force.
struct WholeLoad {
    compiled: Compiled,
    base: Base,
    managed: Arc<Managed>,
    warnings: Diagnostics,
    issuers: JwksCache,
    openid: Option<Arc<ConsoleSignIn>>,
    renewed: Vec<RenewedCertificate>,
}

impl RuleBase {
    /// `loaded` is in force already, without managed objects.
    pub(crate) fn new(config: PathBuf, loaded: Loaded, state: Arc<AppState>, certificates: Certificates) -> Self {
        let Loaded { compiled, written, beside, .. } = loaded;
        let SourceDocuments { tests, .. } = written;
        let base = Arc::new(Base::new(beside, tests));
        let in_force = Mutex::new(InForce { compiled, base, managed: Arc::default() });
        Self { config, state, certificates, in_force, retired: Mutex::default() }
    }

    pub(crate) fn state(&self) -> &AppState {
        &self.state
    }

    /// Every file that takes part.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.in_force().compiled.files.clone()
    }

    pub(crate) fn generation(&self) -> String {
        self.in_force().compiled.generation.clone()
    }

    /// Frees snapshots that no request holds. To free a large policy takes longer than a request may.
    pub(crate) fn free_retired(&self) {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).retain(|old| Arc::strong_count(old) > 1);
    }

    /// Puts the files as they are now in force, beside the managed objects. The files must stand
    /// alone as well: they never depend on an object that somebody may delete.
    pub(crate) fn reload(&self, trigger: LoadTrigger) -> Result<(), Refusal> {
        let managed = Arc::clone(&self.in_force().managed);
        if !managed.is_empty() {
            self.load(&Arc::default(), None)?;
        }
        let digest = Candidate { objects: Arc::clone(&managed), changed: None }.digest();
        let load = self.load(&managed, digest)?;
        if load.compiled.generation != self.in_force().compiled.generation {
            let keys = Arc::clone(&self.state.service.snapshot().api_keys);
            self.install(load, keys, &[], trigger);
        }
        // A reload confirms the groups as they are now.
        self.state.directories.confirm_groups();
        Ok(())
    }

    /// Loads the files and `managed`, and checks that they can take the place of what is in force.
    fn load(&self, managed: &Arc<Managed>, digest: Option<Digest256>) -> Result<WholeLoad, Refusal> {
        let now = self.state.service.clock().now();
        let loaded = load_with(&self.config, now, &sources(managed), digest).map_err(Refusal::Findings)?;
        let Loaded { compiled, written, warnings, beside } = loaded;
        let SourceDocuments { policy, tests, .. } = written;
        drop(policy);
        let settings = &compiled.settings;
        if let Some(key) = fixed_at_start(&self.in_force().compiled.settings, settings) {
            return Err(Refusal::Other(format!("`{key}` takes effect at a restart only")));
        }
        let issuers = self
            .state
            .issuers
            .borrow()
            .with_entries(compiled.keys.clone())
            .map_err(|errors| Refusal::Findings(Diagnostics::of_entries(errors)))?;
        let openid = console_sign_in(&compiled, &self.state.service).map_err(Refusal::Findings)?;
        let renewed = self.renewed_certificates(settings).map_err(|error| {
            Refusal::Other(match error.code() {
                Some(code) => format!("{error} (rule: {code})"),
                None => error.to_string(),
            })
        })?;
        let host = public_host(settings);
        for (listener, _, certificate) in &renewed {
            let host = host.as_deref().filter(|_| *listener == "listen");
            if let Some(problem) = leaf_problems(certificate, now, host).first() {
                return Err(Refusal::Other(format!(
                    "the new certificate of `{listener}` {problem}; {} (rule: {})",
                    problem.help(),
                    problem.code()
                )));
            }
        }
        // Written before the load is in force, because what puts it in force cannot fail. If it is
        // never put in force, retired keys are published longer than they must be.
        let keyring = self.state.service.keyring();
        keyring.raise_longest_life(settings.keyring.max_ttl).map_err(|error| Refusal::Other(error.to_string()))?;
        let base = Base::new(beside, tests);
        Ok(WholeLoad { compiled, base, managed: Arc::clone(managed), warnings, issuers, openid, renewed })
    }

    /// Puts a load in force.
    fn install(&self, load: WholeLoad, keys: Arc<ApiKeys>, changed: &[ObjectKey], trigger: LoadTrigger) {
        let WholeLoad { compiled, base, managed, warnings, issuers, openid, renewed } = load;
        let settings = &compiled.settings;
        let mut in_force = self.in_force();
        for key in needs_restart(&in_force.compiled.settings, settings) {
            tracing::warn!(key, "the configuration is reloaded, but for this key: it takes effect at a restart");
        }
        let mut certificates = Vec::new();
        for (listener, served, certificate) in renewed {
            certificates.push(listener);
            served.replace(certificate);
        }
        self.state.metrics.put_entries(compiled.trust.iter().map(|trust| &trust.entry));
        let current = self.state.service.snapshot();
        let fresh = Snapshot {
            api_keys: keys,
            lacks_objects: current.lacks_objects,
            memberships: Arc::clone(&current.memberships),
            ..snapshot(&compiled, issuers.clone(), self.state.traces.as_ref())
        };
        drop(current);
        let old = self.state.service.swap(fresh);
        self.state.issuers.send_replace(issuers);
        self.state.directories.reconfigure(directories::spec(settings, &compiled.rules));
        self.state.openid.store(openid);
        // Only after it is true. A change of managed objects may take in an edit of the files that no
        // reload has seen yet.
        if changed.is_empty() || base.beside.files != in_force.base.beside.files {
            let both = (&in_force.compiled, &compiled);
            tell_changes(&self.state.audit, both, trigger, &certificates, &warnings);
        }
        if !changed.is_empty() {
            log_managed(&compiled.generation, changed);
        }
        let shadowed = |base: &Base| base.beside.shadowed.clone();
        let before = shadowed(&in_force.base);
        for object in shadowed(&base).iter().filter(|object| !before.contains(object)) {
            tracing::warn!(%object, "a managed object is not in force: a file declares an object of this kind and name");
        }
        *in_force = InForce { compiled, base: Arc::new(base), managed };
        drop(in_force);
        self.retire(old);
    }

    /// Sets whether there may be managed objects that were not read yet. The caller holds the lock of
    /// managed objects, or serves no request yet.
    pub(crate) fn set_lacks_objects(&self, lacks_objects: bool) {
        let current = self.state.service.snapshot();
        if current.lacks_objects != lacks_objects {
            let old = self.state.service.swap(Snapshot { lacks_objects, ..(*current).clone() });
            drop(current);
            self.retire(old);
        }
    }

    fn retire(&self, old: Arc<Snapshot>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|old| Arc::strong_count(old) > 1);
        retired.push(old);
    }

    /// The certificates that differ from those the listeners show.
    fn renewed_certificates(&self, settings: &Settings) -> Result<Vec<RenewedCertificate>, BindError> {
        let listeners = [
            ("listen", &self.certificates.public, &settings.tls),
            ("admin.listen", &self.certificates.admin, &settings.admin.tls),
        ];
        let mut renewed = Vec::new();
        for (listener, served, files) in listeners {
            let (Some(served), Some(files)) = (served, files) else { continue };
            let certificate = read_certificate(files)?;
            if !served.serves(&certificate) {
                renewed.push((listener, Arc::clone(served), certificate));
            }
        }
        Ok(renewed)
    }

    /// Held for moments only, and never by a request for a token.
    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rules of a server, as the engine of managed objects sees them.
pub(crate) struct ServerRules(pub(crate) Arc<RuleBase>);

impl ObjectRules for ServerRules {
    fn prepare(&self, candidate: &Candidate) -> Result<PreparedRules, Vec<ObjectFinding>> {
        let is_small = |key: &ObjectKey| matches!(key.kind, ObjectKind::Teams | ObjectKind::ServiceAccounts);
        if let Some(changed) = &candidate.changed
            && changed.iter().all(is_small)
        {
            return incremental::prepare(&self.0, candidate, changed);
        }
        let load = self.0.load(&candidate.objects, candidate.digest()).map_err(Refusal::findings)?;
        let changed = candidate.changed.clone().unwrap_or_else(|| candidate.objects.keys().cloned().collect());
        let of_change = |finding: &ObjectFinding| finding.object().is_some_and(|own| changed.contains(&key_of(own)));
        let is_first = candidate.changed.is_none();
        Ok(PreparedRules {
            rules: Arc::clone(&load.compiled.rules),
            warnings: object_findings(&load.warnings).into_iter().filter(|own| is_first || of_change(own)).collect(),
            shadowed: load.base.beside.shadowed.iter().map(key_of).collect(),
            install: Box::new(InstallWhole { base: Arc::clone(&self.0), load, changed }),
        })
    }

    fn install_keys(&self, keys: Arc<ApiKeys>) {
        let current = self.0.state.service.snapshot();
        let old = self.0.state.service.swap(Snapshot { api_keys: keys, ..(*current).clone() });
        drop(current);
        self.0.retire(old);
    }

    fn objects_are_read(&self) {
        self.0.set_lacks_objects(false);
    }

    fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.0.state.service.snapshot().rules)
    }

    fn managed_kinds(&self) -> Vec<ObjectKind> {
        let kinds = self.0.in_force().compiled.settings.managed_kinds.clone();
        ObjectKind::ALL.into_iter().filter(|kind| rule_kind(*kind).is_some_and(|kind| kinds.contains(&kind))).collect()
    }

    fn declared(&self) -> Arc<BTreeMap<ObjectKey, Declared>> {
        Arc::clone(&self.0.in_force().base.declared)
    }

    fn memberships(&self) -> Arc<dyn Memberships> {
        Arc::clone(&self.0.state.service.snapshot().memberships)
    }

    fn tests(&self) -> Arc<Vec<TestSpec>> {
        Arc::clone(&self.0.in_force().base.tests)
    }
}

struct InstallWhole {
    base: Arc<RuleBase>,
    load: WholeLoad,
    changed: Vec<ObjectKey>,
}

impl InstallRules for InstallWhole {
    fn install(self: Box<Self>, keys: Arc<ApiKeys>) {
        let Self { base, load, changed } = *self;
        base.install(load, keys, &changed, LoadTrigger::Objects);
    }
}

/// Managed objects as the decoder reads them.
fn sources(managed: &Managed) -> Vec<ObjectSource> {
    managed.iter().filter_map(|(key, held)| source(key, held)).collect()
}

fn source(key: &ObjectKey, held: &HeldObject) -> Option<ObjectSource> {
    let object = ObjectRef { kind: rule_kind(key.kind)?, name: key.name.clone() };
    Some(ObjectSource { object, spec: Arc::clone(&held.spec), file: None })
}

fn declared_source(key: &ObjectKey, declared: &Declared) -> Option<ObjectSource> {
    let object = ObjectRef { kind: rule_kind(key.kind)?, name: key.name.clone() };
    let file = Some((Arc::clone(&declared.file), declared.line));
    Some(ObjectSource { object, spec: Arc::clone(&declared.spec), file })
}

/// Findings as the engine knows them.
pub(crate) fn object_findings(findings: &Diagnostics) -> Vec<ObjectFinding> {
    findings.iter().map(object_finding).collect()
}

fn object_finding(finding: &Diagnostic) -> ObjectFinding {
    let place = finding.place.as_ref().map(|place| match place {
        Place::Object(pointer) => FindingPlace::Object(pointer.clone()),
        Place::File(location) => {
            FindingPlace::File { file: location.file.clone(), line: location.line, column: location.column }
        }
    });
    ObjectFinding {
        code: finding.code,
        severity: finding.severity.name(),
        place,
        message: finding.message.clone(),
        help: finding.help.clone(),
        witness: finding.witness.clone(),
    }
}

/// Logs a change of managed objects.
fn log_managed(generation: &str, changed: &[ObjectKey]) {
    const MOST: usize = 20;
    let names: BTreeSet<String> = changed
        .iter()
        .take(MOST)
        .map(|key| format!("{}/{}", rule_kind(key.kind).map_or("", |kind| kind.name()), key.name))
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    tracing::info!(generation, count = changed.len(), objects = %names.join(", "), "managed objects changed");
}

#[cfg(test)]
mod tests;
