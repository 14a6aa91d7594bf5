//! Exchange, introspect, revoke: the one place where the order of steps is decided. No HTTP here, and no implementation of
//! a key source or a ledger: both are traits that the composition root fills.

mod body;
mod decision_record;
mod diagnosis;
mod endpoint_auth;
mod event;
mod explain;
mod grant;
mod introspect;
mod issuer_keys;
mod observers;
mod parameters;
mod pending_exchange;
mod phase;
mod precise_timer;
mod presented;
mod reason;
mod redact;
mod refusals;
mod request;
mod revoke;
mod rules_in_force;
mod snapshot;
mod status;
mod token_admin;
mod token_mistake;

pub use body::NOT_AN_OBJECT;
pub use diagnosis::{RefusedRequest, diagnose};
pub use endpoint_auth::{ApiSecret, Origin};
pub use event::{DecisionEvent, EVENT_VERSION, EventSink, FailedCondition, Outcome, event_schema};
pub use explain::{ExplainError, Explanation, Presented, WouldMint, explain};
pub use grant::{Exchanged, NO_CLIENT_AUTHENTICATION, grant_types};
pub use introspect::{Caller, Introspection};
pub use issuer_keys::{
    Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeySetView, KeyUnavailable, KeyView, KeysFailure, KeysView,
    SkippedKeyView,
};
pub use parameters::{MAX_PARAMETERS, PARAMETERS, Parameters};
pub use pending_exchange::PendingExchange;
pub use phase::{Phase, PhaseTimes};
pub use presented::PresentedToken;
pub use reason::{Reason, RefusedError, TransportRefusal};
pub use refusals::{DenialGroup, GroupBy, RememberedRefusal, group};
pub use request::RequestContext;
pub use snapshot::{Snapshot, TrustTable};
pub use status::{STATUS_LIST_TTL, StatusList, StatusListsView};
pub use token_admin::{
    CoveredTokens, ListError, RevocationError, RevocationRequest, Revoked, TokenPage, TokenQuery, TokenState,
    TokenView, UndoneRule, UnknownName,
};

use std::sync::Arc;

use arc_swap::ArcSwap;
use sts_keyring::Keyring;
use sts_store::{Ledger, RefusalStore};
use sts_types::{Clock, Entropy, RequestId};

use grant::Pipeline;
use observers::Observers;
use precise_timer::PreciseTimer;
use refusals::Refusals;
use rules_in_force::RulesInForce;
use status::{PublishedLists, StatusIndexes};

/// What the service is made of; the composition root chooses each.
pub struct ServiceDependencies {
    /// The rules to begin with.
    pub snapshot: Snapshot,
    /// Where minted tokens are recorded.
    pub ledger: Arc<dyn Ledger>,
    /// Our signing keys.
    pub keyring: Arc<Keyring>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where refusals are remembered for all replicas; without it each remembers its own.
    pub refusals: Option<Arc<dyn RefusalStore>>,
    /// Where decision events go.
    pub events: Arc<dyn EventSink>,
}

/// The security token service, without its wire.
pub struct Service {
    snapshot: ArcSwap<Snapshot>,
    ledger: Arc<dyn Ledger>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pipeline: Pipeline,
    observers: Arc<Observers>,
    refusals: Arc<Refusals>,
    refusal_store: Option<Arc<dyn RefusalStore>>,
    rules: RulesInForce,
    status: Arc<StatusIndexes>,
    published: PublishedLists,
}

impl Service {
    /// A service of these parts.
    #[must_use]
    pub fn new(parts: ServiceDependencies) -> Self {
        let ServiceDependencies { snapshot, ledger, keyring, clock, entropy, refusals: refusal_store, events } = parts;
        let refusals = Arc::new(Refusals::default());
        let observers = Arc::new(Observers::start(Arc::clone(&events), Arc::clone(&refusals)));
        let status = StatusIndexes::new(Arc::clone(&ledger), Arc::clone(&entropy));
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            pipeline: Pipeline {
                ledger: Arc::clone(&ledger),
                keyring: Arc::clone(&keyring),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                indexes: Arc::clone(&status),
                events,
                observers: Arc::clone(&observers),
                timer: PreciseTimer::start(),
            },
            status,
            published: PublishedLists::default(),
            ledger,
            keyring,
            clock,
            entropy,
            observers,
            refusals,
            refusal_store,
            rules: RulesInForce::default(),
        }
    }

    /// Begins an exchange for the request of this context.
    #[must_use]
    pub fn begin_exchange(&self, context: &RequestContext) -> PendingExchange {
        self.pipeline.begin(self.snapshot(), context)
    }

    /// Exchanges a token. Whatever becomes of it, `pending` is told of it when it is dropped.
    ///
    /// # Errors
    /// The first refusal, in the order of the steps; nothing was minted then.
    pub async fn exchange(
        &self,
        parameters: &Parameters<'_>,
        pending: &mut PendingExchange,
    ) -> Result<Exchanged, RefusedError> {
        self.pipeline.run(&self.snapshot(), parameters, pending).await
    }

    /// The snapshot in force. An operation takes it once and runs under it alone.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts another snapshot in force, whole. Answers the one before, which operations under way may still hold.
    pub fn swap(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.snapshot.swap(Arc::new(snapshot))
    }

    /// Our signing keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The clock that everything here is judged by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// A new request id.
    #[must_use]
    pub fn new_request_id(&self) -> RequestId {
        request::new_request_id(&*self.clock, &*self.entropy)
    }

    /// Whether exchanges can be served, with warnings for the operator.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn ready(&self) -> Result<Vec<sts_store::Warning>, sts_store::LedgerError> {
        let mut warnings = self.ledger.ready().await?;
        warnings.extend(self.observers.warning());
        Ok(warnings)
    }

    /// Waits until the exchanges that ended before this call are told to the event sink, for a second at most.
    pub async fn told_of_exchanges(&self) {
        self.observers.caught_up().await;
    }

    /// How many ended exchanges have no decision event, because too many ended at once.
    #[must_use]
    pub fn dropped_decisions(&self) -> u64 {
        self.observers.dropped()
    }

    /// How many refusals were forgotten before the store had them.
    #[must_use]
    pub fn dropped_refusals(&self) -> u64 {
        self.refusals.dropped()
    }

    /// Whether decisions may be made, as far as the audit trail goes.
    #[must_use]
    pub fn can_audit(&self) -> bool {
        self.pipeline.can_audit()
    }

    /// Takes the store as it is, although something is missing from it.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn accept_epoch(&self) -> Result<sts_store::Acceptance, sts_store::LedgerError> {
        self.ledger.accept_epoch().await
    }
}
