//! The status lists.

use std::time::Duration;

use sts_service::StatusListsView;

use super::exposition::{Exposition, Kind};

/// What is known of them, at a monotonic time.
pub(super) fn render((view, now): (StatusListsView, Duration), out: &mut Exposition) {
    let Some(updated) = view.updated else { return };
    out.family("sts_status_lists", Kind::Gauge, "Status lists that are published.");
    out.sample(&[], view.lists);
    out.family("sts_status_list_invalid_tokens", Kind::Gauge, "Live tokens that the lists say are not valid.");
    out.sample(&[], view.invalid);
    out.family("sts_status_list_age_seconds", Kind::Gauge, "Time since the lists were last brought up to date.");
    out.sample(&[], now.saturating_sub(updated).as_secs_f64());
    out.family("sts_status_list_scan_seconds", Kind::Gauge, "How long the last look at all records took.");
    out.sample(&[], view.scan.as_secs_f64());
}
