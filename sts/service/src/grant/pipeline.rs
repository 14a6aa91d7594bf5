//! The steps of every grant: prove, authorize, mint, record. The first step that fails sets the
//! reason. The steps know nothing about observers: the pipeline fills the decision record between
//! them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sts_jose::{DpopExpectation, DpopProof};
use sts_keyring::Keyring;
use sts_policy::{RequestError, Requested, RequestedNames};
use sts_store::{Issued, Ledger, TakenClaim};
use sts_token::{
    Authorized, CallerProof, DelegationError, MintContext, MintError, MintedToken, PossessionError, StatusReference,
};
use sts_types::rfc::parameter;
use sts_types::{Clock, Entropy, RequestId, ScopeSet, StatusListId, StatusWindow, UnixTime, rfc};

use super::token_exchange::of_actor;
use super::{GrantRequest, GrantType, ProofContext, ProofRefusal, dpop, endpoint_url};
use crate::Snapshot;
use crate::api_keys::ApiKeyUses;
use crate::decision_record::{Conclusion, DecisionRecord};
use crate::event::EventSink;
use crate::introspect::{Introspector, token_type};
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

/// The path of the token endpoint below our issuer.
const TOKEN_ENDPOINT: &str = "/token";

const TOO_DEEP: &str =
    "the token came from three tokens before it already, and no more may follow: exchange an earlier one";
const TOO_MANY_ACTORS: &str = "four actors stand behind the token already, and no more may follow";
const DELEGATED_ACTOR: &str =
    "the actor token has an actor itself: send a token that the actor got for itself as `actor_token`";
const SEVERAL_TARGETS: &str = "more than one target is named: name one API in audience or resource";

/// A successful exchange.
pub struct Exchanged {
    /// The access token.
    pub access_token: String,
    /// Its type, if the grant is a token exchange.
    pub issued_token_type: Option<&'static str>,
    /// How it is presented: `Bearer`, or `DPoP` if it is bound to a key.
    pub token_type: &'static str,
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
    pub(crate) introspector: Arc<Introspector>,
    pub(crate) api_key_uses: Arc<ApiKeyUses>,
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
        // If audit is required, reserve a place in the audit trail before any decision.
        let has_place = !self.events.is_required() || pending.reserve_place();
        let result =
            if has_place { self.run_steps(snapshot, parameters, pending).await } else { Err(audit_unavailable()) };
        if let Ok(Some(token)) = parameters.one(token_at_fault(pending.record())) {
            pending.record().presented_token(token);
        }
        // Before the answer is held back, because the caller may hang up meanwhile.
        pending.conclude(match &result {
            Ok(_) => Conclusion::Granted,
            Err(refused) => Conclusion::Refused(refused.clone()),
        });
        let is_of_key = matches!(pending.record().proof_refusal, Some(ProofRefusal::ApiKey(_)));
        if result.as_ref().is_err_and(|refused| is_of_key || refused.reason == Reason::NotAuthorized) {
            self.wait_for_quantum(pending.record()).await;
        }
        result
    }

    /// Runs the steps in order, and records each for the observers.
    async fn run_steps(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters<'_>,
        pending: &mut PendingExchange,
    ) -> Result<Exchanged, RefusedError> {
        let (request_id, source, known_source) =
            (pending.request_id().clone(), pending.source(), pending.known_source());
        let record = pending.record();
        record.enter(Phase::Parse, &*self.clock);
        self.require_audit()?;
        record.grant = GrantType::of(parameters);
        let request = GrantRequest::parse(parameters)?;
        record.record_request(&request.names);
        snapshot.require_objects("the managed accounts could not be read from the store yet; nothing was minted")?;
        let possession = self.verify_possession(snapshot, parameters)?;
        let (proof, actor) = self.prove(snapshot, &request, known_source, record).await?;
        for presented in std::iter::once(&proof).chain(&actor) {
            presented.check_possession(possession.as_ref()).map_err(of_possession)?;
        }

        record.enter(Phase::Decide, &*self.clock);
        let authorized = self.decide(snapshot, &request, proof, record)?;
        let authorized = delegate(snapshot, authorized, actor, self.clock.now(), record)?;
        let authorized = authorized.bound_to(possession).map_err(of_possession)?;
        let proof_of_possession = authorized.possession_claim().map(|claim| claim.key);
        let api_key = match authorized.proof() {
            CallerProof::ApiKey(key) => Some(key.id().clone()),
            CallerProof::Federated(_) | CallerProof::Own(_) => None,
        };

        record.enter(Phase::Mint, &*self.clock);
        let minted = self.mint(snapshot, authorized, &request_id).await?;

        record.enter(Phase::Record, &*self.clock);
        // Take the time again, because proving may have waited for an issuer.
        self.require_audit()?;
        // Before the store has it, because the caller may hang up before the store answers.
        record.minted = Some(minted.record().clone());
        let names_issued_type = request.grant.names_issued_type();
        let recorded = self.record(minted, names_issued_type).await;
        if let (Ok(_), Some(id), Some(source)) = (&recorded, &api_key, source) {
            self.api_key_uses.note(id, self.clock.now(), source);
        }
        recorded.map_err(|NotRecordedError { refused, taken }| {
            record.minted = None;
            let Some(taken) = taken else { return refused };
            if Some(taken.key) == proof_of_possession {
                return dpop::REPLAYED;
            }
            record.earlier_use = taken.earlier_use;
            refused
        })
    }

    /// Checks the proof of possession, if the request has one.
    fn verify_possession(
        &self,
        snapshot: &Snapshot,
        parameters: &Parameters<'_>,
    ) -> Result<Option<DpopProof>, RefusedError> {
        if parameters.proofs().is_empty() {
            return Ok(None);
        }
        let uri = endpoint_url(&snapshot.issuer, TOKEN_ENDPOINT);
        let expected = DpopExpectation { method: "POST", uri: &uri, access_token: None, now: self.clock.now() };
        dpop::verify(parameters.proofs(), &expected)
    }

    /// Proves who the caller is, and who acts.
    async fn prove(
        &self,
        snapshot: &Snapshot,
        request: &GrantRequest<'_>,
        source: Option<IpAddr>,
        record: &mut DecisionRecord,
    ) -> Result<(CallerProof, Option<CallerProof>), RefusedError> {
        let (clock, introspector) = (&*self.clock, &*self.introspector);
        let mut context = ProofContext { snapshot, clock, introspector, source, record };
        let proof = request.grant.prove(&mut context).await?;
        context.record.proven(&proof);
        check_audience(snapshot, &proof)?;
        let actor = request.grant.prove_actor(&mut context).await?;
        if let Some(actor) = &actor {
            context.record.is_at_actor = true;
            check_audience(snapshot, actor).map_err(of_actor)?;
            context.record.is_at_actor = false;
        }
        Ok((proof, actor))
    }

    /// Resolves the names of the request, and evaluates the rules.
    fn decide(
        &self,
        snapshot: &Snapshot,
        request: &GrantRequest<'_>,
        proof: CallerProof,
        record: &mut DecisionRecord,
    ) -> Result<Authorized, RefusedError> {
        // Not earlier: a caller without a proof must not learn which names exist.
        let names = request.names.as_requested();
        let requested = resolve(snapshot, &names)?;
        let now = self.clock.now();
        if let CallerProof::Own(parent) = &proof
            && !parent.may_have_a_child()
        {
            record.proof_refusal = Some(ProofRefusal::TooDeep);
            return Err(RefusedError::because(Reason::TokenTypeRefused, TOO_DEEP));
        }
        let authorized =
            proof.authorize(&snapshot.rules, &*snapshot.memberships, &requested, now).map_err(|denied| {
                record.denied = Some((requested, now));
                record.proof_refusal = denied.diagnosis.map(ProofRefusal::Rules);
                match Reason::from(denied.refusal) {
                    Reason::TargetNotGranted if snapshot.rules.names_several_targets(&names) => {
                        RefusedError::because(Reason::TargetNotGranted, SEVERAL_TARGETS)
                    }
                    reason => reason.into(),
                }
            })?;
        record.account = Some(authorized.grant().account.name.to_string());
        request.grant.granted(snapshot, authorized.proof());
        Ok(authorized)
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
        let shard = self.ledger.place(authorized.parent(), &|| authorized.claims());
        let status = self.status_of(snapshot, &authorized, shard, now_millis).await?;
        let algorithm =
            snapshot.signing.get(&authorized.grant().api).copied().unwrap_or_else(|| self.keyring.default_algorithm());
        let failed = |error| self.signing.refusal(error, NOT_SIGNED);
        let signer = self.keyring.signer(algorithm, seconds(now_millis)).map_err(failed)?;
        let context = MintContext {
            issuer: &snapshot.issuer,
            signer: &*signer,
            entropy: &*self.entropy,
            shard,
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
        shard: Option<u8>,
        now_millis: u64,
    ) -> Result<Option<StatusReference>, RefusedError> {
        if !snapshot.status_list {
            return Ok(None);
        }
        let now = seconds(now_millis);
        let life = authorized.lifetime(now, snapshot.cap_to_subject).map_err(|_| Reason::TokenExpired)?;
        let window = StatusWindow::of(now.plus(i64::from(life.as_secs())));
        let index = self.indexes.next(shard, window).await.map_err(|error| RefusedError::by_ledger(&error))?;
        let (list, place) = StatusListId::holding(window, index).ok_or(Reason::ServerError)?;
        Ok(Some(StatusReference { index, uri: crate::status::uri(&snapshot.issuer, list), place }))
    }

    /// Records the token. Only a recorded token may leave. The span is here, so that every store has
    /// it.
    #[tracing::instrument(level = "debug", name = "store.issue", skip_all, fields(jti = %minted.record().jti))]
    async fn record(&self, minted: MintedToken, names_issued_type: bool) -> Result<Exchanged, NotRecordedError> {
        let (jwt, lifetime, record, claims) = minted.into_parts();
        let (scope, token_type) = (record.scope.clone(), token_type(&record));
        match self.ledger.issue(record, claims).await {
            Ok(Issued::Recorded) => {
                let issued_token_type = names_issued_type.then_some(rfc::TOKEN_TYPE_ACCESS_TOKEN);
                Ok(Exchanged {
                    access_token: jwt,
                    issued_token_type,
                    token_type,
                    expires_in: lifetime.as_secs(),
                    scope,
                })
            }
            Ok(Issued::Replayed(taken)) => {
                Err(NotRecordedError { refused: Reason::TokenReplayed.into(), taken: Some(taken) })
            }
            Err(error) => Err(NotRecordedError { refused: RefusedError::by_ledger(&error), taken: None }),
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
    /// The claim that was taken before.
    taken: Option<TakenClaim>,
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

/// Lets the actor act, if there is one.
fn delegate(
    snapshot: &Snapshot,
    authorized: Authorized,
    actor: Option<CallerProof>,
    now: UnixTime,
    record: &mut DecisionRecord,
) -> Result<Authorized, RefusedError> {
    let Some(actor) = actor else { return Ok(authorized) };
    let account = authorized.grant().account.name.to_string();
    authorized.delegate(actor, &snapshot.rules, &snapshot.issuer, now).map_err(|error| {
        record.proof_refusal = Some(ProofRefusal::Actor { account, error });
        match error {
            DelegationError::TooManyActors => RefusedError::because(Reason::TokenTypeRefused, TOO_MANY_ACTORS),
            DelegationError::DelegatedActor => RefusedError::because(Reason::TokenTypeRefused, DELEGATED_ACTOR),
            DelegationError::TooDeep => of_actor(RefusedError::because(Reason::TokenTypeRefused, TOO_DEEP)),
            DelegationError::Actor(_) | DelegationError::MayAct | DelegationError::NoToken => {
                Reason::NotAuthorized.into()
            }
        }
    })
}

fn of_possession(error: PossessionError) -> RefusedError {
    RefusedError { detail: Some(error.to_string().into()), ..Reason::ProofInvalid.into() }
}

/// The parameter with the token that a refusal is about.
fn token_at_fault(record: &DecisionRecord) -> &'static str {
    if record.is_at_actor {
        return parameter::ACTOR_TOKEN;
    }
    record.grant.unwrap_or(GrantType::TokenExchange).token_parameter()
}

fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}
