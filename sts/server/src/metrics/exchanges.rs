//! Exchanges by issuer entry, grant, outcome and reason, and their latency by phase. Counting takes no lock and allocates nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use sts_service::{DecisionEvent, GrantType, Outcome, Phase, PhaseTimes};
use sts_types::EntryName;

use super::exposition::Exposition;
use super::families;
use super::histogram::Histogram;
use crate::http::HttpReason;

/// Stands for the entry where none in force was found. No entry can have this name.
const NO_ENTRY: &str = "-";

/// Stands for the grant where the request names none that exists.
const NO_GRANT: &str = "-";

/// The number of grants, and one more for requests without a grant that exists.
const GRANTS: usize = GrantType::ALL.len() + 1;

/// What exchanges came to, and how long they took.
#[derive(Default)]
pub(super) struct Exchanges {
    by_entry: ArcSwap<BTreeMap<EntryName, Arc<[Results; GRANTS]>>>,
    of_no_entry: [Results; GRANTS],
    phases: [Histogram; Phase::ALL.len()],
    whole: Histogram,
}

/// One count for each reason, in the order of [`HttpReason::all`], and one for each outcome without a reason.
struct Results {
    granted: AtomicU64,
    abandoned: AtomicU64,
    refused: [AtomicU64; HttpReason::COUNT],
}

impl Default for Results {
    fn default() -> Self {
        Self {
            granted: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Exchanges {
    /// Counts for these entries from now on: those that are new begin at zero, those that are gone vanish.
    pub(super) fn put_entries<'a>(&self, entries: impl Iterator<Item = &'a EntryName>) {
        let known = self.by_entry.load();
        let results = |name: &EntryName| known.get(name).map_or_else(Arc::default, Arc::clone);
        self.by_entry.store(Arc::new(entries.map(|name| (name.clone(), results(name))).collect()));
    }

    pub(super) fn count(&self, event: &DecisionEvent, phases: &PhaseTimes) {
        let by_entry = self.by_entry.load();
        // One that began under an entry that was removed since has none in force.
        let entry = event.issuer_entry.as_deref().and_then(|name| by_entry.get(name));
        let by_grant = entry.map_or(&self.of_no_entry, |results| results);
        if let Some((_, results)) = grants().zip(by_grant).find(|(name, _)| *name == event.grant.unwrap_or(NO_GRANT)) {
            results.count(event.outcome, event.reason);
        }
        for (phase, histogram) in Phase::ALL.into_iter().zip(&self.phases) {
            if let Some(time) = phases.of(phase) {
                histogram.observe(time);
            }
        }
        self.whole.observe(phases.total());
    }

    pub(super) fn render(&self, out: &mut Exposition) {
        out.family(families::EXCHANGES);
        for (grant, results) in grants().zip(&self.of_no_entry) {
            results.render(NO_ENTRY, grant, out);
        }
        for (name, by_grant) in &**self.by_entry.load() {
            for (grant, results) in grants().zip(&**by_grant) {
                results.render(name.as_str(), grant, out);
            }
        }
        out.family(families::EXCHANGE_PHASES);
        for (phase, histogram) in Phase::ALL.into_iter().zip(&self.phases) {
            render_histogram(phase.name(), histogram, out);
        }
        render_histogram("total", &self.whole, out);
    }
}

/// The values of the label `grant`.
fn grants() -> impl Iterator<Item = &'static str> {
    GrantType::ALL.into_iter().map(GrantType::name).chain([NO_GRANT])
}

impl Results {
    fn count(&self, outcome: Outcome, reason: Option<&str>) {
        let count_of = |name: &str| {
            HttpReason::all().zip(&self.refused).find(|(reason, _)| reason.name() == name).map(|(_, count)| count)
        };
        let count = match (outcome, reason) {
            (Outcome::Abandoned, _) => &self.abandoned,
            (_, reason) => reason.and_then(count_of).unwrap_or(&self.granted),
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Grants are told from zero on, so that their rate is one from the first; other outcomes once there are some.
    fn render(&self, entry: &str, grant: &str, out: &mut Exposition) {
        let mut sample = |outcome: Outcome, reason: &str, count: u64| {
            if count > 0 || (outcome == Outcome::Granted && entry != NO_ENTRY && grant != NO_GRANT) {
                let labels =
                    [("issuer_entry", entry), ("grant", grant), ("outcome", outcome.name()), ("reason", reason)];
                out.sample(&labels, count);
            }
        };
        sample(Outcome::Granted, "", self.granted.load(Ordering::Relaxed));
        sample(Outcome::Abandoned, "", self.abandoned.load(Ordering::Relaxed));
        for (reason, count) in HttpReason::all().zip(&self.refused) {
            sample(reason.outcome(), reason.name(), count.load(Ordering::Relaxed));
        }
    }
}

fn render_histogram(phase: &str, histogram: &Histogram, out: &mut Exposition) {
    let counted = histogram.read();
    for (bound, count) in &counted.cumulative {
        out.sample_of("_bucket", &[("phase", phase), ("le", bound)], count);
    }
    out.sample_of("_sum", &[("phase", phase)], counted.sum);
    out.sample_of("_count", &[("phase", phase)], counted.cumulative.last().map_or(0, |(_, count)| *count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_counts_in_its_own_place() {
        let results = Results::default();
        for (index, reason) in HttpReason::all().enumerate() {
            (0..=index).for_each(|_| results.count(reason.outcome(), Some(reason.name())));
        }
        let counts: Vec<_> = results.refused.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, (1..=HttpReason::COUNT as u64).collect::<Vec<_>>());
        assert_eq!(results.granted.load(Ordering::Relaxed), 0);
        results.count(Outcome::Abandoned, None);
        results.count(Outcome::Granted, None);
        assert_eq!([&results.abandoned, &results.granted].map(|count| count.load(Ordering::Relaxed)), [1, 1]);
    }

    #[test]
    fn no_entry_can_be_named_like_none() {
        assert!(EntryName::new(NO_ENTRY).is_err());
    }
}
