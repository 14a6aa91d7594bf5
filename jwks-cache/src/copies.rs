//! Which family members have a copy of their keys on disk. Only members that verified a token have
//! one.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{EntrySpec, last_good};

/// Names of the copies. Held in memory, so that an unverified token causes no disk access.
#[derive(Default)]
pub(crate) struct Copies(Mutex<HashSet<String>>);

impl Copies {
    /// Lists the copies that exist at startup. Blocks.
    pub(crate) fn list(state_dir: Option<&Path>) -> Self {
        // If the directory cannot be listed, its members must prove themselves again.
        let names = state_dir.and_then(|dir| last_good::names(dir).ok()).unwrap_or_default();
        Self(Mutex::new(names))
    }

    pub(crate) fn has(&self, spec: &EntrySpec) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&last_good::name(spec))
    }

    pub(crate) fn note(&self, spec: &EntrySpec) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(last_good::name(spec));
    }
}
