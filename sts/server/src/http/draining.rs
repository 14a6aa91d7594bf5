//! The way out: readiness ends before anything else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this server is about to stop. Everything goes on as before, only `/readyz` says no, on both listeners, so that
/// balancers send nobody any more.
#[derive(Clone, Default)]
pub(crate) struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From here on.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
