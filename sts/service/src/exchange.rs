//! The exchange: a platform's token in, a token of ours out. The steps stand in the order in which the first failure names the
//! reason (DESIGN section 2).

use std::sync::Arc;
use std::time::Duration;

use sts_jose::VerifyingKey;
use sts_policy::{Asked, RequestError, Requested, RequestedAccount};
use sts_store::Issued;
use sts_token::{
    Authorized, Denied, MintContext, MintError, MintedToken, SignedToken, TrustSpec, UnverifiedToken, VerifiedClaims,
};
use sts_types::{Clock, ScopeSet, UnixTime};

use crate::event::{DecisionEvent, EVENT_VERSION, FailedCondition};
use crate::issuer_keys::KeyAnswer;
use crate::parameters::Parameters;
use crate::reason::{Reason, Refused};
use crate::request::{ExchangeRequest, RequestContext};
use crate::{Denial, Service, Snapshot};

/// Policy refusals leave at a multiple of this after arrival, so that their time says nothing of their cause.
const QUANTUM: Duration = Duration::from_millis(5);

/// The longest text of a token that an event repeats, in bytes.
const MAX_EVENT_TEXT: usize = 256;

/// A successful exchange, as the answer tells it.
pub struct Exchanged {
    /// The access token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
    /// Its scopes.
    pub scope: ScopeSet,
}

/// What is known so far of an exchange, for its event.
#[derive(Default)]
struct Known {
    verified: Option<VerifiedFacts>,
    entry: Option<String>,
    account: Option<String>,
    nearest: Option<(String, Option<FailedCondition>)>,
    asked_audience: Option<String>,
    asked_scope: Option<String>,
}

/// What an event says of verified claims.
struct VerifiedFacts {
    subject: String,
    claims: Option<serde_json::Value>,
}

/// What an event says of a recorded token.
struct Minted {
    identity: String,
    audience: String,
    jti: String,
}

impl Service {
    /// Exchanges a token, and writes the decision event.
    ///
    /// # Errors
    /// The first refusal, in the order of DESIGN section 2; nothing was minted then.
    pub async fn exchange(&self, parameters: &Parameters, context: &RequestContext) -> Result<Exchanged, Refused> {
        let snapshot = self.snapshot.load_full();
        let mut known = Known::default();
        let result = self.exchange_under(&snapshot, parameters, context, &mut known).await;
        self.emit(&snapshot, context, known, &result);
        match result {
            Ok((exchanged, _)) => Ok(exchanged),
            Err(refused) => {
                if refused.reason == Reason::NotAuthorized {
                    self.wait_for_quantum(context).await;
                }
                Err(refused)
            }
        }
    }

    /// Writes the decision event of an exchange whose request could not be read.
    pub fn refused_unread(&self, context: &RequestContext, refused: &Refused) {
        self.emit(&self.snapshot.load(), context, Known::default(), &Err(refused.clone()));
    }

    async fn exchange_under(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters,
        context: &RequestContext,
        known: &mut Known,
    ) -> Result<(Exchanged, Minted), Refused> {
        let request = ExchangeRequest::parse(parameters)?;
        let named: Vec<&str> = request.audience.iter().chain(&request.resource).map(String::as_str).collect();
        known.asked_audience = (!named.is_empty()).then(|| bounded(&named.join(" ")));
        known.asked_scope = request.scope.as_deref().map(bounded);
        let requested = resolve(snapshot, &request)?;
        let verified = verify(snapshot, &*self.clock, &request.subject_token, &mut known.entry).await?;
        let now = self.clock.now();
        known.verified = Some(VerifiedFacts {
            subject: verified.subject().as_str().to_owned(),
            claims: snapshot.log_claims.then(|| serde_json::Value::Object(verified.claims().members().clone())),
        });
        if !snapshot.rules.knows_audience(verified.entry(), verified.claims()) {
            return Err(Refused::audience(&snapshot.issuer));
        }
        let authorized = verified.authorize(&snapshot.rules, &requested, now).map_err(|denied| {
            known.account = requested_account(snapshot, &requested);
            self.deny(snapshot, &denied, &requested, context, now, known)
        })?;
        known.account = Some(authorized.grant().account.name.to_string());
        let minted = self.mint(snapshot, authorized, context, now)?;
        self.record(minted).await
    }

    fn mint(
        &self,
        snapshot: &Snapshot,
        authorized: Authorized,
        context: &RequestContext,
        now: UnixTime,
    ) -> Result<MintedToken, Refused> {
        let algorithm =
            snapshot.signing.get(&authorized.grant().api).copied().unwrap_or_else(|| self.keyring.default_algorithm());
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "no token could be signed");
            Refused::from(Reason::ServerError)
        };
        let signer = self.keyring.signer(algorithm, now).map_err(|error| failed(&error))?;
        authorized
            .mint(&MintContext {
                issuer: &snapshot.issuer,
                signer: &*signer,
                entropy: &*self.entropy,
                now_millis: self.clock.now_millis(),
                cap_to_subject: snapshot.cap_to_subject,
                generation: &snapshot.generation,
                request_id: &context.request_id,
            })
            .map_err(|error| match error {
                MintError::NoLifeLeft => Reason::TokenExpired.into(),
                MintError::TooLarge => Refused::because(
                    Reason::TokenMalformed,
                    "the claims that are copied make the access token larger than 32 KiB",
                ),
                MintError::Sign(error) => failed(&error),
            })
    }

    /// Records the token; only a recorded one is answered.
    async fn record(&self, minted: MintedToken) -> Result<(Exchanged, Minted), Refused> {
        let MintedToken { jwt, lifetime, record, claim } = minted;
        let told = Minted {
            identity: record.identity.to_string(),
            audience: record.audience.to_string(),
            jti: record.jti.to_string(),
        };
        let scope = record.scope.clone();
        match self.ledger.issue(record, claim).await {
            Ok(Issued::Recorded) => Ok((Exchanged { access_token: jwt, expires_in: lifetime.as_secs(), scope }, told)),
            Ok(Issued::Replayed) => Err(Reason::TokenReplayed.into()),
            Err(error) => Err(Refused::by_ledger(&error)),
        }
    }

    /// Explains a policy refusal to its owner, and names it to the caller.
    fn deny(
        &self,
        snapshot: &Snapshot,
        denied: &Denied,
        requested: &Requested,
        context: &RequestContext,
        now: UnixTime,
        known: &mut Known,
    ) -> Refused {
        let reason = Reason::from(denied.refusal);
        let decision = snapshot.rules.explain(denied.verified.facts(now), requested);
        known.nearest = decision.trace.first().map(|nearest| {
            let failed =
                nearest.conditions.iter().find(|condition| !condition.holds).map(|condition| FailedCondition {
                    on: bounded(&condition.on),
                    expected: bounded(&condition.expected),
                    actual: condition.actual.as_deref().map(bounded),
                });
            (format!("{}/{}", nearest.account, nearest.identity), failed)
        });
        self.denials.remember(Denial {
            request_id: context.request_id.clone(),
            time: now,
            reason: reason.name(),
            issuer_entry: denied.verified.entry().clone(),
            subject: denied.verified.subject().clone(),
            summary: sts_policy::summary(&snapshot.rules, requested, &decision),
            text: sts_policy::render(&decision),
            decision,
        });
        reason.into()
    }

    fn emit(
        &self,
        snapshot: &Snapshot,
        context: &RequestContext,
        known: Known,
        result: &Result<(Exchanged, Minted), Refused>,
    ) {
        let minted = result.as_ref().ok();
        let refused = result.as_ref().err();
        let (nearest_identity, failing_condition) = known.nearest.unzip();
        let duration = self.clock.monotonic().saturating_sub(context.arrived);
        self.events.decision(&DecisionEvent {
            event: "decision",
            version: EVENT_VERSION,
            time: rfc3339_millis(self.clock.now_millis()),
            request_id: context.request_id.to_string(),
            outcome: match refused.map(|refused| refused.reason) {
                None => "granted",
                Some(Reason::IssuerUnavailable | Reason::StoreUnavailable | Reason::ServerError) => "unavailable",
                Some(_) => "refused",
            },
            reason: refused.map(|refused| refused.reason.name()),
            detail: refused.and_then(|refused| refused.detail.as_deref()).map(str::to_owned),
            issuer_entry: known.entry,
            subject: known.verified.as_ref().map(|verified| bounded(&verified.subject)),
            account: known.account,
            identity: minted.map(|(_, minted)| minted.identity.clone()),
            nearest_identity,
            failing_condition: failing_condition.flatten(),
            audience: minted.map(|(_, minted)| minted.audience.clone()).or(known.asked_audience),
            scope: minted.map(|(exchanged, _)| exchanged.scope.to_string()).or(known.asked_scope),
            jti: minted.map(|(_, minted)| minted.jti.clone()),
            generation: snapshot.generation.clone(),
            source: context.source,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            claims: known.verified.and_then(|verified| verified.claims),
        });
    }

    async fn wait_for_quantum(&self, context: &RequestContext) {
        let elapsed = self.clock.monotonic().saturating_sub(context.arrived).as_nanos();
        let quantum = QUANTUM.as_nanos();
        let left = quantum - elapsed % quantum;
        tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
    }
}

/// The subject token, verified by a key of an entry that has its issuer; `entry` is told as soon as it is known.
pub(crate) async fn verify(
    snapshot: &Snapshot,
    clock: &dyn Clock,
    token: &str,
    entry: &mut Option<String>,
) -> Result<VerifiedClaims, Refused> {
    let token = UnverifiedToken::parse(token)?;
    let entries = snapshot.trust.entries(token.claimed_issuer());
    token.check_kind(entries)?;
    match entries {
        [] => return Err(Reason::IssuerUnknown.into()),
        [only] => *entry = Some(only.entry.to_string()),
        _ => {}
    }
    let signed = check_signature(snapshot, entries, token).await?;
    *entry = Some(signed.entry().to_string());
    Ok(signed.judge(clock.now())?)
}

fn resolve(snapshot: &Snapshot, request: &ExchangeRequest) -> Result<Requested, Refused> {
    let asked = Asked {
        audience: &request.audience,
        resource: &request.resource,
        scope: request.scope.as_deref(),
        client_id: request.client_id.as_deref(),
        lifetime: request.lifetime,
    };
    snapshot.rules.resolve(&asked).map_err(|error| match error {
        RequestError::TwoAccounts => {
            Refused::because(Reason::RequestMalformed, "`audience` names more than one service account")
        }
    })
}

fn requested_account(snapshot: &Snapshot, requested: &Requested) -> Option<String> {
    match requested.account {
        RequestedAccount::Known(at) => snapshot.rules.account_name(at).map(ToString::to_string),
        RequestedAccount::Any | RequestedAccount::Nobody => None,
    }
}

/// Checks the signature against the keys at hand; asks an entry's issuer only for what is not at hand, and only if no key at
/// hand verifies the token.
async fn check_signature<'a>(
    snapshot: &Snapshot,
    entries: &[Arc<TrustSpec>],
    token: UnverifiedToken<'a>,
) -> Result<SignedToken<'a>, Refused> {
    let (kid, algorithm) = (token.kid().cloned(), token.algorithm());
    let mut tried_a_key = false;
    let mut missing = Vec::new();
    let mut candidates: Vec<(Arc<TrustSpec>, Arc<VerifyingKey>)> = Vec::new();
    for trust in entries {
        match snapshot.keys.cached(&trust.entry, kid.as_ref(), algorithm) {
            Some(keys) => candidates.extend(keys.into_iter().map(|key| (Arc::clone(trust), key))),
            None => missing.push(trust),
        }
    }
    tried_a_key |= !candidates.is_empty();
    let mut token = match token.check_signature(&candidates) {
        Ok(signed) => return Ok(signed),
        Err(token) => token,
    };

    let mut unavailable = None;
    for trust in missing {
        match snapshot.keys.find(&trust.entry, kid.as_ref(), algorithm).await {
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
            if let Some(keys) = snapshot.keys.signature_failed(&trust.entry, kid.as_ref(), algorithm).await {
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

/// At most [`MAX_EVENT_TEXT`] bytes of `text`.
fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_EVENT_TEXT);
    match text.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => format!("{start}..."),
        _ => text.to_owned(),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339_millis(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        .unwrap_or_default()
}
