//! The status lists.

use std::time::Duration;

use sts_service::StatusListsView;

use super::exposition::Exposition;
use super::families;

/// What is known of them, at a monotonic time.
pub(super) fn render((view, now): (StatusListsView, Duration), out: &mut Exposition) {
    let Some(updated) = view.updated else { return };
    out.family(families::STATUS_LISTS);
    out.sample(&[], view.lists);
    out.family(families::STATUS_LIST_INVALID);
    out.sample(&[], view.invalid);
    out.family(families::STATUS_LIST_AGE);
    out.sample(&[], now.saturating_sub(updated).as_secs_f64());
    out.family(families::STATUS_LIST_SCAN);
    out.sample(&[], view.scan.as_secs_f64());
}
