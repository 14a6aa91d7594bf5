//! Reload on SIGHUP and on file change: all or nothing. On any error the old snapshot goes on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustls::sign::CertifiedKey;
use sts_config::{Diagnostics, Loaded, Settings};
use sts_policy::AccountChanges;
use sts_service::Snapshot;
use sts_types::UnixTime;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use crate::engine::snapshot;
use crate::http::{BindError, ServedCertificate, read_certificate};
use crate::operation::Desk;

/// File changes come in bursts: what is read after this much quiet is one change.
const QUIET: Duration = Duration::from_millis(200);

/// Loads a configuration and runs its policy tests; warnings are what is left when nothing is wrong.
pub(crate) fn load(config: &Path, now: UnixTime) -> Result<Loaded, Diagnostics> {
    let mut loaded = load_untested(config)?;
    let tests = sts_config::run_policy_tests(&loaded, now);
    let failed = tests.is_fatal();
    loaded.warnings.extend(tests);
    if failed {
        return Err(loaded.warnings);
    }
    sts_config::guard(&mut loaded, now);
    Ok(loaded)
}

/// Loads a configuration whose decisions are to be explained: policy tests that fail and rules that are unsafe are among its
/// warnings.
pub(crate) fn load_to_explain(config: &Path, now: UnixTime) -> Result<Loaded, Diagnostics> {
    let mut loaded = sts_config::load_to_explain(config, &environment)?;
    let tests = sts_config::run_policy_tests(&loaded, now);
    loaded.warnings.extend(tests);
    sts_config::guard(&mut loaded, now);
    Ok(loaded)
}

/// Loads a configuration and does not run its policy tests.
pub(crate) fn load_untested(config: &Path) -> Result<Loaded, Diagnostics> {
    sts_config::load(config, &environment)
}

#[expect(clippy::disallowed_methods, reason = "the composition root reads the environment and passes it in")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The configuration in force, and what it is in force in.
pub(crate) struct Reload {
    config: PathBuf,
    settings: Settings,
    desk: Arc<Desk>,
    certificates: Certificates,
    seen: Fingerprint,
}

/// The certificates that the listeners show.
pub(crate) struct Certificates {
    pub(crate) public: Option<Arc<ServedCertificate>>,
    pub(crate) admin: Option<Arc<ServedCertificate>>,
}

/// What a directory listing tells of the files that take part, and of those that might: name, length, time of change. Other
/// files live in these directories too, logs among them, and must not cause a reload.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Reload {
    pub(crate) fn new(config: PathBuf, settings: Settings, desk: Arc<Desk>, certificates: Certificates) -> Self {
        let mut reload = Self { config, settings, desk, certificates, seen: Fingerprint::new() };
        reload.seen = reload.fingerprint();
        reload
    }

    /// Reloads if a file that takes part, or one of the same kind beside it, is other than it was at the last attempt.
    fn reload_if_changed(&mut self) {
        if self.fingerprint() != self.seen {
            self.reload();
        }
    }

    /// Puts the files as they are now in force, or says why not, in the log and to whoever watches the metrics.
    fn reload(&mut self) {
        self.seen = self.fingerprint();
        let is_in_force = self.put_in_force().is_some();
        self.desk.metrics.configuration(is_in_force);
    }

    /// Nothing when something else stays in force.
    fn put_in_force(&mut self) -> Option<()> {
        let loaded = match load(&self.config, self.desk.service.clock().now()) {
            Ok(loaded) => loaded,
            Err(diagnostics) => {
                tracing::error!(generation = %self.settings.generation, "the configuration was not reloaded, the old one goes on:\n{}", diagnostics.render(false));
                return None;
            }
        };
        let settings = loaded.settings;
        drop(loaded.written);
        if settings.generation == self.settings.generation {
            return Some(());
        }
        if let Some(key) = fixed_at_start(&self.settings, &settings) {
            tracing::error!(
                key,
                "the configuration was not reloaded, the old one goes on: this key takes effect at a restart only"
            );
            return None;
        }
        let issuers = match self.desk.issuers.borrow().with_entries(settings.entries.clone()) {
            Ok(issuers) => issuers,
            Err(errors) => {
                for error in errors {
                    tracing::error!(entry = %error.entry, "the configuration was not reloaded, the old one goes on: {}; {}", error.message, error.help);
                }
                return None;
            }
        };
        let renewed = match self.renewed_certificates(&settings) {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::error!("the configuration was not reloaded, the old one goes on: {error}");
                return None;
            }
        };
        let max_ttl = settings.max_ttl.as_secs();
        if let Err(error) = self.desk.service.keyring().raise_longest_life(max_ttl) {
            tracing::error!("the configuration was not reloaded, the old one goes on: {error}");
            return None;
        }
        for key in needs_restart(&self.settings, &settings) {
            tracing::warn!(key, "the configuration is reloaded, but for this key: it takes effect at a restart");
        }
        let changes = AccountChanges::between(&self.settings.rules, &settings.rules);
        for (served, certificate) in renewed {
            served.replace(certificate);
        }
        self.desk.metrics.put_entries(settings.trust.iter().map(|trust| &trust.entry));
        let old = self.desk.service.swap(snapshot(&settings, issuers.clone()));
        self.desk.issuers.send_replace(issuers);
        tracing::info!(
            generation = %settings.generation,
            added = ?some_of(&changes.added),
            removed = ?some_of(&changes.removed),
            changed = ?some_of(&changes.changed),
            "the configuration was reloaded"
        );
        self.settings = settings;
        outlast(old);
        Some(())
    }

    /// What each listener with TLS will show.
    fn renewed_certificates(&self, settings: &Settings) -> Result<Vec<(&ServedCertificate, CertifiedKey)>, BindError> {
        let listeners = [(&self.certificates.public, &settings.tls), (&self.certificates.admin, &settings.admin.tls)];
        let with_tls = listeners.into_iter().filter_map(|(served, files)| Some((served.as_deref()?, files.as_ref()?)));
        with_tls.map(|(served, files)| Ok((served, read_certificate(files)?))).collect()
    }

    fn fingerprint(&self) -> Fingerprint {
        let files: BTreeSet<PathBuf> = self.settings.files.iter().filter_map(|file| in_its_directory(file)).collect();
        let kinds: BTreeSet<_> = files.iter().filter_map(|file| file.extension()).collect();
        let of_a_kind =
            |path: &Path| path.extension().is_some_and(|extension| kinds.contains(extension)) || files.contains(path);
        self.directories()
            .iter()
            .filter_map(|directory| std::fs::read_dir(directory).ok())
            .flat_map(|listing| listing.filter_map(|entry| Some(entry.ok()?.path())))
            .filter(|path| of_a_kind(path))
            .filter_map(|path| {
                let metadata = std::fs::metadata(&path).ok()?;
                Some((path, (metadata.len(), metadata.modified().ok())))
            })
            .collect()
    }

    /// The directories of the files that take part. Directories, because editors and Kubernetes replace files.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let files = self.settings.files.iter().filter_map(|file| in_its_directory(file));
        files.filter_map(|file| file.parent().map(Path::to_owned)).collect()
    }
}

/// The names that a log line has room for, and how many there are beside.
fn some_of(names: &[String]) -> Vec<Cow<'_, str>> {
    const MOST: usize = 50;
    let more = names.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("and {more} more").into());
    names.iter().take(MOST).map(|name| name.as_str().into()).chain(rest).collect()
}

/// Keeps `old` until no operation holds it, so that it is freed here: to free a large policy takes longer than a request may.
fn outlast(old: Arc<Snapshot>) {
    const PAUSE: Duration = Duration::from_millis(10);
    const PAUSES: usize = 1_000;
    for _ in 0..PAUSES {
        if Arc::strong_count(&old) == 1 {
            return;
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// The file as a listing of its directory names it: a bare name is in the working directory, which no empty path stands for.
fn in_its_directory(file: &Path) -> Option<PathBuf> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(directory.join(file.file_name()?))
}

/// The first key that differs and cannot change under a running server.
fn fixed_at_start(old: &Settings, new: &Settings) -> Option<&'static str> {
    let differs = [
        ("issuer", old.issuer != new.issuer),
        ("listen", old.listen != new.listen),
        ("tls", old.tls != new.tls),
        ("behind_tls_proxy", old.behind_tls_proxy != new.behind_tls_proxy),
        ("admin", old.admin != new.admin),
        ("data_dir", old.data_dir != new.data_dir),
        ("store", old.store != new.store),
        ("signing", old.signing != new.signing),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(key, _)| key)
}

/// The keys that differ and wait for a restart without holding up the rest: rules must get through, whatever else changed.
fn needs_restart(old: &Settings, new: &Settings) -> impl Iterator<Item = &'static str> {
    // `log.claims` is part of the snapshot.
    let log = |settings: &Settings| (settings.log.format, settings.log.level);
    let differs =
        [("limits", old.limits != new.limits), ("shutdown", old.drain != new.drain), ("log", log(old) != log(new))];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key)
}

/// Reloads on SIGHUP and on file changes, for as long as the server runs.
pub(crate) async fn watch(mut reload: Reload, mut hangup: Signal) {
    let (changed, mut changes) = mpsc::channel::<()>(1);
    let mut watcher = watcher(changed);
    let mut watched = BTreeSet::new();
    loop {
        if let Some(watcher) = &mut watcher {
            let wanted = reload.directories();
            for gone in watched.difference(&wanted) {
                let _ = watcher.unwatch(gone);
            }
            for new in wanted.difference(&watched) {
                if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                    tracing::warn!(directory = %new.display(), %error, "cannot watch for changes; SIGHUP reloads");
                }
            }
            if watched != wanted {
                watched = wanted;
                // What changed before anybody watched was seen by nobody.
                reload = match attempt(reload, Reload::reload_if_changed).await {
                    Some(reload) => reload,
                    None => return,
                };
            }
        }
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            // Without a watcher the channel is closed, and SIGHUP is all there is.
            Some(()) = changes.recv() => {
                while tokio::time::timeout(QUIET, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
                false
            }
        };
        let how = if asked { Reload::reload } else { Reload::reload_if_changed };
        reload = match attempt(reload, how).await {
            Some(reload) => reload,
            None => return,
        };
    }
}

/// Runs `how` off the request path; `None` when it panicked.
async fn attempt(mut reload: Reload, how: fn(&mut Reload)) -> Option<Reload> {
    let attempt = tokio::task::spawn_blocking(move || {
        how(&mut reload);
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
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full queue holds a change already.
            let _ = changed.try_send(());
        }
    };
    notify::recommended_watcher(notice)
        .inspect_err(|error| tracing::warn!(%error, "cannot watch files for changes; SIGHUP reloads"))
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
