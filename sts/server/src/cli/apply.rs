//! `sts apply`: account files into the store of a server, all or nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use sts_api::{Applied, AppliedItem, AppliedObject, ApplyAnswer, ApplyRequest, ChangedVerdict, Effect, Finding};
use sts_config::{Diagnostics, ObjectFile, ObjectFiles, Place, object_files};
use sts_types::{ObjectKind, shown_path};

use super::admin_commands::{self, Done, ServerArgs, Session};
use super::{explain, findings};
use crate::admin::{ApplyObjects, Operation as _, OperationError};
use crate::reload::environment;
use crate::terminal::{complain, say, show_findings};

#[derive(Args)]
pub(super) struct ApplyArgs {
    /// Account files (`-` for standard input)
    #[arg(short, long = "file", value_name = "FILE", required = true, num_args = 1..)]
    file: Vec<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete the managed teams and service accounts that the files do not declare (and the APIs and issuer entries, if the
    /// files declare any)
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &ApplyArgs) -> ExitCode {
    let files = match read(&args.file) {
        Ok(files) => files,
        Err(ReadError::Findings(findings)) => {
            show(&findings, args.server.json, "the files have errors; nothing was changed");
            return ExitCode::from(2);
        }
        Err(ReadError::Text(text)) => {
            admin_commands::refuse(args.server.json, &format!("{text}; nothing was changed"));
            return ExitCode::from(2);
        }
    };
    let request = match request(&files, args) {
        Ok(request) => request,
        Err(text) => {
            admin_commands::refuse(args.server.json, &text);
            return ExitCode::from(2);
        }
    };
    for file in files.with_tests.iter().filter(|_| !args.server.json) {
        complain(&format!(
            "note: a server keeps no policy tests: those in {} were not sent; keep them in a file of its configuration, which runs \
             them at each change",
            shown_path(file)
        ));
    }
    let operation = ApplyObjects(request);
    let not_done = operation.not_done();
    match Session::open(&args.server).and_then(|mut session| session.perform(operation)) {
        Ok(done) => answered(&files, args, done),
        Err(error) => admin_commands::not_begun(args.server.json, &error, not_done),
    }
}

/// Why the files are not sent.
enum ReadError {
    Findings(Diagnostics),
    Text(String),
}

fn read(paths: &[PathBuf]) -> Result<ObjectFiles, ReadError> {
    let mut files = Vec::new();
    for path in paths {
        files.push(match path.as_os_str() == "-" {
            true => ObjectFile::Text("standard input".into(), explain::read(path).map_err(ReadError::Text)?),
            false => ObjectFile::At(path.clone()),
        });
    }
    // A variable that is not set here stays as it is written. A file of the server may hold it so.
    let variable = |name: &str| environment(name).or_else(|| Some(format!("${{{name}}}")));
    object_files(&files, &variable).map_err(ReadError::Findings)
}

fn request(files: &ObjectFiles, args: &ApplyArgs) -> Result<ApplyRequest, String> {
    let objects: Vec<AppliedObject> = files
        .objects
        .iter()
        .map(|object| AppliedObject { kind: object.kind, name: object.name.clone(), spec: object.spec.clone() })
        .collect();
    if objects.is_empty() && args.prune {
        return Err("the files declare no object, so --prune would delete every managed one; nothing was changed. Delete objects \
                    by name with `sts delete`"
            .to_owned());
    }
    let is_declared = |kind| objects.iter().any(|object: &AppliedObject| object.kind == kind);
    let is_pruned =
        |kind: &ObjectKind| matches!(kind, ObjectKind::Team | ObjectKind::ServiceAccount) || is_declared(*kind);
    let prune = if args.prune { ObjectKind::ALL.into_iter().filter(is_pruned).collect() } else { Vec::new() };
    Ok(ApplyRequest { objects, prune, dry_run: args.dry_run })
}

fn answered(files: &ObjectFiles, args: &ApplyArgs, done: Done<ApplyAnswer>) -> ExitCode {
    let json = args.server.json;
    match done {
        Ok(answer) => {
            let warnings = findings::diagnostics(&answer.findings, |finding| place(files, finding));
            if json {
                say(&with_places(json!(answer), &warnings).to_string());
            } else {
                if !warnings.is_empty() {
                    show_findings(&warnings);
                }
                say(&text(&answer));
            }
            ExitCode::SUCCESS
        }
        Err(OperationError::Invalid { detail, findings }) => {
            show(&findings::diagnostics(&findings, |finding| place(files, finding)), json, &detail);
            ExitCode::FAILURE
        }
        Err(failure) => {
            admin_commands::failed(json, &failure);
            ExitCode::FAILURE
        }
    }
}

/// Says what refuses the files, and each finding where it is written.
fn show(findings: &Diagnostics, json: bool, detail: &str) {
    if json {
        say(&with_places(json!({ "error": detail }), findings).to_string());
    } else {
        show_findings(findings);
        complain(&format!("error: {detail}"));
    }
}

/// `answer` with its findings as `sts check` writes them.
fn with_places(mut answer: Value, findings: &Diagnostics) -> Value {
    if let Some(members) = answer.as_object_mut() {
        members.insert("findings".to_owned(), findings.to_json());
    }
    answer
}

/// Where the member of the request that a finding is about is written: `/objects/3/spec/...`.
fn place(files: &ObjectFiles, finding: &Finding) -> Option<Place> {
    let rest = finding.pointer.as_deref()?.strip_prefix("/objects/")?;
    let (index, member) = rest.split_once('/').unwrap_or((rest, ""));
    let index = index.parse().ok()?;
    let is_spec = member == "spec" || member.starts_with("spec/");
    if !is_spec {
        return files.place_of_name(index);
    }
    let on_key = finding.code.as_deref() == Some("unknown-key");
    files.place(index, member.strip_prefix("spec").unwrap_or_default(), on_key)
}

/// One line for each object that changes, then the sum.
fn text(answer: &ApplyAnswer) -> String {
    let would = if answer.dry_run { "would be " } else { "" };
    let changes = |outcome| !matches!(outcome, Applied::Unchanged | Applied::InFile);
    let mut lines: Vec<String> = answer
        .items
        .iter()
        .filter(|item| changes(item.outcome))
        .map(|item| format!("{}/{} {would}{}", item.kind.name(), item.name, item.outcome))
        .collect();
    if let Some(effect) = &answer.effect {
        lines.extend(effect_lines(effect));
    }
    lines.push(sum(&answer.items, answer.dry_run));
    lines.join("\n")
}

fn sum(items: &[AppliedItem], dry_run: bool) -> String {
    let count = |outcome| items.iter().filter(|item| item.outcome == outcome).count();
    let counts = [
        (Applied::Created, "created"),
        (Applied::Changed, "changed"),
        (Applied::Deleted, "deleted"),
        (Applied::Unchanged, "unchanged"),
        (Applied::InFile, "in files of the server already"),
    ];
    let counted: Vec<String> = counts
        .iter()
        .filter(|(outcome, _)| count(*outcome) > 0)
        .map(|(outcome, word)| format!("{} {word}", count(*outcome)))
        .collect();
    let sum = if counted.is_empty() { "the files declare no objects".to_owned() } else { counted.join(", ") };
    if dry_run { format!("{sum}; nothing was changed (dry run)") } else { sum }
}

/// What a dry run says of tokens.
pub(super) fn effect_lines(effect: &Effect) -> Vec<String> {
    let line = |word: &str, verdict: &ChangedVerdict| {
        format!("{word}: {}: {} -> {}", verdict.request.escape_debug(), verdict.before, verdict.after)
    };
    let allowed = effect.newly_allowed.iter().map(|verdict| line("newly allowed", verdict));
    let denied = effect.newly_denied.iter().map(|verdict| line("newly denied", verdict));
    allowed.chain(denied).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> ObjectFiles {
        let text = "teams:\n  t: { grants: { deploy: [x] } }\nservice_accounts:\n  octo:\n    colour: red\n";
        object_files(&[ObjectFile::Text("a.yaml".into(), text.to_owned())], &|_| None).unwrap()
    }

    fn at(pointer: &str, code: &str) -> Option<(u32, u32)> {
        let finding = Finding { pointer: Some(pointer.to_owned()), code: Some(code.to_owned()), ..Finding::default() };
        place(&files(), &finding)?.file().map(|place| (place.line, place.column))
    }

    #[test]
    fn a_finding_is_shown_where_its_text_is_written() {
        assert_eq!(at("/objects/0/spec/grants/deploy/0", "x"), Some((2, 27)));
        assert_eq!(at("/objects/1/name", "x"), Some((4, 3)));
        assert_eq!(at("/objects/1/spec/colour", "unknown-key"), Some((5, 5)));
        assert_eq!(at("/objects/1/spec/colour", "wrong-type"), Some((5, 13)));
        assert_eq!(at("/objects/1/spec", "x"), Some((4, 3)));
        assert_eq!((at("/objects/9/spec", "x"), at("/prune", "x")), (None, None));
    }

    #[test]
    fn the_sum_counts_what_changes_and_what_does_not() {
        let item = |name: &str, outcome| AppliedItem {
            kind: ObjectKind::Team,
            name: name.to_owned(),
            outcome,
            revision: None,
        };
        let items = vec![item("a", Applied::Created), item("b", Applied::Unchanged), item("c", Applied::InFile)];
        let answer = ApplyAnswer { items, dry_run: true, ..ApplyAnswer::default() };
        assert_eq!(
            text(&answer),
            "teams/a would be created\n1 created, 1 unchanged, 1 in files of the server already; nothing was changed (dry run)"
        );
    }
}
