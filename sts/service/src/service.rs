//! The service for the server: a facade over parts that own their state.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use sts_audit::{Act, Actor};
use sts_jose::SignError;
use sts_keyring::{Keyring, KeyringError, Rotation};
use sts_policy::RequestedNames;
use sts_store::{Acceptance, Ledger, LedgerError, RefusalStore, Revocation, RuleId, TakenClaim, Warning};
use sts_token::OwnToken;
use sts_types::{ApiName, Clock, Digest256, Entropy, Jti, Kid, RequestId};

use crate::api_keys::ApiKeyUses;
use crate::endpoint_auth::{self, Origin, PresentedAccessToken};
use crate::event::EventSink;
use crate::explain::{ExplainError, Explanation, Presented, explain};
use crate::grant::{Exchanged, Pipeline};
use crate::introspect::{Caller, Introspection, Introspector};
use crate::observers::Observers;
use crate::parameters::Parameters;
use crate::pending_exchange::PendingExchange;
use crate::precise_timer::PreciseTimer;
use crate::reason::RefusedError;
use crate::recent_decisions::RecentDecisions;
use crate::refusal_log::RefusalLog;
use crate::refusals::{Refusals, RememberedRefusal};
use crate::request::RequestContext;
use crate::request_id;
use crate::revoke::{PresentedRevocation, Revoker};
use crate::rules_in_force::RulesInForce;
use crate::signing::SigningHealth;
use crate::snapshot::Snapshot;
use crate::status::{PublishedLists, StatusIndexes, StatusList, StatusLists, StatusListsView};
use crate::token_admin::{
    KeyWithdrawal, ListError, RevocationError, RevocationRequest, Revoked, TokenAdmin, TokenPage, TokenQuery,
    TokenView, UndoneRule, WithdrawalError,
};

/// The parts of a service. The server chooses each.
pub struct ServiceDependencies {
    /// The first snapshot.
    pub snapshot: Snapshot,
    /// The ledger of minted tokens.
    pub ledger: Arc<dyn Ledger>,
    /// Our signing keys.
    pub keyring: Arc<Keyring>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The store of refusals for all replicas. Without it, each replica remembers its own.
    pub refusals: Option<Arc<dyn RefusalStore>>,
    /// Receives decision events.
    pub events: Arc<dyn EventSink>,
}

impl std::fmt::Debug for ServiceDependencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceDependencies").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// The security token service, without HTTP.
pub struct Service {
    snapshots: Arc<ArcSwap<Snapshot>>,
    ledger: Arc<dyn Ledger>,
    keyring: Arc<Keyring>,
    signing: Arc<SigningHealth>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observers: Arc<Observers>,
    pipeline: Pipeline,
    introspector: Arc<Introspector>,
    revoker: Revoker,
    token_admin: TokenAdmin,
    status_lists: StatusLists,
    refusals: RefusalLog,
    recent_decisions: Arc<RecentDecisions>,
    api_key_uses: Arc<ApiKeyUses>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

fn revoker(
    ledger: &Arc<dyn Ledger>,
    keyring: &Arc<Keyring>,
    clock: &Arc<dyn Clock>,
    published: &Arc<PublishedLists>,
) -> Revoker {
    Revoker {
        ledger: Arc::clone(ledger),
        keyring: Arc::clone(keyring),
        clock: Arc::clone(clock),
        published: Arc::clone(published),
    }
}

impl Service {
    /// A service of these parts.
    #[must_use]
    pub fn new(parts: ServiceDependencies) -> Self {
        let ServiceDependencies { snapshot, ledger, keyring, clock, entropy, refusals: store, events } = parts;
        let memory = Arc::new(Refusals::default());
        let recent_decisions = Arc::new(RecentDecisions::default());
        let observers =
            Arc::new(Observers::start(Arc::clone(&events), Arc::clone(&memory), Arc::clone(&recent_decisions)));
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot));
        let (rules, published) = (Arc::new(RulesInForce::default()), Arc::new(PublishedLists::default()));
        let indexes = StatusIndexes::new(Arc::clone(&ledger), Arc::clone(&entropy));
        let (signing, api_key_uses) = (Arc::new(SigningHealth::default()), Arc::new(ApiKeyUses::default()));
        let introspector = Arc::new(Introspector {
            ledger: Arc::clone(&ledger),
            keyring: Arc::clone(&keyring),
            signing: Arc::clone(&signing),
            clock: Arc::clone(&clock),
            rules: Arc::clone(&rules),
        });
        let revoker = revoker(&ledger, &keyring, &clock, &published);
        Self {
            pipeline: Pipeline {
                ledger: Arc::clone(&ledger),
                keyring: Arc::clone(&keyring),
                signing: Arc::clone(&signing),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                indexes: Arc::clone(&indexes),
                events,
                observers: Arc::clone(&observers),
                timer: PreciseTimer::start(),
                introspector: Arc::clone(&introspector),
                api_key_uses: Arc::clone(&api_key_uses),
            },
            introspector,
            revoker,
            token_admin: TokenAdmin {
                ledger: Arc::clone(&ledger),
                keyring: Arc::clone(&keyring),
                clock: Arc::clone(&clock),
                rules: Arc::clone(&rules),
                published: Arc::clone(&published),
            },
            status_lists: StatusLists {
                snapshots: Arc::clone(&snapshots),
                ledger: Arc::clone(&ledger),
                keyring: Arc::clone(&keyring),
                signing: Arc::clone(&signing),
                clock: Arc::clone(&clock),
                rules,
                indexes,
                published,
            },
            refusals: RefusalLog {
                observers: Arc::clone(&observers),
                memory,
                store,
                clock: Arc::clone(&clock),
                last_list: Mutex::default(),
            },
            recent_decisions,
            api_key_uses,
            snapshots,
            ledger,
            keyring,
            signing,
            clock,
            entropy,
            observers,
        }
    }

    /// The current snapshot. An operation takes it once and uses no other.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load_full()
    }

    /// Replaces the snapshot. Returns the old one, which running operations may still hold.
    pub fn swap(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.snapshots.swap(Arc::new(snapshot))
    }

    /// The last uses of API keys, for those who note them and those who save them.
    #[must_use]
    pub fn api_key_uses(&self) -> &ApiKeyUses {
        &self.api_key_uses
    }

    /// Our signing keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The clock, for others that run beside the service.
    #[must_use]
    pub fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A new request id.
    #[must_use]
    pub fn new_request_id(&self) -> RequestId {
        request_id::new_request_id(&*self.clock, &*self.entropy)
    }
}

/// Exchanges.
impl Service {
    /// Begins an exchange for the request of this context.
    #[must_use]
    pub fn begin_exchange(&self, context: &RequestContext) -> PendingExchange {
        PendingExchange::begin(self.snapshot(), context, &self.observers, &self.clock)
    }

    /// Exchanges a token. `pending` learns the outcome when it is dropped, whatever that is.
    ///
    /// # Errors
    /// The first refusal, in the order of the steps. Nothing was minted then.
    pub async fn exchange(
        &self,
        parameters: &Parameters<'_>,
        pending: &mut PendingExchange,
    ) -> Result<Exchanged, RefusedError> {
        self.pipeline.run(&self.snapshot(), parameters, pending).await
    }

    /// Explains under the current time and snapshot. [`Self::find_claim`] tells whether a one-use
    /// token was used.
    ///
    /// # Errors
    /// If the question names no entry where it must, or a wrong one.
    pub async fn explain(
        &self,
        presented: Presented<'_>,
        asked: &RequestedNames<'_>,
    ) -> Result<Explanation, ExplainError> {
        explain(&self.snapshot(), &*self.clock, presented, asked, None).await
    }

    /// The claim of that key on a one-use token. `None` if the token was not used.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn find_claim(&self, key: Digest256) -> Result<Option<TakenClaim>, LedgerError> {
        self.ledger.find_claim(key).await
    }
}

/// Introspection and revocation, and who may call them.
impl Service {
    /// The API of that name and secret. The work is the same whether the name, the secret or both
    /// are wrong.
    #[must_use]
    pub fn authenticate_api(&self, snapshot: &Snapshot, name: &str, secret: &str) -> Option<ApiName> {
        endpoint_auth::authenticate_api(snapshot, name, secret)
    }

    /// The holder of a live token of ours for our own API with one of `scopes`. The proof of a bound
    /// token is used up by the request `by`.
    ///
    /// # Errors
    /// `invalid_token`, `proof_invalid`, `insufficient_scope`, or `store_unavailable` if the ledger
    /// does not answer.
    pub async fn authenticate_token(
        &self,
        snapshot: &Snapshot,
        presented: PresentedAccessToken<'_>,
        scopes: &[&str],
        by: &RequestId,
    ) -> Result<OwnToken, RefusedError> {
        self.introspector.authenticate_token(snapshot, presented, scopes, by).await
    }

    /// Who signed the token.
    #[must_use]
    pub fn origin(&self, snapshot: &Snapshot, token: &str) -> Origin {
        self.introspector.origin(snapshot, token)
    }

    /// Introspects `token` for `caller`.
    ///
    /// # Errors
    /// `store_unavailable` if the ledger does not answer. That never counts as inactive or active.
    pub async fn introspect(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        token: &str,
    ) -> Result<Introspection, RefusedError> {
        self.introspector.introspect(snapshot, caller, token).await
    }

    /// Signs an answer for its caller (RFC 9701 section 5).
    ///
    /// # Errors
    /// `signer_unavailable` if the key fails.
    pub async fn sign_introspection(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        introspection: &Introspection,
    ) -> Result<String, RefusedError> {
        self.introspector.sign_introspection(snapshot, caller, introspection).await
    }

    /// Revokes `token`. Presenting it is the authority to do so. Returns whether the token is ours.
    ///
    /// # Errors
    /// `store_unavailable` if the revocation is not durable.
    pub async fn revoke_presented(
        &self,
        snapshot: &Snapshot,
        token: &str,
    ) -> Result<PresentedRevocation, RefusedError> {
        self.revoker.revoke_presented(snapshot, token).await
    }
}

/// Recorded tokens and their revocation, for operators.
impl Service {
    /// A page of recorded tokens.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn list_tokens(&self, snapshot: &Snapshot, query: TokenQuery) -> Result<TokenPage, ListError> {
        self.token_admin.list_tokens(snapshot, query).await
    }

    /// One recorded token.
    ///
    /// # Errors
    /// The ledger's error.
    pub async fn show_token(&self, snapshot: &Snapshot, jti: Jti) -> Result<Option<TokenView>, LedgerError> {
        self.token_admin.show_token(snapshot, jti).await
    }

    /// The revocation rules in force, oldest first, each with its author, time and reason.
    ///
    /// # Errors
    /// The ledger's error.
    pub async fn revocation_rules(&self) -> Result<Arc<[Revocation]>, LedgerError> {
        self.token_admin.revocation_rules().await
    }

    /// Records a revocation for `by`, or counts what it would cover.
    ///
    /// # Errors
    /// See [`RevocationError`].
    pub async fn revoke(
        &self,
        snapshot: &Snapshot,
        request: RevocationRequest,
        by: &str,
    ) -> Result<Revoked, RevocationError> {
        self.token_admin.revoke(snapshot, request, by).await
    }

    /// Withdraws our signing key of that kid for `by`, or counts what that would end.
    ///
    /// # Errors
    /// See [`WithdrawalError`].
    pub async fn withdraw_key(
        &self,
        snapshot: &Snapshot,
        kid: &Kid,
        reason: Option<String>,
        by: &str,
        dry_run: bool,
    ) -> Result<KeyWithdrawal, WithdrawalError> {
        self.token_admin.withdraw_key(snapshot, kid, reason, by, dry_run).await
    }

    /// Makes successors for our signing keys where none wait.
    ///
    /// # Errors
    /// If no key can be made or kept.
    pub async fn rotate_keys(&self) -> Result<Rotation, KeyringError> {
        self.token_admin.rotate_keys().await
    }

    /// Removes the rule of that id. `None` if no such rule is in force.
    ///
    /// # Errors
    /// The ledger's error. The rule is then still in force.
    pub async fn undo_rule(&self, id: RuleId) -> Result<Option<UndoneRule>, LedgerError> {
        self.token_admin.undo_rule(id).await
    }
}

/// Status lists.
impl Service {
    /// The list with that name. `None` if there is no such list, or all of its tokens have expired.
    ///
    /// # Errors
    /// `store_unavailable` if the last list has expired and could not be brought up to date.
    pub async fn status_list(&self, name: &str) -> Result<Option<Arc<StatusList>>, RefusedError> {
        self.status_lists.status_list(name).await
    }

    /// The state of the status lists.
    #[must_use]
    pub fn status_lists(&self) -> StatusListsView {
        self.status_lists.status_lists()
    }

    /// Keeps the status lists up to date as long as the process runs.
    pub async fn keep_status_lists(&self) {
        self.status_lists.keep_status_lists().await;
    }
}

/// Refusals, and the observers of exchanges.
impl Service {
    /// The refusal of that request, from memory or from the store.
    ///
    /// # Errors
    /// If it is not in memory and the store does not answer.
    pub async fn denial(&self, request_id: &str) -> Result<Option<RememberedRefusal>, LedgerError> {
        self.refusals.denial(request_id).await
    }

    /// The refusals in memory and in the store, newest first, without their traces.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn denials(&self) -> Result<Vec<Arc<RememberedRefusal>>, LedgerError> {
        self.refusals.denials().await
    }

    /// The recent requests, for dry runs.
    #[must_use]
    pub fn recent_decisions(&self) -> Arc<RecentDecisions> {
        Arc::clone(&self.recent_decisions)
    }

    /// Writes new refusals to the store, for as long as the server runs.
    pub async fn keep_refusals(&self) {
        self.refusals.keep_refusals().await;
    }

    /// Writes the remaining refusals before the server ends.
    pub async fn save_refusals(&self) {
        self.refusals.save_refusals().await;
    }

    /// How many refusals were removed before the store had them.
    #[must_use]
    pub fn dropped_refusals(&self) -> u64 {
        self.refusals.dropped()
    }

    /// Waits until the exchanges that ended before this call are observed, for a second at most.
    pub async fn told_of_exchanges(&self) {
        self.observers.caught_up().await;
    }

    /// How many ended exchanges have no decision event, because too many ended at once.
    #[must_use]
    pub fn dropped_decisions(&self) -> u64 {
        self.observers.dropped()
    }
}

impl Service {
    /// Whether exchanges can be served, with warnings for the operator.
    ///
    /// # Errors
    /// The ledger's error.
    pub async fn ready(&self) -> Result<Vec<Warning>, LedgerError> {
        let mut warnings = self.ledger.ready().await?;
        warnings.extend(self.observers.warning());
        Ok(warnings)
    }

    /// Whether the signing keys can sign, as far as is known. Waits for nothing.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn can_sign(&self) -> Result<(), SignError> {
        self.signing.known()
    }

    /// Asks the signing keys whether they can sign. A device is asked, for a few seconds at most.
    ///
    /// # Errors
    /// Why they cannot.
    pub async fn check_signing(&self) -> Result<(), SignError> {
        self.signing.check(&self.keyring, self.clock.now()).await
    }

    /// Checks the signing keys for as long as the server runs, so that [`Self::can_sign`] is true.
    pub async fn keep_signing_health(&self) {
        self.signing.keep(&self.keyring, &*self.clock).await;
    }

    /// Records what `actor` did in the audit trail.
    pub fn record(&self, actor: &Actor, act: impl Into<Act>) {
        self.pipeline.events.record(actor, act.into());
    }

    /// Whether the audit trail allows decisions now.
    #[must_use]
    pub fn can_audit(&self) -> bool {
        self.pipeline.can_audit()
    }

    /// Whether requests can be decided now, as far as that needs neither the ledger nor a signing key:
    /// the audit trail allows it, and the managed objects were read.
    #[must_use]
    pub fn can_decide(&self) -> bool {
        self.can_audit() && !self.snapshots.load().lacks_objects
    }

    /// Accepts the store as it is, although something is missing from it.
    ///
    /// # Errors
    /// The ledger's error.
    pub async fn accept_epoch(&self) -> Result<Acceptance, LedgerError> {
        self.ledger.accept_epoch().await
    }
}
