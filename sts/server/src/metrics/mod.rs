//! What the server tells Prometheus. Labels come from closed sets and configured names, never from a token.

mod exchanges;
mod exposition;
mod histogram;
mod issuers;
mod managed;
mod sinks;
mod status_lists;
mod store;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jwks_cache::{EntryStatus, FamilyStatus};
use sts_service::{DecisionEvent, StatusListsView};
use sts_store::Alert;
use sts_types::EntryName;

use crate::sinks::{Sink, SinkStatus};
use crate::store_health::Readiness;
use exchanges::Exchanges;
use exposition::{Exposition, Kind};

/// What is served as `Content-Type` with [`Metrics::render`].
pub(crate) const MEDIA_TYPE: &str = Exposition::MEDIA_TYPE;

/// What was not told or remembered of exchanges, for want of space.
pub(crate) struct DroppedObservations {
    pub(crate) decisions: u64,
    pub(crate) refusals: u64,
}

/// Whether the parts that an exchange needs are in order.
pub(crate) struct Health {
    /// `None` before the first probe.
    pub(crate) store: Option<Readiness>,
    pub(crate) can_sign: bool,
    pub(crate) managed: Option<ManagedHealth>,
}

/// How the managed objects are.
pub(crate) struct ManagedHealth {
    pub(crate) objects: usize,
    pub(crate) set_aside: usize,
    pub(crate) shadowed: usize,
    /// Whether the store has changes that are not in force here.
    pub(crate) is_behind: bool,
    /// API keys that end within 14 days.
    pub(crate) keys_to_expire: usize,
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    exchanges: Exchanges,
    alerts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    is_stale: AtomicBool,
    sinks: OnceLock<Vec<Arc<Sink>>>,
}

impl Metrics {
    /// Counts exchanges of these entries from now on; what was counted of others is gone.
    pub(crate) fn put_entries<'a>(&self, entries: impl Iterator<Item = &'a EntryName>) {
        self.exchanges.put_entries(entries);
    }

    /// Tells of these sinks from now on.
    pub(crate) fn put_sinks(&self, sinks: Vec<Arc<Sink>>) {
        // They are put once, before anybody asks.
        let _ = self.sinks.set(sinks);
    }

    /// How the sinks are.
    pub(crate) fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.get().into_iter().flatten().map(|sink| sink.status()).collect()
    }

    /// Counts an exchange.
    pub(crate) fn exchange(&self, event: &DecisionEvent) {
        self.exchanges.count(event);
    }

    /// Counts a stored value that was not what was written.
    pub(crate) fn alert(&self, alert: Alert) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        *alerts.entry((alert.place.name(), alert.fault.name())).or_default() += 1;
    }

    /// Notes whether the configuration that was read last is in force.
    pub(crate) fn configuration(&self, is_in_force: bool) {
        self.is_stale.store(!is_in_force, Ordering::Release);
    }

    /// The exposition, with the `health` of store and keys, the state of the `issuers` and under which `generation` exchanges run.
    pub(crate) fn render(
        &self,
        generation: &str,
        issuers: &[EntryStatus],
        families: &[FamilyStatus],
        status_lists: (StatusListsView, Duration),
        dropped: DroppedObservations,
        health: Health,
    ) -> String {
        let mut out = Exposition::default();
        out.family("sts_info", Kind::Gauge, "Always 1; the version of the server, and the snapshot in force.");
        out.sample(&[("version", env!("CARGO_PKG_VERSION")), ("generation", generation)], 1);
        out.family(
            "sts_config_stale",
            Kind::Gauge,
            "Whether the files' last change was refused, so that an older one is in force (1).",
        );
        out.sample(&[], u8::from(self.is_stale.load(Ordering::Acquire)));
        self.exchanges.render(&mut out);
        out.family(
            "sts_decision_events_dropped_total",
            Kind::Counter,
            "Exchanges without a decision event, because too many ended at once.",
        );
        out.sample(&[], dropped.decisions);
        out.family(
            "sts_refusals_dropped_total",
            Kind::Counter,
            "Refusals forgotten before the store had them; the log still has them.",
        );
        out.sample(&[], dropped.refusals);
        issuers::render(issuers, families, &mut out);
        out.family("sts_store_alerts_total", Kind::Counter, "Stored values treated as absent.");
        for ((place, fault), count) in self.alerts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out.sample(&[("place", place), ("fault", fault)], count);
        }
        store::render(health.store.as_ref(), &mut out);
        out.family(
            "sts_signing_ready",
            Kind::Gauge,
            "Whether the signing keys can sign (1); `/readyz` goes by the same.",
        );
        out.sample(&[], u8::from(health.can_sign));
        managed::render(health.managed.as_ref(), &mut out);
        sinks::render(&self.sinks(), &mut out);
        status_lists::render(status_lists, &mut out);
        out.into_text()
    }
}
