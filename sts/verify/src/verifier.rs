//! The verifier.

use std::sync::Arc;
use std::time::Duration;

use sts_claims::ClaimSet;
use sts_jose::{CompactJws, DpopExpectation, DpopProof, JwsError};
use sts_types::{Clock, Issuer, rfc};
use tokio::sync::oneshot;

use crate::introspection::IntrospectionClient;
use crate::issuer_keys::IssuerKeys;
use crate::media_type::is_media_type;
use crate::proofs::ProofCheck;
use crate::status_lists::StatusLists;
use crate::{BuildError, TokenFault, VerifiedToken, VerifierBuilder, VerifyError};

/// Size limit of a token, in bytes: the longest that `sts` mints.
const MAX_TOKEN_BYTES: usize = 32 * 1024;

/// Verifies the access tokens of one issuer for one service. Cloning is cheap: clones share the
/// keys, the status lists and what is remembered.
///
/// When the last clone is dropped, the refresh of keys in the background ends.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) issuer: Issuer,
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: Arc<IssuerKeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_skew: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) status_lists: Option<Arc<StatusLists>>,
    pub(crate) introspection: Option<IntrospectionClient>,
    pub(crate) proofs: Option<ProofCheck>,
    /// Dropping it ends the refresh of keys.
    pub(crate) _refresh: oneshot::Sender<()>,
}

/// A request with a token that is bound to a key (RFC 9449).
#[derive(Clone, Copy)]
pub struct BoundRequest<'a> {
    /// The content of the `DPoP` header.
    pub proof: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's path, below the origin given to
    /// [`dpop_origin`](crate::VerifierBuilder::dpop_origin).
    pub path: &'a str,
}

/// Shows no proof.
impl std::fmt::Debug for BoundRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundRequest").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of the tokens of `issuer` for the service `audience`. For anything more, such as
    /// revocation or proofs of possession, see [`builder`](Self::builder).
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Result<Self, BuildError> {
        Self::builder(issuer).audience(audience).build()
    }

    /// A verifier of the tokens of `issuer`, compared byte for byte.
    pub fn builder(issuer: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(issuer.into())
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Verifies a token that was sent as `Authorization: Bearer` (RFC 9068 section 4).
    ///
    /// # Errors
    /// See [`VerifyError`]. A token that is bound to a key is refused: it needs its proof.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        let verified = self.0.verify_offline(token).await?;
        if verified.bound_to()?.is_some() {
            return Err(TokenFault::Bound.into());
        }
        self.0.check_status(&verified, token).await?;
        Ok(verified)
    }

    /// Verifies a token that was sent as `Authorization: DPoP`, with its proof (RFC 9449 section 7).
    /// Each proof is accepted once.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn verify_bound(&self, token: &str, request: &BoundRequest<'_>) -> Result<VerifiedToken, VerifyError> {
        let Some(proofs) = &self.0.proofs else {
            return Err(VerifyError::Request("this service does not accept DPoP"));
        };
        let verified = self.0.verify_offline(token).await?;
        let bound_to = verified.bound_to()?.ok_or(TokenFault::NotBound)?;
        let now = self.0.clock.now();
        let uri = proofs.uri(request.path);
        let expected = DpopExpectation { method: request.method, uri: &uri, access_token: Some(token), now };
        let proof = DpopProof::verify(request.proof, &expected)?;
        if proof.thumbprint().as_str() != bound_to {
            return Err(TokenFault::NotBound.into());
        }
        self.0.check_status(&verified, token).await?;
        proofs.take(&proof, now)?;
        Ok(verified)
    }

    /// Whether bound tokens are accepted.
    #[cfg(any(feature = "actix", feature = "tower"))]
    pub(crate) fn accepts_dpop(&self) -> bool {
        self.0.proofs.is_some()
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.0.issuer)
            .field("audiences", &self.0.audiences)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Everything but revocation and possession.
    async fn verify_offline(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        let jws = CompactJws::parse_up_to(token, MAX_TOKEN_BYTES).map_err(|error| match error {
            JwsError::Algorithm => TokenFault::Algorithm,
            JwsError::Malformed(rule) => TokenFault::Malformed(rule),
        })?;
        if !jws.header().typ.as_deref().is_some_and(|typ| is_media_type(typ, rfc::TYP_ACCESS_TOKEN)) {
            return Err(TokenFault::Type.into());
        }
        let claims =
            ClaimSet::parse(jws.payload()).map_err(|_| TokenFault::Malformed("its payload is not strict JSON"))?;
        // Before any key is looked up: a token of somebody else causes no request.
        if claims.text("iss") != Some(self.issuer.as_str()) {
            return Err(TokenFault::Issuer.into());
        }
        self.keys.verify(&jws).await?;
        let verified = VerifiedToken::of(claims)?;
        self.check_claims(&verified)?;
        Ok(verified)
    }

    fn check_claims(&self, token: &VerifiedToken) -> Result<(), TokenFault> {
        if !token.audiences().any(|audience| self.audiences.iter().any(|ours| ours == audience)) {
            return Err(TokenFault::Audience);
        }
        let (now, skew) = (self.clock.now().as_secs(), seconds(self.clock_skew));
        // Without a tolerance: an issuer takes an expired token out of its status list.
        if now >= token.expires_at() {
            return Err(TokenFault::Expired);
        }
        let earliest = token.issued_at().max(token.not_before().unwrap_or(i64::MIN));
        if earliest > now.saturating_add(skew) {
            return Err(TokenFault::NotYetValid);
        }
        let lifetime = token.expires_at().saturating_sub(token.issued_at());
        if self.max_lifetime.is_some_and(|longest| lifetime > seconds(longest)) {
            return Err(TokenFault::Lifetime);
        }
        Ok(())
    }

    /// Status lists first, since they need no request; introspection where they do not tell.
    async fn check_status(&self, verified: &VerifiedToken, token: &str) -> Result<(), VerifyError> {
        let from_list = match (&self.status_lists, verified.status()?) {
            (None, _) => None,
            (Some(lists), Some(reference)) => Some(lists.check(reference).await),
            (Some(_), None) => Some(Err(TokenFault::NoStatus.into())),
        };
        match (from_list, &self.introspection) {
            (
                None | Some(Err(VerifyError::Unavailable { .. } | VerifyError::Token(TokenFault::NoStatus))),
                Some(introspection),
            ) => introspection.check(token).await,
            (answer, _) => answer.unwrap_or(Ok(())),
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
