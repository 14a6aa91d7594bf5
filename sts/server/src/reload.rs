//! Reload on SIGHUP and on file change: all or nothing. On any error the old snapshot goes on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::{Map, Value, json};
use sts_audit::{Actor, ConfigurationLoaded, ConfigurationRefused, LoadTrigger, Trail};
use sts_config::{AbsentSecrets, Changes, Diagnostics, NameChanges, ObjectSource, Settings};
use sts_keyring::KeyringSpec;
use sts_policy::AccountChanges;
use sts_types::{Digest256, UnixTime};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tracing::field::display;

use crate::compile::{self, Compiled, Loaded, Purpose};
use crate::rule_base::{Refusal, RuleBase};
use crate::service_manager::ServiceManager;

/// File changes come in bursts: what is read after this much quiet is one change.
const QUIET: Duration = Duration::from_millis(200);
/// Longest wait for quiet: a directory in which something is always written has none.
const SETTLED: Duration = Duration::from_millis(600);
/// Interval at which the files are looked at without an event. Some file systems have none, and a link leads to where nobody watches.
const LOOK: Duration = Duration::from_secs(1);
/// Looks after which a refused configuration is tried again even if no known file changed: a file that it names may have come.
const LOOKS_TO_RETRY: u32 = 5;

/// Loads a configuration and runs its policy tests; warnings are what is left when nothing is wrong.
pub(crate) fn load(config: &Path, now: UnixTime) -> Result<Loaded, Diagnostics> {
    tested(load_untested(config)?, now)
}

/// Loads a configuration with managed objects beside it, and runs its policy tests.
pub(crate) fn load_with(
    config: &Path,
    now: UnixTime,
    managed: &[ObjectSource],
    digest: Option<Digest256>,
) -> Result<Loaded, Diagnostics> {
    tested(compile::load_with(config, &environment, Purpose::Serve, managed, digest)?, now)
}

/// Loads a configuration whose decisions are to be explained: policy tests that fail and rules that are unsafe are among its
/// warnings.
pub(crate) fn load_to_explain(config: &Path, now: UnixTime) -> Result<Loaded, Diagnostics> {
    let mut loaded = compile::load(config, &environment, Purpose::Explain)?;
    let tests = compile::run_policy_tests(&loaded, now);
    loaded.warnings.extend(tests);
    compile::guard(&mut loaded, now);
    Ok(loaded)
}

/// Loads a configuration and does not run its policy tests.
pub(crate) fn load_untested(config: &Path) -> Result<Loaded, Diagnostics> {
    compile::load(config, &environment, Purpose::Serve)
}

#[expect(clippy::disallowed_methods, reason = "the composition root reads the environment and passes it in")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Loads a configuration for a check, and runs its policy tests.
pub(crate) fn load_to_check(
    config: &Path,
    now: UnixTime,
    absent_secrets: AbsentSecrets,
) -> Result<Loaded, Diagnostics> {
    tested(compile::load(config, &environment, Purpose::Check(absent_secrets))?, now)
}

fn tested(mut loaded: Loaded, now: UnixTime) -> Result<Loaded, Diagnostics> {
    let tests = compile::run_policy_tests(&loaded, now);
    let failed = tests.is_fatal();
    loaded.warnings.extend(tests);
    if failed {
        return Err(loaded.warnings);
    }
    compile::guard(&mut loaded, now);
    Ok(loaded)
}

/// Watches the files, and puts them in force when they change.
pub(crate) struct Reload {
    base: Arc<RuleBase>,
    /// Held while a candidate is prepared and installed. Changes of managed objects hold it, too.
    lock: Arc<tokio::sync::Mutex<()>>,
    seen: Fingerprint,
    glanced: Fingerprint,
    /// Why the files as they are now were refused, as it was logged.
    refused: Option<String>,
    looks_since_refusal: u32,
    manager: ServiceManager,
}

/// What the system tells of files that take part, and of those that might: length, inode, times of change. Other files live
/// in these directories too, logs among them, and must not cause a reload.
type Fingerprint = BTreeMap<PathBuf, FileState>;

#[derive(Debug, PartialEq, Eq)]
struct FileState {
    length: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Why the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReloadTrigger {
    /// SIGHUP.
    Asked,
    /// The system told of a change in one of the directories.
    Told,
    /// It is time to look.
    Due,
}

impl From<ReloadTrigger> for LoadTrigger {
    fn from(trigger: ReloadTrigger) -> Self {
        match trigger {
            ReloadTrigger::Asked => Self::Signal,
            ReloadTrigger::Told | ReloadTrigger::Due => Self::Files,
        }
    }
}

impl Reload {
    pub(crate) fn new(base: Arc<RuleBase>, lock: Arc<tokio::sync::Mutex<()>>) -> Self {
        let mut reload = Self {
            base,
            lock,
            seen: Fingerprint::new(),
            glanced: Fingerprint::new(),
            refused: None,
            looks_since_refusal: 0,
            manager: ServiceManager::default(),
        };
        reload.glanced = reload.glance();
        reload.seen = reload.fingerprint();
        reload
    }

    /// Tells `manager` of each reload from now on.
    pub(crate) fn report_to(&mut self, manager: ServiceManager) {
        self.manager = manager;
    }

    /// Reloads if it is asked to, or if a file that takes part, or one of the same kind beside it, is other than it was at the
    /// last attempt.
    fn run(&mut self, cause: ReloadTrigger) {
        self.base.free_retired();
        if cause == ReloadTrigger::Asked || self.is_changed(cause) {
            self.reload(cause);
        }
    }

    fn is_changed(&mut self, cause: ReloadTrigger) -> bool {
        if cause == ReloadTrigger::Due && self.refused.is_some() {
            self.looks_since_refusal += 1;
            if self.looks_since_refusal >= LOOKS_TO_RETRY {
                return true;
            }
        }
        // A listing costs more where there are many other files.
        let glanced = self.glance();
        let is_same = glanced == self.glanced;
        self.glanced = glanced;
        !(is_same && cause == ReloadTrigger::Due) && self.fingerprint() != self.seen
    }

    /// Puts the files as they are now in force, or says why not, in the log and to whoever watches the metrics.
    fn reload(&mut self, cause: ReloadTrigger) {
        if cause == ReloadTrigger::Asked {
            self.manager.reloading();
        }
        self.glanced = self.glance();
        self.seen = self.fingerprint();
        self.looks_since_refusal = 0;
        let before = self.base.generation();
        match self.put_in_force(cause) {
            Ok(()) if self.refused.take().is_some() && self.base.generation() == before => {
                tracing::info!(generation = %before, "the files are well again: they say what is in force");
            }
            Ok(()) if cause == ReloadTrigger::Asked && self.base.generation() == before => {
                tracing::info!(generation = %before, "the files were read again as SIGHUP asks, and nothing has changed");
            }
            Ok(()) => {}
            Err(refusal) => {
                let why = refusal.text();
                // What was said of a refusal that goes on need not be said every few seconds.
                if cause == ReloadTrigger::Asked || self.refused.as_ref() != Some(&why) {
                    tracing::error!(generation = %self.base.generation(), "the configuration was not reloaded, the old one goes on: {why}");
                    self.record_refusal(cause, &refusal);
                }
                self.refused = Some(why);
            }
        }
        let state = self.base.state();
        state.metrics.configuration(self.refused.is_none(), state.service.clock().now());
        self.manager.ready(&match self.refused {
            None => format!("configuration {} is in force", self.base.generation()),
            Some(_) => format!("the files do not load, see the log; configuration {} goes on", self.base.generation()),
        });
    }

    /// The error says why something else stays in force.
    fn put_in_force(&self, cause: ReloadTrigger) -> Result<(), Refusal> {
        // This runs on a thread for blocking work.
        let _guard = self.lock.blocking_lock();
        self.base.reload(cause.into())
    }

    fn record_refusal(&self, cause: ReloadTrigger, refusal: &Refusal) {
        let act = ConfigurationRefused {
            generation: self.base.generation(),
            trigger: cause.into(),
            cause: refusal.summary(),
            findings: refusal.audit_findings(),
        };
        self.base.state().audit.record(&Actor::SERVER, act);
    }

    /// The files that took part and their directories, each by itself: cheap, and other whenever the fingerprint is.
    fn glance(&self) -> Fingerprint {
        let files = self.base.files();
        let files = files.iter().filter_map(|file| in_its_directory(file));
        files.chain(self.directories()).filter_map(|path| FileState::of(&path).map(|state| (path, state))).collect()
    }

    fn fingerprint(&self) -> Fingerprint {
        let files: BTreeSet<PathBuf> = self.base.files().iter().filter_map(|file| in_its_directory(file)).collect();
        let kinds: BTreeSet<_> = files.iter().filter_map(|file| file.extension()).collect();
        let of_a_kind =
            |path: &Path| path.extension().is_some_and(|extension| kinds.contains(extension)) || files.contains(path);
        self.directories()
            .iter()
            .filter_map(|directory| std::fs::read_dir(directory).ok())
            .flat_map(|listing| listing.filter_map(|entry| Some(entry.ok()?.path())))
            .filter(|path| of_a_kind(path))
            .filter_map(|path| FileState::of(&path).map(|state| (path, state)))
            .collect()
    }

    /// The directories of the files that take part. Directories, because editors and Kubernetes replace files.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let files = self.base.files();
        let files = files.iter().filter_map(|file| in_its_directory(file));
        files.filter_map(|file| file.parent().map(Path::to_owned)).collect()
    }
}

/// Says all that a reload changes, in the log and to the audit trail.
pub(crate) fn tell_changes(
    audit: &Trail,
    (old, new): (&Compiled, &Compiled),
    trigger: LoadTrigger,
    certificates: &[&str],
    warnings: &Diagnostics,
) {
    let accounts = AccountChanges::between(&old.rules, &new.rules);
    let changes = old.outline.changes_to(&new.outline);
    let act = ConfigurationLoaded {
        generation: new.generation.clone(),
        previous: Some(old.generation.clone()),
        trigger,
        changes: all_changes(&accounts, &changes, certificates),
    };
    audit.record(&Actor::SERVER, act);
    log_changes(new, &accounts, &changes, certificates, warnings);
}

/// The names that were added, removed and changed, by kind.
fn all_changes(accounts: &AccountChanges, changes: &Changes, certificates: &[&str]) -> Map<String, Value> {
    let Changes { issuers, apis, teams, settings, files } = changes;
    let of_accounts = lists(&accounts.added, &accounts.removed, &accounts.changed);
    let others = [("issuers", issuers), ("apis", apis), ("teams", teams), ("settings", settings), ("files", files)];
    let others = others.map(|(kind, names)| (kind, lists(&names.added, &names.removed, &names.changed)));
    let all = std::iter::once(("accounts", of_accounts)).chain(others);
    let mut all: Map<String, Value> =
        all.filter_map(|(kind, names)| Some((kind.to_owned(), Value::Object(names?)))).collect();
    if !certificates.is_empty() {
        all.insert("certificates".to_owned(), json!(certificates));
    }
    all
}

/// Lists that are not empty, each cut to what a line has room for.
fn lists(added: &[String], removed: &[String], changed: &[String]) -> Option<Map<String, Value>> {
    let all = [("added", added), ("removed", removed), ("changed", changed)];
    let some: Map<String, Value> = all
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| (kind.to_owned(), json!(some_of(names))))
        .collect();
    (!some.is_empty()).then_some(some)
}

fn log_changes(
    new: &Compiled,
    accounts: &AccountChanges,
    changes: &Changes,
    certificates: &[&str],
    warnings: &Diagnostics,
) {
    let Changes { issuers, apis, teams, settings, files } = changes;
    let told = |changes: &NameChanges| {
        lists(&changes.added, &changes.removed, &changes.changed).map(|some| display(Value::Object(some)))
    };
    tracing::info!(
        generation = %new.generation,
        added = %json!(some_of(&accounts.added)),
        removed = %json!(some_of(&accounts.removed)),
        changed = %json!(some_of(&accounts.changed)),
        issuers = told(issuers),
        apis = told(apis),
        teams = told(teams),
        settings = told(settings),
        files = told(files),
        certificates = (!certificates.is_empty()).then(|| display(json!(certificates))),
        "the configuration was reloaded"
    );
    if !warnings.is_empty() {
        tracing::warn!("the configuration has warnings; `sts check` shows them");
    }
}

/// The names that a log line has room for, and how many there are beside.
fn some_of(names: &[String]) -> Vec<Cow<'_, str>> {
    const MOST: usize = 50;
    let more = names.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("and {more} more").into());
    names.iter().take(MOST).map(|name| name.as_str().into()).chain(rest).collect()
}

/// The file as a listing of its directory names it: a bare name is in the working directory, which no empty path stands for.
fn in_its_directory(file: &Path) -> Option<PathBuf> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(directory.join(file.file_name()?))
}

/// The first key that differs and cannot change under a running server.
pub(crate) fn fixed_at_start(old: &Settings, new: &Settings) -> Option<&'static str> {
    let differs = [
        ("issuer", old.issuer != new.issuer),
        ("listen", old.listen != new.listen),
        ("tls", old.tls != new.tls),
        ("behind_tls_proxy", old.behind_tls_proxy != new.behind_tls_proxy),
        ("admin", old.admin != new.admin),
        ("metrics", old.metrics_listen != new.metrics_listen),
        ("data_dir", old.data_dir != new.data_dir),
        ("store", old.store != new.store),
        ("signing", !is_same_keyring(&old.keyring, &new.keyring)),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(key, _)| key)
}

/// Whether both keep the same keys; the longest lifetime of a token may change under a running server.
fn is_same_keyring(old: &KeyringSpec, new: &KeyringSpec) -> bool {
    KeyringSpec { max_ttl: old.max_ttl, ..new.clone() } == *old
}

/// The keys that differ and wait for a restart without holding up the rest: rules must get through, whatever else changed.
pub(crate) fn needs_restart(old: &Settings, new: &Settings) -> impl Iterator<Item = &'static str> {
    // `log.claims` is part of the snapshot.
    let log = |settings: &Settings| (settings.log.format, settings.log.level);
    let differs = [
        ("limits", old.limits != new.limits),
        ("shutdown", old.drain != new.drain),
        ("log", log(old) != log(new)),
        ("audit", old.audit != new.audit),
        ("telemetry", old.otlp != new.otlp),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key)
}

/// Reloads on SIGHUP and on file changes, for as long as the server runs.
pub(crate) async fn watch(mut reload: Reload, mut hangup: Signal) {
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let mut watcher = watcher(changed);
    let mut watched = BTreeSet::new();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Some(watcher) = &mut watcher {
            let wanted = reload.directories();
            for gone in watched.difference(&wanted) {
                let _ = watcher.unwatch(gone);
            }
            for new in wanted.difference(&watched) {
                if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                    tracing::warn!(directory = %new.display(), %error, "cannot watch for changes; the files are looked at every second");
                }
            }
            watched = wanted;
        }
        let cause = tokio::select! {
            biased;
            _ = hangup.recv() => ReloadTrigger::Asked,
            // Without a watcher the channel is closed.
            Some(()) = changes.recv() => settled(&mut changes, &mut hangup).await,
            _ = looks.tick() => ReloadTrigger::Due,
        };
        reload = match attempt(reload, cause).await {
            Some(reload) => reload,
            None => return,
        };
    }
}

/// Waits for the end of a burst of changes, but neither longer than [`SETTLED`] nor past a SIGHUP.
async fn settled(changes: &mut mpsc::Receiver<()>, hangup: &mut Signal) -> ReloadTrigger {
    let mut most = std::pin::pin!(tokio::time::sleep(SETTLED));
    loop {
        tokio::select! {
            biased;
            _ = hangup.recv() => return ReloadTrigger::Asked,
            () = &mut most => return ReloadTrigger::Told,
            Some(()) = changes.recv() => {}
            () = tokio::time::sleep(QUIET) => return ReloadTrigger::Told,
        }
    }
}

/// Runs off the request path; `None` when it panicked.
async fn attempt(mut reload: Reload, cause: ReloadTrigger) -> Option<Reload> {
    let attempt = tokio::task::spawn_blocking(move || {
        reload.run(cause);
        reload
    });
    attempt
        .await
        .inspect_err(|error| {
            tracing::error!(%error, "reloading failed and has stopped; the configuration in force goes on");
        })
        .ok()
}

fn watcher(changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let notice = move |event: notify::Result<notify::Event>| {
        // What was lost may have been a change.
        if event.map_or(true, |event| !event.kind.is_access()) {
            // A full queue holds a change already.
            let _ = changed.try_send(());
        }
    };
    notify::recommended_watcher(notice)
        .inspect_err(|error| tracing::warn!(%error, "cannot watch files for changes; they are looked at every second"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_names_as_many_accounts_as_it_has_room_for() {
        let names = |count: usize| (0..count).map(|name| format!("a{name}")).collect::<Vec<_>>();
        assert_eq!(some_of(&names(2)), ["a0", "a1"]);
        assert_eq!(some_of(&names(50)).len(), 50);
        let many = names(1_050);
        let shown = some_of(&many);
        assert_eq!((shown.len(), shown.last().map(AsRef::as_ref)), (51, Some("and 1000 more")));
    }
}
