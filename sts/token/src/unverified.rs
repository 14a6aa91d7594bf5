//! A token that nobody has vouched for: it may only say which issuer to ask.

use std::sync::Arc;

use sts_jose::{CompactJws, JwsError, VerifyingKey};
use sts_types::{Algorithm, ClaimSet, EntryName, Kid, UnixTime};

use crate::origin::ClaimedOrigin;
use crate::registered::{self, TokenFault};
use crate::verified::Evidence;
use crate::{TrustSpec, VerifiedClaims};

/// A compact JWS whose shape is right and whose signature is not checked.
///
/// Of its claims only `iss` may be read (of a token without one, the trust domain in `sub`), and only to look it up, byte for byte, among the configured issuers (RFC 8725
/// section 3.8).
pub struct UnverifiedToken<'a> {
    jws: CompactJws<'a>,
    claims: ClaimSet,
    origin: ClaimedOrigin,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads the shape of `token`: a JWS in compact form, a strict header, a strict JSON payload that says whose it is.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`], or [`TokenFault::Algorithm`] for an algorithm that nobody may use.
    pub fn parse(token: &'a str) -> Result<Self, TokenFault> {
        let jws = CompactJws::parse(token).map_err(|error| match error {
            JwsError::Algorithm => TokenFault::Algorithm,
            JwsError::Malformed(rule) => TokenFault::Malformed(rule),
        })?;
        let claims =
            ClaimSet::parse(jws.payload()).map_err(|_| TokenFault::Malformed("the payload is not strict JSON"))?;
        let origin = ClaimedOrigin::of(&claims)?;
        Ok(Self { jws, claims, origin })
    }

    /// Whose the token claims to be; good for one look-up and nothing else.
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

    /// Judges algorithm and kind (`typ`, `cnf`) by the entries of the claimed issuer; with no entry, by what every entry
    /// accepts, so that a caller learns of a wrong kind before a wrong issuer.
    ///
    /// # Errors
    /// [`TokenFault::Algorithm`], [`TokenFault::TypeRefused`].
    pub fn check_kind(&self, trusts: &[Arc<TrustSpec>]) -> Result<(), TokenFault> {
        if !trusts.is_empty() && !trusts.iter().any(|trust| trust.algorithms.contains(&self.algorithm())) {
            return Err(TokenFault::Algorithm);
        }
        let typ = self.jws.header().typ.as_deref();
        if !(accepts_typ(&[], typ) || trusts.iter().any(|trust| accepts_typ(&trust.types, typ))) {
            return Err(TokenFault::TypeRefused);
        }
        if self.claims.member("cnf").is_some() {
            return Err(TokenFault::TypeRefused);
        }
        Ok(())
    }

    /// Checks the signature against each candidate: an entry's key that fits the header. The entry whose key verifies is
    /// the token's issuer from here on.
    ///
    /// # Errors
    /// Gives the token back when no candidate verifies it.
    #[expect(clippy::result_large_err, reason = "the token moves back to its one caller, which goes on with it")]
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

/// Absent and `JWT` are every entry's; any other must be listed. Compared as media types (RFC 7515 section 4.1.9): without
/// case, with or without `application/`.
fn accepts_typ(listed: &[String], typ: Option<&str>) -> bool {
    fn bare(typ: &str) -> &str {
        match typ.split_once('/') {
            Some((kind, rest)) if kind.eq_ignore_ascii_case("application") && !rest.contains('/') => rest,
            _ => typ,
        }
    }
    typ.is_none_or(|typ| {
        bare(typ).eq_ignore_ascii_case("JWT") || listed.iter().any(|own| bare(own).eq_ignore_ascii_case(bare(typ)))
    })
}

/// A token whose signature was verified by a key of one issuer entry; its times are not judged yet.
pub struct SignedToken<'a> {
    token: UnverifiedToken<'a>,
    trust: Arc<TrustSpec>,
    key: Arc<VerifyingKey>,
}

impl SignedToken<'_> {
    /// The issuer entry whose key verified it.
    #[must_use]
    pub fn entry(&self) -> &EntryName {
        &self.trust.entry
    }

    /// Judges the registered claims: types, presence, then times at `now` (RFC 7519 section 4.1).
    ///
    /// # Errors
    /// The first [`TokenFault`] found, in the order above.
    pub fn judge(self, now: UnixTime) -> Result<VerifiedClaims, TokenFault> {
        let registered = registered::read(&self.token.claims, &self.trust)?;
        registered::judge_times(&registered, &self.trust, now)?;
        // The entry verified the token, so that it has an issuer for it.
        let issuer = self.trust.issuer_of(&self.token.origin).ok_or(TokenFault::NO_ISSUER)?.clone();
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
