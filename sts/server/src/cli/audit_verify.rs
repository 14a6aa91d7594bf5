//! `sts audit verify`: whether any line of audit files was changed, cut, added or moved.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use sts_audit::{
    CheckpointVerifier, FileCause, FileEnd, FileLoss, LineRange, SignatureFault, VerifyReport, verify_files,
};
use sts_jose::{CompactJws, KeySet};
use sts_types::{Algorithm, Clock as _, UnixTime, one_line, rfc, shown_path};

use super::admin_commands::refuse;
use crate::clock::SystemClock;
use crate::terminal::{complain, say};

pub(super) fn run(files: &[PathBuf], jwks: &[String], json: bool) -> ExitCode {
    let keys = match (!jwks.is_empty()).then(|| read_keys(jwks)).transpose() {
        Ok(keys) => keys,
        Err(error) => {
            refuse(json, &error);
            return ExitCode::from(2);
        }
    };
    let verifier = keys.as_ref().map(|keys| keys as &dyn CheckpointVerifier);
    match verify_files(files, sts_jose::sha256, verifier) {
        Ok(report) => {
            let verdict = Verdict::of(&report, keys.is_some(), SystemClock::new().now());
            if json {
                say(&verdict.json(&report).to_string());
            } else {
                verdict.text(&report).iter().for_each(|line| say(line));
            }
            if verdict.is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            refuse(json, &error);
            ExitCode::from(2)
        }
    }
}

/// What a report means.
struct Verdict {
    is_sound: bool,
    /// What is wrong, the first thing first.
    problems: Vec<String>,
    /// What a reader should know.
    notes: Vec<String>,
}

impl Verdict {
    fn of(report: &VerifyReport, has_keys: bool, now: UnixTime) -> Self {
        let mut verdict = Self { is_sound: true, problems: Vec::new(), notes: Vec::new() };
        verdict.judge_beginning(report);
        verdict.problems.extend(report.losses.iter().map(loss));
        verdict.problems.extend(report.unproven.iter().map(|range| unproven(*range, has_keys)));
        if let Some(problem) = &report.problem {
            let kind = one_line(&problem.kind.to_string());
            let text = format!("line {} of {}: {kind}", problem.line, shown_path(&problem.path));
            verdict.problems.push(text);
        } else {
            verdict.judge_end(report, report.end(now));
        }
        if has_keys {
            verdict.judge_signatures(report);
        } else {
            verdict.notes.push(
                "the signatures of checkpoints were not checked, so a chain that was written anew is not noticed: give --jwks".to_owned(),
            );
        }
        verdict.judge_resumed(report);
        verdict.is_sound = verdict.problems.is_empty();
        verdict
    }

    /// Whether there are lines before the first one.
    fn judge_beginning(&mut self, report: &VerifyReport) {
        let first = report.files.first().filter(|file| file.first > 1 && report.losses.is_empty());
        if let Some(file) = first {
            self.notes.push(format!(
                "the files begin at line {} of the chain: lines 1 to {} are in earlier files, which are not given here",
                file.first,
                file.first - 1
            ));
        }
    }

    /// Whether a crash left lines whose checkpoint came later.
    fn judge_resumed(&mut self, report: &VerifyReport) {
        /// The most ranges that are listed.
        const LISTED: usize = 5;
        let Some((last, rest)) = report.resumed.split_last() else { return };
        let listed = rest.iter().rev().take(LISTED - 1).rev().chain([last]).map(|range| lines(*range));
        let listed = listed.collect::<Vec<_>>().join(", ");
        let more = report.resumed.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} ranges before them") } else { String::new() };
        self.notes.push(format!(
            "{listed}{more} had no checkpoint when the server ended, by a crash or a kill, and got one at its next start: \
             who could write the file between the two could change them"
        ));
    }

    /// Whether the last file ends as it should.
    fn judge_end(&mut self, report: &VerifyReport, end: FileEnd) {
        let after = match report.lines_after_checkpoint {
            1 => "1 line follows the last checkpoint".to_owned(),
            count => format!("{count} lines follow the last checkpoint"),
        };
        // The key that is missing is told instead: lines behind its checkpoints are not cut.
        let is_of_unknown_key = report.unknown_key.is_some() && report.torn_bytes == 0;
        match end {
            FileEnd::Complete => {}
            _ if is_of_unknown_key => {}
            FileEnd::Pending => {
                self.notes.push(format!("{after}: the file is being written, and its next checkpoint covers them"));
            }
            FileEnd::Overdue => self.problems.push(format!(
                "{after}, where one is due after 1000 lines or an hour: the server cannot sign, or its checkpoints were taken out"
            )),
            FileEnd::Unfinished => {
                let torn = report.torn_bytes;
                let torn = (torn > 0).then(|| format!("the last line is torn ({torn} bytes)"));
                let both: Vec<String> =
                    (report.lines_after_checkpoint > 0).then_some(after).into_iter().chain(torn).collect();
                self.problems.push(format!(
                    "the file does not end in a checkpoint: lines at its end were cut, or the server crashed ({})",
                    both.join("; ")
                ));
            }
        }
    }

    /// What the signatures prove.
    fn judge_signatures(&mut self, report: &VerifyReport) {
        match report.signed.as_slice() {
            [] => {}
            // The gap before it is told with the loss.
            [range] if report.losses.is_empty() => {
                self.notes.push(format!("a known key signed the chain up to line {}", range.last));
            }
            ranges => {
                let ranges: Vec<String> = ranges.iter().map(|range| lines(*range)).collect();
                self.notes.push(format!("a known key signed {} of the chain", ranges.join(", and ")));
            }
        }
        let kid = report.unknown_key.as_deref().map(one_line);
        match (report.signed_until(), kid) {
            (Some(until), Some(kid)) => self.problems.push(format!(
                "no key of --jwks signed what follows line {until} of the chain; the next checkpoint names key `{kid}`"
            )),
            (None, Some(kid)) => self
                .problems
                .push(format!("no checkpoint is signed by a key of --jwks; the first one names key `{kid}`")),
            (None, None) if report.problem.is_none() && !report.is_live => {
                self.problems.push("there is no checkpoint that a key could verify".to_owned());
            }
            (_, None) => {}
        }
    }

    fn text(&self, report: &VerifyReport) -> Vec<String> {
        let verdict = if self.is_sound {
            let lines: u64 = report.files.iter().map(|file| file.last - file.first + 1).sum();
            format!("sound: {lines} lines, {} checkpoints", report.checkpoints)
        } else {
            format!("not sound: {}", self.problems.join("; "))
        };
        let files = report
            .files
            .iter()
            .map(|file| format!("{}: lines {} to {} of the chain", shown_path(&file.path), file.first, file.last));
        let notes = self.notes.iter().map(|note| format!("note: {note}"));
        std::iter::once(verdict).chain(files).chain(notes).collect()
    }

    fn json(&self, report: &VerifyReport) -> Value {
        let files = report
            .files
            .iter()
            .map(|file| json!({ "file": shown_path(&file.path), "first": file.first, "last": file.last }));
        let problem = report.problem.as_ref();
        json!({
            "sound": self.is_sound,
            "problems": self.problems,
            "first_problem": problem.map(|problem| json!({ "file": shown_path(&problem.path), "line": problem.line, "what": problem.kind.to_string() })),
            "notes": self.notes,
            "losses": report.losses.iter().map(loss).collect::<Vec<_>>(),
            "being_written": report.is_live,
            "files": files.collect::<Vec<_>>(),
            "checkpoints": report.checkpoints,
            "signed": report.signed.iter().map(|range| range_json(*range)).collect::<Vec<_>>(),
            "signed_until": report.signed_until(),
            "unproven": report.unproven.iter().map(|range| range_json(*range)).collect::<Vec<_>>(),
            "resumed": report.resumed.iter().map(|range| range_json(*range)).collect::<Vec<_>>(),
            "unknown_key": report.unknown_key,
            "lines_after_checkpoint": report.lines_after_checkpoint,
        })
    }
}

fn lines(LineRange { first, last }: LineRange) -> String {
    if first == last { format!("line {first}") } else { format!("lines {first} to {last}") }
}

fn range_json(LineRange { first, last }: LineRange) -> Value {
    json!({ "first": first, "last": last })
}

/// Lines before a gap.
fn unproven(range: LineRange, has_keys: bool) -> String {
    let checkpoint = if has_keys { "no checkpoint that a key of --jwks verifies" } else { "no checkpoint" };
    format!("{checkpoint} covers {}, which stand before a gap: one behind it proves nothing of them", lines(range))
}

/// A loss, as the writer noticed it.
fn loss(loss: &FileLoss) -> String {
    let what = match loss.cause {
        FileCause::Truncated => "cut to nothing",
        FileCause::Replaced => "replaced",
        FileCause::Missing | FileCause::New | FileCause::Rotated => "removed",
    };
    let lost = match loss.missing {
        Some(LineRange { first, last }) if first == last => format!("line {first} of the chain is missing"),
        Some(missing) => format!("{} of the chain are missing", lines(missing)),
        None => "its lines are missing".to_owned(),
    };
    format!("another program has {what} the file before {}: {lost}", shown_path(&loss.path))
}

/// The keys of all key sets that were given.
struct Keys(Vec<KeySet>);

impl CheckpointVerifier for Keys {
    fn verify(&self, jws: &str) -> Result<Vec<u8>, SignatureFault> {
        let parsed = CompactJws::parse(jws).map_err(|_| SignatureFault::Invalid)?;
        let header = parsed.header();
        let kid = header.kid.as_ref().ok_or(SignatureFault::Invalid)?;
        if header.typ.as_deref() != Some(rfc::TYP_AUDIT_CHECKPOINT) {
            return Err(SignatureFault::Invalid);
        }
        let mut keys = self.0.iter().flat_map(|set| &set.keys);
        let key = keys.find(|key| key.kid() == Some(kid)).ok_or_else(|| SignatureFault::UnknownKey(kid.to_string()))?;
        parsed.verify(key).map_err(|_| SignatureFault::Invalid)?;
        Ok(parsed.payload().to_vec())
    }
}

fn read_keys(sources: &[String]) -> Result<Keys, String> {
    let mut sets = Vec::new();
    for source in sources {
        let is_url = source.starts_with("https://") || source.starts_with("http://");
        let document = if is_url {
            fetch(source)?
        } else {
            std::fs::read(source).map_err(|error| format!("--jwks {source}: {error}"))?
        };
        let set = KeySet::parse(&document, &Algorithm::ALL).map_err(|error| format!("--jwks {source}: {error}"))?;
        for skipped in &set.skipped {
            complain(&format!("warning: --jwks {source}: key {} cannot be used: {}", skipped.index, skipped.why));
        }
        sets.push(set);
    }
    Ok(Keys(sets))
}

/// The document at `url`. Who can change it on the way decides what is believed, so it is https, but
/// for this machine.
fn fetch(url: &str) -> Result<Vec<u8>, String> {
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(15);
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("--jwks {url}: {error}"))?;
    if parsed.scheme() != "https" && !parsed.host().is_some_and(|host| jwks_cache::is_loopback(&host)) {
        return Err(format!("--jwks {url}: a key set over plain http proves nothing: give the https URL, or a file"));
    }
    let runtime = crate::serve::runtime().map_err(|error| error.to_string())?;
    let fetched = runtime.block_on(async {
        let client =
            reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none()).build()?;
        client.get(parsed).send().await?.error_for_status()?.bytes().await
    });
    fetched.map(|bytes| bytes.to_vec()).map_err(|error| format!("--jwks {error}"))
}
