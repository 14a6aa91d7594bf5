//! The claims of a token that an issuer we trust has signed, in time.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_policy::{Facts, Grant, Replay};
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

    /// The same claims, for observers.
    #[must_use]
    pub fn observed(&self) -> ObservedClaims {
        ObservedClaims(Arc::clone(&self.0))
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

    /// The one-use claim that the exchange takes on this token for `grant`, if it may not be exchanged again.
    #[must_use]
    pub fn claim_for(&self, grant: &Grant) -> Option<ReplayClaim> {
        match grant.replay {
            Replay::Allow => None,
            Replay::Once => Some(self.replay_claim(None)),
            Replay::OncePerAccount => Some(self.replay_claim(Some(grant.account.id.as_str()))),
        }
    }

    /// The one-use claim on this token, for `account` only when given: keyed by the issuer entry with its issuer (of a family
    /// each member counts its own) and the jti, or the signing input where there is no jti, so that two issuers and two kinds
    /// of key never collide.
    fn replay_claim(&self, account: Option<&str>) -> ReplayClaim {
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

/// Claims that were verified, for those who tell of an exchange after it ended. They can be read and
/// explained, but nothing can be authorized by them: only [`VerifiedClaims`] are evidence.
#[derive(Clone)]
pub struct ObservedClaims(Arc<Evidence>);

impl ObservedClaims {
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

    /// Every claim, registered ones included.
    #[must_use]
    pub fn claims(&self) -> &ClaimSet {
        &self.0.claims
    }

    /// The key that verified the token.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.0.key
    }

    /// What policy sees of these claims.
    #[must_use]
    pub fn facts(&self, now: UnixTime) -> Facts<'_> {
        Facts { entry: self.entry(), claims: self.claims(), now }
    }
}

#[cfg(test)]
mod tests {
    use sts_jose::parse_jwk;
    use sts_testkit::{Algorithm, Forge, Key};

    use super::*;
    use crate::UnverifiedToken;

    const NOW: i64 = 1_790_000_000;
    const ISSUER: &str = "https://issuer.example";

    fn trust(name: &str) -> TrustSpec {
        TrustSpec {
            entry: EntryName::new(name).unwrap(),
            issuers: Issuer::new(ISSUER).unwrap().into(),
            algorithms: vec![Algorithm::ES256],
            types: Vec::new(),
            leeway: 60,
            max_token_lifetime: 86_400,
            max_token_age: None,
            require_iat: false,
            trust_domain: None,
            enabled: true,
        }
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({
            "iss": ISSUER, "sub": "s", "aud": ["a", "b"], "iat": NOW - 5, "exp": NOW + 600, "jti": "j", "more": 1,
        })
    }

    fn verifying(key: &Key) -> Arc<VerifyingKey> {
        Arc::new(parse_jwk(&key.jwk(), &[Algorithm::ES256]).unwrap())
    }

    /// `None` when no key verifies the token.
    fn judged(key: &Key, trust: &TrustSpec, token: &str) -> Option<Result<VerifiedClaims, TokenFault>> {
        let candidates = [(Arc::new(trust.clone()), verifying(key))];
        let signed = UnverifiedToken::parse(token).unwrap().check_signature(&candidates).ok()?;
        Some(signed.judge(UnixTime::from_secs(NOW)))
    }

    fn verified(key: &Key, trust: &TrustSpec, token: &str) -> VerifiedClaims {
        judged(key, trust, token).unwrap().unwrap()
    }

    #[test]
    fn everything_that_was_verified_can_be_read() {
        let key = Key::new(Algorithm::ES256, "k");
        let token = Forge::new(&key, &claims()).sign();
        let own = verified(&key, &trust("one"), &token);
        assert_eq!(own.audiences().iter().map(Audience::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((own.jti().map(Jti::as_str), own.kid().map(Kid::as_str)), (Some("j"), Some("k")));
        assert_eq!(own.claims().get("more").and_then(sts_types::Json::as_i64), Some(1));
        assert_eq!(own.jti_digest(), Some(sts_jose::sha256(b"j")));
        assert_eq!(UnverifiedToken::parse(&token).unwrap().kid().map(Kid::as_str), Some("k"));
    }

    #[test]
    fn c057_a_one_use_claim_outlives_the_token_under_every_leeway() {
        let key = Key::new(Algorithm::ES256, "k");
        let claim = |trust: &TrustSpec, account| {
            let own = verified(&key, trust, &Forge::new(&key, &claims()).sign());
            own.replay_claim(account)
        };
        let kept = claim(&trust("one"), None);
        // The largest leeway there is, and clocks that differ by two minutes.
        assert_eq!(kept.until, UnixTime::from_secs(NOW + 600 + 300 + 120));
        assert_eq!(claim(&trust("one"), None).key, kept.key);
        assert_ne!(claim(&trust("other"), None).key, kept.key);
        assert_ne!(claim(&trust("one"), Some("account")).key, kept.key);
    }

    #[test]
    fn a_key_counts_only_for_tokens_that_its_own_entry_takes() {
        let key = Key::new(Algorithm::ES256, "k");
        let token = Forge::new(&key, &claims()).sign();
        assert!(judged(&key, &trust("one"), &token).is_some());
        let elsewhere = TrustSpec { issuers: Issuer::new("https://other.example").unwrap().into(), ..trust("one") };
        let others = TrustSpec { algorithms: vec![Algorithm::RS256], ..trust("one") };
        for trust in [elsewhere, others] {
            assert!(judged(&key, &trust, &token).is_none(), "{trust:?}");
        }
        let typed = Forge::new(&key, &claims()).header("typ", "at+jwt").sign();
        assert!(judged(&key, &trust("one"), &typed).is_none());
        let listing = TrustSpec { types: vec!["at+jwt".to_owned()], ..trust("one") };
        assert!(judged(&key, &listing, &typed).is_some());
    }

    #[test]
    fn a_kind_is_judged_by_the_entries_of_its_issuer_before_any_key_is_tried() {
        let key = Key::new(Algorithm::ES256, "k");
        let of = |claims: &serde_json::Value, typ: &str| Forge::new(&key, claims).header("typ", typ).sign();
        let check = |token: &str, trusts: &[TrustSpec]| {
            let trusts: Vec<_> = trusts.iter().cloned().map(Arc::new).collect();
            UnverifiedToken::parse(token).unwrap().check_kind(&trusts)
        };
        let others = TrustSpec { algorithms: vec![Algorithm::RS256], ..trust("one") };
        let listing = TrustSpec { types: vec!["at+jwt".to_owned()], ..trust("one") };
        let plain = of(&claims(), "JWT");
        assert_eq!(check(&plain, &[]), Ok(()));
        assert_eq!(check(&plain, &[others.clone(), trust("two")]), Ok(()), "any entry is enough");
        assert_eq!(check(&plain, std::slice::from_ref(&others)), Err(TokenFault::Algorithm));
        let typed = of(&claims(), "at+jwt");
        assert_eq!(check(&typed, &[trust("one")]), Err(TokenFault::TypeRefused));
        assert_eq!(check(&typed, &[]), Err(TokenFault::TypeRefused));
        assert_eq!(check(&typed, std::slice::from_ref(&listing)), Ok(()));
        let mut bound = claims();
        bound["cnf"] = serde_json::json!({ "jkt": "x" });
        assert_eq!(check(&of(&bound, "JWT"), &[trust("one")]), Err(TokenFault::TypeRefused));
    }

    #[test]
    fn a_token_may_end_the_moment_that_it_begins_and_no_sooner() {
        let key = Key::new(Algorithm::ES256, "k");
        for begins in ["iat", "nbf"] {
            for (at, wanted) in [(0, true), (1, false)] {
                let mut claims = claims();
                claims[begins] = (NOW + 30 + at).into();
                claims["exp"] = (NOW + 30).into();
                let judged = judged(&key, &trust("one"), &Forge::new(&key, &claims).sign()).unwrap();
                assert_eq!(judged.is_ok(), wanted, "{begins}: {:?}", judged.err());
            }
        }
    }
}
