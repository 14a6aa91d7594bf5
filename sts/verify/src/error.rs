//! Why a token is not accepted.

use std::time::Duration;

use sts_jose::DpopError;

/// Why a request is not let through. The texts tell the caller what to do and never repeat input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The request has no access token.
    #[error("an access token is required: send it as `Authorization: Bearer`")]
    Missing,
    /// The token is sent in a wrong way.
    #[error("{0}")]
    Request(&'static str),
    /// The token is not valid here.
    #[error("{0}")]
    Token(#[from] TokenFault),
    /// The proof of possession is not valid for this request.
    #[error("{0}")]
    Proof(#[from] DpopError),
    /// The token is valid, and does not grant what the route requires.
    #[error("the token does not grant the scope `{required}`")]
    Scope {
        /// The scope that is missing.
        required: String,
    },
    /// The issuer could not be asked. The token may be good.
    #[error("{what}")]
    Unavailable {
        /// What could not be had.
        what: &'static str,
        /// When another attempt may help.
        retry_after: Duration,
    },
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not a signed JWT.
    #[error("the token is not a signed JWT: {0}")]
    Malformed(&'static str),
    /// Signed with an algorithm that is not accepted.
    #[error("the token's `alg` is not accepted")]
    Algorithm,
    /// Not an access token. An ID token, for instance, has no `typ` or `JWT`.
    #[error("the token is no access token: its `typ` is not `at+jwt` (RFC 9068)")]
    Type,
    /// Of another issuer.
    #[error("the token's issuer is not trusted here")]
    Issuer,
    /// The issuer publishes no key with this `kid` and `alg`.
    #[error("the issuer has no such key")]
    Key,
    /// The signature does not verify.
    #[error("the token's signature is not valid")]
    Signature,
    /// A claim that RFC 9068 requires is missing or has the wrong type.
    #[error("the token's claim `{0}` is missing or has the wrong type")]
    Claim(&'static str),
    /// For another service.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet: check the clock")]
    NotYetValid,
    /// It lives longer than this service accepts.
    #[error("the token's lifetime is longer than this service accepts")]
    Lifetime,
    /// It is bound to a key, and came without a proof that can be checked.
    #[error("the token is bound to a key: send it as `Authorization: DPoP` with a proof (RFC 9449)")]
    Bound,
    /// It came with a proof, and is bound to no key, or to another one.
    #[error("the token is not bound to the key of the proof")]
    NotBound,
    /// It names no status list, and nothing else tells whether it was revoked.
    #[error("the token names no status list, and this service requires one")]
    NoStatus,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
}
