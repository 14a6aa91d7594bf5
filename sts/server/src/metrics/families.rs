//! Every family of metrics: its name, labels and meaning. The exposition is written from this table,
//! and the documentation has the same.

use super::exposition::{Family, Kind};

/// Declares the families, and [`ALL`] of them in their order.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Family =
            Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// Every family, in the order of the documentation.
        #[cfg(test)]
        pub(super) const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    INFO: Gauge "sts_info" ["version", "generation"]
        "Always 1; the version of the server, and the snapshot in force.";
    BUILD_INFO: Gauge "sts_build_info" ["version", "commit"]
        "Always 1; the version of the server, and the commit that it was built from (- where the build did not say).";
    CONFIG_STALE: Gauge "sts_config_stale" []
        "Whether the files' last change was refused, so that an older one is in force (1).";
    CONFIG_LOADED: Gauge "sts_config_loaded_timestamp_seconds" []
        "When the files were last read and put in force.";
    CONFIG_RELOADS: Counter "sts_config_reloads_total" ["outcome"]
        "Reloads of the files since the start, by outcome: loaded or refused.";
    EXCHANGES: Counter "sts_exchanges_total" ["issuer_entry", "grant", "outcome", "reason"]
        "Exchanges by issuer entry (- where none in force was found), grant (- where the request names none that exists), outcome and reason (empty where granted, or abandoned by a caller that hung up).";
    EXCHANGE_PHASES: Histogram "sts_exchange_phase_duration_seconds" ["phase"]
        "Time of exchanges by phase, of those that came to it: receive, parse, keys, verify, decide, mint, record; total is from arrival to decision.";
    INTROSPECTIONS: Counter "sts_introspections_total" ["outcome"]
        "Introspections by outcome: active, inactive, refused (a fault of the caller) or failed (a fault of ours, or of the store).";
    REVOCATIONS: Counter "sts_revocations_total" ["scope"]
        "Revocations that this server acknowledged, by scope: token or rule. One that is repeated counts again.";
    ADMIN_REFUSALS: Counter "sts_admin_refusals_total" ["reason"]
        "Requests to the admin API that were refused or failed, by reason.";
    EVENTS_DROPPED: Counter "sts_decision_events_dropped_total" []
        "Exchanges without a decision event, because too many ended at once.";
    REFUSALS_DROPPED: Counter "sts_refusals_dropped_total" []
        "Refusals forgotten before the store had them; the log still has them.";
    ISSUER_READY: Gauge "sts_issuer_ready" ["issuer_entry"]
        "Whether an issuer entry has keys that may be used (1): fetched or loaded, and not past max_stale.";
    ISSUER_FETCHES: Counter "sts_issuer_fetches_total" ["issuer_entry", "outcome"]
        "Fetches and reads of an issuer entry's keys by outcome: replaced, unchanged, or what went wrong.";
    ISSUER_KEYS_AGE: Gauge "sts_issuer_keys_age_seconds" ["issuer_entry"]
        "Time since an issuer entry's keys were fetched, or their file read; absent where they never were.";
    ISSUER_KEYS_USABLE: Gauge "sts_issuer_keys_usable" ["issuer_entry"]
        "Keys that tokens of an issuer entry are verified with; none past max_stale, and none that another entry holds too.";
    ISSUER_KEY_SET: Gauge "sts_issuer_key_set_info" ["issuer_entry", "hash"]
        "Always 1; hash tells one set of usable keys from another, in whatever order they are published.";
    ISSUER_KEYS_SKIPPED: Gauge "sts_issuer_keys_skipped" ["issuer_entry", "reason"]
        "Keys of an issuer entry's set that are not used, by reason.";
    ISSUER_KIDS_REUSED: Counter "sts_issuer_kids_reused_total" ["issuer_entry"]
        "Times that an issuer entry's set had another key under a kid that named one before.";
    FAMILY_MEMBERS: Gauge "sts_issuer_family_members" ["issuer_entry", "ready"]
        "Members of a family of issuers that were asked for lately, by whether they have keys that may be used.";
    FAMILY_TURNED_AWAY: Counter "sts_issuer_family_turned_away_total" ["issuer_entry"]
        "Times that a new member of a family of issuers found no room.";
    STORE_READY: Gauge "sts_store_ready" []
        "Whether the store answers and takes writes (1); `/readyz` goes by the same.";
    STORE_WARNING: Gauge "sts_store_warning" ["warning"]
        "Weaknesses of the store as it is set up: 1 for each there is.";
    STORE_ALERTS: Counter "sts_store_alerts_total" ["place", "fault"]
        "Stored values, or a store's file, that are not what was written, and so count as absent: somebody wrote to the store.";
    SIGNING_READY: Gauge "sts_signing_ready" []
        "Whether the signing keys can sign (1); `/readyz` goes by the same.";
    SIGNING_KEY_AGE: Gauge "sts_signing_key_age_seconds" ["algorithm", "kid", "phase"]
        "Age of each of our published keys, by phase: next, signing or retiring.";
    CERTIFICATE_BEGIN: Gauge "sts_certificate_not_before_timestamp_seconds" ["listener"]
        "Since when the certificate of a listener is valid: public or admin.";
    CERTIFICATE_END: Gauge "sts_certificate_not_after_timestamp_seconds" ["listener"]
        "When the certificate of a listener expires: public or admin.";
    MANAGED_OBJECTS: Gauge "sts_managed_objects" []
        "Managed objects in the store, API keys among them.";
    MANAGED_SET_ASIDE: Gauge "sts_managed_objects_set_aside" []
        "Managed objects that are not in force, because they do not compile beside the files; `/readyz` of the admin listener names them.";
    MANAGED_SHADOWED: Gauge "sts_managed_objects_shadowed" []
        "Managed objects that are not in force, because a file declares an object of that name.";
    MANAGED_STALE: Gauge "sts_managed_objects_stale" []
        "Whether changes of managed objects are not in force here, because the files do not load (1).";
    API_KEYS_EXPIRING: Gauge "sts_api_keys_expiring" []
        "API keys that expire within 14 days.";
    DIRECTORY_AGE: Gauge "sts_directory_memberships_age_seconds" ["directory"]
        "Time since a directory last answered; absent where it never did. Past its max_age no group of it gives a team.";
    DIRECTORY_FAILURES: Counter "sts_directory_refresh_failures_total" ["directory", "cause"]
        "Servers of a directory that failed in a refresh, by cause.";
    DIRECTORY_SEARCHES: Counter "sts_directory_searches_total" ["directory"]
        "Searches that a directory was asked for.";
    SINK_UP: Gauge "sts_sink_up" ["sink"]
        "Whether the sink takes lines (1): its last write succeeded and its queue has room.";
    SINK_LOST: Counter "sts_sink_lost_total" ["sink"]
        "Lines that could not be written: audit events (stdout, audit_file, syslog) and logs (stderr).";
    SINK_WAITING: Gauge "sts_sink_waiting_bytes" ["sink"]
        "Bytes that wait to be written.";
    STATUS_LISTS: Gauge "sts_status_lists" []
        "Status lists that are published.";
    STATUS_LIST_INVALID: Gauge "sts_status_list_invalid_tokens" []
        "Live tokens that the lists say are not valid.";
    STATUS_LIST_AGE: Gauge "sts_status_list_age_seconds" []
        "Time since the lists were last brought up to date.";
    STATUS_LIST_SCAN: Gauge "sts_status_list_scan_seconds" []
        "How long the last look at all records took.";
    TRACE_SPANS: Counter "sts_trace_spans_total" ["outcome"]
        "Spans of traces by outcome: sent, or lost because the collector does not take them, or not as fast.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process started.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Processor time that the process has used.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in use.";
    PROCESS_FILES: Gauge "process_open_fds" []
        "Files and connections that the process has open.";
    PROCESS_MOST_FILES: Gauge "process_max_fds" []
        "How many it may have open.";
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- metrics -->\n";
    const END: &str = "<!-- /metrics -->\n";

    fn row(family: &Family) -> String {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
        format!("| `{}`{labels} | {} | {} |\n", family.name, family.kind.name(), family.help)
    }

    #[test]
    fn the_page_of_metrics_has_the_table_of_families() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/limits-and-metrics.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page marks where the table begins");
        let (_, after) = rest.split_once(END).expect("the page marks where the table ends");
        let table: String = std::iter::once("| metric | kind | what it says |\n|---|---|---|\n".to_owned())
            .chain(ALL.iter().map(row))
            .collect();
        let fresh = format!("{before}{BEGIN}{table}{END}{after}");
        let is_blessed = std::env::var_os("STS_BLESS").is_some();
        if is_blessed {
            std::fs::write(&path, &fresh).unwrap();
        }
        assert!(
            is_blessed || page == fresh,
            "deploy/docs/limits-and-metrics.md is stale: run `STS_BLESS=1 cargo test -p sts --lib the_page_of_metrics`"
        );
    }

    #[test]
    fn names_have_their_units_and_no_two_families_share_one() {
        let mut names = std::collections::BTreeSet::new();
        for family in ALL {
            assert!(names.insert(family.name), "{} twice", family.name);
            assert!(family.name.starts_with("sts_") || family.name.starts_with("process_"), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), matches!(family.kind, Kind::Counter), "{}", family.name);
        }
    }
}
