//! Which issuer an unverified token claims to come from.

use sts_claims::ClaimSet;
use sts_types::Issuer;

use crate::rule_error::TokenRuleError;

/// The origin that an unverified token claims. Use it to look up issuer entries and for nothing
/// else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimedOrigin {
    /// The token's `iss`.
    Issuer(Issuer),
    /// The trust domain of the SPIFFE ID in `sub`, for a token without `iss` (JWT-SVID section 3
    /// makes `iss` optional).
    TrustDomain(String),
}

impl ClaimedOrigin {
    /// Reads the origin from unverified claims.
    ///
    /// # Errors
    /// [`TokenRuleError::Malformed`] if the claims name no origin, or `iss` is not an issuer
    /// identifier.
    pub fn of(claims: &ClaimSet) -> Result<Self, TokenRuleError> {
        match claims.member("iss") {
            Some(iss) => iss
                .as_str()
                .and_then(|iss| Issuer::new(iss).ok())
                .map(Self::Issuer)
                .ok_or(TokenRuleError::Malformed("`iss` is not an issuer identifier")),
            None => claims
                .text("sub")
                .and_then(trust_domain)
                .map(|domain| Self::TrustDomain(domain.to_owned()))
                .ok_or(TokenRuleError::NO_ISSUER),
        }
    }
}

/// The trust domain of a SPIFFE ID with a path (SPIFFE-ID section 2): the text between the scheme
/// and the first slash, byte for byte. A port or user name stays part of it; such a text matches no
/// entry.
pub(crate) fn trust_domain(sub: &str) -> Option<&str> {
    let (domain, path) = sub.strip_prefix("spiffe://")?.split_once('/')?;
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('%');
    (!domain.is_empty() && path.split('/').all(is_segment)).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(claims: &str) -> Result<ClaimedOrigin, TokenRuleError> {
        ClaimedOrigin::of(&ClaimSet::parse(claims.as_bytes()).unwrap())
    }

    #[test]
    fn fld31_a_token_without_iss_is_of_the_trust_domain_of_its_subject() {
        let domain = |domain: &str| Ok(ClaimedOrigin::TrustDomain(domain.to_owned()));
        assert_eq!(of(r#"{"sub":"spiffe://example.org/a"}"#), domain("example.org"));
        assert_eq!(of(r#"{"sub":"spiffe://example.org/a/b"}"#), domain("example.org"));
        assert_eq!(of(r#"{"sub":"spiffe://example.org:80/a"}"#), domain("example.org:80"));
        assert_eq!(of(r#"{"sub":"spiffe://x@example.org/a"}"#), domain("x@example.org"));
        assert_eq!(of(r#"{"sub":"spiffe://EXAMPLE.org/a"}"#), domain("EXAMPLE.org"));
        for none in [
            "{}",
            r#"{"sub":"spiffe://example.org"}"#,
            r#"{"sub":"spiffe://example.org/"}"#,
            r#"{"sub":"spiffe:///a"}"#,
            r#"{"sub":"SPIFFE://example.org/a"}"#,
            r#"{"sub":"https://example.org/a"}"#,
            r#"{"sub":["spiffe://example.org/a"]}"#,
        ] {
            assert_eq!(of(none), Err(TokenRuleError::NO_ISSUER), "{none}");
        }
    }

    #[test]
    fn an_iss_that_is_there_is_never_taken_for_absent() {
        for wrong in ["null", "1", "\"\"", "[]", "\"a\\u0000\""] {
            let claims = format!(r#"{{"iss":{wrong},"sub":"spiffe://example.org/a"}}"#);
            assert_eq!(of(&claims), Err(TokenRuleError::Malformed("`iss` is not an issuer identifier")), "{wrong}");
        }
        assert_eq!(of(r#"{"iss":"api","sub":"s"}"#), Ok(ClaimedOrigin::Issuer(Issuer::new("api").unwrap())));
    }
}
