use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use sts_testkit::ManualClock;
use sts_types::UnixTime;
use tempfile::TempDir;

use super::*;
use crate::event::FileCause;
use crate::verify::{
    CheckpointVerifier, FileEnd, LineRange, Problem, ProblemKind, SignatureFault, VerifyReport, verify_files,
};

/// "Signs" with a digest, or not at all.
#[derive(Default)]
struct TestSigner(AtomicBool);

fn test_jws(payload: &str) -> String {
    let signed = sts_jose::sha256(format!("key {payload}").as_bytes());
    format!("test.{payload}.{}", hex(&signed.0))
}

impl CheckpointSigner for TestSigner {
    fn sign(&self, hash: &str) -> Result<String, String> {
        if self.0.load(Ordering::Relaxed) { Err("the device is away".to_owned()) } else { Ok(test_jws(hash)) }
    }
}

struct TestKeys;

impl CheckpointVerifier for TestKeys {
    fn verify(&self, jws: &str) -> Result<Vec<u8>, SignatureFault> {
        let payload = jws.split('.').nth(1).unwrap_or_default();
        if !jws.starts_with("test.") {
            return Err(SignatureFault::UnknownKey("other".to_owned()));
        }
        if test_jws(payload) == jws { Ok(payload.into()) } else { Err(SignatureFault::Invalid) }
    }
}

struct Fixture {
    folder: TempDir,
    clock: Arc<ManualClock>,
    signer: Arc<TestSigner>,
    max_size: u64,
}

impl Fixture {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(1_800_000_000)));
        Self { folder: TempDir::new().unwrap(), clock, signer: Arc::default(), max_size: 1 << 20 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn file(&self) -> AuditFile {
        let parts = ChainParts {
            clock: Arc::clone(&self.clock) as _,
            sha256: sts_jose::sha256,
            signer: Arc::clone(&self.signer) as _,
            writer: ActorKind::Server,
        };
        AuditFile::new(FileSpec { path: self.path(), max_size: self.max_size, max_files: 3 }, parts)
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.path()).unwrap().lines().map(str::to_owned).collect()
    }

    fn put(&self, lines: &[String]) {
        std::fs::write(self.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    fn all(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn verify(&self) -> VerifyReport {
        verify_files(&self.all(), sts_jose::sha256, Some(&TestKeys)).unwrap()
    }

    fn problem(&self) -> Option<(u64, ProblemKind)> {
        self.verify().problem.map(|Problem { line, kind, .. }| (line, kind))
    }
}

fn events(range: std::ops::Range<u32>) -> Vec<u8> {
    range.map(|number| format!("{{\"event\":\"decision\",\"n\":{number}}}\n")).collect::<String>().into_bytes()
}

/// A file of two begun lines, `count` events and a checkpoint.
fn written(count: u32) -> Fixture {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..count)).unwrap();
    file.close();
    fixture
}

#[test]
fn c162_a_file_is_sound_from_its_first_line_to_its_last_checkpoint() {
    let fixture = written(5);
    let report = fixture.verify();
    assert_eq!(report.problem, None);
    assert_eq!((report.checkpoints, report.signed_until(), report.lines_after_checkpoint), (1, Some(7), 0));
    assert!(!report.is_live);
    let lines = fixture.lines();
    assert!(lines[0].contains("\"audit_file_begun\"") && lines[6].contains("\"checkpoint\""));
    for (index, line) in lines.iter().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["seq"], index as u64 + 1);
    }
}

#[test]
fn c162_the_first_line_that_was_changed_cut_added_or_moved_is_told() {
    let sound = written(5).lines();
    let edit = |change: &dyn Fn(&mut Vec<String>)| {
        let fixture = Fixture::new();
        let mut lines = sound.clone();
        change(&mut lines);
        fixture.put(&lines);
        fixture.problem()
    };
    let replaced =
        |from: &str, to: &str| edit(&|lines| lines.iter_mut().for_each(|line| *line = line.replace(from, to)));
    assert_eq!(replaced("\"n\":2", "\"n\":3"), Some((4, ProblemKind::Changed)));
    assert_eq!(replaced("\"n\":2", "\"n\":22"), Some((4, ProblemKind::Changed)));
    assert_eq!(edit(&|lines| drop(lines.remove(3))), Some((4, ProblemKind::Cut { first: 4, last: 4 })));
    assert_eq!(edit(&|lines| drop(lines.drain(0..2))), Some((1, ProblemKind::BeginningCut)));
    assert_eq!(
        edit(&|lines| lines.insert(3, lines[2].clone())),
        Some((4, ProblemKind::OutOfOrder { expected: 4, actual: 3 }))
    );
    assert_eq!(edit(&|lines| lines.swap(3, 4)), Some((4, ProblemKind::Cut { first: 4, last: 4 })));
    assert_eq!(edit(&|lines| lines.insert(3, "{\"event\":\"decision\"}".to_owned())), Some((4, ProblemKind::NotALine)));
    assert_eq!(edit(&|lines| lines.insert(3, String::new())), Some((4, ProblemKind::NotALine)));
    assert_eq!(edit(&|lines| lines.clear()), Some((1, ProblemKind::Empty)));
    assert_eq!(edit(&|lines| lines[6] = lines[6].replace("test.", "test.0")), Some((7, ProblemKind::BadSignature)));
    let unsigned = |line: &str| format!("{}}}", line.split_once(",\"jws\"").unwrap().0);
    assert_eq!(edit(&|lines| lines[6] = unsigned(&lines[6])), Some((7, ProblemKind::SignatureCut)));
    assert_eq!(edit(&|_| {}), None);
}

#[test]
fn c162_a_line_that_was_replaced_together_with_its_hash_is_told() {
    let fixture = written(5);
    let mut lines = fixture.lines();
    let third = SealedLine::parse(lines[2].as_bytes()).unwrap();
    let head = ChainHead { seq: third.seq - 1, hash: third.prev };
    let mut forged = Vec::new();
    append_line(&mut forged, b"{\"event\":\"decision\",\"n\":9}", head, sts_jose::sha256).unwrap();
    end_line(&mut forged, None);
    lines[2] = String::from_utf8(forged).unwrap().trim_end().to_owned();
    fixture.put(&lines);
    assert_eq!(fixture.problem(), Some((4, ProblemKind::NotNext)));
}

use crate::chain::SealedLine;

#[test]
fn c162_a_chain_that_was_written_anew_fails_at_its_first_checkpoint() {
    let fixture = written(3);
    let mut forged = Vec::new();
    let mut head = ChainHead::START;
    for line in fixture.lines() {
        let json = line.split_once(",\"seq\"").unwrap().0.replace("\"n\":1", "\"n\":7");
        head = append_line(&mut forged, format!("{json}}}").as_bytes(), head, sts_jose::sha256).unwrap();
        let jws = line.split_once("\"jws\":\"").map(|(_, jws)| jws.trim_end_matches("\"}").to_owned());
        end_line(&mut forged, jws.as_deref());
    }
    std::fs::write(fixture.path(), forged).unwrap();
    assert_eq!(fixture.problem(), Some((5, ProblemKind::BadSignature)));
}

#[test]
fn c162_a_file_that_does_not_end_in_a_checkpoint_is_told() {
    let fixture = written(5);
    let lines = fixture.lines();
    fixture.put(&lines[..5]);
    let report = fixture.verify();
    assert_eq!((report.lines_after_checkpoint, report.signed_until(), report.problem), (5, None, None));
    std::fs::write(fixture.path(), lines.join("\n")).unwrap();
    assert!(fixture.verify().torn_bytes > 0);
}

#[test]
fn a_key_that_nobody_has_is_named_and_proves_nothing() {
    let fixture = written(2);
    let lines: Vec<String> =
        fixture.lines().iter().map(|line| line.replace("\"jws\":\"test.", "\"jws\":\"x.")).collect();
    fixture.put(&lines);
    let report = fixture.verify();
    assert_eq!((report.unknown_key.as_deref(), report.signed_until()), (Some("other"), None));
    assert_eq!((report.problem, report.lines_after_checkpoint), (None, 4));
}

#[test]
fn lines_behind_the_last_verified_checkpoint_are_proven_by_no_checkpoint_of_another_key() {
    let fixture = written(2);
    let mut file = fixture.file();
    file.write_lines(&events(2..4)).unwrap();
    file.close();
    let of_other_key = |lines: &mut [String], index: usize| {
        lines[index] = lines[index].replace("\"jws\":\"test.", "\"jws\":\"x.");
    };
    let sound = fixture.lines();
    let mut lines = sound.clone();
    of_other_key(&mut lines, 6);
    fixture.put(&lines);
    let report = fixture.verify();
    assert_eq!((report.unknown_key.as_deref(), report.signed_until()), (Some("other"), Some(4)));
    assert_eq!((report.problem, report.lines_after_checkpoint), (None, 3));
    // One before it is covered by it.
    let mut lines = sound;
    of_other_key(&mut lines, 3);
    fixture.put(&lines);
    let report = fixture.verify();
    assert_eq!((report.signed_until(), report.lines_after_checkpoint, report.unknown_key), (Some(7), 0, None));
}

#[test]
fn a_checkpoint_stands_after_1000_lines_and_after_an_hour() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..2500)).unwrap();
    let checkpoints = || fixture.lines().iter().filter(|line| line.contains("\"jws\"")).count();
    assert_eq!(checkpoints(), 2);
    fixture.clock.advance(Duration::from_secs(3599));
    file.tick().unwrap();
    assert_eq!(checkpoints(), 2);
    fixture.clock.advance(Duration::from_secs(1));
    file.tick().unwrap();
    assert_eq!(checkpoints(), 3);
    fixture.clock.advance(Duration::from_secs(7200));
    file.tick().unwrap();
    assert_eq!(checkpoints(), 3, "nothing came since");
    assert_eq!(fixture.verify().problem, None);
}

#[test]
fn a_busy_file_gets_its_checkpoint_after_an_hour_too() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    for number in 0..3 {
        file.write_lines(&events(number..number + 1)).unwrap();
        fixture.clock.advance(Duration::from_secs(1800));
    }
    let report = fixture.verify();
    assert_eq!((report.checkpoints, report.lines_after_checkpoint), (1, 0));
}

#[test]
fn a_running_writer_excuses_the_lines_that_it_may_hold_unsigned_and_no_others() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    let now = || UnixTime::from_secs(i64::try_from(fixture.clock.now_millis() / 1000).unwrap());
    let end = || fixture.verify().end(now());
    let timed = |count: u32| {
        let time = sts_types::rfc3339_millis(fixture.clock.now_millis()).unwrap();
        events(0..count).split_inclusive(|byte| *byte == b'\n').fold(Vec::new(), |all, line| {
            let line = String::from_utf8_lossy(line).replace("\"n\"", &format!("\"time\":\"{time}\",\"n\""));
            [all, line.into_bytes()].concat()
        })
    };
    file.write_lines(&timed(1)).unwrap();
    assert_eq!(end(), FileEnd::Pending);
    // Its key is away, so lines stay without a checkpoint.
    fixture.signer.0.store(true, Ordering::Relaxed);
    fixture.clock.advance(CHECKPOINT_TIME + CHECKPOINT_SLACK);
    assert_eq!(end(), FileEnd::Pending);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(end(), FileEnd::Overdue);
    fixture.signer.0.store(false, Ordering::Relaxed);
    file.tick().unwrap();
    assert_eq!(end(), FileEnd::Complete);
    fixture.signer.0.store(true, Ordering::Relaxed);
    file.write_lines(&timed(1001)).unwrap();
    assert_eq!(end(), FileEnd::Overdue);
    // A running writer does not excuse a line that stays torn: it was cut.
    let length = std::fs::metadata(fixture.path()).unwrap().len();
    OpenOptions::new().write(true).open(fixture.path()).unwrap().set_len(length - 5).unwrap();
    let report = fixture.verify();
    assert!(report.is_live);
    assert_eq!(report.end(now()), FileEnd::Unfinished);
}

#[test]
fn a_signer_that_fails_holds_no_line_up_and_is_asked_again() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    fixture.signer.0.store(true, Ordering::Relaxed);
    file.write_lines(&events(0..1500)).unwrap();
    assert_eq!(fixture.lines().len(), 1501);
    fixture.signer.0.store(false, Ordering::Relaxed);
    file.tick().unwrap();
    assert_eq!(fixture.lines().len(), 1501, "not at once");
    fixture.clock.advance(SIGN_RETRY);
    file.tick().unwrap();
    assert_eq!(fixture.verify().signed_until(), Some(1502));
}

#[test]
fn c162_the_chain_goes_on_over_full_files_and_the_oldest_go() {
    let fixture = Fixture { max_size: 4096, ..Fixture::new() };
    let mut file = fixture.file();
    for number in 0..100 {
        file.write_lines(&events(number..number + 1)).unwrap();
    }
    file.close();
    let names: BTreeSet<String> =
        fixture.all().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"]);
    let report = fixture.verify();
    assert_eq!(report.problem, None);
    assert!(report.files[0].first > 1 && report.files.len() == 4, "{report:?}");
    assert!(report.files.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
    // Each full file ends in a checkpoint, so it can be kept elsewhere.
    for path in fixture.all() {
        let report = verify_files(&[path], sts_jose::sha256, Some(&TestKeys)).unwrap();
        assert_eq!((report.problem, report.lines_after_checkpoint), (None, 0));
    }
    let gone: Vec<PathBuf> = fixture.all().into_iter().filter(|path| !path.ends_with("audit.log.2")).collect();
    let report = verify_files(&gone, sts_jose::sha256, None).unwrap();
    assert!(matches!(report.problem.unwrap().kind, ProblemKind::Cut { .. }));
}

#[test]
fn the_chain_goes_on_after_a_restart() {
    let fixture = Fixture::new();
    for number in 0..4 {
        let mut file = fixture.file();
        file.write_lines(&events(number..number + 1)).unwrap();
        if number % 2 == 0 {
            file.close();
        }
    }
    assert_eq!(fixture.problem(), None);
    // The second writer had no chance to sign, so the third signs for it.
    assert_eq!(fixture.verify().files[0].last, 8);
    let resumed: Vec<usize> =
        (0..).zip(fixture.lines()).filter(|(_, line)| line.contains("\"resumed\"")).map(|(index, _)| index).collect();
    assert_eq!(resumed, [4]);
    // Which lines it is about, because nobody vouched for them while nothing ran.
    assert_eq!(fixture.verify().resumed, [LineRange { first: 4, last: 5 }]);
}

#[test]
fn a_restart_between_two_files_goes_on_behind_the_full_one() {
    let fixture = written(3);
    std::fs::rename(fixture.path(), rotated_path(&fixture.path(), 1)).unwrap();
    let mut file = fixture.file();
    file.write_lines(&events(3..4)).unwrap();
    file.close();
    let report = fixture.verify();
    assert_eq!((report.problem, report.files.len()), (None, 2));
}

/// A file that its writer ended and renamed, right before it would begin the next one.
fn interrupted() -> (Fixture, AuditFile) {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..3)).unwrap();
    file.end_file().unwrap();
    shift(&file.spec).unwrap();
    file.open = None;
    (fixture, file)
}

#[test]
fn a_kill_in_the_middle_of_a_rotation_is_no_loss_and_the_removal_of_a_file_stays_one() {
    let torn = |path: &Path| std::fs::write(path, b"{\"event\":\"audit_file_beg").unwrap();
    let empty = |path: &Path| std::fs::write(path, b"").unwrap();
    let nothing = |_: &Path| {};
    type Left<'l> = &'l dyn Fn(&Path);
    for left in [&nothing as Left<'_>, &empty, &torn] {
        let (fixture, file) = interrupted();
        drop(file);
        left(&fixture.path());
        let mut file = fixture.file();
        file.write_lines(&events(3..5)).unwrap();
        file.close();
        assert_eq!(begun(&fixture), "rotated");
        let report = fixture.verify();
        assert_eq!((report.problem, report.losses, report.lines_after_checkpoint), (None, vec![], 0));
        assert_eq!(fixture.all().len(), 2, "nothing else stays beside the files");
        // It has lines now, so its removal is told.
        std::fs::remove_file(fixture.path()).unwrap();
        fixture.file().write_lines(&events(5..6)).unwrap();
        assert_eq!(begun(&fixture), "missing");
    }
    // Before the rename.
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..3)).unwrap();
    file.end_file().unwrap();
    drop(file);
    let mut file = fixture.file();
    file.write_lines(&events(3..5)).unwrap();
    file.close();
    assert_eq!((fixture.problem(), fixture.all().len()), (None, 1));
    assert!(fixture.verify().losses.is_empty());
}

#[test]
fn a_rotation_that_fails_is_no_loss_once_it_succeeds() {
    let (fixture, mut file) = interrupted();
    // The next file cannot be opened.
    std::fs::create_dir(fixture.path()).unwrap();
    file.reopen(Some(Disturbance::Renamed)).unwrap_err();
    file.write_lines(&events(3..5)).unwrap_err();
    std::fs::remove_dir(fixture.path()).unwrap();
    file.write_lines(&events(3..5)).unwrap();
    file.close();
    assert_eq!(begun(&fixture), "rotated");
    let report = fixture.verify();
    assert_eq!((report.problem, report.losses, report.lines_after_checkpoint), (None, vec![], 0));
}

#[test]
fn a_file_that_another_program_moves_away_ends_in_a_checkpoint_and_the_chain_goes_on() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..3)).unwrap();
    std::fs::rename(fixture.path(), fixture.folder.path().join("moved")).unwrap();
    file.write_lines(&events(3..6)).unwrap();
    file.close();
    let report = fixture.verify();
    assert_eq!((report.problem, report.files.len(), report.lines_after_checkpoint), (None, 2, 0));
}

#[test]
fn c162_a_running_file_that_somebody_cuts_shows_it() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..5)).unwrap();
    let lines = fixture.lines();
    fixture.put(&lines[..4]);
    file.write_lines(&events(5..6)).unwrap();
    file.close();
    assert_eq!(fixture.problem(), Some((5, ProblemKind::Cut { first: 5, last: 6 })));
}

/// The cause in the first line of the file.
fn begun(fixture: &Fixture) -> String {
    let line: serde_json::Value = serde_json::from_str(&fixture.lines()[0]).unwrap();
    line["cause"].as_str().unwrap().to_owned()
}

#[test]
fn c162_a_file_that_is_removed_cut_to_nothing_or_replaced_under_its_writer_says_so_and_the_chain_goes_on() {
    let emptied = |path: &Path| std::fs::write(path, b"").unwrap();
    let removed = |path: &Path| std::fs::remove_file(path).unwrap();
    let replaced = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, b"").unwrap();
    };
    type Change<'c> = &'c dyn Fn(&Path);
    let changes: [(&str, FileCause, Change<'_>); 3] = [
        ("truncated", FileCause::Truncated, &emptied),
        ("missing", FileCause::Missing, &removed),
        ("replaced", FileCause::Replaced, &replaced),
    ];
    for (name, cause, change) in changes {
        let fixture = Fixture::new();
        let mut file = fixture.file();
        file.write_lines(&events(0..3)).unwrap();
        change(&fixture.path());
        file.write_lines(&events(3..5)).unwrap();
        file.close();
        assert_eq!(begun(&fixture), name);
        let report = fixture.verify();
        let [loss] = report.losses.as_slice() else { panic!("{name}: {report:?}") };
        assert_eq!(
            (loss.cause, loss.missing),
            (cause, Some(LineRange { first: 1, last: report.files[0].first - 1 })),
            "{name}"
        );
        assert!(report.signed_until().is_some(), "{name}: what follows is proven");
        assert_eq!((report.problem, report.lines_after_checkpoint), (None, 0), "{name}");
    }
}

#[test]
fn c162_a_checkpoint_behind_a_gap_proves_nothing_of_what_stands_before_it() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..3)).unwrap();
    // What is left of a file whose lines 3 and 4 were cut, and whose line 2 was written anew.
    let (mut forged, mut head) = (Vec::new(), ChainHead::START);
    for json in ["{\"event\":\"audit_file_begun\",\"cause\":\"new\"}", "{\"event\":\"decision\",\"n\":9}"] {
        head = append_line(&mut forged, json.as_bytes(), head, sts_jose::sha256).unwrap();
        end_line(&mut forged, None);
    }
    std::fs::write(fixture.folder.path().join("audit.log.old"), forged).unwrap();
    std::fs::write(fixture.path(), b"").unwrap();
    file.write_lines(&events(3..5)).unwrap();
    file.close();
    let range = |first, last| LineRange { first, last };
    let report = fixture.verify();
    assert_eq!(report.losses.iter().map(|loss| loss.missing).collect::<Vec<_>>(), [Some(range(3, 4))]);
    assert_eq!((report.unproven, report.signed), (vec![range(1, 2)], vec![range(5, 8)]));
    assert_eq!((report.problem, report.lines_after_checkpoint), (None, 0));
    // Nor does any checkpoint where no key is given.
    assert_eq!(verify_files(&fixture.all(), sts_jose::sha256, None).unwrap().unproven, [range(1, 2)]);
}

#[test]
fn a_copy_of_a_file_that_was_then_cut_to_nothing_holds_every_line() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..3)).unwrap();
    std::fs::copy(fixture.path(), fixture.folder.path().join("copy")).unwrap();
    std::fs::write(fixture.path(), b"").unwrap();
    file.write_lines(&events(3..5)).unwrap();
    file.close();
    let report = fixture.verify();
    assert_eq!((report.problem, report.losses.len(), report.files.len()), (None, 0, 2));
}

#[test]
fn a_file_names_the_cause_that_began_it() {
    let fixture = written(3);
    assert_eq!(begun(&fixture), "new");
    // It is rotated by another program while nobody writes.
    std::fs::rename(fixture.path(), rotated_path(&fixture.path(), 1)).unwrap();
    let mut file = fixture.file();
    file.write_lines(&events(3..4)).unwrap();
    assert_eq!(begun(&fixture), "rotated");
    // It is rotated by another program while it is written.
    std::fs::rename(fixture.path(), fixture.folder.path().join("moved")).unwrap();
    file.write_lines(&events(4..5)).unwrap();
    assert_eq!(begun(&fixture), "rotated");
    drop(file);
    // Its writer ended the file before, so there was one behind it.
    std::fs::remove_file(rotated_path(&fixture.path(), 1)).unwrap();
    std::fs::rename(fixture.folder.path().join("moved"), rotated_path(&fixture.path(), 1)).unwrap();
    std::fs::remove_file(fixture.path()).unwrap();
    let mut file = fixture.file();
    file.write_lines(&events(5..6)).unwrap();
    file.close();
    assert_eq!(begun(&fixture), "missing");
    let report = fixture.verify();
    assert_eq!(
        report.losses.iter().map(|loss| (loss.cause, loss.missing)).collect::<Vec<_>>(),
        [(FileCause::Missing, None)]
    );
}

#[test]
fn c162_lines_that_another_program_adds_to_a_running_file_are_not_taken_into_the_chain() {
    let fixture = Fixture::new();
    let mut file = fixture.file();
    file.write_lines(&events(0..2)).unwrap();
    let lines = fixture.lines();
    let last = SealedLine::parse(lines[2].as_bytes()).unwrap();
    let mut forged = Vec::new();
    append_line(&mut forged, b"{\"event\":\"decision\",\"n\":9}", last.head(), sts_jose::sha256).unwrap();
    end_line(&mut forged, None);
    OpenOptions::new().append(true).open(fixture.path()).unwrap().write_all(&forged).unwrap();
    file.write_lines(&events(2..3)).unwrap();
    file.close();
    assert_eq!(fixture.problem(), Some((5, ProblemKind::OutOfOrder { expected: 5, actual: 4 })));
}

#[test]
fn c162_a_file_whose_end_was_changed_is_renamed_and_told() {
    let fixture = written(3);
    let mut lines = fixture.lines();
    let last = lines.len() - 1;
    lines[last] = lines[last].replace("\"stop\"", "\"STOP\"");
    fixture.put(&lines);
    let mut file = fixture.file();
    file.write_lines(&events(3..4)).unwrap();
    file.close();
    let old = verify_files(&[rotated_path(&fixture.path(), 1)], sts_jose::sha256, None).unwrap();
    assert_eq!(old.problem.unwrap().kind, ProblemKind::Changed);
    let new = verify_files(&[fixture.path()], sts_jose::sha256, Some(&TestKeys)).unwrap();
    assert_eq!((new.problem, new.lines_after_checkpoint), (None, 0));
    assert!(
        fixture.lines()[0]
            .contains("\"cause\":\"replaced\",\"detail\":\"the file before does not end in a line of its chain\"")
    );
}

#[test]
fn two_processes_do_not_write_one_file_and_a_live_file_is_told() {
    let fixture = Fixture::new();
    let mut first = fixture.file();
    first.write_lines(&events(0..1)).unwrap();
    assert!(fixture.verify().is_live);
    let (written, error) = fixture.file().write_lines(&events(1..2)).unwrap_err();
    assert_eq!(written, 0);
    assert!(error.to_string().contains("another process"), "{error}");
    first.close();
    fixture.file().write_lines(&events(1..2)).unwrap();
    assert_eq!(fixture.problem(), None);
}

#[test]
fn what_is_no_file_is_told_and_never_written() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path()).unwrap();
    assert!(fixture.file().tick().is_err());
    let mut device = fixture.file();
    device.spec.path = PathBuf::from("/dev/full");
    assert!(device.tick().unwrap_err().to_string().contains("not a regular file"));
    for path in [fixture.path(), PathBuf::from("/dev/null")] {
        let error = verify_files(&[path], sts_jose::sha256, None).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_file_twice_or_away_is_an_error() {
    let fixture = written(1);
    let twice = [fixture.path(), fixture.folder.path().join(".").join("audit.log")];
    assert!(verify_files(&twice, sts_jose::sha256, None).unwrap_err().to_string().contains("twice"));
    assert!(verify_files(&[PathBuf::from("/nowhere")], sts_jose::sha256, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A crash may leave any part of the last write.
    #[test]
    fn a_file_that_is_torn_anywhere_is_healed_and_its_chain_goes_on(cut in 1_usize..2_000, count in 1_u32..6) {
        let fixture = written(count);
        let bytes = std::fs::read(fixture.path()).unwrap();
        let kept = bytes.len().saturating_sub(cut);
        std::fs::write(fixture.path(), &bytes[..kept]).unwrap();
        let whole = bytes[..kept].iter().filter(|byte| **byte == b'\n').count();
        let mut file = fixture.file();
        file.write_lines(&events(50..52)).unwrap();
        file.close();
        let report = fixture.verify();
        prop_assert_eq!(report.problem, None);
        prop_assert_eq!(report.lines_after_checkpoint, 0);
        let is_torn = kept > 0 && bytes[kept - 1] != b'\n';
        let lines = fixture.lines();
        prop_assert_eq!(lines.iter().any(|line| line.contains("audit_file_healed")), is_torn);
        let begun = usize::from(whole == 0);
        // What the crash left without a checkpoint gets one at once.
        let resumed = usize::from(whole > 0);
        prop_assert_eq!(lines.len(), whole + begun + usize::from(is_torn) + resumed + 3);
    }

    /// Any other byte anywhere is found, unless it is in the signature and no key is at hand.
    #[test]
    fn c162_a_change_of_any_byte_is_found(position in 0_usize..10_000, other in any::<u8>()) {
        let fixture = written(4);
        let mut bytes = std::fs::read(fixture.path()).unwrap();
        let position = position % bytes.len();
        prop_assume!(bytes[position] != other);
        bytes[position] = other;
        std::fs::write(fixture.path(), &bytes).unwrap();
        let report = fixture.verify();
        prop_assert!(
            report.problem.is_some() || report.torn_bytes > 0 || report.signed_until() != Some(6),
            "byte {} {:?}", position, report
        );
    }
}
