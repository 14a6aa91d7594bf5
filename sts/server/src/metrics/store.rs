//! How the store was when it was looked at last.

use std::sync::{Mutex, PoisonError};

use sts_store::{LedgerError, Warning};

use super::exposition::{Exposition, Kind};

/// What came of asking the store whether it is ready.
pub(crate) type Readiness = Result<Vec<Warning>, LedgerError>;

/// The last answer; none before the first.
#[derive(Default)]
pub(super) struct Store(Mutex<Option<Readiness>>);

impl Store {
    /// Notes an answer, and gives back the one before.
    pub(super) fn note(&self, readiness: Readiness) -> Option<Readiness> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(readiness)
    }

    pub(super) fn render(&self, out: &mut Exposition) {
        let readiness = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(readiness) = readiness else { return };
        out.family("sts_store_ready", Kind::Gauge, "Whether the store answers and takes writes (1).");
        out.sample(&[], u8::from(readiness.is_ok()));
        out.family("sts_store_warning", Kind::Gauge, "Weaknesses of the store as it is set up: 1 for each there is.");
        for warning in readiness.iter().flatten() {
            out.sample(&[("warning", warning.name)], 1);
        }
    }
}
