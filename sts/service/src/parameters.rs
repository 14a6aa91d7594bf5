//! Request parameters from any kind of body.

use std::borrow::Cow;

use sts_types::rfc::parameter;
use zeroize::Zeroizing;

use crate::reason::{Reason, RefusedError};

/// The most parameters in a request.
pub const MAX_PARAMETERS: usize = 64;

/// The parameters of OAuth requests. A refusal names only these, because any other name is input.
pub const PARAMETERS: [&str; 21] = [
    parameter::GRANT_TYPE,
    parameter::SUBJECT_TOKEN,
    parameter::SUBJECT_TOKEN_TYPE,
    parameter::ACTOR_TOKEN,
    parameter::ACTOR_TOKEN_TYPE,
    parameter::REQUESTED_TOKEN_TYPE,
    parameter::TOKEN,
    parameter::TOKEN_TYPE_HINT,
    parameter::ACCESS_TOKEN,
    parameter::REFRESH_TOKEN,
    parameter::CLIENT_ID,
    parameter::CLIENT_SECRET,
    parameter::ASSERTION,
    parameter::CLIENT_ASSERTION,
    parameter::CLIENT_ASSERTION_TYPE,
    parameter::PASSWORD,
    parameter::CODE,
    parameter::AUDIENCE,
    parameter::RESOURCE,
    parameter::SCOPE,
    parameter::EXPIRES_IN,
];

/// Parameters in the order they were sent, borrowed from the form where nothing had to be decoded.
/// An empty value counts as omitted (RFC 6749 section 3.2).
#[derive(Default)]
pub struct Parameters<'b> {
    pairs: Vec<(Cow<'b, str>, Cow<'b, str>)>,
    /// The values of the header `DPoP`.
    proofs: Vec<String>,
    basic: Option<BasicCredentials>,
}

/// Name and secret of `Authorization: Basic` in both readings: as sent, and form-decoded as RFC 6749
/// section 2.3.1 demands.
pub type BasicCredentials = [(String, Zeroizing<String>); 2];

impl std::fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameters").field("count", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl<'b> Parameters<'b> {
    /// Takes decoded pairs.
    ///
    /// # Errors
    /// `request_malformed` for more than [`MAX_PARAMETERS`], or a NUL.
    pub fn new(pairs: Vec<(Cow<'b, str>, Cow<'b, str>)>) -> Result<Self, RefusedError> {
        if pairs.len() > MAX_PARAMETERS {
            return Err(RefusedError::because(Reason::RequestMalformed, "a request has at most 64 parameters"));
        }
        let holds_nul = |text: &str| memchr::memchr(0, text.as_bytes()).is_some();
        if pairs.iter().any(|(name, value)| holds_nul(name) || holds_nul(value)) {
            return Err(RefusedError::because(Reason::RequestMalformed, "a parameter holds a NUL"));
        }
        Ok(Self { pairs, ..Self::default() })
    }

    /// The non-empty values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_ref())
    }

    /// The value of a parameter that must not be repeated. `None` if it is omitted or empty.
    ///
    /// # Errors
    /// `request_malformed` if it is repeated, whatever the values (RFC 6749 section 3.2).
    pub fn one(&self, name: &str) -> Result<Option<&str>, RefusedError> {
        let mut values = self.pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_ref());
        let first = values.next();
        if values.next().is_some() {
            return Err(RefusedError::on_parameter(name, "is sent more than once: send it once"));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Adds a `client_id` from outside the body: the user name of Basic credentials without a
    /// password.
    ///
    /// # Errors
    /// `request_malformed` if the body has another.
    pub fn add_client_id(&mut self, client_id: String) -> Result<(), RefusedError> {
        match self.one(parameter::CLIENT_ID)? {
            Some(own) if own == client_id => Ok(()),
            Some(_) => Err(RefusedError::because(
                Reason::RequestMalformed,
                "`client_id` and the user name of the Authorization header differ: send one of them",
            )),
            None => {
                self.pairs.retain(|(name, _)| name != parameter::CLIENT_ID);
                self.pairs.push((parameter::CLIENT_ID.into(), client_id.into()));
                Ok(())
            }
        }
    }

    /// Adds a value of the header `DPoP` (RFC 9449 section 5). It is checked later.
    pub fn add_proof(&mut self, proof: String) {
        self.proofs.push(proof);
    }

    /// Adds the credentials of the header `Authorization`.
    pub fn add_basic(&mut self, credentials: BasicCredentials) {
        self.basic = Some(credentials);
    }

    /// The credentials of the header `Authorization`.
    pub(crate) const fn basic(&self) -> Option<&BasicCredentials> {
        self.basic.as_ref()
    }

    /// The values of the header `DPoP`.
    pub(crate) fn proofs(&self) -> &[String] {
        &self.proofs
    }

    /// Refuses a repeated parameter, known or not, except those in `may_repeat`.
    ///
    /// # Errors
    /// `request_malformed`.
    pub fn forbid_repeats(&self, may_repeat: &[&str]) -> Result<(), RefusedError> {
        self.pairs
            .iter()
            .filter(|(name, _)| !may_repeat.contains(&name.as_ref()))
            .try_for_each(|(name, _)| self.one(name).map(|_| ()))
    }

    /// Whether a parameter was sent, with or without a value.
    #[must_use]
    pub fn is_sent(&self, name: &str) -> bool {
        self.pairs.iter().any(|(own, _)| own == name)
    }

    /// Whether a parameter was sent with a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

impl RefusedError {
    /// A parameter of that name is wrong. Only a name that we know is repeated to the caller.
    pub(crate) fn on_parameter(name: &str, wrong: &'static str) -> Self {
        let known = PARAMETERS.iter().find(|known| **known == name);
        let named = known.map_or_else(|| "a parameter".to_owned(), |name| format!("`{name}`"));
        let detail = Some(Cow::Owned(format!("{named} {wrong}")));
        Self { reason: Reason::RequestMalformed, detail, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c110_a_request_has_at_most_64_parameters_and_no_nul() {
        let pairs = |count: usize| (0..count).map(|at| (format!("p{at}").into(), "v".into())).collect();
        assert!(Parameters::new(pairs(64)).is_ok());
        assert!(Parameters::new(pairs(65)).is_err());
        assert!(Parameters::new(vec![("a".into(), "\0".into())]).is_err());
    }
}
