//! A span, and what is said of it.

use super::context::{SpanId, TraceId};

/// Part of a trace.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) kind: SpanKind,
    /// Nanoseconds since the epoch.
    pub(super) start: u64,
    /// The same.
    pub(super) end: u64,
    pub(super) attributes: Vec<Attribute>,
    /// Whether it failed by a fault of ours, or of what we call.
    pub(super) is_error: bool,
}

/// What a span is to the processes that it is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    Internal,
    Server,
    Client,
}

/// A name and its value. Values come from closed sets, from the configuration, and from us, never
/// from a token.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) value: AttributeValue,
}

#[derive(Clone, Debug)]
pub(super) enum AttributeValue {
    Text(String),
    Number(i64),
}

impl Attribute {
    pub(super) fn text(name: &'static str, value: &str) -> Self {
        Self { name, value: AttributeValue::Text(value.to_owned()) }
    }

    pub(super) fn number(name: &'static str, value: i64) -> Self {
        Self { name, value: AttributeValue::Number(value) }
    }
}
