//! The facts of one exchange, kept as it goes along and told once its answer has left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sts_policy::{Asked, Requested};
use sts_token::ObservedClaims;
use sts_types::{Clock, EntryName, RequestId, TokenRecord, UnixTime};

use crate::Snapshot;
use crate::phase::{Phase, PhaseTimes, Stopwatch};
use crate::reason::Refused;
use crate::request::ExchangeRequest;

/// What an exchange has learned so far. Noting a fact costs the same whatever the decision will be:
/// everything that costs more is made from these facts later.
pub(crate) struct DecisionRecord {
    stopwatch: Stopwatch,
    /// When the rules were first asked, by the monotonic clock.
    pub(crate) decision_began: Option<Duration>,
    /// How long the answer was held back to leave at a multiple of the response quantum.
    pub(crate) held: Duration,
    /// The issuer entry, once it is certain.
    pub(crate) entry: Option<EntryName>,
    /// The values of `audience` and `resource`.
    pub(crate) asked_names: Vec<String>,
    /// How many of these are of `resource`; they come last.
    pub(crate) asked_resources: usize,
    /// The value of `scope`.
    pub(crate) asked_scope: Option<String>,
    /// The value of `client_id`.
    pub(crate) asked_client_id: Option<String>,
    /// The header and payload of a token that was refused before its claims were verified. Without
    /// its signature it is no longer a token.
    pub(crate) unverified: Option<String>,
    /// The claims, once verified.
    pub(crate) claims: Option<ObservedClaims>,
    /// What the rules refused, and as of when.
    pub(crate) denied: Option<(Requested, UnixTime)>,
    /// The account that was granted something.
    pub(crate) account: Option<String>,
    /// The record of the token that was minted.
    pub(crate) minted: Option<TokenRecord>,
}

impl DecisionRecord {
    /// For a request that arrived at the monotonic time `arrived`.
    pub(crate) fn since(arrived: Duration) -> Self {
        Self {
            stopwatch: Stopwatch::since(arrived),
            decision_began: None,
            held: Duration::ZERO,
            entry: None,
            asked_names: Vec::new(),
            asked_resources: 0,
            asked_scope: None,
            asked_client_id: None,
            unverified: None,
            claims: None,
            denied: None,
            account: None,
            minted: None,
        }
    }

    /// Ends the running phase and starts or resumes `phase`.
    pub(crate) fn enter(&mut self, phase: Phase, clock: &dyn Clock) {
        let now = clock.monotonic();
        if phase == Phase::Decide {
            self.decision_began = Some(now);
        }
        self.stopwatch.enter(phase, now);
    }

    /// Ends the running phase.
    pub(crate) fn stop(&mut self, clock: &dyn Clock) -> PhaseTimes {
        self.stopwatch.stop(clock.monotonic())
    }

    /// Notes what the request names.
    pub(crate) fn asked(&mut self, request: &ExchangeRequest<'_>) {
        self.asked_names = request.audience.iter().chain(&request.resource).cloned().collect();
        self.asked_resources = request.resource.len();
        self.asked_scope = request.scope.map(str::to_owned);
        self.asked_client_id = request.client_id.map(str::to_owned);
    }

    /// The names of the request, as they were asked for.
    pub(crate) fn names(&self) -> Asked<'_> {
        let audiences = self.asked_names.len().saturating_sub(self.asked_resources);
        let (audience, resource) = self.asked_names.split_at_checked(audiences).unwrap_or_default();
        let (scope, client_id) = (self.asked_scope.as_deref(), self.asked_client_id.as_deref());
        Asked { audience, resource, scope, client_id, lifetime: None }
    }

    /// Notes a token that was refused before its claims were verified.
    pub(crate) fn not_verified(&mut self, token: &str) {
        self.unverified = token.rsplit_once('.').map(|(unsigned, _)| unsigned.to_owned());
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Conclusion {
    Granted,
    Refused(Refused),
    /// The caller hung up before the answer was known.
    Abandoned,
}

impl Conclusion {
    /// The refusal, if it is one.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Granted | Self::Abandoned => None,
        }
    }
}

/// An exchange that has ended, as observers get it.
pub(crate) struct EndedExchange {
    /// The rules it ran under.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) request_id: RequestId,
    /// The caller's address, when known.
    pub(crate) source: Option<IpAddr>,
    /// When it ended, in milliseconds since the epoch.
    pub(crate) ended_millis: u64,
    pub(crate) phases: PhaseTimes,
    pub(crate) record: DecisionRecord,
    pub(crate) conclusion: Conclusion,
}
