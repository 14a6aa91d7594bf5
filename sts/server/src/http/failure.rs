//! The table from reason to HTTP status and OAuth error (RFC 6749 section 5.2, RFC 8693 section
//! 2.2.2).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use sts_api::{Finding, Problem};
use sts_service::{PendingExchange, Reason, RefusedError};
use sts_types::RequestId;

use super::reason::HttpReason;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: HttpReason,
    /// Replaces the reason's usual description. A text of ours, never input.
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    challenge: Option<&'static str>,
    allow: Option<String>,
    /// Replaces the refusal's own text. For operators only.
    told: Option<String>,
    /// Replaces the reason's own status.
    status: Option<StatusCode>,
    /// What is wrong with a candidate.
    findings: Vec<Finding>,
}

impl Failure {
    /// 405 with the allowed methods.
    pub(crate) fn method(allow: String) -> Self {
        Self { allow: Some(allow), ..HttpReason::MethodNotAllowed.into() }
    }

    /// 415 with what is wrong.
    pub(crate) fn media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..HttpReason::MediaType.into() }
    }

    /// 429 until `wait` has passed.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..HttpReason::RateLimited.into() }
    }

    /// With this `WWW-Authenticate` header.
    pub(crate) fn challenged(refused: impl Into<RefusedError>, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..refused.into().into() }
    }

    /// The refusal of an access token at one of our endpoints. A wrong proof is 401 there (RFC 9449
    /// section 7.1), and the answer says which scheme to use.
    pub(crate) fn at_resource(refused: RefusedError) -> Self {
        match refused.reason {
            Reason::ProofInvalid => {
                Self { status: Some(StatusCode::UNAUTHORIZED), ..Self::challenged(refused, DPOP_INVALID_PROOF) }
            }
            _ => refused.into(),
        }
    }

    /// 431 (RFC 6585 section 5).
    pub(crate) fn head_too_large() -> Self {
        let refused = RefusedError::because(Reason::RequestMalformed, "the head of the request is over 64 KiB");
        Self { status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), ..refused.into() }
    }

    /// 431 for a head that the library cannot hold. Except for the number of fields, its limits are
    /// wider than ours.
    pub(crate) fn too_many_fields() -> Self {
        let refused = RefusedError::because(Reason::RequestMalformed, "the request has more than 96 header fields");
        Self { status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), ..refused.into() }
    }

    /// With a text that says more than the reason does. For operators only, because it may repeat
    /// their input.
    pub(crate) fn told(failure: impl Into<Self>, text: String) -> Self {
        Self { told: Some(text), ..failure.into() }
    }

    /// With what is wrong with a candidate.
    pub(crate) fn with_findings(self, findings: Vec<Finding>) -> Self {
        Self { findings, ..self }
    }

    /// For an endpoint that mints nothing: a server error says instead that `undone` was not done.
    pub(crate) fn instead_of_minting(mut self, undone: &'static str) -> Self {
        let cause = match self.reason {
            HttpReason::Service(Reason::StoreUnavailable) => "the store cannot be asked right now",
            HttpReason::Service(Reason::SignerUnavailable) => "nothing can be signed right now",
            HttpReason::Service(Reason::AuditUnavailable) => "the audit trail cannot be written right now",
            HttpReason::Service(Reason::ServerError) => "a fault of ours",
            _ => return self,
        };
        self.detail = Some(format!("{cause}; {undone}").into());
        self
    }

    /// Whether the error is on our side, so that the caller can only try again.
    pub(crate) fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.status.unwrap_or(wire(self.reason).0)
    }

    pub(crate) fn reason(&self) -> HttpReason {
        self.reason
    }

    /// What the caller is told, unless an operator is told more.
    pub(crate) fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.reason.description())
    }

    /// Ends an exchange with this refusal.
    pub(crate) fn refuse(&self, pending: &mut PendingExchange) {
        let (detail, retry_after) = (self.detail.clone(), self.retry_after);
        match self.reason {
            HttpReason::Service(reason) => pending.refuse(RefusedError { reason, detail, retry_after }),
            reason => {
                if let Some(refusal) = reason.transport_refusal(detail) {
                    pending.refuse_unread(refusal);
                }
            }
        }
    }
}

impl From<RefusedError> for Failure {
    fn from(refused: RefusedError) -> Self {
        let challenge = match refused.reason {
            Reason::InvalidClient => Some(BASIC),
            Reason::InvalidToken => Some(BEARER_INVALID_TOKEN),
            Reason::InsufficientScope => Some(BEARER_INSUFFICIENT_SCOPE),
            _ => None,
        };
        let RefusedError { reason, detail, retry_after } = refused;
        Self { detail, retry_after, challenge, ..HttpReason::from(reason).into() }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        RefusedError::from(reason).into()
    }
}

impl From<HttpReason> for Failure {
    fn from(reason: HttpReason) -> Self {
        Self {
            reason,
            detail: None,
            retry_after: None,
            challenge: None,
            allow: None,
            told: None,
            status: None,
            findings: Vec::new(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// So that handlers and extractors can fail with it. The middleware around them writes the answer,
/// which needs the request id.
impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status())
    }
}

/// RFC 7617.
pub(crate) const BASIC: &str = "Basic realm=\"sts\", charset=\"UTF-8\"";
/// RFC 6750 section 3: no credentials, no error code.
pub(crate) const BEARER: &str = "Bearer realm=\"sts\"";
/// For endpoints that take either.
pub(crate) const BASIC_OR_BEARER: &str = "Basic realm=\"sts\", charset=\"UTF-8\", Bearer realm=\"sts\"";
const BEARER_INVALID_TOKEN: &str = "Bearer realm=\"sts\", error=\"invalid_token\"";
const DPOP_INVALID_PROOF: &str = "DPoP error=\"invalid_dpop_proof\"";
const BEARER_INSUFFICIENT_SCOPE: &str = "Bearer realm=\"sts\", error=\"insufficient_scope\"";

/// Status and `error` of each reason.
fn wire(reason: HttpReason) -> (StatusCode, &'static str) {
    use Reason as R;
    let reason = match reason {
        HttpReason::Service(reason) => reason,
        HttpReason::NotFound => return (StatusCode::NOT_FOUND, "invalid_request"),
        HttpReason::MethodNotAllowed => return (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
        HttpReason::BodyTooLarge => return (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
        HttpReason::MediaType => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request"),
        HttpReason::RateLimited => return (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        HttpReason::ObjectExists | HttpReason::DeclaredByFile => return (StatusCode::CONFLICT, "invalid_request"),
        HttpReason::PreconditionRequired => return (StatusCode::PRECONDITION_REQUIRED, "invalid_request"),
        HttpReason::PreconditionFailed => return (StatusCode::PRECONDITION_FAILED, "invalid_request"),
        HttpReason::InvalidObject => return (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        HttpReason::InteractiveRequired | HttpReason::KindNotManaged => {
            return (StatusCode::FORBIDDEN, "access_denied");
        }
    };
    match reason {
        R::RequestMalformed
        | R::TokenMalformed
        | R::TokenAlgorithm
        | R::TokenTypeRefused
        | R::IssuerUnknown
        | R::KeyUnknown
        | R::SignatureInvalid
        | R::TokenExpired
        | R::TokenNotYetValid
        | R::TokenTooOld
        | R::TokenAudience
        | R::TokenReplayed
        | R::NotAuthorized
        | R::AmbiguousAccount => (StatusCode::BAD_REQUEST, "invalid_request"),
        R::TargetNotGranted | R::TargetRequired => (StatusCode::BAD_REQUEST, "invalid_target"),
        R::ScopeNotGranted => (StatusCode::BAD_REQUEST, "invalid_scope"),
        R::GrantUnsupported => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        R::ProofInvalid => (StatusCode::BAD_REQUEST, "invalid_dpop_proof"),
        R::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
        R::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        R::InsufficientScope => (StatusCode::FORBIDDEN, "insufficient_scope"),
        R::IssuerUnavailable | R::StoreUnavailable | R::SignerUnavailable | R::AuditUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
        R::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// The form of an error, which depends on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    /// RFC 6749.
    OAuth,
    /// With the members that some clients of discovery documents show.
    WellKnown,
    /// RFC 9457.
    Problem,
}

impl ErrorForm {
    /// The form of errors at `path` of a listener.
    pub(crate) fn of(path: &str, is_admin: bool) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        if parts.clone().any(|part| part == ".well-known") {
            Self::WellKnown
        } else if is_admin && (parts.next(), parts.next()) == (Some("admin"), Some("v1")) {
            Self::Problem
        } else {
            Self::OAuth
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::OAuth | Self::WellKnown => "application/json",
            Self::Problem => "application/problem+json",
        }
    }
}

/// The longest `Retry-After`, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

impl Failure {
    /// The answer in the form that the errors of a path have.
    pub(crate) fn response(&self, request_id: &RequestId, form: ErrorForm) -> HttpResponse {
        let (_, error) = wire(self.reason);
        let description = self.description(request_id);
        let mut body = json!({
            "error": error,
            "error_description": description,
            "reason": self.reason.name(),
            "request_id": request_id,
        });
        if form == ErrorForm::WellKnown
            && let Some(members) = body.as_object_mut()
        {
            members.insert("ErrorMessage".to_owned(), json!(description));
            members.insert("Errors".to_owned(), json!([description]));
        }
        if form == ErrorForm::Problem {
            body = json!(self.problem(error, description, request_id));
        }
        let mut response = HttpResponse::build(self.status());
        response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
        if let Some(challenge) = self.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).clamp(1, u128::from(MAX_RETRY_AFTER));
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        response.content_type(form.media_type()).body(body.to_string())
    }

    /// RFC 9457. Clients that know the other form find its members, too.
    fn problem(&self, error: &str, description: String, request_id: &RequestId) -> Problem {
        let status = self.status();
        Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.told.clone().unwrap_or_else(|| description.clone()),
            reason: self.reason.name().to_owned(),
            request_id: Some(request_id.clone()),
            findings: self.findings.clone(),
            error: Some(error.to_owned()),
            error_description: Some(description),
        }
    }

    /// The text of the error. If it hides the cause, it names the request id, because most clients
    /// show nothing but the description.
    fn description(&self, request_id: &RequestId) -> String {
        let text = ascii(self.told.as_deref().unwrap_or(self.text()));
        let withholds_cause = self.told.is_none() && (self.is_ours() || self.reason == Reason::NotAuthorized.into());
        match withholds_cause {
            true => format!("{text}; the owner finds the cause under request id {request_id}"),
            false => text,
        }
    }
}

/// RFC 6749 section 5.2 allows printable ASCII without `"` and `\`. Our texts quote with back-ticks
/// already.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect()
}

/// Adds the headers of every answer.
pub(crate) fn mark(response: &mut HttpResponse, request_id: &RequestId) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld57_a_description_that_withholds_the_cause_names_the_request_id_and_no_other_does() {
        let id = RequestId::new("01J00000000000000000000000").unwrap();
        for reason in HttpReason::all() {
            let failure = Failure::from(reason);
            let withholds = failure.status().as_u16() >= 500 || reason.name() == "not_authorized";
            assert_eq!(failure.description(&id).contains(id.as_str()), withholds, "{}", reason.name());
            let described = Failure { detail: Some("why".into()), ..reason.into() };
            assert_eq!(described.description(&id).contains(id.as_str()), withholds, "{}", reason.name());
        }
        let told = Failure::told(Reason::ServerError, "an operator is told the cause".to_owned());
        assert!(!told.description(&id).contains(id.as_str()));
    }

    #[test]
    fn only_operations_have_problem_details() {
        for (path, is_admin, form) in [
            ("/admin/v1/teams", true, ErrorForm::Problem),
            ("//admin//v1/", true, ErrorForm::Problem),
            ("/admin/v1/teams", false, ErrorForm::OAuth),
            ("/admin/v10/teams", true, ErrorForm::OAuth),
            ("/metrics", true, ErrorForm::OAuth),
            ("/x/.well-known/jwks.json", false, ErrorForm::WellKnown),
        ] {
            assert_eq!(ErrorForm::of(path, is_admin), form, "{path}");
        }
    }

    #[test]
    fn fld44_an_endpoint_that_mints_nothing_never_says_that_nothing_was_minted() {
        for reason in HttpReason::all() {
            let failure = Failure::from(reason).instead_of_minting("nothing was revoked");
            assert!(
                !failure.is_ours()
                    || failure.text().contains("nothing was revoked")
                    || reason == Reason::IssuerUnavailable.into()
            );
        }
    }

    #[test]
    fn o2_03_every_description_is_printable_ascii_without_quotes() {
        for reason in HttpReason::all() {
            let description = reason.description();
            assert!(!description.is_empty());
            assert_eq!(ascii(description), description, "{}", reason.name());
        }
    }
}
