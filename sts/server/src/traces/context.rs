//! The trace that a caller began: `traceparent`, W3C Trace Context section 3.2.

use actix_web::http::header::{HeaderMap, HeaderName};
use sts_types::Entropy;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The length of version 00.
const LENGTH: usize = 55;
/// The flag of a caller that may have recorded its own span.
const SAMPLED: u8 = 1;

/// The id of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId([u8; 16]);

/// The id of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanId([u8; 8]);

impl TraceId {
    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl SpanId {
    pub(super) fn random(entropy: &dyn Entropy) -> Self {
        Self(not_zero(entropy))
    }

    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// The trace that a request is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent {
    pub(super) trace: TraceId,
    /// The caller's span. `None` where the trace begins here.
    pub(super) parent: Option<SpanId>,
    pub(super) is_sampled: bool,
}

impl TraceParent {
    /// A new trace.
    pub(super) fn root(entropy: &dyn Entropy) -> Self {
        Self { trace: TraceId(not_zero(entropy)), parent: None, is_sampled: true }
    }

    /// The trace that the caller names. `None` without a valid header; of two headers none is valid.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT);
        let (first, second) = (all.next()?, all.next());
        if second.is_some() { None } else { Self::parse(first.to_str().ok()?.trim()) }
    }

    fn parse(text: &str) -> Option<Self> {
        // A later version may have more at its end.
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let mut parts = head.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = bytes::<1>(version)?;
        let is_form_known = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        if parts.next().is_some() || version == 0xff || !is_form_known {
            return None;
        }
        let (trace, parent, [flags]) = (bytes::<16>(trace)?, bytes::<8>(parent)?, bytes::<1>(flags)?);
        if trace == [0; 16] || parent == [0; 8] {
            return None;
        }
        Some(Self { trace: TraceId(trace), parent: Some(SpanId(parent)), is_sampled: flags & SAMPLED != 0 })
    }
}

/// Lower-case hexadecimal digits of exactly `N` bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// An id that is zero is none.
fn not_zero<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut id = [0; N];
    while id == [0; N] {
        entropy.fill(&mut id);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_valid_header_is_taken_and_any_other_is_none() {
        let parsed = TraceParent::parse(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        assert_eq!((parsed.trace.to_hex(), parsed.parent.unwrap().to_hex()), (TRACE.to_owned(), PARENT.to_owned()));
        assert!(parsed.is_sampled);
        assert!(!TraceParent::parse(&format!("00-{TRACE}-{PARENT}-00")).unwrap().is_sampled);
        assert!(TraceParent::parse(&format!("00-{TRACE}-{PARENT}-03")).unwrap().is_sampled);
        assert!(TraceParent::parse(&format!("cc-{TRACE}-{PARENT}-01-more")).is_some(), "a later version");
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("cc-{TRACE}-{PARENT}-01more"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "g".repeat(32)),
            format!("00_{TRACE}_{PARENT}_01"),
            "\u{e9}".repeat(40),
        ] {
            assert_eq!(TraceParent::parse(&wrong), None, "{wrong}");
        }
    }
}
