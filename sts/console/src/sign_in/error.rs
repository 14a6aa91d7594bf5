//! Why nobody was signed in, as a page for the person and a line for the log.

use actix_web::http::StatusCode;

use super::ProviderError;
use super::id_token::IdTokenError;
use crate::Rights;

/// A right whose conditions the person does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The right.
    pub rights: Rights,
    /// The conditions that do not hold.
    pub failed: Vec<FailedCondition>,
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCondition {
    /// The claim.
    pub claim: String,
    /// What the condition accepts.
    pub expected: String,
    /// The claim's value as JSON. `None` if the ID token does not have it.
    pub actual: Option<String>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(
        "Nobody can sign in here with an account: the configuration has no `console` block. Run `sts console link` where the server runs, and open the link."
    )]
    NotConfigured,
    #[error("Too many people begin to sign in at once. Try again in a moment.")]
    TooMany,
    #[error(
        "This sign-in began in another browser, was finished already, or began more than ten minutes ago. Nothing was done. Sign in again in this browser, and let it keep cookies."
    )]
    Unknown,
    #[error("The configuration of sign-in changed meanwhile. Sign in again.")]
    Changed,
    #[error(
        "The address that led here is not an answer of a provider: it lacks `code` and `error`, or names one thing twice. Sign in again."
    )]
    Malformed,
    #[error(
        "The answer came from another provider than the one that was asked. If this happens again, tell the administrators of the provider."
    )]
    OtherIssuer,
    #[error("{}", declined_text(.0))]
    Declined(String),
    #[error("{}", refused_text(.0))]
    CodeRefused(String),
    #[error(
        "The provider cannot be reached. Try again in a moment. If it stays so, the server's log says why, under the request id; `sts console link` opens the console meanwhile."
    )]
    Unavailable(String),
    #[error(
        "The provider answered something that cannot be used. The server's log says what, under the request id; `sts console link` opens the console meanwhile."
    )]
    InvalidAnswer(String),
    #[error("The provider's ID token was not accepted: {0}. Nobody was signed in.")]
    IdToken(#[from] IdTokenError),
    #[error(
        "The provider's ID token was not accepted. The server's log says why, under the request id. Nobody was signed in."
    )]
    IdTokenRefused(String),
    #[error("You signed in at the provider, but this account may not enter.")]
    NotAdmitted { user: String, missing: Vec<MissingRight> },
}

impl SignInError {
    /// Of a failed request to the provider.
    pub(super) fn at_provider(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable(why) => Self::Unavailable(why),
            ProviderError::Invalid(why) => Self::InvalidAnswer(why),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotConfigured => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unknown | Self::Changed | Self::Malformed | Self::OtherIssuer => StatusCode::BAD_REQUEST,
            Self::Declined(_) | Self::NotAdmitted { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::CodeRefused(_) | Self::InvalidAnswer(_) | Self::IdToken(_) | Self::IdTokenRefused(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::NotConfigured => "No sign-in here",
            Self::Unavailable(_) => "The provider is unavailable",
            _ => "Not signed in",
        }
    }

    /// Who signed in at the provider, where that is known.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::NotAdmitted { user, .. } => Some(user),
            _ => None,
        }
    }

    /// Why, for the log. It holds no code and no token.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Declined(code) => format!("the provider declined: {code}"),
            Self::CodeRefused(code) => format!("the provider refused the code: {code}"),
            Self::Unavailable(why) | Self::InvalidAnswer(why) | Self::IdTokenRefused(why) => why.clone(),
            Self::IdToken(error) => error.to_string(),
            Self::NotAdmitted { missing, .. } => not_admitted(missing),
            Self::NotConfigured => "there is no `console` block".to_owned(),
            Self::TooMany => "too many sign-ins began at once".to_owned(),
            Self::Unknown => "the sign-in is unknown here, or of another browser".to_owned(),
            Self::Changed => "the `console` block changed during the sign-in".to_owned(),
            Self::Malformed => "the callback was called without an answer of a provider".to_owned(),
            Self::OtherIssuer => "`iss` of the answer is missing or is not the provider's issuer".to_owned(),
        }
    }
}

/// The conditions that do not hold, by right. What the person has stays out of the log, and what a
/// condition expects stays off the page: everybody with an account at the provider sees that.
fn not_admitted(missing: &[MissingRight]) -> String {
    if missing.is_empty() {
        return "the rules have no conditions for the console".to_owned();
    }
    let of = |right: &MissingRight| {
        let claims: Vec<String> =
            right.failed.iter().map(|failed| format!("{} (expected {})", failed.claim, failed.expected)).collect();
        format!("`{}` fails on {}", right.rights.key(), claims.join(", "))
    };
    missing.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// What an `error` in the answer means (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6).
fn declined_text(code: &str) -> String {
    let meaning = match code {
        "access_denied" => "You, or the provider's rules, did not allow it.",
        "login_required" | "interaction_required" | "account_selection_required" | "consent_required" => {
            "It wants you to sign in there first."
        }
        "unauthorized_client" | "unsupported_response_type" => {
            "It does not let this client use the authorization code flow: correct the client's registration there."
        }
        "invalid_scope" => "It does not know one of the scopes: correct `scopes` of the `console` block.",
        "invalid_request" => {
            "It did not understand the request: compare the client's registration with the `console` block."
        }
        "server_error" | "temporarily_unavailable" => "It has a fault of its own. Try again in a moment.",
        _ => "It gave no reason that the standards know.",
    };
    format!("The provider did not sign you in ({code}). {meaning}")
}

/// What an `error` of the token endpoint means (RFC 6749 section 5.2).
fn refused_text(code: &str) -> String {
    let meaning = match code {
        "invalid_grant" => {
            "The code was used already, is too old, or belongs to another address or client. Sign in again."
        }
        "invalid_client" => {
            "It does not accept the client's credentials: correct `client_id` and `client_secret_file` of the `console` block."
        }
        "unauthorized_client" | "unsupported_grant_type" => {
            "It does not let this client use the authorization code flow: correct the client's registration there."
        }
        _ => "The server's log has the request id.",
    };
    format!("The provider refused the code of this sign-in ({code}). {meaning}")
}

/// The error codes of an authorization and of a token response: RFC 6749 sections 4.1.2.1 and 5.2, OpenID
/// Connect Core section 3.1.2.6, RFC 8707, RFC 9449, RFC 9470.
const ERROR_CODES: &[&str] = &[
    "access_denied",
    "account_selection_required",
    "consent_required",
    "insufficient_user_authentication",
    "interaction_required",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unmet_authentication_requirements",
    "unsupported_grant_type",
    "unsupported_response_type",
    "use_dpop_nonce",
];

/// An error code as it may be shown and recorded. Any other text came with the address, and may be anything.
pub(super) fn shown_code(code: &str) -> String {
    let is_known = ERROR_CODES.contains(&code);
    if is_known { code.to_owned() } else { "no error code of the standards".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c154_no_text_of_the_address_is_shown_unless_it_is_a_code() {
        assert_eq!(shown_code("access_denied"), "access_denied");
        for hostile in ["", "<script>", "call 555-0100", "hunter2", "sts_a1B2c3", "access_denied_", "a\nb"] {
            assert_eq!(shown_code(hostile), "no error code of the standards");
        }
    }

    #[test]
    fn the_log_names_the_conditions_that_fail_and_not_what_the_person_has() {
        let failed = FailedCondition {
            claim: "groups".to_owned(),
            expected: "\"admins\"".to_owned(),
            actual: Some("\"x\"".to_owned()),
        };
        let missing = vec![MissingRight { rights: Rights::Admin, failed: vec![failed] }];
        let error = SignInError::NotAdmitted { user: "ada".to_owned(), missing };
        assert_eq!(error.why(), "`admin` fails on groups (expected \"admins\")");
    }
}
