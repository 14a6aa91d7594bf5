//! The exchange: a platform's token in, a token of ours out. The steps stand in the order in which
//! the first failure names the reason.

use std::time::Duration;

use sts_policy::{RequestError, Requested, RequestedNames};
use sts_store::Issued;
use sts_token::{Authorized, CallerProof, MintContext, MintError, MintedToken, StatusReference};
use sts_types::rfc::parameter;
use sts_types::{RequestId, ScopeSet, StatusListId, StatusWindow, UnixTime};

use crate::decision_record::{Conclusion, DecisionRecord};
use crate::parameters::Parameters;
use crate::pending_exchange::PendingExchange;
use crate::phase::Phase;
use crate::reason::{Reason, RefusedError};
use crate::request::ExchangeRequest;
use crate::verify::verify;
use crate::{Service, Snapshot};

/// Policy refusals leave at a multiple of this after their decision began, so that their time says
/// nothing of their cause. It is not counted from the arrival of the request: a caller who holds
/// back the last byte of the body would choose the phase, and see where the work crosses a multiple.
const RESPONSE_QUANTUM: Duration = Duration::from_millis(5);

/// When a caller may try again whose exchange could not be audited.
const AUDIT_RETRY: Duration = Duration::from_secs(1);

const SEVERAL_TARGETS: &str = "more than one target is named: name one API in audience or resource";

fn audit_unavailable() -> RefusedError {
    RefusedError::for_now(Reason::AuditUnavailable, AUDIT_RETRY)
}

/// A successful exchange, as the answer tells it.
pub struct Exchanged {
    /// The access token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
    /// Its scopes.
    pub scope: ScopeSet,
}

impl Service {
    /// Exchanges a token. Whatever becomes of it, `pending` is told of it when it is dropped.
    ///
    /// # Errors
    /// The first refusal, in the order of the steps; nothing was minted then.
    pub async fn exchange(
        &self,
        parameters: &Parameters<'_>,
        pending: &mut PendingExchange,
    ) -> Result<Exchanged, RefusedError> {
        let snapshot = self.snapshot.load_full();
        pending.run_under(&snapshot);
        let request_id = pending.request_id().clone();
        // What has to be audited keeps its place in the audit trail before anything is decided.
        let has_place = !self.events.is_required() || pending.reserve_place();
        let result = if has_place {
            self.exchange_under(&snapshot, parameters, &request_id, pending.record()).await
        } else {
            Err(audit_unavailable())
        };
        if result.is_err()
            && let Ok(Some(token)) = parameters.one(parameter::SUBJECT_TOKEN)
        {
            pending.record().refused_token(token);
        }
        // Before an answer is held back: the caller may hang up meanwhile.
        pending.conclude(match &result {
            Ok(_) => Conclusion::Granted,
            Err(refused) => Conclusion::Refused(refused.clone()),
        });
        if result.as_ref().is_err_and(|refused| refused.reason == Reason::NotAuthorized) {
            self.wait_for_quantum(pending.record()).await;
        }
        result
    }

    async fn exchange_under(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters<'_>,
        request_id: &RequestId,
        record: &mut DecisionRecord,
    ) -> Result<Exchanged, RefusedError> {
        record.enter(Phase::Parse, &*self.clock);
        self.require_audit()?;
        let request = ExchangeRequest::parse(parameters)?;
        record.asked(&request);
        let verified = verify(snapshot, &*self.clock, request.subject_token, record).await?;
        record.entry = Some(verified.entry().clone());
        record.claims = Some(verified.observed());
        record.enter(Phase::Decide, &*self.clock);
        if !snapshot.rules.knows_audience(verified.entry(), verified.claims()) {
            return Err(RefusedError::audience(&snapshot.issuer));
        }
        // Only now: which names exist is nothing that a caller without a valid token may learn.
        let asked = asked(&request);
        let requested = resolve(snapshot, &asked)?;
        let now = self.clock.now();
        let authorized = match verified.authorize(&snapshot.rules, &requested, now) {
            Ok(authorized) => authorized,
            Err(denied) => {
                record.denied = Some((requested, now));
                return Err(match Reason::from(denied.refusal) {
                    Reason::TargetNotGranted if snapshot.rules.names_several_targets(&asked) => {
                        RefusedError::because(Reason::TargetNotGranted, SEVERAL_TARGETS)
                    }
                    reason => reason.into(),
                });
            }
        };
        record.account = Some(authorized.grant().account.name.to_string());
        // Only what is granted something: strangers must not take the places of those who are.
        if let CallerProof::Federated(verified) = authorized.proof() {
            snapshot.remembered.remember(request.subject_token, verified);
        }
        record.enter(Phase::Mint, &*self.clock);
        let now_millis = self.clock.now_millis();
        let status = self.status_of(snapshot, &authorized, now_millis).await?;
        let minted = self.mint(snapshot, authorized, request_id, now_millis, status)?;
        record.enter(Phase::Record, &*self.clock);
        // Asked again: verifying may have waited for an issuer.
        self.require_audit()?;
        self.record(minted, record).await
    }

    /// Nothing is decided that cannot be audited where it must be.
    fn require_audit(&self) -> Result<(), RefusedError> {
        if self.can_audit() { Ok(()) } else { Err(audit_unavailable()) }
    }

    /// Where the status of the token will stand that is minted next, if there are status lists.
    async fn status_of(
        &self,
        snapshot: &Snapshot,
        authorized: &Authorized,
        now_millis: u64,
    ) -> Result<Option<StatusReference>, RefusedError> {
        if !snapshot.status_list {
            return Ok(None);
        }
        let now = seconds(now_millis);
        let life = authorized.lifetime(now, snapshot.cap_to_subject).map_err(|_| Reason::TokenExpired)?;
        let window = StatusWindow::of(now.plus(i64::from(life.as_secs())));
        let index = self.status.next(window).await.map_err(|error| RefusedError::by_ledger(&error))?;
        let (list, place) = StatusListId::holding(window, index).ok_or(Reason::ServerError)?;
        Ok(Some(StatusReference { index, uri: crate::status::uri(&snapshot.issuer, list), place }))
    }

    fn mint(
        &self,
        snapshot: &Snapshot,
        authorized: Authorized,
        request_id: &RequestId,
        now_millis: u64,
        status: Option<StatusReference>,
    ) -> Result<MintedToken, RefusedError> {
        let algorithm =
            snapshot.signing.get(&authorized.grant().api).copied().unwrap_or_else(|| self.keyring.default_algorithm());
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "no token could be signed");
            RefusedError::from(Reason::ServerError)
        };
        let signer = self.keyring.signer(algorithm, seconds(now_millis)).map_err(|error| failed(&error))?;
        authorized
            .mint(&MintContext {
                issuer: &snapshot.issuer,
                signer: &*signer,
                entropy: &*self.entropy,
                now_millis,
                cap_to_subject: snapshot.cap_to_subject,
                status,
                generation: &snapshot.generation,
                request_id,
            })
            .map_err(|error| match error {
                MintError::NoLifeLeft => Reason::TokenExpired.into(),
                MintError::TooLarge => RefusedError::because(
                    Reason::TokenMalformed,
                    "the claims that are copied make the access token larger than 32 KiB",
                ),
                MintError::Sign(error) => failed(&error),
            })
    }

    /// Records the token; only a recorded one is answered.
    async fn record(&self, minted: MintedToken, record: &mut DecisionRecord) -> Result<Exchanged, RefusedError> {
        let MintedToken { jwt, lifetime, record: token, claims } = minted;
        let scope = token.scope.clone();
        // Noted before the store has it: the caller may hang up before the store answers.
        record.minted = Some(token.clone());
        let issued = self.ledger.issue(token, claims).await;
        if !matches!(issued, Ok(Issued::Recorded)) {
            record.minted = None;
        }
        match issued {
            Ok(Issued::Recorded) => Ok(Exchanged { access_token: jwt, expires_in: lifetime.as_secs(), scope }),
            Ok(Issued::Replayed(taken)) => {
                record.earlier_use = taken.earlier_use;
                Err(Reason::TokenReplayed.into())
            }
            Err(error) => Err(RefusedError::by_ledger(&error)),
        }
    }

    /// Holds an answer back until it leaves at a multiple of the quantum after its decision began.
    async fn wait_for_quantum(&self, record: &mut DecisionRecord) {
        let began = record.decision_began.unwrap_or_default();
        let elapsed = self.clock.monotonic().saturating_sub(began).as_nanos();
        let quantum = RESPONSE_QUANTUM.as_nanos();
        let left = quantum - elapsed % quantum;
        record.held = Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        self.timer.after(record.held).await;
    }
}

fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}

fn asked<'a>(request: &'a ExchangeRequest<'_>) -> RequestedNames<'a> {
    RequestedNames {
        audience: &request.audience,
        resource: &request.resource,
        scope: request.scope,
        client_id: request.client_id,
        lifetime: request.lifetime,
    }
}

fn resolve(snapshot: &Snapshot, asked: &RequestedNames<'_>) -> Result<Requested, RefusedError> {
    snapshot.rules.resolve(asked).map_err(|error| match error {
        RequestError::TwoAccounts => {
            RefusedError::because(Reason::RequestMalformed, "`audience` names more than one service account")
        }
    })
}
