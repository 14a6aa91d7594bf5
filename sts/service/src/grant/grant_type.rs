//! The grants that there are.

use sts_types::rfc::{self, parameter};

use crate::parameters::Parameters;

/// A grant, by its `grant_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 8693.
    TokenExchange,
    /// RFC 7523 section 2.1.
    JwtBearer,
    /// RFC 6749 section 4.4.
    ClientCredentials,
}

impl GrantType {
    /// Every grant.
    pub const ALL: [Self; 3] = [Self::TokenExchange, Self::JwtBearer, Self::ClientCredentials];

    /// The value of `grant_type`.
    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::TokenExchange => rfc::GRANT_TOKEN_EXCHANGE,
            Self::JwtBearer => rfc::GRANT_JWT_BEARER,
            Self::ClientCredentials => rfc::GRANT_CLIENT_CREDENTIALS,
        }
    }

    /// A short stable name, for events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenExchange => "token_exchange",
            Self::JwtBearer => "jwt_bearer",
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The grant that a request names. `None` if it names none, several, or one that does not
    /// exist.
    pub(crate) fn of(parameters: &Parameters<'_>) -> Option<Self> {
        let named = parameters.one(parameter::GRANT_TYPE).ok().flatten()?;
        Self::ALL.into_iter().find(|grant| grant.uri() == named)
    }

    /// The parameter that carries the token by which a caller proves who they are.
    pub(crate) const fn token_parameter(self) -> &'static str {
        match self {
            Self::TokenExchange => parameter::SUBJECT_TOKEN,
            Self::JwtBearer => parameter::ASSERTION,
            Self::ClientCredentials => parameter::CLIENT_ASSERTION,
        }
    }
}
