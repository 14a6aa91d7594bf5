//! The verified claims of a token from a trusted issuer.

use std::sync::Arc;

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_jose::VerifyingKey;
use sts_policy::{Facts, Grant, Memberships, Replay};
use sts_types::{
    Audience, Digest256, EntryName, FederatedProof, IdentityName, Issuer, Jti, Kid, ReplayClaim, Subject, UnixTime,
};

use crate::TrustSpec;
use crate::registered::{self, Registered};
use crate::rule_error::TokenRuleError;

/// How long a one-use claim is kept after `exp`: the largest leeway that can be configured, because
/// a reload may raise it, plus a margin for clock differences between replicas (incident
/// TOB-PYPI26-1).
const REPLAY_KEPT: i64 = 300 + 120;

/// What verification established: a key verified the signature, and the registered claims have the
/// right types.
pub(crate) struct Evidence {
    pub(crate) trust: Arc<TrustSpec>,
    pub(crate) issuer: Issuer,
    pub(crate) key: Arc<VerifyingKey>,
    pub(crate) registered: Registered,
    pub(crate) claims: ClaimSet,
    /// Identifies a token without a `jti`.
    pub(crate) signing_input: Option<Digest256>,
}

impl Evidence {
    pub(crate) fn validate_times(&self, now: UnixTime) -> Result<(), TokenRuleError> {
        registered::validate_times(&self.registered, &self.trust, now)
    }
}

/// Claims whose signature, registered claims and times were checked. Made by
/// [`crate::SignedToken::validate`], or by [`crate::CachedToken::validate`] for a token that was
/// verified before.
pub struct VerifiedClaims(Arc<Evidence>);

impl std::fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedClaims")
            .field("entry", &self.0.trust.entry)
            .field("issuer", &self.0.issuer)
            .finish_non_exhaustive()
    }
}

impl VerifiedClaims {
    /// For a token whose times were just checked.
    pub(crate) fn of(evidence: Arc<Evidence>) -> Self {
        Self(evidence)
    }

    /// The same claims, read-only.
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

    /// What the record keeps of the token that `identity` let in.
    pub(crate) fn recorded(&self, identity: IdentityName) -> FederatedProof {
        FederatedProof {
            identity,
            entry: self.entry().clone(),
            issuer: self.issuer().clone(),
            subject: self.subject().clone(),
            subject_kid: self.kid().cloned(),
            subject_jti_digest: self.jti_digest(),
            may_act: self.may_act(),
        }
    }

    /// The members of `may_act`, if it is there. None of them if it is no object.
    pub(crate) fn may_act(&self) -> Option<Map<String, Value>> {
        self.claims().member("may_act").map(|may_act| match may_act.to_value() {
            Value::Object(members) => members,
            _ => Map::new(),
        })
    }

    /// Digest of the subject token's `jti`, for the record.
    fn jti_digest(&self) -> Option<Digest256> {
        self.jti().map(|jti| sts_jose::sha256(jti.as_str().as_bytes()))
    }

    /// The one-use claim that an exchange for `grant` takes on this token. `None` if the token may be
    /// exchanged again.
    #[must_use]
    pub fn claim_for(&self, grant: &Grant) -> Option<ReplayClaim> {
        match grant.replay {
            Replay::Allow => None,
            Replay::Once => Some(self.replay_claim(None)),
            Replay::OncePerAccount => Some(self.replay_claim(Some(grant.account.id.as_str()))),
        }
    }

    /// The one-use claim on this token; per `account` if one is given. The key covers the issuer
    /// entry, the issuer (each member of a family counts on its own), and the `jti` or, without
    /// one, the signing input. Different issuers and different kinds of identifier therefore never
    /// collide.
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

/// Verified claims for observers of a finished exchange. They can be read and explained, but not
/// authorized: only [`VerifiedClaims`] are evidence.
#[derive(Clone)]
pub struct ObservedClaims(Arc<Evidence>);

impl std::fmt::Debug for ObservedClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedClaims")
            .field("entry", self.entry())
            .field("issuer", self.issuer())
            .finish_non_exhaustive()
    }
}

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

    /// The claims as policy rules see them.
    #[must_use]
    pub fn facts<'a>(&'a self, memberships: &'a dyn Memberships, now: UnixTime) -> Facts<'a> {
        Facts { entry: self.entry(), claims: self.claims(), now, memberships }
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

    /// `None` if no key verifies the token.
    fn judged(key: &Key, trust: &TrustSpec, token: &str) -> Option<Result<VerifiedClaims, TokenRuleError>> {
        let candidates = [(Arc::new(trust.clone()), verifying(key))];
        let signed = UnverifiedToken::parse(token).unwrap().check_signature(&candidates).ok()?;
        Some(signed.validate(UnixTime::from_secs(NOW)))
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
        assert_eq!(own.claims().get("more").and_then(sts_claims::Json::as_i64), Some(1));
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
        // The largest leeway, plus two minutes of clock difference.
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
        assert_eq!(check(&plain, std::slice::from_ref(&others)), Err(TokenRuleError::Algorithm));
        let typed = of(&claims(), "at+jwt");
        assert_eq!(check(&typed, &[trust("one")]), Err(TokenRuleError::TypeRefused));
        assert_eq!(check(&typed, &[]), Err(TokenRuleError::TypeRefused));
        assert_eq!(check(&typed, std::slice::from_ref(&listing)), Ok(()));
        let mut bound = claims();
        bound["cnf"] = serde_json::json!({ "jkt": "x" });
        assert_eq!(check(&of(&bound, "JWT"), &[trust("one")]), Err(TokenRuleError::TypeRefused));
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
