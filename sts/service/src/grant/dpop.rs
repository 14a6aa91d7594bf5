//! The proof of possession of a token request (RFC 9449 section 5).

use sts_jose::{DpopError, DpopExpectation, DpopProof};
use sts_types::Issuer;

use crate::reason::{Reason, RefusedError};

const SEVERAL: RefusedError =
    RefusedError::because(Reason::ProofInvalid, "there is more than one DPoP header: send one proof");

/// The message for a missing proof.
pub(crate) const MISSING: RefusedError =
    RefusedError::because(Reason::ProofInvalid, "the token is bound to a key: send a DPoP proof by that key");

/// The message for a proof by another key.
pub(crate) const OTHER_KEY: RefusedError =
    RefusedError::because(Reason::ProofInvalid, "the DPoP proof is by another key than the token is bound to");

/// The message for a proof that was used before.
pub(crate) const REPLAYED: RefusedError = RefusedError::because(
    Reason::ProofInvalid,
    "the DPoP proof was used before: make a new one, with a new `jti`, for each request",
);

/// Checks the values of the header `DPoP`. `None` if there is none.
///
/// # Errors
/// `proof_invalid`.
pub(crate) fn verify(
    proofs: &[impl AsRef<str>],
    expected: &DpopExpectation<'_>,
) -> Result<Option<DpopProof>, RefusedError> {
    match proofs {
        [] => Ok(None),
        [proof] => DpopProof::verify(proof.as_ref(), expected)
            .map(Some)
            .map_err(|DpopError(rule)| RefusedError::because(Reason::ProofInvalid, rule)),
        _ => Err(SEVERAL),
    }
}

/// The URL of our endpoint at `path`, as metadata has it.
#[must_use]
pub fn endpoint_url(issuer: &Issuer, path: &str) -> String {
    let root = issuer.as_str();
    format!("{}{path}", root.strip_suffix('/').unwrap_or(root))
}
