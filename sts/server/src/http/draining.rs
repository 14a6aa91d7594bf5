//! The drain before a shutdown: `/readyz` fails first, everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this server is about to stop. Requests are still served, but `/readyz` fails on both
/// listeners, so that load balancers send no new clients.
#[derive(Clone, Default)]
pub(crate) struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Starts the drain.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
