//! What this binary was built from.

use std::sync::OnceLock;

static COMMIT: OnceLock<&'static str> = OnceLock::new();

/// Notes the commit, which only the binary knows.
pub(crate) fn set_commit(commit: Option<&'static str>) {
    if let Some(commit) = commit {
        // It is set once, at the start.
        let _ = COMMIT.set(commit);
    }
}

/// The commit, or a dash where the build did not say.
pub(crate) fn commit() -> &'static str {
    COMMIT.get().copied().unwrap_or("-")
}
