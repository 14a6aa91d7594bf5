//! How the store was when it was looked at last.

use super::exposition::{Exposition, Kind};
use crate::store_health::Readiness;

pub(super) fn render(readiness: Option<&Readiness>, out: &mut Exposition) {
    let Some(readiness) = readiness else { return };
    out.family(
        "sts_store_ready",
        Kind::Gauge,
        "Whether the store answers and takes writes (1); `/readyz` goes by the same.",
    );
    out.sample(&[], u8::from(readiness.is_ok()));
    out.family("sts_store_warning", Kind::Gauge, "Weaknesses of the store as it is set up: 1 for each there is.");
    for warning in readiness.iter().flatten() {
        out.sample(&[("warning", warning.name)], 1);
    }
}
