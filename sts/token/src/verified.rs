//! The claims of a token that an issuer we trust has signed, in time.

use std::sync::Arc;

use sts_types::{Audience, ClaimSet, Digest256, EntryName, Issuer, Jti, Kid, ReplayClaim, Subject, UnixTime};

use crate::TrustSpec;
use crate::registered::Registered;

/// How long after `exp` a one-use claim is kept: the largest leeway there is, whatever it is now, since a reload may raise it,
/// and a margin for clocks of replicas that differ (incident TOB-PYPI26-1).
const REPLAY_KEPT: i64 = 300 + 120;

/// Claims whose signature, registered claims and times were judged. Only [`crate::SignedToken::judge`] makes one.
pub struct VerifiedClaims {
    trust: Arc<TrustSpec>,
    issuer: Issuer,
    kid: Option<Kid>,
    registered: Registered,
    claims: ClaimSet,
    signing_input: Digest256,
}

impl VerifiedClaims {
    pub(crate) fn new(
        trust: Arc<TrustSpec>,
        issuer: Issuer,
        kid: Option<Kid>,
        registered: Registered,
        claims: ClaimSet,
        signing_input: Digest256,
    ) -> Self {
        Self { trust, issuer, kid, registered, claims, signing_input }
    }

    /// The issuer entry whose key verified the token.
    #[must_use]
    pub fn entry(&self) -> &EntryName {
        &self.trust.entry
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.registered.subject
    }

    /// The values of `aud`.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.registered.audiences
    }

    /// `exp`.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.registered.exp
    }

    /// `jti`.
    #[must_use]
    pub fn jti(&self) -> Option<&Jti> {
        self.registered.jti.as_ref()
    }

    /// The `kid` of the key that verified it.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.kid.as_ref()
    }

    /// Every claim, registered ones included.
    #[must_use]
    pub fn claims(&self) -> &ClaimSet {
        &self.claims
    }

    /// The digest of the subject token's jti, for the record.
    pub(crate) fn jti_digest(&self) -> Option<Digest256> {
        self.jti().map(|jti| sts_jose::sha256(jti.as_str().as_bytes()))
    }

    /// The one-use claim on this token, for `account` only when given: keyed by the issuer entry with its issuer (of a family
    /// each member counts its own) and the jti, or the signing input where there is no jti, so that two issuers and two kinds
    /// of key never collide.
    pub(crate) fn replay_claim(&self, account: Option<&str>) -> ReplayClaim {
        let (kind, value) = match self.jti() {
            Some(jti) => (b"jti".as_slice(), jti.as_str().as_bytes()),
            None => (b"signing-input".as_slice(), self.signing_input.0.as_slice()),
        };
        let scope = account.map_or(b"".as_slice(), str::as_bytes);
        ReplayClaim {
            key: sts_jose::digest_of_parts(&[
                b"sts replay",
                self.trust.entry.as_str().as_bytes(),
                self.issuer.as_str().as_bytes(),
                kind,
                value,
                scope,
            ]),
            until: self.registered.exp.plus(REPLAY_KEPT),
        }
    }
}
