//! Findings of a server about what it was asked to put in force, shown as `sts check` shows its own.

use sts_api::Finding;
use sts_config::{Diagnostic, Diagnostics, Place, Severity};
use sts_types::{CheckCode, JsonPointer, ObjectKind, ObjectPointer, ObjectRef};

/// `findings` as diagnostics. `place` knows where what a finding is about is written.
pub(super) fn diagnostics(findings: &[Finding], place: impl Fn(&Finding) -> Option<Place>) -> Diagnostics {
    let mut all = Diagnostics::default();
    for finding in findings {
        all.push(diagnostic(finding, place(finding).or_else(|| in_object(finding))));
    }
    all
}

fn diagnostic(finding: &Finding, place: Option<Place>) -> Diagnostic {
    let severity = match finding.severity.as_str() {
        "unsafe" => Severity::Unsafe,
        "test_failed" => Severity::TestFailed,
        "warning" => Severity::Warning,
        "note" => Severity::Note,
        _ => Severity::Error,
    };
    let mut message = finding.message.clone();
    if let Some(file) = finding.file.as_ref().filter(|_| place.is_none()) {
        message.push_str(&format!(" (on the server, {file})"));
    }
    let code = finding.code.as_deref().and_then(code).unwrap_or_else(|| {
        let rule = finding.code.as_deref().unwrap_or("no code");
        message.push_str(&format!(" (rule of another version: {rule})"));
        CheckCode::WrongType
    });
    Diagnostic { code, severity, place, message, help: finding.help.clone(), witness: finding.witness.clone() }
}

fn code(name: &str) -> Option<CheckCode> {
    CheckCode::ALL.iter().copied().find(|code| code.as_str() == name)
}

/// The object that a finding is about, with the member of its `spec`.
fn in_object(finding: &Finding) -> Option<Place> {
    let (kind, name) = finding.object.as_deref()?.split_once('/')?;
    let object = ObjectRef { kind: ObjectKind::of(kind)?, name: name.to_owned() };
    let pointer = finding.pointer.as_deref().and_then(|pointer| pointer.split_once("/spec")).map_or("", |(_, own)| own);
    let segments = pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    let pointer = segments.fold(JsonPointer::default(), |pointer, segment| pointer.member(&segment));
    Some(Place::Object(ObjectPointer { object, pointer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_without_a_file_of_ours_names_the_object_or_the_file_of_the_server() {
        let finding = Finding {
            severity: "unsafe".to_owned(),
            code: Some("unknown-key".to_owned()),
            pointer: Some("/objects/3/spec/claims/a~1b".to_owned()),
            object: Some("service-accounts/bot".to_owned()),
            message: "too broad".to_owned(),
            ..Finding::default()
        };
        let elsewhere = Finding {
            severity: "test_failed".to_owned(),
            file: Some("tests.yaml:3:1".to_owned()),
            message: "a test fails".to_owned(),
            ..Finding::default()
        };
        let text = diagnostics(&[finding, elsewhere], |_| None).render(false);
        for wanted in [
            "error[unsafe]: too broad\n",
            "--> service-accounts/bot: /claims/a~1b\n",
            "rule: unknown-key",
            "a test fails (on the server, tests.yaml:3:1)",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
