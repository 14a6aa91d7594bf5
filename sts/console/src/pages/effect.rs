//! What a change does, as a dry run tells it.

use sts_api::{ChangedVerdict, DryRun, Finding};

/// The findings and the verdicts that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EffectView {
    pub(crate) findings: Vec<Finding>,
    pub(crate) newly_allowed: Vec<ChangedVerdict>,
    pub(crate) newly_denied: Vec<ChangedVerdict>,
}

impl EffectView {
    pub(crate) fn new(dry_run: &DryRun) -> Self {
        Self {
            findings: dry_run.findings.clone(),
            newly_allowed: dry_run.effect.newly_allowed.clone(),
            newly_denied: dry_run.effect.newly_denied.clone(),
        }
    }

    /// Whether no remembered token would be judged differently.
    pub(crate) fn is_none(&self) -> bool {
        self.newly_allowed.is_empty() && self.newly_denied.is_empty()
    }
}
