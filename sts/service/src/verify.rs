//! The subject token's way to verified claims: its issuer looked up, a key found, signature and claims judged.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_token::{RememberedToken, SignedToken, TrustSpec, UnverifiedToken, VerifiedClaims};
use sts_types::Clock;

use crate::Snapshot;
use crate::decision_record::DecisionRecord;
use crate::issuer_keys::{KeyAnswer, KeyQuestion};
use crate::phase::Phase;
use crate::reason::{Reason, Refused};
use crate::token_mistake;

/// Verifies the subject token by a key of an entry that has its issuer, and notes in `record` which entry that is as soon as it is
/// known.
pub(crate) async fn verify(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    record: &mut DecisionRecord,
) -> Result<VerifiedClaims, Refused> {
    if let Some(remembered) = remembered(snapshot, clock, token, record) {
        record.entry = Some(remembered.entry().clone());
        return Ok(remembered.judge(clock.now())?);
    }
    let token = UnverifiedToken::parse(token).map_err(|fault| token_mistake::explained(token, fault))?;
    let entries = snapshot.trust.entries(token.claimed_issuer());
    token.check_kind(entries)?;
    match entries {
        [] => return Err(Reason::IssuerUnknown.into()),
        [only] => record.entry = Some(only.entry.clone()),
        _ => {}
    }
    let signed = check_signature(snapshot, entries, token, clock, record).await?;
    record.entry = Some(signed.entry().clone());
    Ok(signed.judge(clock.now())?)
}

/// The token, if a key verified it before that its entry still has.
fn remembered(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    record: &mut DecisionRecord,
) -> Option<RememberedToken> {
    let remembered = snapshot.remembered.find(token)?;
    record.enter(Phase::Keys, clock);
    let key = remembered.key();
    let question = KeyQuestion {
        entry: remembered.entry(),
        issuer: remembered.issuer(),
        kid: key.kid(),
        algorithm: key.algorithm(),
    };
    let is_it = |other: &Arc<VerifyingKey>| Arc::ptr_eq(other, key) || other.thumbprint() == key.thumbprint();
    let is_there = snapshot.keys.cached(question).is_some_and(|keys| keys.iter().any(is_it));
    // Without its key it is read as any other.
    record.enter(if is_there { Phase::Verify } else { Phase::Parse }, clock);
    is_there.then_some(remembered)
}

/// Checks the signature against the keys at hand; asks an entry's issuer only for what is not at hand, and only if no key at
/// hand verifies the token.
async fn check_signature<'a>(
    snapshot: &Snapshot,
    entries: &[Arc<TrustSpec>],
    token: UnverifiedToken<'a>,
    clock: &dyn Clock,
    record: &mut DecisionRecord,
) -> Result<SignedToken<'a>, Refused> {
    record.enter(Phase::Keys, clock);
    let (issuer, kid, algorithm) = (token.claimed_issuer().clone(), token.kid().cloned(), token.algorithm());
    let asked = |entry| KeyQuestion { entry, issuer: &issuer, kid: kid.as_ref(), algorithm };
    let mut tried_a_key = false;
    let mut missing = Vec::new();
    let mut candidates: Vec<(Arc<TrustSpec>, Arc<VerifyingKey>)> = Vec::new();
    for trust in entries {
        match snapshot.keys.cached(asked(&trust.entry)) {
            Some(keys) => candidates.extend(keys.into_iter().map(|key| (Arc::clone(trust), key))),
            None => missing.push(trust),
        }
    }
    tried_a_key |= !candidates.is_empty();
    record.enter(Phase::Verify, clock);
    let mut token = match token.check_signature(&candidates) {
        Ok(signed) => return Ok(signed),
        Err(token) => token,
    };

    let mut unavailable = None;
    for trust in missing {
        record.enter(Phase::Keys, clock);
        let answer = snapshot.keys.find(asked(&trust.entry)).await;
        record.enter(Phase::Verify, clock);
        match answer {
            KeyAnswer::Found(keys) => {
                tried_a_key = true;
                token = match check_with(trust, keys, token) {
                    Ok(signed) => return Ok(signed),
                    Err(token) => token,
                };
            }
            KeyAnswer::Unknown => {}
            KeyAnswer::Unavailable(why) => unavailable = Some(why),
        }
    }
    if tried_a_key {
        for trust in entries {
            record.enter(Phase::Keys, clock);
            let newer = snapshot.keys.signature_failed(asked(&trust.entry)).await;
            record.enter(Phase::Verify, clock);
            if let Some(keys) = newer {
                token = match check_with(trust, keys, token) {
                    Ok(signed) => return Ok(signed),
                    Err(token) => token,
                };
            }
        }
    }
    Err(match unavailable {
        Some(why) => Refused::for_now(Reason::IssuerUnavailable, why.retry_after),
        None if tried_a_key => Reason::SignatureInvalid.into(),
        None => Reason::KeyUnknown.into(),
    })
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
