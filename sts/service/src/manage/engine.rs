//! The engine: reads, judges, writes and follows managed objects.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use sts_store::{
    Committed, LedgerError, ManagedObject, ManagedObjects as StoredObjects, ObjectChange, ObjectKey, ObjectKind,
    ObjectStore,
};
use sts_types::{Clock, Entropy, UnixTime};
use tokio::sync::{Mutex, MutexGuard};

use super::api_keys::table;
use super::effect::Effect;
use super::key_notices::KeyNotices;
use super::rights::{Author, needs_person, needs_person_unread};
use super::rules::{Candidate, Declared, ObjectFinding, ObjectRules, PreparedRules, SetAside, key_of};
use super::view::{HeldObject, ManagedView};
use super::{ChangedObject, Expected, RequestedChange, WriteError, Written};
use crate::api_keys::ApiKeys;
use crate::recent_decisions::RecentDecisions;

/// How often a write is judged again because somebody else was quicker.
const ATTEMPTS: usize = 8;
/// Interval at which a replica asks whether something changed.
const FOLLOW: Duration = Duration::from_millis(250);
/// How long a replica that is behind waits before it compiles everything again.
const RETRY: Duration = Duration::from_secs(2);
/// Most compilations in the search for the objects that do not compile. What is left then is set
/// aside together.
const MOST_TRIALS: usize = 64;

type Objects = BTreeMap<ObjectKey, Arc<HeldObject>>;
type DeclaredObjects = BTreeMap<ObjectKey, Declared>;

/// The parts of the engine.
pub struct ManagedParts {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The compiler of rules.
    pub rules: Arc<dyn ObjectRules>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for API keys.
    pub entropy: Arc<dyn Entropy>,
    /// The recent requests, on which dry runs are judged.
    pub recent: Arc<RecentDecisions>,
    /// The lock under which rules are compiled and put in force. The compiler of files shares it.
    pub lock: Arc<Mutex<()>>,
}

impl std::fmt::Debug for ManagedParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagedParts").finish_non_exhaustive()
    }
}

/// Managed objects of this server.
pub struct ManagedObjects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) rules: Arc<dyn ObjectRules>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) recent: Arc<RecentDecisions>,
    lock: Arc<Mutex<()>>,
    pub(super) view: ArcSwap<ManagedView>,
    pub(super) notices: KeyNotices,
    is_loaded: AtomicBool,
    /// Set while the store has changes that could not be put in force, because the files do not load.
    is_behind: AtomicBool,
}

impl std::fmt::Debug for ManagedObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagedObjects").field("sequence", &self.view.load().sequence).finish_non_exhaustive()
    }
}

/// A judged change.
struct Judged {
    changes: Vec<ObjectChange>,
    objects: Objects,
    set_aside: BTreeMap<ObjectKey, SetAside>,
    prepared: Option<PreparedRules>,
    put: Vec<ObjectKey>,
    removed: Vec<ObjectKey>,
    unchanged: usize,
}

/// How much of what was read is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adopted {
    /// That sequence of the store.
    Whole,
    /// What needs no files to compile.
    WithoutFiles,
    /// Nothing new.
    Nothing,
}

impl ManagedObjects {
    /// The engine over these parts. Nothing is read before [`Self::start`].
    #[must_use]
    pub fn new(parts: ManagedParts) -> Self {
        let ManagedParts { store, rules, clock, entropy, recent, lock } = parts;
        Self {
            store,
            rules,
            clock,
            entropy,
            recent,
            lock,
            view: ArcSwap::default(),
            notices: KeyNotices::default(),
            is_loaded: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
        }
    }

    /// The objects as they are known here. Never waits.
    #[must_use]
    pub fn view(&self) -> Arc<ManagedView> {
        self.view.load_full()
    }

    /// Whether the store has changes that could not be put in force here.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    /// Whether the objects were read since the start.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// The managed objects that a file shadows.
    #[must_use]
    pub fn shadowed(&self) -> Vec<ObjectKey> {
        let declared = self.rules.declared();
        self.view.load().objects.keys().filter(|key| declared.contains_key(*key)).cloned().collect()
    }

    /// The seam to the rules, for the objects that files declare.
    #[must_use]
    pub fn rules(&self) -> &Arc<dyn ObjectRules> {
        &self.rules
    }

    /// Reads all objects and puts them in force. Those that do not compile are set aside: no object
    /// keeps a server from starting. If the files do not load just then, teams and accounts are put in
    /// force without them, as when others change objects meanwhile.
    ///
    /// # Errors
    /// The store's error. Nothing changed then.
    pub async fn start(&self) -> Result<(), LedgerError> {
        // Under the lock, or a change that is made meanwhile would be taken back.
        let guard = self.lock.lock().await;
        let stored = self.store.objects().await?;
        let uses = self.store.uses().await?;
        let view = ManagedView { uses: Arc::new(uses.into_iter().collect()), ..ManagedView::default() };
        self.view.store(Arc::new(view));
        if self.adopt(&guard, stored.sequence, held(stored), None).await != Adopted::Nothing {
            self.is_loaded.store(true, Ordering::Release);
            self.rules.objects_are_read();
        }
        Ok(())
    }

    /// Follows the store until the future is dropped.
    pub async fn follow(&self) {
        let mut ticks = tokio::time::interval(FOLLOW);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_reported = false;
        loop {
            ticks.tick().await;
            match self.read_now().await {
                Ok(()) => {
                    is_reported = false;
                    if self.is_behind() {
                        tokio::time::sleep(RETRY).await;
                    }
                }
                Err(error) if !is_reported => {
                    is_reported = true;
                    tracing::error!(%error, "managed objects cannot be read; those in force go on");
                }
                Err(_) => {}
            }
        }
    }

    /// Reads what there is to read: all objects, or what others wrote since they were read.
    ///
    /// # Errors
    /// The store's error. What is in force goes on.
    pub async fn read_now(&self) -> Result<(), LedgerError> {
        if self.is_loaded() { self.catch_up().await.map(drop) } else { self.start().await }
    }

    /// Applies what others wrote. Returns whether there was something, and it is in force.
    ///
    /// # Errors
    /// The store's error. What is in force goes on.
    pub async fn catch_up(&self) -> Result<bool, LedgerError> {
        let sequence = self.view.load().sequence;
        let seen = if self.is_behind() { None } else { self.store.changes_since(sequence).await? };
        if seen.as_ref().is_some_and(|seen| seen.sequence == sequence && seen.changes.is_empty()) {
            return Ok(false);
        }
        let guard = self.lock.lock().await;
        self.catch_up_under(&guard).await
    }

    /// As [`Self::catch_up`], under the lock that the caller holds.
    async fn catch_up_under(&self, guard: &MutexGuard<'_, ()>) -> Result<bool, LedgerError> {
        let view = self.view.load_full();
        // What could not be put in force is not known change by change.
        let seen = if self.is_behind() { None } else { self.store.changes_since(view.sequence).await? };
        match seen {
            Some(seen) if seen.sequence == view.sequence => Ok(false),
            Some(seen) => {
                let mut objects = (*view.objects).clone();
                let mut changed = Vec::with_capacity(seen.changes.len());
                for change in &seen.changes {
                    changed.push(change.key().clone());
                    apply(&mut objects, change);
                }
                Ok(self.adopt(guard, seen.sequence, objects, Some(changed)).await == Adopted::Whole)
            }
            None => {
                let stored = self.store.objects().await?;
                Ok(self.adopt(guard, stored.sequence, held(stored), None).await == Adopted::Whole)
            }
        }
    }

    /// Puts objects in force that are in the store already. What does not compile here is set aside,
    /// so that it cannot hold up what others changed, such as an account that was disabled. That
    /// sequence is not in force if the files do not load just then.
    async fn adopt(
        &self,
        _guard: &MutexGuard<'_, ()>,
        sequence: u64,
        objects: Objects,
        changed: Option<Vec<ObjectKey>>,
    ) -> Adopted {
        let view = self.view.load_full();
        let mut set_aside = view.set_aside.clone();
        set_aside.retain(|key, aside| objects.get(key).is_some_and(|own| own.revision == aside.revision));
        let keys = Arc::new(table(&objects));
        let rule_changes = changed
            .map(|changed| changed.into_iter().filter(|key| key.kind != ObjectKind::ApiKeys).collect::<Vec<_>>());
        let has_rules = objects.keys().chain(view.objects.keys()).any(|key| key.kind != ObjectKind::ApiKeys);
        if !has_rules || rule_changes.as_ref().is_some_and(Vec::is_empty) && self.is_loaded() {
            self.rules.install_keys(Arc::clone(&keys));
            self.publish(ManagedView { sequence, objects: Arc::new(objects), set_aside, ..(*view).clone() });
            self.is_behind.store(false, Ordering::Release);
            return Adopted::Whole;
        }
        let known: BTreeSet<ObjectKey> = set_aside.keys().cloned().collect();
        let (prepared, set_aside) = self.prepare_or_set_aside(&objects, set_aside, rule_changes).await;
        let Some(PreparedRules { shadowed, install, .. }) = prepared else {
            return self.fall_behind(&view, &objects, keys).await;
        };
        for (key, aside) in set_aside.iter().filter(|(key, _)| !known.contains(*key)) {
            tracing::error!(kind = ?key.kind, name = %key.name, why = %aside.why, "a managed object does not compile and is set aside: it is not in force");
        }
        install.install(keys);
        self.publish(ManagedView { sequence, objects: Arc::new(objects), set_aside, shadowed, ..(*view).clone() });
        if self.is_behind.swap(false, Ordering::AcqRel) {
            tracing::info!(sequence, "the files load again, and the managed objects are in force");
        }
        Adopted::Whole
    }

    /// The files alone do not compile any more, so what is in force goes on. Teams and accounts are
    /// compiled without the files: they are put in force all the same where they can be, so that an
    /// account that somebody disabled is disabled. The sequence stays, and everything is tried again.
    async fn fall_behind(&self, view: &ManagedView, objects: &Objects, keys: Arc<ApiKeys>) -> Adopted {
        if !self.is_behind.swap(true, Ordering::AcqRel) {
            tracing::error!(
                "managed objects were changed and are not in force here, because the files do not load: repair the files; nothing can be changed here until then"
            );
        }
        let needs_no_files = |key: &ObjectKey| matches!(key.kind, ObjectKind::Teams | ObjectKind::ServiceAccounts);
        let old = view.objects.iter().filter(|(key, _)| !needs_no_files(key));
        let new = objects.iter().filter(|(key, _)| needs_no_files(key));
        let partial: Objects = old.chain(new).map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        let differs = |key: &&ObjectKey| needs_no_files(key) && partial.get(*key) != view.objects.get(*key);
        let changed: BTreeSet<ObjectKey> = partial.keys().chain(view.objects.keys()).filter(differs).cloned().collect();
        let mut set_aside = view.set_aside.clone();
        set_aside.retain(|key, aside| partial.get(key).is_some_and(|own| own.revision == aside.revision));
        if !changed.is_empty() {
            let rules = ManagedView::rules(&partial, &set_aside);
            if let Ok(PreparedRules { shadowed, install, .. }) =
                self.prepare(rules, Some(changed.iter().cloned().collect())).await
            {
                install.install(keys);
                self.publish(ManagedView { objects: Arc::new(partial), set_aside, shadowed, ..view.clone() });
                return Adopted::WithoutFiles;
            }
        }
        self.rules.install_keys(keys);
        if changed.is_empty() { Adopted::WithoutFiles } else { Adopted::Nothing }
    }

    fn publish(&self, view: ManagedView) {
        self.view.store(Arc::new(view));
    }

    /// Compiles the objects without those that do not compile.
    async fn prepare_or_set_aside(
        &self,
        objects: &Objects,
        mut set_aside: BTreeMap<ObjectKey, SetAside>,
        changed: Option<Vec<ObjectKey>>,
    ) -> (Option<PreparedRules>, BTreeMap<ObjectKey, SetAside>) {
        let mut changed = changed;
        for _ in 0..MOST_TRIALS {
            let rules = ManagedView::rules(objects, &set_aside);
            let findings = match self.prepare(rules.clone(), changed.take()).await {
                Ok(prepared) => return (Some(prepared), set_aside),
                Err(findings) => findings,
            };
            let guilty = guilty(&findings, &rules);
            if guilty.is_empty() {
                break;
            }
            for (key, why) in guilty {
                let Some(object) = rules.get(&key) else { continue };
                set_aside.insert(key, SetAside { revision: object.revision, why });
            }
        }
        self.search(objects, set_aside).await
    }

    /// Finds the objects that do not compile where the findings do not name them, such as those that
    /// a policy test of a file wants refused.
    async fn search(
        &self,
        objects: &Objects,
        mut set_aside: BTreeMap<ObjectKey, SetAside>,
    ) -> (Option<PreparedRules>, BTreeMap<ObjectKey, SetAside>) {
        let all: Vec<(ObjectKey, Arc<HeldObject>)> = ManagedView::rules(objects, &set_aside).into_iter().collect();
        let mut accepted = Objects::new();
        let Ok(mut best) = self.prepare(Objects::new(), None).await else { return (None, set_aside) };
        // Kinds come in the order of their references, so what an object refers to is tried before it.
        let mut waiting = vec![all];
        let mut trials = 0;
        while let Some(group) = waiting.pop() {
            trials += 1;
            let why = if trials > MOST_TRIALS {
                "it was set aside together with an object that does not compile".to_owned()
            } else {
                let candidate: Objects = accepted.clone().into_iter().chain(group.iter().cloned()).collect();
                match self.prepare(candidate.clone(), None).await {
                    Ok(prepared) => {
                        (best, accepted) = (prepared, candidate);
                        continue;
                    }
                    Err(findings) => reason(&findings),
                }
            };
            if group.len() > 1 && trials <= MOST_TRIALS {
                let mut first = group;
                let second = first.split_off(first.len() / 2);
                waiting.extend([second, first]);
                continue;
            }
            for (key, object) in group {
                set_aside.insert(key, SetAside { revision: object.revision, why: why.clone() });
            }
        }
        (Some(best), set_aside)
    }

    async fn prepare(
        &self,
        objects: Objects,
        changed: Option<Vec<ObjectKey>>,
    ) -> Result<PreparedRules, Vec<ObjectFinding>> {
        let rules = Arc::clone(&self.rules);
        let candidate = Candidate { objects: Arc::new(objects), changed };
        match tokio::task::spawn_blocking(move || rules.prepare(&candidate)).await {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(%error, "compiling managed objects failed");
                Err(Vec::new())
            }
        }
    }
}

/// Writes.
impl ManagedObjects {
    /// Judges `changes` together and commits all of them or none. The change is in force on this
    /// server when this returns. With `dry_run` nothing is written.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write(
        &self,
        changes: Vec<RequestedChange>,
        author: &Author,
        dry_run: bool,
    ) -> Result<Written, WriteError> {
        let guard = self.lock.lock().await;
        for _ in 0..ATTEMPTS {
            self.catch_up_under(&guard).await?;
            if self.is_behind() {
                return Err(WriteError::Behind);
            }
            let judged = self.judge(&changes, author).await?;
            if dry_run {
                let effect = self.effect(judged.prepared.as_ref()).await;
                return Ok(written(judged, Some(effect)));
            }
            if judged.changes.is_empty() {
                return Ok(written(judged, None));
            }
            let sequence = self.view.load().sequence;
            match self.store.commit(sequence, judged.changes.clone()).await? {
                Committed::Done(sequence) => return Ok(self.put_in_force(sequence, judged)),
                Committed::Stale(_) => {}
            }
        }
        Err(WriteError::Contended)
    }

    fn put_in_force(&self, sequence: u64, mut judged: Judged) -> Written {
        for change in &judged.changes {
            if let ObjectChange::Put(object) = change {
                let stored = ManagedObject { revision: sequence, ..object.clone() };
                judged.objects.insert(object.key.clone(), Arc::new(HeldObject::of(&stored)));
            }
        }
        let keys: Arc<ApiKeys> = Arc::new(table(&judged.objects));
        let view = self.view.load_full();
        let (warnings, shadowed) = match judged.prepared.take() {
            Some(PreparedRules { warnings, shadowed, install, .. }) => {
                install.install(keys);
                (warnings, shadowed)
            }
            None => {
                self.rules.install_keys(keys);
                (Vec::new(), view.shadowed.clone())
            }
        };
        let objects = Arc::new(std::mem::take(&mut judged.objects));
        let changed = judged.changes.iter().map(ObjectChange::key).map(|key| ChangedObject {
            key: key.clone(),
            before: view.objects.get(key).cloned(),
            after: objects.get(key).cloned(),
        });
        let changed = changed.collect();
        let set_aside = std::mem::take(&mut judged.set_aside);
        let put = std::mem::take(&mut judged.put);
        let written =
            put.into_iter().filter_map(|key| objects.get(&key).cloned().map(|object| (key, object))).collect();
        self.publish(ManagedView { sequence, objects, set_aside, shadowed, ..(*view).clone() });
        let Judged { removed, unchanged, .. } = judged;
        Written { objects: written, removed, changed, unchanged, warnings, effect: None }
    }

    /// Checks what is asked for, and compiles the candidate.
    async fn judge(&self, changes: &[RequestedChange], author: &Author) -> Result<Judged, WriteError> {
        let view = self.view.load_full();
        let now = self.clock.now();
        let mut judged = Judged {
            changes: Vec::new(),
            objects: (*view.objects).clone(),
            set_aside: view.set_aside.clone(),
            prepared: None,
            put: Vec::new(),
            removed: Vec::new(),
            unchanged: 0,
        };
        let declared = self.rules.declared();
        self.check_kinds(changes, &view, &declared)?;
        // Before anything is compiled: a compilation opens the files that a document names.
        if matches!(author, Author::Token(_))
            && let Some(why) = needs_person_unread(changes, |key| view.get(key).map(|held| held.document()))
        {
            return Err(WriteError::InteractiveRequired(why));
        }
        let keys_by_account = OnceCell::new();
        let context = Context { author, now, declared: &declared, held: &view.objects, keys_by_account };
        for change in changes {
            context.take(change, &mut judged)?;
        }
        let rule_changes: Vec<ObjectKey> = judged
            .changes
            .iter()
            .map(|change| change.key().clone())
            .filter(|key| key.kind != ObjectKind::ApiKeys)
            .collect();
        if rule_changes.is_empty() {
            return Ok(judged);
        }
        let rules = ManagedView::rules(&judged.objects, &judged.set_aside);
        let prepared = self.prepare(rules, Some(rule_changes)).await.map_err(WriteError::Invalid)?;
        if matches!(author, Author::Token(_))
            && let Some(why) = needs_person(changes, &self.rules.rules(), &prepared.rules)
        {
            return Err(WriteError::InteractiveRequired(why));
        }
        judged.prepared = Some(prepared);
        Ok(judged)
    }

    /// Whether the kinds may be managed and no file declares the objects. A shadowed object may go.
    fn check_kinds(
        &self,
        changes: &[RequestedChange],
        view: &ManagedView,
        declared: &DeclaredObjects,
    ) -> Result<(), WriteError> {
        let kinds = self.rules.managed_kinds();
        for change in changes {
            let key = change.key();
            if key.kind != ObjectKind::ApiKeys && !kinds.contains(&key.kind) {
                return Err(WriteError::NotManaged(key.kind));
            }
            let Some(file) = declared.get(key) else { continue };
            let is_removal = matches!(change, RequestedChange::Delete { .. }) && view.objects.contains_key(key);
            // What says the same as the file changes nothing. It creates nothing either.
            let is_same = matches!(change, RequestedChange::Put { spec, .. } if is_document(&file.spec, spec))
                && change.expected() != Expected::Absent;
            if !is_removal && !is_same {
                return Err(WriteError::DeclaredByFile(key.clone(), file.file.to_path_buf()));
            }
        }
        Ok(())
    }

    pub(super) async fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().await
    }
}

fn is_document(text: &str, spec: &serde_json::Value) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|document| document == *spec)
}

/// What changes are taken with.
struct Context<'c> {
    author: &'c Author,
    now: UnixTime,
    declared: &'c DeclaredObjects,
    held: &'c Objects,
    /// The API keys among `held`. Made only if a change needs them.
    keys_by_account: OnceCell<BTreeMap<String, Vec<ObjectKey>>>,
}

impl Context<'_> {
    /// Takes one change into the candidate.
    fn take(&self, change: &RequestedChange, judged: &mut Judged) -> Result<(), WriteError> {
        let key = change.key();
        let is_declared = self.declared.contains_key(key);
        let held = judged.objects.get(key).cloned();
        match (change.expected(), &held) {
            (Expected::Absent, Some(_)) => return Err(WriteError::Exists(key.clone())),
            (Expected::Revision(_), None) => return Err(WriteError::Unknown(key.clone())),
            (Expected::Revision(expected), Some(held)) if held.revision != expected => {
                return Err(WriteError::RevisionMismatch { key: key.clone(), expected, actual: held.revision });
            }
            _ => {}
        }
        match (change, held) {
            // Only what says the same as the file comes here. A copy would be in force once the file is gone.
            (RequestedChange::Put { .. }, _) if is_declared => judged.unchanged += 1,
            (RequestedChange::Put { spec, .. }, held) => {
                judged.put.push(key.clone());
                // What is set aside is judged again, even if it is written as it was.
                let is_in_force = !judged.set_aside.contains_key(key);
                if is_in_force && held.as_ref().is_some_and(|held| is_document(&held.spec, spec)) {
                    judged.unchanged += 1;
                    return Ok(());
                }
                let (name, now) = (self.author.name(), self.now);
                if held.is_none() {
                    // Those of an account of that name which a file once declared.
                    self.remove_keys_of(key, judged);
                }
                let object = ManagedObject {
                    key: key.clone(),
                    spec: spec.clone(),
                    revision: 0,
                    created_at: held.as_ref().map_or(now, |held| held.created_at),
                    created_by: held.as_ref().map_or_else(|| name.to_owned(), |held| held.created_by.to_string()),
                    updated_at: now,
                    updated_by: name.to_owned(),
                };
                judged.set_aside.remove(key);
                judged.objects.insert(key.clone(), Arc::new(HeldObject::of(&object)));
                judged.changes.push(ObjectChange::Put(object));
            }
            (RequestedChange::Delete { .. }, None) => return Err(WriteError::Unknown(key.clone())),
            (RequestedChange::Delete { .. }, Some(_)) => {
                remove(key.clone(), judged);
                // The keys of a name that a file declares are those of the file's account.
                if !is_declared {
                    self.remove_keys_of(key, judged);
                }
            }
        }
        Ok(())
    }

    /// Removes the API keys of `account`, if it is one.
    fn remove_keys_of(&self, account: &ObjectKey, judged: &mut Judged) {
        if account.kind != ObjectKind::ServiceAccounts {
            return;
        }
        let keys = self.keys_by_account.get_or_init(|| {
            let mut keys: BTreeMap<String, Vec<ObjectKey>> = BTreeMap::new();
            for entry in table(self.held).iter() {
                keys.entry(entry.account.to_string()).or_default().push(super::rights::key_object(&entry.id));
            }
            keys
        });
        for key in keys.get(&account.name).into_iter().flatten() {
            if judged.objects.contains_key(key) {
                remove(key.clone(), judged);
            }
        }
    }
}

fn remove(gone: ObjectKey, judged: &mut Judged) {
    judged.set_aside.remove(&gone);
    judged.objects.remove(&gone);
    judged.changes.push(ObjectChange::Delete(gone.clone()));
    judged.removed.push(gone);
}

fn written(judged: Judged, effect: Option<Effect>) -> Written {
    let Judged { objects, prepared, put, removed, unchanged, .. } = judged;
    let objects = put.into_iter().filter_map(|key| objects.get(&key).cloned().map(|object| (key, object))).collect();
    let warnings = prepared.map(|prepared| prepared.warnings).unwrap_or_default();
    Written { objects, removed, changed: Vec::new(), unchanged, warnings, effect }
}

fn held(stored: StoredObjects) -> Objects {
    stored.objects.into_iter().map(|object| (object.key.clone(), Arc::new(HeldObject::of(&object)))).collect()
}

fn apply(objects: &mut Objects, change: &ObjectChange) {
    match change {
        ObjectChange::Put(object) => drop(objects.insert(object.key.clone(), Arc::new(HeldObject::of(object)))),
        ObjectChange::Delete(key) => drop(objects.remove(key)),
    }
}

/// The managed objects that findings name, each with its first reason.
fn guilty(findings: &[ObjectFinding], rules: &Objects) -> BTreeMap<ObjectKey, String> {
    let mut guilty = BTreeMap::new();
    for finding in findings.iter().filter(|finding| refuses(finding)) {
        let Some(key) = finding.object().map(key_of).filter(|key| rules.contains_key(key)) else { continue };
        guilty.entry(key).or_insert_with(|| finding.message.clone());
    }
    guilty
}

fn refuses(finding: &ObjectFinding) -> bool {
    !matches!(finding.severity, "warning" | "note")
}

fn reason(findings: &[ObjectFinding]) -> String {
    let first = findings.iter().find(|finding| refuses(finding));
    first.map_or_else(|| "it does not compile".to_owned(), |finding| finding.message.clone())
}
