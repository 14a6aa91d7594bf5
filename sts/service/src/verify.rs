//! The subject token's way to verified claims: its issuer looked up, a key found, signature and claims judged.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_token::{RememberedToken, SignedToken, TrustSpec, UnverifiedToken, VerifiedClaims};
use sts_types::Clock;

use crate::Snapshot;
use crate::issuer_keys::{KeyAnswer, KeyQuestion};
use crate::phase::{Phase, Stopwatch};
use crate::reason::{Reason, Refused};

/// The subject token, verified by a key of an entry that has its issuer; `entry` is told as soon as it is known.
pub(crate) async fn verify(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    entry: &mut Option<String>,
    stopwatch: &mut Stopwatch<'_>,
) -> Result<VerifiedClaims, Refused> {
    if let Some(remembered) = remembered(snapshot, token, stopwatch) {
        *entry = Some(remembered.entry().to_string());
        return Ok(remembered.judge(clock.now())?);
    }
    let token = UnverifiedToken::parse(token)?;
    let entries = snapshot.trust.entries(token.claimed_issuer());
    token.check_kind(entries)?;
    match entries {
        [] => return Err(Reason::IssuerUnknown.into()),
        [only] => *entry = Some(only.entry.to_string()),
        _ => {}
    }
    let signed = check_signature(snapshot, entries, token, stopwatch).await?;
    *entry = Some(signed.entry().to_string());
    Ok(signed.judge(clock.now())?)
}

/// The token, if a key verified it before that its entry still has.
fn remembered(snapshot: &Snapshot, token: &str, stopwatch: &mut Stopwatch<'_>) -> Option<RememberedToken> {
    let remembered = snapshot.remembered.find(token)?;
    stopwatch.enter(Phase::Keys);
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
    stopwatch.enter(if is_there { Phase::Verify } else { Phase::Parse });
    is_there.then_some(remembered)
}

/// Checks the signature against the keys at hand; asks an entry's issuer only for what is not at hand, and only if no key at
/// hand verifies the token.
async fn check_signature<'a>(
    snapshot: &Snapshot,
    entries: &[Arc<TrustSpec>],
    token: UnverifiedToken<'a>,
    stopwatch: &mut Stopwatch<'_>,
) -> Result<SignedToken<'a>, Refused> {
    stopwatch.enter(Phase::Keys);
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
    stopwatch.enter(Phase::Verify);
    let mut token = match token.check_signature(&candidates) {
        Ok(signed) => return Ok(signed),
        Err(token) => token,
    };

    let mut unavailable = None;
    for trust in missing {
        stopwatch.enter(Phase::Keys);
        let answer = snapshot.keys.find(asked(&trust.entry)).await;
        stopwatch.enter(Phase::Verify);
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
            stopwatch.enter(Phase::Keys);
            let newer = snapshot.keys.signature_failed(asked(&trust.entry)).await;
            stopwatch.enter(Phase::Verify);
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
