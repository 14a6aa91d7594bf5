//! How the store was when it was looked at last.

use super::exposition::Exposition;
use super::families;
use crate::store_health::Readiness;

pub(super) fn render(readiness: Option<&Readiness>, out: &mut Exposition) {
    let Some(readiness) = readiness else { return };
    out.family(families::STORE_READY);
    out.sample(&[], u8::from(readiness.is_ok()));
    out.family(families::STORE_WARNING);
    for warning in readiness.iter().flatten() {
        out.sample(&[("warning", warning.name)], 1);
    }
}
