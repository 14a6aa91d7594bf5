//! Why no change of an identity is drafted, and what to do instead.

use sts_api::{Finding, Object};
use sts_claims::{ClaimPath, ClaimSet};
use sts_policy::{ForkCode, Outcome, OwnerRelation, Refusal};
use sts_service::RememberedRefusal;

/// What to do about a refusal that no identity is the cause of.
pub(super) fn for_reason(refusal: &RememberedRefusal) -> Option<String> {
    let diagnosis = &refusal.diagnosis;
    let why = match &*diagnosis.reason {
        "not_authorized" => return None,
        "signature_invalid" | "key_unknown" => {
            "No key of the issuer verified this token, so anybody may have written it. If the issuer has new keys, refresh them on its page"
        }
        "issuer_unknown" => {
            "No issuer entry has the token's `iss`. Add an issuer only if you know who runs it: it may say anything of anybody"
        }
        "token_expired" | "token_not_yet_valid" | "token_too_old" => {
            "The token was not valid at that time, whatever the rules say: the caller has to send a fresh one"
        }
        "token_audience" => {
            "The token was made for somebody else, so its receiver could use it here: the caller has to ask its platform for the right audience"
        }
        "token_replayed" => {
            "The token was used before, and tokens of this issuer may be used once: the caller has to send a new one"
        }
        "ambiguous_account" => "More than one account accepts this token: the caller has to name one in `audience`",
        "target_required" | "target_not_granted" | "scope_not_granted" => {
            "An identity accepts this token. What is missing is a grant of the account or of one of its teams, or another request"
        }
        "issuer_unavailable" | "store_unavailable" | "audit_unavailable" => {
            "The request could not be decided, and the rules had no part in it: the caller may try again"
        }
        "rate_limited" => "Too many requests of this address were refused: see to those first",
        _ => "The rules had no part in this refusal: the request or its token has to change",
    };
    Some(with_fix(why, diagnosis.fix.as_deref()))
}

fn with_fix(why: &str, fix: Option<&str>) -> String {
    match fix {
        Some(fix) => format!("{why}. What would help: {fix}."),
        None => format!("{why}."),
    }
}

pub(super) fn without_evidence() -> String {
    "The refusal does not tell the token's whole subject (too much was refused at once, or the subject is too long or looks like a secret). \
     Add an identity by hand."
        .to_owned()
}

pub(super) fn without_account() -> String {
    "The request names no account that exists, and no identity is near. Create the service account, or have the caller name the right one \
     in `audience`."
        .to_owned()
}

pub(super) fn account_is_gone(name: &str) -> String {
    format!("The account `{name}` is gone since. Have the caller name another one.")
}

/// What the rules say of the request now, where no identity is the answer.
pub(super) fn under_rules(outcome: &Outcome, account: &Object) -> Option<String> {
    let name = &account.name;
    Some(match outcome {
        Outcome::Granted(_) => "The rules have changed since: they grant such a request now.".to_owned(),
        Outcome::Refused(Refusal::NoIdentityMatched) => return None,
        Outcome::Refused(Refusal::AccountDisabled) => {
            format!(
                "The account `{name}` is disabled, or outside of its times. Enable it, if its workloads may have tokens again."
            )
        }
        Outcome::Refused(Refusal::NoSuchAccount) => {
            format!("The account `{name}` is not in force. See on its page why.")
        }
        Outcome::Refused(refusal) => still_refused(*refusal, None),
    })
}

pub(super) fn for_stranger(account: &str, claims: &ClaimSet) -> String {
    let owner = owner(claims).map(|owner| format!(" ({owner})")).unwrap_or_default();
    format!(
        "This token comes from another owner{owner} than any that the identities of `{account}` accept, and anybody can send a token that \
         names this account. If you know this owner and mean to let it in, add an identity by hand."
    )
}

pub(super) fn for_event(event: &str) -> String {
    format!(
        "A stranger can cause such a token, for instance by the event `{}`. Have the workload run on an event that takes write access, \
         such as `push`.",
        event.escape_debug()
    )
}

/// The job may run code that anybody can propose.
pub(super) fn for_fork(fork: &ForkCode, claims: &ClaimSet) -> String {
    let shown =
        |name: &str| claims.text(name).map_or("absent".to_owned(), |value| format!("`{}`", value.escape_debug()));
    match fork {
        ForkCode::Runs { place, code } => format!(
            "The job runs in another project than its code comes from: `{place}` is {}, and `{code}` is {}. Anybody can propose such code by \
             a merge request. Have the workload run in the project that the code belongs to.",
            shown(place),
            shown(code)
        ),
        ForkCode::Unsaid { place } => format!(
            "The job is that of a merge request, and the token has no `{place}`, which would tell whether the code is a fork's. Have the \
             workload run on a branch, or add an identity by hand."
        ),
    }
}

/// The identities demand an answer of a yes-or-no claim that the token does not give.
pub(super) fn for_guard(account: &str, claim: &str, claims: &ClaimSet) -> String {
    let value = ClaimPath::parse(claim).ok().and_then(|path| Some(claims.find(&path)?.to_value()));
    let shown = value.map_or("the token has none".to_owned(), |value| format!("the token's is `{value}`"));
    let fix = match claim {
        "ref_protected" => "Protect the branch or tag",
        "environment_protected" => "Protect the environment",
        _ => "Have the workload send a token that meets it",
    };
    format!(
        "The identities of `{account}` are bound to `{claim}`, and {shown}. A draft does not lift such a condition. {fix}, or change an \
         identity by hand."
    )
}

pub(super) fn refused_by(findings: &[Finding]) -> String {
    let first = findings.iter().find(|finding| finding.refuses());
    match first {
        Some(finding) => {
            let help = finding.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("An identity for this token alone would be refused: {}{help}. Add one by hand.", finding.message)
        }
        None => no_candidate(),
    }
}

/// Why an identity does not grant the request, and what does. `near` is the identity that bounds it, if one
/// does.
pub(super) fn still_refused(refusal: Refusal, near: Option<&str>) -> String {
    let missing = match refusal {
        Refusal::TargetNotGranted => "the API that the request names",
        Refusal::ScopeNotGranted => "a scope that the request names",
        Refusal::TargetRequired => {
            return "The request names no API, and the account has more than one and no `default_api`. Have the caller name one in \
                    `audience`, or write a `default_api`."
                .to_owned();
        }
        Refusal::AmbiguousAccount => {
            return "More than one account accepts this token. Have the caller name one in `audience`.".to_owned();
        }
        Refusal::AccountDisabled => {
            return "The account is disabled, or outside of its times. Enable it, if its workloads may have tokens again.".to_owned();
        }
        Refusal::NoSuchAccount | Refusal::NoIdentityMatched => return no_candidate(),
    };
    match near {
        None => format!(
            "No identity is enough: the account has no grant for {missing}. Grant it to the account or to one of its teams, or have the \
             caller ask for less."
        ),
        Some(near) => format!(
            "A new identity gives no more than `{near}`, the nearest one, and that has no grant for {missing}. If the workload may have it, \
             add an identity with that grant by hand; otherwise have the caller ask for less."
        ),
    }
}

pub(super) fn for_nearest_off(name: &str) -> String {
    format!(
        "The nearest identity `{name}` is disabled, or outside of its times. Put it in force, if its workloads may have tokens again, or add \
         an identity by hand."
    )
}

pub(super) fn no_candidate() -> String {
    "No small change of an identity is known to allow this request. Add an identity by hand.".to_owned()
}

/// What to look at before a draft is made.
pub(super) fn notes(relation: OwnerRelation, claims: &ClaimSet) -> Vec<String> {
    let owner = owner(claims).map(|owner| format!(" It says {owner}.")).unwrap_or_default();
    match relation {
        OwnerRelation::SoleOwner | OwnerRelation::Known | OwnerRelation::Stranger => Vec::new(),
        OwnerRelation::First => vec![format!(
            "This is the account's first identity of this issuer, which many tenants share, so nothing tells whether the token's owner is \
             yours: make sure of it.{owner}"
        )],
        OwnerRelation::KnownByName => vec![format!(
            "The account's identities tell this owner by name only, and a name that its owner gives up can get to somebody else: make \
             sure that it is still yours.{owner}"
        )],
        OwnerRelation::Untold => vec![format!(
            "Many tenants share this issuer, and only the subject tells them apart: make sure that it is yours.{owner}"
        )],
    }
}

/// The owner in the words of the token.
fn owner(claims: &ClaimSet) -> Option<String> {
    const NAMES: [&str; 4] = ["repository", "repository_owner", "project_path", "namespace_path"];
    NAMES.iter().find_map(|name| Some(format!("`{name}` is `{}`", claims.text(name)?.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_fits_why_an_identity_is_not_enough() {
        for (refusal, near, parts) in [
            (Refusal::TargetNotGranted, None, ["no grant for the API", "Grant it to the account"]),
            (Refusal::ScopeNotGranted, Some("one"), ["no more than `one`", "add an identity with that grant by hand"]),
            (Refusal::TargetRequired, Some("one"), ["names no API", "write a `default_api`"]),
            (Refusal::AmbiguousAccount, None, ["More than one account", "name one in `audience`"]),
            (Refusal::AccountDisabled, Some("one"), ["is disabled", "Enable it"]),
            (Refusal::NoIdentityMatched, None, ["No small change", "by hand"]),
        ] {
            let told = still_refused(refusal, near);
            assert!(parts.iter().all(|part| told.contains(part)), "{refusal:?}: {told}");
        }
    }
}
