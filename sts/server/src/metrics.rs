//! Counters, in Prometheus' text form. Labels come from closed sets and configured names, never from a token.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use sts_store::Alert;

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    exchanges: Mutex<BTreeMap<(String, &'static str, &'static str), u64>>,
    alerts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Metrics {
    /// Counts an exchange of an issuer entry, empty when unknown.
    pub(crate) fn exchange(&self, entry: &str, outcome: &'static str, reason: &'static str) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        *exchanges.entry((entry.to_owned(), outcome, reason)).or_default() += 1;
    }

    /// Counts a stored value that was not what was written.
    pub(crate) fn alert(&self, alert: Alert) {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        *alerts.entry((alert.place.name(), alert.fault.name())).or_default() += 1;
    }

    /// The exposition.
    pub(crate) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP sts_exchanges_total Exchanges by issuer entry, outcome and reason.\n# TYPE sts_exchanges_total counter\n",
        );
        for ((entry, outcome, reason), count) in self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(
                text,
                "sts_exchanges_total{{issuer_entry=\"{entry}\",outcome=\"{outcome}\",reason=\"{reason}\"}} {count}"
            );
        }
        text.push_str(
            "# HELP sts_store_alerts_total Stored values treated as absent.\n# TYPE sts_store_alerts_total counter\n",
        );
        for ((place, fault), count) in self.alerts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "sts_store_alerts_total{{place=\"{place}\",fault=\"{fault}\"}} {count}");
        }
        text
    }
}
