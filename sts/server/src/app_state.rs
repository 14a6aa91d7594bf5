//! What runs behind the listeners.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use arc_swap::ArcSwapOption;
use jwks_cache::JwksCache;
use sts_api::ListenerAddress;
use sts_audit::Trail;
use sts_console::Sessions;
use sts_directory::Directories;
use sts_service::Service;
use sts_service::manage::ManagedObjects;
use tokio::sync::watch;

use crate::backups::StoreBackups;
use crate::last_uses::LastUses;
use crate::metrics::Metrics;
use crate::openid_provider::ConsoleSignIn;
use crate::rule_base::RuleBase;
use crate::store_health::StoreHealth;
use crate::traces::Traces;

/// What operations of the admin listener work on.
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) issuers: watch::Sender<JwksCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Arc<Trail>,
    /// Traces, if there is a collector for them.
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) store: Arc<StoreHealth>,
    pub(crate) directories: Arc<Directories>,
    pub(crate) last_uses: Arc<LastUses>,
    /// Managed objects. Not set where the store has none. They hold this state in turn, so they are
    /// taken out again at the end, or the store would never be closed.
    pub(crate) managed: RwLock<Option<Arc<ManagedObjects>>>,
    /// Sessions of the console. A ledger from elsewhere keeps none.
    pub(crate) sessions: Option<Arc<Sessions>>,
    /// Copies of the store. Only the embedded one is copied here.
    pub(crate) backups: Option<StoreBackups>,
    /// The OpenID provider of the console, if there is a `console` block.
    pub(crate) openid: ArcSwapOption<ConsoleSignIn>,
    /// The configuration in force. It holds this state.
    pub(crate) rules: OnceLock<Weak<RuleBase>>,
    /// Where the server listens. Not set for a command.
    pub(crate) listeners: OnceLock<Vec<ListenerAddress>>,
}

impl AppState {
    /// Managed objects, where the store has them.
    pub(crate) fn managed(&self) -> Option<Arc<ManagedObjects>> {
        self.managed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts managed objects beside the service, or takes them out.
    pub(crate) fn set_managed(&self, managed: Option<Arc<ManagedObjects>>) {
        *self.managed.write().unwrap_or_else(PoisonError::into_inner) = managed;
    }

    /// Whether exchanges can be served, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        let is_store_ready = self.store.is_ready(self.service.clock().monotonic());
        is_store_ready && self.service.can_decide() && self.service.can_sign().is_ok()
    }
}
