//! Refusals without a fault in the token: the request's shape, credentials, and unavailable
//! services.

use sts_policy::Diagnosis;
use sts_types::rfc::parameter;

use super::view::RefusedRequest;
use crate::reason::Reason;

/// The caller's text, with the parameter at fault and what to do.
pub(super) fn diagnose(request: &RefusedRequest<'_>) -> Diagnosis {
    let text = request.refused.text();
    let fix = match request.refused.reason {
        Reason::GrantUnsupported => "send `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`",
        Reason::InvalidClient => "send no credentials, and name the account as `client_id` or in `audience`",
        Reason::InvalidToken => "present an access token of ours that is still active",
        Reason::InsufficientScope => "request a token with the scope that is needed",
        Reason::BodyTooLarge => "send a body of at most 64 KiB",
        Reason::MediaType => "send `Content-Type: application/x-www-form-urlencoded`, or JSON as `application/json`",
        Reason::RateLimited => "wait as long as `Retry-After` says, and mend what is refused",
        Reason::AuditUnavailable => "send it again; `/readyz` on the admin listener says which sink fails",
        Reason::StoreUnavailable => "send it again; `/readyz` on the admin listener says what the store lacks",
        Reason::ServerError => "look for the request id in the log",
        Reason::NotFound => "send exchanges to `/token`",
        Reason::MethodNotAllowed => "use the method that `Allow` names",
        _ => "",
    };
    // Do not repeat advice that the text gives already.
    let (cause, told) = match text.split_once(": ") {
        Some((cause, told)) if ADVICE.iter().any(|verb| told.starts_with(verb)) => (cause, told),
        _ => (text, ""),
    };
    let found = Diagnosis::new("", cause);
    // Our texts put the parameter in back-ticks.
    let found = match (text.split('`').nth(1), at_fault(request.refused.reason)) {
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
        Reason::MediaType => "Content-Type",
        Reason::InsufficientScope => parameter::SCOPE,
        Reason::StoreUnavailable => "store",
        Reason::AuditUnavailable => "audit.required",
        Reason::RateLimited => "limits",
        Reason::NotFound => "path",
        Reason::MethodNotAllowed => "method",
        Reason::BodyTooLarge => "body",
        _ => return None,
    })
}
