//! Refusals that no token caused: the request's own shape, credentials, and what was away.

use sts_policy::Diagnosis;

use super::view::RefusedRequest;
use crate::reason::Reason;

/// What the caller was told, with the parameter at fault and what to do.
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
        Reason::StoreUnavailable => "send it again; `/readyz` on the admin listener says what the store lacks",
        Reason::ServerError => "look for the request id in the log",
        Reason::NotFound => "send exchanges to `/token`",
        Reason::MethodNotAllowed => "use the method that `Allow` names",
        _ => "",
    };
    // Texts of ours put the parameter in back-ticks.
    let parameter = text.split('`').nth(1);
    let found = Diagnosis::new("", text);
    let found = match parameter {
        Some(name) => found.at(name),
        None => found,
    };
    if fix.is_empty() { found } else { found.fix(fix) }
}
