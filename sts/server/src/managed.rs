//! Managed objects beside a service.

use std::sync::Arc;

use sts_jose::OsEntropy;
use sts_service::manage::{ManagedObjects, ManagedParts};
use tokio::sync::Mutex;

use crate::components::Components;
use crate::rule_base::{RuleBase, ServerRules};

/// Reads the managed objects and puts them in force. If the store is away, the server starts without
/// them. Until they are read it is not ready and decides nothing.
pub(crate) async fn start(engine: &Components, base: &Arc<RuleBase>, lock: &Arc<Mutex<()>>) {
    let _ = engine.state.rules.set(Arc::downgrade(base));
    let Some(store) = &engine.objects else { return };
    let managed = Arc::new(ManagedObjects::new(ManagedParts {
        store: Arc::clone(store),
        rules: Arc::new(ServerRules(Arc::clone(base))),
        clock: engine.state.service.shared_clock(),
        entropy: Arc::new(OsEntropy),
        recent: engine.state.service.recent_decisions(),
        lock: Arc::clone(lock),
    }));
    base.set_lacks_objects(true);
    if let Err(error) = managed.start().await {
        tracing::error!(%error, "managed objects cannot be read; until they are, the server is not ready and decides nothing");
    }
    engine.state.set_managed(Some(managed));
}
