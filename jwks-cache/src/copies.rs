//! Which members of families have a copy of their keys on disk: those that verified tokens proved.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{EntrySpec, last_good};

/// The names of the copies. Held in memory, so that an unverified token costs no look at the disk.
#[derive(Default)]
pub(crate) struct Copies(Mutex<HashSet<String>>);

impl Copies {
    /// Those that are there at the start. Blocks.
    pub(crate) fn list(state_dir: Option<&Path>) -> Self {
        // A directory that cannot be listed has no copies: their members have to prove themselves again.
        let names = state_dir.and_then(|dir| last_good::names(dir).ok()).unwrap_or_default();
        Self(Mutex::new(names))
    }

    /// Whether there is one for that entry.
    pub(crate) fn has(&self, spec: &EntrySpec) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&last_good::name(spec))
    }

    /// Notes that there is one for that entry.
    pub(crate) fn note(&self, spec: &EntrySpec) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(last_good::name(spec));
    }
}
