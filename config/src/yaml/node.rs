//! A YAML tree with source positions.

use crate::source::Span;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What a finding underlines: a scalar or flow collection as a whole. A block collection or an
    /// empty value has no short extent of its own, so this is its key, or the first entry if it has
    /// no key.
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// A value with a reported fault. Readers skip it without a second finding.
    Broken,
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether the scalar has no quotes. Only then can it be anything but a string.
    pub(crate) plain: bool,
}

/// One member of a mapping. If the key was refused, `key` is empty and the value is broken.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

impl Node {
    /// Whether the value is missing: `key:` and the end of the line.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty())
    }

    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::Sequence(items) if items.is_empty())
    }

    /// Whether any part of the value has a fault that the parser reported.
    pub(crate) fn is_broken(&self) -> bool {
        match &self.value {
            Value::Scalar(_) => false,
            Value::Sequence(items) => items.iter().any(Self::is_broken),
            Value::Mapping(entries) => entries.iter().any(|entry| entry.node.is_broken()),
            Value::Broken => true,
        }
    }
}
