//! The JSON form of OTLP (OpenTelemetry Protocol 1.x, section "JSON Protobuf Encoding"): ids in
//! hexadecimal, 64-bit numbers as text.

use serde_json::{Value, json};

use super::span::{Attribute, AttributeValue, Span, SpanKind};

/// The media type of a request.
pub(super) const MEDIA_TYPE: &str = "application/json";
/// The path of traces below the URL of a collector.
const PATH: &str = "/v1/traces";

/// The URL that traces are sent to. The URL of a collector stands for its path of traces.
pub(super) fn traces_url(mut url: url::Url) -> url::Url {
    let path = url.path().trim_end_matches('/');
    if !path.ends_with(PATH) {
        let path = format!("{path}{PATH}");
        url.set_path(&path);
    }
    url
}

/// The body of a request: an `ExportTraceServiceRequest`.
pub(super) fn export_request(spans: &[Span]) -> Value {
    let resource =
        [Attribute::text("service.name", "sts"), Attribute::text("service.version", env!("CARGO_PKG_VERSION"))];
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&resource) },
        "scopeSpans": [{
            "scope": { "name": "sts", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Span) -> Value {
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    let mut written = json!({
        "traceId": span.trace.to_hex(),
        "spanId": span.id.to_hex(),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes(&span.attributes),
        // Unset is 0, and error is 2.
        "status": if span.is_error { json!({ "code": 2 }) } else { json!({}) },
    });
    if let (Some(parent), Some(members)) = (span.parent, written.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), json!(parent.to_hex()));
    }
    written
}

fn attributes(attributes: &[Attribute]) -> Vec<Value> {
    let value = |value: &AttributeValue| match value {
        AttributeValue::Text(text) => json!({ "stringValue": text }),
        AttributeValue::Number(number) => json!({ "intValue": number.to_string() }),
    };
    attributes.iter().map(|attribute| json!({ "key": attribute.name, "value": value(&attribute.value) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_collector_stands_for_its_path_of_traces() {
        for (written, sent) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
            ("https://collector.example/v1/traces", "https://collector.example/v1/traces"),
        ] {
            assert_eq!(traces_url(written.parse().unwrap()).as_str(), sent);
        }
    }
}
