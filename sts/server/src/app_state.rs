//! What runs behind the listeners.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use jwks_cache::JwksCache;
use sts_service::Service;
use sts_service::manage::ManagedObjects;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::rule_base::RuleBase;
use crate::store_health::StoreHealth;

/// What operations of the admin listener work on.
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) issuers: watch::Sender<JwksCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<StoreHealth>,
    /// Managed objects. Not set where the store has none. They hold this state in turn, so they are
    /// taken out again at the end, or the store would never be closed.
    pub(crate) managed: RwLock<Option<Arc<ManagedObjects>>>,
    /// The configuration in force. It holds this state.
    pub(crate) rules: OnceLock<Weak<RuleBase>>,
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
        let has_objects = self.managed().is_none_or(|managed| managed.is_loaded());
        is_store_ready && has_objects && self.service.can_audit() && self.service.can_sign().is_ok()
    }
}
