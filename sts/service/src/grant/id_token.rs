//! Verifies a platform's ID token: looks up its issuer, finds a key, and checks signature and
//! claims.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_token::{
    CachedToken, CallerProof, ClaimedOrigin, SignedToken, TokenRuleError, TrustSpec, UnverifiedToken, VerifiedClaims,
};
use sts_types::{Algorithm, Clock, Kid};

use super::{Progress, ProofContext};
use crate::Snapshot;
use crate::issuer_keys::{KeyAnswer, KeyQuestion, KeyUnavailable};
use crate::parameters::Parameters;
use crate::phase::Phase;
use crate::reason::{Reason, RefusedError};
use crate::token_mistake;

/// The largest subject token or assertion, in octets.
pub(crate) const MAX_SUBJECT_TOKEN: usize = 16 * 1024;

/// A platform's ID token, as a grant presents it.
pub(super) struct IdToken<'a>(&'a str);

impl<'a> IdToken<'a> {
    /// Reads the token from its parameter.
    ///
    /// # Errors
    /// `request_malformed` if it is missing, `token_malformed` if it is over the limit.
    pub(super) fn read(parameters: &'a Parameters<'_>, name: &str) -> Result<Self, RefusedError> {
        let token = Self::require(parameters, name)?;
        if token.len() > MAX_SUBJECT_TOKEN {
            return Err(RefusedError::because(Reason::TokenMalformed, "the subject token is over 16 KiB"));
        }
        Ok(Self(token))
    }

    /// The text of that parameter, whatever kind of token it is.
    ///
    /// # Errors
    /// `request_malformed` if it is missing or empty.
    pub(super) fn require(parameters: &'a Parameters<'_>, name: &str) -> Result<&'a str, RefusedError> {
        parameters.one(name)?.ok_or_else(|| {
            RefusedError::on_parameter(
                name,
                match parameters.is_sent(name) {
                    true => "is empty: the variable or the command that it is taken from gave nothing",
                    false => "is missing",
                },
            )
        })
    }

    /// Verifies the token.
    pub(super) async fn prove(&self, context: &mut ProofContext<'_>) -> Result<VerifiedClaims, RefusedError> {
        verify(context.snapshot, context.clock, self.0, &mut context.record.progress).await
    }

    /// Caches a token that was granted something. Tokens of strangers must not take its place.
    pub(super) fn granted(&self, snapshot: &Snapshot, proof: &CallerProof) {
        if let CallerProof::Federated(verified) = proof {
            snapshot.remembered.remember(self.0, verified);
        }
    }
}

/// Verifies the token with a key of an entry that covers its issuer. `progress` learns the entry as
/// soon as it is certain.
#[tracing::instrument(level = "debug", name = "token.verify", skip_all)]
pub(crate) async fn verify(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    progress: &mut Progress,
) -> Result<VerifiedClaims, RefusedError> {
    if let Some(remembered) = remembered(snapshot, clock, token, progress) {
        progress.is_certain_of(remembered.entry());
        snapshot.keys.verified(KeyQuestion {
            entry: remembered.entry(),
            issuer: remembered.issuer(),
            kid: remembered.key().kid(),
            algorithm: remembered.key().algorithm(),
        });
        return Ok(remembered.validate(clock.now())?);
    }
    let token = UnverifiedToken::parse(token).map_err(|fault| token_mistake::explained(token, fault))?;
    let entries = snapshot.trust.entries_of(token.claimed_origin());
    if entries.is_empty() && matches!(token.claimed_origin(), ClaimedOrigin::TrustDomain(_)) {
        // No entry names this trust domain, so the token without `iss` belongs to nobody.
        return Err(TokenRuleError::NO_ISSUER.into());
    }
    token.check_kind(entries)?;
    match entries {
        [] => return Err(Reason::IssuerUnknown.into()),
        [only] => progress.is_certain_of(&only.entry),
        _ => {}
    }
    let signed = check_signature(snapshot, entries, token, clock, progress).await?;
    progress.is_certain_of(signed.entry());
    Ok(signed.validate(clock.now())?)
}

/// The cached token, if a key verified it before and its entry still has that key.
fn remembered(snapshot: &Snapshot, clock: &dyn Clock, token: &str, progress: &mut Progress) -> Option<CachedToken> {
    let remembered = snapshot.remembered.find(token)?;
    progress.enter(Phase::Keys, clock);
    let key = remembered.key();
    let question = KeyQuestion {
        entry: remembered.entry(),
        issuer: remembered.issuer(),
        kid: key.kid(),
        algorithm: key.algorithm(),
    };
    let is_it = |other: &Arc<VerifyingKey>| Arc::ptr_eq(other, key) || other.thumbprint() == key.thumbprint();
    let is_there = snapshot.keys.cached(question).is_some_and(|keys| keys.iter().any(is_it));
    // If that key is gone, verify the token like any other.
    progress.enter(if is_there { Phase::Verify } else { Phase::Parse }, clock);
    is_there.then_some(remembered)
}

/// Checks the signature with the cached keys. Asks an entry's issuer only for keys that are not
/// cached, and only if no cached key verifies the token.
async fn check_signature<'a>(
    snapshot: &Snapshot,
    entries: &[Arc<TrustSpec>],
    token: UnverifiedToken<'a>,
    clock: &dyn Clock,
    progress: &mut Progress,
) -> Result<SignedToken<'a>, RefusedError> {
    progress.enter(Phase::Keys, clock);
    let wanted = WantedKeys::of(&token);
    let proven = |signed: SignedToken<'a>| {
        let own = entries.iter().find(|trust| trust.entry == *signed.entry());
        if let Some(question) = own.and_then(|trust| wanted.question(trust)) {
            snapshot.keys.verified(question);
        }
        Ok(signed)
    };
    let (candidates, missing) = keys_at_hand(snapshot, entries, &wanted);
    let mut tried_a_key = !candidates.is_empty();
    progress.enter(Phase::Verify, clock);
    let mut token = match token.check_signature(&candidates) {
        Ok(signed) => return proven(signed),
        Err(token) => token,
    };

    let mut unavailable = None;
    for trust in missing {
        let Some(question) = wanted.question(trust) else { continue };
        progress.enter(Phase::Keys, clock);
        let answer = snapshot.keys.find(question).await;
        progress.enter(Phase::Verify, clock);
        match answer {
            KeyAnswer::Found(keys) => {
                tried_a_key = true;
                token = match check_with(trust, keys, token) {
                    Ok(signed) => return proven(signed),
                    Err(token) => token,
                };
            }
            KeyAnswer::Unknown => {}
            KeyAnswer::Unavailable(why) => unavailable = Some(why),
        }
    }
    if tried_a_key {
        for trust in entries {
            let Some(question) = wanted.question(trust) else { continue };
            progress.enter(Phase::Keys, clock);
            let newer = snapshot.keys.signature_failed(question).await;
            progress.enter(Phase::Verify, clock);
            if let Some(keys) = newer {
                token = match check_with(trust, keys, token) {
                    Ok(signed) => return proven(signed),
                    Err(token) => token,
                };
            }
        }
    }
    Err(unverified(unavailable, tried_a_key))
}

/// Why no key verified the token. An issuer that was away may have the right key.
fn unverified(unavailable: Option<KeyUnavailable>, tried_a_key: bool) -> RefusedError {
    match unavailable {
        Some(why) => RefusedError::for_now(Reason::IssuerUnavailable, why.retry_after),
        None if tried_a_key => Reason::SignatureInvalid.into(),
        None => Reason::KeyUnknown.into(),
    }
}

/// Which keys a token asks for.
struct WantedKeys {
    origin: ClaimedOrigin,
    kid: Option<Kid>,
    algorithm: Algorithm,
}

impl WantedKeys {
    fn of(token: &UnverifiedToken<'_>) -> Self {
        Self { origin: token.claimed_origin().clone(), kid: token.kid().cloned(), algorithm: token.algorithm() }
    }

    /// The question to `trust`. The entry was found by the token's origin, so it has an issuer for it.
    fn question<'q>(&'q self, trust: &'q TrustSpec) -> Option<KeyQuestion<'q>> {
        let issuer = trust.issuer_of(&self.origin)?;
        Some(KeyQuestion { entry: &trust.entry, issuer, kid: self.kid.as_ref(), algorithm: self.algorithm })
    }
}

/// An entry, and a key of it that may have signed the token.
type Candidate = (Arc<TrustSpec>, Arc<VerifyingKey>);

/// The keys in memory, and the entries whose keys must be fetched.
fn keys_at_hand<'t>(
    snapshot: &Snapshot,
    entries: &'t [Arc<TrustSpec>],
    wanted: &WantedKeys,
) -> (Vec<Candidate>, Vec<&'t Arc<TrustSpec>>) {
    let (mut candidates, mut missing) = (Vec::new(), Vec::new());
    for trust in entries {
        match wanted.question(trust).and_then(|question| snapshot.keys.cached(question)) {
            Some(keys) => candidates.extend(keys.into_iter().map(|key| (Arc::clone(trust), key))),
            None => missing.push(trust),
        }
    }
    (candidates, missing)
}

#[expect(clippy::result_large_err, reason = "the token moves back to its one caller, which goes on with it")]
fn check_with<'a>(
    trust: &Arc<TrustSpec>,
    keys: Vec<Arc<VerifyingKey>>,
    token: UnverifiedToken<'a>,
) -> Result<SignedToken<'a>, UnverifiedToken<'a>> {
    let candidates: Vec<_> = keys.into_iter().map(|key| (Arc::clone(trust), key)).collect();
    token.check_signature(&candidates)
}
