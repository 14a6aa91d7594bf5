//! What runs behind the listeners.

use std::sync::Arc;

use jwks_cache::JwksCache;
use sts_service::Service;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::store_health::StoreHealth;

/// What operations of the admin listener work on.
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) issuers: watch::Sender<JwksCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<StoreHealth>,
}

impl AppState {
    /// Whether exchanges can be served, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        let is_store_ready = self.store.is_ready(self.service.clock().monotonic());
        is_store_ready && self.service.can_audit() && self.service.can_sign().is_ok()
    }
}
