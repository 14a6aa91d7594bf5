//! What requests beside exchanges came to. Counting takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::{Exposition, Family};
use super::families;
use crate::http::HttpReason;

/// Counts by one label, whose values are a closed set.
pub(super) struct Counts<const N: usize> {
    values: [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Counts<N> {
    fn new(values: [&'static str; N]) -> Self {
        Self { values, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    pub(super) fn count(&self, value: &str) {
        if let Some((_, count)) = self.values.iter().zip(&self.counts).find(|(known, _)| **known == value) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every value from zero on, so that its rate is right from the first.
    fn render(&self, family: Family, out: &mut Exposition) {
        out.family(family);
        let label = family.labels.first().copied().unwrap_or_default();
        for (value, count) in self.values.iter().zip(&self.counts) {
            out.sample(&[(label, value)], count.load(Ordering::Relaxed));
        }
    }
}

/// What was asked of the server beside exchanges.
pub(super) struct Requests {
    pub(super) introspections: Counts<4>,
    pub(super) revocations: Counts<2>,
    pub(super) reloads: Counts<2>,
    /// In the order of [`HttpReason::all`].
    admin_refusals: [AtomicU64; HttpReason::COUNT],
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            introspections: Counts::new(["active", "inactive", "refused", "failed"]),
            revocations: Counts::new(["token", "rule"]),
            reloads: Counts::new(["loaded", "refused"]),
            admin_refusals: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Requests {
    pub(super) fn count_admin_refusal(&self, reason: HttpReason) {
        let counts = HttpReason::all().zip(&self.admin_refusals);
        if let Some((_, count)) = counts.into_iter().find(|(known, _)| known.name() == reason.name()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn render(&self, out: &mut Exposition) {
        self.introspections.render(families::INTROSPECTIONS, out);
        self.revocations.render(families::REVOCATIONS, out);
        out.family(families::ADMIN_REFUSALS);
        for (reason, count) in HttpReason::all().zip(&self.admin_refusals) {
            let count = count.load(Ordering::Relaxed);
            // Few reasons come up, and there are many.
            if count > 0 {
                out.sample(&[("reason", reason.name())], count);
            }
        }
    }

    pub(super) fn render_reloads(&self, out: &mut Exposition) {
        self.reloads.render(families::CONFIG_RELOADS, out);
    }
}
