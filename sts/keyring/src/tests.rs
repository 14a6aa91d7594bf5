//! Several keyrings on one directory, with one clock that the tests move.

use super::*;
use sts_jose::OsEntropy;
use sts_types::Seal as _;

const T0: UnixTime = UnixTime::from_secs(1_790_000_000);

fn spec(directory: &std::path::Path) -> KeyringSpec {
    KeyringSpec {
        directory: directory.to_owned(),
        algorithms: vec![Algorithm::ES256],
        rotate_every: Some(30 * 86_400),
        max_ttl: 3600,
    }
}

#[test]
fn md06_c145_a_new_key_is_published_before_it_signs_and_kept_until_its_last_token_is_dead() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
    let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();

    let rotated = T0.plus(1000);
    ring.rotate(rotated).unwrap();
    let kids: Vec<Kid> = ring.keys().iter().map(|key| key.kid().clone()).collect();
    assert_eq!(kids.len(), 2);
    assert_eq!(*ring.signer(Algorithm::ES256, rotated.plus(LEAD - 1)).unwrap().kid(), first, "not before it is known");
    let second = ring.signer(Algorithm::ES256, rotated.plus(LEAD)).unwrap().kid().clone();
    assert_ne!(second, first);

    let last_use = rotated.plus(LEAD);
    assert!(ring.verifying_key(&first, last_use.plus(3600)).is_some());
    assert!(ring.maintain(last_use.plus(3600 + LEAD)).unwrap(), "the published set changed");
    assert!(ring.verifying_key(&first, last_use).is_none(), "dropped");
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 4, "one key, the seal, the longest life, and the lock");
}

#[test]
fn md06_a_key_outlives_its_tokens_though_max_ttl_is_lowered() {
    let directory = tempfile::tempdir().unwrap();
    let day = KeyringSpec { max_ttl: 86_400, ..spec(directory.path()) };
    let ring = Keyring::open(day, &OsEntropy, T0).unwrap();
    let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
    ring.rotate(T0.plus(1)).unwrap();
    drop(ring);
    let lowered = KeyringSpec { max_ttl: 300, ..spec(directory.path()) };
    let last_token_dies = T0.plus(1 + LEAD + 86_400);
    let ring = Keyring::open(lowered, &OsEntropy, last_token_dies).unwrap();
    assert!(ring.verifying_key(&first, last_token_dies).is_some());
}

#[test]
fn c145_a_successor_made_in_the_second_of_its_predecessor_or_by_a_clock_that_went_back_still_comes_second() {
    for (round, back) in (0..16).zip([0, 0, 0, 5].into_iter().cycle()) {
        let directory = tempfile::tempdir().unwrap();
        let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
        ring.rotate(T0.plus(-back)).unwrap();
        assert_eq!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), first, "round {round}");
    }
}

#[test]
fn c145_many_that_share_a_directory_start_and_rotate_at_once_and_have_one_key_and_one_successor() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
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

#[test]
fn md06_what_one_process_makes_the_others_publish_well_before_it_signs() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
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

#[test]
fn md06_a_longer_life_that_another_process_was_told_of_keeps_keys_here_too() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
    one.raise_longest_life(86_400).unwrap();
    let first = one.signer(Algorithm::ES256, T0).unwrap().kid().clone();
    other.rotate(T0.plus(1)).unwrap();
    let last_token_dies = T0.plus(1 + LEAD + 86_400);
    other.maintain(last_token_dies).unwrap();
    assert!(other.verifying_key(&first, last_token_dies).is_some());
}

#[test]
fn c145_rotating_again_while_a_successor_waits_makes_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
    for seconds in [0, 1, 2, LEAD - 1] {
        let made = ring.rotate(T0.plus(1000 + seconds)).unwrap();
        assert_eq!((made.len(), ring.keys().len()), (usize::from(seconds == 0), 2), "fld49: {seconds}");
    }
    ring.rotate(T0.plus(1000 + LEAD)).unwrap();
    assert_eq!(ring.keys().len(), 3, "the successor signs, and gets one of its own");
}

#[test]
fn keys_rotate_by_themselves_and_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
    assert!(!ring.maintain(T0.plus(29 * 86_400)).unwrap());
    assert!(ring.maintain(T0.plus(30 * 86_400)).unwrap());
    let again = Keyring::open(spec(directory.path()), &OsEntropy, T0.plus(30 * 86_400)).unwrap();
    assert_eq!(again.etag(), ring.etag());
    assert_eq!(again.keys().len(), 2);
}

#[test]
fn reading_again_takes_up_what_others_made_and_makes_and_drops_nothing_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let [ring, other] = [(); 2].map(|()| Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
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

#[test]
fn j15_the_key_set_has_public_members_only() {
    let directory = tempfile::tempdir().unwrap();
    let both = KeyringSpec { algorithms: vec![Algorithm::ES256, Algorithm::RS256], ..spec(directory.path()) };
    let ring = Keyring::open(both, &OsEntropy, T0).unwrap();
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

#[test]
fn c144_a_wrong_key_file_is_named_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    drop(Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
    let file = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .unwrap();
    for wrong in ["", "{}", "garbage", "{\"version\":1,\"algorithm\":\"ES256\",\"created\":1,\"pkcs8\":\"AAAA\"}"] {
        std::fs::write(&file, wrong).unwrap();
        let error = Keyring::open(spec(directory.path()), &OsEntropy, T0).err().unwrap().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), wrong);
    }
}

#[cfg(unix)]
#[test]
fn c144_key_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    drop(Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("longest-life") || path.ends_with("lock") {
            continue;
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keyring::open(spec(directory.path()), &OsEntropy, T0).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
