//! A token before its signature is checked. It may only say which issuer to ask.

use std::sync::Arc;

use sts_claims::ClaimSet;
use sts_jose::{CompactJws, JwsError, VerifyingKey};
use sts_types::{Algorithm, EntryName, Kid, UnixTime};

use crate::origin::ClaimedOrigin;
use crate::registered;
use crate::rule_error::TokenRuleError;
use crate::verified::Evidence;
use crate::{TrustSpec, VerifiedClaims};

/// A well-formed compact JWS whose signature is not checked.
///
/// Only one claim may be read: `iss`, or the trust domain in `sub` if there is no `iss`. It may
/// only be used to look up the configured issuers, byte for byte (RFC 8725 section 3.8).
pub struct UnverifiedToken<'a> {
    jws: CompactJws<'a>,
    claims: ClaimSet,
    origin: ClaimedOrigin,
}

impl std::fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnverifiedToken").finish_non_exhaustive()
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Parses `token`: a compact JWS with a strict header and a strict JSON payload that names its
    /// origin.
    ///
    /// # Errors
    /// [`TokenRuleError::Malformed`], or [`TokenRuleError::Algorithm`] for an unsupported algorithm.
    pub fn parse(token: &'a str) -> Result<Self, TokenRuleError> {
        let jws = CompactJws::parse(token).map_err(|error| match error {
            JwsError::Algorithm => TokenRuleError::Algorithm,
            JwsError::Malformed(rule) => TokenRuleError::Malformed(rule),
        })?;
        let claims =
            ClaimSet::parse(jws.payload()).map_err(|_| TokenRuleError::Malformed("the payload is not strict JSON"))?;
        let origin = ClaimedOrigin::of(&claims)?;
        Ok(Self { jws, claims, origin })
    }

    /// The origin that the token claims. Use it for the lookup and for nothing else.
    #[must_use]
    pub fn claimed_origin(&self) -> &ClaimedOrigin {
        &self.origin
    }

    /// The `kid` of the header.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.jws.header().kid.as_ref()
    }

    /// The algorithm of the header.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.jws.header().algorithm
    }

    /// Checks algorithm and kind (`typ`, `cnf`) against the entries of the claimed issuer. Without
    /// an entry it checks what every entry accepts, so that a caller hears about a wrong kind
    /// before a wrong issuer.
    ///
    /// # Errors
    /// [`TokenRuleError::Algorithm`], [`TokenRuleError::TypeRefused`].
    pub fn check_kind(&self, trusts: &[Arc<TrustSpec>]) -> Result<(), TokenRuleError> {
        if !trusts.is_empty() && !trusts.iter().any(|trust| trust.algorithms.contains(&self.algorithm())) {
            return Err(TokenRuleError::Algorithm);
        }
        let typ = self.jws.header().typ.as_deref();
        if !(accepts_typ(&[], typ) || trusts.iter().any(|trust| accepts_typ(&trust.types, typ))) {
            return Err(TokenRuleError::TypeRefused);
        }
        if self.claims.member("cnf").is_some() {
            return Err(TokenRuleError::TypeRefused);
        }
        Ok(())
    }

    /// Checks the signature with each candidate, a key of an entry that matches the header. The
    /// entry of the key that verifies it is the token's issuer from here on.
    ///
    /// # Errors
    /// The token itself, if no candidate verifies it.
    #[expect(clippy::result_large_err, reason = "the token moves back to its one caller, which continues with it")]
    pub fn check_signature(self, candidates: &[(Arc<TrustSpec>, Arc<VerifyingKey>)]) -> Result<SignedToken<'a>, Self> {
        let fits = |trust: &TrustSpec| {
            trust.issuer_of(&self.origin).is_some()
                && trust.algorithms.contains(&self.algorithm())
                && accepts_typ(&trust.types, self.jws.header().typ.as_deref())
        };
        let verifying = candidates.iter().find(|(trust, key)| fits(trust) && self.jws.verify(key).is_ok());
        match verifying {
            Some((trust, key)) => Ok(SignedToken { trust: Arc::clone(trust), key: Arc::clone(key), token: self }),
            None => Err(self),
        }
    }
}

/// Whether `typ` is accepted: absent and `JWT` always, any other value if it is listed. Compared as
/// media types (RFC 7515 section 4.1.9): case-insensitive, with or without `application/`.
fn accepts_typ(listed: &[String], typ: Option<&str>) -> bool {
    fn bare(typ: &str) -> &str {
        match typ.split_once('/') {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("application") && !rest.contains('/') => rest,
            _ => typ,
        }
    }
    typ.is_none_or(|typ| {
        bare(typ).eq_ignore_ascii_case("JWT")
            || listed.iter().any(|accepted| bare(accepted).eq_ignore_ascii_case(bare(typ)))
    })
}

/// A token whose signature a key of one issuer entry verified. Its times are not checked yet.
pub struct SignedToken<'a> {
    token: UnverifiedToken<'a>,
    trust: Arc<TrustSpec>,
    key: Arc<VerifyingKey>,
}

impl std::fmt::Debug for SignedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedToken").field("entry", &self.trust.entry).finish_non_exhaustive()
    }
}

impl SignedToken<'_> {
    /// The issuer entry whose key verified it.
    #[must_use]
    pub fn entry(&self) -> &EntryName {
        &self.trust.entry
    }

    /// Checks the registered claims: presence and types, then the times at `now` (RFC 7519 section
    /// 4.1).
    ///
    /// # Errors
    /// The first [`TokenRuleError`], in this order.
    pub fn validate(self, now: UnixTime) -> Result<VerifiedClaims, TokenRuleError> {
        let registered = registered::read(&self.token.claims, &self.trust)?;
        registered::validate_times(&registered, &self.trust, now)?;
        // Never fails: `check_signature` accepts only entries that have an issuer for this token.
        let issuer = self.trust.issuer_of(&self.token.origin).ok_or(TokenRuleError::NO_ISSUER)?.clone();
        let signing_input = registered.jti.is_none().then(|| sts_jose::sha256(self.token.jws.signing_input()));
        Ok(VerifiedClaims::of(Arc::new(Evidence {
            trust: self.trust,
            issuer,
            key: self.key,
            registered,
            claims: self.token.claims,
            signing_input,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::accepts_typ;

    #[test]
    fn c024_bc08_a_typ_is_compared_as_a_media_type_and_only_jwt_is_free() {
        for free in [None, Some("JWT"), Some("jwt"), Some("application/jwt"), Some("APPLICATION/JWT")] {
            assert!(accepts_typ(&[], free), "{free:?}");
        }
        for refused in
            ["at+jwt", "application/at+jwt", "AT+JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", "", "a/b/jwt", "x/jwt"]
        {
            assert!(!accepts_typ(&[], Some(refused)), "{refused}");
        }
        assert!(accepts_typ(&["JOSE".to_owned()], Some("jose")));
        assert!(!accepts_typ(&["JOSE".to_owned()], Some("at+jwt")));
    }
}
