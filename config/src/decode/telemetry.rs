//! `telemetry:`.

use sts_types::CheckCode;
use url::Url;

use super::reader::{Fields, Reader};
use crate::yaml::Node;

/// Reads `telemetry:`, and returns the collector of traces.
pub(super) fn telemetry(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Url> {
    let members = reader.section(fields, "telemetry")?;
    reader.optional(&members, "otlp", collector)
}

fn collector(reader: &mut Reader<'_>, node: &Node) -> Option<Url> {
    const FORMS: &str = "write `http://127.0.0.1:4318`, or `https://collector.example.com`";
    let text = reader.text(node)?;
    let url = Url::parse(&text.value).ok().filter(is_collector);
    if url.is_none() {
        // The text is not shown: it may have credentials in it.
        let message = "this is not the URL of a collector: http or https, with a host and a path alone";
        reader.error(CheckCode::InvalidUrl, text.span, message, FORMS);
    }
    url
}

fn is_collector(url: &Url) -> bool {
    let is_bare = url.query().is_none() && url.fragment().is_none();
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && !has_credentials
}
