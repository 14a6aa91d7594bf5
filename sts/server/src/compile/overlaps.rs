//! The overlaps of a policy, at the places where they were written.

use sts_config::{Diagnostic, Diagnostics, Severity, quoted};
use sts_policy::{Ambiguous, Overlaps, Shadowed};
use sts_types::{CheckCode, Origin};

use super::SourceDocuments;

/// What [`sts_policy::RuleSet::overlaps`] found, as findings: an identity that never decides is a warning; that a token can
/// reach two accounts is good to know, since a request may name one.
#[must_use]
pub fn describe_overlaps(written: &SourceDocuments, overlaps: &Overlaps) -> Diagnostics {
    let mut findings = Diagnostics::default();
    let place = |origin: Origin| written.sources.place(origin);
    for Shadowed { account, identity, by, origin } in &overlaps.shadowed {
        let message = format!(
            "identity {} of {} never decides: {} before it accepts every token that it does, and grants as much",
            quoted(identity.as_str()),
            quoted(account.as_str()),
            quoted(by.as_str())
        );
        let help = Some("remove it, or move it before the other".to_owned());
        findings.push(Diagnostic {
            code: CheckCode::ShadowedIdentity,
            severity: Severity::Warning,
            place: place(*origin),
            message,
            help,
            witness: None,
        });
    }
    for Ambiguous { accounts: [first, second], identities, subject, certain, origin } in &overlaps.ambiguous {
        let message = format!(
            "one token {} {} by {} and {} by {}{}",
            if *certain { "reaches" } else { "may reach" },
            quoted(first.as_str()),
            quoted(identities[0].as_str()),
            quoted(second.as_str()),
            quoted(identities[1].as_str()),
            subject.as_ref().map_or(String::new(), |subject| format!(", such as that of {}", quoted(subject)))
        );
        let help =
            Some("a request must name the account in `audience`, or it is refused as `ambiguous_account`".to_owned());
        findings.push(Diagnostic {
            code: CheckCode::AmbiguousAccounts,
            severity: Severity::Note,
            place: place(*origin),
            message,
            help,
            witness: None,
        });
    }
    if overlaps.incomplete {
        let message = "there are more overlaps than are shown here, or more identities than were compared".to_owned();
        findings.push(Diagnostic {
            code: CheckCode::OverlapsNotAllShown,
            severity: Severity::Note,
            place: None,
            message,
            help: None,
            witness: None,
        });
    }
    findings
}
