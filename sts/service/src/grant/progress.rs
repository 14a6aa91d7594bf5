//! The progress of a prover.

use std::time::Duration;

use sts_types::{Clock, EntryName};

use crate::phase::{Phase, PhaseTimes, Stopwatch};

/// The progress of a prover, and the time of each phase.
///
/// It is separate from the prover's result. A caller may hang up while the prover waits for an
/// issuer, and operators want to know which issuer that was.
pub(crate) struct Progress {
    stopwatch: Stopwatch,
    /// The issuer entry, once it is certain.
    entry: Option<EntryName>,
}

impl Progress {
    /// For a request that arrived at the monotonic time `arrived`.
    pub(crate) fn since(arrived: Duration) -> Self {
        Self { stopwatch: Stopwatch::since(arrived), entry: None }
    }

    /// Ends the running phase and starts or resumes `phase`. Returns the monotonic time.
    pub(crate) fn enter(&mut self, phase: Phase, clock: &dyn Clock) -> Duration {
        let now = clock.monotonic();
        self.stopwatch.enter(phase, now);
        now
    }

    /// Ends the running phase.
    pub(crate) fn stop(&mut self, clock: &dyn Clock) -> PhaseTimes {
        self.stopwatch.stop(clock.monotonic())
    }

    /// Records that the token belongs to that issuer entry or to none.
    pub(crate) fn is_certain_of(&mut self, entry: &EntryName) {
        self.entry = Some(entry.clone());
    }

    /// Returns to the entry of the subject token after the actor's was verified.
    pub(crate) fn return_to(&mut self, entry: Option<EntryName>) {
        self.entry = entry;
    }

    /// The issuer entry, once it is certain.
    pub(crate) fn entry(&self) -> Option<&EntryName> {
        self.entry.as_ref()
    }
}
