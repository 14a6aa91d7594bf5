//! How a request presents its token (RFC 6750 section 2.1, RFC 9449 section 7.1).

use std::sync::Arc;

use crate::{BoundRequest, Refusal, VerifiedToken, Verifier, VerifyError};

/// What a route requires of its callers.
#[derive(Clone, Debug)]
pub(crate) struct Requirement {
    verifier: Verifier,
    scopes: Arc<[String]>,
}

impl Requirement {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self { verifier, scopes: Arc::default() }
    }

    pub(crate) fn and_scope(self, scope: String) -> Self {
        Self { scopes: self.scopes.iter().cloned().chain([scope]).collect(), ..self }
    }

    /// The token of a caller that has what is required.
    pub(crate) async fn check(&self, presented: &Presented<'_>) -> Result<VerifiedToken, Refusal> {
        let verified = presented.verify(&self.verifier, &self.scopes).await;
        verified.map_err(|(error, scheme)| Refusal::new(error, scheme, self.verifier.accepts_dpop(), &self.scopes))
    }
}

/// What of a request tells who sends it.
pub(crate) struct Presented<'a> {
    /// Every `Authorization` header.
    pub(crate) authorization: Vec<&'a [u8]>,
    /// Every `DPoP` header.
    pub(crate) dpop: Vec<&'a [u8]>,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

/// The authentication scheme that a request uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    #[default]
    Bearer,
    Dpop,
}

impl Presented<'_> {
    /// Verifies the token, which must grant all of `scopes`.
    async fn verify(&self, verifier: &Verifier, scopes: &[String]) -> Result<VerifiedToken, (VerifyError, Scheme)> {
        let (scheme, token) = self.token().map_err(|error| (error, Scheme::Bearer))?;
        let verified = match scheme {
            Scheme::Bearer => verifier.verify(token).await,
            Scheme::Dpop => match self.bound_request() {
                Ok(request) => verifier.verify_bound(token, &request).await,
                Err(error) => Err(error),
            },
        };
        let verified = verified.map_err(|error| (error, scheme))?;
        match scopes.iter().find(|scope| !verified.has_scope(scope)) {
            None => Ok(verified),
            Some(required) => Err((VerifyError::Scope { required: required.clone() }, scheme)),
        }
    }

    fn token(&self) -> Result<(Scheme, &str), VerifyError> {
        let header = match *self.authorization {
            [] => return Err(VerifyError::Missing),
            [header] => header,
            _ => return Err(VerifyError::Request("the request has more than one `Authorization` header")),
        };
        let header = std::str::from_utf8(header)
            .map_err(|_| VerifyError::Request("the `Authorization` header is not printable ASCII"))?;
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        let scheme = if scheme.eq_ignore_ascii_case("bearer") {
            Scheme::Bearer
        } else if scheme.eq_ignore_ascii_case("dpop") {
            Scheme::Dpop
        } else {
            return Err(VerifyError::Missing);
        };
        let token = token.trim_matches(' ');
        if token.is_empty() || token.contains([' ', ',']) {
            return Err(VerifyError::Request("the `Authorization` header has no token, or more than one"));
        }
        Ok((scheme, token))
    }

    fn bound_request(&self) -> Result<BoundRequest<'_>, VerifyError> {
        let [proof] = *self.dpop else {
            return Err(VerifyError::Request("a token that is sent as `DPoP` needs exactly one `DPoP` header"));
        };
        let proof =
            std::str::from_utf8(proof).map_err(|_| VerifyError::Request("the `DPoP` header is not printable ASCII"))?;
        Ok(BoundRequest { proof, method: self.method, path: self.path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token<'a>(headers: &[&'a str]) -> Result<(Scheme, String), VerifyError> {
        let authorization = headers.iter().map(|header: &&'a str| header.as_bytes()).collect();
        let presented = Presented { authorization, dpop: Vec::new(), method: "GET", path: "/" };
        presented.token().map(|(scheme, token)| (scheme, token.to_owned()))
    }

    #[test]
    fn a_token_is_taken_from_one_authorization_header_of_a_known_scheme() {
        assert_eq!(token(&["Bearer a.b.c"]), Ok((Scheme::Bearer, "a.b.c".to_owned())));
        assert_eq!(token(&["bEARER  a.b.c "]), Ok((Scheme::Bearer, "a.b.c".to_owned())));
        assert_eq!(token(&["dpop a.b.c"]), Ok((Scheme::Dpop, "a.b.c".to_owned())));
        for none in [&[][..], &["Basic YTpi"], &["a.b.c"], &["Bearera.b.c"]] {
            assert_eq!(token(none), Err(VerifyError::Missing), "{none:?}");
        }
        for wrong in [&["Bearer"][..], &["Bearer "], &["Bearer a b"], &["Bearer a,b"], &["Bearer a", "Bearer b"]] {
            assert!(matches!(token(wrong), Err(VerifyError::Request(_))), "{wrong:?}");
        }
    }
}
