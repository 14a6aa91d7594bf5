//! The claims of a token that an issuer we trust has signed, in time.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_types::{Audience, ClaimSet, Digest256, EntryName, Issuer, Jti, Kid, ReplayClaim, Subject, UnixTime};

use crate::TrustSpec;
use crate::registered::{self, Registered, TokenFault};

/// How long after `exp` a one-use claim is kept: the largest leeway there is, whatever it is now, since a reload may raise it,
/// and a margin for clocks of replicas that differ (incident TOB-PYPI26-1).
const REPLAY_KEPT: i64 = 300 + 120;

/// What was found out about a token: a key verified its signature, and its registered claims have their types.
pub(crate) struct Evidence {
    pub(crate) trust: Arc<TrustSpec>,
    pub(crate) issuer: Issuer,
    pub(crate) key: Arc<VerifyingKey>,
    pub(crate) registered: Registered,
    pub(crate) claims: ClaimSet,
    /// What a token without a `jti` is told apart by.
    pub(crate) signing_input: Option<Digest256>,
}

impl Evidence {
    /// Judges the times at `now`.
    pub(crate) fn judge_times(&self, now: UnixTime) -> Result<(), TokenFault> {
        registered::judge_times(&self.registered, &self.trust, now)
    }
}

/// Claims whose signature, registered claims and times were judged. [`crate::SignedToken::judge`] makes one, or
/// [`crate::RememberedToken::judge`] of a token for which that was done before.
pub struct VerifiedClaims(Arc<Evidence>);

impl VerifiedClaims {
    /// Of a token whose times were judged just now.
    pub(crate) fn of(evidence: Arc<Evidence>) -> Self {
        Self(evidence)
    }

    pub(crate) fn evidence(&self) -> &Arc<Evidence> {
        &self.0
    }

    /// The issuer entry whose key verified the token.
    #[must_use]
    pub fn entry(&self) -> &EntryName {
        &self.0.trust.entry
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    /// `sub`.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.registered.subject
    }

    /// The values of `aud`.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.0.registered.audiences
    }

    /// `exp`.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.0.registered.exp
    }

    /// `jti`.
    #[must_use]
    pub fn jti(&self) -> Option<&Jti> {
        self.0.registered.jti.as_ref()
    }

    /// The `kid` of the key that verified it.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.0.key.kid()
    }

    /// Every claim, registered ones included.
    #[must_use]
    pub fn claims(&self) -> &ClaimSet {
        &self.0.claims
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
            None => (b"signing-input".as_slice(), self.0.signing_input.as_ref().map_or(&[][..], |digest| &digest.0)),
        };
        let scope = account.map_or(b"".as_slice(), str::as_bytes);
        ReplayClaim {
            key: sts_jose::digest_of_parts(&[
                b"sts replay",
                self.0.trust.entry.as_str().as_bytes(),
                self.0.issuer.as_str().as_bytes(),
                kind,
                value,
                scope,
            ]),
            until: self.0.registered.exp.plus(REPLAY_KEPT),
        }
    }
}
