//! What the server tells Prometheus. Labels come from closed sets and configured names, never from a token.

mod activity;
mod counts;
mod directories;
mod exchanges;
mod exposition;
mod families;
mod histogram;
mod issuers;
mod managed;
mod process;
mod sinks;
mod status_lists;
mod store;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jwks_cache::{EntryStatus, FamilyStatus};
use sts_audit::{Sink, SinkStatus};
use sts_directory::DirectoryStatus;
use sts_keyring::{HeldKey, KeyPhase};
use sts_service::{DecisionEvent, ExchangeTimes, StatusListsView};
use sts_store::Alert;
use sts_types::{EntryName, UnixTime};

use crate::certificate::Validity;
use crate::http::{Failure, HttpReason, ServedCertificate};
use crate::store_health::Readiness;
use crate::traces::SpanCounts;
use activity::Activity;
use counts::Requests;
use exchanges::Exchanges;
use exposition::{Exposition, Family};

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
    pub(crate) directories: Vec<DirectoryStatus>,
    pub(crate) signing_keys: Vec<HeldKey>,
    /// `None` without a collector of traces.
    pub(crate) spans: Option<SpanCounts>,
    /// The time to judge ages by.
    pub(crate) now: UnixTime,
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
    activity: Activity,
    alerts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    requests: Requests,
    is_stale: AtomicBool,
    /// When the files were last put in force, in seconds; 0 before that.
    loaded: AtomicI64,
    sinks: OnceLock<Vec<Arc<Sink>>>,
    certificates: OnceLock<Vec<(&'static str, Arc<ServedCertificate>)>>,
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

    /// Tells of these certificates from now on, by listener.
    pub(crate) fn put_certificates(&self, certificates: Vec<(&'static str, Arc<ServedCertificate>)>) {
        // They are put once, as the sinks are.
        let _ = self.certificates.set(certificates);
    }

    /// How the sinks are.
    pub(crate) fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.get().into_iter().flatten().map(|sink| sink.status()).collect()
    }

    /// Counts an exchange.
    pub(crate) fn exchange(&self, event: &DecisionEvent, times: &ExchangeTimes) {
        self.exchanges.count(event, &times.phases);
        self.activity.count(event);
    }

    /// Exchanges by time.
    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Counts a stored value that was not what was written.
    pub(crate) fn alert(&self, alert: Alert) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        *alerts.entry((alert.place.name(), alert.fault.name())).or_default() += 1;
    }

    /// Counts an introspection, which told whether the token is active.
    pub(crate) fn introspection(&self, is_active: Result<bool, &Failure>) {
        self.requests.introspections.count(match is_active {
            Ok(true) => "active",
            Ok(false) => "inactive",
            Err(failure) if failure.is_ours() => "failed",
            Err(_) => "refused",
        });
    }

    /// Counts a revocation that was recorded.
    pub(crate) fn revocation(&self, is_rule: bool) {
        self.requests.revocations.count(if is_rule { "rule" } else { "token" });
    }

    /// Counts a request to the admin API that was refused or failed.
    pub(crate) fn admin_refusal(&self, reason: HttpReason) {
        self.requests.count_admin_refusal(reason);
    }

    /// Notes that the files were put in force at the start.
    pub(crate) fn configuration_loaded(&self, now: UnixTime) {
        self.loaded.store(now.as_secs(), Ordering::Release);
    }

    /// Notes whether the configuration that was read again is in force.
    pub(crate) fn configuration(&self, is_in_force: bool, now: UnixTime) {
        self.is_stale.store(!is_in_force, Ordering::Release);
        self.requests.reloads.count(if is_in_force { "loaded" } else { "refused" });
        if is_in_force {
            self.configuration_loaded(now);
        }
    }

    /// Whether the files' last change was refused.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Acquire)
    }

    /// The exposition, with the `health` of store and keys, the state of the `issuers` and under which `generation` exchanges run.
    pub(crate) fn render(
        &self,
        generation: &str,
        issuers: &[EntryStatus],
        issuer_families: &[FamilyStatus],
        status_lists: (StatusListsView, Duration),
        dropped: DroppedObservations,
        health: Health,
    ) -> String {
        let mut out = Exposition::default();
        self.render_configuration(generation, &mut out);
        self.exchanges.render(&mut out);
        self.requests.render(&mut out);
        out.family(families::EVENTS_DROPPED);
        out.sample(&[], dropped.decisions);
        out.family(families::REFUSALS_DROPPED);
        out.sample(&[], dropped.refusals);
        issuers::render(issuers, issuer_families, &mut out);
        out.family(families::STORE_ALERTS);
        for ((place, fault), count) in self.alerts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out.sample(&[("place", place), ("fault", fault)], count);
        }
        store::render(health.store.as_ref(), &mut out);
        out.family(families::SIGNING_READY);
        out.sample(&[], u8::from(health.can_sign));
        render_signing_keys(&health.signing_keys, health.now, &mut out);
        self.render_certificates(&mut out);
        managed::render(health.managed.as_ref(), &mut out);
        directories::render(&health.directories, health.now, &mut out);
        sinks::render(&self.sinks(), &mut out);
        status_lists::render(status_lists, &mut out);
        render_spans(health.spans, &mut out);
        process::render(&mut out);
        out.into_text()
    }
    fn render_configuration(&self, generation: &str, out: &mut Exposition) {
        let version = env!("CARGO_PKG_VERSION");
        out.family(families::INFO);
        out.sample(&[("version", version), ("generation", generation)], 1);
        out.family(families::BUILD_INFO);
        out.sample(&[("version", version), ("commit", crate::build::commit())], 1);
        out.family(families::CONFIG_STALE);
        out.sample(&[], u8::from(self.is_stale()));
        out.family(families::CONFIG_LOADED);
        out.sample(&[], self.loaded.load(Ordering::Acquire));
        self.requests.render_reloads(out);
    }

    fn render_certificates(&self, out: &mut Exposition) {
        let certificates = self.certificates.get().map_or(&[][..], Vec::as_slice);
        if certificates.is_empty() {
            return;
        }
        let validities = certificates.iter().filter_map(|(listener, own)| Some((*listener, own.validity()?)));
        let validities: Vec<(&str, Validity)> = validities.collect();
        type Bound = fn(&Validity) -> UnixTime;
        let bounds: [(Family, Bound); 2] = [
            (families::CERTIFICATE_BEGIN, |validity| validity.not_before),
            (families::CERTIFICATE_END, |validity| validity.not_after),
        ];
        for (family, bound) in bounds {
            out.family(family);
            for (listener, validity) in &validities {
                out.sample(&[("listener", listener)], bound(validity).as_secs());
            }
        }
    }
}

fn render_spans(spans: Option<SpanCounts>, out: &mut Exposition) {
    let Some(SpanCounts { sent, lost }) = spans else { return };
    out.family(families::TRACE_SPANS);
    out.sample(&[("outcome", "sent")], sent);
    out.sample(&[("outcome", "lost")], lost);
}

fn render_signing_keys(keys: &[HeldKey], now: UnixTime, out: &mut Exposition) {
    out.family(families::SIGNING_KEY_AGE);
    for key in keys {
        let phase = match key.phase(now) {
            KeyPhase::Next => "next",
            KeyPhase::Signing => "signing",
            KeyPhase::Retiring => "retiring",
        };
        let labels = [("algorithm", key.algorithm().name()), ("kid", key.kid().as_str()), ("phase", phase)];
        out.sample(&labels, now.since(key.created).max(0));
    }
}
