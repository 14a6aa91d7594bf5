//! What can be wrong with a token.

/// What is wrong with a token. The caller sees its stable `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRuleError {
    /// Not an acceptable JWS, or a registered claim is missing or has the wrong type. Names the
    /// violated rule and never repeats the token.
    #[error("the subject token is malformed: {0}")]
    Malformed(&'static str),
    /// The token's algorithm is not accepted.
    #[error("the subject token's algorithm is not accepted")]
    Algorithm,
    /// Tokens of this kind are not exchanged: the `typ` is not accepted, or there is a `cnf`.
    #[error("a token of this type is not exchanged")]
    TypeRefused,
    /// `exp` has passed.
    #[error("the subject token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the subject token is not valid yet")]
    NotYetValid,
    /// Its lifetime or its age exceeds the entry's limit.
    #[error("the subject token lives too long or is too old")]
    TooOld,
}

impl TokenRuleError {
    /// The token does not name its issuer.
    pub const NO_ISSUER: Self = Self::Malformed("`iss` is missing");
    /// The token has no `iat`, and its entry requires one.
    pub const NO_ISSUED_AT: Self = Self::Malformed("`iat` is missing");
}
