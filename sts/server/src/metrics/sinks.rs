//! Where decision events and log lines go.

use crate::sinks::SinkStatus;

use super::exposition::{Exposition, Kind};

pub(super) fn render(sinks: &[SinkStatus], out: &mut Exposition) {
    if sinks.is_empty() {
        return;
    }
    out.family(
        "sts_sink_up",
        Kind::Gauge,
        "Whether the sink takes lines (1): its last write succeeded and its queue has room.",
    );
    for sink in sinks {
        out.sample(&[("sink", sink.name)], u8::from(sink.is_available));
    }
    out.family(
        "sts_sink_lost_total",
        Kind::Counter,
        "Lines (decision events on stdout, logs on stderr) that could not be written.",
    );
    for sink in sinks {
        out.sample(&[("sink", sink.name)], sink.lost);
    }
    out.family("sts_sink_waiting_bytes", Kind::Gauge, "Bytes that wait to be written.");
    for sink in sinks {
        out.sample(&[("sink", sink.name)], sink.waiting_bytes);
    }
}
