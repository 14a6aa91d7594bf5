//! The steps of every grant: prove, authorize, mint, record. The first step that fails sets the
//! reason. The steps know nothing about observers: the pipeline fills the decision record between
//! them.

use std::sync::Arc;
use std::time::Duration;

use sts_keyring::Keyring;
use sts_policy::{Refusal, RequestError, Requested, RequestedNames};
use sts_store::{EarlierUse, Issued, Ledger};
use sts_token::{Authorized, CallerProof, MintContext, MintError, MintedToken, StatusReference};
use sts_types::{Clock, Entropy, RequestId, ScopeSet, StatusListId, StatusWindow, UnixTime, rfc};

use super::{GrantRequest, GrantType};
use crate::Snapshot;
use crate::decision_record::{Conclusion, DecisionRecord};
use crate::event::EventSink;
use crate::observers::Observers;
use crate::parameters::Parameters;
use crate::pending_exchange::PendingExchange;
use crate::phase::Phase;
use crate::precise_timer::PreciseTimer;
use crate::reason::{Reason, RefusedError};
use crate::signing::{SigningHealth, within_deadline};
use crate::status::StatusIndexes;

/// Policy refusals leave at a multiple of this time after their decision began, so that their
/// timing reveals nothing about the cause. It is not counted from the arrival of the request: a
/// caller who holds back the last byte of the body could choose the phase, and see when the work
/// crosses a multiple.
const RESPONSE_QUANTUM: Duration = Duration::from_millis(5);

/// `Retry-After` for an exchange that could not be audited.
const AUDIT_RETRY: Duration = Duration::from_secs(1);

const NOT_SIGNED: &str = "the token cannot be signed right now; nothing was minted";

const SEVERAL_TARGETS: &str = "more than one target is named: name one API in audience or resource";

/// A successful exchange.
pub struct Exchanged {
    /// The access token.
    pub access_token: String,
    /// Its type, if the grant is a token exchange.
    pub issued_token_type: Option<&'static str>,
    /// Seconds until it expires.
    pub expires_in: u32,
    /// Its scopes.
    pub scope: ScopeSet,
}

impl std::fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanged")
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// From a token request to a recorded token, for every grant.
pub(crate) struct Pipeline {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) signing: Arc<SigningHealth>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) indexes: Arc<StatusIndexes>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) observers: Arc<Observers>,
    pub(crate) timer: PreciseTimer,
}

impl Pipeline {
    /// Runs one request under `snapshot`. `pending` learns the outcome when it is dropped, whatever
    /// that is.
    ///
    /// # Errors
    /// The first refusal, in the order of the steps. Nothing was minted then.
    #[tracing::instrument(level = "debug", name = "token.exchange", skip_all, fields(request_id = %pending.request_id()))]
    pub(crate) async fn run(
        &self,
        snapshot: &Arc<Snapshot>,
        parameters: &Parameters<'_>,
        pending: &mut PendingExchange,
    ) -> Result<Exchanged, RefusedError> {
        pending.run_under(snapshot);
        let request_id = pending.request_id().clone();
        // If audit is required, reserve a place in the audit trail before any decision.
        let has_place = !self.events.is_required() || pending.reserve_place();
        let result = if has_place {
            self.run_steps(snapshot, parameters, &request_id, pending.record()).await
        } else {
            Err(audit_unavailable())
        };
        if result.is_err()
            && let name = GrantType::of(parameters).unwrap_or(GrantType::TokenExchange).token_parameter()
            && let Ok(Some(token)) = parameters.one(name)
        {
            pending.record().refused_token(token);
        }
        // Before the answer is held back, because the caller may hang up meanwhile.
        pending.conclude(match &result {
            Ok(_) => Conclusion::Granted,
            Err(refused) => Conclusion::Refused(refused.clone()),
        });
        if result.as_ref().is_err_and(|refused| refused.reason == Reason::NotAuthorized) {
            self.wait_for_quantum(pending.record()).await;
        }
        result
    }

    /// Runs the steps in order, and records each for the observers.
    async fn run_steps(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters<'_>,
        request_id: &RequestId,
        record: &mut DecisionRecord,
    ) -> Result<Exchanged, RefusedError> {
        record.enter(Phase::Parse, &*self.clock);
        self.require_audit()?;
        record.grant = GrantType::of(parameters);
        let request = GrantRequest::parse(parameters)?;
        record.record_request(&request.names);
        let proof = request.grant.prove(snapshot, &*self.clock, &mut record.progress).await?;
        record.proven(&proof);

        record.enter(Phase::Decide, &*self.clock);
        check_audience(snapshot, &proof)?;
        // Not earlier: a caller without a proof must not learn which names exist.
        let names = request.names.as_requested();
        let requested = resolve(snapshot, &names)?;
        let now = self.clock.now();
        let authorized = match authorize(snapshot, proof, &names, &requested, now) {
            Ok(authorized) => authorized,
            Err(refused) => {
                record.denied = Some((requested, now));
                return Err(refused);
            }
        };
        record.account = Some(authorized.grant().account.name.to_string());
        request.grant.granted(snapshot, authorized.proof());

        record.enter(Phase::Mint, &*self.clock);
        let minted = self.mint(snapshot, authorized, request_id).await?;

        record.enter(Phase::Record, &*self.clock);
        // Take the time again, because proving may have waited for an issuer.
        self.require_audit()?;
        // Before the store has it, because the caller may hang up before the store answers.
        record.minted = Some(minted.record().clone());
        let names_issued_type = request.grant.names_issued_type();
        self.record(minted, names_issued_type).await.map_err(|NotRecordedError { refused, earlier_use }| {
            record.minted = None;
            record.earlier_use = earlier_use;
            refused
        })
    }

    /// Refuses if audit is required and not possible.
    fn require_audit(&self) -> Result<(), RefusedError> {
        if self.can_audit() { Ok(()) } else { Err(audit_unavailable()) }
    }

    /// Whether the audit trail allows decisions now.
    pub(crate) fn can_audit(&self) -> bool {
        self.events.is_available(self.observers.waiting())
    }

    async fn mint(
        &self,
        snapshot: &Snapshot,
        authorized: Authorized,
        request_id: &RequestId,
    ) -> Result<MintedToken, RefusedError> {
        let now_millis = self.clock.now_millis();
        let status = self.status_of(snapshot, &authorized, now_millis).await?;
        let algorithm =
            snapshot.signing.get(&authorized.grant().api).copied().unwrap_or_else(|| self.keyring.default_algorithm());
        let failed = |error| self.signing.refusal(error, NOT_SIGNED);
        let signer = self.keyring.signer(algorithm, seconds(now_millis)).map_err(failed)?;
        let context = MintContext {
            issuer: &snapshot.issuer,
            signer: &*signer,
            entropy: &*self.entropy,
            now_millis,
            cap_to_subject: snapshot.cap_to_subject,
            status,
            generation: &snapshot.generation,
            request_id,
        };
        within_deadline(authorized.mint(&context)).await.map_err(|error| match error {
            MintError::NoLifeLeft => Reason::TokenExpired.into(),
            MintError::TooLarge => RefusedError::because(
                Reason::TokenMalformed,
                "the claims that are copied make the access token larger than 32 KiB",
            ),
            MintError::Sign(error) => failed(error),
            MintError::Encoding => {
                tracing::error!(%error, "no token could be minted");
                Reason::ServerError.into()
            }
        })
    }

    /// The status list position for the next token, if there are status lists.
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
        let index = self.indexes.next(window).await.map_err(|error| RefusedError::by_ledger(&error))?;
        let (list, place) = StatusListId::holding(window, index).ok_or(Reason::ServerError)?;
        Ok(Some(StatusReference { index, uri: crate::status::uri(&snapshot.issuer, list), place }))
    }

    /// Records the token. Only a recorded token may leave. The span is here, so that every store has
    /// it.
    #[tracing::instrument(level = "debug", name = "store.issue", skip_all, fields(jti = %minted.record().jti))]
    async fn record(&self, minted: MintedToken, names_issued_type: bool) -> Result<Exchanged, NotRecordedError> {
        let (jwt, lifetime, record, claims) = minted.into_parts();
        let scope = record.scope.clone();
        match self.ledger.issue(record, claims).await {
            Ok(Issued::Recorded) => {
                let issued_token_type = names_issued_type.then_some(rfc::TOKEN_TYPE_ACCESS_TOKEN);
                Ok(Exchanged { access_token: jwt, issued_token_type, expires_in: lifetime.as_secs(), scope })
            }
            Ok(Issued::Replayed(taken)) => {
                Err(NotRecordedError { refused: Reason::TokenReplayed.into(), earlier_use: taken.earlier_use })
            }
            Err(error) => Err(NotRecordedError { refused: RefusedError::by_ledger(&error), earlier_use: None }),
        }
    }

    /// Holds an answer back until a multiple of the quantum after its decision began.
    async fn wait_for_quantum(&self, record: &mut DecisionRecord) {
        let began = record.decision_began.unwrap_or_default();
        let elapsed = self.clock.monotonic().saturating_sub(began).as_nanos();
        let quantum = RESPONSE_QUANTUM.as_nanos();
        let left = quantum - elapsed % quantum;
        record.held = Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        self.timer.after(record.held).await;
    }
}

/// A token that must not leave, because the store did not record it.
struct NotRecordedError {
    refused: RefusedError,
    /// The exchange that used up the one-use token, if the store said so.
    earlier_use: Option<EarlierUse>,
}

fn audit_unavailable() -> RefusedError {
    RefusedError::for_now(Reason::AuditUnavailable, AUDIT_RETRY)
}

/// Refuses a token whose audience no identity expects, whatever the request names.
fn check_audience(snapshot: &Snapshot, proof: &CallerProof) -> Result<(), RefusedError> {
    match proof {
        CallerProof::Federated(verified) if !snapshot.rules.knows_audience(verified.entry(), verified.claims()) => {
            Err(RefusedError::audience(&snapshot.issuer))
        }
        _ => Ok(()),
    }
}

fn resolve(snapshot: &Snapshot, names: &RequestedNames<'_>) -> Result<Requested, RefusedError> {
    snapshot.rules.resolve(names).map_err(|error| match error {
        RequestError::TwoAccounts => {
            let rule = match names.client_is_account {
                true => "`client_id` and `audience` name more than one service account",
                false => "`audience` names more than one service account",
            };
            RefusedError::because(Reason::RequestMalformed, rule)
        }
    })
}

fn authorize(
    snapshot: &Snapshot,
    proof: CallerProof,
    names: &RequestedNames<'_>,
    requested: &Requested,
    now: UnixTime,
) -> Result<Authorized, RefusedError> {
    let decided = match proof {
        CallerProof::Federated(verified) => {
            verified.authorize(&snapshot.rules, requested, now).map_err(|denied| denied.refusal)
        }
        // The rules do not know this kind of proof, so they grant nothing for it.
        CallerProof::ApiKey(_) | CallerProof::Own(_) => Err(Refusal::NoIdentityMatched),
    };
    decided.map_err(|refusal| match Reason::from(refusal) {
        Reason::TargetNotGranted if snapshot.rules.names_several_targets(names) => {
            RefusedError::because(Reason::TargetNotGranted, SEVERAL_TARGETS)
        }
        reason => reason.into(),
    })
}

fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}
