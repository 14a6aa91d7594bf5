//! Several keyrings on one store, with one clock that the tests move. What they share is a directory,
//! or a sealed value.

mod faults;
mod moves;

use super::*;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use sts_jose::OsEntropy;
use sts_types::Seal as _;

const T0: UnixTime = UnixTime::from_secs(1_790_000_000);

fn spec() -> KeyringSpec {
    KeyringSpec {
        store: KeyStoreSpec::Directory(PathBuf::new()),
        device: None,
        algorithms: vec![Algorithm::ES256],
        rotate_every: Some(30 * 86_400),
        max_ttl: 3600,
    }
}

fn in_directory(directory: &Path) -> Result<Keyring, KeyringError> {
    Keyring::in_directory(spec(), directory, &OsEntropy, T0)
}

/// A value in memory that several servers share.
#[derive(Default)]
struct MemoryValue {
    value: Mutex<Option<Vec<u8>>>,
    is_away: AtomicBool,
    writes: Mutex<Writes>,
}

/// What becomes of a write.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Writes {
    #[default]
    Done,
    Refused,
    /// It is done, and the answer is lost.
    WithoutAnswer,
    /// It is done, the answer is lost, and nothing is read any more.
    TheLast,
}

impl SharedValue for MemoryValue {
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        self.answers()?;
        Ok(self.value.lock().unwrap().clone())
    }

    fn replace(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        self.answers()?;
        let mut value = self.value.lock().unwrap();
        let (is_expected, writes) = (value.as_deref() == expected, *self.writes.lock().unwrap());
        if is_expected && writes != Writes::Refused {
            *value = Some(new.to_vec());
        }
        self.is_away.store(writes == Writes::TheLast, Ordering::Relaxed);
        if writes == Writes::Done { Ok(is_expected) } else { Err("no answer".to_owned()) }
    }

    fn name(&self) -> &str {
        "sts:{sts}:keys"
    }
}

impl MemoryValue {
    fn answers(&self) -> Result<(), String> {
        if self.is_away.load(Ordering::Relaxed) { Err("connection refused".to_owned()) } else { Ok(()) }
    }
}

/// What servers share.
enum Shared {
    Directory,
    Value(Arc<MemoryValue>),
}

/// What servers share, and the files of each.
struct Place {
    shared: Shared,
    files: tempfile::TempDir,
    servers: AtomicUsize,
}

const KEY: &str = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
const OTHER_KEY: &str = "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=";

impl Place {
    fn all() -> [Self; 2] {
        [Self::of(Shared::Directory), Self::sealed()]
    }

    fn sealed() -> Self {
        Self::of(Shared::Value(Arc::default()))
    }

    fn of(shared: Shared) -> Self {
        let place = Self { shared, files: tempfile::tempdir().unwrap(), servers: AtomicUsize::new(0) };
        place.write_key("key", KEY);
        place.write_key("other", OTHER_KEY);
        place
    }

    fn write_key(&self, name: &str, text: &str) {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// A new server.
    fn open(&self, spec: KeyringSpec, now: UnixTime) -> Keyring {
        let server = self.servers.fetch_add(1, Ordering::Relaxed);
        self.open_as(server, &["key"], spec, now).unwrap()
    }

    /// A server whose files are those of that number.
    fn open_as(&self, server: usize, keys: &[&str], spec: KeyringSpec, now: UnixTime) -> Result<Keyring, KeyringError> {
        Keyring::open(spec, self.store(server, keys)?, None, &OsEntropy, now)
    }

    fn store(&self, server: usize, keys: &[&str]) -> Result<Arc<dyn KeyStore>, KeyringError> {
        let seal_key_files: Vec<PathBuf> = keys.iter().map(|key| self.files.path().join(key)).collect();
        Ok(match &self.shared {
            Shared::Directory => Arc::new(Directory::open(&self.files.path().join("keys"))?),
            Shared::Value(value) => Arc::new(SealedKeyStore::open(SealedStoreParts {
                value: Arc::clone(value) as _,
                seal_key_files: &seal_key_files,
                copy: self.copy(server),
                may_create: true,
                earlier: &self.earlier(),
                entropy: &OsEntropy,
            })?),
        })
    }

    fn copy(&self, server: usize) -> PathBuf {
        self.files.path().join(format!("copy-{server}"))
    }

    /// The directory that kept the keys before they were sealed.
    fn earlier(&self) -> PathBuf {
        self.files.path().join("earlier")
    }

    fn value(&self) -> &MemoryValue {
        match &self.shared {
            Shared::Value(value) => value,
            Shared::Directory => panic!("a directory has no value"),
        }
    }
}

#[test]
fn md06_c145_a_new_key_is_published_before_it_signs_and_kept_until_its_last_token_is_dead() {
    for place in Place::all() {
        let ring = place.open(spec(), T0);
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();

        let rotated = T0.plus(1000);
        ring.rotate(rotated).unwrap();
        let kids: Vec<Kid> = ring.keys().iter().map(|key| key.kid().clone()).collect();
        assert_eq!(kids.len(), 2);
        assert_eq!(
            *ring.signer(Algorithm::ES256, rotated.plus(LEAD - 1)).unwrap().kid(),
            first,
            "not before it is known"
        );
        let second = ring.signer(Algorithm::ES256, rotated.plus(LEAD)).unwrap().kid().clone();
        assert_ne!(second, first);

        let last_use = rotated.plus(LEAD);
        assert!(ring.verifying_key(&first, last_use.plus(3600)).is_some());
        assert!(ring.maintain(last_use.plus(3600 + LEAD)).unwrap(), "the published set changed");
        assert!(ring.verifying_key(&first, last_use).is_none(), "dropped");
        if let Ok(files) = std::fs::read_dir(place.files.path().join("keys")) {
            assert_eq!(files.count(), 4, "one key, the seal, the longest life, and the lock");
        }
    }
}

#[test]
fn md06_a_key_outlives_its_tokens_though_max_ttl_is_lowered() {
    for place in Place::all() {
        let day = KeyringSpec { max_ttl: 86_400, ..spec() };
        let ring = place.open(day, T0);
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
        ring.rotate(T0.plus(1)).unwrap();
        drop(ring);
        let lowered = KeyringSpec { max_ttl: 300, ..spec() };
        let last_token_dies = T0.plus(1 + LEAD + 86_400);
        let ring = place.open(lowered, last_token_dies);
        assert!(ring.verifying_key(&first, last_token_dies).is_some());
    }
}

#[test]
fn c145_a_successor_made_in_the_second_of_its_predecessor_or_by_a_clock_that_went_back_still_comes_second() {
    for (round, back) in (0..16).zip([0, 0, 0, 5].into_iter().cycle()) {
        for place in Place::all() {
            let ring = place.open(spec(), T0);
            let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
            ring.rotate(T0.plus(-back)).unwrap();
            assert_eq!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), first, "round {round}");
        }
    }
}

#[test]
fn c145_many_that_share_a_directory_start_and_rotate_at_once_and_have_one_key_and_one_successor() {
    for place in Place::all() {
        let open = || place.open(spec(), T0);
        let rings: Vec<Keyring> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let first = rings[0].etag();
        for ring in &rings {
            assert_eq!((ring.keys().len(), ring.etag()), (1, Arc::clone(&first)));
            assert_eq!(ring.seal().seal(&[b"x"]), rings[0].seal().seal(&[b"x"]), "another seal");
        }
        std::thread::scope(|scope| {
            for (ring, late) in rings.iter().zip(0..) {
                // Their clocks differ by up to seven seconds.
                scope.spawn(move || ring.rotate(T0.plus(1000 + late)).unwrap());
            }
        });
        for ring in &rings {
            ring.maintain(T0.plus(1060)).unwrap();
            assert_eq!(ring.keys().len(), 2);
            assert_eq!(ring.etag(), rings[0].etag());
        }
        // Scheduled rotation also creates one successor.
        let due = T0.plus(1000 + 30 * 86_400);
        std::thread::scope(|scope| {
            for ring in &rings {
                scope.spawn(move || ring.maintain(due).unwrap());
            }
        });
        let waiting = |ring: &Keyring| ring.keys().iter().filter(|key| key.phase(due) == KeyPhase::Next).count();
        for ring in &rings {
            ring.maintain(due).unwrap();
            assert_eq!((waiting(ring), ring.etag()), (1, rings[0].etag()));
        }
    }
}

#[test]
fn md06_what_one_process_makes_the_others_publish_well_before_it_signs() {
    for place in Place::all() {
        let [one, other] = [(); 2].map(|()| place.open(spec(), T0));
        let rotated = T0.plus(5000);
        one.rotate(rotated).unwrap();
        // The other process reads the directory within a minute. A verifier that fetched its key set
        // before that fetches it again after `MAX_AGE`.
        let noticed = rotated.plus(60);
        assert!(other.maintain(noticed).unwrap());
        assert_eq!(other.etag(), one.etag());
        let known_everywhere = noticed.plus(MAX_AGE);
        let kid = |ring: &Keyring, at| ring.signer(Algorithm::ES256, at).unwrap().kid().clone();
        assert_eq!(kid(&one, known_everywhere.plus(120)), kid(&other, T0), "not before everybody can know it");
        assert_eq!(kid(&one, rotated.plus(LEAD)), kid(&other, rotated.plus(LEAD)));
        assert_ne!(kid(&one, rotated.plus(LEAD)), kid(&one, T0));
    }
}

#[test]
fn md06_a_longer_life_that_another_process_was_told_of_keeps_keys_here_too() {
    for place in Place::all() {
        let [one, other] = [(); 2].map(|()| place.open(spec(), T0));
        one.raise_longest_life(86_400).unwrap();
        let first = one.signer(Algorithm::ES256, T0).unwrap().kid().clone();
        other.rotate(T0.plus(1)).unwrap();
        let last_token_dies = T0.plus(1 + LEAD + 86_400);
        other.maintain(last_token_dies).unwrap();
        assert!(other.verifying_key(&first, last_token_dies).is_some());
    }
}

#[test]
fn c145_rotating_again_while_a_successor_waits_makes_no_other() {
    for place in Place::all() {
        let ring = place.open(spec(), T0);
        for seconds in [0, 1, 2, LEAD - 1] {
            let made = ring.rotate(T0.plus(1000 + seconds)).unwrap().made;
            assert_eq!((made.len(), ring.keys().len()), (usize::from(seconds == 0), 2), "fld49: {seconds}");
        }
        ring.rotate(T0.plus(1000 + LEAD)).unwrap();
        assert_eq!(ring.keys().len(), 3, "the successor signs, and gets one of its own");
    }
}

#[test]
fn keys_rotate_by_themselves_and_survive_a_restart() {
    for place in Place::all() {
        let ring = place.open(spec(), T0);
        assert!(!ring.maintain(T0.plus(29 * 86_400)).unwrap());
        assert!(ring.maintain(T0.plus(30 * 86_400)).unwrap());
        let again = place.open(spec(), T0.plus(30 * 86_400));
        assert_eq!(again.etag(), ring.etag());
        assert_eq!(again.keys().len(), 2);
    }
}

#[test]
fn reading_again_takes_up_what_others_made_and_makes_and_drops_nothing_by_itself() {
    for place in Place::all() {
        let [ring, other] = [(); 2].map(|()| place.open(spec(), T0));
        assert!(!ring.reread().unwrap());
        other.rotate(T0.plus(1000)).unwrap();
        assert!(ring.reread().unwrap());
        assert_eq!((ring.keys().len(), ring.etag()), (2, other.etag()));
        // No time may be used here: it would create a successor and retire the first key.
        let late = T0.plus(400 * 86_400);
        assert!(!ring.reread().unwrap());
        assert_eq!(ring.keys().len(), 2);
        assert!(ring.maintain(late).unwrap());
    }
}

#[test]
fn j15_the_key_set_has_public_members_only() {
    for place in Place::all() {
        let both = KeyringSpec { algorithms: vec![Algorithm::ES256, Algorithm::RS256], ..spec() };
        let ring = place.open(both, T0);
        let document: Value = serde_json::from_slice(&ring.document()).unwrap();
        let keys = document["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            let names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert!(!names.contains(&private), "{private}");
            }
            assert_eq!(key["use"], "sig");
            assert!(key["kid"].is_string() && key["alg"].is_string());
        }
    }
}

#[test]
fn c144_a_wrong_key_file_is_named_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    drop(in_directory(directory.path()).unwrap());
    let file = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .unwrap();
    for wrong in ["", "{}", "garbage", "{\"version\":1,\"algorithm\":\"ES256\",\"created\":1,\"pkcs8\":\"AAAA\"}"] {
        std::fs::write(&file, wrong).unwrap();
        let error = in_directory(directory.path()).err().unwrap().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), wrong);
    }
}

#[cfg(unix)]
#[test]
fn c144_key_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    drop(in_directory(directory.path()).unwrap());
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("longest-life") || path.ends_with("lock") {
            continue;
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = in_directory(directory.path()).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_withdrawn_key_neither_signs_nor_verifies_and_another_signs_at_once() {
    for place in Place::all() {
        let open = || place.open(spec(), T0);
        let (ring, other) = (open(), open());
        let signing = |ring: &Keyring, at: UnixTime| ring.signer(Algorithm::ES256, at).unwrap().kid().clone();
        let first = signing(&ring, T0);

        let now = T0.plus(1000);
        let made = ring.withdraw(&first, now).unwrap().unwrap().made;
        assert_eq!(made, [signing(&ring, now)], "its successor signs without a lead");
        assert!(ring.verifying_key(&first, now).is_none());
        assert_eq!(signing(&other, now), first, "another process has not looked yet");
        assert!(other.reread().unwrap());
        assert_eq!(signing(&other, now), made[0]);
        assert!(ring.withdraw(&first, now).unwrap().is_none(), "there is no such key any more");
    }
}

#[test]
fn withdrawing_a_key_that_waits_or_retires_leaves_the_one_that_signs() {
    for place in Place::all() {
        let ring = place.open(spec(), T0);
        let signing = |at: UnixTime| ring.signer(Algorithm::ES256, at).unwrap().kid().clone();
        let first = signing(T0);
        let waiting = ring.rotate(T0.plus(1)).unwrap().made;
        assert!(ring.withdraw(&waiting[0], T0.plus(2)).unwrap().unwrap().made.is_empty());
        assert_eq!(signing(T0.plus(2 + LEAD)), first);

        let second = ring.rotate(T0.plus(3)).unwrap().made;
        let now = T0.plus(3 + LEAD);
        assert_eq!(signing(now), second[0]);
        assert!(ring.withdraw(&first, now).unwrap().unwrap().made.is_empty());
        assert_eq!(signing(now), second[0]);
        assert_eq!(ring.keys().len(), 1);
    }
}

#[test]
fn while_a_predecessor_retires_it_signs_again_in_place_of_the_withdrawn_key() {
    for place in Place::all() {
        let ring = place.open(spec(), T0);
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
        let second = ring.rotate(T0.plus(1)).unwrap().made;
        let now = T0.plus(1 + LEAD + 10);
        assert!(ring.withdraw(&second[0], now).unwrap().unwrap().made.is_empty());
        assert_eq!(*ring.signer(Algorithm::ES256, now).unwrap().kid(), first, "verifiers know it");
        assert!(ring.keys()[0].published_until.is_none());
    }
}

#[test]
fn a_key_whose_file_cannot_be_removed_is_not_withdrawn_and_one_without_a_successor_signs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Arc::new(FailingStore::of(Directory::open(directory.path()).unwrap()));
    let ring = Keyring::open(spec(), keys.clone(), None, &OsEntropy, T0).unwrap();
    let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
    keys.fails_to_remove.store(true, Ordering::Relaxed);
    assert!(ring.withdraw(&first, T0).is_err());
    assert_eq!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), first);
    keys.fails_to_remove.store(false, Ordering::Relaxed);
    keys.fails_to_create.store(true, Ordering::Relaxed);
    let withdrawal = ring.withdraw(&first, T0).unwrap().unwrap();
    assert!(withdrawal.made.is_empty() && withdrawal.not_replaced.is_some(), "{withdrawal:?}");
    assert!(ring.signer(Algorithm::ES256, T0).is_err(), "the withdrawn key signs nothing more");
    keys.fails_to_create.store(false, Ordering::Relaxed);
    ring.maintain(T0).unwrap();
    assert_ne!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), first);
}

/// A key store on a disk that fails.
struct FailingStore {
    directory: Directory,
    fails_to_remove: std::sync::atomic::AtomicBool,
    fails_to_create: std::sync::atomic::AtomicBool,
}

impl FailingStore {
    fn of(directory: Directory) -> Self {
        Self { directory, fails_to_remove: false.into(), fails_to_create: false.into() }
    }
}

fn full() -> KeyringError {
    let error = std::io::ErrorKind::StorageFull.into();
    KeyringError::Io { doing: "write", path: PathBuf::new(), error }
}

impl KeyStore for FailingStore {
    fn load(&self) -> Result<StoredKeys, KeyringError> {
        self.directory.load()
    }

    fn update(&self, change: &mut dyn FnMut(&mut StoredKeys)) -> Result<StoredKeys, KeyringError> {
        let before = self.load()?;
        let mut after = before.clone();
        change(&mut after);
        let creates = after.keys_beyond(&before).next().is_some() && self.fails_to_create.load(Ordering::Relaxed);
        let removes = before.keys_beyond(&after).next().is_some() && self.fails_to_remove.load(Ordering::Relaxed);
        if creates || removes {
            return Err(full());
        }
        self.directory.update(&mut |stored| *stored = after.clone())
    }

    fn seal_key(&self, entropy: &dyn Entropy) -> Result<SealKey, KeyringError> {
        self.directory.seal_key(entropy)
    }
}

/// The kids that a server publishes.
fn kids(ring: &Keyring) -> Vec<Kid> {
    ring.keys().iter().map(|key| key.kid().clone()).collect()
}

#[test]
fn sealed_keys_show_nothing_and_another_sealing_key_neither_opens_nor_replaces_them() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let stored = place.value().value.lock().unwrap().clone().unwrap();
    let text = String::from_utf8(stored.clone()).unwrap();
    for secret in ["pkcs8", "ES256", "seal_key", kids(&ring)[0].as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }
    let error = place.open_as(9, &["other"], spec(), T0).err().unwrap();
    assert!(error.to_string().contains("signing.seal_key_file"), "{error}");
    assert!(!error.is_passing());
    assert_eq!(place.value().value.lock().unwrap().as_ref(), Some(&stored));
}

#[test]
fn a_new_sealing_key_takes_over_where_the_old_one_is_named_too() {
    let place = Place::sealed();
    let before = kids(&place.open(spec(), T0));
    let ring = place.open_as(0, &["other", "key"], spec(), T0).unwrap();
    assert_eq!(kids(&ring), before);
    for server in [0, 7] {
        let ring = place.open_as(server, &["other"], spec(), T0).unwrap();
        assert_eq!(kids(&ring), before, "sealed anew by the first key, in the value and in the copy");
    }
    assert!(place.open_as(8, &["key"], spec(), T0).is_err());
}

#[test]
fn altered_or_moved_sealed_keys_are_refused_and_those_in_memory_go_on() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let before = kids(&ring);
    let stored = place.value().value.lock().unwrap().clone().unwrap();
    let mut altered = stored.clone();
    let last = altered.len() - 4;
    altered[last] ^= 1;
    for wrong in [altered, b"garbage".to_vec(), Vec::new()] {
        *place.value().value.lock().unwrap() = Some(wrong.clone());
        let error = ring.maintain(T0).unwrap_err().to_string();
        assert!(error.contains("altered") && error.contains("sts:{sts}:keys"), "{error}");
        assert_eq!(kids(&ring), before);
        assert!(ring.signer(Algorithm::ES256, T0).is_ok());
        assert!(place.open_as(9, &["key"], spec(), T0).is_err());
        assert_eq!(place.value().value.lock().unwrap().as_ref(), Some(&wrong), "nothing is overwritten");
    }
}

#[test]
fn what_a_server_has_seen_is_put_back_when_the_store_loses_it() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let earlier = place.value().value.lock().unwrap().clone();
    let withdrawn = kids(&ring)[0].clone();
    ring.withdraw(&withdrawn, T0.plus(10)).unwrap().unwrap();
    let now = kids(&ring);
    for lost in [None, earlier] {
        // An older value has the withdrawn key.
        *place.value().value.lock().unwrap() = lost;
        assert!(!ring.maintain(T0.plus(20)).unwrap());
        assert_eq!(kids(&ring), now);
        assert_eq!(kids(&place.open(spec(), T0.plus(20))), now, "others see what was put back");
    }
    // After a restart, too.
    *place.value().value.lock().unwrap() = None;
    assert_eq!(kids(&place.open_as(0, &["key"], spec(), T0.plus(20)).unwrap()), now);
}

#[test]
fn a_store_that_was_begun_anew_is_not_taken_for_the_one_before() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let before = kids(&ring);
    *place.value().value.lock().unwrap() = None;
    place.open(spec(), T0);
    let error = ring.maintain(T0).unwrap_err().to_string();
    assert!(error.contains("begun anew") && error.contains("keys.sealed"), "{error}");
    assert_eq!(kids(&ring), before);
    assert!(place.open_as(0, &["key"], spec(), T0).is_err());
    std::fs::remove_file(place.copy(0)).unwrap();
    assert_ne!(kids(&place.open_as(0, &["key"], spec(), T0).unwrap()), before);
}

#[test]
fn without_the_store_keys_go_on_and_a_server_that_has_seen_them_starts() {
    let place = Place::sealed();
    let ring = place.open(spec(), T0);
    let (before, seal) = (kids(&ring), ring.seal().seal(&[b"x"]));
    place.value().is_away.store(true, Ordering::Relaxed);
    let error = ring.maintain(T0).unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("connection refused"), "{error}");
    assert!(ring.rotate(T0).is_err() && ring.withdraw(&before[0], T0).is_err());
    assert_eq!(kids(&ring), before, "a key that could not be withdrawn is still in use");
    assert!(ring.signer(Algorithm::ES256, T0).is_ok());
    // Long after, when a rotation is due.
    let again = place.open_as(0, &["key"], spec(), T0.plus(31 * 86_400)).unwrap();
    assert_eq!((kids(&again), again.seal().seal(&[b"x"])), (before.clone(), seal));
    assert!(again.maintain(T0).is_err(), "the first read alone is answered from the copy");
    let error = place.open_as(9, &["key"], spec(), T0).err().unwrap();
    assert!(error.to_string().contains("cannot reach"), "{error}");
    place.value().is_away.store(false, Ordering::Relaxed);
    assert!(again.maintain(T0.plus(31 * 86_400)).unwrap());
    assert_eq!(kids(&again).len(), 2);
}

#[test]
fn a_process_that_may_not_make_the_first_keys_makes_none() {
    let place = Place::sealed();
    let opened = SealedKeyStore::open(SealedStoreParts {
        value: match &place.shared {
            Shared::Value(value) => Arc::clone(value) as _,
            Shared::Directory => unreachable!(),
        },
        seal_key_files: &[place.files.path().join("key")],
        copy: place.copy(0),
        may_create: false,
        earlier: &place.earlier(),
        entropy: &OsEntropy,
    });
    assert!(matches!(opened, Err(KeyringError::Missing { .. })));
    assert_eq!(*place.value().value.lock().unwrap(), None);
}

#[test]
fn a_file_without_a_sealing_key_is_named_with_how_to_make_one() {
    let place = Place::sealed();
    for wrong in ["", "correct horse", "AAAA"] {
        place.write_key("key", wrong);
        let error = place.open_as(0, &["key"], spec(), T0).err().unwrap().to_string();
        assert!(error.contains("/key`") && error.contains("openssl rand -base64 32"), "{error}");
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
}

/// A device that keeps its keys in memory.
#[derive(Default)]
struct FakeDevice {
    keys: Mutex<Vec<Arc<sts_jose::SigningKey>>>,
    is_gone: AtomicBool,
}

impl FakeDevice {
    fn answers(&self) -> Result<(), KeyringError> {
        match self.is_gone.load(Ordering::Relaxed) {
            true => Err(KeyringError::Device("it is gone".to_owned())),
            false => Ok(()),
        }
    }

    fn kids(&self) -> Vec<Kid> {
        self.keys.lock().unwrap().iter().map(|key| key.kid().clone()).collect()
    }
}

impl KeyDevice for FakeDevice {
    fn generate(&self, algorithm: Algorithm) -> Result<DeviceKey, KeyringError> {
        self.answers()?;
        let key = sts_jose::SigningKey::generate(algorithm).unwrap();
        let public = DeviceKey::from_jwk(key.public_jwk(), algorithm).unwrap();
        assert_eq!(public.kid(), key.kid());
        self.keys.lock().unwrap().push(Arc::new(key));
        Ok(public)
    }

    fn signer(&self, key: &Arc<DeviceKey>) -> Arc<dyn Signer> {
        // Known by its public half alone.
        Arc::new(new_keys::WithoutDevice::new(key))
    }

    fn destroy(&self, kid: &Kid) -> Result<(), KeyringError> {
        self.answers()?;
        self.keys.lock().unwrap().retain(|key| key.kid() != kid);
        Ok(())
    }
}

fn on_device(place: &Place, device: &Arc<FakeDevice>, now: UnixTime) -> Result<Keyring, KeyringError> {
    Keyring::open(spec(), place.store(0, &["key"])?, Some(Arc::clone(device) as _), &OsEntropy, now)
}

#[test]
fn keys_on_a_device_are_made_published_withdrawn_and_dropped_like_others_and_destroyed_there() {
    for place in Place::all() {
        let device = Arc::new(FakeDevice::default());
        let ring = on_device(&place, &device, T0).unwrap();
        let first = kids(&ring);
        assert_eq!(first, device.kids());
        let second = ring.rotate(T0.plus(100)).unwrap().made;
        assert_eq!(device.kids(), [first[0].clone(), second[0].clone()]);
        let dead = T0.plus(100 + LEAD + 3600 + LEAD);
        // While the device is away, a dead key is published no more, and is not forgotten.
        device.is_gone.store(true, Ordering::Relaxed);
        assert!(ring.maintain(dead).is_err());
        assert_eq!(kids(&ring), second);
        device.is_gone.store(false, Ordering::Relaxed);
        ring.maintain(dead).unwrap();
        assert_eq!(device.kids(), second);
        let made = ring.withdraw(&second[0], dead).unwrap().unwrap().made;
        assert_eq!((device.kids(), kids(&ring)), (made.clone(), made));
    }
}

#[test]
fn a_server_starts_without_its_device_if_it_has_keys_there_and_not_before() {
    for place in Place::all() {
        let device = Arc::new(FakeDevice::default());
        device.is_gone.store(true, Ordering::Relaxed);
        assert!(matches!(on_device(&place, &device, T0), Err(KeyringError::Device(_))));
        device.is_gone.store(false, Ordering::Relaxed);
        let published = on_device(&place, &device, T0).unwrap().document();
        device.is_gone.store(true, Ordering::Relaxed);
        // A rotation is due, too.
        let ring = on_device(&place, &device, T0.plus(31 * 86_400)).unwrap();
        assert_eq!(ring.document(), published);
        assert!(ring.maintain(T0.plus(31 * 86_400)).is_err());
    }
}

#[test]
fn a_device_that_is_new_to_a_server_takes_over_with_a_successor() {
    for place in Place::all() {
        let in_memory = kids(&place.open_as(0, &["key"], spec(), T0).unwrap());
        let device = Arc::new(FakeDevice::default());
        let ring = on_device(&place, &device, T0.plus(10)).unwrap();
        assert_eq!(kids(&ring), [in_memory[0].clone(), device.kids()[0].clone()]);
        let signing = |at: UnixTime| ring.signer(Algorithm::ES256, at).unwrap().kid().clone();
        assert_eq!(signing(T0.plus(10)), in_memory[0]);
        assert_eq!(signing(T0.plus(10 + LEAD)), device.kids()[0]);
        ring.maintain(T0.plus(11)).unwrap();
        assert_eq!(device.kids().len(), 1, "one successor");
    }
}
