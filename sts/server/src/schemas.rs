//! The documents that `sts schema` prints: the JSON Schemas of the configuration and of the audit trail, and the OpenAPI document.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;
use sts_service::GrantType;

use crate::http::HttpReason;
use crate::openapi;

/// Whether this build makes the documents, from types and tables of the code. A release has the files of `deploy/schema` built in instead: what
/// makes them would be a twentieth of the binary.
pub(crate) const ARE_MADE: bool = cfg!(debug_assertions);

/// The files of `deploy/schema`, compressed by the build script.
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));
const CONFIGURATION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sts.schema.json.gz"));
const EVENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/decision-event.schema.json.gz"));

/// The OpenAPI document of both listeners.
pub(crate) fn openapi() -> Value {
    if ARE_MADE { openapi::document() } else { built_in(OPENAPI) }
}

/// The schema of the configuration.
pub(crate) fn configuration() -> Value {
    if ARE_MADE { sts_config::json_schema() } else { built_in(CONFIGURATION) }
}

/// The schema of a line of the audit trail.
pub(crate) fn event() -> Value {
    if ARE_MADE {
        let reasons: Vec<&str> = HttpReason::all().map(HttpReason::name).collect();
        sts_audit::event_schema(&reasons, &GrantType::ALL.map(GrantType::name))
    } else {
        built_in(EVENT)
    }
}

fn built_in(compressed: &[u8]) -> Value {
    let mut text = Vec::new();
    // The build script wrote it, from a file that is compared with what the code makes.
    let read = GzDecoder::new(compressed).read_to_end(&mut text);
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_has_built_in_is_what_the_code_makes() {
        for (file, made, option) in
            [(OPENAPI, openapi(), " --openapi"), (CONFIGURATION, configuration(), ""), (EVENT, event(), " --event")]
        {
            assert!(built_in(file) == made, "a file in deploy/schema is stale: write what `sts schema{option}` prints");
        }
    }
}
