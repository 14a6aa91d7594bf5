//! A file that is not a sound store is refused and left unchanged. It is never taken for an empty
//! store.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails is to end")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_store::contract::{AlertLog, ManualClock, TestSeal, record, revocation};
use sts_store::{Issued, Ledger, Listing};
use sts_store_embedded::{EmbeddedLedger, OpenError};
use tempfile::TempDir;

const RECORDS: usize = 300;

fn open(path: &Path) -> Result<EmbeddedLedger, OpenError> {
    EmbeddedLedger::open(path, Arc::new(TestSeal(1)), Arc::new(ManualClock::default()), Arc::new(AlertLog::default()))
}

fn refusal(path: &Path) -> OpenError {
    open(path).err().unwrap_or_else(|| panic!("{} was opened", path.display()))
}

/// The bytes of a store that was closed in order.
async fn sound(directory: &TempDir) -> Vec<u8> {
    let path = directory.path().join("sound.redb");
    let ledger = open(&path).unwrap();
    for n in 0..RECORDS {
        assert_eq!(ledger.issue(record(&format!("t{n}"), "octo"), vec![]).await.unwrap(), Issued::Recorded);
    }
    ledger.revoke(revocation("t7", "leaked")).await.unwrap();
    drop(ledger);
    fs::read(path).unwrap()
}

fn written(directory: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("damaged.redb");
    fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn c139_a_truncated_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let sound = sound(&directory).await;
    for length in [0, 1, 8, 9, 64, 319, 320, 4095, 4096, 8192, sound.len() / 2, sound.len() - 4096, sound.len() - 1] {
        let path = written(&directory, &sound[..length]);
        let refusal = refusal(&path);
        assert!(matches!(refusal, OpenError::Damaged { .. }), "{length}: {refusal:?}");
        let text = refusal.to_string();
        assert!(text.contains("damaged.redb") && text.contains("restore it from a backup"), "{text}");
        assert!(fs::read(&path).unwrap() == sound[..length], "{length}: a damaged store was written to");
    }
}

#[tokio::test]
async fn c139_a_flipped_byte_is_detected_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let sound = sound(&directory).await;
    let (mut refused, mut harmless) = (0, 0);
    let header = (0..512).step_by(7);
    let pages = (4096..sound.len()).step_by(sound.len() / 150);
    for at in header.chain(pages) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        let path = written(&directory, &bytes);
        match open(&path) {
            Err(OpenError::Damaged { .. }) => {
                refused += 1;
                assert!(fs::read(&path).unwrap() == bytes, "{at}: a damaged store was written to");
            }
            Err(other) => panic!("{at}: {other:?}"),
            Ok(ledger) => {
                harmless += 1;
                let listed = ledger.list(Listing { limit: 1000, ..Listing::default() }).await.unwrap();
                assert_eq!(listed.len(), RECORDS, "{at}: records are missing");
                let revoked = listed.iter().filter(|entry| entry.revoked.is_some()).count();
                assert_eq!(revoked, 1, "{at}: the revocation is missing");
            }
        }
    }
    assert!(refused > 80, "{refused} refused, {harmless} harmless");
}

#[test]
fn c139_what_is_no_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, b"");
    assert!(refusal(&path).to_string().contains("it is empty"));
    assert_eq!(fs::read(&path).unwrap(), b"");

    let text = "issuer: https://sts.example.com\n".repeat(1000);
    let path = written(&directory, text.as_bytes());
    assert!(matches!(refusal(&path), OpenError::Damaged { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    assert!(refusal(directory.path()).to_string().contains("it is not a file"));

    let path = directory.path().join("foreign.redb");
    drop(redb::Database::create(&path).unwrap());
    assert!(refusal(&path).to_string().contains("it contains no ledger of sts"));
}

#[test]
fn a_store_of_a_newer_schema_is_refused_by_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("newer.redb");
    drop(open(&path).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, u64>::new("meta")).unwrap().insert("schema", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refusal(&path), OpenError::Newer { found: 99, known: 2, .. }));
}

#[test]
fn where_no_file_can_be_made_the_error_says_where_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let missing = refusal(&directory.path().join("missing/ledger.redb"));
    assert!(matches!(missing, OpenError::Io { doing: "created", .. }), "{missing:?}");
    assert!(missing.to_string().contains("missing/ledger.redb"), "{missing}");
    // No file can be created here, not even by root.
    #[cfg(target_os = "linux")]
    assert!(matches!(refusal(Path::new("/proc/ledger.redb")), OpenError::Io { doing: "created", .. }));
}

#[test]
fn a_new_store_is_private_and_leaves_nothing_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    // The leftover of a start that was killed.
    fs::write(directory.path().join("ledger.redb.new"), b"half").unwrap();
    drop(open(&path).unwrap());
    let names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["ledger.redb"]);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
}

#[test]
fn c140_a_store_that_is_open_is_refused_until_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    let first = open(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::Held { .. }));
    drop(first);
    drop(open(&path).unwrap());
}
