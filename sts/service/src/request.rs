//! The context of a request.

use std::net::IpAddr;
use std::time::Duration;

use sts_types::RequestId;

/// Who sent a request, and when.
#[derive(Debug)]
pub struct RequestContext {
    /// The request's id.
    pub request_id: RequestId,
    /// The client's address, if known.
    pub source: Option<IpAddr>,
    /// Whether `source` is the caller's own address. It is not where a proxy of ours does not tell
    /// whom it forwards for: then `source` is the proxy's.
    pub is_source_known: bool,
    /// Monotonic time of its arrival.
    pub arrived: Duration,
}
