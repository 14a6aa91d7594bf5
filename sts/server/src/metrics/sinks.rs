//! Where audit events and log lines go.

use sts_audit::SinkStatus;

use super::exposition::Exposition;
use super::families;

pub(super) fn render(sinks: &[SinkStatus], out: &mut Exposition) {
    if sinks.is_empty() {
        return;
    }
    out.family(families::SINK_UP);
    for sink in sinks {
        out.sample(&[("sink", sink.name)], u8::from(sink.is_available));
    }
    out.family(families::SINK_LOST);
    for sink in sinks {
        out.sample(&[("sink", sink.name)], sink.lost);
    }
    out.family(families::SINK_WAITING);
    for sink in sinks {
        out.sample(&[("sink", sink.name)], sink.waiting_bytes);
    }
}
