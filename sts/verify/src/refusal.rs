//! The answer to a request that is not let through (RFC 6750 section 3, RFC 9449 section 7.1).

use crate::credentials::Scheme;
use crate::{TokenFault, VerifyError};
use sts_jose::DPOP_ALGORITHMS;

/// The answer to a request that is not let through.
#[derive(Clone, Debug)]
pub struct Refusal {
    error: VerifyError,
    scheme: Scheme,
    accepts_dpop: bool,
    /// What the route requires, for the challenge.
    scope: String,
}

impl Refusal {
    pub(crate) fn new(error: VerifyError, scheme: Scheme, accepts_dpop: bool, scopes: &[String]) -> Self {
        Self { error, scheme, accepts_dpop, scope: scopes.join(" ") }
    }

    /// Why.
    #[must_use]
    pub fn error(&self) -> &VerifyError {
        &self.error
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.error {
            VerifyError::Request(_) => 400,
            VerifyError::Missing | VerifyError::Token(_) | VerifyError::Proof(_) => 401,
            VerifyError::Scope { .. } => 403,
            VerifyError::Unavailable { .. } => 503,
        }
    }

    /// The error code of RFC 6750 section 3.1 or RFC 9449 section 7.1; `None` for a request without a
    /// token, which gets no code.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self.error {
            VerifyError::Missing => None,
            VerifyError::Request(_) => Some("invalid_request"),
            VerifyError::Token(_) => Some("invalid_token"),
            VerifyError::Proof(_) => Some("invalid_dpop_proof"),
            VerifyError::Scope { .. } => Some("insufficient_scope"),
            VerifyError::Unavailable { .. } => Some("temporarily_unavailable"),
        }
    }

    /// The headers of the answer: `WWW-Authenticate` for each scheme that is accepted, or
    /// `Retry-After`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        if let VerifyError::Unavailable { retry_after, .. } = &self.error {
            return vec![("retry-after", retry_after.as_secs().max(1).to_string())];
        }
        let mut headers = Vec::new();
        // A bound token is refused because of its scheme, so the right scheme says so.
        let is_bound = matches!(self.error, VerifyError::Token(TokenFault::Bound));
        let blamed = if is_bound && self.accepts_dpop { Scheme::Dpop } else { self.scheme };
        headers.push(("www-authenticate", self.challenge(Scheme::Bearer, blamed)));
        if self.accepts_dpop {
            headers.push(("www-authenticate", self.challenge(Scheme::Dpop, blamed)));
        }
        headers
    }

    /// The body of the answer, JSON.
    #[must_use]
    pub fn body(&self) -> String {
        let code = self.code().unwrap_or("invalid_token");
        serde_json::json!({ "error": code, "error_description": self.description() }).to_string()
    }

    fn challenge(&self, scheme: Scheme, blamed: Scheme) -> String {
        let mut parameters = Vec::new();
        if scheme == Scheme::Dpop {
            let names: Vec<&str> = DPOP_ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect();
            parameters.push(format!("algs=\"{}\"", names.join(" ")));
        }
        if !self.scope.is_empty() {
            parameters.push(format!("scope=\"{}\"", quotable(&self.scope)));
        }
        if let Some(code) = self.code().filter(|_| scheme == blamed) {
            parameters.push(format!("error=\"{code}\", error_description=\"{}\"", self.description()));
        }
        let name = match scheme {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        };
        if parameters.is_empty() { name.to_owned() } else { format!("{name} {}", parameters.join(", ")) }
    }

    fn description(&self) -> String {
        quotable(&self.error.to_string())
    }
}

/// Only what RFC 6750 section 3 allows in a description: printable ASCII but for `"` and `\`.
fn quotable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => '\'',
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn challenges(error: VerifyError, scheme: Scheme, accepts_dpop: bool) -> Vec<String> {
        let refusal = Refusal::new(error, scheme, accepts_dpop, &["deploy".to_owned(), "read".to_owned()]);
        refusal.headers().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_request_without_a_token_is_challenged_without_an_error_code() {
        let refusal = Refusal::new(VerifyError::Missing, Scheme::Bearer, false, &[]);
        assert_eq!((refusal.status(), refusal.code()), (401, None));
        assert_eq!(refusal.headers(), [("www-authenticate", "Bearer".to_owned())]);
    }

    #[test]
    fn the_scheme_that_was_used_is_blamed_and_each_accepted_one_is_offered() {
        let expired = VerifyError::Token(TokenFault::Expired);
        assert_eq!(
            challenges(expired.clone(), Scheme::Bearer, false),
            [r#"Bearer scope="deploy read", error="invalid_token", error_description="the token has expired""#]
        );
        let both = challenges(expired, Scheme::Dpop, true);
        assert_eq!(both[0], r#"Bearer scope="deploy read""#);
        assert!(both[1].starts_with("DPoP algs=\"") && both[1].contains("error=\"invalid_token\""), "{both:?}");
        let bound = challenges(VerifyError::Token(TokenFault::Bound), Scheme::Bearer, true);
        assert!(!bound[0].contains("error") && bound[1].contains("error=\"invalid_token\""), "{bound:?}");
    }

    #[test]
    fn a_missing_scope_is_403_and_an_issuer_that_is_away_503() {
        let scope = VerifyError::Scope { required: "a\"b\u{e9}".to_owned() };
        let refusal = Refusal::new(scope, Scheme::Bearer, false, &["a\"b\u{e9}".to_owned()]);
        assert_eq!((refusal.status(), refusal.code()), (403, Some("insufficient_scope")));
        assert!(refusal.headers()[0].1.is_ascii() && refusal.headers()[0].1.contains("`a'b?`"));
        let away = VerifyError::Unavailable { what: "away", retry_after: Duration::from_millis(300) };
        let refusal = Refusal::new(away, Scheme::Bearer, false, &[]);
        assert_eq!((refusal.status(), refusal.headers()), (503, vec![("retry-after", "1".to_owned())]));
    }
}
