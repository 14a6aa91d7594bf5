//! Refusals without a fault in the token: the request's shape, credentials, and unavailable
//! services.

use sts_policy::Diagnosis;
use sts_types::rfc::parameter;

use super::view::RefusedRequest;
use crate::reason::{Reason, TransportRefusal};

/// The caller's text, with the parameter at fault and what to do.
pub(super) fn diagnose(request: &RefusedRequest<'_>) -> Diagnosis {
    let reason = request.refused.reason;
    diagnosed(request.refused.text(), at_fault(reason), fix(reason))
}

/// The same for a request that the transport refused.
pub(crate) fn diagnose_unread(refusal: &TransportRefusal) -> Diagnosis {
    let found = diagnosed(refusal.text(), Some(refusal.at_fault), refusal.fix);
    Diagnosis { reason: refusal.reason.into(), ..found }
}

fn fix(reason: Reason) -> &'static str {
    match reason {
        Reason::GrantUnsupported => {
            "send `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`, or another grant of `grant_types_supported`"
        }
        Reason::InvalidClient => "send no credentials, and name the account as `client_id` or in `audience`",
        Reason::InvalidToken => "present an access token of ours that is still active",
        Reason::InsufficientScope => "request a token with the scope that is needed",
        Reason::AuditUnavailable => "send it again; `/readyz` on the admin listener says which sink fails",
        Reason::StoreUnavailable => "send it again; `/readyz` on the admin listener says what the store lacks",
        Reason::SignerUnavailable => "send it again; `/readyz` on the admin listener says why the keys cannot sign",
        Reason::ServerError => "look for the request id in the log",
        _ => "",
    }
}

fn diagnosed(text: &str, at_fault: Option<&'static str>, fix: &str) -> Diagnosis {
    // Do not repeat advice that the text gives already.
    let (cause, told) = match text.split_once(": ") {
        Some((cause, told)) if ADVICE.iter().any(|verb| told.starts_with(verb)) => (cause, told),
        _ => (text, ""),
    };
    let found = Diagnosis::new("", cause);
    // Our texts put the parameter in back-ticks.
    let found = match (text.split('`').nth(1), at_fault) {
        (_, Some(place)) => found.at(place),
        (Some(name), None) => found.at(name),
        (None, None) => found,
    };
    match (told, fix) {
        ("", "") => found,
        ("", fix) => found.fix(fix),
        (told, _) => found.fix(told),
    }
}

/// Words that begin advice in texts for callers.
const ADVICE: [&str; 8] = ["send ", "name ", "request ", "ask ", "write ", "set ", "the client ", "use "];

/// The thing at fault, if it is no parameter.
fn at_fault(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::InvalidClient | Reason::InvalidToken => "Authorization",
        Reason::GrantUnsupported => parameter::GRANT_TYPE,
        Reason::InsufficientScope => parameter::SCOPE,
        Reason::StoreUnavailable => "store",
        Reason::SignerUnavailable => "signing",
        Reason::AuditUnavailable => "audit.required",
        _ => return None,
    })
}
