//! The facts of one exchange. They are collected while it runs, and observers see them after its
//! answer has left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sts_policy::{Requested, RequestedNames};
use sts_store::EarlierUse;
use sts_token::{CallerProof, ObservedClaims};
use sts_types::{Clock, Lifetime, RequestId, TokenRecord, UnixTime};
use zeroize::Zeroizing;

use crate::Snapshot;
use crate::grant::{GrantType, MAX_SUBJECT_TOKEN, Progress, ProofRefusal, TokenRequest};
use crate::phase::{Phase, PhaseTimes};
use crate::reason::{RefusedError, TransportRefusal};

/// The facts of an exchange so far. Recording a fact costs the same whatever the decision will be.
/// Anything more expensive is computed from these facts later.
pub(crate) struct DecisionRecord {
    /// Phases and issuer entry, from the prover.
    pub(crate) progress: Progress,
    /// Monotonic time at which the rules were first evaluated.
    pub(crate) decision_began: Option<Duration>,
    /// How long the answer was held back, so that it left at a multiple of the response quantum.
    pub(crate) held: Duration,
    /// The grant, once the request names one that exists.
    pub(crate) grant: Option<GrantType>,
    /// The names in the request, once its shape was checked.
    pub(crate) asked: Option<NamesInRequest>,
    /// The presented token. It is wiped after the explanation.
    pub(crate) token: Option<Zeroizing<String>>,
    /// The claims, once verified.
    pub(crate) claims: Option<ObservedClaims>,
    /// The record of the presented token of ours, once it is known to be in force.
    pub(crate) parent: Option<Box<TokenRecord>>,
    /// Whether the actor's token is being verified. If the request is refused then, that token is at
    /// fault.
    pub(crate) is_at_actor: bool,
    /// Why a token of ours or an actor was refused.
    pub(crate) proof_refusal: Option<ProofRefusal>,
    /// The request that the rules refused, and the time of the verdict.
    pub(crate) denied: Option<(Requested, UnixTime)>,
    /// The account that was granted something.
    pub(crate) account: Option<String>,
    /// The record of the minted token.
    pub(crate) minted: Option<TokenRecord>,
    /// The exchange that used up the one-use token, if the store said so. The caller is not told.
    pub(crate) earlier_use: Option<EarlierUse>,
}

impl DecisionRecord {
    /// The record of a request that arrived at the monotonic time `arrived`.
    pub(crate) fn since(arrived: Duration) -> Self {
        Self {
            progress: Progress::since(arrived),
            decision_began: None,
            held: Duration::ZERO,
            grant: None,
            asked: None,
            token: None,
            claims: None,
            parent: None,
            is_at_actor: false,
            proof_refusal: None,
            denied: None,
            account: None,
            minted: None,
            earlier_use: None,
        }
    }

    /// Ends the running phase and starts or resumes `phase`.
    pub(crate) fn enter(&mut self, phase: Phase, clock: &dyn Clock) {
        let now = self.progress.enter(phase, clock);
        if phase == Phase::Decide {
            self.decision_began = Some(now);
        }
    }

    /// Ends the running phase.
    pub(crate) fn stop(&mut self, clock: &dyn Clock) -> PhaseTimes {
        self.progress.stop(clock)
    }

    /// Records the proof.
    pub(crate) fn proven(&mut self, proof: &CallerProof) {
        match proof {
            CallerProof::Federated(verified) => {
                self.progress.is_certain_of(verified.entry());
                self.claims = Some(verified.observed());
            }
            CallerProof::Own(parent) => {
                if let Some(federated) = parent.record().proof.federated() {
                    self.progress.is_certain_of(&federated.entry);
                }
                self.parent = Some(Box::new(parent.record().clone()));
            }
            CallerProof::ApiKey(_) => {}
        }
    }

    /// Records the names in the request.
    pub(crate) fn record_request(&mut self, request: &TokenRequest<'_>) {
        self.asked = Some(NamesInRequest {
            audience: request.audience.clone(),
            resource: request.resource.clone(),
            scope: request.scope.map(str::to_owned),
            client_id: request.client_id.map(str::to_owned),
            client_is_account: request.client_is_account,
            lifetime: request.lifetime,
        });
    }

    /// Records the presented token. That costs the same for a grant and a refusal.
    pub(crate) fn presented_token(&mut self, token: &str) {
        self.token = (token.len() <= MAX_SUBJECT_TOKEN).then(|| Zeroizing::new(token.to_owned()));
    }
}

/// Account, target and scope in a request.
#[derive(Clone, Default)]
pub(crate) struct NamesInRequest {
    pub(crate) audience: Vec<String>,
    pub(crate) resource: Vec<String>,
    pub(crate) scope: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_is_account: bool,
    pub(crate) lifetime: Option<Lifetime>,
}

impl NamesInRequest {
    /// The values of `audience` and `resource`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.audience.iter().chain(&self.resource)
    }

    /// The form that the rules take.
    pub(crate) fn request_names(&self) -> RequestedNames<'_> {
        RequestedNames {
            audience: &self.audience,
            resource: &self.resource,
            scope: self.scope.as_deref(),
            client_id: self.client_id.as_deref(),
            client_is_account: self.client_is_account,
            lifetime: self.lifetime,
        }
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Conclusion {
    Granted,
    Refused(RefusedError),
    /// The transport refused the request without reading its parameters.
    Unread(TransportRefusal),
    /// The caller hung up before the answer was known.
    Abandoned,
}

impl Conclusion {
    /// The stable name of the reason, if it is a refusal.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refused) => Some(refused.reason.name()),
            Self::Unread(refusal) => Some(refusal.reason),
            Self::Granted | Self::Abandoned => None,
        }
    }

    /// Which rule of that reason.
    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => refused.detail.as_deref(),
            Self::Unread(refusal) => refusal.detail.as_deref(),
            Self::Granted | Self::Abandoned => None,
        }
    }
}

/// An exchange that has ended, for observers.
pub(crate) struct EndedExchange {
    /// The rules that it used.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) request_id: RequestId,
    /// The caller's address, if known.
    pub(crate) source: Option<IpAddr>,
    /// When it ended, in milliseconds since the epoch.
    pub(crate) ended_millis: u64,
    pub(crate) phases: PhaseTimes,
    pub(crate) record: DecisionRecord,
    pub(crate) conclusion: Conclusion,
}
